//! All connections of a server, so that they can be counted, closed together and waited for.

use crate::life::Millis;
use crate::{ConnectionId, Link, Losses, Places, Rates, Reason, Wire};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often times are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Connections looked at before others get their turn.
const TURN: usize = 512;

/// A set of running connections. Clones are the same set.
///
/// While there are any, a task looks after the times in [`Limits`](crate::Limits) for all of them: pings who is silent,
/// gives up who does not answer or does not read, closes who is idle. It comes by once a second, so each time is kept
/// to the second, and a connection needs no timer of its own. The task runs where the first connection does; if that
/// runtime ends before the others' connections, the next one that begins starts it again.
#[derive(Clone, Default)]
pub struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    places: Places,
    rates: Rates,
    /// When the first ticker began.
    began: OnceLock<Instant>,
}

#[derive(Default)]
struct Table {
    open: HashMap<ConnectionId, Arc<dyn Member>>,
    /// What those lost that are gone.
    lost: Losses,
    /// Everybody was asked to go; so is who comes now.
    closing: Option<Reason>,
    /// The ticker runs.
    ticking: bool,
}

/// A connection over whatever protocol.
pub(crate) trait Member: Send + Sync {
    fn close(&self, reason: Reason);
    fn cut(&self);
    fn losses(&self) -> Losses;
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

    /// What was lost to peers that read too slowly since the set was made, those that are gone included. Looks at each
    /// connection.
    pub fn losses(&self) -> Losses {
        let (mut losses, members) = {
            let table = self.lock();
            (table.lost, table.open.values().cloned().collect::<Vec<_>>())
        };
        members.iter().for_each(|member| losses += member.losses());
        losses
    }

    /// The places that connections take up: to limit them, or to [take](Places::take) one for a connection that is
    /// about to [begin](crate::Driver::place).
    pub fn places(&self) -> &Places {
        &self.0.places
    }

    /// How fast the peers of these connections may send, to be limited.
    pub fn rates(&self) -> &Rates {
        &self.0.rates
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        self.lock().open.values().cloned().collect()
    }

    /// Waits until there is no connection, and none about to begin that has taken a [place](Self::places).
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn empty(&self) {
        self.0.places.empty().await;
    }

    pub(crate) fn register<W: Wire>(&self, link: Link<W>) -> Registration {
        let id = link.id();
        let mut table = self.lock();
        if let Some(reason) = table.closing {
            link.close(reason.into());
        }
        table.open.insert(id, link.0);
        // Outside a runtime there is nothing to start it on; the next connection will.
        let runtime = if table.ticking { None } else { Handle::try_current().ok() };
        table.ticking |= runtime.is_some();
        // A runtime that is ending drops the ticker at once, which needs the table.
        drop(table);
        if let Some(runtime) = runtime {
            runtime.spawn(Ticker { connections: self.clone(), ended: false }.run());
        }
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
        let mut table = self.connections.lock();
        let link = table.open.remove(&self.id);
        if let Some(link) = &link {
            table.lost += link.losses();
        }
        drop(table);
        // Outside the lock: it may be the last handle.
        drop(link);
    }
}

/// Comes by once a second for as long as there are connections.
struct Ticker {
    connections: Connections,
    /// Said so in the table.
    ended: bool,
}

impl Ticker {
    async fn run(mut self) {
        let inner = self.connections.0.clone();
        let began = *inner.began.get_or_init(Instant::now);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.ended {
            let now = ticks.tick().await.saturating_duration_since(began).as_millis() as Millis;
            for (count, member) in self.connections.members().into_iter().enumerate() {
                member.tick(now);
                if count % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
            }
            let mut table = self.connections.lock();
            self.ended = table.open.is_empty();
            table.ticking = !self.ended;
        }
    }
}

/// If its runtime ends before the connections do, the next connection starts another ticker for those that are left.
impl Drop for Ticker {
    fn drop(&mut self) {
        if !self.ended {
            self.connections.lock().ticking = false;
        }
    }
}
