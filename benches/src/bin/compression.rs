//! What compression costs and saves: prints the tables of `docs/compression.md`.
//!
//! ```sh
//! cargo run --release -p wsrv-benches --features deflate --bin compression
//! ```
#![forbid(unsafe_code)]

use bytes::BytesMut;
use std::hint::black_box;
use std::time::{Duration, Instant};
use wsrv_rfc6455::deflate::{Agreement, Compression, Deflate, DeflateParams};
use wsrv_rfc6455::{Limits, Message, PreparedFrame, Received, Receiver, Sender};

/// Numbers that look like chance and are always the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

const WORDS: [&str; 24] = [
    "the", "order", "is", "on", "its", "way", "and", "we", "will", "be", "there", "at", "noon", "unless", "somebody",
    "has", "taken", "another", "train", "from", "the", "harbour", "please", "answer",
];

fn quote(chance: &mut Chance) -> String {
    let (id, price, size) = (chance.below(500), chance.below(1_000_000), chance.below(5000));
    let time = 1_760_000_000_000 + chance.below(100_000_000);
    let (whole, cents) = (price / 100, price % 100);
    format!(
        r#"{{"type":"quote","symbol":"SYM{id:03}","bid":{whole}.{cents:02},"ask":{whole}.{:02},"size":{size},"time":{time}}}"#,
        cents + 1
    )
}

fn chat(chance: &mut Chance) -> String {
    let words: Vec<_> = (0..20 + chance.below(20)).map(|_| WORDS[chance.below(24) as usize]).collect();
    let (user, id) = (chance.below(50), chance.below(1 << 40));
    format!(
        r#"{{"type":"message","room":"kitchen","id":"{id:010x}","from":{{"id":{user},"name":"user-{user}"}},"text":"{}"}}"#,
        words.join(" ")
    )
}

fn list(chance: &mut Chance, entries: usize, entry: fn(&mut Chance) -> String) -> String {
    let entries: Vec<_> = (0..entries).map(|_| entry(chance)).collect();
    format!("[{}]", entries.join(","))
}

/// Messages of some kinds, one like the other.
fn kinds() -> Vec<(&'static str, Vec<String>)> {
    let make = |entry: &dyn Fn(&mut Chance) -> String, count: usize| {
        let mut chance = Chance(88_172_645_463_325_252);
        (0..count).map(|_| entry(&mut chance)).collect()
    };
    vec![
        ("quote", make(&quote, 1000)),
        ("chat", make(&chat, 1000)),
        ("10 quotes", make(&|chance| list(chance, 10, quote), 300)),
        ("100 chats", make(&|chance| list(chance, 100, chat), 60)),
    ]
}

fn params(takeover: bool, bits: u8) -> DeflateParams {
    DeflateParams::default().with_takeover(takeover, takeover).with_window_bits(bits, bits)
}

/// The shortest of some runs: what else the machine does only makes them longer.
fn fastest(mut run: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..7 {
        let begun = Instant::now();
        run();
        best = best.min(begun.elapsed());
    }
    best
}

struct Figures {
    bytes: usize,
    sent: usize,
    compress: Duration,
    inflate: Duration,
}

/// All messages from one end to the other, through the codec.
fn measure(messages: &[String], settings: Deflate, params: DeflateParams) -> Figures {
    let compression = Compression::new(settings);
    let agreement = Agreement::server(&compression, params);
    let messages: Vec<Message> = messages.iter().map(|text| text.as_str().into()).collect();
    let mut out = Vec::new();
    let compress = fastest(|| {
        out.clear();
        let mut sender = Sender::server().with_deflate(&agreement);
        for message in &messages {
            sender.message(message.clone(), &mut out).expect("it is open");
        }
    });
    let limits = Limits::default();
    let agreement = Agreement::client(&compression, params);
    let inflate = fastest(|| {
        let mut receiver = Receiver::client(limits).with_deflate(&agreement);
        let mut buffer = BytesMut::from(&out[..]);
        let mut count = 0;
        while let Received::Message(found) = receiver.receive(&mut buffer).expect("it is well-formed") {
            black_box(receiver.take(found, &mut buffer));
            count += 1;
        }
        assert_eq!(count, messages.len());
    });
    let bytes = messages.iter().map(Message::len).sum();
    Figures { bytes, sent: out.len(), compress, inflate }
}

fn row(title: &str, messages: &[String], settings: Deflate, params: DeflateParams) {
    let Figures { bytes, sent, compress, inflate } = measure(messages, settings, params);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / messages.len() as f64;
    println!(
        "| {title} | {} | {} | {:.1} | {:.2} | {:.2} |",
        bytes / messages.len(),
        sent / messages.len(),
        bytes as f64 / sent as f64,
        each(compress),
        each(inflate)
    );
}

fn main() {
    let all = Deflate::default().with_min_size(0);
    println!("| message | level | takeover | bytes | sent | ratio | compress µs | inflate µs |");
    println!("|---|---|---|---:|---:|---:|---:|---:|");
    for (kind, messages) in &kinds() {
        row(&format!("{kind} | – | uncompressed"), messages, all.with_min_size(usize::MAX), params(false, 15));
        for level in [1, 2, 4, 6, 9] {
            row(&format!("{kind} | {level} | no"), messages, all.with_level(level), params(false, 15));
        }
        for level in [1, 6] {
            for bits in [9, 10, 11, 12] {
                row(&format!("{kind} | {level} | {bits} bits"), messages, all.with_level(level), params(true, bits));
            }
        }
    }

    println!("\n| bytes | sent | compress µs | inflate µs |");
    println!("|---:|---:|---:|---:|");
    let mut chance = Chance(88_172_645_463_325_252);
    let text: Vec<_> = (0..400).map(|_| chat(&mut chance)).collect();
    for size in [32, 64, 128, 192, 256, 384, 512, 1024] {
        // Each cut of another message, at its beginning.
        let messages: Vec<_> = text.windows(8).map(|texts| texts.concat()[..size].to_owned()).collect();
        let Figures { bytes, sent, compress, inflate } = measure(&messages, all, params(false, 15));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / messages.len() as f64;
        let count = messages.len();
        println!("| {} | {} | {:.2} | {:.2} |", bytes / count, sent / count, each(compress), each(inflate));
    }

    println!("\n| to 1,000 connections | µs | of which each |");
    println!("|---|---:|---:|");
    let message = list(&mut chance, 10, quote);
    for (title, params) in [
        ("uncompressed", None),
        ("compressed once", Some(params(false, 15))),
        ("compressed for each, takeover", Some(params(true, 15))),
    ] {
        let compression = Compression::new(Deflate::default());
        let mut members: Vec<_> = (0..1000)
            .map(|_| match params {
                Some(params) => Sender::server().with_deflate(&Agreement::server(&compression, params)),
                None => Sender::server(),
            })
            .collect();
        let mut out = Vec::new();
        let time = fastest(|| {
            let frame = PreparedFrame::new(message.as_str());
            for member in &mut members {
                out.clear();
                member.prepared(&frame, &mut out).expect("it is open");
            }
        });
        println!("| {title} | {:.0} | {:.3} |", time.as_secs_f64() * 1e6, time.as_secs_f64() * 1e3);
    }
}
