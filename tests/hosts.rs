//! One app, the same in every host: on our listener, on a connection that has brought pages, inside axum and hyper.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{BINARY, CLOSE, Peer, TEXT, close_frame, frame, soon, upgrade};
use hosts::{ALL, Kind};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::GateLayer;

#[derive(Clone)]
struct User(String);

/// What a layer around the service has put in.
#[derive(Clone)]
struct Tag(&'static str);

/// Sends everything back; asked `who`, tells all it knows of the connection.
struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("who") => {}
            Some("answer") => {
                let answer = conn.response().ok_or("no opening handshake")?;
                let headers = answer.headers().iter();
                let lines = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap().to_lowercase()));
                return Ok(conn.send(lines.collect::<Vec<_>>().join("\n")).await?);
            }
            _ => return Ok(conn.send(message).await?),
        }
        let extensions = conn.extensions();
        let about = format!(
            "{:?} {:?} {:?} {:?} {:?} {}",
            conn.remote_addr().map(|addr| addr.to_string()),
            conn.subprotocol(),
            conn.param("room"),
            extensions.get::<User>().map(|user| &user.0),
            extensions.get::<Tag>().map(|tag| tag.0),
            conn.request().target(),
        );
        Ok(conn.send(about).await?)
    }
}

struct Login;

impl Gate for Login {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        match opening.request().query() {
            Some("panic") => panic!("on purpose"),
            Some("never") => std::future::pending().await,
            Some("refuse") => {
                return Err(Rejection::forbidden("not you").header(http::header::VARY, "*".parse().unwrap()));
            }
            _ => tokio::task::yield_now().await,
        }
        if let Some(user) = opening.request().header_str("x-user").map(|user| User(user.to_owned())) {
            // The address is known before the connection begins.
            let from = opening.remote_addr().expect("an address").ip();
            opening.extensions_mut().insert(User(format!("{} from {from}", user.0)));
            opening.response_headers_mut().append(http::header::SET_COOKIE, "a=1".parse().unwrap());
            opening.response_headers_mut().append(http::header::SET_COOKIE, "b=2".parse().unwrap());
            opening.response_headers_mut().append(http::header::CONTENT_LENGTH, "7".parse().unwrap());
        }
        Ok(())
    }
}

fn app() -> App {
    let limits = MessageLimits::default().with_max_message(100_000);
    App::new()
        .gate(Login)
        .route("/", Route::new(Echo).message_limits(limits))
        .route("/rooms/{room}", Echo)
        .route("/chat", Route::new(Echo).subprotocols(Subprotocols::new(["v2", "v1"]).unwrap()))
        .handshake_timeout(Duration::from_secs(1))
        .drain(Drain::new().deadline(Duration::from_millis(400)))
}

#[tokio::test]
async fn every_host_opens_and_closes_connections_alike() {
    for kind in ALL {
        let host = kind.serve(app()).await;
        let mut peer = host.connect().await;
        let addr = peer.0.local_addr().unwrap();
        let extra = "X-User: ada\r\nSec-WebSocket-Protocol: v0, v1, v2\r\n";
        // What follows the request must not be lost on the way, however it is read.
        let glued = [upgrade("/chat", extra).into_bytes(), frame(TEXT, b"glued"), frame(TEXT, b"who")].concat();
        peer.send(&glued).await;
        let head = peer.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{kind:?}: {head}");
        for line in [
            "upgrade: websocket",
            "connection: upgrade",
            "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
            "sec-websocket-protocol: v1",
            "set-cookie: a=1",
            "set-cookie: b=2",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{kind:?}: {head}");
        }
        assert!(!head.contains("content-length"), "{kind:?}: {head}");
        assert_eq!(peer.text().await, "glued", "{kind:?}");
        let who = format!("Some(\"{addr}\") Some(\"v1\") None Some(\"ada from 127.0.0.1\") None /chat");
        assert_eq!(peer.text().await, who, "{kind:?}");
        // The connection knows what it was answered. (Another server may add a date.)
        peer.say("answer").await;
        let known = peer.text().await;
        assert_eq!(known.lines().count(), 6, "{kind:?}: {known}");
        assert!(known.lines().all(|line| head.contains(&format!("\r\n{line}\r\n"))), "{kind:?}: {known}");
        let big = "größer".repeat(10_000);
        peer.say(&big).await;
        assert_eq!(peer.text().await, big, "{kind:?}");
        peer.send(&close_frame(1000, "bye")).await;
        assert_eq!(peer.frame().await, Some((CLOSE, b"\x03\xe8bye".to_vec())), "{kind:?}");
        assert_eq!(peer.frame().await, None, "{kind:?}");
        drop(peer);
        soon(host.connections().empty()).await;

        let mut peer = host.open("/rooms/engine%20room").await;
        peer.say("who").await;
        assert!(peer.text().await.contains("Some(\"engine room\")"), "{kind:?}");
        let mut peer = host.open("/").await;
        peer.send(&frame(BINARY, &[0; 100_001])).await;
        assert_eq!(peer.close_code().await, 1009, "{kind:?}");
    }
}

#[tokio::test]
async fn every_host_refuses_alike() {
    let good = upgrade("/", "");
    let table = [
        ("no such path", 404, "", upgrade("/nowhere", "")),
        ("another method", 405, "allow: get", good.replace("GET", "POST")),
        ("no version", 426, "sec-websocket-version: 13", good.replace("Sec-WebSocket-Version: 13\r\n", "")),
        ("no connection header", 400, "", good.replace("Connection: Upgrade\r\n", "")),
        ("no key", 400, "", good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        ("no host", 400, "", good.replace("Host: localhost\r\n", "")),
        ("two hosts", 400, "", upgrade("/", "Host: localhost\r\n")),
        ("a malformed host", 400, "", good.replace("localhost", "a b/c")),
        ("a body", 400, "", upgrade("/", "Content-Length: 3\r\n") + "abc"),
        ("a chunked body", 400, "", upgrade("/", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"),
        ("HTTP/1.0", 505, "", good.replace("HTTP/1.1", "HTTP/1.0")),
        ("a large head", 431, "", upgrade("/", &format!("X-Fill: {}\r\n", "x".repeat(5_000)).repeat(4))),
        ("a long line", 431, "", upgrade("/", &format!("X-Fill: {}\r\n", "x".repeat(9_000)))),
        ("no subprotocol in common", 400, "", upgrade("/chat", "Sec-WebSocket-Protocol: v3\r\n")),
        ("a gate that says no", 403, "vary: *", upgrade("/?refuse", "")),
        ("a gate that panics", 500, "", upgrade("/?panic", "")),
        ("a gate that never decides", 503, "", upgrade("/?never", "")),
    ];
    for kind in ALL {
        let host = kind.serve(app()).await;
        for (what, expected, line, request) in &table {
            let (status, head, _) = host.answer(request).await;
            assert_eq!(status, *expected, "{what}, {kind:?}: {head}");
            assert!(head.contains(&format!("\r\n{line}")), "{what}, {kind:?}: {head}");
            assert!(head.contains("\r\nconnection: close"), "{what}, {kind:?}: {head}");
        }
        // Where there is no page on the path either.
        if kind != Kind::KeptAlive {
            let (status, head, _) = host.answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(status, 426, "{kind:?}");
            assert!(head.contains("\r\nupgrade: websocket\r\n"), "{kind:?}: {head}");
            assert!(head.contains("\r\nconnection: close, upgrade\r\n"), "{kind:?}: {head}");
            let mut peer = host.connect().await;
            peer.send(b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(peer.head().await.starts_with("HTTP/1.1 404 "), "{kind:?}");
            assert_eq!(peer.rest().await, b"", "{kind:?}");
        }
        soon(host.connections().empty()).await;
    }
}

#[tokio::test]
async fn an_axum_router_may_route_nest_or_fall_back_to_the_service() {
    let host = Kind::Axum.serve(app()).await;
    for (target, seen) in [("/rooms/a?b", "/rooms/a?b"), ("/nested/rooms/a?b", "/rooms/a?b"), ("/chat", "/chat")] {
        let mut peer = host.connect().await;
        peer.send(upgrade(target, "Sec-WebSocket-Protocol: v1\r\n").as_bytes()).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "), "{target}");
        peer.say("who").await;
        assert!(peer.text().await.ends_with(&format!(" {seen}")), "{target}");
    }
    assert_eq!(host.answer("GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await.2, "GET /page");
    // And on one connection.
    let mut peer = host.connect().await;
    peer.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.response().await.0, 200);
    peer.upgrade("/").await;
    peer.say("hello").await;
    assert_eq!(peer.text().await, "hello");
}

#[tokio::test]
async fn what_layers_put_into_a_request_stays_with_its_connection() {
    let router = axum::Router::new().fallback_service(app().into_service().unwrap());
    let addr = serve_without_addresses(router.layer(axum::Extension(Tag("seen")))).await;
    let mut peer = Peer::open(addr, "/").await;
    peer.say("who").await;
    assert!(peer.text().await.ends_with(" Some(\"seen\") /"));
}

/// Nobody tells the service where its peers are.
async fn serve_without_addresses(router: axum::Router) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    addr
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged as a warning, or worse, while a service of this app takes in some peers.
async fn warnings(app: App, with_addresses: bool, expected: u16) -> Vec<String> {
    let (log, mut statuses) = (Log::default(), Vec::new());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(move || writer.clone());
    // For this thread, on which all of a test runs.
    let _subscribed = subscriber.finish().set_default();
    let router = axum::Router::new().fallback_service(app.into_service().unwrap());
    let told = RemoteAddr(([192, 0, 2, 2], 2).into());
    let router = if with_addresses { router.layer(axum::Extension(told)) } else { router };
    let addr = serve_without_addresses(router).await;
    for _ in 0..3 {
        let mut peer = Peer::connect(addr).await;
        peer.send(upgrade("/", "").as_bytes()).await;
        statuses.push(peer.response().await.0);
    }
    assert_eq!(statuses, [expected; 3]);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    log.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn limits_per_address_that_count_nobody_are_warned_of_once() {
    let only_office = || {
        let addresses = Addresses::new();
        addresses.allow("192.0.2.0/24".parse::<Network>().unwrap());
        addresses
    };
    for (limited, status) in [
        (app().max_connections_per_address(9), 101),
        (app().max_handshakes_per_address(9), 101),
        (app().addresses(Addresses::new()), 101),
        (app().addresses(only_office()), 403),
    ] {
        let warned = warnings(limited, false, status).await;
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains("WARN") && warned[0].contains("into_make_service_with_connect_info"), "{warned:?}");
    }
    let proxy = |opening: &mut Opening| {
        opening.set_remote_addr(Some(([192, 0, 2, 1], 1).into()));
        Ok(())
    };
    for (quiet, with_addresses) in [
        (app(), false),
        (app().max_connections(9).max_handshakes_per_address(None), false),
        (app().gate(proxy).max_connections_per_address(9), false),
        (app().max_connections_per_address(9).max_handshakes_per_address(9), true),
        (app().addresses(only_office()), true),
    ] {
        assert_eq!(warnings(quiet, with_addresses, 101).await, [""; 0]);
    }
}

#[tokio::test]
async fn the_client_that_a_layer_of_gates_has_found_is_the_connections_too() {
    let gates = GateLayer::new(TrustedProxies::new(TrustedNetworks::loopback()));
    let router = axum::Router::new().fallback_service(app().into_service().unwrap()).layer(gates);
    let proxy = RemoteAddr(([127, 0, 0, 1], 1).into());
    let addr = serve_without_addresses(router.layer(axum::Extension(proxy))).await;
    let mut peer = Peer::connect(addr).await;
    peer.send(upgrade("/", "X-Forwarded-For: 192.0.2.7\r\n").as_bytes()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    peer.send(&frame(TEXT, b"who")).await;
    let told = peer.text().await;
    assert!(told.starts_with("Some(\"192.0.2.7:"), "{told}");
}

#[tokio::test]
async fn a_plain_socket_is_taken_back_with_all_that_was_read_ahead() {
    let sockets = app().max_connections_per_address(0).into_service().unwrap();
    let axum = serve_without_addresses(axum::Router::new().fallback_service(sockets.clone())).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hyper = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(sockets);
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    });
    for addr in [axum, hyper] {
        let mut peer = Peer::connect(addr).await;
        let long = "#".repeat(50_000);
        let all = [upgrade("/", "").into_bytes(), frame(TEXT, long.as_bytes()), frame(TEXT, b"who")].concat();
        peer.send(&all).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "), "without an address none is counted");
        assert_eq!(peer.text().await, long);
        // Only the socket itself can have told this.
        let local = peer.0.local_addr().unwrap();
        assert_eq!(peer.text().await, format!("Some(\"{local}\") None None None None /"));
    }
}

#[tokio::test]
async fn streams_that_are_no_socket_work_as_well() {
    let sockets = app().into_service().unwrap();
    let (mut near, far) = tokio::io::duplex(1000);
    let service = TowerToHyperService::new(sockets.clone());
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades());
    let hello = [upgrade("/", "").into_bytes(), frame(TEXT, b"who"), frame(TEXT, &[b'x'; 3000])].concat();
    let mut answer = Vec::new();
    let (mut read, mut write) = tokio::io::split(&mut near);
    let send = async { write.write_all(&hello).await.unwrap() };
    let receive = async {
        while !answer.ends_with(&[b'x'; 3000]) {
            assert!(soon(read.read_buf(&mut answer)).await.unwrap() > 0);
        }
    };
    tokio::join!(send, receive);
    assert!(String::from_utf8_lossy(&answer).contains("None None None None None /"), "there is no address");
    drop(near);
    soon(sockets.connections().empty()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_behind_axum_works_as_well() {
    let path = std::env::temp_dir().join(format!("wsrv-hosts-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = axum::Router::new().fallback_service(app().into_service().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    let mut unix = tokio::net::UnixStream::connect(&path).await.unwrap();
    std::fs::remove_file(path).unwrap();
    unix.write_all(&[upgrade("/", "").into_bytes(), frame(TEXT, b"hello")].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x81\x05hello") {
        assert!(soon(unix.read_buf(&mut answer)).await.unwrap() > 0, "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_no_upgrades_gets_an_honest_answer() {
    use tower_service::Service;
    let mut sockets = app().into_service().unwrap();
    let request = |version| {
        let mut request = http::Request::get("/").version(version).header("host", "a");
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ] {
            request = request.header(name, value);
        }
        request.extension(RemoteAddr(([127, 0, 0, 1], 1).into())).body(()).unwrap()
    };
    let answer = sockets.call(request(http::Version::HTTP_11)).await.unwrap();
    assert_eq!(answer.status(), 500);
    soon(sockets.connections().empty()).await;
    let answer = sockets.call(request(http::Version::HTTP_2)).await.unwrap();
    assert_eq!(answer.status(), 505);
    assert!(!answer.headers().contains_key("connection"), "HTTP/2 has no such header");
    // Over HTTP/2 nobody asks for an upgrade.
    let page = |uri| http::Request::get(uri).version(http::Version::HTTP_2).body(()).unwrap();
    assert_eq!(sockets.call(page("https://a.example/nowhere")).await.unwrap().status(), 404);
    assert_eq!(sockets.call(page("https://a.example/")).await.unwrap().status(), 505);
}
