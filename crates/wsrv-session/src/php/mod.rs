//! The formats of PHP's sessions: `php`, `php_binary` and `php_serialize`, and the single value they are made of.
//!
//! They are read as `unserialize()` reads them, but strictly: what PHP overlooks is damage here, and no part of a
//! damaged session is used.

pub(crate) mod edit;
mod reader;

use bytes::Bytes;

use crate::data::{Container, KeyNode, SessionData, Span};
use crate::{Kind, Limits, SessionError};
use reader::Reader;

/// How `igbinary` begins, which is another serializer for the same sessions.
const IGBINARY: &[u8] = b"\0\0\0\x02";

/// `session.serialize_handler = php`: keys, each with `|` and a value behind it.
pub(crate) fn decode_php(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    session(input, limits, |reader| {
        let length = reader.rest().iter().position(|&byte| byte == b'|').ok_or(SessionError::CorruptData)?;
        let key = reader.take(length)?;
        reader.take(1)?;
        Ok(key)
    })
}

/// `session.serialize_handler = php_binary`: keys with a byte for their length before them, and a value behind.
pub(crate) fn decode_php_binary(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    session(input, limits, |reader| match reader.byte()? {
        length @ 0..=0x7f => reader.take(length.into()),
        _ => Err(SessionError::CorruptData),
    })
}

/// Reads keys and values to the end. The array around them is not written and so does not count as a value to refer to.
fn session(
    input: Bytes,
    limits: &Limits,
    mut key: impl FnMut(&mut Reader) -> Result<Span, SessionError>,
) -> Result<SessionData, SessionError> {
    let is_foreign = input.starts_with(IGBINARY);
    let decode = || {
        let mut reader = Reader::new(input, limits)?;
        reader.builder.open(Container::Array)?;
        while !reader.rest().is_empty() {
            let key = key(&mut reader)?;
            reader.builder.key(KeyNode::Text(key));
            reader.value()?;
        }
        reader.builder.close();
        reader.builder.finish()
    };
    decode().map_err(|error| told(error, is_foreign))
}

/// `session.serialize_handler = php_serialize`: one array. No bytes at all are a session in which nothing was stored
/// yet.
pub(crate) fn decode_php_serialize(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    if input.is_empty() {
        return Ok(SessionData::default());
    }
    let is_foreign = input.starts_with(IGBINARY);
    let data = decode_php_value(input, limits).map_err(|error| told(error, is_foreign))?;
    match data.root().kind() {
        Kind::Array => Ok(data),
        _ => Err(SessionError::CorruptData),
    }
}

/// One value, as `serialize()` writes it.
pub(crate) fn decode_php_value(input: Bytes, limits: &Limits) -> Result<SessionData, SessionError> {
    let mut reader = Reader::new(input, limits)?;
    reader.value()?;
    if !reader.rest().is_empty() {
        return Err(SessionError::CorruptData);
    }
    reader.builder.finish()
}

/// The string in `s:N:"…";`, in which caches wrap what they store.
pub(crate) fn unwrap_string(input: Bytes, limits: &Limits) -> Result<Bytes, SessionError> {
    let mut reader = Reader::new(input.clone(), limits)?;
    reader.expect(b"s:")?;
    let string = reader.quoted_range(b';')?;
    if !reader.rest().is_empty() {
        return Err(SessionError::CorruptData);
    }
    Ok(input.slice(string))
}

/// Data of another serializer is not damaged.
fn told(error: SessionError, is_foreign: bool) -> SessionError {
    match error {
        SessionError::CorruptData if is_foreign => SessionError::Unsupported,
        error => error,
    }
}
