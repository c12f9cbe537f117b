//! How far back compressed data refers: a slow and simple reading of RFC 1951 that keeps nothing of what is said.

/// The bits of a message, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn one(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn number(&mut self, bits: usize) -> usize {
        (0..bits).map(|at| self.one() << at).sum()
    }
}

/// A Huffman code (§3.2.2): how many codes there are of each length, and what they stand for.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&length| counts[length] += 1);
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.one();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

/// The largest distance in a message's compressed form, without the four bytes that are left out.
pub(crate) fn furthest(packed: &[u8]) -> usize {
    let packed = [packed, &[0, 0, 0xFF, 0xFF]].concat();
    let mut bits = Bits { bytes: &packed, at: 0 };
    let mut furthest = 0;
    while bits.at < packed.len() * 8 {
        assert_eq!(bits.one(), 0, "a last block");
        match bits.number(2) {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let len = bits.number(16);
                assert_eq!(bits.number(16), len ^ 0xFFFF);
                bits.at += len * 8;
            }
            1 => {
                let lengths: Vec<_> = [(8, 144), (9, 112), (7, 24), (8, 8)]
                    .iter()
                    .flat_map(|&(length, count)| vec![length; count])
                    .collect();
                block(&mut bits, &Code::new(&lengths), &Code::new(&[5; 30]), &mut furthest);
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits);
                block(&mut bits, &literals, &distances, &mut furthest);
            }
            _ => panic!("no such block"),
        }
    }
    furthest
}

/// §3.2.7.
fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances) = (bits.number(5) + 257, bits.number(5) + 1);
    let count = bits.number(4) + 4;
    let mut lengths = [0; 19];
    ORDER[..count].iter().for_each(|&symbol| lengths[symbol] = bits.number(3));
    let code = Code::new(&lengths);
    let mut lengths: Vec<usize> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.read(bits) {
            16 => (*lengths.last().unwrap(), bits.number(2) + 3),
            17 => (0, bits.number(3) + 3),
            18 => (0, bits.number(7) + 11),
            length => (length, 1),
        };
        lengths.extend(vec![length; times]);
    }
    (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
}

/// §3.2.5.
fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code, furthest: &mut usize) {
    loop {
        let extra = match literals.read(bits) {
            256 => return,
            ..=255 => continue,
            257..=264 | 285 => 0,
            symbol => (symbol - 261) / 4,
        };
        bits.number(extra);
        let symbol = distances.read(bits);
        let extra = (symbol / 2).saturating_sub(1);
        let base = if symbol < 2 { symbol } else { (2 + symbol % 2) << extra };
        *furthest = (*furthest).max(base + bits.number(extra) + 1);
    }
}
