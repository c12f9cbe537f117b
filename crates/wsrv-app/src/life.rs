//! The life of a host up to its orderly end, the same for all of them.

use crate::drain::{Drain, Readiness};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
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
    /// The usual end.
    drain: Drain,
    /// The end that was begun, and when.
    begun: OnceLock<(Drain, Instant)>,
    closing: Once,
    report: OnceLock<Stopped>,
    /// Connections that the end found, and those that came after it had begun.
    met: AtomicUsize,
    cut: AtomicUsize,
    requests_cut: AtomicUsize,
}

/// Only ever forwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Or about to.
    #[default]
    Serving,
    /// As before, but nobody is to come any more.
    Waiting,
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
    /// How long it took from the beginning of the end on.
    pub took: Duration,
}

impl Life {
    pub(crate) fn new(connections: Connections, handshakes: Places, drain: Drain, phase: watch::Sender<Phase>) -> Self {
        Life {
            connections,
            handshakes,
            phase,
            drain,
            begun: OnceLock::new(),
            closing: Once::new(),
            report: OnceLock::new(),
            met: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            requests_cut: AtomicUsize::new(0),
        }
    }

    /// Begins a connection, unless everything is being cut.
    pub(crate) fn begin(&self, start: impl FnOnce()) {
        // Held meanwhile, so that who begins to stop or to cut finds this connection.
        let phase = self.phase.borrow();
        if *phase >= Phase::Cutting {
            self.requests_cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if *phase >= Phase::Stopping {
            self.met.fetch_add(1, Ordering::Relaxed);
        }
        start();
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

    pub(crate) fn readiness(&self) -> Readiness {
        Readiness::new(&self.phase)
    }

    /// Waits until the end begins.
    pub(crate) async fn ending(&self) {
        self.reached(Phase::Waiting).await;
    }

    /// Waits until nobody is accepted any more.
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
        // An abandoned one has none.
        self.report.get().copied()
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
                if *phase < Phase::Stopping && to >= Phase::Stopping {
                    // Under the phase's lock, so that each connection is counted either here or in `begin`.
                    self.met.store(self.connections.len(), Ordering::Relaxed);
                }
                *phase = to;
            }
            later
        })
    }

    /// Begins the end as usual, for this reason if there is one.
    pub(crate) fn stop(&self, reason: Option<Reason>) {
        let drain = self.drain.clone();
        self.begin_end(match reason {
            Some(reason) => drain.reason(reason),
            None => drain,
        });
    }

    /// Begins the end, unless it has begun. [`finish`](Self::finish) does the rest.
    pub(crate) fn begin_end(&self, drain: Drain) {
        // Before the phase, which tells others to look.
        if self.begun.set((drain, Instant::now())).is_ok() {
            self.advance(Phase::Waiting);
        }
    }

    /// Goes through the end that was begun, together with what `accepting` does; at the deadline, or when there is a
    /// `hurry`, cuts who is left.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        accepting: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Stopped {
        let (drain, began) = self.begun.get().expect("only what was begun is finished");
        // A task of its own, so that it goes on if nobody waits for the end any more.
        self.closing.call_once(|| drop(tokio::spawn(self.clone().say_goodbye(drain.clone()))));
        let mut gone = pin!(async {
            self.stopping().await;
            accepting.await;
            self.handshakes.empty().await;
            self.connections.empty().await;
        });
        let out_of_time = async {
            tokio::select! {
                () = tokio::time::sleep(drain.time().saturating_sub(began.elapsed())) => {}
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
        let report = *self.report.get_or_init(|| self.count(began.elapsed()));
        if self.advance(Phase::Stopped) {
            self.connections.tell(|observer| observer.drained(report.closed, report.cut, report.took));
        }
        report
    }

    /// Waits, stops accepting, and closes everybody, those who come later as soon as they are connected.
    async fn say_goodbye(self: Arc<Self>, drain: Drain) {
        let close = async {
            tokio::time::sleep(drain.wait).await;
            if self.advance(Phase::Stopping) {
                tracing::info!(connections = self.met.load(Ordering::Relaxed), "the server stops");
            }
            self.connections.close_all_within(drain.window, drain.farewell).await;
        };
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            // Who is to be cut needs no goodbye. That nobody serves any more changes nothing.
            _ = phase.wait_for(|phase| matches!(phase, Phase::Cutting | Phase::Stopped)) => {}
            () = close => {}
        }
    }

    fn cut_all(&self) {
        if self.advance(Phase::Cutting) {
            let cut = self.connections.cut_all();
            self.cut.fetch_add(cut, Ordering::Relaxed);
            tracing::warn!(connections = cut, "connections were cut: they had not said goodbye");
        }
    }

    fn count(&self, took: Duration) -> Stopped {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let cut = count(&self.cut);
        // Others may have been put into the set by somebody else meanwhile.
        Stopped { closed: count(&self.met).saturating_sub(cut), cut: cut + count(&self.requests_cut), took }
    }

    /// Whoever serves is dropped; that changes nothing after the end.
    pub(crate) fn abandon(&self) {
        if *self.phase.borrow() != Phase::Stopped {
            self.advance(Phase::Abandoned);
        }
    }
}
