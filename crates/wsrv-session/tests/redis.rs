//! Sessions in a real Redis, which the tests start.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use wsrv_session::{IdPolicy, RedisStore, SessionError, SessionId, Store, StoreError};

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
