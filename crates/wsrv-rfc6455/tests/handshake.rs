//! Which requests become a WebSocket, and what the others are told.

#![cfg(feature = "handshake")]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Version};
use wsrv_rfc6455::handshake::{
    HandshakeError, HeadError, HeadLimits, HeadReader, Offer, RequestHead, SharedLines, Subprotocols, check,
    encode_accept,
};

const GOOD: [&str; 6] = [
    "GET /chat?room=1 HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// A good request with lines replaced (by the name before the colon, `GET` for the request line) or added.
fn request(changes: &[(&str, &[&str])]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in GOOD {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, new)) => lines.extend(new.iter().map(ToString::to_string)),
            None => lines.push(line.to_owned()),
        }
    }
    for (_, new) in changes.iter().filter(|(name, _)| *name == "+") {
        lines.extend(new.iter().map(ToString::to_string));
    }
    lines.join("\r\n") + "\r\n\r\n"
}

fn read(request: &str) -> Result<RequestHead, HeadError> {
    let mut buffer = BytesMut::from(request);
    HeadReader::new(HeadLimits::default()).read(&mut buffer).map(|head| head.expect("the head is whole"))
}

fn answer(changes: &[(&str, &[&str])]) -> Result<Offer, HandshakeError> {
    check(&read(&request(changes)).expect("the head is well-formed"))
}

#[track_caller]
fn refused(changes: &[(&str, &[&str])], error: HandshakeError, status: u16) {
    assert_eq!(answer(changes), Err(error));
    assert_eq!(error.status().as_u16(), status);
}

#[test]
fn the_request_of_the_rfc_is_accepted_with_its_key() {
    let offer = answer(&[]).unwrap();
    assert_eq!(offer.accept_key().as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(offer.subprotocols().count(), 0);
}

#[test]
fn correct_variations_are_accepted() {
    for changes in [
        &[("GET", &["GET / HTTP/1.1"][..])][..],
        &[("GET", &["GET http://server.example.com/chat HTTP/1.1"])],
        &[("GET", &["GET ws://server.example.com:8080/chat?a=b HTTP/1.1"])],
        &[("Host", &["Host: [::1]:8080"])],
        &[("Host", &["Host: 127.0.0.1:80"])],
        &[("Host", &["host: example.com:"])],
        &[("Upgrade", &["Upgrade: WebSocket"])],
        &[("Upgrade", &["Upgrade: h2c, websocket"])],
        &[("Upgrade", &["Upgrade: websocket, foo"])],
        &[("Upgrade", &["Upgrade: h2c", "Upgrade: websocket"])],
        &[("Connection", &["Connection: keep-alive, UPGRADE"])],
        &[("Connection", &["Connection: keep-alive", "Connection: upgrade"])],
        &[("Sec-WebSocket-Key", &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="])],
        &[("+", &["Content-Length: 0"])],
        &[("+", &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"])],
        &[("+", &["Sec-WebSocket-Extensions: ;;=\"\\, constructor, __proto__"])],
        &[("+", &["Origin: null", "X-Latin: \u{e9}"])],
    ] {
        assert!(answer(changes).is_ok(), "{changes:?}");
    }
}

#[test]
fn each_broken_rule_has_its_error_and_status() {
    use HandshakeError::*;
    let table: &[(&str, &[&str], HandshakeError, u16)] = &[
        ("GET", &["GET / HTTP/1.0"], UnsupportedHttpVersion, 505),
        ("Host", &[], HostCount, 400),
        ("Host", &["Host: a.example", "Host: a.example"], HostCount, 400),
        ("Host", &["Host:"], InvalidHost, 400),
        ("Host", &["Host: user@a.example"], InvalidHost, 400),
        ("Host", &["Host: a.example/path"], InvalidHost, 400),
        ("Host", &["Host: a.example, b.example"], InvalidHost, 400),
        ("Host", &["Host: a b"], InvalidHost, 400),
        ("Host", &["Host: a.example:80:80"], InvalidHost, 400),
        ("Host", &["Host: a.example:http"], InvalidHost, 400),
        ("Host", &["Host: a.example:65536"], InvalidHost, 400),
        ("Host", &["Host: [::1"], InvalidHost, 400),
        ("Host", &["Host: [zz]"], InvalidHost, 400),
        ("Host", &["Host: [::1]x"], InvalidHost, 400),
        ("Host", &["Host: %zz"], InvalidHost, 400),
        ("Host", &["Host: \u{e9}.example"], InvalidHost, 400),
        ("GET", &["GET /chat#top HTTP/1.1"], InvalidTarget, 400),
        ("GET", &["GET * HTTP/1.1"], InvalidTarget, 400),
        ("GET", &["GET server.example.com:80 HTTP/1.1"], InvalidTarget, 400),
        ("GET", &["GET ftp://server.example.com/ HTTP/1.1"], InvalidTarget, 400),
        ("GET", &["GET http://user@server.example.com/ HTTP/1.1"], InvalidTarget, 400),
        ("+", &["Content-Length: 14"], Body, 400),
        ("+", &["Content-Length: +0"], Body, 400),
        ("+", &["Content-Length:"], Body, 400),
        ("+", &["Content-Length: 0x0"], Body, 400),
        ("+", &["Content-Length: 0, 0"], Body, 400),
        ("+", &["Content-Length: 0", "Content-Length: 0"], Body, 400),
        ("+", &["Transfer-Encoding: chunked"], Body, 400),
        ("+", &["Transfer-Encoding: xchunked"], Body, 400),
        ("+", &["Content-Length: 0", "Transfer-Encoding: identity"], Body, 400),
        ("GET", &["POST / HTTP/1.1"], MethodNotAllowed, 405),
        ("GET", &["get / HTTP/1.1"], MethodNotAllowed, 405),
        ("GET", &["HEAD / HTTP/1.1"], MethodNotAllowed, 405),
        ("Upgrade", &[], NoUpgrade, 426),
        ("Upgrade", &["Upgrade: websockets"], NoUpgrade, 426),
        ("Upgrade", &["Upgrade: not-websocket, x"], NoUpgrade, 426),
        ("Connection", &[], NoConnectionUpgrade, 400),
        ("Connection", &["Connection: close"], NoConnectionUpgrade, 400),
        ("Connection", &["Connection: not-upgradex"], NoConnectionUpgrade, 400),
        ("Sec-WebSocket-Version", &[], UnsupportedVersion, 426),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"], UnsupportedVersion, 426),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13abc"], UnsupportedVersion, 426),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 013"], UnsupportedVersion, 426),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13, 8"], UnsupportedVersion, 426),
        ("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"], SeveralVersions, 400),
        ("Sec-WebSocket-Key", &[], KeyCount, 400),
        (
            "Sec-WebSocket-Key",
            &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
            KeyCount,
            400,
        ),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key:"], InvalidKey, 400),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: 1234567890123456"], InvalidKey, 400),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"], InvalidKey, 400),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=a"], InvalidKey, 400),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE="], InvalidKey, 400),
        ("Sec-WebSocket-Key", &["Sec-WebSocket-Key: dGhl*HNhbXBsZSBub25jZQ=="], InvalidKey, 400),
        ("+", &["Sec-WebSocket-Protocol: a b"], InvalidSubprotocol, 400),
        ("+", &["Sec-WebSocket-Protocol: a,,b"], InvalidSubprotocol, 400),
        ("+", &["Sec-WebSocket-Protocol:"], InvalidSubprotocol, 400),
        ("+", &["Sec-WebSocket-Protocol: a, b, a"], RepeatedSubprotocol, 400),
        ("+", &["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: b"], RepeatedSubprotocol, 400),
    ];
    for (name, lines, error, status) in table {
        refused(&[(name, lines)], *error, *status);
    }
}

#[test]
fn refusals_say_what_would_have_been_right() {
    let headers = |error: HandshakeError| {
        error.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(headers(HandshakeError::MethodNotAllowed), ["allow: GET"]);
    for error in [HandshakeError::NoUpgrade, HandshakeError::UnsupportedVersion] {
        assert_eq!(headers(error), ["upgrade: websocket", "sec-websocket-version: 13"]);
    }
    assert!(headers(HandshakeError::InvalidKey).is_empty());
}

#[test]
fn malformed_heads_are_refused_as_soon_as_they_show_it() {
    use HeadError::*;
    let table: &[(&str, HeadError, u16)] = &[
        // A TLS client, and other things that are no HTTP.
        ("\x16", MalformedRequestLine, 400),
        ("\x00", MalformedRequestLine, 400),
        (" ", MalformedRequestLine, 400),
        ("\n", MalformedRequestLine, 400),
        ("\r\n\r", MalformedRequestLine, 400),
        ("GET\t", MalformedRequestLine, 400),
        ("GET  ", MalformedRequestLine, 400),
        ("GET /\r", MalformedRequestLine, 400),
        ("GET /\u{e9}", MalformedRequestLine, 400),
        ("GET / HTTP/1.1 ", MalformedRequestLine, 400),
        ("GET / HTTP/1.1\n", MalformedRequestLine, 400),
        ("GET / http/1.1\r", MalformedRequestLine, 400),
        ("GET / HTTP/1.10\r", MalformedRequestLine, 400),
        ("GET / HTTP/1.2\r", UnsupportedVersion, 505),
        ("PRI * HTTP/2.0\r", UnsupportedVersion, 505),
        ("GET / HTTP/1.1\rX", MalformedLineEnd, 400),
        ("GET / HTTP/1.1\r\n ", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\n\n", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\n:", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\nHost ", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\nHost\r", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n ", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\t", MalformedHeader, 400),
        ("GET / HTTP/1.1\r\nHost: a\n", MalformedLineEnd, 400),
        ("GET / HTTP/1.1\r\nHost: a\rU", MalformedLineEnd, 400),
        ("GET / HTTP/1.1\r\nHost: a\0", ControlCharacter, 400),
        ("GET / HTTP/1.1\r\nHost: a\x7f", ControlCharacter, 400),
        ("GET / HTTP/1.1\r\nHost: a\x1b", ControlCharacter, 400),
        ("GET / HTTP/1.1\r\n\rX", MalformedLineEnd, 400),
    ];
    for (input, error, status) in table {
        let mut reader = HeadReader::new(HeadLimits::default());
        let mut buffer = BytesMut::new();
        let (&last, rest) = input.as_bytes().split_last().unwrap();
        // A character of several bytes shows itself with its first.
        for &byte in rest.iter().filter(|byte| byte.is_ascii()) {
            buffer.extend_from_slice(&[byte]);
            assert!(matches!(reader.read(&mut buffer), Ok(None)), "{input:?} is refused too early");
        }
        buffer.extend_from_slice(&[last]);
        assert_eq!(reader.read(&mut buffer).unwrap_err(), *error, "{input:?}");
        assert_eq!(error.status().as_u16(), *status);
        // For good, whatever comes.
        buffer.extend_from_slice(request(&[]).as_bytes());
        assert_eq!(reader.read(&mut buffer).unwrap_err(), *error);
    }
}

#[test]
fn a_target_that_is_no_uri_is_malformed() {
    assert_eq!(read(&request(&[("GET", &["GET http:// HTTP/1.1"])])).unwrap_err(), HeadError::MalformedTarget);
}

#[test]
fn what_follows_the_head_stays_and_does_not_count() {
    let head = request(&[]);
    let limits = HeadLimits::default().with_max_size(head.len());
    let mut buffer = BytesMut::from(&[head.as_bytes(), &[0xFF; 5000]].concat()[..]);
    assert!(HeadReader::new(limits).read(&mut buffer).unwrap().is_some());
    assert_eq!(buffer, &[0xFF; 5000][..]);
}

#[test]
fn one_empty_line_before_the_head_is_skipped_and_not_counted() {
    let head = request(&[]);
    let limits = HeadLimits::default().with_max_size(head.len()).with_max_line(GOOD[4].len());
    let mut buffer = BytesMut::from(&*format!("\r\n{head}rest"));
    assert_eq!(HeadReader::new(limits).read(&mut buffer).unwrap().unwrap().path(), "/chat");
    assert_eq!(buffer, "rest");
}

#[test]
fn several_heads_can_be_read_one_after_the_other() {
    let mut reader = HeadReader::new(HeadLimits::default());
    let mut buffer = BytesMut::from(&*format!("GET /first HTTP/1.1\r\n\r\n{}", request(&[])));
    assert_eq!(reader.read(&mut buffer).unwrap().unwrap().path(), "/first");
    assert_eq!(reader.read(&mut buffer).unwrap().unwrap().path(), "/chat");
    assert!(buffer.is_empty() && reader.read(&mut buffer).unwrap().is_none());
}

/// Reads with these limits, everything at once and byte by byte, which must agree.
fn read_with(limits: HeadLimits, request: &str) -> Result<(), HeadError> {
    let at_once = HeadReader::new(limits).read(&mut BytesMut::from(request)).map(drop);
    let mut reader = HeadReader::new(limits);
    let mut buffer = BytesMut::new();
    let dribbled = request.bytes().try_for_each(|byte| {
        buffer.extend_from_slice(&[byte]);
        reader.read(&mut buffer).map(drop)
    });
    assert_eq!(at_once, dribbled);
    at_once
}

#[test]
fn limits_are_inclusive() {
    let head = "GET /12345 HTTP/1.1\r\nName: 12345678901234567890\r\nB: 2\r\n\r\n";
    let limits = HeadLimits::default();
    assert_eq!(read_with(limits.with_max_size(head.len()), head), Ok(()));
    assert_eq!(read_with(limits.with_max_size(head.len() - 1), head), Err(HeadError::TooLarge));
    assert_eq!(read_with(limits.with_max_line(26), head), Ok(()));
    assert_eq!(read_with(limits.with_max_line(25), head), Err(HeadError::LineTooLong));
    assert_eq!(read_with(limits.with_max_line(18), head), Err(HeadError::TargetTooLong));
    assert_eq!(read_with(limits.with_max_line(2), head), Err(HeadError::MalformedRequestLine));
    assert_eq!(read_with(limits.with_max_headers(2), head), Ok(()));
    assert_eq!(read_with(limits.with_max_headers(1), head), Err(HeadError::TooManyHeaders));
    for (error, status) in [(HeadError::TooLarge, 431), (HeadError::LineTooLong, 431), (HeadError::TooManyHeaders, 431)]
    {
        assert_eq!(error.status().as_u16(), status);
    }
    assert_eq!(HeadError::TargetTooLong.status().as_u16(), 414);
}

#[test]
fn the_default_limits_hold() {
    let with = |line: String| request(&[("+", &[&line])]);
    let limits = HeadLimits::default();
    assert_eq!(read_with(limits, &with("X: ".to_owned() + &"a".repeat(8189))), Ok(()));
    assert_eq!(read_with(limits, &with("X: ".to_owned() + &"a".repeat(8190))), Err(HeadError::LineTooLong));
    let target = format!("GET /{} HTTP/1.1", "a".repeat(8200));
    assert_eq!(read_with(limits, &request(&[("GET", &[&target])])), Err(HeadError::TargetTooLong));
    assert_eq!(read_with(limits, &with("A: b\r\n".repeat(94) + "A: b")), Ok(()));
    assert_eq!(read_with(limits, &with("A: b\r\n".repeat(95) + "A: b")), Err(HeadError::TooManyHeaders));
    let large = with(["X: ".to_owned() + &"a".repeat(8000), "Y: ".to_owned() + &"a".repeat(8300)].join("\r\n"));
    assert_eq!(read_with(limits.with_max_line(9000), &large), Err(HeadError::TooLarge));
}

#[test]
fn a_head_is_never_larger_than_its_index_can_tell() {
    let limits = HeadLimits::default().with_max_size(usize::MAX).with_max_line(usize::MAX);
    let with = |len: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(len));
    let overhead = with(0).len();
    assert_eq!(read_with(limits, &with(65_535 - overhead)), Ok(()));
    assert_eq!(read_with(limits, &with(65_536 - overhead)), Err(HeadError::TooLarge));
}

#[test]
fn a_dribbled_head_is_read_in_linear_time() {
    let time = |len: usize| {
        let head = request(&[(
            "+",
            &["A: ".to_owned() + &"b".repeat(len / 2), "C: ".to_owned() + &"d".repeat(len / 2)]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )]);
        let limits = HeadLimits::default().with_max_line(9000).with_max_size(20_000);
        let run = || {
            let mut reader = HeadReader::new(limits);
            let mut buffer = BytesMut::with_capacity(head.len());
            let start = Instant::now();
            for byte in head.bytes() {
                buffer.extend_from_slice(&[byte]);
                reader.read(&mut buffer).unwrap();
            }
            start.elapsed()
        };
        (0..9).map(|_| run()).min().unwrap_or(Duration::MAX)
    };
    let (short, long) = (time(2_000), time(16_000));
    println!("16 KiB head, byte by byte: {long:?}, 2 KiB: {short:?}");
    // Eight times the bytes; looking at all of them again each time would make it 64 times the cost.
    assert!(long < short * 24, "{long:?} against {short:?}");
}

#[test]
fn many_subprotocols_are_checked_in_linear_time() {
    let names: Vec<String> = (0..2000).map(|number| format!("{number:x}")).collect();
    let head = request(&[(
        "+",
        &["Sec-WebSocket-Protocol: ".to_owned() + &names.join(",")].iter().map(String::as_str).collect::<Vec<_>>(),
    )]);
    let limits = HeadLimits::default().with_max_line(16_000);
    let head = HeadReader::new(limits).read(&mut BytesMut::from(&*head)).unwrap().unwrap();
    let start = Instant::now();
    assert_eq!(check(&head).unwrap().subprotocols().count(), 2000);
    assert!(start.elapsed() < Duration::from_millis(100));
}

#[test]
fn the_client_ranks_subprotocols_and_the_server_decides_which_it_has() {
    let offer = answer(&[("+", &["Sec-WebSocket-Protocol: v3, v2", "Sec-WebSocket-Protocol: v1"])]).unwrap();
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["v3", "v2", "v1"]);
    let select =
        |names: &[&str]| Subprotocols::new(names.to_vec()).unwrap().select(&offer).map(|name| name.map(str::to_owned));
    assert_eq!(select(&["v1", "v2"]), Ok(Some("v2".to_owned())));
    assert_eq!(select(&["V1"]), Err(HandshakeError::NoCommonSubprotocol));
    assert_eq!(HandshakeError::NoCommonSubprotocol.status().as_u16(), 400);
}

#[test]
fn a_server_without_subprotocols_refuses_nobody() {
    let offer = answer(&[("+", &["Sec-WebSocket-Protocol: chat"])]).unwrap();
    assert_eq!(Subprotocols::none().select(&offer), Ok(None));
    assert_eq!(Subprotocols::new(Vec::<String>::new()).unwrap().select(&offer), Ok(None));
}

#[test]
fn a_required_subprotocol_must_be_offered_and_an_optional_one_need_not() {
    let silent = answer(&[]).unwrap();
    let wamp = Subprotocols::new(["wamp"]).unwrap();
    assert_eq!(wamp.select(&silent), Err(HandshakeError::NoCommonSubprotocol));
    assert_eq!(wamp.optional().select(&silent), Ok(None));
    assert!(Subprotocols::new(["not a token"]).is_err() && Subprotocols::new([""]).is_err());
}

#[test]
fn the_answer_is_complete_and_cannot_be_split() {
    let offer = answer(&[("+", &["Sec-WebSocket-Protocol: chat"])]).unwrap();
    let mut extra = HeaderMap::new();
    extra.append("set-cookie", HeaderValue::from_static("a=1"));
    extra.append("set-cookie", HeaderValue::from_static("b=2"));
    extra.insert("connection", HeaderValue::from_static("close"));
    extra.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
    extra.insert("content-length", HeaderValue::from_static("5"));
    let mut out = BytesMut::new();
    encode_accept(&offer, Some("chat"), &extra, &mut out).unwrap();
    assert_eq!(
        out,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         set-cookie: a=1\r\nset-cookie: b=2\r\n\r\n"
    );
    out.clear();
    assert!(encode_accept(&offer, Some("a\r\nX: y"), &HeaderMap::new(), &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn a_head_answers_what_a_server_asks() {
    let head = read(
        "GET /a%20b?x=1&y=2 HTTP/1.1\r\nHost:  a.example:80 \r\nX-List: 1\r\nx-list:\t2\t\r\nEmpty:\r\nL: \u{e9}\r\n\r\n",
    )
    .unwrap();
    assert_eq!((head.method(), head.target()), ("GET", "/a%20b?x=1&y=2"));
    assert_eq!((head.path(), head.query()), ("/a%20b", Some("x=1&y=2")));
    assert_eq!((head.host(), head.version()), (Some("a.example:80"), Version::HTTP_11));
    assert_eq!(head.header("X-LIST"), Some(&b"1"[..]));
    assert_eq!(head.headers("x-list").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((head.header_str("empty"), head.header("none")), (Some(""), None));
    assert_eq!(head.header_str("l"), Some("\u{e9}"));
    assert_eq!(head.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["Host", "X-List", "x-list", "Empty", "L"]);
    assert!(!head.is_upgrade() && read(&request(&[])).unwrap().is_upgrade());
}

#[test]
fn a_whole_uri_as_target_gives_host_and_path() {
    let parts = |target: &str| {
        let head = read(&request(&[("GET", &[&format!("GET {target} HTTP/1.1")])])).unwrap();
        (head.host().map(str::to_owned), head.path().to_owned(), head.query().map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(parts("http://b.example:81/p?q"), (some("b.example:81"), "/p".into(), some("q")));
    assert_eq!(parts("http://b.example"), (some("b.example"), "/".into(), None));
    assert_eq!(parts("http://b.example?q"), (some("b.example"), "/".into(), some("q")));
    let own = some("server.example.com");
    assert_eq!(parts("/?back=http://b.example/"), (own.clone(), "/".into(), some("back=http://b.example/")));
    assert_eq!(parts("*"), (own, "*".into(), None));
}

#[test]
fn several_hosts_are_no_host() {
    assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap().host(), None);
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").unwrap().version(), Version::HTTP_10);
}

#[test]
fn parts_hold_the_same_as_the_head() {
    let head = read(&request(&[("+", &["Cookie: a=1", "Cookie: b=2", "L: \u{e9}"])])).unwrap();
    let parts = head.to_parts();
    assert_eq!((parts.method.as_str(), parts.uri.to_string().as_str()), (head.method(), head.target()));
    assert_eq!(parts.version, head.version());
    assert_eq!(parts.headers.len(), head.iter().count());
    assert_eq!(parts.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[test]
fn debug_output_keeps_secrets() {
    let secrets = ["Cookie: secret1", "AUTHORIZATION: secret2", "Proxy-Authorization: secret3", "X: \u{1b5}\t"];
    let head = read(&request(&[("GET", &["GET /?token=secret4 HTTP/1.1"]), ("+", &secrets)])).unwrap();
    let shown = format!("{head:?}");
    assert!(!shown.contains("secret") && !shown.contains("dGhlIHNhbXBsZSBub25jZQ"), "{shown}");
    assert!(shown.contains("server.example.com") && shown.is_ascii(), "{shown}");
}

#[test]
fn errors_travel_cheaply() {
    assert_eq!((size_of::<HeadError>(), size_of::<HandshakeError>()), (1, 1));
}

#[test]
fn a_head_tells_the_same_after_it_has_shared_its_lines() {
    let shared = SharedLines::new();
    let more =
        ["User-Agent: Mozilla/5.0 (X11)", "cookie: a=b", "ORIGIN:http://a.example \t", "X-Own:\t1", "Cookie: c=d"];
    let text = request(&[("+", &more)]);
    for _ in 0..3 {
        let mut head = read(&text).unwrap();
        let before = format!("{head:?} {:?}", check(&head));
        head.share(&shared);
        assert_eq!(head.to_bytes(), text.as_bytes());
        assert_eq!(format!("{head:?} {:?}", check(&head)), before);
        assert_eq!((head.method(), head.target(), head.host()), ("GET", "/chat?room=1", Some("server.example.com")));
        assert_eq!(head.header_str("Origin"), Some("http://a.example"));
        assert_eq!(head.headers("cookie").collect::<Vec<_>>(), [b"a=b", b"c=d"]);
        let names: Vec<&str> = head.iter().map(|(name, _)| name).skip(4).collect();
        assert_eq!(names, ["Sec-WebSocket-Version", "User-Agent", "cookie", "ORIGIN", "X-Own", "Cookie"]);
    }
}

#[test]
fn a_head_is_kept_in_little_more_than_its_own_size() {
    // Two bytes a line take the place of its end.
    assert!(size_of::<RequestHead>() <= 40, "{}", size_of::<RequestHead>());
}
