//! A waker that can be asked.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake, Waker};

/// Remembers whether it was woken, and passes it on to the task that listens.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl Alarm {
    pub(crate) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// From now on it has not rung.
    pub(crate) fn reset(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Wakes `task` when it rings.
    pub(crate) fn tell(&self, task: &Waker) {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *listener {
            Some(known) => known.clone_from(task),
            None => *listener = Some(task.clone()),
        }
    }

    /// Waits until it has rung.
    pub(crate) async fn ring(&self) {
        poll_fn(|cx| {
            // First, or it might ring between the look and the registration.
            self.tell(cx.waker());
            if self.has_rung() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = listener {
            task.wake();
        }
    }
}
