//! A connection that comes back.

use crate::{Client, ConnectError};
use futures_util::Stream;
use futures_util::future::{Either, select};
use std::fmt;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};
use wsrv_core::{Closed, ClosedBy, Connection, Error, Reason, Socket};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::WebSocketConnection;

/// How long to wait before another attempt.
///
/// The wait doubles from `first` to `max`. Of each, a random half is taken off at most, so that clients that were lost
/// together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use wsrv_client::Backoff;
///
/// let backoff = Backoff::default().with_max(Duration::from_secs(120)).with_attempts(Some(10));
/// # let _ = backoff;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The wait before the second attempt, and after a connection that held. Default 500 ms.
    pub first: Duration,
    /// The longest wait. Default 30 s.
    pub max: Duration,
    /// How long a connection has to last for the waits to begin with `first` again. Default 10 s: a server that takes
    /// connections and drops them is not to be hammered.
    pub steady_after: Duration,
    /// How often in a row there may be no connection that lasts; then an attempt that fails is the last. Default `None`: for
    /// ever.
    ///
    /// Only an attempt without a connection can be the last. One that is taken and soon lost, or whose hook fails, counts
    /// towards the number and never ends the series: a server that takes every connection and drops it is tried for ever.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff {
            first: Duration::from_millis(500),
            max: Duration::from_secs(30),
            steady_after: Duration::from_secs(10),
            attempts: None,
        }
    }
}

impl Backoff {
    /// Sets the first wait.
    pub const fn with_first(mut self, time: Duration) -> Self {
        self.first = time;
        self
    }

    /// Sets the longest wait.
    pub const fn with_max(mut self, time: Duration) -> Self {
        self.max = time;
        self
    }

    /// Sets how long a connection has to last.
    pub const fn with_steady_after(mut self, time: Duration) -> Self {
        self.steady_after = time;
        self
    }

    /// Sets how many attempts there are.
    pub const fn with_attempts(mut self, attempts: Option<u32>) -> Self {
        self.attempts = attempts;
        self
    }

    /// The wait after so many failures in a row, the longest first: `random` is from 0 to 1.
    fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let longest = doubled.min(self.max);
        // The longest of all becomes too long by rounding.
        Duration::try_from_secs_f64(longest.as_secs_f64() * (1.0 - random / 2.0)).unwrap_or(longest)
    }
}

/// A client that connects again whenever the connection is lost.
///
/// ```no_run
/// use wsrv_client::{Backoff, Client, Reconnecting};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("wss://example.com/prices")?;
/// let mut prices = Reconnecting::new(client, Backoff::default()).on_connect(|conn| async move {
///     // On each new connection, also the first: the server knows nothing of the one before.
///     conn.send(r#"{"subscribe":"EURUSD"}"#).await?;
///     Ok(())
/// });
/// while let Some(price) = prices.recv().await? {
///     println!("{price:?}");
/// }
/// # Ok(()) }
/// ```
///
/// It has no task of its own: it connects, waits and calls the hook while it is asked for the next message. (The connection
/// itself is run by one, so pings are answered whether or not it is asked.)
///
/// # What is lost
///
/// A connection that breaks takes with it whatever was on its way in either direction: messages that were sent and not yet
/// read by the server, though [`send`](WebSocketConnection::send) was done with them, and what the server has sent in between
/// two connections. Nothing is sent again, and nothing is kept for the next connection: a handle to the old one gets
/// [`SendError::Closed`](wsrv_core::SendError::Closed). What had arrived before the end is still given. Who needs more numbers
/// the messages and asks for what is missing, in the [hook](Self::on_connect).
///
/// # When it ends
///
/// When this side closes the connection in good order ([`close`](Connection::close) on a handle), `recv` gives `None` for good.
/// After every other end it connects again: whatever close code the server has sent, and after a
/// [`cut`](Connection::cut), with which one asks for a new connection. A close for [`Reason::Internal`] (code 1011) is a failure
/// and no wish to end, as when a [message in parts](wsrv_rfc6455::connection::MessageWriter) is dropped unfinished. It gives up
/// with an error that [is permanent](ConnectError::is_permanent), or after [`Backoff::attempts`].
///
/// When it is dropped, the connection is closed with code 1000.
pub struct Reconnecting {
    client: Client,
    backoff: Backoff,
    hook: Box<Hook>,
    state: State,
    /// Attempts in a row that brought no connection that lasted.
    failures: u32,
    current: watch::Sender<Option<WebSocketConnection>>,
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Hook = dyn Fn(WebSocketConnection) -> Task<Result<(), Error>> + Send + Sync;

enum State {
    /// Until the next attempt.
    Waiting(Pin<Box<Sleep>>),
    Connecting(Task<Result<Live, ConnectError>>),
    /// The hook runs. Messages that come meanwhile wait. `None`: the connection has ended first.
    Greeting(Live, Task<Option<Result<(), Error>>>),
    Open(Live),
    /// Nothing more comes, but the connection's task has its end to tell.
    Ending(Live),
    Over,
}

struct Live {
    socket: Socket<WebSocketConnection>,
    driver: JoinHandle<Closed>,
    since: Instant,
}

impl Reconnecting {
    /// Connects as this client does, with such waits. The first attempt is made at once, when the first message is asked for.
    pub fn new(client: Client, backoff: Backoff) -> Self {
        Reconnecting {
            state: connecting(&client),
            client,
            backoff,
            hook: Box::new(|_| Box::pin(std::future::ready(Ok(())))),
            failures: 0,
            current: watch::Sender::new(None),
        }
    }

    /// Has this called with each new connection, before its first message is given: to sign in, subscribe, ask for what was
    /// missed. It can send; answers come by [`recv`](Self::recv). If it fails, the connection is closed for the error's
    /// reason, and counts as one that did not last. If the connection ends first, the hook is dropped where it is; what had
    /// arrived by then is given all the same.
    pub fn on_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(WebSocketConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        self.hook = Box::new(move |conn| Box::pin(hook(conn)));
        self
    }

    /// The next message of the connection there is, or of the next one. `None` for good after this side has closed.
    ///
    /// # Errors
    ///
    /// Why it has given up. Asked again, it begins anew.
    ///
    /// # Panics
    ///
    /// As [`Client::connect`]; and if the connection's task has panicked, with its panic.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no message is lost; an attempt, a wait or a hook goes on where it was when it is called
    /// again.
    pub async fn recv(&mut self) -> Result<Option<Message>, ConnectError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The connection there is, once the hook is done with it; `None` while there is none. See
    /// [`watch`](Self::watch) for other tasks.
    pub fn connection(&self) -> Option<WebSocketConnection> {
        self.current.borrow().clone()
    }

    /// The connection there is, for other tasks: `None` between two. It changes only while [`recv`](Self::recv) is being
    /// waited for.
    pub fn watch(&self) -> watch::Receiver<Option<WebSocketConnection>> {
        self.current.subscribe()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, ConnectError>> {
        loop {
            match &mut self.state {
                State::Waiting(until) => {
                    ready!(until.as_mut().poll(cx));
                    self.state = connecting(&self.client);
                }
                State::Connecting(attempt) => match ready!(attempt.as_mut().poll(cx)) {
                    Ok(live) => {
                        let conn = live.socket.connection().clone();
                        let hook = (self.hook)(conn.clone());
                        self.state = State::Greeting(live, while_open(hook, conn));
                    }
                    Err(error) => match self.failed(&error) {
                        ControlFlow::Continue(wait) => self.wait(wait),
                        ControlFlow::Break(()) => {
                            self.failures = 0;
                            self.state = connecting(&self.client);
                            return Poll::Ready(Err(error));
                        }
                    },
                },
                State::Greeting(_, hook) => {
                    let greeted = ready!(hook.as_mut().poll(cx));
                    let State::Greeting(live, _) = std::mem::replace(&mut self.state, State::Over) else {
                        unreachable!("it was just looked at")
                    };
                    let conn = live.socket.connection();
                    match greeted {
                        Some(Ok(())) => {
                            self.current.send_replace(Some(conn.clone()));
                            self.state = State::Open(live);
                        }
                        None => self.state = State::Open(live),
                        Some(Err(error)) => {
                            tracing::warn!(connection = %conn.id(), %error, "the hook of a new connection failed");
                            conn.close(error.reason());
                            // Its end is a failure, although it is ours.
                            let wait = self.next_wait();
                            self.wait(wait);
                        }
                    }
                }
                State::Open(live) => match ready!(Pin::new(&mut live.socket).poll_next(cx)) {
                    Some(message) => return Poll::Ready(Ok(Some(message))),
                    None => {
                        self.current.send_replace(None);
                        let State::Open(live) = std::mem::replace(&mut self.state, State::Over) else {
                            unreachable!("it was just looked at")
                        };
                        self.state = State::Ending(live);
                    }
                },
                State::Ending(live) => {
                    let closed = ready!(Pin::new(&mut live.driver).poll(cx));
                    let (id, lasted) = (live.socket.connection().id(), live.since.elapsed());
                    let closed = match closed {
                        Ok(closed) if closed.by != ClosedBy::Local || closed.reason == Reason::Internal => closed,
                        Err(error) if error.is_panic() => {
                            self.state = connecting(&self.client);
                            resume_unwind(error.into_panic())
                        }
                        // Also if the task was aborted, with its runtime: there will be no other.
                        Ok(_) | Err(_) => {
                            self.state = State::Over;
                            continue;
                        }
                    };
                    if lasted >= self.backoff.steady_after {
                        self.failures = 0;
                    }
                    let wait = self.next_wait();
                    tracing::debug!(connection = %id, %closed, ?wait, "connecting again");
                    self.wait(wait);
                }
                State::Over => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// An attempt has failed: how long to wait, if there is to be another.
    fn failed(&mut self, error: &ConnectError) -> ControlFlow<(), Duration> {
        let wait = self.next_wait();
        let is_last = self.backoff.attempts.is_some_and(|most| self.failures >= most);
        if is_last || error.is_permanent() {
            return ControlFlow::Break(());
        }
        tracing::debug!(%error, ?wait, "connecting failed");
        ControlFlow::Continue(wait)
    }

    fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait(self.failures, fastrand::f64())
    }

    fn wait(&mut self, time: Duration) {
        self.state = State::Waiting(Box::pin(sleep(time)));
    }
}

/// What comes of a hook, unless its connection ends first.
fn while_open(hook: Task<Result<(), Error>>, conn: WebSocketConnection) -> Task<Option<Result<(), Error>>> {
    Box::pin(async move {
        match select(hook, pin!(conn.closed())).await {
            Either::Left((greeted, _)) => Some(greeted),
            Either::Right(_) => None,
        }
    })
}

fn connecting(client: &Client) -> State {
    let client = client.clone();
    State::Connecting(Box::pin(async move {
        let (socket, driver) = client.open().await?.socket();
        Ok(Live { socket, driver: tokio::spawn(driver), since: Instant::now() })
    }))
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("client", &self.client)
            .field("backoff", &self.backoff)
            .field("connection", &self.connection())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_lose_half_at_most() {
        let backoff = Backoff::default();
        let waits = |random| [1, 2, 3, 6, 7, 8, 1000].map(|failures| backoff.wait(failures, random).as_millis());
        assert_eq!(waits(0.0), [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(waits(1.0), [250, 500, 1000, 8_000, 15_000, 15_000, 15_000]);
        let forever = backoff.with_first(Duration::MAX).with_max(Duration::MAX);
        assert_eq!(forever.wait(1, 0.0), Duration::MAX);
        assert!(forever.wait(2, 1.0) < Duration::MAX);
    }
}
