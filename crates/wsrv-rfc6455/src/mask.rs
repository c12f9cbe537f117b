//! Masking, as clients do it to every payload.

#[cfg(feature = "client")]
use crate::Output;

/// Masks or unmasks payload bytes in place; one undoes the other.
///
/// `offset` is where `bytes` begins within the payload, so a payload can be worked off in pieces of any size.
///
/// ```
/// use wsrv_rfc6455::mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58";
/// let (front, back) = payload.split_at_mut(2);
/// mask::apply(front, [0x37, 0xfa, 0x21, 0x3d], 0);
/// mask::apply(back, [0x37, 0xfa, 0x21, 0x3d], 2);
/// assert_eq!(&payload, b"Hello");
/// ```
///
/// # Source
///
/// RFC 6455 §5.3.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    if key == NONE {
        return;
    }
    let half = u32::from_le_bytes(key).rotate_right(8 * (offset & 3) as u32);
    let mut word = u64::from(half) << 32 | u64::from(half);
    // Four words at a time become vector instructions; a plain loop over bytes is many times slower.
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_le_bytes(*bytes) ^ word).to_le_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
    for byte in rest {
        *byte ^= word as u8;
        word >>= 8;
    }
}

/// The key that changes nothing, and so stands for none: what a server's frames have.
pub(crate) const NONE: [u8; 4] = [0; 4];

/// Bytes that are masked at a time: few enough to stay in the nearest cache between their copy and their masking.
#[cfg(feature = "client")]
const BLOCK: usize = 1024;

/// Writes the bytes masked. They are read from memory once and written once.
#[cfg(feature = "client")]
pub(crate) fn put(bytes: &[u8], key: [u8; 4], offset: usize, out: &mut (impl Output + ?Sized)) {
    let mut block = [0; BLOCK];
    for (at, part) in (offset..).step_by(BLOCK).zip(bytes.chunks(BLOCK)) {
        let block = &mut block[..part.len()];
        block.copy_from_slice(part);
        apply(block, key, at);
        out.put_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    fn byte_by_byte(bytes: &mut [u8], offset: usize) {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte ^= KEY[(offset + at) % 4];
        }
    }

    #[test]
    fn every_length_and_offset_agrees_with_the_definition() {
        for len in 0..130 {
            for offset in 0..9 {
                let original: Vec<u8> = (0..len).map(|at| at as u8 ^ 0x5A).collect();
                let (mut fast, mut slow) = (original.clone(), original.clone());
                apply(&mut fast, KEY, offset);
                byte_by_byte(&mut slow, offset);
                assert_eq!(fast, slow, "length {len}, offset {offset}");
                apply(&mut fast, KEY, offset);
                assert_eq!(fast, original);
            }
        }
    }

    #[test]
    #[cfg(feature = "client")]
    fn bytes_masked_on_the_way_out_are_the_same() {
        for len in [0, 1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            for offset in 0..5 {
                let original: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let (mut masked, mut out) = (original.clone(), Vec::new());
                byte_by_byte(&mut masked, offset);
                put(&original, KEY, offset, &mut out);
                assert_eq!(out, masked, "length {len}, offset {offset}");
            }
        }
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let mut whole: Vec<u8> = (0..200).collect();
        let mut pieces = whole.clone();
        apply(&mut whole, KEY, 0);
        let mut offset = 0;
        for size in [1, 2, 3, 5, 31, 32, 33, 93] {
            apply(&mut pieces[offset..offset + size], KEY, offset);
            offset += size;
        }
        assert_eq!((offset, pieces), (200, whole));
    }
}
