//! Where a connection goes to: what a URL says.

use crate::UrlError;
use percent_encoding::percent_decode_str;
use std::fmt;
use url::{Host, Position, Url};

/// A `ws:` or `wss:` URL, taken apart. It holds no user and no password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: Url,
}

/// A user's name and password, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<(Self, Option<Credentials>), UrlError> {
        Self::new(Url::parse(url)?)
    }

    fn new(mut url: Url) -> Result<(Self, Option<Credentials>), UrlError> {
        match url.scheme() {
            "ws" => {}
            "wss" if cfg!(feature = "tls") => {}
            "wss" => return Err(UrlError::NoTls),
            _ => return Err(UrlError::Scheme),
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let credentials = take_credentials(&mut url)?;
        Ok((Target { url }, credentials))
    }

    /// Where a redirection leads. `None`: to no place for us, or not in this way.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let mut base = self.url.clone();
        // What an answer says is about HTTP, and a URL of these schemes means the same there.
        base.set_scheme(if self.is_secure() { "https" } else { "http" }).ok()?;
        let mut url = base.join(location).ok()?;
        let scheme = match url.scheme() {
            "http" => "ws",
            "https" => "wss",
            _ => "",
        };
        if !scheme.is_empty() {
            url.set_scheme(scheme).ok()?;
        }
        // Of a redirection, a fragment is for who reads the page.
        url.set_fragment(None);
        match Target::new(url) {
            // A password that a server has chosen.
            Ok((_, Some(_))) | Err(_) => None,
            Ok((target, None)) => Some(target),
        }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    pub(crate) fn host(&self) -> Host<&str> {
        self.url.host().expect("URLs of these schemes have a host")
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().expect("these schemes have a port")
    }

    /// For the `Host` header: with the port only if it is not the scheme's own (RFC 6455 §4.1).
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// For the request line.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// Whether both are of one origin: scheme, host and port (RFC 6454 §5).
    pub(crate) fn is_same_origin(&self, other: &Target) -> bool {
        (self.is_secure(), self.host(), self.port()) == (other.is_secure(), other.host(), other.port())
    }
}

/// Takes the user and the password out of a URL.
pub(crate) fn take_credentials(url: &mut Url) -> Result<Option<Credentials>, UrlError> {
    let decode =
        |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| UrlError::Credentials);
    let credentials = Credentials { user: decode(url.username())?, password: decode(url.password().unwrap_or(""))? };
    if credentials.user.is_empty() && url.password().is_none() {
        return Ok(None);
    }
    // A URL with a host may have a user, so neither fails.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(Some(credentials))
}

/// Without the query, which may hold secrets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url[..Position::AfterPath])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap().0
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, authority, port, path) in [
            ("ws://example.com", "example.com", 80, "/"),
            ("ws://example.com:80/a?b=c", "example.com", 80, "/a?b=c"),
            ("ws://example.com:8080?x", "example.com:8080", 8080, "/?x"),
            ("WS://[::1]:90/ä b", "[::1]:90", 90, "/%C3%A4%20b"),
            ("ws://bücher.example/", "xn--bcher-kva.example", 80, "/"),
        ] {
            let target = target(url);
            assert_eq!((target.authority(), target.port(), target.path_and_query()), (authority, port, path), "{url}");
            assert!(!target.is_secure());
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn secure_urls_have_their_own_port() {
        let target = target("wss://example.com/");
        assert!(target.is_secure());
        assert_eq!((target.port(), target.authority()), (443, "example.com"));
    }

    #[test]
    fn other_urls_are_refused() {
        for (url, error) in [
            ("http://example.com/", "the scheme is neither ws nor wss"),
            ("ws://example.com/#a", "a WebSocket's URL has no fragment"),
            ("ws://u:%FF@example.com/", "malformed user name or password"),
            ("ws://", "malformed URL"),
            ("/chat", "malformed URL"),
        ] {
            assert_eq!(Target::parse(url).map(|_| ()).unwrap_err().to_string(), error, "{url}");
        }
    }

    #[test]
    fn credentials_leave_the_url() {
        let (target, credentials) = Target::parse("ws://us%40er:p%3Aw@example.com/").unwrap();
        let credentials = credentials.unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("us@er", "p:w"));
        assert_eq!(target.to_string(), "ws://example.com/");
        assert!(Target::parse("ws://example.com/").unwrap().1.is_none());
    }

    #[test]
    fn locations_are_resolved_against_where_they_come_from() {
        let from = target("ws://example.com:81/a/b?c");
        for (location, to) in [
            ("d", "ws://example.com:81/a/d"),
            ("/e?f#g", "ws://example.com:81/e?f"),
            ("//other/h", "ws://other/h"),
            ("http://example.com/i", "ws://example.com/i"),
            ("ws://example.com/j", "ws://example.com/j"),
        ] {
            assert!(from.join(location) == Some(target(to)), "{location}");
        }
        for location in ["ftp://example.com/", "ws://user@example.com/", "javascript:1", "http://[", "http://"] {
            assert!(from.join(location).is_none(), "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let from = target("ws://example.com/a");
        assert!(from.is_same_origin(&target("ws://EXAMPLE.com:80/b")));
        for other in ["ws://example.com:81/a", "ws://www.example.com/a"] {
            assert!(!from.is_same_origin(&target(other)), "{other}");
        }
    }
}
