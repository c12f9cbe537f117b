//! A request head, kept small.

use std::fmt;
use std::ops::Range;

use http::{Method, Uri, Version, request};

use super::lines::{HeaderLines, look_ups};
use super::reader::HeadError;
use super::shared_lines::SharedLines;
use super::tokens;

/// The head of a request: what a client said before it became a connection.
///
/// It is made to be kept as long as the connection: the bytes as they came, of which it can [`share`](Self::share) those
/// that other requests have alike. [`to_parts`](Self::to_parts) unfolds it into the types of the `http` crate, which
/// take several times the memory.
///
/// `Debug` shows neither the query nor the values of headers that may hold secrets.
#[derive(Clone)]
pub struct RequestHead {
    lines: HeaderLines,
    /// Where the target lies in the first line.
    target: Range<u16>,
    version: Version,
    /// Found once, since several ask.
    is_upgrade: bool,
}

impl RequestHead {
    /// Takes over a head that was found to be good, with the places where the lines behind the first begin.
    pub(super) fn parse(raw: &[u8], starts: &[usize]) -> Result<Self, HeadError> {
        let lines = HeaderLines::new(raw, starts);
        let mut words = lines.first().split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(HeadError::MalformedRequestLine);
        };
        // Checked here, so that `to_parts` need not fail.
        Method::from_bytes(method).map_err(|_| HeadError::MalformedRequestLine)?;
        if !is_plain_path(target) {
            Uri::try_from(target).map_err(|_| HeadError::MalformedTarget)?;
        }
        let end = method.len() + 1 + target.len();
        let end = u16::try_from(end).map_err(|_| HeadError::TooLarge)?;
        let version = if version == b"HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 };
        let is_upgrade = tokens::has_element(lines.named("upgrade"), "websocket");
        Ok(Self { target: end - target.len() as u16..end, version, lines, is_upgrade })
    }

    /// The same head, said in this version.
    pub(super) fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The method, such as `GET`. Methods are case-sensitive.
    pub fn method(&self) -> &str {
        let end = usize::from(self.target.start).saturating_sub(1);
        self.lines.first_text(0..end)
    }

    /// The request target as it came: `/path?query`, or a whole URI.
    pub fn target(&self) -> &str {
        self.lines.first_text(usize::from(self.target.start)..usize::from(self.target.end))
    }

    /// The target's path without the query, percent-encoded as it came.
    ///
    /// Of a whole URI only the path, at least `/`. Targets of other forms (`*`, or `host:port` of a `CONNECT`) are
    /// given as they are.
    pub fn path(&self) -> &str {
        let (_, rest) = self.split_target();
        let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        if path.is_empty() { "/" } else { path }
    }

    /// The target's query without the question mark, percent-encoded as it came; `None` if there is no question mark.
    pub fn query(&self) -> Option<&str> {
        let (_, rest) = self.split_target();
        let rest = &rest[..rest.find('#').unwrap_or(rest.len())];
        rest.split_once('?').map(|(_, query)| query)
    }

    /// The host, with its port if one was given: from a target that is a whole URI, else the `Host` header, if there
    /// is exactly one.
    pub fn host(&self) -> Option<&str> {
        if let (Some(authority), _) = self.split_target() {
            return Some(authority);
        }
        std::str::from_utf8(self.single("host")?).ok()
    }

    /// HTTP/1.1 or HTTP/1.0; of a head that was made [`from_parts`](Self::from_parts), also another.
    pub fn version(&self) -> Version {
        self.version
    }

    look_ups!();

    /// Whether the request asks to become a WebSocket: `websocket` is among the elements of `Upgrade`. If it may, is
    /// for [`check`](super::check) to say.
    pub fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }

    /// Keeps only once what this request and others that share with `known` have alike, word for word: a browser's name,
    /// what it accepts, the host and the like. Nothing else changes.
    pub fn share(&mut self, known: &SharedLines) {
        self.lines.share(known);
    }

    /// The head in the types of the `http` crate, freshly made.
    pub fn to_parts(&self) -> request::Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        // `parse` has seen that it is a method and a URI.
        parts.method = Method::from_bytes(self.method().as_bytes()).unwrap_or_default();
        parts.uri = self.target().parse().unwrap_or_default();
        parts.version = self.version;
        parts.headers = self.lines.to_map();
        parts
    }

    /// The authority, if the target is a whole URI, and what follows it.
    fn split_target(&self) -> (Option<&str>, &str) {
        let target = self.target();
        if target.starts_with('/') {
            return (None, target);
        }
        match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            _ => (None, target),
        }
    }
}

/// Whether the target is made of nothing but what everybody takes for a path and a query, so that nobody need parse it.
fn is_plain_path(target: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.~?&=".contains(byte);
    target.first() == Some(&b'/') && target.iter().all(is_plain)
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("query", &self.query().map(|_| format_args!("(hidden)")))
            .field("version", &self.version)
            .field("headers", &self.lines)
            .finish()
    }
}
