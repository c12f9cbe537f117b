//! Gates at work in a server: who gets in, and where everybody comes from.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use bytes::BytesMut;
use common::{Peer, Refusals, serve, upgrade};
use hosts::{ALL, Kind};
use std::sync::Arc;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::{Network, ProxyAddr, Said, Stage};
use wsrv_app::wsrv_rfc6455::handshake::{HeadLimits, HeadReader};
use wsrv_app::{Outcome, RequestRate};

/// Says where the peer is, and through which proxy it came, and echoes.
async fn whence(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let conn = socket.connection().clone();
    let addr = conn.remote_addr().map_or_else(String::new, |addr| addr.ip().to_string());
    let proxy = conn.extensions().get::<ProxyAddr>().map_or_else(String::new, |proxy| proxy.0.ip().to_string());
    socket.send(format!("{addr} {proxy}")).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

fn app() -> App {
    App::new().route("/", from_fn(whence))
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

#[tokio::test]
async fn addresses_are_kept_out_by_every_host_and_let_in_again() {
    for kind in ALL {
        let lists = Addresses::new();
        let host = kind.serve(app().addresses(lists.clone())).await;
        let mut guest = host.open("/").await;
        assert_eq!(guest.text().await, "127.0.0.1 ");
        let mut other = host.connect_from([127, 0, 0, 2]).await;
        other.upgrade("/").await;
        assert_eq!(other.text().await, "127.0.0.2 ");
        assert!(lists.block(network("127.0.0.0/31")));
        // Who is in has to go, others stay.
        assert_eq!(guest.close_code().await, 1008, "{kind:?}");
        other.say("still here").await;
        assert_eq!(other.text().await, "still here");
        if kind != Kind::KeptAlive {
            let mut again = host.connect().await;
            again.send(upgrade("/", "").as_bytes()).await;
            assert_eq!(again.response().await.0, 403, "{kind:?}");
        }
        assert!(lists.unblock(network("127.0.0.0/31")));
        drop(host.open("/").await);
    }
}

#[tokio::test]
async fn a_blocked_address_hears_nothing_if_that_is_wanted() {
    let lists = Addresses::new().silent(true);
    lists.block(network("127.0.0.1"));
    let server = serve(app().addresses(lists)).await;
    let mut peer = Peer::connect(server.addr).await;
    // It may be closed before it can be asked.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.0, upgrade("/", "").as_bytes()).await;
    assert_eq!(peer.rest_or_reset().await, b"");
}

#[tokio::test]
async fn a_blocked_client_of_a_proxy_hears_nothing_either() {
    for kind in [Kind::Ours, Kind::KeptAlive] {
        let lists = Addresses::new().silent(true);
        let proxies = TrustedProxies::new(TrustedNetworks::loopback());
        let host = kind.serve(app().trusted_proxies(proxies).addresses(lists.clone())).await;
        lists.block(network("192.0.2.7"));
        for request in [upgrade("/", ""), "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()] {
            let mut peer = host.connect().await;
            let request = request.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
            peer.send(request.as_bytes()).await;
            assert_eq!(peer.rest().await, b"", "{kind:?}");
        }
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_counts() {
    for kind in ALL {
        let lists = Addresses::new();
        lists.block(network("198.51.100.0/24"));
        let proxies = TrustedProxies::new(TrustedNetworks::loopback());
        let app = app().trusted_proxies(proxies).addresses(lists.clone()).max_connections_per_address(1);
        let host = kind.serve(app).await;
        let ask = async |client: &str| {
            let mut peer = host.connect().await;
            peer.send(upgrade("/", &format!("X-Forwarded-For: {client}\r\n")).as_bytes()).await;
            peer
        };
        let mut first = ask("203.0.113.9, 192.0.2.7").await;
        assert_eq!(first.response().await.0, 101);
        assert_eq!(first.text().await, "192.0.2.7 127.0.0.1", "{kind:?}");
        assert_eq!(ask("192.0.2.7").await.response().await.0, 503, "one connection for each address");
        assert_eq!(ask("192.0.2.8").await.response().await.0, 101);
        assert_eq!(ask("198.51.100.3").await.response().await.0, 403);
        lists.block(network("192.0.2.7"));
        assert_eq!(first.close_code().await, 1008);
    }
}

#[tokio::test]
async fn requests_are_limited_for_each_client_of_a_proxy() {
    for kind in ALL {
        let proxies = TrustedProxies::new(TrustedNetworks::loopback());
        let rate = RequestRate::new(Rate::per_second(1).with_burst(2));
        let host = kind.serve(app().trusted_proxies(proxies).gate(rate.clone())).await;
        let ask = async |client: u8| {
            let forwarded = format!("X-Forwarded-For: 192.0.2.{client}\r\n");
            let mut peer = Peer::connect(host.addr).await;
            let request = match kind {
                // Pages count too.
                Kind::KeptAlive => format!("GET /page HTTP/1.1\r\nHost: localhost\r\n{forwarded}\r\n"),
                _ => upgrade("/", &forwarded),
            };
            peer.send(request.as_bytes()).await;
            peer.response().await
        };
        let admitted = if kind == Kind::KeptAlive { 200 } else { 101 };
        for client in [7, 8] {
            assert_eq!([ask(client).await.0, ask(client).await.0], [admitted; 2], "{kind:?}");
            let (status, head, _) = ask(client).await;
            assert_eq!((status, head.contains("\r\nretry-after: ")), (429, true), "{kind:?}: {head}");
        }
        rate.set(Rate::per_second(1).with_burst(10));
        assert_eq!(ask(7).await.0, admitted, "{kind:?}");
    }
}

#[tokio::test]
async fn gates_for_every_request_see_pages_too() {
    let lists = Addresses::new();
    let proxies = TrustedProxies::new(TrustedNetworks::loopback());
    let origins = AllowedOrigins::new(["https://example.com"]).unwrap();
    let app = app().gate(origins).trusted_proxies(proxies).addresses(lists.clone());
    let host = Kind::KeptAlive.serve(app).await;
    let mut peer = host.connect().await;
    lists.block(network("192.0.2.7"));
    let page = |client: &str| format!("GET /page HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n");
    peer.send(page("192.0.2.8").as_bytes()).await;
    assert_eq!(peer.response().await.0, 200, "the gate of origins is for upgrades");
    peer.send(page("192.0.2.7").as_bytes()).await;
    assert_eq!(peer.response().await.0, 403);
}

#[tokio::test]
async fn a_gate_can_choose_the_subprotocol() {
    for kind in ALL {
        let choose = |opening: &mut Opening| {
            assert!(!opening.select_subprotocol("never-offered"));
            opening.select_subprotocol("b");
            Ok(())
        };
        let host = kind.serve(app().gate(choose)).await;
        let mut peer = host.connect().await;
        peer.send(upgrade("/", "Sec-WebSocket-Protocol: a, b\r\n").as_bytes()).await;
        let (status, head, _) = peer.response().await;
        assert_eq!(status, 101);
        assert!(head.to_lowercase().contains("\r\nsec-websocket-protocol: b\r\n"), "{kind:?}: {head}");
    }
}

#[tokio::test]
async fn every_refusal_is_told_with_a_word_for_counters() {
    for kind in ALL {
        let refusals = Arc::new(Refusals::default());
        let origins = AllowedOrigins::new(["https://example.com"]).unwrap();
        let proxies = TrustedProxies::new(TrustedNetworks::loopback());
        let host = kind.serve(app().gate(origins).trusted_proxies(proxies).observe(refusals.clone())).await;
        for request in [
            upgrade("/", "Origin: https://evil.example\r\n"),
            upgrade("/nowhere", "Origin: https://example.com\r\n"),
            upgrade("/", "").replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        ] {
            let mut peer = host.connect().await;
            let request = request.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
            peer.send(request.as_bytes()).await;
            peer.response().await;
        }
        // Not the proxy's address: who counts these may block whom they come from.
        let expected = [(403, "origin"), (404, "route"), (426, "handshake")];
        assert_eq!(
            refusals.take(),
            expected.map(|(status, reason)| ([192, 0, 2, 9].into(), status, reason)),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_server_explains_what_a_request_would_meet() {
    let lists = Addresses::new();
    lists.block(network("192.0.2.7"));
    let origins = AllowedOrigins::new(["https://example.com"]).unwrap();
    let route = Route::new(from_fn(whence)).gate(origins);
    let app = App::new().route("/", route).addresses(lists);
    let server =
        app.trusted_proxies(TrustedProxies::new(TrustedNetworks::loopback())).bind("127.0.0.1:0").await.unwrap();
    let gates = async |extra: &str| {
        let mut request = BytesMut::from(upgrade("/", extra).as_bytes());
        let head = HeadReader::new(HeadLimits::default()).read(&mut request).unwrap().unwrap();
        let lines = server.explain(head, "127.0.0.1:40000".parse().ok()).await.gates.into_iter();
        lines.map(|line| (line.stage, matches!(line.said, Said::Passed))).collect::<Vec<_>>()
    };
    assert_eq!(
        gates("Origin: https://example.com\r\n").await,
        [(Stage::Proxy, true), (Stage::Address, true), (Stage::Origin, true)]
    );
    assert_eq!(
        gates("Origin: https://evil.example\r\n").await,
        [(Stage::Proxy, true), (Stage::Address, true), (Stage::Origin, false)]
    );
    assert_eq!(gates("X-Forwarded-For: 192.0.2.7\r\n").await, [(Stage::Proxy, true), (Stage::Address, false)]);
}

#[tokio::test]
async fn what_gates_have_said_is_told_although_the_next_one_panics() {
    let panics = |_: &mut Opening| -> Result<(), Rejection> { panic!("on purpose") };
    let app = || App::new().route("/", from_fn(whence)).gate(AllowedOrigins::same_origin()).gate(panics);
    let head = || {
        let mut request = BytesMut::from(upgrade("/", "Origin: http://localhost\r\n").as_bytes());
        HeadReader::new(HeadLimits::default()).read(&mut request).unwrap().unwrap()
    };
    for explanation in
        [app().explain(head(), None).await.unwrap(), app().into_service().unwrap().explain(head(), None).await]
    {
        let lines: Vec<_> = explanation.gates.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["AllowedOrigins: passed"]);
        assert!(matches!(explanation.outcome, Outcome::Refused(rejection) if rejection.status() == 500));
    }
}

#[tokio::test]
async fn an_explanation_tells_the_client_the_route_and_the_answer() {
    let route = Route::new(from_fn(whence)).subprotocols(Subprotocols::new(["chat"]).unwrap().optional());
    // What the route's parameters are is known to the gates behind it, those of the app too.
    let known_room = |opening: &mut Opening| match opening.extensions().get::<Params>().and_then(|p| p.get("room")) {
        Some("lobby") => Ok(()),
        _ => Err(Rejection::new(StatusCode::NOT_FOUND, "no such room").because("room")),
    };
    let proxies = TrustedProxies::new(TrustedNetworks::loopback());
    let app = App::new().route("/chat/{room}", route).gate(known_room).trusted_proxies(proxies);
    let server = app.max_connections(1).bind("127.0.0.1:0").await.unwrap();
    let explain = async |path: &str, extra: &str| {
        let mut request = BytesMut::from(upgrade(path, extra).as_bytes());
        let head = HeadReader::new(HeadLimits::default()).read(&mut request).unwrap().unwrap();
        server.explain(head, "127.0.0.1:40000".parse().ok()).await
    };
    let refusal = |outcome| match outcome {
        Outcome::Refused(rejection) => (rejection.status().as_u16(), rejection.reason()),
        other => panic!("{other:?}"),
    };

    let admitted = explain("/chat/lobby", "X-Forwarded-For: 192.0.2.7\r\nSec-WebSocket-Protocol: chat\r\n").await;
    assert!(matches!(&admitted.outcome, Outcome::WebSocket { subprotocol: Some(chat), .. } if chat == "chat"));
    assert_eq!(admitted.remote_addr, "192.0.2.7:0".parse().ok());
    assert_eq!((admitted.route.as_deref(), admitted.params.get("room")), (Some("/chat/{room}"), Some("lobby")));
    // It was no connection: the only place is still free.
    assert!(matches!(explain("/chat/lobby", "").await.outcome, Outcome::WebSocket { subprotocol: None, .. }));

    let unknown = explain("/chat/attic", "").await;
    assert_eq!((unknown.route.as_deref(), refusal(unknown.outcome)), (Some("/chat/{room}"), (404, "room")));
    let nowhere = explain("/nowhere", "").await;
    // The gates for upgrades are not asked about it, in a server neither.
    assert_eq!((nowhere.gates.len(), nowhere.route, refusal(nowhere.outcome)), (1, None, (404, "route")));
    assert_eq!(refusal(explain("/chat/lobby", "Content-Length: 5\r\n").await.outcome), (400, "handshake"));

    let _taken = server.connections().places().take(None).unwrap();
    assert_eq!(refusal(explain("/chat/lobby", "").await.outcome), (503, "overload"));
}
