//! Sessions in a real PostgreSQL, which the tests start.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use wsrv_session::{IdPolicy, PostgresStore, RawSession, SessionError, SessionId, SessionTable, Store, StoreError};

/// Who the server runs as if the test is root, as whom it does not run.
const NOBODY: u32 = 65_534;

struct Postgres {
    port: u16,
    dir: tempfile::TempDir,
    server: Child,
}

fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(name));
    programs.filter(|path| path.exists()).max().expect("PostgreSQL is installed")
}

fn command(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(program(name));
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(dir).env("LC_ALL", "C.UTF-8").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Postgres {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let made = command("initdb", dir.path())
            .args(["-D", "data", "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8"])
            .status();
        assert!(made.unwrap().success(), "initdb");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let server = Self::serve(dir.path(), port);
        Postgres { port, dir, server }
    }

    fn serve(dir: &Path, port: u16) -> Child {
        let mut server = command("postgres", dir)
            .args(["-D", "data", "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "unix_socket_directories=", "-c", "timezone=Asia/Tokyo"])
            .spawn()
            .unwrap();
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(server.try_wait().unwrap().is_none(), "postgres has ended");
            assert!(began.elapsed() < Duration::from_secs(30), "postgres does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn stop(&mut self) {
        // "Fast": whoever is connected is sent away.
        let pid = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.server.wait();
    }

    async fn run(&self, sql: &str) {
        let url = format!("postgres://test@127.0.0.1:{}/postgres", self.port);
        let (client, connection) = loop {
            match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                Ok(connected) => break connected,
                // It listens before it is ready.
                Err(error) if error.code().is_some_and(|code| code.code() == "57P03") => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    }

    fn store(&self, table: SessionTable) -> PostgresStore {
        PostgresStore::new(&format!("postgres://test@127.0.0.1:{}/postgres", self.port), table).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = &self.dir;
    }
}

fn id(text: &str) -> SessionId {
    IdPolicy::express().check(text.as_bytes()).unwrap()
}

async fn left(store: &PostgresStore, text: &str) -> Option<(Vec<u8>, i64)> {
    let raw = store.load(&id(text)).await.unwrap()?;
    let left = raw.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    // To the nearest ten seconds.
    Some((raw.bytes.to_vec(), (left.as_secs_f64() / 10.0).round() as i64 * 10))
}

#[tokio::test]
async fn each_front_ends_table_is_read_with_its_rule_of_expiry() {
    let postgres = Postgres::start();
    postgres
        .run(
            r#"
            CREATE TABLE sessions (sess_id varchar(128) PRIMARY KEY, sess_data bytea, sess_lifetime int, sess_time int);
            INSERT INTO sessions SELECT id, '\x00ff61'::bytea, now + life, now FROM
                (SELECT extract(epoch from now())::int AS now) AS clock,
                (VALUES ('live', 100), ('over', -100)) AS rows (id, life);
            INSERT INTO sessions VALUES ('old', 'o', 300, extract(epoch from now())::int - 100);
            INSERT INTO sessions VALUES ('ended', 'o', 300, extract(epoch from now())::int - 400);
            CREATE SCHEMA app;
            CREATE TABLE app.sessions (id varchar PRIMARY KEY, payload text, last_activity int);
            INSERT INTO app.sessions VALUES ('live', 'grün', extract(epoch from now())::int - 3600);
            INSERT INTO app.sessions VALUES ('over', 'x', extract(epoch from now())::int - 7300);
            CREATE TABLE session (sid varchar PRIMARY KEY, sess json, expire timestamp(6));
            INSERT INTO session VALUES ('live', '{"a": 1}', now() + interval '100 s'), ('over', '{}', now() - interval '1 s');
            CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
            INSERT INTO django_session VALUES ('live', 'a:b:c', now() + interval '100 s');
            "#,
        )
        .await;
    let symfony = postgres.store(SessionTable::symfony());
    assert_eq!(left(&symfony, "live").await, Some((b"\0\xffa".to_vec(), 100)));
    assert_eq!(left(&symfony, "old").await, Some((b"o".to_vec(), 200)), "a duration");
    for gone in ["over", "ended", "none"] {
        assert_eq!(left(&symfony, gone).await, None, "{gone}");
    }
    let laravel = postgres.store(SessionTable::laravel(Duration::from_secs(7200)).named("app.sessions"));
    assert_eq!(left(&laravel, "live").await, Some(("grün".into(), 3600)));
    assert_eq!(left(&laravel, "over").await, None);
    let express = postgres.store(SessionTable::connect_pg_simple());
    assert_eq!(left(&express, "live").await, Some((br#"{"a": 1}"#.to_vec(), 100)), "in the database's time zone");
    assert_eq!(left(&express, "over").await, None);
    let django = postgres.store(SessionTable::django());
    assert_eq!(left(&django, "live").await, Some((b"a:b:c".to_vec(), 100)));
    let small = symfony.max_input(2);
    assert!(matches!(small.load(&id("live")).await, Err(StoreError::Data(SessionError::Limit))));
    let wrong = postgres.store(SessionTable::symfony().named("se\"ssions; DROP TABLE session"));
    assert!(matches!(wrong.load(&id("live")).await, Err(StoreError::Failed(_))));
    assert!(left(&express, "live").await.is_some());
}

#[tokio::test]
async fn a_row_that_is_locked_is_read_and_a_server_that_comes_back_is_found_again() {
    let mut postgres = Postgres::start();
    let sql = "CREATE TABLE sessions (sess_id varchar PRIMARY KEY, sess_data bytea, sess_lifetime int, sess_time int);
        INSERT INTO sessions VALUES ('ada', 'x', 2000000000, 0);";
    postgres.run(sql).await;
    let store = postgres.store(SessionTable::symfony());
    // As Symfony has it for the whole of a request.
    let url = format!("postgres://test@127.0.0.1:{}/postgres", postgres.port);
    let (request, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    request.batch_execute("BEGIN; SELECT * FROM sessions WHERE sess_id = 'ada' FOR UPDATE").await.unwrap();
    assert!(store.load(&id("ada")).await.unwrap().is_some());
    postgres.stop();
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Failed(_))));
    postgres.server = Postgres::serve(postgres.dir.path(), postgres.port);
    let began = Instant::now();
    while let Err(error) = store.load(&id("ada")).await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Puts this at the end.
async fn add(store: &PostgresStore, name: &str, more: &'static str) -> Result<bool, StoreError> {
    let mut add = |raw: &RawSession| Some([&raw.bytes[..], more.as_bytes()].concat().into());
    store.update(&id(name), &mut add).await
}

const TABLES: &str = r#"
    CREATE TABLE sessions (sess_id varchar(128) PRIMARY KEY, sess_data bytea, sess_lifetime int, sess_time int);
    INSERT INTO sessions SELECT id, '\x00ff61'::bytea, now + life, now FROM
        (SELECT extract(epoch from now())::int AS now) AS clock,
        (VALUES ('live', 10), ('long', 1000), ('over', -100)) AS rows (id, life);
    INSERT INTO sessions VALUES ('old', 'o', 300, extract(epoch from now())::int - 100);
    CREATE SCHEMA app;
    CREATE TABLE app.sessions (id varchar PRIMARY KEY, payload text, last_activity int);
    INSERT INTO app.sessions VALUES ('live', 'x', extract(epoch from now())::int - 3600);
    INSERT INTO app.sessions VALUES ('over', 'x', extract(epoch from now())::int - 7300);
    CREATE TABLE session (sid varchar PRIMARY KEY, sess json, expire timestamp(6));
    INSERT INTO session VALUES ('live', '{"b": 1.0, "a": 1}', now() + interval '10 s'), ('over', '{}', now() - interval '1 s');
    CREATE TABLE binary_session (sid varchar PRIMARY KEY, sess jsonb, expire timestamp(6));
    INSERT INTO binary_session VALUES ('live', '{}', now() + interval '10 s');
    CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
    INSERT INTO django_session VALUES ('live', 'a:b:c', now() + interval '10 s'), ('over', 'x', now() - interval '1 s');
    CREATE SCHEMA tower_sessions;
    CREATE TABLE tower_sessions.session (id text PRIMARY KEY, data bytea, expiry_date timestamptz);
    INSERT INTO tower_sessions.session VALUES ('live', 'x', now() + interval '10 s');
"#;

#[tokio::test]
async fn each_front_ends_rows_are_touched_while_they_live() {
    let postgres = Postgres::start();
    postgres.run(TABLES).await;
    let laravel = SessionTable::laravel(Duration::from_secs(7200)).named("app.sessions");
    for table in [SessionTable::symfony(), SessionTable::connect_pg_simple(), SessionTable::django()] {
        let store = postgres.store(table);
        assert!(matches!(store.touch(&id("live")).await, Err(StoreError::Unsupported)), "for how long?");
        let store = store.lifetime(Duration::from_secs(100));
        assert_eq!(left(&store, "live").await.unwrap().1, 10);
        assert!(store.touch(&id("live")).await.unwrap());
        assert_eq!(left(&store, "live").await.unwrap().1, 100);
        for gone in ["over", "none"] {
            assert!(!store.touch(&id(gone)).await.unwrap());
            assert_eq!(left(&store, gone).await, None);
        }
    }
    let symfony = postgres.store(SessionTable::symfony()).lifetime(Duration::from_secs(100));
    for (name, after) in [("long", 1000), ("old", 300)] {
        assert!(symfony.touch(&id(name)).await.unwrap());
        assert_eq!(left(&symfony, name).await.unwrap().1, after, "{name}: never earlier, and a duration stays");
    }
    let laravel = postgres.store(laravel);
    assert!(laravel.touch(&id("live")).await.unwrap());
    assert_eq!(left(&laravel, "live").await.unwrap().1, 7200);
    assert!(!laravel.touch(&id("over")).await.unwrap());
    assert_eq!(left(&laravel, "over").await, None);
    let tower = postgres.store(SessionTable::tower_sessions()).lifetime(Duration::from_secs(100));
    assert!(matches!(tower.touch(&id("live")).await, Err(StoreError::Unsupported)), "its records say when they end");
}

#[tokio::test]
async fn each_front_ends_rows_are_written_with_the_row_locked() {
    let postgres = Postgres::start();
    postgres.run(TABLES).await;
    let laravel = SessionTable::laravel(Duration::from_secs(7200)).named("app.sessions");
    for (table, before, after, time) in [
        (SessionTable::symfony(), &b"\0\xffa"[..], &b"\0\xffa|"[..], 10),
        (laravel, b"x", b"x|", 3600),
        (SessionTable::django(), b"a:b:c", b"a:b:c|", 10),
    ] {
        let store = postgres.store(table);
        assert_eq!(left(&store, "live").await, Some((before.to_vec(), time)));
        assert!(add(&store, "live", "|").await.unwrap());
        assert_eq!(left(&store, "live").await, Some((after.to_vec(), time)));
        for gone in ["over", "none"] {
            assert!(!store.update(&id(gone), &mut |_| panic!("it is gone")).await.unwrap());
        }
        let small = store.max_input(after.len());
        assert!(matches!(add(&small, "live", "|").await, Err(StoreError::Data(SessionError::Limit))));
    }
    for (table, json) in [("session", r#"{"b":1.0,"a":2}"#), ("binary_session", r#"{"a": 2, "b": 1.0}"#)] {
        let store = postgres.store(SessionTable::connect_pg_simple().named(table));
        assert!(store.update(&id("live"), &mut |_| Some(r#"{"b":1.0,"a":2}"#.into())).await.unwrap());
        assert_eq!(left(&store, "live").await, Some((json.into(), 10)), "{table}");
        assert!(matches!(store.update(&id("live"), &mut |_| Some("{".into())).await, Err(StoreError::Failed(_))));
    }

    // As Symfony has it for the whole of a request.
    let url = format!("postgres://test@127.0.0.1:{}/postgres", postgres.port);
    let (request, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    request.batch_execute("BEGIN; SELECT * FROM sessions WHERE sess_id = 'live' FOR UPDATE").await.unwrap();
    let store = postgres.store(SessionTable::symfony()).lock_wait(Duration::from_millis(100));
    let began = Instant::now();
    assert!(matches!(add(&store, "live", "x").await, Err(StoreError::Busy)));
    assert!(began.elapsed() >= Duration::from_millis(100) && began.elapsed() < Duration::from_secs(5));
    let patient = postgres.store(SessionTable::symfony()).lock_wait(Duration::from_secs(10));
    let (added, ()) = tokio::join!(add(&patient, "live", "!"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        request.batch_execute("UPDATE sessions SET sess_data = 'theirs' WHERE sess_id = 'live'; COMMIT").await.unwrap();
    });
    assert!(added.unwrap());
    assert_eq!(left(&store, "live").await.unwrap().0, b"theirs!", "read after they had written");

    // Many at once, each on what the others have written.
    let adding = (0..50).map(|_| add(&patient, "old", "+"));
    assert!(futures_util::future::join_all(adding).await.into_iter().all(|added| added.unwrap()));
    assert_eq!(left(&store, "old").await.unwrap().0, [b"o".as_slice(), &[b'+'; 50]].concat());
}

#[tokio::test]
async fn a_table_of_ones_own_is_described() {
    let db = Postgres::start();
    db.run(
        r#"
        CREATE SCHEMA app;
        CREATE TABLE app.visits (token text PRIMARY KEY, state jsonb, raw bytea, ends timestamptz, seen bigint, lasts int);
        INSERT INTO app.visits VALUES ('live', '{"a": 1}', '\x00ff', now() + '100 seconds', extract(epoch from now()), 300),
            ('over', '{}', '', now() - '1 second'::interval, extract(epoch from now()) - 400, 300);
        "#,
    )
    .await;
    let text = || SessionTable::new("app.visits", "token", "state").text();
    let raw = || SessionTable::new("app.visits", "token", "raw");
    let tables = [
        (text().ends_at("ends"), br#"{"a": 1}"#.to_vec(), 100),
        (raw().ends_after("seen", Duration::from_secs(350)), b"\0\xff".to_vec(), 350),
        (raw().ends_after_columns("seen", "lasts"), b"\0\xff".to_vec(), 300),
    ];
    for (table, data, seconds) in tables {
        let store = db.store(table);
        assert_eq!((left(&store, "live").await, left(&store, "over").await), (Some((data, seconds)), None));
    }
    let forever = db.store(raw());
    let over = forever.load(&id("over")).await.unwrap().unwrap();
    assert_eq!((over.bytes.len(), over.expires), (0, None), "it is there");
    assert!(matches!(forever.touch(&id("live")).await, Err(StoreError::Unsupported)));
    let lasting = db.store(text().ends_at("ends")).lifetime(Duration::from_secs(1000));
    assert!(lasting.touch(&id("live")).await.unwrap());
    assert_eq!(left(&lasting, "live").await.unwrap().1, 1000);
}

#[tokio::test]
async fn changes_that_wait_for_a_row_keep_nobody_waiting_who_reads_and_leave_no_connection_midway() {
    let postgres = Postgres::start();
    postgres.run(TABLES).await;
    let url = format!("postgres://test@127.0.0.1:{}/postgres", postgres.port);
    let (request, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    request.batch_execute("BEGIN; SELECT * FROM sessions WHERE sess_id = 'live' FOR UPDATE").await.unwrap();
    let store = postgres.store(SessionTable::symfony()).lifetime(Duration::from_secs(100));
    let patient = store.clone().lock_wait(Duration::from_secs(60));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = patient.clone();
        waiting.spawn(async move {
            if number % 2 == 0 { add(&store, "live", "x").await } else { store.touch(&id("live")).await }
        });
    }
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let began = Instant::now();
    while request.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < 4 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody waits");
        // In a transaction it would stay what it was.
        request.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
    }
    let read = async || {
        let live = id("live");
        let reads = futures_util::future::join_all((0..50).map(|_| store.load(&live)));
        let reads = tokio::time::timeout(Duration::from_secs(5), reads).await.expect("who reads waits for nobody");
        assert!(reads.into_iter().all(|read| read.unwrap().is_some()));
    };
    read().await;
    let began = Instant::now();
    assert!(matches!(add(&store, "old", "x").await, Err(StoreError::Busy)), "others write, and for long");
    assert!(matches!(store.touch(&id("old")).await, Err(StoreError::Busy)));
    assert!(began.elapsed() < Duration::from_secs(30));
    // Nobody waits for them any more.
    waiting.shutdown().await;
    read().await;
    assert!(add(&store, "old", "x").await.unwrap());
    request.batch_execute("COMMIT").await.unwrap();
    assert!(add(&store, "live", "!").await.unwrap());
    assert_eq!(left(&store, "live").await.unwrap().0, b"\0\xffa!");
}
