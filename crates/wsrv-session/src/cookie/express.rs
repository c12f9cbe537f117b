//! express-session: a signed id.

use super::mac::{equal, hmac};
use super::{CookieDialect, Credentials, Extracted, Extractor, Secret};
use crate::{IdPolicy, SessionError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Sha256;
use std::time::SystemTime;

/// The cookie of express-session: `s:`, the id, `.` and its signature.
///
/// By default it is called `connect.sid`, and ids look like [`IdPolicy::express`] says. An application with a `genid`
/// of its own may need another policy: express signs any text, also `../../etc/passwd`.
#[derive(Clone, Debug)]
pub struct ExpressCookie {
    name: String,
    secrets: Vec<Secret>,
    policy: IdPolicy,
}

impl ExpressCookie {
    /// The cookie that is signed with this secret.
    pub fn new(secret: Secret) -> Self {
        ExpressCookie { name: "connect.sid".to_owned(), secrets: vec![secret], policy: IdPolicy::express() }
    }

    /// A secret that is still accepted besides the others.
    pub fn with_previous(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The cookie's name: the option `name`.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How ids look.
    pub fn with_policy(mut self, policy: IdPolicy) -> Self {
        self.policy = policy;
        self
    }

    fn open(&self, value: &[u8]) -> Result<Extracted, SessionError> {
        let signed = value.strip_prefix(b"s:").ok_or(SessionError::MalformedCookie)?;
        let dot = signed.iter().rposition(|&byte| byte == b'.').ok_or(SessionError::BadSignature)?;
        let (id, signature) = (&signed[..dot], &signed[dot + 1..]);
        let fits = |secret: &Secret| equal(STANDARD_NO_PAD.encode(hmac::<Sha256>(secret.expose(), &[id])), signature);
        if !self.secrets.iter().any(fits) {
            return Err(SessionError::BadSignature);
        }
        self.policy.check(id).map(Extracted::Id)
    }
}

impl Extractor for ExpressCookie {
    /// An empty cookie is none, as for express.
    fn extract(&self, credentials: &Credentials<'_>, _now: SystemTime) -> Result<Extracted, SessionError> {
        match credentials.cookies().get(&self.name, CookieDialect::Node) {
            Some(value) if !value.is_empty() => self.open(&value),
            _ => Ok(Extracted::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extractor(secret: &str) -> ExpressCookie {
        ExpressCookie::new(Secret::new(secret).unwrap())
    }

    fn signed(id: &str, secret: &str) -> String {
        let signature = STANDARD_NO_PAD.encode(hmac::<Sha256>(secret.as_bytes(), &[id.as_bytes()]));
        format!("connect.sid=s%3A{id}.{}", signature.replace('+', "%2B").replace('/', "%2F"))
    }

    fn extract(extractor: &ExpressCookie, header: &str) -> Result<Extracted, SessionError> {
        extractor.extract(&Credentials::new([("cookie", header.as_bytes())]), SystemTime::UNIX_EPOCH)
    }

    fn id(text: &str) -> Result<Extracted, SessionError> {
        IdPolicy::express().check(text.as_bytes()).map(Extracted::Id)
    }

    #[test]
    fn a_cookie_as_express_makes_it_is_read() {
        // Made by cookie-signature 1.2 and cookie 0.7, which express-session uses.
        let header = "a=b; connect.sid=s%3Aq0-T_zJbkWv3.ZdYvig19yRiofpfgphFjhr44yztCXtfa%2B9gI%2B9PZUEk";
        assert_eq!(extract(&extractor("garden gnome"), header), id("q0-T_zJbkWv3"));
    }

    #[test]
    fn each_of_the_secrets_may_have_signed() {
        let extractor = extractor("new").with_previous(Secret::new("old").unwrap());
        for secret in ["new", "old"] {
            assert_eq!(extract(&extractor, &signed("abc", secret)), id("abc"));
        }
        assert_eq!(extract(&extractor, &signed("abc", "older")), Err(SessionError::BadSignature));
    }

    #[test]
    fn what_is_not_signed_so_is_refused() {
        let good = signed("abc", "k");
        let extractor = extractor("k");
        for bad in [
            good.replace("abc", "abd"),
            good[..good.len() - 1].to_owned(),
            format!("{good}%3D"),
            format!("{good}A"),
            "connect.sid=s%3Aabc".to_owned(),
            "connect.sid=s%3Aabc.".to_owned(),
            "connect.sid=s%3A".to_owned(),
        ] {
            assert_eq!(extract(&extractor, &bad), Err(SessionError::BadSignature), "{bad}");
        }
        assert_eq!(extract(&extractor, "connect.sid=abc"), Err(SessionError::MalformedCookie));
        assert_eq!(extract(&extractor, "connect.sid="), Ok(Extracted::None));
        assert_eq!(extract(&extractor, "connect_sid=x"), Ok(Extracted::None));
    }

    #[test]
    fn a_signed_text_that_is_no_id_is_refused() {
        for text in ["", "..", "../../etc/passwd", "a.b", "a b"] {
            assert_eq!(extract(&extractor("k"), &signed(text, "k")), Err(SessionError::InvalidId), "{text}");
        }
    }

    #[test]
    fn the_last_dot_divides() {
        let extractor = extractor("k").with_policy(IdPolicy::custom("ab.", 1..=9)).with_name("sid");
        let header = signed("a.b", "k").replace("connect.sid", "sid");
        let expected = IdPolicy::custom("ab.", 1..=9).check(b"a.b").map(Extracted::Id);
        assert_eq!(extract(&extractor, &header), expected);
    }
}
