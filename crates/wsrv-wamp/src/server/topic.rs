//! Topics: who hears what.

use super::SessionId;
use super::router::TopicRoutes;
use super::topic_handler::{TopicHandler, panicked};
use super::{Event, Pattern, UriParams, WampConnection};
use crate::{RawValue, Recipients};
use futures_util::FutureExt;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wsrv_core::{Connection, Delivery, GroupEvent, Groups, NamedGroup, NamedMembership, SlowPeer};

/// The topics of a [`Wamp`](super::Wamp), to publish from anywhere and to look who listens. Clones are the same.
///
/// A topic is there while somebody has subscribed to it, or while it is [declared](TopicRegistry::declare). What is
/// published to one without subscribers is not kept, and makes no topic.
#[derive(Clone)]
pub struct TopicRegistry(Arc<Inner>);

struct Inner {
    groups: Groups<WampConnection>,
    declared: Mutex<BTreeSet<Arc<str>>>,
    /// What to do at regular times while somebody listens. Known once the server is built.
    ticking: OnceLock<Arc<TopicRoutes>>,
    ticks: Mutex<HashMap<Arc<str>, AbortHandle>>,
}

impl Default for TopicRegistry {
    fn default() -> Self {
        TopicRegistry(Arc::new_cyclic(|inner: &Weak<Inner>| {
            let inner = inner.clone();
            let watcher = move |name: &Arc<str>, event| {
                if let Some(inner) = inner.upgrade() {
                    TopicRegistry(inner).follow(name, event);
                }
            };
            Inner {
                groups: Groups::watched(watcher),
                declared: Mutex::default(),
                ticking: OnceLock::new(),
                ticks: Mutex::default(),
            }
        }))
    }
}

impl TopicRegistry {
    /// No topics yet, for a [`Wamp`](super::Wamp::over) to be, or several.
    pub fn new() -> Self {
        Self::default()
    }

    /// By whom topics tick, if any do.
    pub(crate) fn tick_by(&self, routes: Arc<TopicRoutes>) {
        if routes.values().any(|route| route.tick.is_some()) {
            let _ = self.0.ticking.set(routes);
        }
    }

    /// The topic of this URI, whether or not anybody listens. The handle is good for as long as it is kept.
    pub fn topic(&self, uri: impl Into<Arc<str>>) -> Topic {
        Topic { group: self.0.groups.named(uri) }
    }

    /// The topics that somebody has subscribed to, and those declared, by URI. All their names are copied and sorted.
    pub fn topics(&self) -> Vec<Topic> {
        let mut uris: BTreeSet<Arc<str>> = lock(&self.0.declared).clone();
        uris.extend(self.0.groups.names());
        uris.into_iter().map(|uri| self.topic(uri)).collect()
    }

    /// Those among them that a pattern means, with what it finds in each URI.
    pub fn matching(&self, pattern: &Pattern) -> Vec<(Topic, UriParams)> {
        let found = self.topics().into_iter().filter_map(|topic| Some((pattern.matches(topic.uri())?, topic)));
        found.map(|(params, topic)| (topic, params)).collect()
    }

    /// How many topics have subscribers.
    pub fn len(&self) -> usize {
        self.0.groups.len()
    }

    /// Whether nobody has subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.0.groups.is_empty()
    }

    /// Has a topic listed among the [topics](Self::topics) also while nobody listens. Whether it was not yet.
    pub fn declare(&self, uri: impl Into<Arc<str>>) -> bool {
        lock(&self.0.declared).insert(uri.into())
    }

    /// Takes that back. Whether it was declared.
    pub fn retract(&self, uri: &str) -> bool {
        lock(&self.0.declared).remove(uri)
    }

    pub(crate) fn join(&self, uri: String, conn: &WampConnection) -> NamedMembership<WampConnection> {
        self.0.groups.join(uri, conn)
    }

    /// A topic's first subscriber comes, or its last one goes.
    fn follow(&self, uri: &Arc<str>, event: GroupEvent) {
        let Some(routes) = self.0.ticking.get() else { return };
        match event {
            GroupEvent::Created => {
                let Some((route, params)) = routes.find(uri) else { return };
                // One that is too long for the clock is never over.
                let first = |period| Some((Instant::now().checked_add(period)?, period));
                let Some((first, period)) = route.tick.and_then(first) else { return };
                let (handler, topic) = (route.handler.clone(), self.topic(uri.clone()));
                let ticking = tokio::spawn(async move {
                    let mut times = interval_at(first, period);
                    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    loop {
                        times.tick().await;
                        // What a panic leaves half done is the handler's own; the next tick is another one.
                        let ticked = AssertUnwindSafe(handler.on_tick(&topic, &params)).catch_unwind();
                        ticked.await.unwrap_or_else(|_| panicked(&topic));
                    }
                });
                lock(&self.0.ticks).insert(uri.clone(), ticking.abort_handle());
            }
            GroupEvent::Removed => {
                if let Some(ticking) = lock(&self.0.ticks).remove(uri) {
                    ticking.abort();
                }
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for ticking in self.ticks.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            ticking.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for TopicRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicRegistry").field("len", &self.len()).finish()
    }
}

/// One topic. Clones are the same.
///
/// Events that one publisher publishes one after the other reach each subscriber in that order. A slow subscriber holds
/// up nobody: what becomes of its events, its connection's [policy](wsrv_core::SlowPeer) says.
#[derive(Clone)]
pub struct Topic {
    group: NamedGroup<WampConnection>,
}

impl Topic {
    /// Its URI.
    pub fn uri(&self) -> &str {
        self.group.name()
    }

    /// Publishes an event to all subscribers. It is written once for all of them, and not at all without any.
    ///
    /// # Errors
    ///
    /// The event cannot be written as JSON, and somebody has subscribed.
    pub fn publish(&self, event: &(impl Serialize + ?Sized)) -> Result<Delivery, serde_json::Error> {
        match self.is_empty() {
            true => Ok(Delivery::default()),
            false => Ok(self.group.send(Event::new(self.uri(), event)?)),
        }
    }

    /// Publishes an event that is JSON already.
    pub fn publish_raw(&self, event: &RawValue) -> Delivery {
        self.group.send(Unwritten { topic: self.uri(), event })
    }

    /// Publishes an event to those subscribers that are meant, as a client's PUBLISH says it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); so do the next two.
    pub fn publish_to(
        &self,
        event: &(impl Serialize + ?Sized),
        recipients: &Recipients<'_>,
    ) -> Result<Delivery, serde_json::Error> {
        match recipients.is_everybody() {
            true => self.publish(event),
            false => self.publish_where(event, |conn| recipients.includes(conn.session_id().as_str())),
        }
    }

    /// The same to all but one.
    pub fn publish_to_others(
        &self,
        event: &(impl Serialize + ?Sized),
        than: &WampConnection,
    ) -> Result<Delivery, serde_json::Error> {
        self.publish_where(event, |conn| conn.id() != than.id())
    }

    /// The same to those of whom this is true: such as all whose [session](WampConnection::session_id) is not among some.
    ///
    /// ```
    /// # use wsrv_wamp::{SessionId, Topic};
    /// fn to_all_but(absent: &[SessionId], topic: &Topic) -> Result<(), serde_json::Error> {
    ///     topic.publish_where("we miss you", |conn| !absent.contains(conn.session_id()))?;
    ///     Ok(())
    /// }
    /// ```
    pub fn publish_where(
        &self,
        event: &(impl Serialize + ?Sized),
        is_meant: impl FnMut(&WampConnection) -> bool,
    ) -> Result<Delivery, serde_json::Error> {
        match self.is_empty() {
            true => Ok(Delivery::default()),
            false => Ok(self.group.send_filtered(Event::new(self.uri(), event)?, is_meant)),
        }
    }

    /// As [`publish_to`](Self::publish_to), of an event that is JSON already.
    pub fn publish_raw_to(&self, event: &RawValue, recipients: &Recipients<'_>) -> Delivery {
        match recipients.is_everybody() {
            true => self.publish_raw(event),
            false => self.publish_raw_where(event, |conn| recipients.includes(conn.session_id().as_str())),
        }
    }

    /// As [`publish_to_others`](Self::publish_to_others), of an event that is JSON already.
    pub fn publish_raw_to_others(&self, event: &RawValue, than: &WampConnection) -> Delivery {
        self.publish_raw_where(event, |conn| conn.id() != than.id())
    }

    /// As [`publish_where`](Self::publish_where), of an event that is JSON already.
    pub fn publish_raw_where(&self, event: &RawValue, is_meant: impl FnMut(&WampConnection) -> bool) -> Delivery {
        self.group.send_filtered(Unwritten { topic: self.uri(), event }, is_meant)
    }

    /// Sends an event that is there already, which may be another topic's.
    pub fn send(&self, event: Event) -> Delivery {
        self.group.send(event)
    }

    /// The same with this policy for subscribers that are slow.
    pub fn send_with(&self, event: Event, policy: SlowPeer) -> Delivery {
        self.group.send_with(event, policy)
    }

    /// How many subscribers there are.
    pub fn len(&self) -> usize {
        self.group.len()
    }

    /// Whether nobody has subscribed.
    pub fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Whether this connection has subscribed.
    pub fn contains(&self, conn: &WampConnection) -> bool {
        self.group.contains(conn)
    }

    /// Takes this connection's subscription from it, as if it had unsubscribed. It happens in the connection's own turn, so what
    /// is published at the same time may still reach it, and what is published while a handler of topics makes this client
    /// wait. The protocol has no message that would tell the client,
    /// and nothing keeps it from subscribing again but a [handler](TopicHandler::on_subscribe) that refuses.
    pub fn remove(&self, conn: &WampConnection) {
        conn.removals().push(self.group.name().clone());
        conn.link().wake();
    }

    /// The subscribers' sessions at this moment.
    pub fn sessions(&self) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        self.group.for_each(|conn| sessions.push(conn.session_id().clone()));
        sessions
    }

    /// The subscriber with this session. All are looked through, so it takes longer the more there are; nothing is kept
    /// for the sake of it.
    pub fn find(&self, session: &str) -> Option<WampConnection> {
        let mut found = None;
        self.group.for_each(|conn| {
            if conn.session_id().as_str() == session {
                found = Some(conn.clone());
            }
        });
        found
    }

    /// Looks at each subscriber there is at this moment.
    pub fn for_each(&self, look: impl FnMut(&WampConnection)) {
        self.group.for_each(look);
    }
}

/// An event that the group writes if it has somebody to send it to.
struct Unwritten<'a> {
    topic: &'a str,
    event: &'a RawValue,
}

impl From<Unwritten<'_>> for Event {
    fn from(Unwritten { topic, event }: Unwritten<'_>) -> Self {
        Event::raw(topic, event)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("uri", &self.uri()).field("len", &self.len()).finish()
    }
}
