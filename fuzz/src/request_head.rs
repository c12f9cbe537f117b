//! The head of a request, before the upgrade.

use bytes::BytesMut;
use http::{Uri, Version};
use wsrv_rfc6455::handshake::{HeadError, HeadLimits, HeadReader, RequestHead, SharedLines};

use super::heads::{check_lines, fits, limits, max_size};
use super::reads::Reads;

/// Request heads are the same however they are cut into reads, keep to the limits, and lose no byte.
///
/// - The heads, the error and what is left behind them do not depend on the reads.
/// - Heads and what is left are, put together, what arrived.
/// - Each head keeps to the limits, and so does what waits for the rest of one. No limit is named that is not exceeded.
/// - Each can be asked everything, and tells the same as `httparse` and its form in the types of the `http` crate. It
///   still does when it shares its lines.
pub fn request_head(data: &[u8]) {
    let Some(reads) = Reads::parse(data) else { return };
    let limits = limits(reads.limits);
    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let (heads, end) = read(limits, &at_once);
    for other in [as_asked, byte_by_byte] {
        let (other_heads, other_end) = read(limits, &other);
        let bytes = |heads: &[RequestHead]| heads.iter().map(|head| head.to_bytes()).collect::<Vec<_>>();
        assert_eq!((bytes(&heads), &end), (bytes(&other_heads), &other_end), "the reads make a difference");
    }

    let mut rest = reads.stream;
    for head in &heads {
        // One empty line before a head is skipped.
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        rest = rest.strip_prefix(&head.to_bytes()[..]).expect("a head is what arrived");
        check(limits, head);
    }
    match end {
        Ok(left) => assert_eq!(left, rest, "what follows a head is left as it is"),
        Err(error) => {
            let refused = rest.strip_prefix(b"\r\n").unwrap_or(rest);
            assert!(fits(limits, refused, error, HeadError::TargetTooLong), "{error:?} is wrong");
        }
    }
}

/// The heads in a stream that arrives in these pieces, and what is left behind the last, or why there is no other.
fn read(limits: HeadLimits, pieces: &[&[u8]]) -> (Vec<RequestHead>, Result<Vec<u8>, HeadError>) {
    let mut reader = HeadReader::new(limits);
    let (mut buffer, mut heads) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.read(&mut buffer) {
                Ok(Some(head)) => heads.push(head),
                Ok(None) => {
                    // Two more for an empty line before the head.
                    assert!(buffer.len() <= max_size(limits) + 2, "{} bytes wait", buffer.len());
                    break;
                }
                Err(error) => {
                    buffer.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
                    assert_eq!(reader.read(&mut buffer).err(), Some(error), "an error stays");
                    return (heads, Err(error));
                }
            }
        }
    }
    (heads, Ok(buffer.to_vec()))
}

/// What holds for one head by itself.
fn check(limits: HeadLimits, head: &RequestHead) {
    let (bytes, fields) = (head.to_bytes(), head.iter().collect::<Vec<(&str, &[u8])>>());
    let first = check_lines(limits, &bytes, &fields);
    let version = if head.version() == Version::HTTP_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    assert_eq!(first, format!("{} {} {version}", head.method(), head.target()).as_bytes());
    for (name, value) in &fields {
        assert!(head.headers(&name.to_ascii_uppercase()).any(|other| other == *value));
    }

    check_parsed(head, &bytes, &fields);
    let shared = SharedLines::new();
    for _ in 0..2 {
        let mut head = head.clone();
        head.share(&shared);
        assert_eq!(head.to_bytes(), bytes, "sharing changes nothing");
    }

    let parts = head.to_parts();
    assert_eq!((parts.method.as_str(), parts.version), (head.method(), head.version()));
    assert_eq!(parts.headers.len(), fields.len());
    for name in parts.headers.keys() {
        assert!(parts.headers.get_all(name).iter().map(|value| value.as_bytes()).eq(head.headers(name.as_str())));
    }
    check_target(head, &parts.uri);
    let _ = (format!("{head:?}"), head.is_upgrade(), head.header_str("host"));
}

/// Another parser takes it for the same.
fn check_parsed(head: &RequestHead, bytes: &[u8], fields: &[(&str, &[u8])]) {
    let mut headers = vec![httparse::EMPTY_HEADER; fields.len()];
    let mut request = httparse::Request::new(&mut headers);
    assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    let minor = if head.version() == Version::HTTP_11 { 1 } else { 0 };
    assert_eq!(
        (request.method, request.path, request.version),
        (Some(head.method()), Some(head.target()), Some(minor))
    );
    let parsed = request.headers.iter().map(|field| (field.name, field.value.trim_ascii()));
    assert!(parsed.eq(fields.iter().copied()));
}

fn check_target(head: &RequestHead, uri: &Uri) {
    let (path, query, host) = (head.path(), head.query(), head.host());
    assert!(!path.is_empty() && !path.contains(['?', '#', ' ']));
    assert!(!query.is_some_and(|query| query.contains(['#', ' '])));
    if head.target().starts_with('/') {
        assert_eq!((path, query), (uri.path(), uri.query()));
    } else if uri.scheme().is_some() {
        assert_eq!((path, query), (uri.path(), uri.query()));
        assert_eq!(host, uri.authority().map(|authority| authority.as_str()));
    }
}
