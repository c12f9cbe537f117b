//! One conversation over a stream in memory, again and again: each time another of its calls to read, write, flush or end
//! goes wrong.

mod common;

use bytes::BytesMut;
use common::{BINARY, PING, TEXT, close_frame, frame};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;
use wsrv_app::prelude::*;
use wsrv_core::Driver;
use wsrv_rfc6455::connection::WebSocket;
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Harmless: one byte at most, as a stream may do.
    Short,
    /// Harmless: not now, and a wake at once.
    NotNow,
    /// As after a reset.
    Error,
    /// Reading and writing find the end of the stream.
    End,
}

struct Faulty {
    stream: DuplexStream,
    fault: Fault,
    /// How many calls are still good.
    good: usize,
    /// What has gone wrong stays so, unless it is harmless.
    broken: bool,
    /// All calls so far.
    calls: Arc<AtomicUsize>,
}

impl Faulty {
    fn now(&mut self) -> Option<Fault> {
        self.calls.fetch_add(1, Relaxed);
        let now = self.good == 0 || self.broken;
        self.good = self.good.checked_sub(1).unwrap_or(usize::MAX);
        self.broken |= now && matches!(self.fault, Fault::Error | Fault::End);
        now.then_some(self.fault)
    }
}

fn reset<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

fn not_now<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.now() {
            None => Pin::new(&mut self.stream).poll_read(cx, buf),
            Some(Fault::Short) => {
                let mut byte = [0];
                let mut one = ReadBuf::new(&mut byte);
                std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
                buf.put_slice(one.filled());
                Poll::Ready(Ok(()))
            }
            Some(Fault::NotNow) => not_now(cx),
            Some(Fault::Error) => reset(),
            Some(Fault::End) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.now() {
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
            Some(Fault::Short) => Pin::new(&mut self.stream).poll_write(cx, &buf[..buf.len().min(1)]),
            Some(Fault::NotNow) => not_now(cx),
            Some(Fault::Error) => reset(),
            Some(Fault::End) => Poll::Ready(Ok(0)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.now() {
            None | Some(Fault::Short) => Pin::new(&mut self.stream).poll_flush(cx),
            Some(Fault::NotNow) => not_now(cx),
            Some(Fault::Error | Fault::End) => reset(),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.now() {
            None | Some(Fault::Short) => Pin::new(&mut self.stream).poll_shutdown(cx),
            Some(Fault::NotNow) => not_now(cx),
            Some(Fault::Error | Fault::End) => reset(),
        }
    }
}

#[derive(Default)]
struct Echo {
    opened: AtomicUsize,
    closed: Mutex<Vec<ClosedBy>>,
    dropped: Arc<AtomicUsize>,
}

struct State(Arc<AtomicUsize>);

impl Drop for State {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Handler<WebSocketConnection> for Echo {
    type State = State;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<State, Error> {
        self.opened.fetch_add(1, Relaxed);
        let state = State(self.dropped.clone());
        // Nobody is there any more, perhaps, and that is for on_close to tell.
        let _ = conn.send("welcome").await;
        Ok(state)
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut State, message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }

    async fn on_close(&self, conn: &WebSocketConnection, _: State, closed: Closed) {
        let _ = conn.try_send("last words");
        self.closed.lock().unwrap().push(closed.by);
    }
}

/// What the peer got, how the connection ended, and how many calls that took.
async fn converse(fault: Fault, good: usize) -> (Vec<u8>, ClosedBy, usize) {
    let mut head = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = HeadReader::new(HeadLimits::default()).read(&mut head).unwrap().unwrap();
    // So small that large messages take several writes.
    let (mut peer, stream) = duplex(20_000);
    let calls = Arc::new(AtomicUsize::new(0));
    let stream = Faulty { stream, fault, good, broken: false, calls: calls.clone() };
    let handler = Arc::new(Echo::default());
    let server = tokio::spawn(Driver::io(stream, WebSocket::server(head)).run(handler.clone()));
    let (mut reads, mut writes) = tokio::io::split(&mut peer);
    let says = [
        frame(TEXT, b"hello"),
        frame(0x01, b"in "),
        frame(PING, b"?"),
        frame(0x80, b"parts"),
        frame(BINARY, &[7; 70_000]),
        close_frame(1000, "bye"),
    ];
    let talk = async {
        for said in says {
            if writes.write_all(&said).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut got = Vec::new();
    let listen = reads.read_to_end(&mut got);
    // Time is paused: whoever hangs meets the deadline at once.
    let (_, _, closed) = timeout(Duration::from_secs(60), async { tokio::join!(talk, listen, server) })
        .await
        .unwrap_or_else(|_| panic!("{fault:?} at call {good} hangs"));
    let closed = closed.expect("no panic");
    let opened = handler.opened.load(Relaxed);
    let ends = handler.closed.lock().unwrap().clone();
    assert_eq!((opened, ends.len(), handler.dropped.load(Relaxed)), (1, 1, 1), "{fault:?} at call {good}");
    (got, closed.by, calls.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn whichever_call_of_the_stream_fails_on_close_runs_once_and_nothing_hangs() {
    let (all, by, calls) = converse(Fault::Short, usize::MAX).await;
    assert_eq!(by, ClosedBy::Peer);
    assert!(all.ends_with(b"\x88\x05\x03\xe8bye") && calls > 10, "{calls} calls");
    for fault in [Fault::Error, Fault::End] {
        let mut losses = 0;
        for good in 0..calls {
            let (got, by, _) = converse(fault, good).await;
            assert!(all.starts_with(&got), "{fault:?} at call {good}: other bytes");
            assert!(matches!(by, ClosedBy::Lost | ClosedBy::Peer), "{fault:?} at call {good}: {by:?}");
            losses += usize::from(by == ClosedBy::Lost);
        }
        assert!(losses > calls / 2, "{losses} of {calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_little_or_nothing_at_any_call_loses_nothing() {
    let (all, _, calls) = converse(Fault::Short, usize::MAX).await;
    for fault in [Fault::Short, Fault::NotNow] {
        for good in 0..calls {
            let (got, by, _) = converse(fault, good).await;
            assert_eq!(by, ClosedBy::Peer, "{fault:?} at call {good}");
            assert!(got == all, "{fault:?} at call {good}: other bytes");
        }
    }
}
