//! Runs every example and talks to it, and runs the tests that some have in them.

// An example that is a test target of its own would not be built as a program.
#[allow(dead_code)]
#[path = "custom_wire.rs"]
mod custom_wire;
#[allow(dead_code)]
#[path = "layer.rs"]
mod layer;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

const PATIENCE: Duration = Duration::from_secs(10);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

struct Running {
    child: Child,
    // Kept open, or the example could not print any more.
    stdout: BufReader<ChildStdout>,
    /// What the example says it listens on.
    url: String,
}

impl Running {
    fn start(name: &str, args: &[&str]) -> Self {
        Running::run(Command::new(Running::program(name)).args(args))
    }

    /// Beside the folder this test program lies in.
    fn program(name: &str) -> PathBuf {
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        program.join("examples").join(name)
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example is built");
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut first).unwrap();
        let url = first.trim().trim_start_matches("ready ").to_owned();
        Running { child, stdout, url }
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Host and port.
    fn addr(&self) -> &str {
        self.url.trim_start_matches("ws://").split('/').next().unwrap()
    }

    /// A bare connection, whose reads do not wait for ever.
    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Peer(tokio_tungstenite::WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Peer {
    async fn connect(running: &Running) -> Self {
        Peer(tokio_tungstenite::connect_async(&running.url).await.unwrap().0)
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        self.next().await.into_text().unwrap().to_string()
    }

    async fn next(&mut self) -> Message {
        soon(self.0.next()).await.unwrap().unwrap()
    }

    async fn close(mut self) {
        // Fails if the other side has closed already.
        let _ = self.0.close(None).await;
        while self.0.next().await.is_some_and(|message| message.is_ok()) {}
    }
}

#[tokio::test]
async fn echo_pull_codec_and_conformance_send_back_what_they_get() {
    for (name, args) in [
        ("echo", &["127.0.0.1:0"][..]),
        ("pull", &["127.0.0.1:0"]),
        ("codec", &["127.0.0.1:0"]),
        ("conformance", &["--listen", "127.0.0.1:0"]),
        ("conformance", &["--listen", "127.0.0.1:0", "--host", "axum"]),
        ("graceful_shutdown", &["127.0.0.1:0"]),
    ] {
        let running = Running::start(name, args);
        let mut peer = Peer::connect(&running).await;
        for text in ["one", "", &"größer".repeat(10_000)] {
            peer.say(text).await;
            assert_eq!(peer.hear().await, text, "{name}");
        }
        peer.close().await;
    }
}

#[tokio::test]
async fn bench_peer_serves_on_the_port_it_is_given() {
    for (mode, options) in [
        ("echo", &["--threads", "1"][..]),
        ("broadcast", &["--threads", "2"]),
        ("broadcast", &["--threads", "2", "--runtime-per-thread"]),
        ("broadcast", &["--topics", "1500"]),
        ("echo", &["--layers", "3"]),
    ] {
        // Free for a moment at least.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut running = Running::start("bench_peer", &[&[mode, &port.to_string()], options].concat());
        running.url = format!("ws://127.0.0.1:{port}/");
        // Who has been answered is a member.
        let mut ada = Peer::connect(&running).await;
        ada.say("here first").await;
        assert_eq!(ada.hear().await, "here first");
        let mut grace = Peer::connect(&running).await;
        grace.say("here").await;
        assert_eq!(grace.hear().await, "here");
        if mode == "broadcast" {
            assert_eq!(ada.hear().await, "here");
        }
        ada.say("hello").await;
        assert_eq!(ada.hear().await, "hello");
        if mode == "broadcast" {
            assert_eq!(grace.hear().await, "hello");
        }
    }
}

#[tokio::test]
async fn chat_brings_those_in_a_room_together() {
    let running = Running::start("chat", &["127.0.0.1:0"]);
    let mut ada = Peer::connect(&running).await;
    assert_eq!(ada.hear().await, "0 others are here");
    let mut grace = Peer::connect(&running).await;
    assert_eq!(grace.hear().await, "1 others are here");
    assert_eq!(ada.hear().await, "2 has joined");
    grace.say("hello").await;
    assert_eq!(ada.hear().await, "2: hello");
    grace.close().await;
    assert_eq!(ada.hear().await, "2 has left");
}

/// A client as Ratchet's are: with prefixes that leave out the `#`.
struct ChatClient {
    peer: Peer,
    calls: u32,
}

impl ChatClient {
    /// Comes from this address; the status, if that is refused.
    async fn connect(running: &Running, from: &str) -> Result<Self, u16> {
        let mut request = running.url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "wamp".parse().unwrap());
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from.parse::<std::net::Ipv4Addr>().unwrap(), 0).into()).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(running.addr().parse().unwrap()).await.unwrap());
        let mut peer = match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Peer(stream),
            Err(tungstenite::Error::Http(answer)) => return Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        };
        assert!(peer.hear().await.starts_with(r#"[0,""#));
        peer.say(r#"[1,"chat","http://chat.example/chat"]"#).await;
        peer.say(r#"[1,"room","http://chat.example/room"]"#).await;
        Ok(ChatClient { peer, calls: 0 })
    }

    /// The answer without its id. Events that come before it are a fault of the test.
    async fn call(&mut self, procedure: &str, arguments: &str) -> Value {
        self.calls += 1;
        self.peer.say(&format!(r#"[2,"{}","chat:{procedure}",{arguments}]"#, self.calls)).await;
        let mut answer: Value = serde_json::from_str(&self.peer.hear().await).unwrap();
        assert_eq!(answer[1], self.calls.to_string(), "{answer}");
        answer.as_array_mut().unwrap().remove(1);
        answer
    }

    async fn event(&mut self, topic: &str) -> Value {
        let event: Value = serde_json::from_str(&self.peer.hear().await).unwrap();
        assert_eq!((&event[0], &event[1]), (&json!(8), &json!(topic)), "{event}");
        event[2].clone()
    }
}

#[tokio::test]
async fn ratchet_port_serves_the_clients_that_ratchet_has_served() {
    let running = Running::start("ratchet_port", &["127.0.0.1:0"]);
    let (lobby, tea) = ("http://chat.example/chat#rooms", "http://chat.example/room#1");
    let mut ada = ChatClient::connect(&running, "127.0.0.1").await.unwrap();
    ada.peer.say(r#"[5,"chat:rooms"]"#).await;
    assert_eq!(ada.event(lobby).await, json!({ "rooms": [] }));

    // A list that is the only argument is the arguments.
    assert_eq!(ada.call("set-nick", r#"[" Ada "]"#).await, json!([3, "Ada"]));
    assert_eq!(ada.call("set-nick", "7").await[1], "http://api.wamp.ws/error#invalid-argument");
    let no_such = ada.call("dance", "1").await;
    assert_eq!(no_such, json!([4, "http://chat.example/chat#dance", "there is no such call"]));
    ada.peer.say(r#"[2,"0","chat:create-room","Tea"]"#).await;
    let created = json!({ "topic": tea, "title": "Tea" });
    assert_eq!(ada.event(lobby).await, json!({ "created": created }));
    assert_eq!(ada.peer.hear().await, format!(r#"[3,"0",{created}]"#));

    // A room that there is not, silently; then one that there is. Who publishes hears it too.
    ada.peer.say(r#"[5,"room:2"]"#).await;
    ada.peer.say(r#"[7,"room:1","too early"]"#).await;
    ada.peer.say(r#"[5,"room:1"]"#).await;
    ada.peer.say(r#"[7,"room:1","hello"]"#).await;
    assert_eq!(ada.event(tea).await, json!({ "said": "hello", "by": "Ada", "n": 2 }));
    ada.peer.say(r#"[7,"room:1","not to me",true]"#).await;
    assert_eq!(ada.call("members", r#""room:1""#).await, json!([3, ["Ada"]]));

    // Who comes late gets what was said before.
    let mut grace = ChatClient::connect(&running, "127.0.0.2").await.unwrap();
    assert_eq!(grace.call("set-nick", r#""Grace""#).await, json!([3, "Grace"]));
    grace.peer.say(r#"[5,"room:1"]"#).await;
    assert_eq!(grace.event(tea).await, json!({ "joined": "Ada", "n": 1 }));
    assert_eq!(grace.event(tea).await["said"], "hello");
    assert_eq!(grace.event(tea).await["said"], "not to me");
    assert_eq!(ada.event(tea).await, json!({ "joined": "Grace", "n": 4 }));
    assert_eq!(ada.call("members", r#""room:1""#).await, json!([3, ["Ada", "Grace"]]));

    let mut guest = ChatClient::connect(&running, "127.0.0.3").await.unwrap();
    guest.peer.say(r#"[5,"room:1"]"#).await;
    assert_eq!(guest.event(tea).await["n"], 1);
    let came = ada.event(tea).await["joined"].clone();
    assert!(came.as_str().unwrap().starts_with("guest "), "{came}");
    guest.peer.close().await;
    assert_eq!(ada.event(tea).await["left"], came, "the end of a connection leaves its rooms");

    // Only who has created a room bans; an address that is banned does not come back.
    for end in ["joined", "left"] {
        assert_eq!(grace.event(tea).await[end], came);
    }
    assert_eq!(grace.call("ban", r#""room:1","Ada""#).await[1], "http://chat.example/error#refused");
    assert_eq!(ada.call("ban", r#""room:1","Grace""#).await, json!([3, 1]));
    let end = grace.peer.next().await;
    assert!(matches!(&end, Message::Close(Some(frame)) if u16::from(frame.code) == 1008), "{end:?}");
    assert_eq!(ada.event(tea).await["left"], "Grace");
    assert_eq!(ChatClient::connect(&running, "127.0.0.2").await.err(), Some(403));

    ada.peer.say(r#"[6,"room:1"]"#).await;
    assert_eq!(ada.event(lobby).await, json!({ "gone": tea }), "with its last member");
}

#[tokio::test]
async fn broadcast_ticks_by_itself() {
    let running = Running::start("broadcast", &["127.0.0.1:0"]);
    let mut peer = Peer::connect(&running).await;
    assert!(peer.hear().await.ends_with(" s"));
}

#[tokio::test]
async fn unix_serves_both_of_its_listeners() {
    let path = std::env::temp_dir().join(format!("wsrv-example-{}", std::process::id()));
    let running = Running::start("unix", &[path.to_str().unwrap(), "127.0.0.1:0"]);
    let mut peer = Peer::connect(&running).await;
    peer.say("over TCP").await;
    assert_eq!(peer.hear().await, "over TCP");
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (mut unix, _) = tokio_tungstenite::client_async("ws://localhost/", stream).await.unwrap();
    unix.send(Message::text("over Unix")).await.unwrap();
    assert_eq!(unix.next().await.unwrap().unwrap(), Message::text("over Unix"));
    drop(running);
    let _ = std::fs::remove_file(path);
}

#[tokio::test]
async fn axum_serves_pages_and_sockets() {
    let mut running = Running::start("axum", &["127.0.0.1:0"]);
    let mut ada = Peer::connect(&running).await;
    assert!(ada.hear().await.starts_with("welcome ada, from Some(127.0.0.1:"));
    assert_eq!(ask(&running, "/", false, ""), (200, "a page by axum".to_owned()));
    let mut grace = Peer::connect(&running).await;
    grace.hear().await;
    grace.say("hello").await;
    assert_eq!(ada.hear().await, "hello");
    #[cfg(unix)]
    {
        running.signal("-INT");
        ada.close().await;
        grace.close().await;
        // They may have said goodbye before it began to stop.
        let stopped = running.next_line();
        assert!(stopped.starts_with("stopped: ") && stopped.ends_with(" closed, 0 cut"), "{stopped}");
    }
}

/// Asks for an upgrade, or else for a page, and returns the status and what comes behind the head.
fn request(running: &Running, path: &str, upgrade: bool, headers: &str) -> (u16, BufReader<TcpStream>) {
    let mut stream = running.dial();
    let upgrade = match upgrade {
        true => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        false => "Connection: close\r\n",
    };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}{headers}\r\n").as_bytes()).unwrap();
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut head).unwrap(), 0, "{head}");
    }
    (head[9..12].parse().unwrap(), answer)
}

/// The same, and returns the page, or the WebSocket's first message.
fn ask(running: &Running, path: &str, upgrade: bool, headers: &str) -> (u16, String) {
    let (status, mut answer) = request(running, path, upgrade, headers);
    let mut text = Vec::new();
    if status == 101 {
        // A frame: its kind, its length, its text.
        let mut header = [0; 2];
        answer.read_exact(&mut header).unwrap();
        answer.take(header[1].into()).read_to_end(&mut text).unwrap();
    } else {
        answer.read_to_end(&mut text).unwrap();
    }
    (status, String::from_utf8(text).unwrap())
}

#[test]
fn axum_gates_ask_about_all_routes_and_about_origins_of_sockets_only() {
    let gates = &Running::start("axum_gates", &["127.0.0.1:0"]);
    let by_proxy = |client: &str| format!("X-Forwarded-For: 203.0.113.9, {client}\r\n");
    let origin = |origin: &str| format!("Origin: {origin}\r\n");

    assert_eq!(ask(gates, "/", false, ""), (200, "you are 127.0.0.1".to_owned()));
    assert_eq!(ask(gates, "/", false, &by_proxy("192.0.2.7")), (200, "you are 192.0.2.7".to_owned()));
    assert_eq!(ask(gates, "/", false, &by_proxy("203.0.113.5")).0, 403);
    assert_eq!(ask(gates, "/", false, &origin("https://evil.example")).0, 200);
    assert_eq!(ask(gates, "/echo", false, "").0, 426);

    let welcome = ask(gates, "/echo", true, &(by_proxy("192.0.2.7") + &origin("https://example.com")));
    assert_eq!(welcome, (101, "you are 192.0.2.7".to_owned()));
    assert_eq!(ask(gates, "/echo", true, &by_proxy("203.0.113.5")).0, 403);
    let (status, answer) = ask(gates, "/echo", true, &origin("https://evil.example"));
    assert_eq!((status, &*answer), (403, "403 Forbidden: this origin may not connect\n"));
}

#[tokio::test]
async fn behind_proxy_believes_headers_or_the_proxy_protocol() {
    let header = Running::start("behind_proxy", &["127.0.0.1:0", "--block", "203.0.113.0/24"]);
    let says = |answer: (u16, String), text: &str| assert_eq!(answer, (101, text.to_owned()));
    says(ask(&header, "/", true, ""), "you are 127.0.0.1");
    let forwarded = "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nForwarded: for=6.6.6.6\r\n";
    says(ask(&header, "/", true, forwarded), "you are 192.0.2.7, by way of 127.0.0.1");
    assert_eq!(ask(&header, "/", true, "X-Forwarded-For: 203.0.113.9\r\n").0, 403);

    let by_rfc = Running::start("behind_proxy", &["127.0.0.1:0", "--forwarded"]);
    let forwarded = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=\"[2001:db8::7]\"\r\n";
    says(ask(&by_rfc, "/", true, forwarded), "you are 2001:db8::7, by way of 127.0.0.1");

    let elsewhere = Running::start("behind_proxy", &["127.0.0.1:0", "--trusted-proxy", "10.0.0.0/8"]);
    says(ask(&elsewhere, "/", true, "X-Forwarded-For: 6.6.6.6\r\n"), "you are 127.0.0.1");

    let by_protocol = Running::start("behind_proxy", &["127.0.0.1:0", "--proxy-protocol"]);
    let mut stream = tokio::net::TcpStream::connect(by_protocol.addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n").await.unwrap();
    let stream = MaybeTlsStream::Plain(stream);
    let mut peer = Peer(tokio_tungstenite::client_async(&by_protocol.url, stream).await.unwrap().0);
    assert_eq!(peer.hear().await, "you are 192.0.2.7, by way of 127.0.0.1");
}

#[tokio::test]
async fn graceful_shutdown_restarts_on_request() {
    let mut running = Running::start("graceful_shutdown", &["127.0.0.1:0"]);
    let mut peer = Peer::connect(&running).await;
    peer.say("restart").await;
    assert_eq!(peer.hear().await, "back in a moment");
    assert_eq!(peer.hear().await, "this server restarts");
    let Message::Close(Some(frame)) = peer.next().await else { panic!("no goodbye") };
    assert_eq!(u16::from(frame.code), 1012);
    peer.close().await;
    assert_eq!(running.next_line(), "stopped: 1 closed, 0 cut");
}

/// Runs an example with this listener as the first of the descriptors that a process may be given.
#[cfg(unix)]
fn start_with_socket(name: &str, listener: &std::net::TcpListener) -> Running {
    let program = Running::program(name);
    // It comes as the standard input, because that is what a child process can be given; the shell puts it where it has
    // to be, and becomes the program, whose process is the one that is meant.
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"";
    let socket = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
    Running::run(Command::new("sh").args(["-c", script]).arg(program).stdin(socket))
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_socket_from_outside_refuses_nobody() {
    const CLIENTS: usize = 4;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut running = start_with_socket("graceful_shutdown", &listener);
    assert_eq!(running.url, url);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    // Who connects, and says something, as fast as it goes, all the time.
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (url, stop) = (url.clone(), stop.clone());
            tokio::spawn(async move {
                let mut served = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let (mut peer, _) = tokio_tungstenite::connect_async(&url).await.expect("nobody is refused");
                    served += usize::from(peer.send(Message::text("hello")).await.is_ok());
                    // Until the end, whoever begins it.
                    let _ = peer.close(None).await;
                    while peer.next().await.is_some_and(|message| message.is_ok()) {}
                }
                served
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The gap that a process manager leaves: the old one is gone before the new one comes.
        running.signal("-TERM");
        let stopped = running.next_line();
        assert!(stopped.ends_with(" 0 cut"), "{stopped}");
        assert!(running.child.wait().unwrap().success());
        running = start_with_socket("graceful_shutdown", &listener);
        assert_eq!(running.url, url);
    }
    // The next one before the old one goes.
    let next = start_with_socket("graceful_shutdown", &listener);
    let mut old = std::mem::replace(&mut running, next);
    old.signal("-TERM");
    assert!(old.child.wait().unwrap().success());
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for client in clients {
        let served = soon(client).await.unwrap();
        assert!(served > 5, "{served}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn conformance_drains_on_sigterm_and_keeps_its_times() {
    for host in ["own", "axum"] {
        let args = ["--listen", "127.0.0.1:0", "--host", host, "--handshake-timeout", "0.2", "--close-timeout", "0.2"];
        let times = ["--keepalive", "1", "--keepalive-timeout", "30", "--allow-origin", "https://example.com"];
        let mut running = Running::start("conformance", &[&args[..], &times].concat());
        let mut peer = Peer::connect(&running).await;
        peer.say("hello").await;
        assert_eq!(peer.hear().await, "hello");
        let ping = peer.next().await;
        assert!(matches!(ping, Message::Ping(_)), "{ping:?}");
        for (origin, status) in [("https://example.com", 101), ("https://example.org", 403)] {
            assert_eq!(request(&running, "/", true, &format!("Origin: {origin}\r\n")).0, status, "{origin}");
        }
        if host == "own" {
            let mut answer = String::new();
            running.dial().read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
        // One that never answers the goodbye is waited for as long as the closing handshake may take.
        let _silent = Peer::connect(&running).await;
        let began = std::time::Instant::now();
        running.signal("-TERM");
        let end = loop {
            if let Message::Close(frame) = peer.next().await {
                break frame.map(|frame| u16::from(frame.code));
            }
        };
        assert_eq!(end, Some(1001), "{host}");
        peer.close().await;
        assert!(running.child.wait().unwrap().success(), "{host}");
        assert!(began.elapsed() < Duration::from_secs(4), "{host}: {:?}", began.elapsed());
    }
}

#[test]
fn lines_welcomes_and_says_goodbye() {
    let running = Running::start("lines", &["127.0.0.1:0"]);
    let mut peer = running.dial();
    peer.write_all(b"quit\r\n").unwrap();
    let mut all = String::new();
    peer.read_to_string(&mut all).unwrap();
    assert_eq!(all, "welcome, you are 1\ngoodbye\n");
}

#[tokio::test]
async fn layer_brings_strokes_to_the_others_and_closes_on_nonsense() {
    let running = Running::start("layer", &["127.0.0.1:0"]);
    let stroke = r#"{"from":[0,0],"to":[40,30],"color":"red"}"#;
    let mut ada = Peer::connect(&running).await;
    ada.say(stroke).await;
    let mut grace = Peer::connect(&running).await;
    // The first was here before her, or comes to her as to all others.
    assert_eq!(grace.hear().await, stroke);
    grace.say(&stroke.replace("red", "blue")).await;
    assert_eq!(ada.hear().await, stroke.replace("red", "blue"));
    grace.say("nonsense").await;
    let end = grace.next().await;
    assert!(matches!(end, Message::Close(Some(frame)) if u16::from(frame.code) == 1007));
}

/// Says hello over TLS, trusting this certificate only.
async fn greet_over_tls(port: u16, certificate: &str) {
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let url = format!("wss://localhost:{port}/");
    let (mut peer, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    peer.send(Message::text("hello")).await.unwrap();
    assert_eq!(soon(peer.next()).await.unwrap().unwrap(), Message::text("hello"));
    peer.close(None).await.unwrap();
}

fn port_of(running: &Running) -> u16 {
    let port = running.url.strip_prefix("wss://localhost:").and_then(|rest| rest.strip_suffix('/'));
    port.expect("a TLS address").parse().unwrap()
}

#[tokio::test]
async fn tls_shows_the_certificate_that_it_has_made() {
    let mut running = Running::start("tls", &["127.0.0.1:0"]);
    let mut certificate = String::new();
    while !certificate.ends_with("-----END CERTIFICATE-----\n") {
        certificate += &(running.next_line() + "\n");
    }
    greet_over_tls(port_of(&running), &certificate).await;
    assert!(running.next_line().ends_with("speaks TLSv1_3"));
}

#[cfg(unix)]
#[tokio::test]
async fn tls_reads_its_files_again_at_a_signal() {
    let folder = std::env::temp_dir().join(format!("wsrv-example-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        made.cert.pem()
    };
    let first = renew();
    let mut running = Running::start("tls", &["127.0.0.1:0", chain.to_str().unwrap(), key.to_str().unwrap()]);
    greet_over_tls(port_of(&running), &first).await;
    assert!(running.next_line().ends_with("speaks TLSv1_3"));
    let second = renew();
    running.signal("-HUP");
    assert_eq!(running.next_line(), "new certificate");
    greet_over_tls(port_of(&running), &second).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn custom_wire_answers_messages_pings_and_the_goodbye() {
    let running = Running::start("custom_wire", &["127.0.0.1:0"]);
    let mut peer = running.dial();
    peer.write_all(b"M\0\0\0\x05helloP\0\0\0\x01?B\0\0\0\x01\0").unwrap();
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"M\0\0\0\x05HELLOA\0\0\0\x01?B\0\0\0\x01\0");
}

#[test]
fn session_vectors_tells_what_differs() {
    let folder = std::env::temp_dir().join(format!("wsrv-session-vectors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.bin"), "a|i:1;b|R:1;").unwrap();
    let vector = |id: &str, codec: &str, expect: Value| {
        json!({
            "id": id, "kind": "codec", "codec": codec, "now": 0, "data_file": "a.bin", "data_len": 12, "expect": expect
        })
    };
    let tree = |second: &str| {
        let entry = |key: &str, number: &str| json!([{ "s": key }, { "t": "int", "v": number }]);
        json!({ "outcome": "ok", "tree": { "t": "array", "v": [entry("a", "1"), entry("b", second)] } })
    };
    let good = vector("good", "php", tree("1"));
    let refused = vector("refused", "php_value", json!({ "outcome": "error", "error": "corrupt_data" }));
    let mut optional = vector("optional", "of another world", tree("1"));
    optional["optional"] = true.into();
    let mut cookie = vector("cookie", "", json!({ "outcome": "ok", "sid": "x" }));
    cookie["kind"] = "cookie".into();
    cookie["cookie"] = json!({ "scheme": "of another world", "name": "S", "header": "S=x" });
    let mut known = cookie.clone();
    known["cookie"]["scheme"] = "plain".into();
    let others = [
        vector("value", "php", tree("2")),
        vector("error", "php_value", json!({ "outcome": "error", "error": "limit" })),
        vector("taken", "php", json!({ "outcome": "error", "any_error": true })),
        vector("unknown", "php", json!({ "outcome": "ok", "colour": "red" })),
        vector("nothing", "php", json!({ "outcome": "ok" })),
    ];
    let run = |vectors: &[Value]| {
        let limits = json!({
            "max_input_bytes": 1000, "max_depth": 10, "max_nodes": 10, "max_inflated_bytes": 1000
        });
        let manifest = json!({ "defaults": { "limits": limits }, "vectors": vectors });
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        let output = Command::new(Running::program("session_vectors")).arg(&folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut vectors = vec![good, refused, optional, cookie, known];
    assert_eq!(run(&vectors), (Some(0), "3 passed, 0 failed, 1 skipped (optional), 1 not run\n".into()));
    vectors.extend(others);
    let (status, printed) = run(&vectors);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((status, lines.len()), (Some(1), 6), "{printed}");
    for (line, id) in lines.iter().zip(["value: ", "error: ", "taken: ", "unknown: ", "nothing: "]) {
        assert!(line.starts_with(id), "{line}");
    }
    assert_eq!(lines[5], "3 passed, 5 failed, 1 skipped (optional), 1 not run");
    std::fs::remove_dir_all(&folder).unwrap();
}
