//! What a WebSocket takes at least: epoll, one buffer for all, replies built in place, one write for each read.
//!
//! It trusts its peers, checks nothing, and keeps what a socket does not take without any bound. No server can be like
//! this; it shows how much of the others' time is the kernel's.

use crate::Mode;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use wsrv_compare::{ACCEPT, header};

const LISTENER: u64 = u64::MAX;

struct Server {
    mode: Mode,
    epoll: OwnedFd,
    peers: Vec<Option<Peer>>,
    /// Places in `peers` that nobody has.
    free: Vec<usize>,
}

struct Peer {
    stream: TcpStream,
    at: u64,
    is_open: bool,
    /// The beginning of a frame, or of the request.
    input: Vec<u8>,
    output: Vec<u8>,
}

pub fn serve(mode: Mode, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    println!("ready");
    let mut server = Server { mode, epoll, peers: Vec::new(), free: Vec::new() };
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        events.clear();
        epoll::wait(&server.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    server.add(stream)?;
                }
                continue;
            }
            let at = event.data.u64() as usize;
            if server.turn(at, &mut buffer).is_err() {
                server.peers[at] = None;
                server.free.push(at);
            }
        }
    }
}

impl Server {
    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let at = self.free.pop().unwrap_or(self.peers.len());
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        self.peers.resize_with(self.peers.len().max(at + 1), || None);
        let (input, output) = (Vec::new(), Vec::new());
        self.peers[at] = Some(Peer { stream, at: at as u64, is_open: false, input, output });
        Ok(())
    }

    fn turn(&mut self, at: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Some(peer) = &mut self.peers[at] else { return Ok(()) };
        if !peer.output.is_empty() {
            peer.write(&self.epoll, &[])?;
        }
        match peer.stream.read(buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) if peer.is_open => self.messages(at, &mut buffer[..read]),
            Ok(read) => peer.handshake(&self.epoll, &buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn messages(&mut self, at: usize, read: &mut [u8]) -> io::Result<()> {
        let Some(peer) = &mut self.peers[at] else { return Ok(()) };
        let mut input = std::mem::take(&mut peer.input);
        let bytes = if input.is_empty() {
            read
        } else {
            input.extend_from_slice(read);
            &mut input[..]
        };
        let (used, replies) = reply(bytes);
        peer.input = bytes[used..].to_vec();
        if self.mode == Mode::Echo {
            peer.write(&self.epoll, &bytes[..replies])?;
        } else if replies > 0 {
            for peer in self.peers.iter_mut().flatten().filter(|peer| peer.is_open) {
                // Who is gone will be found out in its own turn.
                let _ = peer.write(&self.epoll, &bytes[..replies]);
            }
        }
        Ok(())
    }
}

impl Peer {
    fn handshake(&mut self, epoll: &OwnedFd, read: &[u8]) -> io::Result<()> {
        self.input.extend_from_slice(read);
        if !self.input.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        (self.is_open, self.input) = (true, Vec::new());
        // Every client here sends the same key.
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        self.write(epoll, answer.as_bytes())
    }

    /// Writes what the socket takes, and the rest when it takes more.
    fn write(&mut self, epoll: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
        let mut output = std::mem::take(&mut self.output);
        let waited = !output.is_empty();
        let mut left = if waited {
            output.extend_from_slice(bytes);
            &output
        } else {
            bytes
        };
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.output = left.to_vec();
        let waits = !self.output.is_empty();
        if waits != waited {
            let out = if waits { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            epoll::modify(epoll, &self.stream, epoll::EventData::new_u64(self.at), epoll::EventFlags::IN | out)?;
        }
        Ok(())
    }
}

/// Turns a client's frames into a server's, at the front of the same bytes: a header without a mask is shorter. Tells
/// how many bytes were used, and how many replies take.
fn reply(bytes: &mut [u8]) -> (usize, usize) {
    let (mut used, mut replies) = (0, 0);
    loop {
        let frame = &bytes[used..];
        let (len, size) = match frame {
            [_, 0xFE, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            [_, 0xFF, a, b, c, d, e, f, g, h, ..] => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, 10)
            }
            [_, 0xFE | 0xFF, ..] | [] | [_] => return (used, replies),
            [_, len, ..] => (usize::from(len & 0x7F), 2),
        };
        let start = used + size + 4;
        if bytes.len() < start + len {
            return (used, replies);
        }
        let key = [bytes[start - 4], bytes[start - 3], bytes[start - 2], bytes[start - 1]];
        unmask(&mut bytes[start..start + len], key);
        let (header, size) = header(bytes[used], len);
        bytes[replies..replies + size].copy_from_slice(&header[..size]);
        bytes.copy_within(start..start + len, replies + size);
        replies += size + len;
        used = start + len;
    }
}

fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}
