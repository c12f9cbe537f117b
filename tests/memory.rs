//! What connections leave behind on the heap. Allocations are counted for one thread alone, so the server has this one,
//! and its peers another.

use allocation_counter::measure;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::spawn;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use wsrv_app::prelude::*;

const CONNECTIONS: usize = 400;

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Opens connections, which then have talked once.
fn open(addr: SocketAddr) -> Vec<TcpStream> {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let open = |_| {
        let mut peer = TcpStream::connect(addr).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        peer.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 1000];
            let read = peer.read(&mut piece).unwrap();
            assert!(read > 0, "closed in the handshake");
            answer.extend_from_slice(&piece[..read]);
        }
        // "hi", masked with zeros.
        peer.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        let mut reply = [0; 4];
        peer.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"\x81\x02hi");
        peer
    };
    (0..CONNECTIONS).map(open).collect()
}

#[test]
fn connections_leave_next_to_nothing_behind() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(App::new().route("/", from_fn(echo)).bind("127.0.0.1:0")).unwrap();
    let (addr, connections) = (server.local_addr().unwrap(), server.connections().clone());
    runtime.spawn(async move { server.serve().await });
    let open_and_close = || {
        let (opened, is_open) = oneshot::channel();
        spawn(move || opened.send(open(addr)));
        let mut peers = None;
        let taken = measure(|| peers = Some(runtime.block_on(is_open).unwrap()));
        assert_eq!(connections.len(), CONNECTIONS);
        let given_back = measure(|| {
            drop(peers.take());
            runtime.block_on(async {
                while !connections.is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        });
        (taken.bytes_current, given_back.bytes_current)
    };
    // What the first ones make the server and its thread keep is there again for the next.
    let (taken, given_back) = open_and_close();
    assert!(taken > 0);
    assert!(taken + given_back < taken / 4, "{given_back} of {taken} bytes");
    let (taken, given_back) = open_and_close();
    assert!((taken + given_back).abs() < 16 * 1024, "{given_back} of {taken} bytes");
}
