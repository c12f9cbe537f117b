//! Handlers that pull their messages.

mod common;

use bytes::Bytes;
use common::{line, small_limits, soon};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Closed, ClosedBy, Connection, Driver, Error, Handler, Limits, Reason, SendError, Socket, from_fn};

fn start(handler: impl Handler<LineConnection>) -> (BufReader<DuplexStream>, JoinHandle<Closed>) {
    let (peer, stream) = duplex(4096);
    let driver = Driver::io(stream, Lines::new(1000)).limits(Arc::new(small_limits()));
    (BufReader::new(peer), tokio::spawn(driver.run(Arc::new(handler))))
}

/// Fixes the type of the socket.
fn serve<Fut: Future<Output = Result<(), Error>> + Send + 'static>(
    f: impl Fn(Socket<LineConnection>) -> Fut + Send + Sync + 'static,
) -> impl Handler<LineConnection> {
    from_fn(f)
}

#[tokio::test]
async fn messages_are_pulled_in_order_and_the_end_is_none() {
    let (mut peer, task) = start(serve(|mut socket| async move {
        while let Some(line) = socket.recv().await {
            socket.send(line).await?;
        }
        socket.send("the end").await?;
        Ok(())
    }));
    let lines: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let all = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (read, mut write) = tokio::io::split(peer.get_mut());
    let writer = async move {
        write.write_all(all.as_bytes()).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let reader = async move {
        let mut read = BufReader::new(read);
        for expected in &lines {
            assert_eq!(line(&mut read).await, *expected);
        }
        assert_eq!(line(&mut read).await, "the end");
    };
    soon(async { tokio::join!(writer, reader) }).await;
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Peer);
}

#[tokio::test]
async fn the_functions_end_closes_and_its_error_gives_the_reason() {
    let (mut peer, task) = start(serve(|mut socket| async move {
        match socket.recv().await.as_deref() {
            Some(b"fail") => Err(Error::new(Reason::Overload, "on purpose")),
            Some(b"panic") => panic!("on purpose"),
            _ => Ok(()),
        }
    }));
    peer.write_all(b"stop\nnobody reads this\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Done));

    for (word, by, reason) in
        [("fail", ClosedBy::Handler, Reason::Overload), ("panic", ClosedBy::Panic, Reason::Internal)]
    {
        let (mut peer, task) = start(serve(|mut socket| async move {
            match socket.recv().await.as_deref() {
                Some(b"fail") => Err(Error::new(Reason::Overload, "on purpose")),
                _ => panic!("on purpose"),
            }
        }));
        peer.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        assert_eq!(line(&mut peer).await, "");
        drop(peer);
        let closed = soon(task).await.unwrap();
        assert_eq!((closed.by, closed.reason), (by, reason));
    }
}

#[tokio::test]
async fn an_error_after_the_end_is_a_warning_unless_it_has_a_reason_or_the_peer_is_gone() {
    for (error, level) in [
        (Error::from("a bug"), "WARN"),
        (Error::new(Reason::Policy, "a bug"), "DEBUG"),
        (Error::from(SendError::Closed), "DEBUG"),
    ] {
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = log.clone();
        // For this thread, on which all of a test runs.
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG);
        let _subscribed = subscriber.with_writer(move || Log(writer.clone())).finish().set_default();
        let error = Mutex::new(Some(error));
        let (peer, task) = start(serve(move |mut socket| {
            let error = error.lock().unwrap().take().unwrap();
            async move {
                while socket.recv().await.is_some() {}
                Err(error)
            }
        }));
        drop(peer);
        soon(task).await.unwrap();
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        let line = log.lines().find(|line| line.contains("handler error")).expect("the error is logged");
        assert!(line.contains(level), "{line}");
    }
}

struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn it_runs_by_itself_between_messages_and_loses_none_when_it_stops_waiting() {
    let (mut peer, _task) = start(serve(|mut socket| async move {
        for count in 0.. {
            tokio::select! {
                line = socket.recv() => match line {
                    Some(line) => socket.send(line).await?,
                    None => return Ok(()),
                },
                () = sleep(Duration::from_millis(3)) => socket.send(format!("tick {count}")).await?,
            }
        }
        Ok(())
    }));
    let (mut sent, mut ticks) = (0, 0);
    for n in 0..30 {
        peer.write_all(format!("{n}\n").as_bytes()).await.unwrap();
        if n % 3 == 0 {
            sleep(Duration::from_millis(7)).await;
        }
    }
    while sent < 30 {
        let got = line(&mut peer).await;
        if got.starts_with("tick") {
            ticks += 1;
        } else {
            assert_eq!(got, sent.to_string());
            sent += 1;
        }
    }
    assert!(ticks > 0);
}

#[tokio::test]
async fn the_socket_may_move_to_another_task_and_be_a_stream_and_a_sink() {
    use futures_util::{SinkExt, StreamExt};
    let (mut peer, task) = start(serve(|socket| async move {
        let elsewhere = tokio::spawn(async move {
            let (mut sink, mut stream) = socket.split();
            while let Some(line) = stream.next().await {
                sink.send(Bytes::from([&line[..], b"!"].concat())).await?;
            }
            sink.close().await
        });
        Ok(elsewhere.await??)
    }));
    for n in 0..50 {
        peer.write_all(format!("{n}\n").as_bytes()).await.unwrap();
        assert_eq!(line(&mut peer).await, format!("{n}!"));
    }
    peer.get_mut().shutdown().await.unwrap();
    assert_eq!(line(&mut peer).await, "");
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Peer);
}

#[tokio::test]
async fn a_function_that_does_not_pull_is_not_read_to() {
    let (mut peer, task) = start(serve(|socket| async move {
        let _socket = socket;
        std::future::pending().await
    }));
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_millis(200), peer.write_all(&[b"x".repeat(999), b"\n".to_vec()].concat()))
        .await
        .is_ok()
    {
        taken += 1000;
        assert!(taken < 100_000);
    }
    task.abort();
}

#[tokio::test]
async fn the_halves_work_in_two_tasks() {
    let (peer, task) = start(serve(|socket| async move {
        let (sink, mut stream) = socket.split();
        assert_eq!(sink.connection().id(), stream.connection().id());
        let sender = tokio::spawn(async move {
            for n in 0..1000 {
                sink.send(n.to_string()).await?;
            }
            Ok::<_, wsrv_core::SendError>(sink)
        });
        let mut received = 0;
        while received < 1000 {
            received += usize::from(stream.recv().await.is_some());
        }
        sender.await??.send("done").await?;
        Ok(())
    }));
    let (read, mut write) = tokio::io::split(peer.into_inner());
    let writer = async move {
        for n in 0..1000 {
            write.write_all(format!("{n}\n").as_bytes()).await.unwrap();
        }
        write
    };
    let reader = async move {
        let mut read = BufReader::new(read);
        for n in 0..1000 {
            assert_eq!(line(&mut read).await, n.to_string());
        }
        assert_eq!(line(&mut read).await, "done");
        assert_eq!(line(&mut read).await, "");
    };
    soon(async { tokio::join!(writer, reader) }).await;
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Local);
}

/// A socket outside of any handler, its peer, and the driver.
fn detached() -> (Socket<LineConnection>, BufReader<DuplexStream>, JoinHandle<Closed>) {
    let (peer, stream) = duplex(4096);
    let limits = Limits::default().with_close_timeout(Duration::from_millis(500));
    let (socket, driver) = Driver::io(stream, Lines::new(1000)).limits(Arc::new(limits)).socket();
    (socket, BufReader::new(peer), tokio::spawn(driver))
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_a_handler_gets_all_that_came_before_the_end_however_slowly_it_pulls() {
    let (mut socket, mut peer, driver) = detached();
    peer.write_all(b"1\n2\n3\n4\n").await.unwrap();
    drop(peer);
    // The patience with a step that has not ended is over by then, and so is the connection.
    soon(socket.closed()).await;
    sleep(Duration::from_secs(60)).await;
    for line in ["1", "2", "3", "4"] {
        assert_eq!(soon(socket.recv()).await.as_deref(), Some(line.as_bytes()));
    }
    assert_eq!(soon(socket.recv()).await, None);
    assert_eq!(soon(driver).await.unwrap().by, ClosedBy::Peer);
}

#[tokio::test(start_paused = true)]
async fn what_came_last_can_be_answered_without_a_handler_but_nobody_is_waited_for_long() {
    let (mut socket, mut peer, driver) = detached();
    peer.write_all(b"1\n2\n").await.unwrap();
    peer.shutdown().await.unwrap();
    for n in ["1", "2"] {
        assert_eq!(soon(socket.recv()).await.as_deref(), Some(n.as_bytes()));
        sleep(Duration::from_millis(400)).await;
        socket.send(n).await.unwrap();
    }
    let answered = tokio::time::Instant::now();
    assert_eq!(soon(socket.recv()).await, None);
    assert!(answered.elapsed() < Duration::from_millis(100));
    assert_eq!([line(&mut peer).await, line(&mut peer).await, line(&mut peer).await], ["1", "2", ""]);
    assert_eq!(soon(driver).await.unwrap().by, ClosedBy::Peer);

    let (socket, mut peer, driver) = detached();
    peer.write_all(b"1\n2\n").await.unwrap();
    peer.shutdown().await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(soon(driver).await.unwrap().by, ClosedBy::Peer);
    assert!((500..2_500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_a_handler_reads_no_more_than_it_pulls() {
    let (mut socket, mut peer, _driver) = detached();
    let line = format!("{}\n", "a".repeat(999));
    let mut written = 0;
    while let Ok(result) = tokio::time::timeout(Duration::from_secs(1), peer.write_all(line.as_bytes())).await {
        result.unwrap();
        written += 1;
    }
    // What the pipe holds, what is received ahead, the one in the handler and the one that waits to be pulled.
    assert!((4..100).contains(&written), "{written}");
    for _ in 0..written {
        assert_eq!(soon(socket.recv()).await.unwrap().len(), 999);
    }
}

#[tokio::test]
async fn who_drops_a_socket_or_its_receiving_half_closes_the_connection() {
    let (socket, mut peer, driver) = detached();
    drop(socket);
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    let closed = soon(driver).await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Done));

    let (socket, mut peer, driver) = detached();
    let (sink, stream) = socket.split();
    sink.send("still here").await.unwrap();
    assert_eq!(line(&mut peer).await, "still here");
    drop(stream);
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    assert_eq!(soon(driver).await.unwrap().by, ClosedBy::Local);
    assert_eq!(sink.send("too late").await, Err(SendError::Closed));

    // While nobody has pulled what has come, and while our own direction is closed.
    for half in [false, true] {
        let (socket, mut peer, driver) = detached();
        peer.write_all(b"1\n2\n3\n").await.unwrap();
        if half {
            socket.close_write(Reason::Done);
            assert_eq!(line(&mut peer).await, "");
        }
        drop(socket);
        assert_eq!(line(&mut peer).await, "");
        drop(peer);
        assert_eq!(soon(driver).await.unwrap().by, ClosedBy::Local);
    }
}
