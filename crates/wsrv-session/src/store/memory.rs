//! Sessions in this process: for tests, and for front ends that live in it.

use super::{Change, RawSession, Store, StoreError};
use crate::SessionId;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Keeps records in memory. Clones are the same store. What has expired stays until it is taken out.
#[derive(Clone, Default)]
pub struct MemoryStore {
    records: Arc<Mutex<HashMap<String, RawSession>>>,
    lifetime: Option<Duration>,
}

/// How often a change is made on what others have written meanwhile, or the change itself.
const ATTEMPTS: usize = 1000;

impl MemoryStore {
    /// No sessions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a session lives from when it is touched. Without it, none can be touched.
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
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
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live<'a>(&self, records: &'a mut HashMap<String, RawSession>, id: &SessionId) -> Option<&'a mut RawSession> {
        let record = records.get_mut(id.as_str());
        record.filter(|record| record.expires.is_none_or(|expires| expires >= SystemTime::now()))
    }
}

impl Store for MemoryStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        Ok(self.live(&mut self.lock(), id).cloned())
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let lifetime = self.lifetime.ok_or(StoreError::Unsupported)?;
        let mut records = self.lock();
        let Some(record) = self.live(&mut records, id) else { return Ok(false) };
        // One that never ends still does not.
        record.expires = record.expires.and_then(|expires| Some(expires.max(SystemTime::now().checked_add(lifetime)?)));
        Ok(true)
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.live(&mut self.lock(), id).cloned() else { return Ok(false) };
            // Not under the lock: it may use the store itself.
            let Some(after) = change(&before) else { return Ok(true) };
            let mut records = self.lock();
            match self.live(&mut records, id) {
                Some(record) if record.bytes == before.bytes => {
                    record.bytes = after;
                    return Ok(true);
                }
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Err(StoreError::Busy)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.lock().len()).finish()
    }
}
