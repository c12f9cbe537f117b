//! The unit an application sends and receives.

use bytes::Bytes;

use crate::Text;

/// One message: text or binary, whole and, once received, checked.
///
/// However many frames it came in, an application sees one message. Both kinds share their bytes, so a clone is
/// cheap.
///
/// ```
/// use wsrv_rfc6455::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.len(), 5);
/// ```
///
/// # Source
///
/// RFC 6455 §5.6. There are exactly two kinds of data frame, hence two variants for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(Text),
    /// Any bytes.
    Binary(Bytes),
}

impl Message {
    /// The payload, of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, of either kind, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, or `None` for a binary message. Costs one pass over it, see [`Text::as_str`].
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }

    /// Length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload has no bytes. Empty messages are as good as any other.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Whether this is a text message.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether this is a binary message.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// The message, and an empty one instead.
    #[cfg(feature = "connection")]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Binary(Bytes::new()))
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// Copies the text.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&'static [u8]> for Message {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Binary(Bytes::from_static(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_text_and_bytes_become_binary() {
        for message in [Message::from("a"), Message::from("a".to_owned()), Message::from(Text::from_static("a"))] {
            assert!(message.is_text() && !message.is_binary());
            assert_eq!(message.as_text(), Some("a"));
        }
        for message in [Message::from(&b"a"[..]), Message::from(vec![b'a']), Message::from(Bytes::from_static(b"a"))] {
            assert!(message.is_binary() && !message.is_text());
            assert_eq!(message.as_text(), None);
            assert_eq!((message.len(), message.is_empty()), (1, false));
            assert_eq!(message.into_bytes(), "a");
        }
    }

    #[test]
    fn text_and_binary_with_the_same_bytes_differ() {
        assert_ne!(Message::from("a"), Message::from(&b"a"[..]));
    }
}
