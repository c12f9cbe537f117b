//! Tables of sessions in databases.

mod write;

pub(super) use write::now;

use super::{RawSession, StoreError};
use crate::SessionError;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Where a front end's table has its sessions: what it is called, what its columns are, and when a row has expired. Those
/// of front ends that are known have names here, others are [described](SessionTable::new).
#[derive(Clone, Debug)]
pub struct SessionTable {
    table: String,
    id: &'static str,
    data: &'static str,
    is_text: bool,
    end: End,
}

/// When a row has expired.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Symfony: a time, or a duration from another column's time on in rows of older versions.
    LifetimeFrom { lifetime: &'static str, time: &'static str },
    /// So long after this number of seconds since 1970.
    After { seconds: &'static str, lifetime: Duration },
    /// At this number of seconds since 1970.
    AtSeconds(&'static str),
    /// At this time.
    At(&'static str),
    /// When the row is deleted.
    Never,
}

/// A time beyond every clock, in seconds.
const NEVER: &str = "1e300";

/// What Symfony takes for a time and no duration: ten years of seconds.
const TEN_YEARS: u64 = 315_576_000;

impl SessionTable {
    /// Symfony's `PdoSessionHandler`: the table `sessions` with `sess_id`, `sess_data`, `sess_lifetime` and `sess_time`.
    pub fn symfony() -> Self {
        let end = End::LifetimeFrom { lifetime: "sess_lifetime", time: "sess_time" };
        SessionTable { table: "sessions".into(), id: "sess_id", data: "sess_data", is_text: false, end }
    }

    /// Laravel's driver `database`: the table `sessions`, whose rows expire so long after their last activity
    /// (`session.lifetime`, 120 minutes unless it is set). The payload is [in base64](crate::Codec::in_base64).
    pub fn laravel(lifetime: Duration) -> Self {
        let end = End::After { seconds: "last_activity", lifetime };
        SessionTable { table: "sessions".into(), id: "id", data: "payload", is_text: true, end }
    }

    /// express's `connect-pg-simple`: the table `session` with `sid`, `sess` and `expire`. The latter has no time zone, so the
    /// database has to be used with the same one by both.
    pub fn connect_pg_simple() -> Self {
        SessionTable { table: "session".into(), id: "sid", data: "sess", is_text: true, end: End::At("expire") }
    }

    /// express's `express-mysql-session`: the table `sessions` with `session_id`, `expires` and `data`.
    pub fn express_mysql_session() -> Self {
        SessionTable {
            table: "sessions".into(),
            id: "session_id",
            data: "data",
            is_text: true,
            end: End::AtSeconds("expires"),
        }
    }

    /// Django's `django_session`. Its data are signed, so they are opened with the front end's key first.
    ///
    /// In MySQL and SQLite its times have no zone, and are taken for UTC: `USE_TZ = True`, the default.
    pub fn django() -> Self {
        SessionTable {
            table: "django_session".into(),
            id: "session_key",
            data: "session_data",
            is_text: true,
            end: End::At("expire_date"),
        }
    }

    /// tower-sessions: `tower_sessions.session`, whose records say themselves when they end, too. In SQLite it is
    /// [called](SessionTable::named) `tower_sessions`.
    pub fn tower_sessions() -> Self {
        SessionTable {
            table: "tower_sessions.session".into(),
            id: "id",
            data: "data",
            is_text: false,
            end: End::At("expiry_date"),
        }
    }

    /// A table of one's own, with these columns for the id and the data. The data are bytes, and a row is live until it is
    /// deleted, unless what follows says otherwise. What the data are written in is said to [`Sessions::new`](crate::Sessions::new).
    ///
    /// ```
    /// use wsrv_session::SessionTable;
    ///
    /// // CREATE TABLE app.visits (token text PRIMARY KEY, state jsonb NOT NULL, ends_at timestamptz NOT NULL)
    /// let table = SessionTable::new("app.visits", "token", "state").text().ends_at("ends_at");
    /// # let _ = table;
    /// ```
    pub fn new(table: impl Into<String>, id: &'static str, data: &'static str) -> Self {
        SessionTable { table: table.into(), id, data, is_text: false, end: End::Never }
    }

    /// The data are text (or JSON, where the database has a type for it), and read as UTF-8.
    pub fn text(self) -> Self {
        SessionTable { is_text: true, ..self }
    }

    /// A row ends at the time stamp in this column. One without a zone is in that of the session in PostgreSQL, and in
    /// UTC in MySQL and SQLite.
    pub fn ends_at(self, column: &'static str) -> Self {
        SessionTable { end: End::At(column), ..self }
    }

    /// A row ends at the time in this column, in seconds since 1970.
    pub fn ends_at_seconds(self, column: &'static str) -> Self {
        SessionTable { end: End::AtSeconds(column), ..self }
    }

    /// A row ends so long after the time in this column, in seconds since 1970. Parts of a second do not count.
    pub fn ends_after(self, seconds: &'static str, lifetime: Duration) -> Self {
        SessionTable { end: End::After { seconds, lifetime }, ..self }
    }

    /// A row ends so many seconds as the one column has after the time in the other, in seconds since 1970. A lifetime of
    /// more than ten years is the end itself, as in tables of Symfony.
    pub fn ends_after_columns(self, seconds: &'static str, lifetime: &'static str) -> Self {
        SessionTable { end: End::LifetimeFrom { lifetime, time: seconds }, ..self }
    }

    /// The same columns in a table of this name; a dot is between its schema and itself.
    pub fn named(self, table: impl Into<String>) -> Self {
        SessionTable { table: table.into(), ..self }
    }

    /// Asks for the data of the id, and for its end in seconds since 1970. Not more of the data than one byte beyond this.
    pub(super) fn select<D: Dialect>(&self, max_input: usize) -> String {
        let data = D::bytes(&D::quoted(self.data), self.is_text, max_input);
        let (end, table) = (self.ends::<D>(), self.quoted_name::<D>());
        format!("SELECT {data}, {end} FROM {table} WHERE {}", D::is_asked_for(&D::quoted(self.id)))
    }

    /// When a row ends, in seconds since 1970.
    fn ends<D: Dialect>(&self) -> String {
        // As numbers that do not overflow.
        let number = |column: &str| D::number(&D::quoted(column));
        match self.end {
            End::LifetimeFrom { lifetime, time } => {
                let (lifetime, time) = (number(lifetime), number(time));
                format!("CASE WHEN {lifetime} > {TEN_YEARS} THEN {lifetime} ELSE {time} + {lifetime} END")
            }
            End::After { seconds, lifetime } => format!("{} + {}", number(seconds), lifetime.as_secs()),
            End::AtSeconds(column) => number(column),
            End::At(time) => D::number(&D::seconds(&D::quoted(time))),
            End::Never => D::number(NEVER),
        }
    }

    fn quoted_name<D: Dialect>(&self) -> String {
        self.table.split('.').map(D::quoted).collect::<Vec<_>>().join(".")
    }
}

/// What databases say differently.
pub(super) trait Dialect {
    /// What is around names.
    const QUOTE: char;

    /// The parameter that is the time now, in seconds since 1970: the second one.
    const NOW: &'static str;

    /// As a name, whatever is in it.
    fn quoted(name: &str) -> String {
        let quote = Self::QUOTE;
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }

    /// The bytes of a column, text as UTF-8. Where there are more than `most`, it is enough to see that there are.
    fn bytes(column: &str, is_text: bool, most: usize) -> String;

    /// As a floating-point number of double precision.
    fn number(expression: &str) -> String;

    /// A column's time in seconds since 1970.
    fn seconds(column: &str) -> String;

    /// A time so many seconds after 1970, for a column.
    fn time(seconds: &str) -> String;

    /// A number as an integer.
    fn integer(number: &str) -> String;

    /// The parameter that is the data, the second one, for a column of text or of bytes.
    fn data(is_text: bool) -> String;

    /// Whether a column is the id, the first parameter, to the letter.
    fn is_asked_for(column: &str) -> String;
}

/// The right to write, and what is left of the time to wait for the locks of others.
pub(super) async fn place_to_write(
    writing: &Arc<Semaphore>,
    lock_wait: Duration,
) -> Result<(OwnedSemaphorePermit, Duration), StoreError> {
    let began = Instant::now();
    let place = timeout(lock_wait, writing.clone().acquire_owned()).await.map_err(|_| StoreError::Busy)?;
    Ok((place.map_err(StoreError::failed)?, lock_wait.saturating_sub(began.elapsed())))
}

/// The record of a row, unless it is over.
pub(super) fn record(bytes: Vec<u8>, end: f64, most: usize) -> Result<Option<RawSession>, StoreError> {
    if bytes.len() > most {
        return Err(SessionError::Limit.into());
    }
    let expires = time(end);
    let is_over = expires.is_some_and(|expires| expires < SystemTime::now());
    Ok((!is_over).then(|| RawSession::new(bytes, expires)))
}

/// A time so many seconds after 1970, whatever they are. One beyond the clock is none.
fn time(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?)
}
