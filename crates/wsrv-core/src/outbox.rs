//! What waits to be written to one peer, and the stream it is written to.

use crate::batch::BatchId;
use crate::life::Life;
use crate::published::Publish;
use crate::queue::{Out, Queue};
use crate::shelf::{Item, Room, Shelf};
use crate::stream::Stream;
use crate::waiting::Waiter;
use crate::{ClosedBy, Farewell, Limits, Losses, SlowPeer, Transmit, Wire};
use bytes::BytesMut;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A connection's turn does not collect more than this before it writes.
const CORK: usize = 64 * 1024;
/// So much of what waits whole is encoded when the queue runs empty. More would be written in fewer calls, and less
/// could still be dropped.
const REFILL: usize = 16 * 1024;
/// Room for what may pass messages.
const CONTROL: usize = 16 * 1024;
/// Messages that senders who would wait may send to a connection in its turn, before other connections get theirs.
const SENDS: u16 = 256;

/// Microseconds between two sends from outside any turn below which they are no lone ones.
const FLOOD: u32 = 100;
/// So many may follow one another and are still written at once.
const FEW: u8 = 8;

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
    /// Has a message that goes in front of our goodbye.
    pub(crate) farewell: Option<Farewell>,
    /// The connection is to be cut, and why.
    pub(crate) cut: Option<ClosedBy>,
    /// The peer's goodbye.
    pub(crate) from_peer: Option<W::Close>,
    /// The goodbye that began the end, whosever it was. Known as soon as `on_close` runs.
    pub(crate) goodbye: Option<W::Close>,
    /// We have said our goodbye and still listen.
    pub(crate) half: Option<Half<W>>,
    /// The read side has come to its end, for whatever reason.
    pub(crate) over: bool,
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
        Ending { wish: None, farewell: None, cut: None, from_peer: None, goodbye: None, half: None, over: false }
    }
}

pub(crate) struct Outbox<W: Wire> {
    pub(crate) sender: W::Sender,
    pub(crate) stream: Stream,
    /// Changed by [`set_limits`](Self::set_limits) alone.
    pub(crate) limits: Arc<Limits>,
    /// More than this is written without waiting for the turn's end.
    heavy: usize,
    queue: Queue,
    /// Messages that wait whole, behind the queue: only while the peer is behind. Made when the first one does, and then
    /// kept for what it has counted.
    shelf: Option<Box<Shelf<W::Prepared>>>,
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
    /// The peer does not keep up: the socket is blocked, or much waits that cannot be written now. Or messages wait for
    /// the end of one in parts.
    behind: bool,
    /// Written, but not flushed.
    unflushed: bool,
    /// Our half of the stream is to be ended, or is.
    half_end: HalfEnd,
    /// The batch that is going to write this outbox out.
    pub(crate) dirty: Option<BatchId>,
    /// The goodbye is queued; nothing but answers follows it.
    pub(crate) finished: bool,
    /// The last message is queued; nothing but the goodbye follows it.
    pub(crate) sealed: bool,
    /// The transport failed, or the driver is gone. What is queued is dropped.
    pub(crate) failed: bool,
    /// The driver does not read on until there is room again.
    pub(crate) driver_wants_room: bool,
    /// The driver waits until everything is written and flushed.
    pub(crate) driver_wants_empty: bool,
    /// Something was written since the ticker came by.
    progressed: bool,
    /// What senders that wait for room may still send in this turn.
    sends_left: u16,
    /// When somebody outside any turn last sent something, in microseconds. It wraps around, and then a lone send may
    /// have to wait for the driver.
    pushed: u32,
    /// How many have followed one another since the last lone one.
    burst: u8,
    /// The driver was woken to write what was pushed.
    pub(crate) driver_writes: bool,
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

impl<W: Wire> Outbox<W> {
    pub(crate) fn new(sender: W::Sender, stream: Stream, limits: Arc<Limits>) -> Self {
        Outbox {
            sender,
            stream,
            heavy: heavy(&limits),
            limits,
            queue: Queue::default(),
            shelf: None,
            answer: None,
            waker: None,
            waiting: Vec::new(),
            ending: None,
            orders: None,
            deaf: false,
            corked: false,
            blocked: false,
            behind: false,
            unflushed: false,
            half_end: HalfEnd::No,
            dirty: None,
            finished: false,
            sealed: false,
            failed: false,
            driver_wants_room: false,
            driver_wants_empty: false,
            progressed: false,
            sends_left: 0,
            pushed: 0,
            burst: 0,
            driver_writes: false,
            life: Life::default(),
        }
    }

    pub(crate) fn set_limits(&mut self, limits: Arc<Limits>) {
        self.heavy = heavy(&limits);
        self.limits = limits;
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn queued(&self) -> usize {
        self.encoded() + self.shelf.as_ref().map_or(0, |shelf| shelf.bytes())
    }

    /// Bytes that nothing can be done about any more but write them.
    #[inline]
    fn encoded(&self) -> usize {
        self.queue.len() + self.sender.held_back()
    }

    /// Bytes on the shelf that must not be dropped.
    #[inline]
    fn kept(&self) -> usize {
        self.shelf.as_ref().map_or(0, |shelf| shelf.kept_bytes())
    }

    /// Whether so much waits that the peer is not to be read until it has taken some. What may be dropped does not
    /// count: it is no reason not to hear what the peer says.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        // Nor does what waits for the end of a message in parts: that may come from what the peer says next.
        let kept = if self.sender.held_back() == 0 { self.kept() } else { 0 };
        self.queue.len() + kept > self.limits.outbox_soft
    }

    /// Whether the peer does not keep up, or messages wait whole for something else.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether messages wait whole.
    pub(crate) fn has_shelved(&self) -> bool {
        self.shelf.as_ref().is_some_and(|shelf| !shelf.is_empty())
    }

    /// Whether there is room for a message. What may be dropped makes room if need be.
    #[inline]
    pub(crate) fn make_room(&mut self) -> bool {
        match self.behind {
            false => self.encoded() < self.limits.outbox,
            true => self.make_room_behind(),
        }
    }

    /// Whether whole messages are to wait on the shelf: the peer does not keep up, or the sending half would only hold
    /// them back.
    #[inline]
    pub(crate) fn is_to_shelve(&self) -> bool {
        self.behind || self.sender.held_back() > 0
    }

    #[cold]
    #[inline(never)]
    fn make_room_behind(&mut self) -> bool {
        let room = self.room();
        match &mut self.shelf {
            Some(shelf) if !shelf.is_empty() => shelf.make_room(room),
            _ => room.bytes > 0,
        }
    }

    /// Whether there is room for what may pass messages.
    pub(crate) fn has_room_for_control(&self) -> bool {
        self.queue.len() < self.limits.outbox.saturating_add(CONTROL)
    }

    /// What the shelf may hold.
    fn room(&self) -> Room {
        let Limits { outbox, outbox_messages, .. } = *self.limits;
        Room { bytes: outbox.saturating_sub(self.encoded()), messages: outbox_messages }
    }

    /// Whether there is so much room that those who wait for it are told. Not as soon as there is any: they would be
    /// woken for each message the peer takes.
    pub(crate) fn has_ample_room(&self) -> bool {
        let Limits { outbox, outbox_messages, .. } = *self.limits;
        let ample = |taken, limit| taken <= limit / 2 && taken < limit;
        let kept = self.shelf.as_ref().map_or(0, |shelf| shelf.kept());
        ample(self.encoded() + self.kept(), outbox) && (kept == 0 || ample(kept, outbox_messages))
    }

    /// Whether the peer is to blame that there is no room. That messages wait for the end of one in parts is not its
    /// fault.
    pub(crate) fn is_slow(&self) -> bool {
        self.sender.held_back() == 0 || self.queue.len() >= self.limits.outbox
    }

    /// Lets a message wait whole, behind all that was sent before. False: there is no room.
    #[cold]
    pub(crate) fn shelve(&mut self, message: W::Prepared, policy: SlowPeer) -> bool {
        let key = match policy {
            SlowPeer::KeepLatest(key) => Some(key),
            _ => None,
        };
        let item = Item { size: W::size(&message), message, droppable: policy.may_drop(), key };
        let room = self.room();
        self.behind = true;
        self.shelf.get_or_insert_default().put(item, room)
    }

    /// Encodes what waits whole. From now on it cannot be dropped any more; something else may follow it.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.behind {
            self.unshelve(usize::MAX);
        }
    }

    /// Encodes what waits whole until so many bytes lie in the queue.
    #[cold]
    #[inline(never)]
    fn unshelve(&mut self, bytes: usize) {
        while self.queue.len() < bytes
            && let Some(message) = self.shelf.as_mut().and_then(|shelf| shelf.take())
        {
            let Outbox { sender, queue, .. } = self;
            // Whoever's turn this is, the message is not theirs.
            if catch_unwind(AssertUnwindSafe(|| sender.prepared(&message, &mut Out::new(queue)))).is_err() {
                return self.fail();
            }
            // What it waits for now is the end of a message in parts.
            if bytes < usize::MAX && self.sender.held_back() > 0 {
                return;
            }
        }
    }

    /// Counts what the peer was too slow for.
    pub(crate) fn losses(&mut self) -> &mut Losses {
        &mut self.shelf.get_or_insert_default().losses
    }

    /// What the peer was too slow for so far.
    pub(crate) fn lost(&self) -> Losses {
        self.shelf.as_ref().map_or_else(Losses::default, |shelf| shelf.losses)
    }

    /// Whether no message is taken any more, and none ever will be.
    #[inline]
    pub(crate) fn is_shut(&self) -> bool {
        self.finished || self.failed || self.sealed
    }

    /// Whether a part of a message in parts may pass however much waits for that message's end: it would wait for
    /// itself.
    pub(crate) fn part_may_pass(&self) -> bool {
        self.queue.is_empty() && self.sender.held_back() > 0
    }

    /// Whether the end has begun, from whichever side.
    pub(crate) fn is_ended(&self) -> bool {
        self.finished || self.failed || self.ending.is_some()
    }

    /// Whether only our direction is closed, and nothing else has begun an end.
    pub(crate) fn is_half_closed(&self) -> bool {
        let only_half = |ending: &Ending<W>| {
            let Ending { wish, cut, from_peer, half, over, .. } = ending;
            half.is_some() && wish.is_none() && cut.is_none() && from_peer.is_none() && !over
        };
        !self.failed && self.ending.as_deref().is_some_and(only_half)
    }

    /// Says our goodbye and goes on listening.
    pub(crate) fn close_half(&mut self, close: W::Close) {
        let await_peer = self.say_goodbye(&close);
        if !await_peer {
            self.half_end = HalfEnd::Wanted;
        }
        self.ending().half = Some(Half { close, await_peer });
    }

    /// Encodes the goodbye behind all that was sent. Returns whether the peer's is to be waited for.
    pub(crate) fn say_goodbye(&mut self, close: &W::Close) -> bool {
        self.finish();
        self.encode(|sender, out| sender.close(close, out))
    }

    /// Takes nothing more. What still waits, answers too, is put in front of whatever ends the connection.
    pub(crate) fn finish(&mut self) {
        self.queue_answer();
        self.settle();
        self.finished = true;
    }

    /// What the read side is told the next time it looks.
    pub(crate) fn orders(&mut self) -> &mut Orders<W> {
        self.orders.get_or_insert_default()
    }

    pub(crate) fn ending(&mut self) -> &mut Ending<W> {
        self.ending.get_or_insert_default()
    }

    /// Lets the sending half encode behind all that was sent before.
    #[inline]
    pub(crate) fn encode<R>(&mut self, encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> R) -> R {
        self.encode_for_many(None, encode)
    }

    /// As [`encode`](Self::encode), for what others get, too.
    pub(crate) fn encode_for_many<R>(
        &mut self,
        publish: Option<&mut Publish>,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> R,
    ) -> R {
        // If the encoder panics, half a message may be in the queue, and nothing can be sent behind it.
        struct FailUnlessDone<'a, W: Wire>(&'a mut Outbox<W>);
        impl<W: Wire> Drop for FailUnlessDone<'_, W> {
            fn drop(&mut self) {
                self.0.fail();
            }
        }
        let guard = FailUnlessDone(self);
        let result = encode(&mut guard.0.sender, &mut Out::for_many(&mut guard.0.queue, publish));
        std::mem::forget(guard);
        result
    }

    /// Encodes the answer to a signal. While the socket is blocked, or the outbox is full enough for the peer not to be
    /// read, only the latest answer is kept: a peer that asks and does not read cannot make this side remember each
    /// question.
    pub(crate) fn answer(&mut self, signal: W::Signal) {
        // After our own goodbye the peer may still ask, unless that was the end of our half of the stream; after its own
        // it does not.
        let from_peer = self.ending.as_ref().is_some_and(|ending| ending.from_peer.is_some());
        if self.failed || from_peer || self.half_end != HalfEnd::No {
            return;
        }
        if !self.blocked && !self.is_crowded() {
            return self.sender.answer(signal, &mut Out::new(&mut self.queue));
        }
        let mut aside = Queue::default();
        self.sender.answer(signal, &mut Out::new(&mut aside));
        if !aside.is_empty() {
            let slot = self.answer.get_or_insert_default();
            slot.clear();
            aside.write(|slices| slices.iter().for_each(|slice| slot.extend_from_slice(slice)));
        }
        aside.clear();
    }

    /// Puts the answer that was kept back behind the queue.
    #[inline]
    pub(crate) fn queue_answer(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.queue.tail().extend_from_slice(&answer);
        }
    }

    /// Whether a turn has collected so much that it should be written now.
    #[inline]
    pub(crate) fn cork_is_full(&self) -> bool {
        self.queue.len() > self.heavy && !self.blocked
    }

    /// Whether so much waits that more has to be done about it than to wait for the turn's end.
    #[inline]
    pub(crate) fn is_heavy(&self) -> bool {
        self.queue.len() > self.heavy
    }

    /// The driver's turn begins: from now on everybody only appends.
    pub(crate) fn cork(&mut self) {
        self.corked = true;
        self.sends_left = SENDS;
    }

    /// Whether senders that wait for room have sent as much in this turn as one may.
    #[inline]
    pub(crate) fn has_sent_enough(&mut self) -> bool {
        self.sends_left = self.sends_left.saturating_sub(1);
        self.sends_left == 0
    }

    /// Whether somebody outside any turn goes on sending so soon after the last times that it pays to write together. Then
    /// the driver is woken, and all that is sent until it has its turn leaves in one write.
    pub(crate) fn joins_a_flood(&mut self) -> bool {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        // Long after a connection's 0, or its first push would not be a lone one.
        let now = 1_000_000_u32.wrapping_add(START.elapsed().as_micros() as u32);
        let since = now.wrapping_sub(std::mem::replace(&mut self.pushed, now));
        self.burst = if since < FLOOD { self.burst.saturating_add(1) } else { 0 };
        let is_flood = self.driver_writes || self.burst > FEW;
        is_flood && !self.blocked && self.waker.is_some() && !self.cork_is_full()
    }

    /// Whether nothing waits to be written, or something of it was since the last time this was asked.
    pub(crate) fn is_moving(&mut self) -> bool {
        std::mem::take(&mut self.progressed) || self.is_empty()
    }

    /// Whether the stream has taken all there was, nobody waits for anything, and no end has begun.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        let nobody_waits = self.waiting.is_empty() && !self.driver_wants_room && !self.driver_wants_empty;
        let nothing_wanted = self.ending.is_none() && self.orders.is_none();
        self.queue.is_empty() && !self.behind && nobody_waits && nothing_wanted && !self.failed
    }

    /// Whether everything was written and flushed (or never will be).
    pub(crate) fn is_empty(&self) -> bool {
        self.failed || (self.queue.is_empty() && !self.unflushed && self.answer.is_none())
    }

    /// Writes what the socket takes now, in anybody's turn. If something is left, the driver is woken to wait.
    pub(crate) fn try_flush(&mut self) {
        if self.blocked {
            return;
        }
        while !self.queue.is_empty() && !self.failed {
            match self.queue.write(|slices| self.stream.try_write(slices)) {
                Some(Ok(written)) if written > 0 => {
                    self.progressed = true;
                    self.queue.advance(written);
                }
                Some(Err(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.behind = true;
                    self.queue.unshare();
                    return self.wake_driver();
                }
                Some(_) => self.fail(),
                None => {
                    self.behind |= self.is_heavy();
                    // In its own turn it will write anyway.
                    if !self.corked {
                        self.wake_driver();
                    }
                    return;
                }
            }
        }
        if self.behind {
            self.wake_driver();
        }
        self.done_writing();
    }

    /// Writes in the driver's own turn. Pending if something is left; the driver is then woken when it can go on.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.failed {
            if self.queue.is_empty() {
                // Answers do not wait for messages that are not encoded yet.
                self.queue_answer();
                if self.behind && self.sender.held_back() == 0 {
                    self.unshelve(REFILL.min(self.heavy).max(1));
                }
                if self.queue.is_empty() {
                    break;
                }
            }
            match self.queue.write(|slices| self.stream.poll_write(cx, slices)) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => self.fail(),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.progressed = true;
                    self.queue.advance(written);
                }
                Poll::Pending => {
                    self.blocked = true;
                    self.behind = true;
                    self.queue.unshare();
                    return Poll::Pending;
                }
            }
        }
        self.blocked = false;
        self.behind = self.behind && self.has_shelved();
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
        if self.queue.is_empty() {
            self.queue.clear();
        }
    }

    /// The transport is of no more use.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
        self.unflushed = false;
        self.answer = None;
        self.queue.clear();
        if let Some(shelf) = &mut self.shelf {
            shelf.clear();
        }
        self.wake_driver();
    }

    pub(crate) fn wake_driver(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// How much may lie in the queue without being written, be it that the turn has not come to its end. With little room,
/// less: there has to be some left for messages that wait whole.
fn heavy(limits: &Limits) -> usize {
    CORK.min(limits.outbox_soft).min(limits.outbox / 2)
}
