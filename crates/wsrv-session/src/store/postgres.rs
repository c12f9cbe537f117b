//! Sessions in PostgreSQL.

use super::pool::{Asking, CONNECTIONS, WRITERS};
use super::table::{Dialect, now, place_to_write, record};
use super::{Change, RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use bytes::BytesMut;
use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Transaction};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{IsolationLevel, NoTls, Row};

/// Sessions in a table in PostgreSQL: of Symfony, Laravel, `connect-pg-simple`, Django or tower-sessions.
///
/// It has up to eight connections, which are made when they are needed, and again when they are lost. It reads without a
/// lock, so nobody waits for the transaction that a front end keeps open for the time of a request. It writes with the row
/// locked, in a short transaction; if somebody else has the lock for too long, it is [`Busy`](StoreError::Busy).
///
/// The connections are not encrypted: it is for databases on this machine or in a network that is trusted.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    writing: Arc<Semaphore>,
    select: String,
    max_input: usize,
    table: SessionTable,
    lifetime: Option<Duration>,
    lock_wait: Duration,
}

const PATIENCE: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Sessions in this table of the database at a URL such as `postgres://user:password@127.0.0.1/database`. The user has
    /// to be allowed to `SELECT` from the table, and to `UPDATE` it if sessions are touched or written.
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
        let (select, lock_wait) = (table.select::<Postgres>(max_input), Duration::from_millis(500));
        let writing = Arc::new(Semaphore::new(WRITERS));
        Ok(PostgresStore { pool, writing, select, max_input, table, lifetime: None, lock_wait })
    }

    /// How long a session lives from when it is touched: what the front end sets for it, such as `SESSION_COOKIE_AGE` of
    /// Django. Without it, none can be touched, but for those of Laravel, whose table knows it.
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
    }

    /// How long a row's lock is waited for, with the wait for others who write: four at once, so that they keep nobody
    /// waiting who reads. Default 500 ms. No longer than [`Sessions::store_timeout`](crate::Sessions::store_timeout), which
    /// ends all.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
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
        let mut asking = self.connection().await?;
        let select = asking.conn().prepare_cached(&self.select).await.map_err(StoreError::failed)?;
        let row = asking.conn().query_opt(&select, &[&id.as_str()]).await.map_err(StoreError::failed)?;
        asking.answered();
        row.map_or(Ok(None), |row| self.record(&row))
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let touch = self.table.touch::<Postgres>(self.lifetime).ok_or(StoreError::Unsupported)?;
        let (_place, patience) = place_to_write(&self.writing, self.lock_wait).await?;
        let mut asking = self.connection().await?;
        let outcome = touch_with(asking.conn(), patience, &touch, id).await;
        give_back(asking, &outcome);
        outcome
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        let (_place, patience) = place_to_write(&self.writing, self.lock_wait).await?;
        let mut asking = self.connection().await?;
        let outcome = self.update_with(asking.conn(), patience, id, change).await;
        give_back(asking, &outcome);
        outcome
    }
}

impl PostgresStore {
    async fn connection(&self) -> Result<Asking<Manager>, StoreError> {
        Asking::new(self.pool.get().await)
    }

    async fn update_with(
        &self,
        client: &mut ClientWrapper,
        patience: Duration,
        id: &SessionId,
        change: &mut Change<'_>,
    ) -> Result<bool, StoreError> {
        let transaction = begin(client, patience).await?;
        let select = format!("{} FOR UPDATE", self.select);
        let select = transaction.prepare_cached(&select).await.map_err(StoreError::failed)?;
        let row = transaction.query_opt(&select, &[&id.as_str()]).await.map_err(failed)?;
        let Some(before) = row.map_or(Ok(None), |row| self.record(&row))? else { return Ok(false) };
        let Some(after) = change(&before) else { return Ok(true) };
        if after.len() > self.max_input {
            return Err(SessionError::Limit.into());
        }
        let write = transaction.prepare_cached(&self.table.write::<Postgres>()).await.map_err(StoreError::failed)?;
        let text = InText(&after);
        let data: &(dyn ToSql + Sync) = if self.table.is_text() { &text } else { &&after[..] };
        transaction.execute(&write, &[&id.as_str(), data]).await.map_err(StoreError::failed)?;
        transaction.commit().await.map_err(StoreError::failed)?;
        Ok(true)
    }
}

async fn touch_with(
    client: &mut ClientWrapper,
    patience: Duration,
    touch: &str,
    id: &SessionId,
) -> Result<bool, StoreError> {
    let transaction = begin(client, patience).await?;
    let touch = transaction.prepare_cached(touch).await.map_err(StoreError::failed)?;
    let touched = transaction.execute(&touch, &[&id.as_str(), &now()]).await.map_err(failed)?;
    transaction.commit().await.map_err(StoreError::failed)?;
    Ok(touched > 0)
}

/// A transaction that waits so long for a lock. If it is dropped on the way, it is rolled back.
async fn begin(client: &mut ClientWrapper, patience: Duration) -> Result<Transaction<'_>, StoreError> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
    let transaction = transaction.start().await.map_err(StoreError::failed)?;
    // Nought would be for ever.
    let patience = format!("SET LOCAL lock_timeout = {}", patience.as_millis().clamp(1, i32::MAX as u128));
    transaction.batch_execute(&patience).await.map_err(StoreError::failed)?;
    Ok(transaction)
}

fn failed(error: tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => StoreError::Busy,
        _ => StoreError::failed(error),
    }
}

/// A connection that has failed is closed.
fn give_back<T>(asking: Asking<Manager>, outcome: &Result<T, StoreError>) {
    if !matches!(outcome, Err(StoreError::Failed(_))) {
        asking.answered();
    }
}

/// A value in the text form of its column's type, whether that is `text`, `json` or `jsonb`.
#[derive(Debug)]
struct InText<'a>(&'a [u8]);

impl ToSql for InText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

impl PostgresStore {
    fn record(&self, row: &Row) -> Result<Option<RawSession>, StoreError> {
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
    const NOW: &'static str = "$2::double precision";

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

    fn time(seconds: &str) -> String {
        format!("to_timestamp({seconds})")
    }

    fn integer(number: &str) -> String {
        format!("({number})::bigint")
    }

    fn data(_is_text: bool) -> String {
        "$2".to_owned()
    }

    fn is_asked_for(column: &str) -> String {
        format!("{column} = $1")
    }
}
