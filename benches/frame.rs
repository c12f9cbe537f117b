//! The parts of the codec one by one: headers, masks, UTF-8.
#![allow(missing_docs)]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wsrv_benches::{KEY, Kind, frame};
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{Text, mask};

fn main() {
    divan::main();
}

/// One for each form of the length.
const LENGTHS: [usize; 3] = [125, 1024, 70_000];

#[divan::bench(args = LENGTHS, sample_size = 1000)]
fn header_parse(bencher: Bencher, len: usize) {
    let frame = frame(Kind::Binary, len);
    bencher.bench_local(|| Header::parse(black_box(&frame)));
}

#[divan::bench(args = LENGTHS, sample_size = 1000)]
fn header_encode(bencher: Bencher, len: usize) {
    let mut out = Vec::with_capacity(16);
    bencher.bench_local(|| {
        out.clear();
        Header::whole(OpCode::Binary, black_box(len as u64)).encode(black_box(&mut out));
    });
}

const SIZES: [usize; 5] = [16, 125, 1024, 16 * 1024, 1024 * 1024];

#[divan::bench(args = SIZES, sample_size = 100)]
fn mask_in_place(bencher: Bencher, size: usize) {
    let mut bytes = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| mask::apply(black_box(&mut bytes), KEY, 0));
}

/// What memory can do at best, to be held against the masks.
#[divan::bench(args = SIZES, sample_size = 100)]
fn memcpy(bencher: Bencher, size: usize) {
    let (from, mut to) = (vec![7_u8; size], vec![0_u8; size]);
    bencher.counter(BytesCount::new(size)).bench_local(|| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
}

#[divan::bench(args = SIZES, consts = [false, true], sample_size = 100)]
fn utf8<const MIXED: bool>(bencher: Bencher, size: usize) {
    let text = Bytes::from(if MIXED { Kind::Mixed } else { Kind::Ascii }.text(size));
    bencher.counter(BytesCount::new(size)).bench_local(|| Text::try_from(black_box(&text).clone()));
}
