//! The way the input is cut must not change what it costs by more than a fixed amount per read.
//!
//! What is measured is the thread's own CPU time, so that a busy machine changes little; the margins are still far
//! below what quadratic work would take. `cargo test --release --test linear_time -- --nocapture` prints the figures.

mod common;

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use common::{fragments, frame};
use rustix::time::{ClockId, clock_gettime};
use wsrv_rfc6455::frame::OpCode;
use wsrv_rfc6455::{Limits, Received, Receiver};

const MIB: usize = 1 << 20;

/// How much text is sent; less of it where the code is not optimised.
const SIZE: usize = if cfg!(debug_assertions) { MIB / 16 } else { MIB };

const SAMPLE: &str = "Grüße, 世界! 😀 ";

/// Text of two-, three- and four-byte characters with some ASCII between.
fn foreign_text() -> Vec<u8> {
    SAMPLE.as_bytes().repeat(SIZE / SAMPLE.len())
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time does not run backwards from zero")
}

/// Receives one message in reads of `size` bytes.
fn receive(input: &[u8], size: usize) -> Duration {
    let mut receiver = Receiver::server(Limits::default().with_max_message(2 * MIB));
    let mut buffer = BytesMut::with_capacity(input.len());
    let mut messages = 0;
    let start = cpu_time();
    for read in input.chunks(size) {
        buffer.extend_from_slice(read);
        while let Received::Message(found) = receiver.receive(&mut buffer).expect("the input is good") {
            black_box(receiver.take(found, &mut buffer));
            messages += 1;
        }
    }
    let time = cpu_time() - start;
    assert_eq!(messages, 1);
    time
}

fn best(input: &[u8], size: usize) -> Duration {
    (0..5).map(|_| receive(input, size)).min().unwrap_or_default()
}

fn report(what: &str, left: Duration, right: Duration) -> f64 {
    let ratio = left.as_secs_f64() / right.as_secs_f64();
    println!("{what}: {left:?} / {right:?} = {ratio:.2}");
    ratio
}

#[test]
fn text_byte_by_byte_costs_little_more_than_binary_byte_by_byte() {
    let text = foreign_text();
    let (text, binary) = (frame(OpCode::Text, &text), frame(OpCode::Binary, &text));
    assert!(report("text / binary, byte by byte", best(&text, 1), best(&binary, 1)) < 3.0);
}

#[test]
fn dribbling_eight_times_the_text_costs_about_eight_times_as_much() {
    let text = foreign_text();
    let part = text.len() / SAMPLE.len() / 8 * SAMPLE.len();
    let (part, whole) = (frame(OpCode::Text, &text[..part]), frame(OpCode::Text, &text));
    // Work that grows with the square would make it 64, and take minutes.
    assert!(report("all the text / an eighth of it, byte by byte", best(&whole, 1), best(&part, 1)) < 24.0);
}

#[test]
fn fragments_of_any_size_cost_about_the_same_per_byte() {
    let text = foreign_text();
    let whole = frame(OpCode::Text, &text);
    for size in [512, 16 * 1024, SIZE * 2 / 3] {
        let fragments = fragments(OpCode::Text, &text, size);
        report(&format!("fragments of {size} / one frame, byte by byte"), best(&fragments, 1), best(&whole, 1));
        let ratio = report(
            &format!("fragments of {size} / one frame, 4 KiB reads"),
            best(&fragments, 4096),
            best(&whole, 4096),
        );
        assert!(ratio < 30.0, "fragments of {size}");
    }
}
