//! Many who send to many at the same time: each peer gets every sender's messages whole and in order.

mod common;

use bytes::Bytes;
use common::soon;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Driver, Error, Group, Handler, Limits, Membership};

const MEMBERS: usize = 8;
const OUTSIDE: [&str; 2] = ["x", "y"];
/// Messages of each, and those of one turn.
const EACH: usize = 300;
const TURN: usize = 5;

/// Answers each line with some numbered ones to all, whom it reaches in different ways.
struct Relay(Group<LineConnection>);

/// A line of a length of its own; some are too large to be copied.
fn numbered(from: &str, number: usize) -> Vec<u8> {
    let length = match number % 29 {
        0 => 9_000,
        n => n * n,
    };
    format!("{from} {number} {}", "#".repeat(length)).into_bytes()
}

impl Handler<LineConnection> for Relay {
    type State = (Membership<LineConnection>, usize);

    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        Ok((self.0.join(conn), 0))
    }

    async fn on_message(&self, conn: &LineConnection, state: &mut Self::State, line: Bytes) -> Result<(), Error> {
        let (member, sent) = state;
        let name = String::from_utf8_lossy(&line).into_owned();
        for _ in 0..TURN {
            *sent += 1;
            match *sent % 7 {
                // To oneself first, so that one's own queue holds something else.
                0 => {
                    conn.try_send(format!("own {sent}"))?;
                    member.group().send(numbered(&name, *sent));
                }
                3 => {
                    member.send_to_others(numbered(&name, *sent));
                    conn.try_send(numbered(&name, *sent))?;
                }
                5 => {
                    for half in 0..2 {
                        let mut turn = half;
                        member.group().send_filtered(numbered(&name, *sent), |_| {
                            turn += 1;
                            turn % 2 == 0
                        });
                    }
                }
                _ => {
                    member.group().send(numbered(&name, *sent));
                }
            }
            if *sent % 11 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// Asks for messages, and reads at a pace of its own until everybody's have come.
async fn peer(name: usize, stream: impl AsyncRead + AsyncWrite) {
    let (reader, mut writer) = tokio::io::split(stream);
    let asks = async move {
        for _ in 0..EACH / TURN {
            writer.write_all(format!("{name}\n").as_bytes()).await.unwrap();
            sleep(Duration::from_micros(300)).await;
        }
        writer
    };
    let mut reader = BufReader::with_capacity(100 + 500 * name, reader);
    let reads = async {
        let mut last = HashMap::new();
        let mut line = String::new();
        while last.values().filter(|last| **last == EACH).count() < MEMBERS + OUTSIDE.len() {
            line.clear();
            reader.read_line(&mut line).await.unwrap();
            let mut words = line.trim_end().split(' ');
            let (from, number) = (words.next().unwrap(), words.next().expect("a line").parse().unwrap());
            if from == "own" {
                continue;
            }
            assert!(line.trim_end().as_bytes() == numbered(from, number), "not whole: {line}");
            let last = last.entry(from.to_owned()).or_insert(0);
            assert_eq!(number, *last + 1, "to {name} from {from}");
            *last = number;
            if number % 50 == name {
                sleep(Duration::from_millis(2)).await;
            }
        }
    };
    // Neither half is dropped before both are done.
    let _writer = tokio::join!(asks, reads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_send_to_many_arrives_whole_and_in_order() {
    let room = Group::new();
    let relay = Arc::new(Relay(room.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = Arc::new(Limits::default().with_outbox(usize::MAX).with_outbox_soft(usize::MAX));
    let mut peers: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for name in 0..MEMBERS {
        let driver = if name % 2 == 0 {
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            peers.push(Box::pin(peer(name, socket)));
            Driver::tcp(listener.accept().await.unwrap().0, Lines::new(100))
        } else {
            let (pipe, stream) = duplex([300, 1000, 100_000, 3000][name / 2]);
            peers.push(Box::pin(peer(name, pipe)));
            Driver::io(stream, Lines::new(100))
        };
        tokio::spawn(driver.limits(limits.clone()).run(relay.clone()));
    }
    soon(async {
        while room.len() < MEMBERS {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // From threads that are in no turn, too.
    let threads = OUTSIDE.map(|name| {
        let room = room.clone();
        std::thread::spawn(move || {
            (1..=EACH).for_each(|number| {
                room.send(numbered(name, number));
            })
        })
    });
    let peers: Vec<_> = peers.into_iter().map(tokio::spawn).collect();
    for peer in peers {
        soon(peer).await.unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
