//! CURIEs: URIs that begin with a prefix, such as `calc:add`, and the prefixes of one connection.

use std::borrow::Cow;

use thiserror::Error;

/// How a prefix's URI and what follows the colon become one URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CurieJoin {
    /// One behind the other. The specification's way, and Autobahn's.
    #[default]
    Concatenate,
    /// With `#` between them, always. Ratchet's way: its clients register URIs without the `#`.
    Hash,
    /// With `#` between them where it is missing: the URI ends in neither `#` nor `/`, and what follows does not begin
    /// with `#`. Understands clients written for either.
    Tolerant,
}

impl CurieJoin {
    /// What stands between the two.
    fn between(self, base: &str, reference: &str) -> &'static str {
        match self {
            Self::Concatenate => "",
            Self::Hash => "#",
            Self::Tolerant if base.ends_with(['#', '/']) || reference.starts_with('#') => "",
            Self::Tolerant => "#",
        }
    }

    /// The reference that joined to `base` makes `uri`, if there is one.
    fn strip<'a>(self, base: &str, uri: &'a str) -> Option<&'a str> {
        let rest = uri.strip_prefix(base)?;
        let with_hash = || rest.strip_prefix('#').filter(|reference| self.between(base, reference) == "#");
        Some(rest).filter(|reference| self.between(base, reference).is_empty()).or_else(with_hash)
    }
}

/// The prefixes that one connection has declared.
///
/// ```
/// use wsrv_wamp::Prefixes;
///
/// let mut prefixes = Prefixes::new();
/// prefixes.set("calc", "http://example.com/calc#")?;
/// assert_eq!(prefixes.resolve("calc:add"), "http://example.com/calc#add");
/// assert_eq!(prefixes.resolve("unknown:add"), "unknown:add");
/// # Ok::<(), wsrv_wamp::PrefixError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Prefixes {
    join: CurieJoin,
    max_len: usize,
    max_name: usize,
    max_uri: usize,
    // Few, as a rule: looking at each is as fast as a hash, and without any there is no memory.
    known: Vec<(Box<str>, Box<str>)>,
}

/// Why a prefix is not taken. The others stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The name is empty.
    #[error("an empty prefix")]
    Empty,
    /// The name has a colon in it, so it could never be found.
    #[error("a prefix with a colon")]
    Colon,
    /// The name is a scheme that URIs begin with: `http`, `https`, `ws` or `wss`, in any case.
    #[error("a prefix that is a scheme")]
    Scheme,
    /// The name is longer than the limit.
    #[error("a prefix of more than {max} bytes")]
    NameTooLong {
        /// The limit.
        max: usize,
    },
    /// The URI is longer than the limit.
    #[error("a URI of more than {max} bytes")]
    UriTooLong {
        /// The limit.
        max: usize,
    },
    /// There are as many prefixes as there may be, and this is none of them.
    #[error("more than {max} prefixes")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { join: CurieJoin::default(), max_len: 100, max_name: 64, max_uri: 1024, known: Vec::new() }
    }
}

impl Prefixes {
    /// No prefixes yet, with [`CurieJoin::Concatenate`] and the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the parts of a CURIE become one URI.
    pub const fn with_join(mut self, join: CurieJoin) -> Self {
        self.join = join;
        self
    }

    /// Sets how many prefixes there may be. Default 100. Past it: [`PrefixError::TooMany`].
    pub const fn with_max_len(mut self, prefixes: usize) -> Self {
        self.max_len = prefixes;
        self
    }

    /// Sets the longest name of a prefix, in bytes. Default 64. Past it: [`PrefixError::NameTooLong`].
    pub const fn with_max_name(mut self, bytes: usize) -> Self {
        self.max_name = bytes;
        self
    }

    /// Sets the longest URI of a prefix, in bytes. Default 1024. Past it: [`PrefixError::UriTooLong`].
    pub const fn with_max_uri(mut self, bytes: usize) -> Self {
        self.max_uri = bytes;
        self
    }

    /// Declares a prefix, or gives it another URI.
    ///
    /// # Errors
    ///
    /// A [`PrefixError`] if the name can be none, or a limit is exceeded.
    pub fn set(&mut self, prefix: &str, uri: &str) -> Result<(), PrefixError> {
        self.check(prefix, uri)?;
        let (count, max) = (self.known.len(), self.max_len);
        match self.known.iter_mut().find(|(name, _)| **name == *prefix) {
            Some((_, known)) => *known = uri.into(),
            None if count >= max => return Err(PrefixError::TooMany { max }),
            None => self.known.push((prefix.into(), uri.into())),
        }
        Ok(())
    }

    fn check(&self, prefix: &str, uri: &str) -> Result<(), PrefixError> {
        let is_scheme = ["http", "https", "ws", "wss"].iter().any(|scheme| prefix.eq_ignore_ascii_case(scheme));
        match () {
            () if prefix.is_empty() => Err(PrefixError::Empty),
            () if prefix.len() > self.max_name => Err(PrefixError::NameTooLong { max: self.max_name }),
            () if uri.len() > self.max_uri => Err(PrefixError::UriTooLong { max: self.max_uri }),
            () if prefix.contains(':') => Err(PrefixError::Colon),
            () if is_scheme => Err(PrefixError::Scheme),
            () => Ok(()),
        }
    }

    /// The URI that a CURIE stands for.
    ///
    /// It is split at its first colon. Without a colon, with a prefix that is not known, and with `//` behind the
    /// colon, as in `http://…`, it comes back as it is. What comes out is not resolved again, and has at most the bytes
    /// of the prefix's URI and one more beyond those of `curie`.
    pub fn resolve<'a>(&self, curie: &'a str) -> Cow<'a, str> {
        let Some((prefix, reference)) = curie.split_once(':') else { return Cow::Borrowed(curie) };
        match self.known.iter().find(|(name, _)| **name == *prefix) {
            Some((_, base)) if !reference.starts_with("//") => {
                Cow::Owned([base, self.join.between(base, reference), reference].concat())
            }
            _ => Cow::Borrowed(curie),
        }
    }

    /// A CURIE that [`resolve`](Self::resolve) makes this URI of, by the prefix with the longest URI, or the URI itself
    /// if no prefix fits.
    pub fn shrink<'a>(&self, uri: &'a str) -> Cow<'a, str> {
        let fitting = self.known.iter().filter_map(|(name, base)| {
            let reference = self.join.strip(base, uri)?;
            (!reference.starts_with("//")).then_some((base.len(), name, reference))
        });
        match fitting.max_by_key(|(len, ..)| *len) {
            Some((_, name, reference)) => Cow::Owned([name, ":", reference].concat()),
            None => Cow::Borrowed(uri),
        }
    }

    /// How many prefixes there are.
    pub const fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Names and URIs, in the order in which the names were declared first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.known.iter().map(|(name, uri)| (&**name, &**uri))
    }
}
