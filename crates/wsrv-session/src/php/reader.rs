//! One value after the other, in the format of PHP's `serialize()`. Nothing recurses.

use bytes::Bytes;

use crate::data::{Builder, Container, KeyNode, Node, NodeId, Span};
use crate::{Limits, SessionError};

/// The least that an entry takes: `i:0;N;`.
const SHORTEST_ENTRY: usize = 6;

pub(super) struct Reader {
    input: Bytes,
    at: usize,
    /// Where the input ends, or the payload of a custom value that is looked into.
    end: usize,
    /// The values that back-references count, from 1.
    slots: Vec<NodeId>,
    /// What is open, the innermost last.
    frames: Vec<Frame>,
    pub(super) builder: Builder,
}

enum Frame {
    /// An array or an object, with so many entries to come.
    Entries { left: usize },
    /// The payload of a custom value. PHP numbers the values in it with all others if it is written by `serialize()`
    /// too, so it has to be read to know what later references mean. If it is anything else, no value of it counts.
    Payload { is_read: bool, outer_end: usize, slots: usize },
}

impl Reader {
    pub(super) fn new(input: Bytes, limits: &Limits) -> Result<Self, SessionError> {
        let builder = Builder::new(input.clone(), limits)?;
        Ok(Reader { at: 0, end: input.len(), input, slots: Vec::new(), frames: Vec::new(), builder })
    }

    /// Reads a value with all that is in it.
    pub(super) fn value(&mut self) -> Result<(), SessionError> {
        loop {
            match self.step() {
                Err(SessionError::CorruptData) => self.abandon_payload()?,
                outcome => outcome?,
            }
            if self.frames.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads an entry up to where its value begins to hold others, or the end of what is open.
    fn step(&mut self) -> Result<(), SessionError> {
        match self.frames.last_mut() {
            None => self.begin(),
            Some(Frame::Entries { left: 0 }) => {
                self.expect(b"}")?;
                self.builder.close();
                self.frames.pop();
                Ok(())
            }
            Some(Frame::Entries { left }) => {
                *left -= 1;
                let key = self.key()?;
                self.builder.key(key);
                self.begin()
            }
            Some(Frame::Payload { is_read, .. }) if !*is_read => {
                *is_read = true;
                self.builder.item();
                self.begin()
            }
            Some(&mut Frame::Payload { outer_end, .. }) => {
                if self.at != self.end {
                    return Err(SessionError::CorruptData);
                }
                self.frames.pop();
                self.builder.close();
                self.leave_payload(outer_end);
                Ok(())
            }
        }
    }

    /// Takes the innermost payload for an opaque one, as it is not what `serialize()` writes.
    fn abandon_payload(&mut self) -> Result<(), SessionError> {
        while let Some(frame) = self.frames.pop() {
            if let Frame::Payload { outer_end, slots, .. } = frame {
                self.slots.truncate(slots);
                self.builder.abandon();
                self.leave_payload(outer_end);
                return Ok(());
            }
        }
        Err(SessionError::CorruptData)
    }

    fn leave_payload(&mut self, outer_end: usize) {
        // The brace behind it was seen before it was entered.
        self.at = self.end + 1;
        self.end = outer_end;
    }

    /// Reads a value, but of one that holds others only what stands before them.
    fn begin(&mut self) -> Result<(), SessionError> {
        let tag = self.byte()?;
        if tag == b'N' {
            self.expect(b";")?;
            return self.add(Node::Null);
        }
        self.expect(b":")?;
        match tag {
            b'b' => {
                let value = self.until(b';')?;
                match &self.input[value] {
                    b"0" => self.add(Node::Bool(false)),
                    b"1" => self.add(Node::Bool(true)),
                    _ => Err(SessionError::CorruptData),
                }
            }
            b'i' => {
                let value = self.int()?;
                self.add(Node::Int(value))
            }
            b'd' => {
                let value = self.float()?;
                self.add(Node::Float(value))
            }
            b's' => {
                let text = self.string()?;
                self.add(Node::String(text))
            }
            b'S' => {
                let text = self.escaped_string()?;
                self.add(Node::String(text))
            }
            b'a' => self.open(Container::Array),
            b'O' => {
                let class = self.quoted(b':')?;
                self.check_name(class)?;
                self.open(Container::Object { class })
            }
            b'E' => {
                let range = self.quoted_range(b';')?;
                let colon = self.input[range.clone()].iter().position(|&byte| byte == b':');
                let colon = range.start + colon.ok_or(SessionError::CorruptData)?;
                let class = self.builder.slice(range.start..colon);
                let case = self.builder.slice(colon + 1..range.end);
                self.check_name(class)?;
                self.check_name(case)?;
                self.add(Node::Enum { class, case })
            }
            b'C' => self.custom(),
            b'R' => {
                let node = self.slot()?;
                self.builder.again(node)
            }
            b'r' => {
                let node = self.slot()?;
                match self.builder.node(node) {
                    Node::Object { .. } | Node::Enum { .. } | Node::Custom { .. } => {
                        self.slots.push(node);
                        self.builder.again(node)
                    }
                    _ => Err(SessionError::CorruptData),
                }
            }
            _ => Err(SessionError::CorruptData),
        }
    }

    fn add(&mut self, node: Node) -> Result<(), SessionError> {
        let id = self.builder.add(node)?;
        self.slots.push(id);
        Ok(())
    }

    fn open(&mut self, container: Container) -> Result<(), SessionError> {
        let left = self.length(b':')?;
        self.expect(b"{")?;
        if left > self.rest().len() / SHORTEST_ENTRY {
            return Err(SessionError::CorruptData);
        }
        let id = self.builder.open(container)?;
        self.slots.push(id);
        self.frames.push(Frame::Entries { left });
        Ok(())
    }

    fn custom(&mut self) -> Result<(), SessionError> {
        let class = self.quoted(b':')?;
        self.check_name(class)?;
        let length = self.length(b':')?;
        self.expect(b"{")?;
        let start = self.at;
        let payload = self.take(length)?;
        self.expect(b"}")?;
        let id = self.builder.open(Container::Custom { class, payload })?;
        self.slots.push(id);
        self.frames.push(Frame::Payload { is_read: false, outer_end: self.end, slots: self.slots.len() });
        self.at = start;
        self.end = start + length;
        Ok(())
    }

    fn key(&mut self) -> Result<KeyNode, SessionError> {
        let tag = self.byte()?;
        self.expect(b":")?;
        let text = match tag {
            b'i' => return self.int().map(KeyNode::Int),
            b's' => self.string()?,
            b'S' => self.escaped_string()?,
            _ => return Err(SessionError::CorruptData),
        };
        // PHP's arrays have no text for a key that is an integer.
        match self.builder.innermost() {
            Some(Container::Array) => Ok(integer(self.builder.text(text)).map_or(KeyNode::Text(text), KeyNode::Int)),
            _ => Ok(KeyNode::Text(text)),
        }
    }

    /// The value that a back-reference means.
    fn slot(&mut self) -> Result<NodeId, SessionError> {
        let number = self.length(b';')?;
        let slot = number.checked_sub(1).and_then(|at| self.slots.get(at));
        slot.copied().ok_or(SessionError::CorruptData)
    }

    fn int(&mut self) -> Result<i64, SessionError> {
        let range = self.until(b';')?;
        let digits = &self.input[range];
        if digits.starts_with(b"+") {
            return Err(SessionError::CorruptData);
        }
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(SessionError::CorruptData)
    }

    fn float(&mut self) -> Result<f64, SessionError> {
        let range = self.until(b';')?;
        match &self.input[range] {
            b"INF" => Ok(f64::INFINITY),
            b"-INF" => Ok(f64::NEG_INFINITY),
            b"NAN" => Ok(f64::NAN),
            // Rust's own words for these are not PHP's.
            digits if digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) => {
                let digits = std::str::from_utf8(digits).ok();
                digits.and_then(|digits| digits.parse().ok()).ok_or(SessionError::CorruptData)
            }
            _ => Err(SessionError::CorruptData),
        }
    }

    /// `N:"…";`
    fn string(&mut self) -> Result<Span, SessionError> {
        self.quoted(b';')
    }

    fn quoted(&mut self, behind: u8) -> Result<Span, SessionError> {
        let range = self.quoted_range(behind)?;
        Ok(self.builder.slice(range))
    }

    pub(super) fn quoted_range(&mut self, behind: u8) -> Result<std::ops::Range<usize>, SessionError> {
        let length = self.length(b':')?;
        self.expect(b"\"")?;
        let start = self.at;
        self.take(length)?;
        self.expect(&[b'"', behind])?;
        Ok(start..start + length)
    }

    /// `N:"…";` of PHP 6, with `\` and two hexadecimal digits for a byte. `N` counts bytes that are meant.
    fn escaped_string(&mut self) -> Result<Span, SessionError> {
        let length = self.length(b':')?;
        self.expect(b"\"")?;
        if length > self.rest().len() {
            return Err(SessionError::CorruptData);
        }
        let mut text = Vec::new();
        for _ in 0..length {
            text.push(match self.byte()? {
                b'\\' => self.hex_digit()? << 4 | self.hex_digit()?,
                byte => byte,
            });
        }
        self.expect(b"\";")?;
        Ok(self.builder.copy(&text))
    }

    fn hex_digit(&mut self) -> Result<u8, SessionError> {
        let digit = char::from(self.byte()?).to_digit(16).ok_or(SessionError::CorruptData)?;
        Ok(digit as u8)
    }

    fn check_name(&self, name: Span) -> Result<(), SessionError> {
        let name = self.builder.text(name);
        let is_good = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\' | 0x7f..);
        if name.is_empty() || !name.iter().all(is_good) { Err(SessionError::CorruptData) } else { Ok(()) }
    }

    /// Digits, and then `behind`.
    fn length(&mut self, behind: u8) -> Result<usize, SessionError> {
        let range = self.until(behind)?;
        let digits = &self.input[range];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(SessionError::CorruptData);
        }
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(SessionError::CorruptData)
    }

    /// What comes before `end`, which is taken too. It is short: only numbers are read so.
    fn until(&mut self, end: u8) -> Result<std::ops::Range<usize>, SessionError> {
        let rest = self.rest();
        let length = rest.iter().take(MAX_NUMBER).position(|&byte| byte == end).ok_or(SessionError::CorruptData)?;
        let start = self.at;
        self.at += length + 1;
        Ok(start..start + length)
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.input[self.at..self.end]
    }

    pub(super) fn byte(&mut self) -> Result<u8, SessionError> {
        let byte = self.rest().first().copied().ok_or(SessionError::CorruptData)?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<Span, SessionError> {
        if length > self.rest().len() {
            return Err(SessionError::CorruptData);
        }
        self.at += length;
        Ok(self.builder.slice(self.at - length..self.at))
    }

    pub(super) fn expect(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if !self.rest().starts_with(bytes) {
            return Err(SessionError::CorruptData);
        }
        self.at += bytes.len();
        Ok(())
    }
}

/// The most characters that a number has. Floats with all their digits have hundreds, if a program writes them so.
const MAX_NUMBER: usize = 1100;

/// The integer, if the text is what PHP makes of one.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 20)?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}
