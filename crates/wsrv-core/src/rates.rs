//! How fast peers may come and send.

use crate::site::Site;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// So many a second in the long run, and so many at once by somebody who has been quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// So many a second, and as many at once. 0 counts as 1.
    pub const fn per_second(number: u32) -> Self {
        let number = if number == 0 { 1 } else { number };
        Rate { per_second: number, burst: number }
    }

    /// Sets how many may come at once. 0 counts as 1.
    pub const fn with_burst(mut self, number: u32) -> Self {
        self.burst = if number == 0 { 1 } else { number };
        self
    }

    /// The time after which one more may come, in the long run.
    pub fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// How many may come at once.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Nanoseconds in which so many may come.
    fn time(self, number: u64) -> u64 {
        let time = u128::from(number) * 1_000_000_000 / u128::from(self.per_second);
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}

/// What is done about a peer that sends faster than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverRate {
    /// It is not read until it may send again, so that it is slowed by its own transport.
    #[default]
    Slow,
    /// The connection is closed with [`Reason::Policy`](crate::Reason::Policy).
    Close,
}

/// How fast the peers of one address may come and send, all their connections together. By default they may do so
/// without limits.
///
/// ```
/// use wsrv_core::{Rate, RateLimits};
///
/// let limits = RateLimits::default()
///     .with_messages(Rate::per_second(100).with_burst(500))
///     .with_handshakes(Rate::per_second(5).with_burst(50));
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RateLimits {
    /// Messages.
    pub messages: Option<Rate>,
    /// Bytes of the stream, whatever they mean: of a message that is compressed, what is on the wire, and not the up to
    /// thousandfold that comes out. How much comes out at once, the limit of messages bounds, and how much in a turn, their
    /// sizes; who wants it bounded over time counts messages. A single read may exceed it, by 64 KiB as a rule and by the rest of a large
    /// message at most; that is made up for.
    pub bytes: Option<Rate>,
    /// Opening handshakes, for servers that [ask](Rates::admit_handshake).
    pub handshakes: Option<Rate>,
    /// What happens to a connection over the rate of messages or bytes. Default [`OverRate::Slow`].
    pub over: OverRate,
}

impl RateLimits {
    /// Sets how many messages may come.
    pub const fn with_messages(mut self, rate: Rate) -> Self {
        self.messages = Some(rate);
        self
    }

    /// Sets how many bytes may come.
    pub const fn with_bytes(mut self, rate: Rate) -> Self {
        self.bytes = Some(rate);
        self
    }

    /// Sets how many opening handshakes may come.
    pub const fn with_handshakes(mut self, rate: Rate) -> Self {
        self.handshakes = Some(rate);
        self
    }

    /// Sets what happens to a connection over its rate.
    pub const fn with_over(mut self, over: OverRate) -> Self {
        self.over = over;
        self
    }
}

/// Accounts of what has come from each address. Clones are the same accounts.
///
/// As with [`Places`](crate::Places), IPv6 addresses with the same first 64 bits count as one. An account is kept while
/// it has something to remember, so who leaves and comes back has won nothing. A peer without an address has an
/// account of its own.
#[derive(Clone, Default)]
pub struct Rates(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: Mutex<Table>,
    /// What times are counted from.
    began: OnceLock<Instant>,
}

#[derive(Default)]
struct Table {
    limits: RateLimits,
    by_site: HashMap<Site, Arc<Mutex<Used>>>,
    /// So many accounts are looked through for those that have nothing left to remember.
    full: usize,
}

/// When all of what has come would have come at the rate that is allowed, in nanoseconds.
#[derive(Default)]
struct Used {
    messages: u64,
    bytes: u64,
    handshakes: u64,
}

/// Below so many, no account is worth a look.
const FEW: usize = 1024;
/// After so long it is looked again whether a peer may send.
const LONG: Duration = Duration::from_secs(60);

impl Rates {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limits. For messages and bytes, this is for the connections that begin from now on.
    pub fn set(&self, limits: RateLimits) {
        self.lock().limits = limits;
    }

    /// The limits as they are now.
    pub fn limits(&self) -> RateLimits {
        self.lock().limits
    }

    /// Whether somebody from this address may begin an opening handshake. If so, it counts.
    pub fn admit_handshake(&self, addr: Option<IpAddr>) -> bool {
        let mut table = self.lock();
        let (Some(rate), Some(addr)) = (table.limits.handshakes, addr) else { return true };
        let now = self.now();
        let account = table.account(addr, now);
        drop(table);
        let mut used = lock(&account);
        let may = due(used.handshakes, rate, 1) <= now;
        if may {
            add(&mut used.handshakes, now, rate, 1);
        }
        may
    }

    /// The account of a connection, if anything is limited.
    pub(crate) fn account(&self, addr: Option<IpAddr>) -> Option<Box<Account>> {
        let mut table = self.lock();
        let limits = table.limits;
        if limits.messages.is_none() && limits.bytes.is_none() {
            return None;
        }
        let used = match addr {
            Some(addr) => table.account(addr, self.now()),
            None => Arc::default(),
        };
        drop(table);
        Some(Box::new(Account { rates: self.clone(), limits, used, slot: None, wake: None }))
    }

    fn now(&self) -> u64 {
        let began = self.0.began.get_or_init(Instant::now);
        u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn account(&mut self, addr: IpAddr, now: u64) -> Arc<Mutex<Used>> {
        if self.by_site.len() >= self.full.max(FEW) {
            self.by_site.retain(|_, used| {
                let is_held = Arc::strong_count(used) > 1;
                let used = lock(used);
                is_held || used.messages.max(used.bytes).max(used.handshakes) > now
            });
            self.full = 2 * self.by_site.len();
        }
        self.by_site.entry(addr.into()).or_default().clone()
    }
}

fn lock(used: &Mutex<Used>) -> MutexGuard<'_, Used> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(used: &mut u64, now: u64, rate: Rate, number: u64) {
    *used = (*used).max(now).saturating_add(rate.time(number));
}

/// When `number` more may come.
fn due(used: u64, rate: Rate, number: u64) -> u64 {
    used.saturating_add(rate.time(number)).saturating_sub(rate.time(rate.burst.into()))
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.lock();
        f.debug_struct("Rates").field("limits", &table.limits).field("accounts", &table.by_site.len()).finish()
    }
}

/// What one connection uses of its address's account.
pub(crate) struct Account {
    rates: Rates,
    limits: RateLimits,
    used: Arc<Mutex<Used>>,
    /// When its next message may come, which is counted already: each waits for a time of its own, in turn.
    slot: Option<u64>,
    /// When a peer that is slowed will be read again.
    wake: Option<Pin<Box<Sleep>>>,
}

impl Account {
    /// Counts a message. False: it has come too early, and the connection is to be closed.
    pub(crate) fn message(&mut self) -> bool {
        let Some(rate) = self.limits.messages else { return true };
        if self.slot.take().is_some() {
            return true;
        }
        let (now, mut used) = (self.rates.now(), lock(&self.used));
        let in_time = due(used.messages, rate, 1) <= now;
        add(&mut used.messages, now, rate, 1);
        in_time || self.limits.over == OverRate::Slow
    }

    /// Counts bytes. False: these were too many, and the connection is to be closed.
    pub(crate) fn bytes(&mut self, number: usize) -> bool {
        let Some(rate) = self.limits.bytes else { return true };
        let (now, mut used) = (self.rates.now(), lock(&self.used));
        add(&mut used.bytes, now, rate, number as u64);
        due(used.bytes, rate, 0) <= now || self.limits.over == OverRate::Slow
    }

    /// Ready when the peer may send on.
    pub(crate) fn poll_may_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.limits.over == OverRate::Close {
            return Poll::Ready(());
        }
        loop {
            let (now, mut used) = (self.rates.now(), lock(&self.used));
            let message = match (self.slot, self.limits.messages) {
                (Some(slot), _) => slot,
                (None, None) => 0,
                (None, Some(rate)) => {
                    let due = due(used.messages, rate, 1);
                    if due > now {
                        add(&mut used.messages, now, rate, 1);
                        self.slot = Some(due);
                    }
                    due
                }
            };
            let bytes = self.limits.bytes.map_or(0, |rate| due(used.bytes, rate, 0));
            drop(used);
            let wait = message.max(bytes).saturating_sub(now);
            if wait == 0 {
                self.wake = None;
                return Poll::Ready(());
            }
            let until = Instant::now() + Duration::from_nanos(wait).min(LONG);
            let wake = self.wake.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if wake.deadline() < until {
                // Others have used the account meanwhile.
                wake.as_mut().reset(until);
            }
            std::task::ready!(wake.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_are_admitted_at_their_rate() {
        let rates = Rates::new();
        assert!((0..1000).all(|_| rates.admit_handshake(addr(1))), "there is no limit at first");
        rates.set(RateLimits::default().with_handshakes(Rate::per_second(2).with_burst(3)));
        let admitted = |from| (0..10).filter(|_| rates.admit_handshake(from)).count();
        assert_eq!((admitted(addr(1)), admitted(addr(1)), admitted(addr(2))), (3, 0, 3));
        tokio::time::advance(Duration::from_millis(499)).await;
        assert_eq!(admitted(addr(1)), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(admitted(addr(1)), 1);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(admitted(addr(1)), 3);
        assert_eq!(admitted(None), 10, "who has no address is not counted");
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_kept_as_long_as_they_remember_something() {
        let rates = Rates::new();
        rates.set(RateLimits::default().with_handshakes(Rate::per_second(1)));
        let come = |number: u32| (0..number).all(|n| rates.admit_handshake(Some(IpAddr::from(n.to_be_bytes()))));
        assert!(come(5000));
        assert_eq!(rates.lock().by_site.len(), 5000);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(come(5000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!((0..10_000_u32).all(|n| rates.admit_handshake(Some(IpAddr::from((n << 8).to_be_bytes())))));
        assert!(rates.lock().by_site.len() <= 11_000, "{rates:?}");
    }
}
