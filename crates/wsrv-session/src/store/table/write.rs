//! How sessions in tables are touched and written.

use super::super::postgres::Postgres;
use super::{Dialect, End, SessionTable, TEN_YEARS};
use std::time::Duration;

impl SessionTable {
    /// Whether the data are text, and not bytes.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Puts the second parameter in the place of the data of the id that is the first.
    pub(crate) fn write(&self) -> String {
        let (table, id, data) = (self.quoted_name(), Postgres::quoted(self.id), Postgres::quoted(self.data));
        format!("UPDATE {table} SET {data} = $2 WHERE {id} = $1")
    }

    /// Has the session of the id that is the first parameter end later, if it is live at the time that is the second,
    /// in seconds since 1970. `None`: its end does not move, or nobody has said for how long.
    pub(crate) fn touch(&self, lifetime: Option<Duration>) -> Option<String> {
        let (table, id, now) = (self.quoted_name(), Postgres::quoted(self.id), "$2::double precision");
        let (set, end) = match self.end {
            End::LifetimeFrom { lifetime: column, time } => {
                let end = format!("{now} + {}", lifetime?.as_secs());
                let (name, value, from) = (Postgres::quoted(column), number_of(column), number_of(time));
                // Rows with a duration count it from the other column on.
                let later = format!("CASE WHEN {value} > {TEN_YEARS} THEN greatest({value}, {end}) ELSE {value} END");
                let set = format!("{name} = ({later})::bigint, {} = ({now})::bigint", Postgres::quoted(time));
                (set, format!("CASE WHEN {value} > {TEN_YEARS} THEN {value} ELSE {from} + {value} END"))
            }
            End::After { seconds, lifetime } => {
                let (name, value) = (Postgres::quoted(seconds), number_of(seconds));
                (format!("{name} = greatest({value}, {now})::bigint"), format!("{value} + {}", lifetime.as_secs()))
            }
            // The records of tower-sessions, which are no text, say themselves when they end.
            End::At(_) if !self.is_text => return None,
            End::At(column) => {
                let (name, seconds) = (Postgres::quoted(column), lifetime?.as_secs());
                let set = format!("{name} = greatest({name}::timestamptz, to_timestamp({now} + {seconds}))");
                (set, format!("extract(epoch from {name}::timestamptz)::double precision"))
            }
        };
        Some(format!("UPDATE {table} SET {set} WHERE {id} = $1 AND {end} >= {now}"))
    }

    fn quoted_name(&self) -> String {
        self.table.split('.').map(Postgres::quoted).collect::<Vec<_>>().join(".")
    }
}

fn number_of(column: &str) -> String {
    Postgres::number(&Postgres::quoted(column))
}
