//! Refusals, and how they look on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, Response, StatusCode, Version};
use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;
use wsrv_rfc6455::handshake::{HandshakeError, HeadError};

/// The answer to a request that does not become a connection.
///
/// It is always the last thing on its stream (`Connection: close`) and says how long it is, so that no peer waits
/// for more. Nothing of the request is ever repeated in it.
#[derive(Clone)]
pub struct Rejection(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: StatusCode,
    headers: HeaderMap,
    /// With its type. `None`: one line of plain text.
    body: Option<(HeaderValue, Bytes)>,
    why: Cow<'static, str>,
    note: Option<Cow<'static, str>>,
    reason: &'static str,
    silent: bool,
}

impl Rejection {
    /// Refuses with `status`. `why` is for the log and for the plain text that a person may read in the answer: it
    /// names the rule, never a secret.
    pub fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Rejection(Box::new(Inner {
            status,
            headers: HeaderMap::new(),
            body: None,
            why: why.into(),
            note: None,
            reason: "application",
            silent: false,
        }))
    }

    /// 403 with a reason.
    pub fn forbidden(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, why)
    }

    /// 404: no route leads there.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such route").because("route")
    }

    /// 408: the request took too long to come.
    pub fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request took too long to come").because("timeout")
    }

    /// 429 with a reason: too many in a short time (`Retry-After: 5`).
    pub fn too_fast(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, why).because("rate").header(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// 500: who was to decide could not. The peer is told no more.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").because("internal")
    }

    /// 503 with a reason: not now, but in a few seconds perhaps (`Retry-After: 5`).
    pub fn overloaded(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
            .because("overload")
            .header(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// Counts this rejection under another word: see [`reason`](Rejection::reason).
    pub fn because(mut self, reason: &'static str) -> Self {
        self.0.reason = reason;
        self
    }

    /// Adds what only the log is told, such as the rule in detail and what the peer has sent. Whoever puts something of
    /// the peer's in here bounds and escapes it.
    pub fn note(mut self, note: impl Into<Cow<'static, str>>) -> Self {
        self.0.note = Some(note.into());
        self
    }

    /// Closes the connection without an answer, where the host can: a server of our own. Inside another server the
    /// answer is sent, since that server would send one of its own otherwise.
    pub fn silent(mut self, silent: bool) -> Self {
        self.0.silent = silent;
        self
    }

    /// Adds a header. Those that frame the answer (`Connection`, `Content-Length`, `Content-Type`, `Date`, `Trailer`,
    /// `Transfer-Encoding`) are set with the [answer](Rejection::response) and cannot be added.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// A body of your own instead of one line of plain text.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.0.body = Some((content_type, body.into()));
        self
    }

    /// A body of JSON.
    pub fn json(self, body: impl Into<Bytes>) -> Self {
        self.body(HeaderValue::from_static("application/json"), body)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The headers added so far.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Which rule refused.
    pub fn why(&self) -> &str {
        &self.0.why
    }

    /// What only the log is told.
    pub fn log_note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// The word under which this rejection is counted; few of them, and always the same for the same cause.
    ///
    /// This crate's own: `address`, `handshake` (what HTTP or RFC 6455 ask for), `internal`, `origin`, `overload`, `proxy`
    /// (what proxies tell makes no sense), `rate`, `route` and `timeout`. What an application refuses is
    /// `application`, unless it has [said](Rejection::because) otherwise.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// Whether the connection is to be closed without an answer.
    pub fn is_silent(&self) -> bool {
        self.0.silent
    }

    /// The whole answer to a request with this method and version, in the types of the `http` crate. A status that has
    /// no body (1xx, 204, 304) is answered without one, and so is `HEAD`. From HTTP/2 on no header speaks of the
    /// connection (RFC 9113 §8.2.2).
    pub fn response(&self, method: &str, version: Version) -> Response<Bytes> {
        const OURS: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, TRAILER, TRANSFER_ENCODING];
        let Inner { status, headers, body, why, .. } = &*self.0;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = *status;
        let out = response.headers_mut();
        for (name, value) in headers.iter().filter(|(name, _)| !OURS.contains(name)) {
            out.append(name, value.clone());
        }
        let date = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now()));
        out.insert(DATE, date.expect("a date is made of visible characters"));
        if version > Version::HTTP_11 {
            out.remove(UPGRADE);
        } else {
            // RFC 9110 §7.8: who sends Upgrade names it here as well.
            let connection = if headers.contains_key(UPGRADE) { "close, upgrade" } else { "close" };
            out.insert(CONNECTION, HeaderValue::from_static(connection));
        }
        if status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(status) {
            return response;
        }
        let line = || {
            let text = format!("{} {}: {why}\n", status.as_u16(), reason(*status));
            (HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
        };
        let (content_type, body) = body.clone().unwrap_or_else(line);
        out.insert(CONTENT_TYPE, content_type);
        out.insert(CONTENT_LENGTH, body.len().into());
        if method != "HEAD" {
            *response.body_mut() = body;
        }
        response
    }

    /// The same answer as it goes over the wire in HTTP/1.1.
    pub fn encode(&self, method: &str) -> Bytes {
        let response = self.response(method, Version::HTTP_11);
        let mut out = BytesMut::with_capacity(512);
        let status = response.status();
        out.put_slice(format!("HTTP/1.1 {} {}\r\n", status.as_u16(), reason(status)).as_bytes());
        for (name, value) in response.headers() {
            put_header(&mut out, name, value.as_bytes());
        }
        out.put_slice(b"\r\n");
        out.put_slice(response.body());
        out.freeze()
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Refused")
}

fn put_header(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

impl From<HeadError> for Rejection {
    fn from(error: HeadError) -> Self {
        Self::new(error.status(), error.to_string()).because("handshake")
    }
}

impl From<HandshakeError> for Rejection {
    fn from(error: HandshakeError) -> Self {
        let rejection = Self::new(error.status(), error.to_string()).because("handshake");
        error.headers().fold(rejection, |rejection, (name, value)| rejection.header(name, value))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status, self.0.why)
    }
}

/// Without the headers and the body, which may be meant for one peer only.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { status, why, note, reason, silent, .. } = &*self.0;
        f.debug_struct("Rejection")
            .field("status", status)
            .field("reason", reason)
            .field("why", why)
            .field("note", note)
            .field("silent", silent)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ALLOW;

    #[test]
    fn an_answer_says_its_length_and_that_it_is_the_last() {
        let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "only GET")
            .header(ALLOW, HeaderValue::from_static("GET"))
            .header(CONNECTION, HeaderValue::from_static("keep-alive"));
        let answer = String::from_utf8(rejection.encode("GET").to_vec()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\nallow: GET\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n") && !head.contains("keep-alive"), "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
        assert_eq!(body, "405 Method Not Allowed: only GET\n");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
    }

    #[test]
    fn a_body_of_ones_own_comes_with_its_type() {
        let rejection = Rejection::forbidden("blocked").body(HeaderValue::from_static("application/json"), "{}");
        let answer = String::from_utf8(rejection.encode("GET").to_vec()).unwrap();
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        assert!(answer.ends_with("content-length: 2\r\n\r\n{}"), "{answer}");
    }

    #[test]
    fn a_handshake_error_keeps_its_status_and_headers() {
        let rejection = Rejection::from(HandshakeError::MethodNotAllowed);
        assert_eq!(rejection.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(rejection.headers()[ALLOW], "GET");
        let answer = String::from_utf8(Rejection::from(HandshakeError::NoUpgrade).encode("GET").to_vec()).unwrap();
        assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close, upgrade\r\n"), "{answer}");
    }

    #[test]
    fn nothing_makes_the_answers_length_ambiguous() {
        let rejection = Rejection::forbidden("no")
            .header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))
            .header(CONTENT_TYPE, HeaderValue::from_static("text/html"))
            .body(HeaderValue::from_static("text/css"), "a")
            .body(HeaderValue::from_static("text/plain"), "b");
        let answer = String::from_utf8(rejection.encode("GET").to_vec()).unwrap();
        assert!(!answer.contains("transfer-encoding"), "{answer}");
        assert_eq!(answer.matches("content-type: ").count(), 1, "{answer}");
        assert!(answer.ends_with("content-type: text/plain\r\ncontent-length: 1\r\n\r\nb"), "{answer}");
        let empty = Rejection::new(StatusCode::NO_CONTENT, "nothing").encode("GET");
        assert!(empty.ends_with(b"connection: close\r\n\r\n"));
        let later = String::from_utf8(Rejection::overloaded("no place").encode("GET").to_vec()).unwrap();
        assert!(later.starts_with("HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n"), "{later}");
        let to_head = Rejection::forbidden("no").encode("HEAD");
        assert!(to_head.ends_with(b"content-length: 18\r\n\r\n"), "{to_head:?}");
    }

    #[test]
    fn every_rejection_is_counted_under_a_word() {
        for (rejection, reason) in [
            (Rejection::forbidden("no"), "application"),
            (Rejection::forbidden("no").because("quota"), "quota"),
            (Rejection::not_found(), "route"),
            (Rejection::timeout(), "timeout"),
            (Rejection::overloaded("no place"), "overload"),
            (Rejection::too_fast("too many"), "rate"),
            (Rejection::internal(), "internal"),
            (Rejection::from(HandshakeError::NoUpgrade), "handshake"),
            (Rejection::from(HeadError::TooLarge), "handshake"),
        ] {
            assert_eq!(rejection.reason(), reason, "{rejection}");
        }
    }

    #[test]
    fn what_is_for_the_log_is_not_in_the_answer() {
        let rejection = Rejection::forbidden("no").note("the secret rule").silent(true);
        assert_eq!((rejection.log_note(), rejection.is_silent()), (Some("the secret rule"), true));
        let answer = String::from_utf8(rejection.encode("GET").to_vec()).unwrap();
        assert!(!answer.contains("secret") && !rejection.to_string().contains("secret"), "{answer}");
    }

    #[test]
    fn a_rejection_is_one_word() {
        assert_eq!(size_of::<Result<(), Rejection>>(), size_of::<usize>());
    }
}
