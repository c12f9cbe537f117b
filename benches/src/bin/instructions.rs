//! The work that `scripts/instructions` counts the instructions of: `instructions CASE COUNT` does it `COUNT` times,
//! `instructions` alone names the cases.
//!
//! The script runs each case twice, with one count and with twice as many, and divides the difference. So what happens
//! once, from the start of the program on, does not matter.
#![forbid(unsafe_code)]

use bytes::BytesMut;
use http::HeaderMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, ReadBuf};
use wsrv_benches::{BROWSER_REQUEST, Crowd, Kind, Repeat, TcpCrowd, echo, frames, request, talk, text_frame};
use wsrv_rfc6455::connection::WebSocket;
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
use wsrv_rfc6455::{Limits, Received, Receiver, Sender};
use wsrv_wamp::{Args, CallError, Open, Wamp};

/// Each count is a multiple of this, so that reads and groups come out even.
const STEP: usize = 1600;

const MEMBERS: usize = 100;

/// What a client's frame has and a server's has not, in bytes.
const MASKING_KEY: usize = 4;

#[derive(Clone, Copy)]
enum Case {
    /// Messages of one kind and size, so many a read, through a whole connection that sends them back.
    Echo(Kind, usize, usize),
    /// What of that is the stream's: it has to copy the bytes from somewhere.
    Stream(usize, usize),
    /// From bytes to messages, 16 a read, the copy into the buffer included.
    Decode(Kind, usize),
    Encode(usize),
    /// A message of so many bytes to each member of a group, over streams in memory: each is written in its own turn.
    FanOut(usize),
    /// From a handler to each member over TCP: all are written in the sender's turn.
    FanOutTcp(usize),
    /// A client's event of so many bytes to each subscriber, in the same way.
    WampPublishTcp(usize),
    /// From a browser's request to the answer.
    Handshake,
    /// A WAMP call that is answered, 16 a read.
    WampCall,
    /// The same message sent back, without WAMP.
    WampCallEchoed,
}

use Kind::{Ascii, Binary, Mixed};

const CASES: &[(&str, Case)] = &[
    ("echo 16 B, 1 a read", Case::Echo(Binary, 16, 1)),
    ("echo 16 B, 16 a read", Case::Echo(Binary, 16, 16)),
    ("echo 125 B, 1 a read", Case::Echo(Binary, 125, 1)),
    ("echo 125 B, 16 a read", Case::Echo(Binary, 125, 16)),
    ("echo 1024 B, 1 a read", Case::Echo(Binary, 1024, 1)),
    ("echo 1024 B, 16 a read", Case::Echo(Binary, 1024, 16)),
    ("echo ASCII 125 B, 16 a read", Case::Echo(Ascii, 125, 16)),
    ("echo ASCII 1024 B, 16 a read", Case::Echo(Ascii, 1024, 16)),
    ("echo non-ASCII 125 B, 16 a read", Case::Echo(Mixed, 125, 16)),
    ("echo non-ASCII 1024 B, 16 a read", Case::Echo(Mixed, 1024, 16)),
    ("stream alone 16 B, 16 a read", Case::Stream(16, 16)),
    ("stream alone 1024 B, 16 a read", Case::Stream(1024, 16)),
    ("decode 16 B", Case::Decode(Binary, 16)),
    ("decode 125 B", Case::Decode(Binary, 125)),
    ("decode 1024 B", Case::Decode(Binary, 1024)),
    ("decode ASCII 125 B", Case::Decode(Ascii, 125)),
    ("decode non-ASCII 125 B", Case::Decode(Mixed, 125)),
    ("encode 16 B", Case::Encode(16)),
    ("encode 125 B", Case::Encode(125)),
    ("encode 1024 B", Case::Encode(1024)),
    ("fan-out 16 B, per member", Case::FanOut(16)),
    ("fan-out 125 B, per member", Case::FanOut(125)),
    ("fan-out 1024 B, per member", Case::FanOut(1024)),
    ("fan-out 16 B over TCP, per member", Case::FanOutTcp(16)),
    ("fan-out 125 B over TCP, per member", Case::FanOutTcp(125)),
    ("handshake", Case::Handshake),
    ("WAMP publish 125 B over TCP, per member", Case::WampPublishTcp(125)),
    ("WAMP call, 16 a read", Case::WampCall),
    ("echo of a WAMP call, 16 a read", Case::WampCallEchoed),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let case = CASES.iter().find(|(known, _)| *known == name);
    let count = arguments.next().and_then(|count| count.parse().ok()).filter(|count| count % STEP == 0);
    let (Some((_, case)), Some(count)) = (case, count) else {
        eprintln!("instructions CASE COUNT, where COUNT is a multiple of {STEP}; alone it names the cases");
        return ExitCode::FAILURE;
    };
    run(*case, count);
    ExitCode::SUCCESS
}

fn run(case: Case, count: usize) {
    match case {
        Case::Echo(kind, size, per_read) => echo(&frames(kind, size, per_read).into(), count / per_read),
        Case::Stream(size, per_read) => stream(size, per_read, count),
        Case::Decode(kind, size) => decode(kind, size, count),
        Case::Encode(size) => encode(size, count),
        Case::FanOut(size) => {
            let crowd = Crowd::new(MEMBERS);
            let message = Binary.message(size);
            (0..count / MEMBERS).for_each(|_| crowd.send(message.clone()));
        }
        Case::FanOutTcp(size) => fan_out_over_tcp(size, count / MEMBERS),
        Case::Handshake => handshake(count),
        Case::WampPublishTcp(size) => publish_over_tcp(size, count / MEMBERS),
        Case::WampCall => wamp_calls(count / CALLS_PER_READ),
        Case::WampCallEchoed => echo(&text_frame(WAMP_CALL).repeat(CALLS_PER_READ).into(), count / CALLS_PER_READ),
    }
}

const WAMP_CALL: &str = r#"[2,"7DK6TdN4wLiUJgNM","http://example.com/calc#add",23,7]"#;
const CALLS_PER_READ: usize = 16;

fn wamp_calls(reads: usize) {
    async fn add(Args((a, b)): Args<(i64, i64)>) -> Result<i64, CallError> {
        Ok(a + b)
    }
    let server = Wamp::new().procedure("http://example.com/calc#add", add).build().expect("good patterns");
    let wire = WebSocket::server(request()).subprotocol(Some("wamp"));
    talk(&text_frame(WAMP_CALL).repeat(CALLS_PER_READ).into(), reads, wire, Arc::new(server));
}

fn fan_out_over_tcp(size: usize, messages: usize) {
    let (mut crowd, room) = TcpCrowd::in_a_room(MEMBERS);
    let message = frames(Binary, size, 1);
    crowd.hear(&message.clone().into(), messages, WebSocket::server(request()), &room);
    assert_eq!(crowd.read(), messages * (message.len() - MASKING_KEY), "all messages have been sent");
}

/// Events of as many bytes as the messages of [`fan_out_over_tcp`].
fn publish_over_tcp(size: usize, messages: usize) {
    const TOPIC: &str = "http://example.com/chat";
    let wamp = Wamp::new().topic(TOPIC, Open);
    let topic = wamp.topics().topic(TOPIC);
    let server = Arc::new(wamp.build().expect("a good pattern"));
    let wire = || WebSocket::server(request()).subprotocol(Some("wamp"));
    let subscribe = text_frame(&format!("[5,\"{TOPIC}\"]"));
    let mut crowd = TcpCrowd::new(MEMBERS, wire, &server, &subscribe, || topic.len() == MEMBERS);
    crowd.read();
    let rest = format!("[8,\"{TOPIC}\",\"\"]").len();
    let publish = text_frame(&format!("[7,\"{TOPIC}\",\"{}\"]", "x".repeat(size - rest)));
    crowd.hear(&publish.clone().into(), messages, wire(), &server);
    assert_eq!(crowd.read(), messages * (publish.len() - MASKING_KEY), "all events have been sent");
}

fn stream(size: usize, per_read: usize, count: usize) {
    let read = frames(Binary, size, per_read);
    let mut buffer = vec![0; read.len()];
    let reads = count / per_read;
    let mut stream = Box::pin(Repeat::new(read.into(), reads));
    for _ in 0..reads {
        let mut buffer = ReadBuf::new(black_box(&mut buffer));
        let read = stream.as_mut().poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        assert!(read.is_ready());
    }
}

fn decode(kind: Kind, size: usize, count: usize) {
    const PER_READ: usize = 16;
    let read = frames(kind, size, PER_READ);
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    for _ in 0..count / PER_READ {
        buffer.extend_from_slice(&read);
        for _ in 0..PER_READ {
            match receiver.receive(&mut buffer) {
                Ok(Received::Message(found)) => drop(black_box(receiver.take(found, &mut buffer))),
                other => panic!("no message: {other:?}"),
            }
        }
    }
}

fn encode(size: usize, count: usize) {
    let message = Binary.message(size);
    let mut sender = Sender::server();
    let mut out = BytesMut::with_capacity(size + 16);
    for _ in 0..count {
        out.clear();
        sender.message(black_box(&message).clone(), &mut out).expect("nothing was closed");
    }
}

fn handshake(count: usize) {
    let none = HeaderMap::new();
    let mut answer = BytesMut::with_capacity(256);
    for _ in 0..count {
        let mut buffer = BytesMut::from(black_box(BROWSER_REQUEST));
        let head = HeadReader::new(HeadLimits::default()).read(&mut buffer);
        let head = head.expect("a good request").expect("a whole head");
        let offer = handshake::check(&head).expect("a good request");
        answer.clear();
        handshake::encode_accept(&offer, None, &none, black_box(&mut answer)).expect("no subprotocol");
    }
}
