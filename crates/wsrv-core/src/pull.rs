//! Handlers that read like a loop: messages are pulled instead of handed over.

use crate::driver::log_error;
use crate::{Closed, ClosedBy, Connection, Driver, Error, Handler, Reason, SendError, Wire};
use futures_core::Stream;
use futures_sink::Sink;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// Makes a handler of a function that gets a [`Socket`] and runs for as long as the connection lasts.
///
/// ```
/// use wsrv_core::lines::LineConnection;
/// use wsrv_core::{Handler, Socket, from_fn};
///
/// fn echo() -> impl Handler<LineConnection> {
///     from_fn(|mut socket: Socket<LineConnection>| async move {
///         while let Some(line) = socket.recv().await {
///             socket.send(line).await?;
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// The function's future is part of the connection's own task: it is polled between and during the events, so what it
/// sends leaves in one write with all else, and while it waits, pings are answered and pushes written. When it is
/// done, the connection is closed with [`Reason::Done`], or with its error's reason. When the connection ends first,
/// `recv` gives `None` and the future has [`Limits::on_close_timeout`](crate::Limits::on_close_timeout) to come to its
/// end; what it sends then are the last words. An error that it returns then can only be logged: as a warning if its
/// reason is [`Reason::Internal`], unless it is [`SendError::Closed`].
pub fn from_fn<C, F, Fut>(serve: F) -> FromFn<F>
where
    C: Connection,
    F: Fn(Socket<C>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    FromFn(serve)
}

impl<W: Wire> Driver<W> {
    /// The connection as a [`Socket`] for whoever is no handler, such as a client, and the future that runs it: spawn that.
    ///
    /// The future is [`run`](Self::run) with a handler that hands messages over. It reads on only as quickly as they are
    /// pulled. When the peer ends the connection, what has arrived is kept for [`Socket::recv`], and there is a second to
    /// answer it before our goodbye. `recv` gives `None` behind it once the future is done: then the goodbye is over as well.
    /// When the socket is dropped, or the receiving half of one that was split, the connection is closed with
    /// [`Reason::Done`].
    ///
    /// ```
    /// use wsrv_core::lines::Lines;
    /// use wsrv_core::Driver;
    ///
    /// # async fn example(stream: tokio::net::TcpStream) -> Result<(), wsrv_core::SendError> {
    /// let (mut socket, driver) = Driver::tcp(stream, Lines::new(1024)).socket();
    /// let driver = tokio::spawn(driver);
    /// socket.send("hello").await?;
    /// println!("{:?}", socket.recv().await);
    /// drop(socket);
    /// println!("{}", driver.await.expect("the driver does not panic"));
    /// # Ok(()) }
    /// ```
    pub fn socket(self) -> (Socket<W::Connection>, impl Future<Output = Closed> + Send) {
        let (conn, begun) = self.begin_with_connection();
        // Those that the driver may have received ahead, and the one that the handler is at, are to find room at the end.
        let room = conn.link().limits().backlog.saturating_add(2);
        let (messages, receiver) = mpsc::channel(room.min(MOST_KEPT));
        let (mut socket, done) = (Socket::new(conn, receiver), Arc::<Done>::default());
        socket.stream.done = Some(done.clone());
        (socket, begun.run(Arc::new(HandOver { messages, done })))
    }
}

/// How long the answers to the last messages are waited for before the goodbye.
const ANSWERS: Duration = Duration::from_secs(1);

/// Messages kept for a socket at the end of its connection, whatever the limits say.
const MOST_KEPT: usize = 1024;

/// Hands messages over to a socket that lives elsewhere. Dropped with the driver, it ends what the socket can pull.
struct HandOver<M> {
    messages: mpsc::Sender<M>,
    done: Arc<Done>,
}

/// Becomes ready when the socket listens no more. `None`: it has.
type Gone = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl<C: Connection> Handler<C> for HandOver<C::Incoming> {
    type State = Gone;

    async fn on_open(&self, _: &C) -> Result<Gone, Error> {
        let messages = self.messages.clone();
        Ok(Some(Box::pin(async move { messages.closed().await })))
    }

    async fn on_message(&self, conn: &C, _: &mut Gone, message: C::Incoming) -> Result<(), Error> {
        let messages = &self.messages;
        {
            // All of it: one message at a time is handed over, and the rest of the room is for the end.
            let mut empty = pin!(messages.reserve_many(messages.max_capacity()));
            let mut ended = pin!(conn.closed());
            poll_fn(|cx| match empty.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => ended.as_mut().poll(cx),
            })
            .await;
        }
        // This waits where our direction alone has ended. If nobody listens any more, the background closes.
        let _ = messages.send(message).await;
        Ok(())
    }

    fn poll_background(&self, conn: &C, gone: &mut Gone, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(listener) = gone {
            ready!(listener.as_mut().poll(cx));
            *gone = None;
            conn.close(Reason::Done);
        }
        Poll::Pending
    }

    /// Lets whoever pulls answer what came before the end, as a handler would have.
    async fn on_close(&self, _: &C, gone: Gone, closed: Closed) {
        let (ClosedBy::Peer | ClosedBy::Protocol, Some(mut gone)) = (closed.by, gone) else { return };
        let mut done = pin!(async {
            while !self.done.is_done.load(Ordering::SeqCst) || self.messages.capacity() < self.messages.max_capacity() {
                self.done.told.notified().await;
            }
        });
        let answered = poll_fn(|cx| match gone.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => done.as_mut().poll(cx),
        });
        let _ = timeout(ANSWERS, answered).await;
    }
}

/// The handler that [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

/// A connection whose messages are pulled. It dereferences to the connection, with all that can send and close.
///
/// Also a [`Stream`] of the messages, and a [`Sink`] of what a [`Group`](crate::Group) of such connections takes. The
/// sink is ready when there is room; it has nothing to flush, because the driver writes by itself, and closing it asks
/// for the connection to be closed. Where a trait like `SinkExt` is in scope, its `send` hides the connection's and
/// takes nothing but a whole message: write `socket.send("hi".into())`, or `socket.connection().send("hi")`.
///
/// To send from elsewhere at the same time, clone the [connection](Self::connection); or [`split`](Self::split) the
/// socket. Neither needs a lock.
#[derive(Debug)]
pub struct Socket<C: Connection> {
    sink: SocketSink<C>,
    stream: SocketStream<C>,
}

impl<C: Connection> Socket<C> {
    fn new(conn: C, messages: mpsc::Receiver<C::Incoming>) -> Self {
        let stream = SocketStream { conn: conn.clone(), messages, done: None };
        Socket { sink: SocketSink { conn, room: None }, stream }
    }

    /// The next message; `None` when the connection ends. Messages that came before the end come before the `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no message is lost.
    pub async fn recv(&mut self) -> Option<C::Incoming> {
        self.stream.recv().await
    }

    /// The connection.
    pub fn connection(&self) -> &C {
        &self.sink.conn
    }

    /// The two halves, for two tasks. They share no lock: the sending half is the connection, the receiving half the
    /// messages that the driver hands over.
    ///
    /// The connection is closed when the function that got the socket returns, so it has to wait for the tasks that it
    /// has given the halves to:
    ///
    /// ```
    /// use std::time::Duration;
    /// use wsrv_core::lines::LineConnection;
    /// use wsrv_core::{Error, Socket};
    ///
    /// /// For `from_fn`.
    /// async fn ticks_and_echo(socket: Socket<LineConnection>) -> Result<(), Error> {
    ///     let (sink, mut stream) = socket.split();
    ///     let ticks = tokio::spawn(async move {
    ///         while sink.send("tick").await.is_ok() {
    ///             tokio::time::sleep(Duration::from_secs(1)).await;
    ///         }
    ///     });
    ///     while let Some(line) = stream.recv().await {
    ///         stream.connection().send(line).await?;
    ///     }
    ///     Ok(ticks.await?)
    /// }
    /// ```
    pub fn split(self) -> (SocketSink<C>, SocketStream<C>) {
        (self.sink, self.stream)
    }
}

impl<C: Connection> Deref for Socket<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.sink.conn
    }
}

impl<C: Connection> Stream for Socket<C> {
    type Item = C::Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<C::Incoming>> {
        Pin::new(&mut self.stream).poll_next(cx)
    }
}

impl<C: Connection> Sink<C::Outgoing> for Socket<C> {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sink).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: C::Outgoing) -> Result<(), SendError> {
        Pin::new(&mut self.sink).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sink).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sink).poll_close(cx)
    }
}

/// The receiving half of a [`Socket`].
pub struct SocketStream<C: Connection> {
    conn: C,
    messages: mpsc::Receiver<C::Incoming>,
    /// Without a handler: tells the driver that all messages were dealt with.
    done: Option<Arc<Done>>,
}

/// Whether the next message is being waited for, so that those before it were dealt with.
#[derive(Default)]
struct Done {
    is_done: AtomicBool,
    told: Notify,
}

impl<C: Connection> SocketStream<C> {
    /// The next message, as [`Socket::recv`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no message is lost.
    pub async fn recv(&mut self) -> Option<C::Incoming> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<C::Incoming>> {
        let Some(done) = &self.done else { return self.messages.poll_recv(cx) };
        // Before a message is taken, and after none was there.
        done.is_done.store(false, Ordering::SeqCst);
        let received = self.messages.poll_recv(cx);
        if received.is_pending() {
            done.is_done.store(true, Ordering::SeqCst);
            done.told.notify_one();
        }
        received
    }

    /// The connection.
    pub fn connection(&self) -> &C {
        &self.conn
    }
}

impl<C: Connection> Stream for SocketStream<C> {
    type Item = C::Incoming;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<C::Incoming>> {
        self.poll_recv(cx)
    }
}

impl<C: Connection> fmt::Debug for SocketStream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketStream").field(&self.conn.id()).finish()
    }
}

/// The sending half of a [`Socket`]. It dereferences to the connection.
pub struct SocketSink<C: Connection> {
    conn: C,
    /// The wait for room, while there is one.
    room: Option<Room>,
}

type Room = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

// Nothing in a socket is pinned in place.
impl<C: Connection> Unpin for SocketSink<C> {}
impl<C: Connection> Unpin for SocketStream<C> {}

impl<C: Connection> SocketSink<C> {
    /// The connection.
    pub fn connection(&self) -> &C {
        &self.conn
    }
}

impl<C: Connection> Deref for SocketSink<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.conn
    }
}

impl<C: Connection> Sink<C::Outgoing> for SocketSink<C> {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut room = match self.room.take() {
            Some(room) => room,
            None => Box::pin(self.conn.link().clone().room()),
        };
        let ready = room.as_mut().poll(cx);
        if ready.is_pending() {
            self.room = Some(room);
        }
        ready
    }

    fn start_send(self: Pin<&mut Self>, message: C::Outgoing) -> Result<(), SendError> {
        self.conn.link().try_send_prepared(&C::encode(message), None)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.conn.close(Reason::Done);
        Poll::Ready(Ok(()))
    }
}

impl<C: Connection> fmt::Debug for SocketSink<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketSink").field(&self.conn.id()).finish()
    }
}

/// What a [`FromFn`] remembers about one connection: its function's future, and the way to it.
pub struct Running<C: Connection, Fut> {
    /// Holds one message, so that the driver reads on only as quickly as the function pulls.
    messages: mpsc::Sender<C::Incoming>,
    future: Pin<Box<Fut>>,
    done: bool,
}

impl<C: Connection, Fut> fmt::Debug for Running<C, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("done", &self.done).finish_non_exhaustive()
    }
}

/// Polls the function's future, once more only if it is not done. Ready when it is or was.
fn poll<Fut: Future<Output = Result<(), Error>>>(
    future: &mut Pin<Box<Fut>>,
    done: &mut bool,
    conn: &impl Connection,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    // Set first: a future that panics is done as well.
    if std::mem::replace(done, true) {
        return Poll::Ready(Ok(()));
    }
    match future.as_mut().poll(cx) {
        Poll::Pending => *done = false,
        Poll::Ready(Ok(())) => conn.close(Reason::Done),
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
    }
    if *done { Poll::Ready(Ok(())) } else { Poll::Pending }
}

impl<C, F, Fut> Handler<C> for FromFn<F>
where
    C: Connection,
    F: Fn(Socket<C>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    type State = Running<C, Fut>;

    async fn on_open(&self, conn: &C) -> Result<Running<C, Fut>, Error> {
        let (messages, receiver) = mpsc::channel(1);
        let future = (self.0)(Socket::new(conn.clone(), receiver));
        Ok(Running { messages, future: Box::pin(future), done: false })
    }

    async fn on_message(&self, conn: &C, state: &mut Running<C, Fut>, message: C::Incoming) -> Result<(), Error> {
        let Running { messages, future, done } = state;
        let mut handed_over = pin!(messages.send(message));
        poll_fn(|cx| {
            // First, so that a message that is being waited for meets the one who waits.
            let handed_over = handed_over.as_mut().poll(cx).is_ready();
            match poll(future, done, conn, cx) {
                Poll::Pending if handed_over => Poll::Ready(Ok(())),
                polled => polled,
            }
        })
        .await
    }

    fn poll_background(&self, conn: &C, state: &mut Running<C, Fut>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if state.done {
            return Poll::Pending;
        }
        ready!(poll(&mut state.future, &mut state.done, conn, cx))?;
        Poll::Pending
    }

    async fn on_close(&self, conn: &C, state: Running<C, Fut>, _: Closed) {
        let Running { messages, mut future, mut done } = state;
        drop(messages);
        if let Err(error) = poll_fn(|cx| poll(&mut future, &mut done, conn, cx)).await {
            log_error(conn, &error);
        }
    }
}
