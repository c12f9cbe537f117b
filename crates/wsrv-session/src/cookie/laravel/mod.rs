//! Laravel: cookies that are encrypted, with an id or with the session in them.

mod envelope;

pub use envelope::{LaravelCipher, LaravelKeys};

use super::{CookieDialect, Credentials, Extracted, Extractor, within};
use crate::{IdPolicy, Limits, SessionError};
use bytes::Bytes;
use std::time::SystemTime;

/// Laravel's session cookie, which holds the id, encrypted.
///
/// By default it is called `laravel_session`. Since version 12 new applications call it by their own name with
/// `-session` behind it; `SESSION_COOKIE` tells.
#[derive(Clone, Debug)]
pub struct LaravelCookie {
    name: String,
    keys: LaravelKeys,
    in_cookie: bool,
    limits: Limits,
}

impl LaravelCookie {
    /// The cookie that is encrypted with these keys.
    pub fn new(keys: LaravelKeys) -> Self {
        LaravelCookie { name: "laravel_session".to_owned(), keys, in_cookie: false, limits: Limits::default() }
    }

    /// The cookie's name: `SESSION_COOKIE`.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The session is in a second cookie, with the id as its name: `SESSION_DRIVER=cookie`. What is found is the
    /// session then, and not its id: JSON of the session's text and of the second after which it is over.
    pub fn with_cookie_driver(mut self) -> Self {
        self.in_cookie = true;
        self
    }

    /// How large a cookie may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The decrypted content of the cookie with this name.
    fn cookie(&self, credentials: &Credentials<'_>, name: &str) -> Result<Option<Bytes>, SessionError> {
        let value = credentials.cookies().get(name, CookieDialect::Php);
        value.map(|value| self.keys.open_cookie(name, within(&self.limits, &value)?)).transpose()
    }
}

impl Extractor for LaravelCookie {
    fn extract(&self, credentials: &Credentials<'_>, _now: SystemTime) -> Result<Extracted, SessionError> {
        let Some(id) = self.cookie(credentials, &self.name)? else { return Ok(Extracted::None) };
        let id = IdPolicy::laravel().check(&id)?;
        if !self.in_cookie {
            return Ok(Extracted::Id(id));
        }
        let data = self.cookie(credentials, id.as_str())?;
        // Its end is inside, where the codec finds it.
        Ok(data.map_or(Extracted::None, |data| Extracted::Inline { data, expires: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::envelope::testing::{keys, seal_cookie};
    use super::*;

    const ID: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNOPQRST";

    fn extract(cookie: &LaravelCookie, header: &str) -> Result<Extracted, SessionError> {
        cookie.extract(&Credentials::new([("cookie", header.as_bytes())]), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_cookie_holds_the_id() {
        let expected = IdPolicy::laravel().check(ID.as_bytes()).map(Extracted::Id);
        for cipher in LaravelCipher::ALL {
            let value = seal_cookie(cipher, 1, "laravel_session", ID.as_bytes());
            let cookie = LaravelCookie::new(keys(cipher, 1));
            assert_eq!(extract(&cookie, &format!("a=b; laravel_session={}", value.replace('=', "%3D"))), expected);
            assert_eq!(extract(&cookie, &format!("laravel_session={value}")), expected);
            assert_eq!(extract(&cookie, &format!("laravel-session={value}")), Ok(Extracted::None));
        }
    }

    #[test]
    fn an_encrypted_text_that_is_no_id_is_refused() {
        let cipher = LaravelCipher::Aes256Cbc;
        for text in ["", "../../../../../../../../../../../etc/passwd", &ID[1..], "a:1:{s:3:\"_id\"}"] {
            let header = format!("laravel_session={}", seal_cookie(cipher, 1, "laravel_session", text.as_bytes()));
            assert_eq!(extract(&LaravelCookie::new(keys(cipher, 1)), &header), Err(SessionError::InvalidId), "{text}");
        }
    }

    #[test]
    fn the_driver_cookie_keeps_the_session_in_a_second_cookie() {
        let cipher = LaravelCipher::Aes256Cbc;
        let cookie = LaravelCookie::new(keys(cipher, 1)).with_name("app").with_cookie_driver();
        let first = format!("app={}", seal_cookie(cipher, 1, "app", ID.as_bytes()));
        let record = r#"{"data":"a:0:{}","expires":1000}"#;
        let second = |name: &str, number| format!("{ID}={}", seal_cookie(cipher, number, name, record.as_bytes()));
        let both = format!("{}; {first}", second(ID, 1));
        assert_eq!(extract(&cookie, &both), Ok(Extracted::Inline { data: record.into(), expires: None }));
        assert_eq!(extract(&cookie, &first), Ok(Extracted::None));
        assert_eq!(extract(&cookie, &second(ID, 1)), Ok(Extracted::None));
        // The session of another id under this one, and one of another application.
        for bad in [second(&ID.to_lowercase(), 1), second(ID, 2)] {
            assert_eq!(extract(&cookie, &format!("{first}; {bad}")), Err(SessionError::BadSignature));
        }
    }

    #[test]
    fn too_long_a_cookie_is_not_looked_at() {
        let cipher = LaravelCipher::Aes256Gcm;
        let value = seal_cookie(cipher, 1, "laravel_session", ID.as_bytes());
        let limits = Limits { max_input: value.len() - 1, ..Limits::default() };
        let cookie = LaravelCookie::new(keys(cipher, 1)).with_limits(limits);
        assert_eq!(extract(&cookie, &format!("laravel_session={value}")), Err(SessionError::Limit));
    }
}
