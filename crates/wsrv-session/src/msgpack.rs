//! The record of tower-sessions: MessagePack, an array of the id, a map of values, and when it expires.

use bytes::Bytes;
use std::time::{Duration, SystemTime};

use crate::codec::Record;
use crate::data::{Builder, Container, KeyNode, Node, Span};
use crate::{Limits, SessionError};

pub(crate) fn decode_tower(input: Bytes, limits: &Limits) -> Result<Record, SessionError> {
    let mut builder = Builder::new(input.clone(), limits)?;
    let mut reader = Reader { input: &input, at: 0, builder: &mut builder };
    if !matches!(reader.head()?, Head::Array(3)) {
        return Err(SessionError::CorruptData);
    }
    let id = reader.id()?;
    reader.map()?;
    let expires_at = reader.expiry()?;
    if reader.at != input.len() {
        return Err(SessionError::CorruptData);
    }
    Ok(Record { data: builder.finish()?, expires_at: Some(expires_at), id: Some(id) })
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    builder: &'a mut Builder,
}

/// What a value begins with, or all of it.
enum Head {
    Node(Node),
    Binary(Span),
    Array(usize),
    Map(usize),
}

impl Reader<'_> {
    /// The id, with its most significant byte first.
    fn id(&mut self) -> Result<[u8; 16], SessionError> {
        let Head::Binary(id) = self.head()? else { return Err(SessionError::CorruptData) };
        self.builder.text(id).try_into().map_err(|_| SessionError::CorruptData)
    }

    /// The values: a map with all that is in it. They are those of JSON, so keys are text, and there is nothing binary.
    fn map(&mut self) -> Result<(), SessionError> {
        /// How many values of a container are still to come.
        struct Frame {
            left: usize,
            has_keys: bool,
        }
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            match self.head()? {
                Head::Map(left) => {
                    self.builder.open(Container::Map)?;
                    frames.push(Frame { left, has_keys: true });
                }
                // Only a map holds a session.
                _ if frames.is_empty() => return Err(SessionError::CorruptData),
                Head::Array(left) => {
                    self.builder.open(Container::Array)?;
                    frames.push(Frame { left, has_keys: false });
                }
                Head::Node(node) => drop(self.builder.add(node)?),
                Head::Binary(_) => return Err(SessionError::CorruptData),
            }
            while frames.pop_if(|frame| frame.left == 0).is_some() {
                self.builder.close();
            }
            let Some(frame) = frames.last_mut() else { return Ok(()) };
            frame.left -= 1;
            if frame.has_keys {
                let Head::Node(Node::String(key)) = self.head()? else { return Err(SessionError::CorruptData) };
                self.builder.key(KeyNode::Text(key));
            } else {
                self.builder.item();
            }
        }
    }

    /// Year, day of the year from 1, hour, minute, second, nanosecond, and hours, minutes and seconds east of UTC.
    fn expiry(&mut self) -> Result<SystemTime, SessionError> {
        if !matches!(self.head()?, Head::Array(9)) {
            return Err(SessionError::CorruptData);
        }
        let mut number = |range: std::ops::RangeInclusive<i64>| match self.head()? {
            Head::Node(Node::Int(number)) if range.contains(&number) => Ok(number),
            _ => Err(SessionError::CorruptData),
        };
        let (year, day) = (number(-9999..=9999)?, number(1..=366)?);
        let (hour, minute, second) = (number(0..=23)?, number(0..=59)?, number(0..=59)?);
        let nanos = number(0..=999_999_999)?;
        let (east_hour, east_minute, east_second) = (number(-25..=25)?, number(-59..=59)?, number(-59..=59)?);
        // Days from 1970-01-01 to the year's first: a year has 365, and one more if a leap day came before it.
        let before = year - 1;
        let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
        let days = (year - 1970) * 365 + leap_days - 477 + day - 1;
        let seconds = (days * 24 + hour - east_hour) * 3600 + (minute - east_minute) * 60 + second - east_second;
        let since = Duration::from_secs(seconds.unsigned_abs());
        let whole = match seconds {
            0.. => SystemTime::UNIX_EPOCH.checked_add(since),
            _ => SystemTime::UNIX_EPOCH.checked_sub(since),
        };
        whole.and_then(|at| at.checked_add(Duration::from_nanos(nanos as u64))).ok_or(SessionError::CorruptData)
    }

    fn head(&mut self) -> Result<Head, SessionError> {
        let [first] = self.bytes()?;
        Ok(Head::Node(match first {
            0x00..=0x7f => Node::Int(first.into()),
            0xe0..=0xff => Node::Int((first as i8).into()),
            0x80..=0x8f => return self.container(usize::from(first & 0x0f), 2).map(Head::Map),
            0x90..=0x9f => return self.container(usize::from(first & 0x0f), 1).map(Head::Array),
            0xdc => return self.length(2).and_then(|length| self.container(length, 1)).map(Head::Array),
            0xdd => return self.length(4).and_then(|length| self.container(length, 1)).map(Head::Array),
            0xde => return self.length(2).and_then(|length| self.container(length, 2)).map(Head::Map),
            0xdf => return self.length(4).and_then(|length| self.container(length, 2)).map(Head::Map),
            0xa0..=0xbf => self.string(usize::from(first & 0x1f))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (first - 0xd9))?;
                self.string(length)?
            }
            0xc4..=0xc6 => {
                let length = self.length(1 << (first - 0xc4))?;
                return self.take(length).map(Head::Binary);
            }
            0xc0 => Node::Null,
            0xc2 => Node::Bool(false),
            0xc3 => Node::Bool(true),
            0xca => Node::Float(f32::from_be_bytes(self.bytes()?).into()),
            0xcb => Node::Float(f64::from_be_bytes(self.bytes()?)),
            0xcc => Node::Int(u8::from_be_bytes(self.bytes()?).into()),
            0xcd => Node::Int(u16::from_be_bytes(self.bytes()?).into()),
            0xce => Node::Int(u32::from_be_bytes(self.bytes()?).into()),
            0xcf => {
                let number = u64::from_be_bytes(self.bytes()?);
                i64::try_from(number).map_or(Node::Unsigned(number), Node::Int)
            }
            0xd0 => Node::Int(i8::from_be_bytes(self.bytes()?).into()),
            0xd1 => Node::Int(i16::from_be_bytes(self.bytes()?).into()),
            0xd2 => Node::Int(i32::from_be_bytes(self.bytes()?).into()),
            0xd3 => Node::Int(i64::from_be_bytes(self.bytes()?)),
            // Never used, and extension types, which JSON's values do not have.
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(SessionError::CorruptData),
        }))
    }

    /// A number of entries, if there is room for them with one byte for each of their values.
    fn container(&self, length: usize, values: usize) -> Result<usize, SessionError> {
        if length > (self.input.len() - self.at) / values { Err(SessionError::CorruptData) } else { Ok(length) }
    }

    fn string(&mut self, length: usize) -> Result<Node, SessionError> {
        let text = self.take(length)?;
        match std::str::from_utf8(self.builder.text(text)) {
            Ok(_) => Ok(Node::String(text)),
            Err(_) => Err(SessionError::CorruptData),
        }
    }

    fn take(&mut self, length: usize) -> Result<Span, SessionError> {
        if length > self.input.len() - self.at {
            return Err(SessionError::CorruptData);
        }
        self.at += length;
        Ok(self.builder.slice(self.at - length..self.at))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, SessionError> {
        let rest = self.input[self.at..].get(..bytes).ok_or(SessionError::CorruptData)?;
        self.at += bytes;
        Ok(rest.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SessionError> {
        let bytes = self.input[self.at..].first_chunk().ok_or(SessionError::CorruptData)?;
        self.at += N;
        Ok(*bytes)
    }
}
