//! The head of an answer, as a client reads and judges it.

use bytes::BytesMut;
use http::Version;
use wsrv_rfc6455::handshake::{
    AnswerHead, AnswerReader, ClientRequest, Expected, HeadError, HeadLimits, HeadReader, check,
};

use super::heads::{check_lines, fits, limits, max_size};
use super::reads::Reads;

/// What the client offers.
const OFFERED: [&str; 2] = ["chat", "superchat"];

/// The key in an input that stands for the right one, which is another each time: RFC 6455 §1.3.
const PLACEHOLDER: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An answer is the same however it is cut into reads, keeps to the limits, and opens a WebSocket if and only if it
/// keeps each rule of RFC 6455.
///
/// - The head, the error and what is left behind it do not depend on the reads.
/// - Head and what is left are what arrived, after interim answers.
/// - The head keeps to the limits, and so does what waits for the rest of it. No limit is named that is not exceeded.
/// - It can be asked everything, and tells the same as `httparse` and its form in the types of the `http` crate.
pub fn answer_head(data: &[u8]) {
    let (expected, key) = request();
    let data = with_key(data, key.as_bytes());
    let Some(reads) = Reads::parse(&data) else { return };
    let limits = limits(reads.limits);
    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let (end, left) = read(limits, &at_once);
    for other in [as_asked, byte_by_byte] {
        let (other_end, other_left) = read(limits, &other);
        let bytes = |end: &Result<Option<AnswerHead>, HeadError>| {
            end.as_ref().map(|head| head.as_ref().map(|head| head.to_bytes())).map_err(|&error| error)
        };
        assert_eq!((bytes(&end), &left), (bytes(&other_end), &other_left), "the reads make a difference");
    }

    let mut rests = behind_interim_answers(reads.stream).into_iter();
    match end {
        Ok(None) => assert!(rests.any(|rest| rest == left), "what is not whole is left as it is"),
        Ok(Some(head)) => {
            let is_all = |rest: &[u8]| rest.strip_prefix(&head.to_bytes()[..]) == Some(&left[..]);
            assert!(rests.any(is_all), "the head is what arrived, and what follows it is left as it is");
            check_head(limits, &head);
            check_verdict(&expected, &head, &key);
        }
        Err(error) => {
            assert!(rests.any(|rest| fits(limits, rest, error, HeadError::LineTooLong)), "{error:?} is wrong")
        }
    }
}

/// What a client expects after its request, and the key that answers it. The request is a good one.
fn request() -> (Expected, String) {
    let mut request = ClientRequest::new("server.example.com", "/chat").expect("a good request");
    for name in OFFERED {
        request = request.with_subprotocol(name).expect("a token");
    }
    let mut out = BytesMut::new();
    let expected = request.encode(&mut out).expect("the system has random bytes");
    let head = HeadReader::new(HeadLimits::default()).read(&mut out).expect("good HTTP").expect("a whole head");
    let offer = check(&head).expect("a good handshake");
    assert!(out.is_empty() && offer.subprotocols().eq(OFFERED));
    (expected, offer.accept_key().to_string())
}

/// The input with the right key in the place of the one that stands for it.
fn with_key(data: &[u8], key: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    let mut at = 0;
    while let Some(found) = data.get(at..).and_then(|rest| rest.windows(key.len()).position(|part| part == PLACEHOLDER))
    {
        data[at + found..][..key.len()].copy_from_slice(key);
        at += found + key.len();
    }
    data
}

/// The first head that is no interim answer, if it has come, or why there is none, and what is left in the buffer.
fn read(limits: HeadLimits, pieces: &[&[u8]]) -> (Result<Option<AnswerHead>, HeadError>, Vec<u8>) {
    let mut reader = AnswerReader::new(limits);
    let (mut buffer, mut found) = (BytesMut::new(), None);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if found.is_some() {
            continue;
        }
        match reader.read(&mut buffer) {
            Ok(head) => {
                found = head;
                assert!(found.is_some() || buffer.len() <= max_size(limits), "{} bytes wait", buffer.len());
            }
            Err(error) => {
                buffer.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
                assert_eq!(reader.read(&mut buffer).err(), Some(error), "an error stays");
                return (Err(error), Vec::new());
            }
        }
    }
    (Ok(found), buffer.to_vec())
}

/// The stream, and what is left of it behind each of the interim answers that it begins with.
fn behind_interim_answers(stream: &[u8]) -> Vec<&[u8]> {
    let mut rests = vec![stream];
    let mut rest = stream;
    while let Some(size) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
        let (head, later) = rest.split_at(size + 4);
        let code = head.strip_prefix(b"HTTP/1.").and_then(|line| line.get(2..5)).unwrap_or_default();
        if !code.starts_with(b"1") || code == b"101" {
            break;
        }
        rests.push(later);
        rest = later;
    }
    rests
}

/// What holds for a head by itself.
fn check_head(limits: HeadLimits, head: &AnswerHead) {
    let (bytes, fields) = (head.to_bytes(), head.iter().collect::<Vec<(&str, &[u8])>>());
    let first = check_lines(limits, &bytes, &fields);
    let version = if head.version() == Version::HTTP_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    assert!(first.starts_with(format!("{version} {}", head.status().as_u16()).as_bytes()));
    assert!(!head.status().is_informational() || head.status().as_u16() == 101);
    let map = head.to_headers();
    assert_eq!(map.len(), fields.len());
    for name in map.keys() {
        assert!(map.get_all(name).iter().map(|value| value.as_bytes()).eq(head.headers(name.as_str())));
        assert_eq!(head.header(&name.as_str().to_ascii_uppercase()), map.get(name).map(|value| value.as_bytes()));
    }
    let _ = (format!("{head:?}"), head.header_str("upgrade"));
}

/// The answer is accepted if and only if each rule holds by itself, and the subprotocol is the one it names.
fn check_verdict(expected: &Expected, head: &AnswerHead, key: &str) {
    let mut fields = vec![httparse::EMPTY_HEADER; head.iter().count()];
    let mut answer = httparse::Response::new(&mut fields);
    let bytes = head.to_bytes();
    answer.parse(&bytes).expect("httparse reads it, too");
    let (code, version) = (answer.code, answer.version);
    let values = |name: &str| -> Vec<String> {
        let named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii().iter().map(|&byte| char::from(byte)).collect()).collect()
    };
    let connection = values("connection").join(",");
    let protocols = values("sec-websocket-protocol");
    let rules = [
        ("the status is 101", code == Some(101)),
        ("the version is HTTP/1.1", version == Some(1)),
        ("Upgrade", matches!(&values("upgrade")[..], [one] if one.eq_ignore_ascii_case("websocket"))),
        ("Connection", connection.split(',').any(|one| one.trim_matches([' ', '\t']).eq_ignore_ascii_case("upgrade"))),
        ("the accept key", values("sec-websocket-accept") == [key]),
        ("no extension", values("sec-websocket-extensions").is_empty()),
        ("the subprotocol", protocols.is_empty() || OFFERED.iter().any(|name| protocols == [*name])),
    ];
    let broken: Vec<&str> = rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect();
    match expected.check(head) {
        Ok(chosen) => {
            assert!(broken.is_empty(), "accepted, though these rules are broken: {broken:?}");
            assert_eq!(chosen, protocols.first().map(String::as_str));
        }
        Err(error) => {
            assert!(!broken.is_empty(), "{error:?}, though no rule is broken");
            assert_eq!(error.refusal().is_some(), code != Some(101));
            assert!(error.refusal().is_none_or(|refused| refused.to_bytes() == head.to_bytes()));
        }
    }
}
