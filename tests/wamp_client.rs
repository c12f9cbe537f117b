//! The WAMP client and the WAMP server of this workspace, over TCP.

mod common;

use common::{Running, serve, soon};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use wsrv_app::prelude::*;
use wsrv_wamp::{
    Args, CallError, CallFailure, ClientOptions, ConnectFailure, Exclude, Open, SessionId, State, TopicRegistry, Wamp,
    WampClient, uris,
};

async fn add(Args((a, b)): Args<(i32, i32)>) -> Result<i32, CallError> {
    a.checked_add(b).ok_or_else(|| {
        CallError::new("http://example.com/error#overflow", "the sum is too large").details(&json!({ "max": i32::MAX }))
    })
}

async fn whoami(id: SessionId) -> Result<String, CallError> {
    Ok(id.to_string())
}

/// Answers when it is allowed to.
async fn held(State(gate): State<Notify>) -> Result<(), CallError> {
    gate.notified().await;
    Ok(())
}

struct Site {
    server: Running,
    topics: TopicRegistry,
    gate: Arc<Notify>,
}

async fn site() -> Site {
    let gate = Arc::new(Notify::new());
    let wamp = Wamp::new()
        .state(gate.clone())
        .procedure("http://example.com/calc#add", add)
        .procedure("http://example.com/session#id", whoami)
        .procedure("http://example.com/held", held)
        .topic("http://example.com/event#{name}", Open);
    let topics = wamp.topics();
    let app =
        App::new().route("/wamp", Route::wamp(wamp.build().unwrap())).route("/", from_fn(|_socket| async { Ok(()) }));
    Site { server: serve(app).await, topics, gate }
}

impl Site {
    fn url(&self) -> String {
        format!("ws://{}/wamp", self.server.addr)
    }

    async fn client(&self) -> WampClient {
        soon(WampClient::connect(&self.url())).await.unwrap()
    }

    fn subscribers(&self, topic: &str) -> usize {
        self.topics.topic(topic).len()
    }
}

/// The server has dealt with all that this client has sent.
async fn settled(client: &WampClient) {
    let _: i32 = soon(client.call("http://example.com/calc#add", &(0, 0))).await.unwrap();
}

#[tokio::test]
async fn calls_have_results_or_typed_errors() {
    let site = site().await;
    let client = site.client().await;
    assert_eq!(client.server(), concat!("wsrv/", env!("CARGO_PKG_VERSION")));
    let id: String = client.call("http://example.com/session#id", &()).await.unwrap();
    assert_eq!(id, client.session_id());

    client.prefix("calc", "http://example.com/calc#").await.unwrap();
    assert_eq!(client.call::<i32>("calc:add", &(3, 4)).await.unwrap(), 7);
    let failure = client.call::<i32>("calc:add", &(1, i32::MAX)).await.unwrap_err();
    let refusal = failure.refusal().unwrap();
    assert_eq!(&*refusal.uri, "http://example.com/error#overflow");
    assert_eq!(&*refusal.description, "the sum is too large");
    assert_eq!(refusal.details::<serde_json::Value>().unwrap(), json!({ "max": i32::MAX }));
    for (procedure, uri) in [("calc:none", uris::NO_SUCH_RPC_ENDPOINT), ("calc:add", uris::INVALID_ARGUMENT)] {
        let failure = client.call::<i32>(procedure, &("x",)).await.unwrap_err();
        assert_eq!(&*failure.refusal().unwrap().uri, uri);
    }
}

#[tokio::test]
async fn a_call_that_waits_holds_up_no_other_one() {
    let site = site().await;
    let client = site.client().await;
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.call::<()>("http://example.com/held", &()).await }
    });
    while client.outstanding_calls() == 0 {
        tokio::task::yield_now().await;
    }
    settled(&client).await;
    assert!(!held.is_finished());
    site.gate.notify_one();
    soon(held).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_last_subscription_unsubscribes_at_the_server() {
    let site = site().await;
    let client = site.client().await;
    let topic = "http://example.com/event#a";
    client.prefix("event", "http://example.com/event#").await.unwrap();
    let mut first = client.subscribe("event:a").await.unwrap();
    let second = client.subscribe(topic).await.unwrap();
    settled(&client).await;
    assert_eq!(site.subscribers(topic), 1);
    site.topics.topic(topic).publish("from the server").unwrap();
    assert_eq!(soon(first.recv()).await.unwrap().deserialize::<String>().unwrap(), "from the server");
    drop(second);
    settled(&client).await;
    assert_eq!(site.subscribers(topic), 1);
    drop(first);
    settled(&client).await;
    assert_eq!(site.subscribers(topic), 0);
}

#[tokio::test]
async fn events_reach_those_who_are_meant() {
    let site = site().await;
    let (me, you) = (site.client().await, site.client().await);
    let topic = "http://example.com/event#a";
    let (mut mine, mut yours) = (me.subscribe(topic).await.unwrap(), you.subscribe(topic).await.unwrap());
    settled(&me).await;
    settled(&you).await;
    let only_you = [you.session_id().into()];
    me.publish(topic, &1).await.unwrap(); // the publisher does not receive it
    me.publish_to(topic, &2, &Exclude::Me(false), None).await.unwrap();
    me.publish_to(topic, &3, &Exclude::Sessions(only_you.to_vec()), None).await.unwrap();
    me.publish_to(topic, &4, &Exclude::Me(false), Some(&only_you)).await.unwrap();
    me.publish_to(topic, &5, &Exclude::Me(false), None).await.unwrap();
    for (subscription, expected) in [(&mut mine, &[2, 3, 5][..]), (&mut yours, &[1, 2, 4, 5])] {
        for n in expected {
            assert_eq!(soon(subscription.recv()).await.unwrap().deserialize::<i32>().unwrap(), *n);
        }
    }
}

#[tokio::test]
async fn when_the_server_stops_calls_fail_and_subscriptions_end() {
    let site = site().await;
    let client = site.client().await;
    let mut events = client.subscribe("http://example.com/event#a").await.unwrap();
    let held = tokio::spawn({
        let client = client.clone();
        async move { client.call::<()>("http://example.com/held", &()).await }
    });
    settled(&client).await;
    let stopped = soon(site.server.stop()).await;
    assert_eq!(stopped.cut, 0, "the client answers the close");
    let ended = soon(client.closed()).await;
    assert_eq!((ended.closed.code.as_u16(), ended.closed.clean), (1001, true));
    assert!(matches!(soon(held).await.unwrap().unwrap_err(), CallFailure::Disconnected(_)));
    assert!(soon(events.recv()).await.is_none());
}

#[tokio::test]
async fn our_close_is_clean_and_ends_the_session() {
    let site = site().await;
    let client = site.client().await;
    let topic = "http://example.com/event#a";
    let _events = client.subscribe(topic).await.unwrap();
    settled(&client).await;
    let ended = soon(client.close()).await;
    assert_eq!((ended.closed.code.as_u16(), ended.closed.clean, ended.fault.is_none()), (1000, true, true));
    assert_eq!(soon(site.server.stop()).await.cut, 0);
    assert_eq!(site.topics.topic(topic).len(), 0);
}

#[tokio::test]
async fn servers_that_are_none_for_wamp_are_told_from_each_other() {
    let site = site().await;
    let addr = site.server.addr;
    let failure = WampClient::connect(&format!("ws://{addr}/nowhere")).await.unwrap_err();
    assert!(matches!(&failure, ConnectFailure::Answer(error) if error.refusal().unwrap().status() == 404), "{failure}");
    let failure = WampClient::connect(&format!("ws://{addr}/")).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::NoSubprotocol), "{failure}");
    assert!(matches!(WampClient::connect("wss://localhost/").await.unwrap_err(), ConnectFailure::Tls));
    soon(site.server.stop()).await;
    let options = ClientOptions::default().with_connect_timeout(Duration::from_secs(5));
    let failure = WampClient::connect_with(&format!("ws://{addr}/wamp"), options).await.unwrap_err();
    assert!(matches!(failure, ConnectFailure::Io(_)), "{failure}");
}
