//! What is done about peers that read too slowly, and what that has cost.

use crate::Reason;
use std::ops::AddAssign;

/// What a send that does not wait does about a peer that does not keep up.
///
/// Set for all sends to a connection by [`Limits::slow_peer`](crate::Limits::slow_peer), and for a single one by
/// [`Connection::try_send_with`](crate::Connection::try_send_with) or [`Group::send_with`](crate::Group::send_with).
/// (One more way is to wait: [`send().await`](crate::Link::send) waits for room whatever is set here.)
///
/// A peer is behind while its socket takes no more, or while much is to be written to a stream that only its own task
/// writes. What was sent before that is encoded and will be written. Messages under [`DropOldest`](Self::DropOldest) or
/// [`KeepLatest`](Self::KeepLatest) then wait whole, and can still be dropped or replaced; so do messages to a group, and
/// whatever is sent behind them. When the outbox is [full](crate::Limits::outbox), the oldest message that was sent under
/// one of these two policies is dropped, whatever the new one's policy. Only if there is none, the new one has no room.
///
/// Pings, pongs and the goodbye are no messages: they are never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPeer {
    /// A message that has no room is dropped and the sender told so.
    DropNewest,
    /// The message may be dropped later, too, in favour of one that is sent after it. The right thing where the newest
    /// counts most. A new message, too, is dropped if nothing else may be.
    DropOldest,
    /// As [`DropOldest`](Self::DropOldest), and the message replaces one with the same key that still waits: the right
    /// thing for states such as a quote or the place of a cursor, of which only the latest matters. The sender chooses
    /// keys as it likes; each connection has its own. (As the policy of a connection, it has one key for all that is sent
    /// without another policy: only the latest of that waits.)
    ///
    /// It takes the place of the one it replaces, so what changes often is not put off for ever. But it never overtakes a
    /// message without a key: if one was sent in between, it goes to the end.
    KeepLatest(u64),
    /// A message that has no room is dropped, and the connection closed with this reason
    /// ([`Reason::Policy`] is code 1008 of RFC 6455, [`Reason::Overload`] 1013). What was sent before is still written,
    /// as far as the peer reads it within [`Limits::close_timeout`](crate::Limits::close_timeout). If there is no room
    /// only because messages wait for the end of one that is sent in parts, the peer is not to blame and not closed.
    Close(Reason),
}

impl SlowPeer {
    /// Whether a message that is sent so may be dropped or replaced after it was taken.
    pub(crate) fn may_drop(self) -> bool {
        matches!(self, SlowPeer::DropOldest | SlowPeer::KeepLatest(_))
    }
}

/// What was lost because peers read too slowly: of one connection by [`Link::losses`](crate::Link::losses), of all by
/// [`Connections::losses`](crate::Connections::losses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Losses {
    /// Messages that were dropped, new ones and old ones. What an ended connection has not written is not counted.
    pub dropped: u64,
    /// Messages that a later one with the same key has replaced.
    pub replaced: u64,
    /// Connections that were closed under [`SlowPeer::Close`].
    pub closed: u64,
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.replaced += other.replaced;
        self.closed += other.closed;
    }
}
