//! Redirections: which are followed, and what is taken along.

mod common;

use common::{Authority, answering, app, raw, serve, serve_tls, soon};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use wsrv_client::{Client, ConnectError, RedirectError};

/// Sends everybody to `location`.
async fn redirecting(status: u16, location: String) -> SocketAddr {
    raw(move |mut stream, _| {
        let answer = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        async move {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

/// With everything that is nobody else's business.
fn client(url: &str) -> Client {
    let client = Client::new(url).unwrap().basic_auth("user", "password").cookie("session", "1");
    client.header("x-own", "secret").header("origin", "http://x.example").header("user-agent", "test")
}

#[tokio::test]
async fn none_is_followed_unasked() {
    let addr = redirecting(302, "/elsewhere".to_owned()).await;
    let error = soon(client(&format!("ws://{addr}/")).connect()).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().header_str("location"), Some("/elsewhere"));
}

#[tokio::test]
async fn another_origin_gets_nothing_that_is_not_its_business() {
    let server = serve(app()).await;
    for status in [301, 302, 303, 307, 308] {
        for scheme in ["ws", "http"] {
            let addr = redirecting(status, format!("{scheme}://{server}/about?x")).await;
            let mut socket = soon(client(&format!("ws://{addr}/")).redirects(1).connect()).await.unwrap();
            let told = soon(socket.recv()).await.unwrap();
            let expected = format!("/about?x {server}\norigin: http://x.example\nuser-agent: test");
            assert_eq!(told.as_text(), Some(expected.as_str()));
        }
    }
}

#[tokio::test]
async fn the_same_origin_gets_all_and_who_comes_back_to_it_does_not() {
    // One server that redirects from / to /about, and from /away to another one that sends back.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let back = redirecting(302, format!("ws://{addr}/about")).await;
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = common::read_head(&mut stream).await;
            let location = match head.split(' ').nth(1).unwrap() {
                "/" => "about".to_owned(),
                "/away" => format!("http://{back}/"),
                _ => {
                    told.send(head).unwrap();
                    "".to_owned()
                }
            };
            let status = if location.is_empty() { "404 No" } else { "307 Elsewhere" };
            let answer = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    for (path, is_known) in [("/", true), ("/away", false)] {
        let error = soon(client(&format!("ws://{addr}{path}")).redirects(5).connect()).await.unwrap_err();
        assert_eq!(error.refusal().unwrap().status(), 404);
        let head = soon(hear.recv()).await.unwrap();
        for header in ["authorization", "cookie", "x-own"] {
            assert_eq!(head.contains(&format!("\r\n{header}: ")), is_known, "{path} {header}");
        }
    }
}

#[tokio::test]
async fn a_ring_of_redirections_ends() {
    let addr = redirecting(302, "/again".to_owned()).await;
    let error = soon(client(&format!("ws://{addr}/")).redirects(20).connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Redirect(RedirectError::TooMany)), "{error:?}");
    // And in time, if each takes long.
    let addr = raw(|mut stream, _| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = stream.write_all(b"HTTP/1.1 302 Elsewhere\r\nLocation: /\r\n\r\n").await;
    })
    .await;
    let client = client(&format!("ws://{addr}/")).redirects(usize::MAX).connect_timeout(Duration::from_millis(300));
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirection_to_nowhere_is_told() {
    for answer in [
        &b"HTTP/1.1 302 Elsewhere\r\n\r\n"[..],
        b"HTTP/1.1 302 Elsewhere\r\nLocation: /a\r\nLocation: /b\r\n\r\n",
        b"HTTP/1.1 302 Elsewhere\r\nLocation: ftp://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 302 Elsewhere\r\nLocation: ws://user:password@127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 302 Elsewhere\r\nLocation: \xFF\r\n\r\n",
    ] {
        let addr = answering(answer).await;
        let error = soon(client(&format!("ws://{addr}/")).redirects(5).connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Redirect(RedirectError::Location)), "{error:?}");
        assert!(error.is_permanent());
    }
    // Neither is a choice, nor what a cache may know: no redirections.
    let addr = answering(b"HTTP/1.1 304 Known\r\nLocation: /\r\n\r\n").await;
    let error = soon(client(&format!("ws://{addr}/")).redirects(5).connect()).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().status(), 304);
}

#[tokio::test]
async fn from_a_secure_server_none_leads_to_an_insecure_one() {
    let authority = Authority::new();
    let plain = serve(app()).await;
    let secure = serve_tls(app(), authority.tls(&["127.0.0.1"])).await;
    // A TLS server that redirects: made of the same parts.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(authority.tls(&["127.0.0.1"]).config());
    tokio::spawn(async move {
        for location in [format!("http://{plain}/about"), format!("https://{secure}/about")] {
            use tokio::io::AsyncReadExt;
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            let answer = format!("HTTP/1.1 302 Elsewhere\r\nLocation: {location}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let client = client(&format!("wss://{addr}/")).tls(authority.client()).redirects(5);
    let error = soon(client.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Redirect(RedirectError::Insecure)), "{error:?}");
    let mut socket = soon(client.connect()).await.unwrap();
    assert!(soon(socket.recv()).await.unwrap().as_text().unwrap().starts_with("/about"));

    let addr = redirecting(301, format!("https://{secure}/about")).await;
    let upward = Client::new(&format!("ws://{addr}/")).unwrap().tls(authority.client()).redirects(1);
    soon(upward.connect()).await.unwrap();
}
