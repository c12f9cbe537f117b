//! Order, room and policies: what is sent, from wherever, and when it leaves.

mod common;

use bytes::Bytes;
use common::{Obedient, connect, line, small_limits, soon};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex};
use tokio::time::{Interval, sleep};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{ClosedBy, Connection, Driver, Error, Group, Handler, Limits, Membership, Reason, SendError, SlowPeer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_torn_anywhere_are_answered_in_order() {
    let handler = Arc::new(Obedient::default());
    let (peer, _task) = connect(&handler, Limits::default()).await;
    let (read, mut write) = peer.into_inner().into_split();
    let lines: Vec<String> = (0..2000).map(|n| format!("{n}{}", "x".repeat(n * 7 % 900))).collect();
    let all = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).collect::<Vec<_>>().concat();
    let writer = tokio::spawn(async move {
        let mut rest = &all[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            write.write_all(now).await.unwrap();
            rest = later;
            size = size * 31 % 4099 + 1;
        }
        write
    });
    let mut read = BufReader::new(read);
    for expected in &lines {
        assert_eq!(line(&mut read).await, *expected);
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn pushes_arrive_while_the_handler_sleeps() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default()).await;
    peer.write_all(b"sleep 300\n").await.unwrap();
    while handler.room.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let conn = handler.conn();
    let from_a_thread = std::thread::spawn(move || conn.try_send("from a thread"));
    assert_eq!(line(&mut peer).await, "from a thread");
    from_a_thread.join().unwrap().unwrap();
    assert_eq!(line(&mut peer).await, "slept");
}

/// Sends, lets another thread send, and only then ends its turn.
struct Relay(mpsc::SyncSender<(LineConnection, mpsc::SyncSender<()>)>);

impl Handler<LineConnection> for Relay {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &LineConnection, _: &mut (), _: Bytes) -> Result<(), Error> {
        let (done, is_done) = mpsc::sync_channel(0);
        conn.try_send("first")?;
        self.0.send((conn.clone(), done))?;
        is_done.recv()?;
        conn.try_send("third")?;
        Ok(())
    }
}

#[tokio::test]
async fn a_send_that_happens_before_another_threads_reaches_the_wire_first() {
    let (to_thread, requests) = mpsc::sync_channel::<(LineConnection, mpsc::SyncSender<()>)>(0);
    std::thread::spawn(move || {
        for (conn, done) in requests {
            conn.try_send("second").unwrap();
            done.send(()).unwrap();
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let driver = Driver::tcp(listener.accept().await.unwrap().0, Lines::new(100));
    // On a thread of its own, because the handler blocks it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A stream belongs to the runtime it was made in, which is the other one; that is fine, it goes on running.
        runtime.block_on(driver.run(Arc::new(Relay(to_thread))))
    });
    let mut peer = BufReader::new(peer);
    for _ in 0..300 {
        peer.write_all(b"go\n").await.unwrap();
        for expected in ["first", "second", "third"] {
            assert_eq!(line(&mut peer).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_send_at_once_keep_their_own_order() {
    let handler = Arc::new(Obedient::default());
    let mut limits = Limits::default();
    limits.outbox = 100_000_000;
    let (mut peer, _task) = connect(&handler, limits).await;
    peer.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "hello");
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let conn = handler.conn();
            std::thread::spawn(move || {
                for n in 0..5000 {
                    conn.try_send(format!("{thread} {n}")).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..4 * 5000 {
        let got = line(&mut peer).await;
        let (thread, n) = got.split_once(' ').unwrap();
        let next = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(n.parse::<usize>().unwrap(), *next);
        *next += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn a_handler_that_waits_for_its_own_outbox_does_not_hang() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default()).await;
    peer.write_all(b"flood 200\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let held = handler.conn().link().queued();
    assert!(held <= (1 << 20) + 100_000, "{held} bytes are held for a peer that does not read");
    for _ in 0..200 {
        assert_eq!(line(&mut peer).await.len(), 99_999);
    }
    assert_eq!(line(&mut peer).await, "flooded");
}

#[tokio::test]
async fn waiting_senders_pushes_and_broadcasts_share_one_account() {
    let handler = Arc::new(Obedient::default());
    let mut limits = small_limits();
    limits.slow_peer = SlowPeer::DropNewest;
    let (mut peer, task) = connect(&handler, limits).await;
    peer.write_all(b"push-flood 100\n").await.unwrap();
    while handler.errors.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let conn = handler.conn();
    // The kernel takes some more while nobody looks; fill up what it has made room for.
    sleep(Duration::from_millis(50)).await;
    while conn.try_send(vec![b'x'; 99_999]).is_ok() {}
    assert_eq!(conn.try_send("no room"), Err(SendError::Full));
    let delivery = handler.room.send("no room either");
    assert_eq!((delivery.sent, delivery.dropped), (0, 1));
    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.send("patience pays").await }
    });
    let dropped = tokio::spawn({
        let conn = conn.clone();
        async move { conn.send("never sent").await }
    });
    sleep(Duration::from_millis(20)).await;
    dropped.abort();
    assert!(!waiting.is_finished());
    loop {
        let got = line(&mut peer).await;
        assert_ne!(got, "never sent");
        if got == "patience pays" {
            break;
        }
        assert_eq!(got.len(), 99_999);
    }
    waiting.await.unwrap().unwrap();
    // The connection has come through it all.
    peer.write_all(b"one\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    conn.close(Reason::Done);
    drop(peer);
    soon(task).await.unwrap();
    assert_eq!(conn.send("too late").await, Err(SendError::Closed));
}

#[tokio::test]
async fn a_slow_peer_is_closed_if_the_policy_says_so_and_a_waiting_sender_told() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, task) = connect(&handler, small_limits()).await;
    peer.write_all(b"push-flood 100\n").await.unwrap();
    while handler.errors.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let conn = handler.conn();
    assert_eq!(soon(conn.send("anybody?")).await.err(), Some(SendError::Closed));
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::SlowPeer, Reason::Policy, false));
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_from() {
    let handler = Arc::new(Obedient::default());
    let (peer, _task) = connect(&handler, Limits::default()).await;
    let (mut read, mut write) = peer.into_inner().into_split();
    // Each line is answered by itself; the answers pile up, and then the questions have to.
    let question = [&b"x".repeat(1000)[..], b"\n"].concat().repeat(1000);
    let mut asked = 0;
    while tokio::time::timeout(Duration::from_millis(300), write.write_all(&question)).await.is_ok() {
        asked += question.len();
        assert!(asked < 100_000_000, "the peer is read from without end");
    }
    let held = handler.conn().link().queued();
    assert!(held <= 256 * 1024 + 1001, "{held} bytes are held");
    let mut some = vec![0; asked];
    soon(read.read_exact(&mut some)).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_talks_to_a_busy_handler_is_read_ahead_a_little_only() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tokio::io::duplex(64);
    tokio::spawn(Driver::io(stream, Lines::new(100)).run(handler.clone()));
    peer.write_all(b"hang\n").await.unwrap();
    let mut taken = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), peer.write(&[b'x'; 50])).await {
        taken += written.unwrap();
        let end_of_line = tokio::time::timeout(Duration::from_millis(200), peer.write(b"\n")).await;
        if end_of_line.is_err() {
            break;
        }
        assert!(taken < 10_000, "read ahead without end");
    }
    // Four lines, what one read brings, and what the pipe holds.
    assert!((4 * 50..=4 * 51 + 3 * 64).contains(&taken), "{taken} bytes were taken");
}

#[tokio::test]
async fn large_messages_are_read_ahead_by_their_size_not_their_number() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tokio::io::duplex(64);
    let limits = Limits::default().with_backlog(1_000_000);
    tokio::spawn(Driver::io(stream, Lines::new(100)).limits(Arc::new(limits)).run(handler.clone()));
    peer.write_all(b"hang\n").await.unwrap();
    let lines = [&[b'x'; 63][..], b"\n"].concat().repeat(10_000);
    let mut taken = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), peer.write(&lines[taken..])).await {
        taken += written.unwrap();
        assert!(taken < lines.len(), "read ahead without end");
    }
    // The bound counts lines without their ends. Beyond it: what one read brings, and what the pipe holds.
    let bound = 64 * 1024 / 63 * 64;
    assert!((bound..=bound + 4 * 64).contains(&taken), "{taken} bytes were taken");
}

/// Counts writes; can withhold the flush.
struct Counting {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
    withhold: Arc<AtomicBool>,
    waiting: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, SeqCst);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withhold.load(SeqCst) {
            *self.waiting.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn counting() -> (BufReader<DuplexStream>, Counting) {
    let (peer, inner) = tokio::io::duplex(1 << 20);
    let (writes, withhold, waiting) = Default::default();
    (BufReader::new(peer), Counting { inner, writes, withhold, waiting })
}

#[tokio::test]
async fn all_that_one_read_makes_is_written_at_once() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = counting();
    let writes = stream.writes.clone();
    tokio::spawn(Driver::io(stream, Lines::new(100)).run(handler.clone()));
    peer.write_all(&b"hello\n".repeat(200)).await.unwrap();
    for _ in 0..200 {
        assert_eq!(line(&mut peer).await, "hello");
    }
    assert_eq!(writes.load(SeqCst), 1);
}

#[tokio::test]
async fn the_end_waits_for_the_flush() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = counting();
    let (withhold, waiting) = (stream.withhold.clone(), stream.waiting.clone());
    withhold.store(true, SeqCst);
    let task = tokio::spawn(Driver::io(stream, Lines::new(100)).run(handler.clone()));
    peer.write_all(b"one\nclose\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    assert_eq!(line(&mut peer).await, "last words");
    sleep(Duration::from_millis(50)).await;
    let mut end = String::new();
    let early =
        tokio::time::timeout(Duration::from_millis(50), tokio::io::AsyncBufReadExt::read_line(&mut peer, &mut end));
    assert!(early.await.is_err(), "the stream ends before it was flushed");
    withhold.store(false, SeqCst);
    waiting.lock().unwrap().take().unwrap().wake();
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    assert!(soon(task).await.is_ok());
}

#[tokio::test]
async fn what_is_sent_to_other_streams_is_written_by_their_own_task() {
    let handler = Arc::new(Obedient::default());
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (peer, stream) = counting();
        tokio::spawn(Driver::io(stream, Lines::new(100)).run(handler.clone()));
        peers.push(peer);
    }
    while handler.room.len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    peers[0].write_all(b"all one\nall two\nothers three\nfour\n").await.unwrap();
    for expected in ["one", "two", "four"] {
        assert_eq!(line(&mut peers[0]).await, expected);
    }
    for peer in &mut peers[1..] {
        for expected in ["one", "two", "three"] {
            assert_eq!(line(peer).await, expected);
        }
    }
}

/// Publishes to a group and sends to itself and to one member, all in one turn.
struct Mixed {
    group: Group<LineConnection>,
    first: std::sync::Mutex<Option<LineConnection>>,
}

impl Handler<LineConnection> for Mixed {
    type State = Membership<LineConnection>;
    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        self.first.lock().unwrap().get_or_insert_with(|| conn.clone());
        Ok(self.group.join(conn))
    }
    async fn on_message(&self, conn: &LineConnection, me: &mut Self::State, _: Bytes) -> Result<(), Error> {
        let first = self.first.lock().unwrap().clone().unwrap();
        self.group.send("1");
        conn.try_send("2")?;
        first.try_send("2")?;
        me.send_to_others("x");
        self.group.send("3");
        conn.try_send("4")?;
        first.try_send("4")?;
        Ok(())
    }
}

#[tokio::test]
async fn publishes_and_own_sends_of_one_turn_keep_their_order() {
    let handler = Arc::new(Mixed { group: Group::new(), first: Default::default() });
    let mut peers = Vec::new();
    for count in 1..=3 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        peers.push(BufReader::new(tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()));
        tokio::spawn(Driver::tcp(listener.accept().await.unwrap().0, Lines::new(100)).run(handler.clone()));
        while handler.group.len() < count {
            sleep(Duration::from_millis(1)).await;
        }
    }
    for _ in 0..50 {
        peers[2].write_all(b"go\n").await.unwrap();
        for (peer, expected) in peers.iter_mut().zip(["1 2 x 3 4", "1 x 3", "1 2 3 4"]) {
            for expected in expected.split(' ') {
                assert_eq!(line(peer).await, expected);
            }
        }
    }
}

#[tokio::test]
async fn who_joins_twice_gets_a_message_once_and_leaves_with_the_last_membership() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, _task) = connect(&handler, Limits::default()).await;
    while handler.room.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let group = Group::new();
    let first = group.join(&handler.conn());
    let second = group.join(&handler.conn());
    assert_eq!(group.send("once").sent, 1);
    drop(first);
    assert!(group.contains(&handler.conn()));
    assert_eq!(group.send_filtered("nobody", |_| false).sent, 0);
    assert_eq!(group.send("twice").sent, 1);
    drop(second);
    assert_eq!((group.send("never").sent, group.len()), (0, 0));
    assert_eq!((line(&mut peer).await, line(&mut peer).await), ("once".into(), "twice".into()));
}

/// Ticks by itself; fails at the third tick.
struct Ticking;

impl Handler<LineConnection> for Ticking {
    type State = (Interval, u32);
    async fn on_open(&self, _: &LineConnection) -> Result<Self::State, Error> {
        Ok((tokio::time::interval(Duration::from_millis(10)), 0))
    }
    async fn on_message(&self, conn: &LineConnection, _: &mut Self::State, line: Bytes) -> Result<(), Error> {
        Ok(conn.try_send(line)?)
    }
    fn poll_background(
        &self,
        conn: &LineConnection,
        (interval, count): &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        std::task::ready!(interval.poll_tick(cx));
        *count += 1;
        if *count > 3 {
            return Poll::Ready(Err(Error::new(Reason::Overload, "enough")));
        }
        Poll::Ready(conn.try_send(format!("tick {count}")).map_err(Error::from))
    }
}

#[tokio::test]
async fn the_background_goes_on_between_events_and_its_error_is_the_handlers() {
    let (peer, stream) = tokio::io::duplex(1024);
    let task = tokio::spawn(Driver::io(stream, Lines::new(100)).run(Arc::new(Ticking)));
    let mut peer = BufReader::new(peer);
    assert_eq!(line(&mut peer).await, "tick 1");
    peer.write_all(b"hello\n").await.unwrap();
    let mut rest = vec![line(&mut peer).await, line(&mut peer).await, line(&mut peer).await];
    rest.sort();
    assert_eq!(rest, ["hello", "tick 2", "tick 3"]);
    assert_eq!(line(&mut peer).await, "");
    drop(peer);
    let closed = soon(task).await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Handler, Reason::Overload));
}

/// Says what others have left for it.
struct Errand {
    left: Arc<Mutex<Option<&'static str>>>,
    /// Has everybody.
    group: Group<LineConnection>,
}

impl Handler<LineConnection> for Errand {
    type State = Membership<LineConnection>;
    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        conn.send("open").await?;
        Ok(self.group.join(conn))
    }
    async fn on_message(&self, _: &LineConnection, _: &mut Self::State, _: Bytes) -> Result<(), Error> {
        Ok(())
    }
    fn poll_background(
        &self,
        conn: &LineConnection,
        _: &mut Self::State,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let Some(left) = self.left.lock().unwrap().take() else { return Poll::Pending };
        Poll::Ready(conn.try_send(left).map_err(Error::from))
    }
}

#[tokio::test]
async fn who_leaves_something_for_the_background_wakes_it() {
    let (left, group) = (Arc::<Mutex<_>>::default(), Group::new());
    let (peer, stream) = duplex(64);
    let errand = Errand { left: left.clone(), group: group.clone() };
    tokio::spawn(Driver::io(stream, Lines::new(10)).run(Arc::new(errand)));
    let mut peer = BufReader::new(peer);
    assert_eq!(line(&mut peer).await, "open");
    for errand in ["first", "second"] {
        // Whatever was to be done is done by then, and nobody has a reason to look again.
        sleep(Duration::from_millis(20)).await;
        *left.lock().unwrap() = Some(errand);
        group.for_each(|conn| conn.link().wake());
        assert_eq!(soon(line(&mut peer)).await, errand);
    }
}
