//! Connections to the server, and the opening handshake.

use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
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
        let mut stream = connect(port)?;
        stream.write_all(REQUEST.as_bytes())?;
        streams.push(stream);
    }
    streams.iter_mut().try_for_each(read_answer)?;
    Ok(streams)
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // Closing cuts, so that no port stays behind in TIME_WAIT.
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}

/// One over TLS.
pub fn open_tls(port: u16, tls: &Arc<ClientConfig>) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, connect(port)?);
    stream.write_all(REQUEST.as_bytes())?;
    read_answer(&mut stream)?;
    Ok(stream)
}

fn read_answer(stream: &mut impl Read) -> io::Result<()> {
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
pub fn exchange(stream: &mut (impl Read + Write), message: &[u8], reply: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    expect(stream, reply)
}

pub fn expect(stream: &mut impl Read, reply: &[u8]) -> io::Result<()> {
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got)?;
    if got == reply { Ok(()) } else { Err(io::Error::other("not the reply it should be")) }
}
