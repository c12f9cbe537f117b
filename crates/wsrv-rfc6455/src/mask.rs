//! Masking, as clients do it to every payload.

#[cfg(feature = "client")]
use crate::Output;
use bytes::{Buf, Bytes};

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
    if key != NONE {
        xor(bytes, u32::from_le_bytes(key).rotate_right(8 * (offset & 3) as u32));
    }
}

#[inline(always)]
fn xor(bytes: &mut [u8], key: u32) {
    let word = doubled(key);
    // Four words at a time become vector instructions; a plain loop over bytes is many times slower.
    let (blocks, rest) = bytes.as_chunks_mut::<32>();
    for block in blocks {
        xor_words(block.as_chunks_mut().0, word);
    }
    // What is left has at most one piece of each of these sizes, then three bytes.
    let (pieces, rest) = rest.as_chunks_mut::<16>();
    if let Some(piece) = pieces.first_mut() {
        xor_words(piece.as_chunks_mut().0, word);
    }
    let (pieces, rest) = rest.as_chunks_mut();
    if let Some(piece) = pieces.first_mut() {
        *piece = (u64::from_le_bytes(*piece) ^ word).to_le_bytes();
    }
    let (pieces, rest) = rest.as_chunks_mut();
    if let Some(piece) = pieces.first_mut() {
        *piece = (u32::from_le_bytes(*piece) ^ key).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
    }
}

#[inline(always)]
fn xor_words(words: &mut [[u8; 8]], word: u64) {
    for bytes in words {
        *bytes = (u64::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
}

/// A copy of the payload that begins at `offset`, unmasked on the way.
///
/// It goes by whole words, so up to three bytes before the payload are copied with it and then hidden. They are a
/// header's, and there must be so many unless the key is [`NONE`].
#[inline(always)]
pub(crate) fn unmasked(frame: &[u8], offset: usize, key: [u8; 4]) -> Bytes {
    if key == NONE {
        return Bytes::copy_from_slice(&frame[offset..]);
    }
    let before = offset.wrapping_sub(frame.len()) & 3;
    let key = u32::from_le_bytes(key).rotate_left(8 * before as u32);
    let mut payload = Bytes::from(unmasked_words(&frame[offset - before..], key));
    payload.advance(before);
    payload
}

/// A copy of whole words, unmasked. By itself, because within a larger function the loop takes more instructions.
#[inline]
fn unmasked_words(bytes: &[u8], key: u32) -> Vec<u8> {
    let (words, _) = bytes.as_chunks();
    let copied: Vec<_> = words.iter().map(|&word| (u32::from_le_bytes(word) ^ key).to_le_bytes()).collect();
    copied.into_flattened()
}

/// Whether a masked payload is ASCII.
#[inline]
pub(crate) fn hides_ascii(bytes: &[u8], key: [u8; 4]) -> bool {
    let word = u32::from_le_bytes(key);
    let (blocks, rest) = bytes.as_chunks::<64>();
    if !blocks.iter().all(|block| words_hide_ascii(block.as_chunks().0, word)) {
        return false;
    }
    match bytes.last_chunk() {
        Some(&last) => {
            // The last word overlaps the one before it.
            let turned = word.rotate_right(8 * (bytes.len() % 4) as u32);
            words_hide_ascii(rest.as_chunks().0, word) && words_hide_ascii(&[last], turned)
        }
        None => rest.iter().zip(key.iter().cycle()).all(|(byte, key)| (byte ^ key).is_ascii()),
    }
}

#[inline(always)]
fn words_hide_ascii(words: &[[u8; 8]], key: u32) -> bool {
    let key = doubled(key);
    words.iter().fold(0, |seen, &word| seen | u64::from_le_bytes(word) ^ key) & 0x8080_8080_8080_8080 == 0
}

#[inline(always)]
fn doubled(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
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
    fn an_unmasked_copy_is_the_payload_wherever_it_begins() {
        for key in [KEY, NONE] {
            for offset in 3..12 {
                for len in 0..100 {
                    let original: Vec<u8> = (0..len).map(|at| at as u8 ^ 0x5A).collect();
                    let mut frame = vec![0xEE; offset];
                    frame.extend_from_slice(&original);
                    apply(&mut frame[offset..], key, 0);
                    assert_eq!(unmasked(&frame, offset, key), original, "length {len}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn ascii_is_recognised_below_any_mask() {
        for key in [KEY, NONE, [0xFF, 0, 0x80, 0x7F]] {
            for len in 0..150 {
                let mut text = vec![0x7F; len];
                apply(&mut text, key, 0);
                assert!(hides_ascii(&text, key), "length {len}");
                for other in 0..len {
                    text[other] ^= 0x80;
                    assert!(!hides_ascii(&text, key), "length {len}, byte {other}");
                    text[other] ^= 0x80;
                }
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
