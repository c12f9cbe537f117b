//! What can go wrong, from the handler's and from the sender's point of view.

use crate::Reason;
use std::error::Error as StdError;
use std::fmt;

/// What a [`Handler`](crate::Handler) returns when a step failed: any error, and the [`Reason`] it closes with.
///
/// Every standard error turns into one by `?`, with [`Reason::Internal`]; [`Error::new`] gives another reason.
/// One machine word; like other catch-all errors it does not itself implement [`std::error::Error`].
pub struct Error(Box<Inner>);

struct Inner {
    reason: Reason,
    source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// An error that closes the connection with `reason`, unless the handler's verdict is another.
    pub fn new(reason: Reason, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error(Box::new(Inner { reason, source: source.into() }))
    }

    /// The reason to close with.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The underlying error.
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.source
    }

    /// The underlying error, if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.downcast_ref()
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Error {
    fn from(source: E) -> Self {
        Error::new(Reason::Internal, source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({})", self.0.source, self.0.reason)
    }
}

/// A message was not taken for sending. The connection and what was sent before are as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has said its goodbye, or is gone.
    #[error("the connection is closed")]
    Closed,
    /// The outbox is full: the peer reads more slowly than it is sent to.
    #[error("the outbox is full")]
    Full,
    /// The protocol does not allow such a message.
    #[error("not a valid message: {0}")]
    Invalid(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_error_closes_with_internal_and_keeps_its_type() {
        let error: Error = "x".parse::<u8>().unwrap_err().into();
        assert_eq!(error.reason(), Reason::Internal);
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
        assert_eq!(error.to_string(), "invalid digit found in string");
    }

    #[test]
    fn an_error_is_one_word() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}
