//! Handlers, encoders and streams that misbehave: they harm their own connection at most, and never spin.

mod common;

use bytes::{Bytes, BytesMut};
use common::{Obedient, line, small_limits, soon};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{
    Closed, ClosedBy, Connection, Connections, Driver, Error, Handler, Limits, Link, Out, Reason, Receive, Received,
    SendError, SlowPeer, Transmit, Verdict, Wire,
};

/// A future that counts its polls and can be held back.
struct Watched<F> {
    inner: Pin<Box<F>>,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    polls: AtomicUsize,
    held: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.watch.polls.fetch_add(1, SeqCst);
        if self.watch.held.load(SeqCst) {
            *self.watch.waker.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.inner.as_mut().poll(cx)
    }
}

fn watched<F: Future>(inner: F) -> (Watched<F>, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (Watched { inner: Box::pin(inner), watch: watch.clone() }, watch)
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (peer, listener.accept().await.unwrap().0)
}

/// Runs on a thread of its own, which is given up if it blocks.
fn unblocked(what: impl Future<Output = ()> + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(what);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(10)).expect("the runtime's thread is blocked");
}

#[tokio::test]
async fn waiting_for_the_end_costs_nothing_while_there_is_none() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tcp().await;
    let (driver, watch) = watched(Driver::tcp(stream, Lines::new(1024)).run(handler.clone()));
    tokio::spawn(driver);
    peer.write_all(b"until-closed\n").await.unwrap();
    sleep(Duration::from_millis(200)).await;
    let polls = watch.polls.load(SeqCst);
    assert!(polls < 20, "{polls} polls");
}

#[tokio::test]
async fn waiting_for_room_costs_nothing_while_the_connection_ends() {
    for outbox in [0, 1 << 20] {
        let handler = Arc::new(Obedient::default());
        let (mut peer, stream) = duplex(64);
        let mut limits = Limits::default();
        limits.outbox = outbox;
        let driver = Driver::io(stream, Lines::new(1024)).limits(Arc::new(limits));
        let (driver, watch) = watched(driver.run(handler.clone()));
        tokio::spawn(driver);
        peer.write_all(b"flood 200\n").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        handler.conn().close(Reason::Done);
        sleep(Duration::from_millis(200)).await;
        let polls = watch.polls.load(SeqCst);
        assert!(polls < 40, "{polls} polls");
    }
}

/// Its background fails whenever it is asked, and is forgiven.
struct Hopeless;

impl Handler<LineConnection> for Hopeless {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &LineConnection, _: &mut (), line: Bytes) -> Result<(), Error> {
        Ok(conn.try_send(line)?)
    }
    async fn on_error(&self, _: &LineConnection, _: &mut (), _: Error) -> Verdict {
        Verdict::Continue
    }
    fn poll_background(&self, _: &LineConnection, _: &mut (), _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Err("again".into()))
    }
}

#[test]
fn a_background_that_always_fails_holds_up_nobody() {
    unblocked(async {
        let (peer, stream) = duplex(64);
        let connections = Connections::new();
        let driver = Driver::io(stream, Lines::new(10)).tracked_by(&connections);
        let task = tokio::spawn(driver.run(Arc::new(Hopeless)));
        let mut peer = BufReader::new(peer);
        peer.write_all(b"hello\n").await.unwrap();
        assert_eq!(line(&mut peer).await, "hello");
        connections.cut_all();
        task.await.unwrap();
    });
}

#[tokio::test]
async fn messages_behind_a_close_of_ours_are_dropped_together() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = tcp().await;
    tokio::spawn(Driver::tcp(stream, Lines::new(100)).run(handler.clone()));
    peer.write_all(b"sleep 100\n2\n3\n4\n5\n6\n7\n8\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    handler.conn().close(Reason::Done);
    let mut peer = BufReader::new(peer);
    assert_eq!(line(&mut peer).await, "slept");
    assert_eq!(line(&mut peer).await, "last words");
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose, while dropped");
        }
    }
}

#[derive(Default)]
struct Brittle {
    closed: AtomicUsize,
    conn: Mutex<Option<LineConnection>>,
}

impl Handler<LineConnection> for Brittle {
    type State = PanicsWhenDropped;
    async fn on_open(&self, conn: &LineConnection) -> Result<PanicsWhenDropped, Error> {
        *self.conn.lock().unwrap() = Some(conn.clone());
        Ok(PanicsWhenDropped)
    }
    async fn on_message(&self, _: &LineConnection, _: &mut PanicsWhenDropped, _: Bytes) -> Result<(), Error> {
        let _guard = PanicsWhenDropped;
        std::future::pending().await
    }
    async fn on_close(&self, _: &LineConnection, _state: PanicsWhenDropped, _: Closed) {
        self.closed.fetch_add(1, SeqCst);
    }
}

#[tokio::test]
async fn a_panic_while_a_step_or_a_state_is_dropped_changes_nothing() {
    let handler = Arc::new(Brittle::default());
    let (mut peer, stream) = tcp().await;
    let task = tokio::spawn(Driver::tcp(stream, Lines::new(100)).run(handler.clone()));
    peer.write_all(b"hang\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    handler.conn.lock().unwrap().clone().unwrap().cut();
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Cut);
    assert_eq!(handler.closed.load(SeqCst), 1);
}

#[tokio::test]
async fn who_says_goodbye_and_does_not_read_is_not_waited_for() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = duplex(64);
    let driver = Driver::io(stream, Lines::new(100)).limits(Arc::new(small_limits()));
    let task = tokio::spawn(driver.run(handler.clone()));
    peer.write_all(b"sleep 100\npush-flood 5\none\n").await.unwrap();
    peer.shutdown().await.unwrap();
    soon(task).await.unwrap();
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn a_reset_that_a_write_was_told_of_is_no_goodbye() {
    let handler = Arc::new(Obedient::default());
    let (peer, stream) = tcp().await;
    let (driver, watch) = watched(Driver::tcp(stream, Lines::new(100)).run(handler.clone()));
    let task = tokio::spawn(driver);
    let mut peer = BufReader::new(peer);
    peer.write_all(b"one\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    watch.held.store(true, SeqCst);
    #[allow(deprecated)]
    peer.get_ref().set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    sleep(Duration::from_millis(50)).await;
    let _ = handler.conn().try_send("x");
    watch.held.store(false, SeqCst);
    watch.waker.lock().unwrap().take().unwrap().wake();
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Lost);
    assert!(!handler.closed()[0].clean);
}

/// Sends more than an outbox holds to the first connection, in one turn.
#[derive(Default)]
struct Generous {
    first: Mutex<Option<LineConnection>>,
    opened: AtomicUsize,
    refused: Mutex<Option<usize>>,
}

impl Handler<LineConnection> for Generous {
    type State = ();
    async fn on_open(&self, conn: &LineConnection) -> Result<(), Error> {
        self.first.lock().unwrap().get_or_insert_with(|| conn.clone());
        self.opened.fetch_add(1, SeqCst);
        Ok(())
    }
    async fn on_message(&self, _: &LineConnection, _: &mut (), _: Bytes) -> Result<(), Error> {
        let first = self.first.lock().unwrap().clone().unwrap();
        let refused = (0..15).filter(|_| first.try_send(vec![b'x'; 99_999]).is_err()).count();
        *self.refused.lock().unwrap() = Some(refused);
        Ok(())
    }
}

#[tokio::test]
async fn a_quick_peer_is_not_taken_for_a_slow_one() {
    for own in [true, false] {
        let handler = Arc::new(Generous::default());
        let mut peers = Vec::new();
        for count in 1..=2 {
            let (peer, stream) = tcp().await;
            tokio::spawn(Driver::tcp(stream, Lines::new(100)).run(handler.clone()));
            peers.push(peer);
            while handler.opened.load(SeqCst) < count {
                sleep(Duration::from_millis(1)).await;
            }
        }
        peers[usize::from(!own)].write_all(b"go\n").await.unwrap();
        let mut all = vec![0; 15 * 100_000];
        soon(peers[0].read_exact(&mut all)).await.unwrap();
        assert_eq!(*handler.refused.lock().unwrap(), Some(0), "own: {own}");
    }
}

#[tokio::test]
async fn an_encoder_that_panics_sends_no_half_of_a_message() {
    let handler = Arc::new(Obedient::default());
    let (peer, stream) = tcp().await;
    let task = tokio::spawn(Driver::tcp(stream, Lines::new(100)).run(handler.clone()));
    let mut peer = BufReader::new(peer);
    peer.write_all(b"one\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "one");
    let conn = handler.conn();
    let panicking = tokio::spawn({
        let conn = conn.clone();
        async move {
            let _ = conn.link().try_send(|_, out| -> Result<(), SendError> {
                out.put_slice(b"half");
                panic!("on purpose")
            });
        }
    });
    assert!(panicking.await.is_err());
    assert_eq!(conn.try_send("two"), Err(SendError::Closed));
    assert_eq!(line(&mut peer).await, "");
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Lost);
}

/// Sends without end, and always finds room.
struct Streaming;

impl Handler<LineConnection> for Streaming {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &LineConnection, _: &mut (), _: Bytes) -> Result<(), Error> {
        loop {
            conn.send(vec![b'x'; 4000]).await?;
        }
    }
}

#[tokio::test]
async fn a_handler_that_sends_without_end_lets_others_have_their_turn() {
    let (peer, stream) = tcp().await;
    let mut peer = peer.into_std().unwrap();
    peer.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        peer.write_all(b"go\n").unwrap();
        let mut sink = vec![0; 1 << 20];
        while peer.read(&mut sink).is_ok_and(|n| n > 0) {}
    });
    let task = tokio::spawn(Driver::tcp(stream, Lines::new(100)).run(Arc::new(Streaming)));
    let began = Instant::now();
    let mut turns = 0;
    while began.elapsed() < Duration::from_millis(500) {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns > 20, "{turns} turns for others");
    task.abort();
}

/// Tells whether the set was empty when the state was dropped.
struct Witness(std::sync::mpsc::Sender<bool>, Connections);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.send(self.1.is_empty());
    }
}

struct Witnessed(Mutex<std::sync::mpsc::Sender<bool>>, Connections);

impl Handler<LineConnection> for Witnessed {
    type State = Witness;
    async fn on_open(&self, _: &LineConnection) -> Result<Witness, Error> {
        Ok(Witness(self.0.lock().unwrap().clone(), self.1.clone()))
    }
    async fn on_message(&self, _: &LineConnection, _: &mut Witness, _: Bytes) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_connection_counts_until_its_state_is_dropped() {
    let (witness, testimony) = std::sync::mpsc::channel();
    let connections = Connections::new();
    let (_peer, stream) = duplex(64);
    let handler = Arc::new(Witnessed(Mutex::new(witness), connections.clone()));
    let task = tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler));
    sleep(Duration::from_millis(20)).await;
    task.abort();
    let _ = task.await;
    assert!(!testimony.recv().unwrap());
    assert!(connections.is_empty());
}

#[tokio::test]
async fn a_sender_that_waits_goes_on_when_half_the_outbox_is_free() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = duplex(64 * 1024);
    let mut limits = Limits::default();
    limits.slow_peer = SlowPeer::DropNewest;
    tokio::spawn(Driver::io(stream, Lines::new(1024)).limits(Arc::new(limits)).run(handler.clone()));
    while handler.room.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    let conn = handler.conn();
    for _ in 0..5 {
        while conn.try_send(vec![b'x'; 9_999]).is_ok() {}
        sleep(Duration::from_millis(5)).await;
    }
    let waiting = tokio::spawn(async move { conn.send("patience").await });
    sleep(Duration::from_millis(5)).await;
    assert!(!waiting.is_finished());
    let mut some = vec![0; 600_000];
    soon(peer.read_exact(&mut some)).await.unwrap();
    soon(waiting).await.unwrap().unwrap();
}

/// Always readable, writable and never pending.
struct Endless;

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let lines = vec![b'\n'; buf.remaining()];
        buf.put_slice(&lines);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_is_always_ready_holds_up_nobody_and_no_deadline() {
    unblocked(async {
        let connections = Connections::new();
        let driver = Driver::io(Endless, Lines::new(10)).limits(Arc::new(small_limits())).tracked_by(&connections);
        let task = tokio::spawn(driver.run(Arc::new(Obedient::default())));
        sleep(Duration::from_millis(50)).await;
        connections.close_all(Reason::Done);
        task.await.unwrap();
    });
}

/// Panics when written to, and never ends.
struct Bad(DuplexStream);

impl AsyncRead for Bad {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bad {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        assert!(buf.starts_with(b"last"), "on purpose");
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_stream_that_panics_is_one_that_fails() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = duplex(64);
    let task = tokio::spawn(Driver::io(Bad(stream), Lines::new(100)).run(handler.clone()));
    peer.write_all(b"one\n").await.unwrap();
    assert_eq!(soon(task).await.unwrap().by, ClosedBy::Lost);
    assert_eq!(handler.closed().len(), 1);
}

#[tokio::test]
async fn a_cut_does_not_wait_for_a_stream_that_does_not_end() {
    let handler = Arc::new(Obedient::default());
    let (mut peer, stream) = duplex(64);
    let task = tokio::spawn(Driver::io(Bad(stream), Lines::new(100)).run(handler.clone()));
    peer.write_all(b"close\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    handler.conn().cut();
    soon(task).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn small_messages_do_not_wait_in_the_system_for_more() {
    let (_peer, stream) = tcp().await;
    let stream = stream.into_std().unwrap();
    // The same socket, seen by a second descriptor.
    let same = stream.try_clone().unwrap();
    assert!(!same.nodelay().unwrap());
    let _driver = Driver::tcp(TcpStream::from_std(stream).unwrap(), Lines::new(10));
    assert!(same.nodelay().unwrap());
}

/// One byte is a message, others are against the rules or a question; a goodbye may want an answer.
struct Bytewise {
    goodbye_is_answered: bool,
}

#[derive(Clone)]
struct BytewiseConnection(Link<Bytewise>);

/// Whether a rule was broken.
struct BytewiseReceiver(bool);

struct BytewiseSender {
    goodbye_is_answered: bool,
}

impl Connection for BytewiseConnection {
    type Wire = Bytewise;
    type Incoming = u8;
    type Outgoing = u8;
    fn link(&self) -> &Link<Bytewise> {
        &self.0
    }
    fn encode(message: u8) -> u8 {
        message
    }
}

impl Wire for Bytewise {
    type Connection = BytewiseConnection;
    type Receiver = BytewiseReceiver;
    type Sender = BytewiseSender;
    type Signal = ();
    type Close = Reason;
    type Prepared = u8;
    type Context = ();
    fn split(self) -> (BytewiseReceiver, BytewiseSender, ()) {
        (BytewiseReceiver(false), BytewiseSender { goodbye_is_answered: self.goodbye_is_answered }, ())
    }
    fn connection(link: Link<Self>) -> BytewiseConnection {
        BytewiseConnection(link)
    }
    fn size(_: &u8) -> usize {
        1
    }
    fn reason(close: &Reason) -> Reason {
        *close
    }
}

impl Receive<Bytewise> for BytewiseReceiver {
    type Found = ();
    type Error = std::fmt::Error;
    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<Bytewise, ()>, std::fmt::Error> {
        assert!(!self.0, "called again after an error");
        match buffer[0] {
            b'!' => {
                self.0 = true;
                Err(std::fmt::Error)
            }
            b'?' => {
                let _ = buffer.split_to(1);
                Ok(Received::Signal(()))
            }
            _ => Ok(Received::Message { found: (), size: 1 }),
        }
    }
    fn take(&mut self, (): (), buffer: &mut BytesMut) -> u8 {
        buffer.split_to(1)[0]
    }
    fn end_of_stream(&mut self, _: &[u8]) -> bool {
        false
    }
    fn farewell(_: &std::fmt::Error) -> Reason {
        Reason::BadPeer
    }
}

impl Transmit<Bytewise> for BytewiseSender {
    fn prepared(&mut self, message: &u8, out: &mut Out<'_>) {
        out.put_slice(&[*message]);
    }
    fn answer(&mut self, (): (), out: &mut Out<'_>) {
        out.put_slice(b"a");
    }
    fn close(&mut self, _: &Reason, out: &mut Out<'_>) -> bool {
        out.put_slice(b".");
        self.goodbye_is_answered
    }
}

#[tokio::test]
async fn nothing_is_received_after_an_error_even_if_something_else_ends_the_connection() {
    // Fails after it has waited, so that what follows is read ahead.
    struct Fails;

    impl Handler<BytewiseConnection> for Fails {
        type State = ();
        async fn on_open(&self, _: &BytewiseConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, _: &BytewiseConnection, _: &mut (), _: u8) -> Result<(), Error> {
            tokio::task::yield_now().await;
            Err("on purpose".into())
        }
    }

    let (mut peer, stream) = duplex(64);
    peer.write_all(b"a!b").await.unwrap();
    let task = tokio::spawn(Driver::io(stream, Bytewise { goodbye_is_answered: true }).run(Arc::new(Fails)));
    let mut goodbye = [0];
    soon(peer.read_exact(&mut goodbye)).await.unwrap();
    peer.write_all(b"c").await.unwrap();
    drop(peer);
    let closed = soon(task).await.expect("no panic");
    assert_eq!((closed.by, closed.clean), (ClosedBy::Handler, false));
}

#[tokio::test]
async fn a_question_after_our_half_of_the_stream_has_ended_does_no_harm() {
    /// Says goodbye at once, and keeps what still comes.
    #[derive(Default)]
    struct Listens(Mutex<Vec<u8>>);

    impl Handler<BytewiseConnection> for Listens {
        type State = ();
        async fn on_open(&self, conn: &BytewiseConnection) -> Result<(), Error> {
            conn.close_write(Reason::Done);
            Ok(())
        }
        async fn on_message(&self, _: &BytewiseConnection, _: &mut (), message: u8) -> Result<(), Error> {
            self.0.lock().unwrap().push(message);
            Ok(())
        }
    }

    for goodbye_is_answered in [true, false] {
        let (mut peer, stream) = duplex(64);
        let handler = Arc::new(Listens::default());
        tokio::spawn(Driver::io(stream, Bytewise { goodbye_is_answered }).run(handler.clone()));
        let mut read = [0; 2];
        soon(peer.read_exact(&mut read[..1])).await.unwrap();
        for byte in b"?x" {
            peer.write_all(&[*byte]).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(*handler.0.lock().unwrap(), b"x", "{goodbye_is_answered}");
        let answered = soon(peer.read(&mut read[1..])).await.unwrap();
        assert_eq!((answered, &read[..1]), (usize::from(goodbye_is_answered), &b"."[..]));
    }
}
