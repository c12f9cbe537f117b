//! Through proxies: real ones where they are installed, and bad ones of the test's own.

mod common;

use common::{Authority, answering, app, raw, serve, serve_tls, soon};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wsrv_client::wsrv_core::Connection;
use wsrv_client::wsrv_core::Reason;
use wsrv_client::{Client, ConnectError, Message, Phase, Proxy, ProxyError};

/// A program that ends with the test.
struct Running {
    child: Child,
    port: u16,
    _files: Option<TempDir>,
}

struct TempDir(std::path::PathBuf);

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a proxy that then listens on `port`. `None` if it is not installed, which fails where CI is set.
async fn start(program: &str, arguments: &[&str], port: u16, files: Option<TempDir>) -> Option<Running> {
    let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{program}: {error}");
            eprintln!("NOT RUN: {program}: {error}");
            return None;
        }
    };
    let running = Running { child, port, _files: files };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(running);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{program} does not listen");
}

async fn tinyproxy(credentials: &str) -> Option<Running> {
    let port = free_port();
    let folder = std::env::temp_dir().join(format!("wsrv-client-{}-{port}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("tinyproxy.conf");
    let config = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\n{credentials}\n");
    std::fs::write(&file, config).unwrap();
    start("tinyproxy", &["-d", "-c", file.to_str().unwrap()], port, Some(TempDir(folder))).await
}

async fn microsocks(more: &[&str]) -> Option<Running> {
    let port = free_port();
    let number = port.to_string();
    start("microsocks", &[&["-i", "127.0.0.1", "-p", &number], more].concat(), port, None).await
}

/// Echoes through this proxy, in the clear and with TLS, by name and by address.
async fn echoes_through(proxy: &str) {
    let authority = Authority::new();
    let plain = serve(app()).await;
    let secure = serve_tls(app(), authority.tls(&["localhost"])).await;
    let urls = [
        format!("ws://{plain}/echo"),
        format!("ws://localhost:{}/echo", plain.port()),
        format!("wss://localhost:{}/echo", secure.port()),
    ];
    for url in urls {
        let client = Client::new(&url).unwrap().tls(authority.client()).proxy(Proxy::new(proxy).unwrap());
        let mut socket = soon(client.connect()).await.unwrap();
        for message in [Message::from("hello"), Message::from(vec![7; 500_000])] {
            soon(socket.send(message.clone())).await.unwrap();
            assert_eq!(soon(socket.recv()).await.unwrap(), message, "{url}");
        }
        socket.close(Reason::Done);
        assert!(soon(socket.recv()).await.is_none());
    }
}

async fn through(proxy: &str, url: &str) -> ConnectError {
    soon(Client::new(url).unwrap().proxy(Proxy::new(proxy).unwrap()).connect()).await.unwrap_err()
}

#[tokio::test]
async fn tinyproxy_lets_through() {
    let Some(proxy) = tinyproxy("").await else { return };
    echoes_through(&format!("http://127.0.0.1:{}", proxy.port)).await;
    let nobody = format!("ws://127.0.0.1:{}/", free_port());
    let error = through(&format!("http://127.0.0.1:{}", proxy.port), &nobody).await;
    let ConnectError::Proxy(ProxyError::Refused(head)) = error else { panic!("{error:?}") };
    assert!(head.status().is_server_error(), "{head:?}");
}

#[tokio::test]
async fn tinyproxy_asks_who_it_is() {
    let Some(proxy) = tinyproxy("BasicAuth user pass").await else { return };
    echoes_through(&format!("http://user:pass@127.0.0.1:{}", proxy.port)).await;
    let url = format!("ws://{}/echo", serve(app()).await);
    for credentials in ["", "user:wrong@"] {
        let error = through(&format!("http://{credentials}127.0.0.1:{}", proxy.port), &url).await;
        let ConnectError::Proxy(ProxyError::Refused(head)) = error else { panic!("{error:?}") };
        assert!([401, 407].contains(&head.status().as_u16()), "{head:?}");
    }
}

#[tokio::test]
async fn microsocks_lets_through() {
    let Some(proxy) = microsocks(&[]).await else { return };
    echoes_through(&format!("socks5://127.0.0.1:{}", proxy.port)).await;
    let nobody = format!("ws://127.0.0.1:{}/", free_port());
    let error = through(&format!("socks5h://127.0.0.1:{}", proxy.port), &nobody).await;
    assert!(matches!(error, ConnectError::Proxy(ProxyError::Socks(_))), "{error:?}");
}

#[tokio::test]
async fn microsocks_asks_who_it_is() {
    let Some(proxy) = microsocks(&["-u", "user", "-P", "pass"]).await else { return };
    echoes_through(&format!("socks5://user:pass@127.0.0.1:{}", proxy.port)).await;
    let url = format!("ws://{}/echo", serve(app()).await);
    for credentials in ["", "user:wrong@"] {
        let error = through(&format!("socks5://{credentials}127.0.0.1:{}", proxy.port), &url).await;
        assert!(matches!(error, ConnectError::Proxy(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_will_want_it_next_time_too() {
    for (answer, is_permanent) in [
        (&b"HTTP/1.1 407 No\r\n\r\n"[..], true),
        (b"HTTP/1.1 401 No\r\n\r\n", true),
        (b"HTTP/1.1 502 No\r\n\r\n", false),
    ] {
        let proxy = format!("http://user:pass@{}", answering(answer).await);
        let error = through(&proxy, "ws://server.example/").await;
        assert!(matches!(error, ConnectError::Proxy(ProxyError::Refused(_))), "{error:?}");
        assert_eq!(error.is_permanent(), is_permanent);
    }
}

/// What a proxy is asked first, up to the empty line.
#[tokio::test]
async fn an_http_proxy_gets_the_name_and_nothing_of_the_request() {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let addr = raw(move |mut stream, head| {
        let told = told.clone();
        async move {
            told.send(head).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 502 No\r\n\r\n").await;
        }
    })
    .await;
    let proxy = Proxy::new(&format!("http://us%20er:pass@{addr}")).unwrap();
    let client = Client::new("ws://server.example/secret").unwrap().cookie("a", "b").proxy(proxy);
    soon(client.connect()).await.unwrap_err();
    assert_eq!(
        soon(hear.recv()).await.unwrap(),
        "CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\n\
         Proxy-Authorization: Basic dXMgZXI6cGFzcw==\r\n\r\n"
    );
}

#[tokio::test]
async fn a_socks_proxy_gets_the_name_and_not_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let proxy = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        stream.write_all(b"\x05\x00").await.unwrap();
        let mut request = [0; 21];
        stream.read_exact(&mut request).await.unwrap();
        request
    });
    let client = Client::new("ws://server.example/").unwrap().proxy(Proxy::new(&format!("socks5://{addr}")).unwrap());
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy(_)), "{error:?}");
    assert_eq!(soon(proxy).await.unwrap(), *b"\x05\x01\x00\x03\x0Eserver.example\x00\x50");
}

#[tokio::test]
async fn bad_proxies_are_told_apart_in_time() {
    let proxied = |addr: SocketAddr, scheme: &str| {
        let proxy = Proxy::new(&format!("{scheme}://{addr}")).unwrap();
        Client::new("ws://server.example/").unwrap().proxy(proxy).connect_timeout(Duration::from_millis(500))
    };
    let early = answering(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Yes\r\n").await;
    let error = soon(proxied(early, "http").connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy(ProxyError::Unasked)), "{error:?}");

    let no_http = answering(b"hello\r\n\r\n").await;
    let error = soon(proxied(no_http, "http").connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy(ProxyError::Head(_))), "{error:?}");

    let gone = raw(|_, _| async {}).await;
    let error = soon(proxied(gone, "http").connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Proxy(ProxyError::Lost(_))), "{error:?}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["http", "socks5"] {
        let error = soon(proxied(silent.local_addr().unwrap(), scheme).connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Timeout { phase: Phase::Proxy, .. }), "{error:?}");
    }
}
