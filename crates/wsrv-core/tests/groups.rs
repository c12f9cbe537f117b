//! Groups by name: they are there while somebody is in them, for whoever comes and goes from whatever thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::testing::Mock;
use wsrv_core::{Connection, GroupEvent, Groups, SlowPeer};

fn mock() -> Mock<Lines> {
    Mock::new(Lines::new(100))
}

#[tokio::test]
async fn a_name_reaches_those_who_have_joined_it_and_costs_nothing_without_them() {
    let groups = Groups::<LineConnection>::new();
    let (ada, bob) = (mock(), mock());
    let kitchen = groups.named("kitchen");
    assert_eq!(kitchen.send("nobody").sent, 0);
    assert_eq!((groups.len(), kitchen.is_empty()), (0, true));

    let in_kitchen = groups.join("kitchen", ada.connection());
    let again = groups.join("kitchen", ada.connection());
    let in_cellar = groups.join("cellar", bob.connection());
    assert_eq!(groups.names().len(), 2);
    assert_eq!(kitchen.send("dinner").sent, 1);
    assert_eq!(in_cellar.send_to_others("nobody else is here").sent, 0);
    drop(in_kitchen);
    assert!(kitchen.contains(ada.connection()) && !kitchen.contains(bob.connection()), "joined twice");
    drop(again);
    assert!(kitchen.is_empty() && groups.len() == 1);

    // The same handle, after its group has ended and begun again.
    let _back = groups.join("kitchen", bob.connection());
    assert_eq!(kitchen.send_filtered("supper", |conn| conn.id() == bob.connection().id()).sent, 1);
    let mut seen = 0;
    kitchen.for_each(|_| seen += 1);
    assert_eq!((seen, kitchen.len()), (1, 1));
    assert_eq!(ada.sent(), "dinner\n");
    assert_eq!(bob.sent(), "supper\n");
}

#[tokio::test]
async fn the_watcher_is_told_when_a_group_begins_and_ends() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let groups = Groups::watched(move |name, event| log.lock().unwrap().push((name.to_string(), event)));
    let (ada, bob) = (mock(), mock());
    let first = groups.join("a", ada.connection());
    let second = groups.join("a", bob.connection());
    drop(first);
    assert_eq!(told.lock().unwrap().len(), 1);
    drop(second);
    drop(groups.join("b", ada.connection()));
    let expected = [
        ("a", GroupEvent::Created),
        ("a", GroupEvent::Removed),
        ("b", GroupEvent::Created),
        ("b", GroupEvent::Removed),
    ];
    assert_eq!(*told.lock().unwrap(), expected.map(|(name, event)| (name.to_owned(), event)));
}

#[tokio::test]
async fn a_watcher_that_panics_leaves_no_group_behind_and_ends_nobody() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let groups = Groups::watched(move |_, event| {
        log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
        panic!("on purpose");
    });
    let ada = mock();
    let member = groups.join("a", ada.connection());
    assert_eq!(groups.named("a").send("hello").sent, 1);
    // Left while its thread panics for another reason: a second panic would end the process.
    let left = std::thread::spawn(move || {
        let _member = member;
        panic!("on purpose, too");
    });
    assert!(left.join().is_err());
    assert!(groups.is_empty());
    assert_eq!(*told.lock().unwrap(), [GroupEvent::Created, GroupEvent::Removed]);
    assert_eq!(ada.sent(), "hello\n");
}

#[tokio::test]
async fn a_name_is_sent_to_in_all_the_ways_of_a_group() {
    let groups = Groups::<LineConnection>::new();
    let (ada, bob) = (mock(), mock());
    let room = groups.named("room");
    assert_eq!(room.send_and_wait("nobody").await.sent, 0);
    let in_room = groups.join("room", ada.connection());
    let _also = groups.join("room", bob.connection());
    assert_eq!(room.send_and_wait("to both").await.sent, 2);
    assert_eq!(room.send_with("prices", SlowPeer::KeepLatest(7)).sent, 2);
    let is_ada = |conn: &LineConnection| conn.id() == ada.connection().id();
    assert_eq!(room.send_filtered_with("to ada", SlowPeer::DropNewest, is_ada).sent, 1);
    assert_eq!(in_room.send_to_others_with("to bob", SlowPeer::DropNewest).sent, 1);
    assert_eq!(ada.sent(), "to both\nprices\nto ada\n");
    assert_eq!(bob.sent(), "to both\nprices\nto bob\n");
}

#[tokio::test]
async fn nobody_who_joins_is_lost_while_others_leave() {
    const ROUNDS: usize = 3_000;
    let alive = Arc::new(Mutex::new(HashMap::<String, bool>::new()));
    let turns = Arc::new(AtomicUsize::new(0));
    let out_of_turn = Arc::new(AtomicUsize::new(0));
    let (state, count, wrong) = (alive.clone(), turns.clone(), out_of_turn.clone());
    let groups = Groups::watched(move |name, event| {
        let is_there = event == GroupEvent::Created;
        let was_there = state.lock().unwrap().insert(name.to_string(), is_there).unwrap_or(false);
        wrong.fetch_add(usize::from(was_there == is_there), Ordering::Relaxed);
        count.fetch_add(1, Ordering::Relaxed);
    });
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mock = mock();
            let (groups, start) = (groups.clone(), &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    let name = ["x", "y"][round % 2];
                    let member = groups.join(name, mock.connection());
                    assert!(groups.named(name).contains(mock.connection()), "round {round}");
                    drop(member);
                }
            });
        }
    });
    assert!(groups.is_empty());
    assert_eq!(out_of_turn.load(Ordering::Relaxed), 0, "each begins and ends in turn");
    assert!(turns.load(Ordering::Relaxed) >= 4);
    assert!(alive.lock().unwrap().values().all(|alive| !alive));
}
