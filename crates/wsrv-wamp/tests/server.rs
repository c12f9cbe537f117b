//! The server's side: what a client hears, in which order, and what is left when it has gone.

mod mock;

use mock::texts;
use std::borrow::Cow;
use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use wsrv_core::testing::check_layer;
use wsrv_core::{ClosedBy, Connection, Error, Handler, Reason, SlowPeer, Verdict};
use wsrv_rfc6455::connection::testing::MockWebSocket;
use wsrv_rfc6455::{CloseCode, Message};
use wsrv_wamp::testing::{MockWamp, wire};
use wsrv_wamp::{
    Args, Attribute, BoxProcedure, BoxTopicHandler, CallArguments, CallError, Dialect, Event, Exclude, Extension,
    Fault, Handlers, Invocation, Malformed, MessageLimits, Offer, Open, Outcome, Pattern, Procedure, ProcedureRoute,
    Publication, RawValue, Recipients, Request, Router, SessionId, State, Topic, TopicContext, TopicHandler,
    TopicRefusal, TopicRoute, UriParams, Wamp, WampConnection, WampError, WampLayer,
};

type Server = Arc<WampLayer<Router>>;

async fn open(server: &Server) -> MockWamp<Server> {
    MockWamp::open(server.clone()).await.unwrap()
}

fn build(wamp: Wamp) -> Server {
    Arc::new(wamp.build().unwrap())
}

type Answer<T> = Result<T, CallError>;

async fn add(Args((a, b)): Args<(f64, f64)>) -> Answer<f64> {
    Ok(a + b)
}

#[tokio::test(start_paused = true)]
async fn the_layer_passes_everything_through() {
    check_layer(wire, WampLayer::new, |n| {
        (format!(r#"[5,"http://a/{n}"]"#).into(), Request::Subscribe { topic: format!("http://a/{n}") })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_welcome_comes_first_and_names_a_session_that_nobody_can_guess() {
    struct Greets;
    impl Handler<WampConnection> for Greets {
        type State = ();
        async fn on_open(&self, conn: &WampConnection) -> Result<(), Error> {
            Ok(conn.event(&wsrv_wamp::Event::new("http://a", &1)?).await?)
        }
        async fn on_message(&self, _: &WampConnection, _: &mut (), _: Request) -> Result<(), Error> {
            Ok(())
        }
    }
    let layer = Arc::new(Wamp::new().identity("me").build().unwrap().map(|_| Greets));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut peer = MockWebSocket::with(wire(), |driver| driver);
        let _session = peer.open(layer.clone()).await.unwrap();
        let heard = texts(&mut peer);
        let id = heard[0].split('"').nth(1).unwrap().to_owned();
        assert_eq!(heard, [format!(r#"[0,"{id}",1,"me"]"#), r#"[8,"http://a",1]"#.to_owned()]);
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        ids.push(id);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn who_has_not_agreed_on_wamp_is_no_client() {
    let mut peer = MockWebSocket::new();
    assert_eq!(peer.open(build(Wamp::new())).await.unwrap_err().reason(), Reason::BadPeer);
    assert_eq!(peer.close_frame().unwrap().code, CloseCode::PROTOCOL_ERROR);
    let mut peer = MockWebSocket::new();
    let _session = peer.open(build(Wamp::new().needs_subprotocol(false))).await.unwrap();
    assert_eq!(texts(&mut peer).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_are_answered_in_the_turn_that_brings_them() {
    let server = build(Wamp::new().procedure("http://a/add", add));
    let mut client = open(&server).await;
    let writes = client.peer.writes();
    for n in 0..3 {
        client.peer.send(format!(r#"[2,"{n}","http://a/add",{n},1]"#));
    }
    assert_eq!(client.session.turn().await, None);
    assert_eq!(client.peer.writes(), writes + 1, "all answers in one write");
    assert_eq!(client.heard(), [r#"[3,"0",1.0]"#, r#"[3,"1",2.0]"#, r#"[3,"2",3.0]"#]);
}

#[tokio::test(start_paused = true)]
async fn each_way_to_fail_has_its_one_answer() {
    async fn says(Args((what,)): Args<(String,)>) -> Answer<u8> {
        match &*what {
            "own" => Err(CallError::new("http://a/own", "own").details(&[1])),
            "foreign" => Ok(what.parse()?),
            _ => panic!("at once"),
        }
    }
    async fn later(Args((what,)): Args<(String,)>) -> Answer<std::collections::HashMap<Vec<u8>, u8>> {
        sleep(Duration::from_secs(1)).await;
        match &*what {
            "no JSON" => Ok([(vec![1], 1)].into()),
            "forever" => pending().await,
            _ => panic!("later"),
        }
    }
    let server = build(
        Wamp::new()
            .procedure("says", says)
            .procedure("later", ProcedureRoute::new(later).timeout(Duration::from_secs(5)))
            .procedure("forever", pending::<Answer<u8>>)
            .call_timeout(Duration::from_secs(9))
            .procedure("no state", async |_: State<u8>| Ok::<u8, CallError>(1))
            .faults(|fault| {
                matches!(fault, Fault::NoSuchProcedure { .. }).then(|| CallError::new("http://a/lost", "lost"))
            }),
    );
    let mut client = open(&server).await;
    let internal = r#"[4,"1","http://api.wamp.ws/error#internal","internal error"]"#;
    for (call, answer) in [
        (r#"[2,"1","says","own"]"#, r#"[4,"1","http://a/own","own",[1]]"#),
        (r#"[2,"1","says","foreign"]"#, internal),
        (r#"[2,"1","says","panic"]"#, internal),
        (r#"[2,"1","no state"]"#, internal),
        (r#"[2,"1","nothing"]"#, r#"[4,"1","http://a/lost","lost"]"#),
    ] {
        assert_eq!(client.say(call).await, [answer], "{call}");
    }
    for bad in ["", ",1", r#","a","b""#] {
        let heard = client.say(&format!(r#"[2,"x","says"{bad}]"#)).await;
        assert!(heard[0].starts_with(r#"[4,"x","http://api.wamp.ws/error#invalid-argument","#), "{heard:?}");
    }
    for (call, answer) in [
        (r#"[2,"1","later","no JSON"]"#, internal),
        (r#"[2,"1","later","panic"]"#, internal),
        (r#"[2,"1","later","forever"]"#, r#"[4,"1","http://api.wamp.ws/error#timeout","the call took too long"]"#),
    ] {
        assert_eq!(client.say(call).await, [""; 0]);
        assert_eq!(client.hear().await, [answer], "{call}");
    }
    assert_eq!(client.say(r#"[2,"1","forever"]"#).await, [""; 0]);
    assert!(client.hear().await[0].contains("#timeout"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(client.session.turn().await, None);
    assert_eq!(client.heard(), [""; 0], "never a second answer");
}

/// Counts how many there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_calls_hold_up_nothing_within_their_bound_and_end_with_the_connection() {
    let (gate, running) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open_gate, count) = (gate.clone(), running.clone());
    let slow = move |Args((n,)): Args<(u32,)>| {
        let (gate, counted) = (gate.clone(), Counted::new(&running));
        async move {
            gate.acquire().await?.forget();
            drop(counted);
            Ok::<u32, CallError>(n)
        }
    };
    let server = build(Wamp::new().procedure("slow", slow).procedure("add", add).topic("t", Open).max_calls(2));
    let (mut client, mut other) = (open(&server).await, open(&server).await);
    assert_eq!(other.say(r#"[5,"t"]"#).await, [""; 0]);
    for n in 0..2 {
        assert_eq!(client.say(&format!(r#"[2,"{n}","slow",{n}]"#)).await, [""; 0]);
    }
    assert_eq!(client.say(r#"[2,"quick","add",1,2]"#).await, [r#"[3,"quick",3.0]"#]);
    client.say(r#"[7,"t","hello"]"#).await;
    assert_eq!(other.hear().await, [r#"[8,"t","hello"]"#]);
    // One too many: the message after it is not looked at before a call has ended.
    client.peer.send(r#"[2,"2","slow",2]"#);
    client.peer.send(r#"[7,"t","later"]"#);
    let turn = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!((count.load(Ordering::Relaxed), other.heard()), (3, vec![]));
        open_gate.add_permits(1);
    };
    let (ended, ()) = tokio::join!(client.session.turn(), turn);
    assert_eq!(ended, None);
    assert_eq!(client.heard(), [r#"[3,"0",0]"#]);
    assert_eq!(other.hear().await, [r#"[8,"t","later"]"#]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
    client.session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(count.load(Ordering::Relaxed), 0, "dropped with the connection");
}

#[tokio::test(start_paused = true)]
async fn what_running_calls_have_brought_is_bounded_in_bytes_too() {
    let slow = async |Args((text,)): Args<(String,)>| {
        sleep(Duration::from_secs(1)).await;
        Ok::<usize, CallError>(text.len())
    };
    let mut client = open(&build(Wamp::new().procedure("slow", slow).max_call_bytes(10_000))).await;
    for (id, len) in [(1, 20_000), (2, 4_000), (3, 4_000), (4, 4_000)] {
        client.peer.send(format!(r#"[2,"{id}","slow","{}"]"#, "x".repeat(len)));
    }
    let began = tokio::time::Instant::now();
    let mut heard = Vec::new();
    while heard.len() < 4 {
        if !heard.is_empty() {
            client.session.woken().await;
        }
        assert_eq!(client.session.turn().await, None);
        heard.extend(client.heard().into_iter().map(|answer| (answer, began.elapsed().as_secs())));
    }
    let expected = [("1", 20_000, 1), ("2", 4_000, 1), ("3", 4_000, 2), ("4", 4_000, 2)];
    let expected = expected.map(|(id, len, time)| (format!(r#"[3,"{id}",{len}]"#), time));
    assert_eq!(heard, expected, "what goes beyond the bound begins, and nothing after it");
}

#[tokio::test(start_paused = true)]
async fn functions_take_what_they_ask_for() {
    #[derive(Clone)]
    struct User(&'static str);
    let everything = async |Args((n,)): Args<(u8,)>,
                            arguments: CallArguments,
                            conn: WampConnection,
                            id: SessionId,
                            params: UriParams,
                            state: State<u64>,
                            user: Option<Extension<User>>,
                            Attribute(mark): Attribute<u16>| {
        assert_eq!(conn.session_id(), &id);
        let user = user.map(|Extension(User(name))| name);
        Ok::<_, CallError>(format!("{n} {} {:?} {} {user:?} {mark}", arguments.len(), params.get("what"), *state))
    };
    let shared = Arc::new("shared".to_owned());
    let given = async |State(text): State<String>, State(same): State<Arc<String>>| {
        assert!(Arc::ptr_eq(&text, &same));
        Ok::<_, CallError>(text.to_string())
    };
    let wamp = Wamp::new().procedure("all/{what}", everything).procedure("given", given);
    let server = build(wamp.state(7_u64).state(shared.clone()));
    let mut client = open(&server).await;
    client.peer.connection().link().attributes().set(9_u16);
    assert_eq!(client.say(r#"[2,"1","all/of",3]"#).await, [r#"[3,"1","3 1 Some(\"of\") 7 None 9"]"#]);
    assert_eq!(client.say(r#"[2,"1","given"]"#).await, [r#"[3,"1","shared"]"#], "by value, and shared");
    let mut extensions = http::Extensions::new();
    extensions.insert(User("ada"));
    let mut client = MockWamp::open_over(wire().extensions(extensions), server.clone()).await.unwrap();
    client.peer.connection().link().attributes().set(9_u16);
    assert_eq!(client.say(r#"[2,"1","all/of",3]"#).await, [r#"[3,"1","3 1 Some(\"of\") 7 Some(\"ada\") 9"]"#]);
}

#[tokio::test(start_paused = true)]
async fn prefixes_are_the_connections_own_and_bounded() {
    let server = build(Wamp::new().procedure("http://a/calc#add", add).max_prefixes(2));
    let (mut client, mut other) = (open(&server).await, open(&server).await);
    assert_eq!(client.say(r#"[1,"calc","http://a/calc#"]"#).await, [""; 0]);
    assert_eq!(client.say(r#"[2,"1","calc:add",1,2]"#).await, [r#"[3,"1",3.0]"#]);
    assert!(other.say(r#"[2,"1","calc:add",1,2]"#).await[0].contains("NoSuchRPCEndpoint"));
    client.say(r#"[1,"b","http://b"]"#).await;
    client.say(r#"[1,"b","http://c"]"#).await;
    assert_eq!(client.say_last(r#"[1,"c","http://c"]"#).await.reason, Reason::Policy);
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_are_dealt_with_as_the_dialect_says() {
    for (malformed, code) in [(1002, 1002), (1007, 1007), (1008, 1008), (4000, 4000)] {
        let dialect = Dialect::default().with_malformed(Malformed::Close(malformed));
        for bad in [Message::from("{}"), Message::Binary("[5,\"t\"]".into()), Message::from(r#"[8,"t",1]"#)] {
            let mut client = open(&build(Wamp::new().topic("t", Open).dialect(dialect))).await;
            client.say_last(bad).await;
            assert_eq!(client.peer.close_frame().unwrap().code, CloseCode::from(code));
            assert_eq!(client.heard(), [""; 0]);
        }
        let mut client = open(&build(Wamp::new().dialect(dialect))).await;
        client.say_last(r#"[2,"1"]"#).await;
        let heard = client.heard();
        assert!(heard[0].starts_with(r#"[4,"1","http://api.wamp.ws/error#invalid-argument""#), "{heard:?}");
    }
    let dialect = Dialect::default().with_malformed(Malformed::Ignore);
    let mut client = open(&build(Wamp::new().procedure("add", add).dialect(dialect))).await;
    assert_eq!(client.say("{}").await, [""; 0]);
    assert_eq!(client.say(r#"[2,"1","add",1,2]"#).await, [r#"[3,"1",3.0]"#]);
}

#[tokio::test(start_paused = true)]
async fn a_message_contains_no_more_than_the_limits_that_were_set() {
    let limits = MessageLimits::default().with_max_depth(3).with_max_uri(5).with_max_call_id(2).with_max_list(1);
    let args = async |arguments: CallArguments| Ok::<_, CallError>(arguments.to_raw());
    let server = build(Wamp::new().procedure("{*all}", args).topic("{*all}", Open).limits(limits));
    let mut client = open(&server).await;
    assert_eq!(client.say(r#"[2,"id","12345",[[1]]]"#).await, [r#"[3,"id",[[[1]]]]"#]);
    for most in [r#"[1,"a","12345"]"#, r#"[5,"12345"]"#, r#"[6,"12345"]"#, r#"[7,"12345",[[1]],["x"],["y"]]"#] {
        assert_eq!(client.say(most).await, [""; 0], "{most}");
    }
    // The one number says whether there is a call to be answered.
    for (beyond, answers) in [
        (r#"[2,"id","12345",[[[1]]]]"#, 1),
        (r#"[2,"id","123456"]"#, 1),
        (r#"[2,"id3","12345"]"#, 0),
        (r#"[1,"123456","a"]"#, 0),
        (r#"[1,"a","123456"]"#, 0),
        (r#"[5,"123456"]"#, 0),
        (r#"[6,"123456"]"#, 0),
        (r#"[7,"123456",1]"#, 0),
        (r#"[7,"12345",[[[1]]]]"#, 0),
        (r#"[7,"12345",1,["x","y"]]"#, 0),
        (r#"[7,"12345",1,[],["x","y"]]"#, 0),
    ] {
        let mut client = open(&server).await;
        assert_eq!(client.say_last(beyond).await.reason, Reason::BadPeer, "{beyond}");
        let heard = client.heard();
        assert_eq!(heard.len(), answers, "{beyond}");
        assert!(heard.iter().all(|answer| answer.starts_with(r#"[4,"id","#)), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_message_is_told_to_the_handler_within() {
    struct Notes(Arc<Mutex<Vec<String>>>);
    impl Handler<WampConnection> for Notes {
        type State = ();
        async fn on_open(&self, _: &WampConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, _: &WampConnection, _: &mut (), _: Request) -> Result<(), Error> {
            Ok(())
        }
        async fn on_error(&self, _: &WampConnection, _: &mut (), error: Error) -> Verdict {
            self.0.lock().unwrap().push(error.to_string());
            Verdict::Continue
        }
    }
    let notes = Arc::new(Mutex::new(Vec::new()));
    let mut client = MockWamp::open(WampLayer::new(Notes(notes.clone()))).await.unwrap();
    for bad in [Message::Binary("[5,\"t\"]".into()), "{".into(), r#"[5,7]"#.into()] {
        assert_eq!(client.session.deliver(bad).await, None);
    }
    let notes = notes.lock().unwrap();
    assert_eq!(*notes, ["not text", "not JSON", "a string expected, at element 1"]);
}

#[tokio::test(start_paused = true)]
async fn times_without_end_never_come() {
    let watch = Watch::default();
    let slow = async || {
        sleep(Duration::from_secs(1)).await;
        Ok::<u8, CallError>(1)
    };
    let wamp = Wamp::new().procedure("slow", slow).call_timeout(Duration::MAX);
    let server = build(wamp.topic("t", TopicRoute::new(watch.clone()).every(Duration::MAX)));
    let mut client = open(&server).await;
    client.say(r#"[2,"1","slow"]"#).await;
    assert_eq!(client.hear().await, [r#"[3,"1",1]"#]);
    client.say(r#"[5,"t"]"#).await;
    watch.take();
    sleep(Duration::from_secs(1_000_000)).await;
    assert_eq!(watch.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn topics_are_there_while_somebody_listens() {
    let wamp = Wamp::new().topic("http://a/{room}", Open);
    let topics = wamp.topics();
    let server = build(wamp);
    let (mut ada, mut bob) = (open(&server).await, open(&server).await);
    ada.say(r#"[5,"http://a/x"]"#).await;
    ada.say(r#"[5,"http://a/x"]"#).await;
    ada.say(r#"[5,"http://elsewhere/x"]"#).await;
    bob.say(r#"[5,"http://a/y"]"#).await;
    bob.say(r#"[7,"http://a/z",1]"#).await;
    let uris = || topics.topics().iter().map(|topic| topic.uri().to_owned()).collect::<Vec<_>>();
    assert_eq!(uris(), ["http://a/x", "http://a/y"]);
    assert!(topics.declare("http://a/w") && !topics.declare("http://a/w"));
    let rooms = topics.matching(&Pattern::new("http://a/{room}").unwrap());
    let rooms: Vec<_> = rooms.iter().map(|(topic, params)| (params.get("room").unwrap(), topic.len())).collect();
    assert_eq!(rooms, [("w", 0), ("x", 1), ("y", 1)]);
    // From anywhere, byte for byte.
    let x = topics.topic("http://a/x");
    let event = RawValue::from_string(r#"{"b": 1.0e3,"a":[ ]}"#.to_owned()).unwrap();
    assert_eq!((x.publish_raw(&event).sent, x.publish(&"hi").unwrap().sent), (1, 1));
    let heard = ada.hear().await;
    assert_eq!(heard, [r#"[8,"http://a/x",{"b": 1.0e3,"a":[ ]}]"#, r#"[8,"http://a/x","hi"]"#]);
    assert_eq!(x.sessions()[0].as_str(), ada.session_id());
    ada.say(r#"[6,"http://a/x"]"#).await;
    ada.say(r#"[6,"http://a/x"]"#).await;
    assert_eq!((x.publish(&1).unwrap().sent, x.len()), (0, 0));
    bob.session.close(ClosedBy::Lost, Reason::Other).await;
    assert_eq!((uris(), topics.len(), topics.retract("http://a/w")), (vec!["http://a/w".to_owned()], 0, true));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_written_once_and_sent_wherever_it_is_wanted() {
    let wamp = Wamp::new().topic("{*all}", Open);
    let topics = wamp.topics();
    let server = build(wamp);
    let (mut ada, mut bob) = (open(&server).await, open(&server).await);
    ada.say(r#"[5,"a"]"#).await;
    bob.say(r#"[5,"b"]"#).await;
    let event = Event::new("a", &1).unwrap();
    assert_eq!(event.as_text().as_str(), r#"[8,"a",1]"#);
    for topic in ["a", "b", "nobody"] {
        topics.topic(topic).send(event.clone());
    }
    assert_eq!(
        (ada.hear().await, bob.hear().await),
        (vec![r#"[8,"a",1]"#.to_owned()], vec![r#"[8,"a",1]"#.to_owned()])
    );
    // What cannot be written is nothing to somebody only.
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(topics.topic("nobody").publish(&unwritable).unwrap().sent, 0);
    assert!(topics.topic("a").publish(&unwritable).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_keeps_the_latest_event_of_a_kind_if_that_is_wanted() {
    let wamp = Wamp::new().topic("t", Open);
    let topics = wamp.topics();
    let mut client = open(&build(wamp)).await;
    client.say(r#"[5,"t"]"#).await;
    client.peer.stall();
    let topic = topics.topic("t");
    topic.send(Event::new("t", "first").unwrap());
    assert_eq!(client.session.turn().await, None);
    for n in 0..5 {
        topic.send_with(Event::new("t", &n).unwrap(), SlowPeer::KeepLatest(7));
    }
    client.peer.resume();
    assert_eq!(client.hear().await, [r#"[8,"t","first"]"#, r#"[8,"t",4]"#]);
}

#[tokio::test(start_paused = true)]
async fn the_server_may_register_a_prefix_and_tell_the_client() {
    let shorten = async |conn: WampConnection| {
        conn.prefix("calc", "http://a/calc#").await.map_err(CallError::internal)?;
        let refused = conn.prefix("http", "http://a").await.is_err();
        conn.register_prefix("c", "http://a/calc#")?;
        Ok::<bool, CallError>(refused)
    };
    let server = build(Wamp::new().procedure("shorten", shorten).procedure("http://a/calc#add", add));
    let mut client = open(&server).await;
    assert_eq!(client.say(r#"[2,"1","shorten"]"#).await, [r#"[1,"calc","http://a/calc#"]"#, r#"[3,"1",true]"#]);
    for procedure in ["calc:add", "c:add"] {
        assert_eq!(client.say(&format!(r#"[2,"1","{procedure}",1,2]"#)).await, [r#"[3,"1",3.0]"#]);
    }
}

#[tokio::test(start_paused = true)]
async fn events_reach_whom_the_publisher_means() {
    for (dialect, me) in [(Dialect::autobahn(), false), (Dialect::ratchet(), true)] {
        let server = build(Wamp::new().topic("t", Open).dialect(dialect));
        let (mut ada, mut bob) = (open(&server).await, open(&server).await);
        for client in [&mut ada, &mut bob] {
            client.say(r#"[5,"t"]"#).await;
        }
        let (a, b) = (ada.session_id(), bob.session_id());
        for (rest, to_ada, to_bob) in [
            (String::new(), me, true),
            (",true".into(), false, true),
            (",false".into(), true, true),
            (",[]".into(), true, true),
            (format!(r#",["{b}"]"#), true, false),
            (format!(r#",["{a}","nobody"]"#), false, true),
            (format!(r#",[],["{b}"]"#), false, true),
            (format!(r#",["{b}"],["{a}","{b}"]"#), true, false),
            (",[],[]".into(), me, me),
        ] {
            ada.say(&format!(r#"[7,"t",1{rest}]"#)).await;
            // What was published in one's own turn was heard in it.
            ada.peer.send(format!(r#"[7,"t",1{rest}]"#));
            assert_eq!(ada.session.turn().await, None);
            assert_eq!(!ada.heard().is_empty(), to_ada, "{rest}");
            let _ = bob.session.turn().await;
            assert_eq!(!bob.heard().is_empty(), to_bob, "{rest}");
        }
    }
}

/// What was asked of a handler, and its answers.
#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Vec<String>>>);

impl Watch {
    fn note(&self, what: &str, cx: &TopicContext) {
        self.0.lock().unwrap().push(format!("{what} {} {}", cx.topic().uri(), cx.topic().len()));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl TopicHandler for Watch {
    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        self.note("subscribe", cx);
        if cx.params().get("name") == Some("private") { Err(TopicRefusal::new("private")) } else { Ok(()) }
    }

    async fn on_subscribed(&self, cx: &TopicContext) {
        self.note("subscribed", cx);
    }

    async fn on_unsubscribed(&self, cx: &TopicContext) {
        self.note("unsubscribed", cx);
    }

    async fn on_publish(
        &self,
        cx: &TopicContext,
        mut publication: Publication,
    ) -> Result<Option<Publication>, TopicRefusal> {
        self.note("publish", cx);
        match publication.event.get() {
            "0" => Ok(None),
            "1" => Err(TopicRefusal::new("one")),
            _ => {
                publication.event = RawValue::from_string(format!("[{}]", publication.event.get()))?;
                Ok(Some(publication))
            }
        }
    }

    async fn on_tick(&self, topic: &Topic, _: &UriParams) {
        self.0.lock().unwrap().push(format!("tick {} {}", topic.uri(), topic.len()));
        let _ = topic.publish("tick");
        panic!("once in a while");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_refuse_rewrite_and_swallow_and_learn_who_leaves() {
    let (watch, quiet) = (Watch::default(), Watch::default());
    let wamp = Wamp::new().topic("t/{name}", watch.clone());
    let server = build(wamp.topic("quiet", TopicRoute::new(quiet.clone()).broadcast(false)));
    let (mut ada, mut bob) = (open(&server).await, open(&server).await);
    for topic in ["t/x", "t/x", "t/private", "quiet"] {
        ada.say(&format!(r#"[5,"{topic}"]"#)).await;
    }
    assert_eq!(watch.take(), ["subscribe t/x 0", "subscribed t/x 1", "subscribe t/private 0"]);
    for event in ["0", "1", "2"] {
        bob.say(&format!(r#"[7,"t/x",{event}]"#)).await;
        bob.say(&format!(r#"[7,"quiet",{event}]"#)).await;
    }
    assert_eq!(ada.hear().await, [r#"[8,"t/x",[2]]"#]);
    assert_eq!(watch.take(), ["publish t/x 1"; 3]);
    ada.say(r#"[6,"t/private"]"#).await;
    ada.session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(watch.take(), ["unsubscribed t/x 0"]);
    assert_eq!(quiet.take().last().unwrap(), "unsubscribed quiet 0");
}

#[tokio::test(start_paused = true)]
async fn the_server_can_take_a_subscription_away() {
    let watch = Watch::default();
    let wamp = Wamp::new().topic("t/{name}", watch.clone());
    let topics = wamp.topics();
    let server = build(wamp);
    let (mut ada, mut bob) = (open(&server).await, open(&server).await);
    for client in [&mut ada, &mut bob] {
        client.say(r#"[5,"t/x"]"#).await;
    }
    watch.take();
    let topic = topics.topic("t/x");
    let find = |id: &str| topic.find(id).unwrap();
    let of_ada = find(ada.session_id());
    topics.topic("t/y").remove(&of_ada);
    topic.remove(&of_ada);
    topic.remove(&of_ada);
    ada.session.woken().await;
    assert_eq!(ada.session.turn().await, None);
    assert_eq!(watch.take(), ["unsubscribed t/x 1"]);
    topic.publish("hi").unwrap();
    assert_eq!(bob.hear().await, [r#"[8,"t/x","hi"]"#]);
    assert_eq!(ada.heard(), [""; 0], "nothing is said about it, and nothing published to it");
    ada.say(r#"[5,"t/x"]"#).await;
    assert_eq!(watch.take(), ["subscribe t/x 1", "subscribed t/x 2"]);
}

#[tokio::test(start_paused = true)]
async fn sessions_begin_and_end_for_the_application_too() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let (opened, closed) = (told.clone(), told.clone());
    let server = build(
        Wamp::new()
            .topic("t", Open)
            .on_open(move |conn| {
                let mut opened = opened.lock().unwrap();
                opened.push(format!("opened {}", conn.session_id().as_str()));
                let refused = opened.len() == 3;
                async move { if refused { Err(Error::new(Reason::Policy, "full")) } else { Ok(()) } }
            })
            .on_close(move |conn, why| {
                let closed = closed.clone();
                async move {
                    tokio::task::yield_now().await;
                    closed.lock().unwrap().push(format!("closed {} {:?}", conn.session_id().as_str(), why.by));
                    panic!("on purpose");
                }
            }),
    );
    let mut ada = open(&server).await;
    ada.say(r#"[5,"t"]"#).await;
    let id = ada.session_id().to_owned();
    ada.session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [format!("opened {id}"), format!("closed {id} Peer")]);
    told.lock().unwrap().resize(2, String::new());
    let mut refused = MockWebSocket::with(wire(), |driver| driver);
    assert_eq!(refused.open(server.clone()).await.unwrap_err().reason(), Reason::Policy);
    assert_eq!(texts(&mut refused).len(), 1, "the WELCOME comes first");
    assert_eq!(told.lock().unwrap().len(), 3, "who is refused does not leave");
}

#[tokio::test(start_paused = true)]
async fn the_server_says_who_is_meant_by_what_it_publishes() {
    let wamp = Wamp::new().topic("t", Open);
    let topic = wamp.topics().topic("t");
    let server = build(wamp);
    let no_json = HashMap::from([((1, 2), 3)]);
    assert!(topic.publish_where(&no_json, |_| true).is_ok() && topic.find("").is_none(), "nobody listens");
    let (mut ada, mut bob, mut cleo) = (open(&server).await, open(&server).await, open(&server).await);
    for client in [&mut ada, &mut bob, &mut cleo] {
        client.say(r#"[5,"t"]"#).await;
    }
    let found = topic.find(ada.session_id()).expect("she has subscribed");
    assert_eq!(found.session_id().as_str(), ada.session_id());
    let sessions = [Cow::from(bob.session_id())];
    let exclude = Exclude::Sessions(sessions.to_vec());
    let recipients = Recipients::new(&exclude, None, None, &Dialect::default());
    let unlucky = [ada.session_id(), cleo.session_id()];
    topic.publish_to("not to bob", &recipients).unwrap();
    topic.publish_to_others(&[1], &found).unwrap();
    topic.publish_where(&true, |conn| !unlucky.contains(&conn.session_id().as_str())).unwrap();
    topic.publish_raw_where(&serde_json::value::to_raw_value("raw").unwrap(), |conn| conn.id() == found.id());
    assert_eq!(ada.heard(), [r#"[8,"t","not to bob"]"#, r#"[8,"t","raw"]"#]);
    assert_eq!(bob.heard(), [r#"[8,"t",[1]]"#, r#"[8,"t",true]"#]);
    assert_eq!(cleo.heard(), [r#"[8,"t","not to bob"]"#, r#"[8,"t",[1]]"#]);
    cleo.say(r#"[6,"t"]"#).await;
    assert!(topic.find(cleo.session_id()).is_none() && topic.publish_to_others(&no_json, &found).is_err());
}

#[tokio::test(start_paused = true)]
async fn servers_can_share_topics() {
    let guests = Wamp::new().topic("news", Watch::default());
    let topics = guests.topics();
    let members = Wamp::over(topics.clone()).topic("{*all}", Open);
    let (guests, members) = (build(guests), build(members));
    let (mut guest, mut member) = (open(&guests).await, open(&members).await);
    for topic in ["news", "secret"] {
        for client in [&mut guest, &mut member] {
            client.say(&format!(r#"[5,"{topic}"]"#)).await;
        }
    }
    assert_eq!((topics.topic("news").len(), topics.topic("secret").len()), (2, 1));
    member.say(r#"[7,"news",2]"#).await;
    assert_eq!(guest.hear().await, [r#"[8,"news",2]"#], "by the rules of whose client publishes");
    guest.say(r#"[7,"news",2]"#).await;
    assert_eq!(member.hear().await, [r#"[8,"news",[2]]"#]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_ticks_while_somebody_listens() {
    let watch = Watch::default();
    let server = build(Wamp::new().topic("{*all}", TopicRoute::new(watch.clone()).every(Duration::from_secs(1))));
    let mut client = open(&server).await;
    sleep(Duration::from_secs(5)).await;
    client.say(r#"[5,"t"]"#).await;
    watch.take();
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(watch.take(), ["tick t 1", "tick t 1"]);
    assert_eq!(client.hear().await, [r#"[8,"t","tick"]"#; 2]);
    client.say(r#"[6,"t"]"#).await;
    watch.take();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(watch.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_while_a_handler_of_topics_waits() {
    struct Waits(Arc<Notify>);
    impl TopicHandler for Waits {
        async fn on_subscribe(&self, _: &TopicContext) -> Result<(), TopicRefusal> {
            self.0.notified().await;
            Ok(())
        }
    }
    let go_on = Arc::new(Notify::new());
    let notify = go_on.clone();
    let slow = async move || {
        sleep(Duration::from_secs(1)).await;
        Ok::<(), CallError>(())
    };
    let waits = Waits(go_on);
    let server = build(Wamp::new().topic("t", waits).procedure("slow", slow));
    let mut client = open(&server).await;
    client.say(r#"[2,"1","slow"]"#).await;
    let MockWamp { peer, session, .. } = &mut client;
    tokio::join!(session.deliver(r#"[5,"t"]"#.into()), async {
        sleep(Duration::from_secs(2)).await;
        assert_eq!(texts(peer), [r#"[3,"1",null]"#]);
        notify.notify_one();
    });
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_together_are_answered_together() {
    let all = Arc::new(Notify::new());
    let notify = all.clone();
    let slow = move || {
        let all = all.clone();
        async move {
            all.notified().await;
            Ok::<u8, CallError>(1)
        }
    };
    struct Waits(Arc<Notify>);
    impl TopicHandler for Waits {
        async fn on_subscribe(&self, _: &TopicContext) -> Result<(), TopicRefusal> {
            self.0.notified().await;
            Ok(())
        }
    }
    let subscribed = Arc::new(Notify::new());
    let server = build(Wamp::new().procedure("slow", slow).topic("t", Waits(subscribed.clone())));
    let mut client = open(&server).await;
    for n in 0..5 {
        client.say(&format!(r#"[2,"{n}","slow"]"#)).await;
    }
    let writes = client.peer.writes();
    notify.notify_waiters();
    assert_eq!(client.hear().await.len(), 5);
    assert_eq!(client.peer.writes(), writes + 1);
    // And while a handler of topics waits.
    for n in 0..5 {
        client.say(&format!(r#"[2,"{n}","slow"]"#)).await;
    }
    let MockWamp { peer, session, .. } = &mut client;
    tokio::join!(session.deliver(r#"[5,"t"]"#.into()), async {
        sleep(Duration::from_secs(1)).await;
        notify.notify_waiters();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(texts(peer).len(), 5);
        subscribed.notify_one();
    });
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_one_too_many_goes_on_while_nothing_more_is_read() {
    let lock = Arc::new(tokio::sync::Mutex::new(()));
    let (first, others) = (lock.clone(), lock.clone());
    let server = build(
        Wamp::new()
            .max_calls(1)
            .procedure("locks", move || {
                let lock = first.clone();
                async move {
                    let _held = lock.lock().await;
                    sleep(Duration::from_secs(1)).await;
                    Ok::<u8, CallError>(1)
                }
            })
            .procedure("forever", pending::<Result<u8, CallError>>),
    );
    let mut client = open(&server).await;
    client.say(r#"[2,"1","forever"]"#).await;
    let MockWamp { peer, session, .. } = &mut client;
    let locks = async {
        assert_eq!(session.deliver(r#"[2,"2","locks"]"#.into()).await, None);
    };
    tokio::join!(locks, async {
        sleep(Duration::from_millis(10)).await;
        let _held = others.lock().await;
    });
    assert_eq!(texts(peer), [r#"[3,"2",1]"#]);
}

#[tokio::test(start_paused = true)]
async fn who_makes_the_server_wait_is_removed_all_the_same() {
    let wamp = Wamp::new().max_calls(1).topic("t", Open).procedure("forever", pending::<Result<u8, CallError>>);
    let topic = wamp.topics().topic("t");
    let server = build(wamp);
    let mut client = open(&server).await;
    client.say(r#"[5,"t"]"#).await;
    client.say(r#"[2,"1","forever"]"#).await;
    let mut of_client = None;
    topic.for_each(|conn| of_client = Some(conn.clone()));
    tokio::select! {
        _ = client.session.deliver(r#"[2,"2","forever"]"#.into()) => panic!("one call too many"),
        () = async {
            sleep(Duration::from_millis(10)).await;
            topic.remove(&of_client.unwrap());
            sleep(Duration::from_millis(10)).await;
            assert!(topic.is_empty());
        } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_answered_before_the_server_goes_and_not_for_others_ends() {
    let slow = async |Args((seconds,)): Args<(u64,)>| {
        sleep(Duration::from_secs(seconds)).await;
        Ok::<u64, CallError>(seconds)
    };
    let server = build(Wamp::new().procedure("slow", slow));
    for (by, reason, heard) in [
        (ClosedBy::Local, Reason::GoingAway, &[r#"[3,"1",1]"#][..]),
        (ClosedBy::Local, Reason::Policy, &[]),
        (ClosedBy::Peer, Reason::Done, &[]),
    ] {
        let mut client = open(&server).await;
        for seconds in [1, 60] {
            client.say(&format!(r#"[2,"{seconds}","slow",{seconds}]"#)).await;
        }
        client.session.close(by, reason).await;
        assert_eq!(texts(&mut client.peer), heard, "{by:?} {reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_or_panics_at_the_end_keeps_no_other_from_its_end() {
    struct Bad;
    impl TopicHandler for Bad {
        async fn on_unsubscribed(&self, cx: &TopicContext) {
            match cx.topic().uri() {
                "bad/hangs" => pending().await,
                _ => panic!("on purpose"),
            }
        }
    }
    let watch = Watch::default();
    let server = build(Wamp::new().topic("bad/{how}", Bad).topic("good/{n}", watch.clone()));
    let mut client = open(&server).await;
    for topic in ["bad/hangs", "bad/panics", "good/1", "good/2"] {
        client.say(&format!(r#"[5,"{topic}"]"#)).await;
    }
    watch.take();
    let close = client.session.close(ClosedBy::Peer, Reason::Done);
    assert!(tokio::time::timeout(Duration::from_secs(1), close).await.is_err(), "one hangs");
    let mut told = watch.take();
    told.sort();
    assert_eq!(told, ["unsubscribed good/1 0", "unsubscribed good/2 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_can_be_none_is_malformed() {
    let dialect = Dialect::default().with_malformed(Malformed::Ignore);
    let server = build(Wamp::new().procedure("http://a", add).dialect(dialect));
    let mut client = open(&server).await;
    for bad in [r#"[1,"http","http://b"]"#, r#"[1,"","http://b"]"#] {
        assert_eq!(client.say(bad).await, [""; 0]);
    }
    assert_eq!(client.say(r#"[2,"1","http://a",1,2]"#).await, [r#"[3,"1",3.0]"#]);
    let mut client = open(&build(Wamp::new())).await;
    assert_eq!(client.say_last(r#"[1,"http","http://b"]"#).await.reason, Reason::BadPeer);
    let dialect = Dialect::default().with_malformed(Malformed::Close(1005));
    assert_eq!(Wamp::new().dialect(dialect).build().unwrap_err(), WampError::CloseCode(1005));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_bounded() {
    let server = build(Wamp::new().topic("{*all}", Open).max_subscriptions(2));
    let mut client = open(&server).await;
    for topic in ["a", "b", "a"] {
        client.say(&format!(r#"[5,"{topic}"]"#)).await;
    }
    client.say(r#"[6,"a"]"#).await;
    client.say(r#"[5,"c"]"#).await;
    assert_eq!(client.say_last(r#"[5,"d"]"#).await.reason, Reason::Policy);
}

/// Notes which middleware a call or a topic has met.
struct Around<N>(&'static str, N, Arc<Mutex<Vec<&'static str>>>);

impl Procedure for Around<BoxProcedure> {
    async fn call(&self, mut call: Invocation) -> Outcome {
        self.2.lock().unwrap().push(self.0);
        if call.arguments().is_empty() {
            return Err(Fault::NotAuthorized.into());
        }
        let unchanged = call.arguments().clone();
        call.set_arguments(unchanged);
        self.1.call(call).await
    }
}

impl TopicHandler for Around<BoxTopicHandler> {
    fn next(&self) -> Option<&BoxTopicHandler> {
        Some(&self.1)
    }

    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        self.2.lock().unwrap().push(self.0);
        self.1.on_subscribe(cx).await
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_is_met_in_the_order_in_which_it_was_added() {
    let met = Arc::new(Mutex::new(Vec::new()));
    let mut wamp = Wamp::new().procedure("add", add).topic("t", Open);
    for name in ["first", "second"] {
        let (calls, topics) = (met.clone(), met.clone());
        wamp = wamp
            .calls_through(move |next| Around(name, next, calls.clone()))
            .topics_through(move |next| Around(name, next, topics.clone()));
    }
    let mut client = open(&build(wamp)).await;
    assert_eq!(client.say(r#"[2,"1","add",1,2]"#).await, [r#"[3,"1",3.0]"#]);
    client.say(r#"[5,"t"]"#).await;
    let heard = client.say(r#"[2,"1","add"]"#).await;
    assert_eq!(heard, [r#"[4,"1","http://api.wamp.ws/error#not-authorized","not authorized"]"#]);
    assert_eq!(*met.lock().unwrap(), ["first", "second", "first", "second", "first"]);
}

#[tokio::test(start_paused = true)]
async fn middleware_that_forgets_what_it_is_around_is_an_error() {
    struct Forgetful(#[allow(dead_code, reason = "that is what it forgets")] BoxTopicHandler);
    impl TopicHandler for Forgetful {}
    let error = Wamp::new().topic("t", Open).topics_through(Forgetful).build().unwrap_err();
    assert!(matches!(error, WampError::NoNext(name) if name.ends_with("Forgetful")), "{error}");
    let boxed = |next| BoxTopicHandler::new(Forgetful(next));
    assert!(Wamp::new().topic("t", Open).topics_through(boxed).build().is_err());
    // Around some, or around none.
    let met = || Arc::default();
    let sometimes = move |next, around| if around { BoxTopicHandler::new(Around("", next, met())) } else { next };
    for around in [true, false] {
        assert!(Wamp::new().topic("t", Open).topics_through(move |next| sometimes(next, around)).build().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_may_call_with_other_arguments() {
    struct Twice(BoxProcedure);
    impl Procedure for Twice {
        async fn call(&self, mut call: Invocation) -> Outcome {
            let (n,) = call.arguments().deserialize::<(f64,)>()?;
            call.set_arguments(CallArguments::new(&(n, n))?);
            self.0.call(call).await
        }
    }
    let mut client = open(&build(Wamp::new().procedure("add", add).calls_through(Twice))).await;
    assert_eq!(client.say(r#"[2,"1","add",1.5]"#).await, [r#"[3,"1",3.0]"#]);
    let lists = [CallArguments::new(&[1, 2]), CallArguments::new(&(1, 2)), CallArguments::new(&vec![1, 2])];
    for arguments in lists {
        let arguments = arguments.unwrap();
        assert_eq!((arguments.len(), arguments.deserialize::<(u8, u8)>()), (2, Ok((1, 2))));
        assert_eq!(arguments, CallArguments::new(&[1, 2]).unwrap());
    }
    assert!(CallArguments::new(&[0_u8; 0]).unwrap().is_empty());
    assert!(CallArguments::new(&7).is_err() && CallArguments::new(&"[1]").is_err());
}

#[tokio::test(start_paused = true)]
async fn handlers_come_by_name_too_and_what_cannot_be_is_an_error() {
    let handlers = || Handlers::new().procedure("adder", || add).topic("open", || Open);
    let wamp = Wamp::new().handlers(handlers()).procedure_named("add", "adder").topic_named("t", "open");
    let mut client = open(&build(wamp)).await;
    assert_eq!(client.say(r#"[2,"1","add",1,2]"#).await, [r#"[3,"1",3.0]"#]);
    let error = |wamp: Wamp| wamp.build().unwrap_err();
    let unknown = error(Wamp::new().handlers(handlers()).procedure_named("add", "open"));
    assert_eq!(unknown, WampError::UnknownHandler("open".into()));
    let twice = error(Wamp::new().procedure("a", add).procedure("a", add));
    assert_eq!(twice, WampError::Twice { what: Offer::Procedure, pattern: "a".into(), first: "a".into() });
    let same = error(Wamp::new().topic("a/{b}#{c}", Open).topic("a/{x}#{y}", Open));
    assert_eq!(same.to_string(), "the topic `a/{x}#{y}` is there twice, first as `a/{b}#{c}`");
    assert!(Wamp::new().topic("a/{b}", Open).topic("a/{*b}", Open).procedure("a/{b}", add).build().is_ok());
    assert!(matches!(error(Wamp::new().topic("{", Open)), WampError::Pattern(_)));
}

#[tokio::test(start_paused = true)]
async fn ratchets_clients_are_understood() {
    let args = async |arguments: CallArguments| Ok::<_, CallError>(arguments.to_raw());
    let server = build(Wamp::new().procedure("http://a/calc#args", args).dialect(Dialect::ratchet()));
    let mut client = open(&server).await;
    client.say(r#"[1,"calc","http://a/calc"]"#).await;
    assert_eq!(client.say(r#"[2,"1","calc:args",[1,2.50]]"#).await, [r#"[3,"1",[1,2.50]]"#]);
    assert_eq!(client.say(r#"[2,"1","calc:args",[1],2]"#).await, [r#"[3,"1",[[1],2]]"#]);
}

/// A handler of one's own below the router's place.
#[tokio::test(start_paused = true)]
async fn requests_come_whole_to_a_handler_of_ones_own() {
    struct Echo;
    impl Handler<WampConnection> for Echo {
        type State = ();
        async fn on_open(&self, _: &WampConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, conn: &WampConnection, _: &mut (), request: Request) -> Result<(), Error> {
            if let Request::Call(call) = request {
                conn.call_result(&call.id, &call.procedure).await?;
            }
            Ok(())
        }
    }
    let mut client = MockWamp::open(WampLayer::new(Echo)).await.unwrap();
    assert_eq!(client.say(r#"[1,"p","http://p#"]"#).await, [""; 0]);
    assert_eq!(client.say(r#"[2,"1","p:x"]"#).await, [r#"[3,"1","http://p#x"]"#]);
}

/// What the mock client does that the other tests do not have it do.
#[tokio::test(start_paused = true)]
async fn a_mock_client_waits_for_answers_and_keeps_what_comes_meanwhile() {
    let slow = async |State(topic): State<Topic>| {
        topic.publish(&1)?;
        sleep(Duration::from_secs(5)).await;
        topic.publish(&2)?;
        Ok::<_, CallError>("slow")
    };
    let fail = async || Err::<(), _>(CallError::new("e", "it failed").details(&[7]));
    let wamp = Wamp::new().procedure("slow", slow).procedure("fail", fail);
    let wamp = wamp.topic("t", TopicRoute::new(Watch::default()).every(Duration::from_secs(60))).topic("u", Open);
    let topic = wamp.topics().topic("t");
    let mut client = MockWamp::open(build(wamp.state(topic))).await.unwrap();
    client.subscribe("t").await;
    client.subscribe("u").await;
    client.publish("u", "not for who publishes").await;
    let since = tokio::time::Instant::now();
    assert_eq!(client.call::<String>("slow", &()).await.unwrap(), "slow");
    assert_eq!(since.elapsed().as_secs(), 5);
    assert_eq!((client.events::<u8>("t"), client.events::<u8>("t")), (vec![1, 2], vec![]));
    let error = client.call::<()>("fail", &()).await.unwrap_err();
    assert_eq!((error.uri(), error.description(), error.raw_details().unwrap().get()), ("e", "it failed", "[7]"));
    assert_eq!(client.next_events::<String>("t").await, ["tick"]);
    assert_eq!(since.elapsed().as_secs(), 60);
    client.unsubscribe("t").await;
    assert_eq!(client.heard(), [""; 0]);
}
