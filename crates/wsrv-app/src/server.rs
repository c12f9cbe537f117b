//! A server at work, and its orderly end.

use crate::app::Service;
use crate::handshake;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::task::JoinSet;
use wsrv_core::{Connections, Listener, Reason};

/// A server that listens and is about to serve.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    service: Arc<Service>,
}

impl Server {
    pub(crate) fn new(listener: Listener, service: Arc<Service>) -> Self {
        Server { listeners: vec![listener], service }
    }

    /// Listens there as well: all listeners serve the same routes, and stop together.
    pub fn and_listen(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Where the server's first listener listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// It is a Unix socket, or the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners[0].local_addr()
    }

    /// The established connections, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.service.connections
    }

    /// Serves until Ctrl-C or, on Unix, SIGTERM; then as [`serve_until`](Server::serve_until). A second signal cuts at
    /// once those who have not said goodbye yet.
    ///
    /// The signals are listened for from this call on, not only once the future is polled.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO enabled.
    pub fn serve(self) -> impl Future<Output = Stopped> + Send {
        let signals = Arc::new(Mutex::new(listen_for_signals()));
        let next = move || {
            let signals = signals.clone();
            poll_fn(move |cx| {
                let mut signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
                let came = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
                if came { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        self.run(next(), next())
    }

    /// Serves until `stop` is ready. Then no new connection is accepted; requests whose head has come are still answered;
    /// connections are closed with [`Reason::GoingAway`] (1001), the new ones as soon as they are established. What
    /// is not done after [`App::shutdown_timeout`](crate::App::shutdown_timeout) is cut.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it serves, it stops accepting and drops the requests under way; established connections go on.
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Stopped {
        self.run(stop, std::future::pending()).await
    }

    /// `hurry` is polled only after `stop` is ready.
    async fn run(self, stop: impl Future<Output = ()>, hurry: impl Future<Output = ()>) -> Stopped {
        let Server { listeners, service } = self;
        let connections = &service.connections;
        let mut accepting: JoinSet<()> = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, service.clone()));
        }
        stop.await;
        tracing::info!(connections = connections.len(), "the server stops");
        service.stopping.send_replace(true);
        connections.close_all(Reason::GoingAway);
        let all_done = async {
            while accepting.join_next().await.is_some() {}
            connections.empty().await;
        };
        tokio::select! {
            () = all_done => return Stopped { cut: 0 },
            () = tokio::time::sleep(service.settings.shutdown_timeout) => {}
            () = hurry => {}
        }
        accepting.shutdown().await;
        let cut = connections.cut_all();
        tracing::warn!(cut, "connections were cut: they had not said goodbye");
        // `on_close` still runs, under its own deadline.
        connections.empty().await;
        Stopped { cut }
    }
}

/// Accepts until the server stops, and then waits for the requests that have come.
async fn accept(listener: Listener, service: Arc<Service>) {
    let mut stopping = service.stopping.subscribe();
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = listener.accept() => {
                requests.spawn(handshake::serve(stream, peer, service.clone()));
            }
            Some(_) = requests.join_next() => {}
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    drop(listener);
    while requests.join_next().await.is_some() {}
}

/// How a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that had to be cut.
    pub cut: usize,
}

#[cfg(unix)]
type Signal = tokio::signal::unix::Signal;
#[cfg(windows)]
type Signal = tokio::signal::windows::CtrlC;

/// What cannot be listened for is not how the server is stopped.
fn listen_for_signals() -> Vec<Signal> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        [SignalKind::interrupt(), SignalKind::terminate()].into_iter().filter_map(|kind| signal(kind).ok()).collect()
    }
    #[cfg(windows)]
    tokio::signal::windows::ctrl_c().into_iter().collect()
}
