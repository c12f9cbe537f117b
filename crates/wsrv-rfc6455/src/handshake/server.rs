//! A server's side of the opening handshake.

use std::collections::HashSet;

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use super::accept_key::{AcceptKey, accept_key};
use super::head::RequestHead;
use super::host::split_host;
use super::subprotocol::InvalidSubprotocol;
use super::tokens;

/// Checks that a request is a correct opening handshake.
///
/// Extensions are not looked at: an offer that is not taken up, malformed or not, is declined by silence. With the feature
/// `deflate`, a `Compression` takes up those of `permessage-deflate`.
///
/// # Errors
///
/// The rule that the request breaks; if several, what is wrong with the request as HTTP comes first.
///
/// # Source
///
/// RFC 6455 §4.2.1; RFC 9112 §3.2 for the host and the target, §6 for the body that an upgrade must not have. Strict
/// throughout: a request that a proxy in between could understand differently is refused.
pub fn check(head: &RequestHead) -> Result<Offer, HandshakeError> {
    if head.version() != Version::HTTP_11 {
        return Err(HandshakeError::UnsupportedHttpVersion);
    }
    check_host(head)?;
    check_target(head)?;
    check_no_body(head)?;
    if head.method() != "GET" {
        return Err(HandshakeError::MethodNotAllowed);
    }
    if !head.is_upgrade() {
        return Err(HandshakeError::NoUpgrade);
    }
    if !tokens::has_element(head.headers("connection"), "upgrade") {
        return Err(HandshakeError::NoConnectionUpgrade);
    }
    check_version(head)?;
    let key = check_key(head)?;
    let subprotocols = check_subprotocols(head)?;
    Ok(Offer {
        accept_key: accept_key(key),
        subprotocols,
        #[cfg(feature = "deflate")]
        extensions: None,
    })
}

/// Checks what holds for every request, also for one that asks for no upgrade and is going to be served as a page: it
/// has one host, and nobody can understand its length differently.
///
/// # Errors
///
/// The rule that the request breaks.
///
/// # Source
///
/// RFC 9112 §3.2 and §6.3.
pub fn check_http(head: &RequestHead) -> Result<(), HandshakeError> {
    if head.version() == Version::HTTP_11 || head.header("host").is_some() {
        check_host(head)?;
    }
    let mut lengths = head.headers("content-length");
    let length_is_good = match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(length), None) => {
            let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            is_number && head.header("transfer-encoding").is_none()
        }
        _ => false,
    };
    if length_is_good { Ok(()) } else { Err(HandshakeError::AmbiguousLength) }
}

/// What a client asks for, once its request has passed [`check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    accept_key: AcceptKey,
    /// Joined by commas, which no token contains.
    subprotocols: Box<str>,
    /// What the answer is to say of extensions.
    #[cfg(feature = "deflate")]
    extensions: Option<Box<str>>,
}

impl Offer {
    /// The subprotocols the client speaks, the one it likes best first. All are tokens, and none comes twice.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.split(',').filter(|name| !name.is_empty())
    }

    /// The answer to the client's key.
    pub fn accept_key(&self) -> AcceptKey {
        self.accept_key
    }

    /// Has the answer say that messages are compressed as was agreed on.
    #[cfg(feature = "deflate")]
    pub fn agree(&mut self, agreement: &crate::deflate::Agreement) {
        self.extensions = Some(agreement.answer().into());
    }

    /// The value of the answer's `Sec-WebSocket-Extensions`, if it has one.
    pub fn extensions(&self) -> Option<&str> {
        #[cfg(feature = "deflate")]
        return self.extensions.as_deref();
        #[cfg(not(feature = "deflate"))]
        None
    }
}

/// Headers of the answer that are the handshake's own, or would give it a body.
pub(super) const RESERVED: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Writes the answer that turns the connection into a WebSocket; frames may follow it at once.
///
/// `extra` headers are added as they are, except those that belong to the handshake itself or would give the answer a
/// body.
///
/// # Errors
///
/// [`InvalidSubprotocol`], and nothing is written, if the subprotocol is no token. Those of an [`Offer`] and those that
/// [`Subprotocols::select`](super::Subprotocols::select) gives always are.
///
/// # Source
///
/// RFC 6455 §4.2.2, point 5.
pub fn encode_accept(
    offer: &Offer,
    subprotocol: Option<&str>,
    extra: &HeaderMap,
    out: &mut BytesMut,
) -> Result<(), InvalidSubprotocol> {
    if subprotocol.is_some_and(|name| !tokens::is_token(name.as_bytes())) {
        return Err(InvalidSubprotocol);
    }
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    line("HTTP/1.1 101 Switching Protocols\r\nUpgrade", b"websocket");
    line("Connection", b"Upgrade");
    line("Sec-WebSocket-Accept", offer.accept_key.as_bytes());
    if let Some(name) = subprotocol {
        line("Sec-WebSocket-Protocol", name.as_bytes());
    }
    if let Some(extensions) = offer.extensions() {
        line("Sec-WebSocket-Extensions", extensions.as_bytes());
    }
    for (name, value) in extra {
        if !RESERVED.contains(name) {
            line(name.as_str(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Why a request may not become a WebSocket.
///
/// After the answer the connection must be closed, and nothing that follows the head be read as frames or as another
/// request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// HTTP/1.0, which cannot upgrade. Status 505.
    #[error("an upgrade needs HTTP/1.1")]
    UnsupportedHttpVersion,
    /// No `Host` header, or several. Status 400.
    #[error("the request must have exactly one Host header")]
    HostCount,
    /// A host that is not `name`, `name:port` or an IP address in the place of a name. Status 400.
    #[error("the host is malformed")]
    InvalidHost,
    /// A request target that is neither an absolute path nor an HTTP URI, or has a fragment. Status 400.
    #[error("the request target is neither a path nor an http URI")]
    InvalidTarget,
    /// A `Transfer-Encoding`, or a `Content-Length` that is not a single 0. Status 400.
    #[error("an upgrade must not have a body")]
    Body,
    /// Its length is no number, or is said twice, or in two ways (RFC 9112 §6.3).
    #[error("the request's length is ambiguous")]
    AmbiguousLength,
    /// Not `GET`. Status 405.
    #[error("the method must be GET")]
    MethodNotAllowed,
    /// `Upgrade` does not list `websocket`. Status 426.
    #[error("the request does not ask for an upgrade to websocket")]
    NoUpgrade,
    /// `Connection` does not list `upgrade`. Status 400.
    #[error("the Connection header does not list upgrade")]
    NoConnectionUpgrade,
    /// `Sec-WebSocket-Version` is missing or not 13. Status 426.
    #[error("the WebSocket version must be 13")]
    UnsupportedVersion,
    /// Several `Sec-WebSocket-Version` headers. Status 400.
    #[error("the request has several Sec-WebSocket-Version headers")]
    SeveralVersions,
    /// Not exactly one `Sec-WebSocket-Key`. Status 400.
    #[error("the request must have exactly one Sec-WebSocket-Key header")]
    KeyCount,
    /// A `Sec-WebSocket-Key` that does not encode 16 bytes. Status 400.
    #[error("the key is not 16 bytes in base64")]
    InvalidKey,
    /// A `Sec-WebSocket-Protocol` that is not a list of tokens. Status 400.
    #[error("an offered subprotocol is not a token")]
    InvalidSubprotocol,
    /// The same subprotocol offered twice. Status 400.
    #[error("a subprotocol is offered twice")]
    RepeatedSubprotocol,
    /// The server requires one of its subprotocols, and the client offers none of them. Status 400.
    #[error("client and server have no subprotocol in common")]
    NoCommonSubprotocol,
}

impl HandshakeError {
    /// The status to answer with: 400, 405, 426 or 505.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::UnsupportedHttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoUpgrade | Self::UnsupportedVersion => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that the answer must have because of its status: `Allow` with 405, `Upgrade` and
    /// `Sec-WebSocket-Version` with 426. An answer with `Upgrade` must also list `upgrade` in its `Connection` header.
    ///
    /// # Source
    ///
    /// RFC 9110 §15.5.6 and §15.5.22, RFC 6455 §4.4.
    pub fn headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let headers: &[_] = match self.status() {
            StatusCode::METHOD_NOT_ALLOWED => &[(header::ALLOW, "GET")],
            StatusCode::UPGRADE_REQUIRED => &[(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")],
            _ => &[],
        };
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
    }
}

fn check_host(head: &RequestHead) -> Result<(), HandshakeError> {
    let host = head.single("host").ok_or(HandshakeError::HostCount)?;
    if is_host(host) { Ok(()) } else { Err(HandshakeError::InvalidHost) }
}

fn is_host(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|value| split_host(value).is_some())
}

fn check_target(head: &RequestHead) -> Result<(), HandshakeError> {
    let target = head.target();
    let is_good = if target.starts_with('/') {
        true
    } else {
        match target.split_once("://") {
            Some((scheme, _)) => {
                ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
                    && head.host().is_some_and(|host| is_host(host.as_bytes()))
            }
            None => false,
        }
    };
    if is_good && !target.contains('#') { Ok(()) } else { Err(HandshakeError::InvalidTarget) }
}

fn check_no_body(head: &RequestHead) -> Result<(), HandshakeError> {
    let mut lengths = head.headers("content-length");
    let length_is_good = match (lengths.next(), lengths.next()) {
        (None, _) => true,
        (Some(length), None) => !length.is_empty() && length.iter().all(|&digit| digit == b'0'),
        _ => false,
    };
    let has_encoding = head.header("transfer-encoding").is_some();
    if length_is_good && !has_encoding { Ok(()) } else { Err(HandshakeError::Body) }
}

fn check_version(head: &RequestHead) -> Result<(), HandshakeError> {
    let mut versions = head.headers("sec-websocket-version");
    match (versions.next(), versions.next()) {
        (_, Some(_)) => Err(HandshakeError::SeveralVersions),
        (Some(b"13"), None) => Ok(()),
        _ => Err(HandshakeError::UnsupportedVersion),
    }
}

/// The last of the 22 significant characters holds four bits that mean nothing. A strict decoder wants them zero, but
/// RFC 6455 itself (§4.1) prints a key in which they are not: `AQIDBAUGBwgJCgsMDQ4PEC==`.
const KEY_FORMAT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

fn check_key(head: &RequestHead) -> Result<&[u8], HandshakeError> {
    let key = head.single("sec-websocket-key").ok_or(HandshakeError::KeyCount)?;
    // Room for what 24 characters could at most hold.
    let mut nonce = [0; 18];
    if key.len() == 24 && KEY_FORMAT.decode_slice(key, &mut nonce) == Ok(16) {
        Ok(key)
    } else {
        Err(HandshakeError::InvalidKey)
    }
}

/// The offered subprotocols, joined by commas.
fn check_subprotocols(head: &RequestHead) -> Result<Box<str>, HandshakeError> {
    let mut joined = String::new();
    let mut seen = HashSet::new();
    for name in tokens::elements(head.headers("sec-websocket-protocol")) {
        // HTTP lets empty elements pass; RFC 6455 (§4.1, point 10) does not.
        if !tokens::is_token(name) {
            return Err(HandshakeError::InvalidSubprotocol);
        }
        if !seen.insert(name) {
            return Err(HandshakeError::RepeatedSubprotocol);
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.extend(name.iter().map(|&byte| char::from(byte)));
    }
    Ok(joined.into())
}
