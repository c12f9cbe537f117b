//! Log-outs that are seen while the visitor is connected.

use super::SessionOf;
use super::around::{Around, Keep};
use crate::{Session, SessionId, StoreError};
use futures_util::FutureExt;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use wsrv_core::{Connection, Group, Membership};
use wsrv_rfc6455::connection::WebSocketConnection;
use wsrv_rfc6455::{CloseCode, Text};

/// Reads the sessions of connected visitors again, and closes the connections of those whose session has ended. Clones are
/// the same watch.
///
/// By itself it sees sessions that are gone: expired, or destroyed by the log-out. Most log-outs leave a session behind
/// that has no user in it, and for these there are [`keep_same`](Self::keep_same) and [`keep_while`](Self::keep_while).
///
/// Each session is read once in an interval, however many connections it has, and at a time of its own, so that a store is
/// asked evenly. As long as a store cannot tell, nobody is closed.
///
/// It can keep sessions alive as well, of visitors who are at a WebSocket and ask the front end for nothing:
/// [`touch_every`](Self::touch_every).
///
/// Only sessions that are kept in a store can be watched. One that its cookie contains cannot be called back by anybody.
#[derive(Clone)]
pub struct SessionWatch(Arc<Inner>);

struct Inner {
    settings: Settings,
    watched: Mutex<HashMap<SessionId, Watched>>,
}

#[derive(Clone)]
struct Settings {
    interval: Duration,
    code: CloseCode,
    reason: Text,
    keep: Arc<Keeps>,
    touch: Option<Duration>,
}

/// Of how a session was and how it is now.
type Keeps = dyn Fn(&Session, &Session) -> bool + Send + Sync;

struct Watched {
    connections: Group<WebSocketConnection>,
    watching: AbortHandle,
}

/// No store is asked more often.
const SHORTEST: Duration = Duration::from_millis(100);

impl SessionWatch {
    /// Looks this often, give or take a tenth; every 100 ms at most. The connections of a session that is gone are closed
    /// with 4401 and the reason "logged out".
    pub fn every(interval: Duration) -> Self {
        let interval = interval.max(SHORTEST);
        let (code, reason) = (CloseCode::from(4401), Text::from("logged out"));
        Self::with(Settings { interval, code, reason, keep: Arc::new(|_, _| true), touch: None })
    }

    fn with(settings: Settings) -> Self {
        SessionWatch(Arc::new(Inner { settings, watched: Mutex::default() }))
    }

    /// Closes with this code and reason instead. To be called before [`around`](Self::around).
    ///
    /// # Panics
    ///
    /// This code [may not be sent](CloseCode::is_sendable).
    pub fn close_with(self, code: CloseCode, reason: impl Into<Text>) -> Self {
        assert!(code.is_sendable(), "{code} may not be sent");
        Self::with(Settings { code, reason: reason.into(), ..self.0.settings.clone() })
    }

    /// Closes also if the value at this path, such as `user.id`, is no longer what it was when a connection was opened. Only
    /// what says who is logged in should be meant: a visitor's basket changes. To be called before
    /// [`around`](Self::around).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use wsrv_session::SessionWatch;
    /// let watch = SessionWatch::every(Duration::from_secs(30)).keep_same("user");
    /// # let _ = watch;
    /// ```
    pub fn keep_same(self, path: impl Into<String>) -> Self {
        let path = path.into();
        // As JSON, whatever type it is of.
        let at = move |session: &Session| session.data().path(&path).map(|value| value.to_json().ok());
        self.keep_while(move |before, now| at(before) == at(now))
    }

    /// Closes also if the session is still there and this says no to how it was when a connection was opened and how it
    /// is now. To be called before [`around`](Self::around).
    pub fn keep_while(self, keep: impl Fn(&Session, &Session) -> bool + Send + Sync + 'static) -> Self {
        Self::with(Settings { keep: Arc::new(keep), ..self.0.settings.clone() })
    }

    /// [Touches](Session::touch) each session about this often while it has a connection, so that it does not end meanwhile.
    /// Not set by default: then a visitor who is on the WebSocket alone is away for the front end. To be called before
    /// [`around`](Self::around).
    ///
    /// A session is touched when the watch has looked at it and found it there, once for all of its connections: so
    /// this is no more often than [`every`](Self::every) says. A third of the front end's lifetime is a good choice.
    ///
    /// **An open page is a visitor who is there**, whoever sits before it. Where sessions are to end for those who have
    /// walked away, it is the application that knows who is active, and calls [`Session::touch`].
    pub fn touch_every(self, interval: Duration) -> Self {
        Self::with(Settings { touch: Some(interval), ..self.0.settings.clone() })
    }

    /// A handler that does what this one does, and whose connections are watched. It may be a handler of any layer over
    /// WebSockets: `wamp.build()?.map(|handler| watch.around(handler))`. Those that open without a session, or with a
    /// [lazy](crate::Sessions::lazily) one that nobody has read, are not watched.
    pub fn around<H>(&self, handler: H) -> Around<WithWatch, H> {
        Around::new(WithWatch(self.clone()), handler)
    }

    /// How many sessions are watched.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Watched>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, session: &Session, connections: &Group<WebSocketConnection>) -> AbortHandle {
        let (settings, connections) = (self.0.settings.clone(), connections.clone());
        tokio::spawn(watch(session.clone(), settings, connections)).abort_handle()
    }
}

/// For as long as it has connections. Who comes while others are being closed is watched too.
async fn watch(session: Session, settings: Settings, connections: Group<WebSocketConnection>) {
    let (mut failed, mut touched) = (false, Touched::new(&settings));
    // Anywhere in the interval at first, so that those who have come together are not looked after together.
    sleep(settings.pause(random())).await;
    loop {
        // A store of the application's own may panic, and that says nothing about the visitor either.
        let read = AssertUnwindSafe(session.reload()).catch_unwind().await;
        match read.unwrap_or_else(|_| Err(StoreError::failed("the store panicked"))) {
            Ok(now) => {
                failed = false;
                if settings.close_others(&now, &connections) {
                    touched.again(&now, &settings).await;
                }
            }
            Err(error) if failed => tracing::debug!(session = ?session.id(), %error, "still cannot be read"),
            Err(error) => {
                failed = true;
                tracing::warn!(session = ?session.id(), %error, "a session cannot be read; its connections stay");
            }
        }
        sleep(settings.pause(0.9 + 0.2 * random())).await;
    }
}

impl Settings {
    /// So much of the interval. One that is too long for the clock is never over.
    fn pause(&self, part: f64) -> Duration {
        Duration::try_from_secs_f64(self.interval.as_secs_f64() * part).unwrap_or(Duration::MAX)
    }

    /// Closes those connections whose session is over, now that it is like this. Whether others are left.
    fn close_others(&self, now: &Session, connections: &Group<WebSocketConnection>) -> bool {
        let mut is_used = false;
        let mut all = Vec::new();
        connections.for_each(|conn| all.push(conn.clone()));
        for conn in all {
            let keeps = |before: &Session| {
                // A panic of the application says nothing about the visitor.
                catch_unwind(AssertUnwindSafe(|| (self.keep)(before, now))).unwrap_or_else(|_| {
                    tracing::error!("what tells whether a session is over panicked");
                    true
                })
            };
            if !now.is_present() || !conn.session().is_some_and(keeps) {
                tracing::debug!(conn = %conn.id(), session = ?now.id(), "its session is over");
                let _ = conn.close_with(self.code, self.reason.clone());
            } else {
                is_used = true;
            }
        }
        is_used
    }
}

/// When a session was touched.
struct Touched {
    last: Instant,
    failed: bool,
    is_possible: bool,
}

impl Touched {
    /// The visitor has just been at the front end, or has a page of it.
    fn new(settings: &Settings) -> Self {
        Touched { last: Instant::now(), failed: false, is_possible: settings.touch.is_some() }
    }

    /// If it is time, which it is also when the next look would come too late.
    async fn again(&mut self, session: &Session, settings: &Settings) {
        let is_due = |interval| self.last.elapsed().saturating_add(settings.interval) > interval;
        if !self.is_possible || !settings.touch.is_some_and(is_due) {
            return;
        }
        let touch = AssertUnwindSafe(session.touch()).catch_unwind().await;
        match touch.unwrap_or_else(|_| Err(StoreError::failed("the store panicked"))) {
            // One that has ended is seen by the next look.
            Ok(_) => (self.last, self.failed) = (Instant::now(), false),
            Err(error @ StoreError::Unsupported) => {
                self.is_possible = false;
                tracing::warn!(session = ?session.id(), %error, "a session cannot be touched, and ends at its time");
            }
            Err(error) if self.failed => tracing::debug!(session = ?session.id(), %error, "still not touched"),
            Err(error) => {
                self.failed = true;
                tracing::warn!(session = ?session.id(), %error, "a session was not touched");
            }
        }
    }
}

/// From 0 to 1, well enough to spread what would come together.
fn random() -> f64 {
    f64::from((RandomState::new().hash_one(0) >> 32) as u32) / f64::from(u32::MAX)
}

/// Lets a [`SessionWatch`] know of a handler's connections.
#[derive(Clone, Debug)]
pub struct WithWatch(SessionWatch);

impl Keep for WithWatch {
    type Guard = Option<UnderWatch>;

    fn enter(&self, conn: &WebSocketConnection) -> Self::Guard {
        let session = conn.session().filter(|session| session.is_present())?;
        let id = session.id()?.clone();
        let mut watched = self.0.lock();
        let member = match watched.entry(id.clone()) {
            Entry::Occupied(watched) => watched.get().connections.join(conn),
            Entry::Vacant(place) => {
                let connections = Group::new();
                let member = connections.join(conn);
                let watching = self.0.watch(session, &connections);
                place.insert(Watched { connections, watching });
                member
            }
        };
        Some(UnderWatch { watch: self.0.clone(), id, member: Some(member) })
    }
}

/// One connection of a watched session.
pub struct UnderWatch {
    watch: SessionWatch,
    id: SessionId,
    /// There until the end.
    member: Option<Membership<WebSocketConnection>>,
}

impl Drop for UnderWatch {
    fn drop(&mut self) {
        // Under the lock, so that nobody joins what is given up.
        let mut watched = self.watch.lock();
        drop(self.member.take());
        if let Entry::Occupied(entry) = watched.entry(self.id.clone())
            && entry.get().connections.is_empty()
        {
            entry.remove().watching.abort();
        }
    }
}

impl fmt::Debug for UnderWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderWatch").field("session", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWatch").field("sessions", &self.len()).finish_non_exhaustive()
    }
}
