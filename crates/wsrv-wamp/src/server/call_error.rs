//! What a caller is told when there is no result.

use crate::{RawValue, uris};
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The answer to a call that has no result: a URI for programs, a description for people, perhaps details.
///
/// Whatever implements [`std::error::Error`] becomes one by `?`, and the caller is told nothing of it but
/// [`uris::INTERNAL`]; the error itself goes to the log, as a warning. So does what is given to
/// [`internal`](CallError::internal), for errors of another kind (`anyhow`'s, or a box). What a caller may know is said
/// with [`new`](CallError::new).
///
/// ```
/// use wsrv_wamp::CallError;
///
/// fn seat(number: &str) -> Result<u32, CallError> {
///     let number = number.parse()?; // told as an internal error
///     if number > 99 {
///         return Err(CallError::new("http://example.com/error#no-seat", "there is no such seat").details(&99));
///     }
///     Ok(number)
/// }
/// assert_eq!(seat("100").unwrap_err().uri(), "http://example.com/error#no-seat");
/// assert_eq!(seat("x").unwrap_err().description(), "internal error");
/// ```
#[derive(Clone)]
pub struct CallError {
    uri: Cow<'static, str>,
    description: Cow<'static, str>,
    details: Option<Box<RawValue>>,
    fault: Option<Box<Fault>>,
    /// For the log only.
    cause: Option<Box<str>>,
}

impl CallError {
    /// An error of the application. Some old clients can read descriptions of ASCII only.
    pub fn new(uri: impl Into<Cow<'static, str>>, description: impl Into<Cow<'static, str>>) -> Self {
        CallError { uri: uri.into(), description: description.into(), details: None, fault: None, cause: None }
    }

    /// An error without a URI of its own: [`uris::GENERIC`].
    pub fn generic(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(uris::GENERIC, description)
    }

    /// Something went wrong here: the caller is told [`uris::INTERNAL`], and the log why.
    pub fn internal(why: impl fmt::Display) -> Self {
        CallError { cause: Some(why.to_string().into()), ..Fault::Failed.into() }
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Adds details, any JSON but null. What serde cannot write is left out, and a warning is logged.
    pub fn details(mut self, details: &impl Serialize) -> Self {
        match to_raw_value(details) {
            Ok(details) => self.details = Some(details).filter(|details| details.get() != "null"),
            Err(error) => tracing::warn!(%error, uri = %self.uri, "the details of a call's error are no JSON"),
        }
        self
    }

    /// The fault that it stands for, if nobody has chosen this error.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_deref()
    }

    /// The URI for programs.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The description for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The details as JSON.
    pub fn raw_details(&self) -> Option<&RawValue> {
        self.details.as_deref()
    }
}

impl<E: std::error::Error> From<E> for CallError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        CallError::internal(text)
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallError")
            .field("uri", &self.uri)
            .field("description", &self.description)
            .field("details", &self.details.as_ref().map(|details| details.get()))
            .finish()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.description, self.uri)
    }
}

/// Why a call has no result though its procedure has not said so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no procedure of this URI.
    NoSuchProcedure {
        /// As the client has asked for it, its prefixes replaced.
        uri: String,
    },
    /// The arguments are not what the procedure takes.
    InvalidArguments {
        /// Which one, and what is wrong with it.
        why: String,
    },
    /// The message was no good call, but its id was readable.
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// Who is connected may not call this procedure.
    NotAuthorized,
    /// The procedure took longer than it may.
    Timeout {
        /// How long it may take.
        after: Duration,
    },
    /// This connection calls too often.
    TooManyCalls {
        /// After how long it may call again.
        retry_after: Duration,
    },
    /// The procedure failed, has panicked, or returned what is no JSON.
    Failed,
}

/// What is told of a fault, unless [`Wamp::faults`](crate::Wamp::faults) says otherwise.
impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        let error = match &fault {
            Fault::NoSuchProcedure { uri } => {
                CallError::new(uris::NO_SUCH_RPC_ENDPOINT, format!("No RPC endpoint registered for {}.", shown(uri)))
            }
            Fault::InvalidArguments { why } | Fault::Malformed { why } => {
                CallError::new(uris::INVALID_ARGUMENT, shown(why))
            }
            Fault::NotAuthorized => CallError::new(uris::NOT_AUTHORIZED, "not authorized"),
            Fault::Timeout { .. } => CallError::new(uris::TIMEOUT, "the call took too long"),
            Fault::TooManyCalls { retry_after } => CallError::new(uris::TOO_MANY_CALLS, "too many calls")
                .details(&BTreeMap::from([("retryAfter", retry_after.as_secs_f64())])),
            Fault::Failed => CallError::new(uris::INTERNAL, "internal error"),
        };
        CallError { fault: Some(Box::new(fault)), ..error }
    }
}

/// What may have come from the client, for it to read: ASCII, since some old clients know no other descriptions, and
/// not endless.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(|char| {
            char.escape_default().filter(move |_| !char.is_ascii()).chain(Some(char).filter(char::is_ascii))
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}
