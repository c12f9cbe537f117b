//! A server at work, and its orderly end.

use crate::app::Service;
use crate::handshake;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use wsrv_core::{Connections, Listener, Reason};

/// A server that listens and is about to serve.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    service: Arc<Service>,
}

impl Server {
    pub(crate) fn new(listener: Listener, service: Arc<Service>) -> Self {
        Server { listener, service }
    }

    /// Where the server listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The established connections, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.service.connections
    }

    /// Serves until Ctrl-C or, on Unix, SIGTERM; then as [`serve_until`](Server::serve_until). A second signal cuts at
    /// once those who have not said goodbye yet.
    pub async fn serve(self) -> Stopped {
        self.run(interrupted(), interrupted()).await
    }

    /// Serves until `stop` is ready. Then no new connection is accepted, those in their opening handshake are
    /// dropped, all others are closed with [`Reason::GoingAway`] (1001), and those that have not said goodbye after
    /// [`App::shutdown_timeout`](crate::App::shutdown_timeout) are cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it serves, it stops accepting; established connections go on.
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Stopped {
        self.run(stop, std::future::pending()).await
    }

    async fn run(self, stop: impl Future<Output = ()>, hurry: impl Future<Output = ()>) -> Stopped {
        let Server { listener, service } = self;
        let mut requests = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                (stream, peer) = listener.accept() => {
                    requests.spawn(handshake::serve(stream, peer, service.clone()));
                }
                Some(_) = requests.join_next() => {}
                () = &mut stop => break,
            }
        }
        drop(listener);
        requests.shutdown().await;
        let connections = &service.connections;
        tracing::info!(connections = connections.len(), "the server stops");
        connections.close_all(Reason::GoingAway);
        tokio::select! {
            () = connections.empty() => return Stopped { cut: 0 },
            () = tokio::time::sleep(service.settings.shutdown_timeout) => {}
            () = hurry => {}
        }
        let cut = connections.cut_all();
        tracing::warn!(connections = cut, "cut: they did not say goodbye in time");
        // Their `on_close` still runs, under its own deadline.
        connections.empty().await;
        Stopped { cut }
    }
}

/// How a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that had to be cut.
    pub cut: usize,
}

async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Cannot be listened for; then this is not how the server is stopped.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let terminated = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ctrl_c => {}
            () = terminated => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}
