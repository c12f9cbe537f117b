//! The transport below a connection.

use bytes::BytesMut;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

/// Any stream a connection can run over: TLS, a Unix socket, a pipe in memory.
///
/// Its methods are called under the connection's lock and must not touch the connection. A panic in them counts as an
/// error of the stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

pub(crate) enum Stream {
    /// May be written from anybody's turn.
    Tcp(TcpStream),
    /// Is polled by its own driver only: what it does in `poll_write` is not ours to do in somebody else's turn.
    Other(Box<dyn Io>),
    /// The driver is gone, and the socket with it, although handles live on.
    Gone,
}

/// Where this end of a connection is, if that is not the socket's to tell.
pub(crate) enum Local {
    Addr(SocketAddr),
    /// A Unix socket, and its path if it has one.
    #[cfg(unix)]
    Unix(Option<PathBuf>),
}

impl Stream {
    /// The address of this end, if this is a socket that has one.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(tcp) => tcp.local_addr().ok(),
            Stream::Other(_) | Stream::Gone => None,
        }
    }

    /// The address of the peer, if this is a socket that knows it.
    pub(crate) fn remote_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(tcp) => tcp.peer_addr().ok(),
            Stream::Other(_) | Stream::Gone => None,
        }
    }

    /// Writes without a task to wake. `None`: this stream is written in its driver's turn only.
    pub(crate) fn try_write(&mut self, pieces: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        match self {
            Stream::Tcp(tcp) if pieces.len() == 1 => Some(tcp.try_write(&pieces[0])),
            Stream::Tcp(tcp) => Some(tcp.try_write_vectored(pieces)),
            Stream::Other(_) => None,
            Stream::Gone => Some(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(tcp) => loop {
                let result = if let [one] = pieces { tcp.try_write(one) } else { tcp.try_write_vectored(pieces) };
                match result {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        std::task::ready!(tcp.poll_write_ready(cx))?;
                    }
                    done => return Poll::Ready(done),
                }
            },
            Stream::Other(io) => unpanicking(|| match io.is_write_vectored() {
                true => Pin::new(io).poll_write_vectored(cx, pieces),
                // It cannot write pieces and takes the first; the rest follows in the next call.
                false => Pin::new(io).poll_write(cx, pieces.first().map_or(&[], |first| first)),
            }),
            Stream::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// TCP has nothing to flush; for a stream like TLS, written is not yet sent.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Other(io) => unpanicking(|| Pin::new(io).poll_flush(cx)),
            Stream::Tcp(_) | Stream::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Reads into the spare room of `buffer`, of which there must be some.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            // A `read_buf` future holds nothing between two polls, so a fresh one each time loses nothing.
            Stream::Tcp(tcp) => pin!(tcp.read_buf(buffer)).poll(cx),
            Stream::Other(io) => unpanicking(|| pin!(io.read_buf(buffer)).poll(cx)),
            Stream::Gone => Poll::Ready(Ok(0)),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Other(io) => unpanicking(|| Pin::new(io).poll_shutdown(cx)),
            Stream::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// A stream that panics is one that fails. What it left half done is its own.
fn unpanicking<T>(call: impl FnOnce() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Poll::Ready(Err(io::Error::other("the stream panicked"))))
}
