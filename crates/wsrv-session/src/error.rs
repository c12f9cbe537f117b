//! Why there is no session where a cookie names one.

/// Why a cookie or a record could not be read. Nothing of it is used then, and nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The cookie has not the form that the front end gives it.
    #[error("the session cookie is malformed")]
    MalformedCookie,
    /// It was not signed or encrypted with one of the keys, or was changed since. Which of these is not told.
    #[error("the session cookie was not made with one of the keys")]
    BadSignature,
    /// It is no id as the front end makes them.
    #[error("not a session id")]
    InvalidId,
    /// The cookie itself says that it is too old.
    #[error("the session has expired")]
    Expired,
    /// The record is damaged, or of another format.
    #[error("the session's data is damaged or of another format")]
    CorruptData,
    /// It is larger than the [limits](crate::Limits) allow.
    #[error("the session's data is larger than allowed")]
    Limit,
    /// It is in a format, or uses a part of one, that is not read.
    #[error("the session's data is in a format that is not read")]
    Unsupported,
}
