//! Starting and stopping whole servers.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{CLOSE, Peer, answer, close_frame, serve, soon, status, upgrade};
use hosts::Pages;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use wsrv_app::prelude::*;

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

#[tokio::test]
async fn stopping_closes_everybody_with_1001_and_waits() {
    let server = serve(App::new().route("/", Echo)).await;
    let addr = server.addr;
    let mut peers = Vec::new();
    for _ in 0..50 {
        peers.push(Peer::open(addr, "/").await);
    }
    let stopped = tokio::spawn(server.stop());
    for peer in &mut peers {
        assert_eq!(peer.frame().await, Some((CLOSE, 1001u16.to_be_bytes().to_vec())));
    }
    assert!(!stopped.is_finished(), "the server waits for the peers' close frames");
    for peer in &mut peers {
        peer.send(&close_frame(1001, "")).await;
        assert_eq!(peer.frame().await, None);
    }
    drop(peers);
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn any_address_can_be_listened_on() {
    for addr in ["127.0.0.1:0", "[::1]:0", "localhost:0", "[::]:0"] {
        let server = App::new().route("/", Echo).bind(addr).await.unwrap();
        let mut local = server.local_addr().unwrap();
        assert_ne!(local.port(), 0);
        let task = tokio::spawn(server.serve_until(std::future::pending()));
        if local.ip().is_unspecified() {
            // An IPv4 peer of an IPv6 socket.
            local.set_ip([127, 0, 0, 1].into());
        }
        let mut peer = Peer::open(local, "/").await;
        peer.say("hello").await;
        assert_eq!(peer.text().await, "hello");
        task.abort();
    }
}

#[tokio::test]
async fn a_listener_from_elsewhere_and_a_unix_socket_serve_the_same_routes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let path = std::env::temp_dir().join(format!("wsrv-test-{}", std::process::id()));
    // One that was left behind, with nobody listening.
    drop(tokio::net::UnixListener::bind(&path).unwrap());
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = tcp.local_addr().unwrap();
    let server = App::new().route("/", Echo).http(Pages).listen(tcp).unwrap();
    let server = server.and_listen(wsrv_core::Listener::unix(&path).unwrap());
    assert!(wsrv_core::Listener::unix(&path).is_err(), "somebody listens there");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(server.serve_until(async { drop(stopped.await) }));
    let mut peer = Peer::open(addr, "/").await;
    peer.say("hello").await;
    assert_eq!(peer.text().await, "hello");
    let mut unix = tokio::net::UnixStream::connect(&path).await.unwrap();
    let hello = [upgrade("/", "").into_bytes(), common::frame(common::TEXT, b"hello")].concat();
    unix.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x81\x05hello") {
        assert!(soon(unix.read_buf(&mut answer)).await.unwrap() > 0, "{answer:?}");
    }
    let mut page = tokio::net::UnixStream::connect(&path).await.unwrap();
    page.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(page.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nGET /page"), "{answer}");
    stop.send(()).unwrap();
    assert_eq!(peer.close_code().await, 1001);
    drop((peer, unix));
    soon(task).await.unwrap();
    assert!(!path.exists(), "the socket is removed");
}

#[tokio::test]
async fn a_mapped_address_is_told_as_the_ipv4_address_it_is() {
    struct Tell;
    impl Handler<WebSocketConnection> for Tell {
        type State = ();
        async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
            Ok(conn.send(conn.remote_addr().ok_or("no address")?.ip().to_string()).await?)
        }
        async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
            Ok(())
        }
    }
    let server = App::new().route("/", Tell).bind("[::]:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(server.serve_until(std::future::pending()));
    assert_eq!(Peer::open(([127, 0, 0, 1], port).into(), "/").await.text().await, "127.0.0.1");
}

#[tokio::test]
async fn what_cannot_be_bound_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = App::new().route("/", Echo).bind(taken.local_addr().unwrap()).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error}");
    let error = App::new().route("/a/{x}", Echo).route("/a/{y}", Echo).bind("127.0.0.1:0").await.unwrap_err();
    assert!(error.to_string().contains("/a/{y}"), "{error}");
}

#[tokio::test]
async fn a_flood_of_one_peer_does_not_keep_others_waiting() {
    let server = serve(App::new().route("/", Echo)).await;
    // Reads nothing, so its answers pile up here and then its questions there.
    let mut greedy = Peer::open(server.addr, "/").await;
    let flood = tokio::spawn(async move {
        let message = common::frame(common::BINARY, &[0; 60_000]);
        let _ = tokio::time::timeout(Duration::from_secs(2), async {
            loop {
                greedy.send(&message).await;
            }
        })
        .await;
    });
    let mut polite = Peer::open(server.addr, "/").await;
    let mut slowest = Duration::ZERO;
    while !flood.is_finished() {
        let began = Instant::now();
        polite.say("hello").await;
        assert_eq!(polite.text().await, "hello");
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn requests_that_ask_for_no_upgrade_go_to_the_http_service() {
    let server = serve(App::new().route("/", Echo).http(Pages)).await;
    let (head, body) = answer(server.addr, b"GET /page?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "GET /page?x=1");
    // And beside it, on the same path or not, a socket.
    let mut peer = Peer::open(server.addr, "/").await;
    peer.say("hello").await;
    assert_eq!(peer.text().await, "hello");
    assert_eq!(status(server.addr, upgrade("/page", "").as_bytes()).await, 404);
}

#[tokio::test]
async fn the_http_service_gets_sound_requests_only() {
    let app = App::new().http(Pages).http_timeout(Duration::from_millis(200));
    let server = serve(app).await;
    for (expected, request) in [
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx"),
        (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
        (500, "GET /panic HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    ] {
        assert_eq!(status(server.addr, request.as_bytes()).await, expected, "{request}");
    }
    let mut peer = Peer::connect(server.addr).await;
    peer.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(peer.head().await.starts_with("HTTP/1.0 200 "));
    let mut peer = Peer::connect(server.addr).await;
    peer.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.rest().await, b"", "a request that takes too long is given up");
}

#[tokio::test]
async fn an_answer_is_not_lost_although_the_body_was_not_read() {
    let server = serve(App::new().http(Pages)).await;
    let mut peer = Peer::connect(server.addr).await;
    peer.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    assert!(peer.head().await.starts_with("HTTP/1.1 200 "));
    // A server that closed its socket would answer this with a reset.
    for _ in 0..5 {
        peer.send(&[b'x'; 1000]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(peer.rest().await, b"POST /unread");
}

#[tokio::test]
async fn requests_that_have_come_are_answered_before_the_server_ends() {
    struct Thoughtful;
    impl Gate for Thoughtful {
        async fn admit(&self, _: &mut Opening) -> Result<(), Rejection> {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(())
        }
    }
    let server = serve(App::new().gate(Thoughtful).route("/", Echo).http(Pages)).await;
    let mut slow = Peer::connect(server.addr).await;
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut opening = Peer::connect(server.addr).await;
    opening.send(upgrade("/", "").as_bytes()).await;
    let mut silent = Peer::connect(server.addr).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopped = tokio::spawn(server.stop());
    assert_eq!(silent.rest().await, b"", "nobody waits for a request that may never come");
    assert!(opening.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(opening.close_code().await, 1001);
    opening.send(&close_frame(1001, "")).await;
    assert!(slow.head().await.starts_with("HTTP/1.1 200 "));
    drop((slow, opening));
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
}
