//! Which addresses may connect.

use crate::network::NetworkSet;
use crate::shared::Shared;
use crate::{Gate, Network, Opening, Rejection, Stage};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A block list and an allow list of addresses.
///
/// Clones are handles to the same lists, and a change holds for everybody who is looked up from then on. To look an
/// address up takes logarithmic time, and waits for no change; a change takes time in proportion to the lists, so many
/// networks are best put in [at once](Addresses::block_all).
///
/// - Who is on the block list is refused, also if it is on the allow list.
/// - Without an allow list everybody else passes. The first [`allow`](Addresses::allow) makes one; from then on only
///   those on it pass, until [`allow_everybody`](Addresses::allow_everybody) gives it up. A list that has become empty
///   lets nobody in.
/// - Who has no address (at a Unix socket) is on no list. An allow list refuses it, unless
///   [`allow_unknown`](Addresses::allow_unknown) says otherwise.
///
/// The answer is 403, or none at all ([`silent`](Addresses::silent)).
///
/// As a [`Gate`] it looks at [`Opening::remote_addr`], which behind a [trusted proxy](crate::TrustedProxies) is the
/// client's. A listener that nobody reaches through a proxy can [`check`](Addresses::check) a socket right after it
/// was accepted, before it spends anything on it.
///
/// ```
/// use std::net::IpAddr;
/// use wsrv_http::{Addresses, Network};
///
/// let addresses = Addresses::new();
/// addresses.block("203.0.113.0/24".parse::<Network>()?);
/// assert!(!addresses.admits(IpAddr::from([203, 0, 113, 7])));
/// # Ok::<(), wsrv_http::InvalidNetwork>(())
/// ```
#[derive(Clone, Default)]
pub struct Addresses {
    rules: Shared<Rules>,
    watchers: Arc<Mutex<Vec<Watcher>>>,
}

type Watcher = Arc<dyn Fn(&Addresses) + Send + Sync>;

#[derive(Clone, Debug, Default)]
struct Rules {
    blocked: NetworkSet,
    allowed: Option<NetworkSet>,
    allow_unknown: bool,
    silent: bool,
}

impl Addresses {
    /// Nobody is blocked, and there is no allow list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether those who may not connect are dropped without a word instead of being answered with 403. Default
    /// `false`.
    pub fn silent(self, silent: bool) -> Self {
        self.rules.change(|rules| rules.silent = silent);
        self
    }

    /// Whether an allow list lets in who has no address. Default `false`.
    pub fn allow_unknown(self, allow: bool) -> Self {
        self.rules.change(|rules| rules.allow_unknown = allow);
        self.tell_of(!allow);
        self
    }

    /// Puts an address or a network on the block list. Whether it was not there yet.
    pub fn block(&self, network: impl Into<Network>) -> bool {
        self.block_all([network])
    }

    /// Puts all of these on the block list. Whether one was not there yet.
    pub fn block_all<N: Into<Network>>(&self, networks: impl IntoIterator<Item = N>) -> bool {
        let networks: Vec<Network> = networks.into_iter().map(Into::into).collect();
        let is_new = self.rules.change(|rules| rules.blocked.extend(networks));
        self.tell_of(is_new)
    }

    /// Takes just this entry off the block list. Whether it was there: an address in a blocked network is not.
    pub fn unblock(&self, network: impl Into<Network>) -> bool {
        let network = network.into();
        self.rules.change(|rules| rules.blocked.remove(network))
    }

    /// The entries of the block list, in ascending order.
    pub fn blocked(&self) -> Vec<Network> {
        self.rules.get().blocked.iter().collect()
    }

    /// Puts an address or a network on the allow list, and makes one if there is none. Whether it was not there yet.
    pub fn allow(&self, network: impl Into<Network>) -> bool {
        self.allow_all([network])
    }

    /// Puts all of these on the allow list, and makes one if there is none, even of nobody. Whether one was not there
    /// yet.
    pub fn allow_all<N: Into<Network>>(&self, networks: impl IntoIterator<Item = N>) -> bool {
        let networks: Vec<Network> = networks.into_iter().map(Into::into).collect();
        let (is_new, is_first) = self.rules.change(|rules| {
            let is_first = rules.allowed.is_none();
            (rules.allowed.get_or_insert_default().extend(networks), is_first)
        });
        self.tell_of(is_first);
        is_new
    }

    /// Takes just this entry off the allow list. Whether it was there.
    pub fn disallow(&self, network: impl Into<Network>) -> bool {
        let network = network.into();
        let was_there =
            self.rules.change(|rules| rules.allowed.as_mut().is_some_and(|allowed| allowed.remove(network)));
        self.tell_of(was_there)
    }

    /// Gives up the allow list.
    pub fn allow_everybody(&self) {
        self.rules.change(|rules| rules.allowed = None);
    }

    /// The entries of the allow list in ascending order; `None` if there is no such list.
    pub fn allowed(&self) -> Option<Vec<Network>> {
        self.rules.get().allowed.as_ref().map(|allowed| allowed.iter().collect())
    }

    /// Whether this address may connect. `None`: it is not known.
    pub fn admits(&self, addr: impl Into<Option<IpAddr>>) -> bool {
        self.rules.get().refuse(addr.into()).is_none()
    }

    /// The same, as what the gate says of a request from there: to be asked before there is one.
    ///
    /// # Errors
    ///
    /// 403, with the rule in its note; silent if that is wanted.
    pub fn check(&self, addr: impl Into<Option<IpAddr>>) -> Result<(), Rejection> {
        let (rules, addr) = (self.rules.get(), addr.into());
        let Some(rule) = rules.refuse(addr) else { return Ok(()) };
        let addr = addr.map_or_else(|| "an unknown address".to_owned(), |addr| addr.to_canonical().to_string());
        let rejection = Rejection::forbidden("this address may not connect").because("address");
        Err(rejection.note(format!("{addr} {rule}")).silent(rules.silent))
    }

    /// Calls `watcher` after every change by which somebody may have lost the right to connect, in the thread that made
    /// it. Who holds open connections closes those whose address is no longer [admitted](Addresses::admits).
    ///
    /// A connection that was admitted before the change may be established after it: whoever establishes connections
    /// asks once more as soon as the new one can be found by the watcher.
    ///
    /// The watcher is kept as long as the lists are. It may change them, but is then called again.
    pub fn watch(&self, watcher: impl Fn(&Addresses) + Send + Sync + 'static) {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(watcher));
    }

    /// Tells the watchers, if there is something to tell; passes on whether there is.
    fn tell_of(&self, change: bool) -> bool {
        if change {
            // Not under the lock: a watcher may come back here.
            let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner).clone();
            watchers.iter().for_each(|watcher| watcher(self));
        }
        change
    }
}

impl Rules {
    /// By which rule the address is refused, if it is.
    fn refuse(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        match (addr, &self.allowed) {
            (Some(addr), _) if self.blocked.contains(addr) => Some("is on the block list"),
            (_, None) => None,
            (Some(addr), Some(allowed)) if allowed.contains(addr) => None,
            (None, Some(_)) if self.allow_unknown => None,
            (_, Some(_)) => Some("is not on the allow list"),
        }
    }
}

impl Gate for Addresses {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.check(opening.remote_addr().map(|addr| addr.ip()))
    }

    fn stage(&self) -> Stage {
        Stage::Address
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.get();
        f.debug_struct("Addresses")
            .field("blocked", &rules.blocked)
            .field("allowed", &rules.allowed)
            .field("allow_unknown", &rules.allow_unknown)
            .field("silent", &rules.silent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::opening;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn passes(addresses: &Addresses, addr: &str) -> bool {
        addresses.admits(addr.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_blocked_address_is_refused_however_it_is_written() {
        let addresses = Addresses::new();
        assert!(passes(&addresses, "192.0.2.7"));
        assert!(addresses.block_all(["192.0.2.7", "10.0.0.0/8", "::ffff:198.51.100.0/120", "fe80::/10"].map(network)));
        for (addr, blocked) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("198.51.100.7", true),
            ("fe80::1", true),
            ("::1", false),
        ] {
            assert_eq!(passes(&addresses, addr), !blocked, "{addr}");
        }
        assert!(addresses.admits(None), "who has no address is on no list");
        assert!(!addresses.unblock(network("10.1.2.3")), "only its network is blocked");
        assert!(addresses.clone().unblock(network("10.0.0.0/8")) && passes(&addresses, "10.1.2.3"));
        assert_eq!(addresses.blocked(), ["192.0.2.7", "198.51.100.0/24", "fe80::/10"].map(network));
    }

    #[test]
    fn an_allow_list_lets_in_nobody_else_and_gives_no_leave_to_the_blocked() {
        let addresses = Addresses::new();
        assert!(addresses.allow(network("10.0.0.0/8")));
        addresses.block(network("10.6.6.6"));
        assert!(passes(&addresses, "10.1.2.3"));
        assert!(!passes(&addresses, "10.6.6.6") && !passes(&addresses, "192.0.2.7"));
        assert!(!addresses.admits(None));
        assert!(addresses.clone().allow_unknown(true).admits(None));
        assert!(addresses.disallow(network("10.0.0.0/8")));
        assert!(!passes(&addresses, "192.0.2.7"), "an empty list lets nobody in");
        assert_eq!(addresses.allowed(), Some(Vec::new()));
        addresses.allow_everybody();
        assert!(passes(&addresses, "192.0.2.7") && !passes(&addresses, "10.6.6.6"));
        assert_eq!(addresses.allowed(), None);
        addresses.allow_all(Vec::<Network>::new());
        assert!(!passes(&addresses, "192.0.2.7"), "a list of nobody is a list");
    }

    #[tokio::test]
    async fn the_gate_looks_at_the_address_as_other_gates_have_left_it() {
        let addresses = Addresses::new();
        addresses.block(network("192.0.2.7"));
        let mut opening = opening("");
        assert!(addresses.admit(&mut opening).await.is_ok());
        opening.set_remote_addr(Some("[::ffff:192.0.2.7]:80".parse().unwrap()));
        let rejection = addresses.admit(&mut opening).await.unwrap_err();
        assert_eq!((rejection.status().as_u16(), rejection.reason(), rejection.is_silent()), (403, "address", false));
        assert_eq!(rejection.log_note(), Some("192.0.2.7 is on the block list"));
        assert!(!rejection.encode("GET").windows(9).any(|bytes| bytes == b"192.0.2.7"), "the peer is not told");
        let addresses = addresses.silent(true);
        assert!(addresses.admit(&mut opening).await.unwrap_err().is_silent());
    }

    #[test]
    fn watchers_are_told_of_what_takes_a_right_away_and_of_nothing_else() {
        let (addresses, told) = (Addresses::new(), Arc::new(AtomicUsize::new(0)));
        let count = told.clone();
        addresses.watch(move |addresses| {
            assert!(!passes(addresses, "192.0.2.7"), "the change is in force");
            count.fetch_add(1, Ordering::Relaxed);
        });
        let mut expected = 0;
        let mut step = |name: &str, is_told: bool| {
            expected += usize::from(is_told);
            assert_eq!(told.load(Ordering::Relaxed), expected, "{name}");
        };
        let addr = network("192.0.2.7");
        addresses.block(addr);
        step("block", true);
        addresses.block(addr);
        step("block again", false);
        addresses.unblock(addr);
        step("unblock", false);
        addresses.allow(network("10.0.0.0/8"));
        step("the first allow", true);
        addresses.allow(network("11.0.0.0/8"));
        step("another allow", false);
        addresses.disallow(network("10.0.0.0/8"));
        step("disallow", true);
        let addresses = addresses.allow_unknown(true);
        step("allow unknown", false);
        let addresses = addresses.allow_unknown(false);
        step("disallow unknown", true);
        addresses.allow_everybody();
        step("allow everybody", false);
    }

    #[test]
    fn a_watcher_may_change_the_lists() {
        let addresses = Addresses::new();
        addresses.watch(|addresses| {
            addresses.block(network("10.0.0.0/8"));
        });
        addresses.block(network("192.0.2.7"));
        assert!(!passes(&addresses, "10.1.2.3"));
    }
}
