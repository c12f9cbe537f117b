//! Masking keys, and other bytes that nobody can foretell.

use std::fmt;

/// The operating system gave no random bytes, so there is no masking key that a peer could not foretell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct KeyError(#[source] getrandom::Error);

/// Bytes from the operating system, for one use each.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(KeyError)
}

/// How many keys are fetched at a time: enough that few frames wait for a system call.
const KEYS: usize = 64;

/// A stock of masking keys. Each is given out once.
pub(crate) struct Keys {
    stock: [[u8; 4]; KEYS],
    used: usize,
    fill: fn(&mut [u8]) -> Result<(), KeyError>,
}

impl Keys {
    /// An empty stock; the first key fetches the first block.
    pub(crate) const fn new(fill: fn(&mut [u8]) -> Result<(), KeyError>) -> Self {
        Self { stock: [[0; 4]; KEYS], used: KEYS, fill }
    }

    /// A key that was never used before. After an error the next call asks the operating system again.
    pub(crate) fn next(&mut self) -> Result<[u8; 4], KeyError> {
        if self.used == KEYS {
            (self.fill)(self.stock.as_flattened_mut())?;
            self.used = 0;
        }
        let key = std::mem::take(&mut self.stock[self.used]);
        self.used += 1;
        Ok(key)
    }
}

/// Shows no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;

    use super::*;

    thread_local! {
        static FILLED: Cell<u8> = const { Cell::new(0) };
    }

    /// Fails at the second call and works at the others.
    pub(crate) fn shaky(bytes: &mut [u8]) -> Result<(), KeyError> {
        FILLED.set(FILLED.get() + 1);
        bytes.fill(FILLED.get());
        if FILLED.get() == 2 { Err(KeyError(getrandom::Error::new_custom(7))) } else { Ok(()) }
    }

    #[test]
    fn keys_are_fetched_in_blocks_and_never_given_twice() {
        let mut keys = Keys::new(fill);
        let drawn: HashSet<[u8; 4]> = (0..3 * KEYS).map(|_| keys.next().unwrap()).collect();
        // Two of them may be equal by chance, about once in 230,000 runs.
        assert!(drawn.len() > 3 * KEYS - 3);
    }

    #[test]
    fn a_failing_source_gives_an_error_and_no_key() {
        let mut keys = Keys::new(shaky);
        for _ in 0..KEYS {
            assert_eq!(keys.next(), Ok([1; 4]));
        }
        assert_eq!(keys.next().unwrap_err().to_string(), "the operating system gives no random bytes");
        assert_eq!(keys.next(), Ok([3; 4]));
        assert!(!format!("{keys:?}").contains('3'));
    }

    /// What the tests of senders need to know about the size of a block.
    pub(crate) const BLOCK: usize = KEYS;
}
