//! How large a session may be.

/// How large a session may be, and how deep. More is [`SessionError::Limit`](crate::SessionError::Limit).
///
/// Each value takes 48 bytes besides the session's text, so by default no session takes more than 2 MiB.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a cookie's content or a store's record. Default 256 KiB.
    pub max_input: usize,
    /// Values within values. Default 512.
    pub max_depth: usize,
    /// Values in all. Default 32,768. It also bounds what is made of them where one value is referred to many times.
    pub max_nodes: usize,
    /// Bytes after decompression. Default 256 KiB.
    pub max_inflated: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_input: 256 << 10, max_depth: 512, max_nodes: 1 << 15, max_inflated: 256 << 10 }
    }
}
