//! Tables of sessions in databases.

mod write;

use std::time::{Duration, SystemTime};

/// Where a front end's table has its sessions: what it is called, what its columns are, and when a row has expired.
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
    /// At this time.
    At(&'static str),
}

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

    /// Django's `django_session`. Its data are signed, so they are opened with the front end's key first.
    pub fn django() -> Self {
        SessionTable {
            table: "django_session".into(),
            id: "session_key",
            data: "session_data",
            is_text: true,
            end: End::At("expire_date"),
        }
    }

    /// tower-sessions: `tower_sessions.session`, whose records say themselves when they end, too.
    pub fn tower_sessions() -> Self {
        SessionTable {
            table: "tower_sessions.session".into(),
            id: "id",
            data: "data",
            is_text: false,
            end: End::At("expiry_date"),
        }
    }

    /// The same columns in a table of this name; a dot is between its schema and itself.
    pub fn named(self, table: impl Into<String>) -> Self {
        SessionTable { table: table.into(), ..self }
    }

    /// Asks for the data of the id that is the first parameter, and for its end in seconds since 1970. Not more of the
    /// data than one byte beyond this.
    pub(crate) fn select(&self, max_input: usize) -> String {
        let (table, id) = (self.table.split('.').map(quoted).collect::<Vec<_>>().join("."), quoted(self.id));
        let (data, most) = (quoted(self.data), max_input + 1);
        let data = if self.is_text { format!("convert_to({data}::text, 'UTF8')") } else { data };
        let end = match self.end {
            End::LifetimeFrom { lifetime, time } => {
                let (lifetime, time) = (number(lifetime), number(time));
                format!("CASE WHEN {lifetime} > {TEN_YEARS} THEN {lifetime} ELSE {time} + {lifetime} END")
            }
            End::After { seconds, lifetime } => format!("{} + {}", number(seconds), lifetime.as_secs()),
            End::At(time) => format!("extract(epoch from {}::timestamptz)", quoted(time)),
        };
        format!("SELECT substr({data}, 1, {most}), ({end})::double precision FROM {table} WHERE {id} = $1")
    }
}

/// A column, as a number that does not overflow.
fn number(column: &str) -> String {
    format!("{}::double precision", quoted(column))
}

/// As a name, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A time so many seconds after 1970, whatever they are. One beyond the clock is none.
pub(crate) fn time(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?)
}
