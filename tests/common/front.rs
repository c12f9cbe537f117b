//! A web front end that the tests start: a program with the pages `/login?u=`, `/whoami`, `/logout` and `/slow`.

#![allow(dead_code, unreachable_pub)]

use crate::common::Peer;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A program that is started with its own settings.
pub struct Front {
    addr: SocketAddr,
    cookie: &'static str,
    process: Child,
    log: PathBuf,
}

impl Front {
    /// Starts it in `tests/fronts`, with `PORT` and `STORE` in its environment, and waits until it listens. `dir` is for its
    /// log, `cookie` what its first cookie is called.
    pub fn start(mut program: Command, port: u16, store: &str, dir: &Path, cookie: &'static str) -> Self {
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        let log = dir.join("front.log");
        let file = File::create(&log).unwrap();
        let process = program
            .env("PORT", port.to_string())
            .env("STORE", store)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fronts"))
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            // With its workers, to be ended together.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error}; `scripts/test install` installs what is missing"));
        let mut front = Front { addr, cookie, process, log };
        let began = Instant::now();
        while TcpStream::connect(addr).is_err() {
            assert!(front.process.try_wait().unwrap().is_none(), "it has ended: {}", front.said());
            assert!(began.elapsed() < Duration::from_secs(60), "it does not listen: {}", front.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        front
    }

    /// PHP's own web server with this script.
    pub fn php(script: &str, store: &str, dir: &Path, cookie: &'static str, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut php = Command::new("php");
        php.args(["-S", &format!("127.0.0.1:{port}"), script]).env("PHP_CLI_SERVER_WORKERS", "4");
        php.envs(settings.iter().copied());
        Self::start(php, port, store, dir, cookie)
    }

    /// What a page says, and the cookies that a visitor with these has from then on.
    pub async fn get(&self, path: &str, cookies: &str) -> (Value, String) {
        let mut peer = Peer::connect(self.addr).await;
        peer.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n").as_bytes()).await;
        let head = peer.head().await;
        assert!(head.contains(" 200 "), "{path}: {head}{}", self.said());
        let mut jar: Vec<&str> = cookies.split("; ").filter(|pair| !pair.is_empty()).collect();
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        for (_, set) in headers.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let pair = set.split(';').next().unwrap().trim();
            let name = |pair: &str| pair.split('=').next().unwrap().to_owned();
            match jar.iter_mut().find(|known| name(known) == name(pair)) {
                Some(known) => *known = pair,
                None => jar.push(pair),
            }
        }
        (serde_json::from_slice(&peer.rest().await).unwrap(), jar.join("; "))
    }

    /// The cookies of a visitor who had these, or none, and has logged in.
    pub async fn log_in(&self, user: &str, cookies: &str) -> String {
        let (_, cookies) = self.get(&format!("/login?u={user}"), cookies).await;
        assert!(cookies.starts_with(self.cookie), "no cookie: {cookies}");
        cookies
    }

    /// What its first cookie is called.
    pub fn cookie(&self) -> &'static str {
        self.cookie
    }

    /// The end of its log.
    fn said(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
