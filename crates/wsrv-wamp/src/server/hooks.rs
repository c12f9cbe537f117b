//! What the application does when a client's session begins and when it ends.

use super::WampConnection;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use wsrv_core::{Closed, Connection, Error};

/// Called with the connection. Default: nothing to do.
#[derive(Default)]
pub(crate) struct Hooks {
    open: Option<Open>,
    close: Option<Close>,
}

type Open = Box<dyn Fn(WampConnection) -> Work<Result<(), Error>> + Send + Sync>;
type Close = Box<dyn Fn(WampConnection, Closed) -> Work<()> + Send + Sync>;
type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Hooks {
    pub(crate) fn set_open<F: Future<Output = Result<(), Error>> + Send + 'static>(
        &mut self,
        hook: impl Fn(WampConnection) -> F + Send + Sync + 'static,
    ) {
        self.open = Some(Box::new(move |conn| Box::pin(hook(conn))));
    }

    pub(crate) fn set_close<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        hook: impl Fn(WampConnection, Closed) -> F + Send + Sync + 'static,
    ) {
        self.close = Some(Box::new(move |conn, closed| Box::pin(hook(conn, closed))));
    }

    pub(crate) async fn open(&self, conn: &WampConnection) -> Result<(), Error> {
        match &self.open {
            Some(hook) => hook(conn.clone()).await,
            None => Ok(()),
        }
    }

    /// One that panics keeps nobody else from the end.
    pub(crate) async fn close(&self, conn: &WampConnection, closed: Closed) {
        let Some(hook) = &self.close else { return };
        if AssertUnwindSafe(async { hook(conn.clone(), closed).await }).catch_unwind().await.is_err() {
            tracing::error!(conn = %conn.id(), "what is done at a session's end panicked");
        }
    }
}
