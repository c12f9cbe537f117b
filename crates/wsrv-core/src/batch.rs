//! Writes once per turn: what one driver's poll sends to *other* connections is written when that poll ends.
//!
//! The bytes lie in each connection's outbox from the moment of the send, under its lock, in the order of the sends.
//! A batch only remembers which outboxes are still to be written out, so it decides about system calls, never about
//! order. (A cork that other threads cannot see would let their later sends overtake.)

use crate::published::{Log, Publish};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// An outbox that can be written out.
pub(crate) trait Flush: Send + Sync {
    fn flush_after_batch(&self);
}

/// Names the thread whose batch will write an outbox out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchId(u32);

struct Batch {
    id: BatchId,
    depth: Cell<u32>,
    /// Turns begun, to take samples of.
    turns: Cell<u8>,
    dirty: RefCell<Vec<Arc<dyn Flush>>>,
    /// What is published, made when something is.
    log: RefCell<Option<Arc<Log>>>,
}

thread_local! {
    static BATCH: Batch =
        Batch { id: new_id(), depth: Cell::new(0), turns: Cell::new(0), dirty: RefCell::default(), log: RefCell::default() };
}

fn new_id() -> BatchId {
    static LAST: AtomicU32 = AtomicU32::new(0);
    BatchId(LAST.fetch_add(1, Ordering::Relaxed))
}

/// The batch of the driver that is being polled on this thread, if one is.
pub(crate) fn current() -> Option<BatchId> {
    // While a thread ends, there is none.
    BATCH.try_with(|batch| (batch.depth.get() > 0).then_some(batch.id)).ok().flatten()
}

/// Has `outbox` written out at the end of this thread's batch.
pub(crate) fn add(outbox: Arc<dyn Flush>) {
    BATCH.with(|batch| batch.dirty.borrow_mut().push(outbox));
}

/// Begins to publish a message within this thread's batch, if there is one.
pub(crate) fn publish() -> Option<Publish> {
    let in_batch = |batch: &Batch| {
        let mut log = batch.log.borrow_mut();
        if log.as_ref().is_some_and(|log| log.is_full()) {
            *log = None;
        }
        (batch.depth.get() > 0).then(|| Publish::new(log.get_or_insert_default().clone()))
    };
    BATCH.try_with(in_batch).ok().flatten()
}

/// Lives while a driver is polled. Its end writes out, also when a panic ends it: the bytes are other connections'.
pub(crate) struct Entered {
    /// One of [`SAMPLE`] turns.
    pub(crate) is_sample: bool,
}

/// Of how many turns on a thread one is measured.
const SAMPLE: u8 = 64;

pub(crate) fn enter() -> Entered {
    BATCH.with(|batch| {
        batch.depth.set(batch.depth.get() + 1);
        let turn = batch.turns.get();
        batch.turns.set(turn.wrapping_add(1));
        Entered { is_sample: turn % SAMPLE == 0 }
    })
}

impl Drop for Entered {
    fn drop(&mut self) {
        BATCH.with(|batch| {
            batch.depth.set(batch.depth.get() - 1);
            if batch.dirty.borrow().is_empty() {
                return;
            }
            // Not borrowed while flushing: a flush wakes tasks, and what a waker does is not ours to know.
            let mut dirty = batch.dirty.take();
            for outbox in dirty.drain(..) {
                outbox.flush_after_batch();
            }
            if batch.dirty.borrow().is_empty() {
                batch.dirty.replace(dirty);
            }
            // Whoever is not written yet keeps the log, and the next batch gets one of its own.
            let mut log = batch.log.borrow_mut();
            match log.as_mut().and_then(Arc::get_mut) {
                Some(mine) => mine.clear(),
                None => *log = None,
            }
        });
    }
}
