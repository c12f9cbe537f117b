//! A connection of which one direction is closed; settings changed while it runs; names of both ends.

mod common;

use bytes::Bytes;
use common::{Obedient, connect, line, small_limits, soon};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::sleep;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{ClosedBy, Connection, Connections, Driver, Error, Handler, Limits, Listener, Reason, SendError};

/// The peer has been answered once, so `on_open` is over.
async fn ready(peer: &mut BufReader<tokio::net::TcpStream>) {
    peer.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(peer).await, "hello");
}

#[tokio::test]
async fn who_closes_its_direction_goes_on_listening_until_the_peer_is_done() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    conn.try_send("before").unwrap();
    conn.close_write(Reason::Policy);
    assert!(!conn.is_open() && conn.is_readable() && !conn.is_writable());
    assert_eq!(conn.try_send("after"), Err(SendError::Closed));
    assert_eq!(line(&mut peer).await, "before");
    // In this protocol, the end of the stream is the goodbye.
    assert_eq!(line(&mut peer).await, "");
    peer.write_all(b"forgive\n").await.unwrap();
    soon(async {
        while handler.errors.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(handler.closed().is_empty());
    // An error ends it as ever.
    peer.write_all(b"fail\n").await.unwrap();
    drop(peer);
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Handler, Reason::Internal));
}

#[tokio::test]
async fn whatever_ends_a_half_closed_connection_ends_the_other_half() {
    for (line, by) in [("fail\n".to_owned(), ClosedBy::Handler), ("x".repeat(2000), ClosedBy::Protocol)] {
        let handler = Arc::new(Obedient::default());
        *handler.close.lock().unwrap() = "hang";
        let (mut peer, task) = connect(&handler, small_limits()).await;
        ready(&mut peer).await;
        let conn = handler.conn();
        conn.close_write(Reason::Done);
        assert!(conn.is_readable());
        peer.write_all(line.as_bytes()).await.unwrap();
        soon(async {
            while handler.closed().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert!(!conn.is_readable(), "{by:?}");
        drop(peer);
        assert_eq!(soon(task).await.unwrap().by, by);
    }
}

#[tokio::test]
async fn the_peers_goodbye_ends_a_connection_whose_own_direction_is_closed() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    conn.close_write(Reason::Policy);
    assert_eq!(line(&mut peer).await, "");
    for _ in 0..100 {
        peer.write_all(b"forgive\n").await.unwrap();
    }
    peer.shutdown().await.unwrap();
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Local, Reason::Policy, true));
    assert_eq!(handler.closed(), [closed]);
    assert_eq!(handler.errors.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn close_after_half_close_does_not_wait_for_more_messages() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    ready(&mut peer).await;
    handler.conn().close_write(Reason::Done);
    handler.conn().close(Reason::GoingAway);
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::GoingAway));
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn who_does_not_listen_any_more_goes_on_sending() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    // Messages received ahead, behind one that waits, are dropped as well.
    peer.write_all(b"sleep 50\nforgive\nforgive\n").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    conn.close_read();
    assert!(conn.is_open() && !conn.is_readable() && conn.is_writable());
    peer.write_all("forgive\n".repeat(1000).as_bytes()).await.unwrap();
    assert_eq!(line(&mut peer).await, "slept");
    conn.try_send("still here").unwrap();
    assert_eq!(line(&mut peer).await, "still here");
    // The goodbye is heard.
    peer.shutdown().await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Peer);
    assert!(handler.errors.lock().unwrap().is_empty());
}

#[tokio::test]
async fn both_directions_closed_is_closed() {
    for read_first in [true, false] {
        let handler = Arc::new(Obedient::default());
        let (mut peer, task) = connect(&handler, small_limits()).await;
        ready(&mut peer).await;
        let conn = handler.conn();
        if read_first {
            conn.close_read();
            conn.close_write(Reason::Policy);
        } else {
            conn.close_write(Reason::Policy);
            conn.close_read();
        }
        let closed = soon(task).await.unwrap();
        assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Policy), "{read_first}");
        assert_eq!(handler.closed().len(), 1);
    }
}

#[tokio::test]
async fn a_last_message_does_not_wait_for_on_close() {
    let handler = Arc::new(Obedient::default());
    *handler.close.lock().unwrap() = "hang";
    let (mut peer, task) = connect(&handler, Limits::default().with_on_close_timeout(Duration::from_secs(60))).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    conn.close(Reason::Done);
    assert_eq!(line(&mut peer).await, "last words");
    let late = conn.link().send_then_close(
        |_, out| {
            out.put_slice(b"late\n");
            Ok(())
        },
        Reason::Done,
    );
    assert_eq!(late, Ok(()));
    assert_eq!(line(&mut peer).await, "late");
    conn.cut();
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_does_not_keep_a_half_closed_connection() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tokio::io::duplex(1024);
    let connections = Connections::new();
    let task = tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler.clone()));
    sleep(Duration::from_millis(10)).await;
    handler.conn().close_write(Reason::Done);
    for _ in 0..10 {
        sleep(Duration::from_secs(25)).await;
        peer.write_all(b"forgive\n").await.unwrap();
    }
    assert!(!task.is_finished());
    sleep(Duration::from_secs(63)).await;
    assert!(task.is_finished());
    assert_eq!(task.await.unwrap().by, ClosedBy::Timeout);
}

#[tokio::test]
async fn nothing_comes_between_the_last_message_and_the_close() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    let say = |line: &'static [u8]| {
        move |_: &mut _, out: &mut wsrv_core::Out<'_>| {
            out.put_slice(line);
            Ok(())
        }
    };
    conn.link().send_then_close(say(b"that was all\n"), Reason::GoingAway).unwrap();
    assert!(!conn.is_open());
    assert_eq!(conn.try_send("late"), Err(SendError::Closed));
    assert_eq!(line(&mut peer).await, "that was all");
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    assert_eq!(soon(task).await.unwrap().reason, Reason::GoingAway);
    assert_eq!(conn.link().send_then_close(say(b"more\n"), Reason::Done), Err(SendError::Closed));
}

#[tokio::test]
async fn a_last_message_without_room_closes_all_the_same() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits().with_outbox(0)).await;
    while handler.last.lock().unwrap().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    let sent = handler.conn().link().send_then_close(|_, _| Ok(()), Reason::Done);
    assert_eq!(sent, Err(SendError::Full));
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Local);
}

#[tokio::test]
async fn limits_can_be_changed_while_the_connection_runs() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default().with_outbox(0)).await;
    while handler.last.lock().unwrap().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    let conn = handler.conn();
    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.send("waited").await }
    });
    sleep(Duration::from_millis(10)).await;
    assert!(!waiting.is_finished());
    conn.set_limits(Limits::default());
    assert_eq!(line(&mut peer).await, "waited");
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(conn.limits().outbox, Limits::default().outbox);
}

#[tokio::test(start_paused = true)]
async fn times_can_be_changed_while_the_connection_runs() {
    let handler = Arc::new(Obedient::default());
    let (_peer, stream) = tokio::io::duplex(1024);
    let connections = Connections::new();
    let task = tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler.clone()));
    sleep(Duration::from_secs(300)).await;
    handler.conn().set_limits(Limits::default().with_idle_timeout(Some(Duration::from_secs(400))));
    sleep(Duration::from_secs(90)).await;
    assert!(!task.is_finished());
    sleep(Duration::from_secs(20)).await;
    assert_eq!(task.await.unwrap().by, ClosedBy::Timeout);
}

#[tokio::test]
async fn the_receiving_half_can_be_changed_while_the_connection_runs() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    handler.conn().link().change_receiver(|receiver| receiver.set_max_line(3));
    peer.write_all(b"abc\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "abc");
    peer.write_all(b"abcd\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    drop(peer);
    assert_eq!(soon(task).await.unwrap().reason, Reason::TooBig);
}

#[tokio::test]
async fn a_change_is_made_before_the_next_message_although_that_has_arrived() {
    // Does nothing but wait, after a change.
    struct Changes;

    impl Handler<LineConnection> for Changes {
        type State = ();
        async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, conn: &LineConnection, _: &mut (), _: Bytes) -> Result<(), Error> {
            conn.link().change_receiver(|receiver| receiver.set_max_line(6));
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    let (mut peer, stream) = tokio::io::duplex(1024);
    peer.write_all(b"change\ntoo long\n").await.unwrap();
    let closed = soon(Driver::io(stream, Lines::new(1024)).run(Arc::new(Changes))).await;
    assert_eq!((closed.by, closed.reason), (ClosedBy::Protocol, Reason::TooBig));
}

#[tokio::test]
async fn a_change_that_came_too_late_is_dropped_with_the_connection() {
    let handler = Arc::new(Obedient::default());
    *handler.close.lock().unwrap() = "hang";
    let (mut peer, task) = connect(&handler, small_limits()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    let held = Arc::new(());
    let change = {
        let (conn, held) = (conn.clone(), held.clone());
        move |_: &mut _| drop((conn, held))
    };
    // The driver hears of both at once.
    conn.close_write(Reason::Done);
    conn.link().change_receiver(change);
    task.abort();
    assert!(soon(task).await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn both_ends_have_addresses_and_names() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    let conn = handler.conn();
    let (here, there) = (peer.get_ref().peer_addr().unwrap(), peer.get_ref().local_addr().unwrap());
    assert_eq!((conn.local_addr(), conn.remote_addr()), (Some(here), Some(there)));
    assert_eq!((conn.local_name(), conn.remote_name()), (here.to_string(), there.to_string()));
    drop(peer);
    soon(task).await.unwrap();
    assert_eq!((conn.local_name(), conn.remote_name()), ("unknown".into(), there.to_string()));

    // As a proxy has told.
    let (_peer, stream) = tokio::io::duplex(1024);
    let (here, there) = ("192.0.2.1:443".parse().unwrap(), "192.0.2.7:5000".parse().unwrap());
    let driver = Driver::io(stream, Lines::new(100)).local_addr(here).remote_addr(there);
    let _task = tokio::spawn(driver.run(handler.clone()));
    while handler.conn().id() == conn.id() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((handler.conn().local_addr(), handler.conn().remote_addr()), (Some(here), Some(there)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_named_by_its_path() {
    let path = std::env::temp_dir().join(format!("wsrv-names-{}", std::process::id()));
    let listener = Listener::unix(&path).unwrap();
    let (peer, accepted) = tokio::join!(tokio::net::UnixStream::connect(&path), listener.accept());
    let handler = Arc::new(Obedient::default());
    let _task = tokio::spawn(Driver::accepted(accepted.0, Lines::new(100)).run(handler.clone()));
    let mut peer = BufReader::new(peer.unwrap());
    peer.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "hello");
    let conn = handler.conn();
    assert_eq!((conn.local_addr(), conn.local_name()), (None, format!("unix:{}", path.display())));
    assert_eq!((conn.remote_addr(), conn.remote_name()), (None, "unix".into()));
}

#[tokio::test]
async fn debug_shows_the_connection_and_what_is_attached() {
    #[derive(Debug)]
    struct Nickname(#[allow(dead_code)] Bytes);
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default()).await;
    ready(&mut peer).await;
    handler.conn().attributes().set(Nickname("secret".into()));
    let shown = format!("{:?}", handler.conn());
    let addr = peer.get_ref().local_addr().unwrap().to_string();
    for part in [&*addr, "Nickname", "readable: true", "writable: true"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(!shown.contains("secret"));
    let mut rest = String::new();
    handler.conn().cut();
    let _ = peer.read_line(&mut rest).await;
    let _ = peer.read_to_string(&mut rest).await;
}
