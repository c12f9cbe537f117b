//! The life of a host up to its orderly end, the same for all of them.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use wsrv_core::{Connections, Places, Reason};

/// How far a host's life has come, and who lives.
///
/// Apart from the rest of the host, so that a handler may hold a [`Handle`](crate::Handle) without holding itself.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) connections: Connections,
    /// For requests that are no connection, or not yet.
    pub(crate) handshakes: Places,
    phase: watch::Sender<Phase>,
    /// Connections that the end found, and those that came after it had begun.
    met: AtomicUsize,
    cut: AtomicUsize,
    requests_cut: AtomicUsize,
}

/// Only ever forwards.
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
    /// Connections that ended in time: with a goodbye, or because the peer was lost. Counted from the beginning of the
    /// end on.
    pub closed: usize,
    /// Connections that had to be cut, and requests that were still under way then.
    pub cut: usize,
}

impl Life {
    pub(crate) fn new(connections: Connections, handshakes: Places) -> Self {
        Life {
            connections,
            handshakes,
            phase: watch::Sender::new(Phase::Serving),
            met: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            requests_cut: AtomicUsize::new(0),
        }
    }

    /// Begins a connection, unless everything is being cut.
    pub(crate) fn begin(&self, start: impl FnOnce(&Connections)) {
        // Held meanwhile, so that who begins to stop or to cut finds this connection.
        let phase = self.phase.borrow();
        if *phase >= Phase::Cutting {
            self.requests_cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if *phase >= Phase::Stopping {
            self.met.fetch_add(1, Ordering::Relaxed);
        }
        start(&self.connections);
    }

    /// Does `work` for a request, unless everything is cut before it is done.
    pub(crate) async fn until_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.reached(Phase::Cutting) => {
                self.requests_cut.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Waits until the end begins.
    pub(crate) async fn stopping(&self) {
        self.reached(Phase::Stopping).await;
    }

    #[cfg(feature = "http")]
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Waits for the end. `None`: whoever served was dropped.
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
                if *phase == Phase::Serving {
                    // Under the phase's lock, so that each connection is counted either here or in `begin`.
                    self.met.store(self.connections.len(), Ordering::Relaxed);
                }
                *phase = to;
            }
            later
        })
    }

    /// Begins the end: tells everybody, and those who come later as soon as they are connected.
    pub(crate) fn stop(&self, reason: Reason) {
        if self.advance(Phase::Stopping) {
            tracing::info!(connections = self.met.load(Ordering::Relaxed), "the server stops");
            self.connections.close_all(reason);
        }
    }

    /// Waits for everybody after [`stop`](Self::stop), and for what `accepting` does; after this time, or when there is
    /// a `hurry`, cuts who is left.
    pub(crate) async fn finish(
        &self,
        accepting: impl Future<Output = ()>,
        time: Duration,
        hurry: impl Future<Output = ()>,
    ) -> Stopped {
        let mut gone = pin!(async {
            accepting.await;
            self.handshakes.empty().await;
            self.connections.empty().await;
        });
        let out_of_time = async {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = hurry => {}
            }
        };
        tokio::select! {
            () = &mut gone => {}
            () = out_of_time => {
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
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let cut = count(&self.cut);
        // Others may have been put into the set by somebody else meanwhile.
        Stopped { closed: count(&self.met).saturating_sub(cut), cut: cut + count(&self.requests_cut) }
    }

    /// Whoever serves is dropped; that changes nothing after the end.
    pub(crate) fn abandon(&self) {
        if *self.phase.borrow() != Phase::Stopped {
            self.advance(Phase::Abandoned);
        }
    }
}
