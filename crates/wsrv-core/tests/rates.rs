//! How fast peers may send.

mod common;

use bytes::Bytes;
use common::soon;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Closed, ClosedBy, Connections, Driver, Error, Handler, Limits, OverRate, Rate, RateLimits, Reason};

/// When each message came.
#[derive(Default)]
struct Times(Mutex<Vec<Instant>>);

impl Handler<LineConnection> for Times {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &LineConnection, _: &mut (), _: Bytes) -> Result<(), Error> {
        self.0.lock().unwrap().push(Instant::now());
        Ok(())
    }
}

impl Times {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

struct Server {
    connections: Connections,
    handler: Arc<Times>,
}

impl Server {
    fn new(limits: RateLimits) -> Self {
        let connections = Connections::new();
        connections.rates().set(limits);
        Server { connections, handler: Arc::default() }
    }

    fn connect(&self, from: &str) -> (DuplexStream, JoinHandle<Closed>) {
        let (peer, stream) = duplex(1 << 20);
        let addr: SocketAddr = from.parse().unwrap();
        let driver = Driver::io(stream, Lines::new(1024)).remote_addr(addr).tracked_by(&self.connections);
        (peer, tokio::spawn(driver.run(self.handler.clone())))
    }
}

const HOME: &str = "192.0.2.7:1";

#[tokio::test(start_paused = true)]
async fn messages_beyond_the_rate_wait() {
    let server = Server::new(RateLimits::default().with_messages(Rate::per_second(10).with_burst(5)));
    let (mut peer, _task) = server.connect(HOME);
    let began = Instant::now();
    peer.write_all("hello\n".repeat(25).as_bytes()).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(server.handler.count(), 5);
    sleep(Duration::from_secs(10)).await;
    let times = server.handler.0.lock().unwrap();
    assert_eq!(times.len(), 25);
    let took = times[24] - began;
    // The system's timers are exact to the millisecond, each.
    assert!((Duration::from_millis(2000)..Duration::from_millis(2050)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_an_address_share_its_rate_and_others_have_their_own() {
    let server = Server::new(RateLimits::default().with_messages(Rate::per_second(1).with_burst(6)));
    let (mut one, _task) = server.connect(HOME);
    let (mut two, _task) = server.connect("[::ffff:192.0.2.7]:2");
    one.write_all("hello\n".repeat(4).as_bytes()).await.unwrap();
    two.write_all("hello\n".repeat(4).as_bytes()).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(server.handler.count(), 6);
    // Who comes back has won nothing.
    drop(one);
    let (mut back, _task) = server.connect(HOME);
    back.write_all(b"hello\n").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(server.handler.count(), 6);
    let (mut other, _task) = server.connect("192.0.2.8:1");
    other.write_all("hello\n".repeat(4).as_bytes()).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(server.handler.count(), 10);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(server.handler.count(), 13);
}

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_rate_wait() {
    let server = Server::new(RateLimits::default().with_bytes(Rate::per_second(1000)));
    let (mut peer, _task) = server.connect(HOME);
    let began = Instant::now();
    // Ten seconds' worth, and a pause between them so that they are several reads.
    for _ in 0..10 {
        peer.write_all("123456789\n".repeat(100).as_bytes()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_secs(60)).await;
    let times = server.handler.0.lock().unwrap();
    assert_eq!(times.len(), 1000);
    let took = times[999] - began;
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&took), "{took:?}");
    let early = times.iter().filter(|time| **time - began < Duration::from_secs(1)).count();
    assert!(early < 400, "{early}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_too_fast_is_closed_if_that_is_wanted() {
    let slow = Rate::per_second(10).with_burst(5);
    for limits in [RateLimits::default().with_messages(slow), RateLimits::default().with_bytes(slow)] {
        let server = Server::new(limits.with_over(OverRate::Close));
        let (mut peer, task) = server.connect(HOME);
        peer.write_all(b"a\n").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        peer.write_all("hello\n".repeat(25).as_bytes()).await.unwrap();
        let mut said = String::new();
        soon(peer.read_to_string(&mut said)).await.unwrap();
        drop(peer);
        let closed = soon(task).await.unwrap();
        assert_eq!((closed.by, closed.reason), (ClosedBy::FastPeer, Reason::Policy));
        assert!(server.handler.count() <= 6, "{}", server.handler.count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_slowed_is_not_taken_for_dead_and_hears_the_end() {
    let server = Server::new(RateLimits::default().with_messages(Rate::per_second(1)));
    let (mut peer, task) = server.connect(HOME);
    peer.write_all("hello\n".repeat(150).as_bytes()).await.unwrap();
    let limits = Limits::default();
    sleep(limits.ping_after.unwrap() + limits.pong_timeout + Duration::from_secs(30)).await;
    assert!((89..=92).contains(&server.handler.count()), "{}", server.handler.count());
    assert!(!task.is_finished());
    server.connections.close_all(Reason::GoingAway);
    let mut said = String::new();
    soon(peer.read_to_string(&mut said)).await.unwrap();
    drop(peer);
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Local);
    assert!(server.handler.count() <= 92, "{}", server.handler.count());
}
