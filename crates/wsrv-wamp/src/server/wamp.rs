//! A server's procedures and topics, described.

use super::handlers::{Handlers, Named};
use super::hooks::Hooks;
use super::layer::WampLayer;
use super::pattern::{InvalidPattern, Pattern};
use super::pattern_map::PatternMap;
use super::procedure::{BoxProcedure, IntoProcedure, IntoProcedureRoute, ProcedureRoute};
use super::router::{Bounds, Router, TopicRoutes};
use super::settings::Settings;
use super::states::States;
use super::topic_handler::{BoxTopicHandler, TopicHandler, TopicRoute};
use super::{CallError, Fault, Permissions, TopicRegistry, WampConnection};
use crate::{Dialect, Malformed, MessageLimits};
use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wsrv_core::{Closed, Error};
use wsrv_rfc6455::CloseCode;

/// Describes what a server offers by WAMP: procedures, topics, and how both are dealt with. [`build`](Wamp::build)
/// makes the handler of it.
///
/// ```
/// use wsrv_wamp::{Args, CallError, Open, Wamp};
///
/// async fn add(Args((a, b)): Args<(f64, f64)>) -> Result<f64, CallError> {
///     Ok(a + b)
/// }
///
/// let wamp = Wamp::new()
///     .procedure("http://example.com/calc#add", add)
///     .topic("http://example.com/rooms/{room}", Open);
/// let topics = wamp.topics();
/// let handler = wamp.build()?;
/// // Later, from anywhere:
/// topics.topic("http://example.com/rooms/7").publish(&"dinner is ready")?;
/// # let _ = handler;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// | what | set with | default | past it |
/// |---|---|---|---|
/// | depth, URIs, ids of a message | [`limits`](Wamp::limits) | 64, 1,024 B (before prefixes are replaced), … | as malformed |
/// | prefixes of a connection | [`max_prefixes`](Wamp::max_prefixes) | 100 | closed, 1008; one that can be none counts as malformed |
/// | subscriptions of a connection | [`max_subscriptions`](Wamp::max_subscriptions) | 1,000 | closed, 1008 |
/// | calls of a connection that wait at once | [`max_calls`](Wamp::max_calls) | 128 | one more begins, and nothing is read until one ends |
/// | bytes of the messages that these came in | [`max_call_bytes`](Wamp::max_call_bytes) | 1 MiB | the same |
/// | a call's time | [`call_timeout`](Wamp::call_timeout), [`ProcedureRoute::timeout`] | none | answered with [`Fault::Timeout`] |
#[derive(Default)]
pub struct Wamp {
    procedures: Vec<(String, Offered<ProcedureRoute>)>,
    topics: Vec<(String, Offered<TopicRoute>)>,
    registry: TopicRegistry,
    handlers: Handlers,
    through: Through,
    states: States,
    settings: Settings,
    bounds: Bounds,
    call_timeout: Option<Duration>,
    hooks: Hooks,
}

#[derive(Default)]
struct Through {
    calls: Vec<Box<dyn Fn(BoxProcedure) -> BoxProcedure + Send + Sync>>,
    topics: Vec<AroundTopics>,
}

type AroundTopics = Box<dyn Fn(BoxTopicHandler) -> Result<BoxTopicHandler, WampError> + Send + Sync>;

/// Itself, or by the name that [`Handlers`] know.
enum Offered<T> {
    Here(T),
    Named(String),
}

impl<T> Offered<T> {
    fn find(self, named: &Named<T>) -> Result<T, WampError> {
        match self {
            Offered::Here(route) => Ok(route),
            Offered::Named(name) => match named.get(&name) {
                Some(make) => Ok(make()),
                None => Err(WampError::UnknownHandler(name)),
            },
        }
    }
}

/// What was described cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WampError {
    /// A pattern makes no sense.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// Two patterns of one priority mean the same, whatever their parameters are called.
    #[error("{what} `{pattern}` is there twice, first as `{first}`")]
    Twice {
        /// Of procedures or of topics.
        what: Offer,
        /// The second one.
        pattern: String,
        /// The one before it.
        first: String,
    },
    /// A middleware of topics does not name the handler that it is around ([`TopicHandler::next`]), so what it does not deal
    /// with would be allowed to everybody.
    #[error("the middleware of topics `{0}` names no `next` handler")]
    NoNext(&'static str),
    /// A [`Malformed::Close`] with a code that no close frame may have.
    #[error("{0} is no close code")]
    CloseCode(u16),
    /// There is no handler of this name.
    #[error("there is no handler named `{0}`")]
    UnknownHandler(String),
}

/// What a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A procedure.
    Procedure,
    /// Topics.
    Topic,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Offer::Procedure => "the procedure",
            Offer::Topic => "the topic",
        })
    }
}

impl Wamp {
    /// Nothing is offered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing is offered yet, and the topics are to be these, of a registry that is there already: several [`Wamp`]s with the same ones, such as one for those who have signed
    /// in and one for guests, publish to each other's subscribers. Each decides by its own handlers who may. Topics
    /// [tick](TopicRoute::every) as the first of them that was built and has ticks says.
    pub fn over(topics: TopicRegistry) -> Self {
        Wamp { registry: topics, ..Self::default() }
    }

    /// Offers a procedure under a URI, or under all that a [pattern](Pattern) means: an async function, a type that
    /// implements [`Procedure`](super::Procedure), or a [`ProcedureRoute`] with settings of its own.
    ///
    /// If several patterns mean a URI, the one of the highest [priority](ProcedureRoute::priority) wins; among equals the
    /// URI itself before any pattern, and then the pattern that was added first. Two of equal priority that mean the same are
    /// an error of [`build`](Self::build).
    pub fn procedure<M>(mut self, pattern: impl Into<String>, procedure: impl IntoProcedureRoute<M>) -> Self {
        self.procedures.push((pattern.into(), Offered::Here(procedure.into_route())));
        self
    }

    /// Offers the procedure that the [handlers](Self::handlers) know by this name.
    pub fn procedure_named(mut self, pattern: impl Into<String>, name: impl Into<String>) -> Self {
        self.procedures.push((pattern.into(), Offered::Named(name.into())));
        self
    }

    /// Offers the topics that a URI or a [pattern](Pattern) means; all others are refused without a word. [`Open`]
    /// lets everybody subscribe and publish. Which pattern wins is as with [procedures](Self::procedure).
    ///
    /// [`Open`]: super::Open
    pub fn topic(mut self, pattern: impl Into<String>, route: impl Into<TopicRoute>) -> Self {
        self.topics.push((pattern.into(), Offered::Here(route.into())));
        self
    }

    /// Offers topics with the handler that the [handlers](Self::handlers) know by this name.
    pub fn topic_named(mut self, pattern: impl Into<String>, name: impl Into<String>) -> Self {
        self.topics.push((pattern.into(), Offered::Named(name.into())));
        self
    }

    /// What names mean: for servers whose offers stand in a configuration.
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// Sends all calls through a middleware: a [`Procedure`](super::Procedure) made around each of those offered. The
    /// first that is added is the first that a call meets.
    pub fn calls_through<M, P: IntoProcedure<M>>(
        mut self,
        around: impl Fn(BoxProcedure) -> P + Send + Sync + 'static,
    ) -> Self {
        self.through.calls.push(Box::new(move |next| BoxProcedure::new(around(next))));
        self
    }

    /// Sends all subscriptions and publications through a middleware: a [`TopicHandler`] made around each of those
    /// offered. The first that is added is the first that they meet. It has to name the handler that it is given as its
    /// [`next`](TopicHandler::next); otherwise [`build`](Self::build) fails, if there are topics.
    pub fn topics_through<H: TopicHandler>(
        mut self,
        around: impl Fn(BoxTopicHandler) -> H + Send + Sync + 'static,
    ) -> Self {
        self.through.topics.push(Box::new(move |next| {
            let middleware = around(next.clone());
            match BoxTopicHandler::is_around(&middleware, &next) {
                true => Ok(BoxTopicHandler::new(middleware)),
                false => Err(WampError::NoNext(type_name::<H>())),
            }
        }));
        self
    }

    /// Lets calls, subscriptions and publications through that these rules allow: [`calls_through`](Self::calls_through)
    /// and [`topics_through`](Self::topics_through) in one, at this place among the other middleware.
    pub fn permissions(self, permissions: Permissions) -> Self {
        let topics = permissions.clone();
        self.calls_through(move |next| permissions.around_procedure(next))
            .topics_through(move |next| topics.around_topics(next))
    }

    /// Keeps a value for procedures, which take it as [`State<T>`](super::State), and for topics. One of each type. An
    /// `Arc<T>` that others share is found as a `T`, too.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// What callers are told of a [`Fault`]. `None`: the usual, which is `CallError::from(fault)`.
    pub fn faults(mut self, tell: impl Fn(&Fault) -> Option<CallError> + Send + Sync + 'static) -> Self {
        self.settings.faults = Box::new(tell);
        self
    }

    /// How the protocol's open questions are answered. Default [`Dialect::autobahn`]; [`Dialect::ratchet`] is for clients
    /// written for it.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.settings.dialect = dialect;
        self
    }

    /// The bounds of a message beyond its size.
    pub fn limits(mut self, limits: MessageLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// What the server calls itself in the WELCOME. Default `wsrv/` and the version.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.settings.identity = identity.into();
        self
    }

    /// Whether clients have to agree on the subprotocol `wamp`. Default `true`.
    pub fn needs_subprotocol(mut self, needs: bool) -> Self {
        self.settings.needs_subprotocol = needs;
        self
    }

    /// How many prefixes a connection may register. Default 100.
    pub fn max_prefixes(mut self, prefixes: usize) -> Self {
        self.settings.max_prefixes = prefixes;
        self
    }

    /// How many topics a connection may have subscribed to at once. Default 1,000.
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.bounds.subscriptions = subscriptions;
        self
    }

    /// How many calls of a connection may run at once. Default 128.
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.bounds.calls = calls;
        self
    }

    /// How many bytes of messages the calls of a connection that run at once may have brought. One call may always run.
    /// Default 1 MiB.
    pub fn max_call_bytes(mut self, bytes: usize) -> Self {
        self.bounds.call_bytes = bytes;
        self
    }

    /// How long a call may take, unless its [route](ProcedureRoute::timeout) says otherwise. Default: as long as the
    /// connection lives.
    pub fn call_timeout(mut self, time: Duration) -> Self {
        self.call_timeout = Some(time);
        self
    }

    /// Called with each connection once its session has begun, behind the WELCOME and before its first request. An error
    /// closes it. Where clients [sign in](super::WampLayer::sign_in), that is behind the answer to `auth`: who has not
    /// signed in is never heard of, neither here nor at the end.
    pub fn on_open<F: Future<Output = Result<(), Error>> + Send + 'static>(
        mut self,
        hook: impl Fn(WampConnection) -> F + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_open(hook);
        self
    }

    /// Called with each connection that ends and for which [`on_open`](Self::on_open) was done, if there is one, beside
    /// [`on_unsubscribed`](TopicHandler::on_unsubscribed) for each of its topics and within the same
    /// [time](wsrv_core::Limits::on_close_timeout). It is a subscriber of nothing any more.
    pub fn on_close<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn(WampConnection, Closed) -> F + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_close(hook);
        self
    }

    /// The topics of the server to be: to publish from anywhere, and to look who listens.
    pub fn topics(&self) -> TopicRegistry {
        self.registry.clone()
    }

    /// Makes the handler of WebSockets.
    ///
    /// # Errors
    ///
    /// A pattern makes no sense, two of one priority mean the same, a name is unknown to the [handlers](Self::handlers), a
    /// middleware of topics names no [`next`](TopicHandler::next), or the [dialect](Self::dialect) closes with a code that no
    /// close frame may have.
    pub fn build(self) -> Result<WampLayer<Router>, WampError> {
        let Wamp { registry, handlers, through, settings, .. } = self;
        if let Malformed::Close(code) = settings.dialect.malformed
            && !CloseCode::from(code).is_sendable()
        {
            return Err(WampError::CloseCode(code));
        }
        let mut procedures = PatternMap::new();
        for (pattern, offered) in self.procedures {
            let route = offered.find(&handlers.procedures)?;
            let wrapped = through.calls.iter().rev().fold(route.procedure, |next, around| around(next));
            let (name, timeout) = (pattern.as_str().into(), route.timeout.or(self.call_timeout));
            insert(
                Offer::Procedure,
                &mut procedures,
                pattern,
                route.priority,
                ProcedureRoute { procedure: wrapped, timeout, name, ..route },
            )?;
        }
        let mut topics = TopicRoutes::new();
        for (pattern, offered) in self.topics {
            let route = offered.find(&handlers.topics)?;
            let wrapped = through.topics.iter().rev().try_fold(route.handler, |next, around| around(next))?;
            insert(Offer::Topic, &mut topics, pattern, route.priority, TopicRoute { handler: wrapped, ..route })?;
        }
        let (topics, states) = (Arc::new(topics), Arc::new(self.states));
        registry.tick_by(topics.clone());
        let router = Router { procedures, topics, registry, states, bounds: self.bounds, hooks: self.hooks };
        Ok(WampLayer::with(router, settings))
    }
}

fn insert<T>(what: Offer, map: &mut PatternMap<T>, pattern: String, priority: i32, route: T) -> Result<(), WampError> {
    let inserted = map.insert(Pattern::new(pattern.clone())?, priority, route);
    inserted.map_err(|first| WampError::Twice { what, pattern, first })
}

impl fmt::Debug for Wamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wamp")
            .field("procedures", &self.procedures.iter().map(|(pattern, _)| pattern).collect::<Vec<_>>())
            .field("topics", &self.topics.iter().map(|(pattern, _)| pattern).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
