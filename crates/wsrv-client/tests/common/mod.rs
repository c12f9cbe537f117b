//! Servers of the tests, good and bad ones.

// Shared by several test programs, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wsrv_app::prelude::*;
use wsrv_app::tls::Tls;

/// Panics instead of hanging.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}

/// wsrv's own server: `/echo`; `/chat`, the same with two subprotocols; `/about` tells about the request and closes; `/close` says goodbye
/// behind three messages.
pub fn app() -> App {
    async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok(())
    }
    let about = from_fn(|socket: Socket<WebSocketConnection>| async move {
        let request = socket.request();
        let mut told = format!("{} {}", request.target(), request.host().unwrap_or("?"));
        for name in ["authorization", "cookie", "origin", "user-agent", "x-own"] {
            for value in request.headers(name) {
                told.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value)));
            }
        }
        socket.send(told).await?;
        Ok(())
    });
    let close = from_fn(|socket: Socket<WebSocketConnection>| async move {
        for n in ["1", "2", "3"] {
            socket.send(n).await?;
        }
        Err(Error::new(Reason::Restart, "on purpose"))
    });
    App::new()
        .route("/echo", from_fn(echo))
        .route("/chat", Route::new(from_fn(echo)).subprotocols(Subprotocols::new(["chat", "superchat"]).unwrap()))
        .route("/about", about)
        .route("/close", close)
}

/// Serves until the test ends.
pub async fn serve(app: App) -> SocketAddr {
    let server = app.bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_until(std::future::pending()));
    addr
}

pub async fn serve_tls(app: App, tls: Tls) -> SocketAddr {
    let server = app.bind_tls("127.0.0.1:0", tls).await.unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(server.serve_until(std::future::pending()));
    addr
}

/// Accepts one connection after the other and hands each to `serve`, with its request's head.
pub async fn raw<Fut>(serve: impl Fn(TcpStream, String) -> Fut + Send + 'static) -> SocketAddr
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            tokio::spawn(serve(stream, head));
        }
    });
    addr
}

/// Reads up to the empty line, and not beyond.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers every request with these bytes, in which `{accept}` stands for the right key, and waits for the end.
pub async fn answering(answer: &'static [u8]) -> SocketAddr {
    raw(move |mut stream, head| async move {
        let _ = stream.write_all(&filled_in(answer, &head)).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

fn filled_in(answer: &[u8], head: &str) -> Vec<u8> {
    const PLACE: &[u8] = b"{accept}";
    match answer.windows(PLACE.len()).position(|window| window == PLACE) {
        None => answer.to_vec(),
        Some(at) => [&answer[..at], accept(head).as_bytes(), &answer[at + PLACE.len()..]].concat(),
    }
}

/// What answers the key of a request.
pub fn accept(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    wsrv_client::wsrv_rfc6455::handshake::accept_key(key.trim().as_bytes()).as_str().to_owned()
}

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "all");
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server's TLS with one certificate.
    pub fn tls(&self, names: &[&str]) -> Tls {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Tls::from_pem(certificate.pem(), key.serialize_pem()).unwrap()
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
    }
}
