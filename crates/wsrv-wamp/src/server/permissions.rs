//! Who may call, subscribe and publish.

use super::pattern::{InvalidPattern, Pattern};
use super::topic_handler::{BoxTopicHandler, TopicContext, TopicHandler, TopicRefusal};
use super::{BoxProcedure, Fault, Invocation, Outcome, Procedure, Publication, WampConnection};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use wsrv_core::Connection;

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To call a procedure.
    Call,
    /// To subscribe to a topic.
    Subscribe,
    /// To publish to a topic.
    Publish,
}

impl Action {
    /// All there are.
    pub const ALL: [Action; 3] = [Action::Call, Action::Subscribe, Action::Publish];
}

/// Rules about who may do what. The first rule that means a connection, an action and a URI decides; without one, the
/// default does. Clones are the same.
///
/// [`Wamp::permissions`](super::Wamp::permissions) applies them to all procedures and topics. A call that is not allowed is
/// answered with [`Fault::NotAuthorized`], a subscription or publication is dropped.
///
/// A rule that is not for everybody asks what is known about the connection. Roles of those who sign in are given with their
/// [`Account`](crate::cra::Account::with); where a gate has found out who it is, they are among the extensions. Only what is
/// proven belongs there: a [`Store`](crate::cra::Store) is asked before that.
///
/// ```
/// use wsrv_core::Connection;
/// use wsrv_wamp::{Action, Open, Permissions, Rule, Wamp, WampConnection};
///
/// /// Among the connection's attributes, if its account has it: `Account::new(…).with(Admin)`.
/// #[derive(Clone)]
/// struct Admin;
///
/// let is_admin = |conn: &WampConnection| conn.attributes().contains::<Admin>();
/// let permissions = Permissions::deny_by_default()
///     .rule(Rule::allow(Action::ALL, "{*all}")?.when("an admin", is_admin))
///     .rule(Rule::deny([Action::Publish], "http://example.com/news")?)
///     .rule(Rule::allow([Action::Subscribe, Action::Publish], "http://example.com/{topic}")?);
/// let wamp = Wamp::new().topic("http://example.com/{topic}", Open).permissions(permissions);
/// # let _ = wamp;
/// # Ok::<(), wsrv_wamp::InvalidPattern>(())
/// ```
#[derive(Clone, Debug)]
pub struct Permissions {
    rules: Arc<Vec<Rule>>,
    default: bool,
}

/// A rule of [`Permissions`].
#[derive(Clone)]
pub struct Rule {
    allow: bool,
    actions: Vec<Action>,
    pattern: Pattern,
    who: Option<Who>,
}

#[derive(Clone)]
struct Who {
    name: Cow<'static, str>,
    is_meant: Arc<dyn Fn(&WampConnection) -> bool + Send + Sync>,
}

/// What was decided, and by which rule. It says so when it is displayed.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    allowed: bool,
    rule: Option<(usize, &'a Rule)>,
}

impl Permissions {
    /// What no rule allows is denied.
    pub fn deny_by_default() -> Self {
        Permissions { rules: Arc::default(), default: false }
    }

    /// What no rule denies is allowed.
    pub fn allow_by_default() -> Self {
        Permissions { rules: Arc::default(), default: true }
    }

    /// Adds a rule behind the others: they are asked first.
    pub fn rule(mut self, rule: Rule) -> Self {
        Arc::make_mut(&mut self.rules).push(rule);
        self
    }

    /// Whether it is allowed, and which rule says so.
    pub fn explain(&self, conn: &WampConnection, action: Action, uri: &str) -> Decision<'_> {
        let rule = self.rules.iter().enumerate().find(|(_, rule)| rule.means(conn, action, uri));
        Decision { allowed: rule.map_or(self.default, |(_, rule)| rule.allow), rule }
    }

    /// This procedure for those who may call it. For a single procedure; [`Wamp::permissions`](super::Wamp::permissions)
    /// does it for all.
    pub fn around_procedure(&self, next: BoxProcedure) -> impl Procedure + use<> {
        Guarded { permissions: self.clone(), next }
    }

    /// These topics for those who may subscribe and publish.
    pub fn around_topics(&self, next: BoxTopicHandler) -> impl TopicHandler + use<> {
        Guarded { permissions: self.clone(), next }
    }
}

impl Rule {
    /// Allows these actions for all that this [pattern](Pattern) means.
    ///
    /// # Errors
    ///
    /// The pattern makes no sense.
    pub fn allow(
        actions: impl IntoIterator<Item = Action>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Self::new(true, actions, pattern)
    }

    /// Denies them.
    ///
    /// # Errors
    ///
    /// The pattern makes no sense.
    pub fn deny(actions: impl IntoIterator<Item = Action>, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Self::new(false, actions, pattern)
    }

    fn new(
        allow: bool,
        actions: impl IntoIterator<Item = Action>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Ok(Rule { allow, actions: actions.into_iter().collect(), pattern: Pattern::new(pattern)?, who: None })
    }

    /// Only for connections of which this is true; the name is for people. By default a rule is for everybody. It is
    /// asked each time, so what is true may change while a connection lives.
    pub fn when(
        mut self,
        name: impl Into<Cow<'static, str>>,
        is_meant: impl Fn(&WampConnection) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.who = Some(Who { name: name.into(), is_meant: Arc::new(is_meant) });
        self
    }

    fn means(&self, conn: &WampConnection, action: Action, uri: &str) -> bool {
        self.actions.contains(&action)
            && self.pattern.is_match(uri)
            && self.who.as_ref().is_none_or(|who| (who.is_meant)(conn))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        write!(f, "{verb} {:?} {}", self.actions, self.pattern.as_str())?;
        self.who.as_ref().map_or(Ok(()), |who| write!(f, " when {}", who.name))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

impl<'a> Decision<'a> {
    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The rule that decides, and its place among the rules, from 0. `None`: the default does.
    pub fn rule(&self) -> Option<(usize, &'a Rule)> {
        self.rule
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allowed { "allowed" } else { "denied" };
        match self.rule {
            Some((at, rule)) => write!(f, "{verb} by rule {at}: {rule}"),
            None => write!(f, "{verb} by default"),
        }
    }
}

/// What is behind the rules.
struct Guarded<T> {
    permissions: Permissions,
    next: T,
}

impl Procedure for Guarded<BoxProcedure> {
    async fn call(&self, call: Invocation) -> Outcome {
        let decision = self.permissions.explain(call.connection(), Action::Call, call.procedure());
        if !decision.is_allowed() {
            tracing::debug!(conn = %call.connection().id(), procedure = call.procedure(), %decision, "a call was refused");
            return Err(Fault::NotAuthorized.into());
        }
        self.next.call(call).await
    }
}

impl Guarded<BoxTopicHandler> {
    fn check(&self, cx: &TopicContext, action: Action) -> Result<(), TopicRefusal> {
        let decision = self.permissions.explain(cx.connection(), action, cx.topic().uri());
        if decision.is_allowed() { Ok(()) } else { Err(TopicRefusal::new(decision.to_string())) }
    }
}

impl TopicHandler for Guarded<BoxTopicHandler> {
    fn next(&self) -> Option<&BoxTopicHandler> {
        Some(&self.next)
    }

    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        self.check(cx, Action::Subscribe)?;
        self.next.on_subscribe(cx).await
    }

    async fn on_publish(
        &self,
        cx: &TopicContext,
        publication: Publication,
    ) -> Result<Option<Publication>, TopicRefusal> {
        self.check(cx, Action::Publish)?;
        self.next.on_publish(cx, publication).await
    }
}
