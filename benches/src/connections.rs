//! Whole connections on the driver, over streams in memory.

use crate::{Repeat, Silent, request};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    runtime().block_on(run(read, reads, wire, handler));
}

async fn run<H: Handler<WebSocketConnection>>(read: &Arc<[u8]>, reads: usize, wire: WebSocket, handler: Arc<H>) {
    let driver = Driver::io(Repeat::new(read.clone(), reads), wire);
    // A task of its own, as in a server.
    let closed = tokio::spawn(driver.run(handler)).await.expect("the driver does not panic");
    assert!(!closed.clean, "the frames are not what they should be: {closed}");
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

/// Connections over TCP that only listen, and whose peers read when they are told to.
#[derive(Debug)]
pub struct TcpCrowd {
    runtime: Runtime,
    peers: Vec<TcpStream>,
}

impl TcpCrowd {
    /// So many connections to this handler, each of which says `first`. There are enough when `is_full` says so.
    ///
    /// # Panics
    ///
    /// If a connection fails.
    pub fn new<H: Handler<WebSocketConnection>>(
        members: usize,
        wire: impl Fn() -> WebSocket,
        handler: &Arc<H>,
        first: &[u8],
        is_full: impl Fn() -> bool,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut peers = Vec::with_capacity(members);
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("a port");
            for _ in 0..members {
                let mut peer = TcpStream::connect(address).expect("the listener has room");
                peer.write_all(first).expect("room for a few bytes");
                peer.set_nonblocking(true).expect("a socket");
                peers.push(peer);
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(Driver::tcp(stream, wire()).run(handler.clone()));
            }
            while !is_full() {
                yield_now().await;
            }
        });
        Self { runtime, peers }
    }

    /// The same in a group, where each message goes to all.
    ///
    /// # Panics
    ///
    /// If a connection fails.
    pub fn in_a_room(members: usize) -> (Self, Arc<impl Handler<WebSocketConnection>>) {
        let group = Group::new();
        let room = Arc::new(Room(group.clone()));
        let crowd = Self::new(members, || WebSocket::server(request()), &room, b"", || group.len() == members);
        (crowd, room)
    }

    /// One more connection, whose peer sends `read` so many times and goes. What is sent to the others in consequence must
    /// have room in their sockets.
    pub fn hear<H: Handler<WebSocketConnection>>(
        &self,
        read: &Arc<[u8]>,
        reads: usize,
        wire: WebSocket,
        handler: &Arc<H>,
    ) {
        self.runtime.block_on(run(read, reads, wire, handler.clone()));
    }

    /// Has all peers read what there is, and tells how many bytes that was for the last one.
    ///
    /// # Panics
    ///
    /// If a connection has failed.
    pub fn read(&mut self) -> usize {
        let mut buffer = vec![0; 64 * 1024];
        let mut of_last = 0;
        for peer in &mut self.peers {
            of_last = 0;
            loop {
                match peer.read(&mut buffer) {
                    Ok(0) => panic!("a connection has ended"),
                    Ok(read) => of_last += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        of_last
    }
}

/// One thread, and time.
pub fn runtime() -> Runtime {
    // After so many tasks the runtime looks for events, of which there are none; without sockets that look is a sleep.
    const SELDOM: u32 = 1_000_000;
    Builder::new_current_thread().enable_time().event_interval(SELDOM).build().expect("a runtime")
}
