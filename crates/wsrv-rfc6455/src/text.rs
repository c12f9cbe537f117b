//! Text that is shared, not copied.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::utf8;

/// UTF-8 text in a shared buffer: what a text message carries.
///
/// A clone counts a reference and copies nothing, so one text can go to a thousand connections. Text that is only
/// passed on, as in an echo or a broadcast, is never looked at again: use [`as_bytes`](Self::as_bytes) and
/// [`into_bytes`](Self::into_bytes) there.
///
/// ```
/// use wsrv_rfc6455::Text;
///
/// let text = Text::from("grüß dich");
/// assert_eq!(text, "grüß dich");
/// assert_eq!(text.len(), 11); // bytes, not characters
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Bytes);

/// The bytes given to [`Text::try_from`] are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not UTF-8")]
#[non_exhaustive]
pub struct InvalidUtf8;

impl Text {
    /// Text from the program itself; neither copied nor allocated.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Text from bytes that the receiver, or a cut at a character boundary, has already shown to be UTF-8.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        debug_assert!(utf8::is_valid(&bytes), "the caller has checked these bytes");
        Self(bytes)
    }

    /// The text as a string slice.
    ///
    /// This reads the bytes once more: the standard library offers no safe way to turn bytes into `str` without a
    /// check, and this crate has no `unsafe`. The check is vectorised and takes gigabytes per second. Call it once and
    /// keep the slice.
    ///
    /// # Panics
    ///
    /// Only if [`Receiver::take`](crate::Receiver::take) was given another buffer than the one the message was
    /// found in, so that unchecked bytes were taken for text. A peer cannot cause it.
    pub fn as_str(&self) -> &str {
        simdutf8::basic::from_utf8(&self.0).expect("every constructor has checked the bytes")
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The shared buffer below the text.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

/// Copies the text.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// Checks the bytes and keeps them without a copy.
impl TryFrom<Bytes> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        if utf8::is_valid(&bytes) { Ok(Self(bytes)) } else { Err(InvalidUtf8) }
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.into_bytes()
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_buffer() {
        let text = Text::from("shared".to_owned());
        assert_eq!(text.as_bytes().as_ptr(), text.clone().as_bytes().as_ptr());
    }

    #[test]
    fn bytes_are_checked_on_the_way_in() {
        assert_eq!(Text::try_from(Bytes::from_static(b"ok")), Ok(Text::from_static("ok")));
        assert_eq!(Text::try_from(Bytes::from_static(b"\xff")), Err(InvalidUtf8));
    }

    #[test]
    fn it_reads_like_a_string() {
        let text = Text::from("a\"b");
        assert_eq!(text.to_string(), "a\"b");
        assert_eq!(format!("{text:?}"), r#""a\"b""#);
        assert_eq!(text, *"a\"b");
        assert!(Text::default().is_empty());
    }
}
