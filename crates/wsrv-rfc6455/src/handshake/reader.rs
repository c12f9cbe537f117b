//! From bytes to a head: a request's or, at a client, an answer's.

use bytes::{Buf, BytesMut};
use http::StatusCode;

use super::head::RequestHead;
use super::tokens::is_token_byte;

/// How large a request head, or that of an answer, may be. All limits are inclusive.
///
/// ```
/// use wsrv_rfc6455::handshake::HeadLimits;
///
/// let limits = HeadLimits::default().with_max_size(8 * 1024).with_max_headers(50);
/// assert_eq!(limits.max_line, 8 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLimits {
    /// Bytes of the whole head, from its first byte to the empty line. Default 16 KiB: room for fat cookies. Values above
    /// 65,535 count as that. Past it: status 431.
    pub max_size: usize,
    /// Bytes of one line without its CRLF. Default 8 KiB. Past it: status 431, or 414 in the request line.
    pub max_line: usize,
    /// Header lines. Default 100; browsers send 13 or so. Past it: status 431.
    pub max_headers: usize,
}

impl HeadLimits {
    /// Sets the largest head, in bytes.
    pub const fn with_max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets the longest line, in bytes.
    pub const fn with_max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Sets the largest number of header lines.
    pub const fn with_max_headers(mut self, lines: usize) -> Self {
        self.max_headers = lines;
        self
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_size: 16 * 1024, max_line: 8 * 1024, max_headers: 100 }
    }
}

/// Why a head was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line is not `method SP target SP version`; perhaps it is no HTTP at all.
    #[error("the request line is malformed")]
    MalformedRequestLine,
    /// The first line of an answer is not `version SP status SP reason`.
    #[error("the status line is malformed")]
    MalformedStatusLine,
    /// The request target is no URI.
    #[error("the request target is malformed")]
    MalformedTarget,
    /// A header line is not `name: value`, has a blank before the colon or goes on with the line before.
    #[error("a header line is malformed")]
    MalformedHeader,
    /// A control character in a header value.
    #[error("a header value has a control character")]
    ControlCharacter,
    /// A CR without LF or a LF without CR.
    #[error("a line does not end with CRLF")]
    MalformedLineEnd,
    /// A version of HTTP other than 1.0 and 1.1.
    #[error("the version of HTTP is not supported")]
    UnsupportedVersion,
    /// The request line is longer than [`HeadLimits::max_line`].
    #[error("the request target is too long")]
    TargetTooLong,
    /// A header line, or the status line, is longer than [`HeadLimits::max_line`].
    #[error("a line is too long")]
    LineTooLong,
    /// The head is larger than [`HeadLimits::max_size`].
    #[error("the head is too large")]
    TooLarge,
    /// More header lines than [`HeadLimits::max_headers`].
    #[error("the head has too many header lines")]
    TooManyHeaders,
}

impl HeadError {
    /// The status to answer a request with: 400, 414, 431 or 505. The connection must be closed after it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequestLine
            | Self::MalformedStatusLine
            | Self::MalformedTarget
            | Self::MalformedHeader
            | Self::ControlCharacter
            | Self::MalformedLineEnd => StatusCode::BAD_REQUEST,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::LineTooLong | Self::TooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

/// Cuts request heads off a buffer that grows while they arrive.
///
/// It looks at each byte once, however the head is cut into reads, and refuses a bad head at the first byte that shows
/// it. What follows the head stays in the buffer and counts against no limit: it may be the first frame of a client
/// in a hurry.
#[derive(Debug)]
pub struct HeadReader(Scanner);

/// Finds the end of a head, and what is wrong with it before.
#[derive(Debug)]
pub(super) struct Scanner {
    limits: HeadLimits,
    first: Place,
    place: Place,
    /// How many bytes have been looked at.
    at: usize,
    /// Where the head begins: after an empty line, if there was one.
    start: usize,
    /// Where the current line begins.
    line: usize,
    /// Where the lines behind the first begin, seen from the head's beginning. The last one is the empty line.
    lines: Vec<usize>,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The beginning of a request.
    Start,
    /// The end of an empty line before the head.
    LeadingLf,
    Method,
    TargetStart,
    Target,
    Version,
    /// The beginning of an answer, and the version.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only clients read answers"))]
    AnswerVersion,
    /// So many digits of the status are there.
    Status(u8),
    Reason,
    /// The end of the first line or a header line.
    Lf,
    NameStart,
    Name,
    Value,
    /// The end of the empty line that ends the head.
    LastLf,
    End,
    Failed(HeadError),
}

impl HeadReader {
    /// A reader at the beginning of a request.
    pub const fn new(limits: HeadLimits) -> Self {
        Self(Scanner::new(limits, Place::Start))
    }

    /// Looks at what has arrived since the last call. `None`: the head is not whole yet, so read more, appending to
    /// the same buffer, and call again.
    ///
    /// The head is removed from the buffer, and the reader is ready for the next one. One empty line before a head is
    /// skipped.
    ///
    /// # Errors
    ///
    /// What is wrong with the head. All later calls give the same error.
    ///
    /// # Source
    ///
    /// RFC 9112 §2 to §5. Stricter than it needs to be: a bare LF ends no line, and only ASCII is taken for a target.
    pub fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestHead>, HeadError> {
        self.0.read(buffer, RequestHead::parse)
    }
}

impl Scanner {
    const fn new(limits: HeadLimits, first: Place) -> Self {
        Self { limits, first, place: first, at: 0, start: 0, line: 0, lines: Vec::new() }
    }

    /// A scanner at the beginning of an answer.
    #[cfg(feature = "client")]
    pub(super) const fn answer(limits: HeadLimits) -> Self {
        Self::new(limits, Place::AnswerVersion)
    }

    /// Cuts off a head once it is whole, and gives it to `parse` with the places where the lines behind the first begin.
    pub(super) fn read<H>(
        &mut self,
        buffer: &mut BytesMut,
        parse: impl FnOnce(&[u8], &[usize]) -> Result<H, HeadError>,
    ) -> Result<Option<H>, HeadError> {
        if let Place::Failed(error) = self.place {
            return Err(error);
        }
        self.scan(buffer, parse).inspect_err(|&error| self.place = Place::Failed(error))
    }

    fn scan<H>(
        &mut self,
        buffer: &mut BytesMut,
        parse: impl FnOnce(&[u8], &[usize]) -> Result<H, HeadError>,
    ) -> Result<Option<H>, HeadError> {
        let max_size = self.limits.max_size.min(usize::from(u16::MAX));
        while let Some(&byte) = buffer.get(self.at) {
            // Most bytes lie where more of their kind may follow, and change nothing.
            let end = (self.start + max_size).min(self.line.saturating_add(self.limits.max_line));
            let ahead = buffer.get(self.at..end.min(buffer.len())).unwrap_or_default();
            let same = match self.place {
                // A good line that has come whole is taken at once. What else there may be is told by its bytes.
                Place::NameStart if self.lines.len() <= self.limits.max_headers => {
                    let line = header_line(ahead);
                    if line > 0 {
                        self.begin_line(self.at + line);
                    }
                    line
                }
                Place::Target => run(ahead, |byte| byte.is_ascii_graphic()),
                // Names are short, and what a token is made of has no simple bounds.
                Place::Name => ahead.iter().take_while(|&&byte| is_token_byte(byte)).count(),
                Place::Value => run(ahead, is_value_byte),
                _ => 0,
            };
            if same > 0 {
                self.at += same;
            } else {
                self.place = self.next(byte, buffer)?;
                self.at += 1;
            }
            if self.place == Place::End {
                let head = parse(&buffer[self.start..self.at], &self.lines)?;
                buffer.advance(self.at);
                *self = Self::new(self.limits, self.first);
                return Ok(Some(head));
            }
            if self.at - self.start >= max_size {
                return Err(HeadError::TooLarge);
            }
        }
        Ok(None)
    }

    /// Behind the first line, another begins here.
    fn begin_line(&mut self, at: usize) {
        self.line = at;
        if self.lines.is_empty() {
            // Browsers send 13 or so.
            self.lines.reserve(16);
        }
        self.lines.push(at - self.start);
    }

    /// The place after this byte, which is `buffer[self.at]`.
    fn next(&mut self, byte: u8, buffer: &[u8]) -> Result<Place, HeadError> {
        // Where only one byte can be right, that it is another matters more than that it is one too many.
        let is_in_line = !matches!(self.place, Place::Start | Place::LeadingLf | Place::Lf | Place::LastLf);
        if is_in_line && self.at - self.line >= self.limits.max_line && byte != b'\r' && byte != b'\n' {
            return Err(match self.place {
                Place::Method => HeadError::MalformedRequestLine,
                Place::AnswerVersion => HeadError::MalformedStatusLine,
                Place::TargetStart | Place::Target | Place::Version => HeadError::TargetTooLong,
                _ => HeadError::LineTooLong,
            });
        }
        Ok(match (self.place, byte) {
            (Place::Start, b'\r') if self.start == 0 => Place::LeadingLf,
            (Place::LeadingLf, b'\n') => {
                self.start = self.at + 1;
                self.line = self.start;
                Place::Start
            }
            (Place::Start | Place::Method, byte) if is_token_byte(byte) => Place::Method,
            (Place::Method, b' ') => Place::TargetStart,
            (Place::TargetStart | Place::Target, b'!'..=b'~') => Place::Target,
            (Place::Target, b' ') => Place::Version,
            (Place::Version, b'!'..=b'~') => Place::Version,
            (Place::Version, b'\r') => {
                check_version(&buffer[self.line..self.at], HeadError::MalformedRequestLine)?;
                Place::Lf
            }
            (Place::AnswerVersion, b'!'..=b'~') => Place::AnswerVersion,
            (Place::AnswerVersion, b' ') => {
                check_version(&buffer[self.line..self.at], HeadError::MalformedStatusLine)?;
                Place::Status(0)
            }
            (Place::Status(0), b'1'..=b'9') => Place::Status(1),
            (Place::Status(digits @ 1..=2), b'0'..=b'9') => Place::Status(digits + 1),
            (Place::Status(3), b' ') => Place::Reason,
            // Without a reason the blank should still be there, but often is not.
            (Place::Status(3), b'\r') => Place::Lf,
            (Place::Reason, b'\t' | b' '..=b'~' | 0x80..) => Place::Reason,
            (Place::Reason, b'\r') => Place::Lf,
            (Place::Lf, b'\n') => {
                self.begin_line(self.at + 1);
                Place::NameStart
            }
            (Place::NameStart, b'\r') => Place::LastLf,
            (Place::NameStart, byte) if is_token_byte(byte) => {
                if self.lines.len() > self.limits.max_headers {
                    return Err(HeadError::TooManyHeaders);
                }
                Place::Name
            }
            (Place::Name, byte) if is_token_byte(byte) => Place::Name,
            (Place::Name, b':') => Place::Value,
            (Place::Value, b'\t' | b' '..=b'~' | 0x80..) => Place::Value,
            (Place::Value, b'\r') => Place::Lf,
            (Place::LastLf, b'\n') => Place::End,
            (Place::Start | Place::Method | Place::TargetStart | Place::Target | Place::Version, _) => {
                return Err(HeadError::MalformedRequestLine);
            }
            (Place::AnswerVersion | Place::Status(_) | Place::Reason, _) => {
                return Err(HeadError::MalformedStatusLine);
            }
            (Place::LeadingLf | Place::Lf | Place::LastLf, _) | (Place::Value, b'\n') => {
                return Err(HeadError::MalformedLineEnd);
            }
            (Place::NameStart | Place::Name, _) => return Err(HeadError::MalformedHeader),
            (Place::Value, _) => return Err(HeadError::ControlCharacter),
            (Place::Failed(error), _) => return Err(error),
            (Place::End, _) => Place::End,
        })
    }
}

/// The length of the good header line at the beginning, with its end; 0 if there is none, or not all of it.
fn header_line(bytes: &[u8]) -> usize {
    let name = bytes.iter().take_while(|&&byte| is_token_byte(byte)).count();
    let Some((b':', rest)) = bytes[name..].split_first() else { return 0 };
    let value = run(rest, is_value_byte);
    if name > 0 && rest[value..].starts_with(b"\r\n") { name + 1 + value + 2 } else { 0 }
}

/// Whether a header's value may have this byte, or a blank beside it.
#[inline]
fn is_value_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// How many bytes at the beginning are of a kind.
#[inline]
fn run(bytes: &[u8], is_of_kind: impl Fn(u8) -> bool) -> usize {
    // Without an early end in it, a loop over so many bytes becomes a few vector instructions.
    let (chunks, _) = bytes.as_chunks::<16>();
    let whole = chunks.iter().take_while(|chunk| chunk.iter().fold(true, |all, &byte| all & is_of_kind(byte))).count();
    let rest = &bytes[whole * 16..];
    whole * 16 + rest.iter().take_while(|&&byte| is_of_kind(byte)).count()
}

/// Checks what follows the last blank of the line so far.
fn check_version(line: &[u8], malformed: HeadError) -> Result<(), HeadError> {
    match line.rsplit(|&byte| byte == b' ').next() {
        Some(b"HTTP/1.1" | b"HTTP/1.0") => Ok(()),
        Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) => Err(HeadError::UnsupportedVersion),
        _ => Err(malformed),
    }
}
