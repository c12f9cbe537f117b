//! A request on its way to becoming a connection.

use http::{Extensions, HeaderMap};
use std::fmt;
use std::net::SocketAddr;
use wsrv_rfc6455::handshake::RequestHead;

/// A request that asks to become a connection, and what is known about it so far.
///
/// Gates look at it, refuse it or let it pass, and attach what they have learnt; that stays with the connection.
pub struct Opening {
    head: RequestHead,
    remote_addr: Option<SocketAddr>,
    secure: Option<bool>,
    subprotocol: Option<String>,
    extensions: Extensions,
    response_headers: HeaderMap,
}

impl Opening {
    /// The request with this head, from this peer (`None` where the transport has no addresses).
    pub fn new(head: RequestHead, remote_addr: Option<SocketAddr>) -> Self {
        Opening {
            head,
            remote_addr,
            secure: None,
            subprotocol: None,
            extensions: Extensions::new(),
            response_headers: HeaderMap::new(),
        }
    }

    /// The request's head.
    pub fn request(&self) -> &RequestHead {
        &self.head
    }

    /// The peer's address: the socket's, until a gate that trusts a proxy has put in a better one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// Puts in the address of the peer behind a proxy.
    pub fn set_remote_addr(&mut self, addr: Option<SocketAddr>) {
        self.remote_addr = addr;
    }

    /// Whether the client has used TLS. `None`: nobody knows. A listener does not know for plain TCP, where a proxy may
    /// have ended TLS in front of it, until that proxy is [trusted](crate::TrustedProxies) and tells.
    pub fn is_secure(&self) -> Option<bool> {
        self.secure
    }

    /// Puts in whether the client has used TLS.
    pub fn set_secure(&mut self, secure: Option<bool>) {
        self.secure = secure;
    }

    /// The subprotocol that a gate has selected. `None`: the route's own list decides.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Selects the subprotocol that the 101 answer names, in place of the route's own list. Returns whether the client
    /// has offered it; if not, nothing is selected, since a client must give up on an answer that it has not asked for
    /// (RFC 6455 §4.1).
    pub fn select_subprotocol(&mut self, name: &str) -> bool {
        let mut offered = self.head.headers("sec-websocket-protocol").flat_map(|line| line.split(|&byte| byte == b','));
        let is_offered = !name.is_empty() && offered.any(|offer| offer.trim_ascii() == name.as_bytes());
        if is_offered {
            self.subprotocol = Some(name.to_owned());
        }
        is_offered
    }

    /// What gates and the router have attached, one value per type.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Where to attach more. It stays with the connection and is read-only from then on.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The headers that go out with the 101 answer, but for the handshake's own.
    pub fn response_headers(&self) -> &HeaderMap {
        &self.response_headers
    }

    /// Where to add headers to the 101 answer, such as cookies. The handshake's own are not among them and cannot be
    /// replaced.
    pub fn response_headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.response_headers
    }

    /// Takes the opening apart: the head, the peer's address, the attachments, the headers of the answer.
    pub fn into_parts(self) -> (RequestHead, Option<SocketAddr>, Extensions, HeaderMap) {
        (self.head, self.remote_addr, self.extensions, self.response_headers)
    }
}

/// The client's address, as an extension of a request.
///
/// A server tells the services in front of which it stands: gates and limits know the peer by it before its connection
/// begins. A layer of gates puts in the client's where a trusted proxy has told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

impl RemoteAddr {
    /// This address, as gates and limits are to see it: an IPv4 address that is written as an IPv6 one
    /// (`::ffff:192.0.2.7`), as sockets for both tell it, is the IPv4 address.
    pub fn canonical(addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(addr.ip().to_canonical(), addr.port())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The answer's headers may hold secrets, and extensions do not show theirs.
        f.debug_struct("Opening")
            .field("request", &self.head)
            .field("remote_addr", &self.remote_addr)
            .field("secure", &self.secure)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::opening;

    #[test]
    fn a_gate_selects_among_the_subprotocols_that_were_offered() {
        let mut opening = opening("Sec-WebSocket-Protocol: v2.chat,, v1.chat\r\nSec-WebSocket-Protocol: wamp\r\n");
        for name in ["v3.chat", "V1.CHAT", "v1", "", "v2.chat, v1.chat"] {
            assert!(!opening.select_subprotocol(name), "{name}");
        }
        assert_eq!(opening.subprotocol(), None);
        assert!(opening.select_subprotocol("v1.chat") && opening.select_subprotocol("wamp"));
        assert!(!opening.select_subprotocol("soap"));
        assert_eq!(opening.subprotocol(), Some("wamp"));
    }
}
