//! The steps with keys: from the `Cookie` header to the session's id, and from a sealed record to its bytes.

use crate::Vector;
use bytes::Bytes;
use wsrv_session::SessionError;

/// What a request's cookies say.
#[allow(dead_code, reason = "no scheme of cookies is read yet")]
pub(crate) enum Cookie {
    /// No session.
    None,
    /// The id of one.
    Id(String),
    /// The session itself, in the format of the vector's codec.
    Inline(Bytes),
    /// This program does not know the scheme.
    NotRead,
}

/// A store's record without its signature or encryption.
pub(crate) enum Opened {
    Data(Bytes),
    /// This program does not know how it is sealed.
    NotRead,
}

/// Reads the vector's `Cookie` header by its scheme.
pub(crate) fn cookie(_vector: &Vector) -> Result<Cookie, SessionError> {
    Ok(Cookie::NotRead)
}

/// Opens the record.
pub(crate) fn open(vector: &Vector, record: Bytes) -> Result<Opened, SessionError> {
    let store = &vector.json["store"];
    let is_sealed = store["payload_encrypted"] == true || !store["signing"].is_null();
    // Inside the cookie, and not in a store.
    let is_elsewhere = matches!(store["type"].as_str(), Some("laravel-cookie" | "none"));
    Ok(if is_sealed || is_elsewhere { Opened::NotRead } else { Opened::Data(record) })
}

/// The bytes of an id as tower-sessions writes it, the least significant first.
pub(crate) fn tower_id(id: &str) -> Option<[u8; 16]> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0;
    let mut number = 0u32;
    let mut bytes = Vec::with_capacity(16);
    for digit in id.bytes() {
        number = number << 6 & 0xffff | DIGITS.iter().position(|&known| known == digit)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((number >> bits) as u8);
        }
    }
    let has_no_rest = number & ((1 << bits) - 1) == 0;
    bytes.try_into().ok().filter(|_| has_no_rest)
}
