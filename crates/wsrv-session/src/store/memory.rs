//! Sessions in this process: for tests, and for front ends that live in it.

use super::{RawSession, Store, StoreError};
use crate::SessionId;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Keeps records in memory. Clones are the same store. What has expired stays until it is taken out.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<String, RawSession>>>);

impl MemoryStore {
    /// No sessions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a record in, or another one in its place.
    pub fn insert(&self, id: impl Into<String>, bytes: impl Into<Bytes>, expires: Option<SystemTime>) {
        self.lock().insert(id.into(), RawSession::new(bytes, expires));
    }

    /// Takes a record out. Whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RawSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let record = self.lock().get(id.as_str()).cloned();
        Ok(record.filter(|record| record.expires.is_none_or(|expires| expires >= SystemTime::now())))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.lock().len()).finish()
    }
}
