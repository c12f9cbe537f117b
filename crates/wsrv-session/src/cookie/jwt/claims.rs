//! What a token must say about itself before it is believed.

use crate::SessionError;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// The claims that are looked at here (RFC 7519 §4.1). The others are the application's.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: f64,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// The claims in this JSON.
    pub(super) fn parse(json: &[u8]) -> Result<Self, SessionError> {
        serde_json::from_slice(json).map_err(|error| match error.classify() {
            // JSON, but without `exp`, or with a claim of a type that it does not have.
            serde_json::error::Category::Data => SessionError::MalformedCookie,
            _ => SessionError::CorruptData,
        })
    }

    /// Whether it is between `nbf` and `exp`, give or take the leeway. All in seconds.
    pub(super) fn check_time(&self, now: f64, leeway: f64) -> Result<(), SessionError> {
        let is_current = now - leeway < self.exp && self.nbf.is_none_or(|nbf| nbf <= now + leeway);
        if is_current { Ok(()) } else { Err(SessionError::Expired) }
    }

    /// When it is over, with the leeway. `None`: never, as far as a clock can tell.
    pub(super) fn end(&self, leeway: Duration) -> Option<SystemTime> {
        let lifetime = Duration::try_from_secs_f64(self.exp).ok()?.checked_add(leeway)?;
        SystemTime::UNIX_EPOCH.checked_add(lifetime)
    }

    /// Whether it is from this issuer and for this audience. A token for somebody is not for a reader that says nothing
    /// of who it is (RFC 7519 §4.1.3).
    pub(super) fn check_parties(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), SessionError> {
        let is_from = issuer.is_none_or(|issuer| self.iss.as_deref() == Some(issuer));
        let is_for = match (&self.aud, audience) {
            (None, None) => true,
            (Some(Audience::One(one)), Some(audience)) => one == audience,
            (Some(Audience::Many(many)), Some(audience)) => many.iter().any(|one| one == audience),
            _ => false,
        };
        if is_from && is_for { Ok(()) } else { Err(SessionError::BadSignature) }
    }
}
