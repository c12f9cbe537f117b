//! Calls in the log.

use super::{BoxProcedure, Invocation, Outcome, Procedure};
use futures_util::FutureExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use tokio::time::Instant;
use wsrv_core::{Connection, ConnectionId};

/// Writes each call to the log, by the crate `tracing` at the level info: the connection, the procedure, how long it took
/// and how it ended. Arguments and results are not written.
///
/// It ended with `ok` or with the URI of an error; `panicked`; with `timeout`, if its
/// [time](super::ProcedureRoute::timeout) was over; or it was `dropped` with its connection.
///
/// ```
/// use wsrv_wamp::{CallLog, Wamp};
///
/// let wamp = Wamp::new().calls_through(CallLog::new);
/// # let _ = wamp;
/// ```
#[derive(Debug)]
pub struct CallLog {
    next: BoxProcedure,
}

impl CallLog {
    /// This procedure, with its calls in the log.
    pub fn new(next: BoxProcedure) -> Self {
        CallLog { next }
    }
}

impl Procedure for CallLog {
    async fn call(&self, call: Invocation) -> Outcome {
        let (conn, procedure) = (call.connection().id(), call.procedure().to_owned());
        let mut entry = Entry { conn, procedure, began: Instant::now(), deadline: call.deadline(), outcome: None };
        // Only looked at: it goes on to whoever answers.
        let outcome = AssertUnwindSafe(self.next.call(call)).catch_unwind().await;
        entry.outcome = Some(match &outcome {
            Ok(Ok(_)) => "ok".to_owned(),
            Ok(Err(error)) => error.uri().to_owned(),
            Err(_) => "panicked".to_owned(),
        });
        drop(entry);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Written when it is dropped. The call's arguments are not kept for it.
struct Entry {
    conn: ConnectionId,
    procedure: String,
    began: Instant,
    deadline: Option<Instant>,
    /// `None`: there was none.
    outcome: Option<String>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Entry { conn, procedure, began, deadline, outcome } = self;
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let outcome = outcome.as_deref().unwrap_or(if is_late { "timeout" } else { "dropped" });
        tracing::info!(%conn, procedure, time = ?began.elapsed(), outcome, "call");
    }
}
