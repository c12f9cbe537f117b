//! One step of the handler, while the rest of the connection goes on.

use super::reader::Reader;
use crate::{Limits, Wire};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// When a step that does not come to its end is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// At once if the connection is cut; some time after it has ended otherwise.
    UntilEnd,
    /// `on_close`: some time after it has begun, even if the connection is cut.
    LastWords,
}

pub(super) enum Stepped<T> {
    Done(T),
    Panicked,
    /// Not done in time.
    Dropped,
}

/// Calls into the handler, whose connection is closed if it panics.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ()> {
    crate::guarded::guarded("handler", call)
}

impl<W: Wire> Reader<W> {
    /// Polls a step to its end and, whenever it waits, reads ahead: pings are answered, the end is noticed.
    pub(super) fn step<'a, T, F: Future<Output = T>>(
        &'a mut self,
        mut step: Pin<&'a mut Option<F>>,
        patience: Patience,
    ) -> impl Future<Output = Stepped<T>> + use<'a, W, T, F> {
        // Made when the end comes while a step waits, which is rare: a timer is large.
        let mut deadline: Option<Pin<Box<Sleep>>> = None;
        poll_fn(move |cx| {
            let running = step.as_mut().as_pin_mut().expect("a step is not polled after its end");
            let stepped = match guarded(|| running.poll(cx)) {
                Ok(Poll::Ready(value)) => Stepped::Done(value),
                Ok(Poll::Pending) => {
                    self.read_ahead(cx);
                    ready!(self.poll_deadline(&mut deadline, patience, cx));
                    Stepped::Dropped
                }
                Err(()) => Stepped::Panicked,
            };
            // Here and not later: what is left of a step may panic while it is dropped.
            let _ = guarded(|| step.set(None));
            Poll::Ready(stepped)
        })
    }

    /// Ready when a step that waits is to be dropped.
    fn poll_deadline(
        &mut self,
        deadline: &mut Option<Pin<Box<Sleep>>>,
        patience: Patience,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let time: fn(&Limits) -> Duration = match patience {
            Patience::UntilEnd if !self.has_ended() => return Poll::Pending,
            Patience::UntilEnd if self.notice_cut() => return Poll::Ready(()),
            Patience::UntilEnd => |limits: &Limits| limits.close_timeout,
            Patience::LastWords => |limits: &Limits| limits.on_close_timeout,
        };
        let deadline = deadline.get_or_insert_with(|| {
            let time = time(&self.shared.lock().limits);
            Box::pin(tokio::time::sleep(time))
        });
        deadline.as_mut().poll(cx).map(|()| {
            tracing::warn!(connection = %self.shared.id, "a handler step was dropped: it took too long");
        })
    }
}
