//! Whole messages through the codec alone.
#![allow(missing_docs)]

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wsrv_benches::{Kind, frame};
use wsrv_rfc6455::{Limits, Message, Received, Receiver, Sender};

fn main() {
    divan::main();
}

const SIZES: [usize; 4] = [16, 125, 1024, 16 * 1024];

/// From the bytes of a read to a message of its own. The bytes' way into the buffer is not counted.
fn decode(bencher: Bencher, kind: Kind, size: usize) {
    let frame = frame(kind, size);
    let mut receiver = Receiver::server(Limits::default());
    bencher.counter(BytesCount::new(size)).with_inputs(|| BytesMut::from(&frame[..])).bench_local_refs(
        |buffer| -> Message {
            match receiver.receive(black_box(buffer)) {
                Ok(Received::Message(found)) => receiver.take(found, buffer),
                other => panic!("no message: {other:?}"),
            }
        },
    );
}

#[divan::bench(args = SIZES, sample_size = 100)]
fn decode_binary(bencher: Bencher, size: usize) {
    decode(bencher, Kind::Binary, size);
}

#[divan::bench(args = SIZES, sample_size = 100)]
fn decode_ascii(bencher: Bencher, size: usize) {
    decode(bencher, Kind::Ascii, size);
}

#[divan::bench(args = SIZES, sample_size = 100)]
fn decode_mixed(bencher: Bencher, size: usize) {
    decode(bencher, Kind::Mixed, size);
}

/// From a message to bytes in a buffer that has room for them.
#[divan::bench(args = SIZES, sample_size = 100)]
fn encode(bencher: Bencher, size: usize) {
    let message = Kind::Binary.message(size);
    let mut sender = Sender::server();
    let mut out = BytesMut::with_capacity(size + 16);
    bencher.counter(BytesCount::new(size)).with_inputs(|| message.clone()).bench_local_values(|message| {
        out.clear();
        sender.message(black_box(message), &mut out)
    });
}
