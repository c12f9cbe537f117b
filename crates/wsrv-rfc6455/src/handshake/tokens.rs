//! Tokens and lists of them, as HTTP header values are made of. Everything here is linear in the input.

/// Whether the byte may stand in a token (RFC 9110 §5.6.2).
#[inline]
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Whether the bytes are a token: at least one, and all of the right kind.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// The elements of a comma-separated list that may be spread over several lines, without the blanks around them.
/// Empty elements are given, too.
pub(super) fn elements<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// Whether the list has this element, upper or lower case.
pub(super) fn has_element<'a>(mut lines: impl Iterator<Item = &'a [u8]>, wanted: &str) -> bool {
    let is_wanted = |element: &[u8]| element.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes());
    lines.any(|line| line.split(|&byte| byte == b',').any(is_wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_bytes_are_those_of_the_rfc() {
        let separators = b"\"(),/:;<=>?@[\\]{}";
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_graphic() && !separators.contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte:#x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn lists_are_merged_and_compared_by_whole_elements() {
        let lines = || [&b"keep-alive, x-Upgrade"[..], b"\tUPGRADE ,"].into_iter();
        assert!(has_element(lines(), "upgrade"));
        assert!(!has_element(lines().take(1), "upgrade"));
        assert_eq!(elements(lines()).collect::<Vec<_>>(), [&b"keep-alive"[..], b"x-Upgrade", b"UPGRADE", b""]);
    }
}
