//! Sessions in Redis, as phpredis, Symfony, Laravel, connect-redis and tower-sessions keep them.

use super::{Change, RawSession, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// Sessions in Redis, or what speaks its protocol. Each is a string under a prefix and its id.
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
/// error.
///
/// To read takes no lock. What is written is compared with what was read in the moment when it is written, and read anew if
/// somebody else has written; [`with_locks`](RedisStore::with_locks) is for front ends that keep others away meanwhile.
/// To touch and to write takes scripts (`EVAL`), and to write Redis 6 or later.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
    max_input: usize,
    lifetime: Option<Duration>,
    has_locks: bool,
    lock_wait: Duration,
}

/// How long a lock of ours lasts if nobody gives it back, in milliseconds. An update takes a few.
const LOCK_MS: u64 = 10_000;
/// About how long before a lock is tried again, or a record that somebody else has written.
const AGAIN: Duration = Duration::from_millis(5);

/// Never shorter, and not at all for a record that has no end.
const TOUCH: &str = "local left = redis.call('PTTL', KEYS[1])
if left == -2 then return 0 end
if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1";

/// The record, the lock; the bytes before, those after, whose the lock is, or nothing if there are none.
const WRITE: &str = "if ARGV[3] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[3] then return 'lost' end
local now = redis.call('GET', KEYS[1])
if not now then return 'gone' end
if now ~= ARGV[1] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 'written'";

const UNLOCK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

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
        Ok(RedisStore {
            connection,
            prefix: prefix.into(),
            max_input: Limits::default().max_input,
            lifetime: None,
            has_locks: false,
            lock_wait: Duration::from_millis(500),
        })
    }

    /// How long a session lives from when it is touched: what the front end sets for it, such as `session.gc_maxlifetime`
    /// of PHP. Without it, none can be touched.
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
    }

    /// The front end is phpredis with `redis.session.locking_enabled`: its lock, the record's key with `_LOCK` behind it,
    /// is taken for writing. It is given back when that is done, and ends after ten seconds by itself.
    pub fn with_locks(mut self) -> Self {
        self.has_locks = true;
        self
    }

    /// How long a lock is waited for, and how long a record is tried that others are writing all the time. Default 500 ms.
    /// No longer than [`Sessions::store_timeout`](crate::Sessions::store_timeout), which ends all.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// How large a session may be: 2 GiB at most. Default: as [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = clamped(bytes);
        self
    }
}

impl RedisStore {
    fn key(&self, id: &SessionId) -> String {
        format!("{}{}", self.prefix, id.as_str())
    }

    async fn run<T: redis::FromRedisValue>(&self, asked: &redis::Cmd) -> Result<T, StoreError> {
        asked.query_async(&mut self.connection.clone()).await.map_err(StoreError::failed)
    }

    /// Takes the front end's lock, if it can be had in time.
    async fn lock(&self, key: &str, began: Instant) -> Result<Lock, StoreError> {
        let [high, low] = [0; 2].map(|_| RandomState::new().hash_one(0));
        // Before it is asked for: who stops waiting may have got it.
        let lock =
            Lock { store: self.clone(), key: format!("{key}_LOCK"), token: format!("wsrv|{high:016x}{low:016x}") };
        let mut asked = redis::cmd("SET");
        asked.arg(&lock.key).arg(&lock.token).arg("NX").arg("PX").arg(LOCK_MS);
        while self.run::<Option<String>>(&asked).await?.is_none() {
            if began.elapsed() >= self.lock_wait {
                return Err(StoreError::Busy);
            }
            sleep(again()).await;
        }
        Ok(lock)
    }
}

/// Between half of it and one and a half, so that those who collide do not collide again.
fn again() -> Duration {
    let random = RandomState::new().hash_one(0) as u8;
    AGAIN.mul_f64(0.5 + f64::from(random) / 255.0)
}

/// A front end's lock that is ours, or may be.
struct Lock {
    store: RedisStore,
    key: String,
    /// Nobody else's, so that nobody else's is given back.
    token: String,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut asked = redis::cmd("EVAL");
        asked.arg(UNLOCK).arg(1).arg(&self.key).arg(&self.token);
        let store = self.store.clone();
        runtime.spawn(async move {
            // If this fails, it ends by itself.
            let _ = store.run::<i64>(&asked).await;
        });
    }
}

impl Store for RedisStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let key = self.key(id);
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

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let lifetime = self.lifetime.ok_or(StoreError::Unsupported)?;
        let mut asked = redis::cmd("EVAL");
        asked.arg(TOUCH).arg(1).arg(self.key(id)).arg(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        Ok(self.run::<i64>(&asked).await? == 1)
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        let key = self.key(id);
        let began = Instant::now();
        let lock = if self.has_locks { Some(self.lock(&key, began).await?) } else { None };
        let (lock_key, token) = lock.as_ref().map_or((&*key, ""), |lock| (&*lock.key, &*lock.token));
        loop {
            let Some(before) = self.load(id).await? else { return Ok(false) };
            let Some(after) = change(&before) else { return Ok(true) };
            if after.len() > self.max_input {
                return Err(SessionError::Limit.into());
            }
            let mut asked = redis::cmd("EVAL");
            asked.arg(WRITE).arg(2).arg(&key).arg(lock_key).arg(&before.bytes[..]).arg(&after[..]).arg(token);
            match &*self.run::<String>(&asked).await? {
                "written" => return Ok(true),
                "gone" => return Ok(false),
                // The lock is somebody else's by now.
                "lost" => return Err(StoreError::Busy),
                _ if began.elapsed() >= self.lock_wait => return Err(StoreError::Busy),
                _ => sleep(again()).await,
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
