//! The read side: bytes from the stream, messages for the handler, answers and goodbyes noticed on the way.

use super::End;
use crate::outbox::Orders;
use crate::rates::Account;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::{ClosedBy, Connection, Direction, Error, Reason, Receive, Received, Wire, buffers};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// What one turn may do before other connections get theirs: a message counts 1 and 1 more for each `PIECE` of it, a read
/// `READ_COST`. It is the size of what came out that counts: what is compressed may be a thousandth of that on the wire.
const TURN: u16 = 256;
const READ_COST: u16 = 32;
const PIECE: usize = 16 * 1024;
/// Bytes of messages received ahead after which no more are, however few they are.
const BACKLOG_BYTES: usize = 64 * 1024;

type Incoming<W> = <<W as Wire>::Connection as Connection>::Incoming;
pub(super) type Found<W> = <<W as Wire>::Receiver as Receive<W>>::Found;

pub(super) enum Next<F> {
    Message(AtHand<F>),
    /// There may be one now.
    Bytes,
    /// There will be none.
    End,
}

/// Where the next message is.
pub(super) enum AtHand<F> {
    /// In the buffer.
    Found(F),
    /// It was received ahead.
    Stored,
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
    /// What it may send, if that is limited.
    account: Option<Box<Account>>,
    state: State<W>,
    /// What is left of this turn.
    turn: u16,
    /// Messages are dropped.
    deaf: bool,
    /// The peer broke the protocol, and what follows cannot be understood.
    broken: bool,
}

/// How far the read side has come.
enum State<W: Wire> {
    Reading,
    /// Nothing more will be read; what was read before is still to be handled.
    Ended(Box<End<W>>),
    /// The end was handed over. All that may still be looked for is the peer's goodbye.
    Over,
}

/// Messages received while the handler was busy.
struct Backlog<M> {
    messages: VecDeque<(M, usize)>,
    bytes: usize,
}

impl<W: Wire> Reader<W> {
    pub(super) fn new(
        shared: Arc<Shared<W>>,
        receiver: W::Receiver,
        received: BytesMut,
        account: Option<Box<Account>>,
    ) -> Self {
        let (buffer, state) = (received, State::Reading);
        let (borrowed, deaf, broken) = (false, false, false);
        Reader {
            shared,
            receiver,
            buffer,
            borrowed,
            needed: 0,
            backlog: None,
            account,
            state,
            turn: TURN,
            deaf,
            broken,
        }
    }

    /// Whether no further message will be read.
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.state, State::Reading)
    }

    /// Whether the connection was cut, which overrides any other end.
    pub(super) fn notice_cut(&mut self) -> bool {
        let cut = self.shared.lock().ending.as_ref().and_then(|ending| ending.cut);
        if let (Some(by), State::Reading | State::Ended(_)) = (cut, &self.state) {
            self.backlog = None;
            self.end(End::without_goodbye(by));
        }
        cut.is_some()
    }

    /// What ended the connection. From now on it has ended for good, also if the cause was none of the reader's.
    pub(super) fn take_end(&mut self) -> Box<End<W>> {
        self.backlog = None;
        // What is still read is dropped, and the times of an end are short.
        self.account = None;
        self.receiver.discard();
        self.shared.begin_end();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Ended(end) => end,
            State::Reading | State::Over => End::without_goodbye(ClosedBy::Lost),
        }
    }

    fn end(&mut self, end: Box<End<W>>) {
        self.shared.begin_end();
        self.state = State::Ended(end);
    }

    #[inline(always)]
    fn take_found(&mut self, found: Found<W>) -> Incoming<W> {
        self.needed = 0;
        self.shared.marks.message();
        if self.borrowed {
            return self.receiver.take(found, &mut self.buffer);
        }
        let size = self.buffer.capacity();
        let message = self.receiver.take(found, &mut self.buffer);
        if self.buffer.is_empty() {
            buffers::give_own(std::mem::take(&mut self.buffer), size);
        }
        message
    }

    /// Lifts the next message out of where it is.
    #[inline(always)]
    pub(super) fn take(&mut self, next: AtHand<Found<W>>) -> Incoming<W> {
        match next {
            AtHand::Found(found) => self.take_found(found),
            AtHand::Stored => self.take_stored(),
        }
    }

    /// As [`take`](Self::take), for what the handler does not get now.
    #[cold]
    #[inline(never)]
    fn take_aside(&mut self, found: Found<W>) -> Incoming<W> {
        self.take_found(found)
    }

    #[cold]
    #[inline(never)]
    fn take_stored(&mut self) -> Incoming<W> {
        let backlog = self.backlog.as_mut().expect("poll_next said that a message is stored");
        let (message, size) = backlog.messages.pop_front().expect("an empty backlog is dropped");
        backlog.bytes -= size;
        if backlog.messages.is_empty() {
            self.backlog = None;
        }
        message
    }

    /// Keeps a message for later.
    pub(super) fn store(&mut self, message: Incoming<W>, size: usize) {
        let empty = || Box::new(Backlog { messages: VecDeque::new(), bytes: 0 });
        let backlog = self.backlog.get_or_insert_with(empty);
        backlog.messages.push_back((message, size));
        backlog.bytes += size;
    }

    /// The next message if it is there already and nothing else has to be looked at first.
    #[inline(always)]
    pub(super) fn next_at_hand(&mut self) -> Option<Found<W>> {
        let attention = self.shared.attention.load(Ordering::Acquire);
        let elsewhere = self.backlog.is_some() || self.account.is_some() || self.has_ended() || self.deaf;
        if attention || self.turn <= 1 || elsewhere {
            return None;
        }
        if self.buffer.is_empty() {
            return None;
        }
        match self.receiver.receive(&mut self.buffer) {
            Ok(Received::Message { found, size }) => {
                self.turn -= 1;
                if size >= PIECE {
                    self.charge(size);
                }
                self.shared.tell(|observer, id| observer.message(id, Direction::In, size));
                Some(found)
            }
            other => {
                self.settle(other);
                None
            }
        }
    }

    /// The next message, or the end. What was received before an end comes before it.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<Found<W>>> {
        loop {
            if !self.may_go_on() {
                self.pause();
                return Poll::Pending;
            }
            if self.turn_is_over(1, cx) {
                self.park();
                return Poll::Pending;
            }
            if self.backlog.is_some() {
                return Poll::Ready(Next::Message(AtHand::Stored));
            }
            if self.has_ended() {
                return Poll::Ready(Next::End);
            }
            if !self.peer_may_send(cx) {
                self.pause();
                return Poll::Pending;
            }
            if !self.buffer.is_empty()
                && let Some((found, _)) = self.parse()
            {
                if !self.deaf {
                    return Poll::Ready(Next::Message(AtHand::Found(found)));
                }
                drop(self.take_aside(found));
            } else if !self.has_ended() {
                ready!(self.poll_read(cx));
                if self.buffer.len() >= self.needed {
                    // Whoever asked looks for itself first, so that one piece of code finds nearly all messages.
                    return Poll::Ready(Next::Bytes);
                }
            }
        }
    }

    /// While a handler step waits: answers, notices the end, keeps a few messages ready.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        loop {
            // What somebody has asked for comes before the next message. One that has arrived is taken although there is
            // no room for answers: it may be the goodbye.
            let may_go_on = self.may_go_on();
            while !self.has_ended() && !self.backlog_is_full() && self.peer_may_send(cx) {
                let Some((found, size)) = self.parse() else { break };
                let message = self.take_aside(found);
                if !self.deaf {
                    self.store(message, size);
                }
                if self.turn_is_over(1, cx) {
                    return self.park();
                }
            }
            if !may_go_on || self.has_ended() || self.backlog_is_full() || !self.peer_may_send(cx) {
                return self.pause();
            }
            if self.poll_read(cx).is_pending() {
                return;
            }
        }
    }

    /// Takes what a large message costs besides being one. The turn is over when it is looked at next.
    #[cold]
    fn charge(&mut self, size: usize) {
        let pieces = u16::try_from(size / PIECE).unwrap_or(u16::MAX);
        self.turn = self.turn.saturating_sub(pieces);
    }

    /// Takes `cost` from what the turn may do. True: that was all, and the task will be polled again.
    fn turn_is_over(&mut self, cost: u16, cx: &mut Context<'_>) -> bool {
        self.turn = self.turn.saturating_sub(cost);
        if self.turn > 0 {
            return false;
        }
        self.turn = TURN;
        cx.waker().wake_by_ref();
        true
    }

    /// Whether the peer has not come up against its rate. If it has, the task is woken when it may send on.
    fn peer_may_send(&mut self, cx: &mut Context<'_>) -> bool {
        self.account.as_mut().is_none_or(|account| account.poll_may_send(cx).is_ready())
    }

    fn backlog_is_full(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| {
            backlog.messages.len() >= self.shared.lock().limits.backlog.max(1) || backlog.bytes >= BACKLOG_BYTES
        })
    }

    /// Looks into the outbox if somebody has put something there for the driver. False: it is too full to go on; the
    /// task is woken when there is room.
    #[inline]
    fn may_go_on(&mut self) -> bool {
        !self.shared.attention.load(Ordering::Acquire) || self.attend()
    }

    #[inline(never)]
    fn attend(&mut self) -> bool {
        if self.notice_cut() {
            return true;
        }
        if self.has_ended() {
            // What is left to handle is little, and nothing that ends is to wait for a peer that does not read.
            return true;
        }
        let mut outbox = self.shared.lock();
        if let Some(orders) = outbox.orders.take() {
            drop(outbox);
            self.obey(*orders);
            outbox = self.shared.lock();
        }
        let wish = outbox.ending.as_ref().and_then(|ending| ending.wish.as_ref());
        let end = match wish {
            Some(wish) => End::new(wish.by, wish.close.clone()),
            None if outbox.failed => End::without_goodbye(ClosedBy::Lost),
            None => {
                let crowded = outbox.is_crowded() || outbox.cork_is_full();
                outbox.driver_wants_room = crowded;
                return !crowded;
            }
        };
        drop(outbox);
        self.backlog = None;
        self.end(end);
        true
    }

    fn obey(&mut self, orders: Orders<W>) {
        for change in orders.changes {
            change(&mut self.receiver);
        }
        if orders.drop_messages {
            self.deaf = true;
            self.backlog = None;
            self.receiver.discard();
        }
    }

    /// The end that the peer's goodbye brings. If ours came first, it was we who began.
    fn goodbye_of_peer(&self, close: W::Close) -> Box<End<W>> {
        let outbox = self.shared.lock();
        match outbox.ending.as_ref().and_then(|ending| ending.half.as_ref()) {
            Some(half) => {
                let mut end = End::new(ClosedBy::Local, half.close.clone());
                end.peer_is_done = true;
                end
            }
            None => End::new(ClosedBy::Peer, close),
        }
    }

    /// The next whole message in the buffer. Signals are answered on the way, and an end is noted. That it is a message is
    /// charged by who takes it, its size here.
    #[inline(never)]
    fn parse(&mut self) -> Option<(Found<W>, usize)> {
        while !self.buffer.is_empty() {
            match self.receiver.receive(&mut self.buffer) {
                Ok(Received::Message { found, size }) => {
                    self.charge(size);
                    if self.account.as_mut().is_none_or(|account| account.message()) {
                        self.shared.tell(|observer, id| observer.message(id, Direction::In, size));
                        return Some((found, size));
                    }
                    self.end(End::new(ClosedBy::FastPeer, Reason::Policy));
                    return None;
                }
                other => {
                    if !self.settle(other) {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// What is no message. Whether the next step may be taken.
    fn settle(&mut self, received: Result<Received<W, Found<W>>, <W::Receiver as Receive<W>>::Error>) -> bool {
        match received {
            Ok(Received::Message { .. }) => true,
            Ok(Received::Incomplete { needed }) => {
                self.needed = needed;
                false
            }
            Ok(Received::Signal(signal)) => {
                self.shared.lock().answer(signal);
                true
            }
            Ok(Received::Close(close)) => {
                self.shared.lock().ending().from_peer = Some(close.clone());
                self.end(self.goodbye_of_peer(close));
                false
            }
            Err(error) => {
                self.broken = true;
                let close = W::Receiver::farewell(&error);
                let reason = W::reason(&close);
                let mut end = End::new(ClosedBy::Protocol, close);
                end.error = Some(Error::new(reason, error));
                self.end(end);
                false
            }
        }
    }

    /// One read. Ready when there is something new to parse, or an end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let read = match self.poll_fill(cx) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                self.turn = TURN;
                self.park();
                return Poll::Pending;
            }
        };
        match read {
            Ok(n) if n > 0 => {
                self.shared.marks.bytes();
                if self.account.as_mut().is_some_and(|account| !account.bytes(n)) {
                    self.end(End::new(ClosedBy::FastPeer, Reason::Policy));
                }
            }
            // After a reset that a write has been told of, a read ends as if in good order.
            Ok(_) if !self.shared.lock().failed && self.receiver.end_of_stream(&self.buffer) => {
                self.end(self.goodbye_of_peer(Reason::Done.into()));
            }
            _ => self.end(End::without_goodbye(ClosedBy::Lost)),
        }
        Poll::Ready(())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.turn_is_over(READ_COST, cx) {
            return Poll::Pending;
        }
        self.shared.marks.resumed();
        self.make_room();
        // The stream lies under the outbox's lock: so it closes with the driver although handles live on, and no
        // second allocation holds it together.
        self.shared.lock().stream.poll_read(cx, &mut self.buffer)
    }

    /// Reads land in the thread's buffer. A message that does not fit there, or of which a large part has waited, has a
    /// buffer of its own, which then becomes the message.
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
        } else if !self.borrowed && self.buffer.capacity() > have {
            // Its own buffer has room.
        } else if self.needed > buffers::READ || (!self.borrowed && self.needed >= buffers::OWN) {
            let old = std::mem::replace(&mut self.buffer, BytesMut::new());
            self.buffer = buffers::take_own(&old, self.needed);
            if std::mem::take(&mut self.borrowed) {
                buffers::give_read(old);
            }
        } else if !self.borrowed {
            let mut buffer = buffers::take_read();
            buffer.extend_from_slice(&self.buffer);
            self.buffer = buffer;
            self.borrowed = true;
        } else if self.buffer.capacity() - have < buffers::READ / 4 {
            self.buffer.reserve(buffers::READ / 2);
        }
    }

    /// Stops reading until somebody else has done something.
    fn pause(&mut self) {
        self.shared.marks.paused();
        self.park();
    }

    /// Before the task sleeps: the thread's buffer goes back, and an unfinished message stays in a copy of its size.
    fn park(&mut self) {
        if !self.borrowed {
            return;
        }
        self.borrowed = false;
        let buffer = std::mem::take(&mut self.buffer);
        if self.needed >= buffers::OWN && !buffer.is_empty() {
            self.buffer = buffers::take_own(&buffer, self.needed);
        } else if !buffer.is_empty() {
            self.buffer = BytesMut::from(&buffer[..]);
        }
        buffers::give_read(buffer);
    }

    /// Reads on until the peer's goodbye, the end of the stream or a cut, dropping all messages. True: the goodbye has
    /// come in good order.
    pub(super) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        // It may have come while something else ended the connection.
        if self.shared.lock().ending().from_peer.is_some() {
            return Poll::Ready(true);
        }
        loop {
            if self.notice_cut() || self.broken {
                return Poll::Ready(false);
            }
            while let Some((found, _)) = self.parse() {
                drop(self.take_aside(found));
                if self.turn_is_over(1, cx) {
                    self.park();
                    return Poll::Pending;
                }
            }
            if let State::Ended(end) = &self.state {
                return Poll::Ready(end.peer_is_done);
            }
            ready!(self.poll_read(cx));
        }
    }

    /// Reads on until the end of the stream or a cut, looking at nothing.
    pub(super) fn poll_end_of_stream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.notice_cut() {
                return Poll::Ready(());
            }
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

impl<W: Wire> Drop for Reader<W> {
    fn drop(&mut self) {
        if self.borrowed {
            buffers::give_read(std::mem::take(&mut self.buffer));
        }
        let mut outbox = self.shared.lock();
        outbox.fail();
        outbox.waker = None;
        let stream = std::mem::replace(&mut outbox.stream, Stream::Gone);
        // What nobody obeys any more; it may hold a handle.
        let orders = outbox.orders.take();
        self.shared.unlock_and_wake(outbox);
        // Outside the lock: their drops may be anybody's code.
        drop((stream, orders));
    }
}
