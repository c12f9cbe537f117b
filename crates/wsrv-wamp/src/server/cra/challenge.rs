//! What a client has to sign.

use crate::cra::{Grant, Salting};
use crate::server::random::random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::SystemTime;

/// The names are the protocol's. Nothing in it is secret, and no two are alike.
#[derive(Serialize)]
pub(super) struct Challenge<'a> {
    authid: String,
    authkey: &'a str,
    timestamp: String,
    sessionid: &'a str,
    extra: &'a Map<String, Value>,
    permissions: &'a Grant,
    #[serde(skip_serializing_if = "Option::is_none")]
    authextra: Option<&'a Salting>,
}

impl<'a> Challenge<'a> {
    pub(super) fn new(
        authkey: &'a str,
        sessionid: &'a str,
        extra: &'a Map<String, Value>,
        permissions: &'a Grant,
        authextra: Option<&'a Salting>,
    ) -> Self {
        // 96 bits, in the 16 characters that clients are used to.
        let authid = URL_SAFE_NO_PAD.encode(random::<12>());
        let timestamp = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        Challenge { authid, authkey, timestamp, sessionid, extra, permissions, authextra }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("all of it is JSON")
    }
}
