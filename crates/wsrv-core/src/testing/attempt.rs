//! One step of a layer, as [`check_layer`](super::check_layer) wants it: done, waiting, panicked.

use super::alarm::Alarm;
use super::probe::{OnPurpose, Script};
use crate::Connection;
use crate::testing::caught;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::timeout;

/// How long the layer may take for a step that has nothing to wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong with the layer.
pub(super) type Fault = String;

/// Runs a step that is to come to its end.
pub(super) async fn attempt<T>(name: &str, step: impl Future<Output = T>) -> Result<T, Fault> {
    match timeout(PATIENCE, caught(step)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(format!("{name} panics by itself")),
        Err(_) => Err(format!("{name} does not come to its end")),
    }
}

/// Runs a step in which the probe panics.
pub(super) async fn panicked<C: Connection, T>(
    name: &str,
    script: &Script<C>,
    step: impl Future<Output = T>,
) -> Result<(), Fault> {
    match timeout(PATIENCE, caught(step)).await {
        Ok(Ok(_)) if !script.has_acted() => Err(format!("{name} did not reach the inner handler")),
        Ok(Ok(_)) => Err(format!("the panic of the inner {name} was swallowed")),
        Ok(Err(panic)) => on_purpose(name, &*panic),
        Err(_) => Err(format!("{name} does not come to its end")),
    }
}

pub(super) fn on_purpose(name: &str, panic: &(dyn std::any::Any + Send)) -> Result<(), Fault> {
    if panic.is::<OnPurpose>() { Ok(()) } else { Err(format!("{name} panics by itself")) }
}

/// Polls a step until the probe waits in it.
pub(super) async fn waiting<C: Connection, F: Future + ?Sized>(
    name: &str,
    script: &Script<C>,
    mut step: Pin<&mut F>,
    alarm: &Arc<Alarm>,
) -> Result<(), Fault> {
    let waker = Waker::from(alarm.clone());
    loop {
        alarm.reset();
        if step.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return Err(match script.has_acted() {
                true => format!("{name} does not wait for the inner handler"),
                false => format!("{name} did not reach the inner handler"),
            });
        }
        if script.lock().waiting > 0 {
            return Ok(());
        }
        let woken = timeout(PATIENCE, alarm.ring()).await;
        woken.map_err(|_| format!("{name} did not reach the inner handler"))?;
    }
}

/// Polls a step until the probe waits in it, lets that go on, and sees that the step would be polled again.
pub(super) async fn goes_on<C: Connection, F: Future + ?Sized>(
    name: &str,
    script: &Script<C>,
    step: Pin<&mut F>,
) -> Result<(), Fault> {
    let alarm = Arc::new(Alarm::default());
    waiting(name, script, step, &alarm).await?;
    alarm.reset();
    script.release();
    let woken = timeout(PATIENCE, alarm.ring()).await;
    woken.map_err(|_| format!("the waker of the inner {name} does not reach the driver"))
}

/// Nothing of a dropped step is left waiting.
pub(super) fn dropped<C: Connection>(name: &str, script: &Script<C>) -> Result<(), Fault> {
    match script.lock().waiting {
        0 => Ok(()),
        _ => Err(format!("the inner {name} was not dropped with the layer's")),
    }
}
