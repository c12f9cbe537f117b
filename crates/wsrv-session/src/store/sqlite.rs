//! Sessions in SQLite.

use super::table::{Dialect, record};
use super::{RawSession, SessionTable, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reads sessions from a table in a file of SQLite: of Symfony, Laravel, Django or tower-sessions.
///
/// The file is opened for each session that is read, and nothing in it is written. A front end's transaction that is open
/// keeps nobody waiting. While one is being committed, it is waited for, up to [`lock_wait`](SqliteStore::lock_wait);
/// and a front end that commits waits for the moment that a session is read in.
///
/// Files are read by threads that may wait (`spawn_blocking`), 8 at once.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    file: PathBuf,
    table: SessionTable,
    lock_wait: Duration,
    max_input: usize,
    reading: Arc<Semaphore>,
}

const AT_ONCE: usize = 8;

impl SqliteStore {
    /// Sessions in this table of a database. It need not be there yet.
    pub fn new(file: impl Into<PathBuf>, table: SessionTable) -> Self {
        let (lock_wait, max_input) = (Duration::from_millis(500), Limits::default().max_input);
        SqliteStore { file: file.into(), table, lock_wait, max_input, reading: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// How long a lock is waited for. Default 500 ms.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// How large a session may be: 2 GiB at most, and no more than SQLite allows, by default 1 GB. Default: as
    /// [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = clamped(bytes);
        self
    }
}

impl Store for SqliteStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let place = self.reading.clone().acquire_owned().await.map_err(StoreError::failed)?;
        let (file, select, id) = (self.file.clone(), self.table.select::<Sqlite>(self.max_input), id.clone());
        let (lock_wait, max_input) = (self.lock_wait, self.max_input);
        let read = tokio::task::spawn_blocking(move || {
            // Also when nobody waits for it any more.
            let _place = place;
            let row = read(&file, lock_wait, &select, id.as_str()).map_err(failed)?;
            row.map_or(Ok(None), |row| match row {
                Row::Fitting(bytes, end) => record(bytes, end, max_input),
                Row::TooLarge => Err(SessionError::Limit.into()),
                Row::Other => Err(SessionError::CorruptData.into()),
            })
        });
        read.await.map_err(StoreError::failed)?
    }
}

enum Row {
    Fitting(Vec<u8>, f64),
    TooLarge,
    Other,
}

fn read(file: &Path, lock_wait: Duration, select: &str, id: &str) -> rusqlite::Result<Option<Row>> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(lock_wait)?;
    let mut select = connection.prepare(select)?;
    let mut rows = select.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(match (row.get_ref(0)?, row.get_ref(1)?) {
        (ValueRef::Blob(bytes), ValueRef::Real(end)) => Row::Fitting(bytes.to_vec(), end),
        (ValueRef::Integer(_), _) => Row::TooLarge,
        _ => Row::Other,
    }))
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

    fn is_asked_for(column: &str) -> String {
        format!("{column} = ?1")
    }
}
