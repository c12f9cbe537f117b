//! UTF-8, checked as it arrives.

/// How many bytes the vector code takes at a time. A part of a text that is shorter is checked character by character.
const SHORT: usize = 64;

/// The bytes are not UTF-8, and no further byte could change that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Whether the bytes are UTF-8 as a whole.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    if bytes.len() < SHORT {
        // Zeros behind a text change nothing about it.
        let mut padded = [0; SHORT];
        padded[..bytes.len()].copy_from_slice(bytes);
        return simdutf8::basic::from_utf8(&padded).is_ok();
    }
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Checks text that grows at its end, where `checked` is what the last call returned (0 at first).
///
/// Returns how many bytes are whole characters; at most three more are the beginning of one. Fails at the first byte
/// that no continuation could make good. Each byte is looked at once, those of an unfinished character up to three
/// times more.
#[inline]
pub(crate) fn check(bytes: &[u8], checked: usize) -> Result<usize, Invalid> {
    let new = bytes.get(checked..).unwrap_or_default();
    if new.len() < SHORT {
        return Ok(checked + whole_characters(new)?);
    }
    let (whole, tail) = new.split_at(new.len() - unfinished(new));
    if !is_valid(whole) {
        return Err(Invalid);
    }
    whole_characters(tail)?;
    Ok(checked + whole.len())
}

/// The end of a text that arrives in parts: up to three bytes that begin a character.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tail {
    bytes: [u8; 3],
    len: usize,
}

impl Tail {
    /// Whether the text so far ends with a whole character.
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The end of the text with the next part. Fails at the first byte that no continuation could make good.
    pub(crate) fn go_on(mut self, part: &[u8]) -> Result<Self, Invalid> {
        let mut rest = part;
        while self.len > 0 {
            let Some((&next, after)) = rest.split_first() else { return Ok(self) };
            let [first, second, third] = self.bytes;
            let mut character = [first, second, third, 0];
            character[self.len] = next;
            let character = &character[..=self.len];
            // A character that has begun is either whole now or goes on; four bytes never go on.
            self = if check(character, 0)? > 0 { Self::default() } else { Self::new(character) };
            rest = after;
        }
        let whole = check(rest, 0)?;
        Ok(Self::new(&rest[whole..]))
    }

    /// Of at most three bytes.
    fn new(unfinished: &[u8]) -> Self {
        let mut tail = Self { len: unfinished.len(), ..Self::default() };
        tail.bytes[..unfinished.len()].copy_from_slice(unfinished);
        tail
    }
}

/// How many bytes at the end belong to a character that goes on, judged by its first byte alone.
fn unfinished(bytes: &[u8]) -> usize {
    match *bytes {
        [.., 0xC0..=0xFF] => 1,
        [.., 0xE0..=0xFF, 0x80..0xC0] => 2,
        [.., 0xF0..=0xFF, 0x80..0xC0, 0x80..0xC0] => 3,
        _ => 0,
    }
}

/// Steps over characters, up to the end or an unfinished one.
#[inline]
fn whole_characters(bytes: &[u8]) -> Result<usize, Invalid> {
    let mut rest = bytes;
    loop {
        rest = match *rest {
            [0x00..0x80, ref rest @ ..] => rest,
            [] => break,
            [0xC2..0xE0, 0x80..0xC0, ref rest @ ..] => rest,
            [lead @ 0xE0..0xF0, second, 0x80..0xC0, ref rest @ ..] if is_second(lead, second) => rest,
            [lead @ 0xF0..0xF5, second, 0x80..0xC0, 0x80..0xC0, ref rest @ ..] if is_second(lead, second) => rest,
            // The beginning of a character.
            [0xC2..0xF5] => break,
            [lead @ 0xE0..0xF5, second] if is_second(lead, second) => break,
            [lead @ 0xF0..0xF5, second, 0x80..0xC0] if is_second(lead, second) => break,
            _ => return Err(Invalid),
        }
    }
    Ok(bytes.len() - rest.len())
}

/// Whether `second` may follow the first byte of a three- or four-byte character. Excludes overlong forms, surrogates
/// and numbers past U+10FFFF.
fn is_second(lead: u8, second: u8) -> bool {
    match lead {
        0xE0 => matches!(second, 0xA0..0xC0),
        0xED => matches!(second, 0x80..0xA0),
        0xF0 => matches!(second, 0x90..0xC0),
        0xF4 => matches!(second, 0x80..0x90),
        _ => matches!(second, 0x80..0xC0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard library says about the beginning of a text.
    fn expected(bytes: &[u8]) -> Result<usize, Invalid> {
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(bytes.len()),
            Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
            Err(_) => Err(Invalid),
        }
    }

    #[test]
    fn every_short_sequence_agrees_with_the_standard_library() {
        for byte in 0..=255 {
            assert_eq!(check(&[byte], 0), expected(&[byte]));
        }
        let interesting = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF];
        let bytes: Vec<u8> = interesting.into_iter().chain([0xF0, 0xF1, 0xF4, 0xF5, 0xFF]).collect();
        for &first in &bytes {
            for &second in &bytes {
                for &third in &bytes {
                    assert_eq!(check(&[first, second], 0), expected(&[first, second]));
                    assert_eq!(check(&[first, second, third], 0), expected(&[first, second, third]));
                    for &fourth in &bytes {
                        let text = [first, second, third, fourth];
                        assert_eq!(check(&text, 0), expected(&text), "{text:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn whole_texts_of_all_lengths_agree_with_the_standard_library() {
        let text = "aß€😀".repeat(20);
        for start in 0..10 {
            for end in start..text.len() {
                let bytes = &text.as_bytes()[start..end];
                assert_eq!(is_valid(bytes), std::str::from_utf8(bytes).is_ok(), "{start}..{end}");
            }
        }
    }

    #[test]
    fn the_end_of_a_long_text_is_judged_like_a_short_one() {
        let ends = [0x7F, 0x80, 0x9F, 0xBF, 0xC1, 0xC3, 0xE0, 0xED, 0xF0, 0xF4, 0xFF];
        let mut text = vec![b'a'; SHORT + 3];
        for first in ends {
            for second in ends {
                for third in ends {
                    text[SHORT..].copy_from_slice(&[first, second, third]);
                    assert_eq!(check(&text, 0), expected(&text), "{first:x} {second:x} {third:x}");
                }
            }
        }
    }

    #[test]
    fn text_may_grow_by_any_step() {
        let text = "aß€😀".repeat(40);
        for step in 1..150 {
            let mut checked = 0;
            for end in (0..text.len()).step_by(step).chain([text.len()]) {
                checked = check(&text.as_bytes()[..end], checked).unwrap();
                assert!(end - checked < 4);
            }
            assert_eq!(checked, text.len());
        }
    }

    #[test]
    fn parts_are_judged_like_the_whole() {
        let bytes = [0x41, 0x80, 0x9F, 0xBF, 0xC1, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xFF];
        for text in (0..12_usize.pow(4)).map(|n| [0, 1, 2, 3].map(|digit| bytes[n / 12_usize.pow(digit) % 12])) {
            let whole = check(&text, 0).map(|whole| text.len() - whole);
            for size in 1..4 {
                let tail = text.chunks(size).try_fold(Tail::default(), |tail, part| tail.go_on(part));
                assert_eq!(tail.map(|tail| tail.len), whole, "{text:x?} by {size}");
            }
        }
    }

    #[test]
    fn a_hopeless_beginning_fails_before_its_end() {
        for hopeless in [&b"\xC0"[..], b"\xF5", b"\xF4\x90", b"\xE0\x80", b"\xED\xA0", b"\xF0\x80", b"ok\x80"] {
            assert_eq!(check(hopeless, 0), Err(Invalid), "{hopeless:x?}");
        }
    }
}
