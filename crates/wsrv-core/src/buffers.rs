//! Buffers that a thread lends to whichever connection is awake, so that an idle connection holds none.
//!
//! Nothing is borrowed across an await: a buffer is moved out and moved back. While a thread ends, there is nothing to
//! borrow, and buffers are made and dropped.

use bytes::BytesMut;
use std::cell::{Cell, RefCell};

/// Size of a read buffer, and with it about the most that is read in one turn.
pub(crate) const READ: usize = 64 * 1024;
/// Size of a fresh buffer for small messages on their way out.
const WRITE: usize = 4 * 1024;
/// Write buffers that have grown past this are not kept. They grow by doubling, and a turn collects a little more than
/// 64 KiB.
const WRITE_MAX: usize = 128 * 1024;
/// Write buffers a thread keeps.
const WRITE_KEPT: usize = 64;

/// Buffers of large messages that a thread keeps, and up to which size.
const OWN_KEPT: usize = 4;
const OWN_MAX: usize = 1024 * 1024 + READ;

thread_local! {
    static OWN_BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static READ_BUFFER: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static WRITE_BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn take_read() -> BytesMut {
    READ_BUFFER.try_with(Cell::take).ok().flatten().unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Takes a read buffer back, unless a message that somebody keeps still lies in it.
pub(crate) fn give_read(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.capacity() >= READ || buffer.try_reclaim(READ) {
        let _ = READ_BUFFER.try_with(|kept| kept.set(Some(buffer)));
    }
}

/// A buffer for a message that needs `needed` bytes, of which these have arrived.
///
/// Announcing a size costs nobody memory: a new buffer has room for four times of what has arrived; for the whole message
/// if eight times is enough. One that lies there anyway may be larger.
pub(crate) fn take_own(arrived: &[u8], needed: usize) -> BytesMut {
    // The last message that lay in it is gone, or else it cannot be reclaimed.
    let find = |kept: &RefCell<Vec<BytesMut>>| {
        let mut kept = kept.borrow_mut();
        let index = kept.iter_mut().position(|buffer| buffer.try_reclaim(needed))?;
        Some(kept.swap_remove(index))
    };
    let kept = OWN_BUFFERS.try_with(find).ok().flatten();
    let room = if needed <= 8 * arrived.len() { needed } else { 4 * arrived.len() };
    let mut buffer = kept.unwrap_or_else(|| BytesMut::with_capacity(room.max(arrived.len() + 1)));
    buffer.extend_from_slice(arrived);
    buffer
}

/// Takes the handle of a buffer of `size` bytes back in which a large message lies. When the message is dropped, there is room in it
/// again. (The system takes its time to hand out and to clear so much memory anew for each message.)
pub(crate) fn give_own(buffer: BytesMut, size: usize) {
    if size > OWN_MAX {
        return;
    }
    let _ = OWN_BUFFERS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() == OWN_KEPT {
            kept.remove(0);
        }
        kept.push(buffer);
    });
}

pub(crate) fn take_write() -> BytesMut {
    let kept = WRITE_BUFFERS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| BytesMut::with_capacity(WRITE))
}

pub(crate) fn give_write(mut buffer: BytesMut) {
    buffer.clear();
    // The room in front, of what was written, does not count in its capacity until it is reclaimed.
    if !buffer.try_reclaim(WRITE_MAX + 1) && buffer.try_reclaim(WRITE) {
        let _ = WRITE_BUFFERS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < WRITE_KEPT {
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;

    #[test]
    fn a_write_buffer_comes_back_whole_after_all_of_it_was_written() {
        for len in [1, 3000, WRITE] {
            let mut buffer = take_write();
            let place = buffer.as_ptr();
            buffer.extend_from_slice(&vec![7; len]);
            buffer.advance(len);
            give_write(buffer);
            let again = take_write();
            assert!(again.is_empty() && again.capacity() >= WRITE && again.as_ptr() == place, "{len}");
            give_write(again);
        }
    }

    #[test]
    fn a_write_buffer_that_has_grown_large_is_not_kept() {
        const LARGE: usize = 1024 * 1024;
        for written in [0, LARGE - 10_000, LARGE] {
            let mut buffer = BytesMut::with_capacity(LARGE);
            buffer.extend_from_slice(&vec![7; written]);
            buffer.advance(written);
            give_write(buffer);
            assert!(!take_write().try_reclaim(WRITE_MAX + 1), "{written}");
        }
    }
}
