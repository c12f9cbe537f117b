//! Decompression that ends.

use crate::{Limits, SessionError};
use flate2::read::ZlibDecoder;
use std::io::Read;

/// Unpacks a zlib stream (RFC 1950), up to [`Limits::max_inflated`] bytes.
///
/// # Errors
///
/// [`SessionError::Limit`] if there is more, [`SessionError::CorruptData`] if it is damaged or ends too early.
pub(super) fn inflate(packed: &[u8], limits: &Limits) -> Result<Vec<u8>, SessionError> {
    let mut data = Vec::new();
    let most = limits.max_inflated as u64;
    let mut stream = ZlibDecoder::new(packed).take(most.saturating_add(1));
    stream.read_to_end(&mut data).map_err(|_| SessionError::CorruptData)?;
    if data.len() > limits.max_inflated { Err(SessionError::Limit) } else { Ok(data) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn packed(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_packed_comes_out() {
        assert_eq!(inflate(&packed(b"{}"), &Limits::default()), Ok(b"{}".to_vec()));
        assert_eq!(inflate(&packed(b""), &Limits::default()), Ok(Vec::new()));
    }

    #[test]
    fn no_more_than_the_limit_is_unpacked() {
        let limits = Limits { max_inflated: 1000, ..Limits::default() };
        assert_eq!(inflate(&packed(&[0; 1000]), &limits).unwrap().len(), 1000);
        assert_eq!(inflate(&packed(&[0; 1001]), &limits), Err(SessionError::Limit));
        // A bomb whose end is missing ends at the limit too: nothing behind it is looked at.
        let bomb = packed(&vec![0; 50 << 20]);
        assert_eq!(inflate(&bomb[..bomb.len() / 2], &Limits::default()), Err(SessionError::Limit));
    }

    #[test]
    fn damage_is_noticed() {
        let mut changed = packed(b"some text of a session");
        for data in [&b""[..], b"x", b"xxxx", &changed[..changed.len() - 1]] {
            assert_eq!(inflate(data, &Limits::default()), Err(SessionError::CorruptData));
        }
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&changed, &Limits::default()), Err(SessionError::CorruptData));
    }
}
