//! What WAMP-CRA computes: keys from passwords, and signatures of challenges.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;

/// The key of a salted secret: PBKDF2 with HMAC-SHA256, in base64. That text is the key, not the bytes behind it.
///
/// It costs as many hashes as there are iterations, for each 32 bytes of `key_len`.
pub(crate) fn derive_key(secret: &str, salt: &str, iterations: u32, key_len: usize) -> String {
    let mut key = vec![0; key_len];
    pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt.as_bytes(), iterations, &mut key);
    STANDARD.encode(key)
}

/// The signature of a challenge, exactly as it was received: HMAC-SHA256, in base64.
pub(crate) fn sign(key: &str, challenge: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(challenge.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected values were computed with Python's hashlib, and are those of Autobahn 0.8.15.
    const CHALLENGE: &str = r#"{"authid": "gDkGlrOLTjwHbmyN", "authkey": "bob", "timestamp": "2014-01-01T00:00:00.000Z", "sessionid": "v59mbCGDXZ7WTyxB", "extra": {}, "permissions": {"pubsub": [], "rpc": []}, "authextra": {"salt": "RANDOM SALT", "keylen": 32, "iterations": 1000}}"#;

    #[test]
    fn keys_are_derived_as_by_autobahn() {
        let key = derive_key("pa55word", "RANDOM SALT", 1000, 32);
        assert_eq!(key, "X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA=");
    }

    #[test]
    fn challenges_are_signed_as_by_autobahn() {
        for (key, signature) in [
            ("X7SEUkmrQ5sfKuMwQKJ+0vtX8WrQQsVLvoVLptUXZWA=", "6SYt2EolWN7jJZyTGuUj2xWTEF62NRE0IQ8GrgY/NTs="),
            ("secret123", "h23dk5z4INN3AuxI9Nh6OrtR8DADN5/A7guiRIFJPac="),
            ("", "l7XSYzDMEO9TN5LWMs0g82Ie9LS/C4HMBUmBMAXRCig="),
        ] {
            assert_eq!(sign(key, CHALLENGE), signature, "{key}");
        }
    }
}
