//! Connecting, talking and ending, with servers that do as they should.

mod common;

use common::{Authority, accept, app, raw, serve, serve_tls, soon};
use futures_util::FutureExt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use wsrv_client::wsrv_core::{ClosedBy, Connection, Connections, Error, Handler, Limits, Reason};
use wsrv_client::wsrv_rfc6455::{CloseCode, Limits as MessageLimits};
use wsrv_client::{Client, ConnectError, InvalidRequest, Message, Proxy, WebSocketConnection};

#[tokio::test]
async fn messages_of_all_sizes_come_back() {
    let url = format!("ws://{}/echo", serve(app()).await);
    let mut socket = soon(wsrv_client::connect(&url)).await.unwrap();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let message = Message::from(vec![7; size]);
        soon(socket.send(message.clone())).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), message, "{size}");
    }
    socket.close(Reason::Done);
    assert!(soon(socket.recv()).await.is_none());
    assert_eq!(socket.peer_close().unwrap().code, CloseCode::NORMAL);
}

#[tokio::test]
async fn both_ends_know_the_request_and_the_answer() {
    let addr = serve(app()).await;
    let url = format!("ws://{addr}/chat?a=b");
    let client = Client::new(&url).unwrap().subprotocols(["superchat", "chat"]).header("x-own", "1");
    let socket = soon(client.connect()).await.unwrap();
    assert_eq!(socket.request().target(), "/chat?a=b");
    assert_eq!(socket.request().host(), Some(addr.to_string().as_str()));
    assert_eq!(socket.request().header_str("x-own"), Some("1"));
    let response = socket.response().unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("sec-websocket-accept"));
    assert_eq!(socket.subprotocol(), Some("superchat"));
    assert_eq!(socket.remote_addr(), Some(addr));
    assert_eq!(socket.remote_name(), addr.to_string());
    assert!(socket.local_addr().is_some_and(|addr| addr.ip().is_loopback()));
}

#[tokio::test]
async fn headers_cookies_and_credentials_are_sent() {
    let addr = serve(app()).await;
    let client = Client::new(&format!("ws://us%65r:pass@{addr}/about")).unwrap();
    let client = client.cookie("a", "1").header("origin", "http://x.example").cookie("b", "\"2\"").header("x-own", "3");
    let mut socket = soon(client.connect()).await.unwrap();
    let told = soon(socket.recv()).await.unwrap();
    let expected = format!(
        "/about {addr}\nauthorization: Basic dXNlcjpwYXNz\ncookie: a=1; b=\"2\"\norigin: http://x.example\nx-own: 3"
    );
    assert_eq!(told.as_text(), Some(expected.as_str()));
    assert!(soon(socket.recv()).await.is_none());
    let shown = format!("{:?}", client.subprotocols(["token.s3cret"]));
    assert!(!shown.contains("pass") && !shown.contains("dXNl") && !shown.contains("a=1"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_before_anybody_is_bothered() {
    let client = || Client::new("ws://127.0.0.1:1/").unwrap();
    let oversized = (0..10).fold(client(), |client, _| client.header("x-own", "a".repeat(8_000)));
    for (client, what) in [
        (client().header("a b", "c"), "malformed header"),
        (client().header("a", "b\r\nc: d"), "malformed header"),
        (client().cookie("a;b", "c"), "malformed cookie"),
        (client().cookie("a", "b; c=d"), "malformed cookie"),
        (client().basic_auth("a:b", "c"), "malformed user name or password"),
        (client().bearer_auth("a\nb"), "malformed user name or password"),
        (client().header("host", "other"), "the header belongs to the handshake itself"),
        (client().subprotocols(["a b"]), "an offered subprotocol is not a token"),
        (client().subprotocols(["a", "a"]), "a subprotocol is offered twice"),
    ] {
        let error = soon(client.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Request(_)) && error.is_permanent(), "{error:?}");
        assert_eq!(error.to_string(), what);
    }
    let (stream, _peer) = tokio::io::duplex(1 << 20);
    let error = soon(oversized.open_over(stream)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Request(InvalidRequest::TooLarge)), "{error:?}");
}

#[tokio::test]
async fn a_foreign_server_is_understood_and_understands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        use futures_util::{SinkExt, StreamExt};
        let mut peer = tokio_tungstenite::accept_async(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok(message)) = peer.next().await {
            if message.is_text() || message.is_binary() {
                peer.send(message).await.unwrap();
            }
        }
    });
    let mut socket = soon(wsrv_client::connect(&url)).await.unwrap();
    for message in [Message::from("text"), Message::from(vec![1, 2, 3]), Message::from("x".repeat(100_000))] {
        soon(socket.send(message.clone())).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), message);
    }
    drop(socket);
    soon(server).await.unwrap();
}

#[tokio::test]
async fn a_handler_runs_as_on_a_server_and_its_end_is_told() {
    struct Count(AtomicUsize);
    impl Handler<WebSocketConnection> for Count {
        type State = usize;
        async fn on_open(&self, conn: &WebSocketConnection) -> Result<usize, Error> {
            conn.send("go").await?;
            Ok(0)
        }
        async fn on_message(
            &self,
            conn: &WebSocketConnection,
            count: &mut usize,
            message: Message,
        ) -> Result<(), Error> {
            *count += 1;
            self.0.store(*count, SeqCst);
            match *count {
                3 => conn.close(Reason::Done),
                _ => conn.send(message).await?,
            }
            Ok(())
        }
    }
    let client = Client::new(&format!("ws://{}/echo", serve(app()).await)).unwrap();
    let count = std::sync::Arc::new(Count(AtomicUsize::new(0)));
    let closed = soon(soon(client.open()).await.unwrap().run(count.clone())).await;
    assert_eq!((closed.by, closed.clean, count.0.load(SeqCst)), (ClosedBy::Local, true, 3));
    let closed = soon(client.run(Count(AtomicUsize::new(0)))).await.unwrap();
    assert_eq!((closed.by, closed.clean), (ClosedBy::Local, true));
}

#[tokio::test]
async fn the_halves_of_a_socket_work_in_two_tasks() {
    let url = format!("ws://{}/echo", serve(app()).await);
    let (sink, mut stream) = soon(wsrv_client::connect(&url)).await.unwrap().split();
    let sender = tokio::spawn(async move {
        for n in 0..1_000 {
            sink.send(n.to_string()).await.unwrap();
        }
    });
    for n in 0..1_000 {
        assert_eq!(soon(stream.recv()).await.unwrap().as_text(), Some(n.to_string().as_str()));
    }
    soon(sender).await.unwrap();
    stream.connection().close_with(CloseCode::from(4000), "enough").unwrap();
    assert!(soon(stream.recv()).await.is_none());
}

#[tokio::test]
async fn what_came_before_the_servers_goodbye_is_kept_for_a_slow_reader() {
    let client = Client::new(&format!("ws://{}/close", serve(app()).await)).unwrap();
    let client = client.limits(Limits::default().with_close_timeout(Duration::from_millis(100)));
    let mut socket = soon(client.connect()).await.unwrap();
    soon(socket.closed()).await;
    // Longer than a step of a handler would be waited for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in ["1", "2", "3"] {
        assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some(n));
    }
    assert!(soon(socket.recv()).await.is_none());
    assert_eq!(socket.peer_close().unwrap().code, CloseCode::RESTART);
}

#[tokio::test]
async fn a_socket_that_is_dropped_says_goodbye() {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let addr = raw(move |mut stream, head| {
        let told = told.clone();
        async move {
            stream.write_all(answer(&head).as_bytes()).await.unwrap();
            let mut frames = Vec::new();
            // A server that does not answer.
            let _ = stream.read_to_end(&mut frames).await;
            told.send(frames).unwrap();
        }
    })
    .await;
    let limits = Limits::default().with_close_timeout(Duration::from_millis(100));
    let client = Client::new(&format!("ws://{addr}/")).unwrap().limits(limits);
    drop(soon(client.connect()).await.unwrap());
    let frames = soon(hear.recv()).await.unwrap();
    // A masked close frame with 1000.
    assert_eq!((frames[0], frames[1], frames.len()), (0x88, 0x82, 8));
    assert_eq!([frames[6] ^ frames[2], frames[7] ^ frames[3]], 1000_u16.to_be_bytes());

    let socket = soon(client.connect()).await.unwrap();
    socket.cut();
    assert_eq!(soon(hear.recv()).await.unwrap(), b"");
}

#[tokio::test]
async fn after_the_goodbyes_the_server_ends_the_stream() {
    // The client's end of the stream comes only behind the server's.
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let addr = raw(move |mut stream, head| {
        let told = told.clone();
        async move {
            stream.write_all(answer(&head).as_bytes()).await.unwrap();
            let mut close = [0; 8];
            stream.read_exact(&mut close).await.unwrap();
            stream.write_all(b"\x88\x02\x03\xE8").await.unwrap();
            let early = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
            stream.shutdown().await.unwrap();
            let end = stream.read_u8().await;
            told.send((early.is_err(), end.is_err())).unwrap();
        }
    })
    .await;
    let mut socket = soon(wsrv_client::connect(&format!("ws://{addr}/"))).await.unwrap();
    socket.close(Reason::Done);
    assert!(soon(socket.recv()).await.is_none());
    assert_eq!(soon(hear.recv()).await.unwrap(), (true, true));
}

#[tokio::test]
async fn one_direction_can_be_closed_alone() {
    let addr = raw(|mut stream, head| async move {
        stream.write_all(answer(&head).as_bytes()).await.unwrap();
        let mut close = [0; 8];
        stream.read_exact(&mut close).await.unwrap();
        for _ in 0..20 {
            stream.write_all(b"\x81\x05still").await.unwrap();
        }
        stream.write_all(b"\x88\x02\x03\xE8").await.unwrap();
    })
    .await;
    let mut socket = soon(wsrv_client::connect(&format!("ws://{addr}/"))).await.unwrap();
    socket.close_write(Reason::Done);
    assert!(socket.try_send("no more").is_err());
    let mut heard = 0;
    while let Some(message) = soon(socket.recv()).await {
        assert_eq!(message.as_text(), Some("still"));
        heard += 1;
    }
    assert_eq!(heard, 20);
}

#[tokio::test]
async fn no_message_is_lost_when_receiving_is_given_up_again_and_again() {
    let url = format!("ws://{}/echo", serve(app()).await);
    let mut socket = soon(wsrv_client::connect(&url)).await.unwrap();
    let conn = socket.connection().clone();
    let sender = tokio::spawn(async move {
        for n in 0..300 {
            conn.send(n.to_string()).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut next = 0;
    while next < 300 {
        let received = tokio::select! {
            biased;
            message = socket.recv() => message,
            () = tokio::task::yield_now() => continue,
        };
        assert_eq!(received.unwrap().as_text(), Some(next.to_string().as_str()));
        next += 1;
    }
    soon(sender).await.unwrap();
}

#[tokio::test]
async fn connecting_that_is_dropped_leaves_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Connections::new();
    let to = |url: String| Client::new(&url).unwrap().tracked_by(&connections);
    let through = |proxy: String| to("ws://server.example/".to_owned()).proxy(Proxy::new(&proxy).unwrap());
    // The name is being looked up: nobody will come.
    assert!(to(format!("ws://localhost:{}/", addr.port())).connect().now_or_never().is_none());
    // An address does not answer. When there is room again nobody comes, though who waits asks again each second.
    #[cfg(target_os = "linux")]
    {
        let ((full, waiting), addr) = dead().await;
        let client = to("ws://several.example/".to_owned()).addresses([addr, addr]);
        assert!(tokio::time::timeout(Duration::from_millis(300), client.connect()).await.is_err());
        for _ in &waiting {
            soon(full.accept()).await.unwrap();
        }
        drop(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(1500), full.accept()).await.is_err());
    }
    // Somebody is there, and says nothing or too little: the proxy, in the TLS handshake, in the answer.
    for (client, part) in [
        (through(format!("http://{addr}")), ""),
        (through(format!("http://{addr}")), "HTTP/1.1 200"),
        (through(format!("socks5://{addr}")), ""),
        (to(format!("wss://{addr}/")), ""),
        (to(format!("ws://{addr}/")), ""),
        (to(format!("ws://{addr}/")), "HTTP/1.1 101"),
    ] {
        let connecting = tokio::spawn(async move { client.connect().await.map(drop) });
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        soon(stream.read_u8()).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        connecting.abort();
        assert!(soon(connecting).await.unwrap_err().is_cancelled());
        // The socket's end, or a reset.
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    assert!(listener.accept().now_or_never().is_none());
    assert_eq!(connections.len(), 0);
}

#[tokio::test]
async fn a_silent_server_is_pinged_and_given_up() {
    let addr = raw(|mut stream, head| async move {
        stream.write_all(answer(&head).as_bytes()).await.unwrap();
        let mut ping = [0; 2];
        stream.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 0x88]);
        std::future::pending::<()>().await;
    })
    .await;
    let limits =
        Limits::default().with_ping_after(Some(Duration::from_secs(1))).with_pong_timeout(Duration::from_secs(1));
    let client = Client::new(&format!("ws://{addr}/")).unwrap().limits(limits);
    let (socket, driver) = soon(client.open()).await.unwrap().socket();
    assert_eq!(soon(driver).await.by, ClosedBy::Timeout);
    assert!(!socket.is_open());
}

#[tokio::test]
async fn tls_is_spoken_where_the_url_says_so() {
    let authority = Authority::new();
    let addr = serve_tls(app(), authority.tls(&["localhost", "127.0.0.1"])).await;
    let own = Client::new(&format!("wss://localhost:{}/echo", addr.port())).unwrap().addresses([addr]);
    let mut socket = soon(own.clone().tls(authority.client()).connect()).await.unwrap();
    for message in [Message::from("hello"), Message::from(vec![7; 1 << 20])] {
        soon(socket.send(message.clone())).await.unwrap();
        assert_eq!(soon(socket.recv()).await.unwrap(), message);
    }
    assert_eq!(socket.remote_addr(), Some(addr));
    assert!(socket.local_addr().is_some());
    socket.close(Reason::Done);
    assert!(soon(socket.recv()).await.is_none());
    assert!(socket.peer_close().is_some());

    let by_address = Client::new(&format!("wss://{addr}/echo")).unwrap().tls(authority.client());
    soon(by_address.connect()).await.unwrap();
    // Nobody but this authority vouches for it.
    assert!(matches!(soon(own.connect()).await, Err(ConnectError::Tls(_))));
    soon(own.clone().dangerously_accept_any_certificate().connect()).await.unwrap();
    // A certificate for another name.
    let other = Client::new(&format!("wss://other.example:{}/echo", addr.port())).unwrap().addresses([addr]);
    assert!(matches!(soon(other.tls(authority.client()).connect()).await, Err(ConnectError::Tls(_))));
}

#[tokio::test]
async fn a_stream_of_ones_own_will_do() {
    let addr = serve(app()).await;
    let client = Client::new("ws://somewhere.example/about").unwrap();
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut socket, driver) = soon(client.open_over(stream)).await.unwrap().socket();
    let driver = tokio::spawn(driver);
    assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some("/about somewhere.example"));
    assert!(soon(socket.recv()).await.is_none());
    let closed = soon(driver).await.unwrap();
    assert_eq!((closed.by, closed.clean), (ClosedBy::Peer, true));
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_will_do() {
    let path = std::env::temp_dir().join(format!("wsrv-client-{}.sock", std::process::id()));
    let listener = wsrv_app::wsrv_core::Listener::unix(&path).unwrap();
    let server = app().listen(listener).unwrap();
    tokio::spawn(server.serve_until(std::future::pending()));
    let client = Client::new("ws://somewhere.example/about").unwrap().unix_socket(&path);
    let mut socket = soon(client.connect()).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some("/about somewhere.example"));
    assert_eq!(socket.remote_name(), "unix");
}

/// An address that takes no connection and refuses none: its queue is full.
async fn dead() -> (TcpSocketGuard, std::net::SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
            Ok(stream) => waiting.push(stream.unwrap()),
            Err(_) => return ((listener, waiting), addr),
        }
        assert!(waiting.len() < 100, "the queue has an end");
    }
}

type TcpSocketGuard = (TcpListener, Vec<TcpStream>);

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dead_address_costs_a_quarter_of_a_second_and_a_refusing_one_nothing() {
    let (_guard, dead) = dead().await;
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let alive = serve(app()).await;
    let client = Client::new("ws://several.example/echo").unwrap();
    let began = std::time::Instant::now();
    let socket = soon(client.clone().addresses([dead, refusing, alive]).connect()).await.unwrap();
    assert_eq!(socket.remote_addr(), Some(alive));
    let took = began.elapsed();
    assert!((Duration::from_millis(240)..Duration::from_secs(5)).contains(&took), "{took:?}");

    let error = soon(client.clone().addresses([refusing, refusing]).connect()).await.unwrap_err();
    let ConnectError::Unreachable(unreachable) = &error else { panic!("{error:?}") };
    assert_eq!(unreachable.attempts().len(), 2);
    assert!(error.to_string().starts_with("cannot connect to several.example:80: 127.0.0.1:"), "{error}");
    let client = client.addresses([dead]).connect_timeout(Duration::from_millis(100));
    let error = soon(client.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection after 100ms, while connecting");
}

#[tokio::test]
async fn connections_come_from_the_address_that_was_set() {
    let addr = serve(app()).await;
    let client = Client::new(&format!("ws://{addr}/echo")).unwrap().local_address("127.0.0.2".parse().unwrap());
    let Ok(socket) = soon(client.connect()).await else {
        // Not every system has more than one.
        return assert_ne!(std::env::consts::OS, "linux");
    };
    assert_eq!(socket.local_addr().unwrap().ip().to_string(), "127.0.0.2");
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let error = soon(wsrv_client::connect("ws://nowhere.invalid/")).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Resolve { host, .. } if host == "nowhere.invalid"), "{error:?}");
    assert!(!error.is_permanent());
}

/// One end compresses, or both do.
#[cfg(feature = "deflate")]
#[tokio::test]
async fn messages_are_compressed_if_both_want_that() {
    use wsrv_client::wsrv_rfc6455::connection::WebSocket;
    use wsrv_client::wsrv_rfc6455::deflate::{Compression, Deflate};
    use wsrv_client::wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Compression::new(Deflate::default().with_takeover(true, true));
    let compressor = server.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = common::read_head(&mut stream).await;
            let mut head = bytes::BytesMut::from(head.as_bytes());
            let request = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
            let mut offer = handshake::check(&request).unwrap();
            let agreement = compressor.negotiate(&request);
            if let Some(agreement) = &agreement {
                offer.agree(agreement);
            }
            let mut answer = bytes::BytesMut::new();
            handshake::encode_accept(&offer, None, &http::HeaderMap::new(), &mut answer).unwrap();
            stream.write_all(&answer).await.unwrap();
            let wire = WebSocket::server(request).deflate(agreement);
            let echo =
                wsrv_client::wsrv_core::from_fn(|mut socket: wsrv_client::Socket<WebSocketConnection>| async move {
                    while let Some(message) = socket.recv().await {
                        socket.send(message).await?;
                    }
                    Ok(())
                });
            tokio::spawn(wsrv_client::wsrv_core::Driver::tcp(stream, wire).run(std::sync::Arc::new(echo)));
        }
    });
    let client = Client::new(&format!("ws://{addr}/")).unwrap();
    for is_offered in [false, true] {
        let compression = Compression::new(Deflate::default().with_takeover(true, true));
        let client = if is_offered { client.clone().deflate(&compression) } else { client.clone() };
        let mut socket = soon(client.connect()).await.unwrap();
        assert_eq!(socket.compression().is_some(), is_offered);
        for n in 0..10 {
            let text = format!("message {n} ").repeat(100);
            socket.send(text.as_str()).await.unwrap();
            assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some(text.as_str()));
        }
        assert_eq!(compression.stats().inflated > 0, is_offered);
        assert_eq!(server.stats().inflated > 0, is_offered);
    }
    // Small on the way, and too large in the end.
    let compression = Compression::new(Deflate::default());
    let client = client.deflate(&compression).message_limits(MessageLimits::default().with_max_message(1_000));
    let mut socket = soon(client.connect()).await.unwrap();
    socket.send("a".repeat(100_000)).await.unwrap();
    assert!(soon(socket.recv()).await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::TOO_BIG);
}

#[tokio::test]
async fn messages_beyond_the_limit_end_the_connection() {
    let client = Client::new(&format!("ws://{}/echo", serve(app()).await)).unwrap();
    let client = client.message_limits(MessageLimits::default().with_max_message(100));
    let mut socket = soon(client.connect()).await.unwrap();
    socket.send("a".repeat(101)).await.unwrap();
    assert!(soon(socket.recv()).await.is_none());
    assert_eq!(socket.close_frame().unwrap().code, CloseCode::TOO_BIG);
}

fn answer(head: &str) -> String {
    let accept = accept(head);
    format!("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
}
