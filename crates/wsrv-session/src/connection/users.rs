//! Connections by who is logged in on them.

use super::SessionOf;
use super::around::{Around, Keep};
use crate::Session;
use std::fmt;
use std::sync::Arc;
use wsrv_core::{Groups, NamedGroup, NamedMembership};
use wsrv_rfc6455::connection::WebSocketConnection;
use wsrv_rfc6455::{CloseCode, Text};

/// Finds the connections of a user: all tabs and devices of somebody who is logged in at the front end. Clones are the
/// same index.
///
/// ```
/// use wsrv_session::Users;
///
/// let users = Users::by_path("user.id");
/// # struct Chat; use wsrv_core::{Error, Handler}; use wsrv_rfc6455::{Message, connection::WebSocketConnection};
/// # impl Handler<WebSocketConnection> for Chat {
/// #     type State = ();
/// #     async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> { Ok(()) }
/// #     async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> { Ok(()) }
/// # }
/// let handler = users.around(Chat);
/// // Later, from anywhere:
/// users.user("42").send("your order is on its way");
/// # let _ = handler;
/// ```
///
/// A user is a [group](Groups) of connections: a message is written once for all of them, and a slow one holds up nobody.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    principal: Box<Principal>,
    connections: Groups<WebSocketConnection>,
}

type Principal = dyn Fn(&Session) -> Option<String> + Send + Sync;

impl Users {
    /// An index by what this function finds in a session. `None`: nobody is logged in.
    pub fn by(principal: impl Fn(&Session) -> Option<String> + Send + Sync + 'static) -> Self {
        Users(Arc::new(Inner { principal: Box::new(principal), connections: Groups::new() }))
    }

    /// An index by the value at this path of a session: a text, or a number in digits.
    pub fn by_path(path: impl Into<String>) -> Self {
        let path = path.into();
        Self::by(move |session| {
            let value = session.data().path(&path)?;
            let digits = || value.as_i64().map(|number| number.to_string());
            value.as_str().map(str::to_owned).or_else(digits)
        })
    }

    /// A handler that does what this one does, and whose connections are found here. It may be a handler of any layer over
    /// WebSockets: `wamp.build()?.map(|handler| users.around(handler))`. Who they are is asked when they open, so they need a
    /// session by then, and not a [lazy](crate::Sessions::lazily) one.
    pub fn around<H>(&self, handler: H) -> Around<WithUser, H> {
        Around::new(WithUser(self.clone()), handler)
    }

    /// The connections of this user, whether or not there are any.
    pub fn user(&self, id: impl Into<Arc<str>>) -> NamedGroup<WebSocketConnection> {
        self.0.connections.named(id)
    }

    /// The users that are connected at this moment, in no order.
    pub fn ids(&self) -> Vec<Arc<str>> {
        self.0.connections.names()
    }

    /// Asks for all connections of this user to be closed with this code and reason. How many there are.
    ///
    /// A code that [may not be sent](CloseCode::is_sendable) closes nothing.
    pub fn disconnect(&self, id: &str, code: CloseCode, reason: impl Into<Text>) -> usize {
        let (reason, mut asked) = (reason.into(), 0);
        self.user(id).for_each(|conn| asked += usize::from(conn.close_with(code, reason.clone()).is_ok()));
        asked
    }
}

/// Lets [`Users`] know of a handler's connections.
#[derive(Clone, Debug)]
pub struct WithUser(Users);

impl Keep for WithUser {
    type Guard = Option<NamedMembership<WebSocketConnection>>;

    fn enter(&self, conn: &WebSocketConnection) -> Self::Guard {
        let id = (self.0.0.principal)(conn.session().filter(|session| session.is_present())?)?;
        Some(self.0.0.connections.join(id, conn))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("connected", &self.0.connections.len()).finish_non_exhaustive()
    }
}
