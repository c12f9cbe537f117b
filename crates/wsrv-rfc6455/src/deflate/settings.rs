//! How messages are compressed.

use super::{MAX_BITS, MIN_BITS};

/// How messages are compressed, and what a peer may make us do for it. Either role; "we" is the side with these settings.
///
/// ```
/// use wsrv_rfc6455::deflate::Deflate;
///
/// let settings = Deflate::default().with_min_size(1024).with_binary(true);
/// assert_eq!(settings.level, 1);
/// ```
///
/// The defaults are for servers with many connections: no direction takes its context over, so a connection holds no
/// memory for compression, and what goes to many is compressed once. How they were measured is told in
/// `docs/compression.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// How hard to try, from 1, the fastest, to 9. Default 1.
    pub level: u8,
    /// Messages of fewer bytes are sent as they are. Default 256.
    pub min_size: usize,
    /// Whether binary messages are compressed; often they are already. Default `false`.
    pub binary: bool,
    /// Whether what we send may refer to what we have sent before, if the peer can follow. Default `false`.
    pub send_takeover: bool,
    /// Whether what the peer sends may refer to what it has sent before. Default `false`: it is asked not to.
    pub receive_takeover: bool,
    /// How far back what we send refers at most, in bytes as a power of two: 9 to 15. The peer may want less. Default 15.
    pub send_window_bits: u8,
    /// How far back what we receive may refer, in bytes as a power of two: 9 to 15. A client that does not say that it can
    /// do with less uses 15. Default 15.
    pub receive_window_bits: u8,
    /// Bytes that connections may hold for compression, all of them together. A connection that comes when they are used up
    /// gets less: no context takeover, then no compression. Default 64 MiB.
    ///
    /// It is for servers only: what a client has agreed on is counted and held, however much it is, since the server may send
    /// so from the answer on. Each [`Compression`](super::Compression) that is made of these settings has as much of its own,
    /// its clones together; so has each route of an application that is given settings instead of a clone.
    pub memory: usize,
    /// To how many times its size a message of the peer may inflate; 64 KiB are always allowed. Past it: close code 1009.
    /// Default `None`: there is nothing beyond 1032, and [`Limits::max_message`](crate::Limits::max_message) holds anyway.
    pub max_ratio: Option<u32>,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: 1,
            min_size: 256,
            binary: false,
            send_takeover: false,
            receive_takeover: false,
            send_window_bits: MAX_BITS,
            receive_window_bits: MAX_BITS,
            memory: 64 << 20,
            max_ratio: None,
        }
    }
}

impl Deflate {
    /// Sets how hard to try. What is not from 1 to 9 counts as the nearest of these.
    pub const fn with_level(mut self, level: u8) -> Self {
        self.level = clamp(level, 1, 9);
        self
    }

    /// Sets from how many bytes on messages are compressed.
    pub const fn with_min_size(mut self, bytes: usize) -> Self {
        self.min_size = bytes;
        self
    }

    /// Sets whether binary messages are compressed.
    pub const fn with_binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }

    /// Sets whether what we send, and what we receive, may refer to earlier messages.
    pub const fn with_takeover(mut self, send: bool, receive: bool) -> Self {
        self.send_takeover = send;
        self.receive_takeover = receive;
        self
    }

    /// Sets how far back what we send, and what we receive, refers at most, in bytes as a power of two. What is not from 9
    /// to 15 counts as the nearest of these.
    pub const fn with_window_bits(mut self, send: u8, receive: u8) -> Self {
        self.send_window_bits = clamp(send, MIN_BITS, MAX_BITS);
        self.receive_window_bits = clamp(receive, MIN_BITS, MAX_BITS);
        self
    }

    /// Sets how many bytes connections may hold for compression, all of them together.
    pub const fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets to how many times its size a message of the peer may inflate.
    pub const fn with_max_ratio(mut self, ratio: Option<u32>) -> Self {
        self.max_ratio = ratio;
        self
    }

    /// The same with everything in the bounds that hold: the fields are public.
    pub(super) const fn bounded(self) -> Self {
        let (send, receive) = (self.send_window_bits, self.receive_window_bits);
        self.with_level(self.level).with_window_bits(send, receive)
    }
}

const fn clamp(value: u8, min: u8, max: u8) -> u8 {
    if value < min {
        min
    } else if value > max {
        max
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_in_their_bounds() {
        let settings = Deflate::default().with_level(0).with_window_bits(8, 16);
        assert_eq!((settings.level, settings.send_window_bits, settings.receive_window_bits), (1, 9, 15));
        let by_hand = Deflate { level: 77, send_window_bits: 0, ..Deflate::default() }.bounded();
        assert_eq!((by_hand.level, by_hand.send_window_bits), (9, 9));
    }
}
