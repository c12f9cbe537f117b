//! Why and how a connection ends.

use std::fmt;

/// Why a connection is closed, in words that belong to no protocol.
///
/// Each wire translates a reason into its own: RFC 6455 into a close code, an HTTP answer into a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The conversation is over and all is well.
    Done,
    /// This end goes away: the server stops, or the peer leaves the page.
    GoingAway,
    /// The server restarts; coming back in a moment is welcome.
    Restart,
    /// The peer broke the protocol.
    BadPeer,
    /// The peer sent data that is not what it says it is, such as text that is not UTF-8.
    BadData,
    /// The peer may not do what it did.
    Policy,
    /// A message is larger than the limit.
    TooBig,
    /// There is too much to do at the moment; coming back later is welcome.
    Overload,
    /// Something on this side failed.
    Internal,
    /// The peer gave a reason of its own that has no counterpart here, or there was no goodbye at all.
    Other,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Done => "done",
            Reason::GoingAway => "going away",
            Reason::Restart => "restart",
            Reason::BadPeer => "protocol error",
            Reason::BadData => "bad data",
            Reason::Policy => "policy",
            Reason::TooBig => "too big",
            Reason::Overload => "overload",
            Reason::Internal => "internal error",
            Reason::Other => "other",
        })
    }
}

/// Who or what ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// The peer said goodbye.
    Peer,
    /// This side asked for it: [`Connection::close`](crate::Connection::close), or the server's shutdown.
    Local,
    /// The peer broke the protocol, so this side closed.
    Protocol,
    /// The handler returned an error and its verdict was to close.
    Handler,
    /// The handler panicked.
    Panic,
    /// The peer read too slowly and the outbox was full, under [`SlowPeer::Close`](crate::SlowPeer::Close).
    SlowPeer,
    /// The peer sent faster than it may, under [`OverRate::Close`](crate::OverRate::Close).
    FastPeer,
    /// The connection was cut by force, without a goodbye.
    Cut,
    /// The peer was silent, or did not read, for longer than [`Limits`](crate::Limits) allow.
    Timeout,
    /// The transport failed or ended without a goodbye.
    Lost,
}

/// How a connection ended.
///
/// `on_close` gets it while the connection can still say its last words, that is before this side's own goodbye is
/// on the wire. What the peer answered to *our* goodbye is therefore not known there; the value that the driver's
/// future returns in the end has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Who began.
    pub by: ClosedBy,
    /// Why.
    pub reason: Reason,
    /// Both sides have said goodbye, as the protocol wants it.
    ///
    /// In `on_close` this is true if the peer began in good order and false in all other cases; in the driver's
    /// result it is true if the closing handshake was completed, whoever began.
    pub clean: bool,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            ClosedBy::Peer => "closed by the peer",
            ClosedBy::Local => "closed by this side",
            ClosedBy::Protocol => "closed after a protocol error",
            ClosedBy::Handler => "closed after a handler's error",
            ClosedBy::Panic => "closed after a handler's panic",
            ClosedBy::SlowPeer => "closed because the peer reads too slowly",
            ClosedBy::FastPeer => "closed because the peer sends too fast",
            ClosedBy::Cut => "cut",
            ClosedBy::Timeout => "given up after a time-out",
            ClosedBy::Lost => "lost",
        };
        write!(f, "{by} ({})", self.reason)
    }
}
