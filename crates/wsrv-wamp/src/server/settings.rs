//! What is the same for all connections of a server.

use super::{CallError, Fault};
use crate::{Dialect, MessageLimits, Prefixes};
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Shared by a layer and all its connections.
pub(crate) struct Settings {
    pub(crate) identity: String,
    pub(crate) dialect: Dialect,
    pub(crate) limits: MessageLimits,
    pub(crate) max_prefixes: usize,
    pub(crate) needs_subprotocol: bool,
    pub(crate) faults: Faults,
}

/// Puts the application's words in place of ours.
pub(crate) type Faults = Box<dyn Fn(&Fault) -> Option<CallError> + Send + Sync>;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            identity: concat!("wsrv/", env!("CARGO_PKG_VERSION")).into(),
            dialect: Dialect::default(),
            limits: MessageLimits::default(),
            max_prefixes: 100,
            needs_subprotocol: true,
            faults: Box::new(|_| None),
        }
    }
}

impl Settings {
    /// What the caller is told.
    pub(crate) fn told<'a>(&self, error: &'a CallError) -> Cow<'a, CallError> {
        let Some(fault) = error.fault() else { return Cow::Borrowed(error) };
        let told = catch_unwind(AssertUnwindSafe(|| (self.faults)(fault))).unwrap_or_else(|_| {
            tracing::error!("what words faults panicked");
            None
        });
        told.map_or(Cow::Borrowed(error), Cow::Owned)
    }

    /// Of a new connection: none yet.
    pub(crate) fn prefixes(&self) -> Prefixes {
        let prefixes = Prefixes::new().with_join(self.dialect.join);
        prefixes.with_max_len(self.max_prefixes).with_max_uri(self.limits.max_uri)
    }
}
