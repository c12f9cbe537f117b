//! Why a connection ends: close codes and the close frame's content.

use std::fmt;

use bytes::Bytes;

use crate::Text;

/// The number in a close frame that says why the connection ends.
///
/// Any number can be held, so that codes this crate does not know survive; only some
/// [may be sent](Self::is_sendable).
///
/// ```
/// use wsrv_rfc6455::CloseCode;
///
/// assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 going away");
/// assert!(CloseCode::from(4000).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// ```
///
/// # Source
///
/// RFC 6455 §7.4 and the IANA registry it founded, where 1012 to 1014 were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that is not understood, such as binary where text is spoken.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: stands for a close frame without a code; never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: stands for a connection lost without a close frame; never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: against the receiver's policy, when no other code fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: a client misses an extension it needs.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server restarts; try again soon.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN: Self = Self(1013);
    /// 1014: a gateway got an invalid answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: stands for a failed TLS handshake; never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// The number itself.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a close frame: 1000–1003, 1007–1014 and 3000–4999.
    ///
    /// Both directions hold to this. A received code outside these ranges fails the connection with 1002.
    ///
    /// # Source
    ///
    /// RFC 6455 §7.4.1 and §7.4.2. Numbers below 3000 that nobody has defined yet are refused.
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The meaning in words, if the code has one; those from 3000 belong to libraries and applications.
    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NORMAL => "normal closure",
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::UNSUPPORTED_DATA => "unsupported data",
            Self::NO_STATUS => "no status received",
            Self::ABNORMAL => "abnormal closure",
            Self::INVALID_PAYLOAD => "invalid payload data",
            Self::POLICY => "policy violation",
            Self::TOO_BIG => "message too big",
            Self::MISSING_EXTENSION => "mandatory extension",
            Self::INTERNAL => "internal error",
            Self::RESTART => "service restart",
            Self::TRY_AGAIN => "try again later",
            Self::BAD_GATEWAY => "bad gateway",
            Self::TLS_HANDSHAKE => "TLS handshake",
            Self(3000..=3999) => "registered",
            Self(4000..=4999) => "private use",
            _ => return None,
        })
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// Number and, if it has one, name: `1001 going away`.
impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// What a close frame says: a code and a reason in words.
///
/// The reason is for logs and for those who develop. It need not make sense to anybody else, and a client must not show
/// it to its users (RFC 6455 §5.5.1).
///
/// ```
/// use wsrv_rfc6455::{CloseCode, CloseFrame};
///
/// let close = CloseFrame::new(CloseCode::RESTART, "back in a minute");
/// assert_eq!(close.reason, "back in a minute");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// Why, in words; often empty. At most [`MAX_REASON`](Self::MAX_REASON) bytes fit a frame.
    pub reason: Text,
}

impl CloseFrame {
    /// The longest reason in bytes: a control frame holds 125, two of which are the code.
    pub const MAX_REASON: usize = 123;

    /// A close frame whose reason is cut, at a character boundary, to what fits.
    pub fn new(code: impl Into<CloseCode>, reason: impl Into<Text>) -> Self {
        Self { code: code.into(), reason: cut(reason.into(), Self::MAX_REASON) }
    }
}

/// A code alone, with an empty reason.
impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: Text::default() }
    }
}

/// `1001 going away`, or `1001 going away: <reason>`. The reason is the peer's own words: escape it where that matters.
impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() { self.code.fmt(f) } else { write!(f, "{}: {}", self.code, self.reason) }
    }
}

fn cut(text: Text, max: usize) -> Text {
    if text.len() <= max {
        return text;
    }
    let bytes = text.as_bytes();
    let end = (0..=max).rev().find(|&at| bytes.get(at).is_none_or(|byte| byte & 0xC0 != 0x80)).unwrap_or(0);
    // A copy, so that a short reason does not keep a long text alive.
    Text::from_checked(Bytes::copy_from_slice(&bytes[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_with_a_meaning_on_the_wire_may_be_sent() {
        let sendable = |code: u16| CloseCode::from(code).is_sendable();
        for code in (0..=999).chain([1004, 1005, 1006]).chain(1015..=2999).chain(5000..=u16::MAX) {
            assert!(!sendable(code), "{code}");
        }
        for code in (1000..=1003).chain(1007..=1014).chain(3000..=4999) {
            assert!(sendable(code), "{code}");
        }
    }

    #[test]
    fn unknown_codes_survive() {
        for code in [0, 999, 1004, 2999, 3000, 4999, 5000, 65535] {
            assert_eq!(u16::from(CloseCode::from(code)), code);
        }
    }

    #[test]
    fn codes_show_number_and_name() {
        assert_eq!(CloseCode::NORMAL.to_string(), "1000 normal closure");
        assert_eq!(CloseCode::from(1004).to_string(), "1004");
        assert_eq!(format!("{:?}", CloseCode::from(4001)), "CloseCode(4001 private use)");
        assert_eq!(CloseFrame::new(1008, "no").to_string(), "1008 policy violation: no");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let exact = "a".repeat(123);
        assert_eq!(CloseFrame::new(1000, exact.as_str()).reason, exact.as_str());
        assert_eq!(CloseFrame::new(1000, "a".repeat(124)).reason, exact.as_str());
        for (prefix, kept) in [(120, 123), (121, 121), (122, 122), (123, 123)] {
            let reason = "a".repeat(prefix) + "€uro";
            assert_eq!(CloseFrame::new(1000, reason.as_str()).reason, &reason[..kept], "{prefix}");
        }
        assert_eq!(CloseFrame::new(1000, "😀".repeat(50)).reason.len(), 120);
    }
}
