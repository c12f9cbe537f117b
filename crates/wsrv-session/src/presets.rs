//! Front ends as they are when nobody has configured them otherwise.

#[cfg(feature = "itsdangerous")]
use crate::cookie::ItsdangerousCookie;
#[cfg(all(feature = "msgpack", feature = "cookie-jar"))]
use crate::cookie::JarCookie;
#[cfg(feature = "laravel")]
use crate::cookie::LaravelCookie;
use crate::cookie::Plain;
#[cfg(feature = "django")]
use crate::cookie::{DjangoCookie, DjangoSigner};
#[cfg(feature = "express")]
use crate::cookie::{ExpressCookie, KeygripCookie};
use crate::{Codec, Sessions, Store};

/// # Front ends
///
/// What is set there otherwise, is set here by [`codec`](Sessions::codec) or [`extractor`](Sessions::extractor), as in
/// `Sessions::php(store).extractor(Plain::php("APP"))`, or by the store.
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
    /// With `'serialization' => 'json'` it is [`Codec::json`] in place of [`Codec::php_serialize`]. With
    /// `SESSION_ENCRYPT=true`, [`encrypted_by_laravel`](Codec::encrypted_by_laravel) comes right behind it, as in
    /// `Codec::php_serialize().encrypted_by_laravel(keys).in_base64()`.
    #[cfg(feature = "laravel")]
    pub fn laravel(cookie: LaravelCookie, store: impl Store) -> Self {
        Self::new(cookie, store, Codec::php_serialize())
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

    /// Django with its sessions in the database or in files, by the backend `db`, `cached_db` or `file`: the cookie
    /// `sessionid`, and records that this [signer](DjangoSigner::records) has signed.
    #[cfg(feature = "django")]
    pub fn django(signer: DjangoSigner, store: impl Store) -> Self {
        Self::new(Plain::django("sessionid"), store, Codec::django(signer))
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
