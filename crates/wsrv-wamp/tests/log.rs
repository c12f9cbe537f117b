//! What is written to the log, and what is not.

mod mock;

use mock::Client;
use serde_json::json;
use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::MutexGuard;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber, span};
use wsrv_rfc6455::connection::WebSocket;
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_wamp::cra::{self, Account, Cra, Grant, Secret, TopicGrant};
use wsrv_wamp::uris::{self, AUTH, AUTHREQ};
use wsrv_wamp::{Args, CallError, CallLog, Open, ProcedureRoute, Wamp};

/// The lines that one module writes on this thread: the level, and each field but the connection.
#[derive(Clone)]
struct Log {
    module: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

/// One test looks into the log at a time: whether a line is written is decided, once for all threads, by the thread that
/// meets it first.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Log {
    /// Of the module whose path ends so, while both guards are kept.
    async fn of(module: &'static str) -> (Self, DefaultGuard, MutexGuard<'static, ()>) {
        let one = ONE.lock().await;
        let log = Log { module, lines: Arc::default() };
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard, one)
    }

    /// All there are since.
    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().ends_with(self.module)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                match field.name() {
                    "conn" => {}
                    // How long it took is not the same each time.
                    "time" => self.0.push_str(" time"),
                    name => write!(self.0, " {name}={value:?}").unwrap(),
                }
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

async fn yes() -> Result<&'static str, CallError> {
    Ok("yes")
}

async fn fail(Args((_password,)): Args<(String,)>) -> Result<(), CallError> {
    Err(CallError::new("http://example.com/error#failed", "it failed"))
}

async fn panics() -> Result<(), CallError> {
    panic!("on purpose")
}

async fn stay() -> Result<(), CallError> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn each_call_is_in_the_log_with_its_end() {
    let (log, _guard, _one) = Log::of("call_log").await;
    let late = ProcedureRoute::new(stay).timeout(Duration::from_secs(1));
    let wamp =
        Wamp::new().procedure("yes", yes).procedure("fail", fail).procedure("late", late).procedure("stay", stay);
    let wamp = wamp.procedure("panic", panics).call_timeout(Duration::from_secs(3600));
    let mut client = Client::connect(wamp.calls_through(CallLog::new).build().unwrap()).await;
    assert_eq!(client.call("panic", []).await, Err(uris::INTERNAL.to_owned()));
    client.call("yes", []).await.unwrap();
    client.call("fail", [json!("hush")]).await.unwrap_err();
    client.call("fail", []).await.unwrap_err();
    client.send(json!([2, "id", "late"])).await;
    client.session.woken().await;
    client.session.turn().await;
    assert_eq!(client.received()[0][2], uris::TIMEOUT);
    client.send(json!([2, "id", "stay"])).await;
    drop(client);
    let expected = |procedure, outcome| format!("INFO message=call procedure={procedure:?} time outcome={outcome:?}");
    assert_eq!(
        log.lines(),
        [
            expected("panic", "panicked"),
            expected("yes", "ok"),
            expected("fail", "http://example.com/error#failed"),
            expected("fail", uris::INVALID_ARGUMENT),
            expected("late", "timeout"),
            expected("stay", "dropped"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_and_what_is_refused_is_in_the_log_without_secrets() {
    let (log, _guard, _one) = Log::of("cra::layer").await;
    let grant = Grant::none()
        .topic(TopicGrant::exact("news").with_publish(false))
        .topic(TopicGrant::exact("inbox").with_subscribe(false));
    let accounts = HashMap::from([("alice".to_owned(), Account::new(Secret::plain("secret123"), grant))]);
    let cra = Cra::new(accounts).time_limit(Duration::from_secs(3600));
    let server = Arc::new(Wamp::new().topic("{*all}", Open).build().unwrap().sign_in(cra));
    let mut client = Client::connect(server.clone()).await;
    for early in [json!([5, "news"]), json!([7, "inbox", "hush"]), json!([6, "news"])] {
        assert_eq!(client.send(early).await, None);
    }
    client.call("yes", [json!("hush")]).await.unwrap_err();
    let early = "DEBUG message=a topic was asked for before signing in";
    let expected = [r#"action=Subscribe topic="news""#, r#"action=Publish topic="inbox""#];
    let call = r#"DEBUG message=a procedure was called before signing in procedure="yes""#.to_owned();
    assert_eq!(log.lines(), [expected.map(|line| format!("{early} {line}")).to_vec(), vec![call]].concat());

    for secret in ["wrong", "secret123"] {
        let challenge = client.call(AUTHREQ, [json!("alice"), json!({ "hush": "hush" })]).await.unwrap();
        let signature = cra::respond(challenge.as_str().unwrap(), secret).unwrap();
        assert_eq!(client.call(AUTH, [json!(signature)]).await.is_ok(), secret == "secret123");
    }
    let expected = ["INFO message=a wrong signature", "INFO message=signed in"];
    assert_eq!(log.lines(), expected.map(|line| format!(r#"{line} key=Some("alice")"#)));

    for topic in ["news", "inbox"] {
        client.send(json!([5, topic])).await;
        client.send(json!([7, topic, "hush"])).await;
    }
    let refused = r#"DEBUG message=a topic is not granted key=Some("alice")"#;
    let expected = [r#"action=Publish topic="news""#, r#"action=Subscribe topic="inbox""#];
    assert_eq!(log.lines(), expected.map(|line| format!("{refused} {line}")));

    client.call("secret", [json!("hush")]).await.unwrap_err();
    let refused = r#"DEBUG message=a procedure is not granted key=Some("alice") procedure="secret""#;
    assert_eq!(log.lines(), [refused]);

    let mut late = Client::connect(server).await;
    assert_eq!(late.session.turn().await, None);
    late.session.woken().await;
    assert!(late.session.turn().await.is_some());
    assert_eq!(log.lines(), ["DEBUG message=not signed in in time"]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_find_no_procedure_are_in_the_log() {
    let (log, _guard, _one) = Log::of("router").await;
    let mut client = Client::connect(Wamp::new().procedure("yes", yes).build().unwrap()).await;
    client.call("yes", []).await.unwrap();
    client.call("no", [json!("hush")]).await.unwrap_err();
    assert_eq!(log.lines(), [r#"DEBUG message=there is no such procedure procedure="no""#]);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_does_not_choose_wamp_is_told_of_once() {
    let (log, _guard, _one) = Log::of("server::layer").await;
    let server = Arc::new(Wamp::new().build().unwrap());
    let offered = || request("/wamp", &[("Sec-WebSocket-Protocol", "soap"), ("Sec-WebSocket-Protocol", "chat, wamp")]);
    for request in [request("/wamp", &[]), offered(), offered()] {
        let mut peer = MockWebSocket::with(WebSocket::server(request), |driver| driver);
        let refused = peer.open(server.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("Route::wamp"), "{refused}");
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].ends_with(r#"path="/wamp""#), "{lines:?}");
}
