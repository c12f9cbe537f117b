//! Rails: the session in an encrypted cookie.

use super::{CookieDialect, Credentials, Extracted, Extractor, Secret, unix_seconds, within};
use crate::{Limits, SessionError};
use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use std::time::SystemTime;
