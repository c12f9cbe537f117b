//! JSON, read without recursion. Strings with escapes and the grammar of numbers are `serde_json`'s.

pub(crate) mod edit;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::data::{Builder, Container, KeyNode, Node, SessionData, Span};
use crate::{Kind, Limits, SessionError};

/// How Python's pickles begin since protocol 2. Django's caches hold them where JSON could be expected.
const PICKLE: &[u8] = b"\x80";

/// A session: an object. PHP writes an empty one as an empty list.
pub(crate) fn decode_json(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    let data = decode_json_object_or_list(input, limits)?;
    match data.root().kind() {
        Kind::Map => Ok(data),
        _ if data.root().is_empty() => Ok(SessionData::default()),
        _ => Err(SessionError::CorruptData),
    }
}

/// A session of a front end in whose language an empty list is no empty object.
pub(crate) fn decode_json_object(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    let data = decode_json_object_or_list(input, limits)?;
    if data.root().kind() == Kind::Map { Ok(data) } else { Err(SessionError::CorruptData) }
}

fn decode_json_object_or_list(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    let data = decode_json_value(input, limits)?;
    match data.root().kind() {
        Kind::Map | Kind::Array => Ok(data),
        _ => Err(SessionError::CorruptData),
    }
}

/// Any one value.
pub(crate) fn decode_json_value(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    let mut builder = Builder::new(input.clone(), limits)?;
    if input.starts_with(PICKLE) {
        return Err(SessionError::Unsupported);
    }
    let text = std::str::from_utf8(&input).map_err(|_| SessionError::CorruptData)?;
    let mut reader = Reader { text, at: 0, builder: &mut builder };
    while reader.value()? || !reader.behind_value()? {}
    builder.finish()
}

struct Reader<'a, 'b> {
    text: &'a str,
    at: usize,
    builder: &'b mut Builder,
}

impl Reader<'_, '_> {
    /// Reads a value, or the beginning of one. Returns whether a value inside it comes next.
    fn value(&mut self) -> Result<bool, SessionError> {
        match self.peek().ok_or(SessionError::CorruptData)? {
            b'{' => {
                self.at += 1;
                self.builder.open(Container::Map)?;
                if self.take(b'}') {
                    self.builder.close();
                    return Ok(false);
                }
                self.key()?;
                return Ok(true);
            }
            b'[' => {
                self.at += 1;
                self.builder.open(Container::Array)?;
                if self.take(b']') {
                    self.builder.close();
                    return Ok(false);
                }
                self.builder.item();
                return Ok(true);
            }
            b'"' => {
                let text = self.string()?;
                self.builder.add(Node::String(text))?;
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                self.builder.add(number)?;
            }
            _ => {
                let rest = &self.text[self.at..];
                let words = [("null", Node::Null), ("true", Node::Bool(true)), ("false", Node::Bool(false))];
                let word = words.into_iter().find(|(word, _)| rest.starts_with(word));
                let (word, node) = word.ok_or(SessionError::CorruptData)?;
                self.at += word.len();
                self.builder.add(node)?;
            }
        }
        Ok(false)
    }

    /// Reads what stands behind a value. Returns whether that is the end of the text; else a value comes next.
    fn behind_value(&mut self) -> Result<bool, SessionError> {
        loop {
            let end = match self.builder.innermost() {
                None if self.peek().is_none() => return Ok(true),
                None => return Err(SessionError::CorruptData),
                Some(Container::Array) => b']',
                Some(_) => b'}',
            };
            if self.take(b',') {
                match end {
                    b']' => self.builder.item(),
                    _ => self.key()?,
                }
                return Ok(false);
            }
            self.expect(end)?;
            self.builder.close();
        }
    }

    fn key(&mut self) -> Result<(), SessionError> {
        if self.peek() != Some(b'"') {
            return Err(SessionError::CorruptData);
        }
        let key = self.string()?;
        self.builder.key(KeyNode::Text(key));
        self.expect(b':')
    }

    fn string(&mut self) -> Result<Span, SessionError> {
        let start = self.at + 1;
        let mut has_escapes = false;
        let mut bytes = (start..).zip(self.text.as_bytes()[start..].iter());
        let end = loop {
            match bytes.next().ok_or(SessionError::CorruptData)? {
                (end, b'"') => break end,
                (_, b'\\') => {
                    has_escapes = true;
                    bytes.next();
                }
                (_, 0..0x20) => return Err(SessionError::CorruptData),
                _ => {}
            }
        };
        self.at = end + 1;
        if !has_escapes {
            return Ok(self.builder.slice(start..end));
        }
        let text = serde_json::from_str::<String>(&self.text[start - 1..=end]);
        Ok(self.builder.copy(text.map_err(|_| SessionError::CorruptData)?.as_bytes()))
    }

    fn number(&mut self) -> Result<Node, SessionError> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let number = &rest[..length];
        serde_json::from_str::<IgnoredAny>(number).map_err(|_| SessionError::CorruptData)?;
        self.at += length;
        if let Ok(number) = number.parse() {
            return Ok(Node::Int(number));
        }
        if let Ok(number) = number.parse() {
            return Ok(Node::Unsigned(number));
        }
        number.parse().map(Node::Float).map_err(|_| SessionError::CorruptData)
    }

    /// What comes next but blanks.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), SessionError> {
        if self.take(byte) { Ok(()) } else { Err(SessionError::CorruptData) }
    }
}
