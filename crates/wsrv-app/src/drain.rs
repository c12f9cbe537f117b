//! How a server comes to its end, step by step, and who can see that it does.

use crate::life::Phase;
use std::time::Duration;
use tokio::sync::watch;
use wsrv_core::{Farewell, Reason};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::WebSocketConnection;

/// How long connections may take to say goodbye after the last was asked to, unless it is said otherwise.
const GRACE: Duration = Duration::from_secs(15);

/// The orderly end of a server, or of a service inside another's.
///
/// 1. The server is not [ready](Readiness) any more, and goes on as ever for the time to [wait](Drain::wait).
/// 2. It stops accepting. Requests that have come, or come within a second of their socket's accept, are answered, and what
///    they open is closed at once; those that have come in part are refused with 503.
/// 3. The connections are closed, in random order and spread over the [window](Drain::window). What was sent to them
///    before still goes out; a handler that is at work may go on for
///    [`close_timeout`](wsrv_core::Limits::close_timeout), and is dropped then; after `on_close`, each gets the [last
///    message](Drain::last_message) and a goodbye for the [reason](Drain::reason).
/// 4. At the [deadline](Drain::deadline), who has not said goodbye is cut.
///
/// ```
/// # use std::time::Duration;
/// # use wsrv_app::prelude::*;
/// // Behind a balancer that asks for health every 5 s, with many clients that will all come back.
/// let drain = Drain::new()
///     .wait(Duration::from_secs(10))
///     .window(Duration::from_secs(20))
///     .reason(Reason::Restart)
///     .last_message("back in a moment")
///     .deadline(Duration::from_secs(45));
/// let app = App::new().drain(drain);
/// ```
#[derive(Clone, Debug)]
pub struct Drain {
    pub(crate) wait: Duration,
    pub(crate) window: Duration,
    pub(crate) farewell: Farewell,
    deadline: Option<Duration>,
}

impl Drain {
    /// Closes everybody at once with 1001 and without a last message, and cuts who is left after 15 s.
    pub fn new() -> Self {
        Drain {
            wait: Duration::ZERO,
            window: Duration::ZERO,
            farewell: Farewell::new(Reason::GoingAway),
            deadline: None,
        }
    }

    /// For how long the server goes on accepting after it has said that it is not ready: as long as a load balancer may
    /// take to notice. Default none.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// Over how long a time the closing of the connections is spread, so that not all clients come back in the same
    /// moment. Default none: all at once.
    pub fn window(mut self, time: Duration) -> Self {
        self.window = time;
        self
    }

    /// Why connections are closed: [`Reason::GoingAway`] (1001), the default, or [`Reason::Restart`] (1012), which tells
    /// clients that it is worth coming back soon.
    pub fn reason(mut self, reason: Reason) -> Self {
        self.farewell = self.farewell.reason(reason);
        self
    }

    /// What each connection is sent right before its goodbye, unless its outbox is full or its route [does not want
    /// it](crate::Route::last_message), as those of WAMP. It is encoded once. Default nothing.
    pub fn last_message(mut self, message: impl Into<Message>) -> Self {
        self.farewell = self.farewell.message::<WebSocketConnection>(message);
        self
    }

    /// How long all of it may take from its beginning on, wait and window included, before connections are cut. Default:
    /// 15 s more than wait and window together. Choose less than what the process manager grants before it kills.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    pub(crate) fn time(&self) -> Duration {
        self.deadline.unwrap_or_else(|| self.wait.saturating_add(self.window).saturating_add(GRACE))
    }
}

impl Default for Drain {
    fn default() -> Self {
        Drain::new()
    }
}

/// Tells whether a server wants new connections: what its health page says. Clones tell the same.
///
/// It is ready until its end begins, by whatever cause. The process that has not bound its sockets yet is to be told by
/// their absence.
///
/// ```
/// use wsrv_app::prelude::*;
///
/// let app = App::new();
/// let readiness = app.readiness();
/// let health = move || if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
/// assert_eq!(health(), StatusCode::OK);
/// drop(app);
/// assert_eq!(health(), StatusCode::SERVICE_UNAVAILABLE);
/// ```
#[derive(Clone, Debug)]
pub struct Readiness(watch::Receiver<Phase>);

impl Readiness {
    pub(crate) fn new(phase: &watch::Sender<Phase>) -> Self {
        Readiness(phase.subscribe())
    }

    /// Whether it is ready now.
    pub fn is_ready(&self) -> bool {
        // An error: there is no server any more.
        *self.0.borrow() == Phase::Serving && self.0.has_changed().is_ok()
    }

    /// Waits until it is not ready any more, which is for good.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn ended(&self) {
        let _ = self.0.clone().wait_for(|phase| *phase > Phase::Serving).await;
    }
}
