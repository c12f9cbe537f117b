//! Reads the sessions of a folder of test vectors and compares them with what its `manifest.json` says they are.
//!
//! ```sh
//! cargo run --example session_vectors -- FOLDER
//! ```
//!
//! Prints each vector that differs. The exit status is 1 if one does.

mod compare;
mod cookie;
mod store;

use bytes::Bytes;
use cookie::{Cookie, Opened};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use wsrv_session::{Codec, Limits, Record, SessionError};

/// One line of the manifest.
struct Vector {
    json: Json,
    folder: PathBuf,
}

impl Vector {
    fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    fn expect(&self) -> &Json {
        &self.json["expect"]
    }

    fn is_optional(&self) -> bool {
        self.json["optional"] == true
    }

    /// The time at which the vector is to be read.
    fn now(&self) -> u64 {
        self.json["now"].as_u64().expect("a time")
    }

    /// The bytes of the record, if there is one.
    fn record(&self) -> Option<Bytes> {
        let path = self.folder.join(self.json["data_file"].as_str()?);
        let data = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(self.json["data_len"].as_u64(), Some(data.len() as u64), "{}", path.display());
        Some(data.into())
    }
}

/// What a vector leads to, unless it is an error.
enum Found {
    Session(Record),
    /// The id of the session, where that is all that the vector is about.
    Id(String),
    /// There is no session, and why.
    Absent(&'static str),
    /// A step that this program does not know.
    NotRun,
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped,
    NotRun,
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: session_vectors FOLDER");
        return ExitCode::from(2);
    };
    let manifest = match read_manifest(&folder) {
        Ok(manifest) => manifest,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::from(2);
        }
    };
    let limits = limits(&manifest["defaults"]["limits"]);
    let vectors = manifest["vectors"].as_array().map_or(&[][..], Vec::as_slice);
    let (mut passed, mut failed, mut skipped, mut not_run) = (0, 0, 0, 0);
    for json in vectors {
        let vector = Vector { json: json.clone(), folder: folder.clone() };
        match judge(&vector, &limits) {
            Verdict::Passed => passed += 1,
            Verdict::Skipped => skipped += 1,
            Verdict::NotRun => not_run += 1,
            Verdict::Failed(why) => {
                println!("{}: {why}", vector.text("id"));
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped (optional), {not_run} not run");
    if failed > 0 || passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn read_manifest(folder: &Path) -> Result<Json, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?)
}

fn limits(given: &Json) -> Limits {
    let number = |field: &str| given[field].as_u64().expect("a limit") as usize;
    let mut limits = Limits::default();
    limits.max_input = number("max_input_bytes");
    limits.max_depth = number("max_depth");
    limits.max_nodes = number("max_nodes");
    limits.max_inflated = number("max_inflated_bytes");
    limits
}

fn judge(vector: &Vector, limits: &Limits) -> Verdict {
    let outcome = std::panic::catch_unwind(|| compare::resources(vector.expect(), || read(vector, limits)));
    let Ok((outcome, resources)) = outcome else { return Verdict::Failed("panicked".into()) };
    match outcome {
        Ok(Found::NotRun) => Verdict::NotRun,
        Err(SessionError::Unsupported) if vector.is_optional() => Verdict::Skipped,
        outcome => match resources.and_then(|()| compare::outcome(vector, outcome, limits)) {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::Failed(why),
        },
    }
}

/// Reads a vector as a server does: the cookie, the store's record, its seal, its format.
fn read(vector: &Vector, limits: &Limits) -> Result<Found, SessionError> {
    let told = vector.json["cookie"]["sid"].as_str();
    let id = match vector.text("kind") {
        "codec" => None,
        _ => match cookie::cookie(vector)? {
            Cookie::None => return Ok(Found::Absent("no_cookie")),
            Cookie::Id(id) if vector.text("kind") == "cookie" => return Ok(Found::Id(id)),
            // Another one than the manifest tells is a difference by itself.
            Cookie::Id(id) if told.is_some_and(|told| told != id) => return Ok(Found::Id(id)),
            Cookie::Id(id) => Some(id),
            Cookie::Inline(data) => return decode(vector, data, None, limits),
            // The rest can be read all the same if the id is told.
            Cookie::NotRead => match told {
                Some(id) if vector.text("kind") == "session" => Some(id.to_owned()),
                _ => return Ok(Found::NotRun),
            },
        },
    };
    let store = &vector.json["store"];
    let Some(record) = vector.record() else { return Ok(Found::Absent("no_record")) };
    if !store::is_live(store, vector.now()) {
        return Ok(Found::Absent("expired"));
    }
    match cookie::open(vector, record)? {
        Opened::Data(data) => decode(vector, data, id.as_deref(), limits),
        Opened::NotRead => Ok(Found::NotRun),
    }
}

fn decode(vector: &Vector, data: Bytes, id: Option<&str>, limits: &Limits) -> Result<Found, SessionError> {
    let record = codec(vector)?.decode(data, limits)?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(vector.now());
    if record.expires_at.is_some_and(|end| end <= now) {
        return Ok(Found::Absent("expired"));
    }
    match (record.id, id) {
        // tower-sessions writes the same id in both places, once with its last byte first.
        (Some(own), Some(id)) if cookie::tower_id(id).is_none_or(|id| id.iter().rev().ne(&own)) => {
            Err(SessionError::CorruptData)
        }
        _ => Ok(Found::Session(record)),
    }
}

/// The codec that the vector names. What stands behind signatures or encryption has been taken out already.
fn codec(vector: &Vector) -> Result<Codec, SessionError> {
    Ok(match vector.text("codec") {
        "php" => Codec::php(),
        "php_binary" => Codec::php_binary(),
        // Encrypted payloads are strings of PHP inside.
        "php_serialize" if vector.json["store"]["payload_encrypted"] == true => Codec::php_serialize().in_php_string(),
        "php_serialize" => Codec::php_serialize(),
        "php_value" => Codec::php_value(),
        "json" if vector.text("family") == "express" => Codec::express(),
        // Pickles are told apart by their first byte: what is asked for is JSON.
        "json" | "django-signed-json" | "itsdangerous-json" | "rails-json" | "python-pickle" => Codec::json(),
        "base64(json)" => Codec::json().in_base64(),
        "base64(php_serialize)" => Codec::php_serialize().in_base64(),
        "laravel-cache(php string -> php_serialize)" => Codec::php_serialize().in_php_string(),
        "laravel-cache(php string -> json)" => Codec::json().in_php_string(),
        "json(data) -> php_serialize" => Codec::php_serialize().in_laravel_cookie(),
        "json(data) -> json" => Codec::json().in_laravel_cookie(),
        "msgpack-tower-record" => Codec::tower(),
        // Vectors that are about the cookie name only its scheme.
        "" => match vector.json["cookie"]["scheme"].as_str() {
            Some("express-cookie-session") => Codec::json().in_base64(),
            _ => Codec::json(),
        },
        _ => return Err(SessionError::Unsupported),
    })
}
