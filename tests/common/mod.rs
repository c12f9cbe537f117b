//! A peer that says exactly what a test tells it to, byte by byte, and the small servers it talks to.

// Shared by several test programs, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wsrv_app::prelude::*;

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// An opening handshake; `extra` are whole header lines.
pub fn upgrade(target: &str, extra: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    )
}

/// A client's frame with this first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [7, 99, 3, 250];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Panics instead of hanging.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

/// Sends every message back, pull style.
pub async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Echoes at `/`.
pub fn echo_app() -> App {
    App::new().route("/", from_fn(echo))
}

/// Writes down who was refused: address, status, and the word for counters.
#[derive(Default)]
pub struct Refusals(Mutex<Vec<(IpAddr, u16, &'static str)>>);

impl Refusals {
    /// Those since the last call.
    pub fn take(&self) -> Vec<(IpAddr, u16, &'static str)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Refusals {
    fn refused(&self, addr: Option<SocketAddr>, status: u16, reason: &'static str) {
        self.0.lock().unwrap().push((addr.unwrap().ip(), status, reason));
    }
}

/// Lets this process have as many descriptors as the system allows, and tells how many that are.
#[cfg(unix)]
pub fn raise_descriptors() -> std::io::Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

pub struct Running {
    pub addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
}

impl Running {
    pub async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        soon(self.task).await.unwrap()
    }
}

pub async fn serve(app: App) -> Running {
    let server = app.bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve_until(async {
        let _ = stopped.await;
    }));
    Running { addr, stop, task }
}

pub struct Peer(pub TcpStream);

impl Peer {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer(stream)
    }

    /// The same from this address of the loopback network.
    pub async fn connect_from(source: [u8; 4], addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let stream = soon(socket.connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer(stream)
    }

    /// Connected and upgraded.
    pub async fn open(addr: SocketAddr, target: &str) -> Self {
        let mut peer = Peer::connect(addr).await;
        peer.upgrade(target).await;
        peer
    }

    /// Sends an opening handshake and hears that it is accepted.
    pub async fn upgrade(&mut self, target: &str) {
        self.send(upgrade(target, "").as_bytes()).await;
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        soon(self.0.write_all(bytes)).await.unwrap();
    }

    pub async fn say(&mut self, text: &str) {
        self.send(&frame(TEXT, text.as_bytes())).await;
    }

    /// An answer's head, up to and including the empty line.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match soon(self.0.read_u8()).await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// One whole answer to anything but `HEAD`: the status, the head in lower case, and as much of a body as it says.
    pub async fn response(&mut self) -> (u16, String, String) {
        let head = self.head().await.to_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("an answer");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        soon(self.0.read_exact(&mut body)).await.unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    /// Everything up to the end of the stream; panics if that is a reset.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        soon(self.0.read_to_end(&mut rest)).await.expect("an orderly end of the stream");
        rest
    }

    /// The same where the end may be a reset, which may take with it what came before.
    pub async fn rest_or_reset(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }

    /// The next frame: first byte and payload. `None` at the orderly end of the stream.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = match soon(self.0.read_u8()).await {
            Ok(first) => first,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "not a reset");
                return None;
            }
        };
        let len = match soon(self.0.read_u8()).await.unwrap() {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            127 => self.0.read_u64().await.unwrap() as usize,
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        soon(self.0.read_exact(&mut payload)).await.unwrap();
        Some((first, payload))
    }

    pub async fn text(&mut self) -> String {
        let (first, payload) = self.frame().await.expect("a message");
        assert_eq!(first, TEXT, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// The close frame's code; 1005 if it has none.
    pub async fn close_code(&mut self) -> u16 {
        let (first, payload) = self.frame().await.expect("a close frame");
        assert_eq!(first, CLOSE, "{payload:?}");
        payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
    }
}

/// The answer to one request, whole: head and body, and after it an orderly end of the stream.
pub async fn answer(addr: SocketAddr, request: &[u8]) -> (String, String) {
    let mut peer = Peer::connect(addr).await;
    peer.send(request).await;
    let head = peer.head().await;
    let body = String::from_utf8(peer.rest().await).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    assert_eq!(length.parse::<usize>().unwrap(), body.len());
    assert!(head.contains("\r\nconnection: close"), "{head}");
    (head, body)
}

pub async fn status(addr: SocketAddr, request: &[u8]) -> u16 {
    answer(addr, request).await.0[9..12].parse().unwrap()
}
