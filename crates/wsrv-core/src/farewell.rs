//! What is said when many connections are closed together.

use crate::{Connection, Reason, Wire};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What each connection is told when many are closed together: why, and perhaps one last message.
///
/// A [`Reason`] alone is a farewell without a message. Clones share the message, which is encoded once.
///
/// ```
/// # use wsrv_core::{Connections, Farewell, Reason, lines::LineConnection};
/// # use bytes::Bytes;
/// let connections = Connections::new();
/// let farewell = Farewell::new(Reason::Restart);
/// connections.close_all(farewell.message::<LineConnection>(Bytes::from_static(b"back in a moment")));
/// ```
#[derive(Clone)]
pub struct Farewell {
    reason: Reason,
    last: Option<Arc<dyn Any + Send + Sync>>,
}

impl Farewell {
    /// A farewell for this reason, without a message.
    pub fn new(reason: Reason) -> Self {
        Farewell { reason, last: None }
    }

    /// Says this right before the goodbye, behind whatever `on_close` sends, to connections of `C`'s protocol; others are
    /// closed without it. So is who has begun to end, whose outbox is [full](crate::Limits::outbox) then, and who is in a set
    /// [without last messages](crate::Connections::without_last_message).
    pub fn message<C: Connection>(mut self, message: impl Into<C::Outgoing>) -> Self {
        self.last = Some(Arc::new(Last::<C::Wire>(C::encode(message.into()))));
        self
    }

    /// The same with another reason.
    pub fn reason(self, reason: Reason) -> Self {
        Farewell { reason, ..self }
    }

    pub(crate) fn why(&self) -> Reason {
        self.reason
    }

    pub(crate) fn last<W: Wire>(&self) -> Option<&W::Prepared> {
        self.last.as_ref()?.downcast_ref::<Last<W>>().map(|last| &last.0)
    }
}

/// By the wire and not only by the type: two protocols may encode to the same one.
struct Last<W: Wire>(W::Prepared);

impl From<Reason> for Farewell {
    fn from(reason: Reason) -> Self {
        Farewell::new(reason)
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Farewell").field("reason", &self.reason).field("message", &self.last.is_some()).finish()
    }
}
