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
/// Write buffers that have grown past this are not kept.
const WRITE_MAX: usize = 64 * 1024;
/// Write buffers a thread keeps.
const WRITE_KEPT: usize = 64;

thread_local! {
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

pub(crate) fn take_write() -> BytesMut {
    let kept = WRITE_BUFFERS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| BytesMut::with_capacity(WRITE))
}

pub(crate) fn give_write(mut buffer: BytesMut) {
    buffer.clear();
    if (WRITE / 2..=WRITE_MAX).contains(&buffer.capacity()) {
        let _ = WRITE_BUFFERS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < WRITE_KEPT {
                kept.push(buffer);
            }
        });
    }
}
