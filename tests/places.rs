//! How many connections and handshakes there may be at once.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{Peer, close_frame, echo_app, serve, soon, upgrade};
use hosts::{ALL, Kind, Pages};
use std::time::Duration;
use tokio::time::sleep;
use wsrv_app::prelude::*;

async fn refused(mut peer: Peer, why: &str) {
    peer.send(upgrade("/", "").as_bytes()).await;
    let (status, head, body) = peer.response().await;
    assert_eq!(status, 503, "{body}");
    assert!(head.contains("\r\nretry-after: 5\r\n"), "{head}");
    assert!(body.contains(why), "{body}");
}

#[tokio::test]
async fn there_are_as_many_connections_as_there_may_be() {
    for kind in ALL {
        let host = kind.serve(echo_app().max_connections(2)).await;
        let mut first = host.open("/").await;
        let second = host.open("/").await;
        refused(host.connect().await, "too many connections").await;
        first.say("still here").await;
        assert_eq!(first.text().await, "still here", "{kind:?}");
        drop(second);
        let mut third = soon(async {
            while host.connections().places().taken() == 2 {
                sleep(Duration::from_millis(5)).await;
            }
            host.open("/").await
        })
        .await;
        refused(host.connect().await, "too many connections").await;
        third.send(&close_frame(1000, "")).await;
        assert_eq!(third.close_code().await, 1000);
        drop((first, third));
        soon(host.connections().empty()).await;
        drop(host.open("/").await);
    }
}

#[tokio::test]
async fn one_address_has_as_many_connections_as_it_may() {
    for kind in ALL {
        let host = kind.serve(echo_app().max_connections_per_address(1)).await;
        let first = host.open("/").await;
        refused(host.connect().await, "from one address").await;
        let mut other = host.connect_from([127, 0, 0, 2]).await;
        other.upgrade("/").await;
        drop(first);
        soon(async {
            while host.connections().places().taken() == 2 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        drop(host.open("/").await);
    }
}

#[tokio::test]
async fn a_gate_may_say_which_address_counts() {
    let proxy = |opening: &mut Opening| {
        let client = opening.request().header_str("x-client").and_then(|client| client.parse().ok());
        opening.set_remote_addr(client.map(|ip| std::net::SocketAddr::new(ip, 0)));
        Ok(())
    };
    for kind in ALL {
        let host = kind.serve(echo_app().gate(proxy).max_connections_per_address(1)).await;
        let mut peers = Vec::new();
        for (client, expected) in [("192.0.2.1", 101), ("192.0.2.2", 101), ("192.0.2.1", 503)] {
            let mut peer = host.connect().await;
            peer.send(upgrade("/", &format!("X-Client: {client}\r\n")).as_bytes()).await;
            assert_eq!(peer.response().await.0, expected, "{kind:?}");
            peers.push(peer);
        }
    }
}

#[tokio::test]
async fn a_refused_request_takes_no_place() {
    let gate = |opening: &mut Opening| match opening.request().query() {
        Some(_) => Err(Rejection::forbidden("no")),
        None => Ok(()),
    };
    for kind in ALL {
        let host = kind.serve(echo_app().gate(gate).max_connections(1)).await;
        for _ in 0..3 {
            assert_eq!(host.answer(&upgrade("/?x", "")).await.0, 403, "{kind:?}");
        }
        drop(host.open("/").await);
    }
}

#[tokio::test]
async fn sockets_beyond_the_handshakes_there_may_be_are_turned_away() {
    let server = serve(echo_app().max_handshakes(2).http(Pages)).await;
    let open = Peer::open(server.addr, "/").await;
    // An open WebSocket is no handshake any more; a page's connection is one for as long as it lives.
    let silent = Peer::connect(server.addr).await;
    let mut page = Peer::connect(server.addr).await;
    page.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(page.response().await.0, 200);
    let mut third = Peer::connect(server.addr).await;
    let (status, head, body) = third.response().await;
    assert_eq!((status, body.contains("too many requests")), (503, true), "told before it has asked: {body}");
    assert!(head.contains("\r\nretry-after: 5\r\n"), "{head}");
    assert_eq!(third.rest().await, b"");
    page.upgrade("/").await;
    let fourth = Peer::open(server.addr, "/").await;
    drop((open, silent, page, fourth));
}

#[tokio::test]
async fn one_address_has_as_many_handshakes_as_it_may() {
    let host = Kind::Ours.serve(echo_app().max_handshakes_per_address(1)).await;
    let silent = host.connect().await;
    let mut second = host.connect().await;
    assert_eq!(second.response().await.0, 503);
    let mut other = host.connect_from([127, 0, 0, 2]).await;
    other.upgrade("/").await;
    drop(silent);
    soon(async {
        loop {
            let mut peer = host.connect().await;
            // Turned away, it may not even get as far as asking.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.0, upgrade("/", "").as_bytes()).await;
            if peer.response().await.0 == 101 {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn handshakes_come_as_fast_as_an_address_may() {
    // On a kept connection it is the page before that would be told.
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::KeptAlive) {
        let limits = RateLimits::default().with_handshakes(Rate::per_second(1).with_burst(3));
        let host = kind.serve(echo_app().rate_limits(limits)).await;
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(host.open("/").await);
        }
        let mut next = host.connect().await;
        next.send(upgrade("/", "").as_bytes()).await;
        let (status, head, _) = next.response().await;
        assert_eq!(status, 429, "{kind:?}: {head}");
        host.connect_from([127, 0, 0, 2]).await.upgrade("/").await;
    }
}

#[tokio::test]
async fn messages_beyond_the_rate_of_an_address_are_closed_if_that_is_wanted() {
    for kind in ALL {
        let limits = RateLimits::default().with_messages(Rate::per_second(1).with_burst(3)).with_over(OverRate::Close);
        let host = kind.serve(echo_app().rate_limits(limits)).await;
        let (mut one, mut two) = (host.open("/").await, host.open("/").await);
        for _ in 0..3 {
            one.say("hello").await;
            assert_eq!(one.text().await, "hello");
        }
        two.say("too much").await;
        assert_eq!(two.close_code().await, 1008, "{kind:?}");
    }
}

#[tokio::test]
async fn handshakes_inside_another_server_are_limited_too() {
    struct Slow;
    impl Gate for Slow {
        async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
            if opening.request().query() == Some("slow") {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
    for kind in [Kind::Axum, Kind::Hyper] {
        let limits = |app: App, case| if case == 0 { app.max_handshakes(1) } else { app.max_handshakes_per_address(1) };
        for case in 0..2 {
            let host = kind.serve(limits(echo_app().gate(Slow), case)).await;
            let mut slow = host.connect().await;
            slow.send(upgrade("/?slow", "").as_bytes()).await;
            // Until the slow one has got there.
            soon(async { while host.answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.0 != 503 {} }).await;
            refused(host.connect().await, "too many requests").await;
            drop(slow);
            soon(async { while host.answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.0 != 426 {} }).await;
        }
    }
}
