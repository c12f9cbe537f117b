//! Requests to those who answer them.

use super::hooks::Hooks;
use super::pattern_map::PatternMap;
use super::procedure::Started;
use super::states::States;
use super::topic_handler::{BoxTopicHandler, TopicContext, TopicHandler, TopicRoute, panicked};
use super::{Call, CallError, Fault, Invocation, ProcedureRoute, Publication, Request, TopicRegistry, WampConnection};
use crate::Exclude;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::fmt;
use std::future::{poll_fn, ready};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use wsrv_core::{Closed, ClosedBy, Connection, Error, Handler, NamedMembership, Reason};

pub(crate) type TopicRoutes = PatternMap<TopicRoute>;

/// Answers the requests of WAMP connections by the procedures and topics of a [`Wamp`](super::Wamp).
///
/// Calls run in their connection's own task, so that what they send leaves in one write with all else; they are dropped
/// with the connection.
pub struct Router {
    pub(crate) procedures: PatternMap<ProcedureRoute>,
    pub(crate) topics: Arc<TopicRoutes>,
    pub(crate) registry: TopicRegistry,
    pub(crate) states: Arc<States>,
    pub(crate) bounds: Bounds,
    pub(crate) hooks: Hooks,
}

/// What one connection may hold.
pub(crate) struct Bounds {
    pub(crate) calls: usize,
    pub(crate) call_bytes: usize,
    pub(crate) subscriptions: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { calls: 128, call_bytes: 1024 * 1024, subscriptions: 1_000 }
    }
}

/// What is remembered of one connection.
pub struct RouterState {
    subscriptions: HashMap<Arc<str>, Subscription>,
    calls: Calls,
}

/// Calls that have not been answered at once. Most connections never have any.
#[derive(Default)]
struct Calls {
    running: Option<Box<FuturesUnordered<Running>>>,
    /// What came with them.
    bytes: usize,
}

struct Subscription {
    cx: TopicContext,
    handler: BoxTopicHandler,
    _member: NamedMembership<WampConnection>,
}

/// A call up to its answer, or the end of a subscription that the server has taken; and then how many bytes had come with it.
type Running = Pin<Box<dyn Future<Output = usize> + Send>>;

impl Router {
    async fn call(&self, conn: &WampConnection, state: &mut RouterState, call: Call) -> Result<(), Error> {
        let Call { id, procedure, arguments } = call;
        let bytes = arguments.held();
        let (started, time, name): (Started, _, _) = match self.procedures.find(&procedure) {
            Some((route, params)) => {
                let time = route.timeout.and_then(Time::from_now);
                let (states, deadline) = (self.states.clone(), time.map(|time| time.deadline));
                let invocation = Invocation { conn: conn.clone(), procedure, arguments, params, states, deadline };
                (route.procedure.start(invocation), time, route.name.clone())
            }
            None => {
                tracing::debug!(conn = %conn.id(), procedure, "there is no such procedure");
                let unknown = Fault::NoSuchProcedure { uri: procedure };
                (Box::pin(ready(Err(unknown.into()))), None, "".into())
            }
        };
        let answered = answer(conn.clone(), id, name, started, time);
        let mut running: Running = Box::pin(answered.map(move |()| bytes));
        // Most are answered at once, and never become one among others.
        if poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await.is_ready() {
            return Ok(());
        }
        state.calls.push(running, bytes);
        // What is one too many goes on as well: it may hold something that others wait for. But nothing more is read
        // from this peer meanwhile.
        poll_fn(|cx| {
            state.take_away(conn);
            state.calls.go_on(cx);
            match state.calls.are_too_many(&self.bounds) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
        Ok(())
    }

    async fn subscribe(&self, conn: &WampConnection, state: &mut RouterState, topic: String) -> Result<(), Error> {
        if state.subscriptions.contains_key(&*topic) {
            return Ok(());
        }
        let Some((route, cx)) = self.find(conn, &topic) else { return Ok(()) };
        if state.subscriptions.len() >= self.bounds.subscriptions {
            return Err(Error::new(Reason::Policy, "too many subscriptions"));
        }
        if let Err(why) = alongside(&mut state.calls, route.handler.on_subscribe(&cx)).await {
            tracing::debug!(conn = %conn.id(), topic, %why, "a subscription was refused");
            return Ok(());
        }
        let member = self.registry.join(topic, conn);
        let name = member.group().name().clone();
        let subscription = Subscription { cx: cx.clone(), handler: route.handler.clone(), _member: member };
        state.subscriptions.insert(name, subscription);
        alongside(&mut state.calls, route.handler.on_subscribed(&cx)).await;
        Ok(())
    }

    async fn unsubscribe(&self, state: &mut RouterState, topic: &str) {
        if let Some(subscription) = state.subscriptions.remove(topic) {
            alongside(&mut state.calls, subscription.end()).await;
        }
    }

    async fn publish(&self, conn: &WampConnection, state: &mut RouterState, publication: Publication) {
        let Some((route, cx)) = self.find(conn, &publication.topic) else { return };
        let publication = match alongside(&mut state.calls, route.handler.on_publish(&cx, publication)).await {
            Ok(Some(publication)) if route.broadcast => publication,
            Ok(_) => return,
            Err(why) => {
                tracing::debug!(conn = %conn.id(), topic = cx.topic().uri(), %why, "a publication was refused");
                return;
            }
        };
        let Publication { event, exclude, eligible, .. } = &publication;
        match (exclude, eligible) {
            // By far the most frequent, and cheaper by connection than by name.
            (Exclude::Default, None) if conn.dialect().exclude_publisher => {
                cx.topic().publish_raw_to_others(event, conn)
            }
            _ => cx.topic().publish_raw_to(event, &conn.recipients(exclude, eligible.as_deref())),
        };
    }

    fn find(&self, conn: &WampConnection, topic: &str) -> Option<(&TopicRoute, TopicContext)> {
        let Some((route, params)) = self.topics.find(topic) else {
            tracing::debug!(conn = %conn.id(), topic, "there is no such topic");
            return None;
        };
        let (conn, topic) = (conn.clone(), self.registry.topic(topic));
        Some((route, TopicContext { conn, topic, params, states: self.states.clone() }))
    }
}

impl RouterState {
    /// Ends the subscriptions that the server takes.
    fn take_away(&mut self, conn: &WampConnection) {
        for topic in conn.removals().take() {
            if let Some(subscription) = self.subscriptions.remove(&topic) {
                self.calls.push(Box::pin(subscription.taken_away()), 0);
            }
        }
    }
}

impl Subscription {
    /// The same by nobody's request, so that a panic is nobody's either. It brings no bytes with it.
    async fn taken_away(self) -> usize {
        let Subscription { cx, handler, _member: member } = self;
        drop(member);
        tell_end(&cx, &handler).await;
        0
    }

    async fn end(self) {
        let Subscription { cx, handler, _member: member } = self;
        drop(member);
        handler.on_unsubscribed(&cx).await;
    }
}

/// Tells a handler that somebody is no subscriber any more, where a panic of it is to harm nobody else.
async fn tell_end(cx: &TopicContext, handler: &BoxTopicHandler) {
    if AssertUnwindSafe(handler.on_unsubscribed(cx)).catch_unwind().await.is_err() {
        panicked(cx.topic());
    }
}

/// Whether the server goes, and has nothing against the client.
fn is_orderly(closed: Closed) -> bool {
    closed.by == ClosedBy::Local && matches!(closed.reason, Reason::Done | Reason::GoingAway | Reason::Restart)
}

/// How long a call may take, and when that is over.
#[derive(Clone, Copy)]
struct Time {
    after: Duration,
    deadline: Instant,
}

impl Time {
    /// `None`: too long for the clock.
    fn from_now(after: Duration) -> Option<Self> {
        Instant::now().checked_add(after).map(|deadline| Time { after, deadline })
    }
}

/// Lets a call run to its end, whatever that is, and answers it.
async fn answer(conn: WampConnection, id: String, procedure: Arc<str>, started: Started, time: Option<Time>) {
    // What a panic leaves half done is the procedure's own.
    let started = AssertUnwindSafe(started).catch_unwind();
    let ended = match time {
        None => started.await,
        Some(Time { after, deadline }) => {
            timeout_at(deadline, started).await.unwrap_or_else(|_| Ok(Err(Fault::Timeout { after }.into())))
        }
    };
    let outcome = ended.unwrap_or_else(|_| {
        tracing::error!(conn = %conn.id(), %procedure, "a procedure panicked");
        Err(Fault::Failed.into())
    });
    if let Some(cause) = outcome.as_ref().err().and_then(CallError::cause) {
        tracing::warn!(conn = %conn.id(), %procedure, cause, "a procedure failed");
    }
    let _gone = match outcome {
        Ok(result) => conn.raw_result(&id, &result).await,
        Err(error) => conn.call_error(&id, &error).await,
    };
}

/// Does this, and lets the running calls go on meanwhile.
async fn alongside<T>(calls: &mut Calls, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let done = work.as_mut().poll(cx);
        if done.is_pending() {
            calls.go_on(cx);
        }
        done
    })
    .await
}

impl Calls {
    fn len(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.len())
    }

    fn are_too_many(&self, bounds: &Bounds) -> bool {
        self.len() > bounds.calls || self.len() > 1 && self.bytes > bounds.call_bytes
    }

    fn push(&mut self, running: Running, bytes: usize) {
        self.bytes += bytes;
        self.running.get_or_insert_default().push(running);
    }

    /// Until all are answered.
    async fn end(&mut self) {
        if let Some(running) = &mut self.running {
            while running.next().await.is_some() {}
        }
    }

    /// Polls all that were woken. Their answers leave together.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let Some(running) = &mut self.running else { return };
        while let Poll::Ready(Some(bytes)) = running.poll_next_unpin(cx) {
            self.bytes -= bytes;
        }
    }
}

impl Handler<WampConnection> for Router {
    type State = RouterState;

    async fn on_open(&self, conn: &WampConnection) -> Result<RouterState, Error> {
        self.hooks.open(conn).await?;
        Ok(RouterState { subscriptions: HashMap::new(), calls: Calls::default() })
    }

    async fn on_message(&self, conn: &WampConnection, state: &mut RouterState, request: Request) -> Result<(), Error> {
        match request {
            Request::Call(call) => return self.call(conn, state, call).await,
            Request::Subscribe { topic } => return self.subscribe(conn, state, topic).await,
            Request::Unsubscribe { topic } => self.unsubscribe(state, &topic).await,
            Request::Publish(publication) => self.publish(conn, state, publication).await,
        }
        Ok(())
    }

    async fn on_close(&self, conn: &WampConnection, state: RouterState, closed: Closed) {
        let RouterState { subscriptions, mut calls } = state;
        if is_orderly(closed) {
            // Half of the time there is; the other half is for the topics' handlers.
            let _ = timeout(conn.limits().on_close_timeout / 2, calls.end()).await;
        }
        drop(calls);
        // All have ended before the first is told, and one that hangs or panics keeps none of the others from being told.
        let ended: Vec<_> =
            subscriptions.into_values().map(|subscription| (subscription.cx, subscription.handler)).collect();
        let told: FuturesUnordered<_> = ended.iter().map(|(cx, handler)| tell_end(cx, handler)).collect();
        join(told.collect::<()>(), self.hooks.close(conn, closed)).await;
    }

    fn poll_background(
        &self,
        conn: &WampConnection,
        state: &mut RouterState,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        state.take_away(conn);
        state.calls.go_on(cx);
        Poll::Pending
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl fmt::Debug for RouterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterState")
            .field("subscriptions", &self.subscriptions.len())
            .field("calls", &self.calls.len())
            .finish()
    }
}
