//! What the demo offers by WAMP: a few procedures, a topic to talk on, and one that ticks.

use serde::Serialize;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wsrv_app::prelude::*;
use wsrv_app::wsrv_wamp::{
    Args, CallError, Open, Publication, State, Topic, TopicContext, TopicHandler, TopicRefusal, TopicRegistry,
    TopicRoute, UriParams, Wamp, WampError,
};

pub(crate) const PATH: &str = "/wamp";
const MAX_MESSAGE: usize = 16 * 1024;
const LONGEST_WAIT_S: f64 = 10.0;

/// The route that leads there.
pub(crate) fn route() -> Result<Route, WampError> {
    let wamp = Wamp::new();
    let topics = wamp.topics();
    let wamp = wamp
        .state(topics)
        .procedure("http://demo.example/calc#add", add)
        .procedure("http://demo.example/calc#divide", divide)
        .procedure("http://demo.example/clock#wait", wait)
        .procedure("http://demo.example/topics#list", list)
        .topic("http://demo.example/chat", Open)
        .topic("http://demo.example/clock", TopicRoute::new(Clock).every(Duration::from_secs(1)));
    Ok(Route::wamp(wamp.build()?).message_limits(MessageLimits::default().with_max_message(MAX_MESSAGE)))
}

async fn add(Args(numbers): Args<Vec<f64>>) -> Result<f64, CallError> {
    Ok(numbers.iter().sum())
}

async fn divide(Args((a, b)): Args<(f64, f64)>) -> Result<f64, CallError> {
    if b == 0.0 {
        let error = CallError::new("http://demo.example/error#division-by-zero", "nothing is divided by zero");
        return Err(error.details(&json!({ "dividend": a })));
    }
    Ok(a / b)
}

/// Takes its time. Other calls of the same session go on meanwhile.
async fn wait(Args((seconds,)): Args<(f64,)>) -> Result<String, CallError> {
    if !(0.0..=LONGEST_WAIT_S).contains(&seconds) {
        return Err(CallError::generic(format!("from 0 to {LONGEST_WAIT_S} seconds")));
    }
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(format!("{seconds} s later"))
}

#[derive(Serialize)]
struct Listed {
    topic: String,
    subscribers: usize,
}

async fn list(State(topics): State<TopicRegistry>) -> Result<Vec<Listed>, CallError> {
    let listed = |topic: &Topic| Listed { topic: topic.uri().into(), subscribers: topic.len() };
    Ok(topics.topics().iter().map(listed).collect())
}

/// Tells the time every second while somebody listens.
struct Clock;

impl TopicHandler for Clock {
    async fn on_publish(&self, _: &TopicContext, _: Publication) -> Result<Option<Publication>, TopicRefusal> {
        Err(TopicRefusal::new("only the server tells the time"))
    }

    async fn on_tick(&self, topic: &Topic, _: &UriParams) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A number can always be written.
        let _ = topic.publish(&json!({ "unix_s": now.as_secs() }));
    }
}
