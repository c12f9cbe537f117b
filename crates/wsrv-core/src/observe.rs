//! What a server tells about itself while it works, for metrics and logs of one's own.

use crate::guarded::guarded;
use crate::{Closed, ConnectionId, Error};
use std::net::SocketAddr;
use std::time::Duration;

/// Is told what happens to the connections of a [set](crate::Connections::observe). All methods do nothing by default.
///
/// They are called from the connections' own tasks and from whoever sends, many at a time, and delay what they are told
/// about: they have to be quick and must not block. No lock is held meanwhile. One that panics is logged, and nothing
/// else follows. Without an observer, all of this costs one comparison per message, and no memory per connection.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use wsrv_core::{Closed, ConnectionId, Connections, Direction, Observer};
///
/// #[derive(Default)]
/// struct Counters { received: AtomicU64, closed: AtomicU64 }
///
/// impl Observer for Counters {
///     fn message(&self, _: ConnectionId, direction: Direction, _size: usize) {
///         if direction == Direction::In {
///             self.received.fetch_add(1, Ordering::Relaxed);
///         }
///     }
///     fn closed(&self, _: ConnectionId, _: &Closed) {
///         self.closed.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let counters = Arc::new(Counters::default());
/// let connections = Connections::new();
/// connections.observe(counters.clone());
/// // … and whenever somebody wants to know:
/// println!("{} messages received", counters.received.load(Ordering::Relaxed));
/// ```
#[allow(unused_variables)]
pub trait Observer: Send + Sync + 'static {
    /// A connection begins, before anything else is told about it. `route` is the [name](crate::Connections::named) of
    /// where it came in.
    fn opened(&self, id: ConnectionId, remote_addr: Option<SocketAddr>, route: Option<&str>) {}

    /// A message was received, or taken for sending. What is sent in parts counts as one message per part; pings, pongs
    /// and goodbyes of the protocol do not count.
    ///
    /// `size` is in bytes: of what has arrived, the size that the wire tells (its payload for WebSockets), of what is
    /// sent, what it takes up in the outbox, framing included.
    fn message(&self, id: ConnectionId, direction: Direction, size: usize) {}

    /// A handler has failed, or the peer broke the protocol.
    fn error(&self, id: ConnectionId, error: &Error) {}

    /// A peer reads more slowly than somebody sends to it.
    fn slow(&self, id: ConnectionId, slow: Slow) {}

    /// A connection is over, its goodbye included. Not told if its task was aborted.
    fn closed(&self, id: ConnectionId, closed: &Closed) {}

    /// A request was refused with this HTTP status, or a socket for which there was no place; `reason` is one of a few
    /// words, for counters. Told by the server.
    fn refused(&self, remote_addr: Option<SocketAddr>, status: u16, reason: &'static str) {}

    /// The server has come to its orderly end: how many connections were closed in time and how many cut, and how long
    /// it took. Told by the server.
    fn drained(&self, closed: usize, cut: usize, took: Duration) {}
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// What a slow peer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slow {
    /// A new message had no room and was dropped. (Old ones that were dropped or replaced to make room are counted in
    /// [`Losses`](crate::Losses) only.)
    Dropped,
    /// The connection is being closed: [`SlowPeer::Close`](crate::SlowPeer::Close).
    Closed,
}

/// Several owners of one observer, so that somebody can still ask it.
impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn opened(&self, id: ConnectionId, remote_addr: Option<SocketAddr>, route: Option<&str>) {
        (**self).opened(id, remote_addr, route);
    }
    fn message(&self, id: ConnectionId, direction: Direction, size: usize) {
        (**self).message(id, direction, size);
    }
    fn error(&self, id: ConnectionId, error: &Error) {
        (**self).error(id, error);
    }
    fn slow(&self, id: ConnectionId, slow: Slow) {
        (**self).slow(id, slow);
    }
    fn closed(&self, id: ConnectionId, closed: &Closed) {
        (**self).closed(id, closed);
    }
    fn refused(&self, remote_addr: Option<SocketAddr>, status: u16, reason: &'static str) {
        (**self).refused(remote_addr, status, reason);
    }
    fn drained(&self, closed: usize, cut: usize, took: Duration) {
        (**self).drained(closed, cut, took);
    }
}

/// Tells an observer, whose panic is its own affair.
pub(crate) fn tell(observer: &dyn Observer, event: impl FnOnce(&dyn Observer)) {
    let _ = guarded("an observer", || event(observer));
}
