//! The cookies of Flask and Starlette, which itsdangerous signs.

use super::mac::{equal, hmac};
use super::timed::{self, Timed};
use super::{CookieDialect, Credentials, Extracted, Extractor, Secret, unix_seconds, within};
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha1::{Digest, Sha1};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How far ahead of ours the front end's clock may be. A cookie carries the second it was made in, so without this
/// nobody could connect right after logging in at a host whose clock is a second fast.
const CLOCKS_DIFFER: u64 = 60;

/// The cookie of Flask or of Starlette's `SessionMiddleware`, which holds the session as JSON: data, `.`, time, `.` and
/// signature by HMAC-SHA1. By default both are called `session`.
///
/// Flask writes values that JSON has no form for as objects with one key such as ` t` or ` d`; they stay that way.
#[derive(Clone, Debug)]
pub struct ItsdangerousCookie {
    name: String,
    front: Front,
    secrets: Vec<Secret>,
    max_age: Option<Duration>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
enum Front {
    Flask,
    Starlette,
}

impl ItsdangerousCookie {
    /// Flask's, signed with this `SECRET_KEY`. It lives for 31 days unless
    /// [told otherwise](ItsdangerousCookie::with_max_age).
    pub fn flask(secret_key: Secret) -> Self {
        Self::new(Front::Flask, secret_key, 31)
    }

    /// Starlette's and FastAPI's, signed with this `secret_key`. It lives for 14 days unless
    /// [told otherwise](ItsdangerousCookie::with_max_age).
    pub fn starlette(secret_key: Secret) -> Self {
        Self::new(Front::Starlette, secret_key, 14)
    }

    fn new(front: Front, secret: Secret, days: u64) -> Self {
        ItsdangerousCookie {
            name: "session".to_owned(),
            front,
            secrets: vec![secret],
            max_age: Some(Duration::from_secs(days * 24 * 60 * 60)),
            limits: Limits::default(),
        }
    }

    /// A secret that is still accepted besides the others: for Flask, those of `SECRET_KEY_FALLBACKS`.
    pub fn with_previous(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The cookie's name: `SESSION_COOKIE_NAME` of Flask, `session_cookie` of Starlette.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How old a session may be, in whole seconds; `None` for any age. `PERMANENT_SESSION_LIFETIME` of Flask, `max_age`
    /// of Starlette.
    pub fn with_max_age(mut self, max_age: impl Into<Option<Duration>>) -> Self {
        self.max_age = max_age.into();
        self
    }

    /// How large a session may be, packed and unpacked.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn open(&self, value: &[u8], now: u64) -> Result<Extracted, SessionError> {
        let value = Timed::split(within(&self.limits, value)?, b'.')?;
        if !self.secrets.iter().any(|secret| equal(self.signature(secret, value.signed), value.signature)) {
            return Err(SessionError::BadSignature);
        }
        let signed_at = seconds(value.time).ok_or(SessionError::CorruptData)?;
        let too_old = self.max_age.is_some_and(|max_age| now.saturating_sub(signed_at) > max_age.as_secs());
        if too_old || signed_at.saturating_sub(now) > CLOCKS_DIFFER {
            return Err(SessionError::Expired);
        }
        let data = match self.front {
            Front::Flask => value.unpack(&self.limits)?,
            Front::Starlette => STANDARD.decode(value.payload).map_err(|_| SessionError::CorruptData)?,
        };
        let expires = self.max_age.and_then(|max_age| timed::end(signed_at, max_age));
        Ok(Extracted::Inline { data: data.into(), expires })
    }

    fn signature(&self, secret: &Secret, signed: &[u8]) -> String {
        let key: [u8; 20] = match self.front {
            Front::Flask => hmac::<Sha1>(secret.expose(), &[b"cookie-session"]).into(),
            Front::Starlette => {
                Sha1::new_with_prefix("itsdangerous.Signersigner").chain_update(secret.expose()).finalize().into()
            }
        };
        URL_SAFE_NO_PAD.encode(hmac::<Sha1>(&Zeroizing::new(key)[..], &[signed]))
    }
}

/// The number whose bytes these are, most significant first.
fn seconds(text: &[u8]) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let mut number = [0; 8];
    number.get_mut(8usize.checked_sub(bytes.len())?..)?.copy_from_slice(&bytes);
    Some(u64::from_be_bytes(number))
}

impl Extractor for ItsdangerousCookie {
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
        let dialect = match self.front {
            Front::Flask => CookieDialect::Werkzeug,
            Front::Starlette => CookieDialect::Python,
        };
        match credentials.cookies().get(&self.name, dialect) {
            Some(value) => self.open(&value, unix_seconds(now)),
            None => Ok(Extracted::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    const DAY: u64 = 24 * 60 * 60;

    fn both(key: &str) -> [ItsdangerousCookie; 2] {
        let secret = Secret::new(key).unwrap();
        [ItsdangerousCookie::flask(secret.clone()), ItsdangerousCookie::starlette(secret)]
    }

    fn signed(cookie: &ItsdangerousCookie, payload: &str, time: u32) -> String {
        let signed = format!("{payload}.{}", URL_SAFE_NO_PAD.encode(time.to_be_bytes()));
        format!("{signed}.{}", cookie.signature(&cookie.secrets[0], signed.as_bytes()))
    }

    fn extract(cookie: &ItsdangerousCookie, value: &str, now: u64) -> Result<Extracted, SessionError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        cookie.extract(&Credentials::new([("cookie", format!("session={value}").as_bytes())]), now)
    }

    fn data(text: &'static str, end: impl Into<Option<u64>>) -> Result<Extracted, SessionError> {
        let expires = end.into().map(|end| SystemTime::UNIX_EPOCH + Duration::from_secs(end));
        Ok(Extracted::Inline { data: text.into(), expires })
    }

    #[test]
    fn cookies_as_itsdangerous_makes_them_are_read() {
        // Made by Flask 3.1 and itsdangerous 2.2 with a clock that stood still.
        let flask = ItsdangerousCookie::flask(Secret::new("a flask key of our own").unwrap());
        for (value, data) in [
            (
                "eyJ1c2VyIjoiem9cdTAwZWIiLCJ0Ijp7IiB0IjpbMSwyXX19.ZVPxAA.y5IYTe1v0cfgUYA--u_mxWeQYgo",
                r#"{"user":"zo\u00eb","t":{" t":[1,2]}}"#,
            ),
            (
                ".eJyrVipJrShRslJKTE_MzFNIzEtRgLKozFeqBQDNuiTy.ZVPxAA.uMTvRv9U_dUbMknHml-vyHAUJaM",
                concat!(
                    r#"{"text":"again and again again and again again and again "#,
                    r#"again and again again and again again and again "}"#
                ),
            ),
        ] {
            assert_eq!(extract(&flask, value, 1_700_000_000), self::data(data, 1_700_000_001 + 31 * DAY));
        }
        let starlette = ItsdangerousCookie::starlette(Secret::new("a starlette key of our own").unwrap());
        let value = "eyJ1c2VyIjogInpvXHUwMGViIiwgIm4iOiBbMSwgbnVsbCwgMi41XX0=.ZVPxAA.D0FkLmzjcy3htsCkwXN7Dq6sWCQ";
        let expected = data(r#"{"user": "zo\u00eb", "n": [1, null, 2.5]}"#, 1_700_000_001 + 14 * DAY);
        assert_eq!(extract(&starlette, value, 1_700_000_000), expected);
    }

    #[test]
    fn each_of_the_secrets_may_have_signed() {
        for ((old, new), days) in both("old").into_iter().zip(both("new")).zip([31, 14]) {
            // Four characters are the same with and without padding.
            let value = signed(&old, "e30K", 1);
            assert_eq!(extract(&new, &value, 1), Err(SessionError::BadSignature));
            assert_eq!(
                extract(&new.with_previous(Secret::new("old").unwrap()), &value, 1),
                data("{}\n", 2 + days * DAY)
            );
        }
    }

    #[test]
    fn what_is_not_signed_so_is_refused() {
        let [flask, starlette] = both("k");
        let good = signed(&flask, "eyJhIjoxfQ", 100);
        for bad in [
            good.replace("eyJ", "eyK"),
            good[..good.len() - 1].to_owned(),
            format!("{good}="),
            format!(".{good}"),
            "..".to_owned(),
            signed(&starlette, "eyJhIjoxfQ", 100),
        ] {
            assert_eq!(extract(&flask, &bad, 100), Err(SessionError::BadSignature), "{bad}");
        }
        for bad in ["", "abc", "abc.def"] {
            assert_eq!(extract(&flask, bad, 100), Err(SessionError::MalformedCookie), "{bad}");
        }
        assert_eq!(flask.extract(&Credentials::default(), SystemTime::UNIX_EPOCH), Ok(Extracted::None));
    }

    #[test]
    fn a_cookie_lives_for_its_age_and_not_before_it_was_made() {
        for (cookie, days) in both("k").into_iter().zip([31, 14]) {
            let value = signed(&cookie, "e30K", 1000);
            for now in [1000, 940, 1000 + days * DAY] {
                assert_eq!(extract(&cookie, &value, now), data("{}\n", 1001 + days * DAY), "{now}");
            }
            for now in [0, 939, 1001 + days * DAY] {
                assert_eq!(extract(&cookie, &value, now), Err(SessionError::Expired), "{now}");
            }
            assert_eq!(extract(&cookie.with_max_age(None), &value, 1 << 40), data("{}\n", None));
        }
    }

    #[test]
    fn signed_rubbish_is_corrupt() {
        let [flask, starlette] = both("k");
        for payload in ["?", "e30=", ".e30", "."] {
            assert_eq!(extract(&flask, &signed(&flask, payload, 1), 1), Err(SessionError::CorruptData), "{payload}");
        }
        // Starlette does not pack, and pads.
        for payload in ["?", "e30", ".e30="] {
            assert_eq!(
                extract(&starlette, &signed(&starlette, payload, 1), 1),
                Err(SessionError::CorruptData),
                "{payload}"
            );
        }
        let timeless = |time: &str| {
            let signed = format!("e30.{time}");
            format!("{signed}.{}", flask.signature(&flask.secrets[0], signed.as_bytes()))
        };
        for time in ["?", "AAAAAAAAAAAAAAAA"] {
            assert_eq!(extract(&flask, &timeless(time), 1), Err(SessionError::CorruptData), "{time}");
        }
    }

    #[test]
    fn too_much_is_too_much_packed_or_not() {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&vec![b' '; 2 << 20]).unwrap();
        let [flask, _] = both("k");
        let value = signed(&flask, &format!(".{}", URL_SAFE_NO_PAD.encode(packed.finish().unwrap())), 1);
        assert_eq!(extract(&flask, &value, 1), Err(SessionError::Limit));
        let small =
            flask.with_limits(Limits { max_input: value.len() - 1, max_inflated: 4 << 20, ..Limits::default() });
        assert_eq!(extract(&small, &value, 1), Err(SessionError::Limit));
    }
}
