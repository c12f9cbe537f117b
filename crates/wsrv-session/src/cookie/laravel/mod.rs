//! Laravel: cookies that are encrypted, with an id or with the session in them.

mod envelope;

pub use envelope::{LaravelCipher, LaravelKeys};

use super::{CookieDialect, Credentials, Extracted, Extractor, unix_seconds, within};
use crate::{IdPolicy, Limits, SessionError, SessionId};
use bytes::Bytes;
use serde::Deserialize;
use std::time::SystemTime;

/// Laravel's session cookie, which holds the id, encrypted.
///
/// By default it is called `laravel_session`. Since version 12 new applications call it by their own name with `-session`
/// behind it; `SESSION_COOKIE` tells.
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

    /// The session is in a second cookie, with the id as its name: `SESSION_DRIVER=cookie`. What is found is the session
    /// then, and not its id.
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
    fn cookie(&self, credentials: &Credentials<'_>, name: &str) -> Result<Option<Vec<u8>>, SessionError> {
        let value = credentials.cookies().get(name, CookieDialect::Php);
        value.map(|value| self.keys.open_cookie(name, within(&self.limits, &value)?)).transpose()
    }

    fn data(&self, credentials: &Credentials<'_>, id: &SessionId, now: SystemTime) -> Result<Extracted, SessionError> {
        match self.cookie(credentials, id.as_str())? {
            Some(record) => cookie_record(&record, now).map(Extracted::Inline),
            None => Ok(Extracted::None),
        }
    }
}

impl Extractor for LaravelCookie {
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
        let Some(id) = self.cookie(credentials, &self.name)? else { return Ok(Extracted::None) };
        let id = IdPolicy::laravel().check(&id)?;
        if self.in_cookie { self.data(credentials, &id, now) } else { Ok(Extracted::Id(id)) }
    }
}

/// The session in what the driver `cookie` writes: JSON of the session's text, and of the second after which it is over.
fn cookie_record(json: &[u8], now: SystemTime) -> Result<Bytes, SessionError> {
    #[derive(Deserialize)]
    struct Record {
        data: String,
        expires: u64,
    }
    let record: Record = serde_json::from_slice(json).map_err(|_| SessionError::CorruptData)?;
    if unix_seconds(now) > record.expires { Err(SessionError::Expired) } else { Ok(record.data.into()) }
}

#[cfg(test)]
mod tests {
    use super::envelope::testing::{keys, seal_cookie};
    use super::*;
    use std::time::Duration;

    const ID: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNOPQRST";

    fn extract(cookie: &LaravelCookie, header: &str, now: u64) -> Result<Extracted, SessionError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        cookie.extract(&Credentials::new([("cookie", header.as_bytes())]), now)
    }

    #[test]
    fn the_cookie_holds_the_id() {
        let expected = IdPolicy::laravel().check(ID.as_bytes()).map(Extracted::Id);
        for cipher in LaravelCipher::ALL {
            let value = seal_cookie(cipher, 1, "laravel_session", ID.as_bytes());
            let cookie = LaravelCookie::new(keys(cipher, 1));
            assert_eq!(extract(&cookie, &format!("a=b; laravel_session={}", value.replace('=', "%3D")), 0), expected);
            assert_eq!(extract(&cookie, &format!("laravel_session={value}"), 0), expected);
            assert_eq!(extract(&cookie, &format!("laravel-session={value}"), 0), Ok(Extracted::None));
        }
    }

    #[test]
    fn an_encrypted_text_that_is_no_id_is_refused() {
        let cipher = LaravelCipher::Aes256Cbc;
        for text in ["", "../../../../../../../../../../../etc/passwd", &ID[1..], "a:1:{s:3:\"_id\"}"] {
            let header = format!("laravel_session={}", seal_cookie(cipher, 1, "laravel_session", text.as_bytes()));
            assert_eq!(
                extract(&LaravelCookie::new(keys(cipher, 1)), &header, 0),
                Err(SessionError::InvalidId),
                "{text}"
            );
        }
    }

    #[test]
    fn the_driver_cookie_keeps_the_session_in_a_second_cookie() {
        let cipher = LaravelCipher::Aes256Cbc;
        let first = format!("app={}", seal_cookie(cipher, 1, "app", ID.as_bytes()));
        let second = |json: &str| format!("{first}; {ID}={}", seal_cookie(cipher, 1, ID, json.as_bytes()));
        let cookie = LaravelCookie::new(keys(cipher, 1)).with_name("app").with_cookie_driver();
        let good = second(r#"{"data":"a:1:{s:1:\"k\";i:1;}","expires":1000}"#);
        let data = Ok(Extracted::Inline(r#"a:1:{s:1:"k";i:1;}"#.into()));
        assert_eq!(extract(&cookie, &good, 1000), data);
        assert_eq!(extract(&cookie, &good, 1001), Err(SessionError::Expired));
        assert_eq!(extract(&cookie, &first, 0), Ok(Extracted::None));
        for bad in ["", "x", "[]", r#"{"data":"x"}"#, r#"{"data":1,"expires":1000}"#, r#"{"data":"x","expires":-1}"#] {
            assert_eq!(extract(&cookie, &second(bad), 0), Err(SessionError::CorruptData), "{bad}");
        }
        // The session of another id, under this one.
        let other = format!("{first}; {ID}={}", seal_cookie(cipher, 1, &ID.to_lowercase(), b"{}"));
        assert_eq!(extract(&cookie, &other, 0), Err(SessionError::BadSignature));
    }

    #[test]
    fn too_long_a_cookie_is_not_looked_at() {
        let cipher = LaravelCipher::Aes256Gcm;
        let value = seal_cookie(cipher, 1, "laravel_session", ID.as_bytes());
        let limits = Limits { max_input: value.len() - 1, ..Limits::default() };
        let cookie = LaravelCookie::new(keys(cipher, 1)).with_limits(limits);
        assert_eq!(extract(&cookie, &format!("laravel_session={value}"), 0), Err(SessionError::Limit));
    }
}
