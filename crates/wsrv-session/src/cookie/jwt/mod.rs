//! JSON Web Tokens (RFC 7519), signed.

mod claims;
mod key;
#[cfg(test)]
mod tests;

pub use key::JwtKey;

use super::{CookieDialect, Credentials, Extracted, Extractor, within};
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claims::Claims;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// A signed JSON Web Token. The session is its claims, as JSON.
///
/// Which algorithms count is said by the keys, never by the token: it must name that of the key that fits it. It must
/// have an `exp` that is not over and, if it has one, an `nbf` that is. Extensions that it declares critical (`crit`)
/// are not known here, so it is refused then (RFC 7515 §4.1.11). Encrypted tokens are not read.
///
/// Where to look for the token is to be said, or nobody is found; the first place where there is one counts.
///
/// ```
/// # use wsrv_session::cookie::{Jwt, JwtKey, Secret};
/// let key = JwtKey::hs256(Secret::new("32 random bytes from the configuration")?);
/// let tokens = Jwt::new(key).bearer().cookie("token").with_issuer("https://login.example").with_audience("chat");
/// # Ok::<(), wsrv_session::cookie::InvalidKey>(())
/// ```
#[derive(Clone, Debug)]
pub struct Jwt {
    keys: Vec<JwtKey>,
    places: Vec<Place>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Place {
    Bearer,
    Cookie(String),
    Subprotocol(String),
}

impl Jwt {
    /// Tokens that are signed with this key. They are looked for nowhere yet: add at least one of
    /// [`bearer`](Jwt::bearer), [`cookie`](Jwt::cookie) and [`subprotocol`](Jwt::subprotocol).
    pub fn new(key: JwtKey) -> Self {
        Jwt {
            keys: vec![key],
            places: Vec::new(),
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
            limits: Limits::default(),
        }
    }

    /// A key that is accepted besides the others.
    pub fn with_key(mut self, key: JwtKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Looks for a token in `Authorization: Bearer`. Pages cannot send that with a WebSocket, other clients can.
    pub fn bearer(mut self) -> Self {
        self.places.push(Place::Bearer);
        self
    }

    /// Looks for a token in the cookie of this name.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.places.push(Place::Cookie(name.into()));
        self
    }

    /// Looks for a token behind this prefix in the subprotocols that the client offers, such as `bearer.` followed by
    /// the token: a way for pages without cookies. They have to offer another subprotocol too, which the server
    /// selects.
    pub fn subprotocol(mut self, prefix: impl Into<String>) -> Self {
        self.places.push(Place::Subprotocol(prefix.into()));
        self
    }

    /// Whose tokens are accepted: their `iss`. By default anybody's who has a key.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// For whom a token must be: in its `aud`. By default, for nobody in particular: a token with an `aud` is refused
    /// then.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// By how much the clocks of this host and the issuer may differ. By default not at all.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How large a token may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn open(&self, token: &[u8], now: SystemTime) -> Result<Extracted, SessionError> {
        let token = within(&self.limits, token)?;
        let mut parts = token.splitn(4, |&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SessionError::MalformedCookie);
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| SessionError::BadSignature)?;
        let key = self.keys.iter().find(|key| key.verifies(signed, &signature)).ok_or(SessionError::BadSignature)?;
        check_header(header, key)?;
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| SessionError::CorruptData)?;
        let claims = Claims::parse(&json)?;
        claims.check_parties(self.issuer.as_deref(), self.audience.as_deref())?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        claims.check_time(since.as_secs_f64(), self.leeway.as_secs_f64())?;
        Ok(Extracted::Inline { data: json.into(), expires: claims.end(self.leeway) })
    }
}

/// Whether the header names the algorithm of this key, and nothing that would have to be understood.
fn check_header(header: &[u8], key: &JwtKey) -> Result<(), SessionError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        #[serde(flatten)]
        others: HashMap<String, IgnoredAny>,
    }
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| SessionError::MalformedCookie)?;
    let header: Header = serde_json::from_slice(&json).map_err(|_| SessionError::MalformedCookie)?;
    let is_plain = header.alg == key.algorithm() && !header.others.contains_key("crit");
    if is_plain { Ok(()) } else { Err(SessionError::BadSignature) }
}

impl Place {
    fn token<'h>(&self, credentials: &Credentials<'h>) -> Option<Cow<'h, [u8]>> {
        match self {
            Place::Bearer => credentials.bearer().map(Cow::Borrowed),
            Place::Cookie(name) => credentials.cookies().get(name, CookieDialect::Node),
            Place::Subprotocol(prefix) => {
                credentials.subprotocols().find_map(|offer| offer.strip_prefix(prefix.as_bytes())).map(Cow::Borrowed)
            }
        }
    }
}

impl Extractor for Jwt {
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError> {
        match self.places.iter().find_map(|place| place.token(credentials)) {
            Some(token) => self.open(&token, now),
            None => Ok(Extracted::None),
        }
    }
}
