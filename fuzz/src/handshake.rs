//! The opening handshake: requests of good and bad pieces, and their answer.

use bytes::BytesMut;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Version};
use wsrv_rfc6455::handshake::{
    HeadLimits, HeadReader, Offer, RequestHead, Subprotocols, accept_key, check, check_http, encode_accept, split_host,
};

/// A request is accepted if and only if it keeps each rule of RFC 6455, and the answer says what was meant, no more.
///
/// The input is a list of pieces with NUL between them. Each begins with a letter; those for the request change one
/// that is good. The first piece of a letter replaces a line, later ones add more, and a piece in upper case removes it:
///
/// | letter | |
/// |---|---|
/// | `g` | the request line |
/// | `h` `u` `c` `k` `v` | the value of `Host`, `Upgrade`, `Connection`, `Sec-WebSocket-Key`, `Sec-WebSocket-Version` |
/// | `p` `l` `t` | more lines: `Sec-WebSocket-Protocol`, `Content-Length`, `Transfer-Encoding` |
/// | `=` | any other line |
/// | `s` `o` | subprotocols of the server, between commas; `o`: none is required |
/// | `x` | a header for the answer, `name:value` |
/// | `w` | a subprotocol that the server insists on, token or not |
pub fn handshake(data: &[u8]) {
    let plan = Plan::parse(data);
    let request = plan.request();
    let mut buffer = BytesMut::from(&request[..]);
    let Ok(Some(head)) = HeadReader::new(HeadLimits::default()).read(&mut buffer) else { return };

    let checked = check(&head);
    let broken: Vec<&str> = rules(&head).into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect();
    assert_eq!(checked.is_ok(), broken.is_empty(), "{checked:?}, though these rules are broken: {broken:?}");
    match checked {
        Ok(offer) => {
            assert_eq!(check_http(&head), Ok(()), "a good handshake is good HTTP");
            check_offer(&head, &offer);
            check_answers(&plan, &offer);
        }
        Err(error) => {
            let names: Vec<HeaderName> = error.headers().map(|(name, _)| name).collect();
            match error.status().as_u16() {
                405 => assert_eq!(names, [header::ALLOW]),
                426 => assert_eq!(names, [header::UPGRADE, header::SEC_WEBSOCKET_VERSION]),
                status => assert!(matches!(status, 400 | 505) && names.is_empty()),
            }
        }
    }
}

/// The pieces of the input, by their letter.
struct Plan<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Plan<'a> {
    fn parse(data: &'a [u8]) -> Self {
        Self(
            data.split(|&byte| byte == 0)
                .filter_map(|piece| piece.split_first())
                .map(|(&at, rest)| (at, rest))
                .collect(),
        )
    }

    fn of(&self, letter: u8) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(at, _)| *at == letter).map(|(_, rest)| *rest)
    }

    fn request(&self) -> Vec<u8> {
        const LINES: [(u8, &str, &str); 9] = [
            (b'g', "", "GET /chat?room=1 HTTP/1.1"),
            (b'h', "Host: ", "server.example.com"),
            (b'u', "Upgrade: ", "websocket"),
            (b'c', "Connection: ", "Upgrade"),
            (b'k', "Sec-WebSocket-Key: ", "dGhlIHNhbXBsZSBub25jZQ=="),
            (b'v', "Sec-WebSocket-Version: ", "13"),
            (b'p', "Sec-WebSocket-Protocol: ", ""),
            (b'l', "Content-Length: ", ""),
            (b't', "Transfer-Encoding: ", ""),
        ];
        let mut request = Vec::new();
        let mut line = |name: &str, value: &[u8]| request.extend([name.as_bytes(), value, b"\r\n"].concat());
        for (letter, name, good) in LINES {
            let mut values = self.of(letter).peekable();
            if values.peek().is_none() && !good.is_empty() && self.of(letter.to_ascii_uppercase()).next().is_none() {
                line(name, good.as_bytes());
            }
            values.for_each(|value| line(name, value));
        }
        self.of(b'=').for_each(|value| line("", value));
        line("", b"");
        request
    }

    fn subprotocols(&self) -> Option<Subprotocols> {
        let of = |letter| self.of(letter).next().and_then(|names| std::str::from_utf8(names).ok());
        let new = |names: &str| Subprotocols::new(names.split(',').map(str::trim)).ok();
        match (of(b's'), of(b'o')) {
            (Some(names), _) => new(names),
            (None, Some(names)) => new(names).map(Subprotocols::optional),
            (None, None) => Some(Subprotocols::none()),
        }
    }

    fn extra(&self) -> HeaderMap {
        let mut extra = HeaderMap::new();
        for line in self.of(b'x') {
            let mut parts = line.splitn(2, |&byte| byte == b':');
            let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
            let value = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
            if let (Some(name), Some(value)) = (name, value) {
                extra.append(name, value);
            }
        }
        extra
    }
}

/// The rules of RFC 6455 §4.2.1, and those of RFC 9112 for the host, the target and the length, in the order in which
/// they are written there and each by itself.
fn rules(head: &RequestHead) -> Vec<(&'static str, bool)> {
    let values = |name: &str| head.headers(name).map(|value| value.to_vec()).collect::<Vec<_>>();
    let has = |name: &str, wanted: &str| list(head, name).iter().any(|one| one.eq_ignore_ascii_case(wanted.as_bytes()));
    let is_host = |host: &[u8]| std::str::from_utf8(host).is_ok_and(|host| split_host(host).is_some());
    let (target, subprotocols) = (head.target(), list(head, "sec-websocket-protocol"));
    let target_is_good = match target.split_once("://") {
        _ if target.contains('#') => false,
        _ if target.starts_with('/') => true,
        Some((scheme, rest)) => {
            matches!(&*scheme.to_ascii_lowercase(), "http" | "https" | "ws" | "wss")
                && is_host(rest.split(['/', '?']).next().unwrap_or_default().as_bytes())
        }
        None => false,
    };
    vec![
        ("GET", head.method() == "GET"),
        ("HTTP/1.1", head.version() == Version::HTTP_11),
        ("the target", target_is_good),
        ("one host", matches!(&values("host")[..], [host] if is_host(host))),
        ("Upgrade", has("upgrade", "websocket")),
        ("Connection", has("connection", "upgrade")),
        ("one key", matches!(&values("sec-websocket-key")[..], [key] if is_key(key))),
        ("version 13", values("sec-websocket-version") == [b"13"]),
        ("subprotocols are tokens", subprotocols.iter().all(|name| is_token(name))),
        ("… and differ", (1..subprotocols.len()).all(|at| !subprotocols[..at].contains(&subprotocols[at]))),
        ("no body", matches!(&values("content-length")[..], [] | [_]) && values("transfer-encoding").is_empty()),
        ("… of any length", values("content-length").iter().all(|value| is_zero(value))),
    ]
}

/// The elements of a header that is a list, over all its lines.
fn list(head: &RequestHead, name: &str) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = head.headers(name).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    lines.join(&b',').split(|&byte| byte == b',').map(|element| element.trim_ascii().to_vec()).collect()
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte))
}

/// 16 bytes in base64: 22 characters that count and two that fill up.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_zero(length: &[u8]) -> bool {
    !length.is_empty() && length.iter().all(|&digit| digit == b'0')
}

fn check_offer(head: &RequestHead, offer: &Offer) {
    assert!(head.is_upgrade());
    assert_eq!(Some(offer.accept_key()), head.header("sec-websocket-key").map(accept_key));
    let offered = list(head, "sec-websocket-protocol");
    assert!(offer.subprotocols().map(str::as_bytes).eq(offered.iter().map(Vec::as_slice)));
}

fn check_answers(plan: &Plan<'_>, offer: &Offer) {
    let extra = plan.extra();
    if let Some(subprotocols) = plan.subprotocols()
        && let Ok(chosen) = subprotocols.select(offer)
    {
        assert!(chosen.is_none_or(|chosen| offer.subprotocols().any(|offered| offered == chosen)));
        let answer = answer(offer, chosen, &extra).expect("what was chosen is a token");
        check_answer(&answer, offer, chosen, &extra);
    }
    for name in plan.of(b'w').filter_map(|name| std::str::from_utf8(name).ok()) {
        match answer(offer, Some(name), &extra) {
            Some(answer) => check_answer(&answer, offer, Some(name), &extra),
            None => assert!(!is_token(name.as_bytes()), "{name} is a token and was refused"),
        }
    }
}

/// The answer behind what is already in the buffer. `None` if it was refused, and then nothing was written.
fn answer(offer: &Offer, subprotocol: Option<&str>, extra: &HeaderMap) -> Option<BytesMut> {
    let mut out = BytesMut::from("before");
    let result = encode_accept(offer, subprotocol, extra, &mut out);
    let answer = out.split_off("before".len());
    assert_eq!(out, "before");
    assert_eq!(result.is_err(), answer.is_empty());
    result.ok().map(|()| answer)
}

/// Another parser finds just the lines that were meant, in their order.
fn check_answer(answer: &[u8], offer: &Offer, subprotocol: Option<&str>, extra: &HeaderMap) {
    const OURS: [&str; 7] = [
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "transfer-encoding",
        "upgrade",
    ];
    let accept_key = offer.accept_key();
    let mut expected: Vec<(String, &[u8])> = vec![
        ("upgrade".into(), b"websocket"),
        ("connection".into(), b"Upgrade"),
        ("sec-websocket-accept".into(), accept_key.as_str().as_bytes()),
    ];
    expected.extend(subprotocol.map(|name| ("sec-websocket-protocol".into(), name.as_bytes())));
    let extra = extra.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    expected.extend(extra.map(|(name, value)| (name.as_str().into(), value.as_bytes().trim_ascii())));

    let mut headers = vec![httparse::EMPTY_HEADER; expected.len()];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer);
    assert_eq!(parsed, Ok(httparse::Status::Complete(answer.len())), "{}", answer.escape_ascii());
    assert_eq!((response.version, response.code, response.reason), (Some(1), Some(101), Some("Switching Protocols")));
    let found: Vec<(String, &[u8])> =
        response.headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.trim_ascii())).collect();
    assert_eq!(found, expected);
}
