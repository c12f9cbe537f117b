//! What is done with sessions while their visitors are connected.

mod around;
#[cfg(test)]
mod tests;
mod users;
mod watch;

pub use around::{Around, AroundState, Keep};
pub use users::{Users, WithUser};
pub use watch::{SessionWatch, UnderWatch, WithWatch};

use crate::{LazySession, Session};
use wsrv_core::Connection;
use wsrv_rfc6455::connection::WebSocket;

/// The session of a connection: of a `WebSocketConnection`, and of what any layer makes of one, such as a `WampConnection`.
pub trait SessionOf {
    /// The visitor's session, as it was when it was read: when the connection was opened, unless the gate is a
    /// [lazy](crate::Sessions::lazily) one. `None`: no [gate](crate::Sessions) has looked for one, or it has not been
    /// [read](LazySession::load) yet.
    fn session(&self) -> Option<&Session>;

    /// The session that a [lazy gate](crate::Sessions::lazily) has left to be read. `None`: there was no such gate.
    fn lazy_session(&self) -> Option<&LazySession>;
}

impl<C: Connection<Wire = WebSocket>> SessionOf for C {
    fn session(&self) -> Option<&Session> {
        let read = || self.lazy_session()?.get();
        self.link().context().extensions().get().or_else(read)
    }

    fn lazy_session(&self) -> Option<&LazySession> {
        self.link().context().extensions().get()
    }
}
