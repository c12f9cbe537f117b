//! How a stream is cut into reads.

/// A fuzzed stream together with the way it arrives.
///
/// The first byte counts the reads in its low three bits, and chooses limits with the others. As many bytes follow,
/// each the size of a read; zero is a read that brings nothing. The rest is the stream. The sizes are used over and
/// over until it ends.
pub(super) struct Reads<'a> {
    /// Which limits apply, 0 to 31.
    pub(super) limits: usize,
    pub(super) stream: &'a [u8],
    sizes: &'a [u8],
}

impl<'a> Reads<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (&first, rest) = data.split_first()?;
        let (sizes, stream) = rest.split_at_checked(usize::from(first & 7))?;
        Some(Self { limits: usize::from(first >> 3), stream, sizes })
    }

    /// The stream in one piece, in the reads that were asked for, and byte by byte.
    pub(super) fn ways(&self) -> [Vec<&'a [u8]>; 3] {
        [vec![self.stream], self.pieces(), self.stream.chunks(1).collect()]
    }

    fn pieces(&self) -> Vec<&'a [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), self.stream);
        // With nothing but empty reads the stream would never end.
        if self.sizes.iter().any(|&size| size > 0) {
            for &size in self.sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(usize::from(size)));
                pieces.push(piece);
                rest = later;
            }
        }
        pieces.push(rest);
        pieces
    }
}
