//! Header lines that many requests have alike.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests that differ in more than this many ways at once do not share all they could.
const SHARDS: usize = 16;
const PER_SHARD: usize = 8;
/// Larger ones are not shared. A browser's are half as large.
const MAX_SIZE: usize = 1024;

/// What requests have in common, so that each [shares](super::RequestHead::share) it with those before: the header lines
/// that depend on the program and the page, and not on who uses them.
///
/// It knows the last 128 sets of such lines, of 1 KiB at most each, whatever is sent: a peer that makes up ever new ones
/// keeps others from sharing, and that is all. Neither the request line nor lines that may hold a secret (`Cookie`,
/// `Authorization`, the key, and whatever is not known to be harmless) are ever in it.
///
/// Make one for a server. It may be used by many threads at once.
///
/// ```
/// use bytes::BytesMut;
/// use wsrv_rfc6455::handshake::{HeadLimits, HeadReader, SharedLines};
///
/// let shared = SharedLines::new();
/// let mut buffer = BytesMut::from("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=b\r\n\r\n");
/// let mut head = HeadReader::new(HeadLimits::default()).read(&mut buffer)?.expect("the head is whole");
/// head.share(&shared);
/// assert_eq!(head.host(), Some("a.example"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct SharedLines {
    /// The last one used comes first.
    shards: [Mutex<Vec<Arc<[u8]>>>; SHARDS],
}

impl SharedLines {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts in the place of `lines` the same ones that somebody else has already, or remembers them.
    pub(super) fn share(&self, lines: &mut Arc<[u8]>) {
        if lines.len() > MAX_SIZE {
            return;
        }
        let mut known = self.shards[shard(lines)].lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter().position(|others| others == lines) {
            Some(at) => {
                known[..=at].rotate_right(1);
                lines.clone_from(&known[0]);
            }
            None => {
                known.truncate(PER_SHARD - 1);
                known.insert(0, lines.clone());
            }
        }
    }
}

/// Where these lines are looked for. Quick and not hard to foresee: who aims at one shard gets no more than who floods
/// them all.
fn shard(lines: &[u8]) -> usize {
    let (words, _) = lines.as_chunks();
    let mix = |hash: u64, &word| (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    words.iter().fold(lines.len() as u64, mix) as usize % SHARDS
}

impl fmt::Debug for SharedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLines").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn equal_lines_are_kept_once() {
        let shared = SharedLines::new();
        let (mut first, mut second, mut other) = (lines("a"), lines("a"), lines("b"));
        shared.share(&mut first);
        shared.share(&mut second);
        shared.share(&mut other);
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(&other[..], b"b");
    }

    #[test]
    fn what_many_send_stays_while_others_make_up_new_ones_and_no_more_than_a_few_are_kept() {
        let shared = SharedLines::new();
        let mut popular = lines("popular");
        shared.share(&mut popular);
        for n in 0..10_000 {
            shared.share(&mut lines(&n.to_string()));
            let mut again = lines("popular");
            shared.share(&mut again);
            assert!(Arc::ptr_eq(&again, &popular));
        }
        let kept = shared.shards.iter().map(|shard| shard.lock().unwrap().len());
        assert_eq!(kept.max(), Some(PER_SHARD));
        let mut large = lines(&"x".repeat(MAX_SIZE + 1));
        shared.share(&mut large);
        assert_eq!(Arc::strong_count(&large), 1);
    }
}
