//! What a WAMP message costs beyond its WebSocket message: taken apart, and written.
#![allow(missing_docs)]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wsrv_wamp::message::{encode_call_result, encode_event};
use wsrv_wamp::{ClientMessage, Dialect, Exclude, MessageLimits, Prefixes, RawValue, Recipients};

fn main() {
    divan::main();
}

const CALL: &str = r#"[2,"7DK6TdN4wLiUJgNM","http://example.com/calc#add",23,7]"#;
const TOPIC: &str = "http://example.com/chat#room";

/// A list of small objects, as an application may publish it.
fn payload(size: usize) -> String {
    const ITEM: &str = r#"{"from":"alice","text":"Hello, \"world\"!","at":1384473600.25}"#;
    let items = vec![ITEM; size / (ITEM.len() + 1)];
    format!("[{}]", items.join(","))
}

#[divan::bench(sample_size = 1000)]
fn parse_call(bencher: Bencher) {
    let limits = MessageLimits::default();
    bencher.bench_local(|| ClientMessage::parse(black_box(CALL), &limits).is_ok());
}

#[divan::bench(sample_size = 1000)]
fn parse_call_and_arguments(bencher: Bencher) {
    let limits = MessageLimits::default();
    bencher.bench_local(|| match ClientMessage::parse(black_box(CALL), &limits) {
        Ok(ClientMessage::Call { arguments, .. }) => arguments.deserialize::<(i32, i32)>().ok(),
        _ => None,
    });
}

#[divan::bench(args = [64, 4096, 65_536], sample_size = 100)]
fn parse_publish(bencher: Bencher, size: usize) {
    let text = format!("[7,\"{TOPIC}\",{}]", payload(size));
    let limits = MessageLimits::default();
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| ClientMessage::parse(black_box(&text), &limits).is_ok());
}

#[divan::bench(args = [64, 4096, 65_536], sample_size = 100)]
fn event(bencher: Bencher, size: usize) {
    let text = payload(size);
    let payload: &RawValue = serde_json::from_str(&text).expect("it is JSON");
    bencher.counter(BytesCount::new(text.len())).bench_local(|| encode_event(black_box(TOPIC), black_box(payload)));
}

#[divan::bench(sample_size = 1000)]
fn call_result(bencher: Bencher) {
    let result: &RawValue = serde_json::from_str("30").expect("it is JSON");
    bencher.bench_local(|| encode_call_result(black_box("7DK6TdN4wLiUJgNM"), black_box(result)));
}

#[divan::bench(args = [1, 100], sample_size = 1000)]
fn resolve(bencher: Bencher, known: usize) {
    let mut prefixes = Prefixes::new();
    for at in 0..known {
        prefixes.set(&format!("prefix{at:02}"), "http://example.com/calc#").expect("there is room");
    }
    let last = format!("prefix{:02}:add", known - 1);
    bencher.bench_local(|| prefixes.resolve(black_box(&last)));
}

#[divan::bench(args = [1, 8, 1000], sample_size = 1000)]
fn includes(bencher: Bencher, listed: usize) {
    let ids = (0..listed).map(|at| format!("session-{at:08}").into()).collect();
    let exclude = Exclude::Sessions(ids);
    let recipients = Recipients::new(&exclude, None, None, &Dialect::autobahn());
    bencher.bench_local(|| recipients.includes(black_box("session-99999999")));
}
