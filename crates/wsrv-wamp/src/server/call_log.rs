//! Calls in the log.

use super::{BoxProcedure, Invocation, Outcome, Procedure};
use std::time::Instant;
use wsrv_core::{Connection, ConnectionId};

/// Writes each call to the log, by the crate `tracing` at the level info: the connection, the procedure, how long it took
/// and how it ended. Arguments and results are not written.
///
/// A call that was dropped with its connection or its [time](super::ProcedureRoute::timeout) is written as `dropped`.
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
        let mut entry = Entry { conn, procedure, began: Instant::now(), outcome: "dropped".to_owned() };
        let outcome = self.next.call(call).await;
        entry.outcome = match &outcome {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.uri().to_owned(),
        };
        outcome
    }
}

/// Written when it is dropped. The call's arguments are not kept for it.
struct Entry {
    conn: ConnectionId,
    procedure: String,
    began: Instant,
    outcome: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Entry { conn, procedure, began, outcome } = self;
        tracing::info!(%conn, procedure, time = ?began.elapsed(), outcome, "call");
    }
}
