//! Sessions and users of connections without sockets.

use super::{SessionWatch, Users};
use crate::cookie::{Credentials, Plain};
use crate::{Codec, MemoryStore, RawSession, Session, SessionId, Sessions, Store, StoreError};
use http::Extensions;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wsrv_core::{Error, Handler};
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::{CloseCode, Message};

const MINUTE: Duration = Duration::from_secs(60);

struct Quiet;

impl Handler<WebSocketConnection> for Quiet {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
        Ok(())
    }
}

/// Counts how often it is asked, and may be down.
#[derive(Clone, Default)]
struct Counting {
    store: MemoryStore,
    asked: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    touched: Arc<Mutex<Vec<Instant>>>,
}

impl Store for Counting {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(id.as_str() != "panics" || self.asked.load(Ordering::Relaxed) < 3, "on purpose");
        match self.is_down.load(Ordering::Relaxed) {
            true => Err(StoreError::Timeout),
            false => self.store.load(id).await,
        }
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.touched.lock().unwrap().push(Instant::now());
        match self.is_down.load(Ordering::Relaxed) {
            true => Err(StoreError::Timeout),
            false => self.store.touch(id).await,
        }
    }
}

impl Counting {
    fn log_in(&self, id: &str, user: &str) {
        self.store.insert(id, format!("user|s:{}:\"{user}\";", user.len()), None);
    }

    fn take_touched(&self) -> Vec<Instant> {
        std::mem::take(&mut *self.touched.lock().unwrap())
    }

    fn take_asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

/// A connection of whose cookie this is.
async fn wire(sessions: &Sessions, id: &str) -> WebSocket {
    let cookie = format!("S={id}");
    let credentials = Credentials::new([("cookie", cookie.as_bytes())]);
    let mut extensions = Extensions::new();
    extensions.insert(sessions.find(&credentials).await.unwrap());
    WebSocket::server(request("/", &[])).extensions(extensions)
}

fn user(session: &Session) -> Option<String> {
    session.get("user").unwrap()
}

fn parts() -> (Counting, Sessions) {
    let store = Counting::default();
    store.log_in("ada", "ada");
    (store.clone(), Sessions::new(Plain::php("S"), store, Codec::php()))
}

#[tokio::test(start_paused = true)]
async fn a_log_out_closes_all_connections_of_a_session_which_is_read_once_an_interval() {
    let (store, sessions) = parts();
    let watch = SessionWatch::every(MINUTE);
    let handler = Arc::new(watch.around(Quiet));
    let mut open = Vec::new();
    for id in ["ada", "ada", "none"] {
        let mut peer = MockWebSocket::with(wire(&sessions, id).await, |driver| driver);
        let session = peer.open(handler.clone()).await.unwrap();
        open.push((peer, session));
    }
    assert_eq!((watch.len(), store.take_asked()), (1, 3));
    sleep(MINUTE * 10).await;
    let asked = store.take_asked();
    assert!((9..=12).contains(&asked), "{asked}");
    store.is_down.store(true, Ordering::Relaxed);
    sleep(MINUTE * 3).await;
    assert!(open.iter_mut().all(|(peer, _)| peer.close_frame().is_none()), "a store that is down closes nobody");
    store.is_down.store(false, Ordering::Relaxed);
    store.store.remove("ada");
    sleep(MINUTE * 2).await;
    let (_, none) = open.pop().unwrap();
    for (mut peer, mut session) in open {
        session.turn().await;
        let close = peer.close_frame().unwrap();
        assert_eq!((close.code.as_u16(), close.reason.as_str()), (4401, "logged out"));
        drop(session);
    }
    assert!(watch.is_empty());
    store.take_asked();
    sleep(MINUTE * 10).await;
    assert_eq!(store.take_asked(), 0, "nobody is left to ask for");
    drop(none);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_somebody_elses_now_is_over_for_who_was_there_before() {
    let (store, sessions) = parts();
    let watch = SessionWatch::every(MINUTE)
        .close_with(CloseCode::POLICY, "bye")
        .keep_while(|before, now| user(before) == user(now));
    let handler = Arc::new(watch.around(Quiet));
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let mut of_ada = ada.open(handler.clone()).await.unwrap();
    store.log_in("ada", "bob");
    let mut bob = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let mut of_bob = bob.open(handler.clone()).await.unwrap();
    sleep(MINUTE * 2).await;
    of_ada.turn().await;
    assert_eq!(ada.close_frame().unwrap().code, CloseCode::POLICY);
    drop(of_ada);
    assert!(bob.close_frame().is_none());
    store.log_in("ada", "eve");
    sleep(MINUTE * 2).await;
    of_bob.turn().await;
    assert_eq!(bob.close_frame().unwrap().reason.as_str(), "bye");
}

#[tokio::test(start_paused = true)]
async fn users_are_found_by_their_sessions() {
    let (store, sessions) = parts();
    store.store.insert("guest", "", None);
    let users = Users::by(user);
    let handler = Arc::new(users.around(SessionWatch::every(MINUTE).around(Quiet)));
    let mut open = Vec::new();
    for id in ["ada", "ada", "guest", "none"] {
        let mut peer = MockWebSocket::with(wire(&sessions, id).await, |driver| driver);
        let session = peer.open(handler.clone()).await.unwrap();
        open.push((peer, session));
    }
    assert_eq!(users.ids().iter().map(|id| &**id).collect::<Vec<_>>(), ["ada"]);
    assert_eq!(users.user("ada").send("hello").sent, 2);
    assert_eq!(users.disconnect("ada", CloseCode::NO_STATUS, ""), 0, "that code cannot be sent");
    assert_eq!(users.disconnect("ada", CloseCode::POLICY, "banned"), 2);
    for (at, (mut peer, mut session)) in open.into_iter().enumerate() {
        if at < 2 {
            session.turn().await;
            assert_eq!(peer.take_messages(), [Message::from("hello")]);
            assert_eq!(peer.close_frame().unwrap().reason.as_str(), "banned");
        }
        drop(session);
    }
    assert!(users.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_out_that_leaves_the_session_is_seen_whatever_its_user_is() {
    let (store, sessions) = parts();
    store.store.insert("ada", "user|a:1:{s:2:\"id\";i:7;}cart|i:1;", None);
    let watch = SessionWatch::every(MINUTE).keep_same("user.id");
    let users = Users::by_path("user.id");
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let mut of_ada = ada.open(Arc::new(users.around(watch.around(Quiet)))).await.unwrap();
    assert_eq!(users.user("7").len(), 1);
    store.store.insert("ada", "user|a:1:{s:2:\"id\";i:7;}cart|i:2;", None);
    sleep(MINUTE * 3).await;
    assert!(ada.close_frame().is_none(), "the basket is no matter");
    store.store.insert("ada", "cart|i:2;", None);
    sleep(MINUTE * 2).await;
    of_ada.turn().await;
    assert_eq!(ada.close_frame().unwrap().code.as_u16(), 4401);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_closes_nobody_and_is_asked_again() {
    let (store, sessions) = parts();
    store.log_in("panics", "eve");
    let watch = SessionWatch::every(MINUTE);
    let mut eve = MockWebSocket::with(wire(&sessions, "panics").await, |driver| driver);
    let _of_eve = eve.open(Arc::new(watch.around(Quiet))).await.unwrap();
    sleep(MINUTE * 10).await;
    assert!(store.take_asked() >= 9);
    assert!(eve.close_frame().is_none());
    let endless = SessionWatch::every(Duration::MAX);
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let _of_ada = ada.open(Arc::new(endless.around(Quiet))).await.unwrap();
    store.take_asked();
    sleep(MINUTE).await;
    assert_eq!(endless.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_touched_once_for_all_its_connections_and_only_while_it_has_some() {
    let (mut store, _) = parts();
    store.store = store.store.clone().lifetime(MINUTE);
    let sessions = Sessions::new(Plain::php("S"), store.clone(), Codec::php());
    let began = Instant::now();
    let watch = SessionWatch::every(MINUTE).touch_every(MINUTE * 10).keep_same("user");
    let handler = Arc::new(watch.around(Quiet));
    let mut open = Vec::new();
    for id in ["ada", "ada", "none"] {
        let mut peer = MockWebSocket::with(wire(&sessions, id).await, |driver| driver);
        let session = peer.open(handler.clone()).await.unwrap();
        open.push((peer, session));
    }
    sleep(MINUTE * 8).await;
    assert!(store.take_touched().is_empty(), "the visitor has just been there");
    sleep(MINUTE * 93).await;
    let touched = store.take_touched();
    assert!((10..=12).contains(&touched.len()), "{}", touched.len());
    let gaps = [began].iter().chain(&touched).zip(&touched).map(|(before, after)| *after - *before).collect::<Vec<_>>();
    assert!(gaps.iter().all(|gap| (MINUTE * 8..MINUTE * 10 + MINUTE / 5).contains(gap)), "{gaps:?}");
    // What failed is tried at the next look, and not more often.
    store.is_down.store(true, Ordering::Relaxed);
    sleep(MINUTE * 20).await;
    assert!(store.take_touched().is_empty(), "what cannot be read is not touched");
    store.is_down.store(false, Ordering::Relaxed);
    sleep(MINUTE * 2).await;
    assert_eq!(store.take_touched().len(), 1);
    // Somebody else's session is not kept alive by who was there before.
    store.log_in("ada", "bob");
    sleep(MINUTE * 2).await;
    for (_, session) in &mut open[..2] {
        session.turn().await;
    }
    sleep(MINUTE * 20).await;
    assert!(store.take_touched().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sessions_are_touched_as_often_as_they_are_looked_at_at_most_and_not_by_default() {
    let (mut store, sessions) = parts();
    let quiet = SessionWatch::every(MINUTE);
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let of_ada = ada.open(Arc::new(quiet.around(Quiet))).await.unwrap();
    sleep(MINUTE * 60).await;
    assert!(store.take_touched().is_empty(), "not asked for");
    drop(of_ada);
    let watch = SessionWatch::every(MINUTE).touch_every(Duration::ZERO);
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let of_ada = ada.open(Arc::new(watch.around(Quiet))).await.unwrap();
    sleep(MINUTE * 10).await;
    assert_eq!(store.take_touched().len(), 1, "the store cannot do it, and is not asked again");
    drop(of_ada);
    store.store = store.store.clone().lifetime(MINUTE);
    let sessions = Sessions::new(Plain::php("S"), store.clone(), Codec::php());
    let mut ada = MockWebSocket::with(wire(&sessions, "ada").await, |driver| driver);
    let _of_ada = ada.open(Arc::new(watch.around(Quiet))).await.unwrap();
    store.take_asked();
    sleep(MINUTE * 10).await;
    assert_eq!(store.take_touched().len(), store.take_asked());
}
