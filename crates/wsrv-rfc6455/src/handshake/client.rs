//! A client's side of the opening handshake.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri, Version};

use super::accept_key::{AcceptKey, accept_key};
use super::answer::AnswerHead;
#[cfg(feature = "deflate")]
use super::extensions::extensions;
use super::host::split_host;
use super::tokens;
#[cfg(feature = "deflate")]
use crate::deflate::{Agreement, Compression, Offered};
use crate::keys::{self, KeyError};

/// The request that a client opens a WebSocket with.
///
/// ```
/// use bytes::BytesMut;
/// use http::{HeaderValue, header};
/// use wsrv_rfc6455::handshake::ClientRequest;
///
/// let request = ClientRequest::new("server.example.com", "/chat")?
///     .with_header(header::ORIGIN, HeaderValue::from_static("http://example.com"))?
///     .with_subprotocol("chat")?;
/// let mut out = BytesMut::new();
/// let expected = request.encode(&mut out)?;
/// assert!(out.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
/// # let _ = expected;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
///
/// RFC 6455 §4.1.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    host: Box<str>,
    target: Box<str>,
    subprotocols: Vec<String>,
    headers: HeaderMap,
    #[cfg(feature = "deflate")]
    compression: Option<Compression>,
}

impl ClientRequest {
    /// A request without subprotocols and further headers.
    ///
    /// `host` is what the URI names: `name`, `name:port` or an address in their place, with the port only if it is not
    /// the scheme's own. `target` is the URI's path and query, `/` if it has none.
    ///
    /// # Errors
    ///
    /// [`RequestError::InvalidHost`], [`RequestError::InvalidTarget`].
    pub fn new(host: &str, target: &str) -> Result<Self, RequestError> {
        if split_host(host).is_none() {
            return Err(RequestError::InvalidHost);
        }
        let is_good = target.starts_with('/')
            && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && target.parse::<Uri>().is_ok();
        if !is_good {
            return Err(RequestError::InvalidTarget);
        }
        Ok(Self {
            host: host.into(),
            target: target.into(),
            subprotocols: Vec::new(),
            headers: HeaderMap::new(),
            #[cfg(feature = "deflate")]
            compression: None,
        })
    }

    /// Offers a subprotocol; the one offered first is liked best.
    ///
    /// # Errors
    ///
    /// [`RequestError::InvalidSubprotocol`] if it is no token, [`RequestError::RepeatedSubprotocol`].
    pub fn with_subprotocol(mut self, name: impl Into<String>) -> Result<Self, RequestError> {
        let name = name.into();
        if !tokens::is_token(name.as_bytes()) {
            return Err(RequestError::InvalidSubprotocol);
        }
        if self.subprotocols.contains(&name) {
            return Err(RequestError::RepeatedSubprotocol);
        }
        self.subprotocols.push(name);
        Ok(self)
    }

    /// Adds a header, such as `Origin`, `Authorization` or `Cookie`. The same name may come several times.
    ///
    /// # Errors
    ///
    /// [`RequestError::ReservedHeader`] for those that belong to the handshake itself or would give the request a body.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, RequestError> {
        const RESERVED: [HeaderName; 10] = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::HOST,
            header::SEC_WEBSOCKET_ACCEPT,
            header::SEC_WEBSOCKET_EXTENSIONS,
            header::SEC_WEBSOCKET_KEY,
            header::SEC_WEBSOCKET_PROTOCOL,
            header::SEC_WEBSOCKET_VERSION,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        if RESERVED.contains(&name) {
            return Err(RequestError::ReservedHeader);
        }
        self.headers.append(name, value);
        Ok(self)
    }

    /// Offers to compress messages. [`Expected::check_deflate`] tells whether the server agrees, and on what.
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, compression: &Compression) -> Self {
        self.compression = Some(compression.clone());
        self
    }

    /// Writes the request, with a fresh key each time, and tells what the answer must say. Read that with an
    /// [`AnswerReader`](super::AnswerReader) and give it to [`Expected::check`].
    ///
    /// # Errors
    ///
    /// [`KeyError`], and nothing is written, if the operating system gives no random bytes for the key.
    pub fn encode(&self, out: &mut BytesMut) -> Result<Expected, KeyError> {
        let mut nonce = [0; 16];
        keys::fill(&mut nonce)?;
        Ok(self.encode_with(nonce, out))
    }

    fn encode_with(&self, nonce: [u8; 16], out: &mut BytesMut) -> Expected {
        let key = STANDARD.encode(nonce);
        for part in ["GET ", &self.target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let mut line = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        };
        line("Host", self.host.as_bytes());
        line("Upgrade", b"websocket");
        line("Connection", b"Upgrade");
        line("Sec-WebSocket-Key", key.as_bytes());
        line("Sec-WebSocket-Version", b"13");
        if !self.subprotocols.is_empty() {
            line("Sec-WebSocket-Protocol", self.subprotocols.join(", ").as_bytes());
        }
        #[cfg(feature = "deflate")]
        let compression = self.compression.as_ref().map(|compression| {
            let offer = Offered::of_client(compression.settings());
            line("Sec-WebSocket-Extensions", offer.to_string().as_bytes());
            (compression.clone(), offer)
        });
        for (name, value) in &self.headers {
            line(name.as_str(), value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        Expected {
            accept_key: accept_key(key.as_bytes()),
            subprotocols: self.subprotocols.clone(),
            #[cfg(feature = "deflate")]
            compression,
        }
    }
}

/// Why a request cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A host that is not `name`, `name:port` or an IP address in the place of a name.
    #[error("the host is malformed")]
    InvalidHost,
    /// A target that does not begin with a slash, has a fragment, or bytes that should have been percent-encoded.
    #[error("the request target is not a path with an optional query")]
    InvalidTarget,
    /// A subprotocol that is not a token.
    #[error("an offered subprotocol is not a token")]
    InvalidSubprotocol,
    /// The same subprotocol offered twice.
    #[error("a subprotocol is offered twice")]
    RepeatedSubprotocol,
    /// A header that the handshake itself sets, or one that tells of a body.
    #[error("the header belongs to the handshake itself")]
    ReservedHeader,
}

/// What the answer to a [`ClientRequest`] must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    accept_key: AcceptKey,
    subprotocols: Vec<String>,
    #[cfg(feature = "deflate")]
    compression: Option<(Compression, Offered)>,
}

impl Expected {
    /// Checks the server's answer, and gives the subprotocol that the server has chosen, if any. Frames may follow at
    /// once; some may have come together with the answer.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Refused`] for any status but 101, with the answer's head, and otherwise the rule that the answer
    /// breaks. The connection must be closed then.
    ///
    /// # Source
    ///
    /// RFC 6455 §4.1, what a client must validate. Stricter in one point: the answer must be HTTP/1.1.
    pub fn check<'a>(&self, head: &'a AnswerHead) -> Result<Option<&'a str>, AnswerError> {
        if head.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(AnswerError::Refused(Box::new(head.clone())));
        }
        if head.version() != Version::HTTP_11 {
            return Err(AnswerError::UnsupportedHttpVersion);
        }
        if !head.single("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(AnswerError::NoUpgrade);
        }
        if !tokens::has_element(head.headers("connection"), "upgrade") {
            return Err(AnswerError::NoConnectionUpgrade);
        }
        if head.single("sec-websocket-accept") != Some(self.accept_key.as_bytes()) {
            return Err(AnswerError::WrongAcceptKey);
        }
        self.check_extensions(head)?;
        let mut chosen = head.headers("sec-websocket-protocol");
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(AnswerError::SeveralSubprotocols),
            (Some(name), None) => {
                let name = std::str::from_utf8(name).map_err(|_| AnswerError::UnexpectedSubprotocol)?;
                if self.subprotocols.iter().any(|offered| offered == name) {
                    Ok(Some(name))
                } else {
                    Err(AnswerError::UnexpectedSubprotocol)
                }
            }
        }
    }
}

impl Expected {
    #[cfg(not(feature = "deflate"))]
    fn check_extensions(&self, head: &AnswerHead) -> Result<(), AnswerError> {
        // No extension is known here, so none was offered; and an empty list is malformed (§9.1).
        if head.header("sec-websocket-extensions").is_some() { Err(AnswerError::UnexpectedExtension) } else { Ok(()) }
    }

    #[cfg(feature = "deflate")]
    fn check_extensions(&self, head: &AnswerHead) -> Result<(), AnswerError> {
        self.check_deflate(head).map(drop)
    }

    /// What the server has agreed on about compression; `None` if it does not compress, or if that was not offered.
    /// [`check`](Self::check) has looked at it, too.
    ///
    /// # Errors
    ///
    /// [`AnswerError::UnexpectedExtension`] if another extension is named than was offered, or several;
    /// [`AnswerError::InvalidDeflate`] if the answer does not fit the offer. The connection must be closed then.
    ///
    /// # Source
    ///
    /// RFC 7692 §5.1 and §7.1; RFC 6455 §9.1.
    #[cfg(feature = "deflate")]
    pub fn check_deflate(&self, head: &AnswerHead) -> Result<Option<Agreement>, AnswerError> {
        let lines = || head.headers("sec-websocket-extensions");
        let Some((compression, offered)) = &self.compression else {
            return if lines().next().is_some() { Err(AnswerError::UnexpectedExtension) } else { Ok(None) };
        };
        if lines().next().is_none() {
            return Ok(None);
        }
        let mut elements = extensions(lines());
        match (elements.next().flatten(), elements.next()) {
            (Some(answer), None) if answer.name() == Offered::NAME.as_bytes() => {
                let agreement = compression.answered(offered, &answer);
                agreement.map(Some).ok_or(AnswerError::InvalidDeflate)
            }
            _ => Err(AnswerError::UnexpectedExtension),
        }
    }
}

/// Why the server's answer opens no WebSocket.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The server answers with another status than 101: an error, a redirection, a page.
    #[error("the server answers with status {}", .0.status().as_u16())]
    Refused(Box<AnswerHead>),
    /// HTTP/1.0, which cannot upgrade.
    #[error("the answer is not HTTP/1.1")]
    UnsupportedHttpVersion,
    /// `Upgrade` is not `websocket`.
    #[error("the Upgrade header of the answer is not websocket")]
    NoUpgrade,
    /// `Connection` does not list `upgrade`.
    #[error("the Connection header of the answer does not list upgrade")]
    NoConnectionUpgrade,
    /// Not exactly one `Sec-WebSocket-Accept`, or one that does not answer the key.
    #[error("the answer does not fit the key")]
    WrongAcceptKey,
    /// An extension that was not offered, or a malformed list.
    #[error("the server uses an extension that was not offered")]
    UnexpectedExtension,
    /// An answer about compression that is malformed, or does not fit the offer.
    #[cfg(feature = "deflate")]
    #[error("the server's answer about compression does not fit the offer")]
    InvalidDeflate,
    /// A subprotocol that was not offered, or a list of them.
    #[error("the server chose a subprotocol that was not offered")]
    UnexpectedSubprotocol,
    /// Several `Sec-WebSocket-Protocol` headers.
    #[error("the answer has several Sec-WebSocket-Protocol headers")]
    SeveralSubprotocols,
}

impl AnswerError {
    /// The head of the answer, if the server refused.
    pub fn refusal(&self) -> Option<&AnswerHead> {
        if let Self::Refused(head) = self { Some(head) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_of_the_rfc_is_written_with_its_key() {
        let request = ClientRequest::new("server.example.com", "/chat")
            .and_then(|request| request.with_subprotocol("chat"))
            .and_then(|request| request.with_subprotocol("superchat"))
            .and_then(|request| request.with_header(header::ORIGIN, HeaderValue::from_static("http://example.com")))
            .unwrap();
        let mut out = BytesMut::new();
        let expected = request.encode_with(*b"the sample nonce", &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "GET /chat HTTP/1.1\r\n\
             Host: server.example.com\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\n\
             origin: http://example.com\r\n\r\n"
        );
        assert_eq!(expected.accept_key.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
