//! Every future of the crate's that a caller may drop half-way, dropped half-way.

mod common;

use common::{Obedient, connect, line, soon};
use futures_util::SinkExt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, duplex};
use tokio::net::TcpStream;
use tokio::time::sleep;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Connection, Connections, Driver, Error, Limits, Listener, Places, Reason, Socket, from_fn};

/// Polls once and drops.
fn begin<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn opened(handler: &Obedient) -> LineConnection {
    while handler.last.lock().unwrap().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    handler.conn()
}

#[tokio::test]
async fn a_send_that_waits_and_is_dropped_sends_nothing() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default().with_outbox(0)).await;
    let conn = opened(&handler).await;
    for _ in 0..3 {
        assert!(begin(conn.send("dropped")).is_pending());
    }
    let kept = tokio::spawn({
        let conn = conn.clone();
        async move { conn.send("kept").await }
    });
    assert!(begin(conn.send("dropped")).is_pending());
    sleep(Duration::from_millis(5)).await;
    conn.set_limits(Limits::default());
    soon(kept).await.unwrap().unwrap();
    assert_eq!(line(&mut peer).await, "kept");
    conn.close(Reason::Done);
    assert_eq!(line(&mut peer).await, "last words");
}

#[tokio::test]
async fn waiting_for_the_end_may_be_given_up_and_begun_again() {
    let handler = Arc::new(Obedient::default());
    let (_peer, _task) = connect(&handler, Limits::default()).await;
    let conn = opened(&handler).await;
    let still = tokio::spawn({
        let conn = conn.clone();
        async move { conn.closed().await }
    });
    for _ in 0..3 {
        assert!(begin(conn.closed()).is_pending());
    }
    conn.close(Reason::Done);
    soon(still).await.unwrap();
    soon(conn.closed()).await;
}

#[tokio::test]
async fn waiting_for_everybody_to_go_may_be_given_up_and_begun_again() {
    let (places, connections) = (Places::new(), Connections::new());
    let place = places.take(None).unwrap();
    let (_peer, stream) = duplex(100);
    let driver = Driver::io(stream, Lines::new(100)).tracked_by(&connections);
    let task = tokio::spawn(driver.run(Arc::new(Obedient::default())));
    for _ in 0..3 {
        assert!(begin(places.empty()).is_pending());
        assert!(begin(connections.empty()).is_pending());
    }
    let waiting = tokio::spawn({
        let (places, connections) = (places.clone(), connections.clone());
        async move { tokio::join!(places.empty(), connections.empty()) }
    });
    sleep(Duration::from_millis(5)).await;
    drop(place);
    task.abort();
    soon(waiting).await.unwrap();
}

#[tokio::test]
async fn an_accept_that_is_given_up_loses_no_connection() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    assert!(begin(listener.accept()).is_pending());
    let peers: Vec<_> = futures_util::future::join_all((0..10).map(|_| {
        let addr = listener.local_addr().unwrap();
        async move { TcpStream::connect(addr).await.unwrap() }
    }))
    .await;
    let mut accepted = Vec::new();
    while accepted.len() < peers.len() {
        // At each moment at which it might have taken one already.
        tokio::select! {
            biased;
            peer = listener.accept() => accepted.push(peer.1.unwrap()),
            () = tokio::task::yield_now() => {}
        }
    }
    let expected: Vec<_> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
    assert!(expected.iter().all(|addr| accepted.contains(addr)));
}

/// An echo that gives up each of its awaits once before it goes through with it.
async fn hesitant(mut socket: Socket<LineConnection>) -> Result<(), Error> {
    loop {
        let next = tokio::select! {
            biased;
            next = socket.recv() => next,
            () = tokio::task::yield_now() => continue,
        };
        let Some(next) = next else { return Ok(()) };
        loop {
            // The sink: waiting for room is given up, and begun again.
            tokio::select! {
                biased;
                sent = socket.feed(next.clone()) => break sent?,
                () = tokio::task::yield_now() => {}
            }
        }
    }
}

#[tokio::test]
async fn a_receive_and_a_sink_that_are_given_up_lose_and_double_nothing() {
    let (peer, stream) = duplex(512);
    let limits = Limits::default().with_outbox(1000).with_outbox_soft(500);
    let task =
        tokio::spawn(Driver::io(stream, Lines::new(100)).limits(Arc::new(limits)).run(Arc::new(from_fn(hesitant))));
    let lines: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
    let (read, mut write) = tokio::io::split(peer);
    let all = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let writer = async {
        write.write_all(all.as_bytes()).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let reader = async {
        let mut echoed = String::new();
        BufReader::new(read).read_to_string(&mut echoed).await.unwrap();
        assert!(echoed == all, "{} of {} bytes came back", echoed.len(), all.len());
    };
    soon(async { tokio::join!(writer, reader) }).await;
    soon(task).await.unwrap();
}

#[tokio::test]
async fn a_bind_that_is_given_up_leaves_the_address_free() {
    let addr = Listener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // A name has to be looked up elsewhere, which mostly takes until after the first poll.
    drop(begin(Listener::bind(("localhost", addr.port()))));
    Listener::bind(addr).await.unwrap();
}
