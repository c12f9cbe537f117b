//! Why there is no connection.

use crate::ProxyError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use wsrv_rfc6455::KeyError;
use wsrv_rfc6455::handshake::{AnswerError, AnswerHead, HeadError, RequestError};

/// Why a connection could not be opened. Nothing is left of it then: no socket, no task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is none of a WebSocket.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A header, cookie, user's name or subprotocol that the client was given cannot be sent.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// The host's name, or the proxy's, has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// None of the addresses can be reached.
    #[error(transparent)]
    Unreachable(Unreachable),
    /// The proxy does not let us through.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The TLS handshake failed: most often because of the server's certificate. The error inside is rustls's.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The connection was lost before the opening handshake was over.
    #[error("the connection was lost in the opening handshake")]
    Lost(#[source] io::Error),
    /// The head of the answer is malformed, or larger than [`head_limits`](crate::Client::head_limits).
    #[error("the head of the server's answer is not acceptable")]
    Head(#[from] HeadError),
    /// The answer opens no WebSocket: the server refuses or redirects, or breaks a rule of the handshake.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The server has chosen none of the subprotocols, and [one is needed](crate::Client::require_subprotocol).
    #[error("the server has chosen no subprotocol")]
    NoSubprotocol,
    /// A redirection that is not followed.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// It took longer than [`connect_timeout`](crate::Client::connect_timeout).
    #[error("no connection after {after:?}, {phase}")]
    Timeout {
        /// The deadline that was set.
        after: Duration,
        /// What was waited for in the end.
        phase: Phase,
    },
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl ConnectError {
    /// The head of the server's answer, if it has refused: with its status, and its headers such as `Location` or
    /// `Retry-After`.
    pub fn refusal(&self) -> Option<&AnswerHead> {
        if let Self::Answer(error) = self { error.refusal() } else { None }
    }

    /// Whether the same attempt would fail in the same way some time later: the URL, the request or a redirection is
    /// wrong, the server refuses with a status from 400 to 499 that is not about time (408, 425, 429), or a proxy wants another user
    /// or password (407, and 401, as some say).
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Url(_) | Self::Request(_) | Self::NoSubprotocol | Self::Redirect(_) => true,
            Self::Answer(AnswerError::Refused(head)) => {
                let status = head.status();
                status.is_client_error() && ![408, 425, 429].contains(&status.as_u16())
            }
            Self::Proxy(ProxyError::Refused(head)) => [401, 407].contains(&head.status().as_u16()),
            _ => false,
        }
    }
}

/// Why a URL cannot be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no absolute URL.
    #[error("malformed URL")]
    Malformed(#[from] url::ParseError),
    /// Another scheme than `ws` and `wss`; for a proxy, than `http`, `socks5` and `socks5h`.
    #[error("the scheme is neither ws nor wss")]
    Scheme,
    /// RFC 6455 §3 forbids fragments.
    #[error("a WebSocket's URL has no fragment")]
    Fragment,
    /// `wss` without the feature `tls`.
    #[error("this program was built without TLS")]
    NoTls,
    /// A user's name or password that does not decode to text. For a proxy, also one that it cannot be told: for `http`, a
    /// user with a colon, or control characters (RFC 7617 §2); for `socks5`, one of them empty or of more than 255 bytes
    /// (RFC 1929 §2).
    #[error("malformed user name or password")]
    Credentials,
    /// A proxy's URL with another scheme.
    #[error("the proxy's scheme is neither http nor socks5")]
    ProxyScheme,
}

/// Something of a request that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A header's name or value has bytes that do not belong there.
    #[error("malformed header")]
    Header,
    /// A cookie's name is no token, or its value has a blank, a comma, a semicolon or the like (RFC 6265 §4.1.1).
    #[error("malformed cookie")]
    Cookie,
    /// A user's name with a colon or a control character, which basic authentication cannot express (RFC 7617 §2).
    #[error("malformed user name or password")]
    Credentials,
    /// What the handshake itself forbids.
    #[error(transparent)]
    Handshake(#[from] RequestError),
    /// The request as a whole is larger than 64 KiB.
    #[error("the request is too large")]
    TooLarge,
}

/// No address of a host could be reached.
#[derive(Debug)]
pub struct Unreachable {
    pub(crate) host: String,
    pub(crate) attempts: Vec<(SocketAddr, io::Error)>,
}

impl Unreachable {
    /// The addresses that were tried, in the order in which they failed, and why each did.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.host)?;
        for (n, (addr, error)) in self.attempts.iter().enumerate() {
            write!(f, "{} {addr}: {error}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

/// Why a redirection is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were more than [`redirects`](crate::Client::redirects) allows.
    #[error("too many redirections")]
    TooMany,
    /// There is no `Location`, or several, or it leads to no place for a WebSocket. One with a user and password counts
    /// as malformed, too.
    #[error("the redirection leads nowhere")]
    Location,
    /// From `wss` to `ws`.
    #[error("the redirection leads from a secure server to an insecure one")]
    Insecure,
}

/// What is done between the beginning and the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The system looks up a name.
    #[default]
    Resolving,
    /// Addresses are tried.
    Connecting,
    /// The proxy is asked.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The request is sent and the answer awaited.
    Handshake,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Resolving => "while resolving a name",
            Phase::Connecting => "while connecting",
            Phase::Proxy => "while asking the proxy",
            Phase::Tls => "in the TLS handshake",
            Phase::Handshake => "in the opening handshake",
        })
    }
}
