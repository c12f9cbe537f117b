//! Sockets of a proxy that names the client in a PROXY header: who counts, who is kept out, and what is told.

mod common;

use common::{Peer, Refusals, serve, upgrade};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::ProxyAddr;

/// Says where the peer is, and through which proxy it came.
async fn whence(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let conn = socket.connection().clone();
    let addr = conn.remote_addr().map_or_else(String::new, |addr| addr.ip().to_string());
    let proxy = conn.extensions().get::<ProxyAddr>().map_or_else(String::new, |proxy| proxy.0.ip().to_string());
    socket.send(format!("{addr} {proxy}")).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

/// Behind a proxy at 127.0.0.1.
fn app() -> App {
    let proxies = TrustedNetworks::new();
    proxies.trust(network("127.0.0.1"));
    App::new().route("/", from_fn(whence)).proxy_protocol(proxies)
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// A header of version 1 for this client.
fn header(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.1 40000 80\r\n")
}

/// What somebody is answered for whom this header comes, and who says no more than that he wants a WebSocket.
async fn ask(addr: std::net::SocketAddr, client: &str) -> u16 {
    let mut peer = Peer::connect(addr).await;
    peer.send((header(client) + &upgrade("/", "")).as_bytes()).await;
    peer.response().await.0
}

#[tokio::test]
async fn a_header_tells_the_client_and_is_demanded_of_proxies_only() {
    let refusals = Arc::new(Refusals::default());
    let server = serve(app().observe(refusals.clone())).await;
    let mut peer = Peer::connect(server.addr).await;
    let request = header("192.0.2.7") + &upgrade("/", "");
    for piece in request.as_bytes().chunks(7) {
        peer.send(piece).await;
    }
    assert_eq!(peer.response().await.0, 101);
    assert_eq!(peer.text().await, "192.0.2.7 127.0.0.1");

    let mut health = Peer::connect(server.addr).await;
    health.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await;
    health.upgrade("/").await;
    assert_eq!(health.text().await, "127.0.0.1 ");

    let mut silent = Peer::connect(server.addr).await;
    tokio::io::AsyncWriteExt::shutdown(&mut silent.0).await.unwrap();
    assert_eq!(silent.rest().await, b"", "a health check without a byte, of whom nobody is told");

    let mut plain = Peer::connect(server.addr).await;
    plain.send(upgrade("/", "").as_bytes()).await;
    assert_eq!(plain.rest_or_reset().await, b"", "a proxy that does not say whom it stands for");
    assert_eq!(refusals.take(), [([127, 0, 0, 1].into(), 400, "proxy")]);

    let mut direct = Peer::connect_from([127, 0, 0, 2], server.addr).await;
    direct.upgrade("/").await;
    assert_eq!(direct.text().await, "127.0.0.2 ");
}

#[tokio::test]
async fn a_socket_takes_one_place_among_the_handshakes() {
    let server = serve(app().max_handshakes(1)).await;
    let mut first = Peer::connect(server.addr).await;
    first.send(header("192.0.2.7").as_bytes()).await;
    // It has the place, header or not.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(Peer::connect(server.addr).await.response().await.0, 503);
    first.upgrade("/").await;
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);
}

#[tokio::test]
async fn handshakes_are_counted_for_the_client_of_the_header() {
    let server = serve(app().max_handshakes_per_address(1)).await;
    let mut half = Peer::connect(server.addr).await;
    half.send((header("192.0.2.7") + "GET / HTTP/1.1\r\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(server.addr, "192.0.2.7").await, 503);
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);

    let once = RateLimits::default().with_handshakes(Rate::per_second(1));
    let server = serve(app().rate_limits(once)).await;
    assert_eq!(ask(server.addr, "192.0.2.7").await, 101);
    assert_eq!(ask(server.addr, "192.0.2.7").await, 429);
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);
}

#[tokio::test]
async fn connections_are_counted_for_the_client_of_the_header() {
    let server = serve(app().max_connections_per_address(1)).await;
    let mut first = Peer::connect(server.addr).await;
    first.send(header("192.0.2.7").as_bytes()).await;
    first.upgrade("/").await;
    assert_eq!(ask(server.addr, "192.0.2.7").await, 503);
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);
}

#[tokio::test]
async fn the_client_of_the_header_is_the_one_who_is_blocked() {
    let (lists, refusals) = (Addresses::new(), Arc::new(Refusals::default()));
    lists.block(network("192.0.2.7"));
    let server = serve(app().addresses(lists.clone()).observe(refusals.clone())).await;
    assert_eq!(ask(server.addr, "192.0.2.7").await, 403);
    assert_eq!(refusals.take(), [(IpAddr::from([192, 0, 2, 7]), 403, "address")]);
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);
    // Nobody blocks the proxy by its own address, for it is not the client.
    lists.block(network("127.0.0.1"));
    assert_eq!(ask(server.addr, "192.0.2.8").await, 101);
}

#[tokio::test]
async fn a_proxy_that_is_silent_or_stops_in_its_header_meets_the_deadline() {
    let refusals = Arc::new(Refusals::default());
    let server = serve(app().handshake_timeout(Duration::from_millis(300)).observe(refusals.clone())).await;
    for said in ["", "PROXY TCP4 192.0.2.7"] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(said.as_bytes()).await;
        assert_eq!(peer.rest_or_reset().await, b"", "there is nobody to be told");
        assert_eq!(refusals.take(), [(IpAddr::from([127, 0, 0, 1]), 408, "timeout")], "{said}");
    }
    let mut ended = Peer::connect(server.addr).await;
    ended.send(b"PROXY TCP4 192.0.2.7").await;
    tokio::io::AsyncWriteExt::shutdown(&mut ended.0).await.unwrap();
    assert_eq!(ended.rest_or_reset().await, b"");
    assert_eq!(refusals.take(), [(IpAddr::from([127, 0, 0, 1]), 400, "proxy")]);
}

#[tokio::test]
async fn gates_learn_whether_the_client_has_used_tls() {
    fn secure(opening: &mut Opening) -> Result<(), Rejection> {
        match opening.is_secure() {
            Some(true) => Ok(()),
            Some(false) => Err(Rejection::new(StatusCode::UPGRADE_REQUIRED, "in clear text")),
            None => Err(Rejection::new(StatusCode::FORBIDDEN, "nobody knows")),
        }
    }
    let server = serve(app().gate(secure)).await;
    for (ssl, status) in [(Some(1), 101), (Some(0), 426), (None, 403)] {
        // Version 2, TCP over IPv4, and perhaps a record that says whether there is TLS.
        let record = ssl.map_or_else(Vec::new, |flag| vec![0x20, 0, 5, flag, 0, 0, 0, 0]);
        let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x9c, 0x40, 0, 80];
        let len = (addresses.len() + record.len()) as u16;
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
        header.extend(len.to_be_bytes());
        header.extend(addresses);
        header.extend(record);
        let mut peer = Peer::connect(server.addr).await;
        peer.send(&[&header, upgrade("/", "").as_bytes()].concat()).await;
        assert_eq!(peer.response().await.0, status, "{ssl:?}");
    }
}
