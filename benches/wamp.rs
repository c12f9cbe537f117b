//! What a WAMP message costs beyond its WebSocket message: taken apart, written, and on whole connections beside the echo
//! and the broadcast of the same bytes.
#![allow(missing_docs)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use wsrv_benches::{Crowd, Silent, TcpCrowd, echo, request, runtime, talk, text_frame};
use wsrv_core::{Driver, Handler};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_wamp::message::{encode_call_result, encode_event};
use wsrv_wamp::{
    Args, CallError, ClientMessage, Dialect, Exclude, MessageLimits, Open, Prefixes, RawValue, Recipients, Topic,
    TopicRegistry, Wamp,
};

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

/// Enough that opening and closing the connection do not count.
const READS: usize = 2_000;
const PER_READ: usize = 16;

async fn add(Args((a, b)): Args<(i64, i64)>) -> Result<i64, CallError> {
    Ok(a + b)
}

fn wire() -> WebSocket {
    WebSocket::server(request()).subprotocol(Some("wamp"))
}

/// Calls that are answered, 16 to a read. What it takes beyond [`echo_of_a_call`] is WAMP's.
#[divan::bench(sample_size = 1, sample_count = 50)]
fn call(bencher: Bencher) {
    let server = Arc::new(Wamp::new().procedure("http://example.com/calc#add", add).build().expect("good patterns"));
    let read = text_frame(CALL).repeat(PER_READ).into();
    bencher.counter(ItemsCount::new(READS * PER_READ)).bench_local(|| talk(&read, READS, wire(), server.clone()));
}

#[divan::bench(sample_size = 1, sample_count = 50)]
fn echo_of_a_call(bencher: Bencher) {
    let read = text_frame(CALL).repeat(PER_READ).into();
    bencher.counter(ItemsCount::new(READS * PER_READ)).bench_local(|| echo(&read, READS));
}

/// Connections that have subscribed to [`TOPIC`], and to others.
struct Audience {
    runtime: Runtime,
    topic: Topic,
    written: Arc<AtomicUsize>,
}

impl Audience {
    fn new(members: usize, other_topics: usize) -> Self {
        let (runtime, written) = (runtime(), Arc::<AtomicUsize>::default());
        let wamp = Wamp::new().topic("{*all}", Open).max_subscriptions(usize::MAX);
        let topics: TopicRegistry = wamp.topics();
        let server = Arc::new(wamp.build().expect("a good pattern"));
        let subscribe = |topic: &str| text_frame(&format!("[5,\"{topic}\"]"));
        runtime.block_on(async {
            for _ in 0..members {
                let stream = Silent::new(written.clone()).after(subscribe(TOPIC));
                tokio::spawn(Driver::io(stream, wire()).run(server.clone()));
            }
            let others = (0..other_topics).flat_map(|at| subscribe(&format!("http://example.com/other/{at}")));
            let stream = Silent::new(Arc::default()).after(others.collect());
            tokio::spawn(Driver::io(stream, wire()).run(server.clone()));
            while topics.topic(TOPIC).len() < members || topics.len() < 1 + other_topics {
                yield_now().await;
            }
        });
        Audience { runtime, topic: topics.topic(TOPIC), written }
    }

    /// Publishes, and returns when all of it has been written.
    fn publish(&self, event: &RawValue) {
        let text = encode_event(TOPIC, event).len();
        let all = self.topic.len() * (text + if text < 126 { 2 } else { 4 });
        self.written.store(0, Ordering::Relaxed);
        self.runtime.block_on(async {
            self.topic.publish_raw(event);
            while self.written.load(Ordering::Relaxed) < all {
                yield_now().await;
            }
        });
    }
}

fn event_of(size: usize) -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(size - 2))).expect("it is JSON")
}

/// An event to so many subscribers. Items are deliveries; [`broadcast_of_an_event`] sends the same bytes to a group.
#[divan::bench(args = [1, 100, 10_000], consts = [125, 4096], sample_size = 5, sample_count = 30)]
fn publish<const SIZE: usize>(bencher: Bencher, members: usize) {
    let (audience, event) = (Audience::new(members, 0), event_of(SIZE));
    bencher.counter(ItemsCount::new(members)).bench_local(|| audience.publish(&event));
}

#[divan::bench(args = [1, 100, 10_000], consts = [125, 4096], sample_size = 5, sample_count = 30)]
fn broadcast_of_an_event<const SIZE: usize>(bencher: Bencher, members: usize) {
    let (crowd, text) = (Crowd::new(members), encode_event(TOPIC, &event_of(SIZE)));
    bencher.counter(ItemsCount::new(members)).bench_local(|| crowd.send(Message::from(&*text)));
}

/// In a read of the publisher.
const EVENTS: usize = 8;

/// Over TCP, where the publisher's turn writes to all: what a server does. Items are deliveries, 8 for each subscriber.
#[divan::bench(args = [1, 100, 5_000], consts = [125, 4096], sample_size = 1, sample_count = 30)]
fn publish_over_tcp<const SIZE: usize>(bencher: Bencher, members: usize) {
    let wamp = Wamp::new().topic(TOPIC, Open);
    let topic = wamp.topics().topic(TOPIC);
    let server = Arc::new(wamp.build().expect("a good pattern"));
    let subscribe = text_frame(&format!("[5,\"{TOPIC}\"]"));
    let crowd = TcpCrowd::new(members, wire, &server, &subscribe, || topic.len() == members);
    let publish = text_frame(&format!("[7,\"{TOPIC}\",{}]", event_of(SIZE)));
    over_tcp(bencher, crowd, &publish, members, wire, &server);
}

/// The bytes of its events, sent to a group.
#[divan::bench(args = [1, 100, 5_000], consts = [125, 4096], sample_size = 1, sample_count = 30)]
fn broadcast_of_an_event_over_tcp<const SIZE: usize>(bencher: Bencher, members: usize) {
    let (crowd, room) = TcpCrowd::in_a_room(members);
    let message = text_frame(&encode_event(TOPIC, &event_of(SIZE)));
    over_tcp(bencher, crowd, &message, members, || WebSocket::server(request()), &room);
}

fn over_tcp<H: Handler<WebSocketConnection>>(
    bencher: Bencher,
    crowd: TcpCrowd,
    frame: &[u8],
    members: usize,
    wire: impl Fn() -> WebSocket,
    handler: &Arc<H>,
) {
    let crowd = RefCell::new(crowd);
    let read = frame.repeat(EVENTS).into();
    bencher
        .counter(ItemsCount::new(members * EVENTS))
        .with_inputs(|| crowd.borrow_mut().read())
        .bench_local_values(|_| crowd.borrow().hear(&read, 1, wire(), handler));
}

/// As [`publish`], among so many other topics.
#[divan::bench(args = [0, 100_000], sample_size = 5, sample_count = 30)]
fn publish_among_topics(bencher: Bencher, topics: usize) {
    let (audience, event) = (Audience::new(100, topics), event_of(125));
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| audience.publish(&event));
}

/// One connection subscribes to a thousand topics, and leaves.
#[divan::bench(sample_size = 1, sample_count = 50)]
fn a_thousand_subscriptions_end(bencher: Bencher) {
    let server = Arc::new(Wamp::new().topic("{*all}", Open).build().expect("a good pattern"));
    let subscribe = |at| text_frame(&format!("[5,\"http://example.com/rooms/{at}\"]"));
    let read: Arc<[u8]> = (0..1_000).flat_map(subscribe).collect::<Vec<u8>>().into();
    assert!(read.len() <= 64 * 1024, "one read has room for it");
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| talk(&read, 1, wire(), server.clone()));
}
