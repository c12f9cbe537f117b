//! One message is compressed.

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::TAIL;

/// Bytes by which a compressed message may be longer than it was, where later ones can refer to it: many are not worth
/// compressing but for those before them.
const INVESTED: usize = 16;

/// Room that is kept between messages.
const KEPT: usize = 64 * 1024;

/// What compresses, one message after the other, for whomever.
pub(super) struct Compressor {
    deflate: Deflate,
    level: u8,
    bits: u8,
    out: Vec<u8>,
}

impl Compressor {
    /// A compressor with a window of 2 to the power of `bits` bytes, 9 to 15, and this level, 1 to 9.
    pub(super) fn new(level: u8, bits: u8) -> Self {
        Self { deflate: deflate(level, bits), level, bits, out: Vec::new() }
    }

    /// The message in its compressed form, which may refer to `history` if there is context takeover. `None` if that would
    /// be no shorter; with context takeover, if it would be longer by more than [`INVESTED`].
    pub(super) fn compress(&mut self, message: &[u8], history: Option<&[u8]>) -> Option<&[u8]> {
        if self.out.len() > KEPT {
            self.out = Vec::new();
        }
        // Of each byte may become nine bits, and of the whole some bytes more. So all is always written: zlib-rs (0.6.8)
        // does not reset a stream that was left with something to be written, and panics some messages later.
        let room = message.len() + message.len() / 8 + 64;
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        self.deflate.reset();
        if let Some(history) = history.filter(|history| !history.is_empty()) {
            self.deflate.set_dictionary(history).ok()?;
        }
        let outcome = self.deflate.compress(message, &mut self.out[..room], DeflateFlush::SyncFlush);
        let (read, written) = (self.deflate.total_in(), self.deflate.total_out() as usize);
        if outcome.is_err() || read < message.len() as u64 || written >= room {
            self.deflate = deflate(self.level, self.bits);
            return None;
        }
        let most = if history.is_some() { message.len() + INVESTED } else { message.len().saturating_sub(1) };
        self.out[..written].strip_suffix(&TAIL).filter(|packed| packed.len() <= most)
    }
}

fn deflate(level: u8, bits: u8) -> Deflate {
    let config = DeflateConfig { window_bits: -i32::from(bits), ..DeflateConfig::new(i32::from(level)) };
    Deflate::new_with_config(config)
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut noise = 1_u64;
        let noise = std::iter::repeat_with(|| {
            for shift in [13_i32, -7, 17] {
                noise ^= if shift > 0 { noise << shift } else { noise >> -shift };
            }
            noise as u8
        });
        noise.take(len).collect()
    }

    #[test]
    fn what_does_not_get_shorter_is_not_compressed() {
        let mut compressor = Compressor::new(6, 15);
        let noise = noise(10_000);
        for message in [&b""[..], b"a", b"ab", &noise] {
            assert_eq!(compressor.compress(message, None), None, "{} bytes", message.len());
        }
        assert!(compressor.compress(&[7; 100], None).is_some_and(|packed| packed.len() < 10));
    }

    #[test]
    fn the_second_hello_refers_to_the_first_as_in_the_rfc() {
        // RFC 7692 §7.2.3.1 and §7.2.3.2.
        let mut compressor = Compressor::new(6, 15);
        assert_eq!(compressor.compress(b"Hello", Some(b"")), Some(&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]));
        assert_eq!(compressor.compress(b"Hello", Some(b"Hello")), Some(&b"\xf2\x00\x11\x00\x00"[..]));
        assert_eq!(compressor.compress(b"Hello", None), None);
    }

    #[test]
    fn what_cannot_be_compressed_does_not_spoil_what_follows() {
        // zlib-rs 0.6.8 panicked here when the output had no room for all of it.
        for level in 1..=9 {
            let mut compressor = Compressor::new(level, 15);
            for len in [4096, 70_000, 4096, 131_072] {
                // Bytes of nine bits each in the fixed code, in which level 1 writes.
                let noise: Vec<u8> = noise(len).iter().map(|byte| byte | 0x90).collect();
                let _ = compressor.compress(&noise, Some(&noise[..1000]));
                assert!(compressor.compress(&[7; 1000], None).is_some_and(|packed| packed.len() < 20));
            }
        }
    }

    #[test]
    fn room_for_a_large_message_is_not_kept() {
        let mut compressor = Compressor::new(1, 15);
        assert!(compressor.compress(&vec![7; 1 << 20], None).is_some());
        assert!(compressor.compress(&[7; 1000], None).is_some());
        assert!(compressor.out.capacity() <= KEPT);
    }
}
