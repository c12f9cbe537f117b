//! Calls into code that is not ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Makes a call that may panic. `Err` if it has, which is logged as that of `whose`.
///
/// `AssertUnwindSafe`: what the panic left half done is the callee's own.
#[inline(always)]
pub(crate) fn guarded<T>(whose: &'static str, call: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| tell(whose, &*panic))
}

#[cold]
#[inline(never)]
fn tell(whose: &'static str, panic: &(dyn Any + Send)) {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("(no message)"), "{whose} panicked");
}
