//! Which web pages may connect.

use crate::{Gate, Opening, Rejection};
use std::collections::HashSet;
use wsrv_rfc6455::handshake::split_host;

/// Lets in pages of the listed origins only.
///
/// A browser names the origin of the page that opens a WebSocket, and lets any page open one to any server, with the
/// user's cookies. So a server that trusts cookies has to look. The whole origin is compared, scheme and port
/// included; a port that is the scheme's default may be left out.
///
/// A client that is no browser sends no origin at all and is refused too, unless
/// [`allow_missing`](AllowedOrigins::allow_missing) says otherwise.
///
/// ```
/// # fn main() -> Result<(), wsrv_http::InvalidOrigin> {
/// let gate = wsrv_http::AllowedOrigins::new(["https://example.com", "http://localhost:3000"])?;
/// # let _ = gate; Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins {
    origins: HashSet<String>,
    same: bool,
    missing: bool,
}

/// An entry of an origin list is not of the form `scheme://host[:port]`, nor `null`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: expected scheme://host[:port] or null")]
pub struct InvalidOrigin(String);

impl AllowedOrigins {
    /// The origins of this list, such as `https://example.com` or `null` (pages without an origin of their own).
    ///
    /// # Errors
    ///
    /// An entry is no origin.
    pub fn new<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, InvalidOrigin> {
        let normal = |origin: S| normalize(origin.as_ref()).ok_or_else(|| InvalidOrigin(origin.as_ref().to_owned()));
        let origins = origins.into_iter().map(normal).collect::<Result<_, _>>()?;
        Ok(AllowedOrigins { origins, same: false, missing: false })
    }

    /// The pages of this server itself: an origin whose host and port are those of the request's `Host`, over
    /// `http` or `https`.
    ///
    /// This believes the `Host` that the browser names. A site whose name its owner lets point at this server passes
    /// ("DNS rebinding"); it has none of the user's cookies, but where that is not enough, list the origins, or give
    /// the route its host.
    pub fn same_origin() -> Self {
        AllowedOrigins { same: true, ..Self::default() }
    }

    /// Whether clients that send no origin, which browsers never do, are let in. By default they are not.
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.missing = allow;
        self
    }

    fn check(&self, opening: &Opening) -> Result<(), Rejection> {
        let mut sent = opening.request().headers("origin");
        let origin = match (sent.next(), sent.next()) {
            (None, _) if self.missing => return Ok(()),
            (None, _) => return Err(Rejection::forbidden("the request names no origin")),
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return Err(Rejection::forbidden("the request names more than one origin")),
        };
        let origin = std::str::from_utf8(origin).ok().and_then(normalize);
        let allowed = |origin: &String| self.origins.contains(origin) || (self.same && is_same(origin, opening));
        match origin {
            Some(origin) if allowed(&origin) => Ok(()),
            _ if self.origins.is_empty() => Err(Rejection::forbidden("the page is not this server's own")),
            _ => Err(Rejection::forbidden("the origin is not on the list")),
        }
    }
}

impl Gate for AllowedOrigins {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.check(opening)
    }
}

fn is_same(origin: &str, opening: &Opening) -> bool {
    let Some(host) = opening.request().host() else { return false };
    ["http", "https"].iter().any(|scheme| normalize(&format!("{scheme}://{host}")).is_some_and(|own| own == origin))
}

/// `scheme://host[:port]` in lower case and without a default port; `None` if it is anything else.
fn normalize(origin: &str) -> Option<String> {
    if origin == "null" {
        return Some(origin.to_owned());
    }
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let (host, port) = split_host(authority)?;
    // A star is a character of names, but whoever writes one here means a pattern.
    if authority.ends_with(':') || host.contains('*') {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    Some(match port {
        Some(port) if Some(port) != default_port => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

    fn opening(host: &str, origins: &[&str]) -> Opening {
        let origins: String = origins.iter().map(|origin| format!("Origin: {origin}\r\n")).collect();
        let mut bytes = BytesMut::from(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origins}\r\n").as_bytes());
        Opening::new(HeadReader::new(HeadLimits::default()).read(&mut bytes).unwrap().unwrap(), None)
    }

    fn admits(gate: &AllowedOrigins, host: &str, origins: &[&str]) -> bool {
        gate.check(&opening(host, origins)).is_ok()
    }

    #[test]
    fn the_whole_origin_is_compared() {
        let gate = AllowedOrigins::new(["https://Example.com", "http://localhost:3000", "http://[::1]:80"]).unwrap();
        for (origin, admitted) in [
            ("https://example.com", true),
            ("https://EXAMPLE.com:443", true),
            ("http://example.com", false),
            ("https://example.com:8443", false),
            ("https://sub.example.com", false),
            ("https://example.com.evil.test", false),
            ("https://evil.test@example.com", false),
            ("https://example.com@evil.test", false),
            ("https://example.com/path", false),
            ("http://localhost:3000", true),
            ("http://localhost:30000", false),
            ("http://localhost", false),
            ("http://[::1]", true),
            ("null", false),
            ("", false),
            ("example.com", false),
        ] {
            assert_eq!(admits(&gate, "example.com", &[origin]), admitted, "{origin}");
        }
        assert!(!admits(&gate, "x", &[]), "no origin at all");
        assert!(admits(&gate.clone().allow_missing(true), "x", &[]));
        assert!(!admits(&gate, "x", &["https://example.com", "https://example.com"]), "two of them");
        let odd = AllowedOrigins::new(["null", "moz-extension://ab-cd", "https://a:0443"]).unwrap();
        for origin in ["null", "moz-extension://ab-cd", "https://a"] {
            assert!(admits(&odd, "x", &[origin]), "{origin}");
        }
    }

    #[test]
    fn same_origin_compares_with_the_host_that_was_asked_for() {
        let gate = AllowedOrigins::same_origin();
        assert!(admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1:8080"]));
        assert!(admits(&gate, "example.com", &["https://example.com"]));
        assert!(admits(&gate, "example.com:443", &["https://example.com"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1:8081"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://localhost:8080"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["null"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &[]));
    }

    #[test]
    fn an_entry_that_is_no_origin_is_an_error() {
        for entry in ["example.com", "https://", "https://a/b", "https://a:b", "https://u@a", "://a", "", "https://a:"]
        {
            assert!(AllowedOrigins::new([entry]).is_err(), "{entry:?}");
        }
    }
}
