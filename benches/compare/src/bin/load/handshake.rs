//! Connections that are opened, and then cut or closed in good order.

use crate::client::{TOGETHER, expect, open_some};
use crate::server::{Server, cpu_ns};
use crate::{Figures, Span};
use std::io::{self, Write};
use std::time::Instant;

/// Code 1000, masked with zeros.
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8];
const CLOSE_REPLY: &[u8] = &[0x88, 0x02, 0x03, 0xE8];

pub fn run(close: bool, server: &Server, span: Span) -> io::Result<Figures> {
    let open_for = |duration| -> io::Result<usize> {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < duration {
            let mut streams = open_some(server.port, TOGETHER)?;
            count += streams.len();
            if close {
                streams.iter_mut().try_for_each(|stream| stream.write_all(CLOSE))?;
                streams.iter_mut().try_for_each(|stream| expect(stream, CLOSE_REPLY))?;
            }
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
