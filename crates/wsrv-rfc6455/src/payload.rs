//! Payloads that arrive bit by bit, and the messages they make up.

use bytes::{Buf, BytesMut};

use crate::{ProtocolError, mask, utf8};

/// The payload of an unfinished frame.
pub(crate) struct Payload {
    pub(crate) key: [u8; 4],
    /// Whether the frame ends its message.
    pub(crate) fin: bool,
    pub(crate) text: bool,
    /// Compressed, so what it says is not known before it is whole.
    pub(crate) compressed: bool,
    /// Bytes before the payload in the buffer.
    pub(crate) offset: usize,
    pub(crate) len: usize,
    /// How much of it is unmasked.
    pub(crate) done: usize,
    /// How much of that is known to be whole characters. Fragments keep this for the message instead.
    pub(crate) checked: usize,
}

/// The message whose fragments are arriving.
#[derive(Default)]
pub(crate) struct Fragments {
    pub(crate) text: bool,
    /// What has arrived is compressed.
    pub(crate) compressed: bool,
    pub(crate) count: u32,
    pub(crate) checked: usize,
    pub(crate) payload: Vec<u8>,
}

impl Payload {
    /// Unmasks and checks what has arrived since the last time. Returns how many bytes the buffer must hold for the
    /// rest, `None` if it is all there.
    #[inline]
    pub(crate) fn go_on(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ProtocolError> {
        let arrived = buffer.get_mut(self.offset..).unwrap_or_default();
        let end = arrived.len().min(self.len);
        let arrived = &mut arrived[..end];
        if let Some(new) = arrived.get_mut(self.done..) {
            mask::apply(new, self.key, self.done);
            self.done = end;
        }
        let text = self.text && !self.compressed;
        if text {
            self.checked = utf8::check(arrived, self.checked).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        if end < self.len {
            Ok(Some(self.offset.saturating_add(self.len)))
        } else if text && self.checked < self.len {
            Err(ProtocolError::InvalidUtf8)
        } else {
            Ok(None)
        }
    }

    /// Moves what has arrived of a fragment to the message it belongs to. Returns how many bytes are missing, `None`
    /// if none are.
    pub(crate) fn move_to(
        &mut self,
        message: &mut Fragments,
        buffer: &mut BytesMut,
        max_message: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let size = buffer.len().min(self.len - self.done);
        let arrived = &mut buffer[..size];
        mask::apply(arrived, self.key, self.done);
        // The limit may have become less since the frame was admitted.
        let admitted = message.payload.len() + (self.len - self.done);
        message.append(arrived, max_message.max(admitted))?;
        buffer.advance(size);
        self.done += size;
        Ok(Some(self.len - self.done).filter(|&missing| missing > 0))
    }
}

impl Fragments {
    fn append(&mut self, arrived: &[u8], max: usize) -> Result<(), ProtocolError> {
        if self.payload.capacity() - self.payload.len() < arrived.len() {
            // Doubling keeps the copies few; the limit, which the length has been held against, bounds it.
            let len = self.payload.len() + arrived.len();
            let capacity = self.payload.capacity().saturating_mul(2).max(64).min(max).max(len);
            self.payload.reserve_exact(capacity - self.payload.len());
        }
        self.payload.extend_from_slice(arrived);
        if self.text && !self.compressed {
            self.checked = utf8::check(&self.payload, self.checked).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        Ok(())
    }
}
