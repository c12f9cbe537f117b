//! Whole connections on the driver, over streams in memory.

use crate::{Repeat, Silent, request};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use wsrv_core::{Driver, Error, Group, Handler, Membership};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();

    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

/// Runs one connection to its end: its peer sends `read` so many times, and each message goes back.
///
/// # Panics
///
/// If the connection ends for another reason than that its peer is gone.
pub fn echo(read: &Arc<[u8]>, reads: usize) {
    runtime().block_on(async {
        let driver = Driver::io(Repeat::new(read.clone(), reads), WebSocket::server(request()));
        // A task of its own, as in a server.
        let closed = tokio::spawn(driver.run(Arc::new(Echo))).await.expect("the driver does not panic");
        assert!(!closed.clean, "the frames are not what they should be: {closed}");
    });
}

struct Room(Group<WebSocketConnection>);

impl Handler<WebSocketConnection> for Room {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.0.join(conn))
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, _: Message) -> Result<(), Error> {
        Ok(())
    }
}

/// A group of connections that only listen.
#[derive(Debug)]
pub struct Crowd {
    runtime: Runtime,
    group: Group<WebSocketConnection>,
    written: Arc<AtomicUsize>,
}

impl Crowd {
    /// So many connections, all of them open.
    pub fn new(members: usize) -> Self {
        let (runtime, group, written) = (runtime(), Group::new(), Arc::<AtomicUsize>::default());
        let room = Arc::new(Room(group.clone()));
        runtime.block_on(async {
            for _ in 0..members {
                let driver = Driver::io(Silent::new(written.clone()), WebSocket::server(request()));
                tokio::spawn(driver.run(room.clone()));
            }
            while group.len() < members {
                yield_now().await;
            }
        });
        Self { runtime, group, written }
    }

    /// Sends each member this message, and returns when all of it has been written.
    pub fn send(&self, message: Message) {
        let header = if message.len() < 126 { 2 } else { 4 };
        let all = self.group.len() * (header + message.len());
        self.written.store(0, Ordering::Relaxed);
        self.runtime.block_on(async {
            self.group.send(message);
            while self.written.load(Ordering::Relaxed) < all {
                yield_now().await;
            }
        });
    }
}

fn runtime() -> Runtime {
    // After so many tasks the runtime looks for events, of which there are none; without sockets that look is a sleep.
    const SELDOM: u32 = 1_000_000;
    Builder::new_current_thread().enable_time().event_interval(SELDOM).build().expect("a runtime")
}
