//! A message that is sent before it is whole.

use bytes::Bytes;

use crate::frame::{Header, OpCode};
use crate::{CloseFrame, Output, SendError, Sender, utf8};

/// A message that leaves in parts, begun with [`Sender::begin_text`] or [`Sender::begin_binary`].
///
/// Each part is a fragment of its own and can be written at once, so the message need never be in memory as a whole.
/// Control frames may come between. It borrows the sender, so no other message can begin before
/// [`finish`](Self::finish).
///
/// Dropped after its first part, the message stays unfinished for good, and the sender takes nothing but control
/// frames: [close](Sender::close) then.
///
/// ```
/// use wsrv_rfc6455::Sender;
///
/// let (mut sender, mut out) = (Sender::server(), Vec::new());
/// let mut message = sender.begin_text()?;
/// message.part(b"Hel", &mut out)?;
/// message.ping(b"", &mut out)?;
/// message.finish(b"lo", &mut out)?;
/// assert_eq!(out, b"\x01\x03Hel\x89\x00\x80\x02lo");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
///
/// RFC 6455 §5.4.
#[derive(Debug)]
pub struct Parts<'s> {
    sender: &'s mut Sender,
    /// What the next frame is.
    opcode: OpCode,
    /// The beginning of a character at the end of a text so far; `None` in a binary message.
    text: Option<utf8::Tail>,
}

/// A part of a message that must not be sent. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The sender [is closed](Sender::is_closed).
    #[error("the sender is closed")]
    Closed,
    /// With this part the text is not UTF-8, whatever might follow; or it ends inside a character.
    #[error("the text is not UTF-8")]
    InvalidUtf8,
}

impl From<SendError> for PartError {
    fn from(_: SendError) -> Self {
        // Data frames have no other fault.
        Self::Closed
    }
}

impl Sender {
    /// Begins a text message that is sent in parts. Nothing is written yet.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] as in [`message`](Self::message).
    pub fn begin_text(&mut self) -> Result<Parts<'_>, SendError> {
        self.begin(OpCode::Text, Some(utf8::Tail::default()))
    }

    /// Begins a binary message that is sent in parts. Nothing is written yet.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] as in [`message`](Self::message).
    pub fn begin_binary(&mut self) -> Result<Parts<'_>, SendError> {
        self.begin(OpCode::Binary, None)
    }

    fn begin(&mut self, opcode: OpCode, text: Option<utf8::Tail>) -> Result<Parts<'_>, SendError> {
        self.ready_for_message()?;
        Ok(Parts { sender: self, opcode, text })
    }
}

impl Parts<'_> {
    /// Sends a part. A text may be cut anywhere, also inside a character. An empty part writes nothing.
    ///
    /// # Errors
    ///
    /// [`PartError::InvalidUtf8`], after which another part may be tried, and [`PartError::Closed`].
    pub fn part(&mut self, bytes: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), PartError> {
        let text = self.check(bytes)?;
        if bytes.is_empty() {
            return if self.sender.is_closed() { Err(PartError::Closed) } else { Ok(()) };
        }
        self.send(bytes, false, out)?;
        self.text = text;
        Ok(())
    }

    /// Sends the last part, which may be empty, and so ends the message.
    ///
    /// # Errors
    ///
    /// [`PartError::InvalidUtf8`], also if the text ends inside a character, and [`PartError::Closed`]. The message
    /// stays unfinished then.
    pub fn finish(mut self, bytes: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), PartError> {
        if self.check(bytes)?.is_some_and(|tail| !tail.is_empty()) {
            return Err(PartError::InvalidUtf8);
        }
        self.send(bytes, true, out)
    }

    /// Sends a ping between two parts.
    ///
    /// # Errors
    ///
    /// As [`Sender::ping`].
    pub fn ping(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.sender.ping(payload, out)
    }

    /// Sends a pong between two parts.
    ///
    /// # Errors
    ///
    /// As [`Sender::pong`].
    pub fn pong(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.sender.pong(payload, out)
    }

    /// Gives the message up and begins or answers the closing handshake.
    ///
    /// # Errors
    ///
    /// As [`Sender::close`].
    pub fn close(self, frame: Option<&CloseFrame>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.sender.close(frame, out)
    }

    /// Takes the message off the sender, to [resume](Sender::resume) it later.
    #[cfg(feature = "connection")]
    pub(crate) fn suspend(self) -> Suspended {
        Suspended { opcode: self.opcode, text: self.text }
    }

    /// The text's end with these bytes.
    fn check(&self, bytes: &[u8]) -> Result<Option<utf8::Tail>, PartError> {
        self.text.map(|tail| tail.go_on(bytes)).transpose().map_err(|_| PartError::InvalidUtf8)
    }

    fn send(&mut self, bytes: &[u8], fin: bool, out: &mut (impl Output + ?Sized)) -> Result<(), PartError> {
        if self.sender.is_closed() {
            return Err(PartError::Closed);
        }
        let mut rest = bytes;
        loop {
            let (now, later) = rest.split_at(rest.len().min(self.sender.max_frame()));
            let header = Header { fin: fin && later.is_empty(), ..Header::whole(self.opcode, now.len() as u64) };
            self.sender.frame(header, Payload::Slice(now), out)?;
            self.opcode = OpCode::Continuation;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A message in parts, without the sender it leaves by.
#[cfg(feature = "connection")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspended {
    opcode: OpCode,
    text: Option<utf8::Tail>,
}

#[cfg(feature = "connection")]
impl Suspended {
    /// Whether a part of it has been sent.
    pub(crate) fn has_begun(&self) -> bool {
        self.opcode == OpCode::Continuation
    }
}

#[cfg(feature = "connection")]
impl Sender {
    /// Goes on with a message that was begun with this sender.
    pub(crate) fn resume(&mut self, message: Suspended) -> Parts<'_> {
        Parts { sender: self, opcode: message.opcode, text: message.text }
    }
}

/// What a data frame carries.
pub(crate) enum Payload<'p> {
    Slice(&'p [u8]),
    /// To be shared where that is possible.
    Shared(Bytes),
}

impl Payload<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Slice(bytes) => bytes,
            Payload::Shared(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, PreparedFrame};

    #[test]
    fn parts_are_fragments_of_one_message() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        let mut message = sender.begin_binary().unwrap();
        assert!(message.part(b"", &mut out).is_ok() && out.is_empty());
        message.part(b"\xFF", &mut out).unwrap();
        message.part(b"\xFE", &mut out).unwrap();
        message.finish(b"", &mut out).unwrap();
        assert_eq!(out, b"\x02\x01\xFF\x00\x01\xFE\x80\x00");

        out.clear();
        sender.begin_text().unwrap().finish(b"whole", &mut out).unwrap();
        assert_eq!(out, b"\x81\x05whole");
        sender.message(Message::from("next"), &mut out).unwrap();
    }

    #[test]
    fn parts_longer_than_a_frame_may_be_are_cut() {
        let (mut sender, mut out) = (Sender::server().with_max_frame(2), Vec::new());
        let mut message = sender.begin_text().unwrap();
        message.part(b"Hello", &mut out).unwrap();
        message.finish(b" you", &mut out).unwrap();
        assert_eq!(out, b"\x01\x02He\x00\x02ll\x00\x01o\x00\x02 y\x80\x02ou");
    }

    #[test]
    fn control_frames_come_between_parts() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        let mut message = sender.begin_text().unwrap();
        message.part(b"a", &mut out).unwrap();
        message.ping(b"1", &mut out).unwrap();
        message.pong(b"2", &mut out).unwrap();
        assert_eq!(message.ping(&[0; 126], &mut out), Err(SendError::ControlTooLong));
        message.close(None, &mut out).unwrap();
        assert_eq!(out, b"\x01\x01a\x89\x011\x8A\x012\x88\x00");
        assert_eq!(sender.begin_text().map(drop), Err(SendError::Closed));
    }

    #[test]
    fn text_may_be_cut_inside_characters() {
        let text = "aß€😀 und weiter".repeat(9);
        for size in 1..text.len() {
            let (mut sender, mut out) = (Sender::server(), Vec::new());
            let mut message = sender.begin_text().unwrap();
            let mut parts = text.as_bytes().chunks(size).peekable();
            while let Some(part) = parts.next_if(|part| part.len() == size) {
                message.part(part, &mut out).unwrap();
            }
            message.finish(parts.next().unwrap_or_default(), &mut out).unwrap();
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_and_nothing_of_it_written() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        let mut message = sender.begin_text().unwrap();
        assert_eq!(message.part(b"\xFF", &mut out), Err(PartError::InvalidUtf8));
        assert!(out.is_empty());
        message.part(b"\xE2\x82", &mut out).unwrap();
        assert_eq!(message.part(b"a", &mut out), Err(PartError::InvalidUtf8));
        assert_eq!(message.part(b"\xAC\xFF", &mut out), Err(PartError::InvalidUtf8));
        message.finish(b"\xAC", &mut out).unwrap();
        assert_eq!(out, b"\x01\x02\xE2\x82\x80\x01\xAC");

        let cut = sender.begin_text().unwrap().finish(b"\xE2\x82", &mut out);
        assert_eq!(cut, Err(PartError::InvalidUtf8));
        // Nothing had been sent of that message, so the next may follow.
        sender.message(Message::from("next"), &mut out).unwrap();
    }

    #[test]
    fn after_an_unfinished_message_only_control_frames_may_follow() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        sender.begin_binary().unwrap().part(b"a", &mut out).unwrap();
        let len = out.len();
        assert_eq!(sender.message(Message::from("b"), &mut out), Err(SendError::Closed));
        assert_eq!(sender.prepared(&PreparedFrame::new("b"), &mut out), Err(SendError::Closed));
        assert_eq!(sender.begin_text().map(drop), Err(SendError::Closed));
        assert_eq!(out.len(), len);
        assert!(!sender.is_closed());
        sender.pong(b"", &mut out).unwrap();
        sender.close(None, &mut out).unwrap();
    }
}
