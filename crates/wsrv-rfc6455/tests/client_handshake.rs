//! Which answers open a WebSocket for a client, and which do not.

#![cfg(all(feature = "client", feature = "handshake"))]

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use wsrv_rfc6455::handshake::{
    self, AnswerError, AnswerHead, AnswerReader, ClientRequest, Expected, HeadError, HeadLimits, HeadReader,
    RequestError,
};

/// A request that offers two subprotocols, what is expected of its answer, and the accept key that fits.
fn asked() -> (Expected, String) {
    let mut out = BytesMut::new();
    let request = ClientRequest::new("a.example", "/?q=1").unwrap();
    let request = request.with_subprotocol("v2").unwrap().with_subprotocol("v1").unwrap();
    let expected = request.encode(&mut out).unwrap();
    let head = HeadReader::new(HeadLimits::default()).read(&mut out).unwrap().expect("the request is whole");
    (expected, handshake::check(&head).unwrap().accept_key().to_string())
}

fn read(answer: &str) -> Result<AnswerHead, HeadError> {
    let mut buffer = BytesMut::from(answer);
    AnswerReader::new(HeadLimits::default()).read(&mut buffer).map(|head| head.expect("the head is whole"))
}

/// What comes of an answer with these lines, in which `KEY` stands for the right accept key.
fn answer(status: &str, lines: &[&str]) -> Result<Option<String>, AnswerError> {
    let (expected, key) = asked();
    let head = read(&format!("{status}\r\n{}\r\n\r\n", lines.join("\r\n").replace("KEY", &key))).unwrap();
    expected.check(&head).map(|chosen| chosen.map(str::to_owned))
}

const STATUS: &str = "HTTP/1.1 101 Switching Protocols";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const ACCEPT: &str = "Sec-WebSocket-Accept: KEY";

#[test]
fn a_server_understands_the_request_and_the_client_its_answer() {
    let mut wire = BytesMut::new();
    let request = ClientRequest::new("[::1]:8080", "/chat?room=1").unwrap();
    let expected = request.with_subprotocol("wamp").unwrap().encode(&mut wire).unwrap();
    let head = HeadReader::new(HeadLimits::default()).read(&mut wire).unwrap().expect("the request is whole");
    assert_eq!((head.target(), head.host()), ("/chat?room=1", Some("[::1]:8080")));
    let offer = handshake::check(&head).unwrap();
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["wamp"]);

    handshake::encode_accept(&offer, Some("wamp"), &HeaderMap::new(), &mut wire).unwrap();
    wire.extend_from_slice(b"\x81\x02hi");
    let head = AnswerReader::new(HeadLimits::default()).read(&mut wire).unwrap().expect("the answer is whole");
    assert_eq!(expected.check(&head).unwrap(), Some("wamp"));
    assert_eq!(&wire[..], b"\x81\x02hi");
}

#[test]
fn each_request_has_a_fresh_key_of_sixteen_bytes() {
    let request = ClientRequest::new("a.example", "/").unwrap();
    let mut keys = Vec::new();
    for _ in 0..20 {
        let mut out = BytesMut::new();
        request.encode(&mut out).unwrap();
        let head = HeadReader::new(HeadLimits::default()).read(&mut out).unwrap().expect("the request is whole");
        handshake::check(&head).unwrap();
        keys.push(head.header_str("sec-websocket-key").unwrap().to_owned());
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 20);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    for host in ["", "a b", "u@a", "a:b", "a\r\nb"] {
        assert_eq!(ClientRequest::new(host, "/").unwrap_err(), RequestError::InvalidHost, "{host}");
    }
    for target in ["", "chat", "/a b", "/a#b", "/\u{fc}", "/a\r\nb", "http://a/"] {
        assert_eq!(ClientRequest::new("a", target).unwrap_err(), RequestError::InvalidTarget, "{target}");
    }
    let request = || ClientRequest::new("a", "/").unwrap().with_subprotocol("one").unwrap();
    for name in ["", "a b", "a,b"] {
        assert_eq!(request().with_subprotocol(name).unwrap_err(), RequestError::InvalidSubprotocol, "{name}");
    }
    assert_eq!(request().with_subprotocol("one").unwrap_err(), RequestError::RepeatedSubprotocol);
    for name in ["host", "upgrade", "sec-websocket-key", "sec-websocket-extensions", "content-length"] {
        let refused = request().with_header(HeaderName::from_static(name), HeaderValue::from_static("1"));
        assert_eq!(refused.unwrap_err(), RequestError::ReservedHeader, "{name}");
    }
}

#[test]
fn correct_variations_of_the_answer_are_accepted() {
    assert_eq!(answer(STATUS, &[UPGRADE, CONNECTION, ACCEPT]).unwrap(), None);
    assert_eq!(answer("HTTP/1.1 101", &["upgrade:WebSocket", CONNECTION, ACCEPT]).unwrap(), None);
    assert_eq!(answer(STATUS, &[UPGRADE, "Connection: keep-alive, UPGRADE", ACCEPT]).unwrap(), None);
    assert_eq!(answer(STATUS, &[UPGRADE, CONNECTION, "Sec-WebSocket-Accept: \t KEY  "]).unwrap(), None);
    let chosen = answer(STATUS, &[UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Protocol: v1"]).unwrap();
    assert_eq!(chosen.as_deref(), Some("v1"));
}

#[test]
fn each_rule_of_the_answer_has_its_error() {
    let refused = |lines: &[&str]| answer(STATUS, lines).unwrap_err();
    let with = |line| refused(&[UPGRADE, CONNECTION, ACCEPT, line]);

    assert!(matches!(
        answer("HTTP/1.0 101 Odd", &[UPGRADE, CONNECTION, ACCEPT]),
        Err(AnswerError::UnsupportedHttpVersion)
    ));
    assert!(matches!(refused(&[CONNECTION, ACCEPT]), AnswerError::NoUpgrade));
    assert!(matches!(refused(&["Upgrade: h2c", CONNECTION, ACCEPT]), AnswerError::NoUpgrade));
    assert!(matches!(refused(&["Upgrade: websocket, h2c", CONNECTION, ACCEPT]), AnswerError::NoUpgrade));
    assert!(matches!(refused(&[UPGRADE, ACCEPT]), AnswerError::NoConnectionUpgrade));
    assert!(matches!(refused(&[UPGRADE, "Connection: xupgrade", ACCEPT]), AnswerError::NoConnectionUpgrade));
    assert!(matches!(refused(&[UPGRADE, CONNECTION]), AnswerError::WrongAcceptKey));
    assert!(matches!(refused(&[UPGRADE, CONNECTION, ACCEPT, ACCEPT]), AnswerError::WrongAcceptKey));
    let other = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert!(matches!(refused(&[UPGRADE, CONNECTION, other]), AnswerError::WrongAcceptKey));
    assert!(matches!(with("Sec-WebSocket-Extensions: permessage-deflate"), AnswerError::UnexpectedExtension));
    assert!(matches!(with("Sec-WebSocket-Extensions:"), AnswerError::UnexpectedExtension));
    assert!(matches!(with("Sec-WebSocket-Protocol: v3"), AnswerError::UnexpectedSubprotocol));
    assert!(matches!(with("Sec-WebSocket-Protocol: V1"), AnswerError::UnexpectedSubprotocol));
    assert!(matches!(with("Sec-WebSocket-Protocol: v1, v2"), AnswerError::UnexpectedSubprotocol));
    assert!(matches!(with("Sec-WebSocket-Protocol:"), AnswerError::UnexpectedSubprotocol));
    let twice = "Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v1";
    assert!(matches!(with(twice), AnswerError::SeveralSubprotocols));
}

#[test]
fn a_refusal_keeps_its_status_and_head() {
    let error = answer("HTTP/1.1 401 Who are you", &["WWW-Authenticate: Basic", "Set-Cookie: secret"]).unwrap_err();
    assert_eq!(error.to_string(), "the server answers with status 401");
    let head = error.refusal().expect("a refusal");
    assert_eq!(head.status().as_u16(), 401);
    assert_eq!(head.header_str("www-authenticate"), Some("Basic"));
    assert_eq!(head.to_headers().len(), head.iter().count());
    assert!(!format!("{error:?}").contains("secret"));
    assert!(size_of::<AnswerError>() <= 16);
}

#[test]
fn interim_answers_are_skipped() {
    let head =
        read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 403 No\r\n\r\n").unwrap();
    assert_eq!(head.status().as_u16(), 403);
}

#[test]
fn malformed_answers_are_refused_as_soon_as_they_show_it() {
    for (answer, after, error) in [
        ("\r\n", 1, HeadError::MalformedStatusLine),
        ("HTTP/1.1  200", 10, HeadError::MalformedStatusLine),
        ("HTTX/1.1 200", 9, HeadError::MalformedStatusLine),
        ("HTTP/2.0 200", 9, HeadError::UnsupportedVersion),
        ("HTTP/1.1 20\r\n", 12, HeadError::MalformedStatusLine),
        ("HTTP/1.1 2000", 13, HeadError::MalformedStatusLine),
        ("HTTP/1.1 001", 10, HeadError::MalformedStatusLine),
        ("HTTP/1.1 200 OK\n", 16, HeadError::MalformedStatusLine),
        ("HTTP/1.1 200 OK\r\nA : b", 19, HeadError::MalformedHeader),
        ("HTTP/1.1 200 OK\r\n folded", 18, HeadError::MalformedHeader),
        ("HTTP/1.1 200 OK\r\nA: b\n", 22, HeadError::MalformedLineEnd),
        ("HTTP/1.1 200 OK\r\nA: \0", 21, HeadError::ControlCharacter),
        ("\x16\x03\x01", 1, HeadError::MalformedStatusLine),
    ] {
        let mut reader = AnswerReader::new(HeadLimits::default());
        let mut buffer = BytesMut::new();
        let found = answer.bytes().enumerate().find_map(|(at, byte)| {
            buffer.extend_from_slice(&[byte]);
            reader.read(&mut buffer).err().map(|error| (at + 1, error))
        });
        assert_eq!(found, Some((after, error)), "{answer:?}");
        assert_eq!(reader.read(&mut buffer).unwrap_err(), error);
    }
}

#[test]
fn the_limits_of_heads_hold_for_answers() {
    let read = |limits, answer: &str| AnswerReader::new(limits).read(&mut BytesMut::from(answer)).map(|_| ());
    let answer = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    let limits = HeadLimits::default();
    assert_eq!(read(limits.with_max_size(answer.len()), answer), Ok(()));
    assert_eq!(read(limits.with_max_size(answer.len() - 1), answer), Err(HeadError::TooLarge));
    assert_eq!(read(limits.with_max_line(15), answer), Ok(()));
    assert_eq!(read(limits.with_max_line(14), answer), Err(HeadError::LineTooLong));
    assert_eq!(read(limits.with_max_headers(2), answer), Ok(()));
    assert_eq!(read(limits.with_max_headers(1), answer), Err(HeadError::TooManyHeaders));
}
