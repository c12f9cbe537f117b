//! Where the front end keeps its sessions.

#[cfg(feature = "files")]
mod files;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod table;

#[cfg(feature = "files")]
pub use files::{FileNames, FilesStore};
pub use memory::MemoryStore;
#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use table::SessionTable;

use crate::{SessionError, SessionId};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

/// A record as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawSession {
    /// What a [codec](crate::Codec) reads.
    pub bytes: Bytes,
    /// When it ends, if nobody comes back to it before. `None`: the store does not tell.
    pub expires: Option<SystemTime>,
}

impl RawSession {
    /// A record of these bytes.
    pub fn new(bytes: impl Into<Bytes>, expires: Option<SystemTime>) -> Self {
        RawSession { bytes: bytes.into(), expires }
    }
}

/// Why a store did not answer. It does not say that there is no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or has failed.
    #[error("the session store has failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The front end keeps the record locked for longer than we wait, and changes it meanwhile.
    #[error("the session is being written")]
    Busy,
    /// It has not answered in time.
    #[error("the session store does not answer")]
    Timeout,
    /// The record cannot be a session.
    #[error(transparent)]
    Data(#[from] SessionError),
}

impl StoreError {
    /// The store cannot be reached, or has failed, for this reason.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        StoreError::Failed(error.into())
    }
}

/// A limit of bytes, of which one more can be asked for everywhere: PostgreSQL counts in 32 bits.
#[cfg(any(feature = "files", feature = "mysql", feature = "postgres", feature = "redis", feature = "sqlite"))]
fn clamped(max_input: usize) -> usize {
    max_input.min(i32::MAX as usize - 1)
}

/// Keeps sessions by their ids. Nothing here makes a session, or changes one that is there.
pub trait Store: Send + Sync + 'static {
    /// The record of this id. `None`: there is none, or it has expired.
    ///
    /// The id has passed the front end's [policy](crate::IdPolicy).
    ///
    /// # Errors
    ///
    /// The store cannot tell.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    fn load(&self, id: &SessionId) -> impl Future<Output = Result<Option<RawSession>, StoreError>> + Send;
}

/// Any store. Clones are the same one.
#[derive(Clone)]
pub struct BoxStore(Arc<dyn DynStore>);

impl BoxStore {
    /// This store.
    pub fn new(store: impl Store) -> Self {
        BoxStore(Arc::new(store))
    }
}

impl Store for BoxStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        self.0.load(id).await
    }
}

impl std::fmt::Debug for BoxStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoxStore").finish_non_exhaustive()
    }
}

type Loading<'a> = Pin<Box<dyn Future<Output = Result<Option<RawSession>, StoreError>> + Send + 'a>>;

trait DynStore: Send + Sync {
    fn load<'a>(&'a self, id: &'a SessionId) -> Loading<'a>;
}

impl<S: Store> DynStore for S {
    fn load<'a>(&'a self, id: &'a SessionId) -> Loading<'a> {
        Box::pin(Store::load(self, id))
    }
}
