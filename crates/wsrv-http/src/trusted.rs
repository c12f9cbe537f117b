//! Who is believed when it says for whom it speaks.

use crate::Network;
use crate::network::NetworkSet;
use crate::shared::Shared;
use std::net::IpAddr;

/// The proxies whose word about a client's address counts.
///
/// Clones are handles to the same set; a change holds for every request from then on. It says whose headers
/// [`TrustedProxies`](crate::TrustedProxies) reads, and on a listener who speaks the PROXY protocol
/// ([`ProxyHeader`](crate::ProxyHeader)). Where both are in use, they are better two sets.
///
/// List the proxies, and nobody else: whoever is trusted can claim any address.
///
/// ```
/// use wsrv_http::{Network, TrustedNetworks};
///
/// let trusted = TrustedNetworks::loopback();
/// trusted.trust("192.0.2.0/28".parse::<Network>()?);
/// # Ok::<(), wsrv_http::InvalidNetwork>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedNetworks(Shared<Trusted>);

#[derive(Clone, Debug, Default)]
struct Trusted {
    networks: NetworkSet,
    any_peer: bool,
    without_address: bool,
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
const PRIVATE: [&str; 6] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

impl TrustedNetworks {
    /// Nobody is trusted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This machine: `127.0.0.0/8` and `::1`.
    pub fn loopback() -> Self {
        Self::of(LOOPBACK)
    }

    /// This machine and all private networks: besides [`loopback`](Self::loopback) `10.0.0.0/8`, `172.16.0.0/12`,
    /// `192.168.0.0/16`, `fc00::/7` and the link-local `169.254.0.0/16`, `fe80::/10`.
    ///
    /// For servers that nobody but proxies can reach from there. In an office network, every desk is trusted.
    pub fn private() -> Self {
        let trusted = Self::of(LOOPBACK);
        trusted.extend(parsed(PRIVATE));
        trusted
    }

    fn of<const N: usize>(networks: [&'static str; N]) -> Self {
        let trusted = Self::new();
        trusted.extend(parsed(networks));
        trusted
    }

    /// Whoever connects, with an address or without. Further hops of a chain are trusted only if they are
    /// [listed](Self::trust).
    ///
    /// Only for servers that cannot be reached past their proxy; for all others, anybody chooses the address as which
    /// it is seen.
    pub fn any_peer() -> Self {
        TrustedNetworks(Shared::new(Trusted { any_peer: true, ..Trusted::default() }))
    }

    /// Whether peers without an address are trusted: those at a Unix socket. By default they are not.
    pub fn without_address(self, trust: bool) -> Self {
        self.0.change(|trusted| trusted.without_address = trust);
        self
    }

    /// Trusts an address or a network. Whether that is new.
    pub fn trust(&self, network: impl Into<Network>) -> bool {
        self.extend([network])
    }

    /// Trusts all of these. Whether one is new.
    pub fn extend<N: Into<Network>>(&self, networks: impl IntoIterator<Item = N>) -> bool {
        self.0.change(|trusted| trusted.networks.extend(networks.into_iter().map(Into::into)))
    }

    /// No longer trusts what was trusted with just this network. Whether it was.
    pub fn distrust(&self, network: impl Into<Network>) -> bool {
        self.0.change(|trusted| trusted.networks.remove(network.into()))
    }

    /// Whether a peer is trusted. `None`: it has no address.
    pub fn trusts_peer(&self, peer: impl Into<Option<IpAddr>>) -> bool {
        let trusted = self.0.get();
        trusted.any_peer || peer.into().map_or(trusted.without_address, |peer| trusted.networks.contains(peer))
    }

    /// Whether one is trusted that is not the peer itself.
    pub(crate) fn trusts_hop(&self, hop: IpAddr) -> bool {
        self.0.get().networks.contains(hop)
    }
}

fn parsed<const N: usize>(networks: [&'static str; N]) -> impl Iterator<Item = Network> {
    networks.into_iter().map(|network| network.parse().expect("written right above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_trust_what_their_names_say() {
        let all =
            ["127.0.0.1", "::1", "10.255.0.1", "172.31.0.1", "192.168.1.1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"];
        for (at, addr) in all.into_iter().map(|addr| addr.parse::<IpAddr>().unwrap()).enumerate() {
            assert_eq!(TrustedNetworks::loopback().trusts_peer(addr), at < 2, "{addr}");
            assert!(TrustedNetworks::private().trusts_peer(addr), "{addr}");
            assert!(TrustedNetworks::any_peer().trusts_peer(addr) && !TrustedNetworks::any_peer().trusts_hop(addr));
            assert!(!TrustedNetworks::new().trusts_peer(addr), "{addr}");
        }
        for addr in ["172.32.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::1", "::2"] {
            assert!(!TrustedNetworks::private().trusts_peer(addr.parse::<IpAddr>().unwrap()), "{addr}");
        }
        assert!(!TrustedNetworks::private().trusts_peer(None));
        assert!(TrustedNetworks::new().without_address(true).trusts_peer(None));
    }

    #[test]
    fn trust_ends_where_it_is_taken_back() {
        let (trusted, addr) = (TrustedNetworks::new(), "192.0.2.7".parse::<IpAddr>().unwrap());
        let handle = trusted.clone();
        assert!(handle.trust(addr) && !handle.trust(addr));
        assert!(trusted.trusts_peer(addr));
        assert!(handle.distrust(addr) && !handle.distrust(addr));
        assert!(!trusted.trusts_peer(addr));
    }
}
