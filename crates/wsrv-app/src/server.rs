//! A server at work, and its orderly end.

use crate::drain::{Drain, Readiness};
use crate::explain::{Explanation, explain};
use crate::handshake;
use crate::host::Host;
use crate::life::{Life, Stopped};
use crate::transport::Security;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use tokio::task::JoinSet;
use wsrv_core::{Connections, Listener, Reason};
use wsrv_rfc6455::handshake::RequestHead;

/// A server that listens and is about to serve.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(Listener, Security)>,
    serving: Serving,
}

/// Tells the handles when nobody serves any more.
#[derive(Debug)]
struct Serving(Arc<Host>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.life.abandon();
    }
}

impl Server {
    pub(crate) fn new(listener: Listener, security: Security, host: Arc<Host>) -> Self {
        Server { listeners: vec![(listener, security)], serving: Serving(host) }
    }

    /// Listens there as well: all listeners serve the same routes, and stop together.
    pub fn and_listen(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push((listener.into(), Security::Plain));
        self
    }

    /// Listens there as well, for TLS; see [`tls`](crate::tls).
    #[cfg(feature = "tls")]
    pub fn and_listen_tls(mut self, listener: impl Into<Listener>, tls: crate::tls::Tls) -> Self {
        self.listeners.push((listener.into(), Security::Tls(tls)));
        self
    }

    /// Where the server's first listener listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// It is a Unix socket, or the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners[0].0.local_addr()
    }

    /// The established connections, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.serving.0.life.connections
    }

    /// What this request would meet if it came from there: what each gate says, the route, the answer. It is decided as
    /// about every request, by the gates themselves, so one that counts will count. Rates and places of the opening
    /// handshake, time, and what TLS or the PROXY protocol would have told are left out.
    ///
    /// ```
    /// # use wsrv_app::prelude::*;
    /// # async fn example(server: Server, request: wsrv_app::wsrv_rfc6455::handshake::RequestHead) {
    /// let explanation = server.explain(request, "192.0.2.7:40000".parse().ok()).await;
    /// for line in &explanation.gates {
    ///     println!("{line}");
    /// }
    /// println!("{:?}", explanation.outcome);
    /// # }
    /// ```
    pub async fn explain(&self, request: RequestHead, peer: Option<SocketAddr>) -> Explanation {
        explain(&self.serving.0, request, peer, true).await
    }

    /// A handle that stops the server from elsewhere, and tells when it has stopped.
    pub fn handle(&self) -> Handle {
        Handle { life: self.serving.0.life.clone() }
    }

    /// Serves until Ctrl-C or, on Unix, SIGTERM, or until a [handle](Server::handle) stops it; then as
    /// [`serve_until`](Server::serve_until). A signal that comes while it stops, or still waits to, cuts at once those who
    /// have not said goodbye yet.
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

    /// Serves until `stop` is ready, or a [handle](Server::handle) stops it. Then it comes to its end as
    /// [`App::drain`](crate::App::drain) or the handle says; [`Drain`] has the steps. Idle HTTP connections are closed, as
    /// soon as nobody is accepted any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it serves, it stops accepting and drops the requests under way; established connections go on. Dropped
    /// during the end, they are still closed, but nobody cuts who does not say goodbye.
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Stopped {
        self.run(stop, std::future::pending()).await
    }

    /// `hurry` is polled only after the stop has begun.
    async fn run(self, stop: impl Future<Output = ()>, hurry: impl Future<Output = ()>) -> Stopped {
        let Server { listeners, serving } = self;
        let host = &serving.0;
        let mut accepting: JoinSet<()> = JoinSet::new();
        for (listener, security) in listeners {
            accepting.spawn(accept(listener, security, host.clone()));
        }
        tokio::select! {
            () = stop => host.life.stop(None),
            () = host.life.ending() => {}
        }
        let accepted = async {
            while accepting.join_next().await.is_some() {}
            host.farewells.empty().await;
        };
        host.life.finish(accepted, hurry).await
    }
}

/// Accepts until the server stops, and then waits for the requests that have come.
async fn accept(listener: Listener, security: Security, host: Arc<Host>) {
    let mut stopping = pin!(host.life.stopping());
    loop {
        tokio::select! {
            (stream, peer) = listener.accept() => match host.begin_handshake(peer) {
                Ok(place) => drop(tokio::spawn(handshake::serve(stream, peer, security.clone(), host.clone(), place))),
                Err(rejection) => {
                    let can_be_told = security.is_plain() && !rejection.is_silent();
                    match can_be_told.then(|| host.begin_farewell()).flatten() {
                        Some(place) => drop(tokio::spawn(handshake::turn_away(stream, peer, rejection, host.clone(), place))),
                        None => host.refused(peer, &rejection),
                    }
                }
            },
            () = &mut stopping => return,
        }
    }
}

/// Stops a [`Server`] from elsewhere. Clones are handles of the same server.
///
/// ```no_run
/// # use wsrv_app::prelude::*;
/// # async fn example(app: App) -> Result<(), Box<dyn std::error::Error>> {
/// let server = app.bind("127.0.0.1:8080").await?;
/// let handle = server.handle();
/// tokio::spawn(server.serve());
/// // … later, and perhaps somewhere else:
/// handle.stop_with(Reason::Restart);
/// if let Some(stopped) = handle.stopped().await {
///     println!("{} said goodbye or were lost, {} had to be cut", stopped.closed, stopped.cut);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    life: Arc<Life>,
}

impl Handle {
    /// Stops the server as [`App::drain`](crate::App::drain) says, and returns at once. A server that does not serve yet
    /// stops as soon as it does. If it stops already, nothing changes.
    pub fn stop(&self) {
        self.life.stop(None);
    }

    /// The same for another reason, [`Reason::Restart`] (1012) for example.
    pub fn stop_with(&self, reason: Reason) {
        self.life.stop(Some(reason));
    }

    /// The same in another way.
    pub fn drain(&self, drain: Drain) {
        self.life.begin_end(drain);
    }

    /// Whether the server's end has not begun.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_ready()
    }

    /// Tells others so; [`App::readiness`](crate::App::readiness) does before there is a server.
    pub fn readiness(&self) -> Readiness {
        self.life.readiness()
    }

    /// Waits until the server has stopped, by whoever's wish, and tells how. `None` if it was dropped instead.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn stopped(&self) -> Option<Stopped> {
        self.life.stopped().await
    }

    /// The established connections, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.life.connections
    }
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
