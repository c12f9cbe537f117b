//! Whose connection it is going to be.

use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::net::Ipv6Addr;
use wsrv_rfc6455::handshake::{RequestHead, split_host};

/// Finds a value by a request's host and path.
///
/// Paths are matched as they are written in the request, without the query. A path may hold parameters: `{room}` is
/// one segment, `{*rest}` all that follows. Routes for a host win over routes for any host.
#[derive(Debug)]
pub struct Router<T> {
    any_host: matchit::Router<T>,
    hosts: HashMap<String, matchit::Router<T>>,
}

/// A route's value and what its parameters stand for in this request.
#[derive(Debug)]
pub struct Matched<'a, T> {
    /// The value.
    pub value: &'a T,
    /// The parameters.
    pub params: Params,
}

/// A route cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRoute {
    /// The path does not begin with a slash.
    #[error("the route {0:?} does not begin with /")]
    Relative(String),
    /// The path's pattern is malformed, or another route's matches the same paths.
    #[error("the route {path:?} is malformed or in conflict with another")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: matchit::InsertError,
    },
    /// The host is neither a name nor an address, or has a port.
    #[error("{0:?} is no host: expected a name or an address without a port")]
    Host(String),
}

impl<T> Router<T> {
    /// A router that finds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route, for one host or for any.
    ///
    /// A host is a name or an address without the port, in any case; an IPv6 address may be in brackets or not.
    ///
    /// # Errors
    ///
    /// The path is no valid pattern or is in conflict with another route's, or the host is none.
    pub fn add(&mut self, host: Option<&str>, path: &str, value: T) -> Result<(), InvalidRoute> {
        if !path.starts_with('/') {
            return Err(InvalidRoute::Relative(path.to_owned()));
        }
        let routes = match host {
            Some(host) => {
                let bracketed = host.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
                let known = normal_host(bracketed.as_deref().unwrap_or(host));
                self.hosts.entry(known.ok_or_else(|| InvalidRoute::Host(host.to_owned()))?).or_default()
            }
            None => &mut self.any_host,
        };
        routes.insert(path, value).map_err(|source| InvalidRoute::Path { path: path.to_owned(), source })
    }

    /// The route of a request. `None`: there is none, or a parameter is not UTF-8 once it is decoded.
    pub fn find(&self, request: &RequestHead) -> Option<Matched<'_, T>> {
        // A port in the request does not matter, one in a route would.
        let host = || self.hosts.get(&request.host().and_then(split_host).and_then(|(host, _)| normal_host(host))?);
        let host = if self.hosts.is_empty() { None } else { host() };
        let routes = [host, Some(&self.any_host)];
        let found = routes.into_iter().flatten().find_map(|routes| routes.at(request.path()).ok())?;
        let params = found
            .params
            .iter()
            .map(|(name, value)| Some((name.into(), percent_decode_str(value).decode_utf8().ok()?.into())));
        Some(Matched { value: found.value, params: Params(params.collect::<Option<_>>()?) })
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Router { any_host: matchit::Router::new(), hosts: HashMap::new() }
    }
}

/// A host in the form in which hosts are compared. `None` if it is none, or has a port.
fn normal_host(host: &str) -> Option<String> {
    let (name, port) = split_host(host)?;
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if port.is_none() && !host.ends_with(':') { Some(name) } else { None }
}

/// The parameters of a route in one request, percent-decoded.
///
/// They are kept apart from the query, so nobody can change them by adding to it. A value is what the peer wants it to
/// be: decoded, it may hold slashes, dots, line ends or NUL. Look it up, do not build paths of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Box<[(Box<str>, Box<str>)]>);

impl Params {
    /// The value of the parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All parameters, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

    fn request(target: &str, host: &str) -> RequestHead {
        let mut bytes = BytesMut::from(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        HeadReader::new(HeadLimits::default()).read(&mut bytes).unwrap().unwrap()
    }

    fn router() -> Router<&'static str> {
        let mut router = Router::new();
        router.add(None, "/chat", "chat").unwrap();
        router.add(None, "/rooms/{room}", "room").unwrap();
        router.add(None, "/files/{*path}", "files").unwrap();
        router.add(Some("Example.com"), "/chat", "example's chat").unwrap();
        router.add(Some("::1"), "/chat", "six").unwrap();
        router
    }

    #[test]
    fn a_route_is_found_by_path_and_host() {
        let router = router();
        for (target, host, found) in [
            ("/chat", "localhost:8080", Some("chat")),
            ("/chat?room=1", "localhost", Some("chat")),
            ("/chat", "example.com", Some("example's chat")),
            ("/chat", "EXAMPLE.com.:80", Some("example's chat")),
            ("http://example.com/chat", "ignored", Some("example's chat")),
            ("/chat", "notexample.com", Some("chat")),
            ("/chat", "[::1]:9000", Some("six")),
            ("/rooms/7", "example.com", Some("room")),
            ("/files/a/b", "x", Some("files")),
            ("/chat/", "x", None),
            ("/rooms/", "x", None),
            ("/Chat", "x", None),
            ("/", "x", None),
        ] {
            assert_eq!(router.find(&request(target, host)).map(|m| *m.value), found, "{target} at {host}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_the_query_cannot_touch_them() {
        let router = router();
        let found = router.find(&request("/rooms/engine%20room?room=other", "x")).unwrap();
        assert_eq!(found.params.get("room"), Some("engine room"));
        assert_eq!(found.params.get("query"), None);
        assert_eq!(found.params.iter().count(), 1);
        assert!(router.find(&request("/rooms/%ff", "x")).is_none());
    }

    #[test]
    fn a_bad_pattern_is_an_error_and_no_panic() {
        let mut router = router();
        for path in ["chat", "", "/rooms/{other}", "/chat", "/{}", "/a{*b}/c"] {
            assert!(router.add(None, path, "x").is_err(), "{path}");
        }
        for host in ["a.com:8080", "a.com:", "", "a b", "u@a.com", "[::1]:80", "http://a.com"] {
            assert!(router.add(Some(host), "/", "x").is_err(), "{host}");
        }
    }
}
