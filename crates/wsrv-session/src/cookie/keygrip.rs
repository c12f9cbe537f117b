//! cookie-session: the data in one cookie, their signature in another.

use super::mac::{equal, hmac};
use super::{CookieDialect, Credentials, Extracted, Extractor, Secret, within};
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha1::Sha1;
use std::time::SystemTime;

/// The cookies of cookie-session for express, signed by keygrip: the session as base64 of JSON, and under the same name
/// with `.sig` behind it the signature, by HMAC-SHA1. By default they are called `session` and `session.sig`.
///
/// What is found is the base64. There is no time in it: such a session ends when the browser forgets it.
#[derive(Clone, Debug)]
pub struct KeygripCookie {
    name: String,
    keys: Vec<Secret>,
    limits: Limits,
}

impl KeygripCookie {
    /// The cookies that are signed with this key.
    pub fn new(key: Secret) -> Self {
        KeygripCookie { name: "session".to_owned(), keys: vec![key], limits: Limits::default() }
    }

    /// A key that is still accepted besides the others.
    pub fn with_previous(mut self, key: Secret) -> Self {
        self.keys.push(key);
        self
    }

    /// The first cookie's name: the option `name`.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How large the session may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Extractor for KeygripCookie {
    /// An empty cookie is none, as for cookie-session.
    fn extract(&self, credentials: &Credentials<'_>, _now: SystemTime) -> Result<Extracted, SessionError> {
        let cookie = |name: &str| credentials.cookies().get(name, CookieDialect::Keygrip);
        let value = match cookie(&self.name) {
            Some(value) if !value.is_empty() => within(&self.limits, value)?,
            _ => return Ok(Extracted::None),
        };
        let signature = cookie(&format!("{}.sig", self.name)).ok_or(SessionError::BadSignature)?;
        let fits = |key: &Secret| {
            let computed = hmac::<Sha1>(key.expose(), &[self.name.as_bytes(), b"=", &value]);
            equal(URL_SAFE_NO_PAD.encode(computed), &signature)
        };
        if !self.keys.iter().any(fits) {
            return Err(SessionError::BadSignature);
        }
        Ok(Extracted::Inline { data: Bytes::copy_from_slice(&value), expires: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extractor(key: &str) -> KeygripCookie {
        KeygripCookie::new(Secret::new(key).unwrap())
    }

    fn signed(name: &str, value: &str, key: &str) -> String {
        let signature = URL_SAFE_NO_PAD.encode(hmac::<Sha1>(key.as_bytes(), &[format!("{name}={value}").as_bytes()]));
        format!("{name}={value}; {name}.sig={signature}")
    }

    fn extract(extractor: &KeygripCookie, header: &str) -> Result<Extracted, SessionError> {
        extractor.extract(&Credentials::new([("cookie", header.as_bytes())]), SystemTime::UNIX_EPOCH)
    }

    fn data(text: &'static str) -> Result<Extracted, SessionError> {
        Ok(Extracted::Inline { data: text.into(), expires: None })
    }

    #[test]
    fn cookies_as_keygrip_signs_them_are_read() {
        // Made by keygrip 1.1, as cookie-session uses it.
        let header = "session=eyJ1c2VyIjoiem/DqyIsIm4iOlsxLG51bGxdfQ==; session.sig=YKLnOP5plxsKYwMS0mVtUHtNckA";
        assert_eq!(extract(&extractor("a key of our own"), header), data("eyJ1c2VyIjoiem/DqyIsIm4iOlsxLG51bGxdfQ=="));
    }

    #[test]
    fn each_of_the_keys_may_have_signed() {
        let extractor = extractor("new").with_previous(Secret::new("old").unwrap());
        for key in ["new", "old"] {
            assert_eq!(extract(&extractor, &signed("session", "eyJhIjoxfQ==", key)), data("eyJhIjoxfQ=="));
        }
        assert_eq!(extract(&extractor, &signed("session", "e30=", "older")), Err(SessionError::BadSignature));
    }

    #[test]
    fn what_is_not_signed_so_is_refused() {
        let good = signed("session", "e30=", "k");
        for bad in [
            "session=e30=".to_owned(),
            "session=e30=; session.sig=".to_owned(),
            good.replace("e30", "W10"),
            good[..good.len() - 1].to_owned(),
            format!("{good}="),
            // The signature of another cookie's name.
            signed("other", "e30=", "k").replace("other", "session"),
        ] {
            assert_eq!(extract(&extractor("k"), &bad), Err(SessionError::BadSignature), "{bad}");
        }
    }

    #[test]
    fn no_cookie_is_no_session() {
        for header in ["", "session=", "session.sig=abc"] {
            assert_eq!(extract(&extractor("k"), header), Ok(Extracted::None), "{header}");
        }
    }

    #[test]
    fn too_long_a_cookie_is_not_looked_at() {
        let extractor = extractor("k").with_limits(Limits { max_input: 3, ..Limits::default() });
        assert_eq!(extract(&extractor, &signed("session", "e30=", "k")), Err(SessionError::Limit));
    }
}
