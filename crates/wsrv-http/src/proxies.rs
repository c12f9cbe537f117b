//! Who the client is behind a proxy.

use crate::forwarded::{Hop, Unreadable, forwarded, x_forwarded_for};
use crate::{Gate, Opening, Rejection, Stage, TrustedNetworks};
use http::StatusCode;
use std::net::SocketAddr;
use wsrv_rfc6455::handshake::RequestHead;

/// Believes trusted proxies about the address of the client behind them.
///
/// Each proxy adds to the request whom it has got it from. That list is read from its end: the first address that is
/// not [trusted](TrustedNetworks) is the client, because it was written by somebody who is. What is farther to the left
/// came from the client and may be anything. If all are trusted, the left-most is the client. The gate puts the address
/// into [`Opening::remote_addr`] (with port 0 where none was told), and that of the peer itself becomes a
/// [`ProxyAddr`].
///
/// - A peer that is not trusted is the client itself; its headers do not count.
/// - Beyond a hop that is hidden (`unknown`, `_hidden`) or is no address, nobody is known. The client is then the
///   nearest that is: the trusted one that has told so. Nothing farther away counts, because who has written it cannot
///   be said.
/// - A `Forwarded` header that is malformed is answered with 400, since a client could hide behind it what the proxy
///   adds. So is a way of more than 64 hops, and two headers that tell of different ways.
///
/// Whether the client has used TLS goes into [`Opening::is_secure`]: as the client's own element of `Forwarded` says
/// (`proto=`), or the last value of `X-Forwarded-Proto`, where `X-Forwarded-For` is read.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: TrustedNetworks,
    headers: ForwardedHeaders,
}

/// Which headers the proxies set.
///
/// A header that is read must be one that the proxy sets or adds to: one that it only passes on was written by the
/// client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` along with it.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both. A request that has one of them is believed; if it has two, they must name the same addresses.
    Both,
}

/// The address of the peer that has forwarded the request, attached to an opening whose client is somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyAddr(pub SocketAddr);

impl TrustedProxies {
    /// Believes these, by `X-Forwarded-For`.
    pub fn new(networks: TrustedNetworks) -> Self {
        TrustedProxies { networks, headers: ForwardedHeaders::default() }
    }

    /// Reads other headers. Name those that the proxies set, no others.
    pub fn headers(mut self, headers: ForwardedHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Whom it believes, to be changed at run time.
    pub fn networks(&self) -> &TrustedNetworks {
        &self.networks
    }

    fn resolve(&self, opening: &mut Opening) -> Result<(), Rejection> {
        let peer = opening.remote_addr();
        if !self.networks.trusts_peer(peer.map(|peer| peer.ip())) {
            return Ok(());
        }
        let Some(hops) = self.hops(opening.request())? else { return Ok(()) };
        let (mut client, mut secure) = (None, None);
        for hop in hops.iter().rev() {
            secure = hop.secure;
            let Some(addr) = hop.addr else { break };
            client = Some(addr);
            if !self.networks.trusts_hop(addr.ip()) {
                break;
            }
        }
        // What is known of the peer itself is the proxy's.
        opening.set_secure(secure);
        if client.is_some() {
            opening.set_remote_addr(client);
            if let Some(peer) = peer {
                opening.extensions_mut().insert(ProxyAddr(peer));
            }
        }
        Ok(())
    }

    /// The way of the request, the farthest hop first.
    fn hops(&self, request: &RequestHead) -> Result<Option<Vec<Hop>>, Rejection> {
        let (by_for, by_rfc) = match self.headers {
            ForwardedHeaders::XForwardedFor => (x_forwarded_for(request)?, None),
            ForwardedHeaders::Forwarded => (None, forwarded(request)?),
            ForwardedHeaders::Both => (x_forwarded_for(request)?, forwarded(request)?),
        };
        let addr = |hop: &Hop| hop.addr.map(|addr| addr.ip());
        match (by_for, by_rfc) {
            (Some(by_for), Some(by_rfc)) if !by_for.iter().map(addr).eq(by_rfc.iter().map(addr)) => {
                Err(bad("X-Forwarded-For and Forwarded contradict each other"))
            }
            // It tells for each hop whether that used TLS.
            (_, Some(hops)) | (Some(hops), None) => Ok(Some(hops)),
            (None, None) => Ok(None),
        }
    }
}

impl Gate for TrustedProxies {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.resolve(opening)
    }

    fn stage(&self) -> Stage {
        Stage::Proxy
    }
}

impl From<Unreadable> for Rejection {
    fn from(error: Unreadable) -> Self {
        bad(error.to_string())
    }
}

fn bad(why: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, why).because("proxy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::testing::opening;
    use std::net::IpAddr;

    const PROXY: &str = "10.0.0.1:4000";

    /// Proxies at 10.0.0.0/8 and `::1`.
    fn proxies(headers: ForwardedHeaders) -> TrustedProxies {
        let networks = TrustedNetworks::new();
        networks.extend(["10.0.0.0/8", "::1"].map(|network| network.parse::<Network>().unwrap()));
        TrustedProxies::new(networks).headers(headers)
    }

    fn resolved(gate: &TrustedProxies, peer: Option<&str>, headers: &str) -> Result<Opening, Rejection> {
        let mut opening = opening(headers);
        opening.set_remote_addr(peer.map(|peer| peer.parse().unwrap()));
        gate.resolve(&mut opening).map(|()| opening)
    }

    fn client(gate: &TrustedProxies, peer: &str, headers: &str) -> String {
        resolved(gate, Some(peer), headers).unwrap().remote_addr().unwrap().to_string()
    }

    #[test]
    fn the_right_most_hop_that_is_not_trusted_is_the_client() {
        let gate = proxies(ForwardedHeaders::XForwardedFor);
        for (list, found) in [
            ("192.0.2.7", "192.0.2.7:0"),
            ("192.0.2.7:5000", "192.0.2.7:5000"),
            ("6.6.6.6, 192.0.2.7", "192.0.2.7:0"),
            ("6.6.6.6, 192.0.2.7, 10.0.0.2,::1", "192.0.2.7:0"),
            ("127.0.0.1, 192.0.2.7", "192.0.2.7:0"),
            ("10.6.6.6, 10.0.0.2", "10.6.6.6:0"),
            ("::ffff:10.0.0.3, ::ffff:192.0.2.7", "192.0.2.7:0"),
            ("6.6.6.6, [2001:db8::7]:80", "[2001:db8::7]:80"),
        ] {
            assert_eq!(client(&gate, PROXY, &format!("X-Forwarded-For: {list}\r\n")), found, "{list}");
            // Several lines are one list, wherever it is cut.
            let lines: String = list.split(',').map(|hop| format!("X-Forwarded-For: {hop}\r\n")).collect();
            assert_eq!(client(&gate, PROXY, &lines), found, "{list}");
            let rfc: Vec<_> = list.split(',').map(|hop| format!("for=\"{}\"", hop.trim())).collect();
            let rfc = format!("Forwarded: {}\r\n", rfc.join(", "));
            assert_eq!(client(&proxies(ForwardedHeaders::Forwarded), PROXY, &rfc), found, "{rfc}");
        }
    }

    #[test]
    fn who_is_not_trusted_is_the_client_whatever_it_claims() {
        let gate = proxies(ForwardedHeaders::Both);
        let headers = "X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=\"\r\n";
        let opening = resolved(&gate, Some("192.0.2.7:9"), headers).unwrap();
        assert_eq!(opening.remote_addr(), Some("192.0.2.7:9".parse().unwrap()));
        assert_eq!((opening.is_secure(), opening.extensions().get::<ProxyAddr>()), (None, None));
        let opening = resolved(&gate, None, headers).unwrap();
        assert_eq!((opening.remote_addr(), opening.is_secure()), (None, None));
    }

    #[test]
    fn nothing_beyond_a_hop_that_is_not_known_counts() {
        let gate = proxies(ForwardedHeaders::XForwardedFor);
        for (list, found) in [
            ("unknown", PROXY),
            ("6.6.6.6, garbage", PROXY),
            ("6.6.6.6, ", PROXY),
            ("6.6.6.6, unix:, 10.0.0.2", "10.0.0.2:0"),
            ("6.6.6.6, _hidden, 192.0.2.7", "192.0.2.7:0"),
            ("6.6.6.6, 1.2.3.4.5", PROXY),
            ("\u{ff}", PROXY),
        ] {
            assert_eq!(client(&gate, PROXY, &format!("X-Forwarded-For: {list}\r\n")), found, "{list}");
        }
        assert_eq!(client(&gate, PROXY, ""), PROXY, "no header");
    }

    #[test]
    fn only_the_headers_that_the_proxies_set_are_read() {
        let headers = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.8\r\n";
        assert_eq!(client(&proxies(ForwardedHeaders::XForwardedFor), PROXY, headers), "192.0.2.7:0");
        assert_eq!(client(&proxies(ForwardedHeaders::Forwarded), PROXY, headers), "192.0.2.8:0");
        let malformed = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=\"\r\n";
        assert_eq!(client(&proxies(ForwardedHeaders::XForwardedFor), PROXY, malformed), "192.0.2.7:0");
    }

    #[test]
    fn headers_that_contradict_each_other_are_answered_with_400() {
        let gate = proxies(ForwardedHeaders::Both);
        for (by_for, by_rfc, agree) in [
            ("192.0.2.7", "for=192.0.2.7", true),
            ("192.0.2.7, 10.0.0.2", "for=\"192.0.2.7:80\", for=10.0.0.2", true),
            ("unknown, 192.0.2.7", "for=_x, for=192.0.2.7", true),
            ("192.0.2.7", "for=192.0.2.8", false),
            ("6.6.6.6, 192.0.2.7", "for=192.0.2.7", false),
            ("unknown", "for=192.0.2.7", false),
        ] {
            let headers = format!("X-Forwarded-For: {by_for}\r\nForwarded: {by_rfc}\r\n");
            let resolved = resolved(&gate, Some(PROXY), &headers);
            assert_eq!(resolved.is_ok(), agree, "{by_for} and {by_rfc}");
            if let Err(rejection) = resolved {
                assert_eq!((rejection.status(), rejection.reason()), (StatusCode::BAD_REQUEST, "proxy"));
            }
        }
        assert_eq!(client(&gate, PROXY, "Forwarded: for=192.0.2.8\r\n"), "192.0.2.8:0");
        assert_eq!(client(&gate, PROXY, "X-Forwarded-For: 192.0.2.8\r\n"), "192.0.2.8:0");
        // A client that could end the list before the proxy's part would be taken for the proxy.
        let rejection = resolved(&gate, Some(PROXY), "Forwarded: for=\"x, for=192.0.2.7\r\n").unwrap_err();
        assert_eq!(rejection.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_scheme_is_the_one_that_the_client_has_used() {
        for (headers, line, secure) in [
            (
                ForwardedHeaders::Forwarded,
                "Forwarded: for=192.0.2.7;proto=https, for=10.0.0.2;proto=http\r\n",
                Some(true),
            ),
            (
                ForwardedHeaders::Forwarded,
                "Forwarded: for=6.6.6.6;proto=https, for=192.0.2.7;proto=http\r\n",
                Some(false),
            ),
            (ForwardedHeaders::Forwarded, "Forwarded: for=_x;proto=https\r\n", Some(true)),
            (ForwardedHeaders::Forwarded, "Forwarded: for=192.0.2.7, for=10.0.0.2;proto=http\r\n", None),
            (ForwardedHeaders::Forwarded, "Forwarded: for=192.0.2.7\r\nX-Forwarded-Proto: https\r\n", None),
            (
                ForwardedHeaders::XForwardedFor,
                "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http, https\r\n",
                Some(true),
            ),
            (ForwardedHeaders::XForwardedFor, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: gopher\r\n", None),
            (ForwardedHeaders::XForwardedFor, "X-Forwarded-For: 192.0.2.7\r\n", None),
        ] {
            assert_eq!(resolved(&proxies(headers), Some(PROXY), line).unwrap().is_secure(), secure, "{line}");
        }
    }

    #[test]
    fn the_proxy_stays_known_and_trust_can_be_taken_back() {
        let gate = proxies(ForwardedHeaders::XForwardedFor);
        let header = "X-Forwarded-For: 192.0.2.7\r\n";
        let opening = resolved(&gate, Some(PROXY), header).unwrap();
        assert_eq!(opening.extensions().get(), Some(&ProxyAddr(PROXY.parse().unwrap())));
        assert!(gate.networks().distrust("10.0.0.0/8".parse::<Network>().unwrap()));
        assert_eq!(client(&gate, PROXY, header), PROXY);
    }

    #[test]
    fn trust_in_any_peer_is_no_trust_in_any_hop() {
        let gate = TrustedProxies::new(TrustedNetworks::any_peer());
        assert_eq!(client(&gate, "203.0.113.1:9", "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n"), "192.0.2.7:0");
        let opening = resolved(&gate, None, "X-Forwarded-For: 192.0.2.7\r\n").unwrap();
        assert_eq!(opening.remote_addr().map(|addr| addr.ip()), Some(IpAddr::from([192, 0, 2, 7])));
        assert!(opening.extensions().get::<ProxyAddr>().is_none(), "a Unix socket has no address");
    }
}
