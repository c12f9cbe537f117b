//! A session while the application changes it.

use crate::edit::{self, Container};
use crate::{Codec, Limits, Record, SessionData, SessionError, StoreError, Value, ValueError, json, php};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// Why a session was not changed. It is as it was, unless it says [`Timeout`](StoreError::Timeout): then it may have been
/// changed, too.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is none: the visitor has none, or it has ended. None is made.
    #[error("there is no session")]
    Gone,
    /// It can be read only.
    #[error("the session can only be read: {0}")]
    ReadOnly(#[from] ReadOnly),
    /// The session's format cannot hold such a key, or what is there on the way to it is no array or object.
    #[error("there cannot be such a key")]
    Key,
    /// The value cannot be written in the session's format, or makes the session larger than
    /// [allowed](crate::Limits); or a value of the session could not be had.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The store has failed, or what it has cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a session can be read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReadOnly {
    /// It has references of PHP, or objects with a format of their own. They count the values before them, so a change of
    /// any value would make them mean other ones.
    #[error("it has references in it")]
    References,
    /// The front end has signed or encrypted it.
    #[error("it is sealed")]
    Sealed,
    /// It lies in the visitor's cookie, which only an HTTP response can set.
    #[error("it is in a cookie")]
    InCookie,
    /// Sessions of this format are not written.
    #[error("its format is not written")]
    Format,
}

impl UpdateError {
    pub(crate) fn unfit(why: &str) -> Self {
        UpdateError::Value(ValueError::Mismatch(why.into()))
    }
}

impl From<SessionError> for UpdateError {
    fn from(error: SessionError) -> Self {
        UpdateError::Store(error.into())
    }
}

/// A session as it is in the store now, to be changed by [`Session::update`](crate::Session::update).
///
/// A change counts at once for what is read of it afterwards. What is not changed keeps its bytes: objects and floats of
/// PHP, the spelling of numbers and the order of keys stay as the front end has written them.
///
/// **Values** are what `serde_json` makes of them, said in the session's format: for PHP, structs and maps become arrays
/// with keys, and numbers that are not finite become null. Keys of PHP's arrays that are decimal integers are integers.
pub struct Draft<'a> {
    codec: &'a Codec,
    limits: &'a Limits,
    container: Container,
    /// Without what is wrapped around it.
    text: Bytes,
    data: SessionData,
    is_changed: bool,
}

impl<'a> Draft<'a> {
    /// The record's, if it can be changed.
    pub(crate) fn new(codec: &'a Codec, limits: &'a Limits, text: Bytes, record: &Record) -> Result<Self, UpdateError> {
        let container = codec.container()?;
        let data = record.data.clone();
        // How PHP writes a session without anything in it, in some of the formats.
        let text = if data.root().is_empty() { container.empty() } else { text };
        edit::check(container, &text)?;
        Ok(Draft { codec, limits, container, text, data, is_changed: false })
    }

    /// All its values, as they are after the changes up to here.
    pub fn data(&self) -> &SessionData {
        &self.data
    }

    /// The value under this key, after the changes up to here. `None`: there is none.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        self.data.get(key).map(Value::to).transpose()
    }

    /// Puts a value under a top-level key.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Key`]: PHP's format `php` has no keys with `|`, `php_binary` none of more than 127 bytes, neither
    /// of them any that is a decimal integer, and the `cookie` of express is not the application's.
    /// [`UpdateError::Value`]: the value cannot be written, or is too large.
    pub fn set(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), UpdateError> {
        self.set_at(&[key], value)
    }

    /// Puts a value at a path of keys; whatever is missing on the way to it is made. So an attribute of Symfony is
    /// changed, which lies in an array of the session: `set_at(&["_sf2_attributes", "cart"], &cart)`. An empty list of
    /// JSON on the way is taken for an empty object, because PHP writes it so.
    ///
    /// # Errors
    ///
    /// As [`set`](Draft::set), and [`UpdateError::Key`] if the path is empty, or leads through what is no array of PHP
    /// or object of JSON.
    pub fn set_at(&mut self, path: &[&str], value: &(impl Serialize + ?Sized)) -> Result<(), UpdateError> {
        let json = serde_json::to_vec(value).map_err(|error| UpdateError::unfit(&error.to_string()))?;
        let value = match self.container {
            Container::JsonObject => json,
            _ => {
                // Integers of 128 bits are written as JSON, and read as floats. This refuses them.
                serde_json::to_value(value).map_err(|error| UpdateError::unfit(&error.to_string()))?;
                php::edit::value(json::decode_json_value(json.into(), self.limits).map_err(too_large)?.root())?
            }
        };
        self.change(path, Some(&value)).map(drop)
    }

    /// Takes out what is under a top-level key. Whether there was something.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Key`]: the `cookie` of express is not the application's.
    pub fn remove(&mut self, key: &str) -> Result<bool, UpdateError> {
        self.remove_at(&[key])
    }

    /// Takes out what is at a path of keys. Whether there was something.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Key`]: the path is empty, or leads through what is no array of PHP or object of JSON.
    pub fn remove_at(&mut self, path: &[&str]) -> Result<bool, UpdateError> {
        self.change(path, None)
    }

    fn change(&mut self, path: &[&str], value: Option<&[u8]>) -> Result<bool, UpdateError> {
        if path.first().is_some_and(|key| self.codec.is_reserved(key)) {
            return Err(UpdateError::Key);
        }
        let Some(text) = edit::change(self.container, &self.text, path, value)? else { return Ok(false) };
        let text = Bytes::from(text);
        // Whatever was put in, it is a session still.
        let record = self.codec.decode_inner(text.clone(), self.limits).map_err(too_large)?;
        (self.text, self.data, self.is_changed) = (text, record.data, true);
        Ok(true)
    }

    /// The record to be written, if anything was changed.
    pub(crate) fn finish(self) -> Result<Option<Bytes>, UpdateError> {
        if !self.is_changed {
            return Ok(None);
        }
        let record = self.codec.wrapped(self.text);
        // One that is larger could not be read again.
        if record.len() > self.limits.max_input { Err(ValueError::Limit.into()) } else { Ok(Some(record)) }
    }
}

/// What the application has put in is too large, and not the store's record.
fn too_large(error: SessionError) -> UpdateError {
    match error {
        SessionError::Limit => ValueError::Limit.into(),
        error => error.into(),
    }
}

/// Says what there is, and not what it says: sessions hold secrets.
impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("data", &self.data).field("is_changed", &self.is_changed).finish_non_exhaustive()
    }
}
