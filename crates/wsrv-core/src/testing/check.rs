//! Whether a layer passes on everything.

use super::attempt::{Fault, PATIENCE, attempt, dropped, goes_on, on_purpose, panicked, waiting};
use super::probe::{Act, Probe, REASON, Scene, Script, Seen, TEXT};
use super::{Mock, Session};
use crate::{Closed, ClosedBy, Connection, ConnectionId, Error, Handler, Reason, Verdict, Wire};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, MutexGuard};
use std::task::Poll;
use tokio::time::timeout;

/// Checks that a layer passes all events, errors, panics and the background through to the handler it is around.
///
/// `layer` makes the layer around a [`Probe`], which is a handler of the layer's own, upper connection. (A layer for
/// another layer's connection comes with that one around it.) `messages` makes the message of a number: what arrives
/// below the layer, and what shall arrive above it. Different numbers make different messages, and the layer passes
/// each of them on as exactly one. Each connection gets its messages in order from number 0 on, so a layer that numbers
/// them, or whose messages depend on those before, can be checked as well.
///
/// These scenes are played, on a new [`Mock`] each:
///
/// - every [`ClosedBy`], after some messages;
/// - `on_open` that fails, waits, is dropped, panics;
/// - `on_message` and the background that fail, with both verdicts; an error of the protocol;
/// - steps that wait and go on, and steps that are dropped while they wait, with `on_close` after them;
/// - the background's waker, and what it returns;
/// - a panic in each method;
/// - two connections at the same time; a connection whose task is aborted.
///
/// Needs a tokio runtime with time enabled. Have time paused, or a layer that never comes to an end takes 10 s to find.
///
/// # Panics
///
/// With a text that says in which scene what was lost, doubled, reordered, changed or kept.
pub async fn check_layer<W, Upper, L>(
    wire: impl Fn() -> W,
    layer: impl Fn(Probe<Upper>) -> L,
    messages: impl Fn(usize) -> (<W::Connection as Connection>::Incoming, Upper::Incoming),
) where
    W: Wire,
    Upper: Connection<Wire = W, Incoming: Debug + PartialEq>,
    L: Handler<W::Connection>,
{
    let stage = Stage { wire: &wire, layer: &layer, messages: &messages };
    macro_rules! play {
        ($($scene:ident($($arg:expr),*), $name:expr;)*) => {$(
            if let Err(fault) = stage.$scene($($arg),*).await {
                panic!("the layer fails when {}: {fault}", $name);
            }
        )*};
    }
    for by in EVERY_END {
        play! { ends(by), format!("a connection is closed by {by:?}"); }
    }
    play! {
        open_fails(), "the inner on_open fails";
        open_waits(), "the inner on_open waits";
        open_panics(), "the inner on_open panics";
        message_fails(), "the inner on_message fails";
        protocol_fails(), "the peer breaks the protocol";
        background(), "the inner background works";
        background_fails(), "the inner background fails";
        two_connections(), "there are two connections";
        aborted(), "the connection's task is aborted";
    }
    for event in [Event::Message, Event::Error, Event::Close] {
        let name = event.name();
        play! {
            waits(event), format!("the inner {name} waits");
            cancelled(event), format!("a waiting {name} is dropped");
            panics(event), format!("the inner {name} panics");
        }
    }
    play! { background_panics(), "the inner poll_background panics"; }
}

const EVERY_END: [ClosedBy; 9] = [
    ClosedBy::Peer,
    ClosedBy::Local,
    ClosedBy::Protocol,
    ClosedBy::Handler,
    ClosedBy::Panic,
    ClosedBy::SlowPeer,
    ClosedBy::Cut,
    ClosedBy::Timeout,
    ClosedBy::Lost,
];

/// How often the layer may be polled before it polls the inner background.
const POLLS: usize = 16;

/// The events of a connection that was opened.
#[derive(Clone, Copy)]
enum Event {
    Message,
    Error,
    Close,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Message => "on_message",
            Event::Error => "on_error",
            Event::Close => "on_close",
        }
    }
}

/// What scenes are played with.
struct Stage<'a, W: Wire, U: Connection, L> {
    wire: &'a dyn Fn() -> W,
    layer: &'a dyn Fn(Probe<U>) -> L,
    messages: &'a dyn Fn(usize) -> (<W::Connection as Connection>::Incoming, U::Incoming),
}

/// A connection through the layer to the probe.
struct Play<'a, W: Wire, U: Connection, L: Handler<W::Connection>> {
    stage: &'a Stage<'a, W, U, L>,
    script: Arc<Script<U>>,
    id: ConnectionId,
    /// `None` from `on_close` on.
    session: Option<Session<W, L>>,
}

impl<'a, W, U, L> Stage<'a, W, U, L>
where
    W: Wire,
    U: Connection<Wire = W, Incoming: Debug + PartialEq>,
    L: Handler<W::Connection>,
{
    /// A layer around a new probe.
    fn set(&self) -> (Arc<Script<U>>, L, Mock<W>) {
        let script = Script::new();
        let layer = (self.layer)(Probe(script.clone()));
        (script, layer, Mock::new((self.wire)()))
    }

    async fn open(&'a self) -> Result<Play<'a, W, U, L>, Fault> {
        let (script, layer, mut mock) = self.set();
        let id = mock.connection().id();
        let opened = attempt("on_open", mock.open(layer)).await?;
        let session = opened.map_err(|error| format!("on_open failed by itself: {error:?}"))?;
        let play = Play { stage: self, script, id, session: Some(session) };
        if play.scene().seen.iter().any(|(seen, _)| *seen != id) {
            return Err("the upper connection has not the id of the lower one".into());
        }
        play.expect("on_open", Seen::Open)?;
        Ok(play)
    }

    async fn ends(&'a self, by: ClosedBy) -> Result<(), Fault> {
        let mut play = self.open().await?;
        for n in 0..5 {
            let message = (self.messages)(n).0;
            let handled = attempt("on_message", play.session().message(message)).await?;
            handled.map_err(|error| format!("on_message failed by itself with message {n}: {error:?}"))?;
        }
        play.expect_messages(5)?;
        play.close(by).await
    }

    async fn open_fails(&'a self) -> Result<(), Fault> {
        let (script, layer, mut mock) = self.set();
        script.lock().act = Act::Fail;
        let Err(error) = attempt("on_open", mock.open(layer)).await? else {
            return Err("the error of the inner on_open was swallowed".into());
        };
        same_error("on_open", &error)?;
        match &script.lock().seen[..] {
            [(_, Seen::Open)] => Ok(()),
            [.., (_, Seen::Open)] => Err("on_open reached the inner handler twice".into()),
            [_, others @ ..] => Err(format!("without an open connection, the inner handler got {others:?}")),
            [] => Err("on_open did not reach the inner handler".into()),
        }
    }

    async fn open_waits(&'a self) -> Result<(), Fault> {
        let (script, layer, mut mock) = self.set();
        script.lock().act = Act::Wait;
        let mut step = pin!(mock.open(layer));
        goes_on("on_open", &script, step.as_mut()).await?;
        attempt("on_open", step).await?.map_err(|error| format!("on_open failed by itself: {error:?}"))?;

        let (script, layer, mut mock) = self.set();
        script.lock().act = Act::Wait;
        {
            let mut step = pin!(mock.open(layer));
            waiting("on_open", &script, step.as_mut(), &Arc::default()).await?;
        }
        dropped("on_open", &script)
    }

    async fn open_panics(&'a self) -> Result<(), Fault> {
        let (script, layer, mut mock) = self.set();
        script.lock().act = Act::Panic;
        panicked("on_open", &script, mock.open(layer)).await
    }

    async fn message_fails(&'a self) -> Result<(), Fault> {
        for verdict in [Verdict::Continue, Verdict::Close(Reason::Policy)] {
            let mut play = self.open().await?;
            play.scene().act = Act::Fail;
            let message = (self.messages)(0).0;
            let Err(error) = attempt("on_message", play.session().message(message)).await? else {
                return Err("the error of the inner on_message was swallowed".into());
            };
            same_error("on_message", &error)?;
            play.expect_messages(1)?;
            play.judge(error, verdict).await?;
            if verdict == Verdict::Continue {
                play.message(1).await?;
            }
            play.close(ClosedBy::Handler).await?;
        }
        Ok(())
    }

    async fn protocol_fails(&'a self) -> Result<(), Fault> {
        let mut play = self.open().await?;
        play.judge(Error::new(Reason::BadPeer, "the peer broke the protocol"), Verdict::Close(Reason::BadPeer)).await?;
        play.close(ClosedBy::Protocol).await
    }

    async fn background(&'a self) -> Result<(), Fault> {
        let mut play = self.open().await?;
        let mut polled = play.poll_background(Act::Wait)?;
        for _ in 0..POLLS {
            match polled {
                Poll::Pending if !play.session().is_woken() => break,
                Poll::Ready(Err(error)) => return Err(format!("poll_background failed by itself: {error:?}")),
                _ => polled = play.session().background(),
            }
        }
        if polled.is_ready() || play.session().is_woken() {
            return Err("poll_background does not wait although the inner one does".into());
        }
        play.script.release();
        let woken = timeout(PATIENCE, play.session().woken()).await;
        woken.map_err(|_| "the waker of the inner poll_background does not reach the driver")?;
        match play.poll_background(Act::Succeed)? {
            Poll::Ready(Err(error)) => return Err(format!("poll_background failed by itself: {error:?}")),
            Poll::Pending if !play.session().is_woken() => {
                return Err("the inner poll_background was ready and would not be polled again".into());
            }
            _ => {}
        }
        play.message(0).await?;
        play.close(ClosedBy::Peer).await
    }

    async fn background_fails(&'a self) -> Result<(), Fault> {
        for verdict in [Verdict::Continue, Verdict::Close(Reason::Policy)] {
            let mut play = self.open().await?;
            let Poll::Ready(Err(error)) = play.poll_background(Act::Fail)? else {
                return Err("the error of the inner poll_background was swallowed".into());
            };
            same_error("poll_background", &error)?;
            play.judge(error, verdict).await?;
            play.close(ClosedBy::Handler).await?;
        }
        Ok(())
    }

    async fn background_panics(&'a self) -> Result<(), Fault> {
        let mut play = self.open().await?;
        match catch_unwind(AssertUnwindSafe(|| play.poll_background(Act::Panic))) {
            Ok(Err(fault)) => return Err(fault),
            Ok(Ok(_)) => return Err("the panic of the inner poll_background was swallowed".into()),
            Err(panic) => on_purpose("poll_background", &*panic)?,
        }
        play.close(ClosedBy::Panic).await
    }

    async fn two_connections(&'a self) -> Result<(), Fault> {
        let script = Script::new();
        let layer = Arc::new((self.layer)(Probe(script.clone())));
        let mut sessions = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut mock = Mock::new((self.wire)());
            ids.push(mock.connection().id());
            let opened = attempt("on_open", mock.open(layer.clone())).await?;
            sessions.push(opened.map_err(|error| format!("on_open failed by itself: {error:?}"))?);
        }
        // Both get the same messages, as the first ones of theirs; the probe sees on which connection they arrive.
        for (n, which) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let handled = attempt("on_message", sessions[which].message((self.messages)(n).0)).await?;
            handled.map_err(|error| format!("on_message failed by itself with message {n}: {error:?}"))?;
        }
        for session in &mut sessions {
            attempt("on_error", session.error(Error::new(REASON, TEXT))).await?;
        }
        // The last to come is the first to go.
        for session in sessions.into_iter().rev() {
            attempt("on_close", session.close(ClosedBy::Peer, Reason::GoingAway)).await?;
        }
        let seen = std::mem::take(&mut script.lock().seen);
        for (_, seen) in &seen {
            if let Seen::Mixed(event) = seen {
                return Err(format!("{event} reached the inner handler with the state of another connection"));
            }
        }
        let message = |n| Seen::Message((self.messages)(n).1);
        let (first, second) = (ids[0], ids[1]);
        // All in one row, so that two connections that are mistaken for each other show.
        let expected = [
            (first, Seen::Open),
            (second, Seen::Open),
            (first, message(0)),
            (second, message(0)),
            (first, message(1)),
            (second, message(1)),
            (first, Seen::Error(REASON, TEXT.into())),
            (second, Seen::Error(REASON, TEXT.into())),
            (second, Seen::Close(GOODBYE)),
            (second, Seen::Dropped),
            (first, Seen::Close(GOODBYE)),
            (first, Seen::Dropped),
        ];
        if seen != expected {
            return Err(format!("the inner handler got {seen:?} instead of {expected:?}"));
        }
        Ok(())
    }

    async fn aborted(&'a self) -> Result<(), Fault> {
        let mut play = self.open().await?;
        play.message(0).await?;
        play.session = None;
        match play.take().as_slice() {
            [Seen::Dropped] => Ok(()),
            [] => Err(KEPT.into()),
            other => Err(format!("the inner handler got {other:?}")),
        }
    }

    async fn waits(&'a self, event: Event) -> Result<(), Fault> {
        let mut play = self.open().await?;
        play.scene().act = Act::Wait;
        let script = play.script.clone();
        {
            let mut step = play.step(event);
            goes_on(event.name(), &script, step.as_mut()).await?;
            attempt(event.name(), step).await?;
        }
        play.expect_event(event)?;
        play.finish(event, ClosedBy::Local).await
    }

    async fn cancelled(&'a self, event: Event) -> Result<(), Fault> {
        let mut play = self.open().await?;
        play.scene().act = Act::Wait;
        let script = play.script.clone();
        {
            let mut step = play.step(event);
            waiting(event.name(), &script, step.as_mut(), &Arc::default()).await?;
        }
        dropped(event.name(), &script)?;
        play.expect_event(event)?;
        play.finish(event, ClosedBy::Cut).await
    }

    async fn panics(&'a self, event: Event) -> Result<(), Fault> {
        let mut play = self.open().await?;
        play.scene().act = Act::Panic;
        let script = play.script.clone();
        panicked(event.name(), &script, play.step(event)).await?;
        play.expect_event(event)?;
        play.finish(event, ClosedBy::Panic).await
    }
}

/// What the probe is told when the peer has closed.
const GOODBYE: Closed = Closed { by: ClosedBy::Peer, reason: Reason::GoingAway, clean: true };
const LOST: &str = "the inner state was dropped before on_close";
const KEPT: &str = "the inner state was not dropped";

impl<W, U, L> Play<'_, W, U, L>
where
    W: Wire,
    U: Connection<Wire = W, Incoming: Debug + PartialEq>,
    L: Handler<W::Connection>,
{
    fn session(&mut self) -> &mut Session<W, L> {
        self.session.as_mut().expect("a scene closes once")
    }

    fn scene(&self) -> MutexGuard<'_, Scene<U>> {
        self.script.lock()
    }

    /// What the probe has seen since the last look.
    fn take(&self) -> Vec<Seen<U::Incoming>> {
        std::mem::take(&mut self.scene().seen).into_iter().map(|(_, seen)| seen).collect()
    }

    /// The probe has seen this one event.
    fn expect(&self, name: &str, expected: Seen<U::Incoming>) -> Result<(), Fault> {
        match self.take().as_slice() {
            [seen] if *seen == expected => Ok(()),
            [] => Err(format!("{name} did not reach the inner handler")),
            all if all.iter().filter(|seen| same_kind(seen, &expected)).count() > 1 => {
                Err(format!("{name} reached the inner handler twice"))
            }
            [.., Seen::Dropped] => Err(LOST.into()),
            [seen] => Err(format!("in {name} the inner handler got {seen:?} instead of {expected:?}")),
            all => Err(format!("in {name} the inner handler got {all:?} instead of {expected:?} alone")),
        }
    }

    /// The probe has seen the first messages, in order.
    fn expect_messages(&self, count: usize) -> Result<(), Fault> {
        let expected: Vec<_> = (0..count).map(|n| (self.stage.messages)(n).1).collect();
        let mut got = Vec::new();
        for seen in self.take() {
            match seen {
                Seen::Message(message) => got.push(message),
                Seen::Dropped => return Err(LOST.into()),
                other => return Err(format!("in on_message the inner handler got {other:?}")),
            }
        }
        if let Some(unknown) = got.iter().find(|message| !expected.contains(message)) {
            return Err(format!("the inner handler got a message that nobody has sent: {unknown:?}"));
        }
        for (n, message) in expected.iter().enumerate() {
            match got.iter().filter(|arrived| *arrived == message).count() {
                0 => return Err(format!("message {n} was dropped: {message:?} did not reach the inner handler")),
                1 => {}
                _ => return Err(format!("message {n} was doubled: {message:?} reached the inner handler twice")),
            }
        }
        if got != expected {
            return Err(format!("messages were reordered: {expected:?} arrived as {got:?}"));
        }
        Ok(())
    }

    async fn message(&mut self, n: usize) -> Result<(), Fault> {
        let (message, expected) = (self.stage.messages)(n);
        let handled = attempt("on_message", self.session().message(message)).await?;
        handled.map_err(|error| format!("on_message failed by itself with message {n}: {error:?}"))?;
        self.expect("on_message", Seen::Message(expected))
    }

    /// Has an error judged; the inner handler is told of it, and its verdict holds.
    async fn judge(&mut self, error: Error, verdict: Verdict) -> Result<(), Fault> {
        self.scene().verdict = verdict;
        let told = Seen::Error(error.reason(), error.to_string());
        let said = attempt("on_error", self.session().error(error)).await?;
        self.expect("on_error", told)?;
        if said != verdict {
            return Err(format!("the inner verdict {verdict:?} of on_error became {said:?}"));
        }
        Ok(())
    }

    /// Polls the layer's background until it has polled the inner one, which does `act`.
    fn poll_background(&mut self, act: Act) -> Result<Poll<Result<(), Error>>, Fault> {
        self.scene().background = act;
        let before = self.scene().polls;
        for _ in 0..POLLS {
            let polled = self.session().background();
            if self.scene().polls > before {
                return Ok(polled);
            }
            if polled.is_pending() && !self.session().is_woken() {
                break;
            }
        }
        Err("poll_background did not reach the inner handler".into())
    }

    async fn close(&mut self, by: ClosedBy) -> Result<(), Fault> {
        let session = self.session.take().expect("a scene closes once");
        let closed = attempt("on_close", session.close(by, Reason::GoingAway)).await?;
        self.expect_end(closed)
    }

    /// The probe was told of the end, and its state was dropped.
    fn expect_end(&self, closed: Closed) -> Result<(), Fault> {
        let mut seen = self.take();
        let dropped = seen.iter().position(|seen| *seen == Seen::Dropped).map(|at| seen.remove(at)).is_some();
        self.scene().seen.extend(seen.into_iter().map(|seen| (self.id, seen)));
        self.expect("on_close", Seen::Close(closed))?;
        if dropped { Ok(()) } else { Err(KEPT.into()) }
    }

    /// The step of an event, for scenes in which it does not just succeed.
    fn step(&mut self, event: Event) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        match event {
            Event::Message => {
                let message = (self.stage.messages)(0).0;
                Box::pin(async { drop(self.session().message(message).await) })
            }
            Event::Error => Box::pin(async {
                self.session().error(Error::new(REASON, TEXT)).await;
            }),
            Event::Close => {
                let session = self.session.take().expect("a scene closes once");
                Box::pin(async {
                    session.close(ClosedBy::Peer, Reason::GoingAway).await;
                })
            }
        }
    }

    /// The probe has seen the event of that step.
    fn expect_event(&self, event: Event) -> Result<(), Fault> {
        match event {
            Event::Message => self.expect_messages(1),
            Event::Error => self.expect("on_error", Seen::Error(REASON, TEXT.into())),
            Event::Close => self.expect_end(GOODBYE),
        }
    }

    /// After the step of an event, whatever became of it, the connection ends in good order.
    async fn finish(&mut self, after: Event, by: ClosedBy) -> Result<(), Fault> {
        match after {
            Event::Close => Ok(()),
            _ => self.close(by).await,
        }
    }
}

fn same_kind<M>(one: &Seen<M>, other: &Seen<M>) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// An error of the probe's may be dressed, but not disguised.
fn same_error(name: &str, error: &Error) -> Result<(), Fault> {
    if error.reason() != REASON {
        return Err(format!(
            "the reason of an error in the inner {name} changed from {REASON:?} to {:?}",
            error.reason()
        ));
    }
    if !error.to_string().contains(TEXT) {
        return Err(format!("the error of the inner {name} was replaced by {error:?}"));
    }
    Ok(())
}
