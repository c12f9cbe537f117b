//! What connections leave behind on the heap. Allocations are counted for one thread alone, so the server has this one,
//! and its peers another.

mod common;

use allocation_counter::{AllocationInfo, measure};
use common::echo_app;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::spawn;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use wsrv_core::Connections;

const CONNECTIONS: usize = 400;

/// Opens connections, which then have talked once.
fn open(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
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
    (0..count).map(open).collect()
}

fn server() -> (Runtime, SocketAddr, Connections) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(echo_app().bind("127.0.0.1:0")).unwrap();
    let (addr, connections) = (server.local_addr().unwrap(), server.connections().clone());
    runtime.spawn(async move { server.serve().await });
    (runtime, addr, connections)
}

/// What the server allocates while the peers do this.
fn meanwhile<T: Send + 'static>(runtime: &Runtime, act: impl FnOnce() -> T + Send + 'static) -> (T, AllocationInfo) {
    let (done, is_done) = oneshot::channel();
    spawn(move || done.send(act()));
    let mut outcome = None;
    let info = measure(|| {
        outcome = Some(runtime.block_on(async {
            let outcome = is_done.await.unwrap();
            // What they have sent last has arrived by then.
            tokio::time::sleep(Duration::from_millis(500)).await;
            outcome
        }));
    });
    (outcome.unwrap(), info)
}

#[test]
fn connections_leave_next_to_nothing_behind() {
    let (runtime, addr, connections) = server();
    let open_and_close = || {
        let (peers, taken) = meanwhile(&runtime, move || open(addr, CONNECTIONS));
        assert_eq!(connections.len(), CONNECTIONS);
        let given_back = measure(|| {
            drop(peers);
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
    assert!(taken < CONNECTIONS as i64 * 8 * 1024, "{taken} bytes for idle connections");
}

#[test]
fn a_length_that_is_announced_costs_nothing() {
    let (runtime, addr, connections) = server();
    let (peers, before) = meanwhile(&runtime, move || open(addr, CONNECTIONS));
    // The largest message there may be, and its first bytes.
    let header = [&[0x82, 0xff][..], &(1u64 << 20).to_be_bytes(), &[0; 4 + 10]].concat();
    let (_peers, announced) = meanwhile(&runtime, move || {
        let mut peers = peers;
        peers.iter_mut().for_each(|peer| peer.write_all(&header).unwrap());
        peers
    });
    assert_eq!(connections.len(), CONNECTIONS);
    assert!(announced.bytes_current > 0, "what has arrived is kept");
    assert!(announced.bytes_current < before.bytes_current, "{announced:?}");
}

#[test]
fn fragments_cost_little_more_than_their_bytes() {
    let (runtime, addr, connections) = server();
    let (peers, _) = meanwhile(&runtime, move || open(addr, CONNECTIONS));
    let fragments = [&[0x02, 0x81, 0, 0, 0, 0, 7][..], &[0x00, 0x81, 0, 0, 0, 0, 7].repeat(4000)].concat();
    let (_peers, taken) = meanwhile(&runtime, move || {
        let mut peers = peers;
        for peer in &mut peers {
            // All of them have arrived when the ping behind them is answered.
            peer.write_all(&[&fragments[..], &[0x89, 0x80, 0, 0, 0, 0]].concat()).unwrap();
            let mut pong = [0; 2];
            peer.read_exact(&mut pong).unwrap();
            assert_eq!(pong, [0x8a, 0]);
        }
        peers
    });
    assert_eq!(connections.len(), CONNECTIONS);
    let each = taken.bytes_current / CONNECTIONS as i64;
    assert!((4000..12_000).contains(&each), "{each} bytes for 4,001 fragments of one byte");
}

/// Writes until the server takes nothing more, or all of it is gone.
fn write_and_never_read(addr: SocketAddr, message: &[u8], count: usize, patience: Duration) -> (TcpStream, usize) {
    let mut peer = open(addr, 1).swap_remove(0);
    peer.set_write_timeout(Some(patience)).unwrap();
    let mut written = 0;
    while written < count * message.len() {
        match peer.write(&message.repeat(100)[written % message.len()..]) {
            Ok(size) => written += size,
            Err(_) => break,
        }
    }
    (peer, written)
}

#[test]
fn echoes_that_nobody_reads_hold_up_their_sender_and_not_the_server() {
    let (runtime, addr, _) = server();
    let message = [&[0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0][..], &[7; 60_000]].concat();
    let ((_peer, written), taken) =
        meanwhile(&runtime, move || write_and_never_read(addr, &message, 2000, Duration::from_secs(1)));
    assert!(written < 2000 * 60_000, "it was not read any more");
    assert!(taken.bytes_max < 1 << 20, "{taken:?}");
}

#[test]
fn pings_that_nobody_reads_the_answers_of_are_not_hoarded() {
    let (runtime, addr, connections) = server();
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'?'; 125]].concat();
    let size = ping.len();
    let ((_peer, written), taken) =
        meanwhile(&runtime, move || write_and_never_read(addr, &ping, 200_000, Duration::from_secs(10)));
    assert_eq!(connections.len(), 1);
    assert_eq!(written / size, 200_000, "a peer is read although it reads nothing: one answer is all it is owed");
    assert!(taken.bytes_max < 1 << 20, "{taken:?}");
}
