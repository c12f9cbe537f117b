//! Proxies: somebody else connects for us.

mod http;
mod socks;

use crate::UrlError;
use crate::client::is_basic;
use crate::target::{Credentials, take_credentials};
use std::fmt;
use std::io;
use url::{Host, Url};
use wsrv_core::Accepted;
use wsrv_rfc6455::handshake::{AnswerHead, HeadError, HeadLimits};

/// A proxy through which a client connects: an HTTP proxy, which is asked for a tunnel, or a SOCKS 5 proxy.
///
/// The name of the server is resolved by the proxy. The way to the proxy itself is plain TCP; with a `wss` URL, what it
/// passes on is encrypted all the same.
///
/// ```
/// use wsrv_client::{Client, Proxy};
///
/// let client = Client::new("ws://example.com/")?.proxy(Proxy::new("http://user:password@proxy.example:3128")?);
/// let client = client.proxy(Proxy::new("socks5://127.0.0.1:1080")?);
/// # let _ = client;
/// # Ok::<(), wsrv_client::ConnectError>(())
/// ```
///
/// # Source
///
/// RFC 9110 §9.3.6 (`CONNECT`), RFC 7617 (basic authentication); RFC 1928 and RFC 1929 (SOCKS 5).
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: Host,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Kind {
    /// Whether the protocol has a way to say them.
    fn can_tell(self, Credentials { user, password }: &Credentials) -> bool {
        match self {
            Kind::Http => is_basic(user, password),
            Kind::Socks5 => [user, password].into_iter().all(|word| (1..=255).contains(&word.len())),
        }
    }
}

impl Proxy {
    /// A proxy by its URL: `http://host:port`, or `socks5://host:port` (`socks5h` is the same); with `user:password@` if it
    /// asks for that. Without a port it is 80, or 1080.
    ///
    /// # Errors
    ///
    /// [`UrlError::Malformed`], [`UrlError::ProxyScheme`] and [`UrlError::Credentials`].
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(url)?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(UrlError::ProxyScheme),
        };
        let credentials = take_credentials(&mut url)?;
        if credentials.as_ref().is_some_and(|credentials| !kind.can_tell(credentials)) {
            return Err(UrlError::Credentials);
        }
        let host = match url.host().ok_or(url::ParseError::EmptyHost)? {
            // Of schemes it does not know, the library takes every host for a name.
            Host::Domain(name) => Host::parse(name)?,
            Host::Ipv4(ip) => Host::Ipv4(ip),
            Host::Ipv6(ip) => Host::Ipv6(ip),
        };
        Ok(Proxy { kind, host, port: url.port().unwrap_or(port), credentials })
    }

    pub(crate) fn host(&self) -> Host<&str> {
        match &self.host {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(ip) => Host::Ipv4(*ip),
            Host::Ipv6(ip) => Host::Ipv6(*ip),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Has the proxy connect to a host. Then the stream is one to there.
    pub(crate) async fn tunnel(
        &self,
        stream: Accepted,
        host: &Host<&str>,
        port: u16,
        limits: HeadLimits,
    ) -> Result<Accepted, ProxyError> {
        match self.kind {
            Kind::Http => http::tunnel(stream, host, port, self.credentials.as_ref(), limits).await,
            Kind::Socks5 => socks::tunnel(stream, host, port, self.credentials.as_ref()).await,
        }
    }
}

/// Does not show the user and the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.kind == Kind::Http { "http" } else { "socks5" };
        write!(f, "Proxy({scheme}://{}:{})", self.host, self.port)
    }
}

/// Why a proxy does not let us through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// An HTTP proxy answers with another status than 200 to 299: 407 if it wants a user and a password.
    #[error("the proxy answers with status {}", .0.status().as_u16())]
    Refused(Box<AnswerHead>),
    /// The answer of an HTTP proxy is malformed or too large.
    #[error("the head of the proxy's answer is not acceptable")]
    Head(#[from] HeadError),
    /// Bytes follow the proxy's answer before anything was said to the server.
    #[error("the proxy says more than it was asked")]
    Unasked,
    /// A SOCKS proxy refuses, cannot reach the server, or does not speak SOCKS 5.
    #[error("the SOCKS proxy does not connect")]
    Socks(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the proxy was lost.
    #[error("the connection to the proxy was lost")]
    Lost(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_named_by_urls() {
        for (url, shown) in [
            ("http://proxy.example:3128", "Proxy(http://proxy.example:3128)"),
            ("http://u:p@proxy.example", "Proxy(http://proxy.example:80)"),
            ("socks5://127.0.0.1", "Proxy(socks5://127.0.0.1:1080)"),
            ("socks5h://u:p@[::1]:9050", "Proxy(socks5://[::1]:9050)"),
        ] {
            assert_eq!(format!("{:?}", Proxy::new(url).unwrap()), shown);
        }
        assert!(matches!(Proxy::new("socks5://127.0.0.1").unwrap().host, Host::Ipv4(_)));
        for url in ["https://proxy.example", "proxy.example:3128", "socks4://proxy.example"] {
            assert_eq!(Proxy::new(url).unwrap_err(), UrlError::ProxyScheme, "{url}");
        }
        assert!(Proxy::new("socks5:").is_err());
    }

    #[test]
    fn what_a_proxy_cannot_be_told_is_refused() {
        let long = "a".repeat(256);
        for url in [
            "http://us%3Aer:p@proxy.example",
            "http://u%0D%0A:p@proxy.example",
            "http://u:p%00@proxy.example",
            "socks5://u@proxy.example",
            "socks5://:p@proxy.example",
            &format!("socks5://u:{long}@proxy.example"),
        ] {
            assert_eq!(Proxy::new(url).unwrap_err(), UrlError::Credentials, "{url}");
        }
        for url in ["http://u@proxy.example", "http://u:p%3Aw@proxy.example", "socks5://us%3Aer:p@proxy.example"] {
            assert!(Proxy::new(url).is_ok(), "{url}");
        }
    }
}
