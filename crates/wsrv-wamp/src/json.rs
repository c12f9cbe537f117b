//! JSON as far as WAMP needs it: the elements of an array as they are written, strings, and how deep it goes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Hands each element of an array to `element`, together with its place.
///
/// serde_json passes over values without recursion, so depth costs no stack here.
pub(crate) fn visit_array<'a>(text: &'a str, element: impl FnMut(usize, &'a RawValue)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(ArrayVisitor(element))?;
    json.end()
}

struct ArrayVisitor<F>(F);

impl<'de, F: FnMut(usize, &'de RawValue)> Visitor<'de> for ArrayVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(raw) = seq.next_element()? {
            (self.0)(index, raw);
            index += 1;
        }
        Ok(())
    }
}

/// The string that a value is, borrowed if it is written without escapes. `None` for other values, and for escapes
/// that stand for half a character only.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw.get()).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The first element of an array that goes deeper than `max`, the array itself being at depth 1. `text` has to be a
/// JSON array. One pass, however deep it is.
pub(crate) fn too_deep(text: &str, max: usize) -> Option<usize> {
    let (mut depth, mut element) = (0, 0);
    let mut rest = text.as_bytes();
    while let [first, later @ ..] = rest {
        rest = later;
        match first {
            b'[' | b'{' => {
                depth += 1;
                if depth > max {
                    return Some(element);
                }
            }
            b']' | b'}' => depth -= 1,
            b',' if depth == 1 => element += 1,
            b'"' => rest = after_string(rest),
            _ => {}
        }
    }
    None
}

/// What follows the string that begins here, behind its opening quote.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}

/// Writes a string with its quotes.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            continue;
        }
        out.push_str(&text[written..at]);
        written = at + 1;
        out.push('\\');
        match byte {
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            0x08 => out.push('b'),
            0x0c => out.push('f'),
            0..=0x1f => {
                out.push_str(if byte < 0x10 { "u000" } else { "u001" });
                out.push(char::from_digit(u32::from(byte & 0xf), 16).expect("four bits are one digit"));
            }
            _ => out.push(char::from(byte)),
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// Writes a value behind what is there.
///
/// # Errors
///
/// What `value` says when it cannot be written. `out` is empty then.
pub(crate) fn push_value<T: serde::Serialize + ?Sized>(out: &mut String, value: &T) -> serde_json::Result<()> {
    let mut bytes = std::mem::take(out).into_bytes();
    serde_json::to_writer(&mut bytes, value)?;
    *out = String::from_utf8(bytes).expect("serde_json writes UTF-8");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_element_that_is_too_deep_is_named() {
        assert_eq!(too_deep("[]", 1), None);
        assert_eq!(too_deep("[]", 0), Some(0));
        assert_eq!(too_deep(r#"[2,"a",[],{}]"#, 2), None);
        assert_eq!(too_deep(r#"[2,"a",[],{"k":[]}]"#, 2), Some(3));
        assert_eq!(too_deep(r#"[2,[0,0,0],{"a":1,"b":[]}]"#, 2), Some(2));
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        assert_eq!(too_deep(r#"["[[[[","{\"[[","\\",["]]"]]"#, 2), None);
        assert_eq!(too_deep(r#"["\\",[[]]]"#, 2), Some(1));
        assert_eq!(too_deep(r#"["\\\"[[[",0,[[]]]"#, 2), Some(2));
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
        let mut out = String::new();
        push_string(&mut out, &all);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), all);
        for text in ["", "plain", "\"", "a\\b", "\u{1}\u{8}\u{b}\u{c}\u{1f}", "€\n€"] {
            let mut out = String::from("[");
            push_string(&mut out, text);
            assert_eq!(out, format!("[{}", serde_json::to_string(text).unwrap()));
        }
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let raw = |text| serde_json::from_str::<&RawValue>(text).unwrap();
        assert!(matches!(string(raw(r#""a€b""#)), Some(Cow::Borrowed("a€b"))));
        assert!(matches!(string(raw(r#""a\nb""#)), Some(Cow::Owned(text)) if text == "a\nb"));
        assert_eq!(string(raw(r#""""#)).as_deref(), Some(""));
        assert_eq!(string(raw(r#""\ud83d\ude00""#)).as_deref(), Some("😀"));
        for other in ["1", "null", "true", "[]", "{}", r#"["a"]"#, r#""\ud83d""#] {
            assert_eq!(string(raw(other)), None, "{other}");
        }
    }
}
