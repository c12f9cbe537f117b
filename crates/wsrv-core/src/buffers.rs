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

/// Size from which on an unfinished message that has to wait goes on in a buffer of its own.
pub(crate) const OWN: usize = 16 * 1024;
/// Such buffers that a thread keeps, and up to which size.
const OWN_KEPT: usize = 4;
const OWN_MAX: usize = 1024 * 1024 + READ;
/// A message holds this many times its size at most, for as long as somebody keeps it.
const OWN_SLACK: usize = 4;

thread_local! {
    /// With their sizes, which a handle does not tell while a message lies in its buffer.
    static OWN_BUFFERS: RefCell<Vec<(BytesMut, usize)>> = const { RefCell::new(Vec::new()) };
    static READ_BUFFER: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static WRITE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn take_read() -> BytesMut {
    let kept = READ_BUFFER.try_with(Cell::take).ok().flatten();
    // A message that somebody keeps may lie in it.
    let whole = kept.and_then(|mut buffer| (buffer.capacity() >= READ || buffer.try_reclaim(READ)).then_some(buffer));
    whole.unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Takes a read buffer back. A message may still lie in it: as a rule it is written and gone before the next read.
pub(crate) fn give_read(mut buffer: BytesMut) {
    buffer.clear();
    let _ = READ_BUFFER.try_with(|kept| kept.set(Some(buffer)));
}

/// A buffer for a message that needs `needed` bytes, of which these have arrived.
///
/// Announcing a size costs nobody memory: a new buffer has room for four times of what has arrived; for the whole message
/// if eight times is enough. One that lies there anyway may be larger than the message, by [`OWN_SLACK`].
pub(crate) fn take_own(arrived: &[u8], needed: usize) -> BytesMut {
    // The last message that lay in it is gone, or else it cannot be reclaimed.
    let find = |kept: &RefCell<Vec<(BytesMut, usize)>>| {
        let mut kept = kept.borrow_mut();
        let fits = |(buffer, size): &mut (BytesMut, usize)| *size <= OWN_SLACK * needed && buffer.try_reclaim(needed);
        // The one used last is the one that the processor's caches still know.
        let index = kept.iter_mut().rposition(fits)?;
        Some(kept.remove(index).0)
    };
    let kept = OWN_BUFFERS.try_with(find).ok().flatten();
    let room = if needed <= 8 * arrived.len() { needed } else { 4 * arrived.len() };
    let mut buffer = kept.unwrap_or_else(|| BytesMut::with_capacity(room.max(arrived.len() + 1)));
    buffer.extend_from_slice(arrived);
    buffer
}

/// Takes the handle of a buffer of `size` bytes back in which a large message lies. When the message is dropped, there is
/// room in it again. (The system takes its time to hand out and to clear so much memory anew for each message.)
pub(crate) fn give_own(buffer: BytesMut, size: usize) {
    if !(OWN..=OWN_MAX).contains(&size) {
        return;
    }
    let _ = OWN_BUFFERS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() == OWN_KEPT {
            kept.remove(0);
        }
        kept.push((buffer, size));
    });
}

pub(crate) fn take_write() -> Vec<u8> {
    let kept = WRITE_BUFFERS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(WRITE))
}

pub(crate) fn give_write(mut buffer: Vec<u8>) {
    buffer.clear();
    if (WRITE..=WRITE_MAX).contains(&buffer.capacity()) {
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

    #[test]
    fn a_write_buffer_comes_back_empty() {
        for len in [1, 3000, WRITE, WRITE_MAX] {
            let mut buffer = take_write();
            buffer.extend_from_slice(&vec![7; len]);
            let place = buffer.as_ptr();
            give_write(buffer);
            let again = take_write();
            assert!(again.is_empty() && again.capacity() >= WRITE && again.as_ptr() == place, "{len}");
            give_write(again);
        }
    }

    /// A message of this size in a buffer of its own, whose handle has been given back.
    fn message(size: usize) -> bytes::Bytes {
        let mut buffer = take_own(&vec![7; size], size);
        let whole = buffer.capacity();
        let message = buffer.split().freeze();
        give_own(buffer, whole);
        message
    }

    #[test]
    fn a_read_buffer_serves_on_when_the_message_in_it_is_gone() {
        let mut buffer = take_read();
        let place = buffer.as_ptr();
        buffer.extend_from_slice(&[7; 20_000]);
        let message = buffer.split_to(20_000).freeze();
        give_read(buffer);
        drop(message);
        // Would get the place if it were free.
        let _other = Vec::<u8>::with_capacity(READ);
        let mut buffer = take_read();
        assert!(buffer.as_ptr() == place && buffer.capacity() >= READ);
        buffer.extend_from_slice(&[8; 20_000]);
        let message = buffer.split_to(20_000).freeze();
        give_read(buffer);
        let other = take_read();
        assert!(other.as_ptr() != place && other.capacity() >= READ);
        assert_eq!(message, [8; 20_000][..]);
    }

    #[test]
    fn a_large_buffer_serves_one_message_after_the_other() {
        let first = message(100_000);
        let place = first.as_ptr();
        let second = message(100_000);
        assert_ne!(second.as_ptr(), place, "the first message still lies in it");
        drop(first);
        assert_eq!(message(90_000).as_ptr(), place);
    }

    #[test]
    fn of_several_large_buffers_the_one_used_last_is_taken() {
        let (first, second) = (message(100_000), message(100_000));
        let place = second.as_ptr();
        drop((first, second));
        assert_eq!(message(100_000).as_ptr(), place);
    }

    #[test]
    fn a_message_does_not_hold_a_buffer_of_many_times_its_size() {
        let place = message(1_000_000).as_ptr();
        assert_ne!(message(20_000).as_ptr(), place);
        assert_eq!(message(250_001).as_ptr(), place);
        // What is not large is not kept in place of what is.
        for _ in 0..OWN_KEPT {
            message(100);
        }
        assert_eq!(message(1_000_000).as_ptr(), place);
        assert_ne!(message(OWN_MAX + 1).as_ptr(), message(OWN_MAX + 1).as_ptr());
    }

    #[test]
    fn a_write_buffer_that_has_grown_large_is_not_kept() {
        for len in [0, 1024 * 1024] {
            let mut buffer = Vec::with_capacity(1024 * 1024);
            buffer.extend_from_slice(&vec![7; len]);
            give_write(buffer);
            assert!(take_write().capacity() <= WRITE_MAX, "{len}");
        }
    }
}
