//! Frames from a client, after the upgrade.

use bytes::BytesMut;
use wsrv_rfc6455::frame::{Header, MAX_CONTROL, MAX_HEADER, OpCode};
use wsrv_rfc6455::{CloseFrame, Limits, Message, ProtocolError, Received, Receiver, Sender, mask};

use super::reads::Reads;

/// A stream of frames means the same however it is cut into reads, and never makes a server hold more than its limits
/// allow.
///
/// - The events, messages and the error do not depend on the reads, nor on whether messages are taken or skipped.
/// - They are those that a slow and simple reading of RFC 6455 finds.
/// - Neither the receiver nor the read buffer holds more than the limits, or a small multiple of what has arrived.
/// - Text is UTF-8. What arrived can be sent, and arrives again as the same.
/// - Every close and every error can be answered with a close frame.
/// - After an error the same error follows, after a close nothing.
pub fn message_stream(data: &[u8]) {
    let Some(reads) = Reads::parse(data) else { return };
    let limits = limits(reads.limits);
    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let events = receive(limits, &at_once, true);
    assert_eq!(events, receive(limits, &as_asked, false), "the reads make a difference");
    assert_eq!(events, receive(limits, &byte_by_byte, true), "reading byte by byte makes a difference");
    let (expected, is_broken) = by_the_rfc(limits, reads.stream);
    let (good, is_refused) = match events.split_last() {
        Some((Event::Error(_), good)) => (good, true),
        _ => (&events[..], false),
    };
    assert_eq!(good, expected, "the receiver and the slow reading differ");
    assert!(is_refused || !is_broken, "a broken rule goes unnoticed");
    events.iter().for_each(check);
}

/// The defaults, and limits so small that short inputs meet them.
fn limits(choice: usize) -> Limits {
    let default = Limits::default();
    let small = |message, frame, fragments| {
        default.with_max_message(message).with_max_frame(frame).with_max_fragments(fragments)
    };
    match choice % 8 {
        0 => default,
        1 => small(300, 200, 4),
        2 => small(200, 300, 3),
        3 => small(64, 64, 2),
        4 => small(5, 5, 100),
        5 => small(0, 0, 1),
        6 => small(100, 100, 0),
        _ => small(usize::MAX, usize::MAX, u32::MAX),
    }
}

#[derive(Debug, PartialEq)]
enum Event {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Error(ProtocolError),
}

/// All that a receiver says about a stream that arrives in these pieces.
fn receive(limits: Limits, pieces: &[&[u8]], take: bool) -> Vec<Event> {
    let largest_frame = limits.max_frame.min(limits.max_message).max(MAX_CONTROL).saturating_add(MAX_HEADER);
    let mut receiver = Receiver::server(limits);
    let (mut buffer, mut arrived) = (BytesMut::new(), 0);
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            let received = receiver.receive(&mut buffer);
            let held = receiver.held();
            assert!(held <= limits.max_message, "{held} bytes are held");
            assert!(held <= 64.max(2 * arrived), "{held} bytes are held when {arrived} have arrived");
            let is_closed = matches!(events.last(), Some(Event::Close(_)));
            events.push(match received {
                Ok(Received::Incomplete { needed }) => {
                    assert!(buffer.len() < needed, "{needed} are needed and {} are there", buffer.len());
                    assert!(needed <= largest_frame, "{needed} are needed for a frame of {largest_frame} at most");
                    break;
                }
                event if is_closed => panic!("{event:?} after a close"),
                Ok(Received::Message(found)) => {
                    let peeked = receiver.peek(found, &buffer).to_vec();
                    assert!(peeked.len() == found.len() && found.len() <= limits.max_message);
                    if take {
                        let message = receiver.take(found, &mut buffer);
                        assert!(message.as_bytes() == peeked && message.is_text() == found.is_text());
                        assert_eq!(receiver.held(), 0, "what was taken is not held");
                    }
                    if found.is_text() { Event::Text(peeked) } else { Event::Binary(peeked) }
                }
                Ok(Received::Ping(payload)) => Event::Ping(payload.to_vec()),
                Ok(Received::Pong(payload)) => Event::Pong(payload.to_vec()),
                Ok(Received::Close(close)) => {
                    assert!(buffer.is_empty() && !receiver.is_mid_message());
                    Event::Close(close)
                }
                Err(error) => {
                    buffer.extend_from_slice(b"\x89\x80\0\0\0\0");
                    assert_eq!(receiver.receive(&mut buffer), Err(error), "an error stays");
                    assert!(buffer.is_empty() && receiver.held() == 0, "an error holds nothing");
                    events.push(Event::Error(error));
                    return events;
                }
            });
        }
    }
    events
}

/// What a stream says, frame by frame, up to its end or the first frame that is not whole. If one breaks a rule, up to
/// there, and `true`; one that is not whole may already break a rule.
fn by_the_rfc(limits: Limits, mut rest: &[u8]) -> (Vec<Event>, bool) {
    let mut events = Vec::new();
    let mut open: Option<(bool, Vec<u8>, u32)> = None;
    loop {
        let (header, size) = match Header::parse(rest) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return (events, false),
            Err(_) => return (events, true),
        };
        let mut again = Vec::new();
        header.encode(&mut again);
        if again != rest[..size] {
            return (events, true);
        }
        let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let Some((payload, later)) = rest[size..].split_at_checked(len) else { return (events, false) };
        rest = later;
        let Some(key) = header.mask.filter(|_| header.reserved == 0) else { return (events, true) };
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        match header.opcode {
            OpCode::Ping => events.push(Event::Ping(payload)),
            OpCode::Pong => events.push(Event::Pong(payload)),
            OpCode::Close => {
                let close = match payload[..] {
                    [] => Some(None),
                    [high, low, ref reason @ ..] => close(u16::from_be_bytes([high, low]), reason).map(Some),
                    _ => None,
                };
                let is_broken = close.is_none();
                events.extend(close.map(Event::Close));
                return (events, is_broken);
            }
            opcode => {
                if (opcode == OpCode::Continuation) != open.is_some() {
                    return (events, true);
                }
                let (text, message, count) = open.get_or_insert_with(|| (opcode == OpCode::Text, Vec::new(), 0));
                message.extend(&payload);
                *count += 1;
                let is_fragmented = *count > 1 || !header.fin;
                let is_good = match std::str::from_utf8(message) {
                    Err(fault) if *text => !header.fin && fault.error_len().is_none(),
                    _ => true,
                };
                let is_over = payload.len() > limits.max_frame
                    || message.len() > limits.max_message
                    || (is_fragmented && *count > limits.max_fragments);
                if is_over || !is_good {
                    return (events, true);
                }
                if let Some((text, message, _)) = open.take_if(|_| header.fin) {
                    events.push(if text { Event::Text(message) } else { Event::Binary(message) });
                }
            }
        }
    }
}

/// RFC 6455 §7.4, and what was registered since.
fn close(code: u16, reason: &[u8]) -> Option<CloseFrame> {
    let is_known = (1000..5000).contains(&code) && !matches!(code, 1004..=1006 | 1015..=2999);
    let reason = std::str::from_utf8(reason).ok()?;
    is_known.then(|| CloseFrame { code: code.into(), reason: reason.into() })
}

/// What holds for one event by itself.
fn check(event: &Event) {
    let (mut sender, mut out) = (Sender::server(), BytesMut::new());
    let sent = match event {
        Event::Text(payload) => {
            let text = std::str::from_utf8(payload).expect("text is UTF-8");
            sender.message(Message::from(text), &mut out)
        }
        Event::Binary(payload) => sender.message(Message::from(payload.clone()), &mut out),
        Event::Ping(payload) => sender.ping(payload, &mut out),
        Event::Pong(payload) => sender.pong(payload, &mut out),
        Event::Close(close) => sender.close(close.as_ref(), &mut out),
        Event::Error(error) => {
            let answer = CloseFrame::new(error.close_code(), error.to_string());
            sender.close(Some(&answer), &mut out).expect("an error can be answered");
            assert_eq!(back(&mut out), [Event::Close(Some(answer))]);
            return;
        }
    };
    sent.expect("what arrived can be sent");
    assert!(back(&mut out).iter().eq([event]), "{event:?} does not arrive as it was sent");
}

/// What a server makes of a server's frame, once it is masked.
fn back(frame: &mut BytesMut) -> Vec<Event> {
    let (header, size) = Header::parse(frame).expect("a good frame").expect("a whole frame");
    assert!(header.fin && header.reserved == 0 && header.mask.is_none());
    assert!(header.opcode != OpCode::Continuation);
    let mut payload = frame.split_off(size);
    assert_eq!(header.payload_len, payload.len() as u64);
    let key = [0x37, 0xFA, 0x21, 0x3D];
    mask::apply(&mut payload, key, 0);
    let mut masked = BytesMut::new();
    Header { mask: Some(key), ..header }.encode(&mut masked);
    masked.unsplit(payload);
    receive(limits(7), &[&masked], true)
}
