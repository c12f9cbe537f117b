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
    extensions: Extensions,
    response_headers: HeaderMap,
}

impl Opening {
    /// The request with this head, from this peer (`None` where the transport has no addresses).
    pub fn new(head: RequestHead, remote_addr: Option<SocketAddr>) -> Self {
        Opening { head, remote_addr, extensions: Extensions::new(), response_headers: HeaderMap::new() }
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

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The answer's headers may hold secrets, and extensions do not show theirs.
        f.debug_struct("Opening")
            .field("request", &self.head)
            .field("remote_addr", &self.remote_addr)
            .finish_non_exhaustive()
    }
}
