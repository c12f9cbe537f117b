//! Peers that do not keep up: what waits for them, what is dropped, and who is closed.

mod common;

use common::{Obedient, connect, line, soon};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, duplex};
use tokio::time::sleep;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::testing::{Mock, poll_once};
use wsrv_core::{
    ClosedBy, Connection, Connections, Delivery, Driver, Group, Limits, Reason, SendError,
    SlowPeer::{self, Close, DropNewest, DropOldest, KeepLatest},
};

/// A connection whose peer has taken nothing of a first line, "begun".
fn stalled(limits: Limits) -> Mock<Lines> {
    let mock = Mock::with(Lines::new(200_000), |driver| driver.limits(Arc::new(limits)));
    mock.stall();
    mock.connection().try_send("begun").unwrap();
    mock.accept(0);
    mock
}

/// What the peer gets in the end, behind the first line.
fn rest(mock: &Mock<Lines>) -> Vec<String> {
    mock.resume();
    let sent = String::from_utf8(mock.take_sent().to_vec()).unwrap();
    let rest = sent.strip_prefix("begun\n").expect("what was begun is finished");
    assert!(rest.is_empty() || rest.ends_with('\n'));
    rest.lines().map(str::to_owned).collect()
}

fn delivery(sent: usize, dropped: usize, closed: usize) -> Delivery {
    let mut delivery = Delivery::default();
    (delivery.sent, delivery.dropped, delivery.closed) = (sent, dropped, closed);
    delivery
}

/// Room for three lines of six bytes behind the one that was begun.
fn small() -> Limits {
    Limits::default().with_outbox(6 + 3 * 6)
}

#[tokio::test]
async fn the_newest_or_the_oldest_is_dropped_as_the_connections_policy_says() {
    for (policy, expected) in [(DropNewest, ["line0", "line1", "line2"]), (DropOldest, ["line2", "line3", "line4"])] {
        let mock = stalled(small().with_slow_peer(policy));
        let results: Vec<_> = (0..5).map(|n| mock.connection().try_send(format!("line{n}"))).collect();
        let refused = results.iter().filter(|result| **result == Err(SendError::Full)).count();
        assert_eq!(refused, if policy == DropNewest { 2 } else { 0 });
        assert_eq!(mock.connection().link().queued(), 24);
        assert_eq!(mock.connection().link().losses().dropped, 2);
        assert_eq!(rest(&mock), expected);
        assert_eq!(mock.connection().link().queued(), 0);
    }
}

#[tokio::test]
async fn a_send_and_a_broadcast_may_have_policies_of_their_own() {
    let mock = stalled(small().with_slow_peer(DropNewest));
    let (conn, group) = (mock.connection(), Group::new());
    let member = group.join(conn);
    for n in 0..3 {
        conn.try_send_with(format!("line{n}"), DropOldest).unwrap();
    }
    // Who sends later takes the room of what may be dropped, whatever its own policy.
    conn.try_send("kept0").unwrap();
    assert_eq!(group.send_with("line3", DropOldest), delivery(1, 0, 0));
    assert_eq!(group.send("kept1"), delivery(1, 0, 0));
    assert_eq!(group.send_filtered_with("kept2", DropNewest, |_| true), delivery(1, 0, 0));
    assert_eq!(member.send_to_others_with("nobody", DropOldest), delivery(0, 0, 0));
    // There is nothing left that may be dropped.
    assert_eq!(group.send_with("never", DropOldest), delivery(0, 1, 0));
    assert_eq!(conn.try_send_with("never", KeepLatest(1)), Err(SendError::Full));
    assert_eq!(conn.link().losses().dropped, 4 + 2);
    assert_eq!(rest(&mock), ["kept0", "kept1", "kept2"]);
}

#[tokio::test]
async fn of_each_key_the_latest_is_kept() {
    let mock = stalled(Limits::default());
    let group = Group::new();
    let _member = group.join(mock.connection());
    for n in 0..1000 {
        for key in [1, 2, 3] {
            assert_eq!(group.send_with(format!("{key} is {n}"), KeepLatest(key)), delivery(1, 0, 0));
        }
        if n == 500 {
            group.send("in between");
        }
    }
    let losses = mock.connection().link().losses();
    assert_eq!((losses.dropped, losses.replaced, losses.closed), (0, 3 * 999, 0));
    // Those before the message in between have made way for the ones behind it.
    assert_eq!(rest(&mock), ["in between", "1 is 999", "2 is 999", "3 is 999"]);
    // A peer that keeps up gets them all.
    for n in 0..10 {
        mock.connection().try_send_with(format!("{n}"), KeepLatest(1)).unwrap();
        assert_eq!(mock.take_sent(), format!("{n}\n"));
    }
}

#[tokio::test]
async fn a_slow_peer_is_closed_with_the_reason_that_was_told() {
    for told in [None, Some(Reason::Overload)] {
        let all = Connections::new();
        let limits = Arc::new(small());
        let mut mock = Mock::with(Lines::new(100), |driver| driver.limits(limits).tracked_by(&all));
        let mut session = mock.open(Obedient::default()).await.unwrap();
        let group = Group::new();
        let _member = group.join(mock.connection());
        mock.stall();
        for n in 0..4 {
            assert_eq!(group.send(format!("line{n}")), delivery(1, 0, 0));
            mock.accept(0);
        }
        let send = || match told {
            None => group.send("never"),
            Some(reason) => group.send_with("never", Close(reason)),
        };
        assert_eq!(send(), delivery(0, 0, 1));
        assert_eq!(send(), delivery(0, 1, 0), "closed once");
        mock.resume();
        let closed = session.turn().await.unwrap();
        assert_eq!((closed.by, closed.reason), (ClosedBy::SlowPeer, told.unwrap_or(Reason::Policy)));
        // The goodbye comes behind what has waited.
        assert_eq!(mock.sent(), "line0\nline1\nline2\nline3\nlast words\n");
        drop(session);
        assert!(all.is_empty());
        let losses = all.losses();
        assert_eq!((losses.dropped, losses.replaced, losses.closed), (2, 0, 1));
    }
}

#[tokio::test]
async fn what_waits_goes_out_before_the_goodbye() {
    let mut mock = Mock::new(Lines::new(100));
    let mut session = mock.open(Obedient::default()).await.unwrap();
    mock.stall();
    let conn = mock.connection().clone();
    conn.try_send("begun").unwrap();
    mock.accept(0);
    conn.try_send_with("old", KeepLatest(1)).unwrap();
    conn.try_send_with("droppable", DropOldest).unwrap();
    conn.try_send_with("new", KeepLatest(1)).unwrap();
    conn.close(Reason::Done);
    mock.resume();
    session.turn().await.unwrap();
    assert_eq!(mock.sent(), "begun\ndroppable\nnew\nlast words\n");
    assert_eq!(conn.try_send_with("too late", DropOldest), Err(SendError::Closed));
}

#[tokio::test]
async fn nothing_waits_for_a_peer_that_is_gone() {
    for cut in [true, false] {
        let mock = stalled(Limits::default());
        let conn = mock.connection().clone();
        for n in 0..100 {
            conn.try_send_with(vec![0; 1000], KeepLatest(n)).unwrap();
        }
        assert!(conn.link().queued() > 100_000);
        if cut {
            conn.cut();
        } else {
            drop(mock);
        }
        assert_eq!(conn.link().queued(), 0);
        assert_eq!(conn.try_send_with("too late", DropOldest), Err(SendError::Closed));
        assert_eq!(conn.link().losses(), Default::default());
    }
}

#[tokio::test]
async fn a_last_message_and_a_half_goodbye_follow_what_waits() {
    for half in [true, false] {
        let mut mock = Mock::new(Lines::new(100));
        let mut session = mock.open(Obedient::default()).await.unwrap();
        mock.stall();
        let conn = mock.connection().clone();
        conn.try_send("begun").unwrap();
        mock.accept(0);
        conn.try_send_with("droppable", DropOldest).unwrap();
        if half {
            conn.close_write(Reason::Done);
        } else {
            let encode = |_: &mut _, out: &mut wsrv_core::Out<'_>| {
                out.put_slice(b"last\n");
                Ok(())
            };
            conn.link().send_then_close(encode, Reason::Done).unwrap();
        }
        assert_eq!(conn.try_send_with("too late", DropOldest), Err(SendError::Closed));
        mock.resume();
        session.turn().await;
        assert_eq!(mock.sent(), if half { "begun\ndroppable\n" } else { "begun\ndroppable\nlast\n" });
        assert!(mock.is_ended());
    }
}

#[tokio::test]
async fn messages_that_wait_are_bounded_in_number_too() {
    let limits = Limits::default().with_outbox_messages(10).with_slow_peer(DropNewest);
    let mock = stalled(limits);
    let conn = mock.connection();
    assert_eq!((0..20).filter(|_| conn.try_send("").is_ok()).count(), 10);
    // Who waits, waits for half of that.
    let mut waiting = Box::pin(conn.send("waited"));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(rest(&mock), [""; 10]);
    assert!(poll_once(waiting.as_mut()).is_ready());
    let mock = stalled(Limits::default().with_outbox_messages(10));
    for n in 0..100 {
        mock.connection().try_send_with(format!("{n}"), DropOldest).unwrap();
    }
    assert_eq!(rest(&mock), (90..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_waits_for_slow_members_if_it_asks_to() {
    let (slow, gone, quick) = (stalled(small()), stalled(small()), Mock::new(Lines::new(100)));
    let group = Group::new();
    let _members = [&slow, &gone, &quick].map(|mock| group.join(mock.connection()));
    for mock in [&slow, &gone] {
        while mock.connection().try_send_with("line0", DropNewest).is_ok() {}
    }
    let publishing = tokio::spawn({
        let group = group.clone();
        async move { group.send_and_wait("for all").await }
    });
    sleep(Duration::from_millis(1)).await;
    assert_eq!(quick.sent(), "for all\n");
    assert!(!publishing.is_finished());
    drop(gone);
    assert_eq!(rest(&slow)[..3], ["line0"; 3]);
    assert_eq!(publishing.await.unwrap(), delivery(2, 0, 0));
    assert_eq!(slow.take_sent(), "for all\n");
    // With room for it, it waits for nobody.
    assert_eq!(poll_once(Box::pin(group.send_and_wait("more")).as_mut()), std::task::Poll::Ready(delivery(2, 0, 0)));
}

#[tokio::test]
async fn what_may_be_dropped_is_no_reason_not_to_read_the_peer() {
    for (policy, heard) in [(DropOldest, true), (DropNewest, false)] {
        let mut mock =
            Mock::with(Lines::new(100), |driver| driver.limits(Arc::new(Limits::default().with_outbox_soft(100))));
        let handler = Arc::new(Obedient::default());
        let mut session = mock.open(handler.clone()).await.unwrap();
        mock.stall();
        for _ in 0..200 {
            let _ = mock.connection().try_send_with("0123456789", policy);
            mock.accept(0);
        }
        mock.receive("forgive\n");
        assert_eq!(session.turn().await, None);
        assert_eq!(handler.errors.lock().unwrap().len(), usize::from(heard));
        mock.resume();
        assert_eq!(session.turn().await, None);
        assert_eq!(handler.errors.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_get_their_turn_in_order() {
    let mock = stalled(small());
    let conn = mock.connection().clone();
    while conn.try_send("line0").is_ok() {}
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let conn = conn.clone();
            tokio::spawn(async move { conn.send(format!("wait{n}")).await.unwrap() })
        })
        .collect();
    sleep(Duration::from_millis(1)).await;
    // There is room for one, but not enough to wake those that wait. Who comes now has them before it.
    mock.accept(6);
    let mut late = Box::pin(conn.send("late0"));
    assert!(poll_once(late.as_mut()).is_pending());
    for _ in 0..20 {
        mock.accept(6);
        sleep(Duration::from_millis(1)).await;
    }
    assert!(waiting.iter().all(|waiting| waiting.is_finished()));
    assert!(poll_once(late.as_mut()).is_ready());
    let expected: Vec<_> =
        ["line0"; 3].map(str::to_owned).into_iter().chain((0..10).map(|n| format!("wait{n}"))).collect();
    let order = rest(&mock);
    assert_eq!(order[..13], expected);
    assert_eq!(order[13], "late0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_a_peer_that_does_not_read_its_limit_and_the_others_nothing() {
    const COUNT: usize = 100_000;
    let handler = Arc::new(Obedient::default());
    let all = Connections::new();
    let join = |count: usize| {
        let handler = handler.clone();
        async move {
            while handler.room.len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let limits = Limits::default().with_outbox(100_000).with_outbox_messages(1000);
    let (mut slow, _task) = connect(&handler, limits.clone()).await;
    soon(join(1)).await;
    let slow_conn = handler.conn();
    // One that is written by its own task only.
    let (mut pipe, stream) = duplex(1000);
    tokio::spawn(Driver::io(stream, Lines::new(100)).limits(Arc::new(limits)).tracked_by(&all).run(handler.clone()));
    soon(join(2)).await;
    let pipe_conn = handler.conn();
    let ample = Limits::default().with_outbox(usize::MAX).with_outbox_messages(usize::MAX);
    let (healthy, _task) = connect(&handler, ample).await;
    soon(join(3)).await;
    let reads = tokio::spawn(async move {
        let mut healthy = healthy;
        for n in 0..COUNT {
            assert_eq!(line(&mut healthy).await, text(n));
        }
    });
    fn text(n: usize) -> String {
        format!("{n} {}", "#".repeat(90))
    }
    for n in 0..COUNT {
        // Every third for each key; the last two of them all belong to none.
        let policy = if n % 3 == 0 { KeepLatest(n as u64 % 30) } else { DropOldest };
        assert_eq!(handler.room.send_with(text(n), policy).sent, 3);
        for conn in [&slow_conn, &pipe_conn] {
            assert!(conn.link().queued() < 100_000 + 100, "{}", conn.link().queued());
        }
    }
    soon(reads).await.unwrap();
    let losses = pipe_conn.link().losses();
    assert_eq!(all.losses(), losses);
    assert!(losses.dropped > 1000 && losses.closed == 0, "{losses:?}");
    slow_conn.try_send("the end").unwrap();
    pipe_conn.try_send("the end").unwrap();
    let end = async |peer: &mut (dyn tokio::io::AsyncBufRead + Unpin + Send)| {
        let (mut count, mut last) = (0, 0);
        let mut peer = peer;
        loop {
            let line = line(&mut peer).await;
            if line == "the end" {
                break (count, last);
            }
            let n = line.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(line, text(n));
            assert!(n >= last);
            (count, last) = (count + 1, n);
        }
    };
    for (peer, conn) in [
        (&mut slow as &mut (dyn tokio::io::AsyncBufRead + Unpin + Send), &slow_conn),
        (&mut BufReader::new(&mut pipe), &pipe_conn),
    ] {
        let (count, last) = soon(end(peer)).await;
        let losses = conn.link().losses();
        assert_eq!(count as u64 + losses.dropped + losses.replaced, COUNT as u64);
        assert_eq!(last, COUNT - 1);
        soon(async {
            while conn.link().queued() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    // Both have come through it.
    slow.write_all(b"hello\n").await.unwrap();
    assert_eq!(line(&mut slow).await, "hello");
}

// --- against a model ---------------------------------------------------------

const OUTBOX: usize = 100;
const MESSAGES: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Push(SlowPeer, usize),
    /// Waits for room if it has to, and is given up then.
    Send(usize),
    /// The peer reads.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![
        2 => Just(DropNewest),
        4 => Just(DropOldest),
        4 => (0u64..4).prop_map(KeepLatest),
    ];
    prop_oneof![
        10 => (policy, 0..40usize).prop_map(|(policy, size)| Step::Push(policy, size)),
        1 => (0..40usize).prop_map(Step::Send),
        2 => (1..80usize).prop_map(Step::Read),
    ]
}

/// An outbox as simple as can be.
#[derive(Default)]
struct Model {
    read: Vec<u8>,
    /// The peer still takes so much.
    budget: usize,
    encoded: VecDeque<u8>,
    waiting: Vec<Waiting>,
    /// How many messages have waited, and which of them was the latest without a key.
    count: usize,
    fence: usize,
    dropped: u64,
    replaced: u64,
}

struct Waiting {
    number: usize,
    line: Vec<u8>,
    policy: SlowPeer,
}

impl Waiting {
    fn is_droppable(&self) -> bool {
        self.policy != DropNewest
    }
}

impl Model {
    fn bytes(&self) -> usize {
        self.encoded.len() + self.waiting.iter().map(|waiting| waiting.line.len()).sum::<usize>()
    }

    fn has_room_without_the_droppable(&self) -> bool {
        let kept = || self.waiting.iter().filter(|waiting| !waiting.is_droppable());
        let bytes = self.encoded.len() + kept().map(|waiting| waiting.line.len()).sum::<usize>();
        bytes < OUTBOX && (self.waiting.is_empty() || kept().count() < MESSAGES)
    }

    fn push(&mut self, policy: SlowPeer, line: Vec<u8>) -> bool {
        if self.encoded.is_empty() && self.waiting.is_empty() {
            self.encoded.extend(line);
            return true;
        }
        if !self.has_room_without_the_droppable() {
            self.dropped += 1;
            return false;
        }
        let place = match policy {
            KeepLatest(_) => self.waiting.iter().position(|waiting| waiting.policy == policy),
            _ => None,
        };
        if let Some(place) = place {
            self.replaced += 1;
            let number = self.waiting.remove(place).number;
            if number > self.fence && self.bytes() < OUTBOX {
                self.waiting.insert(place, Waiting { number, line, policy });
                return true;
            }
        }
        self.make_room();
        self.count += 1;
        if !matches!(policy, KeepLatest(_)) {
            self.fence = self.count;
        }
        self.waiting.push(Waiting { number: self.count, line, policy });
        true
    }

    fn send(&mut self, line: Vec<u8>) -> bool {
        if !self.has_room_without_the_droppable() {
            return false;
        }
        self.make_room();
        if self.waiting.is_empty() {
            self.encoded.extend(line);
            return true;
        }
        self.push(DropNewest, line)
    }

    fn make_room(&mut self) {
        while self.bytes() >= OUTBOX || self.waiting.len() >= MESSAGES {
            let oldest = self.waiting.iter().position(Waiting::is_droppable).unwrap();
            self.waiting.remove(oldest);
            self.dropped += 1;
        }
    }

    fn write(&mut self) {
        loop {
            if self.encoded.is_empty() {
                while self.encoded.len() < OUTBOX / 2 && !self.waiting.is_empty() {
                    self.encoded.extend(self.waiting.remove(0).line);
                }
            }
            let now = self.budget.min(self.encoded.len());
            if now == 0 {
                break;
            }
            self.budget -= now;
            self.read.extend(self.encoded.drain(..now));
        }
        if self.waiting.is_empty() {
            (self.count, self.fence) = (0, 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_outbox_behaves_like_a_simple_list(steps in prop::collection::vec(step(), 1..80)) {
        let limits = Limits::default().with_outbox(OUTBOX).with_outbox_messages(MESSAGES);
        let mock = Mock::with(Lines::new(100), |driver| driver.limits(Arc::new(limits)));
        mock.stall();
        let conn: &LineConnection = mock.connection();
        let mut model = Model::default();
        let mut read = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let line = |size: usize| format!("{number}{}", "x".repeat(size));
            let encoded = |size| [line(size).as_bytes(), b"\n"].concat();
            match step {
                Step::Push(policy, size) => {
                    let taken = conn.try_send_with(line(size), policy).is_ok();
                    prop_assert_eq!(taken, model.push(policy, encoded(size)));
                }
                Step::Send(size) => {
                    let taken = poll_once(Box::pin(conn.send(line(size))).as_mut()).is_ready();
                    prop_assert_eq!(taken, model.send(encoded(size)));
                }
                Step::Read(bytes) => {
                    mock.accept(bytes);
                    model.budget += bytes;
                }
            }
            mock.accept(0);
            model.write();
            read.extend(mock.take_sent());
            prop_assert_eq!(&read, &model.read);
            prop_assert_eq!(conn.link().queued(), model.bytes());
            prop_assert!(conn.link().queued() < OUTBOX + 43);
        }
        mock.resume();
        model.budget = usize::MAX;
        model.write();
        read.extend(mock.take_sent());
        prop_assert_eq!(&read, &model.read);
        let losses = conn.link().losses();
        prop_assert_eq!((losses.dropped, losses.replaced), (model.dropped, model.replaced));
    }
}
