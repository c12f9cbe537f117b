//! Random numbers that nobody guesses.

/// So many bytes from the operating system.
///
/// # Panics
///
/// If the operating system has no random numbers, in which case nothing here can be safe.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bits = [0; N];
    getrandom::fill(&mut bits).expect("the operating system has random numbers");
    bits
}
