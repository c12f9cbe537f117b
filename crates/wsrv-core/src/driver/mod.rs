//! The driver: one task per connection that reads, runs the handler's steps, and writes.
//!
//! Two futures, one inside the other. The outer one, `Drive`, owns the write side: before each poll it corks the
//! outbox, afterwards it writes all that was sent meanwhile in one go. The inner one is the connection's life:
//! `on_open`, messages one after the other, `on_close`, goodbye.

// An `async fn` would keep its arguments in the future twice, and could not promise `Send` here.
#![allow(clippy::manual_async_fn)]

mod finish;
mod reader;
#[cfg(feature = "test-util")]
pub(crate) mod session;
mod step;

use crate::Accepted;
use crate::connections::Registration;
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::site::canonical;
use crate::stream::{Local, Stream};
use crate::{
    Closed, ClosedBy, Connection, Connections, Error, Handler, Io, Limits, Link, Place, Reason, SendError, Verdict,
    Wire, batch,
};
use bytes::BytesMut;
use pin_project_lite::pin_project;
use reader::{AtHand, Next, Reader};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use step::{Patience, Stepped};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tracing::Instrument;

/// How long a turn may keep its thread before somebody is warned. Turns are measured by the clock of the machine, not by
/// tokio's, which a test may have stopped.
const BLOCKING: Duration = Duration::from_millis(100);

/// A connection about to begin: a stream, and what shall happen on it.
///
/// ```
/// # use wsrv_core::{Driver, Handler, lines::{Lines, LineConnection}};
/// # use std::sync::Arc;
/// # async fn example<H: Handler<LineConnection>>(stream: tokio::net::TcpStream, handler: Arc<H>) {
/// let closed = Driver::tcp(stream, Lines::new(1024)).run(handler).await;
/// println!("{closed}");
/// # }
/// ```
pub struct Driver<W: Wire> {
    stream: Stream,
    wire: W,
    received: BytesMut,
    /// `None`: the socket is to be asked.
    remote_addr: Option<Option<SocketAddr>>,
    local: Option<Local>,
    limits: Option<Arc<Limits>>,
    connections: Option<Connections>,
    place: Option<Place>,
}

impl<W: Wire> Driver<W> {
    /// A connection over TCP. Sets `TCP_NODELAY`: the driver itself collects what belongs together, and waiting for
    /// more only delays.
    pub fn tcp(stream: TcpStream, wire: W) -> Self {
        // Fails only if the peer is gone already, which the first read or write will tell.
        let _ = stream.set_nodelay(true);
        Driver::new(Stream::Tcp(stream), wire)
    }

    /// A connection over any other stream.
    ///
    /// Such a stream is only ever polled by this connection's own task, and counts as written when it is flushed.
    pub fn io(stream: impl Io, wire: W) -> Self {
        Driver::new(Stream::Other(Box::new(stream)), wire)
    }

    /// A connection that a [`Listener`](crate::Listener) has accepted.
    pub fn accepted(stream: Accepted, wire: W) -> Self {
        match stream {
            Accepted::Tcp(tcp) => Driver::tcp(tcp, wire),
            #[cfg(unix)]
            Accepted::Unix(unix) => {
                let path = unix.local_addr().ok().and_then(|addr| addr.as_pathname().map(ToOwned::to_owned));
                let mut driver = Driver::io(unix, wire);
                driver.local = Some(Local::Unix(path));
                driver
            }
        }
    }

    fn new(stream: Stream, wire: W) -> Self {
        let (remote_addr, local, limits, connections, place) = (None, None, None, None, None);
        Driver { stream, wire, received: BytesMut::new(), remote_addr, local, limits, connections, place }
    }

    /// Bytes that were read from the stream already.
    pub fn received(mut self, bytes: BytesMut) -> Self {
        self.received = bytes;
        self
    }

    /// The peer's address, if it is not the socket's: the one a trusted proxy tells. IPv4 addresses in IPv6 clothes
    /// are undressed.
    pub fn remote_addr(mut self, addr: impl Into<Option<SocketAddr>>) -> Self {
        self.remote_addr = Some(addr.into());
        self
    }

    /// The address of this end, if it is not the socket's: the one a trusted proxy tells, or that of the socket below a
    /// stream of another kind.
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local = Some(Local::Addr(addr));
        self
    }

    /// Other bounds than the default ones; shared, because many connections have the same.
    pub fn limits(mut self, limits: Arc<Limits>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Counts the connection in, so that it can be closed together with all others. They also see to it that the times
    /// in [`Limits`] are kept.
    pub fn tracked_by(mut self, connections: &Connections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// The place that was taken for this connection, which then holds it to its end.
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Runs the connection to its end. Spawn this: it is the connection's task. ([`spawn`](Self::spawn) does it, in a
    /// `tracing` span.)
    ///
    /// The future needs a tokio runtime with time enabled, and IO for TCP. It is ready when the closing handshake is
    /// over and the stream closed, and tells how it went.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream at once; the handler's state is dropped and `on_close` does not run.
    ///
    /// # Blocking
    ///
    /// A handler that keeps its thread for 100 ms without an `.await` that waits keeps other connections waiting too, and
    /// is warned of, with the [name](Connections::named) of its route. Seen are: the first turn of each connection, and
    /// every 64th turn of a thread, once it is over; and, whatever the turn, one that has lasted for one to two seconds,
    /// while it does, if the connection is [tracked](Self::tracked_by) and the runtime has another thread to look from.
    /// So a handler that blocks now and then for less than that may go unseen for a while.
    pub fn run<H: Handler<W::Connection>>(self, handler: Arc<H>) -> impl Future<Output = Closed> + Send {
        self.begin().run(handler)
    }

    /// Spawns [`run`](Self::run) as a task of its own.
    ///
    /// Where a `tracing` subscriber wants it when the connection begins, the task runs in a span `connection` (level
    /// DEBUG, target `wsrv_core::connection`) with the fields `id`, `remote` and `route`: all that is logged by its handler
    /// is in it. Else it costs nothing.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn<H: Handler<W::Connection>>(self, handler: Arc<H>) -> JoinHandle<Closed> {
        let begun = self.begin();
        let shared = &begun.shared;
        // A root: what the request or the accept belongs to is over long before the connection is.
        let span = tracing::debug_span!(
            target: "wsrv_core::connection",
            parent: None,
            "connection",
            id = %shared.id,
            remote = %Link(shared.clone()).remote_name(),
            route = shared.route(),
        );
        // Two kinds of tasks, so that who logs nothing has no room for a span in each.
        if span.is_disabled() {
            tokio::spawn(begun.run(handler))
        } else {
            tokio::spawn(begun.run(handler).instrument(span))
        }
    }

    /// As [`begin`](Self::begin), with a handle for somebody who is no handler.
    pub(crate) fn begin_with_connection(self) -> (W::Connection, Begun<W>) {
        let begun = self.begin();
        (W::connection(Link(begun.shared.clone())), begun)
    }

    fn begin(self) -> Begun<W> {
        let (receiver, sender, context) = self.wire.split();
        let limits = self.limits.unwrap_or_default();
        let remote_addr = self.remote_addr.unwrap_or_else(|| self.stream.remote_addr());
        let remote_addr = remote_addr.map(canonical);
        let connections = self.connections.clone();
        let shared = Shared::<W>::new(self.stream, sender, context, (self.local, remote_addr), limits, connections);
        let ip = remote_addr.map(|addr| addr.ip());
        let account = self.connections.as_ref().and_then(|connections| connections.rates().account(ip));
        let place =
            self.place.or_else(|| self.connections.as_ref().map(|connections| connections.places().take_anyway(ip)));
        let registration = self.connections.map(|connections| connections.register(shared.clone()));
        let counted = Counted { _registration: registration, _place: place };
        let reader = Reader::new(shared.clone(), receiver, self.received, account);
        Begun { shared, reader, counted }
    }
}

/// A connection that is there, and that nothing has happened on.
pub(crate) struct Begun<W: Wire> {
    shared: Arc<Shared<W>>,
    reader: Reader<W>,
    counted: Counted<W>,
}

impl<W: Wire> Begun<W> {
    pub(crate) fn run<H: Handler<W::Connection>>(self, handler: Arc<H>) -> impl Future<Output = Closed> + Send {
        let Begun { shared, reader, counted } = self;
        Drive { shared, inner: live(reader, handler), _counted: counted }
    }
}

/// What counts a connection in, until it is dropped.
struct Counted<W: Wire> {
    _registration: Option<Registration<W>>,
    // Last: who waits for all places to be free finds nobody registered.
    _place: Option<Place>,
}

#[cfg(feature = "test-util")]
impl<W: Wire> Counted<W> {
    fn none() -> Self {
        Counted { _registration: None, _place: None }
    }
}

impl<W: Wire> std::fmt::Debug for Driver<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("remote_addr", &self.remote_addr.flatten()).finish_non_exhaustive()
    }
}

/// How a connection's life came to its end, before the goodbye.
struct End<W: Wire> {
    by: ClosedBy,
    /// The goodbye to say; to one of the peer's, the same as answer. `None`: there is nobody left to say it to.
    close: Option<W::Close>,
    /// What the peer broke, for `on_error`.
    error: Option<Error>,
    /// The peer has said goodbye in good order.
    peer_is_done: bool,
}

impl<W: Wire> End<W> {
    fn new(by: ClosedBy, close: impl Into<W::Close>) -> Box<Self> {
        Box::new(End { by, close: Some(close.into()), error: None, peer_is_done: by == ClosedBy::Peer })
    }

    fn without_goodbye(by: ClosedBy) -> Box<Self> {
        Box::new(End { by, close: None, error: None, peer_is_done: false })
    }

    fn closed(&self) -> Closed {
        let reason = self.close.as_ref().map_or(Reason::Other, W::reason);
        Closed { by: self.by, reason, clean: self.peer_is_done }
    }
}

/// Runs one step of the handler. A macro, because a function that took the call and awaited it would keep the step's
/// future twice. (So would a `match` on the call.) The call itself may panic too, where it is not an `async fn`.
macro_rules! step {
    ($reader:ident, $call:expr, $patience:expr) => {{
        let step = pin!(step::guarded(|| $call).ok());
        match step.is_some() {
            true => $reader.step(step, $patience).await,
            false => Stepped::Panicked,
        }
    }};
}

fn live<W: Wire, H: Handler<W::Connection>>(
    mut reader: Reader<W>,
    handler: Arc<H>,
) -> impl Future<Output = Closed> + Send {
    async move {
        let conn = W::connection(Link(reader.shared.clone()));
        reader.shared.tell_opened();
        let end = match step!(reader, handler.on_open(&conn), Patience::UntilEnd) {
            Stepped::Done(Ok(mut state)) => {
                let end = serve(&mut reader, &*handler, &conn, &mut state, |_| false).await;
                return conclude(reader, &*handler, &conn, state, end).await;
            }
            Stepped::Done(Err(error)) => {
                reader.take_end();
                log_error(&conn, &error);
                End::new(ClosedBy::Handler, error.reason())
            }
            Stepped::Panicked => {
                reader.take_end();
                End::new(ClosedBy::Panic, Reason::Internal)
            }
            Stepped::Dropped => reader.take_end(),
        };
        Box::pin(finish::finish(reader, end)).await
    }
}

/// The end of a connection that was opened: the last events and the goodbye.
fn conclude<W: Wire, H: Handler<W::Connection>>(
    mut reader: Reader<W>,
    handler: &H,
    conn: &W::Connection,
    mut state: H::State,
    mut end: Box<End<W>>,
) -> impl Future<Output = Closed> + Send {
    // Boxed: its room is not to lie idle in the task all the connection's life.
    Box::pin(async move {
        reader.take_end();
        if let Some(error) = end.error.take() {
            reader.shared.tell(|observer, id| observer.error(id, &error));
            // There is nothing to go on with, so the verdict does not matter.
            let _ = step!(reader, handler.on_error(conn, &mut state, error), Patience::UntilEnd);
        }
        let closed = end.closed();
        reader.shared.lock().ending().goodbye = end.close.clone();
        tracing::debug!(connection = %conn.id(), %closed, "connection ends");
        // A panic in here changes nothing: the connection is being closed.
        let _ = step!(reader, handler.on_close(conn, state, closed), Patience::LastWords);
        finish::finish(reader, end).await
    })
}

/// The messages, one after the other, until something ends the connection. When there is nothing to do, `at_rest` may
/// bring something for the reader: true if it has.
fn serve<W: Wire, H: Handler<W::Connection>>(
    reader: &mut Reader<W>,
    handler: &H,
    conn: &W::Connection,
    state: &mut H::State,
    mut at_rest: impl FnMut(&mut Reader<W>) -> bool + Send,
) -> impl Future<Output = Box<End<W>>> + Send {
    async move {
        let mut forgiven = false;
        loop {
            let next = match reader.next_at_hand() {
                Some(found) => Event::Next(Next::Message(AtHand::Found(found))),
                None => next(reader, handler, conn, state, &mut forgiven, &mut at_rest).await,
            };
            let message = match next {
                Event::Next(Next::Message(message)) => message,
                Event::Next(Next::Bytes) => continue,
                Event::Next(Next::End) => return reader.take_end(),
                Event::Panicked => return End::new(ClosedBy::Panic, Reason::Internal),
                Event::Failed(error) => match judge(reader, handler, conn, state, error).await {
                    Some(end) => return end,
                    None => {
                        forgiven = true;
                        continue;
                    }
                },
            };
            // Lifted out at the moment when the handler's future is made: each move of a message is felt.
            let step = step!(reader, handler.on_message(conn, state, reader.take(message)), Patience::UntilEnd);
            match step {
                Stepped::Done(Ok(())) => {}
                Stepped::Done(Err(error)) => {
                    if let Some(end) = judge(reader, handler, conn, state, error).await {
                        return end;
                    }
                }
                Stepped::Panicked => return End::new(ClosedBy::Panic, Reason::Internal),
                Stepped::Dropped => return reader.take_end(),
            }
        }
    }
}

/// What comes when no message is at hand: the background has its turn, and the stream is read.
fn next<W: Wire, H: Handler<W::Connection>>(
    reader: &mut Reader<W>,
    handler: &H,
    conn: &W::Connection,
    state: &mut H::State,
    forgiven: &mut bool,
    at_rest: &mut (impl FnMut(&mut Reader<W>) -> bool + Send),
) -> impl Future<Output = Event<reader::Found<W>>> + Send {
    poll_fn(move |cx| {
        // A background that was just forgiven its failure waits until everything else had its turn.
        let background = match std::mem::take(forgiven) {
            true => Poll::Ready(Ok(())),
            false => match step::guarded(|| handler.poll_background(conn, state, cx)) {
                Ok(background) => background,
                Err(()) => return Poll::Ready(Event::Panicked),
            },
        };
        if let Poll::Ready(Err(error)) = background {
            return Poll::Ready(Event::Failed(error));
        }
        let next = reader.poll_next(cx).map(Event::Next);
        // Or else there may be more to do.
        if next.is_pending() && (background.is_ready() || at_rest(reader)) {
            cx.waker().wake_by_ref();
        }
        next
    })
}

enum Event<F> {
    Next(Next<F>),
    Failed(Error),
    Panicked,
}

/// An error's text is the application's code, and may panic like any of it.
pub(crate) fn log_error(conn: &impl Connection, error: &Error) {
    // That the peer is gone is no fault of the handler's.
    let is_gone = error.downcast_ref() == Some(&SendError::Closed);
    conn.link().0.tell(|observer, id| observer.error(id, error));
    let _ = step::guarded(|| match error.reason() {
        Reason::Internal if !is_gone => tracing::warn!(connection = %conn.id(), %error, "handler error"),
        reason => tracing::debug!(connection = %conn.id(), %error, %reason, "handler error"),
    });
}

/// Asks the handler what an error of its own means. `None`: go on.
fn judge<W: Wire, H: Handler<W::Connection>>(
    reader: &mut Reader<W>,
    handler: &H,
    conn: &W::Connection,
    state: &mut H::State,
    error: Error,
) -> impl Future<Output = Option<Box<End<W>>>> + Send {
    // Boxed: errors are rare, and their room is not to lie idle in the task.
    Box::pin(async move {
        log_error(conn, &error);
        match step!(reader, handler.on_error(conn, state, error), Patience::UntilEnd) {
            Stepped::Done(Verdict::Continue) => None,
            Stepped::Done(Verdict::Close(reason)) => Some(End::new(ClosedBy::Handler, reason)),
            Stepped::Panicked => Some(End::new(ClosedBy::Panic, Reason::Internal)),
            Stepped::Dropped => Some(reader.take_end()),
        }
    })
}

pin_project! {
    /// The write side around the life of a connection. A struct, not an async block: that would hold `inner` twice.
    struct Drive<W: Wire, F> {
        shared: Arc<Shared<W>>,
        #[pin]
        inner: F,
        // Last, so that the connection is counted until its state is dropped.
        _counted: Counted<W>,
    }
}

impl<W: Wire, F: Future> Future for Drive<W, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            let batch = batch::enter();
            let began = (this.shared.cork(cx) || batch.is_sample).then(Instant::now);
            let ended = this.inner.as_mut().poll(cx);
            if let Some(took) = began.map(|began| began.elapsed())
                && took >= BLOCKING
            {
                this.shared.warn_of_blocking(took);
            }
            // Own bytes first, then what was sent to others.
            let again = this.shared.uncork(cx);
            drop(batch);
            if ended.is_ready() || !again {
                return ended;
            }
        }
    }
}

impl<W: Wire> Shared<W> {
    /// From now on the connection is not open any more, in either direction.
    fn begin_end(&self) {
        self.lock().ending().over = true;
    }

    /// Begins a turn. True for the first, and wherever the waker is a new one.
    fn cork(&self, cx: &Context<'_>) -> bool {
        let mut outbox = self.lock();
        outbox.cork();
        let same = outbox.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !same {
            outbox.waker = Some(cx.waker().clone());
        }
        !same
    }

    /// Writes what the turn has collected. True: the inner future waits for what has just come true.
    fn uncork(&self, cx: &mut Context<'_>) -> bool {
        let mut outbox = self.lock();
        outbox.corked = false;
        outbox.driver_writes = false;
        outbox.life.turn_ended();
        let _ = outbox.poll_flush(cx);
        // Nearly always that is all.
        if outbox.is_at_rest() && !self.attention.load(Ordering::Relaxed) {
            return false;
        }
        self.look_around(outbox)
    }

    /// The end of a turn that leaves something to be done, by whomever.
    #[cold]
    #[inline(never)]
    fn look_around(&self, mut outbox: MutexGuard<'_, Outbox<W>>) -> bool {
        let crowded = outbox.is_crowded();
        let ending = outbox.ending.as_ref().is_some_and(|ending| ending.wish.is_some() || ending.cut.is_some());
        let orders = outbox.orders.is_some();
        let again = (outbox.driver_wants_room && (!crowded || outbox.failed))
            || (outbox.driver_wants_empty && outbox.is_empty());
        if again {
            outbox.driver_wants_room = false;
            outbox.driver_wants_empty = false;
        }
        // Written under the lock only, so a look tells whether it has to be.
        let attention = crowded || ending || orders || outbox.failed;
        let noticed = self.attention.load(Ordering::Relaxed);
        if attention != noticed {
            self.attention.store(attention, Ordering::Release);
        }
        // A failure of the write side, which the read side may never hear of.
        let again = again || (outbox.failed && !noticed);
        self.unlock_and_wake(outbox);
        again
    }
}
