//! A client and a server, connected by nothing but two queues of bytes, under a clock that goes when it is told to.
//!
//! Their calls come in any order: written, read, looked at, closed and timed out whenever it pleases the test.

#![cfg(feature = "client")]

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use wsrv_rfc6455::{Began, CloseCode, CloseFrame, Event, Limits, Message, Protocol, SendError};

/// Milliseconds.
type Time = u64;

/// After so much silence an end sends a ping.
const KEEPALIVE: Time = 500;
/// For so long an end waits for the answer to its close frame.
const PATIENCE: Time = 2000;

/// One end, and what the model knows of it.
struct End {
    protocol: Protocol,
    /// What is still to come, in this order.
    owed_messages: VecDeque<Message>,
    owed_pings: VecDeque<Vec<u8>>,
    owed_pongs: VecDeque<Vec<u8>>,
    /// The close frame with which this end began to close, and when that was.
    close: Option<(CloseFrame, Time)>,
    /// How often the peer's close frame has come.
    closed_events: usize,
    heard: Time,
    /// The stream is no more, for one of the two ends gave up.
    is_cut: bool,
}

/// Bytes under way to an end, each with the time of its arrival.
type Wire = VecDeque<(Time, u8)>;

struct Pair {
    ends: [End; 2],
    wires: [Wire; 2],
    now: Time,
}

/// What may be called at one end.
#[derive(Debug, Clone)]
enum Call {
    Send(Message),
    Ping(Vec<u8>),
    Close(CloseFrame),
    /// So many bytes are written, and take so long to arrive.
    Write(usize, Time),
    /// So many bytes are read, if they have arrived.
    Read(usize),
    /// At most so many events are taken.
    Look(usize),
    /// The end looks at the clock: is a ping due, or is it time to give up?
    Tick,
    /// Time passes, for both.
    Wait(Time),
}

fn close_frame() -> impl Strategy<Value = CloseFrame> {
    (3000..5000u16, "\\PC{0,30}").prop_map(|(code, reason)| CloseFrame::new(code, reason))
}

/// Any call but a close.
fn talk() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => prop_oneof!["\\PC{0,100}".prop_map(Message::from), vec(any::<u8>(), 0..300).prop_map(Message::from)]
            .prop_map(Call::Send),
        2 => vec(any::<u8>(), 0..126).prop_map(Call::Ping),
        6 => (0..400usize, 0..300u64).prop_map(|(bytes, delay)| Call::Write(bytes, delay)),
        6 => (0..400usize).prop_map(Call::Read),
        4 => (0..5usize).prop_map(Call::Look),
        2 => Just(Call::Tick),
        2 => (0..1000u64).prop_map(Call::Wait),
    ]
}

fn calls(call: impl Strategy<Value = Call>) -> impl Strategy<Value = Vec<(usize, Call)>> {
    vec((0..2usize, call), 0..80)
}

impl End {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            owed_messages: VecDeque::new(),
            owed_pings: VecDeque::new(),
            owed_pongs: VecDeque::new(),
            close: None,
            closed_events: 0,
            heard: 0,
            is_cut: false,
        }
    }

    /// Whether a close frame has gone out, ours or our answer.
    fn is_closing(&self) -> bool {
        self.close.is_some() || self.closed_events > 0
    }

    /// Takes at most so many events. Each has to be the next that is owed.
    fn look(&mut self, events: usize) {
        for _ in 0..events {
            let Some(event) = self.protocol.next().expect("both keep to the rules") else { return };
            assert_eq!(self.closed_events, 0, "{event:?} comes after a close");
            match event {
                Event::Message(message) => assert_eq!(self.owed_messages.pop_front(), Some(message)),
                Event::Ping(payload) => assert_eq!(self.owed_pings.pop_front().as_deref(), Some(&payload[..])),
                Event::Pong(payload) => assert_eq!(self.owed_pongs.pop_front().as_deref(), Some(&payload[..])),
                Event::Closed(_) => self.closed_events += 1,
                other => panic!("an event nobody knows: {other:?}"),
            }
        }
    }
}

impl Pair {
    fn new(max_frame: [usize; 2]) -> Self {
        let ends = [
            End::new(Protocol::client(Limits::default()).with_max_frame(max_frame[0])),
            End::new(Protocol::server(Limits::default()).with_max_frame(max_frame[1])),
        ];
        Self { ends, wires: [Wire::new(), Wire::new()], now: 0 }
    }

    fn call(&mut self, at: usize, call: Call) {
        let [client, server] = &mut self.ends;
        let (end, peer) = if at == 0 { (client, server) } else { (server, client) };
        if let Call::Wait(time) = call {
            self.now += time;
            return;
        }
        if end.is_cut && end.protocol.closed().is_some() {
            // This end is done, and reads no more.
            self.wires[at].clear();
            return;
        }
        // Nothing but a close frame keeps an end from sending.
        let allowed = if end.is_closing() { Err(SendError::Closed) } else { Ok(()) };
        assert_eq!(end.protocol.is_closing(), end.is_closing());
        match call {
            Call::Send(message) => {
                assert_eq!(end.protocol.send(message.clone()), allowed);
                peer.owed_messages.extend(allowed.is_ok().then_some(message));
            }
            Call::Ping(payload) => {
                assert_eq!(end.protocol.ping(&payload), allowed);
                if allowed.is_ok() {
                    peer.owed_pings.push_back(payload.clone());
                    end.owed_pongs.push_back(payload);
                }
            }
            Call::Close(frame) => {
                assert_eq!(end.protocol.close(Some(&frame)), allowed);
                if allowed.is_ok() {
                    end.close = Some((frame, self.now));
                }
            }
            Call::Write(bytes, delay) => {
                let bytes = bytes.min(end.protocol.output().len());
                let wire = &mut self.wires[1 - at];
                if !end.is_cut {
                    // Nothing overtakes what was written before.
                    let arrival = wire.back().map_or(0, |&(time, _)| time).max(self.now + delay);
                    wire.extend(end.protocol.output()[..bytes].iter().map(|&byte| (arrival, byte)));
                }
                end.protocol.written(bytes);
            }
            Call::Read(bytes) => {
                let wire = &mut self.wires[at];
                let arrived = wire.iter().take(bytes).take_while(|&&(time, _)| time <= self.now).count();
                let arrived: Vec<u8> = wire.drain(..arrived).map(|(_, byte)| byte).collect();
                if !arrived.is_empty() {
                    end.heard = self.now;
                    end.protocol.received(&arrived);
                } else if end.is_cut && wire.is_empty() {
                    end.look(usize::MAX);
                    end.protocol.ended();
                }
            }
            Call::Look(events) => end.look(events),
            Call::Tick => {
                let is_late = end.close.as_ref().is_some_and(|&(_, since)| self.now - since >= PATIENCE);
                if is_late && end.protocol.closed().is_none() {
                    end.protocol.ended();
                    (end.is_cut, peer.is_cut) = (true, true);
                    let now = self.now;
                    self.wires.iter_mut().for_each(|wire| wire.retain(|&(time, _)| time <= now));
                } else if !end.is_closing() && self.now - end.heard >= KEEPALIVE {
                    end.heard = self.now;
                    self.call(at, Call::Ping(b"still there?".to_vec()));
                }
            }
            Call::Wait(_) => unreachable!("it concerns both"),
        }
    }

    /// Both ends go on, in the orders that are asked for, until nothing is under way any more.
    fn settle(&mut self, size: usize, orders: &[usize]) {
        let call = |which| match which {
            0 => Call::Look(usize::MAX),
            1 => Call::Write(size, 1),
            2 => Call::Read(size),
            _ => Call::Tick,
        };
        for &order in orders.iter().cycle().take(100_000) {
            for step in 0..8 {
                // Odd strides run through all eight calls, each time in another order.
                let which = (order + step * (2 * (order / 8) + 1)) % 8;
                self.call(which % 2, call(which / 2));
            }
            let next = self.wires.iter().filter_map(|wire| wire.front()).map(|&(time, _)| time).min();
            self.now = self.now.max(next.unwrap_or(0));
            let is_quiet = |end: &End| end.protocol.output().is_empty() || end.is_cut;
            let is_over = |end: &End| end.protocol.closed().is_some() || !end.is_cut;
            if next.is_none() && self.ends.iter().all(|end| is_quiet(end) && is_over(end)) {
                // What was read last may not have been looked at yet.
                self.call(0, call(0));
                self.call(1, call(0));
                if self.ends.iter().all(is_quiet) {
                    return;
                }
            }
        }
        panic!("it never comes to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_message_arrives_once_and_in_order_and_both_ends_close_whatever_the_order_of_calls(
        calls in calls(prop_oneof![50 => talk(), 1 => close_frame().prop_map(Call::Close)]),
        max_frame in [1..500usize, 1..500usize],
        size in 1..300usize,
        orders in vec(0..32usize, 1..20),
        last in (0..2usize, close_frame()),
    ) {
        let mut pair = Pair::new(max_frame);
        for (at, call) in calls {
            pair.call(at, call);
        }
        if pair.ends.iter().all(|end| end.close.is_none()) {
            pair.call(last.0, Call::Close(last.1));
        }
        pair.settle(size, &orders);

        for at in [0, 1] {
            let (end, peer) = (&pair.ends[at], &pair.ends[1 - at]);
            let closed = end.protocol.closed().expect("both have ended");
            // Who closes before the peer's close frame is seen has begun, even if both do.
            let (began, frame) = match (&end.close, &peer.close) {
                (Some((ours, _)), _) => (Began::Us, ours.clone()),
                (None, Some((theirs, _))) if end.closed_events == 1 => (Began::Peer, theirs.clone()),
                _ => (Began::Transport, CloseFrame::from(CloseCode::ABNORMAL)),
            };
            prop_assert_eq!((closed.began, closed.code, &closed.reason), (began, frame.code, &frame.reason));
            prop_assert_eq!(closed.clean, end.closed_events == 1);
            if end.closed_events == 1 {
                prop_assert_eq!(&end.owed_messages, &VecDeque::new());
                prop_assert_eq!(&end.owed_pings, &VecDeque::<Vec<u8>>::new());
            }
            // Only who gave up, or was given up, may miss the peer's close.
            prop_assert!(end.closed_events == 1 || end.is_cut);
            prop_assert!(end.protocol.is_finished() || end.is_cut);
        }
    }

    #[test]
    fn all_pings_are_answered_while_nobody_closes(
        calls in calls(talk()),
        size in 1..300usize,
        orders in vec(0..32usize, 1..20),
    ) {
        let mut pair = Pair::new([usize::MAX; 2]);
        for (at, call) in calls {
            pair.call(at, call);
        }
        pair.settle(size, &orders);
        for end in &pair.ends {
            prop_assert!(end.owed_messages.is_empty() && end.owed_pings.is_empty() && end.owed_pongs.is_empty());
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
