//! What a server does about subscriptions and publications.

use super::request::Publication;
use super::states::States;
use super::{Topic, UriParams, WampConnection};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Who asks for what: the connection, the topic, and what the topic's pattern has found in its URI.
#[derive(Clone, Debug)]
pub struct TopicContext {
    pub(crate) conn: WampConnection,
    pub(crate) topic: Topic,
    pub(crate) params: UriParams,
    pub(crate) states: Arc<States>,
}

impl TopicContext {
    /// Whoever subscribes or publishes.
    pub fn connection(&self) -> &WampConnection {
        &self.conn
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The parameters of its URI, as the pattern names them.
    pub fn params(&self) -> &UriParams {
        &self.params
    }

    /// What [`Wamp::state`](super::Wamp::state) was given of this type.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        self.states.get()
    }
}

/// Why a subscription or a publication is refused. It goes to the log, at the level debug; the client is told nothing,
/// as the protocol wants it.
#[derive(Clone, Debug)]
pub struct TopicRefusal(Cow<'static, str>);

impl TopicRefusal {
    /// Refuses with this reason.
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        TopicRefusal(why.into())
    }
}

/// What has failed refuses.
impl<E: std::error::Error> From<E> for TopicRefusal {
    fn from(error: E) -> Self {
        TopicRefusal(error.to_string().into())
    }
}

impl fmt::Display for TopicRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Decides about the topics of a pattern, and looks on. What it does not say otherwise is allowed: [`Open`] says
/// nothing at all.
///
/// The events of one connection come one after the other. While a handler waits, that connection's calls go on, and its
/// other requests wait.
///
/// ```
/// use wsrv_wamp::{Publication, TopicContext, TopicHandler, TopicRefusal};
///
/// /// Rooms whose members are told how many they are.
/// struct Room;
///
/// impl TopicHandler for Room {
///     async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
///         if cx.topic().len() >= 50 {
///             return Err(TopicRefusal::new("the room is full"));
///         }
///         Ok(())
///     }
///     async fn on_subscribed(&self, cx: &TopicContext) {
///         let _ = cx.topic().publish(&cx.topic().len());
///     }
///     async fn on_unsubscribed(&self, cx: &TopicContext) {
///         let _ = cx.topic().publish(&cx.topic().len());
///     }
///     async fn on_publish(&self, _: &TopicContext, event: Publication) -> Result<Option<Publication>, TopicRefusal> {
///         Ok(Some(event).filter(|event| event.event.get().len() < 1_000))
///     }
/// }
/// ```
///
/// A **middleware** contains another handler and names it in [`next`](Self::next): what it does not deal with goes
/// there by itself, so that nothing is allowed by accident. Around all topics it is put with
/// [`Wamp::topics_through`](super::Wamp::topics_through), which takes none that forgets to.
///
/// # Cancel safety
///
/// A future is dropped half-way if the connection is cut, or ends and the future takes longer than it may. Then
/// [`on_unsubscribed`](Self::on_unsubscribed) is still called for each subscription there is, all of them side by side
/// and within [`Limits::on_close_timeout`](wsrv_core::Limits::on_close_timeout). Only if the connection's task is
/// aborted it is not; the subscriptions end all the same.
///
/// # Panics
///
/// A panic in what a client has asked for ends that client's connection, with 1011. At a connection's end, where the server
/// [takes](Topic::remove) a subscription, and in [`on_tick`](Self::on_tick) it harms nobody. Either is in the log, as an error.
pub trait TopicHandler: Send + Sync + 'static {
    /// The handler that this one is around, if it is a middleware. Default: none.
    fn next(&self) -> Option<&BoxTopicHandler> {
        None
    }

    /// Somebody wants to subscribe who has not yet, and may have one subscription more. An error refuses: it is no
    /// subscriber then.
    fn on_subscribe(&self, cx: &TopicContext) -> impl Future<Output = Result<(), TopicRefusal>> + Send {
        async move {
            match self.next() {
                Some(next) => next.on_subscribe(cx).await,
                None => Ok(()),
            }
        }
    }

    /// Somebody has become a subscriber, and gets all that is published from now on.
    ///
    /// What is sent here, such as what was published before, has no place among the events that others publish at the
    /// same time: those may come first. Number them where that matters, or publish and send under one lock.
    fn on_subscribed(&self, cx: &TopicContext) -> impl Future<Output = ()> + Send {
        async move {
            if let Some(next) = self.next() {
                next.on_subscribed(cx).await;
            }
        }
    }

    /// Somebody is no subscriber any more: by its own wish, or because its connection ends.
    fn on_unsubscribed(&self, cx: &TopicContext) -> impl Future<Output = ()> + Send {
        async move {
            if let Some(next) = self.next() {
                next.on_unsubscribed(cx).await;
            }
        }
    }

    /// Somebody publishes. What is returned goes to the subscribers, changed or not; with `None` nothing does, and with
    /// an error neither.
    fn on_publish(
        &self,
        cx: &TopicContext,
        publication: Publication,
    ) -> impl Future<Output = Result<Option<Publication>, TopicRefusal>> + Send {
        async move {
            match self.next() {
                Some(next) => next.on_publish(cx, publication).await,
                None => Ok(Some(publication)),
            }
        }
    }

    /// Called at the times that [`TopicRoute::every`] sets, for each topic that has subscribers. Dropped half-way if the
    /// last of them leaves meanwhile.
    fn on_tick(&self, topic: &Topic, params: &UriParams) -> impl Future<Output = ()> + Send {
        async move {
            if let Some(next) = self.next() {
                next.on_tick(topic, params).await;
            }
        }
    }
}

/// For the log: the handler of this topic has panicked where nobody else is to be harmed.
pub(crate) fn panicked(topic: &Topic) {
    tracing::error!(topic = topic.uri(), "a handler of topics panicked");
}

/// Lets everybody subscribe and publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open;

impl TopicHandler for Open {}

/// Any handler of topics. Clones are the same one.
#[derive(Clone)]
pub struct BoxTopicHandler(Arc<dyn DynTopicHandler>);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

trait DynTopicHandler: Send + Sync {
    fn inner(&self) -> Option<&BoxTopicHandler>;
    fn subscribe<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, Result<(), TopicRefusal>>;
    fn subscribed<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, ()>;
    fn unsubscribed<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, ()>;
    fn publish<'a>(
        &'a self,
        cx: &'a TopicContext,
        publication: Publication,
    ) -> Boxed<'a, Result<Option<Publication>, TopicRefusal>>;
    fn tick<'a>(&'a self, topic: &'a Topic, params: &'a UriParams) -> Boxed<'a, ()>;
}

impl<H: TopicHandler> DynTopicHandler for H {
    fn inner(&self) -> Option<&BoxTopicHandler> {
        self.next()
    }

    fn subscribe<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, Result<(), TopicRefusal>> {
        Box::pin(self.on_subscribe(cx))
    }

    fn subscribed<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, ()> {
        Box::pin(self.on_subscribed(cx))
    }

    fn unsubscribed<'a>(&'a self, cx: &'a TopicContext) -> Boxed<'a, ()> {
        Box::pin(self.on_unsubscribed(cx))
    }

    fn publish<'a>(
        &'a self,
        cx: &'a TopicContext,
        publication: Publication,
    ) -> Boxed<'a, Result<Option<Publication>, TopicRefusal>> {
        Box::pin(self.on_publish(cx, publication))
    }

    fn tick<'a>(&'a self, topic: &'a Topic, params: &'a UriParams) -> Boxed<'a, ()> {
        Box::pin(self.on_tick(topic, params))
    }
}

impl BoxTopicHandler {
    /// Boxes a handler.
    pub fn new(handler: impl TopicHandler) -> Self {
        BoxTopicHandler(Arc::new(handler))
    }

    /// Whether this handler, which was made around that one, passes on to it what it does not deal with; or is the same.
    pub(crate) fn is_around<H: TopicHandler>(handler: &H, next: &BoxTopicHandler) -> bool {
        let boxed = (handler as &dyn Any).downcast_ref::<BoxTopicHandler>();
        handler.next().is_some() || boxed.is_some_and(|boxed| Arc::ptr_eq(&boxed.0, &next.0))
    }
}

impl TopicHandler for BoxTopicHandler {
    fn next(&self) -> Option<&BoxTopicHandler> {
        self.0.inner()
    }

    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        self.0.subscribe(cx).await
    }

    async fn on_subscribed(&self, cx: &TopicContext) {
        self.0.subscribed(cx).await;
    }

    async fn on_unsubscribed(&self, cx: &TopicContext) {
        self.0.unsubscribed(cx).await;
    }

    async fn on_publish(
        &self,
        cx: &TopicContext,
        publication: Publication,
    ) -> Result<Option<Publication>, TopicRefusal> {
        self.0.publish(cx, publication).await
    }

    async fn on_tick(&self, topic: &Topic, params: &UriParams) {
        self.0.tick(topic, params).await;
    }
}

impl fmt::Debug for BoxTopicHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxTopicHandler")
    }
}

/// A handler of topics with settings of its own. A handler alone is one with the usual settings.
#[derive(Debug)]
pub struct TopicRoute {
    pub(crate) handler: BoxTopicHandler,
    pub(crate) broadcast: bool,
    pub(crate) tick: Option<Duration>,
    pub(crate) priority: i32,
}

impl TopicRoute {
    /// This handler with the usual settings.
    pub fn new(handler: impl TopicHandler) -> Self {
        TopicRoute { handler: BoxTopicHandler::new(handler), broadcast: true, tick: None, priority: 0 }
    }

    /// Whether what [`on_publish`](TopicHandler::on_publish) returns is published. Without, the handler publishes by
    /// itself, as with Ratchet. Default `true`.
    pub fn broadcast(mut self, broadcast: bool) -> Self {
        self.broadcast = broadcast;
        self
    }

    /// Calls [`on_tick`](TopicHandler::on_tick) at intervals for each topic that has subscribers: the first time one
    /// interval after the first of them came, the last time before the last of them has gone. Default: never.
    ///
    /// # Panics
    ///
    /// The interval is zero.
    pub fn every(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "an interval takes time");
        self.tick = Some(interval);
        self
    }

    /// Which pattern wins if several mean a URI: that of the highest priority; among equals the URI itself, then the first
    /// that was added. Default 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

impl<H: TopicHandler> From<H> for TopicRoute {
    fn from(handler: H) -> Self {
        TopicRoute::new(handler)
    }
}
