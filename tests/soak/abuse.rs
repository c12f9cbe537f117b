//! Peers that do what they should not. Each knows what the server has to do, and complains if it does not. Only those
//! that announce and go and those that reset see nothing of it: the server has to forget them, and the counts alone
//! judge that.

use crate::common::{BINARY, CLOSE, PING, PONG, Peer, TEXT, close_frame, frame, upgrade};
use crate::peers::{Dice, Peers};
use crate::server::{HANDSHAKE_TIMEOUT, SILENCE};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What the machine may add to a time of the server's.
const SLACK: Duration = Duration::from_secs(8);

const KINDS: [&str; 12] = [
    "says nothing",
    "drips its request",
    "leaves in its request",
    "is refused",
    "breaks a rule",
    "floods with fragments",
    "floods with pings",
    "announces and goes",
    "resets",
    "is half open",
    "does not read its echoes",
    "does not read the feed",
];

/// `count` peers, one abuse after the other, until the set is dropped.
pub(crate) fn spawn(peers: &Arc<Peers>, count: usize, runtime: &Runtime) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let peers = peers.clone();
        tasks.spawn_on(
            async move {
                peers.turn(number, count).await;
                let mut dice = Dice::new(1_000_000 + number);
                while !peers.has_ended() {
                    let kind = KINDS[dice.below(KINDS.len() as u64) as usize];
                    // A task, so that what it asserts ends it and not all abuse.
                    let abuse =
                        tokio::spawn(abuse(peers.clone(), number, kind, Dice::new(dice.below(1 << 40) as usize)));
                    match abuse.await {
                        Err(error) if !peers.has_ended() => peers.complain(format!("who {kind}: {error}")),
                        _ => *peers.abuses.lock().unwrap().entry(kind).or_default() += 1,
                    }
                    peers.pause(Duration::from_millis(dice.below(1000))).await;
                }
            },
            runtime.handle(),
        );
    }
    tasks
}

async fn abuse(peers: Arc<Peers>, number: usize, kind: &str, mut dice: Dice) {
    // A peer that reads nothing is to be noticed soon, so its system takes little for it.
    let receive_buffer = kind.starts_with("does not read").then_some(4096);
    let mut peer = Peer(peers.connect(number, receive_buffer).await);
    let began = Instant::now();
    match kind {
        "says nothing" => {
            assert!(peer.head().await.starts_with("HTTP/1.1 408 "));
            assert!(began.elapsed() < HANDSHAKE_TIMEOUT + SLACK);
        }
        "drips its request" => {
            for byte in upgrade("/echo", &"X-A: b\r\n".repeat(50)).bytes() {
                if began.elapsed() > HANDSHAKE_TIMEOUT + Duration::from_millis(500)
                    || peer.0.write_all(&[byte]).await.is_err()
                {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
            assert!(peer.head().await.starts_with("HTTP/1.1 408 "));
            assert!(began.elapsed() < HANDSHAKE_TIMEOUT + SLACK);
        }
        "leaves in its request" => {
            let request = upgrade("/echo", "");
            peer.send(&request.as_bytes()[..dice.below(request.len() as u64) as usize]).await;
            peer.0.shutdown().await.unwrap();
            assert_eq!(peer.rest().await, b"");
        }
        "is refused" => refused(peer, &mut dice).await,
        "breaks a rule" => breaks_a_rule(peer, &mut dice).await,
        "floods with fragments" => {
            peer.upgrade("/echo").await;
            peer.send(&[frame(0x01, b""), frame(0x00, b"").repeat(4096)].concat()).await;
            assert_eq!(peer.close_code().await, 1008);
            assert_eq!(peer.frame().await, None);
        }
        "floods with pings" => {
            peer.upgrade("/echo").await;
            let pings = frame(PING, &[b'?'; 125]).repeat(1000);
            let flood = async {
                for _ in 0..10 {
                    peer.0.write_all(&pings).await.unwrap();
                }
                // Some answers may be left out, but not that to the latest.
                peer.0.write_all(&frame(PING, b"still there?")).await.unwrap();
                loop {
                    let (first, payload) = peer.frame().await.expect("a pong");
                    // The server may ask the same.
                    assert!([PING, PONG].contains(&first), "{first:#x}");
                    if first == PONG && payload == b"still there?" {
                        break;
                    }
                }
            };
            timeout(Duration::from_secs(30), flood).await.expect("answered in time");
        }
        "announces and goes" => {
            peer.upgrade("/echo").await;
            peer.send(&[&[BINARY, 0xff][..], &(1u64 << 20).to_be_bytes(), &[1, 2, 3, 4], &[0; 10]].concat()).await;
            sleep(Duration::from_millis(dice.below(4000))).await;
        }
        "resets" => {
            peer.upgrade("/echo").await;
            let message = frame(BINARY, &[0; 100_000]);
            peer.send(&message[..dice.below(message.len() as u64) as usize]).await;
            peer.0.set_zero_linger().unwrap();
        }
        "is half open" => {
            peer.upgrade("/echo").await;
            // Takes the ping and does not answer it.
            let listen = async { while peer.0.read(&mut [0; 100]).await.unwrap_or(0) > 0 {} };
            timeout(2 * SILENCE + SLACK, listen).await.expect("cut in time");
            assert!(began.elapsed() >= 2 * SILENCE);
        }
        "does not read its echoes" => {
            peer.upgrade("/echo").await;
            let message = frame(BINARY, &vec![0; 60_000]);
            let talk = async { while peer.0.write_all(&message).await.is_ok() {} };
            timeout(Duration::from_secs(30), talk).await.expect("cut in time");
        }
        "does not read the feed" => {
            peer.upgrade("/feed").await;
            sleep(Duration::from_secs(20)).await;
            // What its system had taken comes first.
            let mut piece = vec![0; 64 * 1024];
            let read = async { while peer.0.read(&mut piece).await.unwrap_or(0) > 0 {} };
            timeout(SLACK, read).await.expect("closed long ago");
        }
        _ => unreachable!("{kind} is no kind of abuse"),
    }
}

async fn refused(mut peer: Peer, dice: &mut Dice) {
    let good = upgrade("/echo", "");
    let table = [
        (400, upgrade("/echo", "Content-Length: 14\r\n") + "GET / HTTP/1.1"),
        (400, good.replace("Host: localhost\r\n", "")),
        (400, upgrade("/echo", "X-A : b\r\n")),
        (404, upgrade("/nowhere", "")),
        (405, good.replace("GET", "POST")),
        (426, good.replace(": 13", ": 8")),
        (431, upgrade("/echo", &"X-A: b\r\n".repeat(120))),
        (431, upgrade("/echo", &format!("X-A: {}\r\n", "b".repeat(100_000)))),
    ];
    let (status, request) = &table[dice.below(table.len() as u64) as usize];
    peer.send(request.as_bytes()).await;
    let head = peer.head().await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    peer.rest().await;
}

async fn breaks_a_rule(mut peer: Peer, dice: &mut Dice) {
    let table = [
        (1002, vec![TEXT, 0x01, b'x']),
        (1002, frame(0xf1, b"x")),
        (1002, frame(0x83, b"")),
        (1002, frame(0x80, b"")),
        (1002, frame(PING, &[0; 126])),
        (1002, close_frame(1005, "")),
        (1002, [&[BINARY, 0xff][..], &[0xff; 8], &[0; 4]].concat()),
        (1007, frame(TEXT, b"\xff")),
        (1007, frame(CLOSE, b"\x03\xe8\xff")),
        (1009, [&[BINARY, 0xff][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat()),
    ];
    let (code, bytes) = &table[dice.below(table.len() as u64) as usize];
    peer.upgrade("/echo").await;
    peer.send(bytes).await;
    assert_eq!(peer.close_code().await, *code, "{bytes:?}");
    assert_eq!(peer.frame().await, None);
}
