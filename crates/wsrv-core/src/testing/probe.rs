//! The innermost handler of [`check_layer`](super::check_layer): does what its script says, and records what it sees.

use crate::{Closed, Connection, ConnectionId, Error, Handler, Reason, Verdict};
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The handler that [`check_layer`](super::check_layer) puts a layer around.
pub struct Probe<C: Connection>(pub(super) Arc<Script<C>>);

/// What a [`Probe`] remembers about one connection.
pub struct ProbeState<C: Connection> {
    id: ConnectionId,
    script: Arc<Script<C>>,
}

/// What the probe was told.
#[derive(Debug, PartialEq)]
pub(super) enum Seen<M> {
    Open,
    Message(M),
    Error(Reason, String),
    Close(Closed),
    /// The state was dropped.
    Dropped,
    /// An event came with the state of another connection.
    Mixed(&'static str),
}

/// What the probe does with the next event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Act {
    #[default]
    Succeed,
    Fail,
    /// Waits until it is released.
    Wait,
    Panic,
}

/// Why the probe fails.
pub(super) const REASON: Reason = Reason::Overload;
pub(super) const TEXT: &str = "the inner handler fails on purpose";

/// The panic of a probe.
pub(super) struct OnPurpose;

/// What the probe does, and what it has seen.
pub(super) struct Script<C: Connection>(Mutex<Scene<C>>);

pub(super) struct Scene<C: Connection> {
    pub(super) seen: Vec<(ConnectionId, Seen<C::Incoming>)>,
    /// The next event; the background, which is asked again and again, has an act of its own.
    pub(super) act: Act,
    pub(super) background: Act,
    pub(super) polls: usize,
    pub(super) verdict: Verdict,
    /// Steps that wait.
    pub(super) waiting: usize,
    released: bool,
    wakers: Vec<Waker>,
}

impl<C: Connection> Script<C> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Script(Mutex::new(Scene {
            seen: Vec::new(),
            act: Act::Succeed,
            background: Act::Wait,
            polls: 0,
            verdict: Verdict::Continue,
            waiting: 0,
            released: false,
            wakers: Vec::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Scene<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the event has come that something else than success was written for.
    pub(super) fn has_acted(&self) -> bool {
        matches!(self.lock().act, Act::Succeed)
    }

    /// Lets all steps that wait go on, and wakes the background.
    pub(super) fn release(&self) {
        let mut scene = self.lock();
        scene.released = true;
        let wakers = std::mem::take(&mut scene.wakers);
        drop(scene);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn record(&self, id: ConnectionId, seen: Seen<C::Incoming>) {
        self.lock().seen.push((id, seen));
    }

    /// What the script says about an event.
    async fn act(&self) -> Result<(), Error> {
        let act = {
            let mut scene = self.lock();
            scene.released = false;
            std::mem::take(&mut scene.act)
        };
        match act {
            Act::Succeed => Ok(()),
            Act::Fail => Err(Error::new(REASON, TEXT)),
            Act::Panic => resume_unwind(Box::new(OnPurpose)),
            Act::Wait => {
                let _waiting = Waiting::new(self);
                poll_fn(|cx| {
                    let mut scene = self.lock();
                    if scene.released {
                        return Poll::Ready(());
                    }
                    scene.wakers.push(cx.waker().clone());
                    Poll::Pending
                })
                .await;
                Ok(())
            }
        }
    }
}

/// A step that waits, until it is done or dropped.
struct Waiting<'a, C: Connection>(&'a Script<C>);

impl<'a, C: Connection> Waiting<'a, C> {
    fn new(script: &'a Script<C>) -> Self {
        script.lock().waiting += 1;
        Waiting(script)
    }
}

impl<C: Connection> Drop for Waiting<'_, C> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl<C: Connection> ProbeState<C> {
    fn record(&self, conn: &C, event: &'static str, seen: Seen<C::Incoming>) {
        if conn.id() != self.id {
            self.script.record(conn.id(), Seen::Mixed(event));
        }
        self.script.record(conn.id(), seen);
    }
}

impl<C: Connection> Drop for ProbeState<C> {
    fn drop(&mut self) {
        self.script.record(self.id, Seen::Dropped);
    }
}

impl<C: Connection> Handler<C> for Probe<C> {
    type State = ProbeState<C>;

    async fn on_open(&self, conn: &C) -> Result<ProbeState<C>, Error> {
        self.0.record(conn.id(), Seen::Open);
        self.0.act().await?;
        Ok(ProbeState { id: conn.id(), script: self.0.clone() })
    }

    async fn on_message(&self, conn: &C, state: &mut ProbeState<C>, message: C::Incoming) -> Result<(), Error> {
        state.record(conn, "on_message", Seen::Message(message));
        self.0.act().await
    }

    async fn on_error(&self, conn: &C, state: &mut ProbeState<C>, error: Error) -> Verdict {
        state.record(conn, "on_error", Seen::Error(error.reason(), error.to_string()));
        let _ = self.0.act().await;
        self.0.lock().verdict
    }

    async fn on_close(&self, conn: &C, state: ProbeState<C>, closed: Closed) {
        state.record(conn, "on_close", Seen::Close(closed));
        let _ = self.0.act().await;
    }

    fn poll_background(&self, _: &C, _: &mut ProbeState<C>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut scene = self.0.lock();
        scene.polls += 1;
        match std::mem::replace(&mut scene.background, Act::Wait) {
            Act::Succeed => Poll::Ready(Ok(())),
            Act::Fail => Poll::Ready(Err(Error::new(REASON, TEXT))),
            Act::Wait => {
                scene.wakers.push(cx.waker().clone());
                Poll::Pending
            }
            Act::Panic => {
                drop(scene);
                resume_unwind(Box::new(OnPurpose))
            }
        }
    }
}

impl<C: Connection> fmt::Debug for Probe<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl<C: Connection> fmt::Debug for ProbeState<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeState").field("id", &self.id).finish_non_exhaustive()
    }
}
