//! Who is let in by the session.

use crate::cookie::{Credentials, Extractor};
use crate::front::{Front, Parts};
use crate::{BoxStore, Codec, LazySessions, Limits, Session, State, Store, StoreError};
use http::{HeaderValue, StatusCode, header};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wsrv_http::{AllowedOrigins, Gate, Opening, OriginChecked, Rejection, Stage};

/// Finds the visitor's session and attaches it to the connection; a gate of the stage [`Stage::Session`].
///
/// | what comes | default | set with |
/// |---|---|---|
/// | no session, or one that is gone or of no use | let in; [`Session::state`] says why there is none | [`require`](Sessions::require) |
/// | a store that fails, or a session that cannot be read | 503: somebody may be logged in, and we cannot tell | [`anonymous_on_failure`](Sessions::anonymous_on_failure) |
/// | a page of another site | 403 | an [origin gate](AllowedOrigins) in front, or [`allow_any_origin`](Sessions::allow_any_origin) |
///
/// A browser sends the cookies of its user with every WebSocket that any page opens. So whoever believes them has to look
/// where the page is from: an [`AllowedOrigins`] does that, and if none has been asked before, this gate lets in the
/// pages of this server itself, and clients that are no browsers.
///
/// Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Sessions {
    front: Front,
    policy: Policy,
}

#[derive(Clone, Default)]
struct Policy {
    required: bool,
    wanted: Option<Arc<Wanted>>,
    anonymous_on_failure: bool,
    any_origin: bool,
}

type Wanted = dyn Fn(&Session) -> bool + Send + Sync;

impl Sessions {
    /// Sessions that are found like this, lie there, and are written in this format.
    pub fn new(extractor: impl Extractor + 'static, store: impl Store, codec: Codec) -> Self {
        Self::of(extractor, Some(BoxStore::new(store)), codec)
    }

    /// Sessions that their cookie contains.
    pub fn in_cookie(extractor: impl Extractor + 'static, codec: Codec) -> Self {
        Self::of(extractor, None, codec)
    }

    fn of(extractor: impl Extractor + 'static, store: Option<BoxStore>, codec: Codec) -> Self {
        let (extractor, limits) = (Arc::new(extractor), Limits::default());
        let front = Front::new(Parts { extractor, store, codec, limits, store_timeout: Duration::from_secs(2) });
        Sessions { front, policy: Policy::default() }
    }

    /// The sessions are found like this instead: by a cookie of another name, for example.
    pub fn extractor(mut self, extractor: impl Extractor + 'static) -> Self {
        self.front.change(|parts| parts.extractor = Arc::new(extractor));
        self
    }

    /// The sessions are written in this format instead.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.front.change(|parts| parts.codec = codec);
        self
    }

    /// How large a session may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.front.change(|parts| parts.limits = limits);
        self
    }

    /// How long the store may take. Default 2 s.
    pub fn store_timeout(mut self, time: Duration) -> Self {
        self.front.change(|parts| parts.store_timeout = time);
        self
    }

    /// Refuses who has no session: 401.
    pub fn require_session(mut self) -> Self {
        self.policy.required = true;
        self
    }

    /// Refuses who has no session, and whose session is not as it should be: 401 and 403.
    pub fn require(mut self, wanted: impl Fn(&Session) -> bool + Send + Sync + 'static) -> Self {
        self.policy.wanted = Some(Arc::new(wanted));
        self.require_session()
    }

    /// Whether a session that cannot be read counts as none. Default `false`: 503, since who is logged in would be taken
    /// for a stranger otherwise.
    pub fn anonymous_on_failure(mut self, anonymous: bool) -> Self {
        self.policy.anonymous_on_failure = anonymous;
        self
    }

    /// Lets pages of any site in, with the session of the visitor who looks at them, also if no gate has been asked
    /// about their origin. For servers that do nothing that the visitor would mind.
    pub fn allow_any_origin(mut self) -> Self {
        self.policy.any_origin = true;
        self
    }

    /// The same front end, whose sessions are read when somebody [asks](crate::LazySession::load) for one, and not by the
    /// gate. For servers where few connections need theirs: none costs a look into the store until then, and a store that
    /// is down keeps nobody out.
    ///
    /// [`anonymous_on_failure`](Self::anonymous_on_failure) is of no effect: who asks is told.
    ///
    /// # Panics
    ///
    /// If this gate requires a session. It would have to look.
    pub fn lazily(self) -> LazySessions {
        assert!(!self.policy.required, "a gate that requires a session cannot read it lazily");
        LazySessions::new(self)
    }

    /// The session of a request with these headers, without a gate.
    ///
    /// # Errors
    ///
    /// The store cannot tell, or what it has cannot be read.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn find(&self, credentials: &Credentials<'_>) -> Result<Session, StoreError> {
        self.front.find(credentials).await
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// Refuses pages of other sites, unless somebody has looked at their origin.
    pub(crate) async fn look_at_origin(&self, opening: &mut Opening) -> Result<(), Rejection> {
        match self.policy.any_origin || opening.extensions().get::<OriginChecked>().is_some() {
            true => Ok(()),
            false => AllowedOrigins::same_origin().allow_missing(true).admit(opening).await,
        }
    }

    /// What comes of the headers of this request that sessions are found by.
    pub(crate) fn with_credentials<T>(opening: &Opening, find: impl FnOnce(&Credentials<'_>) -> T) -> T {
        let head = opening.request();
        let named = ["cookie", "authorization", "sec-websocket-protocol"];
        let headers = named.into_iter().flat_map(|name| head.headers(name).map(move |value| (name, value)));
        find(&Credentials::new(headers))
    }

    fn judge(&self, session: &Session) -> Result<(), Rejection> {
        if self.policy.required && !session.is_present() {
            let why = match session.state() {
                State::Refused(error) => error.to_string(),
                state => format!("{state:?}"),
            };
            let challenge = HeaderValue::from_static("Cookie");
            return Err(refused(StatusCode::UNAUTHORIZED, "not logged in")
                .note(why)
                .header(header::WWW_AUTHENTICATE, challenge));
        }
        match &self.policy.wanted {
            Some(wanted) if !wanted(session) => {
                Err(refused(StatusCode::FORBIDDEN, "not with this session").note(format!("{session:?}")))
            }
            _ => Ok(()),
        }
    }
}

impl Gate for Sessions {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.look_at_origin(opening).await?;
        let named = Self::with_credentials(opening, |credentials| self.front.extract(credentials));
        let session = match self.front.look_up(named).await {
            Ok(session) => session,
            Err(error) if self.policy.anonymous_on_failure => {
                tracing::warn!(%error, "a session counts as none");
                Session::absent(self.front.clone(), None, State::Unread)
            }
            Err(error) => {
                tracing::warn!(%error, "a session cannot be read");
                return Err(Rejection::overloaded("the session cannot be read now").because("session"));
            }
        };
        self.judge(&session)?;
        opening.extensions_mut().insert(session);
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::Session
    }
}

fn refused(status: StatusCode, why: &'static str) -> Rejection {
    Rejection::new(status, why).because("session")
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("required", &self.required)
            .field("anonymous_on_failure", &self.anonymous_on_failure)
            .field("any_origin", &self.any_origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Plain;
    use crate::{MemoryStore, RawSession, SessionId};
    use bytes::BytesMut;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;
    use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

    fn opening(headers: &str) -> Opening {
        let mut head = BytesMut::from(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n").as_bytes());
        Opening::new(HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap(), None)
    }

    fn store() -> MemoryStore {
        let store = MemoryStore::new();
        store.insert("ada", "user|s:3:\"ada\";roles|a:1:{i:0;s:5:\"admin\";}", None);
        store.insert("empty", "", None);
        store.insert("old", "", Some(SystemTime::UNIX_EPOCH));
        store.insert("bad", "user|s:3", None);
        store
    }

    fn sessions() -> Sessions {
        Sessions::new(Plain::php("PHPSESSID"), store(), Codec::php())
    }

    /// The session, or the status.
    async fn ask(sessions: &Sessions, headers: &str) -> Result<Session, u16> {
        let mut opening = opening(headers);
        match sessions.admit(&mut opening).await {
            Ok(()) => Ok(opening.extensions().get::<Session>().unwrap().clone()),
            Err(rejection) => {
                assert!(opening.extensions().get::<Session>().is_none());
                Err(rejection.status().as_u16())
            }
        }
    }

    async fn state(sessions: &Sessions, id: &str) -> Result<State, u16> {
        Ok(ask(sessions, &format!("Cookie: a=b; PHPSESSID={id}\r\n")).await?.state())
    }

    #[tokio::test]
    async fn who_is_logged_in_there_is_logged_in_here() {
        let ada = ask(&sessions(), "Cookie: PHPSESSID=ada\r\n").await.unwrap();
        assert!(ada.is_present());
        assert_eq!(ada.get::<String>("user").unwrap().as_deref(), Some("ada"));
        assert_eq!(ada.path::<String>("roles.0").unwrap().as_deref(), Some("admin"));
        assert_eq!(ada.get::<String>("nothing").unwrap(), None);
        assert!(ada.get::<u32>("user").is_err(), "of another type");
        assert!(!format!("{ada:?}").contains("ada"));
    }

    #[tokio::test]
    async fn who_is_not_is_let_in_and_it_is_said_why() {
        let sessions = sessions();
        assert_eq!(ask(&sessions, "").await.unwrap().state(), State::NoCredentials);
        for (id, why) in [
            ("empty", State::Present),
            ("old", State::Gone),
            ("none", State::Gone),
            ("../x", State::Refused(crate::SessionError::InvalidId)),
        ] {
            assert_eq!(state(&sessions, id).await, Ok(why), "{id}");
        }
    }

    #[tokio::test]
    async fn a_cookie_may_be_called_otherwise() {
        let sessions = Sessions::php(store()).extractor(Plain::php("APP"));
        assert_eq!(ask(&sessions, "Cookie: APP=ada\r\n").await.unwrap().state(), State::Present);
        assert_eq!(ask(&sessions, "Cookie: PHPSESSID=ada\r\n").await.unwrap().state(), State::NoCredentials);
    }

    #[tokio::test]
    async fn a_session_may_be_required_and_looked_into() {
        let required = sessions().require_session();
        for (id, outcome) in [("ada", Ok(State::Present)), ("none", Err(401)), ("../x", Err(401)), ("old", Err(401))] {
            assert_eq!(state(&required, id).await, outcome, "{id}");
        }
        assert_eq!(ask(&required, "").await.unwrap_err(), 401);
        let wanted = sessions().require(|session| session.get::<String>("user").is_ok_and(|user| user.is_some()));
        for (id, outcome) in [("ada", Ok(State::Present)), ("empty", Err(403)), ("none", Err(401))] {
            assert_eq!(state(&wanted, id).await, outcome, "{id}");
        }
    }

    #[derive(Default)]
    struct Failing(AtomicUsize);

    impl Store for Arc<Failing> {
        async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match id.as_str() {
                "slow" => std::future::pending().await,
                _ => Err(StoreError::failed("no store today")),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_logs_nobody_out() {
        let store = Arc::<Failing>::default();
        let failing = Sessions::new(Plain::php("PHPSESSID"), store.clone(), Codec::php());
        assert_eq!(state(&sessions(), "bad").await, Err(503), "damaged");
        assert_eq!(state(&failing, "ada").await, Err(503));
        assert_eq!(state(&failing, "slow").await, Err(503));
        let asked = store.0.load(Ordering::Relaxed);
        assert_eq!(state(&failing, "../x").await.unwrap(), State::Refused(crate::SessionError::InvalidId));
        assert!(ask(&failing, "").await.is_ok());
        assert_eq!(store.0.load(Ordering::Relaxed), asked, "not asked for what is no id");
        let lenient = failing.anonymous_on_failure(true);
        assert_eq!(state(&lenient, "ada").await, Ok(State::Unread));
        assert_eq!(state(&lenient.require_session(), "ada").await, Err(401));
    }

    #[tokio::test]
    async fn pages_of_other_sites_are_refused_unless_somebody_has_looked() {
        let ada = |origin: &str| format!("Cookie: PHPSESSID=ada\r\nOrigin: {origin}\r\n");
        let ours = sessions();
        assert!(ask(&ours, &ada("https://example.com")).await.is_ok());
        assert_eq!(ask(&ours, &ada("https://evil.example")).await.unwrap_err(), 403);
        assert!(ask(&ours.clone().allow_any_origin(), &ada("https://evil.example")).await.is_ok());
        let mut partner = opening(&ada("https://partner.example"));
        AllowedOrigins::new(["https://partner.example"]).unwrap().admit(&mut partner).await.unwrap();
        ours.admit(&mut partner).await.unwrap();
    }

    #[tokio::test]
    async fn a_session_that_is_read_again_is_as_it_is_now() {
        let store = store();
        let ada = ask(&Sessions::new(Plain::php("S"), store.clone(), Codec::php()), "Cookie: S=ada\r\n").await.unwrap();
        store.insert("ada", "user|s:3:\"eve\";", None);
        let again = ada.reload().await.unwrap();
        assert_eq!(again.get::<String>("user").unwrap().as_deref(), Some("eve"));
        assert_eq!(ada.get::<String>("user").unwrap().as_deref(), Some("ada"), "as it was");
        store.remove("ada");
        assert_eq!(again.reload().await.unwrap().state(), State::Gone);
        store.insert("ada", "broken", None);
        assert!(again.reload().await.is_err(), "that says nothing");
    }
}
