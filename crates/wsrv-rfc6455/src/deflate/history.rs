//! The end of what went over a connection, to which later messages may refer.

use std::fmt;

/// The last bytes of all compressed messages of one direction.
pub(super) struct History {
    bytes: Vec<u8>,
    size: usize,
}

impl History {
    /// Nothing so far, and this many bytes at most.
    pub(super) const fn new(size: usize) -> Self {
        Self { bytes: Vec::new(), size }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a message. Memory grows with what there is to remember, up to the size.
    pub(super) fn push(&mut self, message: &[u8]) {
        let message = &message[message.len().saturating_sub(self.size)..];
        let len = self.bytes.len() + message.len();
        self.bytes.drain(..len.saturating_sub(self.size));
        let len = self.bytes.len() + message.len();
        if len > self.bytes.capacity() {
            self.bytes.reserve_exact(len.next_power_of_two().min(self.size) - self.bytes.len());
        }
        self.bytes.extend_from_slice(message);
    }
}

/// Shows how much there is, and nothing of what it says.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("len", &self.bytes.len()).field("size", &self.size).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_all_that_was_pushed_is_kept() {
        let mut history = History::new(512);
        let mut all = Vec::new();
        for len in [0, 1, 300, 211, 2, 511, 512, 513, 5000, 7] {
            let message: Vec<u8> = (0..len).map(|at| (at + len) as u8).collect();
            history.push(&message);
            all.extend(message);
            assert_eq!(history.as_slice(), &all[all.len().saturating_sub(512)..]);
            assert!(history.bytes.capacity() <= 512, "{}", history.bytes.capacity());
        }
    }

    #[test]
    fn little_takes_little() {
        let mut history = History::new(1 << 15);
        history.push(b"a little");
        assert!(history.bytes.capacity() <= 16);
    }
}
