//! Keepalive of WebSocket connections, in virtual time.
#![cfg(feature = "connection")]

use bytes::BytesMut;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use wsrv_core::{Closed, ClosedBy, Connections, Driver, Error, Handler, Limits, Reason};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

#[derive(Default)]
struct Slow {
    conn: Mutex<Option<WebSocketConnection>>,
}

impl Handler<WebSocketConnection> for Slow {
    type State = ();
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        *self.conn.lock().unwrap() = Some(conn.clone());
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("work") => sleep(Duration::from_secs(600)).await,
            Some("flood") => conn.try_send(vec![0; 100_000])?,
            _ => {}
        }
        Ok(())
    }
}

fn start(limits: Limits) -> (DuplexStream, JoinHandle<Closed>, Arc<Slow>) {
    let connections = Connections::new();
    let (peer, stream) = duplex(1024);
    let mut head = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
    let handler = Arc::new(Slow::default());
    let driver = Driver::io(stream, WebSocket::server(head)).limits(Arc::new(limits)).tracked_by(&connections);
    let task = tokio::spawn(driver.run(handler.clone()));
    (peer, task, handler)
}

/// A client's frame; a masking key of zeros changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
}

/// The next ping, and the pong that answers it.
async fn pong(peer: &mut DuplexStream) -> Vec<u8> {
    let mut ping = [0; 10];
    peer.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping[..2], [0x89, 8]);
    frame(0x8a, &ping[2..])
}

fn about(time: Duration, seconds: u64) -> bool {
    (Duration::from_secs(seconds)..=Duration::from_secs(seconds + 2)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_cut_if_it_does_not_answer() {
    let (mut peer, task, handler) = start(Limits::default());
    let began = Instant::now();
    let answer = pong(&mut peer).await;
    assert!(about(began.elapsed(), 30), "{:?}", began.elapsed());
    let conn = handler.conn.lock().unwrap().clone().unwrap();
    assert_eq!(conn.round_trip(), None);
    peer.write_all(&answer).await.unwrap();
    let began = Instant::now();
    pong(&mut peer).await;
    assert!(about(began.elapsed(), 30), "{:?}", began.elapsed());
    assert!(conn.round_trip().is_some());
    let closed = task.await.unwrap();
    assert!(about(began.elapsed(), 60), "{:?}", began.elapsed());
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Timeout, Reason::Other, false));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_is_not_pinged() {
    let (mut peer, _task, _) = start(Limits::default());
    for _ in 0..20 {
        sleep(Duration::from_secs(20)).await;
        peer.write_all(&frame(0x8a, b"")).await.unwrap();
    }
    assert!(timeout(Duration::from_secs(1), peer.read_u8()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_the_handler_keeps_waiting_is_not_cut() {
    let (mut peer, mut task, _) = start(Limits::default());
    // One message is handled, four are read ahead, and then nobody reads.
    peer.write_all(&frame(0x81, b"work").repeat(8)).await.unwrap();
    assert!(timeout(Duration::from_secs(500), &mut task).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut() {
    let (mut peer, mut task, _) = start(Limits::default());
    peer.write_all(&frame(0x81, b"flood")).await.unwrap();
    let began = Instant::now();
    let talking = async {
        loop {
            sleep(Duration::from_secs(5)).await;
            let _ = peer.write_all(&frame(0x8a, b"")).await;
        }
    };
    let closed = tokio::select! {
        closed = &mut task => closed.unwrap(),
        () = talking => unreachable!(),
    };
    assert!(about(began.elapsed(), 30), "{:?}", began.elapsed());
    assert_eq!(closed.by, ClosedBy::Timeout);
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_is_closed_with_a_goodbye_although_it_answers_pings() {
    let (mut peer, task, _) = start(Limits::default().with_idle_timeout(Some(Duration::from_secs(70))));
    let began = Instant::now();
    for _ in 0..2 {
        let answer = pong(&mut peer).await;
        peer.write_all(&answer).await.unwrap();
    }
    let mut close = [0; 4];
    peer.read_exact(&mut close).await.unwrap();
    assert_eq!(close, [0x88, 2, 0x03, 0xe8]);
    assert!(about(began.elapsed(), 70), "{:?}", began.elapsed());
    peer.write_all(&frame(0x88, &[0x03, 0xe8])).await.unwrap();
    drop(peer);
    let closed = task.await.unwrap();
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Timeout, Reason::Done, true));
}
