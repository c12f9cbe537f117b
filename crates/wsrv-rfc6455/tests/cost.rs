//! What messages cost in allocations and in calls of the stream, so that a step back shows without a clock.
#![cfg(feature = "connection")]

use allocation_counter::{AllocationInfo, measure};
use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use wsrv_core::{Closed, Driver, Error, Group, Handler, Limits, Membership};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader, SharedLines};
use wsrv_rfc6455::{Message, Sender};

/// A peer that sends the same bytes again and again, and takes everything.
struct Peer {
    sends: Vec<u8>,
    /// How many times.
    reads: usize,
    /// At most so many bytes a read.
    piece: usize,
    at: usize,
    calls: Arc<Calls>,
    /// Says nothing more in the end, instead of ending the stream.
    stays: bool,
}

#[derive(Default)]
struct Calls {
    reads: AtomicUsize,
    writes: AtomicUsize,
    written: AtomicUsize,
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.calls.reads.fetch_add(1, Relaxed);
        if self.reads > 0 {
            let rest = &self.sends[self.at..];
            let size = rest.len().min(self.piece).min(buf.remaining());
            buf.put_slice(&rest[..size]);
            self.at += size;
            if self.at == self.sends.len() {
                self.at = 0;
                self.reads -= 1;
            }
        } else if self.stays {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.calls.writes.fetch_add(1, Relaxed);
        self.calls.written.fetch_add(buf.len(), Relaxed);
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match size {
        0..=125 => frame.push(0x80 | size as u8),
        126..=0xffff => frame.extend([&[0xfe][..], &(size as u16).to_be_bytes()].concat()),
        _ => frame.extend([&[0xff][..], &(size as u64).to_be_bytes()].concat()),
    }
    frame.extend([1, 2, 3, 4]);
    frame.resize(frame.len() + size, 7);
    frame
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn wire(max_message: usize) -> WebSocket {
    let mut head = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
    WebSocket::server(head).limits(wsrv_rfc6455::Limits::default().with_max_message(max_message))
}

/// Runs a connection to its end: what it allocates, and which calls its stream gets.
fn run<H: Handler<WebSocketConnection>>(
    handler: &Arc<H>,
    sends: Vec<u8>,
    reads: usize,
) -> (AllocationInfo, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let piece = sends.len();
    let peer = Peer { sends, reads, piece, at: 0, calls: calls.clone(), stays: false };
    let runtime = runtime();
    let driver = Driver::io(peer, wire(1 << 20)).limits(Arc::new(Limits::default().with_outbox(4 << 20)));
    let driver = driver.run(handler.clone());
    let allocated = measure(|| {
        let _: Closed = runtime.block_on(driver);
    });
    (allocated, calls)
}

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

#[test]
fn an_echoed_message_costs_one_allocation_and_a_share_of_one_write() {
    for size in [16, 125, 1024] {
        let sends = frame(size).repeat(16);
        // What a connection costs as such drops out, and what the thread keeps.
        run(&Arc::new(Echo), sends.clone(), 10);
        let (few, _) = run(&Arc::new(Echo), sends.clone(), 100);
        let (many, calls) = run(&Arc::new(Echo), sends, 300);
        let messages = 200 * 16;
        let allocations = many.count_total - few.count_total;
        // The payload, which the handler owns; and now and then a buffer that has to be made anew.
        assert!(
            (messages..messages + 40).contains(&allocations),
            "{allocations} for {messages} messages of {size} bytes"
        );
        let kept = many.bytes_current - few.bytes_current;
        assert!(kept.abs() < 1024, "{kept} bytes are kept for {messages} messages");
        // A turn ends with one write, after some reads or with 64 KiB.
        let (writes, sent) = (calls.writes.load(Relaxed), calls.written.load(Relaxed));
        assert!(writes <= turns(300) + sent / (64 << 10), "{writes} writes for 300 reads and {sent} bytes");
        assert!((301..=303).contains(&calls.reads.load(Relaxed)));
    }
}

#[test]
fn the_future_of_a_connection_fits_into_a_task_of_640_bytes() {
    let future = Driver::io(Silent(Arc::default()), wire(1 << 20)).run(Arc::new(Echo));
    let size = size_of_val(&future);
    // tokio adds 112 bytes, and its tasks come in steps of 128.
    assert!(size <= 528, "{size} bytes");
}

#[test]
fn compression_that_is_not_agreed_on_takes_no_room_in_a_connection() {
    // As many as before there was any. What the receiver takes is in the task, whose size is looked at above.
    let size = size_of::<Sender>();
    assert!(size <= if cfg!(feature = "client") { 32 } else { 16 }, "{size} bytes");
}

/// Sends every message to all members, who are many.
struct Broadcast {
    room: Group<WebSocketConnection>,
}

impl Handler<WebSocketConnection> for Broadcast {
    type State = Membership<WebSocketConnection>;
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.room.join(conn))
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, message: Message) -> Result<(), Error> {
        self.room.send(message);
        Ok(())
    }
}

/// What 256 messages to so many members allocate, and how many writes they make.
fn broadcast(members: usize) -> (u64, usize) {
    let room = Group::new();
    let handler = Arc::new(Broadcast { room: room.clone() });
    let runtime = runtime();
    let (publisher, calls) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
    for _ in 0..members {
        let driver = Driver::io(Silent(calls.clone()), wire(1 << 20));
        runtime.spawn(driver.run(handler.clone()));
    }
    runtime.block_on(async {
        while room.len() < members {
            tokio::task::yield_now().await;
        }
    });
    let publish = |reads| {
        let peer = Peer {
            sends: frame(125).repeat(16),
            reads,
            piece: usize::MAX,
            at: 0,
            calls: publisher.clone(),
            stays: false,
        };
        let driver = Driver::io(peer, wire(1 << 20)).run(handler.clone());
        let before = calls.writes.load(Relaxed);
        let measured = measure(|| {
            runtime.block_on(async {
                // A task among the others, so that they are written before it goes on.
                tokio::spawn(driver).await.unwrap();
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            });
        });
        (measured.count_total, calls.writes.load(Relaxed) - before)
    };
    publish(50);
    let ((few, few_writes), (many, many_writes)) = (publish(8), publish(24));
    (many - few, many_writes - few_writes)
}

#[test]
fn a_broadcast_costs_nothing_per_member_but_a_share_of_one_write() {
    let ((few, _), (many, writes)) = (broadcast(10), broadcast(200));
    assert!(many <= few + 20, "{few} allocations with 10 members, {many} with 200");
    // The payload that the handler gets, the frame that all share, and what a batch needs.
    assert!(few <= 256 * 4 + 50, "{few} allocations for 256 messages");
    // What one turn publishes reaches each member in one write.
    assert!(writes <= 200 * turns(16), "{writes} writes to 200 members");
}

/// In how many turns so many reads of 16 messages are worked off.
fn turns(reads: usize) -> usize {
    (reads * (32 + 16)).div_ceil(256) + 2
}

/// Takes everything and says nothing.
struct Silent(Arc<Calls>);

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.writes.fetch_add(1, Relaxed);
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Keeps the largest message's capacity in view by echoing its length only.
struct Length;

impl Handler<WebSocketConnection> for Length {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message.len().to_string()).await?)
    }
}

#[test]
fn a_large_message_takes_no_more_memory_than_it_needs_and_gives_it_back() {
    const SIZE: usize = 16 << 20;
    let calls = Arc::new(Calls::default());
    let peer = Peer { sends: frame(SIZE), reads: 3, piece: 256 * 1024, at: 0, calls: calls.clone(), stays: false };
    let driver = Driver::io(peer, wire(SIZE)).run(Arc::new(Length));
    let runtime = runtime();
    let allocated = measure(|| {
        runtime.block_on(driver);
    });
    // While the buffer doubles for the last time, the old one and the new one are there together.
    assert!(allocated.bytes_max <= SIZE as u64 * 3 / 2 + (1 << 20), "{} bytes", allocated.bytes_max);
    assert!(allocated.bytes_current < 256 * 1024, "{} bytes are still there", allocated.bytes_current);
    assert!(calls.written.load(Relaxed) >= 3 * 10);
}

#[test]
fn a_large_message_is_echoed_with_less_than_one_copy_and_an_idle_connection_keeps_nothing_of_it() {
    const SIZE: usize = 16 << 20;
    let runtime = runtime();
    let echo_once = |size| {
        let calls = Arc::new(Calls::default());
        let peer = Peer { sends: frame(size), reads: 1, piece: 256 * 1024, at: 0, calls: calls.clone(), stays: true };
        let limits = Arc::new(Limits::default().with_outbox(4 << 20));
        let driver = Driver::io(peer, wire(SIZE)).limits(limits).run(Arc::new(Echo));
        let mut task = None;
        let allocated = measure(|| {
            task = Some(runtime.spawn(driver));
            runtime.block_on(async {
                while calls.written.load(Relaxed) < size {
                    tokio::task::yield_now().await;
                }
                // The driver's turn in which it finds nothing more to read.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            });
        });
        assert!(task.is_some_and(|task| !task.is_finished()), "the connection goes on");
        (allocated, calls)
    };
    // What the thread keeps.
    echo_once(125);
    let (small, _) = echo_once(125);
    let (large, calls) = echo_once(SIZE);
    let (size, small) = (SIZE as u64, small.bytes_total);
    // The message lies in a buffer of its size. What was copied lay in the smaller ones, through which it grew.
    let copied = large.bytes_total - small - size;
    assert!(copied <= size / 2, "{copied} bytes were allocated besides");
    assert!(large.bytes_max <= size * 3 / 2 + (64 << 10), "{} bytes at once", large.bytes_max);
    assert!(large.bytes_current < 2 * 1024, "{} bytes are still there", large.bytes_current);
    // In one piece, with its header, and not once for each piece that arrived.
    let writes = calls.writes.load(Relaxed);
    assert!(writes <= 2, "{writes} writes");
}

#[test]
fn heads_of_one_kind_of_browser_hold_little_but_what_is_their_own() {
    const HEADS: usize = 100;
    let shared = SharedLines::new();
    let mut heads = Vec::with_capacity(HEADS);
    let allocated = measure(|| {
        for n in 0..HEADS {
            let own = format!("Cookie: session={n:032}\r\nSec-WebSocket-Key: {n:022}==\r\n");
            let request = format!(
                "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
                 Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, \
                 like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://server.example.com\
                 \r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: \
                 en-US,en;q=0.9\r\n{own}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
            );
            let head = HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(&request[..]));
            let mut head = head.unwrap().unwrap();
            head.share(&shared);
            heads.push(head);
        }
    });
    let own =
        "GET /chat HTTP/1.1\r\n".len() + "Cookie: session=\r\n".len() + 32 + "Sec-WebSocket-Key: ==\r\n".len() + 22;
    let common_once = 600;
    let most = (HEADS * own + common_once) as i64;
    assert!(allocated.bytes_current <= most, "{} bytes, {most} allowed", allocated.bytes_current);
    assert!(allocated.count_current <= HEADS as i64 + 2, "{} allocations", allocated.count_current);
}

#[test]
fn header_lines_that_a_peer_makes_up_are_not_kept_for_long() {
    let shared = SharedLines::new();
    let allocated = measure(|| {
        for n in 0..10_000 {
            let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {n:0900}\r\n\r\n");
            let head = HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(&request[..]));
            head.unwrap().unwrap().share(&shared);
        }
    });
    // 128 sets of lines, and the lists they are in.
    assert!(allocated.bytes_current <= 128 * 1024, "{} bytes", allocated.bytes_current);
    assert!(allocated.count_current <= 128 + 16, "{} allocations", allocated.count_current);
}

#[test]
fn a_connection_that_ends_leaves_its_read_buffer_to_the_next() {
    let echo = Arc::new(Echo);
    run(&echo, frame(10), 1);
    // Ended by the end of the stream, while it was reading.
    let (allocated, _) = run(&echo, frame(10), 1);
    assert!(allocated.bytes_total < 16 * 1024, "{} bytes", allocated.bytes_total);
}
