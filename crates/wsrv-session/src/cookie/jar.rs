//! Cookies that the crate `cookie` has signed or encrypted, as tower-sessions uses it.

use super::{CookieDialect, Credentials, Extracted, Extractor, InvalidKey, Secret};
use crate::{IdPolicy, SessionError};
use cookie::{Cookie, CookieJar, Key};
use std::time::SystemTime;

/// A signed or private cookie of the crate `cookie`, with an id in it: that of tower-sessions, which by default is
/// called `id`.
#[derive(Clone, Debug)]
pub struct JarCookie {
    name: String,
    key: Secret,
    private: bool,
    policy: IdPolicy,
}

impl JarCookie {
    /// A cookie that is signed with the key that `cookie::Key::from` makes of these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Length`]: it has less than 64 bytes.
    pub fn signed(key: Secret) -> Result<Self, InvalidKey> {
        Self::new(key, false)
    }

    /// A cookie that is encrypted with the key that `cookie::Key::from` makes of these bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Length`]: it has less than 64 bytes.
    pub fn private(key: Secret) -> Result<Self, InvalidKey> {
        Self::new(key, true)
    }

    fn new(key: Secret, private: bool) -> Result<Self, InvalidKey> {
        // It is kept as a secret, which is wiped, and made into a key when it is used.
        Key::try_from(key.expose()).map_err(|_| InvalidKey::Length)?;
        Ok(JarCookie { name: "id".to_owned(), key, private, policy: IdPolicy::tower() })
    }

    /// The cookie's name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How ids look. By default, as tower-sessions makes them.
    pub fn with_policy(mut self, policy: IdPolicy) -> Self {
        self.policy = policy;
        self
    }

    fn open(&self, value: &str) -> Option<String> {
        let key = Key::try_from(self.key.expose()).ok()?;
        let mut jar = CookieJar::new();
        jar.add_original(Cookie::new(self.name.clone(), value.to_owned()));
        let opened = if self.private { jar.private(&key).get(&self.name) } else { jar.signed(&key).get(&self.name) };
        opened.map(|cookie| cookie.value().to_owned())
    }
}

impl Extractor for JarCookie {
    fn extract(&self, credentials: &Credentials<'_>, _now: SystemTime) -> Result<Extracted, SessionError> {
        let Some(value) = credentials.cookies().get(&self.name, CookieDialect::Rust) else {
            return Ok(Extracted::None);
        };
        let opened = str::from_utf8(&value).ok().and_then(|value| self.open(value));
        self.policy.check(opened.ok_or(SessionError::BadSignature)?.as_bytes()).map(Extracted::Id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AQIDBAUGBwgJCgsMDQ4PEA";

    fn secret(byte: u8) -> Secret {
        Secret::new([byte; 64]).unwrap()
    }

    fn both(byte: u8) -> [JarCookie; 2] {
        [JarCookie::signed(secret(byte)).unwrap(), JarCookie::private(secret(byte)).unwrap()]
    }

    /// As a server makes it for this extractor.
    fn made(extractor: &JarCookie, name: &'static str, value: &'static str) -> String {
        let (key, mut jar) = (Key::from(extractor.key.expose()), CookieJar::new());
        if extractor.private {
            jar.private_mut(&key).add((name, value));
        } else {
            jar.signed_mut(&key).add((name, value));
        }
        jar.get(name).unwrap().value().to_owned()
    }

    fn extract(extractor: &JarCookie, value: &str) -> Result<Extracted, SessionError> {
        extractor.extract(&Credentials::new([("cookie", format!("id={value}").as_bytes())]), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn what_the_crate_makes_is_read_encoded_or_not() {
        for extractor in both(7) {
            let expected = IdPolicy::tower().check(ID.as_bytes()).map(Extracted::Id);
            let value = made(&extractor, "id", ID);
            assert_eq!(extract(&extractor, &value), expected);
            assert_eq!(extract(&extractor, &value.replace('=', "%3D").replace('+', "%2B")), expected);
        }
    }

    #[test]
    fn all_else_is_refused() {
        for (extractor, other) in both(7).into_iter().zip(both(8)) {
            let good = made(&extractor, "id", ID);
            let changed = if good.starts_with('A') { good.replacen('A', "B", 1) } else { format!("A{}", &good[1..]) };
            for bad in [&changed, &good[..30], ID, "", "%ff", &made(&other, "id", ID)] {
                assert_eq!(extract(&extractor, bad), Err(SessionError::BadSignature), "{bad}");
            }
            assert_eq!(extractor.extract(&Credentials::default(), SystemTime::UNIX_EPOCH), Ok(Extracted::None));
        }
        // What is encrypted is bound to its name.
        let [_, private] = both(7);
        assert_eq!(extract(&private, &made(&private, "other", ID)), Err(SessionError::BadSignature));
    }

    #[test]
    fn a_signed_text_that_is_no_id_is_refused() {
        for extractor in both(7) {
            for text in ["", "../../etc/passwd", "AQIDBAUGBwgJCgsMDQ4PEB"] {
                let value = made(&extractor, "id", text);
                assert_eq!(extract(&extractor, &value), Err(SessionError::InvalidId), "{text}");
            }
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(matches!(JarCookie::signed(Secret::new([1; 63]).unwrap()), Err(InvalidKey::Length)));
    }
}
