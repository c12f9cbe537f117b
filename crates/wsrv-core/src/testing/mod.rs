//! A test kit for those who write handlers and layers: no sockets, time that the test holds, and everything else as it
//! is in the server.
//!
//! A [`Mock`] is a connection with the real outbox, whose peer is the test. A [`Session`] runs a handler on it, one
//! event at a time, or as the driver would. [`check_layer`] finds out whether a layer passes everything on.
//!
//! Of the crate this takes the feature `test-util`, for `[dev-dependencies]`. The wire is the application's own; a mock
//! WebSocket and a peer that reads its messages are in `wsrv_rfc6455::connection::testing`.
//!
//! # An application's handler
//!
//! ```
//! use bytes::Bytes;
//! use std::sync::Arc;
//! use wsrv_core::lines::{LineConnection, Lines};
//! use wsrv_core::testing::Mock;
//! use wsrv_core::{ClosedBy, Error, Group, Handler, Membership, Reason};
//!
//! #[derive(Default)]
//! struct Chat { room: Group<LineConnection> }
//!
//! impl Handler<LineConnection> for Chat {
//!     type State = Membership<LineConnection>;
//!     async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
//!         Ok(self.room.join(conn))
//!     }
//!     async fn on_message(&self, _: &LineConnection, me: &mut Self::State, line: Bytes) -> Result<(), Error> {
//!         if line.is_empty() {
//!             return Err(Error::new(Reason::Policy, "say something"));
//!         }
//!         me.send_to_others(line);
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Error> {
//! // In #[tokio::test(start_paused = true)] async fn what_one_says_the_others_hear():
//! let chat = Arc::new(Chat::default());
//! let (mut ada, mut grace) = (Mock::new(Lines::new(100)), Mock::new(Lines::new(100)));
//! let mut ada_session = ada.open(chat.clone()).await?;
//! let grace_session = grace.open(chat.clone()).await?;
//!
//! ada_session.message("hello".into()).await?;
//! assert_eq!(&grace.take_sent()[..], b"hello\n");
//! assert!(ada.sent().is_empty());
//!
//! // As the driver does it: the error is judged, and the connection ends.
//! let closed = ada_session.deliver("".into()).await.expect("a verdict to close");
//! assert_eq!((closed.by, closed.reason), (ClosedBy::Handler, Reason::Policy));
//!
//! grace_session.close(ClosedBy::Lost, Reason::Other).await;
//! assert!(chat.room.is_empty());
//! # Ok(()) }
//! ```
//!
//! # A peer that is slow, and time
//!
//! ```
//! # use bytes::Bytes;
//! # use std::pin::pin;
//! # use std::sync::Arc;
//! # use wsrv_core::lines::{LineConnection, Lines};
//! # use wsrv_core::{Error, Handler, Limits};
//! # struct Echo;
//! # impl Handler<LineConnection> for Echo {
//! #     type State = ();
//! #     async fn on_open(&self, _: &LineConnection) -> Result<(), Error> { Ok(()) }
//! #     async fn on_message(&self, conn: &LineConnection, _: &mut (), line: Bytes) -> Result<(), Error> {
//! #         Ok(conn.send(line).await?)
//! #     }
//! # }
//! use wsrv_core::testing::{Mock, poll_once};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Error> {
//! let limits = Arc::new(Limits::default().with_outbox(1));
//! let mut mock = Mock::with(Lines::new(100), |driver| driver.limits(limits));
//! let mut session = mock.open(Echo).await?;
//!
//! mock.stall();
//! session.message("one".into()).await?; // lies in the outbox, which is full now
//! let mut second = pin!(session.message("two".into()));
//! assert!(poll_once(second.as_mut()).is_pending());
//! mock.resume();
//! second.await?;
//! assert_eq!(&mock.sent()[..], b"one\ntwo\n");
//! # Ok(()) }
//! ```
//!
//! Time is tokio's: with `start_paused`, a handler's sleep is over as soon as nothing else is to be done, and
//! [`Session::woken`] waits for the background's timer just so.
//!
//! # A layer
//!
//! ```
//! # use bytes::Bytes;
//! # use std::task::{Context, Poll};
//! # use wsrv_core::lines::{LineConnection, Lines};
//! # use wsrv_core::{Closed, Connection, Error, Handler, Link, Reason, Verdict};
//! #[derive(Clone)]
//! struct TextConnection(LineConnection);
//!
//! impl Connection for TextConnection {
//!     type Wire = Lines;
//!     type Incoming = String;
//!     type Outgoing = String;
//!     fn link(&self) -> &Link<Lines> {
//!         self.0.link()
//!     }
//!     fn encode(message: String) -> Bytes {
//!         LineConnection::encode(message.into())
//!     }
//! }
//!
//! /// Text goes up, bytes come from below.
//! struct TextLayer<H>(H);
//!
//! impl<H: Handler<TextConnection>> Handler<LineConnection> for TextLayer<H> {
//!     type State = (TextConnection, H::State);
//!     // …
//! #   async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
//! #       let upper = TextConnection(conn.clone());
//! #       let inner = self.0.on_open(&upper).await?;
//! #       Ok((upper, inner))
//! #   }
//!     async fn on_message(&self, _: &LineConnection, state: &mut Self::State, line: Bytes) -> Result<(), Error> {
//!         let text = String::from_utf8(line.into()).map_err(|error| Error::new(Reason::BadData, error))?;
//!         self.0.on_message(&state.0, &mut state.1, text).await
//!     }
//!     // … and the others
//! #   async fn on_error(&self, _: &LineConnection, state: &mut Self::State, error: Error) -> Verdict {
//! #       self.0.on_error(&state.0, &mut state.1, error).await
//! #   }
//! #   async fn on_close(&self, _: &LineConnection, (upper, inner): Self::State, closed: Closed) {
//! #       self.0.on_close(&upper, inner, closed).await
//! #   }
//! #   fn poll_background(
//! #       &self, _: &LineConnection, state: &mut Self::State, cx: &mut Context<'_>,
//! #   ) -> Poll<Result<(), Error>> {
//! #       self.0.poll_background(&state.0, &mut state.1, cx)
//! #   }
//! }
//!
//! use wsrv_core::testing::{Probe, check_layer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! check_layer(
//!     || Lines::new(100),
//!     |probe: Probe<TextConnection>| TextLayer(probe),
//!     |n| (Bytes::from(format!("message {n}")), format!("message {n}")),
//! )
//! .await;
//! # }
//! ```
//!
//! What a layer does of its own (what it refuses, what it sends) is tested like any handler, with a [`Mock`].

pub(crate) mod alarm;
mod attempt;
mod check;
mod mock;
pub(crate) mod pipe;
mod probe;

pub use crate::driver::session::Session;
pub use check::check_layer;
pub use mock::Mock;
pub use probe::{Probe, ProbeState};

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Polls a future once, to look at one that waits. Nobody is woken for it afterwards, so poll it again or await it.
///
/// ```
/// use std::pin::pin;
/// use wsrv_core::testing::poll_once;
///
/// let mut never = pin!(std::future::pending::<()>());
/// assert!(poll_once(never.as_mut()).is_pending());
/// ```
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future to its end or to its panic.
pub(crate) async fn caught<T>(step: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut step = pin!(step);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
