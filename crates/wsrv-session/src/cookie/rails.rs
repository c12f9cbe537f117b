//! Rails: the session in an encrypted cookie.

use super::{CookieDialect, Credentials, Extracted, Extractor, Secret, within};
use crate::{Limits, SessionError};
use aes_gcm::aead::{AeadInPlace, Nonce, Tag};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::pbkdf2_hmac;
use serde::Deserialize;
use sha1::Sha1;
use std::time::SystemTime;

/// The encrypted session cookie of Rails with `config.load_defaults` 6.0 or 6.1 and the cookie serializer `json`:
/// AES-256-GCM by a key that PBKDF2 makes of `secret_key_base` with SHA-1. The session is JSON.
///
/// With the defaults of 5.2, cookies do not say what they are for, and such a one is
/// [`CorruptData`](SessionError::CorruptData) here: `action_dispatch.use_cookies_with_metadata` has to be on. With those
/// of 7.0 and later, `active_support.key_generator_hash_digest_class` has to be SHA-1.
#[derive(Clone, Debug)]
pub struct RailsCookie {
    name: String,
    keys: Vec<Secret>,
    limits: Limits,
}

/// What Rails puts around the session, so that a cookie is of no use under another name or after its time.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "_rails")]
    rails: Message,
}

#[derive(Deserialize)]
struct Message {
    message: String,
    exp: Option<String>,
    pur: String,
}

impl RailsCookie {
    /// The cookie of this name, encrypted with the key that is made of this `secret_key_base`. Making it takes a
    /// thousand rounds of PBKDF2, less than a millisecond.
    pub fn new(name: impl Into<String>, secret_key_base: &Secret) -> Self {
        let cookie = RailsCookie { name: name.into(), keys: Vec::new(), limits: Limits::default() };
        cookie.with_previous(secret_key_base)
    }

    /// A `secret_key_base` whose cookies are still accepted besides the others.
    pub fn with_previous(mut self, secret_key_base: &Secret) -> Self {
        let base = secret_key_base.expose();
        let derive = |key: &mut [u8]| pbkdf2_hmac::<Sha1>(base, b"authenticated encrypted cookie", 1000, key);
        self.keys.push(Secret::derived(32, derive));
        self
    }

    /// How large the cookie may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn open(&self, value: &[u8], now: SystemTime) -> Result<Extracted, SessionError> {
        let value = str::from_utf8(within(&self.limits, value)?).map_err(|_| SessionError::MalformedCookie)?;
        let parts: Vec<_> = value.splitn(4, "--").collect();
        let [text, iv, tag] = parts[..] else { return Err(SessionError::MalformedCookie) };
        let json = self.keys.iter().find_map(|key| decrypt(key, text, iv, tag)).ok_or(SessionError::BadSignature)?;
        let Envelope { rails } = serde_json::from_slice(&json).map_err(|_| SessionError::CorruptData)?;
        if rails.pur.strip_prefix("cookie.") != Some(&self.name) {
            return Err(SessionError::BadSignature);
        }
        let expires = rails.exp.map(|exp| humantime::parse_rfc3339(&exp)).transpose();
        let expires = expires.map_err(|_| SessionError::CorruptData)?;
        if expires.is_some_and(|end| end <= now) {
            return Err(SessionError::Expired);
        }
        let data = STANDARD.decode(rails.message).map_err(|_| SessionError::CorruptData)?.into();
        Ok(Extracted::Inline { data, expires })
    }
}

fn decrypt(key: &Secret, text: &str, iv: &str, tag: &str) -> Option<Vec<u8>> {
    let [mut text, iv, tag] = [text, iv, tag].map(|part| STANDARD.decode(part).ok());
    let iv = Nonce::<Aes256Gcm>::from_exact_iter(iv?)?;
    let tag = Tag::<Aes256Gcm>::from_exact_iter(tag?)?;
    let cipher = Aes256Gcm::new_from_slice(key.expose()).ok()?;
    cipher.decrypt_in_place_detached(&iv, b"", text.as_mut()?, &tag).ok()?;
    text
}

impl Extractor for RailsCookie {
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
        match credentials.cookies().get(&self.name, CookieDialect::Rack) {
            Some(value) => self.open(&value, now),
            None => Ok(Extracted::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BASE: &str = "a secret key base of our own, which Rails makes of 128 hexadecimal digits";
    const JSON: &str = r#"{"session_id":"1","user_id":42}"#;

    fn cookie(base: &str) -> RailsCookie {
        RailsCookie::new("_app_session", &Secret::new(base).unwrap())
    }

    /// What Rails does with this text.
    fn sealed(base: &str, text: &str) -> String {
        let (key, mut text) = (cookie(base).keys.remove(0), text.as_bytes().to_vec());
        let cipher = Aes256Gcm::new_from_slice(key.expose()).unwrap();
        let tag = cipher.encrypt_in_place_detached(&[5; 12].into(), b"", &mut text).unwrap();
        [&text[..], &[5; 12], &tag].map(|part| STANDARD.encode(part)).join("--")
    }

    fn envelope(session: &str, exp: &str, pur: &str) -> String {
        let message = STANDARD.encode(session);
        format!(r#"{{"_rails":{{"message":"{message}","exp":{exp},"pur":"{pur}"}}}}"#)
    }

    fn good() -> String {
        sealed(BASE, &envelope(JSON, "null", "cookie._app_session"))
    }

    fn extract(cookie: &RailsCookie, value: &str) -> Result<Extracted, SessionError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        cookie.extract(&Credentials::new([("cookie", format!("_app_session={value}").as_bytes())]), now)
    }

    #[test]
    fn the_cookie_holds_the_session() {
        let expected = Ok(Extracted::Inline { data: JSON.into(), expires: None });
        assert_eq!(extract(&cookie(BASE), &good()), expected);
        assert_eq!(
            extract(&cookie(BASE), &good().replace('=', "%3D").replace('+', "%2B").replace('/', "%2F")),
            expected
        );
        assert_eq!(extract(&cookie("new").with_previous(&Secret::new(BASE).unwrap()), &good()), expected);
        assert_eq!(cookie(BASE).extract(&Credentials::default(), SystemTime::UNIX_EPOCH), Ok(Extracted::None));
    }

    #[test]
    fn what_was_not_encrypted_so_is_refused() {
        let good = good();
        let parts: Vec<_> = good.split("--").collect();
        let changed = if good.starts_with('A') { good.replacen('A', "B", 1) } else { format!("A{}", &good[1..]) };
        for bad in [
            changed,
            format!("{}--{}--AAAA", parts[0], parts[1]),
            format!("{}--AAAA--{}", parts[0], parts[2]),
            format!("--{}--{}", parts[1], parts[2]),
            "?--?--?".to_owned(),
            "----".to_owned(),
        ] {
            assert_eq!(extract(&cookie(BASE), &bad), Err(SessionError::BadSignature), "{bad}");
        }
        assert_eq!(extract(&cookie("other"), &good), Err(SessionError::BadSignature));
        for bad in ["", "abc", "a--b", "a--b--c--d", "%ff--b--c"] {
            assert_eq!(extract(&cookie(BASE), bad), Err(SessionError::MalformedCookie), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_bound_to_its_name() {
        for purpose in ["cookie.other", "_app_session", "", "cookie._app_session2"] {
            let value = sealed(BASE, &envelope(JSON, "null", purpose));
            assert_eq!(extract(&cookie(BASE), &value), Err(SessionError::BadSignature), "{purpose}");
        }
    }

    #[test]
    fn a_cookie_ends_when_it_says_so() {
        let at = |exp: &str| extract(&cookie(BASE), &sealed(BASE, &envelope(JSON, exp, "cookie._app_session")));
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_001));
        assert_eq!(at(r#""2023-11-14T22:13:20.001Z""#), Ok(Extracted::Inline { data: JSON.into(), expires }));
        assert_eq!(at(r#""2023-11-14T22:13:20.000Z""#), Err(SessionError::Expired));
        assert_eq!(at(r#""tomorrow""#), Err(SessionError::CorruptData));
    }

    #[test]
    fn encrypted_rubbish_is_corrupt() {
        let whole = envelope("x", "null", "cookie._app_session");
        // The second is a session as the defaults of Rails 5.2 have it.
        for bad in ["", JSON, "{}", "[]", &whole.replace("eA==", "?"), &whole.replace("pur", "por")] {
            assert_eq!(extract(&cookie(BASE), &sealed(BASE, bad)), Err(SessionError::CorruptData), "{bad}");
        }
    }

    #[test]
    fn too_long_a_cookie_is_not_looked_at() {
        let limits = Limits { max_input: good().len() - 1, ..Limits::default() };
        assert_eq!(extract(&cookie(BASE).with_limits(limits), &good()), Err(SessionError::Limit));
    }
}
