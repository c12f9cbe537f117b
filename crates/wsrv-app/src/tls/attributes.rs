//! What gates, connections and pages can know about a peer's TLS.

use std::fmt;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection};

/// How a request's TLS was agreed on. A request or connection that has it came over TLS; one without did not, as far as
/// this server knows.
///
/// Among the extensions of the opening, of the connection, and of requests for the HTTP service. Where another server
/// speaks TLS and the app is a service inside it, that server can put it into its requests' extensions.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    version: ProtocolVersion,
    cipher_suite: CipherSuite,
    resumed: bool,
    server_name: Option<Box<str>>,
    alpn: Option<Box<[u8]>>,
}

impl TlsInfo {
    /// What was agreed on in this connection's handshake, which is complete.
    pub fn of(tls: &ServerConnection) -> Self {
        TlsInfo {
            version: tls.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
            cipher_suite: tls.negotiated_cipher_suite().map_or(CipherSuite::Unknown(0), |suite| suite.suite()),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: tls.server_name().map(Into::into),
            alpn: tls.alpn_protocol().map(Into::into),
        }
    }

    /// The version of TLS.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The cipher suite.
    pub fn cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// The name that the peer has asked for (SNI, RFC 6066 §3), in lower case. Nothing has compared it with the request's
    /// `Host`.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that was agreed on (ALPN, RFC 7301): `http/1.1`, or `None` where the peer has offered none.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }

    /// Whether an earlier session was resumed, so that certificates were not exchanged and checked again.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }
}

/// The certificates that a client has shown, checked against the roots it was asked for. Among the extensions of the
/// opening, of the connection, and of requests for the HTTP service; absent if the client has shown none.
///
/// In a resumed session they are those of the session's beginning. Clones share the certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerCertificates(Arc<[CertificateDer<'static>]>);

impl PeerCertificates {
    /// Those that were shown in this connection's handshake, which is complete, if there are any.
    pub fn of(tls: &ServerConnection) -> Option<Self> {
        let chain = tls.peer_certificates().filter(|chain| !chain.is_empty())?;
        Some(PeerCertificates(chain.into()))
    }

    /// The client's own certificate, in DER.
    pub fn end_entity(&self) -> &CertificateDer<'static> {
        &self.0[0]
    }

    /// The client's own certificate, and behind it those that lead to a root, as it has sent them.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

impl fmt::Debug for PeerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificates").field("len", &self.0.len()).finish_non_exhaustive()
    }
}
