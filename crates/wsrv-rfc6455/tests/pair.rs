//! A client and a server, connected by nothing but two queues of bytes.

#![cfg(feature = "client")]

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use wsrv_rfc6455::{Began, CloseCode, CloseFrame, Event, Limits, Message, Protocol};

/// One end, and what has happened there.
struct End {
    protocol: Protocol,
    messages: Vec<Message>,
    /// Pings received, pongs received, pings sent: payloads.
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
    sent_pings: Vec<Vec<u8>>,
    sent: Vec<Message>,
    closed_events: usize,
}

impl End {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            messages: Vec::new(),
            pings: Vec::new(),
            pongs: Vec::new(),
            sent_pings: Vec::new(),
            sent: Vec::new(),
            closed_events: 0,
        }
    }

    /// Takes at most so many events.
    fn look(&mut self, events: usize) {
        for _ in 0..events {
            match self.protocol.next().expect("both keep to the rules") {
                Some(Event::Message(message)) => self.messages.push(message),
                Some(Event::Ping(payload)) => self.pings.push(payload.to_vec()),
                Some(Event::Pong(payload)) => self.pongs.push(payload.to_vec()),
                Some(Event::Closed(_)) => self.closed_events += 1,
                Some(other) => panic!("an event nobody knows: {other:?}"),
                None => return,
            }
        }
    }
}

struct Pair {
    ends: [End; 2],
    /// Bytes under way to each end.
    under_way: [VecDeque<u8>; 2],
}

/// What may happen at one end.
#[derive(Debug, Clone)]
enum Step {
    Send(Message),
    Ping(Vec<u8>),
    /// So many bytes are written to the wire.
    Write(usize),
    /// So many bytes are read from it.
    Read(usize),
    /// At most so many events are taken.
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof!["\\PC{0,100}".prop_map(Message::from), vec(any::<u8>(), 0..300).prop_map(Message::from)]
            .prop_map(Step::Send),
        1 => vec(any::<u8>(), 0..126).prop_map(Step::Ping),
        3 => (0..400usize).prop_map(Step::Write),
        3 => (0..400usize).prop_map(Step::Read),
        2 => (0..5usize).prop_map(Step::Look),
    ]
}

impl Pair {
    fn new(max_frame: [usize; 2]) -> Self {
        let ends = [
            End::new(Protocol::client(Limits::default()).with_max_frame(max_frame[0])),
            End::new(Protocol::server(Limits::default()).with_max_frame(max_frame[1])),
        ];
        Self { ends, under_way: [VecDeque::new(), VecDeque::new()] }
    }

    fn step(&mut self, at: usize, step: Step) {
        let end = &mut self.ends[at];
        match step {
            Step::Send(message) => {
                end.protocol.send(message.clone()).expect("nobody has closed");
                end.sent.push(message);
            }
            Step::Ping(payload) => {
                end.protocol.ping(&payload).expect("nobody has closed");
                end.sent_pings.push(payload);
            }
            Step::Write(bytes) => {
                let bytes = bytes.min(end.protocol.output().len());
                self.under_way[1 - at].extend(&end.protocol.output()[..bytes]);
                end.protocol.written(bytes);
            }
            Step::Read(bytes) => {
                let bytes = bytes.min(self.under_way[at].len());
                let bytes: Vec<u8> = self.under_way[at].drain(..bytes).collect();
                end.protocol.received(&bytes);
            }
            Step::Look(events) => end.look(events),
        }
    }

    /// Everything that is under way arrives, in pieces of `size` bytes, and is answered.
    fn settle(&mut self, size: usize) {
        loop {
            let before = self.under_way.iter().map(VecDeque::len).sum::<usize>();
            for at in [0, 1] {
                self.step(at, Step::Look(usize::MAX));
                self.step(at, Step::Write(size));
                self.step(at, Step::Read(size));
                self.step(at, Step::Look(usize::MAX));
            }
            let is_written = self.ends.iter().all(|end| end.protocol.output().is_empty());
            if before == 0 && is_written && self.under_way.iter().all(VecDeque::is_empty) {
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_whole_and_in_order_and_the_end_is_clean(
        steps in vec((0..2usize, step()), 0..60),
        max_frame in [1..500usize, 1..500usize],
        size in 1..300usize,
        closing in 1..4u8,
        code in 3000..5000u16,
        reason in "\\PC{0,30}",
        between in 0..300usize,
    ) {
        let mut pair = Pair::new(max_frame);
        for (at, step) in steps {
            pair.step(at, step);
        }
        // Bit 0: the client closes; bit 1: the server does; perhaps both, each before it knows of the other.
        let close = CloseFrame::new(code, reason.as_str());
        let (client_closes, server_closes) = (closing & 1 != 0, closing & 2 != 0);
        if client_closes {
            pair.ends[0].protocol.close(Some(&close)).unwrap();
            pair.step(0, Step::Write(between));
        }
        if server_closes {
            pair.ends[1].protocol.close(Some(&close)).unwrap();
        }
        pair.settle(size);

        for at in [0, 1] {
            let (end, peer) = (&pair.ends[at], &pair.ends[1 - at]);
            prop_assert_eq!(&end.messages, &peer.sent);
            prop_assert_eq!(&end.pings, &peer.sent_pings);
            // No pong follows a close frame, so those of the last pings may be missing.
            prop_assert!(end.sent_pings.starts_with(&end.pongs));
            prop_assert_eq!(end.closed_events, 1);
            let closed = end.protocol.closed().expect("both have closed");
            let began = if [client_closes, server_closes][at] { Began::Us } else { Began::Peer };
            prop_assert_eq!((closed.began, closed.code, closed.clean), (began, CloseCode::from(code), true));
            prop_assert_eq!(&closed.reason, &close.reason);
            prop_assert!(end.protocol.is_finished());
        }
    }

    #[test]
    fn all_pings_are_answered_while_nobody_closes(
        steps in vec((0..2usize, step()), 0..60),
        size in 1..300usize,
    ) {
        let mut pair = Pair::new([usize::MAX; 2]);
        for (at, step) in steps {
            pair.step(at, step);
        }
        pair.settle(size);
        for end in &pair.ends {
            prop_assert_eq!(&end.pongs, &end.sent_pings);
            prop_assert_eq!(end.protocol.closed(), None);
        }
    }
}

#[test]
fn two_clients_cannot_talk_and_neither_can_two_servers() {
    for (mut from, mut to) in [
        (Protocol::client(Limits::default()), Protocol::client(Limits::default())),
        (Protocol::server(Limits::default()), Protocol::server(Limits::default())),
    ] {
        from.send("hello").unwrap();
        to.received(from.output());
        assert!(to.next().is_err());
        let closed = to.closed().expect("the rule is broken");
        assert_eq!((closed.code, closed.clean), (CloseCode::PROTOCOL_ERROR, false));
    }
}
