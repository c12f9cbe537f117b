//! A subscription, and the events that wait in it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::shared::Handle;

/// The events of one topic, from [`WampClient::subscribe`](super::WampClient::subscribe) on. Also a [`Stream`].
///
/// Several subscriptions to one topic are one to the server, and each gets every event. Each asks the
/// server anew, see [`WampClient::subscribe`](super::WampClient::subscribe). When the last of them is
/// dropped, the server is told. A subscription keeps its connection open, even without a client.
///
/// # A slow application
///
/// Events wait here until they are received, up to [`max_events`](super::ClientOptions::max_events) and
/// [`max_event_bytes`](super::ClientOptions::max_event_bytes). Beyond that the oldest are lost, and the next event that
/// is received tells how many. Nothing else of the connection waits for a slow subscription.
pub struct Subscription {
    handle: Arc<Handle>,
    topic: Box<str>,
    queue: Arc<Queue>,
}

/// An event of a topic. Clones share it.
#[derive(Clone)]
pub struct TopicEvent {
    value: Arc<RawValue>,
    missed: u64,
}

/// What waits for the application.
pub(super) struct Queue {
    max_events: usize,
    max_bytes: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<RawValue>>,
    bytes: usize,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Subscription {
    pub(super) fn new(handle: Arc<Handle>, topic: Box<str>, queue: Arc<Queue>) -> Self {
        Self { handle, topic, queue }
    }

    /// The topic's full URI.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits for the next event. `None` once the connection has ended and all events were received.
    ///
    /// Cancel safe: no event is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<TopicEvent> {
        std::future::poll_fn(|cx| self.queue.poll_pop(cx)).await
    }
}

impl Stream for Subscription {
    type Item = TopicEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TopicEvent>> {
        self.queue.poll_pop(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.handle.shared().unsubscribe(&self.topic, &self.queue);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl TopicEvent {
    /// The event, read into a type.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn deserialize<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.value.get())
    }

    /// The event as it was written.
    pub fn raw(&self) -> &RawValue {
        &self.value
    }

    /// How many events right before this one were lost because there was no room for them.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl fmt::Debug for TopicEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicEvent").field("value", &self.value.get()).field("missed", &self.missed).finish()
    }
}

impl Queue {
    pub(super) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { max_events: max_events.max(1), max_bytes, waiting: Mutex::default() }
    }

    pub(super) fn push(&self, event: Arc<RawValue>) {
        let mut waiting = self.waiting();
        waiting.bytes += event.get().len();
        waiting.events.push_back(event);
        while waiting.events.len() > self.max_events || (waiting.bytes > self.max_bytes && waiting.events.len() > 1) {
            let oldest = waiting.events.pop_front().expect("there are some");
            waiting.bytes -= oldest.get().len();
            waiting.missed += 1;
        }
        wake(waiting);
    }

    /// No further event will come.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting();
        waiting.ended = true;
        wake(waiting);
    }

    fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<TopicEvent>> {
        let mut waiting = self.waiting();
        match waiting.events.pop_front() {
            Some(value) => {
                waiting.bytes -= value.get().len();
                Poll::Ready(Some(TopicEvent { value, missed: std::mem::take(&mut waiting.missed) }))
            }
            None if waiting.ended => Poll::Ready(None),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever receives, without the lock.
fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}
