//! What a client's receiver accepts, what it refuses, and how early.

mod common;

use bytes::BytesMut;
use common::{Event, events_at, fault_at, frame, with_header};
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{CloseCode, CloseFrame, Limits, Message, ProtocolError, Received, Receiver};

/// A frame as a server sends it, `fin` set.
fn unmasked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    with_header(Header::whole(opcode, payload.len() as u64), payload)
}

/// What a client says about bytes that come in reads of this size.
fn events(bytes: &[u8], size: usize) -> Vec<Event> {
    events_at(Receiver::client(Limits::default()), Limits::default(), bytes.chunks(size))
}

/// The number of bytes after which a client with these limits refuses the input, and why.
#[track_caller]
fn refused_with(limits: Limits, bytes: &[u8], after: usize, error: ProtocolError) {
    assert_eq!(fault_at(Receiver::client(limits), bytes), Some((after, error)), "byte by byte");
    let at_once = events_at(Receiver::client(limits), limits, [bytes]);
    assert_eq!(at_once.last(), Some(&Event::Error(error)), "at once");
}

#[track_caller]
fn refused(bytes: &[u8], after: usize, error: ProtocolError) {
    refused_with(Limits::default(), bytes, after, error);
}

#[test]
fn a_client_understands_the_sample_frames_of_a_server() {
    // RFC 6455 §5.7.
    let binary: Vec<u8> = (0..=255).collect();
    let input = [
        &b"\x81\x05Hello\x01\x03Hel\x89\x05Hello\x80\x02lo\x82\x7E\x01\x00"[..],
        &binary,
        &unmasked(OpCode::Pong, b"pong"),
        &unmasked(OpCode::Close, b"\x03\xE8bye"),
    ]
    .concat();
    let expected = [
        Event::Message("Hello".into()),
        Event::Ping(b"Hello".to_vec()),
        Event::Message("Hello".into()),
        Event::Message(Message::from(binary)),
        Event::Pong(b"pong".to_vec()),
        Event::Close(Some(CloseFrame::new(CloseCode::NORMAL, "bye"))),
    ];
    for size in [1, 2, 3, 7, input.len()] {
        assert_eq!(events(&input, size), expected, "{size}");
    }
}

#[test]
fn a_client_refuses_masked_frames_at_the_second_byte() {
    for opcode in [OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong] {
        refused(&frame(opcode, b"abc"), 2, ProtocolError::UnexpectedMask);
    }
    refused(b"\x01\x01a\x80\x81", 5, ProtocolError::UnexpectedMask);
    assert_eq!(ProtocolError::UnexpectedMask.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn a_client_refuses_bad_headers_at_the_byte_that_shows_it() {
    for reserved in 1..8 {
        refused(&[0x81 | reserved << 4, 1, b'a'], 1, ProtocolError::ReservedBits);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        refused(&[0x80 | opcode, 0], 1, ProtocolError::ReservedOpCode(opcode));
    }
    for opcode in [8, 9, 10] {
        refused(&[opcode, 0], 1, ProtocolError::FragmentedControl);
        refused(&[0x80 | opcode, 126, 0, 126], 2, ProtocolError::ControlTooLong);
    }
    refused(b"\x82\x7E\x00\x7D", 4, ProtocolError::NonMinimalLength);
    refused(b"\x82\x7F\0\0\0\0\0\0\xFF\xFF", 10, ProtocolError::NonMinimalLength);
    refused(b"\x82\x7F\x80\0\0\0\0\0\0\0", 10, ProtocolError::LengthOverflow);
}

#[test]
fn a_client_refuses_fragments_in_disorder_at_the_first_byte() {
    refused(b"\x80\x01a", 1, ProtocolError::UnexpectedContinuation);
    refused(b"\x01\x01a\x80\x01b\x00\x01c", 7, ProtocolError::UnexpectedContinuation);
    refused(b"\x01\x01a\x81\x01b", 4, ProtocolError::ExpectedContinuation);
    refused(b"\x02\x00\x89\x00\x02\x01b", 5, ProtocolError::ExpectedContinuation);
}

#[test]
fn a_client_refuses_text_that_is_not_utf8() {
    refused(b"\x81\x09a\xED\xA0", 5, ProtocolError::InvalidUtf8);
    refused(b"\x01\x01\xE2\x80\x01\x28", 6, ProtocolError::InvalidUtf8);
    refused(b"\x81\x02\xE2\x82", 4, ProtocolError::InvalidUtf8);
    refused(b"\x01\x02\xE2\x82\x80\x00", 6, ProtocolError::InvalidUtf8);
    assert_eq!(events(b"\x01\x01\xE2\x89\x00\x80\x02\x82\xAC", 1).last(), Some(&Event::Message("€".into())));
}

#[test]
fn a_client_holds_to_its_limits() {
    let limits = Limits::default().with_max_frame(200).with_max_message(300).with_max_fragments(2);
    refused_with(limits, b"\x82\x7E\x00\xC9", 4, ProtocolError::FrameTooLong);
    let first = [&b"\x02\x7E\x00\xC8"[..], &[7; 200]].concat();
    refused_with(limits, &[&first[..], b"\x80\x65"].concat(), 206, ProtocolError::MessageTooLong);
    refused_with(limits, b"\x01\x00\x00\x00\x80\x00", 5, ProtocolError::TooManyFragments);
    let allowed = [&first[..], b"\x80\x64", &[7; 100]].concat();
    let events = events_at(Receiver::client(limits), limits, [&allowed[..]]);
    assert_eq!(events, [Event::Message(Message::from(vec![7; 300]))]);
}

#[test]
fn a_client_judges_close_frames_like_a_server() {
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], b"bye"].concat();
        let expected = Event::Close(Some(CloseFrame::new(code, "bye")));
        assert_eq!(events(&unmasked(OpCode::Close, &payload), 1), [expected]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let error = ProtocolError::InvalidCloseCode(CloseCode::from(code));
        refused(&unmasked(OpCode::Close, &u16::to_be_bytes(code)), 4, error);
    }
    refused(b"\x88\x01\x03", 3, ProtocolError::TruncatedCloseCode);
    refused(b"\x88\x03\x03\xE8\xFF", 5, ProtocolError::InvalidCloseReason);
    assert_eq!(events(b"\x88\x00\x88\x00\xFF\xFF", 6), [Event::Close(None)]);
}

#[test]
fn what_a_client_needs_is_told_without_a_masking_key() {
    let input = unmasked(OpCode::Binary, &[0; 1000]);
    let (mut receiver, mut buffer) = (Receiver::client(Limits::default()), BytesMut::new());
    for (arrived, needed) in [(0, 2), (1, 2), (2, 4), (4, 1004), (500, 1004), (1003, 1004)] {
        buffer.extend_from_slice(&input[buffer.len()..arrived]);
        assert_eq!(receiver.receive(&mut buffer), Ok(Received::Incomplete { needed }), "{arrived}");
    }
}
