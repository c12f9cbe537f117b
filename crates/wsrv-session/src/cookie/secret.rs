//! What only the front end and this server know.

use std::fmt;
use zeroize::Zeroizing;

/// A key or a passphrase that the front end makes its cookies with.
///
/// It is wiped from memory when it is dropped, and never printed. Copies that the ciphers make while they run are
/// theirs.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// This secret, as the front end's configuration has it.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Empty`]: with no secret, everybody could make sessions.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, InvalidKey> {
        let secret = Zeroizing::new(secret.into());
        if secret.is_empty() { Err(InvalidKey::Empty) } else { Ok(Secret(secret)) }
    }

    /// A key of this many bytes, which are made by the function.
    #[cfg(feature = "rails")]
    pub(super) fn derived(length: usize, derive: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Zeroizing::new(vec![0; length]);
        derive(&mut key);
        Secret(key)
    }

    /// The secret itself, for extractors, not for logs.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a key of the configuration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It is empty.
    #[error("the key is empty")]
    Empty,
    /// It is longer or shorter than the algorithm's keys are.
    #[error("the key's length is not the algorithm's")]
    Length,
    /// It is not encoded as it should be, or is for another algorithm.
    #[error("the key's format is not the expected one")]
    Format,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_secret() {
        assert_eq!(Secret::new("").map(|_| ()), Err(InvalidKey::Empty));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hush").unwrap()), "Secret");
    }
}
