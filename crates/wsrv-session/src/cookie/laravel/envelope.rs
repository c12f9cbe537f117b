//! What Laravel's encrypter makes: base64 of JSON with the cipher's text, its initialization vector, and a MAC or a
//! tag.

use crate::SessionError;
use crate::cookie::mac::{equal, hmac};
use crate::cookie::{InvalidKey, Secret};
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use aes::{Aes128, Aes256};
use aes_gcm::aead::{AeadInPlace, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::digest::Digest;
use hmac::digest::core_api::BlockSizeUser;
use serde::Deserialize;
use sha1::Sha1;
use sha2::Sha256;

/// The `cipher` of an application's configuration. Laravel's own choice is AES-256-CBC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaravelCipher {
    /// `aes-128-cbc`, with HMAC-SHA256. The key has 16 bytes.
    Aes128Cbc,
    /// `aes-256-cbc`, with HMAC-SHA256. The key has 32 bytes.
    Aes256Cbc,
    /// `aes-128-gcm`. The key has 16 bytes.
    Aes128Gcm,
    /// `aes-256-gcm`. The key has 32 bytes.
    Aes256Gcm,
}

impl LaravelCipher {
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::Aes128Cbc, Self::Aes256Cbc, Self::Aes128Gcm, Self::Aes256Gcm];

    fn key_len(self) -> usize {
        match self {
            LaravelCipher::Aes128Cbc | LaravelCipher::Aes128Gcm => 16,
            LaravelCipher::Aes256Cbc | LaravelCipher::Aes256Gcm => 32,
        }
    }
}

/// An application's keys, which open its cookies and, with `SESSION_ENCRYPT=true`, its sessions.
#[derive(Clone, Debug)]
pub struct LaravelKeys {
    cipher: LaravelCipher,
    keys: Vec<Secret>,
}

impl LaravelKeys {
    /// The key of `APP_KEY`, as it stands there: mostly `base64:` and the key in base64.
    ///
    /// # Errors
    ///
    /// It is not base64, or not of the length that the cipher's keys have.
    pub fn new(cipher: LaravelCipher, app_key: &str) -> Result<Self, InvalidKey> {
        LaravelKeys { cipher, keys: Vec::new() }.with_previous(app_key)
    }

    /// A key that is still accepted besides the others: those of `APP_PREVIOUS_KEYS`.
    ///
    /// # Errors
    ///
    /// As for [`new`](LaravelKeys::new).
    pub fn with_previous(mut self, app_key: &str) -> Result<Self, InvalidKey> {
        let key = match app_key.strip_prefix("base64:") {
            Some(encoded) => Secret::new(STANDARD.decode(encoded).map_err(|_| InvalidKey::Format)?)?,
            None => Secret::new(app_key)?,
        };
        if key.expose().len() != self.cipher.key_len() {
            return Err(InvalidKey::Length);
        }
        self.keys.push(key);
        Ok(self)
    }

    /// What was encrypted as the content of the cookie with this name. A cookie is bound to its name.
    ///
    /// # Errors
    ///
    /// [`MalformedCookie`](SessionError::MalformedCookie): no such envelope.
    /// [`BadSignature`](SessionError::BadSignature): made with another key or for another cookie, or changed.
    pub fn open_cookie(&self, name: &str, value: &[u8]) -> Result<Bytes, SessionError> {
        let (text, key) = self.open(value).map_err(|refused| match refused {
            Refused::Malformed => SessionError::MalformedCookie,
            Refused::Forged => SessionError::BadSignature,
        })?;
        let prefix = format!("{}|", hex::<Sha1>(key, &[name.as_bytes(), b"v2"]));
        match text.split_at_checked(prefix.len()) {
            Some((start, content)) if equal(prefix, start) => Ok(Bytes::copy_from_slice(content)),
            _ => Err(SessionError::BadSignature),
        }
    }

    /// What was encrypted as a session's record because of `SESSION_ENCRYPT=true`: the session as a string that PHP has
    /// serialized.
    ///
    /// # Errors
    ///
    /// [`BadSignature`](SessionError::BadSignature): made with another key, or changed.
    /// [`CorruptData`](SessionError::CorruptData): no such envelope.
    pub fn open_record(&self, record: &[u8]) -> Result<Bytes, SessionError> {
        match self.open(record) {
            Ok((text, _)) => Ok(text.into()),
            Err(Refused::Malformed) => Err(SessionError::CorruptData),
            Err(Refused::Forged) => Err(SessionError::BadSignature),
        }
    }

    /// What is in this envelope, and the key that fits it.
    fn open(&self, envelope: &[u8]) -> Result<(Vec<u8>, &Secret), Refused> {
        let json = STANDARD.decode(envelope).map_err(|_| Refused::Malformed)?;
        let envelope: Envelope = serde_json::from_slice(&json).map_err(|_| Refused::Malformed)?;
        let opened = self.keys.iter().find_map(|key| Some((envelope.open(self.cipher, key)?, key)));
        opened.ok_or(Refused::Forged)
    }
}

enum Refused {
    Malformed,
    Forged,
}

#[derive(Deserialize)]
struct Envelope {
    iv: String,
    value: String,
    mac: String,
    tag: Option<String>,
}

impl Envelope {
    /// The text in it, if this key fits and nothing was changed.
    fn open(&self, cipher: LaravelCipher, key: &Secret) -> Option<Vec<u8>> {
        match cipher {
            LaravelCipher::Aes128Cbc => self.open_cbc::<cbc::Decryptor<Aes128>>(key),
            LaravelCipher::Aes256Cbc => self.open_cbc::<cbc::Decryptor<Aes256>>(key),
            LaravelCipher::Aes128Gcm => self.open_gcm::<Aes128Gcm>(key),
            LaravelCipher::Aes256Gcm => self.open_gcm::<Aes256Gcm>(key),
        }
    }

    fn open_cbc<C: KeyIvInit + BlockDecryptMut>(&self, key: &Secret) -> Option<Vec<u8>> {
        let mac = hex::<Sha256>(key, &[self.iv.as_bytes(), self.value.as_bytes()]);
        if !equal(mac, self.mac.as_bytes()) || self.tag.as_ref().is_some_and(|tag| !tag.is_empty()) {
            return None;
        }
        let (iv, value) = (STANDARD.decode(&self.iv).ok()?, STANDARD.decode(&self.value).ok()?);
        C::new_from_slices(key.expose(), &iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(&value).ok()
    }

    fn open_gcm<C: KeyInit + AeadInPlace>(&self, key: &Secret) -> Option<Vec<u8>> {
        let (iv, mut text) = (STANDARD.decode(&self.iv).ok()?, STANDARD.decode(&self.value).ok()?);
        let iv = Nonce::<C>::from_exact_iter(iv)?;
        let tag = Tag::<C>::from_exact_iter(STANDARD.decode(self.tag.as_ref()?).ok()?)?;
        let cipher = C::new_from_slice(key.expose()).ok()?;
        cipher.decrypt_in_place_detached(&iv, b"", &mut text, &tag).ok()?;
        Some(text)
    }
}

/// An HMAC of these parts in lower-case hexadecimal digits.
fn hex<D: Digest + BlockSizeUser>(key: &Secret, parts: &[&[u8]]) -> String {
    hmac::<D>(key.expose(), parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The other half: what Laravel does.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use aes::cipher::BlockEncryptMut;

    fn key(cipher: LaravelCipher, number: u8) -> Vec<u8> {
        vec![number; cipher.key_len()]
    }

    pub(crate) fn app_key(cipher: LaravelCipher, number: u8) -> String {
        format!("base64:{}", STANDARD.encode(key(cipher, number)))
    }

    pub(crate) fn keys(cipher: LaravelCipher, number: u8) -> LaravelKeys {
        LaravelKeys::new(cipher, &app_key(cipher, number)).unwrap()
    }

    /// The JSON of an envelope.
    pub(crate) fn seal(cipher: LaravelCipher, number: u8, text: &[u8]) -> String {
        fn gcm<C: KeyInit + AeadInPlace>(key: &[u8], text: &[u8]) -> String {
            let (iv, mut text) = ([5; 12], text.to_vec());
            let iv = Nonce::<C>::from_exact_iter(iv).unwrap();
            let tag = C::new_from_slice(key).unwrap().encrypt_in_place_detached(&iv, b"", &mut text).unwrap();
            json(&iv, &text, "", &tag)
        }
        fn cbc<C: KeyIvInit + BlockEncryptMut>(key: &[u8], text: &[u8]) -> String {
            let iv = [5; 16];
            let text = C::new_from_slices(key, &iv).unwrap().encrypt_padded_vec_mut::<Pkcs7>(text);
            json(&iv, &text, &cbc_mac(key, &iv, &text), b"")
        }
        let key = key(cipher, number);
        match cipher {
            LaravelCipher::Aes128Cbc => cbc::<cbc::Encryptor<Aes128>>(&key, text),
            LaravelCipher::Aes256Cbc => cbc::<cbc::Encryptor<Aes256>>(&key, text),
            LaravelCipher::Aes128Gcm => gcm::<Aes128Gcm>(&key, text),
            LaravelCipher::Aes256Gcm => gcm::<Aes256Gcm>(&key, text),
        }
    }

    pub(crate) fn cbc_mac(key: &[u8], iv: &[u8], text: &[u8]) -> String {
        let parts = [STANDARD.encode(iv), STANDARD.encode(text)];
        hex::<Sha256>(&Secret::new(key).unwrap(), &[parts[0].as_bytes(), parts[1].as_bytes()])
    }

    pub(crate) fn json(iv: &[u8], text: &[u8], mac: &str, tag: &[u8]) -> String {
        let [iv, text, tag] = [iv, text, tag].map(|bytes| STANDARD.encode(bytes));
        format!(r#"{{"iv":"{iv}","value":"{text}","mac":"{mac}","tag":"{tag}"}}"#)
    }

    /// A cookie's value, not yet percent-encoded.
    pub(crate) fn seal_cookie(cipher: LaravelCipher, number: u8, name: &str, text: &[u8]) -> String {
        let key = Secret::new(key(cipher, number)).unwrap();
        let mut prefixed = hex::<Sha1>(&key, &[name.as_bytes(), b"v2"]).into_bytes();
        prefixed.push(b'|');
        prefixed.extend(text);
        STANDARD.encode(seal(cipher, number, &prefixed))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    fn encoded(json: &str) -> Vec<u8> {
        STANDARD.encode(json).into_bytes()
    }

    #[test]
    fn each_of_the_keys_may_have_been_used() {
        for cipher in LaravelCipher::ALL {
            let both = keys(cipher, 2).with_previous(&app_key(cipher, 1)).unwrap();
            let value = seal_cookie(cipher, 1, "sid", b"text");
            assert_eq!(both.open_cookie("sid", value.as_bytes()), Ok(Bytes::from("text")));
            assert_eq!(keys(cipher, 2).open_cookie("sid", value.as_bytes()), Err(SessionError::BadSignature));
        }
    }

    #[test]
    fn a_cookie_is_bound_to_its_name() {
        for cipher in LaravelCipher::ALL {
            let value = seal_cookie(cipher, 1, "XSRF-TOKEN", b"text");
            assert_eq!(keys(cipher, 1).open_cookie("sid", value.as_bytes()), Err(SessionError::BadSignature));
            for text in [&b""[..], b"text", &[b'a'; 40], &[b'a'; 41]] {
                let bare = encoded(&seal(cipher, 1, text));
                assert_eq!(keys(cipher, 1).open_cookie("sid", &bare), Err(SessionError::BadSignature));
            }
        }
    }

    #[test]
    fn whatever_was_changed_it_is_the_same_error() {
        for cipher in LaravelCipher::ALL {
            let good = seal(cipher, 1, b"text");
            assert_eq!(keys(cipher, 1).open_record(&encoded(&good)).as_deref(), Ok(&b"text"[..]));
            let envelope: Envelope = serde_json::from_str(&good).unwrap();
            let other = |text: &str| {
                if text.starts_with('A') { text.replacen('A', "B", 1) } else { format!("A{}", &text[1..]) }
            };
            let mut bad = vec![
                good.replace(&envelope.iv, &other(&envelope.iv)),
                good.replace(&envelope.iv, "c2hvcnQ="),
                good.replace(&envelope.iv, ""),
                good.replace(&envelope.value, &other(&envelope.value)),
                good.replace(&envelope.value, ""),
                good.replace(&envelope.value, "?"),
            ];
            if envelope.mac.is_empty() {
                let tag = envelope.tag.unwrap();
                bad.extend(
                    [other(&tag), String::new(), "AAAA".to_owned(), "?".to_owned()].map(|new| good.replace(&tag, &new)),
                );
                bad.push(good.replace(&format!(r#","tag":"{tag}""#), ""));
            } else {
                bad.extend(
                    [other(&envelope.mac), String::new(), envelope.mac.to_uppercase()]
                        .map(|new| good.replace(&envelope.mac, &new)),
                );
                bad.push(good.replace(r#""tag":"""#, r#""tag":"AAAAAAAAAAAAAAAAAAAAAA==""#));
            }
            for bad in bad {
                assert_ne!(bad, good);
                let result = keys(cipher, 1).open_record(&encoded(&bad));
                assert_eq!(result, Err(SessionError::BadSignature), "{cipher:?} {bad}");
                let result = keys(cipher, 1).open_cookie("sid", &encoded(&bad));
                assert_eq!(result, Err(SessionError::BadSignature), "{cipher:?} {bad}");
            }
        }
    }

    #[test]
    fn padding_that_the_mac_vouches_for_is_looked_at_and_not_told() {
        let (key, iv) = ([1; 32], [5; 16]);
        for text in [&[0; 16][..], &[0; 15], &[]] {
            let envelope = encoded(&json(&iv, text, &cbc_mac(&key, &iv, text), b""));
            let result = keys(LaravelCipher::Aes256Cbc, 1).open_record(&envelope);
            assert_eq!(result, Err(SessionError::BadSignature));
        }
    }

    #[test]
    fn what_is_no_envelope_is_malformed() {
        let good = seal(LaravelCipher::Aes256Cbc, 1, b"x");
        let mac = good.replace(r#""mac""#, r#""nac""#);
        for json in ["", "x", "[1,2]", "5", "{}", r#"{"iv":"","value":5,"mac":""}"#, &mac, &format!("{good}x")] {
            let keys = keys(LaravelCipher::Aes256Cbc, 1);
            assert_eq!(keys.open_cookie("sid", &encoded(json)), Err(SessionError::MalformedCookie), "{json}");
            assert_eq!(keys.open_record(&encoded(json)), Err(SessionError::CorruptData), "{json}");
        }
        assert_eq!(keys(LaravelCipher::Aes256Cbc, 1).open_cookie("sid", b"?"), Err(SessionError::MalformedCookie));
    }

    #[test]
    fn keys_are_read_as_they_are_configured() {
        let length = |cipher, key: &str| LaravelKeys::new(cipher, key).map(|keys| keys.keys[0].expose().len());
        assert_eq!(length(LaravelCipher::Aes256Cbc, &format!("base64:{}", STANDARD.encode([9; 32]))), Ok(32));
        assert_eq!(length(LaravelCipher::Aes128Gcm, "sixteen bytes it"), Ok(16));
        assert_eq!(length(LaravelCipher::Aes256Gcm, "sixteen bytes it"), Err(InvalidKey::Length));
        assert_eq!(length(LaravelCipher::Aes256Cbc, "base64:?"), Err(InvalidKey::Format));
        assert_eq!(length(LaravelCipher::Aes256Cbc, "base64:"), Err(InvalidKey::Empty));
        assert!(keys(LaravelCipher::Aes128Cbc, 1).with_previous("").is_err());
    }
}
