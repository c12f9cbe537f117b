//! Sessions in databases of SQLite, with another connection in the front end's place.

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use wsrv_session::{IdPolicy, RawSession, SessionError, SessionId, SessionTable, SqliteStore, Store, StoreError};

/// As each front end makes its table.
const TABLES: &str = r#"
    CREATE TABLE symfony (sess_id TEXT NOT NULL PRIMARY KEY, sess_data BLOB NOT NULL, sess_lifetime INTEGER NOT NULL, sess_time INTEGER NOT NULL);
    create table "sessions" ("id" varchar not null, "user_id" integer, "ip_address" varchar, "user_agent" text, "payload" text not null, "last_activity" integer not null, primary key ("id"));
    CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
    create table if not exists tower_sessions (id text primary key not null, data blob not null, expiry_date integer not null);
"#;

struct Database {
    file: PathBuf,
    front: Connection,
    _dir: tempfile::TempDir,
}

impl Database {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.sqlite");
        Database { front: open(&file), file, _dir: dir }
    }

    fn run(&self, sql: &str) {
        self.front.execute_batch(sql).unwrap();
    }

    fn store(&self, table: SessionTable) -> SqliteStore {
        SqliteStore::new(&self.file, table)
    }
}

fn open(file: &Path) -> Connection {
    let front = Connection::open(file).unwrap();
    front.execute_batch(TABLES).unwrap();
    front
}

fn id(text: &str) -> SessionId {
    IdPolicy::express().check(text.as_bytes()).unwrap()
}

async fn left(store: &SqliteStore, text: &str) -> Option<(Vec<u8>, i64)> {
    let raw = store.load(&id(text)).await.unwrap()?;
    let left = raw.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    // To the nearest ten seconds.
    Some((raw.bytes.to_vec(), (left.as_secs_f64() / 10.0).round() as i64 * 10))
}

async fn bytes(store: &SqliteStore, text: &str) -> Vec<u8> {
    store.load(&id(text)).await.unwrap().unwrap().bytes.to_vec()
}

#[tokio::test]
async fn each_front_ends_table_is_read_with_its_rule_of_expiry() {
    let db = Database::new();
    db.run(
        r#"
        INSERT INTO symfony VALUES ('live', x'00ff61', unixepoch() + 100, unixepoch()), ('over', 'x', unixepoch() - 100, 0),
            ('old', 'o', 300, unixepoch() - 100), ('ended', 'o', 300, unixepoch() - 400), ('far', 'f', 1 << 62, 0);
        INSERT INTO sessions (id, payload, last_activity) VALUES ('live', 'grün', unixepoch() - 3600),
            ('over', 'x', unixepoch() - 7300), ('large', replace(hex(zeroblob(500)), '0', 'ü'), unixepoch());
        INSERT INTO django_session VALUES ('live', 'a:b:c', strftime('%Y-%m-%d %H:%M:%f', 'now', '+100 seconds') || '123'),
            ('whole', 'a:b:c', datetime('now', '+100 seconds')), ('over', 'a:b:c', datetime('now', '-1 second')),
            ('never', 'a', '9999-12-31 23:59:59.999999'), ('damaged', 'a', 'soon');
        INSERT INTO tower_sessions VALUES ('live', x'93c410', strftime('%Y-%m-%dT%H:%M:%f', 'now', '+100 seconds') || '123456Z'),
            ('over', x'93c410', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 second'));
        "#,
    );
    let symfony = db.store(SessionTable::symfony().named("symfony"));
    assert_eq!(left(&symfony, "live").await, Some((b"\0\xffa".to_vec(), 100)));
    assert_eq!(left(&symfony, "old").await, Some((b"o".to_vec(), 200)), "a duration");
    assert_eq!(bytes(&symfony, "far").await, b"f");
    for gone in ["over", "ended", "none", "LIVE"] {
        assert_eq!(left(&symfony, gone).await, None, "{gone}");
    }
    let laravel = db.store(SessionTable::laravel(Duration::from_secs(7200)).named("main.sessions"));
    assert_eq!(left(&laravel, "live").await, Some(("grün".into(), 3600)));
    assert_eq!(left(&laravel, "over").await, None);
    let django = db.store(SessionTable::django());
    for live in ["live", "whole"] {
        assert_eq!(left(&django, live).await, Some((b"a:b:c".to_vec(), 100)), "{live}");
    }
    assert_eq!(left(&django, "over").await, None);
    assert!(left(&django, "never").await.is_some());
    assert!(matches!(django.load(&id("damaged")).await, Err(StoreError::Data(SessionError::CorruptData))));
    let tower = db.store(SessionTable::tower_sessions().named("tower_sessions"));
    assert_eq!(left(&tower, "live").await, Some((b"\x93\xc4\x10".to_vec(), 100)));
    assert_eq!(left(&tower, "over").await, None);

    // What is not larger is read, in bytes and not in letters.
    let all = laravel.clone().max_input(2000);
    assert_eq!(bytes(&all, "large").await.len(), 2000);
    for most in [0, 1, 999, 1000, 1999] {
        let less = laravel.clone().max_input(most);
        assert!(matches!(less.load(&id("large")).await, Err(StoreError::Data(SessionError::Limit))), "{most}");
    }
    assert!(matches!(symfony.max_input(2).load(&id("live")).await, Err(StoreError::Data(SessionError::Limit))));
}

#[tokio::test]
async fn an_id_is_a_value_and_a_tables_name_is_a_name() {
    let db = Database::new();
    db.run("INSERT INTO symfony VALUES ('ada', 'x', 2000000000, 0)");
    let store = db.store(SessionTable::symfony().named("symfony"));
    assert_eq!(bytes(&store, "ada").await, b"x");
    let any = IdPolicy::custom("ADadOR1='\"`%?;:$#(-)*", 1..=256);
    for hostile in ["ADA", "ada'OR'1'='1", "'OR(1=1)--", "?", "?1", "$1", ":a", "a\"da", "ada`", "%", "';;", "*"] {
        let hostile = any.check(hostile.as_bytes()).unwrap();
        assert_eq!(store.load(&hostile).await.unwrap(), None, "{}", hostile.as_str());
    }
    let wrong = ["symfony`; DROP TABLE symfony; -- ", "symfony` WHERE 1=1 -- ", "sqlite_schema", "sessions", ""];
    for table in wrong {
        let wrong = db.store(SessionTable::symfony().named(table));
        assert!(matches!(wrong.load(&id("ada")).await, Err(StoreError::Failed(_))), "{table}");
    }
    assert_eq!(bytes(&store, "ada").await, b"x");
}

#[tokio::test]
async fn an_open_transaction_keeps_nobody_waiting_and_one_that_is_being_committed_only_for_a_while() {
    for mode in ["DELETE", "WAL"] {
        let db = Database::new();
        db.run(&format!("PRAGMA journal_mode = {mode}; INSERT INTO symfony VALUES ('ada', 'x', 2000000000, 0)"));
        let store = db.store(SessionTable::symfony().named("symfony")).lock_wait(Duration::from_millis(100));
        // As Symfony has it for the whole of a request.
        db.run("BEGIN IMMEDIATE; UPDATE symfony SET sess_data = 'y'");
        assert_eq!(bytes(&store, "ada").await, b"x", "{mode}: as it was");
        db.run("COMMIT");
        assert_eq!(bytes(&store, "ada").await, b"y", "{mode}");
        db.run("BEGIN EXCLUSIVE; UPDATE symfony SET sess_data = 'z'");
        match mode {
            "WAL" => assert_eq!(bytes(&store, "ada").await, b"y"),
            _ => assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Busy))),
        }
        let patient = store.clone().lock_wait(Duration::from_secs(20));
        let name = id("ada");
        let (found, ()) = tokio::join!(patient.load(&name), async {
            tokio::task::yield_now().await;
            db.run("COMMIT");
        });
        let found = found.unwrap().unwrap().bytes;
        assert!(found == "z" || mode == "WAL" && found == "y", "{mode}");
        // Whoever reads leaves no lock behind.
        db.run("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; COMMIT");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_no_empty_one_and_one_in_its_place_is_read() {
    let db = Database::new();
    let insert = |text: &str| format!("INSERT INTO symfony VALUES ('ada', '{text}', 2000000000, 0)");
    db.run(&insert("x"));
    let store = db.store(SessionTable::symfony().named("symfony"));
    assert_eq!(bytes(&store, "ada").await, b"x");
    fs::rename(&db.file, db.file.with_extension("old")).unwrap();
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Failed(_))));
    assert!(!db.file.exists(), "none is made");
    fs::write(&db.file, "<?php // no database, and long enough to be looked at as if it were one").unwrap();
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Failed(_))));
    fs::remove_file(&db.file).unwrap();
    open(&db.file).execute_batch(&insert("y")).unwrap();
    assert_eq!(bytes(&store, "ada").await, b"y");
}

#[tokio::test]
async fn many_read_at_once_and_nothing_is_written() {
    let db = Database::new();
    db.run("INSERT INTO symfony VALUES ('ada', 'x', 2000000000, 0)");
    let before = fs::read(&db.file).unwrap();
    let store = db.store(SessionTable::symfony().named("symfony"));
    let many = (0..100).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { bytes(&store, "ada").await })
    });
    for read in many.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap(), b"x");
    }
    assert_eq!(fs::read(&db.file).unwrap(), before);
    let beside: Vec<_> =
        fs::read_dir(db.file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["app.sqlite"], "no journal is left");
}

/// Puts this at the end.
async fn add(store: &SqliteStore, name: &str, more: &'static str) -> Result<bool, StoreError> {
    let mut add = |raw: &RawSession| Some([&raw.bytes[..], more.as_bytes()].concat().into());
    store.update(&id(name), &mut add).await
}

const ROWS: &str = r#"
    INSERT INTO symfony VALUES ('live', x'00ff61', unixepoch() + 50, unixepoch()), ('long', 'x', unixepoch() + 1000, 0),
        ('over', 'x', unixepoch() - 100, 0), ('old', 'o', 300, unixepoch() - 100), ('ended', 'o', 300, unixepoch() - 400);
    INSERT INTO sessions (id, payload, last_activity) VALUES ('live', 'grün', unixepoch() - 3600), ('over', 'x', unixepoch() - 7300);
    INSERT INTO django_session VALUES ('live', 'a:b:c', datetime('now', '+50 seconds')), ('over', 'x', datetime('now', '-1 second')),
        ('long', 'a', datetime('now', '+1000 seconds')), ('never', 'a', '9999-12-31 23:59:59.999999'), ('damaged', 'a', 'soon');
    INSERT INTO tower_sessions VALUES ('live', 'x', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+50 seconds'));
"#;

#[tokio::test]
async fn each_front_ends_rows_are_touched_while_they_live() {
    let db = Database::new();
    db.run(ROWS);
    let symfony = SessionTable::symfony().named("symfony");
    for table in [symfony.clone(), SessionTable::django()] {
        let store = db.store(table);
        assert!(matches!(store.touch(&id("live")).await, Err(StoreError::Unsupported)), "for how long?");
        let store = store.lifetime(Duration::from_secs(100));
        assert_eq!(left(&store, "live").await.unwrap().1, 50);
        for _ in 0..5 {
            assert!(store.touch(&id("live")).await.unwrap(), "also in the same second");
        }
        assert_eq!(left(&store, "live").await.unwrap().1, 100);
        assert!(store.touch(&id("long")).await.unwrap());
        assert_eq!(left(&store, "long").await.unwrap().1, 1000, "never earlier");
        for gone in ["over", "none", "LIVE"] {
            assert!(!store.touch(&id(gone)).await.unwrap());
            assert_eq!(left(&store, gone).await, None);
        }
    }
    let symfony = db.store(symfony).lifetime(Duration::from_secs(100));
    assert!(symfony.touch(&id("old")).await.unwrap());
    assert_eq!(left(&symfony, "old").await.unwrap().1, 300, "a duration stays");
    assert!(!symfony.touch(&id("ended")).await.unwrap());
    let django = db.store(SessionTable::django()).lifetime(Duration::from_secs(100));
    assert!(django.touch(&id("never")).await.unwrap());
    assert!(!django.touch(&id("damaged")).await.unwrap());
    // Django looks for what is greater, as a text.
    let of = "FROM django_session WHERE session_key";
    let like = "____-__-__ __:__:__.___";
    db.run(&format!("CREATE TEMP TABLE sound (is_so CHECK (is_so)); INSERT INTO sound SELECT expire_date LIKE '{like}' {of} = 'live'"));
    db.run(&format!("INSERT INTO sound SELECT expire_date = '9999-12-31 23:59:59.999999' {of} = 'never'"));
    let laravel = db.store(SessionTable::laravel(Duration::from_secs(7200)));
    assert!(laravel.touch(&id("live")).await.unwrap());
    assert_eq!(left(&laravel, "live").await.unwrap().1, 7200);
    assert!(!laravel.touch(&id("over")).await.unwrap());
    assert_eq!(left(&laravel, "over").await, None);
    db.run("INSERT INTO sound SELECT typeof(last_activity) = 'integer' FROM sessions");
    db.run("INSERT INTO sound SELECT typeof(sess_lifetime) = 'integer' AND typeof(sess_time) = 'integer' FROM symfony");
    let tower = db.store(SessionTable::tower_sessions().named("tower_sessions")).lifetime(Duration::from_secs(100));
    assert!(matches!(tower.touch(&id("live")).await, Err(StoreError::Unsupported)), "its records say when they end");
}

#[tokio::test]
async fn each_front_ends_rows_are_written_with_the_file_locked() {
    for mode in ["DELETE", "WAL"] {
        let db = Database::new();
        db.run(&format!("PRAGMA journal_mode = {mode}"));
        db.run(ROWS);
        let symfony = SessionTable::symfony().named("symfony");
        for (table, before, time) in [
            (symfony.clone(), &b"\0\xffa"[..], 50),
            (SessionTable::laravel(Duration::from_secs(7200)), "grün".as_bytes(), 3600),
            (SessionTable::django(), b"a:b:c", 50),
        ] {
            let after = [before, "|é".as_bytes()].concat();
            let store = db.store(table);
            assert_eq!(left(&store, "live").await, Some((before.to_vec(), time)));
            assert!(add(&store, "live", "|é").await.unwrap());
            assert_eq!(left(&store, "live").await, Some((after.clone(), time)));
            assert!(store.update(&id("live"), &mut |_| None).await.unwrap());
            for gone in ["over", "none", "LIVE"] {
                assert!(!store.update(&id(gone), &mut |_| panic!("it is gone")).await.unwrap());
            }
            let small = store.max_input(after.len());
            assert!(matches!(add(&small, "live", "|").await, Err(StoreError::Data(SessionError::Limit))));
            assert_eq!(left(&small, "live").await, Some((after, time)));
        }
        db.run("CREATE TEMP TABLE sound (is_so CHECK (is_so))");
        db.run("INSERT INTO sound SELECT typeof(payload) = 'text' FROM sessions");
        db.run("INSERT INTO sound SELECT typeof(sess_data) = 'blob' FROM symfony WHERE sess_id = 'live'");
        let django = db.store(SessionTable::django());
        let damaged = django.update(&id("damaged"), &mut |_| panic!("not asked")).await;
        assert!(matches!(damaged, Err(StoreError::Data(SessionError::CorruptData))));
        let no_text = django.update(&id("live"), &mut |_| Some(b"\xff"[..].into())).await;
        assert!(matches!(no_text, Err(StoreError::Failed(_))));

        // As Symfony has it for the whole of a request.
        db.run("BEGIN IMMEDIATE");
        let store = db.store(symfony.clone()).lock_wait(Duration::from_millis(100)).lifetime(Duration::from_secs(100));
        let began = Instant::now();
        assert!(matches!(add(&store, "live", "x").await, Err(StoreError::Busy)));
        assert!(began.elapsed() >= Duration::from_millis(90) && began.elapsed() < Duration::from_secs(5));
        assert!(matches!(store.touch(&id("live")).await, Err(StoreError::Busy)));
        let many = (0..10).map(|_| add(&store, "live", "x"));
        let (reading, many) = tokio::join!(left(&store, "live"), futures_util::future::join_all(many));
        assert_eq!(reading, Some((b"\0\xffa|\xc3\xa9".to_vec(), 50)), "whoever waits to write is in no reader's way");
        assert!(many.iter().all(|outcome| matches!(outcome, Err(StoreError::Busy))));
        assert!(began.elapsed() < Duration::from_secs(5));
        let patient = db.store(symfony).lock_wait(Duration::from_secs(10));
        let (added, ()) = tokio::join!(add(&patient, "live", "!"), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            db.run("UPDATE symfony SET sess_data = 'theirs' WHERE sess_id = 'live'; COMMIT");
        });
        assert!(added.unwrap());
        assert_eq!(bytes(&store, "live").await, b"theirs!", "read after they had written");

        // Many at once, each on what the others have written, here in their order and elsewhere.
        let letters = "abcdefghijklmnopqrstuvwxyz";
        let elsewhere = db.store(SessionTable::symfony().named("symfony")).lock_wait(Duration::from_secs(10));
        let here = (0..letters.len()).map(|n| add(&patient, "old", &letters[n..=n]));
        let there = (0..letters.len()).map(|_| add(&elsewhere, "old", "+"));
        assert!(futures_util::future::join_all(here.chain(there)).await.into_iter().all(|added| added.unwrap()));
        let (theirs, ours): (Vec<u8>, Vec<u8>) = bytes(&store, "old").await.into_iter().partition(|&byte| byte == b'+');
        assert_eq!((theirs.len(), ours), (letters.len(), format!("o{letters}").into_bytes()));
    }
}

#[tokio::test]
async fn who_goes_away_while_a_row_is_written_leaves_it_whole_and_unlocked() {
    let db = Database::new();
    db.run(ROWS);
    db.run("PRAGMA busy_timeout = 20000");
    let store = db.store(SessionTable::symfony().named("symfony"));
    for round in 0..200_u64 {
        let before = bytes(&store, "old").await;
        let done = tokio::time::timeout(Duration::from_micros(round * 25), add(&store, "old", "+")).await;
        // After whatever goes on still. If the file stayed locked, this would fail.
        db.run("BEGIN IMMEDIATE; COMMIT");
        assert!(add(&store, "old", "-").await.unwrap(), "in its turn");
        let after = bytes(&store, "old").await;
        let is_added = after == [&before[..], b"+-"].concat();
        assert!(is_added || done.is_err() && after == [&before[..], b"-"].concat(), "all or nothing");
    }
    let (name, changed) = (id("live"), Notify::new());
    let mut change = |_: &RawSession| {
        changed.notify_one();
        Some("done".into())
    };
    tokio::select! {
        biased;
        () = changed.notified() => {}
        outcome = store.update(&name, &mut change) => panic!("{outcome:?}"),
    }
    assert!(add(&store, "live", "!").await.unwrap());
    assert_eq!(bytes(&store, "live").await, b"done!", "what has begun goes on");
}

#[tokio::test]
async fn nothing_is_made_to_be_written() {
    let db = Database::new();
    let elsewhere = db.file.with_extension("none");
    let store = SqliteStore::new(&elsewhere, SessionTable::laravel(Duration::from_secs(7200)));
    assert!(matches!(store.touch(&id("ada")).await, Err(StoreError::Failed(_))));
    assert!(matches!(add(&store, "ada", "x").await, Err(StoreError::Failed(_))));
    assert!(!elsewhere.exists());
}
