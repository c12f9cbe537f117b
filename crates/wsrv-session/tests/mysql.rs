//! Sessions in a real MariaDB, which the tests start.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use wsrv_session::{IdPolicy, MySqlStore, RawSession, SessionError, SessionId, SessionTable, Store, StoreError};

/// Who the server runs as if the test is root, as whom it does not run.
const NOBODY: u32 = 65_534;

struct MariaDb {
    port: u16,
    dir: tempfile::TempDir,
    server: Child,
}

fn command(names: &[&str], dir: &Path) -> Command {
    let dirs = ["/usr/sbin", "/usr/bin"];
    let mut programs = names.iter().flat_map(|name| dirs.map(|dir| Path::new(dir).join(name)));
    let mut command = Command::new(programs.find(|path| path.exists()).expect("MariaDB is installed"));
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.arg("--no-defaults").arg(format!("--datadir={}", dir.join("data").display()));
    // Each server that starts takes away the temporary tables in there, also those of others.
    command.env("TMPDIR", dir);
    command.current_dir(dir).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl MariaDb {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if rustix::process::getuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let made = command(&["mariadb-install-db", "mysql_install_db"], dir.path())
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            .args(["--innodb-log-file-size=8M"])
            .status();
        assert!(made.unwrap().success(), "mariadb-install-db");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let server = Self::serve(dir.path(), port);
        let mut db = MariaDb { port, dir, server };
        db.ready().await;
        db.run(
            "CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
            CREATE DATABASE tower_sessions;
            CREATE USER reader IDENTIFIED BY 'secret';
            GRANT SELECT ON app.* TO reader; GRANT SELECT ON tower_sessions.* TO reader;
            CREATE USER writer IDENTIFIED BY 'secret';
            GRANT SELECT, UPDATE ON app.* TO writer; GRANT SELECT, UPDATE ON tower_sessions.* TO writer;",
        )
        .await;
        db
    }

    /// With defaults that nobody must depend on.
    fn serve(dir: &Path, port: u16) -> Child {
        command(&["mariadbd", "mysqld"], dir)
            .args([&format!("--port={port}"), "--bind-address=127.0.0.1", "--socket=socket", "--pid-file=pid"])
            .args(["--skip-name-resolve", "--default-time-zone=+09:00", "--autocommit=0", "--sql-mode="])
            .args(["--character-set-server=latin1", "--skip-character-set-client-handshake"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"])
            .spawn()
            .unwrap()
    }

    async fn ready(&mut self) {
        let began = Instant::now();
        while let Err(error) = Conn::new(self.root()).await {
            assert!(self.server.try_wait().unwrap().is_none(), "mariadbd has ended");
            assert!(began.elapsed() < Duration::from_secs(60), "mariadbd does not listen: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.server.wait();
    }

    fn root(&self) -> Opts {
        let socket = self.dir.path().join("data/socket");
        Opts::from_url(&format!("mysql://root@localhost/?socket={}", socket.display())).unwrap()
    }

    async fn run(&self, sql: &str) -> Conn {
        let mut root = Conn::new(self.root()).await.unwrap();
        root.query_drop("SET autocommit = 1").await.unwrap();
        root.query_drop(sql).await.unwrap();
        root
    }

    fn store(&self, table: SessionTable) -> MySqlStore {
        MySqlStore::new(&format!("mysql://reader:secret@127.0.0.1:{}/app", self.port), table).unwrap()
    }

    fn written(&self, table: SessionTable) -> MySqlStore {
        MySqlStore::new(&format!("mysql://writer:secret@127.0.0.1:{}/app", self.port), table).unwrap()
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.stop();
    }
}

fn id(text: &str) -> SessionId {
    IdPolicy::express().check(text.as_bytes()).unwrap()
}

async fn left(store: &MySqlStore, text: &str) -> Option<(Vec<u8>, i64)> {
    let raw = store.load(&id(text)).await.unwrap()?;
    let left = raw.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    // To the nearest ten seconds.
    Some((raw.bytes.to_vec(), (left.as_secs_f64() / 10.0).round() as i64 * 10))
}

/// As each front end makes its table.
const TABLES: &str = r#"
    USE app;
    CREATE TABLE symfony (sess_id VARBINARY(128) NOT NULL PRIMARY KEY, sess_data BLOB NOT NULL, sess_lifetime INTEGER UNSIGNED NOT NULL, sess_time INTEGER UNSIGNED NOT NULL) COLLATE utf8mb4_bin, ENGINE = InnoDB;
    create table `sessions` (`id` varchar(255) not null, `user_id` bigint unsigned null, `ip_address` varchar(45) null, `user_agent` text null, `payload` longtext not null, `last_activity` int not null) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
    alter table `sessions` add primary key (`id`);
    CREATE TABLE IF NOT EXISTS `express` (`session_id` varchar(128) COLLATE utf8mb4_bin NOT NULL, `expires` int(11) unsigned NOT NULL, `data` mediumtext COLLATE utf8mb4_bin, PRIMARY KEY (`session_id`)) ENGINE=InnoDB;
    CREATE TABLE `django_session` (`session_key` varchar(40) NOT NULL PRIMARY KEY, `session_data` longtext NOT NULL, `expire_date` datetime(6) NOT NULL);
    create table if not exists `tower_sessions`.`session` (id char(22) primary key not null, data blob not null, expiry_date timestamp(6) not null);
"#;

#[tokio::test]
async fn each_front_ends_table_is_read_with_its_rule_of_expiry() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    db.run(
        r#"
        USE app;
        SET time_zone = '+00:00', NAMES utf8mb4, @now = unix_timestamp();
        INSERT INTO symfony VALUES ('live', x'00ff61', @now + 100, @now), ('over', 'x', @now - 100, @now - 200),
            ('old', 'o', 300, @now - 100), ('ended', 'o', 300, @now - 400), ('far', 'f', 4294967295, @now);
        INSERT INTO sessions (id, payload, last_activity) VALUES
            ('live', 'grün', @now - 3600), ('over', 'x', @now - 7300), ('LARGE', repeat('ü', 1000), @now);
        INSERT INTO express VALUES ('live', @now + 100, '{"a": 1}'), ('over', @now - 1, '{}'), ('null', @now + 100, NULL);
        INSERT INTO django_session VALUES ('live', 'a:b:c', utc_timestamp() + interval 100 second),
            ('over', 'a:b:c', utc_timestamp() - interval 1 second), ('never', 'a', '9999-12-31 23:59:59.999999');
        INSERT INTO tower_sessions.session VALUES ('live', x'93c410', utc_timestamp() + interval 100 second),
            ('over', x'93c410', utc_timestamp() - interval 1 second);
        "#,
    )
    .await;
    let symfony = db.store(SessionTable::symfony().named("symfony"));
    assert_eq!(left(&symfony, "live").await, Some((b"\0\xffa".to_vec(), 100)));
    assert_eq!(left(&symfony, "old").await, Some((b"o".to_vec(), 200)), "a duration");
    assert!(left(&symfony, "far").await.is_some());
    for gone in ["over", "ended", "none", "LIVE"] {
        assert_eq!(left(&symfony, gone).await, None, "{gone}");
    }
    let laravel = db.store(SessionTable::laravel(Duration::from_secs(7200)).named("app.sessions"));
    assert_eq!(left(&laravel, "live").await, Some(("grün".into(), 3600)));
    assert_eq!(left(&laravel, "over").await, None);
    let express = db.store(SessionTable::express_mysql_session().named("express"));
    assert_eq!(left(&express, "live").await, Some((br#"{"a": 1}"#.to_vec(), 100)));
    assert_eq!(left(&express, "over").await, None);
    assert!(matches!(express.load(&id("null")).await, Err(StoreError::Data(SessionError::CorruptData))));
    let django = db.store(SessionTable::django());
    assert_eq!(left(&django, "live").await, Some((b"a:b:c".to_vec(), 100)), "whatever the server's time zone is");
    assert_eq!(left(&django, "over").await, None);
    assert!(left(&django, "never").await.is_some());
    let tower = db.store(SessionTable::tower_sessions());
    assert_eq!(left(&tower, "live").await, Some((b"\x93\xc4\x10".to_vec(), 100)));
    assert_eq!(left(&tower, "over").await, None);
    assert!(!format!("{tower:?}").contains("secret"));

    // What is not larger is read, in bytes and not in letters.
    let all = laravel.clone().max_input(2000);
    assert_eq!(all.load(&id("LARGE")).await.unwrap().unwrap().bytes.len(), 2000);
    for most in [0, 1, 999, 1000, 1999] {
        let less = laravel.clone().max_input(most);
        assert!(matches!(less.load(&id("LARGE")).await, Err(StoreError::Data(SessionError::Limit))), "{most}");
    }
    assert!(matches!(symfony.max_input(2).load(&id("live")).await, Err(StoreError::Data(SessionError::Limit))));
}

#[tokio::test]
async fn an_id_is_a_value_to_the_letter_and_a_tables_name_is_a_name() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    db.run("USE app; INSERT INTO sessions (id, payload, last_activity) VALUES ('ada', 'x', unix_timestamp())").await;
    let laravel = SessionTable::laravel(Duration::from_secs(7200));
    let store = db.store(laravel.clone());
    assert!(store.load(&id("ada")).await.unwrap().is_some());
    let any = IdPolicy::custom("ADadOR1='\"`%?;:$#(-)*", 1..=256);
    // The database takes the first for the same as `ada`.
    for hostile in ["ADA", "ada'OR'1'='1", "'OR(1=1)--", "'OR(1=1)#", "?", "$1", ":a", "a\"da", "ada`", "%", "';;", "*"]
    {
        let hostile = any.check(hostile.as_bytes()).unwrap();
        assert_eq!(store.load(&hostile).await.unwrap(), None, "{}", hostile.as_str());
    }
    for table in ["sessions`; DROP TABLE sessions; -- ", "app.sessions` WHERE 1=1 -- ", ""] {
        let wrong = db.store(laravel.clone().named(table));
        assert!(matches!(wrong.load(&id("ada")).await, Err(StoreError::Failed(_))), "{table}");
    }
    assert!(store.load(&id("ada")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_row_that_is_locked_is_read_and_a_server_that_comes_back_is_found_again() {
    let mut db = MariaDb::start().await;
    db.run(TABLES).await;
    db.run("USE app; INSERT INTO symfony VALUES ('ada', 'x', 2000000000, 0)").await;
    let store = db.store(SessionTable::symfony().named("symfony"));
    let bytes = |store: MySqlStore| async move { store.load(&id("ada")).await.unwrap().unwrap().bytes };
    // As Symfony has it for the whole of a request.
    let mut request =
        db.run("USE app; START TRANSACTION; SELECT * FROM symfony WHERE sess_id = 'ada' FOR UPDATE").await;
    request.query_drop("UPDATE symfony SET sess_data = 'y'").await.unwrap();
    assert_eq!(bytes(store.clone()).await, "x", "as it was");
    request.query_drop("COMMIT").await.unwrap();
    assert_eq!(bytes(store.clone()).await, "y", "no connection keeps an older view of it");

    // A table that nobody may read now: the time is up, and what comes late is nobody's answer.
    request.query_drop("LOCK TABLES symfony WRITE").await.unwrap();
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Timeout)));
    request.query_drop("INSERT INTO symfony VALUES ('eve', 'e', 2000000000, 0); UNLOCK TABLES").await.unwrap();
    for _ in 0..20 {
        let (ada, eve) = (id("ada"), id("eve"));
        let (ada, eve) = tokio::join!(store.load(&ada), store.load(&eve));
        assert_eq!((&ada.unwrap().unwrap().bytes[..], &eve.unwrap().unwrap().bytes[..]), (&b"y"[..], &b"e"[..]));
    }

    drop(request);
    db.stop();
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Failed(_))));
    db.server = MariaDb::serve(db.dir.path(), db.port);
    db.ready().await;
    assert_eq!(bytes(store).await, "y");
}

#[tokio::test]
async fn who_goes_away_before_the_answer_leaves_it_to_nobody_else() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    let rows = (0..50).map(|n| format!("('id{n}', '{n}', 2000000000, 0)")).collect::<Vec<_>>().join(",");
    db.run(&format!("USE app; INSERT INTO symfony VALUES {rows}")).await;
    let store = db.store(SessionTable::symfony().named("symfony"));
    let mut answered = 0;
    for round in 0..400_u32 {
        let name = format!("id{}", round % 50);
        let id = id(&name);
        // Dropped at a different moment each time.
        let after = Duration::from_micros(u64::from(round % 40) * 25);
        if let Ok(found) = tokio::time::timeout(after, store.load(&id)).await {
            answered += 1;
            assert_eq!(found.unwrap().unwrap().bytes, name[2..], "{name}");
        }
    }
    assert_eq!(store.load(&id("id7")).await.unwrap().unwrap().bytes, "7");
    assert!(answered < 400, "none was dropped");
}

/// Puts this at the end.
async fn add(store: &MySqlStore, name: &str, more: &'static str) -> Result<bool, StoreError> {
    let mut add = |raw: &RawSession| Some([&raw.bytes[..], more.as_bytes()].concat().into());
    store.update(&id(name), &mut add).await
}

const ROWS: &str = r#"
    USE app;
    SET time_zone = '+00:00', NAMES utf8mb4, @now = unix_timestamp();
    INSERT INTO symfony VALUES ('live', x'00ff61', @now + 50, @now), ('long', 'x', @now + 1000, @now), ('over', 'x', @now - 100, @now),
        ('old', 'o', 300, @now - 100), ('ended', 'o', 300, @now - 400), ('far', 'f', 4294967295, @now);
    INSERT INTO sessions (id, payload, last_activity) VALUES ('live', 'grün', @now - 3600), ('over', 'x', @now - 7300);
    INSERT INTO express VALUES ('live', @now + 50, '{}'), ('long', @now + 1000, '{}'), ('over', @now - 1, '{}'), ('null', @now + 50, NULL);
    INSERT INTO django_session VALUES ('live', 'a:b:c', utc_timestamp() + interval 50 second),
        ('long', 'a', utc_timestamp() + interval 1000 second), ('over', 'x', utc_timestamp() - interval 1 second), ('never', 'a', '9999-12-31 23:59:59.999999');
    INSERT INTO tower_sessions.session VALUES ('live', 'x', utc_timestamp() + interval 50 second);
"#;

#[tokio::test]
async fn each_front_ends_rows_are_touched_while_they_live() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    let mut front = db.run(ROWS).await;
    let express = SessionTable::express_mysql_session().named("express");
    let symfony = SessionTable::symfony().named("symfony");
    for table in [symfony.clone(), express, SessionTable::django()] {
        let store = db.written(table.clone());
        assert!(matches!(store.touch(&id("live")).await, Err(StoreError::Unsupported)), "for how long?");
        let store = store.lifetime(Duration::from_secs(100));
        assert_eq!(left(&store, "live").await.unwrap().1, 50);
        for _ in 0..5 {
            assert!(store.touch(&id("live")).await.unwrap(), "also in the same second");
        }
        assert_eq!(left(&store, "live").await.unwrap().1, 100);
        assert!(store.touch(&id("long")).await.unwrap());
        assert_eq!(left(&store, "long").await.unwrap().1, 1000, "never earlier");
        // The database takes the last for the same as `live` in some tables.
        for gone in ["over", "none", "LIVE"] {
            assert!(!store.touch(&id(gone)).await.unwrap());
            assert_eq!(left(&store, gone).await, None);
        }
        let read_only = db.store(table).lifetime(Duration::from_secs(100));
        assert!(matches!(read_only.touch(&id("live")).await, Err(StoreError::Failed(_))));
    }
    let symfony = db.written(symfony).lifetime(Duration::from_secs(100));
    assert!(symfony.touch(&id("old")).await.unwrap());
    assert_eq!(left(&symfony, "old").await.unwrap().1, 300, "a duration stays");
    assert!(!symfony.touch(&id("ended")).await.unwrap());
    assert!(symfony.touch(&id("far")).await.unwrap());
    let django = db.written(SessionTable::django()).lifetime(Duration::from_secs(3600 * 24 * 365 * 20));
    for name in ["live", "never"] {
        assert!(django.touch(&id(name)).await.unwrap(), "{name}: beyond 2038");
    }
    assert!(left(&django, "live").await.unwrap().1 > 3600 * 24 * 365 * 19);
    let ends: Vec<String> = front
        .query("SELECT expire_date FROM django_session WHERE session_key = 'never' UNION SELECT sess_lifetime FROM symfony WHERE sess_id = 'far'")
        .await
        .unwrap();
    assert_eq!(ends, ["9999-12-31 23:59:59.999999", "4294967295"]);
    let laravel = db.written(SessionTable::laravel(Duration::from_secs(7200)));
    assert!(laravel.touch(&id("live")).await.unwrap());
    assert_eq!(left(&laravel, "live").await.unwrap().1, 7200);
    for gone in ["over", "LIVE"] {
        assert!(!laravel.touch(&id(gone)).await.unwrap());
        assert_eq!(left(&laravel, gone).await, None);
    }
    let tower = db.written(SessionTable::tower_sessions()).lifetime(Duration::from_secs(100));
    assert!(matches!(tower.touch(&id("live")).await, Err(StoreError::Unsupported)), "its records say when they end");
}

#[tokio::test]
async fn each_front_ends_rows_are_written_with_the_row_locked() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    let mut request = db.run(ROWS).await;
    let laravel = SessionTable::laravel(Duration::from_secs(7200));
    let express = SessionTable::express_mysql_session().named("express");
    let symfony = SessionTable::symfony().named("symfony");
    for (table, before, time) in [
        (symfony.clone(), &b"\0\xffa"[..], 50),
        (laravel, "grün".as_bytes(), 3600),
        (express.clone(), b"{}", 50),
        (SessionTable::django(), b"a:b:c", 50),
    ] {
        let after = [before, "|é".as_bytes()].concat();
        let store = db.written(table.clone());
        assert_eq!(left(&store, "live").await, Some((before.to_vec(), time)));
        assert!(add(&store, "live", "|é").await.unwrap());
        assert_eq!(left(&store, "live").await, Some((after.clone(), time)));
        assert!(store.update(&id("live"), &mut |_| None).await.unwrap());
        for gone in ["over", "none", "LIVE"] {
            assert!(!store.update(&id(gone), &mut |_| panic!("it is gone")).await.unwrap());
        }
        assert!(matches!(add(&db.store(table), "live", "|").await, Err(StoreError::Failed(_))), "no right to");
        let small = store.max_input(after.len());
        assert!(matches!(add(&small, "live", "|").await, Err(StoreError::Data(SessionError::Limit))));
        assert_eq!(left(&small, "live").await, Some((after, time)));
    }
    let express = db.written(express);
    assert!(matches!(express.update(&id("null"), &mut |_| panic!()).await, Err(StoreError::Data(_))), "cannot be read");
    let no_text = express.update(&id("live"), &mut |_| Some(b"\xff"[..].into())).await;
    assert!(matches!(no_text, Err(StoreError::Failed(_))));
    let store = db.written(symfony.clone()).lock_wait(Duration::from_millis(100));
    let too_large = store.update(&id("live"), &mut |_| Some(vec![b'x'; 65_536].into())).await;
    assert!(matches!(too_large, Err(StoreError::Failed(_))), "for a BLOB: {too_large:?}");
    assert_eq!(left(&store, "live").await.unwrap().0, b"\0\xffa|\xc3\xa9", "and it was not cut");

    // As Symfony has it for the whole of a request.
    request.query_drop("START TRANSACTION; SELECT * FROM symfony WHERE sess_id = 'live' FOR UPDATE").await.unwrap();
    let began = Instant::now();
    for round in 1..=10 {
        assert!(
            matches!(add(&store, "live", "x").await, Err(StoreError::Busy)),
            "also without connections that are left"
        );
        assert!(began.elapsed() >= round * Duration::from_millis(100));
    }
    assert!(began.elapsed() < Duration::from_secs(8), "not in whole seconds");
    assert_eq!(left(&store, "live").await.unwrap().0, b"\0\xffa|\xc3\xa9");
    let touching = store.clone().lifetime(Duration::from_secs(100));
    assert!(matches!(touching.touch(&id("live")).await, Err(StoreError::Busy)));
    assert!(add(&store, "long", "x").await.unwrap(), "another row");
    let second = db.written(symfony.clone()).lock_wait(Duration::from_secs(1));
    assert!(matches!(add(&second, "live", "x").await, Err(StoreError::Busy)));
    let patient = db.written(symfony).lock_wait(Duration::from_secs(10));
    let (added, ()) = tokio::join!(add(&patient, "live", "!"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        request.query_drop("UPDATE symfony SET sess_data = 'theirs' WHERE sess_id = 'live'; COMMIT").await.unwrap();
    });
    assert!(added.unwrap());
    assert_eq!(left(&store, "live").await.unwrap().0, b"theirs!", "read after they had written");

    // Many at once, each on what the others have written.
    let adding = (0..50).map(|_| add(&patient, "old", "+"));
    assert!(futures_util::future::join_all(adding).await.into_iter().all(|added| added.unwrap()));
    assert_eq!(left(&store, "old").await.unwrap().0, [b"o".as_slice(), &[b'+'; 50]].concat());
}

#[tokio::test]
async fn who_goes_away_while_a_row_is_written_leaves_it_as_it_was_and_unlocked() {
    let db = MariaDb::start().await;
    db.run(TABLES).await;
    let mut front = db.run(ROWS).await;
    front.query_drop("SET innodb_lock_wait_timeout = 20").await.unwrap();
    let store = db.written(SessionTable::symfony().named("symfony"));
    let (name, changed) = (id("live"), Notify::new());
    let mut change = |_: &RawSession| {
        changed.notify_one();
        Some("half done".into())
    };
    tokio::select! {
        biased;
        () = changed.notified() => {}
        outcome = store.update(&name, &mut change) => panic!("{outcome:?}"),
    }
    // Nobody asks the store anything now. If the row were locked still, this would fail.
    front
        .query_drop("START TRANSACTION; SELECT * FROM symfony WHERE sess_id = 'live' FOR UPDATE; ROLLBACK")
        .await
        .unwrap();
    assert_eq!(left(&store, "live").await.unwrap().0, b"\0\xffa");
    // At any moment.
    for round in 0..200_u64 {
        let before = left(&store, "old").await.unwrap().0;
        let done = tokio::time::timeout(Duration::from_micros(round * 25), add(&store, "old", "+")).await;
        front.query_drop("UPDATE symfony SET sess_time = sess_time WHERE sess_id = 'old'").await.unwrap();
        let after = left(&store, "old").await.unwrap().0;
        let is_added = after == [&before[..], b"+"].concat();
        assert!(is_added || done.is_err() && after == before, "all or nothing");
    }
    assert!(add(&store, "old", "!").await.unwrap());
}
