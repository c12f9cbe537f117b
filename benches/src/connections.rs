//! Whole connections on the driver, over streams in memory.

use crate::{Repeat, Silent, request};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
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
    talk(read, reads, WebSocket::server(request()), Arc::new(Echo));
}

/// The same with another handler.
///
/// # Panics
///
/// If the connection ends for another reason than that its peer is gone.
pub fn talk<H: Handler<WebSocketConnection>>(read: &Arc<[u8]>, reads: usize, wire: WebSocket, handler: Arc<H>) {
    runtime().block_on(async {
        let driver = Driver::io(Repeat::new(read.clone(), reads), wire);
        // A task of its own, as in a server.
        let closed = tokio::spawn(driver.run(handler)).await.expect("the driver does not panic");
        assert!(!closed.clean, "the frames are not what they should be: {closed}");
    });
}

struct Room(Group<WebSocketConnection>);

impl Handler<WebSocketConnection> for Room {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.0.join(conn))
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, message: Message) -> Result<(), Error> {
        self.0.send(message);
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

    /// Sends each member this message, from outside of every handler, and returns when all of it has been written.
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

/// Opens so many connections over TCP, and one more whose peer sends `frame` so many times: each message goes to all of
/// them. The peers do not read meanwhile, so what they are sent in all must have room in the sockets.
///
/// # Panics
///
/// If a connection fails, or the last one was not sent everything.
pub fn broadcast(frame: &Arc<[u8]>, messages: usize, members: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let group = Group::new();
    let room = Arc::new(Room(group.clone()));
    let mut peers = Vec::with_capacity(members);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        for _ in 0..members {
            peers.push(std::net::TcpStream::connect(address).expect("the listener has room"));
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(Driver::tcp(stream, WebSocket::server(request())).run(room.clone()));
        }
        while group.len() < members {
            yield_now().await;
        }
        let sender = Driver::io(Repeat::new(frame.clone(), messages), WebSocket::server(request()));
        tokio::spawn(sender.run(room)).await.expect("the driver does not panic");
    });
    if let Some(last) = peers.last_mut() {
        last.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut sent = vec![0; messages * (frame.len() - MASKING_KEY)];
        last.read_exact(&mut sent).expect("all messages have been sent");
    }
}

/// What a client's frame has and a server's has not.
const MASKING_KEY: usize = 4;

/// One thread, and time.
pub fn runtime() -> Runtime {
    // After so many tasks the runtime looks for events, of which there are none; without sockets that look is a sleep.
    const SELDOM: u32 = 1_000_000;
    Builder::new_current_thread().enable_time().event_interval(SELDOM).build().expect("a runtime")
}
