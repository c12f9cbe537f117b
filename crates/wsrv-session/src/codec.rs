//! Which format a session's bytes are in.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::edit::Container;
use crate::{Limits, ReadOnly, SessionData, SessionError, json, php};

/// PHP and Node.js write the padding, and take text without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The format of a session's bytes, with what is wrapped around it.
///
/// ```
/// use wsrv_session::{Codec, Limits};
///
/// // As Laravel's database holds it: base64 of PHP's format.
/// let codec = Codec::php_serialize().in_base64();
/// let record = codec.decode("YToxOntzOjI6ImlkIjtpOjQyO30=".into(), &Limits::default())?;
/// assert_eq!(record.data.get("id").and_then(|id| id.as_i64()), Some(42));
/// # Ok::<(), wsrv_session::SessionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    format: Format,
    /// The outermost last.
    wrappers: Vec<Wrapper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Php,
    PhpBinary,
    PhpSerialize,
    PhpValue,
    Json,
    ExpressJson,
    #[cfg(feature = "msgpack")]
    TowerMsgpack,
}

#[derive(Clone)]
enum Wrapper {
    Base64,
    PhpString,
    LaravelCookie,
    Seal(Arc<Open>),
}

type Open = dyn Fn(&[u8]) -> Result<Bytes, SessionError> + Send + Sync;

impl fmt::Debug for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrapper::Base64 => "Base64",
            Wrapper::PhpString => "PhpString",
            Wrapper::LaravelCookie => "LaravelCookie",
            Wrapper::Seal(_) => "Seal",
        })
    }
}

/// What a store's record or a cookie holds.
#[derive(Clone)]
#[non_exhaustive]
pub struct Record {
    /// The session's values.
    pub data: SessionData,
    /// When it ceases to be valid, if the record itself says so: from this moment on it must not be used.
    pub expires_at: Option<SystemTime>,
    /// Whose it is, if the record itself says so. It is for the caller to compare it with the id that was asked for.
    pub id: Option<[u8; 16]>,
}

/// Without the id, which is as good as a password.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("data", &self.data).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Codec {
    fn new(format: Format) -> Self {
        Codec { format, wrappers: Vec::new() }
    }

    /// PHP's `session.serialize_handler = php`, which is its default.
    pub fn php() -> Self {
        Codec::new(Format::Php)
    }

    /// PHP's `session.serialize_handler = php_binary`.
    pub fn php_binary() -> Self {
        Codec::new(Format::PhpBinary)
    }

    /// PHP's `session.serialize_handler = php_serialize`: an array. It is also Laravel's own format.
    pub fn php_serialize() -> Self {
        Codec::new(Format::PhpSerialize)
    }

    /// Any one value that PHP's `serialize()` has written. Symfony keeps its security tokens so, in strings of the
    /// session.
    pub fn php_value() -> Self {
        Codec::new(Format::PhpValue)
    }

    /// A JSON object. An empty list is taken for an empty one, because PHP writes it so.
    ///
    /// A record that is a pickle of Python's is [`SessionError::Unsupported`].
    pub fn json() -> Self {
        Codec::new(Format::Json)
    }

    /// The JSON object of express-session, which says in its member `cookie` when it expires. That counts where the store
    /// does not tell: express prolongs a session there, and leaves what was written as it is.
    pub fn express() -> Self {
        Codec::new(Format::ExpressJson)
    }

    /// Django's record: a JSON object that this [signer](crate::cookie::DjangoSigner::records) has signed. An empty one has
    /// nothing in it, as the backend `file` makes them.
    #[cfg(feature = "django")]
    pub fn django(signer: crate::cookie::DjangoSigner) -> Self {
        Codec::json().opened_by(move |record| match record {
            [] => Ok(Bytes::from_static(b"{}")),
            _ => signer.open(record, SystemTime::now(), None),
        })
    }

    /// The MessagePack record of tower-sessions, which names its id and says when it expires.
    #[cfg(feature = "msgpack")]
    pub fn tower() -> Self {
        Codec::new(Format::TowerMsgpack)
    }

    /// The same in base64, with or without padding.
    pub fn in_base64(self) -> Self {
        self.within(Wrapper::Base64)
    }

    /// The same as a string of PHP's `serialize()`, as Laravel's caches and its encrypted sessions have it.
    pub fn in_php_string(self) -> Self {
        self.within(Wrapper::PhpString)
    }

    /// The same in the JSON object of Laravel's cookie sessions: a string `data`, and when it expires.
    pub fn in_laravel_cookie(self) -> Self {
        self.within(Wrapper::LaravelCookie)
    }

    /// The same, signed or encrypted, and opened by this.
    ///
    /// The record comes from a store, so it is not trusted before this has opened it.
    pub fn opened_by(self, open: impl Fn(&[u8]) -> Result<Bytes, SessionError> + Send + Sync + 'static) -> Self {
        self.within(Wrapper::Seal(Arc::new(open)))
    }

    /// The same as Laravel encrypts it with these keys, for `SESSION_ENCRYPT=true`.
    #[cfg(feature = "laravel")]
    pub fn encrypted_by_laravel(self, keys: crate::cookie::LaravelKeys) -> Self {
        self.in_php_string().opened_by(move |envelope| keys.open_record(envelope))
    }

    fn within(mut self, wrapper: Wrapper) -> Self {
        self.wrappers.push(wrapper);
        self
    }

    /// Reads the bytes of one session, all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`SessionError::CorruptData`], [`SessionError::Limit`] or [`SessionError::Unsupported`]. A record that has
    /// expired is no error here: see [`Record::expires_at`]. What [opens](Codec::opened_by) the record may say something
    /// else.
    pub fn decode(&self, input: Bytes, limits: &Limits) -> Result<Record, SessionError> {
        self.open(input, limits).map(|(_, record)| record)
    }

    /// The same, and the text that was inside of what is wrapped around it.
    pub(crate) fn open(&self, input: Bytes, limits: &Limits) -> Result<(Bytes, Record), SessionError> {
        if input.len() > limits.max_input {
            return Err(SessionError::Limit);
        }
        let mut input = input;
        let mut expires_at = None;
        for wrapper in self.wrappers.iter().rev() {
            match wrapper {
                Wrapper::Base64 => input = BASE64.decode(&input).map_err(|_| SessionError::CorruptData)?.into(),
                Wrapper::PhpString => input = php::unwrap_string(input, limits)?,
                Wrapper::Seal(open) => input = open(&input)?,
                Wrapper::LaravelCookie => {
                    let cookie = json::decode_json_object(input, limits)?;
                    let data = cookie.get("data").and_then(|data| data.as_bytes()).ok_or(SessionError::CorruptData)?;
                    let seconds = cookie.get("expires").and_then(|at| at.as_u64()).ok_or(SessionError::CorruptData)?;
                    // It is valid throughout the second it names.
                    let lifetime = Duration::from_secs(seconds.saturating_add(1));
                    expires_at = SystemTime::UNIX_EPOCH.checked_add(lifetime).or(expires_at);
                    input = Bytes::copy_from_slice(data);
                }
            }
        }
        let record = self.decode_inner(input.clone(), limits)?;
        let expires_at = [record.expires_at, expires_at].into_iter().flatten().min();
        Ok((input, Record { expires_at, ..record }))
    }

    /// Reads what is inside of the wrappers.
    pub(crate) fn decode_inner(&self, text: Bytes, limits: &Limits) -> Result<Record, SessionError> {
        self.format.decode(text, limits)
    }

    /// Puts the wrappers around a text.
    pub(crate) fn wrapped(&self, text: Bytes) -> Bytes {
        self.wrappers.iter().fold(text, |text, wrapper| match wrapper {
            Wrapper::Base64 => BASE64.encode(&text).into(),
            Wrapper::PhpString => php::edit::string(&text).into(),
            // Nobody writes these.
            Wrapper::LaravelCookie | Wrapper::Seal(_) => text,
        })
    }

    /// What a session is written as.
    ///
    /// # Errors
    ///
    /// It is not one that can be written.
    pub(crate) fn container(&self) -> Result<Container, ReadOnly> {
        for wrapper in &self.wrappers {
            match wrapper {
                Wrapper::Base64 | Wrapper::PhpString => {}
                Wrapper::LaravelCookie => return Err(ReadOnly::InCookie),
                Wrapper::Seal(_) => return Err(ReadOnly::Sealed),
            }
        }
        match self.format {
            Format::Php => Ok(Container::PhpSession),
            Format::PhpBinary => Ok(Container::PhpBinarySession),
            Format::PhpSerialize => Ok(Container::PhpArray),
            Format::Json | Format::ExpressJson => Ok(Container::JsonObject),
            Format::PhpValue => Err(ReadOnly::Format),
            #[cfg(feature = "msgpack")]
            Format::TowerMsgpack => Err(ReadOnly::Format),
        }
    }

    /// Whether the end that the record names is that of when it was written: express prolongs a session that has not
    /// changed in the store alone.
    pub(crate) fn end_is_a_copy(&self) -> bool {
        self.format == Format::ExpressJson
    }

    /// Whether what is under this key is the front end's own.
    pub(crate) fn is_reserved(&self, key: &str) -> bool {
        self.format == Format::ExpressJson && key == "cookie"
    }
}

impl Format {
    fn decode(self, input: Bytes, limits: &Limits) -> Result<Record, SessionError> {
        let data = match self {
            Format::Php => php::decode_php(input, limits)?,
            Format::PhpBinary => php::decode_php_binary(input, limits)?,
            Format::PhpSerialize => php::decode_php_serialize(input, limits)?,
            Format::PhpValue => php::decode_php_value(input, limits)?,
            Format::Json => json::decode_json(input, limits)?,
            Format::ExpressJson => {
                let data = json::decode_json_object(input, limits)?;
                let expires_at = express_expiry(&data)?;
                return Ok(Record { data, expires_at, id: None });
            }
            #[cfg(feature = "msgpack")]
            Format::TowerMsgpack => return crate::msgpack::decode_tower(input, limits),
        };
        Ok(Record { data, expires_at: None, id: None })
    }
}

/// `cookie.expires`, which is null or false for cookies that live as long as the browser.
fn express_expiry(data: &SessionData) -> Result<Option<SystemTime>, SessionError> {
    let Some(expires) = data.get("cookie").and_then(|cookie| cookie.get("expires")) else { return Ok(None) };
    let Some(expires) = expires.as_str() else { return Ok(None) };
    humantime::parse_rfc3339(expires).map(Some).map_err(|_| SessionError::CorruptData)
}
