//! Groups by name: they are there while somebody is in them, for whoever comes and goes from whatever thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::testing::Mock;
use wsrv_core::{Connection, Groups, Stir};

fn mock() -> Mock<Lines> {
    Mock::new(Lines::new(100))
}

#[tokio::test]
async fn a_name_reaches_those_who_have_joined_it_and_costs_nothing_without_them() {
    let groups = Groups::<LineConnection>::new();
    let (ada, bob) = (mock(), mock());
    let kitchen = groups.named("kitchen");
    assert_eq!(kitchen.send("nobody").sent, 0);
    assert_eq!((groups.len(), kitchen.group().is_none()), (0, true));

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
    let groups = Groups::watched(move |name, stir| log.lock().unwrap().push((name.to_string(), stir)));
    let (ada, bob) = (mock(), mock());
    let first = groups.join("a", ada.connection());
    let second = groups.join("a", bob.connection());
    drop(first);
    assert_eq!(told.lock().unwrap().len(), 1);
    drop(second);
    drop(groups.join("b", ada.connection()));
    let expected = [("a", Stir::Begins), ("a", Stir::Ends), ("b", Stir::Begins), ("b", Stir::Ends)];
    assert_eq!(*told.lock().unwrap(), expected.map(|(name, stir)| (name.to_owned(), stir)));
}

#[tokio::test]
async fn nobody_who_joins_is_lost_while_others_leave() {
    const ROUNDS: usize = 3_000;
    let alive = Arc::new(Mutex::new(HashMap::<String, bool>::new()));
    let turns = Arc::new(AtomicUsize::new(0));
    let (state, count) = (alive.clone(), turns.clone());
    let groups = Groups::watched(move |name, stir| {
        let before = state.lock().unwrap().insert(name.to_string(), stir == Stir::Begins);
        assert_ne!(before.unwrap_or(false), stir == Stir::Begins, "it begins and ends in turn");
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
    assert!(turns.load(Ordering::Relaxed) >= 4);
    assert!(alive.lock().unwrap().values().all(|alive| !alive));
}
