//! What a server's receiver accepts, what it refuses, and how early.

mod common;

use bytes::BytesMut;
use common::{Event, KEY, events, fault, fragments, frame, open_frame, whole, with_header};
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{CloseCode, CloseFrame, Limits, Message, ProtocolError, Received, Receiver, SHARE_FROM};

fn text(text: &str) -> Event {
    Event::Message(Message::from(text))
}

fn binary(bytes: &[u8]) -> Event {
    Event::Message(Message::from(bytes.to_vec()))
}

/// The number of bytes after which the input is refused, and why.
#[track_caller]
fn refused(bytes: &[u8], after: usize, error: ProtocolError) {
    assert_eq!(fault(Limits::default(), bytes), Some((after, error)), "byte by byte");
    assert_eq!(whole(bytes).last(), Some(&Event::Error(error)), "at once");
}

#[test]
fn text_is_judged_unmasked_and_unmasked_once() {
    // Bytes that are text as they come, and none once they are unmasked.
    let payload = b"text".map(|byte| byte ^ 0x80);
    let header = Header { mask: Some([0x80; 4]), ..Header::whole(OpCode::Text, 4) };
    refused(&with_header(header, &payload), 8, ProtocolError::InvalidUtf8);
}

#[test]
fn the_sample_frames_of_the_rfc_are_understood() {
    // RFC 6455 §5.7. The unmasked samples are what a server sends, so a server refuses to receive them.
    assert_eq!(whole(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [text("Hello")]);
    assert_eq!(whole(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [Event::Pong(b"Hello".to_vec())]);
    refused(b"\x81\x05Hello", 2, ProtocolError::MissingMask);
    refused(b"\x89\x05Hello", 2, ProtocolError::MissingMask);
    // The fragments "Hel" and "lo", the 256 bytes and the 64 KiB, as a client would mask them.
    let hello = [open_frame(OpCode::Text, b"Hel"), frame(OpCode::Continuation, b"lo")].concat();
    assert_eq!(whole(&hello), [text("Hello")]);
    for len in [256, 65_536] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        assert_eq!(whole(&frame(OpCode::Binary, &payload)), [binary(&payload)]);
    }
}

#[test]
fn payloads_at_every_length_border_arrive() {
    for len in [0, 1, 124, 125, 126, 127, SHARE_FROM - 1, SHARE_FROM, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        assert_eq!(whole(&frame(OpCode::Binary, &payload)), [binary(&payload)], "{len}");
        assert_eq!(whole(&frame(OpCode::Text, &payload)), [text(std::str::from_utf8(&payload).unwrap())], "{len}");
    }
}

#[test]
fn a_thousand_messages_in_one_read_all_arrive() {
    let input = frame(OpCode::Text, b"again").repeat(1000);
    assert_eq!(whole(&input), vec![text("again"); 1000]);
}

#[test]
fn reserved_bits_are_refused_at_the_first_byte() {
    for opcode in [OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong] {
        for reserved in 1..8 {
            let header = Header { reserved, mask: Some(KEY), ..Header::whole(opcode, 3) };
            refused(&with_header(header, b"abc"), 1, ProtocolError::ReservedBits);
        }
    }
}

#[test]
fn reserved_opcodes_are_refused_at_the_first_byte() {
    for number in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for fin in [0, 0x80] {
            refused(&[fin | number, 0x80, 0, 0, 0, 0], 1, ProtocolError::ReservedOpCode(number));
        }
    }
}

#[test]
fn fragmented_control_frames_are_refused_at_the_first_byte() {
    for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
        refused(&open_frame(opcode, b""), 1, ProtocolError::FragmentedControl);
    }
}

#[test]
fn long_control_frames_are_refused_at_the_second_byte() {
    for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
        refused(&frame(opcode, &[b'a'; 126]), 2, ProtocolError::ControlTooLong);
        // Also when the length is small, but said in the long form.
        refused(&[0x80 | opcode.as_u8(), 0xFE, 0, 5, 0, 0, 0, 0], 2, ProtocolError::ControlTooLong);
    }
}

#[test]
fn frames_without_a_mask_are_refused_at_the_second_byte() {
    for opcode in [OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong] {
        refused(&with_header(Header::whole(opcode, 3), b"abc"), 2, ProtocolError::MissingMask);
    }
}

#[test]
fn a_stray_continuation_is_refused_at_its_first_byte() {
    refused(&frame(OpCode::Continuation, b"a"), 1, ProtocolError::UnexpectedContinuation);
    refused(&open_frame(OpCode::Continuation, b"a"), 1, ProtocolError::UnexpectedContinuation);
    let after_a_message = [fragments(OpCode::Text, b"abcd", 2), frame(OpCode::Continuation, b"a")].concat();
    refused(&after_a_message, 17, ProtocolError::UnexpectedContinuation);
}

#[test]
fn a_new_message_inside_a_fragmented_one_is_refused_at_its_first_byte() {
    for opcode in [OpCode::Text, OpCode::Binary] {
        let input = [open_frame(OpCode::Text, b""), frame(opcode, b"a")].concat();
        refused(&input, 7, ProtocolError::ExpectedContinuation);
    }
}

#[test]
fn lengths_not_in_their_shortest_form_are_refused_before_the_masking_key() {
    refused(&[0x82, 0xFE, 0, 125, 0, 0, 0, 0], 4, ProtocolError::NonMinimalLength);
    refused(&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0], 10, ProtocolError::NonMinimalLength);
    refused(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 10, ProtocolError::LengthOverflow);
}

#[test]
fn a_frame_at_the_limit_arrives_and_one_byte_more_is_refused_by_its_length() {
    let limits = Limits::default().with_max_frame(300).with_max_message(1000);
    assert_eq!(events(limits, [&frame(OpCode::Binary, &[1; 300])[..]]), [binary(&[1; 300])]);
    assert_eq!(fault(limits, &frame(OpCode::Binary, &[1; 301])), Some((4, ProtocolError::FrameTooLong)));
    let huge = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    assert_eq!(fault(Limits::default(), &huge), Some((10, ProtocolError::FrameTooLong)));
}

#[test]
fn a_message_at_the_limit_arrives_and_one_byte_more_is_refused_by_its_length() {
    let limits = Limits::default().with_max_frame(1000).with_max_message(300);
    assert_eq!(events(limits, [&frame(OpCode::Binary, &[1; 300])[..]]), [binary(&[1; 300])]);
    assert_eq!(fault(limits, &frame(OpCode::Binary, &[1; 301])), Some((4, ProtocolError::MessageTooLong)));
    // Over fragments: as soon as the second header says 200 where 100 are left.
    assert_eq!(events(limits, [&fragments(OpCode::Binary, &[1; 300], 200)[..]]), [binary(&[1; 300])]);
    let input = fragments(OpCode::Binary, &[1; 400], 200);
    assert_eq!(fault(limits, &input), Some((8 + 200 + 4, ProtocolError::MessageTooLong)));
}

#[test]
fn a_message_at_a_changed_limit_may_come_in_one_frame() {
    for bytes in [100, 2 << 20] {
        let limits = Limits::default().with_max_message(bytes);
        assert_eq!(events(limits, [&frame(OpCode::Binary, &vec![1; bytes])[..]]), [binary(&vec![1; bytes])]);
        assert_eq!(fault(limits, &frame(OpCode::Binary, &vec![1; bytes + 1])).unwrap().1, ProtocolError::FrameTooLong);
    }
}

#[test]
fn fragment_lengths_cannot_wrap_around_the_limit() {
    let limits = Limits::default().with_max_frame(usize::MAX);
    let mut input = open_frame(OpCode::Binary, b"some");
    input.extend([0x00, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    assert_eq!(events(limits, [&input[..]]), [Event::Error(ProtocolError::MessageTooLong)]);
    let unlimited = limits.with_max_message(usize::MAX);
    assert_eq!(events_without_memory_check(unlimited, &input), Ok(Received::Incomplete { needed: usize::MAX >> 1 }));
}

fn events_without_memory_check(limits: Limits, input: &[u8]) -> Result<Received, ProtocolError> {
    Receiver::server(limits).receive(&mut BytesMut::from(input))
}

#[test]
fn announcing_a_large_payload_costs_no_memory() {
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::from(&open_frame(OpCode::Binary, &vec![0; 1 << 20])[..1000]);
    let capacity = buffer.capacity();
    assert!(matches!(receiver.receive(&mut buffer), Ok(Received::Incomplete { .. })));
    assert!(receiver.held() < 2048 && buffer.capacity() <= capacity);
}

#[test]
fn empty_fragments_count() {
    let limits = Limits::default().with_max_fragments(3);
    let allowed = [
        open_frame(OpCode::Text, b""),
        open_frame(OpCode::Continuation, b""),
        frame(OpCode::Ping, b"between"),
        frame(OpCode::Continuation, b""),
    ];
    assert_eq!(events(limits, allowed.iter().map(Vec::as_slice)), [Event::Ping(b"between".to_vec()), text("")]);
    let refused = [
        open_frame(OpCode::Text, b""),
        open_frame(OpCode::Continuation, b""),
        open_frame(OpCode::Continuation, b""),
        frame(OpCode::Continuation, b""),
    ];
    assert_eq!(fault(limits, &refused.concat()), Some((19, ProtocolError::TooManyFragments)));
    assert_eq!(ProtocolError::TooManyFragments.close_code(), CloseCode::POLICY);
}

#[test]
fn control_frames_come_between_fragments() {
    let input = [
        open_frame(OpCode::Text, "Gr\u{fc}".as_bytes()),
        frame(OpCode::Ping, b"1"),
        open_frame(OpCode::Continuation, b""),
        frame(OpCode::Pong, b"2"),
        frame(OpCode::Continuation, b"n"),
    ]
    .concat();
    assert_eq!(whole(&input), [Event::Ping(b"1".to_vec()), Event::Pong(b"2".to_vec()), text("Grün")]);
}

#[test]
fn text_that_cannot_become_utf8_is_refused_inside_the_unfinished_frame() {
    for (bad, shown) in [
        (&b"\xF4\x90"[..], 2),
        (b"\xC0", 1),
        (b"\xED\xA0", 2),
        (b"a\x80", 2),
        (b"\xCE\xBA\xF4\x90", 4),
        (b"\xE2\x28", 2),
        (b"\xF0\x80", 2),
    ] {
        // The frame is announced a hundred bytes longer than the fault needs.
        let payload = [bad, &[b'a'; 100]].concat();
        refused(&frame(OpCode::Text, &payload), 6 + shown, ProtocolError::InvalidUtf8);
        // Also in a fragment, and when the fault begins in the fragment before.
        refused(&open_frame(OpCode::Text, &payload), 6 + shown, ProtocolError::InvalidUtf8);
        let (front, back) = bad.split_at(bad.len() - 1);
        let input = [open_frame(OpCode::Text, front), frame(OpCode::Continuation, back)].concat();
        refused(&input, 6 + front.len() + 6 + 1, ProtocolError::InvalidUtf8);
    }
}

#[test]
fn a_character_cut_off_by_the_end_of_its_message_is_refused() {
    for cut in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x98"] {
        refused(&frame(OpCode::Text, cut), 6 + cut.len(), ProtocolError::InvalidUtf8);
        let input = [open_frame(OpCode::Text, cut), frame(OpCode::Continuation, b"")].concat();
        refused(&input, 6 + cut.len() + 6, ProtocolError::InvalidUtf8);
    }
}

#[test]
fn characters_may_be_cut_by_fragments_anywhere() {
    let payload = "κόσμε 😀".as_bytes();
    for size in 1..payload.len() {
        assert_eq!(whole(&fragments(OpCode::Text, payload, size)), [text("κόσμε 😀")], "{size}");
    }
}

#[test]
fn binary_may_be_anything() {
    assert_eq!(whole(&frame(OpCode::Binary, b"\xFF\xC0\x80")), [binary(b"\xFF\xC0\x80")]);
}

#[test]
fn every_close_code_class_is_judged() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], b"bye"].concat();
        assert_eq!(whole(&frame(OpCode::Close, &payload)), [Event::Close(Some(CloseFrame::new(code, "bye")))]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let error = ProtocolError::InvalidCloseCode(CloseCode::from(code));
        refused(&frame(OpCode::Close, &u16::to_be_bytes(code)), 8, error);
        assert_eq!(error.close_code(), CloseCode::PROTOCOL_ERROR);
    }
}

#[test]
fn close_payloads_are_empty_or_a_code_and_text() {
    assert_eq!(whole(&frame(OpCode::Close, b"")), [Event::Close(None)]);
    refused(&frame(OpCode::Close, b"\x03"), 7, ProtocolError::TruncatedCloseCode);
    refused(&frame(OpCode::Close, b"\x03\xE8\xFF"), 9, ProtocolError::InvalidCloseReason);
    let longest = [&[0x03, 0xE8][..], &[b'a'; 123]].concat();
    assert!(
        matches!(&whole(&frame(OpCode::Close, &longest))[..], [Event::Close(Some(close))] if close.reason.len() == 123)
    );
}

#[test]
fn nothing_after_a_close_is_looked_at() {
    let input =
        [frame(OpCode::Close, b""), frame(OpCode::Close, b""), vec![0xFF; 100], frame(OpCode::Text, b"a")].concat();
    assert_eq!(whole(&input), [Event::Close(None)]);

    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::from(&[open_frame(OpCode::Text, b"a"), input].concat()[..]);
    assert_eq!(receiver.receive(&mut buffer), Ok(Received::Close(None)));
    assert!(buffer.is_empty() && receiver.held() == 0);
    buffer.extend_from_slice(&[0xFF; 10]);
    assert!(matches!(receiver.receive(&mut buffer), Ok(Received::Incomplete { .. })));
    assert!(buffer.is_empty());
}

#[test]
fn an_error_is_final_and_frees_what_was_held() {
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::from(&[open_frame(OpCode::Text, b"abc"), vec![0xFF]].concat()[..]);
    assert_eq!(receiver.receive(&mut buffer), Err(ProtocolError::ReservedBits));
    assert!(buffer.is_empty() && receiver.held() == 0);
    buffer.extend_from_slice(&frame(OpCode::Text, b"good"));
    assert_eq!(receiver.receive(&mut buffer), Err(ProtocolError::ReservedBits));
    assert!(buffer.is_empty());
}

#[test]
fn messages_before_a_fault_still_arrive() {
    let input = [frame(OpCode::Text, b"good"), vec![0xFF]].concat();
    assert_eq!(whole(&input), [text("good"), Event::Error(ProtocolError::ReservedBits)]);
}

#[test]
fn a_message_that_is_not_taken_is_skipped() {
    for first in [frame(OpCode::Text, b"skipped"), fragments(OpCode::Text, b"skipped", 3)] {
        let mut receiver = Receiver::server(Limits::default());
        let mut buffer = BytesMut::from(&[first, frame(OpCode::Text, b"taken")].concat()[..]);
        let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("a message") };
        assert_eq!(receiver.peek(found, &mut buffer), b"skipped");
        let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("another") };
        assert_eq!(receiver.take(found, &mut buffer), Message::from("taken"));
        assert!(buffer.is_empty());
    }
}

#[test]
#[should_panic(expected = "take() needs the message that the last receive() found")]
fn a_message_cannot_be_taken_twice() {
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::from(&frame(OpCode::Text, b"once")[..]);
    let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("a message") };
    receiver.take(found, &mut buffer);
    receiver.take(found, &mut buffer);
}

#[test]
fn short_payloads_are_copied_and_long_ones_shared() {
    for (len, is_shared) in [(SHARE_FROM - 1, false), (SHARE_FROM, true)] {
        let mut receiver = Receiver::server(Limits::default());
        let mut buffer = BytesMut::from(&frame(OpCode::Binary, &vec![7; len])[..]);
        let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("a message") };
        let there = receiver.peek(found, &mut buffer).as_ptr();
        let message = receiver.take(found, &mut buffer);
        assert_eq!(message.as_bytes().as_ptr() == there, is_shared);
    }
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::from(&fragments(OpCode::Binary, b"assembled", 2)[..]);
    let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("a message") };
    let there = receiver.peek(found, &mut buffer).as_ptr();
    assert_eq!(receiver.take(found, &mut buffer).as_bytes().as_ptr(), there);
    assert_eq!(receiver.held(), 0);
}

#[test]
fn it_knows_when_the_stream_ends_in_the_middle() {
    for (input, is_mid_message) in [
        (frame(OpCode::Text, b"a"), false),
        (open_frame(OpCode::Text, b"a"), true),
        (frame(OpCode::Text, b"abc")[..7].to_vec(), true),
        (fragments(OpCode::Text, b"abcd", 2), false),
    ] {
        let mut receiver = Receiver::server(Limits::default());
        let mut buffer = BytesMut::from(&input[..]);
        assert!(!receiver.is_mid_message());
        while !matches!(receiver.receive(&mut buffer), Ok(Received::Incomplete { .. })) {}
        assert_eq!(receiver.is_mid_message(), is_mid_message, "{input:x?}");
    }
}

#[test]
fn what_is_needed_is_told_exactly_once_the_header_is_there() {
    let input = frame(OpCode::Binary, &[0; 1000]);
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::new();
    for (arrived, needed) in [(0, 6), (1, 6), (2, 8), (4, 1008), (8, 1008), (500, 1008), (1007, 1008)] {
        buffer.extend_from_slice(&input[buffer.len()..arrived]);
        assert_eq!(receiver.receive(&mut buffer), Ok(Received::Incomplete { needed }), "{arrived}");
    }
}

#[test]
fn an_idle_receiver_is_small_and_answers_travel_in_few_words() {
    assert!(size_of::<Receiver>() <= 128, "{}", size_of::<Receiver>());
    assert!(size_of::<Result<Received, ProtocolError>>() <= 48, "{}", size_of::<Result<Received, ProtocolError>>());
}
