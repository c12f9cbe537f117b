//! What a peer can do wrong after the upgrade.

use crate::CloseCode;

/// A rule of RFC 6455, or one of our [`Limits`](crate::Limits), that the peer broke.
///
/// There is one variant per rule. The connection cannot go on after any of them: send a close frame with
/// [`close_code`](Self::close_code) and read no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set and no extension gave it a meaning (RFC 6455 §5.2). With compression, the first one has a
    /// meaning on the first frame of a message, and on no other (RFC 7692 §6).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode without a meaning: 3 to 7 or 11 to 15 (RFC 6455 §5.2).
    #[error("opcode {0} is reserved")]
    ReservedOpCode(u8),
    /// A control frame with `fin` unset (RFC 6455 §5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame that announces more than 125 bytes (RFC 6455 §5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A continuation frame while no message is under way (RFC 6455 §5.4).
    #[error("a continuation frame continues nothing")]
    UnexpectedContinuation,
    /// A new text or binary frame before the last message was complete (RFC 6455 §5.4).
    #[error("a new message begins inside a fragmented one")]
    ExpectedContinuation,
    /// A frame from a client without a masking key (RFC 6455 §5.1).
    #[error("a client frame is not masked")]
    MissingMask,
    /// A frame from a server with a masking key (RFC 6455 §5.1).
    #[error("a server frame is masked")]
    UnexpectedMask,
    /// A length that would have fitted a shorter form (RFC 6455 §5.2).
    #[error("a payload length is not in its shortest form")]
    NonMinimalLength,
    /// A 64-bit length with the highest bit set (RFC 6455 §5.2).
    #[error("a payload length has its highest bit set")]
    LengthOverflow,
    /// A frame longer than [`Limits::max_frame`](crate::Limits::max_frame).
    #[error("a frame is longer than the limit")]
    FrameTooLong,
    /// A message longer than [`Limits::max_message`](crate::Limits::max_message).
    #[error("a message is longer than the limit")]
    MessageTooLong,
    /// A message in more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("a message has more fragments than the limit")]
    TooManyFragments,
    /// A text message that is not UTF-8 (RFC 6455 §8.1).
    #[error("a text message is not UTF-8")]
    InvalidUtf8,
    /// A close frame with one byte of payload, which is half a close code (RFC 6455 §5.5.1).
    #[error("a close frame has half a close code")]
    TruncatedCloseCode,
    /// A close code that must not be sent (RFC 6455 §7.4).
    #[error("close code {} must not be sent", .0.as_u16())]
    InvalidCloseCode(CloseCode),
    /// A close reason that is not UTF-8 (RFC 6455 §5.5.1).
    #[error("a close reason is not UTF-8")]
    InvalidCloseReason,
    /// A compressed message that cannot be inflated: it is corrupt, or its end is missing (RFC 7692 §7.2.2).
    #[cfg(feature = "deflate")]
    #[error("a compressed message is corrupt")]
    InvalidCompressedData,
    /// A message that inflates to more times its size than [`Deflate::max_ratio`](crate::deflate::Deflate::max_ratio).
    #[cfg(feature = "deflate")]
    #[error("a compressed message inflates to more than the limit")]
    CompressionRatio,
}

impl ProtocolError {
    /// The code that tells the peer what it did wrong.
    ///
    /// 1007 for text that is none and compressed data that is none, 1009 for what is too big, 1008 for too many fragments,
    /// which are many rather than big, and 1002 for everything else.
    ///
    /// # Source
    ///
    /// RFC 6455 §7.4.1.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooLong | Self::MessageTooLong => CloseCode::TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY,
            #[cfg(feature = "deflate")]
            Self::InvalidCompressedData => CloseCode::INVALID_PAYLOAD,
            #[cfg(feature = "deflate")]
            Self::CompressionRatio => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_travel_cheaply() {
        assert_eq!(size_of::<ProtocolError>(), 4);
        assert_eq!(size_of::<Option<ProtocolError>>(), 4);
    }

    #[test]
    fn each_kind_of_fault_has_its_close_code() {
        assert_eq!(ProtocolError::MissingMask.close_code().as_u16(), 1002);
        assert_eq!(ProtocolError::InvalidUtf8.close_code().as_u16(), 1007);
        assert_eq!(ProtocolError::InvalidCloseReason.close_code().as_u16(), 1007);
        assert_eq!(ProtocolError::TooManyFragments.close_code().as_u16(), 1008);
        assert_eq!(ProtocolError::FrameTooLong.close_code().as_u16(), 1009);
        assert_eq!(ProtocolError::MessageTooLong.close_code().as_u16(), 1009);
    }

    #[test]
    fn messages_are_lower_case_and_carry_no_debug_output() {
        let error = ProtocolError::InvalidCloseCode(CloseCode::from(1006));
        assert_eq!(error.to_string(), "close code 1006 must not be sent");
    }
}
