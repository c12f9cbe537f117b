//! Signing in by challenge and response.

mod mock;

use mock::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout};
use wsrv_core::{Closed, ClosedBy, Connection, Error, Handler, Reason, Verdict};
use wsrv_rfc6455::CloseCode;
use wsrv_wamp::cra::{
    self, Account, Cra, CraLayer, Decoy, Grant, Salting, Secret, SignInRequest, SignedIn, Store, StoreError, TopicGrant,
};
use wsrv_wamp::uris::{self, AUTH, AUTHREQ};
use wsrv_wamp::{
    Args, Attribute, CallError, Fault, Open, Publication, Request, Router, TopicContext, TopicHandler, TopicRefusal,
    Wamp, WampConnection, WampLayer,
};

const ADD: &str = "http://example.com/calc#add";
const OTHER: &str = "http://example.com/calc#other";
const EVENT: &str = "http://example.com/event#";

type Accounts = HashMap<String, Account>;

fn grant() -> Grant {
    Grant::none()
        .call(ADD)
        .call("http://example.com/whoami")
        .topic(TopicGrant::prefix(EVENT))
        .topic(TopicGrant::exact("http://example.com/event#news").with_publish(false))
        .topic(TopicGrant::exact("http://example.com/event#inbox").with_subscribe(false))
}

fn accounts() -> Accounts {
    let salting = Salting::new("RANDOM SALT").with_iterations(1000);
    let bob = Secret::derived("X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA=", salting);
    HashMap::from([
        ("alice".to_owned(), Account::new(Secret::plain("secret123"), grant())),
        ("bob".to_owned(), Account::new(bob, grant())),
    ])
}

async fn add(Args((a, b)): Args<(f64, f64)>) -> Result<f64, CallError> {
    Ok(a + b)
}

async fn whoami(who: SignedIn) -> Result<Option<String>, CallError> {
    Ok(who.key().map(str::to_owned))
}

/// Only for who has said which device it is.
struct ForDevices;

impl TopicHandler for ForDevices {
    async fn on_publish(&self, cx: &TopicContext, event: Publication) -> Result<Option<Publication>, TopicRefusal> {
        let who = cx.connection().signed_in().ok_or_else(|| TopicRefusal::new("nobody"))?;
        Ok(Some(event).filter(|_| who.extra().contains_key("device")))
    }
}

fn offers() -> WampLayer<Router> {
    let wamp = Wamp::new().procedure(ADD, add).procedure(OTHER, add).procedure("http://example.com/whoami", whoami);
    let wamp = wamp.topic("http://example.com/event#devices", ForDevices).topic("http://example.com/{*all}", Open);
    wamp.build().unwrap()
}

type Server<S> = Arc<WampLayer<CraLayer<Router, S>>>;

fn server<S: Store>(cra: Cra<S>) -> Server<S> {
    Arc::new(offers().sign_in(cra))
}

async fn sign_in<H>(client: &mut Client<H>, key: &str, secret: &str) -> Result<Value, String>
where
    H: Handler<wsrv_rfc6455::connection::WebSocketConnection>,
{
    let challenge = client.call(AUTHREQ, [json!(key), json!({ "device": "test" })]).await?;
    let signature = cra::respond(challenge.as_str().unwrap(), secret).unwrap();
    client.call(AUTH, [json!(signature)]).await
}

fn error(name: &str) -> Result<Value, String> {
    Err(format!("{}{name}", uris::ERROR))
}

#[tokio::test(start_paused = true)]
async fn before_signing_in_there_is_nothing() {
    let server = server(Cra::new(accounts()));
    let mut outsider = Client::connect(server.clone()).await;
    for procedure in [ADD, OTHER, "http://example.com/none"] {
        assert_eq!(outsider.call(procedure, [json!(1), json!(2)]).await, error("NoSuchRPCEndpoint"), "{procedure}");
    }
    for message in [json!([5, EVENT]), json!([7, EVENT, "smuggled"]), json!([6, EVENT])] {
        assert_eq!(outsider.send(message).await, None);
    }

    let mut insider = Client::connect(server).await;
    sign_in(&mut insider, "alice", "secret123").await.unwrap();
    insider.send(json!([5, EVENT])).await;
    outsider.send(json!([7, EVENT, "smuggled"])).await;
    insider.send(json!([7, EVENT, "hello", false])).await;
    assert_eq!(insider.received(), [json!([8, EVENT, "hello"])]);
    assert_eq!(outsider.received(), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_has_signed_in_may_do_what_is_granted() {
    let server = server(Cra::new(accounts()));
    let (mut alice, mut bob) = (Client::connect(server.clone()).await, Client::connect(server).await);
    assert_eq!(sign_in(&mut alice, "alice", "secret123").await, Ok(serde_json::to_value(grant()).unwrap()));
    assert_eq!(sign_in(&mut bob, "bob", "pa55word").await, Ok(serde_json::to_value(grant()).unwrap()));

    assert_eq!(alice.call(ADD, [json!(1), json!(2)]).await, Ok(json!(3.0)));
    for (client, key) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        assert_eq!(client.call("http://example.com/whoami", []).await, Ok(json!(key)));
    }
    for procedure in [OTHER, "http://example.com/none"] {
        assert_eq!(alice.call(procedure, [json!(1), json!(2)]).await, error("not-authorized"), "{procedure}");
    }

    let topics = ["event#1", "event#news", "event#inbox", "secret"].map(|name| format!("http://example.com/{name}"));
    for topic in &topics {
        alice.send(json!([5, topic])).await;
        bob.send(json!([7, topic, 1])).await;
    }
    // Of a client that has said which device it is.
    bob.send(json!([7, "http://example.com/event#devices", 2])).await;
    alice.send(json!([5, "http://example.com/event#devices"])).await;
    bob.send(json!([7, "http://example.com/event#devices", 3])).await;
    let events = [json!([8, "http://example.com/event#1", 1]), json!([8, "http://example.com/event#devices", 3])];
    assert_eq!(alice.received(), events);
    alice.send(json!([6, "http://example.com/event#1"])).await;
    bob.send(json!([7, "http://example.com/event#1", 4])).await;
    assert_eq!(alice.received(), [] as [Value; 0], "unsubscribing needs no permission");
}

#[tokio::test(start_paused = true)]
async fn prefixes_work_for_the_two_procedures_too() {
    let mut client = Client::connect(server(Cra::new(accounts()))).await;
    client.send(json!([1, "p", "http://api.wamp.ws/procedure#"])).await;
    let challenge = client.call("p:authreq", [json!("alice")]).await.unwrap();
    let signature = cra::sign("secret123", challenge.as_str().unwrap());
    assert!(client.call("p:auth", [json!(signature)]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_challenge_is_what_clients_expect() {
    let mut client = Client::connect(server(Cra::new(accounts()))).await;
    let text = client.call(AUTHREQ, [json!("bob"), json!({ "b": 1, "a": [null] })]).await.unwrap();
    let challenge: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let mut names: Vec<&String> = challenge.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["authextra", "authid", "authkey", "extra", "permissions", "sessionid", "timestamp"]);
    assert_eq!(challenge["authkey"], "bob");
    assert_eq!(challenge["sessionid"], json!(client.id));
    assert_eq!(challenge["extra"], json!({ "b": 1, "a": [null] }));
    assert_eq!(challenge["permissions"], serde_json::to_value(grant()).unwrap());
    assert_eq!(challenge["authextra"], json!({ "salt": "RANDOM SALT", "keylen": 32, "iterations": 1000 }));
    let (id, time) = (challenge["authid"].as_str().unwrap(), challenge["timestamp"].as_str().unwrap());
    assert_eq!(id.len(), 16);
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");

    let mut other = Client::connect(server(Cra::new(accounts()))).await;
    let text = other.call(AUTHREQ, [json!("alice")]).await.unwrap();
    let plain: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!((plain.get("authextra"), &plain["extra"]), (None, &json!({})));
    assert_ne!(plain["authid"], challenge["authid"]);
}

#[tokio::test(start_paused = true)]
async fn each_state_has_its_error() {
    let mut client = Client::connect(server(Cra::new(accounts()))).await;
    assert_eq!(client.call(AUTH, [json!("x")]).await, error("no-authentication-requested"));
    let challenge = client.call(AUTHREQ, [json!("alice")]).await.unwrap();
    for arguments in [json!("alice"), json!("bob"), json!(null), json!(17)] {
        assert_eq!(client.call(AUTHREQ, [arguments]).await, error("authentication-already-requested"));
    }
    assert_eq!(client.call(AUTH, [json!(17)]).await, error("invalid-argument"), "which costs nothing");
    let signature = cra::sign("secret123", challenge.as_str().unwrap());
    assert!(client.call(AUTH, [json!(signature)]).await.is_ok());
    for procedure in [AUTH, AUTHREQ] {
        assert_eq!(client.call(procedure, [json!(signature)]).await, error("already-authenticated"));
    }
    assert_eq!(client.call(ADD, [json!(1), json!(2)]).await, Ok(json!(3.0)), "and remains signed in");
}

#[tokio::test(start_paused = true)]
async fn bad_arguments_and_unknown_keys_are_refused_and_leave_no_challenge() {
    let mut client = Client::connect(server(Cra::new(accounts()))).await;
    let long = "x".repeat(8 * 1024);
    for arguments in [
        [json!(17), json!(null)],
        [json!(["alice"]), json!(null)],
        [json!("alice"), json!("extra")],
        [json!("alice"), json!([1])],
        [json!("alice"), json!(false)],
        [json!("alice"), json!({ "x": long })],
        [json!(long), json!(null)],
    ] {
        assert_eq!(client.call(AUTHREQ, arguments).await, error("invalid-argument"));
    }
    let three = [json!("alice"), json!({}), json!(1)];
    assert_eq!(client.call(AUTHREQ, three).await, error("invalid-argument"));
    for key in ["mallory", "", "Alice", "alice "] {
        assert_eq!(client.call(AUTHREQ, [json!(key)]).await, error("no-such-authkey"), "{key}");
    }
    for arguments in [vec![], vec![json!(null)]] {
        let mut call = vec![json!(2), json!("id"), json!(AUTHREQ)];
        call.extend(arguments);
        client.send(Value::Array(call)).await;
        assert_eq!(client.received()[0][2], uris::ANONYMOUS_AUTH_FORBIDDEN);
    }
    // As PHP writes an empty object, and as JavaScript writes what is missing.
    let mut other = Client::connect(server(Cra::new(accounts()))).await;
    assert!(other.call(AUTHREQ, [json!("alice"), json!([])]).await.is_ok());
    assert!(client.call(AUTHREQ, [json!("alice"), json!(null)]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_signature_costs_the_challenge_and_time() {
    let mut client = Client::connect(server(Cra::new(accounts()).failure_delay(Duration::from_secs(1000)))).await;
    let mut waited = Vec::new();
    for _ in 0..20 {
        let challenge = client.call(AUTHREQ, [json!("alice")]).await.unwrap();
        let challenge = challenge.as_str().unwrap();
        let since = Instant::now();
        let wrong =
            [cra::sign("secret124", challenge), cra::sign("secret123", "another"), String::new(), "\u{0}=".into()];
        let wrong = wrong[waited.len() % 4].clone();
        assert_eq!(client.call(AUTH, [json!(wrong)]).await, error("invalid-signature"));
        waited.push(since.elapsed());
        let right = cra::sign("secret123", challenge);
        assert_eq!(client.call(AUTH, [json!(right)]).await, error("no-authentication-requested"));
    }
    assert!(waited.iter().all(|time| *time <= Duration::from_secs(4001)), "{waited:?}");
    assert!(waited.iter().any(|time| *time > Duration::from_secs(500)), "{waited:?}");
    waited.sort();
    waited.dedup();
    assert!(waited.len() > 10, "they differ");
    assert!(sign_in(&mut client, "alice", "secret123").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_answer_to_a_wrong_signature_holds_up_nobody() {
    let server = server(Cra::new(accounts()).failure_delay(Duration::from_secs(1_000_000)));
    let (mut mallory, mut alice) = (Client::connect(server.clone()).await, Client::connect(server).await);
    mallory.call(AUTHREQ, [json!("alice")]).await.unwrap();
    let mut guess = std::pin::pin!(mallory.call(AUTH, [json!("guess")]));
    assert!(wsrv_core::testing::poll_once(guess.as_mut()).is_pending());
    let since = Instant::now();
    assert!(sign_in(&mut alice, "alice", "secret123").await.is_ok());
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn anonymous_clients_are_let_in_if_they_may_be_and_ask() {
    let mut client =
        Client::connect(server(Cra::new(accounts()).anonymous(Grant::none().call("http://example.com/whoami")))).await;
    assert_eq!(client.call("http://example.com/whoami", []).await, error("NoSuchRPCEndpoint"));
    assert_eq!(client.call(AUTHREQ, [json!(null)]).await, Ok(Value::Null));
    assert_eq!(client.call(AUTH, [json!("x")]).await, error("invalid-signature"), "there is nothing to sign");
    assert_eq!(client.call(AUTHREQ, []).await, Ok(Value::Null));
    let grant = json!({ "pubsub": [], "rpc": [{ "uri": "http://example.com/whoami", "call": true }] });
    assert_eq!(client.call(AUTH, []).await, Ok(grant));
    assert_eq!(client.call("http://example.com/whoami", []).await, Ok(Value::Null));
    assert_eq!(client.call(ADD, [json!(1), json!(2)]).await, error("not-authorized"));
}

#[tokio::test(start_paused = true)]
async fn a_null_signature_is_no_way_around_a_challenge() {
    let mut client = Client::connect(server(Cra::new(accounts()).anonymous(grant()))).await;
    client.call(AUTHREQ, [json!("alice")]).await.unwrap();
    assert_eq!(client.call(AUTH, [json!(null)]).await, error("invalid-signature"));
    client.call(AUTHREQ, [json!("alice")]).await.unwrap();
    assert_eq!(client.call(AUTH, []).await, error("invalid-signature"));
}

#[tokio::test(start_paused = true)]
async fn hidden_keys_look_like_those_that_are_there() {
    let server = || {
        let alice = Account::new(Secret::salted("pa55word", 1000), grant());
        server(Cra::new(HashMap::from([("alice".to_owned(), alice)])).hide_keys(Decoy::salted(1000)))
    };
    let server = server();
    let mut seen = HashMap::<&str, Vec<Value>>::new();
    for key in ["alice", "mallory", "alice", "mallory", "trudy"] {
        let mut client = Client::connect(server.clone()).await;
        let text = client.call(AUTHREQ, [json!(key)]).await.unwrap();
        let mut challenge: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(client.call(AUTH, [json!("wrong")]).await, error("invalid-signature"));
        for differs in ["authid", "timestamp", "sessionid"] {
            challenge[differs].take();
        }
        assert_eq!(challenge["permissions"], json!({ "pubsub": [], "rpc": [] }));
        seen.entry(key).or_default().push(challenge);
    }
    let mut salts = Vec::new();
    for (key, challenges) in &mut seen {
        challenges.dedup();
        assert_eq!(challenges.len(), 1, "{key} is the same each time");
        challenges[0]["authkey"].take();
        let salt = challenges[0]["authextra"]["salt"].take();
        assert_eq!(salt.as_str().unwrap().len(), 24);
        salts.push(salt.to_string());
    }
    assert_eq!(seen["alice"], seen["mallory"]);
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), 3, "one for each key");

    let mut alice = Client::connect(server).await;
    assert_eq!(sign_in(&mut alice, "alice", "pa55word").await, Ok(serde_json::to_value(grant()).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_long_is_closed() {
    let server = server(Cra::new(accounts()).time_limit(Duration::from_secs(10)).failure_delay(Duration::from_secs(9)));
    let since = Instant::now();
    let mut silent = Client::connect(server.clone()).await;
    assert_eq!(silent.session.turn().await, None);
    silent.session.woken().await;
    assert_eq!(since.elapsed().as_secs(), 10);
    let closed = silent.session.turn().await.expect("it is over");
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Policy));
    assert_eq!(silent.peer.close_frame().unwrap().code, CloseCode::POLICY);

    // One that guesses all the time too, also while it waits.
    let since = Instant::now();
    let mut guessing = Client::connect(server.clone()).await;
    let mut closed = None;
    for _ in 0..1_000 {
        let [authreq, auth] = [json!([2, "1", AUTHREQ, "alice"]), json!([2, "2", AUTH, "guess"])];
        closed = guessing.send(authreq).await;
        if closed.is_none() {
            closed = guessing.send(auth).await;
        }
        if closed.is_some() {
            break;
        }
    }
    let closed = closed.expect("it is over");
    assert_eq!((closed.reason, since.elapsed().as_secs()), (Reason::Policy, 10));

    let mut alice = Client::connect(server).await;
    sign_in(&mut alice, "alice", "secret123").await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(alice.session.turn().await, None);
    assert_eq!(alice.call(ADD, [json!(1), json!(2)]).await, Ok(json!(3.0)));
}

/// Fails at first, and takes its time.
struct Moody(AtomicUsize);

impl Store for Moody {
    async fn find(&self, request: SignInRequest<'_>) -> Result<Option<Account>, StoreError> {
        assert_eq!((request.request().path(), request.extension::<u8>(), request.remote_addr()), ("/wamp", None, None));
        tokio::time::sleep(Duration::from_secs(1)).await;
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("the database sleeps".into());
        }
        let secret = request.extra.get("device").and_then(Value::as_str).unwrap_or_default().repeat(2);
        Ok(Some(Account::new(Secret::plain(secret), Grant::none())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_may_wait_and_fail() {
    let mut client = Client::connect(server(Cra::new(Moody(AtomicUsize::new(0))))).await;
    assert_eq!(client.call(AUTHREQ, [json!("x")]).await, error("auth-permissions-error"));
    assert_eq!(sign_in(&mut client, "x", "testtest").await, Ok(json!({ "pubsub": [], "rpc": [] })));
}

#[derive(Clone, Debug, PartialEq)]
struct Role(&'static str);

#[tokio::test(start_paused = true)]
async fn what_an_account_brings_along_counts_when_its_owner_has_signed_in() {
    let account =
        |secret, role| Account::new(Secret::plain(secret), grant()).with(Role("early")).with(Role(role)).with(7);
    let accounts = HashMap::from([
        ("root".to_owned(), account("hard", "admin")),
        ("user".to_owned(), account("easy", "guest")),
        ("plain".to_owned(), Account::new(Secret::plain("x"), grant())),
    ]);
    let role = async |role: Option<Attribute<Role>>| Ok::<_, CallError>(role.map(|Attribute(Role(name))| name));
    let wamp = Wamp::new().procedure("http://example.com/whoami", role);
    let server = Arc::new(wamp.build().unwrap().sign_in(Cra::new(accounts)));
    let mut client = Client::connect(server.clone()).await;
    assert_eq!(sign_in(&mut client, "root", "guess").await, error("invalid-signature"));
    assert!(!client.peer.connection().attributes().contains::<Role>());
    assert!(client.call(AUTHREQ, [json!("root")]).await.is_ok());
    assert_eq!(client.call(AUTH, []).await, error("invalid-signature"));
    sign_in(&mut client, "user", "easy").await.unwrap();
    assert_eq!(client.call("http://example.com/whoami", []).await, Ok(json!("guest")));
    assert_eq!(client.peer.connection().attributes().get::<i32>(), Some(7));
    let mut plain = Client::connect(server).await;
    sign_in(&mut plain, "plain", "x").await.unwrap();
    assert_eq!(plain.call("http://example.com/whoami", []).await, Ok(Value::Null));
}

/// Tells what becomes of it.
struct Inner(Arc<AtomicUsize>);

impl Handler<WampConnection> for Inner {
    type State = ();

    async fn on_open(&self, conn: &WampConnection) -> Result<(), Error> {
        assert_eq!(conn.signed_in().expect("somebody").key(), Some("alice"));
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn on_message(&self, _: &WampConnection, _: &mut (), _: Request) -> Result<(), Error> {
        Err(Error::new(Reason::BadData, "whatever it is"))
    }

    async fn on_close(&self, _: &WampConnection, (): (), _: Closed) {
        self.0.fetch_add(10, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_within_opens_for_who_has_signed_in_only() {
    let seen = Arc::new(AtomicUsize::new(0));
    let server = Arc::new(WampLayer::new(Inner(seen.clone())).sign_in(Cra::new(accounts())));
    let mut outsider = Client::connect(server.clone()).await;
    assert!(sign_in(&mut outsider, "alice", "secret").await.is_err());
    outsider.mock.session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(seen.load(Ordering::Relaxed), 0);

    let mut alice = Client::connect(server).await;
    sign_in(&mut alice, "alice", "secret123").await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    let closed = alice.send(json!([5, EVENT])).await.expect("an error of its own");
    assert_eq!((closed.reason, seen.load(Ordering::Relaxed)), (Reason::BadData, 11));
}

#[tokio::test(start_paused = true)]
async fn faults_have_the_applications_words_outside_and_inside() {
    let word = |fault: &Fault| {
        let uri = match fault {
            Fault::NoSuchProcedure { .. } => "http://a/nothing",
            Fault::InvalidArguments { .. } => "http://a/wrong",
            Fault::NotAuthorized => "http://a/forbidden",
            _ => return None,
        };
        Some(CallError::new(uri, "in other words"))
    };
    let wamp = Wamp::new().procedure(ADD, add).faults(word).build().unwrap();
    let mut client = Client::connect(wamp.sign_in(Cra::new(accounts()))).await;
    let told = |uri: &str| Err(uri.to_owned());
    assert_eq!(client.call(ADD, [json!(1), json!(2)]).await, told("http://a/nothing"));
    assert_eq!(client.call(AUTHREQ, [json!(17)]).await, told("http://a/wrong"));
    assert_eq!(client.call(AUTH, [json!("x")]).await, error("no-authentication-requested"), "which is no fault");
    sign_in(&mut client, "alice", "secret123").await.unwrap();
    assert_eq!(client.call(OTHER, []).await, told("http://a/forbidden"));
    assert_eq!(client.call(ADD, [json!("x")]).await, told("http://a/wrong"));
}

/// Has something to do by itself after 5 seconds, which fails.
struct Busy(Arc<Mutex<Vec<String>>>);

impl Busy {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

impl Handler<WampConnection> for Busy {
    type State = Option<Pin<Box<Sleep>>>;

    async fn on_open(&self, conn: &WampConnection) -> Result<Self::State, Error> {
        self.note("open");
        match conn.signed_in().expect("somebody").key() {
            Some("alice") => Ok(Some(Box::pin(sleep(Duration::from_secs(5))))),
            _ => Err(Error::new(Reason::Overload, "not for you")),
        }
    }

    async fn on_message(&self, _: &WampConnection, _: &mut Self::State, _: Request) -> Result<(), Error> {
        Err(Error::new(Reason::BadData, "message"))
    }

    async fn on_error(&self, _: &WampConnection, _: &mut Self::State, error: Error) -> Verdict {
        self.note(&error.to_string());
        Verdict::Continue
    }

    async fn on_close(&self, _: &WampConnection, _: Self::State, _: Closed) {
        self.note("close");
    }

    fn poll_background(
        &self,
        _: &WampConnection,
        state: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let Some(sleep) = state else { return Poll::Pending };
        std::task::ready!(sleep.as_mut().poll(cx));
        *state = None;
        Poll::Ready(Err(Error::new(Reason::Other, "background")))
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_within_decides_about_errors_and_works_in_the_background_once_it_is_open() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    // One prefix is one too many, which is an error of the layer below.
    let server = Wamp::new().max_prefixes(0).build().unwrap().map(|_| Busy(seen.clone()));
    let server = Arc::new(server.sign_in(Cra::new(accounts())));
    let prefix = json!([1, "p", "http://p"]);

    let mut outsider = Client::connect(server.clone()).await;
    assert!(outsider.session.background().is_pending());
    assert_eq!(outsider.send(prefix.clone()).await.expect("it is over").reason, Reason::Policy);
    assert_eq!(take(), [""; 0]);

    let mut alice = Client::connect(server.clone()).await;
    sign_in(&mut alice, "alice", "secret123").await.unwrap();
    assert_eq!(alice.send(prefix).await, None);
    assert_eq!(alice.send(json!([5, EVENT])).await, None);
    let since = Instant::now();
    assert_eq!(alice.session.turn().await, None);
    timeout(Duration::from_secs(60), alice.session.woken()).await.expect("the background wakes it");
    assert_eq!(since.elapsed().as_secs(), 5);
    assert_eq!(alice.session.turn().await, None);
    alice.mock.session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(take(), ["open", "more than 0 prefixes", "message", "background", "close"]);

    let mut bob = Client::connect(server).await;
    let text = bob.call(AUTHREQ, [json!("bob")]).await.unwrap();
    let signature = cra::respond(text.as_str().unwrap(), "pa55word").unwrap();
    let closed = bob.send(json!([2, "id", AUTH, signature])).await.expect("it is over");
    assert_eq!(
        (closed.reason, take()),
        (Reason::Overload, vec!["open".to_owned()]),
        "what has not opened is told nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_without_end_never_comes() {
    let mut client = Client::connect(server(Cra::new(accounts()).time_limit(Duration::MAX))).await;
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    assert_eq!(client.session.turn().await, None);
    sign_in(&mut client, "alice", "secret123").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_tells_a_secret() {
    let account = Account::new(Secret::plain("hush-hush"), Grant::none());
    let shown = format!(
        "{account:?} {:?} {:?}",
        Decoy::salted(3).seed([65; 32]),
        Cra::new(HashMap::from([("a", account.clone())]))
    );
    assert!(!shown.contains("hush") && !shown.contains("65"), "{shown}");
    let mut client = Client::connect(server(Cra::new(accounts()))).await;
    sign_in(&mut client, "alice", "secret123").await.unwrap();
    let shown = format!("{:?}", client.peer.connection().link().attributes());
    assert!(!shown.contains("secret123"), "{shown}");
}
