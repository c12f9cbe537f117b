//! Frames after the upgrade: those of a client at a server, and those of a server at a client.

use bytes::BytesMut;
use wsrv_rfc6455::frame::{Header, MAX_CONTROL, MAX_HEADER, OpCode};
use wsrv_rfc6455::{CloseCode, CloseFrame, Limits, Message, PreparedFrame, ProtocolError, Received, Receiver};
use wsrv_rfc6455::{SendError, Sender};

use super::reads::Reads;

/// A stream of frames means the same however it is cut into reads, and never makes a server hold more than its limits
/// allow.
///
/// - The events, messages and the error do not depend on the reads, nor on whether messages are taken or skipped.
/// - They are those that a slow and simple reading of RFC 6455 finds. A frame without a mask is refused by its second
///   byte, with close code 1002.
/// - Neither the receiver nor the read buffer holds more than the limits, or a small multiple of what has arrived.
/// - Text is UTF-8. What arrived can be sent, whole, in fragments, prepared or in parts, and a client gets the same.
/// - Every close and every error can be answered with a close frame, and nothing follows that.
/// - After an error the same error follows, after a close nothing.
pub fn message_stream(data: &[u8]) {
    stream(Role::Server, data);
}

/// What holds for a server's stream holds for a client's, with the roles exchanged: a frame *with* a mask is refused,
/// and all that is sent is masked.
pub fn client_stream(data: &[u8]) {
    stream(Role::Client, data);
}

/// Whose end it is.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Server,
    Client,
}

impl Role {
    fn peer(self) -> Self {
        if self == Self::Server { Self::Client } else { Self::Server }
    }

    fn receiver(self, limits: Limits) -> Receiver {
        if self == Self::Server { Receiver::server(limits) } else { Receiver::client(limits) }
    }

    fn sender(self) -> Sender {
        if self == Self::Server { Sender::server() } else { Sender::client() }
    }

    /// Whether what this role sends is masked.
    fn masks(self) -> bool {
        self == Self::Client
    }
}

fn stream(role: Role, data: &[u8]) {
    let Some(reads) = Reads::parse(data) else { return };
    let limits = limits(reads.limits);
    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let events = receive(role, limits, &at_once, true);
    assert_eq!(events, receive(role, limits, &as_asked, false), "the reads make a difference");
    assert_eq!(events, receive(role, limits, &byte_by_byte, true), "reading byte by byte makes a difference");

    let slow = by_the_rfc(role, limits, reads.stream);
    let (good, error) = match events.split_last() {
        Some((Event::Error(error), good)) => (good, Some(*error)),
        _ => (&events[..], None),
    };
    assert_eq!(good, slow.events, "the receiver and the slow reading differ");
    assert!(error.is_some() || !slow.is_broken, "a broken rule goes unnoticed");
    if let [_, second, ..] = slow.rest
        && (second & 0x80 != 0) != role.peer().masks()
    {
        check_mask_error(role, error.expect("a frame with the wrong mask bit is taken"));
    }
    for way in [Way::Message, Way::Prepared, Way::Parts] {
        send(role, &events, limits.max_frame, way);
    }
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

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Error(ProtocolError),
}

/// All that the role's receiver says about a stream that arrives in these pieces.
fn receive(role: Role, limits: Limits, pieces: &[&[u8]], take: bool) -> Vec<Event> {
    let largest_frame = limits.max_frame.min(limits.max_message).max(MAX_CONTROL).saturating_add(MAX_HEADER);
    let mut receiver = role.receiver(limits);
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
                    assert!(found.len() <= limits.max_message);
                    // A look unmasks the payload in place; without one, it is unmasked when it is taken.
                    let looks = !take || events.len() % 2 == 1;
                    let peeked = looks.then(|| receiver.peek(found, &mut buffer).to_vec());
                    let taken = take.then(|| receiver.take(found, &mut buffer));
                    if let Some(message) = &taken {
                        assert!(peeked.as_ref().is_none_or(|peeked| peeked == message.as_bytes()));
                        assert_eq!(message.is_text(), found.is_text());
                        assert_eq!(receiver.held(), 0, "what was taken is not held");
                    }
                    let payload =
                        peeked.or_else(|| taken.map(|message| message.as_bytes().to_vec())).unwrap_or_default();
                    assert_eq!(payload.len(), found.len());
                    if found.is_text() { Event::Text(payload) } else { Event::Binary(payload) }
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

/// What a slow and simple reading finds.
struct Slow<'a> {
    events: Vec<Event>,
    /// Whether the frame at which it ended breaks a rule. One that is not whole may do so unnoticed.
    is_broken: bool,
    /// The stream from that frame on; nothing after a close.
    rest: &'a [u8],
}

/// What a stream says, frame by frame, up to its end or the first frame that is not whole or breaks a rule.
fn by_the_rfc(role: Role, limits: Limits, stream: &[u8]) -> Slow<'_> {
    let mut slow = Slow { events: Vec::new(), is_broken: false, rest: stream };
    let mut open: Option<(bool, Vec<u8>, u32)> = None;
    loop {
        let (header, size) = match Header::parse(slow.rest) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return slow,
            Err(_) => return Slow { is_broken: true, ..slow },
        };
        let mut again = Vec::new();
        header.encode(&mut again);
        if again != slow.rest[..size] {
            return Slow { is_broken: true, ..slow };
        }
        let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let Some((payload, later)) = slow.rest[size..].split_at_checked(len) else { return slow };
        if header.mask.is_some() != role.peer().masks() || header.reserved != 0 {
            return Slow { is_broken: true, ..slow };
        }
        let key = header.mask.unwrap_or_default();
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        match header.opcode {
            OpCode::Ping => slow.events.push(Event::Ping(payload)),
            OpCode::Pong => slow.events.push(Event::Pong(payload)),
            OpCode::Close => {
                let close = match payload[..] {
                    [] => Some(None),
                    [high, low, ref reason @ ..] => close(u16::from_be_bytes([high, low]), reason).map(Some),
                    _ => None,
                };
                let Some(close) = close else { return Slow { is_broken: true, ..slow } };
                slow.events.push(Event::Close(close));
                return Slow { rest: &[], ..slow };
            }
            opcode => {
                if (opcode == OpCode::Continuation) != open.is_some() {
                    return Slow { is_broken: true, ..slow };
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
                    return Slow { is_broken: true, ..slow };
                }
                if let Some((text, message, _)) = open.take_if(|_| header.fin) {
                    slow.events.push(if text { Event::Text(message) } else { Event::Binary(message) });
                }
            }
        }
        slow.rest = later;
    }
}

/// RFC 6455 §7.4, and what was registered since.
fn close(code: u16, reason: &[u8]) -> Option<CloseFrame> {
    let is_known = (1000..5000).contains(&code) && !matches!(code, 1004..=1006 | 1015..=2999);
    let reason = std::str::from_utf8(reason).ok()?;
    is_known.then(|| CloseFrame { code: code.into(), reason: reason.into() })
}

/// Why a frame with the wrong mask bit is refused: because of that, or because of its first byte.
fn check_mask_error(role: Role, error: ProtocolError) {
    match error {
        ProtocolError::MissingMask => assert!(role == Role::Server),
        ProtocolError::UnexpectedMask => assert!(role == Role::Client),
        // The one fault of a first byte that has a code of its own.
        ProtocolError::TooManyFragments => return,
        ProtocolError::ReservedBits
        | ProtocolError::ReservedOpCode(_)
        | ProtocolError::FragmentedControl
        | ProtocolError::UnexpectedContinuation
        | ProtocolError::ExpectedContinuation => {}
        other => panic!("{other:?} is found in a frame with the wrong mask bit"),
    }
    assert_eq!(error.close_code(), CloseCode::PROTOCOL_ERROR);
}

/// How messages are sent.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Message,
    Prepared,
    Parts,
}

/// Sends all that arrived, and a close that answers an error, in frames that are no longer than `max_frame`. The peer
/// gets the same.
fn send(role: Role, events: &[Event], max_frame: usize, way: Way) {
    let (mut sender, mut out) = (role.sender().with_max_frame(max_frame), BytesMut::new());
    let mut expected = Vec::new();
    for event in events {
        let sent = match event {
            Event::Text(payload) | Event::Binary(payload) if way == Way::Parts => {
                send_parts(&mut sender, matches!(event, Event::Text(_)), payload, &mut out);
                expected.push(Event::Ping(b"between".to_vec()));
                Ok(())
            }
            Event::Text(payload) | Event::Binary(payload) => {
                let message = match std::str::from_utf8(payload) {
                    Ok(text) if matches!(event, Event::Text(_)) => Message::from(text),
                    _ => Message::from(payload.clone()),
                };
                assert_eq!(message.is_text(), matches!(event, Event::Text(_)), "text is UTF-8");
                match way {
                    Way::Prepared => sender.prepared(&PreparedFrame::new(message), &mut out),
                    _ => sender.message(message, &mut out),
                }
            }
            Event::Ping(payload) => sender.ping(payload, &mut out),
            Event::Pong(payload) => sender.pong(payload, &mut out),
            Event::Close(close) => sender.close(close.as_ref(), &mut out),
            Event::Error(error) => {
                let answer = CloseFrame::new(error.close_code(), error.to_string());
                sender.close(Some(&answer), &mut out).expect("an error can be answered");
                expected.push(Event::Close(Some(answer)));
                break;
            }
        };
        sent.expect("what arrived can be sent");
        expected.push(event.clone());
    }
    if matches!(expected.last(), Some(Event::Close(_))) {
        let len = out.len();
        assert_eq!(sender.message("late".into(), &mut out), Err(SendError::Closed));
        assert_eq!(sender.ping(b"", &mut out), Err(SendError::Closed));
        assert_eq!(out.len(), len, "nothing but pongs follows a close");
    }
    check_frames(role, &out, if way == Way::Prepared && role == Role::Server { usize::MAX } else { max_frame.max(1) });
    let pieces: Vec<&[u8]> = out.chunks(5).collect();
    assert_eq!(receive(role.peer(), limits(7), &pieces, true), expected, "it does not arrive as it was sent");
}

/// Sends a message in parts that may cut characters, with a ping before its end.
fn send_parts(sender: &mut Sender, text: bool, payload: &[u8], out: &mut BytesMut) {
    let begun = if text { sender.begin_text() } else { sender.begin_binary() };
    let mut message = begun.expect("what arrived can be sent");
    for part in payload.chunks(7) {
        message.part(part, out).expect("what arrived can be sent in parts");
    }
    message.ping(b"between", out).expect("a ping may come between");
    message.finish(b"", out).expect("what arrived is whole");
}

/// The frames are whole, masked by a client and by nobody else, and none is longer than it may be.
fn check_frames(role: Role, mut bytes: &[u8], max_frame: usize) {
    while !bytes.is_empty() {
        let (header, size) = Header::parse(bytes).expect("a good frame").expect("a whole frame");
        assert!(header.reserved == 0 && header.mask.is_some() == role.masks());
        let len = usize::try_from(header.payload_len).expect("it is in memory");
        assert!(header.opcode.is_control() || len <= max_frame, "a frame of {len} bytes");
        bytes = bytes.get(size + len..).expect("a whole frame");
    }
}
