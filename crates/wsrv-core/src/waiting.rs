//! Those who wait on an outbox: for room, or for the end.

use crate::outbox::Outbox;
use crate::{Link, SendError, Wire};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::task::coop::poll_proceed;

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
    /// Room for a part of the message that others are held back for.
    RoomForPart,
    /// The beginning of the connection's end.
    End,
}

/// Whether others wait for room, and have for longer than `number`, which is 0 for who comes only now. Those that were
/// woken do not count: they take their turn when they are polled, and whoever is not polled must not hold up everybody.
#[inline]
pub(crate) fn others_wait(waiting: &[Waiter], number: u64) -> bool {
    waiting.iter().any(|waiter| waiter.until != Until::End && (number == 0 || waiter.number < number))
}

/// A future's place among those who wait on an outbox; given up when the future is dropped.
pub(crate) struct Waiting<'a, W: Wire> {
    link: &'a Link<W>,
    number: u64,
}

impl<'a, W: Wire> Waiting<'a, W> {
    pub(crate) fn new(link: &'a Link<W>) -> Self {
        Waiting { link, number: 0 }
    }

    /// Ready when there is room, and nobody has waited longer for it. An error: there never will be.
    #[inline]
    pub(crate) fn poll_room(
        &mut self,
        until: Until,
        cx: &mut Context<'_>,
    ) -> Poll<Result<MutexGuard<'a, Outbox<W>>, SendError>> {
        let mut outbox = self.link.0.lock();
        // Counts as work, so that who only ever sends gives others their turn.
        let turn = if !outbox.corked {
            Some(ready!(poll_proceed(cx)))
        } else if outbox.has_sent_enough() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        } else {
            None
        };
        if outbox.is_shut() {
            return Poll::Ready(Err(SendError::Closed));
        }
        let part_may_pass = until == Until::RoomForPart && outbox.part_may_pass();
        if !part_may_pass && (others_wait(&outbox.waiting, self.number) || !outbox.make_room()) {
            self.keep(&mut outbox.waiting, until, cx.waker());
            return Poll::Pending;
        }
        if let Some(turn) = turn {
            turn.made_progress();
        }
        Poll::Ready(Ok(outbox))
    }

    /// In the order of the numbers. Who could do nothing with being woken gets the old place back.
    pub(crate) fn keep(&mut self, waiting: &mut Vec<Waiter>, until: Until, waker: &Waker) {
        // Numbers are never used twice: a place that was woken must not be taken for somebody else's.
        static LAST: AtomicU64 = AtomicU64::new(0);
        if self.number == 0 {
            self.number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        }
        match waiting.binary_search_by_key(&self.number, |waiter| waiter.number) {
            Ok(index) => waiting[index].waker.clone_from(waker),
            Err(index) => waiting.insert(index, Waiter { number: self.number, until, waker: waker.clone() }),
        }
    }
}

impl<W: Wire> Drop for Waiting<'_, W> {
    fn drop(&mut self) {
        if self.number > 0 {
            self.link.0.lock().waiting.retain(|waiter| waiter.number != self.number);
        }
    }
}
