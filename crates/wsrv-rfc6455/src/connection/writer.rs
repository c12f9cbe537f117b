//! A message that is sent before it is whole.

use super::{WebSocketConnection, WebSocketSender};
use crate::{CloseCode, utf8};
use std::fmt;
use wsrv_core::{Connection, Out, SendError};

/// Parts are collected to frames of this size.
const FRAME: usize = 16 * 1024;

/// A message that leaves in parts, begun with [`WebSocketConnection::begin_text`] or
/// [`begin_binary`](WebSocketConnection::begin_binary): it never has to be in memory as a whole.
///
/// Parts are collected to frames of 16 KiB (many peers allow a message some thousands of frames only, as this crate
/// [does](crate::Limits::max_fragments)); [`flush`](Self::flush) sends what is there. Pings and pongs pass between frames
/// (RFC 6455 §5.4). Other messages, from whomever, wait from the first frame until this message is
/// [finished](Self::finish), in their order and within [`Limits::outbox`](wsrv_core::Limits::outbox); when the connection
/// is closed before that, they are dropped.
///
/// It is never compressed: only a whole message is.
///
/// Dropped unfinished, nothing can follow the half message, so the connection is closed with 1011; unless no frame was
/// sent, in which case it is as if it had never been.
pub struct MessageWriter {
    conn: WebSocketConnection,
    /// Of a text, the beginning of a character at its end.
    text: Option<utf8::Tail>,
    collected: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No frame was sent.
    New,
    Begun,
    Finished,
}

impl MessageWriter {
    pub(super) fn new(conn: &WebSocketConnection, text: bool) -> Self {
        let text = text.then(utf8::Tail::default);
        MessageWriter { conn: conn.clone(), text, collected: Vec::new(), state: State::New }
    }

    /// Adds a part. A text may be cut anywhere, also inside a character. If a frame comes together, it is sent as soon as
    /// there is room in the outbox.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is or gets closed. [`SendError::Invalid`] if the text is not UTF-8 with
    /// this part, or if this would be the first frame and another message in parts is not finished. The part was not
    /// added then, and may be tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the part was not added.
    pub async fn part(&mut self, bytes: impl AsRef<[u8]> + Send) -> Result<(), SendError> {
        let bytes = bytes.as_ref();
        let text = self.check(bytes)?;
        if self.collected.len() + bytes.len() < FRAME {
            self.collected.extend_from_slice(bytes);
        } else {
            self.send(bytes, false).await?;
        }
        self.text = text;
        Ok(())
    }

    /// Sends what was collected, as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`part`](Self::part).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent, and nothing is lost.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        if self.collected.is_empty() { Ok(()) } else { self.send(&[], false).await }
    }

    /// Sends the last part, which may be empty, and so ends the message. Messages that have waited follow it.
    ///
    /// # Errors
    ///
    /// As [`part`](Self::part), and [`SendError::Invalid`] if the text ends inside a character. The message stays
    /// unfinished then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the message stays unfinished.
    pub async fn finish(mut self, bytes: impl AsRef<[u8]> + Send) -> Result<(), SendError> {
        let bytes = bytes.as_ref();
        self.check(bytes)?;
        self.send(bytes, true).await
    }

    /// The text's end with these bytes.
    fn check(&self, bytes: &[u8]) -> Result<Option<utf8::Tail>, SendError> {
        let text = self.text.map(|tail| tail.go_on(bytes)).transpose();
        text.map_err(|_| SendError::Invalid("the text is not UTF-8"))
    }

    /// Sends what was collected and these bytes.
    async fn send(&mut self, bytes: &[u8], last: bool) -> Result<(), SendError> {
        let (text, begun) = (self.text.is_some(), self.state == State::Begun);
        let collected = &mut self.collected;
        let encode = |sender: &mut WebSocketSender, out: &mut Out<'_>| {
            if !begun {
                sender.begin(text)?;
            }
            if bytes.len() < FRAME {
                let before = collected.len();
                collected.extend_from_slice(bytes);
                // What is not sent was not added.
                sender.part(collected, last, out).inspect_err(|_| collected.truncate(before))
            } else {
                if !collected.is_empty() {
                    sender.part(collected, false, out)?;
                    collected.clear();
                }
                sender.part(bytes, last, out)
            }
        };
        match begun {
            false => self.conn.link().send(encode).await?,
            true => self.conn.link().send_part(encode).await?,
        }
        self.collected.clear();
        self.state = if last { State::Finished } else { State::Begun };
        Ok(())
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        if self.state == State::Begun {
            let _ = self.conn.close_with(CloseCode::INTERNAL, "a message was left unfinished");
        }
    }
}

impl fmt::Debug for MessageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageWriter").field(&self.conn).finish()
    }
}
