//! The head of a server's answer, as a client reads it.

use std::fmt;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, Version};

use super::lines::{HeaderLines, look_ups};
use super::reader::{HeadError, HeadLimits, Scanner};

/// The head of a server's answer.
///
/// `Debug` does not show the values of headers that may hold secrets.
#[derive(Clone)]
pub struct AnswerHead {
    lines: HeaderLines,
    status: StatusCode,
    version: Version,
}

impl AnswerHead {
    /// Takes over a head that was found to be good, with the places where the lines behind the first begin.
    fn parse(raw: &[u8], starts: &[usize]) -> Result<Self, HeadError> {
        let lines = HeaderLines::new(raw, starts);
        // A reason need not be ASCII, so only what is before it is text.
        let mut words = raw.split(|&byte| matches!(byte, b' ' | b'\r'));
        let version = if words.next() == Some(b"HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = words.next().and_then(|code| StatusCode::from_bytes(code).ok());
        Ok(Self { status: status.ok_or(HeadError::MalformedStatusLine)?, version, lines })
    }

    /// The status; 101 if the server agrees.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// HTTP/1.1 or HTTP/1.0.
    pub fn version(&self) -> Version {
        self.version
    }

    look_ups!();

    /// The header lines in the type of the `http` crate, freshly made.
    pub fn to_headers(&self) -> HeaderMap {
        self.lines.to_map()
    }
}

impl fmt::Debug for AnswerHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &self.lines)
            .finish()
    }
}

/// Cuts the head of an answer off a buffer that grows while it arrives.
///
/// It reads as strictly as [`HeadReader`](super::HeadReader), with the same limits. What follows the head stays in the
/// buffer: the first frames of a server in a hurry, or the body of a refusal.
#[derive(Debug)]
pub struct AnswerReader(Scanner);

impl AnswerReader {
    /// A reader at the beginning of an answer.
    pub const fn new(limits: HeadLimits) -> Self {
        Self(Scanner::answer(limits))
    }

    /// Looks at what has arrived since the last call. `None`: the head is not whole yet, so read more, appending to
    /// the same buffer, and call again.
    ///
    /// The head is removed from the buffer. Interim answers, those with a status below 200 other than 101, are skipped.
    ///
    /// # Errors
    ///
    /// What is wrong with the head. All later calls give the same error.
    ///
    /// # Source
    ///
    /// RFC 9112 §4; RFC 9110 §15.2 for interim answers.
    pub fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<AnswerHead>, HeadError> {
        loop {
            match self.0.read(buffer, AnswerHead::parse)? {
                Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {}
                head => return Ok(head),
            }
        }
    }
}
