//! Cookies that no front end has made.

use crate::site::{Looks, Site, for_each};
use crate::table::{Kept, Row};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs foreign front ends: scripts/test install fronts"]
async fn no_store_is_asked_for_what_is_no_id_and_who_has_none_is_nobody() {
    for_each(|_| true, check).await;
}

async fn check(row: &'static Row) {
    let site = Site::start(row).await;
    let genuine = site.front.log_in("ada", "").await;
    let name = site.front.cookie();
    let mut redis = match (row.kept, &site.service) {
        (Kept::Redis, Some(service)) => Some(Monitor::start(service.port()).await),
        _ => None,
    };
    let none = ["../x", "..%2Fx", "%2e%2e%2fx", ".", "..", "a/b", "a\\b", "s%3A../x.sig", "\"x\"", "x y"];
    let mut cookies: Vec<_> = none.iter().map(|id| format!("{name}={id}")).collect();
    cookies.push(String::new());
    cookies.push(format!("other=x; {}", name.to_uppercase() + "X=y"));
    cookies.push(format!("{name}={}", "a".repeat(3000)));
    if row.signed {
        let (_peer, told) = site.connect(&tampered(&genuine)).await;
        assert_eq!(told["state"], "Refused(BadSignature)");
        cookies.push(tampered(&genuine));
    }
    for cookie in &cookies {
        let (_peer, told) = site.connect(cookie).await;
        assert_eq!(told["user"], Value::Null, "{cookie}");
        assert_ne!(told["state"], "Present", "{cookie}");
        assert_eq!(site.status("/members", cookie).await, 401, "{cookie}");
    }
    assert_eq!(site.looks(), Looks::default(), "no store has been asked");
    if let Some(redis) = &mut redis {
        assert_eq!(redis.looks().await, 0, "and Redis knows of nothing");
    }
    if !row.signed {
        // An id like those that the front end makes, and the store tells that it is none.
        let (_peer, told) = site.connect(&tampered(&genuine)).await;
        assert_eq!((told["state"].as_str(), told["user"].as_str()), (Some("Gone"), None));
        assert_eq!(site.status("/members", &tampered(&genuine)).await, 401);
    }
    assert_eq!(site.status("/members", &genuine).await, 101);
    if let Some(redis) = &mut redis {
        assert!(redis.looks().await > 0, "it would have been seen");
    }
}

/// The same with two groups of four letters exchanged, which breaks no format around what is signed: Laravel's cookie is
/// base64 of a JSON that ends with the code that is to fail. In ids and others' signatures any letters will do.
fn tampered(cookie: &str) -> String {
    let (name, value) = cookie.split_at(cookie.find('=').unwrap() + 1);
    let groups = value.len() / 4;
    let from = groups * 3 / 4;
    let is_fit = |at: &usize| {
        let both = &value[at * 4..at * 4 + 8];
        both.bytes().all(|byte| byte.is_ascii_alphanumeric()) && both[..4] != both[4..]
    };
    let at = (from..groups - 1).chain(0..from).find(is_fit).unwrap() * 4;
    [name, &value[..at], &value[at + 4..at + 8], &value[at..at + 4], &value[at + 8..]].concat()
}

/// Everything that a Redis is asked.
struct Monitor {
    stream: BufReader<TcpStream>,
    port: u16,
    marks: usize,
}

impl Monitor {
    async fn start(port: u16) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        stream.write_all(b"MONITOR\r\n").await.unwrap();
        let mut ok = String::new();
        stream.read_line(&mut ok).await.unwrap();
        assert_eq!(ok, "+OK\r\n");
        Monitor { stream, port, marks: 0 }
    }

    /// How many looks at a session there have been since it was last asked.
    async fn looks(&mut self) -> usize {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        let mut other = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        other.write_all(format!("ECHO {mark}\r\n").as_bytes()).await.unwrap();
        let mut looks = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.stream.read_line(&mut line).await.unwrap(), 0);
            if line.contains(&mark) {
                return looks;
            }
            looks += usize::from(line.contains("\"GETRANGE\""));
        }
    }
}
