//! What the tests share: frames as a client sends them, and a record of what a receiver makes of them.

#![allow(dead_code, reason = "each test program uses its part of this")]

use bytes::BytesMut;
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{CloseFrame, Limits, Message, ProtocolError, Received, Receiver, mask};

pub(crate) const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A masked frame, `fin` set.
pub(crate) fn frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    with_header(Header { mask: Some(KEY), ..Header::whole(opcode, payload.len() as u64) }, payload)
}

/// A masked frame, `fin` not set.
pub(crate) fn open_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    with_header(Header { fin: false, mask: Some(KEY), ..Header::whole(opcode, payload.len() as u64) }, payload)
}

pub(crate) fn with_header(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    let offset = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = header.mask {
        mask::apply(&mut bytes[offset..], key, 0);
    }
    bytes
}

/// One message in fragments of `size` bytes.
pub(crate) fn fragments(opcode: OpCode, payload: &[u8], size: usize) -> Vec<u8> {
    let mut parts = payload.chunks(size).peekable();
    let mut opcode = opcode;
    let mut bytes = Vec::new();
    while let Some(part) = parts.next() {
        bytes.extend(if parts.peek().is_some() { open_frame(opcode, part) } else { frame(opcode, part) });
        opcode = OpCode::Continuation;
    }
    bytes
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
    Error(ProtocolError),
}

/// Everything a server says about input that arrives in these pieces.
pub(crate) fn events<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    events_at(Receiver::server(limits), limits, pieces)
}

/// Everything this receiver, which has these limits, says about input that arrives in these pieces.
pub(crate) fn events_at<'a>(
    mut receiver: Receiver,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Event> {
    let mut buffer = BytesMut::new();
    let mut events = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let received = receiver.receive(&mut buffer);
            assert!(receiver.held() <= limits.max_message, "the receiver holds {} bytes", receiver.held());
            events.push(match received {
                Ok(Received::Incomplete { needed }) => {
                    assert!(needed > buffer.len(), "{needed} are needed and {} are there", buffer.len());
                    break;
                }
                Ok(Received::Message(found)) => {
                    // A look unmasks the payload in place; without one, it is unmasked when it is taken.
                    let looks = events.len() % 2 == 1;
                    let peeked = looks.then(|| receiver.peek(found, &mut buffer).to_vec());
                    let message = receiver.take(found, &mut buffer);
                    assert!(peeked.is_none_or(|peeked| peeked == message.as_bytes()));
                    assert_eq!((found.is_text(), found.len()), (message.is_text(), message.len()));
                    Event::Message(message)
                }
                Ok(Received::Ping(payload)) => Event::Ping(payload.to_vec()),
                Ok(Received::Pong(payload)) => Event::Pong(payload.to_vec()),
                Ok(Received::Close(close)) => Event::Close(close),
                Err(error) => {
                    assert_eq!(receiver.receive(&mut buffer), Err(error), "an error stays");
                    events.push(Event::Error(error));
                    return events;
                }
            });
        }
    }
    events
}

/// What comes of input that arrives at once.
pub(crate) fn whole(bytes: &[u8]) -> Vec<Event> {
    events(Limits::default(), [bytes])
}

/// How many bytes it takes, one at a time, until a server finds fault.
pub(crate) fn fault(limits: Limits, bytes: &[u8]) -> Option<(usize, ProtocolError)> {
    fault_at(Receiver::server(limits), bytes)
}

/// How many bytes it takes, one at a time, until this receiver finds fault.
pub(crate) fn fault_at(mut receiver: Receiver, bytes: &[u8]) -> Option<(usize, ProtocolError)> {
    let mut buffer = BytesMut::new();
    for (at, &byte) in bytes.iter().enumerate() {
        buffer.extend_from_slice(&[byte]);
        loop {
            match receiver.receive(&mut buffer) {
                Ok(Received::Incomplete { .. }) => break,
                Ok(_) => {}
                Err(error) => return Some((at + 1, error)),
            }
        }
    }
    None
}
