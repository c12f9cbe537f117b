//! Messages become frames.

use bytes::{Bytes, BytesMut};

use crate::frame::{Header, MAX_CONTROL, OpCode};
use crate::{CloseFrame, Message};

/// Where encoded bytes go: a buffer, a write queue, whatever the caller has.
///
/// A frame is offered as a short slice with the header, followed by its payload.
pub trait Output {
    /// Appends a copy of these bytes.
    fn put_slice(&mut self, bytes: &[u8]);

    /// Appends these bytes. A queue may keep the shared buffer instead of copying, which pays from some kilobytes on.
    fn put_bytes(&mut self, bytes: Bytes) {
        self.put_slice(&bytes);
    }
}

impl Output for BytesMut {
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Output for Vec<u8> {
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<O: Output + ?Sized> Output for &mut O {
    fn put_slice(&mut self, bytes: &[u8]) {
        (**self).put_slice(bytes);
    }

    fn put_bytes(&mut self, bytes: Bytes) {
        (**self).put_bytes(bytes);
    }
}

/// Something the local program tried to send and must not. The connection itself is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A close frame has been sent, and nothing may follow it (RFC 6455 §5.5.1).
    #[error("a close frame has already been sent")]
    Closed,
    /// More than 125 bytes in a ping or pong, or more than 123 in a close reason (RFC 6455 §5.5).
    #[error("a control frame cannot carry more than 125 bytes")]
    ControlTooLong,
    /// A close code that [may not be sent](crate::CloseCode::is_sendable).
    #[error("this close code must not be sent")]
    InvalidCloseCode,
}

/// The sending half: turns messages and control frames into bytes.
///
/// It keeps no buffer. Every call appends one whole frame to the [`Output`] it is given, so frames leave in the order
/// of the calls. After a close frame it refuses everything else.
///
/// ```
/// use wsrv_rfc6455::{Message, Sender};
///
/// let mut out = Vec::new();
/// Sender::server().message(Message::from("Hello"), &mut out)?;
/// assert_eq!(out, b"\x81\x05Hello");
/// # Ok::<(), wsrv_rfc6455::SendError>(())
/// ```
///
/// # Source
///
/// RFC 6455 §5.6 and §6.1. Messages are never fragmented: their length is known, and no rule asks for it.
#[derive(Debug)]
pub struct Sender {
    closed: bool,
}

impl Sender {
    /// The sender of a server, which does not mask.
    pub const fn server() -> Self {
        Self { closed: false }
    }

    /// Sends a message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame.
    #[inline]
    pub fn message(&mut self, message: Message, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.ready()?;
        header_of(&message).encode(out);
        out.put_bytes(message.into_bytes());
        Ok(())
    }

    /// Sends a frame that was encoded before, as in a broadcast.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame.
    #[inline]
    pub fn prepared(&mut self, frame: &PreparedFrame, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.ready()?;
        out.put_bytes(frame.bytes.clone());
        Ok(())
    }

    /// Asks the peer for a sign of life; it answers with the same payload.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] above 125 bytes, [`SendError::Closed`] after a close frame.
    pub fn ping(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(OpCode::Ping, &[], payload, out)
    }

    /// Answers a ping, with its payload. Of several unanswered pings the latest is enough (RFC 6455 §5.5.3).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] above 125 bytes, [`SendError::Closed`] after a close frame.
    pub fn pong(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(OpCode::Pong, &[], payload, out)
    }

    /// Begins or answers the closing handshake. `None` sends a close frame without a code.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent, [`SendError::ControlTooLong`] for a reason
    /// above 123 bytes, which [`CloseFrame::new`] never makes, [`SendError::Closed`] if a close frame went out before.
    /// Nothing is written then.
    pub fn close(&mut self, frame: Option<&CloseFrame>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match frame {
            None => self.control(OpCode::Close, &[], &[], out)?,
            Some(frame) if !frame.code.is_sendable() => {
                self.ready()?;
                return Err(SendError::InvalidCloseCode);
            }
            Some(CloseFrame { code, reason }) => {
                self.control(OpCode::Close, &code.as_u16().to_be_bytes(), reason.as_bytes(), out)?;
            }
        }
        self.closed = true;
        Ok(())
    }

    /// Whether a close frame went out, so that nothing can follow.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    fn control(
        &mut self,
        opcode: OpCode,
        front: &[u8],
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        self.ready()?;
        let len = front.len() + payload.len();
        if len > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        Header::whole(opcode, len as u64).encode(out);
        out.put_slice(front);
        out.put_slice(payload);
        Ok(())
    }

    #[inline]
    fn ready(&self) -> Result<(), SendError> {
        if self.closed { Err(SendError::Closed) } else { Ok(()) }
    }
}

/// A message encoded once, to be sent to many peers.
///
/// A server's frame is the same for everybody, so a broadcast shares one buffer: a clone copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFrame {
    bytes: Bytes,
}

impl PreparedFrame {
    /// Encodes the message, copying its payload once.
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let (header, len) = header_of(&message).to_array();
        let mut bytes = Vec::with_capacity(len + message.len());
        bytes.extend_from_slice(&header[..len]);
        bytes.extend_from_slice(message.as_bytes());
        Self { bytes: bytes.into() }
    }

    /// The whole frame, header and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole frame, header and payload, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl From<Message> for PreparedFrame {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}

#[inline]
fn header_of(message: &Message) -> Header {
    let opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
    Header::whole(opcode, message.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CloseCode;

    fn sent(send: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>) -> Result<Vec<u8>, SendError> {
        let mut out = Vec::new();
        send(&mut Sender::server(), &mut out).map(|()| out)
    }

    #[test]
    fn the_sample_frames_of_the_rfc_are_sent() {
        // RFC 6455 §5.7, those that come from a server.
        assert_eq!(sent(|sender, out| sender.message("Hello".into(), out)).unwrap(), b"\x81\x05Hello");
        assert_eq!(sent(|sender, out| sender.ping(b"Hello", out)).unwrap(), b"\x89\x05Hello");
        let (short, long) = (vec![7; 256], vec![7; 65_536]);
        let frame = sent(|sender, out| sender.message(short.clone().into(), out)).unwrap();
        assert_eq!(frame, [&b"\x82\x7E\x01\x00"[..], &short].concat());
        let frame = sent(|sender, out| sender.message(long.clone().into(), out)).unwrap();
        assert_eq!(frame, [&b"\x82\x7F\0\0\0\0\0\x01\0\0"[..], &long].concat());
    }

    #[test]
    fn nothing_follows_a_close() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        assert!(!sender.is_closed());
        sender.close(Some(&CloseFrame::new(CloseCode::NORMAL, "done")), &mut out).unwrap();
        assert!(sender.is_closed());
        assert_eq!(out, b"\x88\x06\x03\xE8done");
        assert_eq!(sender.message("a".into(), &mut out), Err(SendError::Closed));
        assert_eq!(sender.prepared(&PreparedFrame::new("a"), &mut out), Err(SendError::Closed));
        assert_eq!(sender.ping(b"", &mut out), Err(SendError::Closed));
        assert_eq!(sender.pong(b"", &mut out), Err(SendError::Closed));
        assert_eq!(sender.close(None, &mut out), Err(SendError::Closed));
        assert_eq!(out.len(), 8);
    }

    #[test]
    fn a_close_without_a_code_is_empty_and_never_status_zero() {
        assert_eq!(sent(|sender, out| sender.close(None, out)).unwrap(), b"\x88\x00");
        for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
            let frame = CloseFrame::from(CloseCode::from(code));
            let result = sent(|sender, out| sender.close(Some(&frame), out));
            assert_eq!(result, Err(SendError::InvalidCloseCode), "{code}");
        }
    }

    #[test]
    fn a_refused_close_writes_nothing_and_can_be_tried_again() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        let too_long = CloseFrame { code: CloseCode::NORMAL, reason: "a".repeat(124).into() };
        assert_eq!(sender.close(Some(&too_long), &mut out), Err(SendError::ControlTooLong));
        assert!(out.is_empty() && !sender.is_closed());
        sender.close(Some(&CloseFrame::new(too_long.code, too_long.reason)), &mut out).unwrap();
        assert_eq!(out.len(), 127);
    }

    #[test]
    fn control_payloads_have_at_most_125_bytes() {
        assert_eq!(sent(|sender, out| sender.pong(&[b'a'; 125], out)).unwrap().len(), 127);
        assert_eq!(sent(|sender, out| sender.ping(&[b'a'; 126], out)), Err(SendError::ControlTooLong));
    }

    #[test]
    fn payloads_are_offered_to_the_output_as_shared_bytes() {
        #[derive(Default)]
        struct Queue(Vec<Bytes>);
        impl Output for Queue {
            fn put_slice(&mut self, bytes: &[u8]) {
                self.0.push(Bytes::copy_from_slice(bytes));
            }
            fn put_bytes(&mut self, bytes: Bytes) {
                self.0.push(bytes);
            }
        }
        let payload = Bytes::from(vec![7; 10_000]);
        let mut queue = Queue::default();
        Sender::server().message(payload.clone().into(), &mut queue).unwrap();
        assert_eq!(queue.0[1].as_ptr(), payload.as_ptr());

        let frame = PreparedFrame::new("to everybody");
        Sender::server().prepared(&frame, &mut queue).unwrap();
        assert_eq!(queue.0[2].as_ptr(), frame.as_bytes().as_ptr());
    }
}
