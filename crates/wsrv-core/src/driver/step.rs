//! One step of the handler, while the rest of the connection goes on.

use super::reader::Reader;
use crate::Wire;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
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

/// Calls into the handler; `Err` if it panicked.
///
/// `AssertUnwindSafe`: what the panic left half done is the handler's own, and its connection is closed.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = message.unwrap_or("(no message)"), "handler panicked");
    })
}

impl<W: Wire> Reader<W> {
    /// Polls a step to its end and, whenever it waits, reads ahead: pings are answered, the end is noticed.
    pub(super) fn step<'a, T, F: Future<Output = T>>(
        &'a mut self,
        mut step: Pin<&'a mut F>,
        patience: Patience,
    ) -> impl Future<Output = Stepped<T>> + use<'a, W, T, F> {
        // Made when the end comes while a step waits, which is rare: a timer is large.
        let mut deadline: Option<Pin<Box<Sleep>>> = None;
        poll_fn(move |cx| {
            match guarded(|| step.as_mut().poll(cx)) {
                Ok(Poll::Ready(value)) => return Poll::Ready(Stepped::Done(value)),
                Ok(Poll::Pending) => {}
                Err(()) => return Poll::Ready(Stepped::Panicked),
            }
            self.read_ahead(cx);
            let time = match patience {
                Patience::UntilEnd if self.was_cut() => return Poll::Ready(Stepped::Dropped),
                Patience::UntilEnd if !self.has_end() => return Poll::Pending,
                Patience::UntilEnd => self.shared.limits.close_timeout,
                Patience::LastWords => self.shared.limits.on_close_timeout,
            };
            let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            deadline.as_mut().poll(cx).map(|()| {
                tracing::warn!(connection = %self.shared.id(), ?time, "a handler step was dropped: it took too long");
                Stepped::Dropped
            })
        })
    }
}
