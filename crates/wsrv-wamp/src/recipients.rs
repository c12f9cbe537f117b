//! Who receives an event.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::{Dialect, Exclude};

/// Who of a topic's subscribers receives an event: those who are eligible and not excluded.
///
/// ```
/// use wsrv_wamp::{Dialect, Exclude, Recipients};
///
/// let recipients = Recipients::new(&Exclude::Default, None, Some("me"), &Dialect::autobahn());
/// assert!(!recipients.includes("me"));
/// assert!(recipients.includes("you"));
/// ```
#[derive(Debug, Clone)]
pub struct Recipients<'a> {
    excluded: Ids<'a>,
    eligible: Option<Ids<'a>>,
}

/// Some session ids.
#[derive(Debug, Clone)]
enum Ids<'a> {
    One(&'a str),
    Few(&'a [Cow<'a, str>]),
    Many(HashSet<&'a str>),
}

/// Lists up to this length are looked through: that is faster than a hash.
const FEW: usize = 8;

impl<'a> Recipients<'a> {
    /// Computes who receives an event, from what the PUBLISH says and the publisher's own session id. `None` for events
    /// of the server itself, which has no session to exclude.
    pub fn new(
        exclude: &'a Exclude<'a>,
        eligible: Option<&'a [Cow<'a, str>]>,
        publisher: Option<&'a str>,
        dialect: &Dialect,
    ) -> Self {
        let me = |excluded| if excluded { publisher.map(Ids::One) } else { None };
        let excluded = match exclude {
            Exclude::Default => me(dialect.exclude_publisher),
            Exclude::Me(excluded) => me(*excluded),
            Exclude::Sessions(ids) => Some(Ids::new(ids)),
        };
        let eligible = eligible.filter(|ids| !(dialect.empty_eligible_is_everybody && ids.is_empty()));
        Self { excluded: excluded.unwrap_or(Ids::Few(&[])), eligible: eligible.map(Ids::new) }
    }

    /// All subscribers.
    pub const fn everybody() -> Self {
        Self { excluded: Ids::Few(&[]), eligible: None }
    }

    /// Whether a subscriber with this session id receives the event.
    pub fn includes(&self, session_id: &str) -> bool {
        !self.excluded.contains(session_id) && self.eligible.as_ref().is_none_or(|ids| ids.contains(session_id))
    }

    /// Whether all subscribers receive it, so that none needs to be asked for.
    pub fn is_everybody(&self) -> bool {
        self.eligible.is_none() && matches!(self.excluded, Ids::Few([]))
    }
}

impl<'a> Ids<'a> {
    fn new(ids: &'a [Cow<'a, str>]) -> Self {
        if ids.len() <= FEW { Self::Few(ids) } else { Self::Many(ids.iter().map(|id| &**id).collect()) }
    }

    fn contains(&self, session_id: &str) -> bool {
        match self {
            Self::One(id) => *id == session_id,
            Self::Few(ids) => ids.iter().any(|id| id == session_id),
            Self::Many(ids) => ids.contains(session_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who of `me`, `you` and `she` receives an event of `me`.
    fn receives(exclude: &Exclude<'_>, eligible: Option<&[Cow<'_, str>]>, dialect: Dialect) -> String {
        let recipients = Recipients::new(exclude, eligible, Some("me"), &dialect);
        let included: Vec<&str> = ["me", "you", "she"].into_iter().filter(|id| recipients.includes(id)).collect();
        assert_eq!(recipients.is_everybody(), included.len() == 3, "{exclude:?} {eligible:?}");
        included.join(" ")
    }

    #[test]
    fn the_truth_table_holds() {
        let list = |ids: &[&'static str]| ids.iter().map(|id| Cow::Borrowed(*id)).collect::<Vec<_>>();
        let sessions = |ids: &[&'static str]| Exclude::Sessions(list(ids));
        for (exclude, eligible, autobahn, ratchet) in [
            (Exclude::Default, None, "you she", "me you she"),
            (Exclude::Me(true), None, "you she", "you she"),
            (Exclude::Me(false), None, "me you she", "me you she"),
            (sessions(&[]), None, "me you she", "me you she"),
            (sessions(&["you"]), None, "me she", "me she"),
            (sessions(&["you", "me"]), None, "she", "she"),
            (Exclude::Default, Some(list(&["me", "you"])), "you", "me you"),
            (Exclude::Me(true), Some(list(&["me", "you"])), "you", "you"),
            (Exclude::Me(false), Some(list(&["me"])), "me", "me"),
            (Exclude::Default, Some(list(&[])), "", "me you she"),
            (Exclude::Me(true), Some(list(&[])), "", "you she"),
            (sessions(&["you"]), Some(list(&["you", "she"])), "she", "she"),
            (sessions(&["you"]), Some(list(&["you"])), "", ""),
            (sessions(&["me", "you", "she"]), Some(list(&["unknown"])), "", ""),
        ] {
            let eligible = eligible.as_deref();
            assert_eq!(receives(&exclude, eligible, Dialect::autobahn()), autobahn, "{exclude:?} {eligible:?}");
            assert_eq!(receives(&exclude, eligible, Dialect::ratchet()), ratchet, "{exclude:?} {eligible:?}");
        }
    }

    #[test]
    fn events_of_the_server_exclude_no_publisher() {
        for exclude in [Exclude::Default, Exclude::Me(true)] {
            assert!(Recipients::new(&exclude, None, None, &Dialect::autobahn()).is_everybody());
        }
        assert!(Recipients::everybody().is_everybody() && Recipients::everybody().includes(""));
    }
}
