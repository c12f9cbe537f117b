//! Where servers of WAMP version 1 differ from each other.

use crate::CurieJoin;

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

#[cfg(test)]
mod tests {
    use super::*;

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
