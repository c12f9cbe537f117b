//! The head of a request, before the upgrade.

use bytes::BytesMut;
use http::{Uri, Version};
use wsrv_rfc6455::handshake::{HeadError, HeadLimits, HeadReader, RequestHead};

use super::reads::Reads;

/// Request heads are the same however they are cut into reads, keep to the limits, and lose no byte.
///
/// - The heads, the error and what is left behind them do not depend on the reads.
/// - Heads and what is left are, put together, what arrived.
/// - Each head keeps to the limits, and so does what waits for the rest of one. No limit is named that is not exceeded.
/// - Each can be asked everything, and tells the same as its form in the types of the `http` crate.
pub fn request_head(data: &[u8]) {
    let Some(reads) = Reads::parse(data) else { return };
    let limits = limits(reads.limits);
    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let (heads, end) = read(limits, &at_once);
    for other in [as_asked, byte_by_byte] {
        let (other_heads, other_end) = read(limits, &other);
        let bytes = |heads: &[RequestHead]| heads.iter().map(|head| head.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!((bytes(&heads), &end), (bytes(&other_heads), &other_end), "the reads make a difference");
    }

    let mut rest = reads.stream;
    for head in &heads {
        // One empty line before a head is skipped.
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        rest = rest.strip_prefix(head.as_bytes()).expect("a head is what arrived");
        check(limits, head);
    }
    match end {
        Ok(left) => assert_eq!(left, rest, "what follows a head is left as it is"),
        Err(error) => check_refusal(limits, rest.strip_prefix(b"\r\n").unwrap_or(rest), error),
    }
}

fn limits(choice: usize) -> HeadLimits {
    let default = HeadLimits::default();
    let small = |size, line, headers| default.with_max_size(size).with_max_line(line).with_max_headers(headers);
    match choice % 6 {
        0 => default,
        1 => small(300, 80, 6),
        2 => small(100, 200, 100),
        3 => small(40, 20, 1),
        4 => small(0, 0, 0),
        _ => small(usize::MAX, usize::MAX, usize::MAX),
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
                    assert!(buffer.len() <= limits.max_size.min(65_535) + 2, "{} bytes wait", buffer.len());
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
    let bytes = head.as_bytes();
    assert!(bytes.len() <= limits.max_size.min(65_535));
    let lines = bytes.strip_suffix(b"\r\n\r\n").expect("an empty line ends a head");
    let lines: Vec<&[u8]> =
        lines.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    for line in &lines {
        assert!(line.len() <= limits.max_line, "a line has {} bytes", line.len());
        assert!(!line.is_empty() && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let version = if head.version() == Version::HTTP_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    assert_eq!(lines[0], format!("{} {} {version}", head.method(), head.target()).as_bytes());

    let fields: Vec<(&str, &[u8])> = head.iter().collect();
    assert!(fields.len() == lines.len() - 1 && fields.len() <= limits.max_headers);
    for ((name, value), line) in fields.iter().zip(&lines[1..]) {
        let rest = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
        assert_eq!(rest.map(<[u8]>::trim_ascii), Some(*value));
        assert!(head.headers(&name.to_ascii_uppercase()).any(|other| other == *value));
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

/// No limit is named that is not exceeded.
fn check_refusal(limits: HeadLimits, refused: &[u8], error: HeadError) {
    let lines = || refused.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    match error {
        HeadError::TargetTooLong => assert!(lines().take(1).any(|line| line.len() > limits.max_line)),
        HeadError::LineTooLong => assert!(lines().skip(1).any(|line| line.len() > limits.max_line)),
        HeadError::TooManyHeaders => assert!(lines().skip(1).count() > limits.max_headers),
        HeadError::TooLarge => {
            let most = limits.max_size.min(65_535);
            assert!(refused.len() >= most && !refused[..most].windows(4).any(|bytes| bytes == b"\r\n\r\n"));
        }
        _ => assert!(matches!(error.status().as_u16(), 400 | 505)),
    }
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
