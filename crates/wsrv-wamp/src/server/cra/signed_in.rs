//! Who has signed in.

use crate::cra::Grant;
use crate::{CallError, Fault, FromCall, Invocation, WampConnection};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use wsrv_core::Connection;

/// Who has signed in on a connection, and what it may do. Clones are the same.
///
/// Procedures take it as an argument, topics find it with [`WampConnection::signed_in`], and the rules of
/// [`Permissions`](crate::Permissions) too.
#[derive(Clone)]
pub struct SignedIn(Arc<Inner>);

struct Inner {
    key: Option<String>,
    extra: Map<String, Value>,
    grant: Grant,
}

impl SignedIn {
    pub(super) fn new(key: Option<String>, extra: Map<String, Value>, grant: Grant) -> Self {
        SignedIn(Arc::new(Inner { key, extra, grant }))
    }

    /// The key. `None`: somebody who remains unknown.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// What the client has said about itself. Nobody has checked it.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.0.extra
    }

    /// What it may do.
    pub fn grant(&self) -> &Grant {
        &self.0.grant
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").field("key", &self.0.key).finish_non_exhaustive()
    }
}

impl WampConnection {
    /// Who has signed in here.
    pub fn signed_in(&self) -> Option<SignedIn> {
        self.link().attributes().get()
    }
}

/// Who calls. Where nobody has signed in, the call is answered with [`Fault::NotAuthorized`].
impl FromCall for SignedIn {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        call.connection().signed_in().ok_or_else(|| Fault::NotAuthorized.into())
    }
}

/// Who calls, if anybody has signed in.
impl FromCall for Option<SignedIn> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.connection().signed_in())
    }
}
