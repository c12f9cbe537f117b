//! The ids of sessions, and which texts are such.

use crate::SessionError;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

/// The id of a session: whoever knows it, is logged in.
///
/// It has passed an [`IdPolicy`], so it is visible ASCII without `/` and `\`, never empty and never dots alone, and may
/// be part of a file's name or of a key. `Debug` and `Display` show eight digits that are the same for the same id, in
/// this process only: enough to follow a session through a log, and nothing to log in with. Clones are cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The id itself. A secret: for stores, not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key differs from process to process, so nobody can try out guesses on what a log shows.
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        write!(f, "#{:08x}", KEY.hash_one(&*self.0) >> 32)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// How a front end's ids look. What looks different is no id, and no store is asked for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdPolicy {
    alphabet: Alphabet,
    /// Those that may be the last character.
    last: Alphabet,
    min: usize,
    max: usize,
}

impl IdPolicy {
    /// PHP's session module, and Symfony on top of it: 1 to 256 letters, digits, `,` and `-`.
    pub const fn php() -> Self {
        Self::of(Alphabet::ALPHANUMERIC.with(b",-"), 1, 256)
    }

    /// Laravel: 40 letters and digits.
    pub const fn laravel() -> Self {
        Self::of(Alphabet::ALPHANUMERIC, 40, 40)
    }

    /// express-session, as it makes ids if it is not told otherwise, and many others: 1 to 256 letters, digits, `-` and
    /// `_`.
    pub const fn express() -> Self {
        Self::of(Alphabet::ALPHANUMERIC.with(b"-_"), 1, 256)
    }

    /// Django: 32 lower-case letters and digits.
    pub const fn django() -> Self {
        Self::of(Alphabet::EMPTY.with(b"abcdefghijklmnopqrstuvwxyz0123456789"), 32, 32)
    }

    /// tower-sessions: a 128-bit number in unpadded base64url, written in the one way in which it is made.
    pub const fn tower() -> Self {
        // The last of 22 characters holds two bits of the number, and four that are zero.
        IdPolicy { last: Alphabet::EMPTY.with(b"AQgw"), ..Self::of(Alphabet::ALPHANUMERIC.with(b"-_"), 22, 22) }
    }

    /// Ids of these characters, of a length in this range. None of them consists of dots alone, whatever is asked for.
    ///
    /// # Panics
    ///
    /// A character is not visible ASCII, or is `/` or `\`; or the range has no length above zero in it. An id is made
    /// part of file names and keys.
    pub const fn custom(characters: &str, length: RangeInclusive<usize>) -> Self {
        let mut at = 0;
        while at < characters.len() {
            let byte = characters.as_bytes()[at];
            assert!(byte.is_ascii_graphic() && byte != b'/' && byte != b'\\', "an id cannot have such a character");
            at += 1;
        }
        let (min, max) = (*length.start(), *length.end());
        assert!(min <= max && max > 0, "an id has a length");
        Self::of(Alphabet::EMPTY.with(characters.as_bytes()), if min == 0 { 1 } else { min }, max)
    }

    const fn of(alphabet: Alphabet, min: usize, max: usize) -> Self {
        IdPolicy { alphabet, last: alphabet, min, max }
    }

    /// These bytes as an id.
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidId`]: they are none.
    pub fn check(&self, id: &[u8]) -> Result<SessionId, SessionError> {
        let fits = (self.min..=self.max).contains(&id.len())
            && id.iter().all(|&byte| self.alphabet.has(byte))
            && id.last().is_some_and(|&byte| self.last.has(byte))
            && id.iter().any(|&byte| byte != b'.');
        match str::from_utf8(id) {
            Ok(id) if fits => Ok(SessionId(id.into())),
            _ => Err(SessionError::InvalidId),
        }
    }
}

impl fmt::Debug for IdPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let characters: String = (0..128u8).filter(|&byte| self.alphabet.has(byte)).map(char::from).collect();
        f.debug_struct("IdPolicy").field("characters", &characters).field("length", &(self.min..=self.max)).finish()
    }
}

/// A set of ASCII characters, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Alphabet(u128);

impl Alphabet {
    const EMPTY: Self = Alphabet(0);
    const ALPHANUMERIC: Self = Self::EMPTY.with(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");

    const fn with(self, ascii: &[u8]) -> Self {
        let (mut set, mut at) = (self.0, 0);
        while at < ascii.len() {
            set |= 1 << ascii[at];
            at += 1;
        }
        Alphabet(set)
    }

    fn has(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_front_ends_make_are_ids() {
        let letters = "abcdefghijABCDEFGHIJ0123456789klmnopKLMN";
        for (policy, id) in [
            (IdPolicy::php(), "0"),
            (IdPolicy::php(), "n6k,v-9QZ"),
            (IdPolicy::laravel(), letters),
            (IdPolicy::express(), "c2lkLWZvci10aGUtdGVzdA_-"),
            (IdPolicy::django(), "a0b1c2d3e4f5g6h7i8j9k0l1m2n3o4p5"),
            (IdPolicy::tower(), "AAAAAAAAAAAAAAAAAAAAAA"),
            (IdPolicy::tower(), "_-_-_-_-_-_-_-_-_-_-_w"),
            (IdPolicy::custom("ab.", 0..=3), "a.b"),
        ] {
            assert_eq!(policy.check(id.as_bytes()).unwrap().as_str(), id);
        }
        assert!(IdPolicy::php().check(&[b'a'; 256]).is_ok());
    }

    #[test]
    fn all_else_is_none() {
        let letters = "abcdefghijABCDEFGHIJ0123456789klmnopKLMN";
        for (policy, id) in [
            (IdPolicy::php(), &b""[..]),
            (IdPolicy::php(), b"a.b"),
            (IdPolicy::php(), b"a_b"),
            (IdPolicy::php(), b"../etc/passwd"),
            (IdPolicy::php(), b"abc\0"),
            (IdPolicy::php(), b"abc\n"),
            (IdPolicy::php(), b"ab c"),
            (IdPolicy::php(), "é".as_bytes()),
            (IdPolicy::php(), b"\xff\xfe"),
            (IdPolicy::php(), &[b'a'; 257]),
            (IdPolicy::laravel(), &letters.as_bytes()[1..]),
            (IdPolicy::laravel(), b"abcdefghijABCDEFGHIJ0123456789klmnop-LMN"),
            (IdPolicy::express(), b"a,b"),
            (IdPolicy::express(), b"a.b"),
            (IdPolicy::django(), b"A0b1c2d3e4f5g6h7i8j9k0l1m2n3o4p5"),
            (IdPolicy::tower(), b"AAAAAAAAAAAAAAAAAAAAA"),
            (IdPolicy::tower(), b"AAAAAAAAAAAAAAAAAAAAAAA"),
            (IdPolicy::tower(), b"AAAAAAAAAAAAAAAAAAAAAB"),
            (IdPolicy::tower(), b"+AAAAAAAAAAAAAAAAAAAAA"),
            (IdPolicy::custom("ab.", 0..=3), b""),
            (IdPolicy::custom("ab.", 0..=3), b"."),
            (IdPolicy::custom("ab.", 0..=3), b".."),
            (IdPolicy::custom("ab.", 0..=3), b"abab"),
        ] {
            assert_eq!(policy.check(id), Err(SessionError::InvalidId), "{}", id.escape_ascii());
        }
    }

    #[test]
    #[should_panic(expected = "such a character")]
    fn a_policy_with_slashes_is_refused() {
        IdPolicy::custom("abc/", 1..=9);
    }

    #[test]
    #[should_panic(expected = "such a character")]
    fn a_policy_beyond_ascii_is_refused() {
        IdPolicy::custom("é", 1..=9);
    }

    #[test]
    fn what_is_printed_of_an_id_does_not_tell_it() {
        let [id, same, other] =
            ["verysecret", "verysecret", "differs"].map(|id| IdPolicy::php().check(id.as_bytes()).unwrap());
        assert_eq!(id.to_string(), same.to_string());
        assert_ne!(id.to_string(), other.to_string());
        assert_eq!(id.to_string().len(), 9);
        assert!(!format!("{id:?}{id}").contains("secret"));
    }
}
