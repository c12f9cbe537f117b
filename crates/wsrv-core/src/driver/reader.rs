//! The read side: bytes from the stream, messages for the handler, answers and goodbyes noticed on the way.

use super::End;
use crate::link::Shared;
use crate::stream::Stream;
use crate::{ClosedBy, Connection, Error, Reason, Receive, Received, Wire, buffers};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// Messages handed over in one turn before other connections get theirs.
const TURN: u16 = 256;
/// An unfinished message of at least this size is read into a buffer of its own.
const OWN: usize = 4 * 1024;
/// Bytes of messages received ahead after which no more are, however few they are.
const BACKLOG_BYTES: usize = 64 * 1024;

type Incoming<W> = <<W as Wire>::Connection as Connection>::Incoming;
type Found<W> = <<W as Wire>::Receiver as Receive<W>>::Found;

pub(super) enum Next<F> {
    /// A message lies in the buffer.
    Found(F),
    /// A message was received ahead.
    Stored,
    /// There will be none.
    End,
}

/// Its drop closes the stream, however the task ends.
pub(super) struct Reader<W: Wire> {
    pub(super) shared: Arc<Shared<W>>,
    receiver: W::Receiver,
    buffer: BytesMut,
    /// The buffer is the thread's and goes back when the task sleeps.
    borrowed: bool,
    /// Bytes the buffer must hold in all before the next message can be whole.
    needed: usize,
    backlog: Option<Box<Backlog<Incoming<W>>>>,
    end: Option<Box<End<W>>>,
    turn: u16,
}

/// Messages received while the handler was busy.
struct Backlog<M> {
    messages: VecDeque<(M, usize)>,
    bytes: usize,
}

impl<W: Wire> Reader<W> {
    pub(super) fn new(shared: Arc<Shared<W>>, receiver: W::Receiver, received: BytesMut) -> Self {
        Reader { shared, receiver, buffer: received, borrowed: false, needed: 0, backlog: None, end: None, turn: TURN }
    }

    pub(super) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn was_cut(&self) -> bool {
        self.shared.lock().ending.as_ref().is_some_and(|ending| ending.cut)
    }

    /// What ended the connection; `Lost` if nothing else is known.
    pub(super) fn take_end(&mut self) -> End<W> {
        self.backlog = None;
        self.end.take().map_or_else(|| End::new(ClosedBy::Lost, Reason::Other), |end| *end)
    }

    pub(super) fn take(&mut self, found: Found<W>) -> Incoming<W> {
        self.needed = 0;
        self.receiver.take(found, &mut self.buffer)
    }

    pub(super) fn take_stored(&mut self) -> Incoming<W> {
        let backlog = self.backlog.as_mut().expect("poll_next said that a message is stored");
        let (message, size) = backlog.messages.pop_front().expect("an empty backlog is dropped");
        backlog.bytes -= size;
        if backlog.messages.is_empty() {
            self.backlog = None;
        }
        message
    }

    /// The next message, or the end. What was received before an end comes before it.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Found<W>>> {
        loop {
            if self.turn == 0 {
                self.turn = TURN;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.turn -= 1;
            match self.may_go_on() {
                Go::On => {}
                Go::WaitForRoom => {
                    self.park();
                    return Poll::Pending;
                }
                Go::End => return Poll::Ready(Next::End),
            }
            if self.backlog.is_some() {
                return Poll::Ready(Next::Stored);
            }
            if let Some((found, _)) = self.parse() {
                return Poll::Ready(Next::Found(found));
            }
            if self.has_end() {
                return Poll::Ready(Next::End);
            }
            if self.poll_read(cx).is_pending() {
                self.turn = TURN;
                return Poll::Pending;
            }
        }
    }

    /// While a handler step waits: answers, notices the end, keeps a few messages ready.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        loop {
            while !self.has_end() && !self.backlog_is_full() {
                let Some((found, size)) = self.parse() else { break };
                let message = self.take(found);
                let backlog =
                    self.backlog.get_or_insert_with(|| Box::new(Backlog { messages: VecDeque::new(), bytes: 0 }));
                backlog.messages.push_back((message, size));
                backlog.bytes += size;
            }
            if self.may_go_on() != Go::On || self.has_end() || self.backlog_is_full() {
                return self.park();
            }
            if self.poll_read(cx).is_pending() {
                return;
            }
        }
    }

    fn backlog_is_full(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| {
            backlog.messages.len() >= self.shared.limits.backlog.max(1) || backlog.bytes >= BACKLOG_BYTES
        })
    }

    /// Looks into the outbox if somebody has put something there for us.
    fn may_go_on(&mut self) -> Go {
        if !self.shared.attention.load(Ordering::Acquire) {
            return Go::On;
        }
        let mut outbox = self.shared.lock();
        let failed = outbox.failed;
        let end = match &mut outbox.ending {
            Some(ending) if ending.cut => Some(End::new(ClosedBy::Cut, Reason::Other)),
            Some(ending) if ending.wish.is_some() && self.end.is_none() => {
                ending.wish.as_ref().map(|wish| End::new(wish.by, wish.close.clone()))
            }
            _ if failed && self.end.is_none() => Some(End::new(ClosedBy::Lost, Reason::Other)),
            _ => None,
        };
        if let Some(end) = end {
            self.end = Some(Box::new(end));
            self.backlog = None;
            return Go::End;
        }
        if outbox.queued() > self.shared.limits.outbox_soft && !failed {
            outbox.driver_wants_room = true;
            return Go::WaitForRoom;
        }
        Go::On
    }

    /// The next whole message in the buffer. Signals are answered on the way, and an end is noted.
    fn parse(&mut self) -> Option<(Found<W>, usize)> {
        while !self.buffer.is_empty() {
            match self.receiver.receive(&mut self.buffer) {
                Ok(Received::Message { found, size }) => return Some((found, size)),
                Ok(Received::Incomplete { needed }) => {
                    self.needed = needed;
                    return None;
                }
                Ok(Received::Signal(signal)) => {
                    self.shared.lock().answer(signal, self.shared.limits.outbox_soft);
                }
                Ok(Received::Close(close)) => {
                    self.shared.lock().ending().from_peer = Some(close.clone());
                    self.end = Some(Box::new(End::new(ClosedBy::Peer, close)));
                    return None;
                }
                Err(error) => {
                    let close = W::Receiver::farewell(&error);
                    let reason = W::reason(&close);
                    let mut end = End::new(ClosedBy::Protocol, close);
                    end.error = Some(Error::new(reason, error));
                    self.note(end);
                    return None;
                }
            }
        }
        None
    }

    /// One read. Ready when there is something new to parse, or an end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_fill(cx) {
            Poll::Pending => {
                self.park();
                return Poll::Pending;
            }
            Poll::Ready(Ok(n)) if n > 0 => {}
            Poll::Ready(read) => {
                let orderly = read.is_ok() && self.receiver.end_of_stream(&self.buffer);
                self.note(match orderly {
                    true => End::new(ClosedBy::Peer, Reason::Done),
                    false => End::new(ClosedBy::Lost, Reason::Other),
                });
            }
        }
        Poll::Ready(())
    }

    fn note(&mut self, end: End<W>) {
        self.shared.begin_end();
        self.end = Some(Box::new(end));
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        // The stream lies under the outbox's lock: so it closes with the driver although handles live on, and no
        // second allocation holds it together.
        self.shared.lock().stream.poll_read(cx, &mut self.buffer)
    }

    /// Reads land in the thread's buffer; a large message that is not whole yet in one of its own, which then
    /// becomes the message.
    fn make_room(&mut self) {
        let have = self.buffer.len();
        if have == 0 {
            if !self.borrowed {
                self.buffer = buffers::take_read();
                self.borrowed = true;
            } else if self.buffer.capacity() < buffers::READ && !self.buffer.try_reclaim(buffers::READ) {
                // A message that somebody keeps lies in the old one.
                self.buffer = BytesMut::with_capacity(buffers::READ);
            }
        } else if self.needed >= OWN {
            if self.borrowed {
                let mut own = BytesMut::with_capacity(self.needed.min(buffers::READ).max(have));
                own.extend_from_slice(&self.buffer);
                buffers::give_read(std::mem::replace(&mut self.buffer, own));
                self.borrowed = false;
            }
            if self.buffer.capacity() == have {
                // Announcing a size costs nobody memory: room grows with what has arrived, by doubling.
                self.buffer.reserve(self.needed.saturating_sub(have).clamp(1, have.max(buffers::READ)));
            }
        } else if !self.borrowed {
            let mut buffer = buffers::take_read();
            buffer.extend_from_slice(&self.buffer);
            self.buffer = buffer;
            self.borrowed = true;
        } else if self.buffer.capacity() - have < OWN {
            self.buffer.reserve(buffers::READ / 2);
        }
    }

    /// Before the task sleeps: the thread's buffer goes back, and an unfinished message stays in a copy of its size.
    fn park(&mut self) {
        if !self.borrowed {
            return;
        }
        self.borrowed = false;
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.buffer = BytesMut::from(&buffer[..]);
        }
        buffers::give_read(buffer);
    }

    /// Reads on until the peer's goodbye or a cut, dropping all messages. True if the goodbye came in good order.
    pub(super) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.was_cut() {
            return Poll::Ready(false);
        }
        loop {
            while let Some((found, _)) = self.parse() {
                drop(self.take(found));
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(end.by == ClosedBy::Peer);
            }
            ready!(self.poll_read(cx));
        }
    }

    /// Reads on until the end of the stream or a cut, looking at nothing.
    pub(super) fn poll_end_of_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.was_cut() {
            return Poll::Ready(());
        }
        loop {
            self.buffer.clear();
            self.needed = 0;
            match self.poll_fill(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.buffer.clear();
                    self.park();
                    return Poll::Pending;
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Go {
    On,
    WaitForRoom,
    End,
}

impl<W: Wire> Drop for Reader<W> {
    fn drop(&mut self) {
        let mut outbox = self.shared.lock();
        outbox.fail();
        outbox.waker = None;
        let stream = std::mem::replace(&mut outbox.stream, Stream::Gone);
        self.shared.unlock_and_wake(outbox);
        // Outside the lock: a stream's drop may be anybody's code.
        drop(stream);
    }
}
