//! Live figures, pushed to the page once a second.

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Interval;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_core::{Connections, Direction};

pub(crate) struct Figures {
    connections: Connections,
    started: Instant,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    /// Those among them that only carried figures.
    of_our_own: AtomicU64,
}

impl Observer for Figures {
    fn message(&self, _: ConnectionId, direction: Direction, _: usize) {
        let count = match direction {
            Direction::In => &self.messages_in,
            Direction::Out => &self.messages_out,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Figures {
    pub(crate) fn new(connections: Connections) -> Self {
        Figures {
            connections,
            started: Instant::now(),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            of_our_own: AtomicU64::new(0),
        }
    }

    fn to_json(&self) -> String {
        let of_our_own = self.of_our_own.load(Ordering::Relaxed);
        json!({
            "connections": self.connections.len(),
            "messages_in": self.messages_in.load(Ordering::Relaxed),
            "messages_out": self.messages_out.load(Ordering::Relaxed).saturating_sub(of_our_own),
            "uptime_s": self.started.elapsed().as_secs(),
            "memory_bytes": resident_bytes(),
        })
        .to_string()
    }
}

/// Memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Sends the figures to everybody who connects. Nobody needs to ask: it is all in the background.
pub(crate) struct FiguresFeed(pub(crate) Arc<Figures>);

impl Handler<WebSocketConnection> for FiguresFeed {
    type State = Interval;

    async fn on_open(&self, _: &WebSocketConnection) -> Result<Interval, Error> {
        Ok(tokio::time::interval(Duration::from_secs(1)))
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Interval, _: Message) -> Result<(), Error> {
        Err(Error::new(Reason::Policy, "the figures are only for reading"))
    }

    fn poll_background(
        &self,
        conn: &WebSocketConnection,
        interval: &mut Interval,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        ready!(interval.poll_tick(cx));
        let figures = self.0.to_json();
        self.0.of_our_own.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(conn.try_send(figures).map_err(Error::from))
    }
}
