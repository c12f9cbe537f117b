//! Running out of descriptors. A program of its own, because their limit is the whole process's.
#![cfg(unix)]

#[path = "common/alone.rs"]
mod alone;
mod common;

use alone::Alone;
use common::{Peer, echo_app, soon};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;

#[tokio::test]
async fn a_server_without_descriptors_serves_on_and_recovers() {
    let server = Alone::serve(echo_app());
    let mut before = Peer::open(server.addr, "/").await;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(60), ..limit }).unwrap();
    // Each takes one descriptor here and, once it is accepted, one there.
    let mut greedy = Vec::new();
    while let Ok(stream) = TcpStream::connect(server.addr).await {
        greedy.push(stream);
        assert!(greedy.len() < 60);
    }
    // A socket waits to be accepted all the time. Each try costs time, so few can fit into this.
    let spent = server.cpu_time().await;
    sleep(Duration::from_millis(300)).await;
    let spent = server.cpu_time().await - spent;
    assert!(spent < Duration::from_millis(10), "{spent:?}");
    assert!(TcpStream::connect(server.addr).await.is_err(), "there is no descriptor left");
    before.say("still here").await;
    assert_eq!(before.text().await, "still here");
    drop(greedy);
    let mut after = soon(async {
        loop {
            match TcpStream::connect(server.addr).await {
                Ok(stream) => return Peer(stream),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    after.send(common::upgrade("/", "").as_bytes()).await;
    assert!(after.head().await.starts_with("HTTP/1.1 101 "));
    after.say("hello").await;
    assert_eq!(after.text().await, "hello");
}
