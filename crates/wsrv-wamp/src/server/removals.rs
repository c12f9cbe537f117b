//! Subscriptions that the server ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many removals wait in the whole process. Nearly always there is none, and then a connection's turn, which comes with
/// every event it is sent, does not have to look into its own list.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What one connection is to be removed from. Its own task does it, which has the subscriptions.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Vec<Arc<str>>>);

impl Removals {
    /// Its task is to be woken then.
    pub(crate) fn push(&self, topic: Arc<str>) {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains(&topic) {
            topics.push(topic);
            WAITING.fetch_add(1, Ordering::Release);
        }
    }

    /// Those since the last time.
    pub(crate) fn take(&self) -> Vec<Arc<str>> {
        if WAITING.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let topics = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        WAITING.fetch_sub(topics.len(), Ordering::Relaxed);
        topics
    }
}

/// A connection may end before its turn comes.
impl Drop for Removals {
    fn drop(&mut self) {
        let topics = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        WAITING.fetch_sub(topics.len(), Ordering::Relaxed);
    }
}
