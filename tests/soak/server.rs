//! The server that is put to the test. It tells on its standard output what it is asked on its standard input.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::interval;
use wsrv_app::prelude::*;

pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence until a ping, and from there to the cut.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What `/clock` sends each second begins with its number.
const CLOCK: Duration = Duration::from_secs(1);
/// What `/feed` sends is large, so that it fills an outbox in seconds.
const FEED: (Duration, usize) = (Duration::from_millis(100), 64 * 1024);

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
    ends: Mutex<BTreeMap<String, u64>>,
}

/// Echoes, or is a member of a group and says nothing.
struct Soaked {
    counts: Arc<Counts>,
    group: Option<Group<WebSocketConnection>>,
}

impl Handler<WebSocketConnection> for Soaked {
    type State = Option<Membership<WebSocketConnection>>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        self.counts.opened.fetch_add(1, Relaxed);
        Ok(self.group.as_ref().map(|group| group.join(conn)))
    }

    async fn on_message(&self, conn: &WebSocketConnection, state: &mut Self::State, m: Message) -> Result<(), Error> {
        match state {
            None => Ok(conn.send(m).await?),
            Some(_) => Ok(()),
        }
    }

    async fn on_close(&self, _: &WebSocketConnection, _: Self::State, closed: Closed) {
        self.counts.closed.fetch_add(1, Relaxed);
        *self.counts.ends.lock().unwrap().entry(format!("{:?}", closed.by)).or_default() += 1;
    }
}

#[tokio::main]
pub(crate) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let counts = Arc::new(Counts::default());
    let (clock, feed) = (Group::new(), Group::new());
    let limits = ConnectionLimits::default()
        .with_ping_after(Some(SILENCE))
        .with_pong_timeout(SILENCE)
        .with_write_timeout(Some(WRITE_TIMEOUT))
        .with_close_timeout(CLOSE_TIMEOUT);
    let route = |group| Route::new(Soaked { counts: counts.clone(), group }).limits(limits.clone());
    let app = App::new()
        .route("/echo", route(None))
        .route("/clock", route(Some(clock.clone())))
        .route("/feed", route(Some(feed.clone())))
        .handshake_timeout(HANDSHAKE_TIMEOUT);
    let connections = app.connections().clone();
    let server = app.bind("127.0.0.1:0").await?;
    println!("ready {}", server.local_addr()?);
    std::thread::spawn(move || answer(&counts, &connections));
    tokio::spawn(async move {
        let mut ticks = interval(FEED.0);
        loop {
            ticks.tick().await;
            feed.send(vec![7; FEED.1]);
        }
    });
    tokio::spawn(async move {
        let mut ticks = interval(CLOCK);
        for number in 0u64.. {
            ticks.tick().await;
            clock.send(format!("{number} {}", "x".repeat(100)));
        }
    });
    server.serve().await;
    Ok(())
}

/// A line for each line, until there is nobody left who asks.
fn answer(counts: &Counts, connections: &wsrv_core::Connections) {
    for question in io::stdin().lock().lines().map_while(Result::ok) {
        match question.as_str() {
            "counts" => {
                // What closes meanwhile is not to look as if it had never been open.
                let closed = counts.closed.load(Relaxed);
                println!("{} {closed} {}", counts.opened.load(Relaxed), connections.len());
            }
            _ => println!("{:?}", counts.ends.lock().unwrap()),
        }
    }
    std::process::exit(0);
}
