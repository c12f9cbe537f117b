//! Connections that are opened, and no more.

use crate::client::{TOGETHER, open_some};
use crate::server::{Server, cpu_ns};
use crate::{Figures, Span};
use std::io;
use std::time::Instant;

pub fn run(server: &Server, span: Span) -> io::Result<Figures> {
    let open_for = |duration| -> io::Result<usize> {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < duration {
            count += open_some(server.port, TOGETHER)?.len();
        }
        Ok(count)
    };
    open_for(span.warm)?;
    let (cpu, own, start) = (server.cpu_ns()?, cpu_ns(std::process::id())?, Instant::now());
    let count = open_for(span.measured)? as f64;
    let wall = start.elapsed().as_nanos() as f64;
    let (cpu, own) = ((server.cpu_ns()? - cpu) as f64, (cpu_ns(std::process::id())? - own) as f64);
    Ok(vec![
        ("cpu_ns", cpu / count),
        ("per_s", count * 1e9 / wall),
        ("server_busy", cpu / wall),
        ("load_busy", own / wall),
    ])
}
