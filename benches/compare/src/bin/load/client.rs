//! Connections to the server, and the opening handshake.

use rustix::net::sockopt::set_socket_linger;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;
use wsrv_compare::{ACCEPT, REQUEST};

/// How many handshakes are under way at once.
pub const TOGETHER: usize = 32;

/// So many open WebSockets, with blocking reads that give up after a while.
pub fn open(port: u16, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        open.extend(open_some(port, TOGETHER.min(count - open.len()))?);
    }
    Ok(open)
}

pub fn open_some(port: u16, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // Closing cuts, so that no port stays behind in TIME_WAIT.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        stream.write_all(REQUEST.as_bytes())?;
        streams.push(stream);
    }
    streams.iter_mut().try_for_each(read_answer)?;
    Ok(streams)
}

fn read_answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    let mut piece = [0; 2048];
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Err(io::Error::other("closed in the opening handshake")),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.1 101") && answer.contains(ACCEPT) {
        Ok(())
    } else {
        Err(io::Error::other(format!("no WebSocket: {answer}")))
    }
}

/// Sends this, and waits for exactly that.
pub fn exchange(stream: &mut TcpStream, message: &[u8], reply: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    expect(stream, reply)
}

pub fn expect(stream: &mut TcpStream, reply: &[u8]) -> io::Result<()> {
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got)?;
    if got == reply { Ok(()) } else { Err(io::Error::other("not the reply it should be")) }
}
