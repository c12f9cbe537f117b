//! Sessions in a real Redis, which the tests start.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use wsrv_session::{IdPolicy, RawSession, RedisStore, SessionError, SessionId, Store, StoreError};

struct Redis {
    addr: SocketAddr,
    server: Child,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self::start_at(port)
    }

    fn start_at(port: u16) -> Self {
        let mut server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        let began = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if let Some(status) = server.try_wait().unwrap() {
                let mut said = String::new();
                server.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("redis-server: {status}: {said}");
            }
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Redis { addr, server }
    }

    fn store(&self, prefix: &str) -> RedisStore {
        RedisStore::new(&format!("redis://{}/", self.addr), prefix).unwrap()
    }

    fn run(&self, command: &[&str]) -> String {
        let port = self.addr.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(command).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn id(text: &str) -> SessionId {
    IdPolicy::express().check(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn sessions_are_read_with_their_end() {
    let redis = Redis::start();
    redis.run(&["SET", "sess:ada", "{}", "EX", "100"]);
    redis.run(&["SET", "sess:for-ever", "x"]);
    let store = redis.store("sess:");
    let ada = store.load(&id("ada")).await.unwrap().unwrap();
    assert_eq!(&ada.bytes[..], b"{}");
    let left = ada.expires.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(90) && left <= Duration::from_secs(100), "{left:?}");
    assert_eq!(store.load(&id("for-ever")).await.unwrap().unwrap().expires, None);
    assert_eq!(store.load(&id("nobody")).await.unwrap(), None);
    assert_eq!(redis.run(&["DBSIZE"]), "2", "nothing was made");
    redis.run(&["PEXPIRE", "sess:ada", "1"]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(store.load(&id("ada")).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_too_large_is_not_fetched_and_what_is_no_string_is_an_error() {
    let redis = Redis::start();
    redis.run(&["SETRANGE", "big", "10", "x"]);
    redis.run(&["LPUSH", "list", "x"]);
    let store = redis.store("").max_input(10);
    assert!(matches!(store.load(&id("big")).await, Err(StoreError::Data(SessionError::Limit))));
    assert!(matches!(store.load(&id("list")).await, Err(StoreError::Failed(_))));
    assert_eq!(store.max_input(11).load(&id("big")).await.unwrap().unwrap().bytes.len(), 11);
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let redis = Redis::start();
    let (port, store) = (redis.addr.port(), redis.store(""));
    redis.run(&["SET", "ada", "x"]);
    assert!(store.load(&id("ada")).await.unwrap().is_some());
    drop(redis);
    assert!(matches!(store.load(&id("ada")).await, Err(StoreError::Failed(_))));
    let redis = Redis::start_at(port);
    redis.run(&["SET", "ada", "y"]);
    let began = Instant::now();
    loop {
        match store.load(&id("ada")).await {
            Ok(found) => break assert_eq!(&found.unwrap().bytes[..], b"y"),
            Err(_) if began.elapsed() < Duration::from_secs(20) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Puts this at the end.
async fn add(store: &RedisStore, name: &str, more: &'static str) -> Result<bool, StoreError> {
    let mut add = |raw: &RawSession| Some([&raw.bytes[..], more.as_bytes()].concat().into());
    store.update(&id(name), &mut add).await
}

#[tokio::test]
async fn a_record_is_touched_only_if_it_is_there_and_ends_later_then_and_never_earlier() {
    let redis = Redis::start();
    let store = redis.store("s:");
    redis.run(&["SET", "s:ada", "x", "EX", "10"]);
    assert!(matches!(store.touch(&id("ada")).await, Err(StoreError::Unsupported)), "for how long?");
    let store = store.lifetime(Duration::from_secs(100));
    let left = |key: &str| redis.run(&["TTL", key]).parse::<i64>().unwrap();
    assert!(store.touch(&id("ada")).await.unwrap());
    assert!((99..=100).contains(&left("s:ada")));
    redis.run(&["EXPIRE", "s:ada", "1000"]);
    redis.run(&["SET", "s:for-ever", "x"]);
    for name in ["ada", "for-ever"] {
        assert!(store.touch(&id(name)).await.unwrap());
    }
    assert!(left("s:ada") >= 999);
    assert_eq!(left("s:for-ever"), -1);
    assert!(!store.touch(&id("nobody")).await.unwrap());
    assert_eq!(redis.run(&["DBSIZE"]), "2", "nothing was made");
}

#[tokio::test]
async fn a_record_is_written_for_what_is_left_of_its_time_and_not_over_what_others_have_written() {
    let redis = Redis::start();
    let store = redis.store("s:");
    assert!(!add(&store, "ada", "x").await.unwrap());
    assert_eq!(redis.run(&["DBSIZE"]), "0", "none is made");
    redis.run(&["SET", "s:ada", "a", "EX", "1000"]);
    assert!(add(&store, "ada", "b").await.unwrap());
    assert_eq!(redis.run(&["GET", "s:ada"]), "ab");
    assert!(redis.run(&["TTL", "s:ada"]).parse::<i64>().unwrap() >= 998);
    // Others write, or end it, between the reading and the writing.
    let mut runs = 0;
    let mut change = |raw: &RawSession| {
        runs += 1;
        if runs == 1 {
            redis.run(&["SET", "s:ada", "other"]);
        }
        Some([&raw.bytes[..], b"+"].concat().into())
    };
    assert!(store.update(&id("ada"), &mut change).await.unwrap());
    assert_eq!((redis.run(&["GET", "s:ada"]), runs), ("other+".to_owned(), 2));
    let mut end = |_: &RawSession| {
        redis.run(&["DEL", "s:ada"]);
        Some("x".into())
    };
    assert!(!store.update(&id("ada"), &mut end).await.unwrap());
    assert_eq!(redis.run(&["DBSIZE"]), "0");
    redis.run(&["SET", "s:ada", "a"]);
    let mut writes = 0;
    let mut meet = |_: &RawSession| {
        writes += 1;
        redis.run(&["SET", "s:ada", &writes.to_string()]);
        Some("x".into())
    };
    let hasty = redis.store("s:").lock_wait(Duration::from_millis(50)).max_input(2);
    assert!(matches!(hasty.update(&id("ada"), &mut meet).await, Err(StoreError::Busy)), "written all the time");
    assert!(writes > 1);
    redis.run(&["SET", "s:ada", "a"]);
    assert!(matches!(add(&hasty, "ada", "bc").await, Err(StoreError::Data(SessionError::Limit))));
    assert_eq!(redis.run(&["GET", "s:ada"]), "a");
}

#[tokio::test]
async fn the_lock_of_phpredis_is_waited_for_and_given_back() {
    let redis = Redis::start();
    let store = redis.store("s:").with_locks().lock_wait(Duration::from_millis(100));
    redis.run(&["SET", "s:ada", "a"]);
    redis.run(&["SET", "s:ada_LOCK", "host|1"]);
    assert!(matches!(add(&store, "ada", "b").await, Err(StoreError::Busy)));
    assert_eq!(redis.run(&["GET", "s:ada"]), "a");
    let (added, ()) = tokio::join!(add(&store, "ada", "b"), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(redis.run(&["GET", "s:ada_LOCK"]), "host|1", "not taken from who has it");
        redis.run(&["DEL", "s:ada_LOCK"]);
    });
    assert!(added.unwrap(), "given back in time");
    let free = async || {
        let began = Instant::now();
        while redis.run(&["EXISTS", "s:ada_LOCK"]) != "0" {
            assert!(began.elapsed() < Duration::from_secs(5), "the lock is left behind");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    free().await;
    // Who loses the lock on the way writes nothing, and does not give back what is somebody else's.
    let mut lose = |_: &RawSession| {
        assert!(redis.run(&["PTTL", "s:ada_LOCK"]).parse::<i64>().unwrap() > 5_000);
        redis.run(&["SET", "s:ada_LOCK", "host|2"]);
        Some("x".into())
    };
    assert!(matches!(store.update(&id("ada"), &mut lose).await, Err(StoreError::Busy)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(redis.run(&["MGET", "s:ada", "s:ada_LOCK"]), "ab\nhost|2");
    redis.run(&["DEL", "s:ada_LOCK"]);
    // Who does not wait for the end gives it back, too.
    let id = id("ada");
    let mut never = |_: &RawSession| panic!("on purpose");
    let update = std::panic::AssertUnwindSafe(store.update(&id, &mut never));
    assert!(futures_util::FutureExt::catch_unwind(update).await.is_err());
    free().await;
}
