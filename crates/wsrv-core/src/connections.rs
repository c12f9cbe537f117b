//! All connections of a server, so that they can be counted, closed together and waited for.

use crate::life::Millis;
use crate::{ConnectionId, Link, Reason, Wire};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

/// How often times are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Connections looked at before others get their turn.
const TURN: usize = 512;

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
    open: HashMap<ConnectionId, Arc<dyn Member>>,
    /// Everybody was asked to go; so is who comes now.
    closing: Option<Reason>,
}

/// A connection over whatever protocol.
pub(crate) trait Member: Send + Sync {
    fn close(&self, reason: Reason);
    fn cut(&self);
    /// Looks after the connection's times.
    fn tick(&self, now: Millis);
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
        self.lock().closing = Some(reason);
        self.members().iter().for_each(|member| member.close(reason));
    }

    /// Cuts every connection there is and returns how many there were.
    pub fn cut_all(&self) -> usize {
        let members = self.members();
        members.iter().for_each(|member| member.cut());
        members.len()
    }

    /// Keeps the times in [`Limits`](crate::Limits) for all connections of the set, for as long as it is polled: pings
    /// who is silent, gives up who does not answer or does not read, closes who is idle. Never ready.
    ///
    /// Looks about once a second, so each time is kept to the second; a set needs one of these, not one per
    /// connection. A server of `wsrv-app` does it by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it just stops looking.
    pub async fn keep_alive(&self) {
        let began = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await.duration_since(began).as_millis() as Millis;
            for (count, member) in self.members().into_iter().enumerate() {
                member.tick(now);
                if count % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        self.lock().open.values().cloned().collect()
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
        table.open.insert(id, link.0);
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
