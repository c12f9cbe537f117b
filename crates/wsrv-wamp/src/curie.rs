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

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(join: CurieJoin) -> Prefixes {
        let mut prefixes = Prefixes::new().with_join(join);
        for (name, uri) in [("bare", "http://a/calc"), ("hash", "http://a/calc#"), ("path", "http://a/"), ("none", "")]
        {
            prefixes.set(name, uri).unwrap();
        }
        prefixes
    }

    #[test]
    fn each_join_has_its_own_way() {
        for (curie, concatenated, hashed, tolerant) in [
            ("bare:add", "http://a/calcadd", "http://a/calc#add", "http://a/calc#add"),
            ("bare:#add", "http://a/calc#add", "http://a/calc##add", "http://a/calc#add"),
            ("bare:", "http://a/calc", "http://a/calc#", "http://a/calc#"),
            ("hash:add", "http://a/calc#add", "http://a/calc##add", "http://a/calc#add"),
            ("path:add", "http://a/add", "http://a/#add", "http://a/add"),
            ("hash:a:b", "http://a/calc#a:b", "http://a/calc##a:b", "http://a/calc#a:b"),
            ("none:hash:x", "hash:x", "#hash:x", "#hash:x"),
        ] {
            assert_eq!(prefixes(CurieJoin::Concatenate).resolve(curie), concatenated, "{curie}");
            assert_eq!(prefixes(CurieJoin::Hash).resolve(curie), hashed, "{curie}");
            assert_eq!(prefixes(CurieJoin::Tolerant).resolve(curie), tolerant, "{curie}");
        }
    }

    #[test]
    fn what_is_no_curie_passes_unchanged() {
        for join in [CurieJoin::Concatenate, CurieJoin::Hash, CurieJoin::Tolerant] {
            for text in [
                "",
                ":",
                ":add",
                "bare",
                "unknown:add",
                "Bare:add",
                " bare:add",
                "http://a/calc#add",
                "bare://a/x",
                "hash://",
                "acme/channel",
                "x:bare:add",
            ] {
                assert!(matches!(prefixes(join).resolve(text), Cow::Borrowed(same) if same == text), "{text}");
            }
        }
    }

    #[test]
    fn a_later_uri_replaces_the_earlier_one() {
        let mut prefixes = prefixes(CurieJoin::Concatenate);
        prefixes.set("bare", "urn:").unwrap();
        assert_eq!(prefixes.resolve("bare:x"), "urn:x");
        assert_eq!(prefixes.len(), 4);
        assert_eq!(prefixes.iter().next(), Some(("bare", "urn:")));
    }

    #[test]
    fn bad_prefixes_are_refused_and_change_nothing() {
        let mut prefixes = Prefixes::new().with_max_len(2).with_max_name(5).with_max_uri(3);
        assert!(prefixes.is_empty());
        for (name, uri, error) in [
            ("", "u", PrefixError::Empty),
            (":", "u", PrefixError::Colon),
            ("a:", "u", PrefixError::Colon),
            ("http", "u", PrefixError::Scheme),
            ("HTTPS", "u", PrefixError::Scheme),
            ("ws", "u", PrefixError::Scheme),
            ("wss", "u", PrefixError::Scheme),
            ("123456", "u", PrefixError::NameTooLong { max: 5 }),
            ("12€45", "u", PrefixError::NameTooLong { max: 5 }),
            ("a", "1234", PrefixError::UriTooLong { max: 3 }),
        ] {
            assert_eq!(prefixes.set(name, uri), Err(error), "{name}");
        }
        assert!(prefixes.is_empty());
        prefixes.set("12345", "123").unwrap();
        prefixes.set("b", "").unwrap();
        assert_eq!(prefixes.set("c", "u"), Err(PrefixError::TooMany { max: 2 }));
        prefixes.set("b", "new").unwrap();
        assert_eq!(prefixes.iter().collect::<Vec<_>>(), [("12345", "123"), ("b", "new")]);
    }

    #[test]
    fn there_is_room_for_a_hundred_by_default() {
        let mut prefixes = Prefixes::new();
        for at in 0..100 {
            prefixes.set(&format!("{at:064}"), &"u".repeat(1024)).unwrap();
        }
        assert_eq!(prefixes.set("one", "more"), Err(PrefixError::TooMany { max: 100 }));
        assert_eq!(prefixes.set(&"n".repeat(65), ""), Err(PrefixError::NameTooLong { max: 64 }));
        assert_eq!(prefixes.set("0", &"u".repeat(1025)), Err(PrefixError::UriTooLong { max: 1024 }));
    }

    #[test]
    fn uris_shrink_by_the_longest_prefix_to_what_resolves_again() {
        for (uri, concatenated, hashed, tolerant) in [
            ("http://a/calc#add", "hash:add", "bare:add", "hash:add"),
            ("http://a/calc", "bare:", "http://a/calc", "path:calc"),
            ("http://a/x", "path:x", "http://a/x", "path:x"),
            ("http://a/#x", "path:#x", "path:x", "path:#x"),
            ("http://a///x", "none:http://a///x", "http://a///x", "http://a///x"),
            ("#y", "none:#y", "none:y", "none:#y"),
        ] {
            for (join, short) in
                [(CurieJoin::Concatenate, concatenated), (CurieJoin::Hash, hashed), (CurieJoin::Tolerant, tolerant)]
            {
                let prefixes = prefixes(join);
                assert_eq!(prefixes.shrink(uri), short, "{uri} {join:?}");
                assert_eq!(prefixes.resolve(short), uri, "{short} {join:?}");
            }
        }
    }
}
