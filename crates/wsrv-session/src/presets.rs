//! Front ends as they are when nobody has configured them otherwise.

#[cfg(feature = "itsdangerous")]
use crate::cookie::ItsdangerousCookie;
#[cfg(all(feature = "msgpack", feature = "cookie-jar"))]
use crate::cookie::JarCookie;
use crate::cookie::Plain;
#[cfg(feature = "django")]
use crate::cookie::{DjangoCookie, DjangoSigner};
#[cfg(feature = "express")]
use crate::cookie::{ExpressCookie, KeygripCookie};
#[cfg(feature = "laravel")]
use crate::cookie::{LaravelCookie, LaravelKeys};
use crate::{Codec, Sessions, Store};
#[cfg(feature = "django")]
use std::time::SystemTime;

/// # Front ends
///
/// What is set there otherwise, is set here by [`codec`](Sessions::codec), or by the extractor and store.
impl Sessions {
    /// PHP's own sessions: the cookie `PHPSESSID`, and the format that `session.serialize_handler` calls `php`.
    pub fn php(store: impl Store) -> Self {
        Self::new(Plain::php("PHPSESSID"), store, Codec::php())
    }

    /// Symfony, which keeps its sessions as PHP does. [`Session::symfony`](crate::Session::symfony) knows what is where.
    pub fn symfony(store: impl Store) -> Self {
        Self::php(store)
    }

    /// Laravel. What it keeps depends on the driver:
    ///
    /// | driver | store | codec |
    /// |---|---|---|
    /// | `file` | `FilesStore` with `FileNames::Id` | as here |
    /// | `database` | `SessionTable::laravel` | `Codec::php_serialize().in_base64()` |
    /// | `redis` | `RedisStore` | `Codec::php_serialize().in_php_string()` |
    ///
    /// With `'serialization' => 'json'` it is [`Codec::json`] in place of [`Codec::php_serialize`], and for
    /// `SESSION_ENCRYPT=true` see [`laravel_encrypted`](Sessions::laravel_encrypted).
    #[cfg(feature = "laravel")]
    pub fn laravel(cookie: LaravelCookie, store: impl Store) -> Self {
        Self::new(cookie, store, Codec::php_serialize())
    }

    /// The same with `SESSION_ENCRYPT=true` and the driver `file`. With `database` and `redis`, base64 or a string of PHP
    /// is around what is encrypted, and [`opened_by`](Sessions::opened_by) has to take it off first.
    #[cfg(feature = "laravel")]
    pub fn laravel_encrypted(cookie: LaravelCookie, keys: LaravelKeys, store: impl Store) -> Self {
        let sessions = Self::new(cookie, store, Codec::php_serialize().in_php_string());
        sessions.opened_by(move |record| keys.open_record(record))
    }

    /// express-session, with the store `connect-redis`, `connect-pg-simple` or `session-file-store`.
    #[cfg(feature = "express")]
    pub fn express(cookie: ExpressCookie, store: impl Store) -> Self {
        Self::new(cookie, store, Codec::express())
    }

    /// express with `cookie-session`, whose cookie has all.
    #[cfg(feature = "express")]
    pub fn cookie_session(cookie: KeygripCookie) -> Self {
        Self::in_cookie(cookie, Codec::json().in_base64())
    }

    /// Django with its sessions in the database, by the backend `db` or `cached_db`: the cookie `sessionid`, and records
    /// that this [signer](DjangoSigner::records) has signed.
    #[cfg(feature = "django")]
    pub fn django(signer: DjangoSigner, store: impl Store) -> Self {
        let sessions = Self::new(Plain::django("sessionid"), store, Codec::json());
        sessions.opened_by(move |record| signer.open(record, SystemTime::now(), None))
    }

    /// Django with `signed_cookies`, whose cookie has all.
    #[cfg(feature = "django")]
    pub fn django_cookies(cookie: DjangoCookie) -> Self {
        Self::in_cookie(cookie, Codec::json())
    }

    /// Flask, whose cookie has all.
    #[cfg(feature = "itsdangerous")]
    pub fn flask(cookie: ItsdangerousCookie) -> Self {
        Self::in_cookie(cookie, Codec::json())
    }

    /// Starlette and FastAPI, whose cookie has all.
    #[cfg(feature = "itsdangerous")]
    pub fn starlette(cookie: ItsdangerousCookie) -> Self {
        Self::in_cookie(cookie, Codec::json())
    }

    /// tower-sessions, with its ids neither signed nor private: the cookie `id`.
    #[cfg(feature = "msgpack")]
    pub fn tower_sessions(store: impl Store) -> Self {
        Self::new(Plain::tower("id"), store, Codec::tower())
    }

    /// The same with signed or private ids.
    #[cfg(all(feature = "msgpack", feature = "cookie-jar"))]
    pub fn tower_sessions_in(cookie: JarCookie, store: impl Store) -> Self {
        Self::new(cookie, store, Codec::tower())
    }
}
