//! Where the entries of PHP's sessions begin and end, and how keys and values are written.

use super::reader::integer;
use crate::data::{Entries, Key};
use crate::edit::Member;
use crate::{Kind, ReadOnly, SessionError, UpdateError, Value};
use std::ops::Range;

/// The most that the byte before a key of `php_binary` can say.
const LONGEST_BINARY_KEY: usize = 127;

/// Those of a session in the format `php`.
pub(crate) fn session_members(text: &[u8]) -> Result<Vec<Member>, UpdateError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.members(
        |scanner| scanner.at == text.len(),
        |scanner| {
            let name = scanner.until(b'|')?;
            Ok(text[name].to_vec())
        },
    )
}

/// Those of a session in the format `php_binary`.
pub(crate) fn binary_session_members(text: &[u8]) -> Result<Vec<Member>, UpdateError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.members(
        |scanner| scanner.at == text.len(),
        |scanner| {
            let length = scanner.byte()?;
            Ok(scanner.take(length.into())?.to_vec())
        },
    )
}

/// Those of an array, whose text this is.
pub(crate) fn array_members(text: &[u8]) -> Result<Vec<Member>, UpdateError> {
    if !text.starts_with(b"a:") {
        return Err(UpdateError::Key);
    }
    let mut scanner = Scanner { text, at: 0 };
    scanner.until(b'{')?;
    scanner.members(|scanner| scanner.text[scanner.at..].starts_with(b"}"), Scanner::array_key)
}

/// # Errors
///
/// The format has no way to write it: a `|` would end it, and PHP has no text for keys that are integers.
pub(crate) fn session_key(name: &str) -> Result<Vec<u8>, UpdateError> {
    if name.contains('|') || integer(name.as_bytes()).is_some() {
        return Err(UpdateError::Key);
    }
    Ok([name.as_bytes(), b"|"].concat())
}

/// # Errors
///
/// The format has no way to write it: it is too long, or an integer.
pub(crate) fn binary_session_key(name: &str) -> Result<Vec<u8>, UpdateError> {
    if name.len() > LONGEST_BINARY_KEY || integer(name.as_bytes()).is_some() {
        return Err(UpdateError::Key);
    }
    Ok([&[name.len() as u8], name.as_bytes()].concat())
}

pub(crate) fn array_key(name: &str) -> Vec<u8> {
    match integer(name.as_bytes()) {
        Some(number) => format!("i:{number};").into(),
        None => string(name.as_bytes()),
    }
}

/// A string, as `serialize()` writes it.
pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    [format!("s:{}:\"", text.len()).as_bytes(), text, b"\";"].concat()
}

/// A value of JSON, as `serialize()` writes it: what is an object there becomes an array.
///
/// # Errors
///
/// A number is larger than PHP's integers are.
pub(crate) fn value(json: Value<'_>) -> Result<Vec<u8>, UpdateError> {
    let mut out = Vec::new();
    let mut open: Vec<Entries<'_>> = Vec::new();
    let mut next = Some(json);
    loop {
        if let Some(value) = next.take() {
            match value.kind() {
                Kind::Array | Kind::Map => {
                    out.extend(format!("a:{}:{{", value.len()).bytes());
                    open.push(value.entries());
                }
                _ => scalar(value, &mut out)?,
            }
        }
        let Some(entries) = open.last_mut() else { return Ok(out) };
        match entries.next() {
            Some((key, value)) => {
                match key {
                    Key::Int(key) => out.extend(format!("i:{key};").bytes()),
                    Key::Text(key) => out.extend(array_key(key.as_str().ok_or(SessionError::CorruptData)?)),
                }
                next = Some(value);
            }
            None => {
                out.push(b'}');
                open.pop();
            }
        }
    }
}

fn scalar(value: Value<'_>, out: &mut Vec<u8>) -> Result<(), UpdateError> {
    if let Some(text) = value.as_bytes() {
        out.extend(string(text));
    } else if let Some(value) = value.as_bool() {
        out.extend(format!("b:{};", u8::from(value)).bytes());
    } else if let Some(number) = value.as_i64() {
        out.extend(format!("i:{number};").bytes());
    } else if let Some(number) = value.as_f64() {
        // The shortest text that is read as the same number.
        out.extend(format!("d:{number:?};").bytes());
    } else if value.is_null() {
        out.extend(b"N;");
    } else {
        return Err(UpdateError::unfit("a number above PHP's integers"));
    }
    Ok(())
}

/// Walks over values without making anything of them.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn members(
        &mut self,
        is_end: impl Fn(&Self) -> bool,
        mut key: impl FnMut(&mut Self) -> Result<Vec<u8>, UpdateError>,
    ) -> Result<Vec<Member>, UpdateError> {
        let mut members = Vec::new();
        while !is_end(self) {
            let start = self.at;
            let name = key(self)?;
            let value = self.at;
            self.value()?;
            members.push(Member { name, all: start..self.at, value: value..self.at });
        }
        Ok(members)
    }

    fn array_key(&mut self) -> Result<Vec<u8>, UpdateError> {
        match self.byte()? {
            b'i' => {
                self.take(1)?;
                let digits = self.until(b';')?;
                let number = std::str::from_utf8(&self.text[digits]).ok().and_then(|digits| digits.parse::<i64>().ok());
                Ok(number.ok_or(SessionError::CorruptData)?.to_string().into())
            }
            b's' => {
                let name = self.quoted()?;
                self.take(1)?;
                Ok(name.to_vec())
            }
            b'S' => self.escaped(),
            _ => Err(SessionError::CorruptData.into()),
        }
    }

    /// Goes to the end of a value.
    fn value(&mut self) -> Result<(), UpdateError> {
        let mut open = 0usize;
        loop {
            match self.byte()? {
                b'a' => {
                    self.until(b'{')?;
                    open += 1;
                }
                b'O' => {
                    self.quoted()?;
                    self.until(b'{')?;
                    open += 1;
                }
                b'}' => open = open.checked_sub(1).ok_or(SessionError::CorruptData)?,
                b's' | b'E' => {
                    self.quoted()?;
                    self.take(1)?;
                }
                b'S' => {
                    self.escaped()?;
                }
                b'N' | b'b' | b'i' | b'd' => {
                    self.until(b';')?;
                }
                b'R' | b'r' | b'C' => return Err(ReadOnly::References.into()),
                _ => return Err(SessionError::CorruptData.into()),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// `:N:"…"`
    fn quoted(&mut self) -> Result<&'a [u8], UpdateError> {
        let length = self.length()?;
        let text = self.take(length)?;
        self.take(1)?;
        Ok(text)
    }

    /// `:N:"…";` with escapes, of which each is one byte of the N.
    fn escaped(&mut self) -> Result<Vec<u8>, UpdateError> {
        let mut text = Vec::new();
        for _ in 0..self.length()? {
            text.push(match self.byte()? {
                b'\\' => {
                    let digits = std::str::from_utf8(self.take(2)?).ok();
                    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                    byte.ok_or(SessionError::CorruptData)?
                }
                byte => byte,
            });
        }
        self.take(2)?;
        Ok(text)
    }

    /// `:N:"`
    fn length(&mut self) -> Result<usize, UpdateError> {
        self.take(1)?;
        let digits = self.until(b':')?;
        self.take(1)?;
        let length = std::str::from_utf8(&self.text[digits]).ok().and_then(|digits| digits.parse().ok());
        Ok(length.ok_or(SessionError::CorruptData)?)
    }

    /// What comes before `end`, which is taken too.
    fn until(&mut self, end: u8) -> Result<Range<usize>, UpdateError> {
        let start = self.at;
        let length = self.text[start..].iter().position(|&byte| byte == end).ok_or(SessionError::CorruptData)?;
        self.at += length + 1;
        Ok(start..start + length)
    }

    fn byte(&mut self) -> Result<u8, UpdateError> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], UpdateError> {
        let taken = self.text[self.at..].get(..length).ok_or(SessionError::CorruptData)?;
        self.at += length;
        Ok(taken)
    }
}
