//! What one message may make us hold.

/// How much one message may contain, beyond its size in bytes, which is the WebSocket's limit.
///
/// All are inclusive. Past any of them, parsing fails and nothing is kept.
///
/// ```
/// use wsrv_wamp::{ClientMessage, ErrorKind, MessageLimits};
///
/// let limits = MessageLimits::default().with_max_uri(20);
/// let error = ClientMessage::parse(r#"[5,"http://example.com/long"]"#, &limits).unwrap_err();
/// assert_eq!((error.kind, error.element), (ErrorKind::UriTooLong { max: 20 }, Some(1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageLimits {
    /// How deep arrays and objects may lie within each other. The message's own array counts as one. Default 64, well
    /// below the 128 at which `serde_json` refuses to deserialize. Past it: [`TooDeep`](crate::ErrorKind::TooDeep).
    pub max_depth: usize,
    /// Bytes of a URI or CURIE, and of a prefix, once escapes are resolved. Default 1024. Past it:
    /// [`UriTooLong`](crate::ErrorKind::UriTooLong).
    pub max_uri: usize,
    /// Bytes of a call's id, which goes back with the answer. Default 256; known clients use about 16. Past it:
    /// [`CallIdTooLong`](crate::ErrorKind::CallIdTooLong), and the call cannot be answered.
    pub max_call_id: usize,
    /// Session ids in one list, of those excluded or of those eligible. Default 1024. Past it:
    /// [`ListTooLong`](crate::ErrorKind::ListTooLong).
    pub max_list: usize,
}

impl MessageLimits {
    /// Sets how deep values may be nested, the message's array included.
    pub const fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Sets the longest URI, CURIE or prefix, in bytes.
    pub const fn with_max_uri(mut self, bytes: usize) -> Self {
        self.max_uri = bytes;
        self
    }

    /// Sets the longest id of a call, in bytes.
    pub const fn with_max_call_id(mut self, bytes: usize) -> Self {
        self.max_call_id = bytes;
        self
    }

    /// Sets the largest number of session ids in one list.
    pub const fn with_max_list(mut self, ids: usize) -> Self {
        self.max_list = ids;
        self
    }
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { max_depth: 64, max_uri: 1024, max_call_id: 256, max_list: 1024 }
    }
}
