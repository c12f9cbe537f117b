//! Redis, PostgreSQL and MariaDB, each on a port of its own, with its data in a directory of its own.

use crate::front::free_port;
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
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
    MariaDb,
}

impl Service {
    pub(crate) fn redis() -> Self {
        Self::start(Kind::Redis, |port| format!("redis://127.0.0.1:{port}"))
    }

    pub(crate) fn postgres() -> Self {
        Self::start(Kind::Postgres, |port| format!("postgres://test@127.0.0.1:{port}/postgres"))
    }

    pub(crate) fn mariadb() -> Self {
        Self::start(Kind::MariaDb, |port| format!("mysql://root@127.0.0.1:{port}/app"))
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
        // For PostgreSQL, the other signal means to wait until everybody has gone; MariaDB does not heed this one.
        let signal = if let Kind::MariaDb = self.kind { Signal::TERM } else { Signal::INT };
        let _ = kill_process(Pid::from_child(&self.server), signal);
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

/// Who databases run as if the test is root, as whom they do not run.
const NOBODY: u32 = 65_534;

impl Kind {
    fn prepare(self, dir: &Path) {
        if let Kind::Redis = self {
            return;
        }
        if getuid().is_root() {
            chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let made = match self {
            Kind::MariaDb => {
                std::fs::write(dir.join("init.sql"), "CREATE DATABASE IF NOT EXISTS app CHARACTER SET utf8mb4;")
                    .unwrap();
                let settings = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
                let log = std::fs::File::create(dir.join("made.log")).unwrap();
                mariadb("mariadb-install-db", dir).args(settings).stdout(log.try_clone().unwrap()).stderr(log).status()
            }
            _ => postgres("initdb", dir)
                .args(["-D", "data", "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8"])
                .status(),
        };
        let log = std::fs::read_to_string(dir.join("made.log")).unwrap_or_default();
        assert!(made.unwrap().success(), "no database: {log}");
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
            Kind::MariaDb => {
                let mut server = mariadb("mariadbd", dir);
                server.args([
                    &format!("--port={port}"),
                    "--bind-address=127.0.0.1",
                    "--socket=socket",
                    "--pid-file=pid",
                ]);
                server.args(["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]);
                server.arg(format!("--init-file={}", dir.join("init.sql").display()));
                server
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
            Kind::Redis | Kind::MariaDb => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
            // It listens before it answers.
            Kind::Postgres => {
                let asked = postgres("pg_isready", dir).args(["-h", "127.0.0.1", "-p", &port.to_string()]).status();
                asked.unwrap().success()
            }
        }
    }
}

fn mariadb(program: &str, dir: &Path) -> Command {
    // Where others than root do not look.
    let mut found = ["/usr/sbin", "/usr/bin"].iter().map(|dir| Path::new(dir).join(program));
    let mut command = unprivileged(&found.find(|path| path.exists()).expect("MariaDB is installed"), dir);
    command
        .args(["--no-defaults", "--innodb-log-file-size=8M"])
        .arg(format!("--datadir={}", dir.join("data").display()))
        .stdin(Stdio::null());
    command
}

fn postgres(program: &str, dir: &Path) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let programs = versions.map(|version| version.unwrap().path().join("bin").join(program));
    unprivileged(&programs.filter(|path| path.exists()).max().expect("PostgreSQL is installed"), dir)
}

fn unprivileged(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(dir).env("LC_ALL", "C.UTF-8").stdout(Stdio::null()).stderr(Stdio::null());
    command
}
