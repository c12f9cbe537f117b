//! Connections that have talked once and are silent now: what do they take, and what do they leave behind?

use crate::client::{TOGETHER, exchange, open, open_tls};
use crate::server::Server;
use crate::{Figures, tls};
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;
use wsrv_compare::Kind;

/// For a server to do what it has put off.
const SETTLE: Duration = Duration::from_millis(500);

pub fn run(connections: usize, over_tls: bool, server: &Server) -> io::Result<Figures> {
    if over_tls {
        let config = tls::config();
        return measure(connections, server, |count| (0..count).map(|_| open_tls(server.port, &config)).collect());
    }
    measure(connections, server, |count| open(server.port, count))
}

fn measure<S: Read + Write>(
    connections: usize,
    server: &Server,
    open: impl Fn(usize) -> io::Result<Vec<S>>,
) -> io::Result<Figures> {
    let (message, reply) = (Kind::Binary.client_frame(16), Kind::Binary.server_frame(16));
    // What the first connections make the server allocate once and for all is not theirs.
    for stream in &mut open(TOGETHER)? {
        exchange(stream, &message, &reply)?;
    }
    thread::sleep(SETTLE);
    let before = server.memory()?;
    let mut streams = open(connections)?;
    for stream in &mut streams {
        exchange(stream, &message, &reply)?;
    }
    thread::sleep(SETTLE);
    let (with, cpu) = (server.memory()?, server.cpu_ns()?);
    thread::sleep(SETTLE);
    let idle = server.cpu_ns()? - cpu;
    drop(streams);
    thread::sleep(SETTLE);
    let after = server.memory()?;
    let grown = |now: u64, before: u64| now as f64 - before as f64;
    Ok(vec![
        ("bytes", grown(with.0, before.0) / connections as f64),
        ("anonymous_bytes", grown(with.1, before.1) / connections as f64),
        ("kept", grown(after.1, before.1) / grown(with.1, before.1)),
        ("rss_before", before.0 as f64),
        ("rss_with", with.0 as f64),
        ("rss_after", after.0 as f64),
        ("idle_cpu_ns_per_s", idle as f64 / SETTLE.as_secs_f64()),
    ])
}
