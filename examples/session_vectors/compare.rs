//! What was read, and what the manifest expects.

use crate::{Found, Vector};
use bytes::Bytes;
use serde_json::Value as Json;
use std::time::Instant;
use wsrv_session::{Codec, Key, Kind, Limits, Record, SessionError, Text, Value, Visibility};

type Outcome = Result<Found, SessionError>;

/// What this program knows to compare. It would be no use to pass over anything else.
const KNOWN: [&str; 14] = [
    "any_error",
    "error",
    "json",
    "max_mib",
    "max_ms",
    "nested_serialized",
    "note",
    "or",
    "outcome",
    "probe",
    "reason",
    "sid",
    "symfony",
    "tree",
];

pub(crate) fn outcome(vector: &Vector, found: Outcome, limits: &Limits) -> Result<(), String> {
    let expect = vector.expect();
    let fields = expect.as_object().ok_or("nothing is expected")?;
    if let Some(unknown) = fields.keys().find(|field| !KNOWN.contains(&&***field)) {
        return Err(format!("expectation {unknown} is not known"));
    }
    match (expect["outcome"].as_str(), found) {
        (Some("either" | "bounded"), _) => Ok(()),
        (Some("error"), Err(error)) => {
            let is_meant = |field: &str| expect[field] == name(error);
            let is_good = expect["any_error"] == true || is_meant("error") || is_meant("or");
            if is_good { Ok(()) } else { Err(format!("error {} instead of {}", name(error), expect["error"])) }
        }
        (Some("absent"), Ok(Found::Absent(reason))) => {
            let is_good = expect["reason"].is_null() || expect["reason"] == reason;
            if is_good { Ok(()) } else { Err(format!("absent for {reason} instead of {}", expect["reason"])) }
        }
        (Some("ok"), Ok(Found::Id(id))) => {
            if expect["sid"] == *id {
                Ok(())
            } else {
                Err(format!("id {id} instead of {}", expect["sid"]))
            }
        }
        (Some("ok"), Ok(Found::Session(record))) => session(vector, &record, limits),
        (_, Err(error)) => Err(format!("error {} instead of {}", name(error), expect["outcome"])),
        (_, Ok(Found::Absent(reason))) => Err(format!("absent for {reason} instead of {}", expect["outcome"])),
        (_, Ok(_)) => Err(format!("read, instead of {}", expect["outcome"])),
    }
}

fn name(error: SessionError) -> &'static str {
    match error {
        SessionError::MalformedCookie => "malformed_cookie",
        SessionError::BadSignature => "bad_signature",
        SessionError::InvalidId => "invalid_id",
        SessionError::Expired => "expired",
        SessionError::CorruptData => "corrupt_data",
        SessionError::Limit => "limit",
        SessionError::Unsupported => "unsupported",
        _ => "other",
    }
}

/// Runs `read`, and all that can be done with what comes of it, within the time and memory that are allowed.
pub(crate) fn resources(expect: &Json, read: impl FnOnce() -> Outcome) -> (Outcome, Result<(), String>) {
    let is_measured = !expect["max_mib"].is_null() && forget_peak();
    let before = peak_kib().unwrap_or_default();
    let begin = Instant::now();
    let outcome = read();
    if let Ok(Found::Session(record)) = &outcome {
        let record = record.clone();
        let root = record.data.root();
        let printed = format!("{record:?} {root:?}").len();
        assert!(printed < 1 << 20, "{printed} bytes are printed");
        drop((root.to_json(), root.to::<Json>()));
    }
    let millis = begin.elapsed().as_millis();
    let used = (peak_kib().unwrap_or_default().saturating_sub(before)) / 1024;
    let within = if expect["max_ms"].as_u64().is_some_and(|most| millis > most.into()) {
        Err(format!("takes {millis} ms"))
    } else if is_measured && expect["max_mib"].as_u64().is_some_and(|most| used > most) {
        Err(format!("takes {used} MiB"))
    } else {
        Ok(())
    };
    (outcome, within)
}

/// Linux then counts the peak of this process's memory from here on.
fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

fn session(vector: &Vector, record: &Record, limits: &Limits) -> Result<(), String> {
    let expect = vector.expect();
    let root = record.data.root();
    let mut compared = false;
    if let Some(expected) = expect.get("tree") {
        tree(root, expected, &mut Vec::new())?;
        compared = true;
    }
    if let Some(expected) = expect.get("json") {
        json(root, expected)?;
        compared = true;
    }
    if let Some(expected) = expect.get("probe") {
        probe(root, expected)?;
        compared = true;
    }
    let symfony = &expect["symfony"];
    for bag in ["attributes_key", "flashes_key", "meta_key"] {
        let Some(key) = symfony[bag].as_str() else { continue };
        // An empty bag is not written.
        if root.get(key).is_some_and(|bag| bag.kind() != Kind::Array) {
            return Err(format!("{key} is no array"));
        }
    }
    for (key, expected) in expect["nested_serialized"].as_object().into_iter().flatten() {
        let attributes = symfony["attributes_key"].as_str().unwrap_or("_sf2_attributes");
        let serialized = root.get(attributes).and_then(|attributes| attributes.get(key));
        let serialized = serialized.and_then(Value::as_bytes).ok_or(format!("there is no string {key}"))?;
        let record = Codec::php_value().decode(Bytes::copy_from_slice(serialized), limits);
        let record = record.map_err(|error| format!("{key}: {}", name(error)))?;
        tree(record.data.root(), expected, &mut Vec::new())?;
    }
    if compared { Ok(()) } else { Err("there is nothing to compare it with".into()) }
}

/// Follows a path of keys and compares the value at its end.
fn probe(root: Value<'_>, expected: &Json) -> Result<(), String> {
    let mut value = root;
    let dotted: Vec<Json>;
    let steps = match &expected["path"] {
        Json::Array(steps) => steps,
        Json::String(path) => {
            dotted = path.split('.').map(Json::from).collect();
            &dotted
        }
        other => return Err(format!("{other} is no path")),
    };
    for step in steps {
        let is_meant = |found: Key<'_>| match step {
            Json::Number(number) => matches!(found, Key::Int(found) if number.as_i64() == Some(found)),
            Json::String(text) => match found {
                Key::Int(found) => found.to_string() == *text,
                Key::Text(found) => found == text.as_str(),
            },
            step => is_key(found, step),
        };
        let next = value.entries().find(|(found, _)| is_meant(*found));
        value = next.ok_or_else(|| format!("{step} is not there"))?.1;
    }
    match &expected["value"] {
        typed if typed["t"].is_string() => tree(value, typed, &mut Vec::new()),
        plain => json(value, plain),
    }
}

/// Compares with a tree whose nodes name their types. `path` holds the containers around the value.
fn tree<'a>(value: Value<'a>, expected: &Json, path: &mut Vec<Value<'a>>) -> Result<(), String> {
    let differs = || Err(format!("{value:?} instead of {}", short(expected)));
    let text = |found: Option<Text<'_>>, field: &str| {
        expected[field].as_str().is_some_and(|of| found.is_some_and(|found| found == of))
    };
    let is_same = match (expected["t"].as_str(), value.kind()) {
        (Some("recursion"), _) => path.iter().any(|&around| around.is_same(value)),
        (Some("null"), Kind::Null) => true,
        (Some("bool"), Kind::Bool) => value.as_bool() == expected["v"].as_bool(),
        (Some("int"), Kind::Int) => {
            let number = value.as_i64().map(|number| number.to_string());
            number.is_some() && number.as_deref() == expected["v"].as_str()
        }
        (Some("float"), Kind::Float) => {
            let bits = value.as_f64().map(|number| format!("{:016x}", number.to_bits()));
            bits.is_some() && bits.as_deref() == expected["bits"].as_str()
        }
        (Some("str"), Kind::String) => value.as_str().is_some() && value.as_str() == expected["v"].as_str(),
        (Some("bytes"), Kind::String) => {
            value.as_str().is_none() && value.as_bytes() == unhex(&expected["hex"]).as_deref()
        }
        (Some("enum"), Kind::Enum) => text(value.class(), "class") && text(value.case(), "case"),
        (Some("custom"), Kind::Custom) => {
            text(value.class(), "class") && value.payload() == unhex(&expected["hex"]).as_deref()
        }
        (Some("array"), Kind::Array) => {
            let members = value.entries().map(|(key, value)| (key, None, value)).collect();
            return container(value, members, expected, path);
        }
        (Some("object"), Kind::Object) if text(value.class(), "class") => {
            let members = value.properties().map(|of| (of.name, Some(of.visibility), of.value)).collect();
            return container(value, members, expected, path);
        }
        _ => false,
    };
    if is_same { Ok(()) } else { differs() }
}

type Member<'a> = (Key<'a>, Option<Visibility<'a>>, Value<'a>);

fn container<'a>(
    value: Value<'a>,
    members: Vec<Member<'a>>,
    expected: &Json,
    path: &mut Vec<Value<'a>>,
) -> Result<(), String> {
    if path.iter().any(|&around| around.is_same(value)) {
        return Err(format!("{value:?} contains itself"));
    }
    let entries = expected["v"].as_array().ok_or("the manifest has no entries")?;
    if members.len() != entries.len() {
        return Err(format!("{} entries instead of {} in {value:?}", members.len(), entries.len()));
    }
    path.push(value);
    for ((key, visibility, member), entry) in members.into_iter().zip(entries) {
        if !is_key(key, &entry[0]) || !is_visibility(visibility, &entry[0]) {
            return Err(format!("key {key:?}, {visibility:?} instead of {}", entry[0]));
        }
        tree(member, &entry[1], path).map_err(|why| format!("{key:?}: {why}"))?;
    }
    path.pop();
    Ok(())
}

fn is_key(found: Key<'_>, expected: &Json) -> bool {
    match found {
        Key::Int(found) => expected["i"].as_str() == Some(&*found.to_string()),
        Key::Text(found) if found.as_str().is_some_and(|text| !text.contains('\0')) => {
            expected["s"].as_str() == found.as_str()
        }
        Key::Text(found) => unhex(&expected["b"]).as_deref() == Some(found.as_bytes()),
    }
}

fn is_visibility(found: Option<Visibility<'_>>, expected: &Json) -> bool {
    match found {
        None => expected["vis"].is_null(),
        Some(Visibility::Public) => expected["vis"] == "public",
        Some(Visibility::Protected) => expected["vis"] == "protected",
        Some(Visibility::Private { class }) => {
            expected["vis"] == "private" && expected["of"].as_str().is_some_and(|of| class == of)
        }
    }
}

/// Compares with plain JSON, in which entries of objects have no order.
fn json(value: Value<'_>, expected: &Json) -> Result<(), String> {
    let is_same = match (expected, value.kind()) {
        (Json::Null, Kind::Null) => true,
        (Json::Bool(expected), Kind::Bool) => value.as_bool() == Some(*expected),
        (Json::Number(expected), Kind::Int) => match value.as_i64() {
            Some(number) => expected.as_i64() == Some(number),
            None => expected.as_u64() == value.as_u64(),
        },
        (Json::Number(expected), Kind::Float) => {
            expected.is_f64() && expected.as_f64().map(f64::to_bits) == value.as_f64().map(f64::to_bits)
        }
        (Json::String(expected), Kind::String) => value.as_str() == Some(expected),
        (Json::Array(expected), Kind::Array) if value.is_list() && value.len() == expected.len() => {
            for ((at, value), expected) in value.entries().zip(expected) {
                json(value, expected).map_err(|why| format!("{at:?}: {why}"))?;
            }
            true
        }
        // PHP has no empty objects.
        (Json::Object(expected), Kind::Array) => expected.is_empty() && value.is_empty(),
        (Json::Object(expected), Kind::Map) if value.len() == expected.len() => {
            for (key, expected) in expected {
                let value = value.get(key).ok_or_else(|| format!("{key} is not there"))?;
                json(value, expected).map_err(|why| format!("{key}: {why}"))?;
            }
            true
        }
        _ => false,
    };
    if is_same { Ok(()) } else { Err(format!("{value:?} instead of {}", short(expected))) }
}

fn unhex(text: &Json) -> Option<Vec<u8>> {
    let digits = text.as_str()?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

fn short(expected: &Json) -> String {
    expected.to_string().chars().take(200).collect()
}
