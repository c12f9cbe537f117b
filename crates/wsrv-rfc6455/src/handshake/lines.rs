//! Header lines, kept as they came, and only once where many have them alike.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::shared_lines::SharedLines;

/// The lines of a head, in their order.
///
/// A browser sends most lines word for word as all others of its kind do, and heads are kept as long as their
/// connections. So these lines lie in a part of their own, which can be shared.
///
/// Each line is kept behind its length, in two bytes, and without its end.
///
/// `Debug` shows no values of headers that may hold secrets.
#[derive(Clone)]
pub(super) struct HeaderLines {
    /// The header lines that are common, and an empty one in the place of each other.
    common: Arc<[u8]>,
    /// The head's first line, and the header lines that are not common.
    own: Box<[u8]>,
}

impl HeaderLines {
    /// Keeps a copy of the head `raw`. The lines behind the first begin at `starts`; the last of them is the empty one.
    ///
    /// A head is never so large that a line's length takes more than two bytes.
    pub(super) fn new(raw: &[u8], starts: &[usize]) -> Self {
        let lines = || {
            let begins = std::iter::once(0).chain(starts.iter().copied());
            // Between two lines is the end of the first.
            begins.zip(starts).map(|(begin, next)| raw.get(begin..next.saturating_sub(2)).unwrap_or_default())
        };
        let mut own = Vec::with_capacity(raw.len());
        let mut common = Vec::with_capacity(raw.len());
        for (index, line) in lines().enumerate() {
            let is_common = index > 0 && is_common(line);
            put(line, if is_common { &mut common } else { &mut own });
            if index > 0 && !is_common {
                put(b"", &mut common);
            }
        }
        Self { common: common.into(), own: own.into() }
    }

    pub(super) fn share(&mut self, known: &SharedLines) {
        known.share(&mut self.common);
    }

    /// The head's first line.
    pub(super) fn first(&self) -> &[u8] {
        Lines(&self.own).next().unwrap_or_default()
    }

    /// A part of the first line that is text.
    pub(super) fn first_text(&self, part: Range<usize>) -> &str {
        self.first().get(part).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }

    /// The header lines as they came, without their ends.
    fn whole(&self) -> impl Iterator<Item = &[u8]> {
        let mut own = Lines(&self.own).skip(1);
        Lines(&self.common).map(move |line| if line.is_empty() { own.next().unwrap_or_default() } else { line })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.common.len() + self.own.len() + 2);
        for line in Lines(&self.own).take(1).chain(self.whole()).chain([&b""[..]]) {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// The values of all lines of this name, upper or lower case.
    pub(super) fn named<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.whole().filter_map(move |line| value_of(line, name))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.whole().map(|line| {
            let (name, value) = line.split_at(colon(line));
            (std::str::from_utf8(name).unwrap_or_default(), value.get(1..).unwrap_or_default().trim_ascii())
        })
    }

    pub(super) fn to_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.whole().count());
        for (name, value) in self.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        headers
    }
}

/// Lines, each behind its length.
struct Lines<'h>(&'h [u8]);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    #[inline]
    fn next(&mut self) -> Option<&'h [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (line, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.0 = rest;
        Some(line)
    }
}

fn put(line: &[u8], lines: &mut Vec<u8>) {
    lines.extend_from_slice(&(line.len() as u16).to_le_bytes());
    lines.extend_from_slice(line);
}

/// Where the name ends.
fn colon(line: &[u8]) -> usize {
    line.iter().position(|&byte| byte == b':').unwrap_or(line.len())
}

/// The value of a line of this name, upper or lower case, without the blanks around it.
#[inline]
fn value_of<'h>(line: &'h [u8], name: &str) -> Option<&'h [u8]> {
    // Most lines are told apart by this byte.
    if line.get(name.len()) != Some(&b':') {
        return None;
    }
    let (found, value) = line.split_at(name.len());
    found.eq_ignore_ascii_case(name.as_bytes()).then(|| value[1..].trim_ascii())
}

/// Whether the line's value depends on the program and the page, and hardly ever on who uses them: it holds no secret, and
/// many connections have it alike.
fn is_common(line: &[u8]) -> bool {
    // By the first letter, so that little is compared.
    let names: &[&str] = match line.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => &["accept", "accept-encoding", "accept-language"],
        Some(b'c') => &["cache-control", "connection", "content-length"],
        Some(b'd') => &["dnt"],
        Some(b'h') => &["host"],
        Some(b'o') => &["origin"],
        Some(b'p') => &["pragma"],
        Some(b's') => &[
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-ch-ua-platform",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "sec-gpc",
            "sec-websocket-extensions",
            "sec-websocket-version",
        ],
        Some(b'u') => &["upgrade", "user-agent"],
        _ => &[],
    };
    names.iter().any(|name| value_of(line, name).is_some())
}

/// The header lines, with the values of those that are known to hold no secret.
impl fmt::Debug for HeaderLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for line in self.whole() {
            let (name, value) = line.split_at(colon(line));
            let name = name.escape_ascii();
            if is_common(line) {
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                map.entry(&format_args!("\"{name}\""), &format_args!("\"{}\"", value.escape_ascii()));
            } else {
                map.entry(&format_args!("\"{name}\""), &format_args!("(hidden)"));
            }
        }
        map.finish()
    }
}

/// What can be asked of every head that keeps its [`HeaderLines`] as `lines`: methods for its `impl`.
macro_rules! look_ups {
    () => {
        /// The head as it came, up to and including the empty line that ends it, freshly put together.
        pub fn to_bytes(&self) -> Vec<u8> {
            self.lines.to_bytes()
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
