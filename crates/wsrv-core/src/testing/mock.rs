//! A connection without a socket: the real outbox over a stream that the test holds.

use super::pipe::Pipe;
use crate::driver::session::{self, Prepared};
use crate::testing::Session;
use crate::{Driver, Error, Handler, Link, Wire};
use bytes::Bytes;
use std::fmt;
use std::task::{Context, Waker};

/// A connection whose peer is the test.
///
/// Its outbox is the real one: order, room, [`Limits`](crate::Limits), the policy for slow peers, senders that wait,
/// groups. What was sent is read with [`take_sent`](Mock::take_sent), and the peer may be made [slow](Mock::stall).
/// A handler is run on it by [`open`](Mock::open).
///
/// The connection is gone, as with a driver that was dropped, when its [`Session`] is, or when the mock is dropped
/// unopened.
pub struct Mock<W: Wire> {
    conn: W::Connection,
    link: Link<W>,
    pipe: Pipe,
    /// Until a handler is run.
    prepared: Option<Prepared<W>>,
}

impl<W: Wire> Mock<W> {
    /// A connection with default limits, no address, and a peer that takes everything.
    pub fn new(wire: W) -> Self {
        Self::with(wire, |driver| driver)
    }

    /// A connection with the [`Driver`]'s options:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use wsrv_core::lines::Lines;
    /// use wsrv_core::testing::Mock;
    /// use wsrv_core::{Connection, Connections, Limits};
    ///
    /// let all = Connections::new();
    /// let limits = Arc::new(Limits::default().with_outbox(1000));
    /// let mock = Mock::with(Lines::new(100), |driver| driver.limits(limits).tracked_by(&all));
    /// assert_eq!(mock.connection().link().limits().outbox, 1000);
    /// assert_eq!(all.len(), 1);
    /// ```
    pub fn with(wire: W, configure: impl FnOnce(Driver<W>) -> Driver<W>) -> Self {
        let pipe = Pipe::default();
        let prepared = Prepared::new(configure(Driver::io(pipe.clone(), wire)));
        let link = prepared.link();
        Mock { conn: W::connection(link.clone()), link, pipe, prepared: Some(prepared) }
    }

    /// The connection.
    pub fn connection(&self) -> &W::Connection {
        &self.conn
    }

    /// Runs the handler's `on_open`. (A handler that the test wants to look at later is given as an `Arc`.)
    ///
    /// The future does not borrow the mock, so a handler that waits for its peer can be helped meanwhile.
    ///
    /// # Errors
    ///
    /// The handler's. The goodbye with its reason is among what was sent, and the connection is gone.
    ///
    /// # Panics
    ///
    /// If it is called a second time; if the handler panics.
    pub fn open<H: Handler<W::Connection>>(
        &mut self,
        handler: H,
    ) -> impl Future<Output = Result<Session<W, H>, Error>> + Send + use<W, H> {
        let prepared = self.prepared.take().expect("a mock connection is opened once");
        session::open(prepared, self.pipe.clone(), handler)
    }

    /// Bytes arrive from the peer. They are read, by the wire's own receiving half, in the next [`Session::turn`], or
    /// while a step of [`Session::deliver`] waits.
    pub fn receive(&self, bytes: impl AsRef<[u8]>) {
        self.pipe.arrive(bytes.as_ref());
    }

    /// The peer ends its half of the stream, behind what it has sent.
    pub fn hang_up(&self) {
        self.pipe.hang_up();
    }

    /// All the bytes that the peer has taken and that were not [taken](Mock::take_sent) away.
    pub fn sent(&self) -> Bytes {
        self.flush();
        self.pipe.written()
    }

    /// The bytes that the peer has taken since the last call.
    pub fn take_sent(&self) -> Bytes {
        self.flush();
        self.pipe.take_written()
    }

    /// How many writes the stream has seen: what a turn sends leaves in one.
    pub fn writes(&self) -> usize {
        self.flush();
        self.pipe.writes()
    }

    /// Whether this side has ended the stream.
    pub fn is_ended(&self) -> bool {
        self.pipe.is_shut_down()
    }

    /// The peer takes nothing more, until it is told to [`accept`](Mock::accept) or [`resume`](Mock::resume). Up to
    /// then it takes everything.
    pub fn stall(&self) {
        self.flush();
        self.pipe.stall();
    }

    /// The peer takes this many bytes more, and then nothing. Senders for whom there is room then are woken.
    pub fn accept(&self, bytes: usize) {
        self.pipe.accept(bytes);
        self.flush();
    }

    /// The peer takes everything again.
    pub fn resume(&self) {
        self.pipe.resume();
        self.flush();
    }

    /// What a driver does that is woken because somebody has sent. In a handler's own turn it is left to that.
    fn flush(&self) {
        let mut outbox = self.link.0.lock();
        if !outbox.corked {
            let waker = outbox.waker.clone();
            let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
            let _ = outbox.poll_flush(&mut cx);
        }
        self.link.0.unlock_and_wake(outbox);
    }
}

impl<W: Wire> fmt::Debug for Mock<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("link", &self.link).finish_non_exhaustive()
    }
}
