//! Pings and pongs, for those who want to see them.

use super::WebSocketConnection;
use crate::ControlPayload;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use wsrv_core::Connection;

/// How many frames are kept for somebody who does not look.
pub(super) const KEPT: usize = 16;

/// A ping or pong of the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlFrame {
    /// It is answered with a pong of the same payload, without anybody's doing.
    Ping(ControlPayload),
    /// Perhaps the answer to a ping of ours.
    Pong(ControlPayload),
}

/// The pings and pongs of one connection as they arrive, from [`WebSocketConnection::control_frames`].
///
/// They come beside the messages, not in one order with them: a message may wait for the handler while pings are
/// answered. The latest 16 are kept; whoever looks too seldom misses the older ones, so that no peer can fill memory
/// with them.
pub struct ControlFrames {
    conn: WebSocketConnection,
    frames: Receiver<ControlFrame>,
}

impl ControlFrames {
    pub(super) fn new(conn: &WebSocketConnection) -> Self {
        ControlFrames { conn: conn.clone(), frames: conn.link().with_sender(|sender| sender.watch()) }
    }

    /// The next ping or pong; `None` when the connection ends, in whichever direction.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no frame is lost.
    pub async fn recv(&mut self) -> Option<ControlFrame> {
        loop {
            let mut next = pin!(self.frames.recv());
            let mut end = pin!(self.conn.closed());
            let next = poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Pending => end.as_mut().poll(cx).map(|()| Err(RecvError::Closed)),
                ready => ready,
            });
            match next.await {
                Ok(frame) => return Some(frame),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(_)) => {}
            }
        }
    }
}

impl fmt::Debug for ControlFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ControlFrames").field(&self.conn).finish()
    }
}
