//! A cookie that is the id.

use super::{CookieDialect, Credentials, Extracted, Extractor};
use crate::{IdPolicy, SessionError};
use std::time::SystemTime;

/// A cookie whose value is the session's id, and nothing besides.
#[derive(Clone, Debug)]
pub struct Plain {
    name: String,
    policy: IdPolicy,
    dialect: CookieDialect,
}

impl Plain {
    /// The cookie of this name, with ids that look like this, read as this front end does.
    pub fn new(name: impl Into<String>, policy: IdPolicy, dialect: CookieDialect) -> Self {
        Plain { name: name.into(), policy, dialect }
    }

    /// That of PHP's session module, and of Symfony: by the name that `session.name` says, `PHPSESSID` if nothing.
    pub fn php(name: impl Into<String>) -> Self {
        Self::new(name, IdPolicy::php(), CookieDialect::Php)
    }

    /// That of Django with a store, by the name of `SESSION_COOKIE_NAME`, `sessionid` if nothing.
    pub fn django(name: impl Into<String>) -> Self {
        Self::new(name, IdPolicy::django(), CookieDialect::Python)
    }

    /// That of tower-sessions, neither signed nor private; by default it is called `id`.
    pub fn tower(name: impl Into<String>) -> Self {
        Self::new(name, IdPolicy::tower(), CookieDialect::Rust)
    }
}

impl Extractor for Plain {
    /// An empty cookie is none, as all but tower-sessions take it.
    fn extract(&self, credentials: &Credentials<'_>, _now: SystemTime) -> Result<Extracted, SessionError> {
        match credentials.cookies().get(&self.name, self.dialect) {
            None => Ok(Extracted::None),
            Some(value) if value.is_empty() && self.dialect != CookieDialect::Rust => Ok(Extracted::None),
            Some(value) => self.policy.check(&value).map(Extracted::Id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(extractor: &Plain, header: &str) -> Result<Extracted, SessionError> {
        extractor.extract(&Credentials::new([("cookie", header.as_bytes())]), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_cookies_value_is_the_id() {
        let id = IdPolicy::php().check(b"abc,def").unwrap();
        assert_eq!(extract(&Plain::php("PHPSESSID"), "PHPSESSID=abc%2Cdef"), Ok(Extracted::Id(id)));
    }

    #[test]
    fn no_cookie_and_an_empty_one_are_no_session() {
        assert_eq!(extract(&Plain::php("PHPSESSID"), "phpsessid=abc"), Ok(Extracted::None));
        assert_eq!(extract(&Plain::php("PHPSESSID"), "PHPSESSID="), Ok(Extracted::None));
        assert_eq!(extract(&Plain::django("sessionid"), "sessionid="), Ok(Extracted::None));
        assert_eq!(extract(&Plain::tower("id"), "id="), Err(SessionError::InvalidId));
    }

    #[test]
    fn a_cookie_that_is_no_id_names_no_session() {
        for value in ["..%2F..%2Fetc%2Fpasswd", "../x", "a%00", "\"abc\"", "abc ", "%zz"] {
            assert_eq!(extract(&Plain::php("s"), &format!("s={value}; x=1")), Err(SessionError::InvalidId), "{value}");
        }
        assert_eq!(extract(&Plain::tower("id"), "id=AAAAAAAAAAAAAAAAAAAAAB"), Err(SessionError::InvalidId));
    }
}
