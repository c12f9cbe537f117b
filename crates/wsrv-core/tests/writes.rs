//! When messages leave, and in how many writes, whatever the stream and the runtime.
//!
//! The writes to a socket are not counted but seen: what one small write sends arrives with one read, and what several
//! writes send is read by somebody who waits for it before the last of them, in one of many rounds at least.

mod common;

use common::Obedient;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;
use tokio::time::sleep;
use wsrv_core::Driver;
use wsrv_core::lines::{LineConnection, Lines};

const ROUNDS: usize = 30;

/// Runs a test beside a runtime of either kind, which lives on threads of its own.
fn beside_each_runtime(test: impl Fn(Handle)) {
    for threads in [1, 2] {
        let runtime = match threads {
            1 => Builder::new_current_thread().enable_all().build().unwrap(),
            _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap(),
        };
        let handle = runtime.handle().clone();
        let (done, is_done) = tokio::sync::oneshot::channel::<()>();
        let running = std::thread::spawn(move || drop(runtime.block_on(is_done)));
        test(handle);
        done.send(()).unwrap();
        running.join().unwrap();
    }
}

/// A peer that blocks, of a connection that has been opened.
fn connect(runtime: &Handle, handler: &Arc<Obedient>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let handler = handler.clone();
    runtime.spawn(async move {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        Driver::tcp(stream, Lines::new(1024)).run(handler).await
    });
    assert_eq!(exchange(&mut peer, "hello\n"), "hello\n");
    peer
}

/// What a single read gets for what is written at once.
fn exchange(peer: &mut TcpStream, lines: &str) -> String {
    peer.write_all(lines.as_bytes()).unwrap();
    read(peer)
}

fn read(peer: &mut TcpStream) -> String {
    let mut buffer = vec![0; 64 * 1024];
    let read = peer.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..read].to_vec()).unwrap()
}

/// Counts writes.
struct Counting {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.writes.fetch_add(1, SeqCst);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// An opened connection over a stream that counts: its peer, its writes, and the handle to push with.
async fn connect_counting() -> (DuplexStream, Arc<AtomicUsize>, LineConnection) {
    let handler = Arc::new(Obedient::default());
    let (peer, inner) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Counting { inner, writes: writes.clone() };
    tokio::spawn(Driver::io(stream, Lines::new(1024)).run(handler.clone()));
    while handler.room.is_empty() {
        yield_now().await;
    }
    (peer, writes, handler.conn())
}

async fn read_all(peer: &mut DuplexStream, len: usize) -> String {
    let mut buffer = vec![0; len];
    common::soon(peer.read_exact(&mut buffer)).await.unwrap();
    String::from_utf8(buffer).unwrap()
}

fn numbered(prefix: &str, count: usize) -> String {
    (0..count).map(|number| format!("{prefix}{number}\n")).collect()
}

#[test]
fn what_one_read_makes_leaves_in_one_write_over_tcp() {
    beside_each_runtime(|runtime| {
        let handler = Arc::new(Obedient::default());
        let mut peer = connect(&runtime, &handler);
        let lines = numbered("", 200);
        for _ in 0..ROUNDS {
            assert_eq!(exchange(&mut peer, &lines), lines);
        }
    });
}

#[test]
fn what_one_read_makes_leaves_in_one_write_over_any_stream() {
    beside_each_runtime(|runtime| {
        let lines = numbered("", 200);
        let task = runtime.spawn(async move {
            let (mut peer, writes, _) = connect_counting().await;
            for round in 1..=ROUNDS {
                peer.write_all(lines.as_bytes()).await.unwrap();
                assert_eq!(read_all(&mut peer, lines.len()).await, lines);
                assert_eq!(writes.load(SeqCst), round);
            }
        });
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn what_one_turn_publishes_reaches_each_member_in_one_write_over_tcp() {
    beside_each_runtime(|runtime| {
        let handler = Arc::new(Obedient::default());
        let mut members: Vec<_> = (0..4).map(|_| connect(&runtime, &handler)).collect();
        for _ in 0..ROUNDS {
            let mut publisher = members[0].try_clone().unwrap();
            std::thread::scope(|scope| {
                let reading: Vec<_> = members.iter_mut().map(|member| scope.spawn(|| read(member))).collect();
                publisher.write_all(numbered("all ", 100).as_bytes()).unwrap();
                for read in reading {
                    assert_eq!(read.join().unwrap(), numbered("", 100));
                }
            });
        }
    });
}

#[tokio::test]
async fn a_lone_push_over_tcp_has_left_when_the_call_returns() {
    let handler = Arc::new(Obedient::default());
    // The peer blocks the only thread there is: nobody else can have written what it reads.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let driver = Driver::tcp(listener.accept().await.unwrap().0, Lines::new(1024));
    tokio::spawn(driver.run(handler.clone()));
    while handler.room.is_empty() {
        yield_now().await;
    }
    for _ in 0..ROUNDS {
        handler.conn().try_send("push").unwrap();
        assert_eq!(read(&mut peer), "push\n");
        // Lone is what nothing was sent shortly before.
        sleep(Duration::from_millis(2)).await;
        handler.room.send("to all");
        assert_eq!(read(&mut peer), "to all\n");
        sleep(Duration::from_millis(2)).await;
        handler.conn().send("push").await.unwrap();
        assert_eq!(read(&mut peer), "push\n");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_push_over_another_stream_leaves_in_its_tasks_next_turn() {
    let (mut peer, writes, conn) = connect_counting().await;
    for round in 1..=ROUNDS {
        conn.try_send("push").unwrap();
        assert_eq!(writes.load(SeqCst), round - 1, "written in somebody else's turn");
        let before = tokio::time::Instant::now();
        assert_eq!(read_all(&mut peer, 5).await, "push\n");
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(writes.load(SeqCst), round);
    }
}

#[tokio::test]
async fn a_flood_of_pushes_over_another_stream_is_one_write() {
    let (mut peer, writes, conn) = connect_counting().await;
    let lines = numbered("", 1000);
    for line in lines.lines() {
        conn.try_send(line.to_owned()).unwrap();
    }
    assert_eq!(read_all(&mut peer, lines.len()).await, lines);
    assert_eq!(writes.load(SeqCst), 1);
    // From another thread, while this one is busy with something else.
    let pushed = lines.clone();
    let flood = std::thread::spawn(move || {
        for line in pushed.lines() {
            conn.try_send(line.to_owned()).unwrap();
        }
    });
    flood.join().unwrap();
    assert_eq!(read_all(&mut peer, lines.len()).await, lines);
    assert_eq!(writes.load(SeqCst), 2);
}

#[tokio::test]
async fn a_flood_of_pushes_over_tcp_is_a_few_writes() {
    let handler = Arc::new(Obedient::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let driver = Driver::tcp(listener.accept().await.unwrap().0, Lines::new(1024));
    tokio::spawn(driver.run(handler.clone()));
    while handler.room.is_empty() {
        yield_now().await;
    }
    let lines = numbered("", 1000);
    for line in lines.lines() {
        handler.conn().try_send(line.to_owned()).unwrap();
    }
    // Before the driver had its turn: the first one, and perhaps some before which this thread was interrupted.
    peer.set_nonblocking(true).unwrap();
    let mut early = vec![0; lines.len()];
    let early = peer.read(&mut early).unwrap();
    assert!(early < lines.len() / 10, "{early} bytes of {}", lines.len());
    yield_now().await;
    peer.set_nonblocking(false).unwrap();
    let mut rest = vec![0; lines.len() - early];
    peer.read_exact(&mut rest).unwrap();
    assert_eq!(String::from_utf8(rest).unwrap(), lines[early..]);
}
