//! A request head, kept small.

use std::fmt;
use std::ops::Range;

use http::{Method, Uri, Version, request};

use super::lines::{HeaderLines, because, look_ups, position, version_of};
use super::reader::HeadError;
use super::tokens;

/// The head of a request: what a client said before it became a connection.
///
/// It is made to be kept as long as the connection: the bytes as they came, and an index of two bytes per header
/// line. [`to_parts`](Self::to_parts) unfolds it into the types of the `http` crate, which take several times the
/// memory.
///
/// `Debug` shows neither the query nor the values of headers that may hold secrets.
#[derive(Clone)]
pub struct RequestHead {
    lines: HeaderLines,
    method: Method,
    target: Range<u16>,
    version: Version,
}

impl RequestHead {
    /// Parses a head whose extent and number of header lines are known.
    pub(super) fn parse(raw: &[u8], lines: usize) -> Result<Self, HeadError> {
        let mut headers = vec![httparse::EMPTY_HEADER; lines];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(raw).map_err(|error| because(error, HeadError::MalformedRequestLine))?;
        let (httparse::Status::Complete(_), Some(method), Some(target), Some(version)) =
            (parsed, request.method, request.path, request.version)
        else {
            return Err(HeadError::MalformedRequestLine);
        };
        // Checked here, so that `to_parts` need not fail.
        if target.parse::<Uri>().is_err() {
            return Err(HeadError::MalformedTarget);
        }
        Ok(Self {
            method: Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::MalformedRequestLine)?,
            target: position(raw, target.as_bytes())?,
            version: version_of(version),
            lines: HeaderLines::new(raw, request.headers)?,
        })
    }

    /// The same head, said in this version.
    pub(super) fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The method, such as `GET`. Methods are case-sensitive.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The request target as it came: `/path?query`, or a whole URI.
    pub fn target(&self) -> &str {
        self.lines.text(&self.target)
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
        tokens::has_element(self.headers("upgrade"), "websocket")
    }

    /// The head in the types of the `http` crate, freshly made.
    pub fn to_parts(&self) -> request::Parts {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method.clone();
        // `parse` has seen that it is a URI.
        parts.uri = self.target().parse().unwrap_or_default();
        parts.version = self.version;
        parts.headers = self.lines.to_map();
        parts
    }

    /// The authority, if the target is a whole URI, and what follows it.
    fn split_target(&self) -> (Option<&str>, &str) {
        let target = self.target();
        match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            _ => (None, target),
        }
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("query", &self.query().map(|_| format_args!("(hidden)")))
            .field("version", &self.version)
            .field("headers", &self.lines)
            .finish()
    }
}
