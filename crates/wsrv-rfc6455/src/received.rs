//! What a receiver answers.

use std::{fmt, ops};

use bytes::Bytes;

use crate::{CloseFrame, Message, Text};

/// What the bytes so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// Nothing whole: read more and call again.
    Incomplete {
        /// How many bytes the buffer must hold in all before a whole frame can be there. Use it to choose how much to
        /// read at once, within reason, as it is what the peer says. Do not wait for it: calling after every read
        /// finds faults early, and the payload of a fragment leaves the buffer as it comes.
        needed: usize,
    },
    /// A whole message; [`take`](crate::Receiver::take) or [`peek`](crate::Receiver::peek) at it before the next call.
    Message(Found),
    /// A ping; answer it with a pong of the same payload.
    Ping(ControlPayload),
    /// A pong, asked for or not.
    Pong(ControlPayload),
    /// The peer closes, `None` without giving a code. Whatever follows is ignored.
    Close(Option<CloseFrame>),
}

/// Where a whole message lies: still in the read buffer or, if it came in fragments, in the receiver.
///
/// A few plain numbers, to be handed back to [`take`](crate::Receiver::take) or [`peek`](crate::Receiver::peek).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Bytes before the payload, or [`Found::ASSEMBLED`], times two; one more for text. A value of two words travels in
    /// registers; one of three goes through memory at every step.
    place: usize,
    len: usize,
}

impl Found {
    /// No payload in the buffer begins at its first byte, since there is a header.
    pub(crate) const ASSEMBLED: usize = 0;

    #[inline]
    pub(crate) fn new(text: bool, offset: usize, len: usize) -> Self {
        Self { place: offset * 2 + usize::from(text), len }
    }

    /// Length of the payload in bytes.
    #[inline]
    pub const fn len(self) -> usize {
        self.len
    }

    /// Whether the message has no bytes.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Whether it is a text message, else binary.
    #[inline]
    pub const fn is_text(self) -> bool {
        self.place % 2 == 1
    }

    #[inline]
    pub(crate) const fn offset(self) -> usize {
        self.place / 2
    }

    /// The message with this payload, which was checked.
    #[inline]
    pub(crate) fn message(self, payload: Bytes) -> Message {
        if self.is_text() { Message::Text(Text::from_checked(payload)) } else { Message::Binary(payload) }
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("text", &self.is_text()).field("len", &self.len).finish_non_exhaustive()
    }
}

/// The payload of a ping or pong: at most 125 bytes, often none.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ControlPayload(pub(crate) Bytes);

impl ControlPayload {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes in a buffer of their own.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl ops::Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for ControlPayload {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
