//! Connections of a pool, some of which wait for locks.

use super::StoreError;
use deadpool::managed::{Manager, Object};

/// Connections to a database, of one store.
pub(super) const CONNECTIONS: usize = 8;
/// Of these, how many may wait for a lock at once. The others are for those who read, and wait for nobody.
pub(super) const WRITERS: usize = 4;

/// A connection that somebody asks something. If the answer does not come, or nobody waits for it, it is closed: the next
/// one would wait for that answer or be given it, and a transaction would go on.
pub(super) struct Asking<M: Manager>(Option<Object<M>>);

impl<M: Manager> Asking<M> {
    pub(super) fn new(connection: Result<Object<M>, deadpool::managed::PoolError<M::Error>>) -> Result<Self, StoreError>
    where
        M::Error: std::error::Error + Send + Sync + 'static,
    {
        Ok(Asking(Some(connection.map_err(StoreError::failed)?)))
    }

    pub(super) fn conn(&mut self) -> &mut Object<M> {
        self.0.as_mut().expect("only the last step takes it")
    }

    /// Gives it back, ready for the next question.
    pub(super) fn answered(mut self) {
        self.0.take();
    }
}

impl<M: Manager> Drop for Asking<M> {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}
