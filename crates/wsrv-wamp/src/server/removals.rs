//! Subscriptions that the server ends.

use futures_util::task::AtomicWaker;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

/// What one connection is to be removed from. Its own task does it, which has the subscriptions.
#[derive(Default)]
pub(crate) struct Removals {
    topics: Mutex<Vec<Arc<str>>>,
    task: AtomicWaker,
}

impl Removals {
    pub(crate) fn push(&self, topic: Arc<str>) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains(&topic) {
            topics.push(topic);
        }
        drop(topics);
        self.task.wake();
    }

    /// Those since the last time. The task is woken when there are more.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Vec<Arc<str>> {
        self.task.register(cx.waker());
        std::mem::take(&mut self.topics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
