//! What a connection's handles and its driver share, and what a send to it does: who writes, and who is told.

use crate::batch::{self, Flush};
use crate::connections::{Connections, Member, TICK};
use crate::life::{Care, Marks, Millis};
use crate::outbox::{Outbox, Wish};
use crate::published::Publish;
use crate::stream::{Local, Stream};
use crate::waiting::Until;
use crate::{
    AttributeStore, ClosedBy, ConnectionId, Direction, Farewell, Limits, Losses, Observer, Out, Reason, SendError,
    Slow, SlowPeer, Transmit, Wire,
};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What all handles of one connection and its driver share.
pub(crate) struct Shared<W: Wire> {
    pub(crate) id: ConnectionId,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) local: Option<Box<Local>>,
    pub(crate) context: W::Context,
    pub(crate) attributes: AttributeStore,
    /// The driver must look into the outbox before it goes on. Set and cleared under the outbox's lock.
    pub(crate) attention: AtomicBool,
    pub(crate) marks: Marks,
    /// Somebody is to be told what happens: a look at the neighbours of what each message looks at anyway.
    observed: bool,
    /// Those that the connection is tracked by.
    connections: Option<Connections>,
    outbox: Mutex<Outbox<W>>,
}

impl<W: Wire> Shared<W> {
    pub(crate) fn new(
        stream: Stream,
        sender: W::Sender,
        context: W::Context,
        (local, remote_addr): (Option<Local>, Option<SocketAddr>),
        limits: Arc<Limits>,
        connections: Option<Connections>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            id: ConnectionId::next(),
            remote_addr,
            local: local.map(Box::new),
            context,
            attributes: AttributeStore::default(),
            attention: AtomicBool::new(false),
            marks: Marks::default(),
            observed: connections.as_ref().is_some_and(Connections::has_observer),
            connections,
            outbox: Mutex::new(Outbox::new(sender, stream, limits)),
        })
    }

    pub(crate) fn connections(&self) -> Option<&Connections> {
        self.connections.as_ref()
    }

    /// Where the connection came in, if that has a name.
    pub(crate) fn route(&self) -> Option<&str> {
        self.connections.as_ref()?.name()
    }

    /// Tells the observer, if there is one. Not to be called under the outbox's lock.
    #[inline]
    pub(crate) fn tell(&self, event: impl FnOnce(&dyn Observer, ConnectionId)) {
        if self.observed {
            self.tell_observer(event);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_observer(&self, event: impl FnOnce(&dyn Observer, ConnectionId)) {
        if let Some(connections) = &self.connections {
            connections.tell(|observer| event(observer, self.id));
        }
    }

    pub(crate) fn tell_opened(&self) {
        self.tell(|observer, id| observer.opened(id, self.remote_addr, self.route()));
    }

    /// Tells what became of somebody's wish to send to a peer that is too slow. Not to be called under the outbox's lock.
    pub(crate) fn tell_slow(&self, slow: Slow) {
        self.tell(|observer, id| observer.slow(id, slow));
    }

    /// Says that a handler does not give its thread back.
    pub(crate) fn warn_of_blocking(&self, since: std::time::Duration) {
        let (route, millis) = (self.route(), since.as_millis() as u64);
        tracing::warn!(connection = %self.id, route, millis, "a handler blocks its thread");
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Outbox<W>> {
        // An encoder that panics has failed the outbox before it unlocks; all else under the lock does not panic.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock back, and wakes those for whom the time has come.
    pub(crate) fn unlock_and_wake(&self, mut outbox: MutexGuard<'_, Outbox<W>>) {
        let mut woken = Vec::new();
        if !outbox.waiting.is_empty() {
            let ended = outbox.is_ended();
            let dead = outbox.is_shut();
            let room = outbox.has_ample_room();
            let room_for_part = room || outbox.part_may_pass();
            woken.extend(outbox.waiting.extract_if(.., |waiter| match waiter.until {
                Until::Room => dead || room,
                Until::RoomForPart => dead || room_for_part,
                Until::End => ended,
            }));
            if outbox.waiting.is_empty() {
                outbox.waiting = Vec::new();
            }
        }
        drop(outbox);
        woken.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    /// Tells the driver to look into the outbox.
    pub(crate) fn alert(&self, outbox: MutexGuard<'_, Outbox<W>>) {
        self.attention.store(true, Ordering::Release);
        outbox.wake_driver();
        self.unlock_and_wake(outbox);
    }

    pub(crate) fn wish(&self, mut outbox: MutexGuard<'_, Outbox<W>>, by: ClosedBy, close: W::Close) {
        let ending = outbox.ending();
        if ending.wish.is_none() && ending.from_peer.is_none() {
            ending.wish = Some(Wish { by, close });
            self.alert(outbox);
        } else {
            // The driver knows, and may be waiting for `on_close`; what was sent together with the wish is not to wait.
            self.flush(outbox);
        }
    }

    pub(crate) fn cut(&self, mut outbox: MutexGuard<'_, Outbox<W>>, by: ClosedBy) {
        outbox.ending().cut.get_or_insert(by);
        outbox.fail();
        self.alert(outbox);
    }

    /// Makes room for a message that is sent now. `None`: the connection's own policy.
    #[inline]
    pub(crate) fn admit<'a>(
        &'a self,
        mut outbox: MutexGuard<'a, Outbox<W>>,
        policy: Option<SlowPeer>,
    ) -> Result<MutexGuard<'a, Outbox<W>>, Refused> {
        if outbox.is_shut() {
            return Err(Refused::Closed);
        }
        if outbox.make_room() { Ok(outbox) } else { Err(self.refuse(outbox, policy)) }
    }

    /// There is no room for a message.
    #[cold]
    #[inline(never)]
    fn refuse(&self, mut outbox: MutexGuard<'_, Outbox<W>>, policy: Option<SlowPeer>) -> Refused {
        let policy = policy.unwrap_or(outbox.limits.slow_peer);
        outbox.losses().dropped += 1;
        match policy {
            SlowPeer::Close(reason) if outbox.is_slow() && !outbox.is_ended() => {
                outbox.losses().closed += 1;
                self.wish(outbox, ClosedBy::SlowPeer, reason.into());
                self.tell_slow(Slow::Closed);
                Refused::Closing
            }
            _ => {
                drop(outbox);
                self.tell_slow(Slow::Dropped);
                Refused::Dropped
            }
        }
    }

    /// Sends what was prepared, without waiting.
    #[inline]
    pub(crate) fn publish(
        self: &Arc<Self>,
        mut outbox: MutexGuard<'_, Outbox<W>>,
        message: &W::Prepared,
        policy: Option<SlowPeer>,
        publish: Option<&mut Publish>,
    ) -> Result<(), Refused> {
        if outbox.is_to_shelve() || outbox.is_shut() || !outbox.make_room() {
            return self.publish_anyway(outbox, message, policy);
        }
        let before = self.before(&outbox);
        outbox.encode_for_many(publish, |sender, out| sender.prepared(message, out));
        self.sent(outbox, before);
        Ok(())
    }

    /// A message that was prepared, for a peer that does not just take it.
    #[cold]
    #[inline(never)]
    fn publish_anyway(
        &self,
        outbox: MutexGuard<'_, Outbox<W>>,
        message: &W::Prepared,
        policy: Option<SlowPeer>,
    ) -> Result<(), Refused> {
        if outbox.is_to_shelve() || outbox.is_shut() {
            return self.shelve(outbox, message.clone(), policy);
        }
        Err(self.refuse(outbox, policy))
    }

    /// Lets a message wait whole: the peer is behind.
    #[cold]
    #[inline(never)]
    pub(crate) fn shelve(
        &self,
        mut outbox: MutexGuard<'_, Outbox<W>>,
        message: W::Prepared,
        policy: Option<SlowPeer>,
    ) -> Result<(), Refused> {
        if outbox.is_shut() {
            return Err(Refused::Closed);
        }
        let policy = policy.unwrap_or(outbox.limits.slow_peer);
        let size = W::size(&message);
        if !outbox.shelve(message, policy) {
            return Err(self.refuse(outbox, Some(policy)));
        }
        if outbox.is_crowded() {
            self.attention.store(true, Ordering::Release);
        }
        drop(outbox);
        self.tell_sent(size);
        Ok(())
    }

    /// Encodes a message and has it written.
    #[inline(always)]
    pub(crate) fn encode_and_send<R>(
        self: &Arc<Self>,
        mut outbox: MutexGuard<'_, Outbox<W>>,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError>,
    ) -> Result<R, SendError> {
        let before = self.before(&outbox);
        let result = outbox.encode(encode)?;
        self.sent(outbox, before);
        Ok(result)
    }

    /// How many bytes wait before a message, if that will be asked for.
    #[inline]
    pub(crate) fn before(&self, outbox: &Outbox<W>) -> usize {
        if self.observed { outbox.queued() } else { 0 }
    }

    /// After a message was encoded behind so many bytes.
    #[inline(always)]
    fn sent(self: &Arc<Self>, outbox: MutexGuard<'_, Outbox<W>>, before: usize) {
        if self.observed {
            return self.sent_and_told(outbox, before);
        }
        self.encoded(outbox);
    }

    #[cold]
    #[inline(never)]
    fn sent_and_told(self: &Arc<Self>, outbox: MutexGuard<'_, Outbox<W>>, before: usize) {
        let size = outbox.queued().saturating_sub(before);
        self.encoded(outbox);
        self.tell_sent(size);
    }

    pub(crate) fn tell_sent(&self, size: usize) {
        // Who only asks for room sends nothing.
        if size > 0 {
            self.tell(|observer, id| observer.message(id, Direction::Out, size));
        }
    }

    /// After something was encoded: who writes it, and when.
    #[inline(always)]
    pub(crate) fn encoded(self: &Arc<Self>, outbox: MutexGuard<'_, Outbox<W>>) {
        // As a rule a handler answers its own peer, and the end of the turn will see to it.
        if !outbox.corked || outbox.is_heavy() {
            self.see_to(outbox);
        }
    }

    fn see_to(self: &Arc<Self>, mut outbox: MutexGuard<'_, Outbox<W>>) {
        let batch = if outbox.corked { None } else { batch::current() };
        let now = !outbox.corked && batch.is_none();
        if outbox.is_heavy() || outbox.is_behind() {
            self.see_to_much(&mut outbox, now);
        }
        if now && outbox.joins_a_flood() {
            if !std::mem::replace(&mut outbox.driver_writes, true) {
                outbox.wake_driver();
            }
        } else if now {
            self.flush(outbox);
        } else if batch.is_some() && outbox.dirty != batch {
            outbox.dirty = batch;
            drop(outbox);
            batch::add(self.clone());
        }
    }

    /// A turn ends with a write. A large cork does not wait for it: what a turn may send is bounded by what the peer
    /// takes, not by how long the turn is. A stream that is not written here makes the driver end its turn.
    #[cold]
    #[inline(never)]
    fn see_to_much(&self, outbox: &mut Outbox<W>, now: bool) {
        if !now && outbox.cork_is_full() {
            outbox.try_flush();
        }
        if outbox.cork_is_full() || outbox.is_crowded() {
            self.attention.store(true, Ordering::Release);
        }
    }

    fn flush(&self, mut outbox: MutexGuard<'_, Outbox<W>>) {
        // Whose driver is being polled will be written then.
        if !outbox.corked {
            outbox.try_flush();
        }
        self.unlock_and_wake(outbox);
    }
}

impl<W: Wire> Flush for Shared<W> {
    fn flush_after_batch(&self) {
        let mut outbox = self.lock();
        outbox.dirty = None;
        self.flush(outbox);
    }
}

impl<W: Wire> Member for Shared<W> {
    fn close(&self, farewell: &Farewell) {
        let mut outbox = self.lock();
        let is_wordless = self.connections.as_ref().is_some_and(Connections::is_wordless);
        if !is_wordless && farewell.last::<W>().is_some() && !outbox.is_ended() {
            outbox.ending().farewell = Some(farewell.clone());
        }
        self.wish(outbox, ClosedBy::Local, farewell.why().into());
    }

    fn cut(&self) {
        Shared::cut(self, self.lock(), ClosedBy::Cut);
    }

    fn losses(&self) -> Losses {
        self.lock().lost()
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    fn tick(&self, now: Millis) {
        let mut outbox = self.lock();
        if outbox.corked && outbox.life.meet_in_turn() {
            drop(outbox);
            self.warn_of_blocking(TICK);
            outbox = self.lock();
        }
        // An end has deadlines of its own.
        let half_closed = outbox.is_half_closed();
        if outbox.is_ended() && !half_closed {
            return;
        }
        let moving = outbox.is_moving();
        let Outbox { life, limits, .. } = &mut *outbox;
        match life.look(now, &self.marks, moving, limits) {
            Care::Nothing => {}
            // Nothing may follow the goodbye. The peer has to say something by itself in the same time.
            Care::Ping if half_closed => {}
            Care::Ping if outbox.encode(|sender, out| sender.ping(out)) => self.flush(outbox),
            Care::Ping => outbox.life.not_pinged(),
            Care::Idle => self.wish(outbox, ClosedBy::Timeout, Reason::Done.into()),
            Care::Dead => Shared::cut(self, outbox, ClosedBy::Timeout),
        }
    }
}

/// Why a message that does not wait was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection is closed.
    Closed,
    /// There was no room.
    Dropped,
    /// There was no room, and the connection is therefore being closed.
    Closing,
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => SendError::Closed,
            Refused::Dropped | Refused::Closing => SendError::Full,
        }
    }
}
