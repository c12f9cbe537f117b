//! What a token may be signed with.

use crate::cookie::mac::{equal, hmac};
use crate::cookie::{InvalidKey, Secret};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Sha256, Sha384, Sha512};
use spki::der::DecodePem;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

/// A key for one algorithm of RFC 7518 or RFC 8037. A token that names another algorithm does not fit it.
#[derive(Clone, Debug)]
pub struct JwtKey(Key);

/// Public keys in the form that `ring` takes: the inner part of a SubjectPublicKeyInfo.
#[derive(Clone, Debug)]
enum Key {
    Hs256(Secret),
    Hs384(Secret),
    Hs512(Secret),
    Rs256(Vec<u8>),
    Es256(Vec<u8>),
    EdDsa(Vec<u8>),
}

/// RFC 8017 §A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 §2.1.1.
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 §2.1.1.1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl JwtKey {
    /// HMAC with SHA-256. The secret should have 32 random bytes or more (RFC 7518 §3.2): a weaker one can be found out
    /// from any token.
    pub fn hs256(secret: Secret) -> Self {
        JwtKey(Key::Hs256(secret))
    }

    /// HMAC with SHA-384. The secret should have 48 random bytes or more.
    pub fn hs384(secret: Secret) -> Self {
        JwtKey(Key::Hs384(secret))
    }

    /// HMAC with SHA-512. The secret should have 64 random bytes or more.
    pub fn hs512(secret: Secret) -> Self {
        JwtKey(Key::Hs512(secret))
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, and this public key of 2048 to 8192 bits in PEM (`BEGIN PUBLIC KEY`). No token
    /// fits a key of another length.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Format`]: it is no public RSA key.
    pub fn rs256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        public_key(pem.as_ref(), RSA, None).map(Key::Rs256).map(JwtKey)
    }

    /// ECDSA on the curve P-256 with SHA-256, and this public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Format`]: it is no public key of that curve, or a compressed one.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let key = public_key(pem.as_ref(), ELLIPTIC_CURVE, Some(P256))?;
        // A mark, and two coordinates of 32 bytes: `ring` takes no other form, and would tell so for each token only.
        if key.len() == 65 { Ok(JwtKey(Key::Es256(key))) } else { Err(InvalidKey::Format) }
    }

    /// EdDSA on the curve Ed25519, and this public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Format`]: it is no public key of that curve.
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        public_key(pem.as_ref(), ED25519, None).map(Key::EdDsa).map(JwtKey)
    }

    /// The algorithm, as a token's header names it.
    pub(super) fn algorithm(&self) -> &'static str {
        match self.0 {
            Key::Hs256(_) => "HS256",
            Key::Hs384(_) => "HS384",
            Key::Hs512(_) => "HS512",
            Key::Rs256(_) => "RS256",
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
        }
    }

    /// Whether this is its signature of the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.0 {
            Key::Hs256(secret) => equal(hmac::<Sha256>(secret.expose(), &[message]), signature),
            Key::Hs384(secret) => equal(hmac::<Sha384>(secret.expose(), &[message]), signature),
            Key::Hs512(secret) => equal(hmac::<Sha512>(secret.expose(), &[message]), signature),
            Key::Rs256(key) => public(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            Key::Es256(key) => public(&signature::ECDSA_P256_SHA256_FIXED, key),
            Key::EdDsa(key) => public(&signature::ED25519, key),
        }
    }
}

/// The key in a SubjectPublicKeyInfo of this algorithm, and of this curve where the algorithm has several.
fn public_key(pem: &[u8], algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> Result<Vec<u8>, InvalidKey> {
    let info = SubjectPublicKeyInfoOwned::from_pem(pem).map_err(|_| InvalidKey::Format)?;
    let is_curve = |curve| info.algorithm.parameters.as_ref().is_some_and(|has| has.decode_as() == Ok(curve));
    let fits = info.algorithm.oid == algorithm && curve.is_none_or(is_curve);
    match info.subject_public_key.as_bytes() {
        Some(key) if fits => Ok(key.to_vec()),
        _ => Err(InvalidKey::Format),
    }
}
