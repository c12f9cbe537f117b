//! Where servers of WAMP version 1 differ from each other, and who receives an event.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::{CurieJoin, Exclude};

/// What a server makes of things that the specification leaves open, or that servers in use do otherwise.
///
/// ```
/// use wsrv_wamp::{CurieJoin, Dialect};
///
/// let dialect = Dialect::autobahn().with_join(CurieJoin::Tolerant).with_exclude_publisher(false);
/// assert_ne!(dialect, Dialect::ratchet());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Dialect {
    /// How CURIEs become URIs. [`Concatenate`](CurieJoin::Concatenate) by default, [`Hash`](CurieJoin::Hash) with
    /// Ratchet.
    pub join: CurieJoin,
    /// Whether the publisher does **not** receive its own event, if its PUBLISH says nothing on that. True by default,
    /// as with Autobahn; false with Ratchet. Clients that can, say it.
    pub exclude_publisher: bool,
    /// Whether a call with one argument that is an array is a call with its elements as arguments. False by default,
    /// true with Ratchet. See [`Arguments::unwrapped`](crate::Arguments::unwrapped).
    pub unwrap_arguments: bool,
    /// Whether an empty list of eligible sessions means everybody and not nobody. False by default, true with Ratchet.
    pub empty_eligible_is_everybody: bool,
    /// Whether numbers and strings in the place of a PUBLISH's flag are taken for true, unless they are 0, `""` or
    /// `"0"`. False by default: they are malformed. True with Ratchet.
    pub truthy_exclude: bool,
    /// What becomes of malformed messages. Close code 1002 by default, 1007 with Ratchet.
    pub malformed: Malformed,
}

/// What becomes of a message that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// It is dropped, and the session goes on. So does Autobahn; mistakes of clients remain hidden.
    Ignore,
    /// The connection is closed with this close code.
    Close(u16),
}

impl Dialect {
    /// That of Autobahn, whose author wrote the specification, but for [`malformed`](Self::malformed). The default.
    pub const fn autobahn() -> Self {
        Self {
            join: CurieJoin::Concatenate,
            exclude_publisher: true,
            unwrap_arguments: false,
            empty_eligible_is_everybody: false,
            truthy_exclude: false,
            malformed: Malformed::Close(1002),
        }
    }

    /// That of Ratchet, for clients written for it.
    pub const fn ratchet() -> Self {
        Self {
            join: CurieJoin::Hash,
            exclude_publisher: false,
            unwrap_arguments: true,
            empty_eligible_is_everybody: true,
            truthy_exclude: true,
            malformed: Malformed::Close(1007),
        }
    }

    /// Sets [`join`](Self::join).
    pub const fn with_join(mut self, join: CurieJoin) -> Self {
        self.join = join;
        self
    }

    /// Sets [`exclude_publisher`](Self::exclude_publisher).
    pub const fn with_exclude_publisher(mut self, exclude: bool) -> Self {
        self.exclude_publisher = exclude;
        self
    }

    /// Sets [`unwrap_arguments`](Self::unwrap_arguments).
    pub const fn with_unwrap_arguments(mut self, unwrap: bool) -> Self {
        self.unwrap_arguments = unwrap;
        self
    }

    /// Sets [`empty_eligible_is_everybody`](Self::empty_eligible_is_everybody).
    pub const fn with_empty_eligible_is_everybody(mut self, everybody: bool) -> Self {
        self.empty_eligible_is_everybody = everybody;
        self
    }

    /// Sets [`truthy_exclude`](Self::truthy_exclude).
    pub const fn with_truthy_exclude(mut self, truthy: bool) -> Self {
        self.truthy_exclude = truthy;
        self
    }

    /// Sets [`malformed`](Self::malformed).
    pub const fn with_malformed(mut self, malformed: Malformed) -> Self {
        self.malformed = malformed;
        self
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Self::autobahn()
    }
}

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

    #[test]
    fn each_part_of_a_dialect_can_be_chosen() {
        let ratchet = Dialect::default()
            .with_join(CurieJoin::Hash)
            .with_exclude_publisher(false)
            .with_unwrap_arguments(true)
            .with_empty_eligible_is_everybody(true)
            .with_truthy_exclude(true)
            .with_malformed(Malformed::Close(1007));
        assert_eq!(ratchet, Dialect::ratchet());
    }
}
