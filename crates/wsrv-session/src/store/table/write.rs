//! How sessions in tables are touched and written.

use super::{Dialect, End, SessionTable, TEN_YEARS};
use std::time::{Duration, SystemTime};

impl SessionTable {
    /// Whether the data are text, and not bytes.
    pub(in crate::store) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Puts the data in the place of those of the id.
    pub(in crate::store) fn write<D: Dialect>(&self) -> String {
        let (table, data, value) = (self.quoted_name::<D>(), D::quoted(self.data), D::data(self.is_text));
        format!("UPDATE {table} SET {data} = {value} WHERE {}", D::is_asked_for(&D::quoted(self.id)))
    }

    /// Has the session of the id end later, if it is live now. `None`: its end does not move, or nobody has said for how
    /// long.
    pub(in crate::store) fn touch<D: Dialect>(&self, lifetime: Option<Duration>) -> Option<String> {
        let now = D::NOW;
        let later = |lifetime: Duration| format!("{now} + {}", lifetime.as_secs());
        let set = match self.end {
            End::LifetimeFrom { lifetime: column, time } => {
                let (value, end) = (D::number(&D::quoted(column)), later(lifetime?));
                // Rows with a duration count it from the other column on.
                let end = format!("CASE WHEN {value} > {TEN_YEARS} AND {value} < {end} THEN {end} ELSE {value} END");
                format!("{} = {}, {} = {}", D::quoted(column), D::integer(&end), D::quoted(time), D::integer(now))
            }
            End::After { seconds, .. } => Self::moved::<D>(seconds, now),
            End::AtSeconds(column) => Self::moved::<D>(column, &later(lifetime?)),
            // The records of tower-sessions, which are no text, say themselves when they end.
            End::At(_) if !self.is_text => return None,
            End::At(column) => {
                let (name, end) = (D::quoted(column), later(lifetime?));
                let (before, after) = (D::number(&D::seconds(&name)), D::time(&end));
                format!("{name} = CASE WHEN {before} < {end} THEN {after} ELSE {name} END")
            }
        };
        let (table, is_asked_for) = (self.quoted_name::<D>(), D::is_asked_for(&D::quoted(self.id)));
        Some(format!("UPDATE {table} SET {set} WHERE {is_asked_for} AND {} >= {now}", self.ends::<D>()))
    }

    /// A column of whole seconds set to this, if that is later.
    fn moved<D: Dialect>(column: &str, to: &str) -> String {
        let (name, value) = (D::quoted(column), D::number(&D::quoted(column)));
        format!("{name} = {}", D::integer(&format!("CASE WHEN {value} < {to} THEN {to} ELSE {value} END")))
    }
}

/// What [`Dialect::NOW`] stands for.
pub(in crate::store) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
