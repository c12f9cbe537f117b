//! A connection's life in single steps, when a test wants them: the driver's turns, steps, verdicts and goodbye, and
//! its loop where it ends as soon as there is nothing to do. It lies here because that is what it is made of; its face
//! is [`testing`](crate::testing).

use super::reader::Reader;
use super::{Begun, Counted, Drive, Driver, End, conclude, finish, serve};
use crate::shared::Shared;
use crate::testing::alarm::Alarm;
use crate::testing::caught;
use crate::testing::pipe::Pipe;
use crate::{Closed, ClosedBy, Connection, Error, Handler, Link, Reason, Verdict, Wire};
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

/// A connection that no handler runs on yet.
pub(crate) struct Prepared<W: Wire>(Begun<W>);

impl<W: Wire> Prepared<W> {
    pub(crate) fn new(driver: Driver<W>) -> Self {
        Prepared(driver.begin())
    }

    pub(crate) fn link(&self) -> Link<W> {
        Link(self.0.shared.clone())
    }
}

/// A connection on which a handler's events are called one by one.
///
/// [`message`](Session::message), [`error`](Session::error), [`background`](Session::background) and
/// [`close`](Session::close) each call one method and hand out what it returned. Dropping one of their futures half-way
/// is what the driver does to a step whose connection is cut. Panics go through to the test, and nothing is dropped
/// after a time. Dropping the session is the end of the driver's task: the state is dropped, and no `on_close` runs.
///
/// [`deliver`](Session::deliver) and [`turn`](Session::turn) do what the driver does, verdicts, deadlines and
/// `on_close` included.
///
/// Each of them is a turn of the driver, after which all that was sent is written at once.
pub struct Session<W: Wire, H: Handler<W::Connection>> {
    handler: H,
    conn: W::Connection,
    shared: Arc<Shared<W>>,
    alarm: Arc<Alarm>,
    pipe: Pipe,
    /// Until `on_close`.
    life: Option<Life<W, H::State>>,
    // Last, so that the connection is counted until its state is dropped.
    _counted: Counted<W>,
}

struct Life<W: Wire, S> {
    // Before the reader, which closes the stream.
    state: S,
    reader: Reader<W>,
}

/// Runs `inner` in turns of the driver. Their waker rings the alarm, and wakes the task that polls.
async fn turns<W: Wire, T>(shared: Arc<Shared<W>>, alarm: Arc<Alarm>, inner: impl Future<Output = T> + Send) -> T {
    // A panic must not go through the turn: the outbox would stay corked.
    let mut drive = pin!(Drive { shared, inner: caught(inner), _counted: Counted::none() });
    let waker = Waker::from(alarm.clone());
    let done = poll_fn(|cx| {
        alarm.reset();
        alarm.tell(cx.waker());
        drive.as_mut().poll(&mut Context::from_waker(&waker))
    });
    done.await.unwrap_or_else(|panic| resume_unwind(panic))
}

pub(crate) async fn open<W: Wire, H: Handler<W::Connection>>(
    Prepared(Begun { shared, mut reader, counted }): Prepared<W>,
    pipe: Pipe,
    handler: H,
) -> Result<Session<W, H>, Error> {
    let alarm = Arc::new(Alarm::default());
    let conn = W::connection(Link(shared.clone()));
    shared.tell_opened();
    let opened = turns(shared.clone(), alarm.clone(), async { handler.on_open(&conn).await }).await;
    match opened {
        Ok(state) => {
            let life = Some(Life { state, reader });
            Ok(Session { handler, conn, shared, alarm, pipe, life, _counted: counted })
        }
        Err(error) => {
            reader.take_end();
            pipe.hang_up();
            turns(shared, alarm, finish::finish(reader, End::new(ClosedBy::Handler, error.reason()))).await;
            Err(error)
        }
    }
}

const ENDED: &str = "the session has ended";

impl<W: Wire, H: Handler<W::Connection>> Session<W, H> {
    /// Calls `on_message`.
    ///
    /// # Errors
    ///
    /// The handler's. Nothing follows from it; the driver would go on with `on_error`.
    ///
    /// # Panics
    ///
    /// If the handler does, or the session has ended.
    pub async fn message(&mut self, message: <W::Connection as Connection>::Incoming) -> Result<(), Error> {
        let Session { handler, conn, shared, alarm, life, .. } = self;
        let state = &mut life.as_mut().expect(ENDED).state;
        turns(shared.clone(), alarm.clone(), async { handler.on_message(conn, state, message).await }).await
    }

    /// Calls `on_error`, and returns its verdict. Nothing follows from that.
    ///
    /// # Panics
    ///
    /// If the handler does, or the session has ended.
    pub async fn error(&mut self, error: impl Into<Error>) -> Verdict {
        let Session { handler, conn, shared, alarm, life, .. } = self;
        let (state, error) = (&mut life.as_mut().expect(ENDED).state, error.into());
        turns(shared.clone(), alarm.clone(), async { handler.on_error(conn, state, error).await }).await
    }

    /// Polls the background once, with a waker that [`is_woken`](Session::is_woken) tells about.
    ///
    /// # Errors
    ///
    /// The handler's. Nothing follows from it; the driver would go on with `on_error`.
    ///
    /// # Panics
    ///
    /// If the handler does, or the session has ended.
    pub fn background(&mut self) -> Poll<Result<(), Error>> {
        let Session { handler, conn, shared, alarm, life, .. } = self;
        let state = &mut life.as_mut().expect(ENDED).state;
        let once = poll_fn(|cx| Poll::Ready(handler.poll_background(conn, state, cx)));
        let once = pin!(turns(shared.clone(), alarm.clone(), once));
        match once.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(polled) => polled,
            Poll::Pending => unreachable!("there is nothing in it to wait for"),
        }
    }

    /// Whether the driver would have been woken since its last turn: because the background asked for it, because
    /// somebody has sent to the connection from elsewhere, or because it is to end.
    pub fn is_woken(&self) -> bool {
        self.alarm.has_rung()
    }

    /// Waits until [`is_woken`](Session::is_woken). In a test with paused time, a timer of the background comes at
    /// once.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn woken(&self) {
        self.alarm.ring().await;
    }

    /// Ends the connection: calls `on_close` with what the driver would tell it, says goodbye, and closes the stream.
    /// For [`ClosedBy::Cut`], [`ClosedBy::Lost`] and, with [`Reason::Other`], [`ClosedBy::Timeout`] there is no goodbye
    /// and the reason is always [`Reason::Other`].
    ///
    /// # Panics
    ///
    /// If the handler does, or the session has ended.
    pub async fn close(mut self, by: ClosedBy, reason: Reason) -> Closed {
        let Session { handler, conn, shared, alarm, pipe, life, .. } = &mut self;
        let Life { state, mut reader } = life.take().expect(ENDED);
        let end = match by {
            ClosedBy::Cut | ClosedBy::Lost => End::without_goodbye(by),
            ClosedBy::Timeout if reason == Reason::Other => End::without_goodbye(by),
            _ => End::new(by, reason),
        };
        {
            let mut outbox = shared.lock();
            if end.close.is_none() && by != ClosedBy::Lost {
                outbox.ending().cut = Some(by);
                outbox.fail();
            }
            if by == ClosedBy::Peer {
                outbox.ending().from_peer = end.close.clone();
            }
            outbox.ending().goodbye = end.close.clone();
        }
        reader.take_end();
        let closed = end.closed();
        pipe.hang_up();
        turns(shared.clone(), alarm.clone(), async {
            handler.on_close(conn, state, closed).await;
            finish::finish(reader, end).await;
        })
        .await;
        closed
    }

    /// Does what the driver does with a message: a [turn](Session::turn), `on_message`, if that fails `on_error`, if
    /// that wants it `on_close` and the goodbye, and another turn. Returns what `on_close` was told if the connection
    /// has ended; then nothing more can be called.
    ///
    /// Like the driver, it waits while more than [`Limits::outbox_soft`](crate::Limits::outbox_soft) bytes lie in the
    /// outbox, and does not deliver a message if what came before it ends the connection. A step that does not come to
    /// its end is dropped when the connection is cut, or some time after it was closed, as [`Limits`](crate::Limits)
    /// say: have time paused.
    ///
    /// # Panics
    ///
    /// If the session has ended. A panic of the handler is caught and ends the connection.
    pub async fn deliver(&mut self, message: <W::Connection as Connection>::Incoming) -> Option<Closed> {
        self.run(Some(message)).await
    }

    /// Does what the driver does when it is woken: polls the background until it waits, reads and handles what [has
    /// arrived](crate::testing::Mock::receive), and ends the connection if somebody has asked for that. Returns what
    /// `on_close` was told if the connection has ended; then nothing more can be called.
    ///
    /// # Panics
    ///
    /// If the session has ended. A panic of the handler is caught and ends the connection.
    pub async fn turn(&mut self) -> Option<Closed> {
        self.run(None).await
    }

    /// The driver's loop, but for a message that comes from the test: behind all that has arrived, and when the driver
    /// would read. Ends when there is nothing to wait for but a message.
    async fn run(&mut self, mut message: Option<<W::Connection as Connection>::Incoming>) -> Option<Closed> {
        let Session { handler, conn, shared, alarm, life, .. } = self;
        let Life { state, reader } = life.as_mut().expect(ENDED);
        let idle = AtomicBool::new(false);
        let at_rest = |reader: &mut Reader<W>| {
            // Not in front of what is still to be read.
            let waits = alarm.has_rung() || reader.waits_for_room();
            let brought = message.take_if(|_| !waits).map(|message| reader.store(message, 0)).is_some();
            idle.store(!brought && message.is_none(), Ordering::Relaxed);
            brought
        };
        let end = {
            let serve = serve(reader, handler, conn, state, at_rest);
            let mut serve = pin!(turns(shared.clone(), alarm.clone(), serve));
            poll_fn(|cx| {
                idle.store(false, Ordering::Relaxed);
                match serve.as_mut().poll(cx) {
                    // It waits for something that is not there yet, and nothing wakes it.
                    Poll::Pending if idle.load(Ordering::Relaxed) && !alarm.has_rung() => Poll::Ready(None),
                    polled => polled.map(Some),
                }
            })
            .await?
        };
        let Life { state, reader } = life.take().expect(ENDED);
        let closed = end.closed();
        self.pipe.hang_up();
        turns(shared.clone(), alarm.clone(), conclude(reader, handler, conn, state, end)).await;
        Some(closed)
    }
}

impl<W: Wire> Reader<W> {
    fn waits_for_room(&self) -> bool {
        self.shared.lock().is_crowded()
    }
}

impl<W: Wire, H: Handler<W::Connection>> fmt::Debug for Session<W, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("link", self.conn.link()).field("ended", &self.life.is_none()).finish_non_exhaustive()
    }
}
