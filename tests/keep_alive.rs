//! Connections of our listener that bring pages, one after the other, and may become a WebSocket in the end.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{Peer, Refusals, Running, TEXT, echo_app, frame, serve, soon, status, upgrade};
use hosts::Pages;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wsrv_app::prelude::*;

fn app() -> App {
    echo_app().http(Pages)
}

async fn server() -> Running {
    serve(app()).await
}

fn request(method: &str, target: &str, extra: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n")
}

async fn says_hello(peer: &mut Peer) {
    peer.upgrade("/").await;
    peer.say("hello").await;
    assert_eq!(peer.text().await, "hello");
}

#[tokio::test]
async fn a_connection_brings_pages_and_then_becomes_a_websocket() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    peer.send(request("GET", "/one", "").as_bytes()).await;
    assert_eq!(peer.response().await.2, "GET /one");
    peer.send(request("HEAD", "/two", "").as_bytes()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 200 "));
    peer.send((request("POST", "/three", "Content-Length: 5\r\n") + "12345").as_bytes()).await;
    assert_eq!(peer.response().await.2, "POST /three 5 bytes");
    let chunked = request("POST", "/four", "Transfer-Encoding: chunked\r\n");
    peer.send((chunked + "3\r\n123\r\n4\r\n1234\r\n0\r\n\r\n").as_bytes()).await;
    assert_eq!(peer.response().await.2, "POST /four 7 bytes");
    peer.send(request("GET", "/panic", "").as_bytes()).await;
    assert_eq!(peer.response().await.0, 500);
    peer.send(request("GET", "/h2c", "Upgrade: h2c\r\nConnection: Upgrade\r\n").as_bytes()).await;
    assert_eq!(peer.response().await.0, 200, "other upgrades are pages");
    says_hello(&mut peer).await;
}

#[tokio::test]
async fn requests_may_come_before_the_answers_and_frames_right_behind() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    let long = vec![b'#'; 300_000];
    let all = [
        request("GET", "/slow", "").into_bytes(),
        request("GET", "/page", "").into_bytes(),
        (request("POST", "/page", "Content-Length: 3\r\n") + "abc").into_bytes(),
        upgrade("/", "").into_bytes(),
        frame(TEXT, b"first"),
        frame(TEXT, &long),
        frame(TEXT, b"last"),
    ];
    let (mut read, mut write) = peer.0.into_split();
    let all = all.concat();
    let sending = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut write, &all).await.unwrap();
        write
    });
    let mut answers = Vec::new();
    while !answers.ends_with(b"\x81\x04last") {
        assert!(soon(tokio::io::AsyncReadExt::read_buf(&mut read, &mut answers)).await.unwrap() > 0);
    }
    drop(soon(sending).await.unwrap());
    let texts = String::from_utf8_lossy(&answers);
    let places =
        ["GET /slow", "GET /page", "POST /page 3 bytes", "HTTP/1.1 101 ", "first"].map(|text| texts.find(text));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
    assert_eq!(answers.iter().filter(|&&byte| byte == b'#').count(), long.len());
    // Single bytes.
    peer = Peer::connect(server.addr).await;
    let all = [request("GET", "/page", ""), upgrade("/", "")].concat().into_bytes();
    for byte in [all, frame(TEXT, b"glued")].concat() {
        peer.send(&[byte]).await;
    }
    assert_eq!(peer.response().await.2, "GET /page");
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.text().await, "glued");
}

#[tokio::test]
async fn later_requests_meet_the_same_rules_as_the_first() {
    let told = Arc::new(Refusals::default());
    let server = serve(app().observe(told.clone())).await;
    let large = format!("X-Fill: {}\r\n", "x".repeat(6_000)).repeat(3);
    for (what, expected, later) in [
        ("no host", 400, "GET / HTTP/1.1\r\n\r\n".into()),
        ("two hosts", 400, request("GET", "/page", "Host: localhost\r\n")),
        ("no HTTP", 400, "\x16\x03\x01\r\n\r\n".into()),
        ("another upgrade's path", 404, upgrade("/nowhere", "")),
        ("an upgrade with a body", 400, upgrade("/", "Content-Length: 5\r\n") + "GET /"),
        ("a large head", 431, request("GET", "/page", &large)),
        ("a long line", 431, request("GET", "/page", &format!("X-Fill: {}\r\n", "x".repeat(9_000)))),
        ("many headers", 431, request("GET", "/page", &"X-A: b\r\n".repeat(120))),
    ] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(request("GET", "/page", "").as_bytes()).await;
        assert_eq!(peer.response().await.0, 200);
        // Nothing behind a refusal is looked at.
        peer.send((later + &request("GET", "/smuggled", "")).as_bytes()).await;
        let (status, head, _) = peer.response().await;
        assert_eq!(status, expected, "{what}");
        assert!(head.contains("\r\nconnection: close"), "{what}: {head}");
        assert_eq!(peer.rest().await, b"", "{what}");
        let reason = if expected == 404 { "route" } else { "handshake" };
        assert_eq!(told.take(), [([127, 0, 0, 1].into(), expected, reason)], "{what}");
    }
    // Understood in one way only, and the last of its connection (RFC 9112 §6.1).
    let mut peer = Peer::connect(server.addr).await;
    peer.send(request("GET", "/page", "").as_bytes()).await;
    assert_eq!(peer.response().await.0, 200);
    let ambiguous = request("POST", "/page", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n";
    peer.send((ambiguous + &request("GET", "/smuggled", "")).as_bytes()).await;
    assert_eq!(peer.response().await.2, "POST /page 0 bytes");
    assert_eq!(peer.rest().await, b"");
}

#[tokio::test]
async fn who_wants_no_other_request_gets_the_end_of_the_stream() {
    let server = server().await;
    assert_eq!(status(server.addr, request("GET", "/page", "Connection: close\r\n").as_bytes()).await, 200);
    let mut peer = Peer::connect(server.addr).await;
    peer.send(b"GET /page HTTP/1.0\r\n\r\n").await;
    assert!(peer.head().await.starts_with("HTTP/1.0 200 "));
    assert_eq!(peer.rest().await, b"GET /page");
}

#[tokio::test]
async fn the_http_service_is_told_the_peers_address() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    let addr = peer.0.local_addr().unwrap().to_string();
    for _ in 0..2 {
        peer.send(request("GET", "/peer", "").as_bytes()).await;
        assert_eq!(peer.response().await.2, addr);
    }
}

#[tokio::test]
async fn each_request_has_its_time_and_silence_counts() {
    let server = serve(app().http_timeout(Duration::from_secs(1))).await;
    let began = Instant::now();
    let mut peer = Peer::connect(server.addr).await;
    for _ in 0..4 {
        peer.send(request("GET", "/page", "").as_bytes()).await;
        assert_eq!(peer.response().await.0, 200);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(1100), "longer than one request's time");
    assert_eq!(peer.rest().await, b"", "an idle connection is closed");

    let in_time = async |what: &str, request: String| {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(request.as_bytes()).await;
        let began = Instant::now();
        // A peer that reads nothing at first.
        tokio::time::sleep(Duration::from_millis(1300)).await;
        let rest = peer.rest_or_reset().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        assert!(rest.len() < 10_000_000, "{what}");
    };
    tokio::join!(
        in_time("a slow body", request("POST", "/page", "Content-Length: 9\r\n") + "abc"),
        in_time("a slow answer", request("GET", "/never", "")),
        in_time("a slow reader", request("GET", "/big", "")),
        in_time("a slow head", request("GET", "/page", "") + "GET /page HT"),
    );
}
