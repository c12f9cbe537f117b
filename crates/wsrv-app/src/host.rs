//! One app at work, whatever brings its requests: what all hosts share, and the orderly end of all of them.

use crate::admission::{Admitted, Transport};
use crate::app::Settings;
use crate::route::Route;
use bytes::BytesMut;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;
use wsrv_core::{Connections, NoPlace, Place, Places, Reason};
use wsrv_http::{Gates, Rejection, Router};

/// Sockets that are told at the same time that there is no place for them; any more are closed without a word.
const MAX_FAREWELLS: usize = 1_024;

/// What every connection and request of an app needs to know.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) router: Router<Arc<Route>>,
    pub(crate) gates: Gates,
    #[cfg(feature = "http")]
    pub(crate) fallback: Option<crate::fallback::Fallback>,
    pub(crate) settings: Settings,
    pub(crate) connections: Connections,
    farewells: Places,
    phase: watch::Sender<Phase>,
    cut: AtomicUsize,
}

/// How far the app's life has come; only ever forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Requests that have not come are not waited for.
    Stopping,
    /// Nothing is waited for.
    Cutting,
    /// Nothing is left.
    Stopped,
    /// Whoever served was dropped before.
    Abandoned,
}

/// How a server, or a service inside another's, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that had to be cut, and requests that were still under way then.
    pub cut: usize,
}

impl Host {
    pub(crate) fn new(router: Router<Arc<Route>>, gates: Gates, settings: Settings, connections: Connections) -> Self {
        let farewells = Places::new();
        farewells.set_total(Some(MAX_FAREWELLS));
        Host {
            router,
            gates,
            #[cfg(feature = "http")]
            fallback: None,
            settings,
            connections,
            farewells,
            phase: watch::Sender::new(Phase::Serving),
            cut: AtomicUsize::new(0),
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn with_fallback(mut self, fallback: Option<crate::fallback::Fallback>) -> Self {
        self.fallback = fallback;
        self
    }

    /// A place among the opening handshakes, for a socket or a request from there.
    pub(crate) fn begin_handshake(&self, peer: Option<SocketAddr>) -> Result<Place, Rejection> {
        self.settings.handshakes.take(peer.map(|peer| peer.ip())).map_err(|full| {
            Rejection::overloaded(match full {
                NoPlace::Address => "too many requests from one address at once",
                _ => "too many requests at once",
            })
        })
    }

    /// A place among those who are told that there is no other.
    pub(crate) fn begin_farewell(&self) -> Option<Place> {
        self.farewells.take(None).ok()
    }

    /// Begins the connection, unless everything is being cut.
    pub(crate) fn start(&self, admitted: Admitted, transport: Transport, received: BytesMut) {
        // Held meanwhile, so that who begins to cut finds this connection.
        let phase = self.phase.borrow();
        if *phase < Phase::Cutting {
            admitted.start(transport, received, &self.connections);
        } else {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does `work` for a request, unless everything is cut before it is done.
    pub(crate) async fn until_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.reached(Phase::Cutting) => {
                self.cut.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Waits until the app stops.
    pub(crate) async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    #[cfg(feature = "http")]
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Waits until the app has stopped. `None`: whoever served it was dropped.
    pub(crate) async fn stopped(&self) -> Option<Stopped> {
        self.reached(Phase::Stopped).await;
        (*self.phase.borrow() == Phase::Stopped).then(|| self.report())
    }

    async fn reached(&self, wanted: Phase) {
        // Never an error: the sender is in here.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }

    /// True for whoever has made the step.
    fn advance(&self, to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        })
    }

    /// Begins the end: tells everybody, and those who come later as soon as they are connected.
    pub(crate) fn stop(&self, reason: Reason) {
        if self.advance(Phase::Stopping) {
            tracing::info!(connections = self.connections.len(), "the server stops");
            self.connections.close_all(reason);
        }
    }

    /// Waits for everybody after [`stop`](Self::stop), and for what `accepting` does; at the deadline, or when it is
    /// time to `hurry`, cuts who is left.
    pub(crate) async fn finish(&self, accepting: impl Future<Output = ()>, hurry: impl Future<Output = ()>) -> Stopped {
        let mut gone = pin!(async {
            accepting.await;
            self.settings.handshakes.empty().await;
            self.connections.empty().await;
        });
        tokio::select! {
            () = &mut gone => {}
            () = async {
                tokio::select! {
                    () = tokio::time::sleep(self.settings.shutdown_timeout) => {}
                    () = hurry => {}
                }
            } => {
                self.cut_all();
                // `on_close` still runs, under its own deadline.
                gone.await;
            }
        }
        self.advance(Phase::Stopped);
        self.report()
    }

    fn cut_all(&self) {
        if self.advance(Phase::Cutting) {
            let cut = self.connections.cut_all();
            self.cut.fetch_add(cut, Ordering::Relaxed);
            tracing::warn!(connections = cut, "connections were cut: they had not said goodbye");
        }
    }

    fn report(&self) -> Stopped {
        Stopped { cut: self.cut.load(Ordering::Relaxed) }
    }

    /// Whoever serves the app is dropped.
    pub(crate) fn abandon(&self) {
        self.phase.send_if_modified(|phase| {
            let early = *phase < Phase::Stopped;
            if early {
                *phase = Phase::Abandoned;
            }
            early
        });
    }
}
