//! Header lines, kept as they came.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::reader::HeadError;

/// A head's bytes and where its header lines begin in them.
///
/// `Debug` shows no values of headers that may hold secrets.
#[derive(Clone)]
pub(super) struct HeaderLines {
    raw: Bytes,
    /// Two bytes a line: heads are kept as long as their connections.
    starts: Box<[u16]>,
}

impl HeaderLines {
    /// Keeps a copy of the head `raw`, of which these are the header lines.
    pub(super) fn new(raw: &[u8], fields: &[httparse::Header<'_>]) -> Result<Self, HeadError> {
        let starts = fields.iter().map(|field| Ok(position(raw, field.name.as_bytes())?.start));
        let starts = starts.collect::<Result<_, HeadError>>()?;
        Ok(Self { raw: Bytes::copy_from_slice(raw), starts })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The values of all lines of this name, upper or lower case.
    pub(super) fn named<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        // Only the line that is wanted is cut.
        self.starts.iter().enumerate().filter_map(move |(index, &start)| {
            let line = self.raw.get(usize::from(start)..)?;
            let is_it = line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
            is_it.then(|| self.line(index).1)
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (0..self.starts.len()).map(|index| {
            let (name, value) = self.line(index);
            (std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    /// The name and the value of a line, without the blanks around it.
    fn line(&self, index: usize) -> (&[u8], &[u8]) {
        let start = self.starts.get(index).map_or(0, |&start| usize::from(start));
        // Behind the last line comes the empty one.
        let end = self.starts.get(index + 1).map_or(self.raw.len().saturating_sub(2), |&next| usize::from(next));
        let line = self.raw.get(start..end).unwrap_or_default();
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii())
    }

    pub(super) fn to_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.starts.len());
        for (name, value) in self.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        headers
    }

    fn bytes(&self, range: &Range<u16>) -> &[u8] {
        self.raw.get(usize::from(range.start)..usize::from(range.end)).unwrap_or_default()
    }

    pub(super) fn text(&self, range: &Range<u16>) -> &str {
        std::str::from_utf8(self.bytes(range)).unwrap_or_default()
    }
}

/// The header lines, with the values of those that are known to hold no secret.
impl fmt::Debug for HeaderLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: [&str; 10] = [
            "accept-encoding",
            "accept-language",
            "connection",
            "content-length",
            "host",
            "origin",
            "sec-websocket-extensions",
            "sec-websocket-version",
            "upgrade",
            "user-agent",
        ];
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            if SHOWN.iter().any(|shown| name.eq_ignore_ascii_case(shown)) {
                map.entry(&name, &format_args!("\"{}\"", value.escape_ascii()));
            } else {
                map.entry(&name, &format_args!("(hidden)"));
            }
        }
        map.finish()
    }
}

/// What can be asked of every head that keeps its [`HeaderLines`] as `lines`: methods for its `impl`.
macro_rules! look_ups {
    () => {
        /// The head as it came, up to and including the empty line that ends it.
        pub fn as_bytes(&self) -> &[u8] {
            self.lines.as_bytes()
        }

        /// The value of the first header line of this name, upper or lower case.
        pub fn header(&self, name: &str) -> Option<&[u8]> {
            self.headers(name).next()
        }

        /// The value of the first header line of this name, if it is ASCII or other UTF-8.
        pub fn header_str(&self, name: &str) -> Option<&str> {
            std::str::from_utf8(self.header(name)?).ok()
        }

        /// The values of all header lines of this name, upper or lower case, in their order.
        pub fn headers<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
            self.lines.named(name)
        }

        /// All header lines in their order: names as they came, values without the blanks around them.
        pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
            self.lines.iter()
        }

        /// The one value of a header, unless there is none or several.
        pub(super) fn single(&self, name: &str) -> Option<&[u8]> {
            let mut values = self.headers(name);
            let value = values.next()?;
            if values.next().is_some() { None } else { Some(value) }
        }
    };
}
pub(super) use look_ups;

/// What the parser's error means in a head whose first line is `malformed` if nothing else is.
pub(super) fn because(error: httparse::Error, malformed: HeadError) -> HeadError {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HeadError::MalformedHeader,
        httparse::Error::NewLine => HeadError::MalformedLineEnd,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::UnsupportedVersion,
        _ => malformed,
    }
}

/// HTTP/1.0 or HTTP/1.1, from the number after the point.
pub(super) fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Where `part`, a piece of `whole`, lies in it.
pub(super) fn position(whole: &[u8], part: &[u8]) -> Result<Range<u16>, HeadError> {
    if part.is_empty() {
        return Ok(0..0);
    }
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    match (u16::try_from(start), u16::try_from(start.wrapping_add(part.len()))) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(HeadError::TooLarge),
    }
}
