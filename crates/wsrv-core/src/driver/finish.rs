//! The goodbye: what is queued, our close, the peer's close, the end of the stream.

use super::End;
use super::reader::Reader;
use crate::stream::Stream;
use crate::{Closed, ClosedBy, Farewell, Transmit, Wire};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the peer may take to end its stream after ours has ended. A socket that is closed with unread input
/// answers with a reset, and a reset may overtake our goodbye on its way.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn finish<W: Wire>(mut reader: Reader<W>, end: Box<End<W>>) -> Closed {
    let mut closed = end.closed();
    let deadline = Instant::now() + reader.shared.lock().limits.close_timeout;
    let in_time = timeout_at(deadline, say_goodbye(&mut reader, end)).await;
    closed.clean = in_time.unwrap_or(false);
    // After a cut there is nothing to wait for; noticed in there. Nor is there where the peer's half has ended or the
    // socket failed: nothing is left unread, and a TCP stream ends with its socket.
    let is_over = closed.by == ClosedBy::Lost && matches!(reader.shared.lock().stream, Stream::Tcp(_));
    if !reader.notice_cut() && !is_over {
        if closed.clean && reader.shared.lock().sender.peer_ends_stream() {
            let in_time = deadline.min(Instant::now() + LINGER);
            let _ = timeout_at(in_time, poll_fn(|cx| reader.poll_end_of_stream(cx))).await;
        }
        let _ = timeout_at(deadline.min(Instant::now() + LINGER), part(&mut reader)).await;
    }
    tracing::debug!(connection = %reader.shared.id, %closed, clean = closed.clean, "connection closed");
    reader.shared.tell(|observer, id| observer.closed(id, &closed));
    closed
}

/// Sends what is queued and the goodbye, and waits for the peer's. True if both have said it.
async fn say_goodbye<W: Wire>(reader: &mut Reader<W>, end: Box<End<W>>) -> bool {
    let mut last = 0;
    let await_peer = {
        let mut outbox = reader.shared.lock();
        match outbox.ending().half.as_ref().map(|half| half.await_peer) {
            // We have said it before.
            Some(await_peer) => end.close.as_ref().map(|_| await_peer),
            None => {
                let farewell = outbox.ending().farewell.take();
                if let Some(message) = farewell.as_ref().and_then(Farewell::last::<W>)
                    && !outbox.is_shut()
                    && outbox.make_room()
                {
                    outbox.settle();
                    let before = reader.shared.before(&outbox);
                    outbox.encode(|sender, out| sender.prepared(message, out));
                    last = reader.shared.before(&outbox).saturating_sub(before);
                }
                // A transport that was lost may still carry what is queued, if only the peer's half has ended.
                outbox.finish();
                end.close.as_ref().map(|close| outbox.say_goodbye(close))
            }
        }
    };
    reader.shared.tell_sent(last);
    drained(reader).await;
    match (await_peer, end.by) {
        // What follows a protocol error cannot be understood.
        (None, _) | (_, ClosedBy::Protocol) => false,
        (Some(true), by) if by != ClosedBy::Peer => poll_fn(|cx| reader.poll_goodbye(cx)).await,
        _ => !reader.shared.lock().failed,
    }
}

async fn drained<W: Wire>(reader: &mut Reader<W>) {
    // What there is, is written when this turn ends.
    poll_fn(|_| {
        let mut outbox = reader.shared.lock();
        if outbox.is_empty() {
            return Poll::Ready(());
        }
        outbox.driver_wants_empty = true;
        Poll::Pending
    })
    .await;
}

/// Ends our half of the stream and waits for the peer to end its own.
async fn part<W: Wire>(reader: &mut Reader<W>) {
    let ended = poll_fn(|cx| match reader.notice_cut() {
        true => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        false => reader.shared.lock().stream.poll_shutdown(cx),
    });
    if ended.await.is_ok() {
        poll_fn(|cx| reader.poll_end_of_stream(cx)).await;
    }
}
