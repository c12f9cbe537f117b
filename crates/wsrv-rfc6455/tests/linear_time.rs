//! The way the input is cut must not change what it costs by more than a fixed amount per read.
//!
//! Times are the best of several runs, and the margins wide enough for a busy machine, yet far below what quadratic
//! work would take. `cargo test --release --test linear_time -- --nocapture --test-threads=1` prints the figures.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use common::{fragments, frame};
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

/// Receives one message in reads of `size` bytes.
fn receive(input: &[u8], size: usize) -> Duration {
    let mut receiver = Receiver::server(Limits::default().with_max_message(2 * MIB).with_max_frame(2 * MIB));
    let mut buffer = BytesMut::with_capacity(input.len());
    let mut messages = 0;
    let start = Instant::now();
    for read in input.chunks(size) {
        buffer.extend_from_slice(read);
        while let Received::Message(found) = receiver.receive(&mut buffer).expect("the input is good") {
            black_box(receiver.take(found, &mut buffer));
            messages += 1;
        }
    }
    let time = start.elapsed();
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
    assert!(report("text / binary, byte by byte", best(&text, 1), best(&binary, 1)) < 8.0);
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
fn text_costs_a_small_multiple_of_binary_and_a_read_a_fixed_amount() {
    let text = foreign_text();
    let (text, binary) = (frame(OpCode::Text, &text), frame(OpCode::Binary, &text));
    let whole = report("text / binary, whole", best(&text, usize::MAX), best(&binary, usize::MAX));
    let reads = report("text / binary, 16 KiB reads", best(&text, 16384), best(&binary, 16384));
    report("text, byte by byte / whole", best(&text, 1), best(&text, usize::MAX));
    report("binary, byte by byte / whole", best(&binary, 1), best(&binary, usize::MAX));
    let per_read = best(&text, 1).as_secs_f64() * 1e9 / text.len() as f64;
    println!("one byte of text: {per_read:.1} ns");
    // Vector code is no faster than any other until it is optimised.
    assert!(cfg!(debug_assertions) || (whole < 10.0 && reads < 10.0 && per_read < 500.0));
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

#[test]
#[ignore = "a measurement, not a test"]
fn appending_to_the_buffer_alone() {
    let input = foreign_text();
    let mut buffer = BytesMut::with_capacity(input.len());
    let start = Instant::now();
    for read in input.chunks(1) {
        black_box(&mut buffer).extend_from_slice(black_box(read));
    }
    println!("{:?}", start.elapsed());
}

#[test]
#[ignore = "a measurement, not a test"]
fn small_messages_per_second() {
    for (name, opcode, payload) in [
        ("16 B binary", OpCode::Binary, vec![b'a'; 16]),
        ("16 B text", OpCode::Text, vec![b'a'; 16]),
        ("125 B text", OpCode::Text, vec![b'a'; 125]),
        ("1 KiB text", OpCode::Text, vec![b'a'; 1024]),
        ("1 KiB binary", OpCode::Binary, vec![b'a'; 1024]),
    ] {
        let input = frame(opcode, &payload).repeat(64 * 1024 / (payload.len() + 8));
        let (mut take, mut peek) = (f64::MAX, f64::MAX);
        for copy in [true, false] {
            for _ in 0..500 {
                let mut receiver = Receiver::server(Limits::default());
                let mut buffer = BytesMut::from(&input[..]);
                let mut count = 0;
                let start = Instant::now();
                while let Received::Message(found) = receiver.receive(&mut buffer).expect("the input is good") {
                    if copy {
                        black_box(receiver.take(found, &mut buffer));
                    } else {
                        black_box(receiver.peek(found, &buffer));
                    }
                    count += 1;
                }
                let time = start.elapsed().as_secs_f64() * 1e9 / f64::from(count);
                let best = if copy { &mut take } else { &mut peek };
                *best = best.min(time);
            }
        }
        println!("{name}: take {take:.1} ns, peek {peek:.1} ns");
    }
}
