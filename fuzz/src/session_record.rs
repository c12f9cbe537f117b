//! What is read of sessions that are JSON or MessagePack, and of what front ends wrap around sessions.

use super::session_php::{check_expanded, check_found, check_held};
use bytes::Bytes;
use serde_json::Value;
use wsrv_session::cookie::{DjangoSigner, LaravelCipher, LaravelKeys, Secret};
use wsrv_session::{Codec, Limits, Record, SessionError};

/// Values that a session may have, and levels.
const MAX_NODES: usize = 1000;
const MAX_DEPTH: usize = 20;

/// The session is read or refused within its limits, and what is read of it can be walked, printed and expanded within
/// them. `serde_json` reads the same of what is JSON. Of a record of tower-sessions nothing can be missing, and nothing
/// be too much. What has a seal is not read without it.
///
/// The first byte says which format the rest is in.
pub fn session_record(data: &[u8]) {
    let Some((&format, input)) = data.split_first() else { return };
    let mut limits = Limits::default();
    (limits.max_nodes, limits.max_depth) = (MAX_NODES, MAX_DEPTH);
    let read = |codec: &Codec, input: &[u8]| codec.decode(Bytes::copy_from_slice(input), &limits);
    let codec = match format % 8 {
        0 => Codec::json(),
        1 => Codec::express(),
        2 => Codec::tower(),
        3 => Codec::json().in_base64(),
        4 => Codec::php_serialize().in_php_string().in_base64(),
        5 => Codec::php_serialize().in_laravel_cookie(),
        6 => Codec::django(DjangoSigner::records(Secret::new("a key of our own").unwrap())),
        _ => {
            let keys = LaravelKeys::new(LaravelCipher::Aes256Cbc, &"\u{1}".repeat(32)).unwrap();
            Codec::php_serialize().encrypted_by_laravel(keys).in_base64()
        }
    };
    let record = read(&codec, input);
    if let Ok(record) = &record {
        check_held(&record.data);
        check_found(record.data.root());
        check_expanded(record.data.root());
    }
    match format % 8 {
        format @ (0 | 1) => check_json(record, input, format == 0),
        2 => check_whole(record.is_ok(), input, |input| read(&codec, input).is_ok()),
        6 | 7 => check_sealed(record, input),
        _ => {}
    }
}

/// `serde_json` agrees on whether it is a session, and on what is in it.
fn check_json(record: Result<Record, SessionError>, input: &[u8], is_list_empty: bool) {
    let json = serde_json::from_slice::<Value>(input);
    match record {
        Ok(record) => {
            let json = match json {
                Ok(json) => json,
                // Which is an infinite one, as in JavaScript.
                Err(error) if error.to_string().starts_with("number out of range") => return,
                Err(error) => panic!("{error}: {}", input.escape_ascii()),
            };
            // Texts are text, so it can always be expanded, if it is not too much.
            let Ok(read) = record.data.root().to_json() else { return };
            let read = serde_json::from_str(&read).unwrap();
            assert!(is_same(&read, &json), "{read} instead of {json}");
        }
        Err(SessionError::CorruptData) => {
            let is_session = match &json {
                Ok(Value::Object(members)) => is_list_empty || !has_bad_end(members),
                Ok(Value::Array(items)) => is_list_empty && items.is_empty(),
                _ => false,
            };
            assert!(!is_session, "{}", input.escape_ascii());
        }
        Err(SessionError::Limit) => {}
        Err(SessionError::Unsupported) => assert!(input.starts_with(b"\x80")),
        Err(error) => panic!("{error}"),
    }
}

/// Only express's own member can make it refuse an object.
fn has_bad_end(members: &serde_json::Map<String, Value>) -> bool {
    members.get("cookie").and_then(|cookie| cookie.get("expires")).is_some_and(Value::is_string)
}

/// Numbers are compared as floating-point ones, as how large an integer may be before it is one differs; and but for
/// their last digits, which `serde_json` guesses by default.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) else { return false };
            left == right || (left - right).abs() <= left.abs() * 1e-15
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| is_same(left, right)))
        }
        (left, right) => left == right,
    }
}

/// No part of a record is one, and nothing may be behind it.
fn check_whole(is_read: bool, input: &[u8], is_also_read: impl Fn(&[u8]) -> bool) {
    if is_read {
        assert!(!is_also_read(&input[..input.len() - 1]), "{}", input.escape_ascii());
        assert!(!is_also_read(&[input, b"\0"].concat()), "{}", input.escape_ascii());
    }
}

/// Nobody but the front end can make one, and the two that it has made say the same.
fn check_sealed(record: Result<Record, SessionError>, input: &[u8]) {
    if let Ok(record) = record {
        let id = record.data.get("id").and_then(|id| id.as_i64());
        assert!(id == Some(5) || input.is_empty(), "{} is believed", input.escape_ascii());
    }
}
