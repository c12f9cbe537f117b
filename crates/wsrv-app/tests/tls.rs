//! Servers that speak TLS, seen from outside.

mod common;

use common::{Authority, Client, Issued, soon};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, AlertDescription, HandshakeKind, ProtocolVersion};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use wsrv_app::prelude::*;
use wsrv_app::tls::{PeerCertificates, Pem, Tls, TlsError, TlsInfo};
use wsrv_app::wsrv_core::Observer;

const LARGE: usize = 16 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

struct Running {
    addr: SocketAddr,
    handle: Handle,
    task: JoinHandle<Stopped>,
}

impl Running {
    async fn start(app: App, tls: &Tls) -> Self {
        Self::of(app.bind_tls("127.0.0.1:0", tls.clone()).await.unwrap())
    }

    fn of(server: Server) -> Self {
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        Running { addr, handle, task: tokio::spawn(server.serve_until(std::future::pending())) }
    }
}

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

fn echo_app() -> App {
    let limits = MessageLimits::default().with_max_message(LARGE).with_max_frame(LARGE);
    App::new().route("/", Route::new(from_fn(echo)).message_limits(limits))
}

/// Says what it knows of the peer's TLS.
async fn tell(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let extensions = socket.extensions();
    let told = match extensions.get::<TlsInfo>() {
        None => "plain".to_owned(),
        Some(tls) => {
            let client = extensions.get::<PeerCertificates>().map_or(0, |shown| shown.end_entity().len());
            let alpn = tls.alpn().map(String::from_utf8_lossy);
            format!("{:?} {:?} {alpn:?} resumed {} client {client}", tls.version(), tls.server_name(), tls.is_resumed())
        }
    };
    socket.send(told.into()).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

type Peer<S> = WebSocketStream<S>;

async fn upgrade<S>(stream: S) -> Peer<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let upgraded = tokio_tungstenite::client_async_with_config("ws://localhost/", stream, Some(config));
    soon(upgraded).await.unwrap().0
}

async fn connect(client: &Client, addr: SocketAddr) -> Peer<TlsStream<TcpStream>> {
    upgrade(client.connect(addr, "localhost").await.unwrap()).await
}

async fn hear<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(peer: &mut Peer<S>) -> Frame {
    soon(peer.next()).await.unwrap().unwrap()
}

/// The alert that a failed handshake has brought.
fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_over_tls() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app(), &authority.tls(&["localhost"])).await;
    for versions in [&TLS13, &TLS12] {
        let mut peer = connect(&authority.client_of(&[versions], None), server.addr).await;
        for size in [0, 1, 125, 126, 16_384, 65_536, 1 << 20, LARGE] {
            let message: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
            soon(peer.send(Frame::binary(message.clone()))).await.unwrap();
            assert!(hear(&mut peer).await.into_data() == message, "{size}");
        }
        soon(peer.close(None)).await.unwrap();
        assert!(matches!(hear(&mut peer).await, Frame::Close(_)));
    }
}

#[tokio::test]
async fn plain_and_tls_listeners_serve_beside_each_other_and_connections_know_which() {
    let authority = Authority::new("all");
    let server = App::new().route("/", from_fn(tell)).bind("127.0.0.1:0").await.unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let secure = listener.local_addr().unwrap();
    let server = Running::of(server.and_listen_tls(listener, authority.tls(&["localhost"])));
    let mut plain = upgrade(TcpStream::connect(server.addr).await.unwrap()).await;
    assert_eq!(hear(&mut plain).await.to_text().unwrap(), "plain");
    let mut peer = connect(&authority.client().alpn(&["h2", "http/1.1"]), secure).await;
    let told = r#"TLSv1_3 Some("localhost") Some("http/1.1") resumed false client 0"#;
    assert_eq!(hear(&mut peer).await.to_text().unwrap(), told);
    let mut peer = connect(&authority.client_of(&[&TLS12], None), secure).await;
    assert_eq!(hear(&mut peer).await.to_text().unwrap(), r#"TLSv1_2 Some("localhost") None resumed false client 0"#);
    let _ = peer.close(None).await;
}

#[tokio::test]
async fn addresses_are_those_of_the_socket_below_tls() {
    async fn tell(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
        socket.send(format!("{:?} {:?}", socket.local_addr(), socket.remote_addr()).into()).await?;
        Ok(())
    }
    let authority = Authority::new("all");
    let server = Running::start(App::new().route("/", from_fn(tell)), &authority.tls(&["localhost"])).await;
    let mut peer = connect(&authority.client(), server.addr).await;
    let own = peer.get_ref().get_ref().0.local_addr().unwrap();
    assert_eq!(hear(&mut peer).await.to_text().unwrap(), format!("Some({}) Some({own})", server.addr));
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_speaks_tls_too() {
    let authority = Authority::new("all");
    let files = Files::new("unix");
    let path = files.0.join("socket");
    let app = App::new().route("/", from_fn(tell));
    let server = app.listen_tls(Listener::unix(&path).unwrap(), authority.tls(&["localhost"])).unwrap();
    tokio::spawn(server.serve_until(std::future::pending()));
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut peer = upgrade(authority.client().over(stream, "localhost").await.unwrap()).await;
    assert!(hear(&mut peer).await.to_text().unwrap().starts_with("TLSv1_3"));
    // A plain request is no TLS here either; it gets an alert.
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer.first(), Some(&0x15));
}

#[tokio::test]
async fn gates_can_ask_for_tls() {
    fn secure(opening: &mut Opening) -> Result<(), Rejection> {
        match opening.extensions().get::<TlsInfo>() {
            Some(tls) if tls.version() == ProtocolVersion::TLSv1_3 => Ok(()),
            _ => Err(Rejection::new(StatusCode::FORBIDDEN, "not secure")),
        }
    }
    let authority = Authority::new("all");
    let server = Running::start(echo_app().gate(secure), &authority.tls(&["localhost"])).await;
    connect(&authority.client(), server.addr).await;
    let old = authority.client_of(&[&TLS12], None).connect(server.addr, "localhost").await.unwrap();
    let refused = tokio_tungstenite::client_async("ws://localhost/", old).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[tokio::test]
async fn a_client_without_http_1_is_refused_in_the_handshake() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app(), &authority.tls(&["localhost"])).await;
    let refused = authority.client().alpn(&["h2", "h3"]).connect(server.addr, "localhost").await.unwrap_err();
    assert_eq!(alert(&refused), Some(AlertDescription::NoApplicationProtocol));
}

#[tokio::test]
async fn a_plain_request_on_a_tls_port_is_answered_in_plain_text() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app(), &authority.tls(&["localhost"])).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("TLS"), "{answer}");
}

/// Many messages to everybody who comes.
async fn flood(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    for number in 0..FLOOD {
        socket.send(format!("{number:>10000}").into()).await?;
    }
    Ok(())
}

const FLOOD: usize = 2_000;

#[tokio::test]
async fn a_slow_tls_peer_gets_everything_in_order() {
    let authority = Authority::new("all");
    let server = Running::start(App::new().route("/", from_fn(flood)), &authority.tls(&["localhost"])).await;
    let mut peer = connect(&authority.client(), server.addr).await;
    // By now all buffers on the way are full.
    sleep(Duration::from_millis(300)).await;
    for number in 0..FLOOD {
        let message = hear(&mut peer).await;
        assert_eq!(message.to_text().unwrap().trim_start(), number.to_string());
    }
    assert!(matches!(hear(&mut peer).await, Frame::Close(_)));
}

#[tokio::test]
async fn both_ends_say_goodbye_to_tls_too() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app(), &authority.tls(&["localhost"])).await;
    let mut peer = connect(&authority.client(), server.addr).await;
    soon(peer.close(None)).await.unwrap();
    assert!(matches!(hear(&mut peer).await, Frame::Close(_)));
    // Without a close_notify, this would be an error.
    let rest = soon(peer.get_mut().read(&mut [0; 16])).await;
    assert_eq!(rest.unwrap(), 0);
}

/// Tells how connections end.
struct Ends(mpsc::UnboundedSender<Closed>);

impl Handler<WebSocketConnection> for Ends {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
        Ok(())
    }
    async fn on_close(&self, _: &WebSocketConnection, _: (), closed: Closed) {
        let _ = self.0.send(closed);
    }
}

#[tokio::test]
async fn a_tls_stream_that_breaks_off_is_no_error_after_the_close_and_a_loss_before_it() {
    let authority = Authority::new("all");
    let (ends, mut ended) = mpsc::unbounded_channel();
    let server = Running::start(App::new().route("/", Ends(ends)), &authority.tls(&["localhost"])).await;
    for (goodbye, by, clean) in [(true, ClosedBy::Peer, true), (false, ClosedBy::Lost, false)] {
        let mut peer = connect(&authority.client(), server.addr).await;
        if goodbye {
            soon(peer.send(Frame::Close(None))).await.unwrap();
        }
        // The socket below ends without a close_notify.
        let (mut socket, _) = peer.into_inner().into_inner();
        socket.shutdown().await.unwrap();
        let closed = soon(ended.recv()).await.unwrap();
        assert_eq!((closed.by, closed.clean), (by, clean));
        soon(socket.read_to_end(&mut Vec::new())).await.unwrap();
    }
    server.handle.stop();
    assert_eq!(soon(server.task).await.unwrap().cut, 0);
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn a_client_gets_the_certificate_for_the_name_it_asks_for() {
    let authority = Authority::new("all");
    let [first, second, wild] =
        [&["one.test", "uno.test"][..], &["two.test"], &["*.many.test"]].map(|names| authority.issue(names));
    let mut tls = Tls::builder();
    for issued in [&first, &second, &wild] {
        let (chain, key) = issued.pem();
        tls = tls.certificate(chain, key);
    }
    let server = Running::start(echo_app(), &tls.build().unwrap()).await;
    let client = authority.client();
    for (name, expected) in [("one.test", &first), ("uno.test", &first), ("TWO.test", &second), ("a.many.test", &wild)]
    {
        assert_eq!(shown(&client.connect(server.addr, name).await.unwrap()), expected.der, "{name}");
    }
    // The first, which is not theirs: they refuse it.
    for name in ["three.test", "a.b.many.test", "127.0.0.1"] {
        let refused = client.connect(server.addr, name).await.unwrap_err();
        assert!(refused.to_string().contains("not valid for name"), "{refused}");
    }
}

/// A folder for a certificate and its key, removed at the end.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("wsrv-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Files(folder)
    }

    fn put(&self, issued: &Issued) {
        std::fs::write(self.0.join("cert.pem"), &issued.chain).unwrap();
        std::fs::write(self.0.join("key.pem"), &issued.key).unwrap();
    }

    fn tls(&self) -> Result<Tls, TlsError> {
        Tls::from_pem_files(self.0.join("cert.pem"), self.0.join("key.pem"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_reloaded_under_load_and_connections_go_on() {
    let authority = Authority::new("all");
    let files = Files::new("reload");
    let mut issued = authority.issue(&["localhost"]);
    files.put(&issued);
    let tls = files.tls().unwrap();
    let server = Running::start(echo_app(), &tls).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut load = Vec::new();
    for comes_and_goes in [false, false, true, true] {
        let (client, addr, done) = (authority.client(), server.addr, done.clone());
        let rounds = Arc::new(AtomicUsize::new(0));
        let count = rounds.clone();
        let task = tokio::spawn(async move {
            let mut peer = connect(&client, addr).await;
            while !done.load(SeqCst) {
                if comes_and_goes {
                    peer = connect(&client, addr).await;
                }
                soon(peer.send(Frame::text("hello"))).await.unwrap();
                assert_eq!(hear(&mut peer).await, Frame::text("hello"));
                count.fetch_add(1, SeqCst);
            }
        });
        load.push((rounds, task));
    }
    for reloads in 0..5 {
        assert_eq!(shown(&authority.client().connect(server.addr, "localhost").await.unwrap()), issued.der);
        issued = authority.issue(&["localhost"]);
        files.put(&issued);
        tls.reload().unwrap();
        for (rounds, task) in &load {
            while rounds.load(SeqCst) < 2 * (reloads + 1) && !task.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
    assert_eq!(shown(&authority.client().connect(server.addr, "localhost").await.unwrap()), issued.der);
    done.store(true, SeqCst);
    for (_, task) in load {
        soon(task).await.unwrap();
    }
}

#[tokio::test]
async fn bad_files_leave_everything_as_it_was() {
    let authority = Authority::new("all");
    let files = Files::new("bad");
    assert!(matches!(files.tls(), Err(TlsError::Read { .. })));
    let issued = authority.issue(&["localhost"]);
    files.put(&issued);
    let tls = files.tls().unwrap();
    let server = Running::start(echo_app(), &tls).await;
    let other = authority.issue(&["localhost"]);
    for (chain, key, expected) in [
        ("", &*issued.key, "no certificate in"),
        ("-----BEGIN CERTIFICATE-----\n", &issued.key, "malformed"),
        ("-----BEGIN CERTIFICATE-----\n?!\n-----END CERTIFICATE-----\n", &issued.key, "malformed"),
        ("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", &issued.key, "cannot use"),
        (&issued.chain, &*issued.chain, "no private key in"),
        (&issued.chain, &other.key, "cannot use"),
    ] {
        files.put(&Issued { chain: chain.into(), key: key.into(), der: issued.der.clone() });
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(shown(&authority.client().connect(server.addr, "localhost").await.unwrap()), issued.der);
    }
    assert!(matches!(authority.tls(&["localhost"]).reload(), Err(TlsError::NoFile)));
    assert!(matches!(Tls::from_config(tls.config()).reload(), Err(TlsError::NoFile)));
    assert!(matches!(Tls::builder().build(), Err(TlsError::NoCertificate)));
}

#[tokio::test]
async fn keys_are_shown_nowhere() {
    let issued = Authority::new("all").issue(&["localhost"]);
    let (chain, key) = issued.pem();
    let builder = Tls::builder().certificate(chain, key.clone());
    let secret = issued.key.lines().nth(1).unwrap();
    let tls = builder.clone().build().unwrap();
    let broken = Tls::from_pem(&issued.chain, issued.key.replace("-----END", "?"));
    let shown = format!("{builder:?} {key:?} {key} {tls:?} {broken:?}");
    assert!(!shown.contains(&secret[..8]), "{shown}");
}

#[tokio::test]
async fn client_certificates_are_asked_for_and_known_to_the_connection() {
    let (servers, staff, strangers) = (Authority::new("servers"), Authority::new("staff"), Authority::new("strangers"));
    let (ada, eve) = (staff.issue(&["ada"]), strangers.issue(&["ada"]));
    for required in [true, false] {
        for (version, name) in [(&TLS13, "TLSv1_3"), (&TLS12, "TLSv1_2")] {
            let (chain, key) = servers.issue(&["localhost"]).pem();
            let tls = Tls::builder().certificate(chain, key);
            let roots = Pem::text(staff.root());
            let tls = match required {
                true => tls.require_client_certificates(roots),
                false => tls.request_client_certificates(roots),
            };
            let server = Running::start(App::new().route("/", from_fn(tell)), &tls.build().unwrap()).await;
            let told = |size: usize| format!("{name} Some(\"localhost\") None resumed false client {size}");
            let mut peer = connect(&servers.client_of(&[version], Some(&ada)), server.addr).await;
            assert_eq!(hear(&mut peer).await.to_text().unwrap(), told(ada.der.len()));
            let nobody = servers.client_of(&[version], None);
            if required {
                let refused = refusal(&nobody, server.addr).await;
                assert_eq!(alert(&refused), Some(AlertDescription::CertificateRequired));
            } else {
                assert_eq!(hear(&mut connect(&nobody, server.addr).await).await.to_text().unwrap(), told(0));
            }
            let refused = refusal(&servers.client_of(&[version], Some(&eve)), server.addr).await;
            assert!(alert(&refused).is_some(), "{refused}");
        }
    }
}

/// How the handshake fails. In TLS 1.3 the client is through before the server has looked at its certificate.
async fn refusal(client: &Client, addr: SocketAddr) -> io::Error {
    match client.connect(addr, "localhost").await {
        Err(refused) => refused,
        Ok(mut stream) => soon(stream.read(&mut [0; 1])).await.unwrap_err(),
    }
}

/// Connects, hears what the server says, and tells whether it was resumed.
async fn resumes(client: &Client, addr: SocketAddr) -> bool {
    let mut peer = connect(client, addr).await;
    let told = hear(&mut peer).await;
    let resumed = peer.get_ref().get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    assert!(told.to_text().unwrap().contains(&format!("resumed {resumed}")), "{told}");
    resumed
}

#[tokio::test]
async fn sessions_are_resumed_also_after_a_reload_and_not_after_a_replacement() {
    for version in [&TLS13, &TLS12] {
        let authority = Authority::new("all");
        let files = Files::new(&format!("resume-{:?}", version.version));
        files.put(&authority.issue(&["localhost"]));
        let tls = files.tls().unwrap();
        let server = Running::start(App::new().route("/", from_fn(tell)), &tls).await;
        let client = authority.client_of(&[version], None);
        assert!(!resumes(&client, server.addr).await);
        assert!(resumes(&client, server.addr).await);
        files.put(&authority.issue(&["localhost"]));
        tls.reload().unwrap();
        assert!(resumes(&client, server.addr).await);
        tls.replace(authority.tls(&["localhost"]));
        assert!(!resumes(&client, server.addr).await);
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_its_client_certificate_and_ends_when_the_roots_are_read_again() {
    let (servers, staff) = (Authority::new("servers"), Authority::new("staff"));
    let files = Files::new("roots");
    files.put(&servers.issue(&["localhost"]));
    let roots = files.0.join("roots.pem");
    std::fs::write(&roots, staff.root()).unwrap();
    let tls = Tls::builder()
        .certificate(Pem::file(files.0.join("cert.pem")), Pem::file(files.0.join("key.pem")))
        .require_client_certificates(Pem::file(&roots))
        .build()
        .unwrap();
    let server = Running::start(App::new().route("/", from_fn(tell)), &tls).await;
    let ada = staff.issue(&["ada"]);
    let client = servers.client_with(&ada);
    assert!(!resumes(&client, server.addr).await);
    let told = hear(&mut connect(&client, server.addr).await).await;
    assert!(told.to_text().unwrap().contains(&format!("resumed true client {}", ada.der.len())), "{told}");
    // Ada has left.
    std::fs::write(&roots, Authority::new("new staff").root()).unwrap();
    tls.reload().unwrap();
    assert!(alert(&refusal(&client, server.addr).await).is_some());
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_silent_or_dribble_in_the_tls_handshake_meet_its_deadline() {
    let authority = Authority::new("all");
    let app = echo_app().tls_timeout(Duration::from_secs(3)).max_handshakes(1);
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    // The beginning of a large ClientHello.
    for said in [&b""[..], &[0x16, 3, 1, 16, 0, 1, 0, 15, 252, 3, 3]] {
        let began = Instant::now();
        let (mut read, mut write) = TcpStream::connect(server.addr).await.unwrap().into_split();
        let dribbling = async {
            for byte in said.iter().chain(&[7; 100]).take(if said.is_empty() { 0 } else { 111 }) {
                if write.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await
        };
        let mut rest = [0; 16];
        tokio::select! {
            end = soon(read.read(&mut rest)) => assert!(matches!(end, Ok(0) | Err(_)), "{end:?}"),
            () = dribbling => {}
        }
        let took = began.elapsed();
        assert!((Duration::from_secs(3)..Duration::from_secs(4)).contains(&took), "{took:?}");
    }
    // Their place is free again.
    let mut peer = connect(&authority.client(), server.addr).await;
    soon(peer.send(Frame::text("hello"))).await.unwrap();
    assert_eq!(hear(&mut peer).await, Frame::text("hello"));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_whole_opening_counts_the_tls_handshake() {
    let authority = Authority::new("all");
    let app = echo_app().handshake_timeout(Duration::from_secs(6));
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    let began = Instant::now();
    let stream = TcpStream::connect(server.addr).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    let mut stream = authority.client().over(stream, "localhost").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_tls_begins_after_its_header_and_counts_for_the_client() {
    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";
    let authority = Authority::new("all");
    let (lists, refusals) = (Addresses::new(), Arc::new(Refusals::default()));
    let app = App::new().route("/", from_fn(tell)).proxy_protocol(TrustedNetworks::loopback());
    let app = app.tls_timeout(Duration::from_secs(3)).addresses(lists.clone()).observe(refusals.clone());
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    // The handshake's time is its own: the header was waited for before.
    sleep(Duration::from_secs(2)).await;
    stream.write_all(HEADER).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    let mut peer = upgrade(authority.client().over(stream, "localhost").await.unwrap()).await;
    assert!(hear(&mut peer).await.to_text().unwrap().starts_with("TLSv1_3 "));

    lists.block("192.0.2.7".parse::<Network>().unwrap());
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(HEADER).await.unwrap();
    assert!(authority.client().over(stream, "localhost").await.is_err());
    assert_eq!(*refusals.0.lock().unwrap(), [(403, "address")]);
}

#[tokio::test]
async fn handshakes_that_fail_give_their_place_back() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app().max_handshakes(1), &authority.tls(&["localhost"])).await;
    for bad in
        [&b"\x16\x03\x01\x00\x02hi"[..], b"\0\0\0\0\0\0\0\0", b"\x16\x03\x01\xff\xff", b"\x15\x03\x01\x00\x02\x01\x00"]
    {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        // It may be over before all was written.
        let _ = stream.write_all(bad).await;
        let _ = stream.shutdown().await;
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    soon(async {
        // The last one's task may still be about to end.
        while authority.client().connect(server.addr, "localhost").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[derive(Default)]
struct Refusals(Mutex<Vec<(u16, &'static str)>>);

impl Observer for Refusals {
    fn refused(&self, _: Option<SocketAddr>, status: u16, reason: &'static str) {
        self.0.lock().unwrap().push((status, reason));
    }
}

#[tokio::test]
async fn observers_are_told_who_did_not_get_through_the_tls_handshake() {
    let authority = Authority::new("all");
    let refusals = Arc::new(Refusals::default());
    let app = echo_app().tls_timeout(Duration::from_millis(500)).observe(refusals.clone());
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    // A health check, of whom nobody is told.
    let mut gone = TcpStream::connect(server.addr).await.unwrap();
    gone.shutdown().await.unwrap();
    assert_eq!(soon(gone.read(&mut [0; 16])).await.unwrap(), 0);
    for said in [&b"GET / HTTP/1.1\r\n"[..], b"\0\0\0\0\0\0\0\0", b""] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(said).await.unwrap();
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    assert_eq!(*refusals.0.lock().unwrap(), [(400, "tls"), (400, "tls"), (408, "timeout")]);
}

#[tokio::test]
async fn a_blocked_address_hears_nothing_and_no_tls_handshake_is_done() {
    let authority = Authority::new("all");
    let refusals = Arc::new(Refusals::default());
    let addresses = Addresses::new().silent(true);
    addresses.block("127.0.0.1".parse::<Network>().unwrap());
    let app = echo_app().addresses(addresses.clone()).observe(refusals.clone());
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    let mut blocked = TcpStream::connect(server.addr).await.unwrap();
    let mut heard = Vec::new();
    soon(blocked.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"");
    assert!(authority.client().connect(server.addr, "localhost").await.is_err());
    assert_eq!(*refusals.0.lock().unwrap(), [(403, "address"); 2], "and not for their handshakes");
    addresses.unblock("127.0.0.1".parse::<Network>().unwrap());
    assert!(authority.client().connect(server.addr, "localhost").await.is_ok());
}

#[tokio::test]
async fn a_socket_too_many_for_tls_is_closed_without_a_word() {
    let authority = Authority::new("all");
    let server = Running::start(echo_app().max_handshakes(1), &authority.tls(&["localhost"])).await;
    let _first = authority.client().connect(server.addr, "localhost").await.unwrap();
    let mut second = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(soon(second.read(&mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn who_has_not_finished_the_tls_handshake_does_not_hold_up_the_end() {
    let authority = Authority::new("all");
    let app = echo_app().tls_timeout(HOUR).handshake_timeout(HOUR);
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    let mut peer = connect(&authority.client(), server.addr).await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    silent.write_all(&[0x16, 3, 1]).await.unwrap();
    // Answered, so the silent one has been accepted as well.
    connect(&authority.client(), server.addr).await;
    server.handle.stop();
    let Frame::Close(Some(close)) = hear(&mut peer).await else { panic!("no close") };
    assert_eq!(u16::from(close.code), 1001);
    assert!(soon(peer.next()).await.is_none());
    drop(peer);
    assert_eq!(soon(server.task).await.unwrap().cut, 0);
}

#[cfg(feature = "http")]
#[tokio::test]
async fn pages_come_over_tls_and_the_stream_becomes_a_websocket_with_a_later_request() {
    #[derive(Clone)]
    struct Pages;
    impl tower_service::Service<http::Request<hyper::body::Incoming>> for Pages {
        type Response = http::Response<String>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: http::Request<hyper::body::Incoming>) -> Self::Future {
            let name = request.extensions().get::<TlsInfo>().and_then(TlsInfo::server_name).unwrap_or("plain");
            std::future::ready(Ok(http::Response::new(format!("to {name}"))))
        }
    }
    let authority = Authority::new("all");
    let app = App::new().route("/", from_fn(tell)).http(Pages);
    let server = Running::start(app, &authority.tls(&["localhost"])).await;
    let mut stream = authority.client().connect(server.addr, "localhost").await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("to localhost") {
            let mut part = [0; 1_000];
            let read = soon(stream.read(&mut part)).await.unwrap();
            assert!(read > 0, "{answer}");
            answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let mut peer = upgrade(stream).await;
    let told = r#"TLSv1_3 Some("localhost") None resumed false client 0"#;
    assert_eq!(hear(&mut peer).await.to_text().unwrap(), told);
}
