//! A message that is sent before it is whole.

use super::WebSocketConnection;
use crate::CloseCode;
use std::fmt;
use wsrv_core::{Connection, SendError};

/// A message that leaves in parts, begun with [`WebSocketConnection::begin_text`] or
/// [`begin_binary`](WebSocketConnection::begin_binary): it never has to be in memory as a whole.
///
/// Each part is a fragment of its own (RFC 6455 §5.4). Pings and pongs pass between them. Other messages, from whomever,
/// wait from the first part until this message is [finished](Self::finish), in their order and within
/// [`Limits::outbox`](wsrv_core::Limits::outbox); when the connection is closed before that, they are dropped.
///
/// Dropped unfinished, nothing can follow the half message, so the connection is closed with 1011; unless no part was
/// sent, in which case it is as if it had never been.
pub struct MessageWriter {
    conn: WebSocketConnection,
    text: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No part was sent.
    New,
    Begun,
    Finished,
}

impl MessageWriter {
    pub(super) fn new(conn: &WebSocketConnection, text: bool) -> Self {
        MessageWriter { conn: conn.clone(), text, state: State::New }
    }

    /// Sends a part as soon as there is room in the outbox. A text may be cut anywhere, also inside a character. An
    /// empty part sends nothing.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is or gets closed. [`SendError::Invalid`] if the text is not UTF-8 with
    /// this part, or if this is the first part and another message in parts is not finished; nothing of the part was
    /// sent then, and it may be tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing of the part was sent.
    pub async fn part(&mut self, bytes: impl AsRef<[u8]> + Send) -> Result<(), SendError> {
        self.send(bytes.as_ref(), false).await
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
        self.send(bytes.as_ref(), true).await
    }

    async fn send(&mut self, bytes: &[u8], last: bool) -> Result<(), SendError> {
        if bytes.is_empty() && !last {
            return Ok(());
        }
        let (text, begun) = (self.text, self.state == State::Begun);
        self.conn
            .link()
            .send(|sender, out| {
                if !begun {
                    sender.begin(text)?;
                }
                sender.part(bytes, last, out)
            })
            .await?;
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
