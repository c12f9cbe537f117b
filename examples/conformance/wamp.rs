//! What the server under test offers by WAMP: calls of every kind, and topics with every rule.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use wsrv_app::wsrv_wamp::cra::{Account, Cra, Grant, Salting, Secret, TopicGrant, derive_key};
use wsrv_app::wsrv_wamp::{
    Args, CallArguments, CallError, Dialect, Exclude, Open, Publication, RawValue, SessionId, State, TopicContext,
    TopicHandler, TopicRefusal, TopicRegistry, Wamp, WampConnection,
};

/// What a procedure returns.
type Answer<T> = Result<T, CallError>;

async fn add(Args((a, b)): Args<(f64, f64)>) -> Answer<f64> {
    Ok(a + b)
}

async fn sum(Args((numbers,)): Args<(Vec<f64>,)>) -> Answer<f64> {
    Ok(numbers.iter().sum())
}

/// Nobody looks at the value: it goes back as it came, digit for digit.
async fn echo(Args((value,)): Args<(Box<RawValue>,)>) -> Answer<Box<RawValue>> {
    Ok(value)
}

async fn args(arguments: CallArguments) -> Answer<Vec<Box<RawValue>>> {
    Ok(arguments.to_raw())
}

async fn nothing(Args(()): Args<()>) -> Answer<()> {
    Ok(())
}

/// Other calls of the same client go on meanwhile.
async fn slow(Args((millis, value)): Args<(u64, Value)>) -> Answer<Value> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(value)
}

async fn fail() -> Answer<()> {
    Err(CallError::new("http://example.com/error#failed", "it failed").details(&json!({ "code": 7 })))
}

async fn fail_plain() -> Answer<()> {
    Err(CallError::new("http://example.com/error#plain", "plain failure"))
}

async fn fail_generic() -> Answer<()> {
    Err(CallError::generic("something broke"))
}

async fn session_id(id: SessionId) -> Answer<String> {
    Ok(id.to_string())
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dispatch {
    exclude: Option<Vec<String>>,
    exclude_me: Option<bool>,
    eligible: Option<Vec<String>>,
}

/// The server publishes what a client asks it to.
async fn dispatch(
    caller: WampConnection,
    State(topics): State<TopicRegistry>,
    Args((topic, event, options)): Args<(String, Box<RawValue>, Option<Dispatch>)>,
) -> Answer<()> {
    let Dispatch { exclude, exclude_me, eligible } = options.unwrap_or_default();
    let ids = |ids: Vec<String>| ids.into_iter().map(Into::into).collect::<Vec<_>>();
    let exclude = exclude.map_or(Exclude::Me(exclude_me.unwrap_or(true)), |sessions| Exclude::Sessions(ids(sessions)));
    let eligible = eligible.map(ids);
    let recipients = caller.recipients(&exclude, eligible.as_deref());
    topics.topic(&*caller.resolve(&topic)).publish_raw_to(&event, &recipients);
    Ok(())
}

/// Rooms 1, 2 and 3 are there, others are not.
struct Rooms;

impl TopicHandler for Rooms {
    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        match cx.params().get("number") {
            Some("1" | "2" | "3") => Ok(()),
            _ => Err(TopicRefusal::new("there is no such room")),
        }
    }
}

/// Adds to each event that the server has seen it, and drops what it cannot add that to.
struct Enriched;

impl TopicHandler for Enriched {
    async fn on_publish(
        &self,
        _: &TopicContext,
        mut publication: Publication,
    ) -> Result<Option<Publication>, TopicRefusal> {
        // What is in it stays as it was written.
        let event = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(publication.event.get());
        let Ok(mut event) = event else { return Ok(None) };
        event.insert("server".to_owned(), RawValue::from_string("true".to_owned())?);
        publication.event = serde_json::value::to_raw_value(&event)?;
        Ok(Some(publication))
    }
}

/// Everything, to be put on a route.
pub(crate) fn profile(dialect: Dialect) -> Wamp {
    let wamp = Wamp::new().dialect(dialect);
    let topics = wamp.topics();
    wamp.state(topics)
        .procedure("http://example.com/calc#add", add)
        .procedure("http://example.com/calc#sum", sum)
        .procedure("http://example.com/calc#echo", echo)
        .procedure("http://example.com/calc#args", args)
        .procedure("http://example.com/calc#nothing", nothing)
        .procedure("http://example.com/calc#slow", slow)
        .procedure("http://example.com/calc#fail", fail)
        .procedure("http://example.com/calc#fail_plain", fail_plain)
        .procedure("http://example.com/calc#fail_generic", fail_generic)
        .procedure("http://example.com/session#id", session_id)
        .procedure("http://example.com/control#dispatch", dispatch)
        .procedure("http://api.testsuite.wamp-proto.org/testee/control#dispatch", dispatch)
        .topic("http://example.com/chat", Open)
        .topic("http://example.com/foobar", Open)
        .topic("http://example.com/event#{*name}", Open)
        .topic("http://example.com/simple{*name}", Open)
        .topic("http://example.com/room#{number}", Rooms)
        .topic("http://example.com/enriched", Enriched)
}

/// Who may sign in where that is asked for.
pub(crate) fn accounts() -> Cra<HashMap<String, Account>> {
    let grant =
        Grant::none().call("http://example.com/calc#add").topic(TopicGrant::prefix("http://example.com/event#"));
    let salting = Salting::new("RANDOM SALT").with_iterations(1000);
    let bob = Secret::derived(derive_key("pa55word", &salting), salting);
    let accounts = HashMap::from([
        ("alice".to_owned(), Account::new(Secret::plain("secret123"), grant.clone())),
        ("bob".to_owned(), Account::new(bob, grant)),
    ]);
    Cra::new(accounts).anonymous(Grant::none())
}
