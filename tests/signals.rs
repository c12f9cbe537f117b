//! Ctrl-C and SIGTERM. A program of its own, because a signal goes to all of it.
#![cfg(unix)]

mod common;

use common::{CLOSE, Peer, soon};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use wsrv_app::prelude::*;

struct Nothing;

impl Handler<WebSocketConnection> for Nothing {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
        Ok(())
    }
}

fn signal(name: &str) {
    let me = std::process::id().to_string();
    assert!(Command::new("kill").args([name, &me]).status().unwrap().success());
}

// One test, not two: they would get each other's signals.
#[tokio::test]
async fn a_signal_closes_with_1001_and_a_second_one_cuts() {
    for second in ["-TERM", "-INT"] {
        let server = App::new().route("/", Nothing).bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let serving = server.serve();
        // Before the future is ever polled.
        signal("-INT");
        let mut peer = Peer::connect(addr).await;
        let serving = tokio::spawn(serving);
        assert_eq!(soon(serving).await.unwrap().cut, 0);
        assert_eq!(peer.head().await, "");

        let server = App::new().route("/", Nothing).bind("127.0.0.1:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let serving = tokio::spawn(server.serve());
        let mut silent = Peer::open(addr, "/").await;
        signal("-TERM");
        assert_eq!(silent.frame().await, Some((CLOSE, 1001u16.to_be_bytes().to_vec())));
        assert!(!serving.is_finished());
        let began = Instant::now();
        signal(second);
        assert_eq!(soon(serving).await.unwrap().cut, 1);
        assert!(began.elapsed() < Duration::from_secs(2));

        // Also while it waits, and before anybody was told.
        let drain = Drain::new().wait(Duration::from_secs(60));
        let server = App::new().route("/", Nothing).drain(drain).bind("127.0.0.1:0").await.unwrap();
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        let serving = tokio::spawn(server.serve());
        let mut before = Peer::open(addr, "/").await;
        signal("-TERM");
        soon(handle.readiness().ended()).await;
        let mut meanwhile = Peer::open(addr, "/").await;
        signal(second);
        let stopped = soon(serving).await.unwrap();
        assert_eq!((stopped.closed, stopped.cut), (0, 2));
        assert!(stopped.took < Duration::from_secs(20));
        assert_eq!(before.0.read(&mut [0]).await.unwrap_or(0), 0);
        assert_eq!(meanwhile.0.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
