//! Sessions that are read when somebody asks for them.

use crate::cookie::Extracted;
use crate::front::Front;
use crate::{Session, SessionError, SessionId, Sessions, StoreError};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;
use wsrv_http::{Gate, Opening, Rejection, Stage};

/// Attaches a [`LazySession`] to the connection, without a look into the store; a gate of the stage [`Stage::Session`].
/// It is made by [`Sessions::lazily`]. Clones are the same gate.
///
/// Nobody is refused for their session, since it is not known; pages of other sites are, as by [`Sessions`].
#[derive(Clone, Debug)]
pub struct LazySessions(Sessions);

impl LazySessions {
    pub(crate) fn new(sessions: Sessions) -> Self {
        LazySessions(sessions)
    }
}

impl Gate for LazySessions {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.0.look_at_origin(opening).await?;
        let front = self.0.front().clone();
        let named = Sessions::with_credentials(opening, |credentials| front.extract(credentials));
        opening.extensions_mut().insert(LazySession(Arc::new(Inner { front, named, session: OnceCell::new() })));
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::Session
    }
}

/// A session that is read when it is asked for, once for all who ask. Clones are the same one.
///
/// What the request names it by has been extracted and, where the front end signs it, verified.
#[derive(Clone)]
pub struct LazySession(Arc<Inner>);

struct Inner {
    front: Front,
    named: Result<Extracted, SessionError>,
    session: OnceCell<Session>,
}

impl LazySession {
    /// The session. It is read by the first who asks, and is the same for all others; who asks meanwhile waits for it.
    /// [`Session::state`] says whether there is one.
    ///
    /// # Errors
    ///
    /// The store cannot tell, takes longer than [`Sessions::store_timeout`], or what it has cannot be read. That says
    /// nothing about the session, and who asks next has it read again.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time. One of those who wait then reads it.
    pub async fn load(&self) -> Result<Session, StoreError> {
        let Inner { front, named, session } = &*self.0;
        session.get_or_try_init(|| front.look_up(named.clone())).await.cloned()
    }

    /// The session, if it has been read.
    pub fn get(&self) -> Option<&Session> {
        self.0.session.get()
    }

    /// Its id, if it is kept in a store and the visitor has told one. Whether there is such a session, only
    /// [`load`](Self::load) can tell.
    pub fn id(&self) -> Option<&SessionId> {
        match &self.0.named {
            Ok(Extracted::Id(id)) => Some(id),
            _ => None,
        }
    }
}

/// Says which one it is, and not what is in it.
impl fmt::Debug for LazySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazySession").field("id", &self.id()).field("session", &self.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::{Credentials, Extractor, Plain};
    use crate::{Codec, MemoryStore, RawSession, State, Store};
    use bytes::BytesMut;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};
    use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

    /// Takes a second, counts how often it is asked, and may be down.
    #[derive(Clone, Default)]
    struct Slow {
        store: MemoryStore,
        asked: Arc<AtomicUsize>,
        is_down: Arc<AtomicBool>,
    }

    impl Store for Slow {
        async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.is_down.load(Ordering::Relaxed) {
                return Err(StoreError::failed("no store today"));
            }
            self.store.load(id).await
        }
    }

    async fn admit(gate: &impl Gate, headers: &str) -> Result<Opening, u16> {
        let mut head = BytesMut::from(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n").as_bytes());
        let head = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
        let mut opening = Opening::new(head, None);
        gate.admit(&mut opening).await.map_err(|rejection| rejection.status().as_u16())?;
        Ok(opening)
    }

    fn parts() -> (Slow, LazySessions) {
        let store = Slow::default();
        store.store.insert("ada", "user|s:3:\"ada\";", None);
        (store.clone(), Sessions::new(Plain::php("S"), store, Codec::php()).lazily())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lazy_session_is_not_looked_up_before_it_is_asked_for_and_then_once_for_all_who_ask() {
        let (store, gate) = parts();
        let opening = admit(&gate, "Cookie: S=ada\r\n").await.unwrap();
        assert!(opening.extensions().get::<Session>().is_none());
        let lazy = opening.extensions().get::<LazySession>().unwrap();
        assert_eq!((lazy.id().map(SessionId::as_str), lazy.get().is_some()), (Some("ada"), false));
        assert_eq!(store.asked.load(Ordering::Relaxed), 0);
        let other = lazy.clone();
        let (one, two) = tokio::join!(lazy.load(), other.load());
        for session in [one, two, lazy.load().await] {
            assert_eq!(session.unwrap().get::<String>("user").unwrap().as_deref(), Some("ada"));
        }
        assert_eq!(store.asked.load(Ordering::Relaxed), 1);
        assert!(other.get().unwrap().is_present());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lazy_session_that_could_not_be_read_is_read_by_who_asks_next() {
        let (store, gate) = parts();
        let opening = admit(&gate, "Cookie: S=ada\r\n").await.unwrap();
        let lazy = opening.extensions().get::<LazySession>().unwrap();
        store.is_down.store(true, Ordering::Relaxed);
        assert!(lazy.load().await.is_err());
        store.is_down.store(false, Ordering::Relaxed);
        // Who gives up half-way keeps nobody from it either.
        let given_up = tokio::time::timeout(Duration::from_millis(1), lazy.load()).await;
        assert!(given_up.is_err() && lazy.get().is_none());
        assert_eq!(lazy.load().await.unwrap().state(), State::Present);
    }

    #[tokio::test(start_paused = true)]
    async fn no_store_is_asked_for_a_lazy_session_that_the_request_does_not_name() {
        let (store, gate) = parts();
        for (headers, state) in
            [("", State::NoCredentials), ("Cookie: S=../x\r\n", State::Refused(SessionError::InvalidId))]
        {
            let opening = admit(&gate, headers).await.unwrap();
            let lazy = opening.extensions().get::<LazySession>().unwrap();
            assert_eq!((lazy.id(), lazy.load().await.unwrap().state()), (None, state));
        }
        assert_eq!(store.asked.load(Ordering::Relaxed), 0);
    }

    /// A token with a session in it, which ends in a minute.
    struct Token;

    impl Extractor for Token {
        fn extract(&self, _: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
            Ok(Extracted::Inline { data: r#"{"user":"ada"}"#.into(), expires: Some(now + Duration::from_secs(60)) })
        }
    }

    #[tokio::test]
    async fn a_lazy_session_may_be_in_its_cookie() {
        let gate = Sessions::in_cookie(Token, Codec::json()).lazily();
        let opening = admit(&gate, "").await.unwrap();
        let session = opening.extensions().get::<LazySession>().unwrap().load().await.unwrap();
        assert_eq!(session.get::<String>("user").unwrap().as_deref(), Some("ada"));
        assert!(session.expires().is_some());
    }

    #[tokio::test]
    async fn pages_of_other_sites_get_no_lazy_session_either() {
        let (store, gate) = parts();
        let evil = "Cookie: S=ada\r\nOrigin: https://evil.example\r\n";
        assert_eq!(admit(&gate, evil).await.unwrap_err(), 403);
        let any = Sessions::new(Plain::php("S"), store, Codec::php()).allow_any_origin().lazily();
        assert!(admit(&any, evil).await.is_ok());
    }

    #[test]
    #[should_panic(expected = "requires a session")]
    fn a_session_that_is_required_cannot_be_lazy() {
        let _ = Sessions::php(MemoryStore::new()).require_session().lazily();
    }
}
