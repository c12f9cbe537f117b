//! What request heads and the heads of answers have in common.

use wsrv_rfc6455::handshake::{HeadError, HeadLimits};

/// The defaults, limits so small that short inputs meet them, and none.
pub(super) fn limits(choice: usize) -> HeadLimits {
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

/// The most bytes that a head may have.
pub(super) fn max_size(limits: HeadLimits) -> usize {
    limits.max_size.min(65_535)
}

/// Checks that a head keeps to the limits and that these are its header lines. Gives its first line.
pub(super) fn check_lines<'a>(limits: HeadLimits, bytes: &'a [u8], fields: &[(&str, &[u8])]) -> &'a [u8] {
    assert!(bytes.len() <= max_size(limits));
    let lines = lines(bytes.strip_suffix(b"\r\n\r\n").expect("an empty line ends a head"));
    for line in &lines {
        assert!(line.len() <= limits.max_line, "a line has {} bytes", line.len());
        assert!(!line.is_empty() && !line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    assert!(fields.len() == lines.len() - 1 && fields.len() <= limits.max_headers);
    for ((name, value), line) in fields.iter().zip(&lines[1..]) {
        let rest = line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
        assert_eq!(rest.map(<[u8]>::trim_ascii), Some(*value));
    }
    lines[0]
}

/// Whether the error fits what was refused: no limit is named that is not exceeded. `first` is what a first line that
/// is too long is called.
pub(super) fn fits(limits: HeadLimits, refused: &[u8], error: HeadError, first: HeadError) -> bool {
    let lines = lines(refused);
    let is_long = |line: &&[u8]| line.len() > limits.max_line;
    match error {
        error if error == first && is_long(&lines[0]) => true,
        HeadError::LineTooLong => lines[1..].iter().any(is_long),
        HeadError::TooManyHeaders => lines.len() - 1 > limits.max_headers,
        HeadError::TooLarge => {
            let most = max_size(limits);
            refused.len() >= most && !refused[..most].windows(4).any(|bytes| bytes == b"\r\n\r\n")
        }
        _ => matches!(error.status().as_u16(), 400 | 505),
    }
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}
