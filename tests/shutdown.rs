//! The end of a host: who is told, who is waited for, who is cut, and whether the report is right.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{Peer, close_frame, soon, upgrade};
use hosts::{ALL, Kind, Pages};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use wsrv_app::prelude::*;
use wsrv_core::Limits;

/// Sends back what comes; waits for ever or sends for ever if it is told to.
struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("hang") => pending().await,
            Some("flood") => loop {
                conn.send("#".repeat(10_000)).await?;
            },
            _ => Ok(conn.send(message).await?),
        }
    }
}

/// Takes a while or for ever if it is told to, and gives a permit when that begins.
struct Thoughtful(Arc<Semaphore>);

impl Gate for Thoughtful {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        if opening.request().query().is_some() {
            self.0.add_permits(1);
        }
        match opening.request().query() {
            Some("soon") => sleep(Duration::from_millis(300)).await,
            Some("never") => pending().await,
            _ => {}
        }
        Ok(())
    }
}

/// With the time after which connections are cut.
fn app(shutdown: Duration) -> App {
    app_and_gate(shutdown).0
}

fn app_and_gate(shutdown: Duration) -> (App, Arc<Semaphore>) {
    let asked = Arc::new(Semaphore::new(0));
    let mut limits = Limits::default();
    limits.close_timeout = Duration::from_secs(60);
    let app = App::new()
        .route("/", Route::new(Echo).limits(limits))
        .gate(Thoughtful(asked.clone()))
        .handshake_timeout(Duration::from_secs(60))
        .drain(Drain::new().deadline(shutdown));
    (app, asked)
}

const SOON: Duration = Duration::from_millis(300);
/// Longer than a test may take.
const LATE: Duration = Duration::from_secs(60);

/// A request whose gate is waiting.
async fn waiting(mut peer: Peer, query: &str, asked: &Semaphore) -> Peer {
    peer.send(upgrade(&format!("/?{query}"), "").as_bytes()).await;
    soon(asked.acquire()).await.unwrap().forget();
    peer
}

#[tokio::test]
async fn every_host_waits_for_who_says_goodbye() {
    for kind in ALL {
        let (app, asked) = app_and_gate(LATE);
        let host = kind.serve(app).await;
        let mut peers = Vec::new();
        for _ in 0..10 {
            peers.push(host.open("/").await);
        }
        // Established only during the stop, and closed at once.
        peers.push(waiting(host.connect().await, "soon", &asked).await);
        let stopped = host.stop();
        let late = peers.last_mut().unwrap();
        let head = late.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nconnection: upgrade\r\n"), "{kind:?}: {head}");
        for peer in &mut peers {
            assert_eq!(peer.close_code().await, 1001, "{kind:?}");
        }
        assert!(!stopped.is_finished(), "{kind:?}");
        for peer in &mut peers {
            peer.send(&close_frame(1001, "")).await;
            assert_eq!(peer.frame().await, None, "{kind:?}");
        }
        drop(peers);
        let stopped = soon(stopped).await.unwrap();
        assert_eq!((stopped.closed, stopped.cut), (11, 0), "{kind:?}");
        match kind {
            Kind::Ours | Kind::KeptAlive => assert!(TcpStream::connect(host.addr).await.is_err(), "nobody listens"),
            // The other server goes on, this service does not.
            Kind::Axum | Kind::Hyper => assert_eq!(host.answer(&upgrade("/", "")).await.0, 503, "{kind:?}"),
        }
    }
}

#[tokio::test]
async fn every_host_cuts_at_the_deadline_and_counts_whom() {
    for kind in ALL {
        let (app, asked) = app_and_gate(SOON);
        let host = kind.serve(app).await;
        let mut silent = host.open("/").await;
        let mut stuck = host.open("/").await;
        stuck.say("hang").await;
        let mut deaf = host.open("/").await;
        deaf.say("flood").await;
        let mut undecided = waiting(host.connect().await, "never", &asked).await;
        let polite = host.open("/").await;
        drop(polite);
        sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        let stopped = soon(host.stop()).await.unwrap();
        assert_eq!((stopped.closed, stopped.cut), (0, 4), "{kind:?}");
        let took = began.elapsed();
        assert!(took >= SOON && took < Duration::from_secs(3), "{kind:?}: {took:?}");
        assert_eq!(host.connections().places().taken(), 0, "{kind:?}");
        assert_eq!(silent.close_code().await, 1001, "{kind:?}");
        // What was not connected gets no 101 any more.
        let head = undecided.head().await;
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 503 "), "{kind:?}: {head}");
    }
}

#[tokio::test]
async fn nobody_waits_for_requests_that_may_never_come() {
    for kind in [Kind::Ours, Kind::KeptAlive] {
        let host = kind.serve(app(LATE)).await;
        let mut silent = host.connect().await;
        let mut half = host.connect().await;
        half.send(&upgrade("/", "").as_bytes()[..60]).await;
        sleep(Duration::from_millis(50)).await;
        let stopped = host.stop();
        assert_eq!(silent.rest().await, b"", "{kind:?}");
        // Who has begun to ask is told, where it is we who read.
        let told = String::from_utf8(half.rest().await).unwrap();
        assert!(told.is_empty() == (kind == Kind::KeptAlive), "{kind:?}: {told}");
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 503 "), "{kind:?}: {told}");
        drop((silent, half));
        assert_eq!(soon(stopped).await.unwrap().cut, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn pages_under_way_are_answered_and_their_connections_closed() {
    let host = Kind::KeptAlive.serve(app(LATE)).await;
    let mut slow = host.connect().await;
    // The second has not been looked at when the server stops.
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon(hosts::ASKED.acquire()).await.unwrap().forget();
    let stopped = host.stop();
    let (status, head, body) = slow.response().await;
    assert_eq!((status, body.as_str()), (200, "GET /slow"));
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(slow.rest().await, b"");
    drop(slow);
    assert_eq!(soon(stopped).await.unwrap().cut, 0);

    let host = Kind::KeptAlive.serve(app(SOON)).await;
    let mut never = host.connect().await;
    never.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon(hosts::ASKED.acquire()).await.unwrap().forget();
    assert_eq!(soon(host.stop()).await.unwrap().cut, 1, "a request that was aborted");
}

#[tokio::test]
async fn a_handle_stops_for_a_reason_and_tells_how_it_went() {
    let (app, asked) = app_and_gate(LATE);
    let server = app.bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    let handle = server.handle();
    let serving = tokio::spawn(server.serve());
    let mut before = Peer::open(addr, "/").await;
    let mut opening = waiting(Peer::connect(addr).await, "soon", &asked).await;
    handle.stop_with(Reason::Restart);
    // The first reason counts.
    handle.clone().stop();
    assert!(opening.head().await.starts_with("HTTP/1.1 101 "));
    for peer in [&mut before, &mut opening] {
        assert_eq!(peer.close_code().await, 1012);
        peer.send(&close_frame(1012, "")).await;
        assert_eq!(peer.frame().await, None);
    }
    drop((before, opening));
    let stopped = soon(handle.stopped()).await.unwrap();
    assert_eq!((stopped.closed, stopped.cut), (2, 0));
    assert_eq!(soon(serving).await.unwrap(), stopped);
    assert_eq!(soon(handle.stopped()).await, Some(stopped), "also told later");
}

#[tokio::test]
async fn a_handle_knows_servers_that_never_ran_or_were_dropped() {
    let server = app(LATE).bind("127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    handle.stop();
    assert_eq!(soon(server.serve()).await.cut, 0, "it stops as soon as it serves");
    assert_eq!(soon(handle.stopped()).await.unwrap().cut, 0);

    let server = app(LATE).bind("127.0.0.1:0").await.unwrap();
    let handle = server.handle();
    drop(server);
    assert_eq!(soon(handle.stopped()).await, None);

    let (app, asked) = app_and_gate(LATE);
    let server = app.bind("127.0.0.1:0").await.unwrap();
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve_until(pending()));
    let mut open = Peer::open(addr, "/").await;
    let mut undecided = waiting(Peer::connect(addr).await, "never", &asked).await;
    serving.abort();
    assert_eq!(soon(handle.stopped()).await, None);
    assert_eq!(undecided.head().await, "", "requests under way are dropped");
    open.say("hello").await;
    assert_eq!(open.text().await, "hello", "connections go on");
}

#[tokio::test]
async fn a_service_and_the_server_around_it_stop_together() {
    let sockets = app(LATE).into_service().unwrap();
    let router = axum::Router::new().route_service("/page", Pages).route_service("/", sockets.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let mut signal = stopping.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = signal.wait_for(|stop| *stop).await;
    });
    let serving = tokio::spawn(serving.into_future());
    let mut peer = Peer::open(addr, "/").await;
    let idle = Peer::connect(addr).await;
    stop.send_replace(true);
    let (first, second) = (sockets.clone(), sockets);
    let first = tokio::spawn(async move { first.shutdown_with(Reason::Restart).await });
    assert_eq!(peer.close_code().await, 1012);
    // Whoever asks once more waits for the same end.
    let second = tokio::spawn(async move { second.shutdown().await });
    sleep(Duration::from_millis(20)).await;
    assert!(!first.is_finished() && !second.is_finished());
    peer.send(&close_frame(1012, "")).await;
    assert_eq!(peer.frame().await, None);
    drop((peer, idle));
    assert_eq!((soon(first).await.unwrap().cut, soon(second).await.unwrap().cut), (0, 0));
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn those_who_are_told_that_there_is_no_place_do_not_keep_the_server() {
    let host = Kind::Ours.serve(app(LATE).max_handshakes(0)).await;
    let mut peer = host.connect().await;
    assert_eq!(peer.response().await.0, 503);
    let stopped = host.stop();
    assert_eq!(peer.rest().await, b"");
    drop(peer);
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
}

#[tokio::test]
async fn waiting_for_an_end_may_be_given_up_and_begun_again() {
    let server = app(LATE).bind("127.0.0.1:0").await.unwrap();
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve_until(pending()));
    let mut peer = Peer::open(addr, "/").await;
    for _ in 0..3 {
        assert!(tokio::time::timeout(Duration::from_millis(5), handle.stopped()).await.is_err());
    }
    handle.stop();
    assert_eq!(peer.close_code().await, 1001);
    drop(peer);
    assert_eq!(soon(handle.stopped()).await, Some(soon(serving).await.unwrap()));

    // Inside another server, the end that was begun goes on without whoever began it.
    let sockets = app(LATE).into_service().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback_service(sockets.clone());
    tokio::spawn(axum::serve(listener, router).into_future());
    let mut peer = Peer::open(addr, "/").await;
    assert!(tokio::time::timeout(Duration::from_millis(5), sockets.shutdown()).await.is_err());
    assert_eq!(peer.close_code().await, 1001);
    drop(peer);
    let stopped = soon(sockets.shutdown()).await;
    assert_eq!((stopped.closed, stopped.cut), (1, 0));
}
