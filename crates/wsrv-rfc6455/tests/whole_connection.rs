//! What a `WebSocketConnection` can do besides sending and receiving whole messages. The peer is its raw bytes.
#![cfg(feature = "connection")]

use bytes::BytesMut;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wsrv_core::{Closed, ClosedBy, Connection, Driver, Error, Group, Handler, Limits, Reason, SendError, SlowPeer};
use wsrv_rfc6455::connection::{ControlFrame, WebSocket, WebSocketConnection};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};
use wsrv_rfc6455::{CloseCode, CloseFrame, Message};

/// Keeps what arrives.
#[derive(Default)]
struct Kept {
    conn: Mutex<Option<WebSocketConnection>>,
    messages: Mutex<Vec<Message>>,
}

impl Handler<WebSocketConnection> for Kept {
    type State = ();
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        *self.conn.lock().unwrap() = Some(conn.clone());
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        self.messages.lock().unwrap().push(message);
        Ok(())
    }
}

struct Open {
    peer: DuplexStream,
    conn: WebSocketConnection,
    handler: Arc<Kept>,
    task: JoinHandle<Closed>,
}

impl Open {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::over(1 << 20, limits).await
    }

    /// Over a stream that holds so many bytes.
    async fn over(bytes: usize, limits: Limits) -> Self {
        let (peer, stream) = duplex(bytes);
        let mut head = BytesMut::from("GET /path HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
        let handler = Arc::new(Kept::default());
        let driver = Driver::io(stream, WebSocket::server(head)).limits(Arc::new(limits));
        let task = tokio::spawn(driver.run(handler.clone()));
        sleep(Duration::from_millis(1)).await;
        let conn = handler.conn.lock().unwrap().clone().unwrap();
        Open { peer, conn, handler, task }
    }

    /// The peer reads exactly these bytes.
    async fn reads(&mut self, expected: &[u8]) {
        let mut read = vec![0; expected.len()];
        let result = timeout(Duration::from_secs(10), self.peer.read_exact(&mut read)).await;
        assert!(result.is_ok_and(|read| read.is_ok()), "not {expected:?} but {read:?}");
        assert_eq!(read, expected);
    }

    /// There is nothing for the peer to read.
    async fn reads_nothing(&mut self) {
        let read = timeout(Duration::from_millis(20), self.peer.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
    }

    async fn writes(&mut self, first: u8, payload: &[u8]) {
        // A masking key of zeros changes nothing.
        let frame = [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat();
        self.peer.write_all(&frame).await.unwrap();
    }

    async fn ends(self) -> Closed {
        drop(self.peer);
        timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap()
    }
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    [&[0x88, 2 + reason.len() as u8][..], &code.to_be_bytes(), reason.as_bytes()].concat()
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn a_message_in_parts_lets_pings_pass_and_messages_wait() {
    let mut open = Open::new().await;
    let room = Group::new();
    let _member = room.join(&open.conn);
    let mut writer = open.conn.begin_text();
    open.conn.try_send("first").unwrap();
    open.reads(b"\x81\x05first").await;
    writer.part("").await.unwrap();
    writer.part("g").await.unwrap();
    writer.part("r\u{f6}".as_bytes().split_last().unwrap().1).await.unwrap();
    open.reads_nothing().await;
    writer.flush().await.unwrap();
    open.reads(b"\x01\x03gr\xc3").await;
    open.conn.try_send("one").unwrap();
    room.send("two");
    open.conn.send(vec![3]).await.unwrap();
    open.conn.ping(b"p").unwrap();
    open.reads(b"\x89\x01p").await;
    open.writes(0x89, b"q").await;
    open.reads(b"\x8a\x01q").await;
    open.reads_nothing().await;
    assert!(open.conn.link().queued() >= 7);
    writer.finish(b"\xb6\xc3\x9fer").await.unwrap();
    open.reads(b"\x80\x05\xb6\xc3\x9fer\x81\x03one\x81\x03two\x82\x01\x03").await;
    assert_eq!(open.conn.link().queued(), 0);
    open.conn.begin_binary().finish([1, 2]).await.unwrap();
    open.reads(b"\x82\x02\x01\x02").await;
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_heard_while_messages_wait_for_another_ones_end() {
    let mut open = Open::with(Limits::default().with_outbox_soft(1000)).await;
    let room = Group::new();
    let _member = room.join(&open.conn);
    let mut writer = open.conn.begin_binary();
    writer.part([1]).await.unwrap();
    writer.flush().await.unwrap();
    for _ in 0..100 {
        room.send(vec![0; 100]);
    }
    open.reads(b"\x02\x01\x01").await;
    // What it says next may be what the message in parts goes on with.
    for _ in 0..3 {
        open.writes(0x82, b"more").await;
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(open.handler.messages.lock().unwrap().len(), 3);
    writer.finish([2]).await.unwrap();
    let waited = [&[0x82, 100][..], &[0; 100]].concat();
    open.reads(&[b"\x80\x01\x02", &waited.repeat(100)[..]].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_for_another_ones_end_are_bounded() {
    let mut open = Open::with(Limits::default().with_outbox(100_000)).await;
    let mut writer = open.conn.begin_binary();
    writer.part([1]).await.unwrap();
    writer.flush().await.unwrap();
    let sent = (0..).take_while(|_| open.conn.try_send(vec![0; 1000]).is_ok()).count();
    assert!((90..=100).contains(&sent), "{sent}");
    // The peer is not to blame for it.
    assert!(open.conn.is_open());
    writer.finish([2]).await.unwrap();
    open.reads(b"\x02\x01\x01\x80\x01\x02").await;
    let first = [&b"\x82\x7e\x03\xe8"[..], &[0; 1000]].concat();
    open.reads(&first.repeat(sent)).await;
}

#[tokio::test]
async fn a_slow_websocket_gets_the_latest_and_a_quick_one_everything() {
    let limits = Limits::default().with_outbox(100_000);
    let room = Group::new();
    let (mut slow, mut quick) = (Open::over(1000, limits.clone()).await, Open::over(1000, limits).await);
    let _members = (room.join(&slow.conn), room.join(&quick.conn));
    let quote = |share: u64, n: u32| format!("{share} {n:06}");
    let reads = tokio::spawn(async move {
        for n in 0..10_000 {
            quick.reads(&[b"\x81\x08", quote(n % 10, n as u32).as_bytes()].concat()).await;
        }
    });
    for n in 0..10_000 {
        let delivery = room.send_with(quote(n % 10, n as u32), SlowPeer::KeepLatest(n % 10));
        assert_eq!(delivery.sent, 2);
        assert!(slow.conn.link().queued() < 2000);
        if n % 50 == 0 {
            // The quick one is not so quick that it could do with less than a moment.
            sleep(Duration::from_millis(1)).await;
        }
    }
    timeout(Duration::from_secs(10), reads).await.unwrap().unwrap();
    let losses = slow.conn.link().losses();
    assert_eq!((losses.dropped, losses.closed), (0, 0));
    // Whole frames, in the order of the keys: what it had begun to take, and then the latest of each.
    let mut frame = [0; 10];
    let mut latest = Vec::new();
    for _ in 0..10_000 - losses.replaced {
        timeout(Duration::from_secs(10), slow.peer.read_exact(&mut frame)).await.unwrap().unwrap();
        assert_eq!(frame[..2], *b"\x81\x08");
        latest.push(String::from_utf8_lossy(&frame[2..]).into_owned());
    }
    let mut latest = latest.split_off(latest.len() - 10);
    latest.sort();
    assert_eq!(latest, (0..10).map(|share| quote(share, 9990 + share as u32)).collect::<Vec<_>>());
    slow.reads_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_leave_room_for_the_one_they_wait_for() {
    let mut open = Open::with(Limits::default().with_outbox(1000)).await;
    let mut writer = open.conn.begin_binary();
    writer.part([1]).await.unwrap();
    writer.flush().await.unwrap();
    let conn = open.conn.clone();
    let mut others: Vec<_> = (0..20).map(|_| Box::pin(conn.send(vec![0; 100]))).collect();
    let waiting = others.iter_mut().filter_map(|other| poll_once(other).is_pending().then_some(())).count();
    assert!(waiting > 10, "{waiting}");
    writer.part([2]).await.unwrap();
    timeout(Duration::from_secs(10), writer.flush()).await.expect("there is room").unwrap();
    timeout(Duration::from_secs(10), writer.finish([3])).await.expect("there is room").unwrap();
    open.reads(b"\x02\x01\x01\x00\x01\x02\x80\x01\x03\x82\x64\x00").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_left_unfinished_closes_the_connection() {
    let mut open = Open::new().await;
    let mut writer = open.conn.begin_binary();
    writer.part([1]).await.unwrap();
    writer.flush().await.unwrap();
    open.conn.try_send("never sent").unwrap();
    drop(writer);
    open.reads(b"\x02\x01\x01").await;
    open.reads(&close(1011, "a message was left unfinished")).await;
    assert_eq!(open.ends().await.by, ClosedBy::Local);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_part_never_was() {
    let mut open = Open::new().await;
    drop(open.conn.begin_binary());
    let mut writer = open.conn.begin_text();
    assert!(matches!(writer.part(b"\xff").await, Err(SendError::Invalid(_))));
    open.conn.try_send("passes").unwrap();
    open.reads(b"\x81\x06passes").await;
    // Of two, one has to wait.
    let mut other = open.conn.begin_binary();
    other.part([1]).await.unwrap();
    other.flush().await.unwrap();
    writer.part("a").await.unwrap();
    assert!(matches!(writer.flush().await, Err(SendError::Invalid(_))));
    other.finish([2]).await.unwrap();
    writer.flush().await.unwrap();
    assert!(matches!(writer.finish(b"\xc3").await, Err(SendError::Invalid(_))));
    open.reads(b"\x02\x01\x01\x80\x01\x02\x01\x01a").await;
    open.reads(&close(1011, "a message was left unfinished")).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_waits_for_room_and_is_dropped_was_not_added() {
    let mut open = Open::with(Limits::default().with_outbox(0)).await;
    let large = |byte| vec![byte; 16 * 1024];
    let mut writer = open.conn.begin_binary();
    writer.part([0]).await.unwrap();
    assert!(poll_once(writer.part(large(1))).is_pending());
    assert!(poll_once(writer.flush()).is_pending());
    open.conn.set_limits(Limits::default());
    writer.flush().await.unwrap();
    open.conn.set_limits(Limits::default().with_outbox(0));
    assert!(poll_once(writer.part(large(2))).is_pending());
    writer.part([3]).await.unwrap();
    open.conn.set_limits(Limits::default());
    writer.finish([4]).await.unwrap();
    open.reads(b"\x02\x01\x00\x80\x02\x03\x04").await;
}

#[tokio::test(start_paused = true)]
async fn many_small_parts_make_few_frames() {
    let mut open = Open::new().await;
    let mut writer = open.conn.begin_text();
    for n in 0..50_000 {
        writer.part(format!("{n:05}\n")).await.unwrap();
    }
    writer.finish(vec![b'x'; 40_000]).await.unwrap();
    let mut client = wsrv_rfc6455::Receiver::client(wsrv_rfc6455::Limits::default().with_max_fragments(30));
    let mut buffer = BytesMut::new();
    let found = loop {
        match client.receive(&mut buffer).unwrap() {
            wsrv_rfc6455::Received::Message(found) => break found,
            _ => assert!(open.peer.read_buf(&mut buffer).await.unwrap() > 0),
        }
    };
    assert_eq!(found.len(), 300_000 + 40_000);
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_are_told_to_those_who_ask() {
    let mut open = Open::new().await;
    let mut frames = open.conn.control_frames();
    open.writes(0x89, b"one").await;
    open.writes(0x8a, b"two").await;
    let next = frames.recv().await;
    assert!(matches!(next, Some(ControlFrame::Ping(payload)) if *payload == *b"one"));
    // Dropped before it is ready, nothing is lost.
    drop(Box::pin(frames.recv()));
    assert!(matches!(frames.recv().await, Some(ControlFrame::Pong(payload)) if *payload == *b"two"));
    open.reads(b"\x8a\x03one").await;
    // Whoever looks too seldom gets the latest.
    for n in 0..100 {
        open.writes(0x8a, &[n]).await;
    }
    sleep(Duration::from_millis(1)).await;
    for n in 84..100 {
        assert!(matches!(frames.recv().await, Some(ControlFrame::Pong(payload)) if *payload == [n]));
    }
    assert!(poll_once(frames.recv()).is_pending());
    open.ends().await;
    assert_eq!(frames.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_last_message_is_followed_by_the_close() {
    let mut open = Open::new().await;
    assert!(matches!(open.conn.close_after("never", CloseCode::NO_STATUS), Err(SendError::Invalid(_))));
    assert!(open.conn.is_open());
    open.conn.close_after("bye", CloseFrame::new(CloseCode::RESTART, "soon")).unwrap();
    assert!(!open.conn.is_writable());
    // The last message is the last.
    assert_eq!(open.conn.try_send("late"), Err(SendError::Closed));
    assert_eq!(open.conn.begin_text().finish("late").await, Err(SendError::Closed));
    open.reads(b"\x81\x03bye").await;
    open.reads(&close(1012, "soon")).await;
    open.writes(0x88, &1012u16.to_be_bytes()).await;
    let closed = timeout(Duration::from_secs(10), open.task).await.unwrap().unwrap();
    assert_eq!((closed.reason, closed.clean), (Reason::Restart, true));
}

#[tokio::test(start_paused = true)]
async fn a_last_message_cannot_wait_for_one_in_parts() {
    let mut open = Open::new().await;
    let mut writer = open.conn.begin_text();
    writer.part("half").await.unwrap();
    writer.flush().await.unwrap();
    assert!(matches!(open.conn.close_after("bye", CloseCode::NORMAL), Err(SendError::Invalid(_))));
    open.reads(b"\x01\x04half").await;
    open.reads(&close(1000, "")).await;
    assert_eq!(writer.finish("").await, Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn after_our_close_frame_messages_still_arrive_until_the_peers() {
    let mut open = Open::new().await;
    open.conn.link().close_write(CloseFrame::new(CloseCode::NORMAL, "that is all"));
    open.reads(&close(1000, "that is all")).await;
    assert!(open.conn.is_readable() && !open.conn.is_writable());
    open.writes(0x81, b"still here").await;
    // A peer that has not said goodbye may still ask whether somebody is there.
    open.writes(0x89, b"?").await;
    open.reads(b"\x8a\x01?").await;
    open.writes(0x81, b"last").await;
    open.reads_nothing().await;
    assert_eq!(*open.handler.messages.lock().unwrap(), [Message::from("still here"), Message::from("last")]);
    open.writes(0x88, &1000u16.to_be_bytes()).await;
    let closed = timeout(Duration::from_secs(10), open.task).await.unwrap().unwrap();
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Local, Reason::Done, true));
    let mut rest = Vec::new();
    open.peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_drops_messages_and_answers_pings() {
    let mut open = Open::new().await;
    open.conn.close_read();
    open.writes(0x81, b"unheard").await;
    open.writes(0x89, b"?").await;
    open.reads(b"\x8a\x01?").await;
    open.conn.try_send("news").unwrap();
    open.reads(b"\x81\x04news").await;
    open.writes(0x88, &1001u16.to_be_bytes()).await;
    open.reads(&close(1001, "")).await;
    assert!(open.handler.messages.lock().unwrap().is_empty());
    assert_eq!(open.ends().await.by, ClosedBy::Peer);
}

#[tokio::test(start_paused = true)]
async fn frame_sizes_and_message_limits_can_be_changed_while_the_connection_runs() {
    let mut open = Open::new().await;
    open.conn.set_max_frame(2);
    open.conn.try_send("abc").unwrap();
    open.reads(b"\x01\x02ab\x80\x01c").await;
    open.conn.set_message_limits(wsrv_rfc6455::Limits::default().with_max_message(3));
    open.writes(0x81, b"abc").await;
    open.writes(0x81, b"abcd").await;
    open.reads(&[0x88]).await;
    assert_eq!(open.handler.messages.lock().unwrap().len(), 1);
    assert_eq!(open.ends().await.reason, Reason::TooBig);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_what_every_layer_knows() {
    let open = Open::new().await;
    open.conn.attributes().set(String::from("secret"));
    let shown = format!("{:?}", open.conn);
    for part in ["WebSocketConnection", "/path", "alloc::string::String", "remote: unknown", "readable: true"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
}
