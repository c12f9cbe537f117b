//! The test kit: what a mock connection does, and that the check for layers finds what is wrong with one.

mod common;

use bytes::Bytes;
use common::Obedient;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::testing::{Mock, Probe, check_layer, poll_once};
use wsrv_core::{
    Closed, ClosedBy, Connection, ConnectionId, Connections, Driver, Error, Handler, Limits, Link, Reason, SendError,
    SlowPeer, Verdict,
};

fn mock() -> Mock<Lines> {
    Mock::new(Lines::new(200_000))
}

fn limited(limits: Limits) -> Mock<Lines> {
    Mock::with(Lines::new(200_000), |driver| driver.limits(Arc::new(limits)))
}

// --- the mock connection ---------------------------------------------------------

#[tokio::test]
async fn what_a_turn_sends_leaves_in_one_write() {
    let mut mock = mock();
    mock.connection().try_send("before").unwrap();
    assert_eq!((&mock.take_sent()[..], mock.writes()), (&b"before\n"[..], 1));
    let handler = Arc::new(Obedient::default());
    let mut session = mock.open(handler.clone()).await.unwrap();
    session.message("all one".into()).await.unwrap();
    session.message("two".into()).await.unwrap();
    assert_eq!((&mock.sent()[..], mock.writes()), (&b"one\ntwo\n"[..], 3));
    // Ten of another's turn are one write, too.
    let mut other = self::mock();
    let mut others = other.open(handler.clone()).await.unwrap();
    for n in 0..10 {
        others.message(format!("others {n}").into()).await.unwrap();
    }
    assert_eq!(mock.writes(), 4);
    assert!(mock.take_sent().ends_with(b"8\n9\n"));
    assert!(other.take_sent().is_empty());
}

#[tokio::test]
async fn a_slow_peer_fills_the_outbox_and_makes_senders_wait() {
    let mut mock = limited(Limits::default().with_outbox(1000).with_slow_peer(SlowPeer::DropNewest));
    let mut session = mock.open(Obedient::default()).await.unwrap();
    let conn = mock.connection().clone();
    mock.stall();
    {
        let mut flood = pin!(session.message("flood 3".into()));
        assert!(poll_once(flood.as_mut()).is_pending());
        assert_eq!(conn.link().queued(), 100_000);
        assert_eq!(conn.try_send("no room"), Err(SendError::Full));
        assert_eq!(mock.sent().len(), 0);
        mock.accept(99_000);
        assert!(poll_once(flood.as_mut()).is_pending());
        mock.accept(1_000);
        assert!(poll_once(flood.as_mut()).is_pending());
        assert_eq!(mock.take_sent().len(), 100_000, "the second was sent, and the peer takes none of it");
        assert_eq!(conn.link().queued(), 100_000);
        mock.resume();
        flood.await.unwrap();
    }
    assert!(mock.take_sent().ends_with(b"x\nflooded\n"));
}

#[tokio::test(start_paused = true)]
async fn a_sender_elsewhere_is_woken_by_the_peer_that_takes_something() {
    let mock = limited(Limits::default().with_outbox(10));
    let conn = mock.connection().clone();
    mock.stall();
    conn.send("0123456789").await.unwrap();
    let sender = tokio::spawn(async move { conn.send("more").await });
    sleep(Duration::from_secs(1)).await;
    assert!(!sender.is_finished());
    mock.accept(6);
    sender.await.unwrap().unwrap();
    assert_eq!(&mock.sent()[..], b"012345");
}

#[tokio::test]
async fn a_slow_peer_is_closed_as_the_policy_says() {
    let mut mock = limited(Limits::default().with_outbox(10));
    let mut session = mock.open(Obedient::default()).await.unwrap();
    mock.stall();
    mock.connection().try_send("0123456789").unwrap();
    assert_eq!(mock.connection().try_send("more"), Err(SendError::Full));
    assert!(session.is_woken());
    mock.resume();
    let closed = session.turn().await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::SlowPeer, Reason::Policy));
    assert_eq!(&mock.sent()[..], b"0123456789\nlast words\n");
    assert!(mock.is_ended());
}

#[tokio::test(start_paused = true)]
async fn connections_keep_a_mock_like_any_other() {
    let all = Connections::new();
    let limits = Limits::default().with_idle_timeout(Some(Duration::from_secs(60)));
    let mut mock = Mock::with(Lines::new(10), |driver| driver.limits(Arc::new(limits)).tracked_by(&all));
    let mut session = mock.open(Obedient::default()).await.unwrap();
    let began = Instant::now();
    session.woken().await;
    assert!((60..=62).contains(&began.elapsed().as_secs()));
    let closed = session.turn().await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Timeout, Reason::Done));
    drop(session);
    assert!(all.is_empty());
}

#[tokio::test]
async fn a_refused_connection_says_goodbye_and_is_gone() {
    let mut mock = mock();
    let handler = Arc::new(Obedient::default());
    *handler.open.lock().unwrap() = "fail";
    let error = mock.open(handler.clone()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Policy);
    assert!(mock.is_ended() && !mock.connection().is_open() && handler.closed().is_empty());
    assert_eq!(mock.connection().try_send("too late"), Err(SendError::Closed));
}

#[tokio::test]
async fn a_session_that_is_dropped_drops_the_state_and_the_connection() {
    let mut mock = mock();
    let handler = Arc::new(Obedient::default());
    let session = mock.open(handler.clone()).await.unwrap();
    assert_eq!(handler.alive.load(SeqCst), 1);
    drop(session);
    assert_eq!(handler.alive.load(SeqCst), 0);
    assert!(handler.closed().is_empty());
    assert_eq!(mock.connection().try_send("too late"), Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn each_event_is_called_by_itself() {
    let mut mock = mock();
    let handler = Arc::new(Obedient::default());
    let mut session = mock.open(handler.clone()).await.unwrap();
    let error = session.message("fail".into()).await.unwrap_err();
    assert_eq!(handler.errors.lock().unwrap().len(), 0, "nothing follows");
    assert_eq!(session.error(error).await, Verdict::Close(Reason::Internal));
    assert_eq!(session.error("forgive me").await, Verdict::Continue);
    assert!(handler.closed().is_empty(), "nothing follows");
    let panic = AssertUnwindSafe(session.message("panic".into())).catch_unwind().await;
    assert!(panic.is_err());
    // Nothing is left corked.
    session.message("go on".into()).await.unwrap();
    assert_eq!(&mock.take_sent()[..], b"go on\n");
    let began = Instant::now();
    let closed = session.close(ClosedBy::Peer, Reason::GoingAway).await;
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Peer, Reason::GoingAway, true));
    assert_eq!(handler.closed(), [closed]);
    let link = mock.connection().link();
    assert_eq!((link.goodbye(), link.peer_close()), (Some(Reason::GoingAway), Some(Reason::GoingAway)));
    assert!(began.elapsed() < Duration::from_millis(100), "there is nobody to wait for");
    assert_eq!(&mock.take_sent()[..], b"last words\n");
    assert!(mock.is_ended());
}

#[tokio::test]
async fn a_cut_connection_says_nothing_more() {
    for by in [ClosedBy::Cut, ClosedBy::Timeout] {
        let mut mock = mock();
        let session = mock.open(Obedient::default()).await.unwrap();
        let closed = session.close(by, Reason::Other).await;
        assert_eq!((closed.by, closed.reason, closed.clean), (by, Reason::Other, false));
        assert_eq!(&mock.take_sent()[..], b"");
    }
}

/// Ticks every ten seconds, in the background.
struct Ticking;

impl Handler<LineConnection> for Ticking {
    type State = tokio::time::Interval;
    async fn on_open(&self, _: &LineConnection) -> Result<Self::State, Error> {
        let period = Duration::from_secs(10);
        Ok(tokio::time::interval_at(Instant::now() + period, period))
    }
    async fn on_message(&self, _: &LineConnection, _: &mut Self::State, _: Bytes) -> Result<(), Error> {
        Ok(())
    }
    fn poll_background(
        &self,
        conn: &LineConnection,
        ticks: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ticks.poll_tick(cx).map(|_| Ok(conn.try_send("tick")?))
    }
}

#[tokio::test(start_paused = true)]
async fn the_background_is_polled_once_and_tells_when_it_wants_more() {
    let mut mock = mock();
    let mut session = mock.open(Ticking).await.unwrap();
    assert!(session.background().is_pending() && !session.is_woken());
    let began = Instant::now();
    session.woken().await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(session.is_woken() && session.background().is_ready());
    assert_eq!(&mock.take_sent()[..], b"tick\n");
    // The background is looked after by the driver's turns, too.
    assert_eq!(session.deliver("hello".into()).await, None);
    session.woken().await;
    assert_eq!(session.turn().await, None);
    assert_eq!(&mock.take_sent()[..], b"tick\n");
}

/// What happened to a handler, and what its peer has read.
type Story = (Vec<String>, Vec<Closed>, Vec<u8>);

async fn by_the_driver(lines: &[&str]) -> Story {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tokio::io::duplex(1 << 20);
    let task = tokio::spawn(Driver::io(stream, Lines::new(20)).run(handler.clone()));
    peer.write_all(lines.join("\n").as_bytes()).await.unwrap();
    peer.shutdown().await.unwrap();
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    drop(peer);
    task.await.unwrap();
    let errors = handler.errors.lock().unwrap().clone();
    (errors, handler.closed(), read)
}

/// By a session: as bytes, or line by line as messages.
async fn by_hand(lines: &[&'static str], bytes: bool) -> Story {
    let handler = Arc::new(Obedient::default());
    let mut mock = Mock::new(Lines::new(20));
    let mut session = mock.open(handler.clone()).await.unwrap();
    let mut closed = None;
    if bytes {
        mock.receive(lines.join("\n"));
        mock.hang_up();
        closed = session.turn().await;
    } else {
        for line in lines {
            closed = closed.or(session.deliver((*line).into()).await);
            if closed.is_some() {
                break;
            }
        }
    }
    assert_eq!(handler.closed(), [closed.expect("it ends with the last line at the latest")]);
    let errors = handler.errors.lock().unwrap().clone();
    (errors, handler.closed(), mock.take_sent().into())
}

#[tokio::test(start_paused = true)]
async fn a_session_does_what_the_driver_does() {
    for lines in [
        &["one", "sleep 20", "forgive", "two", "close", "three", ""][..],
        &["one", "fail", "two", ""],
        &["one", "panic", "two", ""],
        &["one", "until-closed", "two", ""],
        &["flood 5", "all one", "others two", "close", ""],
        &["one", "two", ""],
        &["one", "two"],
        &["one", "this is too long for a line", "two", ""],
    ] {
        let expected = by_the_driver(lines).await;
        assert_eq!(by_hand(lines, true).await, expected, "{lines:?}");
        if ["close", "fail", "panic"].iter().any(|end| lines.contains(end)) {
            assert_eq!(by_hand(lines, false).await, expected, "{lines:?}");
        }
    }
}

#[tokio::test]
async fn what_arrives_is_read_in_a_turn_and_while_a_delivered_message_is_handled() {
    let mut mock = mock();
    let handler = Arc::new(Obedient::default());
    let mut session = mock.open(handler.clone()).await.unwrap();
    assert_eq!(session.turn().await, None);
    mock.receive("one\ntw");
    assert!(session.is_woken());
    assert_eq!(session.turn().await, None);
    assert_eq!(&mock.take_sent()[..], b"one\n");
    mock.receive("o\n");
    mock.hang_up();
    let task = tokio::spawn(async move { session.deliver("until-closed".into()).await });
    assert_eq!(task.await.unwrap().unwrap().by, ClosedBy::Peer);
    // What came before the message was handled before it; then it heard of the end.
    assert_eq!(&mock.take_sent()[..], b"two\nlast words\n");
}

#[tokio::test]
async fn a_delivered_message_comes_behind_all_that_has_arrived() {
    let mut mock = mock();
    let mut session = mock.open(Obedient::default()).await.unwrap();
    // More than the driver does at a time.
    mock.receive("x\n".repeat(1000));
    assert_eq!(session.deliver("last".into()).await, None);
    assert!(mock.take_sent().ends_with(b"x\nlast\n"));
    mock.receive("x\n".repeat(1000));
    assert_eq!(session.turn().await, None);
    assert_eq!(mock.take_sent().len(), 2000);
}

#[tokio::test]
async fn a_message_is_not_delivered_while_the_driver_would_not_read() {
    let mut mock = limited(Limits::default().with_outbox_soft(10));
    let mut session = mock.open(Obedient::default()).await.unwrap();
    mock.stall();
    mock.connection().try_send("0123456789").unwrap();
    let mut delivered = pin!(session.deliver("one".into()));
    assert!(poll_once(delivered.as_mut()).is_pending());
    assert_eq!(mock.connection().link().queued(), 11);
    mock.resume();
    assert_eq!(delivered.await, None);
    assert_eq!(&mock.take_sent()[..], b"0123456789\none\n");
}

/// Its background fails until a message has come, and each time it is forgiven.
struct Forgiving;

impl Handler<LineConnection> for Forgiving {
    type State = bool;
    async fn on_open(&self, _: &LineConnection) -> Result<bool, Error> {
        Ok(false)
    }
    async fn on_message(&self, conn: &LineConnection, done: &mut bool, line: Bytes) -> Result<(), Error> {
        *done = true;
        Ok(conn.send(line).await?)
    }
    async fn on_error(&self, _: &LineConnection, _: &mut bool, _: Error) -> Verdict {
        Verdict::Continue
    }
    fn poll_background(&self, _: &LineConnection, done: &mut bool, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if *done { Poll::Pending } else { Poll::Ready(Err("not yet".into())) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_background_that_is_forgiven_lets_messages_through() {
    let mut mock = mock();
    let mut session = mock.open(Forgiving).await.unwrap();
    mock.receive("one\n");
    let turn = tokio::time::timeout(Duration::from_secs(1), session.turn()).await;
    assert_eq!(turn.expect("no endless loop"), None);
    assert_eq!(&mock.take_sent()[..], b"one\n");
}

#[tokio::test]
#[should_panic(expected = "opened once")]
async fn a_mock_is_opened_once() {
    let mut mock = mock();
    let _session = mock.open(Obedient::default()).await.unwrap();
    let _ = mock.open(Obedient::default()).await;
}

#[tokio::test(start_paused = true)]
async fn deliver_drops_a_step_that_hangs_when_its_time_is_over() {
    let limits = Limits::default();
    for (cut, seconds) in [(true, 1), (false, 1 + limits.close_timeout.as_secs())] {
        let mut mock = mock();
        let handler = Arc::new(Obedient::default());
        let mut session = mock.open(handler.clone()).await.unwrap();
        let conn = mock.connection().clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            if cut { conn.cut() } else { conn.close(Reason::GoingAway) }
        });
        let began = Instant::now();
        let closed = session.deliver("hang".into()).await.unwrap();
        assert_eq!(closed.by, if cut { ClosedBy::Cut } else { ClosedBy::Local });
        assert_eq!(began.elapsed().as_secs(), seconds);
        assert_eq!(handler.closed(), [closed]);
    }
}

// --- the check for layers --------------------------------------------------------

/// What the layer below makes of a line connection.
#[derive(Clone, Debug)]
struct Upper(LineConnection);

impl Connection for Upper {
    type Wire = Lines;
    type Incoming = String;
    type Outgoing = String;
    fn link(&self) -> &Link<Lines> {
        self.0.link()
    }
    fn encode(message: String) -> Bytes {
        LineConnection::encode(message.into())
    }
}

/// What is wrong with a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    OpensTwice,
    SwallowsOpenError,
    DropsMessage,
    SwapsMessages,
    DoublesMessage,
    ChangesMessage,
    SwallowsMessageError,
    ChangesReason,
    ReplacesError,
    WaitsForNothing,
    LosesWaker,
    LosesStateOfADroppedStep,
    CatchesPanic,
    HidesError,
    HasItsOwnVerdict,
    HidesBackground,
    SwallowsBackgroundError,
    LosesBackgroundWaker,
    NeverRests,
    RestsTooSoon,
    CatchesBackgroundPanic,
    HidesClose,
    TellsAnotherEnd,
    CutsCloseShort,
    KeepsEndedState,
    SharesState,
    MistakesConnections,
}

/// A layer that passes everything on, but for its flaw.
struct Layer<H: Handler<Upper>> {
    inner: H,
    flaw: Flaw,
    shelf: Mutex<HashMap<ConnectionId, (Upper, H::State)>>,
}

struct State<S> {
    upper: Upper,
    inner: Option<S>,
    messages: usize,
    held: Option<String>,
    keeps: bool,
}

impl<H: Handler<Upper>> Layer<H> {
    fn new(inner: H, flaw: Flaw) -> Self {
        Layer { inner, flaw, shelf: Mutex::default() }
    }

    /// A layer with one of these flaws takes whatever state is there, and with the other one its connection too.
    fn fetch(&self, conn: &LineConnection, state: &mut State<H::State>) {
        let mut shelf = self.shelf.lock().unwrap();
        let taken = match self.flaw {
            Flaw::SharesState => *shelf.keys().min().expect("nobody took it"),
            Flaw::MistakesConnections => {
                *shelf.keys().find(|id| **id != conn.id()).or(shelf.keys().next()).expect("nobody took it")
            }
            _ => return,
        };
        let (upper, inner) = shelf.remove(&taken).expect("it was there");
        state.inner = Some(inner);
        if self.flaw == Flaw::MistakesConnections {
            state.upper = upper;
        }
    }

    fn put_back(&self, state: &mut State<H::State>) {
        if matches!(self.flaw, Flaw::SharesState | Flaw::MistakesConnections) {
            let upper = state.upper.clone();
            self.shelf.lock().unwrap().extend(state.inner.take().map(|inner| (upper.id(), (upper, inner))));
        }
    }
}

impl<S> Drop for State<S> {
    fn drop(&mut self) {
        if self.keeps {
            std::mem::forget(self.inner.take());
        }
    }
}

impl<H: Handler<Upper>> Handler<LineConnection> for Layer<H> {
    type State = State<H::State>;

    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        let upper = Upper(conn.clone());
        let inner = match self.inner.on_open(&upper).await {
            Ok(inner) => Some(inner),
            Err(_) if self.flaw == Flaw::SwallowsOpenError => None,
            Err(error) => return Err(error),
        };
        if self.flaw == Flaw::OpensTwice {
            self.inner.on_open(&upper).await?;
        }
        let mut state = State { upper, inner, messages: 0, held: None, keeps: self.flaw == Flaw::KeepsEndedState };
        self.put_back(&mut state);
        Ok(state)
    }

    async fn on_message(&self, conn: &LineConnection, state: &mut Self::State, line: Bytes) -> Result<(), Error> {
        self.fetch(conn, state);
        state.messages += 1;
        let mut message = std::str::from_utf8(&line)?.to_owned();
        let mut taken = None;
        let inner = match self.flaw {
            Flaw::LosesStateOfADroppedStep => taken.insert(state.inner.take().unwrap()),
            _ => state.inner.as_mut().unwrap(),
        };
        let second = state.messages == 2;
        match self.flaw {
            Flaw::DropsMessage if second => return Ok(()),
            Flaw::SwapsMessages if second => {
                state.held = Some(message);
                return Ok(());
            }
            Flaw::ChangesMessage => message.push('!'),
            Flaw::DoublesMessage => self.inner.on_message(&state.upper, inner, message.clone()).await?,
            _ => {}
        }
        let result = {
            let mut step = pin!(async {
                self.inner.on_message(&state.upper, inner, message).await?;
                match state.held.take() {
                    Some(held) => self.inner.on_message(&state.upper, inner, held).await,
                    None => Ok(()),
                }
            });
            poll_fn(|cx| match self.flaw {
                Flaw::CatchesPanic => {
                    catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx))).unwrap_or(Poll::Ready(Ok(())))
                }
                Flaw::LosesWaker => step.as_mut().poll(&mut Context::from_waker(Waker::noop())),
                Flaw::WaitsForNothing => match step.as_mut().poll(cx) {
                    Poll::Pending => Poll::Ready(Ok(())),
                    ready => ready,
                },
                _ => step.as_mut().poll(cx),
            })
            .await
        };
        if let Some(inner) = taken {
            state.inner = Some(inner);
        }
        self.put_back(state);
        match self.flaw {
            Flaw::SwallowsMessageError => Ok(()),
            Flaw::ChangesReason => result.map_err(|error| error.to_string().into()),
            Flaw::ReplacesError => result.map_err(|error| Error::new(error.reason(), "oh dear")),
            _ => result,
        }
    }

    async fn on_error(&self, conn: &LineConnection, state: &mut Self::State, error: Error) -> Verdict {
        if self.flaw == Flaw::HidesError {
            return Verdict::Close(error.reason());
        }
        self.fetch(conn, state);
        let verdict = self.inner.on_error(&state.upper, state.inner.as_mut().unwrap(), error).await;
        self.put_back(state);
        if self.flaw == Flaw::HasItsOwnVerdict { Verdict::Close(Reason::Done) } else { verdict }
    }

    fn poll_background(
        &self,
        conn: &LineConnection,
        state: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.flaw == Flaw::HidesBackground {
            return Poll::Pending;
        }
        self.fetch(conn, state);
        let mut deaf = Context::from_waker(Waker::noop());
        let cx = if self.flaw == Flaw::LosesBackgroundWaker { &mut deaf } else { cx };
        let inner = state.inner.as_mut().unwrap();
        let polled = match self.flaw {
            Flaw::CatchesBackgroundPanic => {
                let caught = catch_unwind(AssertUnwindSafe(|| self.inner.poll_background(&state.upper, inner, cx)));
                caught.unwrap_or(Poll::Pending)
            }
            _ => self.inner.poll_background(&state.upper, inner, cx),
        };
        self.put_back(state);
        match (polled, self.flaw) {
            (Poll::Ready(Err(_)), Flaw::SwallowsBackgroundError) | (Poll::Pending, Flaw::NeverRests) => {
                Poll::Ready(Ok(()))
            }
            (Poll::Ready(Ok(())), Flaw::RestsTooSoon) => Poll::Pending,
            (polled, _) => polled,
        }
    }

    async fn on_close(&self, conn: &LineConnection, mut state: Self::State, mut closed: Closed) {
        if self.flaw == Flaw::HidesClose {
            return;
        }
        self.fetch(conn, &mut state);
        if self.flaw == Flaw::TellsAnotherEnd {
            closed.reason = Reason::Done;
        }
        if let Some(inner) = state.inner.take() {
            let mut step = pin!(self.inner.on_close(&state.upper, inner, closed));
            match self.flaw {
                Flaw::CutsCloseShort => {
                    let _ = poll_once(step.as_mut());
                }
                _ => step.await,
            }
        }
    }
}

async fn check(flaw: Flaw) {
    let layer = |probe: Probe<Upper>| Layer::new(probe, flaw);
    check_layer(|| Lines::new(100), layer, |n| (Bytes::from(format!("message {n}")), format!("message {n}"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_passes_everything_on_passes() {
    check(Flaw::None).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_two_layers_passes() {
    struct Around<H>(H);
    impl<H: Handler<Upper>> Handler<Upper> for Around<H> {
        type State = H::State;
        async fn on_open(&self, conn: &Upper) -> Result<H::State, Error> {
            self.0.on_open(conn).await
        }
        async fn on_message(&self, conn: &Upper, state: &mut H::State, message: String) -> Result<(), Error> {
            self.0.on_message(conn, state, message).await
        }
        async fn on_error(&self, conn: &Upper, state: &mut H::State, error: Error) -> Verdict {
            self.0.on_error(conn, state, error).await
        }
        async fn on_close(&self, conn: &Upper, state: H::State, closed: Closed) {
            self.0.on_close(conn, state, closed).await;
        }
        fn poll_background(&self, conn: &Upper, state: &mut H::State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.0.poll_background(conn, state, cx)
        }
    }
    let layer = |probe: Probe<Upper>| Layer::new(Around(probe), Flaw::None);
    check_layer(|| Lines::new(100), layer, |n| (Bytes::from(n.to_string()), n.to_string())).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_numbers_the_messages_of_each_connection_passes() {
    #[derive(Clone, Debug)]
    struct Numbered(LineConnection);
    impl Connection for Numbered {
        type Wire = Lines;
        type Incoming = (usize, Bytes);
        type Outgoing = Bytes;
        fn link(&self) -> &Link<Lines> {
            self.0.link()
        }
        fn encode(message: Bytes) -> Bytes {
            LineConnection::encode(message)
        }
    }
    struct Numbers<H>(H);
    impl<H: Handler<Numbered>> Handler<LineConnection> for Numbers<H> {
        type State = (Numbered, usize, H::State);
        async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
            let upper = Numbered(conn.clone());
            let inner = self.0.on_open(&upper).await?;
            Ok((upper, 0, inner))
        }
        async fn on_message(&self, _: &LineConnection, state: &mut Self::State, line: Bytes) -> Result<(), Error> {
            let (upper, next, inner) = state;
            let number = *next;
            *next += 1;
            self.0.on_message(upper, inner, (number, line)).await
        }
        async fn on_error(&self, _: &LineConnection, (upper, _, inner): &mut Self::State, error: Error) -> Verdict {
            self.0.on_error(upper, inner, error).await
        }
        async fn on_close(&self, _: &LineConnection, (upper, _, inner): Self::State, closed: Closed) {
            self.0.on_close(&upper, inner, closed).await;
        }
        fn poll_background(
            &self,
            _: &LineConnection,
            (upper, _, inner): &mut Self::State,
            cx: &mut Context<'_>,
        ) -> Poll<Result<(), Error>> {
            self.0.poll_background(upper, inner, cx)
        }
    }
    let line = |n: usize| Bytes::from(format!("line {n}"));
    check_layer(|| Lines::new(100), |probe: Probe<Numbered>| Numbers(probe), |n| (line(n), (n, line(n)))).await;
}

#[tokio::test(start_paused = true)]
async fn each_flaw_of_a_layer_is_found_and_named() {
    for (flaw, words) in [
        (Flaw::OpensTwice, "on_open reached the inner handler twice"),
        (Flaw::SwallowsOpenError, "the error of the inner on_open was swallowed"),
        (Flaw::DropsMessage, "message 1 was dropped"),
        (Flaw::SwapsMessages, "messages were reordered"),
        (Flaw::DoublesMessage, "message 0 was doubled"),
        (Flaw::ChangesMessage, "a message that nobody has sent: \"message 0!\""),
        (Flaw::SwallowsMessageError, "the error of the inner on_message was swallowed"),
        (Flaw::ChangesReason, "changed from Overload to Internal"),
        (Flaw::ReplacesError, "the error of the inner on_message was replaced"),
        (Flaw::WaitsForNothing, "on_message does not wait for the inner handler"),
        (Flaw::LosesWaker, "the waker of the inner on_message does not reach the driver"),
        (
            Flaw::LosesStateOfADroppedStep,
            "when a waiting on_message is dropped: the inner state was dropped before on_close",
        ),
        (Flaw::CatchesPanic, "the panic of the inner on_message was swallowed"),
        (Flaw::HidesError, "on_error did not reach the inner handler"),
        (Flaw::HasItsOwnVerdict, "the inner verdict Continue of on_error became Close(Done)"),
        (Flaw::HidesBackground, "poll_background did not reach the inner handler"),
        (Flaw::SwallowsBackgroundError, "the error of the inner poll_background was swallowed"),
        (Flaw::LosesBackgroundWaker, "the waker of the inner poll_background does not reach the driver"),
        (Flaw::NeverRests, "poll_background does not wait although the inner one does"),
        (Flaw::RestsTooSoon, "the inner poll_background was ready and would not be polled again"),
        (Flaw::CatchesBackgroundPanic, "the panic of the inner poll_background was swallowed"),
        (Flaw::HidesClose, "on_close did not reach the inner handler"),
        (Flaw::TellsAnotherEnd, "in on_close the inner handler got"),
        (Flaw::CutsCloseShort, "on_close does not wait for the inner handler"),
        (Flaw::KeepsEndedState, "the connection's task is aborted: the inner state was not dropped"),
        (Flaw::SharesState, "there are two connections"),
        (Flaw::MistakesConnections, "there are two connections: the inner handler got"),
    ] {
        let panic = AssertUnwindSafe(check(flaw)).catch_unwind().await.expect_err(&format!("{flaw:?} was not found"));
        let said = panic.downcast_ref::<String>().expect("a text");
        assert!(said.contains(words), "{flaw:?}: {said}");
    }
}
