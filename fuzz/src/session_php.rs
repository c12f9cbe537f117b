//! What is read of PHP's sessions, and what can be done with it.

use std::fmt::Write;
use wsrv_session::{Codec, Key, Kind, Limits, SessionData, SessionError, Value, ValueError, Visibility};

/// Values that may be expanded, and levels.
const MAX_NODES: usize = 1000;
const MAX_DEPTH: usize = 20;

/// The session is read or refused within its limits, and what is read of it can be walked, printed, expanded and
/// written again within them. What is written is read as the same values.
///
/// The first byte says which format the rest is in.
pub fn session_php(data: &[u8]) {
    let Some((&format, input)) = data.split_first() else { return };
    let codec = match format % 4 {
        0 => Codec::php(),
        1 => Codec::php_binary(),
        2 => Codec::php_serialize(),
        _ => Codec::php_value(),
    };
    let mut limits = Limits::default();
    (limits.max_nodes, limits.max_depth) = (MAX_NODES, MAX_DEPTH);
    let session = match codec.decode(bytes::Bytes::copy_from_slice(input), &limits) {
        Ok(record) => record.data,
        Err(error) => return check_refused(error, input, &codec),
    };
    check_held(&session);
    check_found(session.root());
    check_expanded(session.root());
    check_again(session.root(), &limits);
}

/// What is too large is so under no larger limits, and the others do not depend on them.
fn check_refused(error: SessionError, input: &[u8], codec: &Codec) {
    let again = codec.decode(bytes::Bytes::copy_from_slice(input), &Limits::default());
    match error {
        SessionError::Limit => {}
        SessionError::Unsupported => assert!(input.starts_with(b"\0\0\0\x02")),
        error => assert_eq!(again.err(), Some(error)),
    }
}

/// Copies and prints are cheap whatever is in it.
pub(super) fn check_held(session: &SessionData) {
    let copy = session.clone();
    assert!(copy.root().kind() == session.root().kind() && copy.root().is_same(session.root()));
    assert!(format!("{session:?}").len() < 200);
    assert!(format!("{:?}", session.root()).len() < 200_000);
}

/// Each entry that can be seen is found by its key, if the key is the only one that is written so.
pub(super) fn check_found(value: Value<'_>) {
    let written = |key: Key<'_>| match key {
        Key::Int(key) => Some(key.to_string()),
        Key::Text(key) => key.as_str().map(str::to_owned),
    };
    let entries: Vec<_> = value.entries().collect();
    for &(key, entry) in &entries {
        let Some(text) = written(key) else { continue };
        let is_only = entries.iter().filter(|(other, _)| written(*other).as_ref() == Some(&text)).count() == 1;
        assert!(!is_only || value.get(&text).is_some_and(|found| found.is_same(entry)), "{text:?}");
    }
    assert!(entries.len() <= value.len());
    assert_eq!(
        value.is_list(),
        value.kind() == Kind::Array && entries.iter().enumerate().all(|(at, (key, _))| { *key == Key::Int(at as i64) })
    );
}

/// JSON and serde agree on whether the value can be expanded, and on what it is then.
pub(super) fn check_expanded(value: Value<'_>) {
    let json = value.to_json();
    let values = value.to::<serde_json::Value>();
    match (&json, &values) {
        (Ok(json), Ok(_)) => assert!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()),
        // What is no text, and what is nested deeper than types may be.
        (Ok(_), Err(ValueError::Mismatch(_) | ValueError::Limit)) => {}
        (Err(ValueError::Recursion | ValueError::Limit), Err(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Written again, it is read as the same.
fn check_again(value: Value<'_>, limits: &Limits) {
    let mut written = Vec::new();
    let mut left = MAX_NODES;
    // What is shared is written as often as it is seen, so this can be more than was read.
    if serialize(value, &mut written, &mut left, MAX_DEPTH).is_none() {
        return;
    }
    let again = Codec::php_value().decode(written.clone().into(), limits);
    let again = again.unwrap_or_else(|error| panic!("{error} for {}", written.escape_ascii())).data;
    let mut twice = Vec::new();
    serialize(again.root(), &mut twice, &mut { MAX_NODES }, MAX_DEPTH).expect("as large as before");
    assert!(twice == written, "{} instead of {}", twice.escape_ascii(), written.escape_ascii());
}

/// Writes a value as PHP does, without references. `None` if it is too large for that.
fn serialize(value: Value<'_>, out: &mut Vec<u8>, left: &mut usize, depth: usize) -> Option<()> {
    *left = left.checked_sub(1)?;
    let inside = depth.checked_sub(1);
    match value.kind() {
        Kind::Null => out.extend(b"N;"),
        Kind::Bool => out.extend(format!("b:{};", u8::from(value.as_bool()?)).bytes()),
        Kind::Int => out.extend(format!("i:{};", value.as_i64()?).bytes()),
        Kind::Float => {
            let number = value.as_f64()?;
            let mut text = String::new();
            match number {
                _ if number.is_nan() => text += "NAN",
                _ if number.is_infinite() => text += if number > 0.0 { "INF" } else { "-INF" },
                _ => write!(text, "{number:E}").ok()?,
            }
            out.extend(format!("d:{text};").bytes());
        }
        Kind::String => string(value.as_bytes()?, out),
        Kind::Array => {
            let inside = inside?;
            out.extend(format!("a:{}:{{", value.len()).bytes());
            for (key, value) in value.entries() {
                // Only the names of a session itself may be text that is an integer.
                let is_text = matches!(key, Key::Text(key) if key.to_string().parse::<i64>().is_ok());
                (!is_text).then(|| write_key(key, out))?;
                serialize(value, out, left, inside)?;
            }
            out.push(b'}');
        }
        Kind::Object => {
            let (inside, class) = (inside?, value.class()?.as_bytes());
            out.extend(format!("O:{}:\"", class.len()).bytes());
            out.extend(class);
            out.extend(format!("\":{}:{{", value.len()).bytes());
            for property in value.properties() {
                match (property.visibility, property.name) {
                    (Visibility::Protected, Key::Text(name)) => string(&[b"\0*\0", name.as_bytes()].concat(), out),
                    (Visibility::Private { class }, Key::Text(name)) => {
                        string(&[b"\0", class.as_bytes(), b"\0", name.as_bytes()].concat(), out);
                    }
                    (_, name) => write_key(name, out),
                }
                serialize(property.value, out, left, inside)?;
            }
            out.push(b'}');
        }
        Kind::Enum => {
            let name = [value.class()?.as_bytes(), b":", value.case()?.as_bytes()].concat();
            out.extend(format!("E:{}:\"", name.len()).bytes());
            out.extend(name);
            out.extend(b"\";");
        }
        // A payload that refers to what is around it may mean nothing elsewhere.
        _ => return None,
    }
    Some(())
}

fn write_key(key: Key<'_>, out: &mut Vec<u8>) {
    match key {
        Key::Int(key) => out.extend(format!("i:{key};").bytes()),
        Key::Text(key) => string(key.as_bytes(), out),
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("s:{}:\"", text.len()).bytes());
    out.extend(text);
    out.extend(b"\";");
}
