//! Sessions in MySQL and MariaDB.

use super::pool::{Asking, CONNECTIONS, WRITERS};
use super::table::{Dialect, now, place_to_write, record};
use super::{Change, RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, RecycleResult};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value, params};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Sessions in a table in MySQL or MariaDB: of Symfony, Laravel, `express-mysql-session`, Django or tower-sessions.
///
/// It has up to eight connections, which are made when they are needed, and again when they are lost. It reads without a
/// lock, so nobody waits for the transaction that a front end keeps open for the time of a request. It writes with the row
/// locked, in a short transaction; if somebody else has the lock for too long, it is [`Busy`](StoreError::Busy). Only
/// InnoDB, the default, locks rows: in a table of MyISAM, what a front end writes at the same moment can be lost.
///
/// The connections are not encrypted: it is for databases on this machine or in a network that is trusted.
#[derive(Clone)]
pub struct MySqlStore {
    pool: Pool<Connections>,
    writing: Arc<Semaphore>,
    select: String,
    max_input: usize,
    table: SessionTable,
    lifetime: Option<Duration>,
    lock_wait: Duration,
}

const PATIENCE: Duration = Duration::from_secs(2);
/// Whatever the server's defaults are: times are told in UTC, each SELECT sees what is there at its moment, and what does
/// not fit into a column is an error and not cut.
const SETTINGS: &str = "SET time_zone = '+00:00', autocommit = 1, sql_mode = 'STRICT_ALL_TABLES'";
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const DEADLOCK: u16 = 1213;

impl MySqlStore {
    /// Sessions in this table of the database at a URL such as `mysql://user:password@127.0.0.1/database`, or
    /// `mysql://user@localhost/database?socket=/run/mysqld/mysqld.sock`. The user has to be allowed to `SELECT` from the
    /// table, and to `UPDATE` it if sessions are touched or written.
    ///
    /// # Errors
    ///
    /// It is no such URL. Whether anybody answers there is not asked yet.
    pub fn new(url: &str, table: SessionTable) -> Result<Self, StoreError> {
        let opts = OptsBuilder::from_opts(Opts::from_url(url).map_err(StoreError::failed)?)
            .prefer_socket(false) // another way than the one that was asked for
            .client_found_rows(true) // a row is touched also if nothing in it is another than before
            .init(vec![SETTINGS]);
        let pool = Pool::builder(Connections(opts.into()))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .wait_timeout(Some(PATIENCE))
            .build()
            .map_err(StoreError::failed)?;
        let max_input = Limits::default().max_input;
        let (select, lock_wait) = (table.select::<MySql>(max_input), Duration::from_millis(500));
        let writing = Arc::new(Semaphore::new(WRITERS));
        Ok(MySqlStore { pool, writing, select, max_input, table, lifetime: None, lock_wait })
    }

    /// How long a session lives from when it is touched: what the front end sets for it, such as `SESSION_COOKIE_AGE` of
    /// Django. Without it, none can be touched, but for those of Laravel, whose table knows it.
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
    }

    /// How long a row's lock is waited for, with the way there and back, and with the wait for others who write: four at
    /// once, so that they keep nobody waiting who reads. Default 500 ms. No longer than
    /// [`Sessions::store_timeout`](crate::Sessions::store_timeout), which ends all.
    ///
    /// The database itself counts in whole seconds. Where that is longer, its answer is not waited for and the connection
    /// is closed; the row may then be locked once more for a moment, within these seconds, before the database notices.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// How large a session may be: 2 GiB at most. Default: as [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = clamped(bytes);
        self.select = self.table.select::<MySql>(self.max_input);
        self
    }
}

impl Store for MySqlStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let mut asking = self.connection().await?;
        let row = answer(PATIENCE, asking.conn().exec_first(&self.select, params! { "id" => id.as_str() })).await?;
        asking.answered();
        self.record(row)
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let touch = self.table.touch::<MySql>(self.lifetime).ok_or(StoreError::Unsupported)?;
        let (_place, patience) = place_to_write(&self.writing, self.lock_wait).await?;
        let mut asking = self.connection().await?;
        answer(PATIENCE, asking.conn().query_drop(lock_timeout(patience))).await?;
        let params = params! { "id" => id.as_str(), "now" => now() };
        locked(patience, asking.conn().exec_drop(touch, params)).await?;
        let is_there = asking.conn().affected_rows() > 0;
        asking.answered();
        Ok(is_there)
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        let (_place, patience) = place_to_write(&self.writing, self.lock_wait).await?;
        // What is not committed is rolled back with its connection.
        let mut asking = self.connection().await?;
        let begin = format!("{}; START TRANSACTION READ WRITE", lock_timeout(patience));
        answer(PATIENCE, asking.conn().query_drop(begin)).await?;
        let select = format!("{} FOR UPDATE", self.select);
        let row = locked(patience, asking.conn().exec_first(select, params! { "id" => id.as_str() })).await?;
        let before = self.record(row)?;
        let after = before.as_ref().and_then(change);
        let Some(after) = after else {
            answer(PATIENCE, asking.conn().query_drop("ROLLBACK")).await?;
            asking.answered();
            return Ok(before.is_some());
        };
        if after.len() > self.max_input {
            return Err(SessionError::Limit.into());
        }
        if self.table.is_text() {
            str::from_utf8(&after).map_err(StoreError::failed)?;
        }
        let params = params! { "id" => id.as_str(), "data" => &after[..] };
        answer(PATIENCE, asking.conn().exec_drop(self.table.write::<MySql>(), params)).await?;
        let is_there = asking.conn().affected_rows() > 0;
        answer(PATIENCE, asking.conn().query_drop("COMMIT")).await?;
        asking.answered();
        Ok(is_there)
    }
}

impl MySqlStore {
    async fn connection(&self) -> Result<Asking<Connections>, StoreError> {
        Asking::new(self.pool.get().await)
    }

    fn record(&self, row: Option<Row>) -> Result<Option<RawSession>, StoreError> {
        let Some(mut row) = row else { return Ok(None) };
        match (row.take(0), row.take(1)) {
            (Some(Value::Bytes(bytes)), Some(Value::Double(end))) => record(bytes, end, self.max_input),
            _ => Err(SessionError::CorruptData.into()),
        }
    }
}

/// Has the database give up waiting for a lock at last, also when nobody waits for it any more.
fn lock_timeout(patience: Duration) -> String {
    let seconds = patience.as_millis().div_ceil(1000).clamp(1, 1_000_000);
    format!("SET innodb_lock_wait_timeout = {seconds}")
}

/// The answer to what needs a lock.
async fn locked<T>(patience: Duration, asked: impl Future<Output = mysql_async::Result<T>>) -> Result<T, StoreError> {
    match timeout(patience, asked).await {
        Err(_) => Err(StoreError::Busy),
        Ok(Err(mysql_async::Error::Server(error))) if matches!(error.code, LOCK_WAIT_TIMEOUT | DEADLOCK) => {
            Err(StoreError::Busy)
        }
        Ok(answer) => answer.map_err(StoreError::failed),
    }
}

async fn answer<T>(time: Duration, asked: impl Future<Output = mysql_async::Result<T>>) -> Result<T, StoreError> {
    timeout(time, asked).await.map_err(|_| StoreError::Timeout)?.map_err(StoreError::failed)
}

/// Makes connections.
struct Connections(Opts);

impl managed::Manager for Connections {
    type Type = Conn;
    type Error = mysql_async::Error;

    async fn create(&self) -> Result<Conn, mysql_async::Error> {
        Conn::new(self.0.clone()).await
    }

    async fn recycle(&self, conn: &mut Conn, _: &Metrics) -> RecycleResult<mysql_async::Error> {
        // Nothing tells of a connection that has been closed, except asking.
        Ok(conn.ping().await?)
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's own may show a password.
        f.debug_struct("MySqlStore").field("table", &self.table).finish_non_exhaustive()
    }
}

struct MySql;

impl Dialect for MySql {
    const QUOTE: char = '`';
    const NOW: &'static str = ":now";

    fn bytes(column: &str, is_text: bool, most: usize) -> String {
        let most = most + 1;
        // Of a text it counts the letters, so once more the bytes; but what is converted is not larger than it has to be.
        let start = format!("LEFT({column}, {most})");
        if is_text { format!("LEFT(CAST(CONVERT({start} USING utf8mb4) AS BINARY), {most})") } else { start }
    }

    fn number(expression: &str) -> String {
        format!("({expression} + 0e0)")
    }

    fn seconds(column: &str) -> String {
        // UNIX_TIMESTAMP knows nothing after 2038 in many versions.
        format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {column}) / 1e6")
    }

    fn time(seconds: &str) -> String {
        // As little as UNIX_TIMESTAMP does FROM_UNIXTIME know.
        format!("TIMESTAMP'1970-01-01 00:00:00' + INTERVAL CAST(({seconds}) * 1e6 AS SIGNED) MICROSECOND")
    }

    fn integer(number: &str) -> String {
        format!("CAST({number} AS SIGNED)")
    }

    fn data(is_text: bool) -> String {
        // Whatever the server takes the connection's bytes for.
        if is_text { "CONVERT(CAST(:data AS BINARY) USING utf8mb4)".to_owned() } else { ":data".to_owned() }
    }

    fn is_asked_for(column: &str) -> String {
        // The first finds it by its index, and may take ABC for abc.
        format!("{column} = :id AND CAST({column} AS BINARY) = :id")
    }
}
