//! What is done with sessions while their visitors are connected.

mod around;
#[cfg(test)]
mod tests;
mod users;
mod watch;

pub use around::{Around, AroundState, Keep};
pub use users::{Users, WithUser};
pub use watch::{SessionWatch, UnderWatch, WithWatch};

use crate::Session;
use wsrv_rfc6455::connection::WebSocketConnection;

/// The session of a connection.
pub trait SessionOf {
    /// The visitor's session, as it was when the connection was opened. `None`: no [gate](crate::Sessions) has looked for
    /// one.
    fn session(&self) -> Option<&Session>;
}

impl SessionOf for WebSocketConnection {
    fn session(&self) -> Option<&Session> {
        self.extensions().get()
    }
}
