//! Addresses that belong together, and sets of them.

use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One IP address, or all that begin with the same bits: `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
///
/// Bits behind the prefix do not count: `10.1.2.3/8` is `10.0.0.0/8`. An IPv4 address that is written as IPv6
/// (`::ffff:192.0.2.7`) is the IPv4 address, here and wherever one is looked up; so no IPv4 address is in an IPv6
/// network, not even in `::/0`. Zones (`fe80::1%eth0`) cannot be told apart: an address is meant in all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

/// A text is neither an IP address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: expected an IP address, or one with a prefix length such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl Network {
    /// The addresses that share their first `prefix_len` bits with this one.
    ///
    /// # Errors
    ///
    /// The address has fewer bits: 32 for IPv4, 128 for IPv6.
    pub fn new(addr: IpAddr, prefix_len: u8) -> Result<Self, InvalidNetwork> {
        let (addr, prefix_len) = match (addr, addr.to_canonical()) {
            (IpAddr::V6(_), mapped @ IpAddr::V4(_)) if prefix_len >= 96 => (mapped, prefix_len - 96),
            _ => (addr, prefix_len),
        };
        match IpNet::new(addr, prefix_len) {
            Ok(net) => Ok(Network(net.trunc())),
            Err(_) => Err(InvalidNetwork(format!("{addr}/{prefix_len}"))),
        }
    }

    /// Whether the address is one of these.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.contains(&addr.to_canonical())
    }
}

impl From<IpAddr> for Network {
    fn from(addr: IpAddr) -> Self {
        Network(addr.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let Some((addr, prefix_len)) = text.split_once('/') else {
            return Ok(text.parse::<IpAddr>().map_err(|_| invalid())?.into());
        };
        // `parse` alone would let a sign pass.
        if !prefix_len.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let (addr, prefix_len) = (addr.parse().map_err(|_| invalid())?, prefix_len.parse().map_err(|_| invalid())?);
        Self::new(addr, prefix_len).map_err(|_| invalid())
    }
}

/// A single address without its length.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Networks, of which one is found in logarithmic time.
#[derive(Clone, Default)]
pub(crate) struct NetworkSet {
    /// As they were put in, so that they can be taken out again.
    listed: BTreeSet<Network>,
    /// Those that are in no other, in ascending order. Networks overlap only if one is in the other, so these do not.
    outermost: Vec<Network>,
}

impl NetworkSet {
    /// Adds networks. Whether there was a new one.
    pub(crate) fn extend(&mut self, networks: impl IntoIterator<Item = Network>) -> bool {
        let before = self.listed.len();
        self.listed.extend(networks);
        self.index();
        self.listed.len() > before
    }

    /// Takes out a network. Whether it was there; one that is part of another is not.
    pub(crate) fn remove(&mut self, network: Network) -> bool {
        let was_there = self.listed.remove(&network);
        self.index();
        was_there
    }

    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        let behind = self.outermost.partition_point(|network| network.0.addr() <= addr);
        self.outermost[..behind].last().is_some_and(|network| network.contains(addr))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Network> {
        self.listed.iter().copied()
    }

    fn index(&mut self) {
        self.outermost.clear();
        // In this order a network comes before those that are in it.
        for network in &self.listed {
            if !self.outermost.last().is_some_and(|outer| outer.0.contains(&network.0)) {
                self.outermost.push(*network);
            }
        }
    }
}

impl FromIterator<Network> for NetworkSet {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut set = Self::default();
        set.extend(networks);
        set
    }
}

impl fmt::Debug for NetworkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.listed).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_written_in_one_way() {
        for (text, normal) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::1", "::1"),
            ("2001:DB8::7/32", "2001:db8::/32"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).to_string(), normal, "{text}");
        }
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0",
            "010.0.0.0",
            "::1/129",
            "[::1]",
            "fe80::1%eth0",
            "fe80::1%eth0/64",
            "10.0.0.0/255.0.0.0",
            " 10.0.0.1",
            "localhost",
            "1.2.3.4:80",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_ipv4_address_is_the_same_in_both_ways_of_writing_and_in_no_ipv6_network() {
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert!(network("192.0.2.0/24").contains(mapped));
        assert!(network("::ffff:192.0.2.0/120").contains("192.0.2.7".parse().unwrap()));
        assert!(!network("::/0").contains(mapped));
        assert!(!network("0.0.0.0/0").contains("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_taken_out_of_a_set_uncovers_what_was_in_it() {
        let mut set: NetworkSet = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"].map(network).into_iter().collect();
        let addr = "10.1.2.3".parse().unwrap();
        assert!(!set.remove(network("10.1.0.0/24")), "never put in as such");
        for outer in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"] {
            assert!(set.contains(addr));
            assert!(set.remove(network(outer)));
        }
        assert!(!set.contains(addr));
        assert!(set.extend([network("10.0.0.0/8")]) && !set.extend([network("10.9.9.9/8")]));
    }

    fn addr() -> impl Strategy<Value = IpAddr> {
        // Few bits differ, so that networks often hold the addresses and each other.
        prop_oneof![
            (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Ipv4Addr::new(10, a & 3, 0, b & 7).into()),
            (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Ipv4Addr::new(10, a & 3, 0, b & 7).to_ipv6_mapped().into()),
            (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Ipv6Addr::new(0xfe80, a & 3, 0, 0, 0, 0, 0, b & 7).into()),
        ]
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_networks_holds(
            listed in proptest::collection::vec((addr(), 0u8..=128), 0..12),
            asked in proptest::collection::vec(addr(), 20),
        ) {
            let networks: Vec<Network> =
                listed.into_iter().filter_map(|(addr, len)| Network::new(addr, len).ok()).collect();
            let set: NetworkSet = networks.iter().copied().collect();
            for addr in asked {
                prop_assert_eq!(set.contains(addr), networks.iter().any(|network| network.contains(addr)));
            }
        }
    }
}
