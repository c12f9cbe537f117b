//! One message is inflated.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{MAX_BITS, TAIL};

/// What is inflated at a time.
const STEP: usize = 32 * 1024;

/// So many last blocks may be in a message, and one more for each KiB of it. Each costs the work of preparing a window,
/// which the two bytes that it takes must not buy.
const STREAMS: usize = 16;

/// The tail, and an empty last block behind it. Only where a block has just ended does that end the stream: so a message
/// that was cut off is told from a whole one.
const END: [u8; 6] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 0b011, 0];

/// What inflates, one message after the other, from whomever.
pub(super) struct Inflater {
    inflate: Inflate,
    step: Box<[u8]>,
}

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not compressed data, or its end is missing.
    Corrupt,
    /// It would be longer than it may be.
    TooLong,
}

impl Inflater {
    pub(super) fn new() -> Self {
        // The window is the largest whatever was agreed on: a smaller one saves nothing here, and what refers too far back
        // would be found out or not depending on the steps.
        Self { inflate: Inflate::new(false, MAX_BITS), step: vec![0; STEP].into() }
    }

    /// The message of which `packed` is the compressed form, and which may refer to `history`. It has `max` bytes at most.
    pub(super) fn inflate(&mut self, packed: &[u8], history: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
        let mut message = Vec::new();
        self.begin(history, &message)?;
        let mut rest = packed;
        let mut streams = STREAMS + packed.len() / 1024;
        while self.run(&mut rest, &mut message, max)? {
            // A last block (RFC 7692 §7.2.3.4). What may follow it is a stream of its own, with the same window.
            if rest.is_empty() {
                return Ok(message);
            }
            streams = streams.checked_sub(1).ok_or(Fault::Corrupt)?;
            self.begin(history, &message)?;
        }
        let (mut rest, len) = (&END[..], message.len());
        let ended = self.run(&mut rest, &mut message, max)?;
        if ended && rest.is_empty() && message.len() == len { Ok(message) } else { Err(Fault::Corrupt) }
    }

    /// Begins a stream behind what was there before it.
    fn begin(&mut self, history: &[u8], message: &[u8]) -> Result<(), Fault> {
        self.inflate.reset(false);
        for before in [history, message] {
            if !before.is_empty() {
                self.inflate.set_dictionary(before).map_err(|_| Fault::Corrupt)?;
            }
        }
        Ok(())
    }

    /// Inflates until there is no more input, or the stream has ended, which is told.
    fn run(&mut self, input: &mut &[u8], message: &mut Vec<u8>, max: usize) -> Result<bool, Fault> {
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, &mut self.step, InflateFlush::SyncFlush);
            let status = status.map_err(|_| Fault::Corrupt)?;
            let read = (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - written) as usize;
            *input = &input[read..];
            append(message, &self.step[..written], max)?;
            if status == Status::StreamEnd {
                return Ok(true);
            }
            if written < STEP && (input.is_empty() || (read, written) == (0, 0)) {
                return if input.is_empty() { Ok(false) } else { Err(Fault::Corrupt) };
            }
        }
    }
}

fn append(message: &mut Vec<u8>, bytes: &[u8], max: usize) -> Result<(), Fault> {
    let len = message.len() + bytes.len();
    if len > max {
        return Err(Fault::TooLong);
    }
    if len > message.capacity() {
        // The first step is as a rule the only one, and takes no more than it needs.
        let capacity = message.capacity().saturating_mul(2).min(max).max(len);
        message.reserve_exact(capacity - message.len());
    }
    message.extend_from_slice(bytes);
    Ok(())
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(packed: &[u8]) -> Result<Vec<u8>, Fault> {
        Inflater::new().inflate(packed, b"", 1 << 20)
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        // RFC 7692 §7.2.3.1: one block.
        assert_eq!(inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello");
        // §7.2.3.2: the same again, with the context taken over.
        let again = Inflater::new().inflate(b"\xf2\x00\x11\x00\x00", b"Hello", 5);
        assert_eq!(again.unwrap(), b"Hello");
        // §7.2.3.3: a block without compression.
        assert_eq!(inflate(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00").unwrap(), b"Hello");
        // §7.2.3.4: a last block, behind which a byte makes the tail a block.
        assert_eq!(inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00").unwrap(), b"Hello");
        // §7.2.3.5: two blocks.
        assert_eq!(inflate(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00").unwrap(), b"Hello");
        // §7.2.3.6: an empty message.
        assert_eq!(inflate(b"\x00").unwrap(), b"");
    }

    #[test]
    fn what_follows_a_last_block_is_read_on_and_may_be_missing() {
        assert_eq!(inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello", "as zlib's Z_FINISH ends");
        let twice = [&b"\xf3\x48\xcd\xc9\xc9\x07\x00"[..], b"\xf2\x00\x11\x00\x00"].concat();
        assert_eq!(inflate(&twice).unwrap(), b"HelloHello", "the window is the same");
        assert_eq!(inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff"), Err(Fault::Corrupt));
    }

    #[test]
    fn what_was_cut_off_is_not_taken_for_a_message() {
        for whole in [&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"] {
            // One zero byte is a message: the empty one.
            for cut in (0..whole.len()).filter(|&cut| whole[..cut] != [0]) {
                assert_eq!(inflate(&whole[..cut]), Err(Fault::Corrupt), "{cut}");
            }
        }
    }

    #[test]
    fn corrupt_data_is_found_and_the_next_message_is_not_touched() {
        let mut inflater = Inflater::new();
        // A type of block that there is not; a length that its complement denies; a distance beyond the beginning.
        for bad in [&b"\x07"[..], b"\x00\x05\x00\x05\x00Hello", b"\xf2\x00\x11\x00\x00"] {
            assert_eq!(inflater.inflate(bad, b"", 100), Err(Fault::Corrupt), "{bad:x?}");
            assert_eq!(inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"", 5).unwrap(), b"Hello");
        }
    }

    #[test]
    fn the_limit_is_inclusive_and_ends_the_work() {
        let mut compressor = super::super::compressor::Compressor::new(9, 15);
        for len in [5, STEP - 1, STEP, STEP + 1, 3 * STEP, 1_000_000] {
            let packed = compressor.compress(&vec![0; len], None).map_or(vec![], <[u8]>::to_vec);
            let packed = if len == 5 { b"\xf2\x48\xcd\xc9\xc9\x07\x00".to_vec() } else { packed };
            let mut inflater = Inflater::new();
            assert_eq!(inflater.inflate(&packed, b"", len).map(|message| message.len()), Ok(len));
            assert_eq!(inflater.inflate(&packed, b"", len - 1), Err(Fault::TooLong), "{len}");
        }
    }
}
