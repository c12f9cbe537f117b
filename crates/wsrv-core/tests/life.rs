//! Every way a connection can end, and what its handler is told.

mod common;

use common::{Obedient, connect, line, small_limits, soon};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wsrv_core::lines::Lines;
use wsrv_core::{Closed, ClosedBy, Connection, Connections, Driver, Limits, Reason};

/// The peer writes `lines`; then what it reads until the end, and how the connection ended.
async fn ends(lines: &str, limits: Limits) -> (Vec<String>, Arc<Obedient>, Closed) {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, limits).await;
    peer.write_all(lines.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        match line(&mut peer).await {
            end if end.is_empty() => break,
            more => read.push(more),
        }
    }
    drop(peer);
    let closed = soon(task).await.unwrap();
    assert_eq!(handler.opened.load(SeqCst), 1);
    assert_eq!(handler.closed().len(), 1, "on_close runs exactly once");
    assert_eq!(handler.closed()[0].by, closed.by);
    assert_eq!(handler.closed()[0].reason, closed.reason);
    assert_eq!(handler.alive.load(SeqCst), 0, "the state is dropped");
    assert!(handler.room.is_empty(), "guards in the state are released");
    (read, handler, closed)
}

#[tokio::test]
async fn our_close_comes_after_what_was_sent_and_the_last_words() {
    let (read, _, closed) = ends("one\nclose\n", small_limits()).await;
    assert_eq!(read, ["one", "last words"]);
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Done));
}

#[tokio::test]
async fn a_protocol_error_comes_after_the_messages_before_it() {
    let long = format!("one\ntwo\n{}\nthree\n", "x".repeat(1025));
    let (read, handler, closed) = ends(&long, small_limits()).await;
    assert_eq!(read, ["one", "two", "last words"]);
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Protocol, Reason::TooBig, false));
    assert_eq!(*handler.errors.lock().unwrap(), ["line longer than 1024 bytes"]);
}

#[tokio::test]
async fn a_handler_error_closes_if_the_verdict_says_so() {
    let (read, handler, closed) = ends("forgive\none\nfail\ntwo\n", small_limits()).await;
    assert_eq!(read, ["one", "last words"]);
    assert_eq!((closed.by, closed.reason), (ClosedBy::Handler, Reason::Internal));
    assert_eq!(*handler.errors.lock().unwrap(), ["forgive me", "on purpose"]);
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_and_no_other() {
    let handler = Arc::new(Obedient::default());
    let (mut other, _other_task) = connect(&handler, small_limits()).await;
    other.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut other).await, "hello");
    let (read, _, closed) = ends("one\npanic\ntwo\n", small_limits()).await;
    assert_eq!(read, ["one", "last words"]);
    assert_eq!((closed.by, closed.reason), (ClosedBy::Panic, Reason::Internal));
    other.write_all(b"still here\n").await.unwrap();
    assert_eq!(line(&mut other).await, "still here");
}

#[tokio::test]
async fn a_forced_cut_drops_the_step_and_still_runs_on_close() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    peer.write_all(b"one\nhang\nfail\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    sleep(Duration::from_millis(20)).await;
    handler.conn().cut();
    let began = Instant::now();
    let closed = soon(task).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "a cut waits for nobody");
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Cut, Reason::Other, false));
    assert_eq!(handler.closed()[0].by, ClosedBy::Cut);
    assert!(handler.errors.lock().unwrap().is_empty(), "what was read ahead is not handled any more");
    assert_eq!(line(&mut peer).await, "", "no last words after a cut");
}

#[tokio::test]
async fn the_peers_end_of_stream_is_told_after_its_last_message() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"sleep 50\none\n").await.unwrap();
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(line(&mut peer).await, "slept");
    assert_eq!(line(&mut peer).await, "one");
    assert_eq!(line(&mut peer).await, "last words");
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.clean), (ClosedBy::Peer, true));
}

#[tokio::test]
async fn a_reset_is_told_as_lost() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"one\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    #[allow(deprecated)]
    peer.get_ref().set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.clean), (ClosedBy::Lost, false));
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn an_unfinished_message_at_the_end_of_the_stream_is_no_goodbye() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"half a li").await.unwrap();
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Lost);
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn a_peer_that_ends_its_half_without_a_goodbye_gets_its_answers_and_an_end_in_order() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"one\ntwo\nhalf a li").await.unwrap();
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Lost);
    let mut rest = String::new();
    // A reset would be an error.
    soon(peer.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.starts_with("one\ntwo\n"), "{rest}");
}

#[tokio::test]
async fn on_close_does_not_run_unless_on_open_succeeded() {
    for (open, by) in [("fail", ClosedBy::Handler), ("panic", ClosedBy::Panic)] {
        let handler = Arc::new(Obedient::default());
        *handler.open.lock().unwrap() = open;
        let (mut peer, task) = connect(&handler, small_limits()).await;
        assert_eq!(line(&mut peer).await, "");
        drop(peer);
        assert_eq!(soon(task).await.unwrap().by, by);
        assert!(handler.closed().is_empty());
    }
}

#[tokio::test]
async fn on_open_that_waits_is_dropped_some_time_after_the_peer_has_gone() {
    let handler = Arc::new(Obedient::default());
    *handler.open.lock().unwrap() = "wait";
    let (peer, task) = connect(&handler, small_limits()).await;
    drop(peer);
    soon(task).await.unwrap();
    assert!(handler.closed().is_empty());
}

#[tokio::test]
async fn a_step_that_hangs_is_dropped_some_time_after_the_end() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"hang\n").await.unwrap();
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    soon(task).await.unwrap();
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn on_close_that_hangs_or_panics_does_not_keep_the_connection() {
    for close in ["hang", "panic"] {
        let handler = Arc::new(Obedient::default());
        *handler.close.lock().unwrap() = close;
        let (mut peer, task) = connect(&handler, small_limits()).await;
        peer.write_all(b"close\n").await.unwrap();
        assert_eq!(line(&mut peer).await, "last words");
        assert_eq!(line(&mut peer).await, "");
        drop(peer);
        assert_eq!(soon(task).await.unwrap().by, ClosedBy::Local);
    }
}

#[tokio::test]
async fn an_aborted_task_runs_no_on_close_but_releases_everything() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"one\nhang\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    task.abort();
    let _ = task.await;
    assert!(handler.closed().is_empty());
    assert_eq!(handler.alive.load(SeqCst), 0);
    assert!(handler.room.is_empty());
    assert_eq!(line(&mut peer).await, "", "the socket is closed although a handle lives on");
    assert!(!handler.conn().is_open());
    assert!(handler.conn().try_send("too late").is_err());
}

#[tokio::test]
async fn a_handler_that_waits_hears_of_the_end() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    peer.write_all(b"until-closed\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    drop(peer);
    soon(task).await.unwrap();
    assert_eq!(*handler.errors.lock().unwrap(), ["noticed"]);
}

#[tokio::test]
async fn a_peer_that_never_ends_its_stream_is_left_in_the_end() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"close\n").await.unwrap();
    let closed = soon(task).await.unwrap();
    assert_eq!(closed.by, ClosedBy::Local);
    drop(peer);
}

#[tokio::test]
async fn all_connections_are_closed_together_and_waited_for() {
    let handler = Arc::new(Obedient::default());
    let connections = Connections::new();
    let mut peers = Vec::new();
    for _ in 0..10 {
        let (peer, stream) = tokio::io::duplex(1024);
        tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler.clone()));
        peers.push(tokio::io::BufReader::new(peer));
    }
    while handler.room.len() < 10 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(connections.len(), 10);
    connections.close_all(Reason::GoingAway);
    for peer in &mut peers {
        assert_eq!(line(peer).await, "last words");
        assert_eq!(line(peer).await, "");
    }
    // Who comes late is closed as well.
    let (late, stream) = tokio::io::duplex(1024);
    let late_task = tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler.clone()));
    assert_eq!(line(&mut tokio::io::BufReader::new(late)).await, "last words");
    assert_eq!(soon(late_task).await.unwrap().reason, Reason::GoingAway);
    drop(peers);
    soon(connections.empty()).await;
    assert_eq!(handler.closed().len(), 11);
}

/// Runs a connection on a runtime of its own until it is closed for saying nothing.
fn be_idle(connections: &Connections) -> Closed {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (_peer, stream) = tokio::io::duplex(1024);
        let limits = Limits::default().with_idle_timeout(Some(Duration::from_secs(60)));
        let driver = Driver::io(stream, Lines::new(100)).limits(Arc::new(limits)).tracked_by(connections);
        timeout(Duration::from_secs(70), driver.run(Arc::new(Obedient::default())))
            .await
            .expect("nobody looks after it")
    })
}

#[test]
fn times_are_kept_for_whoever_is_there_on_whatever_runtime() {
    let connections = Connections::new();
    // The first runtime ends together with the task that keeps the times, the connection being over or not.
    for _ in 0..2 {
        assert_eq!(be_idle(&connections).by, ClosedBy::Timeout);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_peer, stream) = tokio::io::duplex(1024);
    runtime.block_on(async {
        tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(Arc::new(Obedient::default())));
        tokio::task::yield_now().await;
        assert_eq!(connections.len(), 1);
    });
    drop(runtime);
    assert!(connections.is_empty());
    assert_eq!(be_idle(&connections).by, ClosedBy::Timeout);
}

#[test]
fn a_connection_that_begins_while_its_runtime_ends_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let (tell, told) = std::sync::mpsc::channel();
    let begin = move || {
        let _entered = handle.enter();
        let connections = Connections::new();
        let driver = Driver::io(tokio::io::duplex(64).0, Lines::new(1024)).tracked_by(&connections);
        drop(driver.run(Arc::new(Obedient::default())));
        tell.send(connections).unwrap();
    };
    std::thread::spawn(begin);
    let connections = told.recv_timeout(Duration::from_secs(20)).expect("in time");
    // The next one is looked after as ever.
    assert_eq!(be_idle(&connections).by, ClosedBy::Timeout);
}
