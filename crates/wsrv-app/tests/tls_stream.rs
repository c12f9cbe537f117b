//! The driver over TLS: who writes to the stream, and what counts as flushed.

mod common;

use common::{Authority, soon};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex};
use tokio::task::Id;
use tokio_rustls::TlsAcceptor;
use wsrv_app::wsrv_core::lines::{LineConnection, Lines};
use wsrv_app::wsrv_core::{Connection, Driver, Error, Group, Handler, Membership, Reason};

/// What lies below TLS. Remembers who has called it, and can withhold the flush.
struct Watched {
    inner: DuplexStream,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    callers: Mutex<Vec<Option<Id>>>,
    withhold: AtomicBool,
    waiting: Mutex<Option<Waker>>,
    shut_down: AtomicBool,
}

impl Seen {
    fn note(&self) {
        self.callers.lock().unwrap().push(tokio::task::try_id());
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.seen.note();
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.seen.note();
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seen.note();
        if self.seen.withhold.load(SeqCst) {
            *self.seen.waiting.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seen.note();
        self.seen.shut_down.store(true, SeqCst);
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Sends every line to everybody; closes at the line `close`.
#[derive(Default)]
struct Room(Group<LineConnection>);

impl Handler<LineConnection> for Room {
    type State = Membership<LineConnection>;

    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        Ok(self.0.join(conn))
    }

    async fn on_message(&self, conn: &LineConnection, _: &mut Self::State, line: bytes::Bytes) -> Result<(), Error> {
        if line == "close" {
            conn.send("last words").await?;
            conn.close(Reason::Done);
        } else {
            self.0.send(line);
        }
        Ok(())
    }
}

struct Member {
    peer: BufReader<tokio_rustls::client::TlsStream<DuplexStream>>,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<wsrv_app::wsrv_core::Closed>,
}

impl Member {
    async fn join(authority: &Authority, room: &Arc<Room>) -> Self {
        let (near, far) = duplex(1 << 20);
        let seen = Arc::<Seen>::default();
        let stream = Watched { inner: near, seen: seen.clone() };
        let acceptor = TlsAcceptor::from(authority.tls(&["localhost"]).config());
        let client = authority.client();
        let (accepted, peer) = tokio::join!(acceptor.accept(stream), client.over(far, "localhost"));
        // What follows is the driver's.
        seen.callers.lock().unwrap().clear();
        let task = tokio::spawn(Driver::io(accepted.unwrap(), Lines::new(100_000)).run(room.clone()));
        Member { peer: BufReader::new(peer.unwrap()), seen, task }
    }

    async fn say(&mut self, line: &str) {
        self.peer.write_all(line.as_bytes()).await.unwrap();
        self.peer.flush().await.unwrap();
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        soon(self.peer.read_line(&mut line)).await.unwrap();
        line
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_broadcast_is_written_to_a_tls_stream_by_its_own_task() {
    let authority = Authority::new("all");
    let room = Arc::new(Room::default());
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(Member::join(&authority, &room).await);
    }
    while room.0.len() < 3 {
        tokio::task::yield_now().await;
    }
    for round in 0..20 {
        let speaker = round % members.len();
        // Small ones, and ones that are written before a turn ends.
        let line = format!("{round}{}\n", "x".repeat(round * 4_999));
        members[speaker].say(&line).await;
        for member in &mut members {
            assert_eq!(member.hear().await, line);
        }
        // And from a task that is no connection's.
        room.0.send("from outside");
        for member in &mut members {
            assert_eq!(member.hear().await, "from outside\n");
        }
    }
    for member in &members {
        let callers = member.seen.callers.lock().unwrap();
        assert!(callers.len() > 40);
        assert!(callers.iter().all(|caller| *caller == Some(member.task.id())), "another task has touched the stream");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tls_connection_does_not_end_before_its_flush_is_ready() {
    let authority = Authority::new("all");
    let room = Arc::new(Room::default());
    let mut member = Member::join(&authority, &room).await;
    let seen = member.seen.clone();
    seen.withhold.store(true, SeqCst);
    member.say("close\n").await;
    // The pipe below takes it, so the peer sees it; that is not yet flushed.
    assert_eq!(member.hear().await, "last words\n");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!seen.shut_down.load(SeqCst), "the stream ends before it was flushed");
    seen.withhold.store(false, SeqCst);
    seen.waiting.lock().unwrap().take().unwrap().wake();
    assert_eq!(member.hear().await, "");
    assert!(seen.shut_down.load(SeqCst));
    drop(member.peer);
    assert!(soon(member.task).await.unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn a_tls_stream_that_is_never_flushed_is_left_at_the_deadline() {
    let authority = Authority::new("all");
    let room = Arc::new(Room::default());
    let mut member = Member::join(&authority, &room).await;
    member.seen.withhold.store(true, SeqCst);
    member.say("close\n").await;
    assert!(!soon(member.task).await.unwrap().clean);
}
