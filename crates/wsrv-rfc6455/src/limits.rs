//! What a peer may make us hold.

/// How much a peer may send at a time. Exceeding a limit fails the connection.
///
/// Sizes count payload bytes and are inclusive: a message of exactly `max_message` bytes is welcome. They are
/// compared with what a frame's header announces, before any payload has arrived.
///
/// ```
/// use wsrv_rfc6455::Limits;
///
/// let limits = Limits::default().with_max_message(64 * 1024);
/// assert_eq!(limits.max_frame, 64 * 1024);
/// let limits = limits.with_max_frame(16 * 1024).with_max_message(4 << 20);
/// assert_eq!(limits.max_frame, 16 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a whole message, over all its fragments. Default 1 MiB: far above what chat, topics and remote calls
    /// need, and still a fair share of memory for thousands of peers. Past it: close code 1009.
    pub max_message: usize,
    /// Bytes of one frame. Default: those of a message. Past it: close code 1009.
    pub max_frame: usize,
    /// Frames of one message; empty ones count, since each costs work. Default 4096. Past it: close code 1008.
    pub max_fragments: u32,
}

impl Limits {
    /// Sets the largest message, in bytes, and the largest frame with it as long as both are the same, as they are by
    /// default: so a message at its limit may come in one frame.
    pub const fn with_max_message(mut self, bytes: usize) -> Self {
        if self.max_frame == self.max_message {
            self.max_frame = bytes;
        }
        self.max_message = bytes;
        self
    }

    /// Sets the largest frame, in bytes. If that differs from the largest message,
    /// [`with_max_message`](Self::with_max_message) leaves it alone from then on.
    pub const fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets the largest number of frames in a message.
    pub const fn with_max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 1 << 20, max_frame: 1 << 20, max_fragments: 4096 }
    }
}
