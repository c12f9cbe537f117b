//! The layer around those who are for clients that have signed in.

use super::account::{Along, SignInRequest, Store};
use super::challenge::Challenge;
use super::settings::Cra;
use super::signed_in::SignedIn;
use crate::cra::{Grant, mac, verifies};
use crate::{Action, CallArguments, CallError, Fault, Request, WampConnection, WampLayer, uris};
use hmac::Hmac;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};
use wsrv_core::{Closed, Connection, Error, Handler, Reason, Verdict};

/// A key and what its owner says about itself are no longer than this together, in bytes.
const MAX_REQUEST: usize = 8 * 1024;

/// Lets clients in that have signed in, and passes on what their [`Grant`] allows. Made by
/// [`WampLayer::sign_in`](crate::WampLayer::sign_in).
pub struct CraLayer<H, S> {
    inner: H,
    cra: Cra<S>,
}

/// What is remembered of one connection.
pub struct CraState<T>(Phase<T>);

enum Phase<T> {
    Outside(Outside),
    Inside { who: SignedIn, inner: T },
}

struct Outside {
    pending: Option<Pending>,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// A challenge that waits for its answer.
struct Pending {
    /// `None`: of somebody without a key, who has nothing to sign.
    expected: Option<Hmac<Sha256>>,
    who: SignedIn,
    /// What the account brings along, for when it has answered.
    along: Along,
}

impl<H: Handler<WampConnection>> WampLayer<H> {
    /// Lets nobody in who has not signed in by challenge and response (WAMP-CRA).
    ///
    /// Before that, there are two procedures, [`uris::AUTHREQ`] and [`uris::AUTH`]; other calls are answered with
    /// [`Fault::NoSuchProcedure`], subscriptions and publications are dropped, and the handler within has not opened:
    /// that comes right behind the answer to `auth`. From then on it gets what the [`Grant`] allows. Other calls are
    /// answered with [`Fault::NotAuthorized`], whether or not there is such a procedure, and other subscriptions and
    /// publications are dropped.
    ///
    /// Who has signed in stays so until the connection ends; [`SignedIn`] tells who it is. A wrong signature costs the
    /// challenge, and some [time](Cra::failure_delay).
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use wsrv_wamp::cra::{Account, Cra, Grant, Secret, SignedIn, TopicGrant};
    /// use wsrv_wamp::{CallError, Open, Wamp};
    ///
    /// async fn whoami(who: SignedIn) -> Result<String, CallError> {
    ///     Ok(who.key().unwrap_or("nobody").to_owned())
    /// }
    ///
    /// let grant = Grant::none().call("http://example.com/whoami").topic(TopicGrant::prefix("http://example.com/event#"));
    /// let alice = Account::new(Secret::salted("pa55word", 10_000), grant);
    /// let handler = Wamp::new()
    ///     .procedure("http://example.com/whoami", whoami)
    ///     .topic("http://example.com/event#{name}", Open)
    ///     .build()?
    ///     .sign_in(Cra::new(HashMap::from([("alice".to_owned(), alice)])));
    /// # let _ = handler;
    /// # Ok::<(), wsrv_wamp::WampError>(())
    /// ```
    ///
    /// The errors are those of [`uris`]: `already-authenticated`, `authentication-already-requested`,
    /// `no-authentication-requested`, `anonymous-auth-forbidden`, `no-such-authkey`, `invalid-argument` (also for a key
    /// and what comes with it, if they are longer than 8 KiB), `invalid-signature` and `auth-permissions-error`.
    pub fn sign_in<S: Store>(self, cra: Cra<S>) -> WampLayer<CraLayer<H, S>> {
        self.map(|inner| CraLayer { inner, cra })
    }
}

impl<H, S: Store> CraLayer<H, S> {
    /// Takes a request from outside. `Some`: the client has answered its challenge.
    async fn outside(
        &self,
        conn: &WampConnection,
        outside: &mut Outside,
        request: Request,
    ) -> Result<Option<SignedIn>, Error> {
        let call = match request {
            Request::Call(call) => call,
            other => {
                if let Some((action, topic)) = about(&other) {
                    tracing::debug!(conn = %conn.id(), ?action, topic, "a topic was asked for before signing in");
                }
                return Ok(None);
            }
        };
        let answer = match call.procedure.as_str() {
            uris::AUTHREQ => match self.challenge(conn, outside, &call.arguments).await {
                Ok(challenge) => {
                    conn.call_result(&call.id, &challenge).await?;
                    return Ok(None);
                }
                Err(error) => error,
            },
            uris::AUTH => match self.verify(conn, outside, &call.arguments).await {
                Ok((who, along)) => {
                    // Whoever hears of it finds it done.
                    conn.attributes().set(who.clone());
                    along.iter().for_each(|put| put(conn.attributes()));
                    conn.call_result(&call.id, who.grant()).await?;
                    return Ok(Some(who));
                }
                Err(error) => error,
            },
            _ => {
                tracing::debug!(conn = %conn.id(), procedure = call.procedure, "a procedure was called before signing in");
                Fault::NoSuchProcedure { uri: call.procedure }.into()
            }
        };
        conn.call_error(&call.id, &answer).await?;
        Ok(None)
    }

    /// What the client has to sign; `None` if it has no key.
    async fn challenge(
        &self,
        conn: &WampConnection,
        outside: &mut Outside,
        arguments: &CallArguments,
    ) -> Result<Option<String>, CallError> {
        if outside.pending.is_some() {
            let uri = uris::AUTHENTICATION_ALREADY_REQUESTED;
            return Err(CallError::new(uri, "there is a challenge already, and no answer to it"));
        }
        let (key, extra) = requested(arguments)?;
        let Some(key) = key else {
            let Some(grant) = &self.cra.anonymous else {
                return Err(CallError::new(uris::ANONYMOUS_AUTH_FORBIDDEN, "nobody gets in without a key"));
            };
            let who = SignedIn::new(None, extra, grant.clone());
            outside.pending = Some(Pending { expected: None, who, along: Along::new() });
            return Ok(None);
        };
        let found = self.cra.store.find(SignInRequest::new(&key, &extra, conn.websocket())).await.map_err(|error| {
            tracing::warn!(conn = %conn.id(), ?key, error, "an account could not be looked up");
            CallError::new(uris::AUTH_PERMISSIONS_ERROR, "the account could not be looked up")
        })?;
        let account = match (found, &self.cra.decoy) {
            (Some(account), _) => account,
            (None, Some(decoy)) => decoy.account(&key),
            (None, None) => return Err(CallError::new(uris::NO_SUCH_AUTHKEY, "there is no such key")),
        };
        let nothing = Grant::none();
        let told = if self.cra.decoy.is_some() { &nothing } else { &account.grant };
        let id = conn.session_id().as_str();
        let text = Challenge::new(&key, id, &extra, told, account.secret.salting()).to_text();
        let expected = Some(mac(account.secret.key(), &text));
        let who = SignedIn::new(Some(key), extra, account.grant);
        outside.pending = Some(Pending { expected, who, along: account.along });
        Ok(Some(text))
    }

    /// Who has answered its challenge, and what its account brings along.
    async fn verify(
        &self,
        conn: &WampConnection,
        outside: &mut Outside,
        arguments: &CallArguments,
    ) -> Result<(SignedIn, Along), CallError> {
        if outside.pending.is_none() {
            return Err(CallError::new(uris::NO_AUTHENTICATION_REQUESTED, "there is no challenge to answer"));
        }
        let signature = signature(arguments)?;
        let Some(Pending { expected, who, along }) = outside.pending.take() else { unreachable!("it was there") };
        let is_right = match (expected, signature) {
            (Some(expected), Some(signature)) => verifies(expected, &signature),
            (None, None) => true,
            _ => false,
        };
        if is_right {
            tracing::info!(conn = %conn.id(), key = ?who.key(), "signed in");
            return Ok((who, along));
        }
        tracing::info!(conn = %conn.id(), key = ?who.key(), "a wrong signature");
        sleep(self.cra.delay()).await;
        Err(CallError::new(uris::INVALID_SIGNATURE, "the signature is wrong"))
    }
}

/// What a subscription or a publication is about.
fn about(request: &Request) -> Option<(Action, &str)> {
    match request {
        Request::Subscribe { topic } => Some((Action::Subscribe, topic)),
        Request::Publish(publication) => Some((Action::Publish, &publication.topic)),
        Request::Call(_) | Request::Unsubscribe { .. } => None,
    }
}

/// Key and extra of `authreq`.
fn requested(arguments: &CallArguments) -> Result<(Option<String>, Map<String, Value>), CallError> {
    let invalid = |why: &str| CallError::from(Fault::InvalidArguments { why: why.to_owned() });
    let raw = arguments.to_raw();
    if raw.len() > 2 {
        return Err(invalid("a key and an object are expected"));
    }
    if raw.iter().map(|argument| argument.get().len()).sum::<usize>() > MAX_REQUEST {
        return Err(invalid("the arguments are too long"));
    }
    let mut values = arguments.deserialize::<Vec<Value>>().map_err(|error| invalid(&error.to_string()))?.into_iter();
    let key = match values.next() {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key),
        Some(_) => return Err(invalid("a key is a string or null")),
    };
    let extra = match values.next() {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extra)) => extra,
        // An empty object, as PHP writes it.
        Some(Value::Array(empty)) if empty.is_empty() => Map::new(),
        Some(_) => return Err(invalid("what comes with the key is an object or null")),
    };
    Ok((key, extra))
}

/// The signature of `auth`.
fn signature(arguments: &CallArguments) -> Result<Option<String>, CallError> {
    let read = if arguments.is_empty() { Ok(None) } else { arguments.deserialize().map(|(signature,)| signature) };
    read.map_err(|_| Fault::InvalidArguments { why: "a signature is a string or null".to_owned() }.into())
}

/// Says goodbye to whoever has taken too long.
fn too_late(conn: &WampConnection) {
    tracing::debug!(conn = %conn.id(), "not signed in in time");
    conn.close(Reason::Policy);
}

impl<H: Handler<WampConnection>, S: Store> Handler<WampConnection> for CraLayer<H, S> {
    type State = CraState<H::State>;

    async fn on_open(&self, _: &WampConnection) -> Result<Self::State, Error> {
        // A time that is too long to be told is none.
        let deadline = self.cra.time_limit.and_then(|time| Instant::now().checked_add(time));
        let deadline = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
        Ok(CraState(Phase::Outside(Outside { pending: None, deadline })))
    }

    async fn on_message(&self, conn: &WampConnection, state: &mut Self::State, request: Request) -> Result<(), Error> {
        let who = match &mut state.0 {
            Phase::Inside { who, inner } => {
                let grant = who.grant();
                if let Request::Call(call) = &request {
                    let error = match call.procedure.as_str() {
                        uris::AUTHREQ | uris::AUTH => {
                            CallError::new(uris::ALREADY_AUTHENTICATED, "this session has signed in")
                        }
                        procedure if !grant.may_call(procedure) => {
                            tracing::debug!(conn = %conn.id(), key = ?who.key(), procedure, "a procedure is not granted");
                            Fault::NotAuthorized.into()
                        }
                        _ => return self.inner.on_message(conn, inner, request).await,
                    };
                    return Ok(conn.call_error(&call.id, &error).await?);
                }
                let refused = about(&request).filter(|(action, topic)| match action {
                    Action::Publish => !grant.may_publish(topic),
                    _ => !grant.may_subscribe(topic),
                });
                if let Some((action, topic)) = refused {
                    tracing::debug!(conn = %conn.id(), key = ?who.key(), ?action, topic, "a topic is not granted");
                    return Ok(());
                }
                return self.inner.on_message(conn, inner, request).await;
            }
            Phase::Outside(outside) => {
                let deadline = outside.deadline.as_ref().map(|deadline| deadline.deadline());
                let working = self.outside(conn, outside, request);
                match deadline {
                    None => working.await?,
                    Some(deadline) => match timeout_at(deadline, working).await {
                        Ok(done) => done?,
                        Err(_) => {
                            too_late(conn);
                            None
                        }
                    },
                }
            }
        };
        if let Some(who) = who {
            let inner = self.inner.on_open(conn).await?;
            state.0 = Phase::Inside { who, inner };
        }
        Ok(())
    }

    async fn on_error(&self, conn: &WampConnection, state: &mut Self::State, error: Error) -> Verdict {
        match &mut state.0 {
            Phase::Inside { inner, .. } => self.inner.on_error(conn, inner, error).await,
            Phase::Outside(_) => Verdict::Close(error.reason()),
        }
    }

    async fn on_close(&self, conn: &WampConnection, state: Self::State, closed: Closed) {
        if let Phase::Inside { inner, .. } = state.0 {
            self.inner.on_close(conn, inner, closed).await;
        }
    }

    fn poll_background(
        &self,
        conn: &WampConnection,
        state: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match &mut state.0 {
            Phase::Inside { inner, .. } => self.inner.poll_background(conn, inner, cx),
            Phase::Outside(Outside { deadline, .. }) => {
                let Some(time) = deadline else { return Poll::Pending };
                ready!(time.as_mut().poll(cx));
                *deadline = None;
                too_late(conn);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<H, S> fmt::Debug for CraLayer<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CraLayer").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for CraState<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Phase::Outside(_) => f.write_str("CraState(outside)"),
            Phase::Inside { who, .. } => f.debug_tuple("CraState").field(who).finish(),
        }
    }
}
