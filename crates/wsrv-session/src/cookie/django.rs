//! Django's signed values: the session in a cookie, and the records of its stores.

use super::mac::{equal, hmac};
use super::timed::{self, Timed};
use super::{CookieDialect, Credentials, Extracted, Extractor, Secret, unix_seconds, within};
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// Opens values that `django.core.signing` has signed: data in base64url, packed by zlib if a `.` is in front, then
/// `:`, the time, `:` and the signature by HMAC-SHA256.
///
/// The salt says what a value was signed for, so that a value for one purpose is of no use for another.
#[derive(Clone, Debug)]
pub struct DjangoSigner {
    salt: String,
    secrets: Vec<Secret>,
    limits: Limits,
}

impl DjangoSigner {
    /// Values that are signed with this `SECRET_KEY` and this salt.
    pub fn new(secret_key: Secret, salt: impl Into<String>) -> Self {
        DjangoSigner { salt: salt.into(), secrets: vec![secret_key], limits: Limits::default() }
    }

    /// The records of the backends `db`, `cached_db` and `file`.
    pub fn records(secret_key: Secret) -> Self {
        Self::new(secret_key, "django.contrib.sessions.SessionStore")
    }

    /// The cookies of the backend `signed_cookies`.
    pub fn cookies(secret_key: Secret) -> Self {
        Self::new(secret_key, "django.contrib.sessions.backends.signed_cookies")
    }

    /// A key that is still accepted besides the others: those of `SECRET_KEY_FALLBACKS`.
    pub fn with_previous(mut self, secret_key: Secret) -> Self {
        self.secrets.push(secret_key);
        self
    }

    /// How large a value may be, packed and unpacked.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The data in this value, which is JSON unless the serializer was changed. With a `max_age`, it must not have been
    /// signed longer ago.
    ///
    /// # Errors
    ///
    /// [`MalformedCookie`](SessionError::MalformedCookie): not of three parts.
    /// [`BadSignature`](SessionError::BadSignature). [`Expired`](SessionError::Expired): older than `max_age`.
    /// [`CorruptData`](SessionError::CorruptData): signed, but no such value. [`Limit`](SessionError::Limit).
    pub fn open(&self, value: &[u8], now: SystemTime, max_age: Option<Duration>) -> Result<Bytes, SessionError> {
        self.open_signed(value, now, max_age).map(|(data, _)| data)
    }

    /// The data, and the second in which they were signed.
    fn open_signed(
        &self,
        value: &[u8],
        now: SystemTime,
        max_age: Option<Duration>,
    ) -> Result<(Bytes, u64), SessionError> {
        let value = Timed::split(within(&self.limits, value)?, b':')?;
        if !self.secrets.iter().any(|secret| equal(self.signature(secret, value.signed), value.signature)) {
            return Err(SessionError::BadSignature);
        }
        let signed_at = base62(value.time).ok_or(SessionError::CorruptData)?;
        if max_age.is_some_and(|max_age| unix_seconds(now).saturating_sub(signed_at) > max_age.as_secs()) {
            return Err(SessionError::Expired);
        }
        Ok((value.unpack(&self.limits)?.into(), signed_at))
    }

    fn signature(&self, secret: &Secret, signed: &[u8]) -> String {
        let hash = Sha256::new().chain_update(&self.salt).chain_update("signer").chain_update(secret.expose());
        let key = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        URL_SAFE_NO_PAD.encode(hmac::<Sha256>(&key[..], &[signed]))
    }
}

/// Digits, capital letters, small letters.
fn base62(text: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number = number.checked_mul(62)?.checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

/// The cookie of Django's backend `signed_cookies`, which holds the session: JSON, unless the serializer was changed.
/// By default it is called `sessionid` and lives for 14 days, which is also its age limit here.
#[derive(Clone, Debug)]
pub struct DjangoCookie {
    name: String,
    signer: DjangoSigner,
    max_age: Duration,
}

impl DjangoCookie {
    /// The cookie that this signer's key was used for: [`DjangoSigner::cookies`].
    pub fn new(signer: DjangoSigner) -> Self {
        DjangoCookie { name: "sessionid".to_owned(), signer, max_age: Duration::from_secs(14 * 24 * 60 * 60) }
    }

    /// The cookie's name: `SESSION_COOKIE_NAME`.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How old a session may be, in whole seconds: `SESSION_COOKIE_AGE`.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }
}

impl Extractor for DjangoCookie {
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
        let Some(value) = credentials.cookies().get(&self.name, CookieDialect::Python) else {
            return Ok(Extracted::None);
        };
        let (data, signed_at) = self.signer.open_signed(&value, now, Some(self.max_age))?;
        Ok(Extracted::Inline { data, expires: timed::end(signed_at, self.max_age) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn signed(signer: &DjangoSigner, payload: &str, time: &str) -> String {
        let signed = format!("{payload}:{time}");
        format!("{signed}:{}", signer.signature(&signer.secrets[0], signed.as_bytes()))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn extract(cookie: &DjangoCookie, value: &str, now: SystemTime) -> Result<Extracted, SessionError> {
        cookie.extract(&Credentials::new([("cookie", format!("sessionid={value}").as_bytes())]), now)
    }

    #[test]
    fn a_number_in_base62() {
        assert_eq!(base62(b"0"), Some(0));
        assert_eq!(base62(b"Zz"), Some(35 * 62 + 61));
        assert_eq!(base62(b"1r31eq"), Some(1_700_000_000));
        for bad in [&b""[..], b"-1", b"1 ", b"zzzzzzzzzzzz"] {
            assert_eq!(base62(bad), None);
        }
    }

    #[test]
    fn values_as_django_signs_them_are_read() {
        // Made by Django 5.2 with a clock that stood still.
        let records = DjangoSigner::records(secret("a django key of our own"));
        for (value, data) in [
            (
                "eyJ1c2VyIjoiem9cdTAwZWIiLCJuIjpbMSxudWxsLDIuNV19:1r31eq:cQzKnmLz33Wn30WSXQuRN-WDcQZtJaVKnQzGJdJLN8Y",
                r#"{"user":"zo\u00eb","n":[1,null,2.5]}"#.to_owned(),
            ),
            (
                ".eJyrVipJrShRslJKTE_MzFNIzEtRgLKozFeqBQDNuiTy:1r31eq:HaqZyFz5JL2MXYc4i9xo3euJ5i15Qyn2ylTPkrORp0o",
                format!(r#"{{"text":"{}"}}"#, "again and again ".repeat(6)),
            ),
        ] {
            assert_eq!(records.open(value.as_bytes(), at(1_700_000_000), None), Ok(data.into()));
        }
        let cookie = DjangoCookie::new(DjangoSigner::cookies(secret("a django key of our own")));
        let value =
            "eyJ1c2VyIjoiem9cdTAwZWIiLCJuIjpbMSxudWxsLDIuNV19:1r31eq:4xsDxy9HEwQMjALThwp3T7JanxlDs63Jjw_IoSFktl4";
        let data = r#"{"user":"zo\u00eb","n":[1,null,2.5]}"#.into();
        let expires = Some(at(1_700_000_001) + 14 * DAY);
        let expected = Ok(Extracted::Inline { data, expires });
        assert_eq!(extract(&cookie, value, at(1_700_000_000)), expected);
        assert_eq!(extract(&cookie, value, at(1_700_000_000) + 15 * DAY), Err(SessionError::Expired));
    }

    #[test]
    fn each_of_the_keys_may_have_signed() {
        let old = DjangoSigner::cookies(secret("old"));
        let value = signed(&old, "e30", "0");
        let both = DjangoSigner::cookies(secret("new")).with_previous(secret("old"));
        assert_eq!(both.open(value.as_bytes(), at(0), None).as_deref(), Ok(&b"{}"[..]));
        let new = DjangoSigner::cookies(secret("new"));
        assert_eq!(new.open(value.as_bytes(), at(0), None), Err(SessionError::BadSignature));
    }

    #[test]
    fn what_is_not_signed_for_this_is_refused() {
        let cookie = DjangoCookie::new(DjangoSigner::cookies(secret("k")));
        let good = signed(&cookie.signer, "e30", "1");
        for bad in [
            good.replace("e30", "W10"),
            good.replace(":1:", ":2:"),
            good[..good.len() - 1].to_owned(),
            format!("{good}="),
            format!("x:{good}"),
            "::".to_owned(),
            signed(&DjangoSigner::records(secret("k")), "e30", "1"),
        ] {
            assert_eq!(extract(&cookie, &bad, at(1)), Err(SessionError::BadSignature), "{bad}");
        }
        for bad in ["", "e30", "e30:1"] {
            assert_eq!(extract(&cookie, bad, at(1)), Err(SessionError::MalformedCookie), "{bad}");
        }
        assert_eq!(cookie.extract(&Credentials::default(), at(1)), Ok(Extracted::None));
    }

    #[test]
    fn a_value_lives_for_its_age() {
        let cookie = DjangoCookie::new(DjangoSigner::cookies(secret("k"))).with_max_age(DAY);
        // "10" is 62.
        let value = signed(&cookie.signer, "e30", "10");
        let expires = Some(at(62 + 86_401));
        for now in [0, 62, 62 + 86_400] {
            let expected = Ok(Extracted::Inline { data: "{}".into(), expires });
            assert_eq!(extract(&cookie, &value, at(now)), expected, "{now}");
        }
        assert_eq!(extract(&cookie, &value, at(62 + 86_401)), Err(SessionError::Expired));
    }

    #[test]
    fn signed_rubbish_is_corrupt() {
        let signer = DjangoSigner::records(secret("k"));
        for (payload, time) in [("?", "1"), ("e30=", "1"), (".e30", "1"), (".", "1"), ("e30", ""), ("e30", "-")] {
            let value = signed(&signer, payload, time);
            assert_eq!(signer.open(value.as_bytes(), at(1), None), Err(SessionError::CorruptData), "{value}");
        }
    }

    #[test]
    fn too_much_is_too_much_packed_or_not() {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&vec![b' '; 2 << 20]).unwrap();
        let payload = format!(".{}", URL_SAFE_NO_PAD.encode(packed.finish().unwrap()));
        let signer = DjangoSigner::records(secret("k"));
        let value = signed(&signer, &payload, "1");
        assert_eq!(signer.open(value.as_bytes(), at(1), None), Err(SessionError::Limit));
        let small =
            signer.with_limits(Limits { max_input: value.len() - 1, max_inflated: 4 << 20, ..Limits::default() });
        assert_eq!(small.open(value.as_bytes(), at(1), None), Err(SessionError::Limit));
    }
}
