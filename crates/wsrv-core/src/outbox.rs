//! What waits to be written to one peer, and the stream it is written to.

use crate::batch::BatchId;
use crate::life::Life;
use crate::stream::Stream;
use crate::{ClosedBy, Limits, Wire, buffers};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Payloads from this size on are queued as they are instead of being copied behind the messages before them.
const SHARED: usize = 8 * 1024;
/// A connection's turn does not collect more than this before it writes.
const CORK: usize = 64 * 1024;
/// Pieces given to one vectored write.
const PIECES: usize = 16;

/// Where a wire's sending half puts encoded bytes.
#[derive(Debug)]
pub struct Out<'a> {
    queue: &'a mut Queue,
}

impl Out<'_> {
    /// Appends a copy of `bytes`.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.queue.tail().extend_from_slice(bytes);
    }

    /// Appends a short copy of `head`, and `bytes` behind it as by [`put_bytes`](Self::put_bytes).
    #[inline]
    pub fn put(&mut self, head: &[u8], bytes: Bytes) {
        let tail = self.queue.tail();
        if bytes.len() < SHARED {
            // Room for both is made at once.
            tail.reserve(head.len() + bytes.len());
            tail.extend_from_slice(head);
            tail.extend_from_slice(&bytes);
        } else {
            tail.extend_from_slice(head);
            self.queue.push(bytes);
        }
    }

    /// Appends `bytes`, without copying them if they are large. They are dropped under the outbox's lock once they are
    /// written; an owner whose drop touches the same connection would wait for itself.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED { self.put_slice(&bytes) } else { self.queue.push(bytes) }
    }
}

/// Encoded bytes in wire order: shared pieces first, then the tail that small messages are copied to.
#[derive(Debug, Default)]
struct Queue {
    // Boxed because nearly all connections never queue a piece: 8 bytes instead of 32.
    #[allow(clippy::box_collection)]
    pieces: Option<Box<VecDeque<Bytes>>>,
    pieces_len: usize,
    tail: BytesMut,
}

impl Queue {
    fn len(&self) -> usize {
        self.pieces_len + self.tail.len()
    }

    #[inline]
    fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = buffers::take_write();
        }
        &mut self.tail
    }

    fn push(&mut self, bytes: Bytes) {
        let before = self.tail.split().freeze();
        self.pieces_len += before.len() + bytes.len();
        let pieces = self.pieces.get_or_insert_default();
        pieces.extend([before, bytes].into_iter().filter(|piece| !piece.is_empty()));
    }

    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES]) -> usize {
        let all = self.pieces.iter().flat_map(|pieces| pieces.iter()).map(|piece| &piece[..]);
        let all = all.chain([&self.tail[..]].into_iter().filter(|tail| !tail.is_empty()));
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(pieces) = &mut self.pieces {
            let Some(front) = pieces.front_mut() else {
                self.pieces = None;
                break;
            };
            let step = written.min(front.len());
            front.advance(step);
            self.pieces_len -= step;
            written -= step;
            if !front.is_empty() {
                return;
            }
            pieces.pop_front();
        }
        self.tail.advance(written);
    }

    fn clear(&mut self) {
        self.pieces = None;
        self.pieces_len = 0;
        if self.tail.capacity() > 0 {
            buffers::give_write(std::mem::take(&mut self.tail));
        }
    }
}

/// Someone asked for the end of the connection.
#[derive(Debug)]
pub(crate) struct Wish<W: Wire> {
    pub(crate) by: ClosedBy,
    pub(crate) close: W::Close,
}

/// How far the end of a connection has come. Allocated when it begins.
#[derive(Debug)]
pub(crate) struct Ending<W: Wire> {
    /// `close` was called, or the policy for slow peers decided.
    pub(crate) wish: Option<Wish<W>>,
    /// The connection is to be cut, and why.
    pub(crate) cut: Option<ClosedBy>,
    /// The peer's goodbye.
    pub(crate) from_peer: Option<W::Close>,
    /// The goodbye that began the end, whosever it was. Known as soon as `on_close` runs.
    pub(crate) goodbye: Option<W::Close>,
    /// We have said our goodbye and still listen.
    pub(crate) half: Option<Half<W>>,
}

/// Our direction is closed, the peer's is not.
#[derive(Debug)]
pub(crate) struct Half<W: Wire> {
    /// Our goodbye, which is queued or sent.
    pub(crate) close: W::Close,
    /// The peer answers with its own. If not, the end of our half of the stream is all it gets to see.
    pub(crate) await_peer: bool,
}

/// What the read side is to do before it goes on.
pub(crate) struct Orders<W: Wire> {
    /// Drop all messages from now on.
    pub(crate) drop_messages: bool,
    #[allow(clippy::type_complexity)]
    pub(crate) changes: Vec<Box<dyn FnOnce(&mut W::Receiver) + Send>>,
}

impl<W: Wire> Default for Orders<W> {
    fn default() -> Self {
        Orders { drop_messages: false, changes: Vec::new() }
    }
}

impl<W: Wire> Default for Ending<W> {
    fn default() -> Self {
        Ending { wish: None, cut: None, from_peer: None, goodbye: None, half: None }
    }
}

pub(crate) struct Outbox<W: Wire> {
    pub(crate) sender: W::Sender,
    pub(crate) stream: Stream,
    pub(crate) limits: Arc<Limits>,
    queue: Queue,
    /// The latest answer to a signal that could not be queued because the socket is blocked; older ones are dropped.
    answer: Option<Box<BytesMut>>,
    /// The driver's.
    pub(crate) waker: Option<Waker>,
    /// Others that wait for room or for the end.
    pub(crate) waiting: Vec<Waiter>,
    pub(crate) ending: Option<Box<Ending<W>>>,
    pub(crate) orders: Option<Box<Orders<W>>>,
    /// Our side does not listen any more.
    pub(crate) deaf: bool,
    /// The driver is being polled and will write when its turn ends; everybody else only appends.
    pub(crate) corked: bool,
    /// The socket has taken less than it was offered. The driver waits for it to be writable.
    blocked: bool,
    /// Written, but not flushed.
    unflushed: bool,
    /// Our half of the stream is to be ended, or is.
    half_end: HalfEnd,
    /// The batch that is going to write this outbox out.
    pub(crate) dirty: Option<BatchId>,
    /// The goodbye is queued; nothing follows it.
    pub(crate) finished: bool,
    /// The transport failed, or the driver is gone. What is queued is dropped.
    pub(crate) failed: bool,
    /// The driver does not read on until there is room again.
    pub(crate) driver_wants_room: bool,
    /// The driver waits until everything is written and flushed.
    pub(crate) driver_wants_empty: bool,
    /// Something was written since the ticker came by.
    progressed: bool,
    pub(crate) life: Life,
}

/// How far the end of our half of the stream has come, if it comes before the connection's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HalfEnd {
    No,
    /// As soon as everything is written.
    Wanted,
    Done,
}

/// Somebody who waits on an outbox, with a number by which it is found again.
pub(crate) struct Waiter {
    pub(crate) number: u64,
    pub(crate) until: Until,
    pub(crate) waker: Waker,
}

/// What a waiter waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Room for a message, or that there never will be.
    Room,
    /// The beginning of the connection's end.
    End,
}

impl<W: Wire> Outbox<W> {
    pub(crate) fn new(sender: W::Sender, stream: Stream, limits: Arc<Limits>) -> Self {
        Outbox {
            sender,
            stream,
            limits,
            queue: Queue::default(),
            answer: None,
            waker: None,
            waiting: Vec::new(),
            ending: None,
            orders: None,
            deaf: false,
            corked: false,
            blocked: false,
            unflushed: false,
            half_end: HalfEnd::No,
            dirty: None,
            finished: false,
            failed: false,
            driver_wants_room: false,
            driver_wants_empty: false,
            progressed: false,
            life: Life::default(),
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn taken(&self) -> usize {
        use crate::Transmit;
        self.queue.len() + self.sender.held_back()
    }

    /// Whether the end has begun, from whichever side.
    pub(crate) fn is_ended(&self) -> bool {
        self.finished || self.failed || self.ending.is_some()
    }

    /// Whether only our direction is closed, and nothing else has begun an end.
    pub(crate) fn is_half_closed(&self) -> bool {
        let only_half = |ending: &Ending<W>| {
            ending.half.is_some() && ending.wish.is_none() && ending.cut.is_none() && ending.from_peer.is_none()
        };
        !self.failed && self.ending.as_deref().is_some_and(only_half)
    }

    /// Says our goodbye and goes on listening.
    pub(crate) fn close_half(&mut self, close: W::Close) {
        use crate::Transmit;
        self.queue_answer();
        let await_peer = self.encode(|sender, out| sender.close(&close, out));
        self.finished = true;
        if !await_peer {
            self.half_end = HalfEnd::Wanted;
        }
        self.ending().half = Some(Half { close, await_peer });
    }

    /// What the read side is told the next time it looks.
    pub(crate) fn orders(&mut self) -> &mut Orders<W> {
        self.orders.get_or_insert_default()
    }

    pub(crate) fn ending(&mut self) -> &mut Ending<W> {
        self.ending.get_or_insert_default()
    }

    /// Lets the sending half encode behind all that was sent before.
    pub(crate) fn encode<R>(&mut self, encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> R) -> R {
        // If the encoder panics, half a message may be in the queue, and nothing can be sent behind it.
        struct FailUnlessDone<'a, W: Wire>(&'a mut Outbox<W>);
        impl<W: Wire> Drop for FailUnlessDone<'_, W> {
            fn drop(&mut self) {
                self.0.fail();
            }
        }
        let guard = FailUnlessDone(self);
        let result = encode(&mut guard.0.sender, &mut Out { queue: &mut guard.0.queue });
        std::mem::forget(guard);
        result
    }

    /// Encodes the answer to a signal. While the socket is blocked, or the outbox is full enough for the peer not to be
    /// read, only the latest answer is kept: a peer that asks and does not read cannot make this side remember each
    /// question.
    pub(crate) fn answer(&mut self, signal: W::Signal) {
        use crate::Transmit;
        if self.finished || self.failed {
            return;
        }
        if !self.blocked && self.queue.len() <= self.limits.outbox_soft {
            return self.sender.answer(signal, &mut Out { queue: &mut self.queue });
        }
        let mut aside = Queue::default();
        self.sender.answer(signal, &mut Out { queue: &mut aside });
        if aside.len() > 0 {
            let slot = self.answer.get_or_insert_default();
            slot.clear();
            slot.extend_from_slice(&aside.tail);
        }
        aside.clear();
    }

    /// Puts the answer that was kept back behind the queue.
    pub(crate) fn queue_answer(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.queue.tail().extend_from_slice(&answer);
        }
    }

    /// Whether a turn has collected so much that it should be written now.
    #[inline]
    pub(crate) fn cork_is_full(&self) -> bool {
        self.queue.len() > CORK && !self.blocked
    }

    /// Whether nothing waits to be written, or something of it was since the last time this was asked.
    pub(crate) fn is_moving(&mut self) -> bool {
        std::mem::take(&mut self.progressed) || self.is_empty()
    }

    /// Whether everything was written and flushed (or never will be).
    pub(crate) fn is_empty(&self) -> bool {
        self.failed || (self.queue.len() == 0 && !self.unflushed && self.answer.is_none())
    }

    /// Writes what the socket takes now, in anybody's turn. If something is left, the driver is woken to wait.
    pub(crate) fn try_flush(&mut self) {
        if self.blocked {
            return;
        }
        while self.queue.len() > 0 && !self.failed {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = self.queue.slices(&mut slices);
            match self.stream.try_write(&slices[..count]) {
                Some(Ok(written)) if written > 0 => {
                    self.progressed = true;
                    self.queue.advance(written);
                }
                Some(Err(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return self.wake_driver();
                }
                Some(_) => self.fail(),
                None => return self.wake_driver(),
            }
        }
        self.done_writing();
    }

    /// Writes in the driver's own turn. Pending if something is left; the driver is then woken when it can go on.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.failed {
            if self.queue.len() == 0 {
                self.queue_answer();
                if self.queue.len() == 0 {
                    break;
                }
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let count = self.queue.slices(&mut slices);
            match self.stream.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => self.fail(),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.progressed = true;
                    self.queue.advance(written);
                }
                Poll::Pending => {
                    self.blocked = true;
                    return Poll::Pending;
                }
            }
        }
        self.blocked = false;
        if self.unflushed && !self.failed {
            match self.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => self.fail(),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.done_writing();
        if self.half_end == HalfEnd::Wanted && self.is_empty() && !self.failed {
            match self.stream.poll_shutdown(cx) {
                // What is wrong with the stream, the read side will tell.
                Poll::Ready(_) => self.half_end = HalfEnd::Done,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// An empty queue keeps no buffer.
    fn done_writing(&mut self) {
        if self.queue.len() == 0 {
            self.queue.clear();
        }
    }

    /// The transport is of no more use.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
        self.unflushed = false;
        self.answer = None;
        self.queue.clear();
        self.wake_driver();
    }

    pub(crate) fn wake_driver(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(queue: &Queue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let count = queue.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn small_and_large_pieces_keep_their_order_and_are_counted() {
        let mut queue = Queue::default();
        let large = Bytes::from(vec![b'L'; SHARED]);
        let mut out = Out { queue: &mut queue };
        out.put_slice(b"one");
        out.put_bytes(large.clone());
        out.put_bytes(Bytes::from_static(b"two"));
        out.put_slice(b"three");
        let expected = [&b"one"[..], &large, b"twothree"].concat();
        assert_eq!(contents(&queue), expected);
        assert_eq!(queue.len(), expected.len());
        for cut in [1, 2, 4000, 4195, 4] {
            let before = contents(&queue);
            queue.advance(cut);
            assert_eq!(contents(&queue), before[cut..]);
            assert_eq!(queue.len(), before.len() - cut);
        }
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let mut queue = Queue::default();
        let large = Bytes::from(vec![b'L'; SHARED]);
        Out { queue: &mut queue }.put_bytes(large.clone());
        assert_eq!(queue.pieces.unwrap()[0].as_ptr(), large.as_ptr());
    }
}
