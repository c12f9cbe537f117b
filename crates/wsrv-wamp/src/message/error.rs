//! What can be wrong with a message.

use thiserror::Error;

use super::MessageType;

/// Why a text is no message, or none that is taken here.
///
/// It says what is wrong and where, and repeats nothing that the peer has sent but the id of a call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}{}", Place(*element))]
#[non_exhaustive]
pub struct MessageError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The element of the message's array that it is about, counted from 0. `None` if it is about the whole.
    pub element: Option<usize>,
    call_id: Option<Box<str>>,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The message is binary.
    #[error("not text")]
    NotText,
    /// The text is not JSON.
    #[error("not JSON")]
    NotJson,
    /// The text is JSON, but another value than an array.
    #[error("not an array")]
    NotAnArray,
    /// The array has no elements.
    #[error("an empty array")]
    Empty,
    /// The type id is an integer, but none of 0 to 8.
    #[error("no such type of message")]
    UnknownType,
    /// A message that only the other side sends.
    #[error("{0} comes from the other side only")]
    WrongDirection(MessageType),
    /// The array ends too early.
    #[error("at least {min} elements expected")]
    TooFew {
        /// The smallest number of elements of such a message.
        min: usize,
    },
    /// The array goes on too long.
    #[error("at most {max} elements expected")]
    TooMany {
        /// The largest number of elements of such a message.
        max: usize,
    },
    /// The element is a value of another type.
    #[error("{expected} expected")]
    WrongType {
        /// What it should be, such as `"a string"`.
        expected: &'static str,
    },
    /// Values are nested deeper than [`max_depth`](crate::MessageLimits::max_depth).
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// A URI, CURIE or prefix is longer than [`max_uri`](crate::MessageLimits::max_uri).
    #[error("a URI of more than {max} bytes")]
    UriTooLong {
        /// The limit.
        max: usize,
    },
    /// A call's id is longer than [`max_call_id`](crate::MessageLimits::max_call_id).
    #[error("a call id of more than {max} bytes")]
    CallIdTooLong {
        /// The limit.
        max: usize,
    },
    /// A prefix that can be none.
    #[error(transparent)]
    Prefix(crate::PrefixError),
    /// A list of session ids is longer than [`max_list`](crate::MessageLimits::max_list).
    #[error("more than {max} session ids")]
    ListTooLong {
        /// The limit.
        max: usize,
    },
}

impl MessageError {
    /// The id of the call that this was meant to be, if it can be read and is not too long: then a CALLERROR tells the
    /// caller, who would wait forever otherwise. `None` for other messages.
    pub fn call_id(&self) -> Option<&str> {
        self.call_id.as_deref()
    }

    /// A message that is no text.
    #[cfg(feature = "server")]
    pub(crate) const fn not_text() -> Self {
        Self::new(ErrorKind::NotText)
    }

    /// A prefix that can be none.
    #[cfg(feature = "server")]
    pub(crate) const fn prefix(error: crate::PrefixError) -> Self {
        Self::at(1, ErrorKind::Prefix(error))
    }

    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind, element: None, call_id: None }
    }

    pub(crate) const fn at(element: usize, kind: ErrorKind) -> Self {
        Self { kind, element: Some(element), call_id: None }
    }

    pub(crate) fn of_call(self, id: Option<&str>) -> Self {
        Self { call_id: id.map(Into::into), ..self }
    }
}

/// Where in the message, behind what is wrong.
struct Place(Option<usize>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(element) => write!(f, ", at element {element}"),
            None => Ok(()),
        }
    }
}
