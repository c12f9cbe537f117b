//! The middleware that the crate ships.

mod mock;

use mock::Client;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wsrv_core::{Connection, Rate};
use wsrv_rfc6455::connection::WebSocketConnection;
use wsrv_wamp::{
    Action, BoxProcedure, CallError, CallRate, Open, Permissions, Router, Rule, Wamp, WampConnection, WampLayer, uris,
};

struct Admin;

fn is_admin(conn: &WampConnection) -> bool {
    conn.link().attributes().contains::<Admin>()
}

fn permissions(base: Permissions) -> Permissions {
    base.rule(Rule::allow(Action::ALL, "{*all}").unwrap().when("an admin", is_admin))
        .rule(Rule::deny([Action::Publish], "a/news").unwrap())
        .rule(Rule::allow([Action::Publish, Action::Subscribe], "a/{topic}").unwrap())
        .rule(Rule::allow([Action::Call], "a/{procedure}").unwrap())
        .rule(Rule::deny(Action::ALL, "a/{*rest}").unwrap())
}

async fn yes() -> Result<&'static str, CallError> {
    Ok("yes")
}

fn server(wamp: Wamp) -> Arc<WampLayer<Router>> {
    Arc::new(wamp.build().unwrap())
}

fn offers() -> Wamp {
    Wamp::new().procedure("{*all}", yes).topic("{*all}", Open)
}

fn refused(name: &str) -> Result<Value, String> {
    Err(format!("{}{name}", uris::ERROR))
}

/// Gives this connection what a gate or a handler would give it.
fn promote(client: &Client<Arc<WampLayer<Router>>>) {
    let lower: &WebSocketConnection = client.peer.connection();
    lower.link().attributes().set(Admin);
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_means_somebody_decides() {
    let server = server(offers().permissions(permissions(Permissions::deny_by_default())));
    let mut client = Client::connect(server.clone()).await;
    assert_eq!(client.call("a/add", []).await, Ok(json!("yes")));
    assert_eq!(client.call("a/b/add", []).await, refused("not-authorized"));
    assert_eq!(client.call("b", []).await, refused("not-authorized"));
    for topic in ["a/news", "a/talk", "a/b/talk", "b"] {
        client.send(json!([5, topic])).await;
        client.send(json!([7, topic, 1, false])).await;
    }
    assert_eq!(client.received(), [json!([8, "a/talk", 1])]);

    let mut admin = Client::connect(server).await;
    promote(&admin);
    assert_eq!(admin.call("a/b/add", []).await, Ok(json!("yes")));
    admin.send(json!([7, "a/news", 2])).await;
    assert_eq!(client.received(), [json!([8, "a/news", 2])], "to read it was allowed");
}

#[tokio::test(start_paused = true)]
async fn what_no_rule_means_is_left_to_the_default() {
    let server = server(offers().permissions(permissions(Permissions::allow_by_default())));
    let mut client = Client::connect(server).await;
    assert_eq!(client.call("b", []).await, Ok(json!("yes")));
    assert_eq!(client.call("a/b/add", []).await, refused("not-authorized"));
}

#[tokio::test(start_paused = true)]
async fn rules_explain_what_they_decide() {
    let rules = permissions(Permissions::deny_by_default());
    let explained = Arc::new(Mutex::new(Vec::new()));
    let (asked, told) = (rules.clone(), explained.clone());
    let explain = move |conn: WampConnection| {
        let lines = [(Action::Publish, "a/news"), (Action::Call, "a/x"), (Action::Call, "a/x/y"), (Action::Call, "b")];
        let lines = lines.map(|(action, uri)| asked.explain(&conn, action, uri).to_string());
        told.lock().unwrap().extend(lines);
        async { Ok::<_, CallError>(()) }
    };
    let server = server(Wamp::new().procedure("explain", explain));
    let mut client = Client::connect(server).await;
    client.call("explain", []).await.unwrap();
    promote(&client);
    client.call("explain", []).await.unwrap();
    let explained = explained.lock().unwrap();
    assert_eq!(
        explained[..5],
        [
            "denied by rule 1: deny [Publish] a/news",
            "allowed by rule 3: allow [Call] a/{procedure}",
            "denied by rule 4: deny [Call, Subscribe, Publish] a/{*rest}",
            "denied by default",
            "allowed by rule 0: allow [Call, Subscribe, Publish] {*all} when an admin",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let rate = CallRate::new(Rate::per_second(2).with_burst(3));
    let server = server(offers().calls_through(move |next| rate.around(next)));
    let (mut client, mut other) = (Client::connect(server.clone()).await, Client::connect(server).await);
    // Whatever it calls.
    for procedure in ["a", "b", "c"] {
        assert_eq!(client.call(procedure, []).await, Ok(json!("yes")));
    }
    client.send(json!([2, "id", "d"])).await;
    let error = json!([4, "id", uris::TOO_MANY_CALLS, "too many calls", { "retryAfter": 0.5 }]);
    assert_eq!(client.received(), [error]);
    assert_eq!(other.call("a", []).await, Ok(json!("yes")), "each connection has its own");

    tokio::time::advance(Duration::from_millis(499)).await;
    assert_eq!(client.call("a", []).await, refused("too-many-calls"));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(client.call("a", []).await, Ok(json!("yes")));
    assert_eq!(client.call("a", []).await, refused("too-many-calls"), "refusals cost nothing, and bring nothing");
    tokio::time::advance(Duration::from_secs(3600)).await;
    let allowed = [client.call("a", []).await, client.call("a", []).await, client.call("a", []).await];
    assert!(allowed.iter().all(Result::is_ok) && client.call("a", []).await.is_err(), "not more than the burst");
}

#[tokio::test(start_paused = true)]
async fn two_rates_count_for_themselves() {
    let (slow, fast) = (CallRate::new(Rate::per_second(1)), CallRate::new(Rate::per_second(3)));
    let search = slow.around(BoxProcedure::new(yes));
    let wamp = Wamp::new().procedure("search", search).procedure("other", yes);
    let mut client = Client::connect(server(wamp.calls_through(move |next| fast.around(next)))).await;
    assert_eq!(client.call("search", []).await, Ok(json!("yes")));
    assert_eq!(client.call("search", []).await, refused("too-many-calls"));
    assert_eq!(client.call("other", []).await, Ok(json!("yes")));
    assert_eq!(client.call("other", []).await, refused("too-many-calls"), "the refused search has counted");
}
