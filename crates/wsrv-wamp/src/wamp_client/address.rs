//! Where a URL leads to.

use wsrv_rfc6455::http::Uri;

use super::ConnectFailure;

/// What is said by `ws://host:port/path`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an address, to be looked up.
    pub(super) name: String,
    pub(super) port: u16,
    /// What the server is told.
    pub(super) host: String,
    pub(super) target: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectFailure> {
        let uri: Uri = url.parse().map_err(|_| ConnectFailure::Url)?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(ConnectFailure::Tls),
            _ => return Err(ConnectFailure::Url),
        }
        let authority = uri.authority().ok_or(ConnectFailure::Url)?;
        // Secrets in front of the host would get lost, so they are no part of such a URL.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(ConnectFailure::Url);
        }
        let host = authority.host();
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| ConnectFailure::Url)?,
            None if authority.as_str() == host => 80,
            None => return Err(ConnectFailure::Url),
        };
        let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // It writes the slash that a URL may leave out.
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self {
            name: name.to_owned(),
            port,
            host: if port == 80 { host.to_owned() } else { format!("{host}:{port}") },
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        for (url, name, port, host, target) in [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("ws://example.com:80/a?b=c", "example.com", 80, "example.com", "/a?b=c"),
            ("ws://example.com:9000/wamp", "example.com", 9000, "example.com:9000", "/wamp"),
            ("ws://127.0.0.1:1?x", "127.0.0.1", 1, "127.0.0.1:1", "/?x"),
            ("ws://[::1]:9000/", "::1", 9000, "[::1]:9000", "/"),
        ] {
            let address = Address { name: name.into(), port, host: host.into(), target: target.into() };
            assert_eq!(Address::parse(url).unwrap(), address, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_web_socket_is_refused() {
        for url in ["", "example.com", "/wamp", "http://example.com/", "ws://", "ws://me:secret@example.com/", "ws:/a"]
        {
            assert!(matches!(Address::parse(url), Err(ConnectFailure::Url)), "{url}");
        }
        for url in ["ws://example.com:/", "ws://example.com:99999/", "ws://a b/"] {
            assert!(matches!(Address::parse(url), Err(ConnectFailure::Url)), "{url}");
        }
        assert!(matches!(Address::parse("wss://example.com/"), Err(ConnectFailure::Tls)));
    }
}
