//! The opening handshake of a whole server: what is refused, how, and what is never lost.

mod common;

use common::{CLOSE, Peer, Running, TEXT, answer, close_frame, frame, serve, soon, status, upgrade};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use wsrv_app::prelude::*;
use wsrv_rfc6455::handshake::{HeadLimits, Subprotocols};

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        if let Some(room) = conn.param("room") {
            conn.try_send(format!("in {room}, {:?}", conn.request().query()))?;
        }
        if let Some(name) = conn.subprotocol() {
            conn.try_send(format!("speaking {name}"))?;
        }
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

/// Another type of handler.
struct Shout;

impl Handler<WebSocketConnection> for Shout {
    type State = u32;
    async fn on_open(&self, _: &WebSocketConnection) -> Result<u32, Error> {
        Ok(0)
    }
    async fn on_message(&self, conn: &WebSocketConnection, count: &mut u32, message: Message) -> Result<(), Error> {
        *count += 1;
        let text = message.as_text().unwrap_or_default().to_uppercase();
        Ok(conn.send(format!("{count} {text}")).await?)
    }
}

async fn server() -> Running {
    let app = App::new()
        .route("/", Echo)
        .route("/shout", Shout)
        .route("/rooms/{room}", Echo)
        .route("/host", Route::new(Shout).host("Shout.example"))
        .route("/host", Echo)
        .route("/strict", Route::new(Echo).subprotocols(Subprotocols::new(["wamp", "chat"]).unwrap()))
        .route("/lenient", Route::new(Echo).subprotocols(Subprotocols::new(["wamp", "chat"]).unwrap().optional()))
        .route("/origin", Route::new(Echo).gate(AllowedOrigins::new(["https://example.com"]).unwrap()))
        .handshake_timeout(Duration::from_millis(700));
    serve(app).await
}

#[tokio::test]
async fn a_frame_glued_to_the_request_is_answered() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    peer.send(&[upgrade("/", "").into_bytes(), frame(TEXT, b"glued"), close_frame(1000, "")].concat()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.text().await, "glued");
    assert_eq!(peer.close_code().await, 1000);
    assert_eq!(peer.frame().await, None);
}

#[tokio::test]
async fn what_follows_the_head_does_not_count_against_its_limit() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    let big = "x".repeat(500_000);
    let almost = format!("X-Fill: {}\r\n", "y".repeat(8000));
    peer.send(&[upgrade("/", &almost).into_bytes(), frame(TEXT, big.as_bytes())].concat()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.text().await, big);
}

#[tokio::test]
async fn a_handshake_in_single_bytes_is_as_good_as_any() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    for byte in [upgrade("/", "").into_bytes(), frame(TEXT, "größer".as_bytes())].concat() {
        peer.send(&[byte]).await;
    }
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.text().await, "größer");
}

#[tokio::test]
async fn requests_that_break_a_rule_are_refused_with_its_status() {
    let server = server().await;
    let good = upgrade("/", "");
    let long = |name: &str, len: usize| upgrade("/", &format!("{name}: {}\r\n", "x".repeat(len)));
    let table: Vec<(&str, u16, String)> = vec![
        ("no such path", 404, upgrade("/nowhere", "")),
        ("a lower-case method", 405, good.replace("GET", "get")),
        ("another method", 405, good.replace("GET", "POST")),
        ("HTTP/1.0", 505, good.replace("HTTP/1.1", "HTTP/1.0")),
        ("HTTP/2", 505, good.replace("HTTP/1.1", "HTTP/2.0")),
        ("no host", 400, good.replace("Host: localhost\r\n", "")),
        ("two hosts", 400, upgrade("/", "Host: localhost\r\n")),
        ("no upgrade", 426, good.replace("Upgrade: websocket\r\n", "")),
        ("an upgrade to something like it", 426, good.replace(": websocket", ": notwebsocketx")),
        ("no connection header", 400, good.replace("Connection: Upgrade\r\n", "")),
        ("a connection header that only looks like it", 400, good.replace(": Upgrade", ": not-upgradex")),
        ("no version", 426, good.replace("Sec-WebSocket-Version: 13\r\n", "")),
        ("version 13abc", 426, good.replace(": 13", ": 13abc")),
        ("version 8", 426, good.replace(": 13", ": 8")),
        ("no key", 400, good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        ("a key that is too short", 400, good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl")),
        ("a key that is no base64", 400, good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q==")),
        ("a body", 400, upgrade("/", "Content-Length: 14\r\n") + "GET / HTTP/1.1"),
        ("a chunked body", 400, upgrade("/", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"),
        ("an odd transfer encoding", 400, upgrade("/", "Transfer-Encoding: xchunked\r\n")),
        ("two lengths", 400, upgrade("/", "Content-Length: 0\r\nContent-Length: 0\r\n")),
        ("a length that is no number", 400, upgrade("/", "Content-Length: +0\r\n")),
        ("a folded header", 400, upgrade("/", "X-A: b\r\n c\r\n")),
        ("a space before a colon", 400, upgrade("/", "X-A : b\r\n")),
        ("a bare CR", 400, upgrade("/", "X-A: b\rUpgrade: websocket\r\n")),
        ("a bare LF", 400, good.replace("\r\n", "\n")),
        ("a NUL", 400, upgrade("/", "X-A: b\0\r\n")),
        ("no HTTP at all", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".into()),
        ("a fragment in the target", 400, upgrade("/#x", "")),
        ("a long target", 414, upgrade(&format!("/{}", "x".repeat(9000)), "")),
        ("a long line", 431, long("X-Fill", 9000)),
        ("a long head", 431, upgrade("/", &format!("X-Fill: {}\r\n", "x".repeat(6000)).repeat(3))),
        ("many headers", 431, upgrade("/", &"X-A: b\r\n".repeat(120))),
        ("a subprotocol that is no token", 400, upgrade("/", "Sec-WebSocket-Protocol: a b\r\n")),
        ("a subprotocol the server does not speak", 400, upgrade("/strict", "Sec-WebSocket-Protocol: mqtt\r\n")),
        ("no subprotocol where one is needed", 400, upgrade("/strict", "")),
        ("no origin", 403, upgrade("/origin", "")),
        ("another origin", 403, upgrade("/origin", "Origin: https://example.com.evil.test\r\n")),
    ];
    for (what, expected, request) in table {
        assert_eq!(status(server.addr, request.as_bytes()).await, expected, "{what}");
    }
}

#[tokio::test]
async fn refusals_say_what_would_be_accepted_and_nothing_about_the_server() {
    let server = server().await;
    let (head, _) = answer(server.addr, upgrade("/", "").replace("GET", "PUT").as_bytes()).await;
    assert!(head.contains("\r\nallow: GET\r\n"), "{head}");
    let (head, _) = answer(server.addr, upgrade("/", "").replace(": 13", ": 7").as_bytes()).await;
    assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
    let (head, body) = answer(server.addr, b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n").await;
    assert!(!head.contains("script") && !body.contains("script"), "nothing of the request is repeated");
    for name in ["server:", "x-powered-by:"] {
        assert!(!head.to_lowercase().contains(name), "{head}");
    }
}

#[tokio::test]
async fn odd_but_valid_requests_are_welcome() {
    let server = server().await;
    let good = upgrade("/", "");
    for (what, request) in [
        ("several upgrade tokens", good.replace(": websocket", ": foo/2, WebSocket")),
        ("several connection tokens", good.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")),
        ("connection in two lines", upgrade("/", "Connection: keep-alive\r\n")),
        ("an extension nobody knows", upgrade("/", "Sec-WebSocket-Extensions: constructor; __proto__=1\r\n")),
        ("a malformed extension", upgrade("/", "Sec-WebSocket-Extensions: =;;, \"\r\n")),
        ("a subprotocol where there is none", upgrade("/", "Sec-WebSocket-Protocol: chat\r\n")),
        ("a length of nothing", upgrade("/", "Content-Length: 0\r\n")),
        ("a whole URI", upgrade("http://localhost/", "")),
        ("the right origin", upgrade("/origin", "Origin: https://EXAMPLE.com:443\r\n")),
        ("lower-case names", good.replace("Host", "host").replace("Sec-WebSocket-Key", "sec-websocket-key")),
        ("an empty line first", format!("\r\n{good}")),
    ] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(request.as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{what}: {head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{what}: {head}");
        for absent in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            assert!(!head.contains(absent), "{what}: {head}");
        }
        peer.say("hello").await;
        assert_eq!(peer.text().await, "hello", "{what}");
    }
}

#[tokio::test]
async fn the_clients_first_choice_that_the_server_speaks_is_selected() {
    let server = server().await;
    for (path, offer, selected) in [
        ("/strict", "Sec-WebSocket-Protocol: mqtt, chat, wamp\r\n", Some("chat")),
        ("/strict", "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: wamp\r\n", Some("wamp")),
        ("/lenient", "Sec-WebSocket-Protocol: wamp\r\n", Some("wamp")),
        ("/lenient", "Sec-WebSocket-Protocol: mqtt\r\n", None),
        ("/lenient", "", None),
    ] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(upgrade(path, offer).as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        match selected {
            Some(name) => {
                assert!(head.contains(&format!("\r\nSec-WebSocket-Protocol: {name}\r\n")), "{head}");
                assert_eq!(peer.text().await, format!("speaking {name}"));
            }
            None => assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}"),
        }
    }
}

#[tokio::test]
async fn each_path_and_host_has_its_own_handler() {
    let server = server().await;
    let mut peer = Peer::open(server.addr, "/shout").await;
    peer.say("hello").await;
    peer.say("again").await;
    assert_eq!((peer.text().await, peer.text().await), ("1 HELLO".into(), "2 AGAIN".into()));
    for (host, expected) in [("localhost", "hello"), ("shout.example:8080", "1 HELLO"), ("SHOUT.example.", "1 HELLO")] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(upgrade("/host", "").replace("localhost", host).as_bytes()).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
        peer.say("hello").await;
        assert_eq!(peer.text().await, expected, "{host}");
    }
}

#[tokio::test]
async fn the_query_cannot_change_a_parameter() {
    let server = server().await;
    let mut peer = Peer::open(server.addr, "/rooms/engine%20room?room=garden").await;
    assert_eq!(peer.text().await, "in engine room, Some(\"room=garden\")");
}

#[tokio::test]
async fn a_refusal_is_not_lost_although_the_peer_goes_on_sending() {
    let server = server().await;
    let mut peer = Peer::connect(server.addr).await;
    let request = upgrade("/", "Content-Length: 100000\r\n") + &"x".repeat(100_000);
    peer.send(request.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 400 "));
    // A server that closed its socket would answer this with a reset.
    for _ in 0..5 {
        peer.send(&[b'x'; 1000]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    peer.rest().await;
}

#[tokio::test]
async fn after_a_refusal_a_peer_is_read_for_a_while_only_and_only_so_much() {
    let server = server().await;
    let refused = async || {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(upgrade("/nowhere", "").as_bytes()).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 404 "));
        peer.0
    };
    let mut dribbles = refused().await;
    let began = Instant::now();
    while dribbles.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "read for ever");
    }
    assert!(began.elapsed() > Duration::from_millis(1500), "it had some time");

    let mut floods = refused().await;
    let mut sent = 0;
    while let Ok(size) = soon(floods.write(&[b'x'; 64 * 1024])).await {
        sent += size;
        // Most of it lies in the system's buffers; a server that counts nothing takes more in its two seconds.
        assert!(sent < 32 << 20, "{sent} bytes");
    }
}

#[tokio::test]
async fn nothing_behind_a_refusal_is_taken_for_another_request_or_for_frames() {
    let server = server().await;
    let smuggled = upgrade("/", "Content-Length: 11\r\n").into_bytes();
    let mut peer = Peer::connect(server.addr).await;
    peer.send(&[smuggled, frame(TEXT, b"hello"), upgrade("/", "").into_bytes()].concat()).await;
    let head = peer.head().await;
    let body = peer.rest().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(!String::from_utf8_lossy(&body).contains("HTTP/1.1"), "one answer only");
}

#[tokio::test]
async fn a_peer_that_dribbles_meets_one_deadline() {
    let server = server().await;
    let began = Instant::now();
    let mut peer = Peer::connect(server.addr).await;
    let dribble = async {
        for byte in upgrade("/", &"X-A: b\r\n".repeat(50)).bytes() {
            if peer.0.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(1500), dribble).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 408 "));
    peer.rest().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let silent = Peer::connect(server.addr).await.head().await;
    assert!(silent.starts_with("HTTP/1.1 408 "), "{silent}");
}

#[tokio::test]
async fn a_gate_may_wait_attach_refuse_and_set_headers() {
    #[derive(Clone)]
    struct User(String);
    struct Login;
    impl Gate for Login {
        async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let user = opening.request().header_str("x-user").ok_or_else(|| Rejection::forbidden("who are you?"))?;
            let user = User(user.to_owned());
            opening.extensions_mut().insert(user);
            let cookie = "seen=1; HttpOnly".parse().unwrap();
            opening.response_headers_mut().insert(http::header::SET_COOKIE, cookie);
            Ok(())
        }
    }
    struct WhoAmI;
    impl Handler<WebSocketConnection> for WhoAmI {
        type State = ();
        async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
            Ok(conn.send(conn.extensions().get::<User>().ok_or("no user")?.0.as_str()).await?)
        }
        async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
            Ok(())
        }
    }
    let server = serve(App::new().gate(Login).route("/", WhoAmI)).await;
    let (head, body) = answer(server.addr, upgrade("/", "").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 403 ") && body.contains("who are you?"), "{head}{body}");
    let mut peer = Peer::connect(server.addr).await;
    peer.send(upgrade("/", "X-User: ada\r\n").as_bytes()).await;
    assert!(peer.head().await.contains("\r\nset-cookie: seen=1; HttpOnly\r\n"));
    assert_eq!(peer.text().await, "ada");
}

#[tokio::test]
async fn a_gate_that_panics_refuses_and_harms_nobody_else() {
    let gate = |opening: &mut Opening| match opening.request().query() {
        Some(_) => panic!("on purpose"),
        None => Ok(()),
    };
    let server = serve(App::new().gate(gate).route("/", Echo)).await;
    assert_eq!(status(server.addr, upgrade("/?x", "").as_bytes()).await, 500);
    drop(Peer::open(server.addr, "/").await);
}

#[tokio::test]
async fn a_gate_that_never_decides_meets_the_deadline() {
    struct Undecided;
    impl Gate for Undecided {
        async fn admit(&self, _: &mut Opening) -> Result<(), Rejection> {
            std::future::pending().await
        }
    }
    let app = App::new().gate(Undecided).route("/", Echo).handshake_timeout(Duration::from_millis(200));
    let server = serve(app).await;
    assert_eq!(status(server.addr, upgrade("/", "").as_bytes()).await, 503);
}

#[tokio::test]
async fn limits_of_the_head_can_be_changed() {
    let app = App::new().route("/", Echo).head_limits(HeadLimits::default().with_max_size(400));
    let server = serve(app).await;
    drop(Peer::open(server.addr, "/").await);
    assert_eq!(status(server.addr, upgrade("/", &format!("X: {}\r\n", "x".repeat(300))).as_bytes()).await, 431);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_request_leaves_nothing_behind() {
    let app = App::new().route("/", Echo);
    let connections = app.connections().clone();
    let server = serve(app).await;
    for cut in [0, 1, 50, 140] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(&upgrade("/", "").as_bytes()[..cut]).await;
        peer.0.shutdown().await.unwrap();
        assert_eq!(peer.rest().await, b"");
    }
    assert!(connections.is_empty());
    // And it goes on serving.
    let mut peer = Peer::open(server.addr, "/").await;
    peer.send(&close_frame(1000, "bye")).await;
    assert_eq!(peer.frame().await, Some((CLOSE, b"\x03\xe8bye".to_vec())));
    soon(connections.empty()).await;
}
