//! Where the front end keeps its sessions.

#[cfg(feature = "files")]
mod files;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod pool;
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
    /// That end is an estimate from something else, such as a file's times. An end that the record names counts, too,
    /// and the earlier of both. Default `false`: the store's end is the front end's own.
    pub is_estimate: bool,
}

impl RawSession {
    /// A record of these bytes.
    pub fn new(bytes: impl Into<Bytes>, expires: Option<SystemTime>) -> Self {
        RawSession { bytes: bytes.into(), expires, is_estimate: false }
    }

    /// The same, with an end that the store [estimates](RawSession::is_estimate).
    pub fn estimated(self) -> Self {
        RawSession { is_estimate: true, ..self }
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
    /// It is not made for what was asked of it: to write, or to touch without knowing for how long.
    #[error("the session store cannot do this")]
    Unsupported,
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

/// What is done to a record that is to be changed: it is given the record as it is, and returns what has to be written in
/// its place. `None`: nothing. It may be called again, if somebody else has written meanwhile.
pub type Change<'a> = dyn FnMut(&RawSession) -> Option<Bytes> + Send + 'a;

/// Keeps sessions by their ids. Nothing here makes a session, and one that is there is changed only by
/// [`touch`](Store::touch) and [`update`](Store::update), which a store need not have.
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

    /// Has the session end later, as if its visitor had come back now; never earlier. Whether it is there: one that has
    /// expired is not, and stays so.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`]: this store does not do that; the default. Others: it may have been touched, or not.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the session may have been touched, or not.
    fn touch(&self, id: &SessionId) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let _ = id;
        async { Err(StoreError::Unsupported) }
    }

    /// Reads the record under the front end's own lock, and writes what the change makes of it, for what is left of its
    /// time. Whether the record is there: none is made, and one that has expired is left alone. What cannot be read is
    /// not written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`]: this store is only read; the default. [`StoreError::Busy`]: the lock could not be
    /// had, and nothing was written. Others: it may have been written, or not.
    ///
    /// # Cancel safety
    ///
    /// If dropped, either all was written or nothing, and a lock is given back soon.
    fn update(&self, id: &SessionId, change: &mut Change<'_>) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let _ = (id, change);
        async { Err(StoreError::Unsupported) }
    }
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

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.0.touch(id).await
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        self.0.update(id, change).await
    }
}

impl std::fmt::Debug for BoxStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoxStore").finish_non_exhaustive()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

trait DynStore: Send + Sync {
    fn load<'a>(&'a self, id: &'a SessionId) -> Answer<'a, Option<RawSession>>;
    fn touch<'a>(&'a self, id: &'a SessionId) -> Answer<'a, bool>;
    fn update<'a>(&'a self, id: &'a SessionId, change: &'a mut Change<'_>) -> Answer<'a, bool>;
}

impl<S: Store> DynStore for S {
    fn load<'a>(&'a self, id: &'a SessionId) -> Answer<'a, Option<RawSession>> {
        Box::pin(Store::load(self, id))
    }

    fn touch<'a>(&'a self, id: &'a SessionId) -> Answer<'a, bool> {
        Box::pin(Store::touch(self, id))
    }

    fn update<'a>(&'a self, id: &'a SessionId, change: &'a mut Change<'_>) -> Answer<'a, bool> {
        Box::pin(Store::update(self, id, change))
    }
}
