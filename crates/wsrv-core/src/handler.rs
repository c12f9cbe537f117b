//! The one trait after the upgrade.

use crate::{Closed, Connection, Error, Reason};
use std::sync::Arc;
use std::task::{Context, Poll};

/// What is said about an error: go on, or close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The error is dealt with; the connection goes on.
    Continue,
    /// The connection is closed for this reason.
    Close(Reason),
}

/// Handles the connections of one kind: an application, or a layer that decorates the connection for the next handler.
///
/// One value serves all connections; what it remembers about one of them is its [`State`](Handler::State).
///
/// The four events of one connection come strictly one after the other. While an event's future waits, the driver
/// goes on answering pings, writing what others send to the connection and reading ahead a few messages. Events of
/// different connections run side by side.
///
/// A **layer** implements `Handler<Lower>` for `Layer<H>` where `H: Handler<Upper>`, makes the upper connection in
/// `on_open`, keeps it beside the inner state, and passes all four events and the background on.
///
/// ```
/// # use bytes::Bytes;
/// # use wsrv_core::{Closed, Error, Group, Handler, Membership, Reason, lines::LineConnection};
/// #[derive(Default)]
/// struct Chat { room: Group<LineConnection> }
///
/// impl Handler<LineConnection> for Chat {
///     type State = Membership<LineConnection>;
///
///     async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
///         Ok(self.room.join(conn))
///     }
///     async fn on_message(&self, conn: &LineConnection, me: &mut Self::State, line: Bytes) -> Result<(), Error> {
///         if line.is_empty() {
///             return Err(Error::new(Reason::Policy, "say something"));
///         }
///         me.send_to_others(line);
///         Ok(conn.send("sent").await?)
///     }
/// }
/// ```
///
/// # Panics
///
/// A panic in any of the methods is caught: it ends this connection with [`ClosedBy::Panic`](crate::ClosedBy::Panic)
/// and no other. `on_close` still runs, with the state as the panic left it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle connections of the type `{C}`",
    label = "not a handler of `{C}`",
    note = "is a layer missing, or are two layers in the wrong order?",
    note = "a function that gets a `Socket` becomes a handler by `from_fn(function)`"
)]
pub trait Handler<C: Connection>: Send + Sync + 'static {
    /// What this handler remembers about one connection. It is dropped with the connection on every path, also when
    /// the driver's task is aborted, so put into it the guards (memberships, subscriptions) that must not survive.
    type State: Send + 'static;

    /// A connection was established. The state it returns is handed to all later events.
    ///
    /// An error closes the connection with its reason; then, and only then, no `on_close` follows. The same holds
    /// if the connection ends before this future does.
    fn on_open(&self, conn: &C) -> impl Future<Output = Result<Self::State, Error>> + Send;

    /// A message arrived. The next one is handed over when this future is done.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped half-way if the connection is cut, or if it ended and the future is not done within
    /// [`Limits::close_timeout`](crate::Limits::close_timeout).
    fn on_message(
        &self,
        conn: &C,
        state: &mut Self::State,
        message: C::Incoming,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// `on_message` or `poll_background` returned an error, or the peer broke the protocol. In the last case the
    /// connection ends whatever the verdict is.
    ///
    /// Without this, the connection is closed with the error's reason. An error's text goes to the log (by the crate
    /// `tracing`; as a warning if its reason is [`Reason::Internal`], unless it is just that the peer is gone,
    /// [`SendError::Closed`](crate::SendError::Closed)) and never to the peer.
    fn on_error(&self, conn: &C, state: &mut Self::State, error: Error) -> impl Future<Output = Verdict> + Send {
        let _ = (conn, state);
        let verdict = Verdict::Close(error.reason());
        async move { verdict }
    }

    /// The connection ends. Called exactly once if `on_open` succeeded. `closed` tells who began and why; the goodbye in
    /// the protocol's own words is [`Link::goodbye`](crate::Link::goodbye). What is sent here still reaches a peer that
    /// reads, before our goodbye. Has [`Limits::on_close_timeout`](crate::Limits::on_close_timeout) to be done.
    fn on_close(&self, conn: &C, state: Self::State, closed: Closed) -> impl Future<Output = ()> + Send {
        let _ = (conn, state, closed);
        async {}
    }

    /// What goes on between the events: running calls, timers, watches.
    ///
    /// Polled in the driver's turn when no event's future is pending and no message is at hand, so all it sends leaves in
    /// the same write.
    /// `Pending` means that there is nothing to do until the waker in `cx` is woken; `Ready(Ok(()))` that something
    /// was done and there may be more; an error goes to `on_error`.
    fn poll_background(&self, conn: &C, state: &mut Self::State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let _ = (conn, state, cx);
        Poll::Pending
    }
}

/// A handler that others hold as well, to send from outside or to serve on several paths.
impl<C: Connection, H: Handler<C>> Handler<C> for Arc<H> {
    type State = H::State;

    fn on_open(&self, conn: &C) -> impl Future<Output = Result<H::State, Error>> + Send {
        (**self).on_open(conn)
    }

    fn on_message(
        &self,
        conn: &C,
        state: &mut H::State,
        message: C::Incoming,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).on_message(conn, state, message)
    }

    fn on_error(&self, conn: &C, state: &mut H::State, error: Error) -> impl Future<Output = Verdict> + Send {
        (**self).on_error(conn, state, error)
    }

    fn on_close(&self, conn: &C, state: H::State, closed: Closed) -> impl Future<Output = ()> + Send {
        (**self).on_close(conn, state, closed)
    }

    fn poll_background(&self, conn: &C, state: &mut H::State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        (**self).poll_background(conn, state, cx)
    }
}
