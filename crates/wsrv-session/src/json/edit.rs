//! Where the members of a JSON object begin and end, and how keys are written.

use crate::edit::Member;
use crate::{SessionError, UpdateError};

/// Those of the object, whose text this is. An empty list is taken for an empty one, because PHP writes it so.
pub(crate) fn members(text: &[u8]) -> Result<Vec<Member>, UpdateError> {
    let mut scanner = Scanner { text, at: 0 };
    let start = scanner.peek()?;
    scanner.at += 1;
    match start {
        b'{' => {}
        b'[' if scanner.peek()? == b']' => return Ok(Vec::new()),
        _ => return Err(UpdateError::Key),
    }
    let mut members = Vec::new();
    loop {
        match scanner.peek()? {
            b'}' => return Ok(members),
            b',' => {
                scanner.at += 1;
                scanner.peek()?;
            }
            _ => {}
        }
        let start = scanner.at;
        scanner.string()?;
        let name = serde_json::from_slice::<String>(&text[start..scanner.at]).map_err(|_| SessionError::CorruptData)?;
        if scanner.peek()? != b':' {
            return Err(SessionError::CorruptData.into());
        }
        scanner.at += 1;
        scanner.peek()?;
        let value = scanner.at;
        scanner.value()?;
        members.push(Member { name: name.into(), all: start..scanner.at, value: value..scanner.at });
    }
}

pub(crate) fn key(name: &str) -> Vec<u8> {
    format!("{}:", serde_json::Value::from(name)).into()
}

/// Walks over values without making anything of them.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Goes to the end of a value.
    fn value(&mut self) -> Result<(), UpdateError> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    self.at += 1;
                    open += 1;
                }
                b'}' | b']' => {
                    self.at += 1;
                    open = open.checked_sub(1).ok_or(SessionError::CorruptData)?;
                }
                b',' | b':' => self.at += 1,
                _ => {
                    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                    let length = self.text[self.at..].iter().take_while(|byte| is_part(byte)).count();
                    if length == 0 {
                        return Err(SessionError::CorruptData.into());
                    }
                    self.at += length;
                }
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Result<(), UpdateError> {
        let mut bytes = (self.at + 1..).zip(self.text.iter().skip(self.at + 1));
        loop {
            match bytes.next().ok_or(SessionError::CorruptData)? {
                (end, b'"') => {
                    self.at = end + 1;
                    return Ok(());
                }
                (_, b'\\') => drop(bytes.next()),
                _ => {}
            }
        }
    }

    /// What comes next but blanks.
    fn peek(&mut self) -> Result<u8, UpdateError> {
        let rest = &self.text[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        Ok(*rest.get(blanks).ok_or(SessionError::CorruptData)?)
    }
}
