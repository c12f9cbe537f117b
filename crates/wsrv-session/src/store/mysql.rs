//! Sessions in MySQL and MariaDB.

use super::table::{Dialect, record};
use super::{RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, RecycleError, RecycleResult};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// Reads sessions from a table in MySQL or MariaDB: of Symfony, Laravel, `express-mysql-session`, Django or
/// tower-sessions.
///
/// It has up to eight connections, which are made when they are needed, and again when they are lost. It reads without a
/// lock, so nobody waits for the transaction that a front end keeps open for the time of a request.
///
/// The connections are not encrypted: it is for databases on this machine or in a network that is trusted.
#[derive(Clone)]
pub struct MySqlStore {
    pool: Pool<Connections>,
    select: String,
    max_input: usize,
    table: SessionTable,
}

const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);
/// Times are told in UTC, and each SELECT sees what is there at its moment, whatever the server's defaults are.
const SETTINGS: &str = "SET time_zone = '+00:00', autocommit = 1";

impl MySqlStore {
    /// Sessions in this table of the database at a URL such as `mysql://user:password@127.0.0.1/database`, or
    /// `mysql://user@localhost/database?socket=/run/mysqld/mysqld.sock`. The user has to be allowed to `SELECT` from the
    /// table, and needs no other right.
    ///
    /// # Errors
    ///
    /// It is no such URL. Whether anybody answers there is not asked yet.
    pub fn new(url: &str, table: SessionTable) -> Result<Self, StoreError> {
        let opts = OptsBuilder::from_opts(Opts::from_url(url).map_err(StoreError::failed)?)
            .prefer_socket(false) // another way than the one that was asked for
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
        Ok(MySqlStore { pool, select: table.select::<MySql>(max_input), max_input, table })
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
        let mut connection = self.pool.get().await.map_err(StoreError::failed)?;
        connection.is_between_answers = false;
        let asked = connection.conn.exec_first::<Row, _, _>(&self.select, (id.as_str(), id.as_str()));
        let row = timeout(PATIENCE, asked).await.map_err(|_| StoreError::Timeout)?;
        connection.is_between_answers = matches!(row, Ok(_) | Err(mysql_async::Error::Server(_)));
        let Some(mut row) = row.map_err(StoreError::failed)? else { return Ok(None) };
        match (row.take(0), row.take(1)) {
            (Some(Value::Bytes(bytes)), Some(Value::Double(end))) => record(bytes, end, self.max_input),
            _ => Err(SessionError::CorruptData.into()),
        }
    }
}

/// Makes connections.
struct Connections(Opts);

struct Connection {
    conn: Conn,
    /// Otherwise who asked went away before the answer came, and the next one would be given it.
    is_between_answers: bool,
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = mysql_async::Error;

    async fn create(&self) -> Result<Connection, mysql_async::Error> {
        Ok(Connection { conn: Conn::new(self.0.clone()).await?, is_between_answers: true })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<mysql_async::Error> {
        if !connection.is_between_answers {
            return Err(RecycleError::message("left in the middle of an answer"));
        }
        // Nothing tells of a connection that has been closed, except asking.
        connection.is_between_answers = false;
        connection.conn.ping().await?;
        connection.is_between_answers = true;
        Ok(())
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

    fn is_asked_for(column: &str) -> String {
        // The first finds it by its index, and may take ABC for abc.
        format!("{column} = ? AND CAST({column} AS BINARY) = ?")
    }
}
