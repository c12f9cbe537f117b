//! All connections of a server, so that they can be counted, closed together and waited for.

use crate::{ConnectionId, Link, Reason, Wire};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A set of running connections. Clones are the same set.
#[derive(Clone, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Default)]
struct Table {
    open: HashMap<ConnectionId, Box<dyn Member>>,
    /// Everybody was asked to go; so is who comes now.
    closing: Option<Reason>,
}

trait Member: Send {
    fn close(&self, reason: Reason);
    fn cut(&self);
}

impl<W: Wire> Member for Link<W> {
    fn close(&self, reason: Reason) {
        Link::close(self, reason.into());
    }

    fn cut(&self) {
        Link::cut(self);
    }
}

impl Connections {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections there are now.
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes every connection, and from now on each new one as soon as it is established. Does not wait.
    pub fn close_all(&self, reason: Reason) {
        let mut table = self.lock();
        table.closing = Some(reason);
        table.open.values().for_each(|member| member.close(reason));
    }

    /// Cuts every connection there is and returns how many there were.
    pub fn cut_all(&self) -> usize {
        let table = self.lock();
        table.open.values().for_each(|member| member.cut());
        table.open.len()
    }

    /// Waits until there is no connection.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    pub(crate) fn register<W: Wire>(&self, link: Link<W>) -> Registration {
        let id = link.id();
        let mut table = self.lock();
        if let Some(reason) = table.closing {
            link.close(reason.into());
        }
        table.open.insert(id, Box::new(link));
        Registration { connections: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("open", &self.len()).finish_non_exhaustive()
    }
}

/// Takes the connection out of the set when dropped.
pub(crate) struct Registration {
    connections: Connections,
    id: ConnectionId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (_link, last) = {
            let mut table = self.connections.lock();
            (table.open.remove(&self.id), table.open.is_empty())
        };
        if last {
            self.connections.0.emptied.notify_waiters();
        }
    }
}
