//! What one batch publishes, in one place: every member of a group is written the same bytes from here.

use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock};

/// A log that has grown past this is left to those who still need it.
const FULL: usize = 64 * 1024;
/// Different encodings of one message that are told apart; a class of compression is one.
const VARIANTS: usize = 4;

/// The frames that a batch has published, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Log(RwLock<Vec<u8>>);

impl Log {
    pub(crate) fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.with(<[u8]>::len) > FULL
    }

    /// Forgets everything; for who alone has it.
    pub(crate) fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Appends a frame, and tells where it lies.
    fn push(&self, frame: &[u8]) -> u32 {
        let mut log = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let start = log.len();
        log.extend_from_slice(frame);
        start as u32
    }
}

/// One message on its way to many.
#[derive(Debug)]
pub(crate) struct Publish {
    log: Arc<Log>,
    /// Frames that lie in the log: kept, so that their addresses stand for them.
    known: [Option<(Bytes, u32)>; VARIANTS],
}

impl Publish {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Publish { log, known: Default::default() }
    }

    /// Where `frame` lies in the log. The first time, it is put there. `None`: there are too many different ones.
    pub(crate) fn place(&mut self, frame: &Bytes) -> Option<(&Arc<Log>, u32)> {
        for slot in &mut self.known {
            let (known, start) = slot.get_or_insert_with(|| (frame.clone(), self.log.push(frame)));
            if (known.as_ptr(), known.len()) == (frame.as_ptr(), frame.len()) {
                return Some((&self.log, *start));
            }
        }
        None
    }
}
