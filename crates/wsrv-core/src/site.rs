//! Whom an address stands for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An IPv4 address that is written as an IPv6 one is the IPv4 address.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// What counts as one address. A subscriber of IPv6 is given a whole /64, so single addresses of it say nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    V4(Ipv4Addr),
    V6([u8; 8]),
}

impl From<IpAddr> for Site {
    fn from(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(addr) => Site::V4(addr),
            IpAddr::V6(addr) => {
                let [a, b, c, d, e, f, g, h, ..] = addr.octets();
                Site::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}
