//! A client that checks itself against a server: calls, errors, topics, who receives what, and signing in.
//!
//! `wamp_client URL [SIGN_IN_URL]`. The server has to offer what the example `conformance` of this workspace offers at
//! `/wamp`; at the second URL, behind a sign-in. Prints each check that fails, and `N checks passed, M failed` at the
//! end; then the exit status is 1 if there was any.

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wsrv_wamp::{CallFailure, Exclude, SignInFailure, Subscription, WampClient, uris};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ADD: &str = "http://example.com/calc#add";
const CHAT: &str = "http://example.com/chat";
const EVENT: &str = "http://example.com/event#a";
/// For what should come. What should not come is found out by what comes behind it.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    fn check(&mut self, what: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("FAILED: {what}");
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, expected: T) {
        if found != expected {
            println!("found {found:?}, expected {expected:?}");
        }
        self.check(what, found == expected);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut urls = std::env::args().skip(1);
    let Some(url) = urls.next() else {
        eprintln!("usage: wamp_client URL [SIGN_IN_URL]");
        return ExitCode::from(2);
    };
    let mut checks = Checks::default();
    for (name, outcome) in [
        ("session", session(&url, &mut checks).await),
        ("calls", calls(&url, &mut checks).await),
        ("errors", errors(&url, &mut checks).await),
        ("topics", topics(&url, &mut checks).await),
        ("receivers", receivers(&url, &mut checks).await),
        ("many events", many_events(&url, &mut checks).await),
    ] {
        run(name, outcome, &mut checks);
    }
    if let Some(url) = urls.next() {
        let outcome = sign_in(&url, &mut checks).await;
        run("signing in", outcome, &mut checks);
    }
    println!("{} checks passed, {} failed", checks.passed, checks.failed);
    if checks.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A part that was broken off counts as a failed check.
fn run(name: &str, outcome: Result<()>, checks: &mut Checks) {
    if let Err(error) = outcome {
        println!("{error}");
        checks.check(name, false);
    }
}

async fn session(url: &str, checks: &mut Checks) -> Result<()> {
    let (one, two) = (WampClient::connect(url).await?, WampClient::connect(url).await?);
    checks.check("sessions have ids", !one.session_id().is_empty());
    checks.check("which differ", one.session_id() != two.session_id());
    checks.check("the server has a name", !one.server().is_empty());
    let id: String = one.call("http://example.com/session#id", &()).await?;
    checks.same("the server knows the session by the same id", &*id, one.session_id());
    let ended = one.close().await;
    checks.check("a close is answered", ended.closed.clean && ended.fault.is_none());
    checks.same("with the same code", ended.closed.code.as_u16(), 1000);
    let failure = one.call::<Value>(ADD, &(1, 2)).await;
    checks.check("a closed client calls nothing", matches!(failure, Err(CallFailure::Disconnected(_))));
    checks.same("the other goes on", two.call(ADD, &(1, 2)).await?, 3.0);
    Ok(())
}

async fn calls(url: &str, checks: &mut Checks) -> Result<()> {
    let client = WampClient::connect(url).await?;
    checks.same("a call", client.call(ADD, &(23, 7)).await?, 30.0);
    client.prefix("calc", "http://example.com/calc#").await?;
    checks.same("a call by CURIE", client.call("calc:add", &(0.5, -1)).await?, -0.5);
    checks.same("a list is one argument", client.call("calc:sum", &([9, 1, 3, 4],)).await?, 17.0);
    checks.same("no arguments, and no result", client.call("calc:nothing", &()).await?, ());
    let values = json!([null, true, -1.5, "ü\u{1F600}\n\"\\", [[]], {"a": {"b": []}}]);
    checks.same("all arguments arrive", client.call("calc:args", &values).await?, values.clone());
    for value in values.as_array().expect("a list") {
        checks.same("a value comes back", client.call::<Value>("calc:echo", &(value,)).await?, value.clone());
    }
    let long = "x".repeat(200_000);
    checks.check("a long one, too", client.call::<String>("calc:echo", &(&long,)).await? == long);

    let began = Instant::now();
    let other = client.clone();
    let (slow, quick) =
        tokio::join!(async { (client.call::<i32>("calc:slow", &(300, 1)).await, began.elapsed()) }, async {
            (other.call::<i32>("calc:slow", &(1, 2)).await, began.elapsed())
        },);
    checks.same("calls of clones run at the same time", (slow.0?, quick.0?), (1, 2));
    checks.check("and end when they end", quick.1 < slow.1 && slow.1 >= Duration::from_millis(290));

    let mut calls = tokio::task::JoinSet::new();
    for n in 0..100 {
        let client = client.clone();
        calls.spawn(async move { client.call::<u64>("calc:slow", &(100 - n, n)).await.is_ok_and(|m| m == n) });
    }
    checks.check("each of many finds its answer", calls.join_all().await.into_iter().all(|good| good));

    let limit = Some(Duration::from_millis(20));
    let failure = client.call_within::<Value>(limit, "calc:slow", &(200, 1)).await;
    checks.check("a call gives up", matches!(failure, Err(CallFailure::Timeout)));
    checks.same("and is forgotten", client.outstanding_calls(), 0);
    checks.same("its answer harms nobody", client.call("calc:slow", &(300, 7)).await?, 7);
    Ok(())
}

async fn errors(url: &str, checks: &mut Checks) -> Result<()> {
    let client = WampClient::connect(url).await?;
    client.prefix("calc", "http://example.com/calc#").await?;
    // Some servers shorten the URIs of errors by the client's own prefixes.
    client.prefix("error", "http://example.com/error#").await?;
    for (procedure, uri, description, details) in [
        ("calc:fail", "http://example.com/error#failed", "it failed", Some(json!({"code": 7}))),
        ("calc:fail_plain", "http://example.com/error#plain", "plain failure", None),
        ("calc:fail_generic", uris::GENERIC, "something broke", None),
    ] {
        let failure = client.call::<Value>(procedure, &()).await.err();
        let refusal = failure.as_ref().and_then(CallFailure::refusal).ok_or("no error of the server")?;
        checks.same("the error's URI", &*refusal.uri, uri);
        checks.same("its description", &*refusal.description, description);
        checks.same("its details", refusal.details::<Value>(), details);
    }
    let failure = client.call::<Value>("http://example.com/none", &()).await.err();
    let refusal = failure.as_ref().and_then(CallFailure::refusal).ok_or("no error of the server")?;
    checks.same("a procedure that is not there", &*refusal.uri, uris::NO_SUCH_RPC_ENDPOINT);
    let failure = client.call::<Value>(ADD, &("x", Value::Null)).await.err();
    checks.check("wrong arguments", failure.is_some_and(|failure| failure.refusal().is_some()));
    let failure = client.call::<bool>(ADD, &(1, 2)).await;
    checks.check("a result of another type", matches!(failure, Err(CallFailure::Result(_))));
    checks.same("nothing of it ends the connection", client.call(ADD, &(1, 2)).await?, 3.0);
    Ok(())
}

/// Waits until the server has dealt with all that this client has sent.
async fn settle(client: &WampClient) -> Result<()> {
    Ok(client.call(ADD, &(0, 0)).await.map(|_: f64| ())?)
}

async fn next(subscription: &mut Subscription) -> Result<Value> {
    let event = tokio::time::timeout(PATIENCE, subscription.recv()).await?;
    Ok(event.ok_or("the connection has ended")?.deserialize()?)
}

async fn topics(url: &str, checks: &mut Checks) -> Result<()> {
    let (speaker, hearer) = (WampClient::connect(url).await?, WampClient::connect(url).await?);
    hearer.prefix("event", "http://example.com/event#").await?;
    let mut first = hearer.subscribe("event:a").await?;
    let mut second = hearer.subscribe(EVENT).await?;
    settle(&hearer).await?;
    checks.same("a CURIE is resolved", first.topic(), EVENT);
    for value in [json!({"a": [1, null], "b": {}}), json!("ü"), json!(7), json!([]), json!(false)] {
        speaker.publish(EVENT, &value).await?;
        checks.same("an event by URI reaches a subscription by CURIE", next(&mut first).await?, value.clone());
        checks.same("and the other one", next(&mut second).await?, value);
    }
    drop(first);
    settle(&hearer).await?;
    speaker.publish(EVENT, &1).await?;
    checks.same("one subscription is left", next(&mut second).await?, json!(1));

    // Ends the subscription, and begins another: what was published between them is lost.
    drop(second);
    settle(&hearer).await?;
    speaker.publish(EVENT, "lost").await?;
    settle(&speaker).await?;
    let mut again = hearer.subscribe(EVENT).await?;
    settle(&hearer).await?;
    speaker.publish(EVENT, "heard").await?;
    checks.same("the last one dropped has unsubscribed", next(&mut again).await?, json!("heard"));

    let mut refused = hearer.subscribe("http://example.com/room#9").await?;
    let mut open = hearer.subscribe("http://example.com/room#1").await?;
    settle(&hearer).await?;
    speaker.publish("http://example.com/room#9", &9).await?;
    speaker.publish("http://example.com/room#1", &1).await?;
    checks.same("a topic that is open", next(&mut open).await?, json!(1));
    let nothing =
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::pin!(refused.recv()).poll(cx).is_pending()));
    checks.check("a topic that is not", nothing.await);
    Ok(())
}

async fn receivers(url: &str, checks: &mut Checks) -> Result<()> {
    let (me, you) = (WampClient::connect(url).await?, WampClient::connect(url).await?);
    let (mut mine, mut yours) = (me.subscribe(CHAT).await?, you.subscribe(CHAT).await?);
    settle(&me).await?;
    settle(&you).await?;
    let ids = |ids: &[&'static str]| -> Vec<Cow<'_, str>> {
        let id = |who: &&str| Cow::Owned(if *who == "me" { me.session_id() } else { you.session_id() }.to_owned());
        ids.iter().map(id).collect()
    };
    let cases = [
        (Exclude::Me(true), None, (false, true)),
        (Exclude::Me(false), None, (true, true)),
        (Exclude::Sessions(ids(&["you"])), None, (true, false)),
        (Exclude::Sessions(ids(&["me", "you"])), None, (false, false)),
        (Exclude::Sessions(ids(&[])), None, (true, true)),
        (Exclude::Default, Some(ids(&["you"])), (false, true)),
        (Exclude::Me(false), Some(ids(&["me"])), (true, false)),
        (Exclude::Sessions(ids(&["you"])), Some(ids(&["me", "you"])), (true, false)),
        (Exclude::Me(false), Some(ids(&[])), (false, false)),
    ];
    for (number, (exclude, eligible, expected)) in cases.iter().enumerate() {
        me.publish_to(CHAT, &number, exclude, eligible.as_deref()).await?;
        // Comes to both, behind the other.
        me.publish_to(CHAT, "end", &Exclude::Me(false), None).await?;
        let mut found = (false, false);
        for (subscription, received) in [(&mut mine, &mut found.0), (&mut yours, &mut found.1)] {
            let mut event = next(subscription).await?;
            if event == json!(number) {
                *received = true;
                event = next(subscription).await?;
            }
            checks.same("the last event", event, json!("end"));
        }
        checks.same("who receives it", found, *expected);
    }
    Ok(())
}

async fn many_events(url: &str, checks: &mut Checks) -> Result<()> {
    let (speaker, hearer) = (WampClient::connect(url).await?, WampClient::connect(url).await?);
    let mut events = hearer.subscribe(EVENT).await?;
    settle(&hearer).await?;
    let speaking = tokio::spawn(async move {
        for n in 0..1000 {
            speaker.publish(EVENT, &n).await?;
        }
        speaker.close().await;
        Ok::<(), wsrv_wamp::SendFailure>(())
    });
    let mut in_order = true;
    for n in 0..1000 {
        in_order &= next(&mut events).await? == json!(n);
    }
    checks.check("a thousand events in order, sent before a close", in_order);
    speaking.await??;
    Ok(())
}

async fn sign_in(url: &str, checks: &mut Checks) -> Result<()> {
    for (key, secret) in [("alice", "secret123"), ("bob", "pa55word")] {
        let client = WampClient::connect(url).await?;
        let failure = client.call::<f64>(ADD, &(1, 2)).await.err();
        checks.check("a stranger calls nothing", failure.is_some_and(|failure| failure.refusal().is_some()));
        let failure = client.sign_in(key, "wrong").await.err();
        checks.same("a wrong secret", refusal(failure).as_deref(), Some(uris::INVALID_SIGNATURE));
        let granted = client.sign_in(key, secret).await?;
        let procedure = granted.rpc.first().ok_or("no procedure is granted")?;
        checks.same("the procedure that is granted", (&*procedure.uri, procedure.call), (ADD, true));
        let topic = granted.pubsub.first().ok_or("no topic is granted")?;
        checks.same("the topics", &*topic.uri, "http://example.com/event#");
        checks.check("all of them", topic.prefix && topic.publish && topic.subscribe);
        checks.same("a call after that", client.call(ADD, &(1, 2)).await?, 3.0);
        let mut events = client.subscribe(EVENT).await?;
        client.publish_to(EVENT, key, &Exclude::Me(false), None).await?;
        checks.same("an event after that", next(&mut events).await?, json!(key));
        let failure = client.sign_in(key, secret).await.err();
        checks.same("once is enough", refusal(failure).as_deref(), Some(uris::ALREADY_AUTHENTICATED));
    }
    let client = WampClient::connect(url).await?;
    let granted = client.sign_in_anonymously().await?;
    checks.check("nobody may do nothing", granted.rpc.is_empty() && granted.pubsub.is_empty());
    Ok(())
}

fn refusal(failure: Option<SignInFailure>) -> Option<Box<str>> {
    match failure? {
        SignInFailure::Call(failure) => failure.refusal().map(|refusal| refusal.uri.clone()),
        _ => None,
    }
}
