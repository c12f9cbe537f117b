//! A layer that does something when connections come and go, and passes everything on.

use std::fmt;
use std::task::{Context, Poll};
use wsrv_core::{Closed, Connection, Error, Handler, Verdict, Wire};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

/// What is kept with each connection of a handler for as long as it lives.
pub trait Keep: Send + Sync + 'static {
    /// Dropped with the connection, on every path.
    type Guard: Send + 'static;

    /// Called before the handler opens.
    fn enter(&self, conn: &WebSocketConnection) -> Self::Guard;
}

/// A handler that [`Users`](super::Users) or a [`SessionWatch`](super::SessionWatch) knows the connections of. It passes
/// everything on, and so can be on top of any layer over WebSockets.
pub struct Around<K, H> {
    keep: K,
    inner: H,
}

/// The inner handler's state, and what is kept beside it.
pub struct AroundState<G, S> {
    inner: S,
    _guard: G,
}

impl<K, H> Around<K, H> {
    pub(crate) fn new(keep: K, inner: H) -> Self {
        Around { keep, inner }
    }
}

impl<C: Connection<Wire = WebSocket>, K: Keep, H: Handler<C>> Handler<C> for Around<K, H> {
    type State = AroundState<K::Guard, H::State>;

    async fn on_open(&self, conn: &C) -> Result<Self::State, Error> {
        // Before the inner handler opens: who is greeted by name can be reached by it.
        let guard = self.keep.enter(&WebSocket::connection(conn.link().clone()));
        let inner = self.inner.on_open(conn).await?;
        Ok(AroundState { inner, _guard: guard })
    }

    async fn on_message(&self, conn: &C, state: &mut Self::State, message: C::Incoming) -> Result<(), Error> {
        self.inner.on_message(conn, &mut state.inner, message).await
    }

    async fn on_error(&self, conn: &C, state: &mut Self::State, error: Error) -> Verdict {
        self.inner.on_error(conn, &mut state.inner, error).await
    }

    async fn on_close(&self, conn: &C, state: Self::State, closed: Closed) {
        self.inner.on_close(conn, state.inner, closed).await;
    }

    fn poll_background(&self, conn: &C, state: &mut Self::State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_background(conn, &mut state.inner, cx)
    }
}

impl<K: fmt::Debug, H: fmt::Debug> fmt::Debug for Around<K, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("keep", &self.keep).field("inner", &self.inner).finish()
    }
}

impl<G, S: fmt::Debug> fmt::Debug for AroundState<G, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AroundState").field("inner", &self.inner).finish_non_exhaustive()
    }
}
