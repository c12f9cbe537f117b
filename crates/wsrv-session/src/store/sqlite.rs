//! Sessions in SQLite.

use super::table::{Dialect, now, place_to_write, record};
use super::{Change, RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sessions in a table in a file of SQLite: of Symfony, Laravel, Django or tower-sessions.
///
/// The file is opened for each session that is read, and nothing in it is written then. A front end's transaction that is
/// open keeps nobody waiting who reads. While one is being committed, it is waited for, up to
/// [`lock_wait`](SqliteStore::lock_wait); and a front end that commits waits for the moment that a session is read in.
///
/// It writes in a short transaction that locks the file for writing, one at a time for all clones of the store; if somebody
/// else writes for too long, it is [`Busy`](StoreError::Busy).
///
/// Files are read by threads that may wait (`spawn_blocking`), 8 at once, and written by one.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    table: Table,
    reading: Arc<Semaphore>,
    /// In the order that they came, which SQLite's own waiting does not keep.
    writing: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Table {
    file: PathBuf,
    table: SessionTable,
    lifetime: Option<Duration>,
    lock_wait: Duration,
    max_input: usize,
}

const AT_ONCE: usize = 8;

impl SqliteStore {
    /// Sessions in this table of a database. It need not be there yet, and is never made.
    ///
    /// To read, the process needs the right to read the file. To touch and to write, it needs the right to write the file
    /// and its directory, where SQLite keeps its journal.
    pub fn new(file: impl Into<PathBuf>, table: SessionTable) -> Self {
        let (lock_wait, max_input) = (Duration::from_millis(500), Limits::default().max_input);
        let table = Table { file: file.into(), table, lifetime: None, lock_wait, max_input };
        SqliteStore { table, reading: Arc::new(Semaphore::new(AT_ONCE)), writing: Arc::new(Semaphore::new(1)) }
    }

    /// How long a session lives from when it is touched: what the front end sets for it, such as `SESSION_COOKIE_AGE` of
    /// Django. Without it, none can be touched, but for those of Laravel, whose table knows it.
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.table.lifetime = Some(time);
        self
    }

    /// How long a lock is waited for, be it to read or to write. Default 500 ms. No longer than
    /// [`Sessions::store_timeout`](crate::Sessions::store_timeout), which ends all.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.table.lock_wait = time;
        self
    }

    /// How large a session may be: 2 GiB at most, and no more than SQLite allows, by default 1 GB. Default: as
    /// [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.table.max_input = clamped(bytes);
        self
    }
}

impl Store for SqliteStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let place = self.reading.clone().acquire_owned().await.map_err(StoreError::failed)?;
        let (table, id) = (self.table.clone(), id.clone());
        blocking(move || {
            // Also when nobody waits for it any more.
            let _place = place;
            let connection = table.open(OpenFlags::SQLITE_OPEN_READ_ONLY, table.lock_wait)?;
            table.read(&connection, &id)
        })
        .await
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let touch = self.table.table.touch::<Sqlite>(self.table.lifetime).ok_or(StoreError::Unsupported)?;
        let (place, patience) = place_to_write(&self.writing, self.table.lock_wait).await?;
        let (table, id) = (self.table.clone(), id.clone());
        blocking(move || {
            let _place = place;
            let connection = table.open(OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
            Ok(connection.execute(&touch, (id.as_str(), now())).map_err(failed)? > 0)
        })
        .await
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        let (place, patience) = place_to_write(&self.writing, self.table.lock_wait).await?;
        let (table, name) = (self.table.clone(), id.clone());
        let Some((locked, before)) = blocking(move || table.lock(place, patience, &name)).await? else {
            return Ok(false);
        };
        let after = change(&before);
        let (table, name) = (self.table.clone(), id.clone());
        blocking(move || match after {
            None => Ok(true),
            Some(after) if after.len() > table.max_input => Err(SessionError::Limit.into()),
            Some(after) => table.write(&locked, &name, &after),
        })
        .await
    }
}

/// A database in a transaction, which is rolled back when this is dropped, wherever that is. The next one who writes
/// comes after that.
struct Locked {
    connection: Connection,
    _place: OwnedSemaphorePermit,
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(act).await.map_err(StoreError::failed)?
}

impl Table {
    fn open(&self, access: OpenFlags, patience: Duration) -> Result<Connection, StoreError> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags).map_err(failed)?;
        connection.busy_timeout(patience).map_err(failed)?;
        Ok(connection)
    }

    fn read(&self, connection: &Connection, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let mut select = connection.prepare(&self.table.select::<Sqlite>(self.max_input)).map_err(failed)?;
        let mut rows = select.query([id.as_str()]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
        match (row.get_ref(0).map_err(failed)?, row.get_ref(1).map_err(failed)?) {
            (ValueRef::Blob(bytes), ValueRef::Real(end)) => record(bytes.to_vec(), end, self.max_input),
            // In the place of what is too large.
            (ValueRef::Integer(_), _) => Err(SessionError::Limit.into()),
            _ => Err(SessionError::CorruptData.into()),
        }
    }

    /// Locks the file for writing, and reads the record.
    fn lock(
        &self,
        place: OwnedSemaphorePermit,
        patience: Duration,
        id: &SessionId,
    ) -> Result<Option<(Locked, RawSession)>, StoreError> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE, patience)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let before = self.read(&connection, id)?;
        Ok(before.map(|before| (Locked { connection, _place: place }, before)))
    }

    fn write(&self, locked: &Locked, id: &SessionId, after: &[u8]) -> Result<bool, StoreError> {
        let data: &dyn ToSql =
            if self.table.is_text() { &str::from_utf8(after).map_err(StoreError::failed)? } else { &after };
        let is_there =
            locked.connection.execute(&self.table.write::<Sqlite>(), (id.as_str(), data)).map_err(failed)? > 0;
        locked.connection.execute_batch("COMMIT").map_err(failed)?;
        Ok(is_there)
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        _ => StoreError::failed(error),
    }
}

struct Sqlite;

impl Dialect for Sqlite {
    // As in MySQL: in double quotes a column that is not there would be taken for a text.
    const QUOTE: char = '`';
    const NOW: &'static str = "?2";

    fn bytes(column: &str, _is_text: bool, most: usize) -> String {
        // A part of it would be cut from all of it in memory, while its length is known without reading it.
        format!("CASE WHEN octet_length({column}) > {most} THEN 0 ELSE CAST({column} AS BLOB) END")
    }

    fn number(expression: &str) -> String {
        format!("CAST({expression} AS REAL)")
    }

    fn seconds(column: &str) -> String {
        format!("unixepoch({column}, 'subsec')")
    }

    fn time(seconds: &str) -> String {
        // As Django has it, to the millisecond: it compares texts.
        format!("strftime('%Y-%m-%d %H:%M:%f', {seconds}, 'unixepoch')")
    }

    fn integer(number: &str) -> String {
        format!("CAST({number} AS INTEGER)")
    }

    fn data(_is_text: bool) -> String {
        "?2".to_owned()
    }

    fn is_asked_for(column: &str) -> String {
        format!("{column} = ?1")
    }
}
