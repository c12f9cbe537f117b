//! All connections of a server, so that they can be counted, closed together and waited for.

use crate::life::Millis;
use crate::observe::{self, Observer};
use crate::shared::Shared;
use crate::{ConnectionId, Farewell, Losses, Places, Rates, Wire};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

/// How often times are looked at.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Connections looked at before others get their turn.
const TURN: usize = 512;

/// A set of running connections. Clones are the same set.
///
/// While there are any, a task looks after the times in [`Limits`](crate::Limits) for all of them: pings who is silent,
/// gives up who does not answer or does not read, closes who is idle. It comes by once a second, so each time is kept
/// to the second, and a connection needs no timer of its own. The task runs where the first connection does; if that
/// runtime ends before the others' connections, the next one that begins starts it again.
///
/// The same task warns of a handler that keeps a thread of the runtime to itself (see [`Driver::run`](crate::Driver::run)).
#[derive(Clone, Default)]
pub struct Connections(Arc<Named>);

/// One `Arc` for both, so that a connection holds a single pointer.
#[derive(Default)]
struct Named {
    set: Arc<Set>,
    name: Option<Box<str>>,
    /// Its connections are closed without the last message of a farewell.
    wordless: bool,
}

#[derive(Default)]
struct Set {
    table: Mutex<Table>,
    places: Places,
    rates: Rates,
    observer: OnceLock<Box<dyn Observer>>,
    /// When the first ticker began.
    began: OnceLock<Instant>,
}

#[derive(Default)]
struct Table {
    open: HashMap<ConnectionId, Arc<dyn Member>>,
    /// What those lost that are gone.
    lost: Losses,
    /// Everybody was asked to go; so is who comes now.
    closing: Option<Farewell>,
    /// The ticker runs.
    ticking: bool,
}

/// A connection over whatever protocol.
pub(crate) trait Member: Send + Sync {
    fn close(&self, farewell: &Farewell);
    fn cut(&self);
    fn losses(&self) -> Losses;
    fn remote_addr(&self) -> Option<SocketAddr>;
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

    /// The same set under a name, for logs and the [observer](Self::observe): whoever is tracked by what this returns is
    /// told with it. A server uses the route's path.
    pub fn named(&self, name: impl Into<String>) -> Self {
        let Named { set, wordless, .. } = &*self.0;
        Connections(Arc::new(Named { set: set.clone(), name: Some(name.into().into()), wordless: *wordless }))
    }

    /// The same set, for connections that are closed without the [message](Farewell::message) of a farewell: those on which
    /// a layer speaks a protocol that the message is not of.
    pub fn without_last_message(&self) -> Self {
        let Named { set, name, .. } = &*self.0;
        Connections(Arc::new(Named { set: set.clone(), name: name.clone(), wordless: true }))
    }

    pub(crate) fn is_wordless(&self) -> bool {
        self.0.wordless
    }

    /// The name given with [`named`](Self::named).
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Has `observer` told what happens to connections that begin from now on. Of several, one has to tell the others.
    ///
    /// # Panics
    ///
    /// If the set has an observer already.
    pub fn observe(&self, observer: impl Observer) {
        let first = self.0.set.observer.set(Box::new(observer)).is_ok();
        assert!(first, "these connections have an observer already");
    }

    /// Tells the observer, if there is one: what a server has to say that no connection knows. A panic is caught.
    pub fn tell(&self, event: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = self.0.set.observer.get() {
            observe::tell(&**observer, event);
        }
    }

    /// Closes every connection, and from now on each new one as soon as it is established. Does not wait.
    pub fn close_all(&self, farewell: impl Into<Farewell>) {
        let farewell = farewell.into();
        self.lock().closing = Some(farewell.clone());
        self.members().iter().for_each(|member| member.close(&farewell));
    }

    /// Closes every connection as [`close_all`](Self::close_all), but those that there are now in random order, spread
    /// evenly over `window`, so that their clients do not all come back at once. New ones are closed as soon as they are
    /// established. Ready when all were asked to close; does not wait for their goodbyes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, those whose turn has not come go on, and new ones are still closed.
    pub async fn close_all_within(&self, window: Duration, farewell: impl Into<Farewell>) {
        let farewell = farewell.into();
        let mut members: Vec<(ConnectionId, Weak<dyn Member>)> = {
            let mut table = self.lock();
            table.closing = Some(farewell.clone());
            table.open.iter().map(|(id, member)| (*id, Arc::downgrade(member))).collect()
        };
        let order = RandomState::new();
        members.sort_by_cached_key(|(id, _)| order.hash_one(id));
        let began = Instant::now();
        let all = members.len() as f64;
        for (count, (_, member)) in members.into_iter().enumerate() {
            let early = window.mul_f64(count as f64 / all).saturating_sub(began.elapsed());
            if !early.is_zero() {
                tokio::time::sleep(early).await;
            } else if count % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            if let Some(member) = member.upgrade() {
                member.close(&farewell);
            }
        }
    }

    /// Closes the connections from certain addresses (`None`: the peer's transport has none) and returns how many they
    /// are. Does not wait.
    pub fn close_where(
        &self,
        mut is_meant: impl FnMut(Option<SocketAddr>) -> bool,
        farewell: impl Into<Farewell>,
    ) -> usize {
        let farewell = farewell.into();
        let mut members = self.members();
        members.retain(|member| is_meant(member.remote_addr()));
        members.iter().for_each(|member| member.close(&farewell));
        members.len()
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
        &self.0.set.places
    }

    /// How fast the peers of these connections may send, to be limited.
    pub fn rates(&self) -> &Rates {
        &self.0.set.rates
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
        self.0.set.places.empty().await;
    }

    pub(crate) fn has_observer(&self) -> bool {
        self.0.set.observer.get().is_some()
    }

    /// Counts in a connection that is tracked by this set.
    pub(crate) fn register<W: Wire>(&self, shared: Arc<Shared<W>>) -> Registration<W> {
        let mut table = self.lock();
        table.open.insert(shared.id, shared.clone());
        let closing = table.closing.clone();
        // Outside a runtime there is nothing to start it on; the next connection will.
        let runtime = if table.ticking { None } else { Handle::try_current().ok() };
        table.ticking |= runtime.is_some();
        // A runtime that is ending drops the ticker at once, which needs the table.
        drop(table);
        if let Some(runtime) = runtime {
            runtime.spawn(Ticker { connections: self.clone(), ended: false }.run());
        }
        if let Some(farewell) = closing {
            Member::close(&*shared, &farewell);
        }
        Registration(shared)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.set.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("open", &self.len()).finish_non_exhaustive()
    }
}

/// Takes the connection out of the set when dropped.
pub(crate) struct Registration<W: Wire>(Arc<Shared<W>>);

impl<W: Wire> Drop for Registration<W> {
    fn drop(&mut self) {
        if let Some(connections) = self.0.connections() {
            // Not under the table's lock. The outbox is of no more use, so it does not change.
            let lost = self.0.lock().lost();
            let mut table = connections.lock();
            table.lost += lost;
            let link = table.open.remove(&self.0.id);
            drop(table);
            // Outside the lock: it may be the last handle.
            drop(link);
        }
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
        let set = self.connections.0.set.clone();
        let began = *set.began.get_or_init(Instant::now);
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
