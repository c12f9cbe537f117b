//! Keys and signatures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How a password becomes a key: by PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salting {
    /// What makes the keys of two equal passwords different.
    pub salt: String,
    /// How many bytes the key has. Default 32.
    #[serde(default = "default_key_len")]
    pub keylen: u32,
    /// How much work it is. Default 10,000, which was much when the protocol was made.
    #[serde(default = "default_iterations")]
    pub iterations: u32,
}

fn default_key_len() -> u32 {
    32
}

fn default_iterations() -> u32 {
    10_000
}

impl Salting {
    /// This salt with the usual length and work.
    pub fn new(salt: impl Into<String>) -> Self {
        Salting { salt: salt.into(), keylen: default_key_len(), iterations: default_iterations() }
    }

    /// Sets how many bytes the key has.
    pub fn with_key_len(mut self, bytes: u32) -> Self {
        self.keylen = bytes;
        self
    }

    /// Sets how much work it is.
    pub fn with_iterations(mut self, iterations: u32) -> Self {
        self.iterations = iterations;
        self
    }
}

/// The key that a password is turned into: base64, as text. It takes time, by intention; with a million iterations it is
/// no work for a thread that serves others.
pub fn derive_key(password: &str, salting: &Salting) -> String {
    let mut key = vec![0; salting.keylen as usize];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salting.salt.as_bytes(), salting.iterations, &mut key);
    BASE64.encode(key)
}

/// The signature of a challenge: base64 of its HMAC-SHA-256 (RFC 2104). The key is the secret, or what
/// [`derive_key`] has made of it.
pub fn sign(key: &str, challenge: &str) -> String {
    BASE64.encode(mac(key, challenge).finalize().into_bytes())
}

pub(crate) fn mac(key: &str, challenge: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length will do");
    mac.update(challenge.as_bytes());
    mac
}

/// Whether this is the signature. How long it takes tells nothing of the right one.
#[cfg(feature = "server")]
pub(crate) fn verifies(expected: Hmac<Sha256>, signature: &str) -> bool {
    BASE64.decode(signature).is_ok_and(|signature| expected.verify_slice(&signature).is_ok())
}

/// More rounds of hashing than these, about a second of work, no client does because a server says so.
const MAX_ROUNDS: u64 = 1_000_000;
/// Bytes of the key that one run of all iterations makes.
const BLOCK: u32 = 32;

/// Why a client does not answer a challenge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// It is not the JSON that a challenge is.
    #[error("not a challenge")]
    NotUnderstood(#[from] serde_json::Error),
    /// It asks for a key that takes more than a million rounds of hashing, or none.
    #[error("the challenge asks for no work, or for too much")]
    Work,
}

/// A client's answer to a challenge: its signature by this secret, from which the key is derived if the challenge wants
/// that.
///
/// # Errors
///
/// The text is no challenge, or one that would keep the client busy.
pub fn respond(challenge: &str, secret: &str) -> Result<String, ChallengeError> {
    #[derive(Deserialize)]
    struct Challenge {
        authextra: Option<AuthExtra>,
    }
    /// Without a salt there is nothing to derive.
    #[derive(Deserialize)]
    struct AuthExtra {
        salt: Option<String>,
        keylen: Option<u32>,
        iterations: Option<u32>,
    }
    let Challenge { authextra } = serde_json::from_str(challenge)?;
    let Some(AuthExtra { salt: Some(salt), keylen, iterations }) = authextra else {
        return Ok(sign(secret, challenge));
    };
    let salting = Salting {
        salt,
        keylen: keylen.unwrap_or_else(default_key_len),
        iterations: iterations.unwrap_or_else(default_iterations),
    };
    let rounds = u64::from(salting.iterations) * u64::from(salting.keylen.div_ceil(BLOCK));
    if rounds == 0 || rounds > MAX_ROUNDS {
        return Err(ChallengeError::Work);
    }
    Ok(sign(&derive_key(secret, &salting), challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signed by other implementations too.
    const CHALLENGE: &str = concat!(
        r#"{"authid": "gDkGlrOLTjwHbmyN", "authkey": "bob", "timestamp": "2014-01-01T00:00:00.000Z", "#,
        r#""sessionid": "v59mbCGDXZ7WTyxB", "extra": {}, "permissions": {"pubsub": [], "rpc": []}, "#,
        r#""authextra": {"salt": "RANDOM SALT", "keylen": 32, "iterations": 1000}}"#
    );

    #[test]
    fn a_password_becomes_the_key_that_others_make_of_it() {
        let salting = Salting::new("RANDOM SALT").with_iterations(1000);
        assert_eq!(derive_key("pa55word", &salting), "X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA=");
        assert_eq!(derive_key("pa55word", &salting.clone().with_key_len(16)).len(), 24);
        assert_ne!(
            derive_key("pa55word", &salting.with_iterations(1001)),
            "X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA="
        );
    }

    #[test]
    fn signatures_are_those_of_others() {
        for (key, signature) in [
            ("X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA=", "6SYt2EolWN7jJZyTGuUj2xWTEF62NRE0IQ8GrgY/NTs="),
            ("secret123", "h23dk5z4INN3AuxI9Nh6OrtR8DADN5/A7guiRIFJPac="),
            ("", "l7XSYzDMEO9TN5LWMs0g82Ie9LS/C4HMBUmBMAXRCig="),
        ] {
            assert_eq!(sign(key, CHALLENGE), signature, "{key}");
        }
    }

    #[test]
    fn clients_derive_a_key_if_the_challenge_wants_it() {
        let salted = respond(CHALLENGE, "pa55word").unwrap();
        assert_eq!(salted, "6SYt2EolWN7jJZyTGuUj2xWTEF62NRE0IQ8GrgY/NTs=");
        for plain in [r#"{"authid":"x"}"#, r#"{"authextra":null}"#, r#"{"authextra":{"keylen":32}}"#] {
            assert_eq!(respond(plain, "secret").unwrap(), sign("secret", plain));
        }
        let usual = respond(r#"{"authextra":{"salt":"s"}}"#, "x").unwrap();
        let full = Salting { salt: "s".into(), keylen: 32, iterations: 10_000 };
        assert_eq!(usual, sign(&derive_key("x", &full), r#"{"authextra":{"salt":"s"}}"#));
    }

    #[test]
    fn clients_refuse_what_is_no_challenge_or_would_keep_them_busy() {
        for bad in ["", "x", "[]", "7", r#"{"authextra":{"salt":"s","keylen":-1}}"#] {
            assert!(matches!(respond(bad, "x"), Err(ChallengeError::NotUnderstood(_))), "{bad}");
        }
        for work in [
            r#""iterations":1000001"#,
            r#""iterations":4294967295,"keylen":4294967295"#,
            r#""iterations":500001,"keylen":33"#,
            r#""iterations":0"#,
            r#""keylen":0"#,
        ] {
            let challenge = format!(r#"{{"authextra":{{"salt":"s",{work}}}}}"#);
            assert!(matches!(respond(&challenge, "x"), Err(ChallengeError::Work)), "{work}");
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn only_the_signature_itself_verifies() {
        let right = sign("key", "challenge");
        assert!(verifies(mac("key", "challenge"), &right));
        for wrong in
            ["", "x", &right[..43], &right[..40], &format!("{right} "), &sign("key", "other"), &sign("", "challenge")]
        {
            assert!(!verifies(mac("key", "challenge"), wrong), "{wrong}");
        }
    }
}
