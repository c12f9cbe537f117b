//! The bounds of one connection.

use crate::{Reason, SlowPeer};
use std::time::Duration;

/// The bounds of one connection. All have finite defaults.
///
/// Message and frame sizes are the wire's business and bounded there.
///
/// ```
/// use wsrv_core::{Limits, SlowPeer};
///
/// let limits = Limits::default().with_outbox(64 * 1024).with_slow_peer(SlowPeer::DropNewest);
/// assert_eq!(limits.backlog, 4);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes waiting to be written above which the connection is not read any more until the peer has taken some.
    /// Default 256 KiB; useful below `outbox` only.
    pub outbox_soft: usize,
    /// Bytes waiting to be written from which on no further message is taken. A message is taken whole while less
    /// than this waits, so at most this and one message are held, and 16 KiB of control frames. Default 1 MiB.
    pub outbox: usize,
    /// Messages that may wait whole for a peer that is behind: those to groups, those that a policy may drop or replace,
    /// and what is sent behind them. With so many, no further message is taken. Default 16,384; each takes some 100 bytes
    /// besides its own.
    ///
    /// All others wait encoded, one behind the other in one buffer. There a message is nothing but its bytes, and
    /// `outbox` bounds them.
    pub outbox_messages: usize,
    /// What happens at these limits when somebody sends without waiting, and does not say otherwise. Default
    /// [`SlowPeer::Close`] with [`Reason::Policy`].
    pub slow_peer: SlowPeer,
    /// Messages received ahead while the handler is busy with an earlier one. Default 4. Each may be as large as
    /// the wire's message limit; none is taken beyond 64 KiB.
    pub backlog: usize,
    /// How long the closing handshake may take, from our goodbye (or the answer to the peer's) to the end of the
    /// transport. Also how long a handler step that is still running when the connection ends may go on before it
    /// is dropped. Default 5 s.
    pub close_timeout: Duration,
    /// How long `on_close` may take before it is dropped. Default 5 s.
    pub on_close_timeout: Duration,
    /// After how much silence the peer is pinged, where the protocol has pings; anything it sends counts. Default 30 s;
    /// `None`: never.
    ///
    /// This and the three times below are kept by the [`Connections`](crate::Connections) that the connection is
    /// [tracked by](crate::Driver::tracked_by), to the second.
    pub ping_after: Option<Duration>,
    /// How long a pinged peer may stay silent before the connection is cut. Default 30 s.
    pub pong_timeout: Duration,
    /// How long a peer may take nothing of what waits for it before the connection is cut. Default 30 s; `None`: for
    /// ever.
    pub write_timeout: Option<Duration>,
    /// How long a peer may go without sending a message (pongs do not count) before the connection is closed. Default
    /// `None`: for ever.
    pub idle_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            outbox_soft: 256 * 1024,
            outbox: 1024 * 1024,
            outbox_messages: 16 * 1024,
            slow_peer: SlowPeer::Close(Reason::Policy),
            backlog: 4,
            close_timeout: Duration::from_secs(5),
            on_close_timeout: Duration::from_secs(5),
            ping_after: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(30),
            write_timeout: Some(Duration::from_secs(30)),
            idle_timeout: None,
        }
    }
}

impl Limits {
    /// Sets from how many waiting bytes on the peer is not read any more.
    pub const fn with_outbox_soft(mut self, bytes: usize) -> Self {
        self.outbox_soft = bytes;
        self
    }

    /// Sets from how many waiting bytes on no message is taken.
    pub const fn with_outbox(mut self, bytes: usize) -> Self {
        self.outbox = bytes;
        self
    }

    /// Sets how many messages may wait whole.
    pub const fn with_outbox_messages(mut self, messages: usize) -> Self {
        self.outbox_messages = messages;
        self
    }

    /// Sets what happens to a peer whose outbox is full.
    pub const fn with_slow_peer(mut self, policy: SlowPeer) -> Self {
        self.slow_peer = policy;
        self
    }

    /// Sets how many messages are received ahead.
    pub const fn with_backlog(mut self, messages: usize) -> Self {
        self.backlog = messages;
        self
    }

    /// Sets how long the closing handshake may take.
    pub const fn with_close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }

    /// Sets how long `on_close` may take.
    pub const fn with_on_close_timeout(mut self, time: Duration) -> Self {
        self.on_close_timeout = time;
        self
    }

    /// Sets after how much silence the peer is pinged.
    pub const fn with_ping_after(mut self, time: Option<Duration>) -> Self {
        self.ping_after = time;
        self
    }

    /// Sets how long a pinged peer may stay silent.
    pub const fn with_pong_timeout(mut self, time: Duration) -> Self {
        self.pong_timeout = time;
        self
    }

    /// Sets how long a peer may take nothing of what waits for it.
    pub const fn with_write_timeout(mut self, time: Option<Duration>) -> Self {
        self.write_timeout = time;
        self
    }

    /// Sets how long a peer may go without sending a message.
    pub const fn with_idle_timeout(mut self, time: Option<Duration>) -> Self {
        self.idle_timeout = time;
        self
    }
}
