//! What hostile peers have done to other servers, done to this one. [`docs/threats.md`](../docs/threats.md) tells which
//! test, here or elsewhere, holds which threat.

#[path = "common/alone.rs"]
mod alone;
mod common;
#[path = "common/hosts.rs"]
mod hosts;

use alone::Alone;
use common::{BINARY, CLOSE, PING, Peer, TEXT, close_frame, echo_app, frame, serve, status, upgrade};
use hosts::ALL;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wsrv_app::prelude::*;

/// Code that is not optimised takes more; what is looked for takes seconds.
const CPU: Duration = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 50 });

/// A round trip while others flood. Client, floods and server share the machine with whatever else it does.
const QUICK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 50 });

#[tokio::test]
async fn a_head_without_end_is_refused_and_costs_next_to_nothing() {
    let server = Alone::serve(echo_app());
    drop(Peer::open(server.addr, "/").await);
    let before = server.cpu_time().await;
    let mut peer = Peer::connect(server.addr).await;
    peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Fill: ").await;
    let (mut reads, mut writes) = peer.0.split();
    let flood = async {
        // Many small reads: a server that began again with each would need minutes.
        for _ in 0..16 << 10 {
            if writes.write_all(&[b'x'; 1024]).await.is_err() {
                break;
            }
        }
    };
    let answer = async {
        let mut answer = [0; 12];
        reads.read_exact(&mut answer).await.unwrap();
        answer
    };
    let (answer, _) = common::soon(async { tokio::join!(answer, flood) }).await;
    assert_eq!(&answer, b"HTTP/1.1 431");
    let took = server.cpu_time().await - before;
    assert!(took < CPU, "{took:?}");
}

#[tokio::test]
async fn no_value_of_a_header_costs_much_to_read() {
    let server =
        Alone::serve(echo_app().gate(AllowedOrigins::new(["https://example.com"]).unwrap().allow_missing(true)));
    drop(Peer::open(server.addr, "/").await);
    let names =
        ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade", "Origin", "Cookie", "Host"];
    let values = ["a", "a,", " ", ", ,", "\"", "\\\"", "a;b=\"", "(", "%", "x ,\t", "https://a.", ":", "["];
    for name in names {
        for value in values {
            let line = format!("{name}: x{}\r\n", value.repeat(8000 / value.len()));
            let mut peer = Peer::connect(server.addr).await;
            let before = server.cpu_time().await;
            peer.send(upgrade("/", &line).as_bytes()).await;
            let head = peer.head().await;
            let took = server.cpu_time().await - before;
            assert!(head.starts_with("HTTP/1.1 "), "{line}");
            assert!(took < CPU / 5, "{name} with {value:?} took {took:?}");
        }
    }
}

#[tokio::test]
async fn nothing_behind_a_request_with_a_body_is_taken_for_frames_or_requests_by_any_host() {
    for kind in ALL {
        let host = kind.serve(echo_app()).await;
        for lines in [
            "Content-Length: 11\r\n",
            "Content-Length: 1\r\n",
            "Content-Length: +11\r\n",
            "Content-Length: 0, 11\r\n",
            "Content-Length: 0\r\nContent-Length: 11\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
        ] {
            let mut peer = host.connect().await;
            let hidden = [frame(TEXT, b"hello"), upgrade("/", "").into_bytes(), frame(TEXT, b"hello")].concat();
            peer.send(&[upgrade("/", lines).into_bytes(), hidden].concat()).await;
            let head = peer.head().await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{lines} {kind:?}: {head}");
            let rest = peer.rest_or_reset().await;
            let rest = String::from_utf8_lossy(&rest);
            assert!(!rest.contains("HTTP/1.1") && !rest.contains("\x05hello"), "{lines} {kind:?}: {rest}");
        }
        assert!(host.connections().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_close_glued_to_the_request_is_answered_by_every_host() {
    for kind in ALL {
        let host = kind.serve(echo_app()).await;
        let mut peer = host.connect().await;
        peer.send(&[upgrade("/", "").into_bytes(), close_frame(1000, "")].concat()).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "), "{kind:?}");
        assert_eq!(peer.frame().await, Some((CLOSE, vec![0x03, 0xe8])), "{kind:?}");
        assert_eq!(peer.frame().await, None, "{kind:?}");
    }
}

#[tokio::test]
async fn only_an_origin_of_the_list_opens_a_connection() {
    let server = serve(echo_app().gate(AllowedOrigins::new(["https://example.com"]).unwrap())).await;
    for (lines, expected) in [
        ("Origin: https://example.com\r\n", 101),
        ("", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://example.com\r\n", 403),
        ("Origin: https://example.com:8443\r\n", 403),
        ("Origin: https://example.com.evil.test\r\n", 403),
        ("Origin: https://notexample.com\r\n", 403),
        ("Origin: https://sub.example.com\r\n", 403),
        ("Origin: https://example.com@evil.test\r\n", 403),
        ("Origin: https://evil.test@example.com\r\n", 403),
        ("Origin: https://example.com/\r\n", 403),
        ("Origin: https://example.com https://evil.test\r\n", 403),
        ("Origin: https://example.com\r\nOrigin: https://evil.test\r\n", 403),
        ("Origin: https://example.com\r\nOrigin: https://example.com\r\n", 403),
        // A header that only looks like it.
        ("X-Origin: https://example.com\r\nReferer: https://example.com/\r\n", 403),
    ] {
        let request = upgrade("/", lines);
        let status = match expected {
            101 => {
                let mut peer = Peer::connect(server.addr).await;
                peer.send(request.as_bytes()).await;
                peer.head().await[9..12].parse().unwrap()
            }
            _ => status(server.addr, request.as_bytes()).await,
        };
        assert_eq!(status, expected, "{lines}");
    }
}

#[tokio::test]
async fn every_close_code_is_answered_by_the_rules() {
    let server = serve(echo_app()).await;
    let with = |codes: &[u16], expected: Option<u16>| {
        codes.iter().map(move |code| (*code, expected.unwrap_or(*code))).collect::<Vec<_>>()
    };
    let wrong = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 10_000, 65_535];
    let right = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for (code, expected) in [with(&wrong, Some(1002)), with(&right, None)].concat() {
        let mut peer = Peer::open(server.addr, "/").await;
        peer.send(&close_frame(code, "")).await;
        assert_eq!(peer.close_code().await, expected, "{code}");
        assert_eq!(peer.frame().await, None, "{code}: one close frame, and nothing behind it");
    }
}

/// Does one thing again and again, until its time is over; on a new connection whenever the server ends one.
/// Counts what the server has taken.
async fn flood(addr: SocketAddr, kind: &str, taken: Arc<AtomicUsize>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(addr).await else { continue };
        let (before, again): (Vec<u8>, Vec<u8>) = match kind {
            "heads without end" => (b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 4096]),
            "refused requests" => (upgrade("/nowhere", "").into_bytes(), vec![]),
            "connections that are reset" => (upgrade("/", "").into_bytes(), vec![]),
            "pings" => (upgrade("/", "").into_bytes(), frame(PING, &[b'?'; 125]).repeat(100)),
            "tiny messages" => (upgrade("/", "").into_bytes(), frame(TEXT, b"x").repeat(1000)),
            "messages whose echoes are read" => (upgrade("/", "").into_bytes(), frame(TEXT, b"x").repeat(1000)),
            "large messages" => (upgrade("/", "").into_bytes(), frame(BINARY, &[0; 60_000])),
            "empty fragments" => {
                ([upgrade("/", "").into_bytes(), frame(0x01, b"")].concat(), frame(0x00, b"").repeat(1000))
            }
            "text byte by byte" => {
                let header = [&[TEXT, 0xff][..], &(1u64 << 20).to_be_bytes(), &[0; 4]].concat();
                ([upgrade("/", "").into_bytes(), header].concat(), b"x".to_vec())
            }
            "closes" => ([upgrade("/", "").into_bytes(), close_frame(1000, "")].concat(), vec![]),
            "broken frames" => ([upgrade("/", "").into_bytes(), frame(0xff, b"")].concat(), vec![]),
            _ => unreachable!("{kind} is no kind of flood"),
        };
        if stream.write_all(&before).await.is_ok() && again.is_empty() {
            // The answer's beginning, or what there is up to the end of an orderly goodbye.
            let heard = match kind {
                "closes" => stream.read_to_end(&mut Vec::new()).await,
                _ => stream.read(&mut [0; 100]).await,
            };
            taken.fetch_add(usize::from(heard.is_ok_and(|heard| heard > 0)), Ordering::Relaxed);
            let _ = stream.set_zero_linger();
            continue;
        }
        let (mut reads, mut writes) = stream.split();
        let write = async {
            while writes.write_all(&again).await.is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        };
        if kind == "messages whose echoes are read" {
            tokio::join!(write, async { tokio::io::copy(&mut reads, &mut tokio::io::sink()).await.ok() });
        } else {
            write.await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_peer_stays_quick_in_every_flood() {
    // It has one thread for all of them.
    let server = Alone::serve(echo_app());
    for kind in [
        "heads without end",
        "refused requests",
        "connections that are reset",
        "pings",
        "tiny messages",
        "messages whose echoes are read",
        "large messages",
        "empty fragments",
        "text byte by byte",
        "broken frames",
        "closes",
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let mut healthy = Peer::open(server.addr, "/").await;
        let floods: Vec<_> = (0..3)
            .map(|_| tokio::spawn(timeout(Duration::from_secs(1), flood(server.addr, kind, taken.clone()))))
            .collect();
        let mut round_trips = Vec::new();
        while !floods.iter().all(|flood| flood.is_finished()) {
            let began = Instant::now();
            healthy.say("hello").await;
            assert_eq!(healthy.text().await, "hello");
            round_trips.push(began.elapsed());
            sleep(Duration::from_millis(2)).await;
        }
        round_trips.sort_unstable();
        let (half, slowest) = (round_trips[round_trips.len() / 2], round_trips[round_trips.len() - 1]);
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken > 20, "{kind}: no flood, {taken}");
        assert!(half < QUICK && slowest < 20 * QUICK, "{kind}: {half:?}, {slowest:?}");
    }
}
