//! Sessions in Redis, as phpredis, Symfony, Laravel, connect-redis and tower-sessions keep them.

use super::{RawSession, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use std::fmt;
use std::time::{Duration, SystemTime};

/// Reads sessions from Redis, or what speaks its protocol. Each is a string under a prefix and its id.
///
/// | front end | prefix |
/// |---|---|
/// | PHP (phpredis) | `PHPREDIS_SESSION:`, or what `?prefix=` of `session.save_path` says |
/// | Symfony's `RedisSessionHandler` | `sf_s` |
/// | Laravel 8 | `laravel_database_laravel_cache:`; later ones have the application's name in it |
/// | express's `connect-redis` | `sess:` |
/// | tower-sessions | none |
///
/// All share one connection, which is made when it is first needed, and again when it is lost; who asks meanwhile gets an
/// error. No lock is taken, and no time to live changes.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
    max_input: usize,
}

impl RedisStore {
    /// Sessions under this prefix in the server at a URL such as `redis://:password@127.0.0.1:6379/0` or
    /// `redis+unix:///run/redis.sock`.
    ///
    /// # Errors
    ///
    /// It is no such URL. Whether anybody answers there is not asked yet.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(url: &str, prefix: impl Into<String>) -> Result<Self, StoreError> {
        let client = redis::Client::open(url).map_err(StoreError::failed)?;
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client, settings).map_err(StoreError::failed)?;
        Ok(RedisStore { connection, prefix: prefix.into(), max_input: Limits::default().max_input })
    }

    /// How large a session may be: 2 GiB at most. Default: as [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = clamped(bytes);
        self
    }
}

impl Store for RedisStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let key = format!("{}{}", self.prefix, id.as_str());
        // One byte more than there may be. Of a key that is not there this is nothing, so its time has to tell.
        // Both at one moment, or one that is made in between would look empty.
        let mut asked = redis::pipe();
        asked.atomic().cmd("GETRANGE").arg(&key).arg(0).arg(self.max_input).cmd("PTTL").arg(&key);
        let answer = asked.query_async(&mut self.connection.clone()).await;
        let (bytes, left): (Bytes, i64) = answer.map_err(StoreError::failed)?;
        match left {
            -2 => Ok(None),
            _ if bytes.len() > self.max_input => Err(SessionError::Limit.into()),
            _ => {
                let left = u64::try_from(left).ok().map(Duration::from_millis);
                Ok(Some(RawSession::new(bytes, left.and_then(|left| SystemTime::now().checked_add(left)))))
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection's own may show a password.
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
