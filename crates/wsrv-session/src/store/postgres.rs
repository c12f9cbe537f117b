//! Sessions in PostgreSQL.

use super::table::{Dialect, record};
use super::{RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionId};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::fmt;
use std::time::Duration;
use tokio_postgres::NoTls;

/// Reads sessions from a table in PostgreSQL: of Symfony, Laravel, `connect-pg-simple`, Django or tower-sessions.
///
/// It has up to eight connections, which are made when they are needed, and again when they are lost. It reads without a
/// lock, so nobody waits for the transaction that a front end keeps open for the time of a request.
///
/// The connections are not encrypted: it is for databases on this machine or in a network that is trusted.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    select: String,
    max_input: usize,
    table: SessionTable,
}

const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Sessions in this table of the database at a URL such as `postgres://user:password@127.0.0.1/database`. The user has
    /// to be allowed to `SELECT` from the table, and needs no other right.
    ///
    /// # Errors
    ///
    /// It is no such URL. Whether anybody answers there is not asked yet.
    pub fn new(url: &str, table: SessionTable) -> Result<Self, StoreError> {
        let mut config = url.parse::<tokio_postgres::Config>().map_err(StoreError::failed)?;
        // A network that swallows everything is noticed before the kernel would give up, after a quarter of an hour.
        config.tcp_user_timeout(PATIENCE).connect_timeout(PATIENCE);
        let recycling_method = RecyclingMethod::Fast;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(PATIENCE))
            .wait_timeout(Some(PATIENCE))
            .build()
            .map_err(StoreError::failed)?;
        let max_input = Limits::default().max_input;
        Ok(PostgresStore { pool, select: table.select::<Postgres>(max_input), max_input, table })
    }

    /// How large a session may be: 2 GiB at most. Default: as [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = clamped(bytes);
        self.select = self.table.select::<Postgres>(self.max_input);
        self
    }
}

impl Store for PostgresStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let client = self.pool.get().await.map_err(StoreError::failed)?;
        let select = client.prepare_cached(&self.select).await.map_err(StoreError::failed)?;
        let Some(row) = client.query_opt(&select, &[&id.as_str()]).await.map_err(StoreError::failed)? else {
            return Ok(None);
        };
        let bytes: Vec<u8> = row.try_get(0).map_err(StoreError::failed)?;
        let end: f64 = row.try_get(1).map_err(StoreError::failed)?;
        record(bytes, end, self.max_input)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's own may show a password.
        f.debug_struct("PostgresStore").field("table", &self.table).finish_non_exhaustive()
    }
}

struct Postgres;

impl Dialect for Postgres {
    const QUOTE: char = '"';

    fn bytes(column: &str, is_text: bool, most: usize) -> String {
        let bytes = if is_text { format!("convert_to({column}::text, 'UTF8')") } else { column.to_owned() };
        format!("substr({bytes}, 1, {})", most + 1)
    }

    fn number(expression: &str) -> String {
        format!("({expression})::double precision")
    }

    fn seconds(column: &str) -> String {
        format!("extract(epoch from {column}::timestamptz)")
    }

    fn is_asked_for(column: &str) -> String {
        format!("{column} = $1")
    }
}
