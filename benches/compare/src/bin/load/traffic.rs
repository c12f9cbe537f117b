//! Messages in large numbers: echo, broadcast, and one connection that floods the server beside many modest ones.

use crate::client;
use crate::server::{Server, cpu_ns};
use crate::{Figures, Messages, Span};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use std::{process, thread};
use wsrv_compare::Kind;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    Echo,
    Broadcast,
    Fairness,
}

/// How often each modest connection sends its message.
const PING_EVERY: Duration = Duration::from_millis(10);
const PING_SIZE: usize = 16;

/// A server that says nothing for so long has lost something.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(pattern: Pattern, messages: &Messages, server: &Server, span: Span) -> io::Result<Figures> {
    let &Messages { size, connections, window, kind } = messages;
    let main = Script::new(kind, size, window);
    let pings = Script::new(Kind::Binary, PING_SIZE, 1);
    let mut streams = client::open(server.port, connections)?;
    if pattern == Pattern::Broadcast {
        // Who joins after the 101 does not tell when it has.
        thread::sleep(Duration::from_millis(200));
        streams[0].write_all(&main.frames[..main.frame])?;
        streams.iter_mut().try_for_each(|stream| client::expect(stream, &main.reply))?;
    } else {
        for stream in &mut streams {
            client::exchange(stream, &main.frames[..main.frame], &main.reply)?;
        }
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut lines = Vec::with_capacity(connections);
    for (at, stream) in streams.into_iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        let script = if pattern == Pattern::Fairness && at > 0 { &pings } else { &main };
        lines.push(Line { stream, script, written: 0, waiting: 0, read: 0, sent: VecDeque::new(), wants_out: false });
    }
    let now = Instant::now();
    let mut traffic = Traffic {
        pattern,
        epoll,
        lines,
        buffer: vec![0; 256 * 1024],
        deliveries: 0,
        flood: 0,
        latencies: Vec::with_capacity(1 << 20),
        next_ping: (now, 1),
    };
    let senders = if pattern == Pattern::Echo { connections } else { 1 };
    for at in 0..senders {
        traffic.send(at, window, now)?;
    }
    traffic.go_on(span.warm)?;
    traffic.latencies.clear();
    let (deliveries, flood) = (traffic.deliveries, traffic.flood);
    let (cpu, own, start) = (server.cpu_ns()?, cpu_ns(process::id())?, Instant::now());
    traffic.go_on(span.measured)?;
    let wall = start.elapsed().as_nanos() as f64;
    let (cpu, own) = ((server.cpu_ns()? - cpu) as f64, (cpu_ns(process::id())? - own) as f64);

    let (deliveries, flood) = (traffic.deliveries - deliveries, traffic.flood - flood);
    let mut latencies = traffic.latencies;
    if deliveries == 0 {
        return Err(io::Error::other("nothing came back"));
    }
    let mut figures = vec![
        ("cpu_ns", cpu / deliveries as f64),
        ("per_s", deliveries as f64 * 1e9 / wall),
        ("flood_per_s", flood as f64 * 1e9 / wall),
        ("server_busy", cpu / wall),
        ("load_busy", own / wall),
    ];
    latencies.sort_unstable();
    // A broadcast to very many may not have been done even once.
    if let Some(last) = latencies.len().checked_sub(1) {
        let quantile = |q: f64| f64::from(latencies[(last as f64 * q) as usize]);
        figures.extend([("p50_ns", quantile(0.5)), ("p99_ns", quantile(0.99)), ("p999_ns", quantile(0.999))]);
    }
    Ok(figures)
}

/// What is sent again and again, and what comes back.
struct Script {
    /// One frame more than are ever under way, so that any number of them lies in one piece from any point on.
    frames: Vec<u8>,
    frame: usize,
    reply: Vec<u8>,
}

impl Script {
    fn new(kind: Kind, size: usize, window: usize) -> Self {
        let frame = kind.client_frame(size);
        Self { frames: frame.repeat(window + 1), frame: frame.len(), reply: kind.server_frame(size) }
    }
}

/// One connection.
struct Line<'a> {
    stream: TcpStream,
    script: &'a Script,
    /// Bytes of the current frame that have been written, and bytes that are to be written from there on.
    written: usize,
    waiting: usize,
    /// Bytes of the current reply that have been read.
    read: usize,
    /// When the messages under way were sent.
    sent: VecDeque<Instant>,
    wants_out: bool,
}

struct Traffic<'a> {
    pattern: Pattern,
    epoll: OwnedFd,
    lines: Vec<Line<'a>>,
    buffer: Vec<u8>,
    /// Messages that arrived, at each connection on its own; and those that arrived at the one that floods.
    deliveries: u64,
    flood: u64,
    /// In nanoseconds.
    latencies: Vec<u32>,
    /// When the next modest message is due, and whose it is.
    next_ping: (Instant, usize),
}

impl Traffic<'_> {
    fn go_on(&mut self, duration: Duration) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        let start = Instant::now();
        let mut heard = start;
        while start.elapsed() < duration {
            // Who sends by the clock does not sleep, or would be late by as much as the clock of sleepers is coarse.
            let tv_nsec = if self.pattern == Pattern::Fairness { 0 } else { 1_000_000 };
            let timeout = Timespec { tv_sec: 0, tv_nsec };
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            if !events.is_empty() {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                return Err(io::Error::other("the server has fallen silent"));
            }
            for event in &events {
                let (at, flags) = (event.data.u64() as usize, event.flags);
                if flags != epoll::EventFlags::OUT {
                    self.receive(at)?;
                }
                self.flush(at)?;
            }
            if self.pattern == Pattern::Fairness {
                self.ping()?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) -> io::Result<()> {
        let line = &mut self.lines[at];
        let read = match line.stream.read(&mut self.buffer) {
            Ok(0) => return Err(io::Error::other("the server has closed a connection")),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        // All of it was compared once; from here on only how each read begins.
        let (reply, end) = (&line.script.reply, line.read + read);
        let same = read.min(reply.len() - line.read).min(64);
        if self.buffer[..same] != reply[line.read..line.read + same] {
            return Err(io::Error::other("not the reply it should be"));
        }
        line.read = end % reply.len();
        let count = end / reply.len();
        if count > 0 { self.received(at, count) } else { Ok(()) }
    }

    /// So many messages have come in at a connection.
    fn received(&mut self, at: usize, count: usize) -> io::Result<()> {
        let now = Instant::now();
        let before = self.deliveries;
        self.deliveries += count as u64;
        let (sender, done) = match self.pattern {
            Pattern::Echo | Pattern::Fairness => (at, count),
            Pattern::Broadcast => {
                let all = self.lines.len() as u64;
                (0, (self.deliveries / all - before / all) as usize)
            }
        };
        let is_flood = self.pattern == Pattern::Fairness && at == 0;
        for _ in 0..done {
            let sent = self.lines[sender].sent.pop_front();
            let sent = sent.ok_or_else(|| io::Error::other("more messages than were sent"))?;
            if !is_flood {
                self.latencies.push(u32::try_from((now - sent).as_nanos()).unwrap_or(u32::MAX));
            }
        }
        if is_flood {
            self.flood += count as u64;
        }
        let sends_again = self.pattern != Pattern::Fairness || is_flood;
        if sends_again && done > 0 { self.send(sender, done, now) } else { Ok(()) }
    }

    /// Sends what is due at the modest connections, which take turns. A late message counts from when it was due.
    fn ping(&mut self) -> io::Result<()> {
        let modest = self.lines.len() - 1;
        let now = Instant::now();
        while modest > 0 && self.next_ping.0 <= now {
            let (due, at) = self.next_ping;
            // Also if the one before has not come back, unless the socket has not even taken that.
            if self.lines[at].waiting == 0 {
                self.send(at, 1, due)?;
            }
            self.next_ping = (due + PING_EVERY / modest as u32, at % modest + 1);
        }
        Ok(())
    }

    fn send(&mut self, at: usize, count: usize, time: Instant) -> io::Result<()> {
        let line = &mut self.lines[at];
        line.sent.extend(std::iter::repeat_n(time, count));
        line.waiting += count * line.script.frame;
        self.flush(at)
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let line = &mut self.lines[at];
        while line.waiting > 0 {
            match line.stream.write(&line.script.frames[line.written..line.written + line.waiting]) {
                Ok(written) => {
                    line.waiting -= written;
                    line.written = (line.written + written) % line.script.frame;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_out = line.waiting > 0;
        if wants_out != line.wants_out {
            line.wants_out = wants_out;
            let out = if wants_out { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let data = epoll::EventData::new_u64(at as u64);
            epoll::modify(&self.epoll, &line.stream, data, epoll::EventFlags::IN | out)?;
        }
        Ok(())
    }
}
