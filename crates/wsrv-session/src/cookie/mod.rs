//! From a request's headers to its session: to the session's id, or to its data where the cookie itself holds them.
//!
//! An [`Extractor`] knows one front end's cookie. It is given a request's [`Credentials`] and the time, and says what
//! is there:
//!
//! | front end | extractor | feature |
//! |---|---|---|
//! | PHP, Symfony; Django with a store; tower-sessions | [`Plain`] | |
//! | Laravel | `LaravelCookie` | `laravel` |
//! | express-session, cookie-session | `ExpressCookie`, `KeygripCookie` | `express` |
//! | Django without a store | `DjangoCookie` | `django` |
//! | Flask, Starlette | `ItsdangerousCookie` | `itsdangerous` |
//! | tower-sessions, signed or private | `JarCookie` | `cookie-jar` |
//! | Rails | `RailsCookie` | `rails` |
//! | any that hands out JSON Web Tokens | `Jwt` | `jwt` |
//!
//! Without features there is no cryptography in this crate.
//!
//! ```
//! use std::time::SystemTime;
//! use wsrv_session::cookie::{Credentials, Extracted, Extractor, Plain};
//!
//! let cookie = Plain::php("PHPSESSID");
//! let credentials = Credentials::new([("cookie", &b"theme=dark; PHPSESSID=k2q9v7n0c4t1"[..])]);
//! match cookie.extract(&credentials, SystemTime::now())? {
//!     Extracted::Id(id) => assert_eq!(id.as_str(), "k2q9v7n0c4t1"),
//!     _ => unreachable!("this cookie is an id"),
//! }
//! # Ok::<(), wsrv_session::SessionError>(())
//! ```
//!
//! No cookie is no error, it is [`Extracted::None`]; nor is a `Cookie` header that makes no sense, as anybody can send
//! one. A cookie that was not made with the key is [`BadSignature`](crate::SessionError::BadSignature), whatever
//! exactly is wrong with it. Nothing that the key does not vouch for is decrypted, inflated or parsed, but for the
//! envelope in which Laravel sends the signature.

mod credentials;
#[cfg(feature = "django")]
mod django;
#[cfg(feature = "express")]
mod express;
#[cfg(any(feature = "django", feature = "itsdangerous"))]
mod inflate;
#[cfg(feature = "itsdangerous")]
mod itsdangerous;
#[cfg(feature = "cookie-jar")]
mod jar;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "express")]
mod keygrip;
#[cfg(feature = "laravel")]
mod laravel;
#[cfg(any(feature = "django", feature = "express", feature = "itsdangerous", feature = "jwt", feature = "laravel"))]
mod mac;
mod plain;
#[cfg(feature = "rails")]
mod rails;
#[cfg(feature = "secret")]
mod secret;
#[cfg(any(feature = "django", feature = "itsdangerous"))]
mod timed;
mod view;

pub use credentials::Credentials;
#[cfg(feature = "django")]
pub use django::{DjangoCookie, DjangoSigner};
#[cfg(feature = "express")]
pub use express::ExpressCookie;
#[cfg(feature = "itsdangerous")]
pub use itsdangerous::ItsdangerousCookie;
#[cfg(feature = "cookie-jar")]
pub use jar::JarCookie;
#[cfg(feature = "jwt")]
pub use jwt::{Jwt, JwtKey};
#[cfg(feature = "express")]
pub use keygrip::KeygripCookie;
#[cfg(feature = "laravel")]
pub use laravel::{LaravelCipher, LaravelCookie, LaravelKeys};
pub use plain::Plain;
#[cfg(feature = "rails")]
pub use rails::RailsCookie;
#[cfg(feature = "secret")]
pub use secret::{InvalidKey, Secret};
pub use view::{CookieDialect, CookieView};

use crate::{SessionError, SessionId};
use bytes::Bytes;
use std::fmt;
use std::time::SystemTime;

/// Finds the session in what a request brings.
pub trait Extractor: Send + Sync {
    /// The session that these credentials name, at this time.
    ///
    /// # Errors
    ///
    /// There is a cookie, and it is of no use. The [kinds](SessionError) tell why; none of them says more about a key
    /// than that it did not fit.
    fn extract(&self, credentials: &Credentials<'_>, now: SystemTime) -> Result<Extracted, SessionError>;
}

/// What a request's credentials say about its session.
#[derive(Clone, PartialEq, Eq)]
pub enum Extracted {
    /// They name none.
    None,
    /// It is under this id in the front end's store.
    Id(SessionId),
    /// These are its data, in the format that the extractor's documentation names. The key has vouched for them.
    Inline {
        /// The session, to be read by a [`Codec`](crate::Codec).
        data: Bytes,
        /// From when on it must not be used, if the cookie or token itself tells. Data that tell it inside, as Laravel's
        /// do, tell it when they are [read](crate::Record::expires_at).
        expires: Option<SystemTime>,
    },
}

impl fmt::Debug for Extracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extracted::None => f.write_str("None"),
            Extracted::Id(id) => f.debug_tuple("Id").field(id).finish(),
            Extracted::Inline { data, expires } => f
                .debug_struct("Inline")
                .field("data", &format_args!("{} bytes", data.len()))
                .field("expires", expires)
                .finish(),
        }
    }
}

/// A cookie's content, if it is no longer than a session may be.
#[cfg(any(
    feature = "django",
    feature = "express",
    feature = "itsdangerous",
    feature = "jwt",
    feature = "laravel",
    feature = "rails"
))]
fn within<V: AsRef<[u8]>>(limits: &crate::Limits, value: V) -> Result<V, SessionError> {
    if value.as_ref().len() > limits.max_input { Err(SessionError::Limit) } else { Ok(value) }
}

/// Whole seconds since 1970. Before, there were no sessions.
#[cfg(any(feature = "django", feature = "itsdangerous"))]
fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
