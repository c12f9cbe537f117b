//! The handshake in the types of the `http` crate, for servers that read requests and write answers by themselves.

use bytes::BytesMut;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode, Version, request};

use super::head::RequestHead;
use super::reader::{HeadError, HeadLimits, HeadReader};
use super::server::{Offer, RESERVED};
use super::subprotocol::InvalidSubprotocol;
use super::tokens;

impl RequestHead {
    /// The head of a request that another server has read.
    ///
    /// It is written down as a client would have sent it and read again, so that the same limits and the same
    /// strictness hold as for one that came in bytes. What the other server has smoothed out cannot be seen any more:
    /// a fragment in the target, lines that end in a bare LF, a length that was said twice.
    ///
    /// A request of HTTP/2 or HTTP/3 keeps its [`version`](Self::version), for which [`check`](super::check) refuses
    /// it: WebSockets over their extended `CONNECT` (RFC 8441, RFC 9220) are not supported.
    ///
    /// # Errors
    ///
    /// The limit that the request goes beyond, or what is wrong with it.
    pub fn from_parts(parts: &request::Parts, limits: HeadLimits) -> Result<Self, HeadError> {
        let version = match parts.version {
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        let mut bytes = BytesMut::with_capacity(1024);
        bytes.extend_from_slice(format!("{} {} {version}\r\n", parts.method, parts.uri).as_bytes());
        for (name, value) in &parts.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        let head = HeadReader::new(limits).read(&mut bytes)?;
        // No header of these types holds a line end, so the empty line is the one that was just written.
        Ok(head.ok_or(HeadError::MalformedRequestLine)?.with_version(parts.version))
    }
}

/// The answer that turns the connection into a WebSocket, as [`encode_accept`](super::encode_accept) writes it.
///
/// # Errors
///
/// [`InvalidSubprotocol`] if the subprotocol is no token.
///
/// # Source
///
/// RFC 6455 §4.2.2, point 5.
pub fn accept_response(
    offer: &Offer,
    subprotocol: Option<&str>,
    extra: &HeaderMap,
) -> Result<Response<()>, InvalidSubprotocol> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let key = HeaderValue::from_bytes(offer.accept_key().as_bytes()).expect("base64 is made of visible characters");
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    if let Some(name) = subprotocol {
        if !tokens::is_token(name.as_bytes()) {
            return Err(InvalidSubprotocol);
        }
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(name).map_err(|_| InvalidSubprotocol)?);
    }
    if let Some(extensions) = offer.extensions() {
        let extensions = HeaderValue::from_str(extensions).expect("it is made of tokens and their separators");
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    for (name, value) in extra.iter().filter(|(name, _)| !RESERVED.contains(name)) {
        headers.append(name, value.clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{HandshakeError, check, encode_accept};
    use http::Request;
    use http::header::{CONTENT_LENGTH, SET_COOKIE};

    const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nX-A: b\r\nX-A: \u{e9}\r\n\r\n";

    fn read(bytes: &str) -> RequestHead {
        HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(bytes)).unwrap().unwrap()
    }

    #[test]
    fn a_request_of_another_server_is_read_as_the_one_that_came_in_bytes() {
        let head = read(REQUEST);
        let again = RequestHead::from_parts(&head.to_parts(), HeadLimits::default()).unwrap();
        assert_eq!((again.method(), again.target(), again.version()), ("GET", "/chat?room=1", Version::HTTP_11));
        assert_eq!(again.headers("x-a").collect::<Vec<_>>(), [&b"b"[..], "\u{e9}".as_bytes()]);
        assert_eq!(check(&again), check(&head));
        let whole = read(&REQUEST.replace("/chat", "http://a.example/chat"));
        let again = RequestHead::from_parts(&whole.to_parts(), HeadLimits::default()).unwrap();
        assert_eq!((again.host(), again.path()), (Some("a.example"), "/chat"));
    }

    #[test]
    fn the_limits_hold_for_it_as_well() {
        let parts = read(REQUEST).to_parts();
        for (limits, error) in [
            (HeadLimits::default().with_max_size(100), HeadError::TooLarge),
            (HeadLimits::default().with_max_headers(7), HeadError::TooManyHeaders),
            (HeadLimits::default().with_max_line(40), HeadError::LineTooLong),
            (HeadLimits::default().with_max_line(20), HeadError::TargetTooLong),
        ] {
            assert_eq!(RequestHead::from_parts(&parts, limits).unwrap_err(), error);
        }
        assert!(RequestHead::from_parts(&parts, HeadLimits::default().with_max_headers(8)).is_ok());
    }

    #[test]
    fn other_versions_of_http_are_refused_as_such() {
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
            let mut parts = read(REQUEST).to_parts();
            parts.version = version;
            let head = RequestHead::from_parts(&parts, HeadLimits::default()).unwrap();
            assert_eq!(head.version(), version);
            assert_eq!(check(&head), Err(HandshakeError::UnsupportedHttpVersion));
        }
        // The extended CONNECT of RFC 8441.
        let connect = Request::connect("https://a.example/chat").version(Version::HTTP_2).body(()).unwrap();
        let head = RequestHead::from_parts(&connect.into_parts().0, HeadLimits::default()).unwrap();
        assert_eq!(check(&head), Err(HandshakeError::UnsupportedHttpVersion));
    }

    #[test]
    fn both_forms_of_the_answer_say_the_same() {
        let offer = check(&read(REQUEST)).unwrap();
        let mut extra = HeaderMap::new();
        extra.append(SET_COOKIE, HeaderValue::from_static("a=1"));
        extra.append(SET_COOKIE, HeaderValue::from_static("b=2"));
        extra.append(CONTENT_LENGTH, HeaderValue::from_static("5"));
        extra.append(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("mine"));
        let response = accept_response(&offer, Some("chat"), &extra).unwrap();
        let mut lines = vec![String::from("http/1.1 101 switching protocols")];
        for (name, value) in response.headers() {
            lines.push(format!("{name}: {}", value.to_str().unwrap().to_lowercase()));
        }
        let mut bytes = BytesMut::new();
        encode_accept(&offer, Some("chat"), &extra, &mut bytes).unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap().to_lowercase();
        assert_eq!(text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), lines);
        assert_eq!(accept_response(&offer, Some("a b"), &extra).unwrap_err(), InvalidSubprotocol);
    }
}
