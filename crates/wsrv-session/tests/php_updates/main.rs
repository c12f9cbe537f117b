//! Sessions that are changed and touched here, and are PHP's all the time.

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wsrv_session::cookie::Credentials;
use wsrv_session::{
    Codec, FileNames, FilesStore, ReadOnly, RedisStore, Session, Sessions, State, StoreError, UpdateError,
};

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A server of its own process group, which is ended with it.
struct Server {
    addr: SocketAddr,
    process: Child,
}

impl Server {
    fn start(program: &str, port: u16, arguments: &[String]) -> Self {
        let mut process = Command::new(program)
            .args(arguments)
            .env("PHP_CLI_SERVER_WORKERS", "8")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is installed: {error}"));
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        let began = Instant::now();
        while TcpStream::connect(addr).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "{program} has ended");
            assert!(began.elapsed() < Duration::from_secs(20), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Server { addr, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

fn php(settings: &[String]) -> Server {
    let port = free_port();
    let mut arguments = vec!["-S".to_owned(), format!("127.0.0.1:{port}")];
    for setting in settings {
        arguments.extend(["-d".to_owned(), setting.clone()]);
    }
    arguments.push(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php_updates/front.php").to_owned());
    Server::start("php", port, &arguments)
}

/// PHP with its sessions in files of a directory.
fn php_with_files(dir: &Path, serializer: &str, lifetime: u64) -> Server {
    php(&[
        format!("session.save_path={}", dir.display()),
        format!("session.serialize_handler={serializer}"),
        format!("session.gc_maxlifetime={lifetime}"),
        // Every request looks for sessions that are over.
        "session.gc_probability=1".to_owned(),
        "session.gc_divisor=1".to_owned(),
    ])
}

/// What a page says, and the id of the session. Without one it begins another.
fn page(front: SocketAddr, path: &str, id: &str) -> (Value, String) {
    let mut peer = TcpStream::connect(front).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let cookie = if id.is_empty() { String::new() } else { format!("Cookie: PHPSESSID={id}\r\n") };
    // In one piece: PHP's server may take the first one for all.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{cookie}\r\n");
    peer.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    let mut body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    (body["answer"].take(), body["id"].as_str().unwrap().to_owned())
}

fn start(front: &Server) -> String {
    page(front.addr, "/start", "").1
}

fn values(front: &Server, id: &str) -> Value {
    page(front.addr, "/values", id).0
}

async fn find(sessions: Sessions, id: &str) -> Session {
    let cookie = format!("PHPSESSID={id}");
    sessions.find(&Credentials::new([("cookie", cookie.as_bytes())])).await.unwrap()
}

fn files(dir: &Path, lifetime: u64) -> FilesStore {
    FilesStore::new(dir, FileNames::Php { levels: 0 }, Duration::from_secs(lifetime))
}

fn file(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("sess_{id}"))
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|found| found == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[tokio::test]
async fn php_reads_what_was_written_and_finds_all_else_byte_for_byte() {
    for (serializer, codec) in
        [("php", Codec::php()), ("php_binary", Codec::php_binary()), ("php_serialize", Codec::php_serialize())]
    {
        let dir = tempfile::tempdir().unwrap();
        let front = php_with_files(dir.path(), serializer, 1440);
        let id = start(&front);
        let before = std::fs::read(file(dir.path(), &id)).unwrap();
        assert!(before.windows(20).any(|found| found == b"d:0.10000000000000001"[..20].as_ref()));
        let session = find(Sessions::php(files(dir.path(), 1440)).codec(codec), &id).await;
        let cart = json!({"items": [{"id": 7, "price": 0.5}], "note": "ü|;}\0\"", "none": null, "12": true});
        let after = session
            .update(|draft| {
                draft.set("user", "grace")?;
                assert!(draft.remove("gone")?);
                draft.set_at(&["list", "2", "x"], &-1)?;
                draft.set("cart", &cart)
            })
            .await
            .unwrap();
        assert_eq!(after.path::<f64>("cart.items.0.price").unwrap(), Some(0.5));

        let key = |name: &str| match serializer {
            "php" => format!("{name}|"),
            "php_binary" => format!("{}{name}", char::from(name.len() as u8)),
            _ => format!("s:{}:\"{name}\";", name.len()),
        };
        let mut expected = replaced(&before, b"s:3:\"ada\"", b"s:5:\"grace\"");
        expected = replaced(&expected, format!("{}i:1;", key("gone")).as_bytes(), b"");
        expected = replaced(&expected, b"s:1:\"x\";N;", b"s:1:\"x\";i:-1;");
        let written = format!(
            "{}a:4:{{i:12;b:1;s:5:\"items\";a:1:{{i:0;a:2:{{s:2:\"id\";i:7;s:5:\"price\";d:0.5;}}}}s:4:\"none\";N;\
             s:4:\"note\";s:7:\"ü|;}}\0\"\";}}",
            key("cart")
        );
        let end = expected.len() - usize::from(serializer == "php_serialize");
        expected.splice(end..end, written.into_bytes());
        let found = std::fs::read(file(dir.path(), &id)).unwrap();
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{serializer}");

        let seen = values(&front, &id);
        assert_eq!(seen["is_whole"], true, "{serializer}");
        assert_eq!(seen["values"]["user"], "grace");
        assert_eq!(seen["values"]["cart"], cart);
        assert_eq!(seen["values"]["gone"], Value::Null);
        assert_eq!(seen["types"]["score"], "float");
        assert_eq!(seen["values"]["list"][2], json!({"x": -1, "7": true}));
        // And it goes on with it: what it has not changed, it writes as it was.
        page(front.addr, "/add?key=n", &id);
        let session = session.reload().await.unwrap();
        assert_eq!(session.get::<u8>("n").unwrap(), Some(1));
        assert_eq!(session.path::<bool>("cart.12").unwrap(), Some(true));
    }
}

#[tokio::test]
async fn what_php_shares_is_left_alone_and_what_php_has_ended_stays_ended() {
    let dir = tempfile::tempdir().unwrap();
    let front = php_with_files(dir.path(), "php", 1440);
    let sessions = || Sessions::php(files(dir.path(), 1440));
    let set = |draft: &mut wsrv_session::Draft<'_>| draft.set("user", "grace");

    let id = start(&front);
    page(front.addr, "/share", &id);
    let shared = file(dir.path(), &id);
    let state = || (std::fs::read(&shared).unwrap(), std::fs::metadata(&shared).unwrap().modified().unwrap());
    let before = state();
    let session = find(sessions(), &id).await;
    assert!(matches!(session.update(set).await, Err(UpdateError::ReadOnly(ReadOnly::References))));
    assert_eq!(state(), before);
    assert_eq!(values(&front, &id)["is_whole"], true);

    page(front.addr, "/destroy", &id);
    assert!(matches!(session.update(set).await, Err(UpdateError::Gone)));
    assert!(!session.touch().await.unwrap());
    assert!(!shared.exists());

    let id = start(&front);
    let session = find(Sessions::php(files(dir.path(), 100)), &id).await;
    let old = file(dir.path(), &id);
    let before = std::fs::read(&old).unwrap();
    let modified = std::time::SystemTime::now() - Duration::from_secs(101);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(modified).unwrap();
    assert!(matches!(session.update(set).await, Err(UpdateError::Gone)));
    assert!(!session.touch().await.unwrap());
    assert_eq!(
        (std::fs::read(&old).unwrap(), std::fs::metadata(&old).unwrap().modified().unwrap()),
        (before, modified)
    );
}

#[tokio::test]
async fn a_page_that_takes_long_is_waited_for_only_so_long_and_is_not_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let front = php_with_files(dir.path(), "php", 1440);
    let id = start(&front);
    let hasty = Sessions::php(files(dir.path(), 1440).lock_wait(Duration::from_millis(200)));
    let hasty = find(hasty, &id).await;
    let patient = Sessions::php(files(dir.path(), 1440).lock_wait(Duration::from_secs(20)));
    let patient = find(patient.store_timeout(Duration::from_secs(30)), &id).await;
    let (addr, of_page) = (front.addr, id.clone());
    let slow = std::thread::spawn(move || {
        let began = Instant::now();
        page(addr, "/slow", &of_page);
        began.elapsed()
    });
    // Until the page has its lock.
    let lock = std::fs::File::open(file(dir.path(), &id)).unwrap();
    while flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        flock(&lock, FlockOperation::Unlock).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    let set = |draft: &mut wsrv_session::Draft<'_>| draft.set("user", "grace");
    assert!(matches!(hasty.update(set).await, Err(UpdateError::Store(StoreError::Busy))));
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(hasty.touch().await.unwrap(), "for which nobody waits");
    // Who waits writes after the page, on what the page has written.
    let after = patient.update(set).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(1));
    assert_eq!(after.get::<bool>("slow").unwrap(), Some(true));
    let took = slow.join().unwrap();
    assert!(took < Duration::from_millis(2_900), "{took:?}: two seconds, and little more");
    assert_eq!(values(&front, &id)["values"]["user"], "grace");
}

/// Hundreds of changes from both sides at once, of which each has to count.
async fn count_together(front: &Server, session: &Session, id: &str) {
    const EACH: usize = 200;
    const KEYS: usize = 20;
    let pages = (0..8).map(|thread| {
        let (addr, id) = (front.addr, id.to_owned());
        std::thread::spawn(move || {
            for at in (thread..EACH).step_by(8) {
                page(addr, &format!("/add?key=theirs{}", at % KEYS), &id);
            }
        })
    });
    let pages = pages.collect::<Vec<_>>();
    let updates = (0..EACH).map(|at| {
        let session = session.clone();
        tokio::spawn(async move {
            let key = format!("ours{}", at % KEYS);
            let add = session.update(|draft| {
                let count = draft.get::<usize>(&key)?.unwrap_or(0);
                draft.set(&key, &(count + 1))
            });
            add.await.unwrap();
        })
    });
    for update in updates.collect::<Vec<_>>() {
        update.await.unwrap();
    }
    tokio::task::spawn_blocking(|| pages.into_iter().for_each(|page| page.join().unwrap())).await.unwrap();
    let seen = values(front, id);
    for side in ["ours", "theirs"] {
        for key in 0..KEYS {
            assert_eq!(seen["values"][format!("{side}{key}")], EACH / KEYS, "{side}{key}");
        }
    }
    assert_eq!(seen["is_whole"], true);
}

#[tokio::test]
async fn no_change_is_lost_when_pages_and_sockets_change_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let front = php_with_files(dir.path(), "php", 1440);
    let id = start(&front);
    let sessions = Sessions::php(files(dir.path(), 1440).lock_wait(Duration::from_secs(60)));
    let session = find(sessions.store_timeout(Duration::from_secs(60)), &id).await;
    count_together(&front, &session, &id).await;
}

#[tokio::test]
async fn no_change_is_lost_when_pages_and_sockets_change_the_same_record_in_redis() {
    let modules = Command::new("php").arg("-m").output().expect("php is installed").stdout;
    if !String::from_utf8_lossy(&modules).lines().any(|module| module == "redis") {
        eprintln!("without phpredis (Debian: php-redis) there is nobody to change it with");
        return;
    }
    let port = free_port();
    let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let redis = Server::start("redis-server", port, &arguments.map(str::to_owned));
    let front = php(&[
        "session.save_handler=redis".to_owned(),
        format!("session.save_path=tcp://{}", redis.addr),
        "redis.session.locking_enabled=1".to_owned(),
        // Until it gets it, asked every two milliseconds.
        "redis.session.lock_retries=-1".to_owned(),
        "redis.session.lock_wait_time=2000".to_owned(),
    ]);
    let id = start(&front);
    let store = RedisStore::new(&format!("redis://{}/", redis.addr), "PHPREDIS_SESSION:").unwrap();
    let store = store.with_locks().lock_wait(Duration::from_secs(60)).lifetime(Duration::from_secs(5000));
    let session = find(Sessions::php(store).store_timeout(Duration::from_secs(60)), &id).await;
    count_together(&front, &session, &id).await;
    let expires = async || session.reload().await.unwrap().expires().unwrap();
    let before = expires().await;
    session.update(|draft| draft.set("user", "grace")).await.unwrap();
    assert!(expires().await < before + Duration::from_secs(60), "a change prolongs nothing");
    assert!(session.touch().await.unwrap());
    assert!(expires().await > before + Duration::from_secs(3000));
    page(front.addr, "/destroy", &id);
    assert!(matches!(session.update(|draft| draft.set("user", "eve")).await, Err(UpdateError::Gone)));
    assert_eq!(session.reload().await.unwrap().state(), State::Gone);
}

#[tokio::test]
async fn a_session_that_is_touched_lives_on_and_another_one_ends() {
    let dir = tempfile::tempdir().unwrap();
    let front = php_with_files(dir.path(), "php", 3);
    let (kept, left) = (start(&front), start(&front));
    let sessions = Sessions::php(files(dir.path(), 3));
    let (session, other) = (find(sessions.clone(), &kept).await, find(sessions, &left).await);
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(session.touch().await.unwrap());
    }
    assert!(!other.touch().await.unwrap());
    // A page of somebody else's, which collects what is over for PHP.
    start(&front);
    assert!(!file(dir.path(), &left).exists());
    assert_eq!(values(&front, &kept)["values"]["user"], "ada");
    assert_eq!(other.reload().await.unwrap().state(), State::Gone);
}
