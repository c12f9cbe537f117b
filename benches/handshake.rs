//! The opening handshake of a browser, with its 13 header lines.
#![allow(missing_docs)]

use bytes::BytesMut;
use divan::{Bencher, black_box};
use http::HeaderMap;
use wsrv_benches::{BROWSER_REQUEST, request};
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader, RequestHead};

fn main() {
    divan::main();
}

/// From the bytes of the request to those of the answer.
#[divan::bench(sample_size = 100)]
fn whole(bencher: Bencher) {
    let none = HeaderMap::new();
    let mut answer = BytesMut::with_capacity(256);
    bencher.with_inputs(|| BytesMut::from(BROWSER_REQUEST)).bench_local_refs(|buffer| {
        let head = read(buffer);
        let offer = handshake::check(&head).expect("a good request");
        answer.clear();
        handshake::encode_accept(&offer, None, &none, black_box(&mut answer)).expect("no subprotocol");
        head
    });
}

#[divan::bench(sample_size = 100)]
fn read_head(bencher: Bencher) {
    bencher.with_inputs(|| BytesMut::from(BROWSER_REQUEST)).bench_local_refs(read);
}

#[divan::bench(sample_size = 100)]
fn check(bencher: Bencher) {
    let head = request();
    bencher.bench_local(|| handshake::check(black_box(&head)));
}

#[divan::bench(sample_size = 100)]
fn encode_accept(bencher: Bencher) {
    let offer = handshake::check(&request()).expect("a good request");
    let none = HeaderMap::new();
    let mut answer = BytesMut::with_capacity(256);
    bencher.bench_local(|| {
        answer.clear();
        handshake::encode_accept(black_box(&offer), None, &none, black_box(&mut answer))
    });
}

fn read(buffer: &mut BytesMut) -> RequestHead {
    let head = HeadReader::new(HeadLimits::default()).read(black_box(buffer));
    head.expect("a good request").expect("a whole head")
}
