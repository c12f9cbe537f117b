//! Redis and PostgreSQL, each on a port of its own, with its data in a directory of its own.

use crate::front::free_port;
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that can be stopped and goes on with the same data later.
pub(crate) struct Service {
    pub(crate) url: String,
    kind: Kind,
    port: u16,
    dir: TempDir,
    server: Child,
}

#[derive(Clone, Copy)]
enum Kind {
    Redis,
    Postgres,
}

impl Service {
    pub(crate) fn redis() -> Self {
        Self::start(Kind::Redis, |port| format!("redis://127.0.0.1:{port}"))
    }

    pub(crate) fn postgres() -> Self {
        Self::start(Kind::Postgres, |port| format!("postgres://test@127.0.0.1:{port}/postgres"))
    }

    fn start(kind: Kind, url: fn(u16) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        kind.prepare(dir.path());
        let port = free_port();
        Service { url: url(port), kind, port, server: kind.serve(dir.path(), port), dir }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it, and whoever is connected is sent away.
    pub(crate) fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::INT);
        let _ = self.server.wait();
    }

    pub(crate) fn resume(&mut self) {
        self.server = self.kind.serve(self.dir.path(), self.port);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who PostgreSQL runs as if the test is root, as whom it does not run.
const NOBODY: u32 = 65_534;

impl Kind {
    fn prepare(self, dir: &Path) {
        if let Kind::Postgres = self {
            if getuid().is_root() {
                chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            let made = postgres("initdb", dir)
                .args(["-D", "data", "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8"])
                .status();
            assert!(made.unwrap().success(), "initdb");
        }
    }

    /// Starts it and waits until it can be asked.
    fn serve(self, dir: &Path, port: u16) -> Child {
        let at = port.to_string();
        let mut server = match self {
            Kind::Redis => {
                let mut redis = Command::new("redis-server");
                // It saves what it has when it ends.
                redis.args(["--port", &at, "--bind", "127.0.0.1", "--save", "3600 1"]).arg("--dir").arg(dir);
                redis.stdout(Stdio::null());
                redis
            }
            Kind::Postgres => {
                let mut server = postgres("postgres", dir);
                server.args(["-D", "data", "-p", &at, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
                server.args(["-c", "unix_socket_directories="]);
                server
            }
        };
        let mut server = server.spawn().unwrap_or_else(|error| panic!("{server:?}: {error}"));
        let began = Instant::now();
        while !self.is_ready(dir, port) {
            assert!(server.try_wait().unwrap().is_none(), "it has ended");
            assert!(began.elapsed() < Duration::from_secs(30), "it is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn is_ready(self, dir: &Path, port: u16) -> bool {
        match self {
            Kind::Redis => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
            // It listens before it answers.
            Kind::Postgres => {
                let asked = postgres("pg_isready", dir).args(["-h", "127.0.0.1", "-p", &port.to_string()]).status();
                asked.unwrap().success()
            }
        }
    }
}

fn postgres(program: &str, dir: &Path) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(program));
    let found: PathBuf = programs.filter(|path| path.exists()).max().expect("PostgreSQL is installed");
    let mut command = Command::new(found);
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(dir).env("LC_ALL", "C.UTF-8").stdout(Stdio::null()).stderr(Stdio::null());
    command
}
