//! Accepts connections, and survives what goes wrong with it.

use crate::site::canonical;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use {
    std::path::{Path, PathBuf},
    tokio::net::{UnixListener, UnixStream},
};

/// A listener for TCP or Unix sockets whose [`accept`](Listener::accept) does not fail.
///
/// Made with [`bind`](Listener::bind) or [`unix`](Listener::unix), from a listener of tokio's that was made elsewhere, or
/// given to the process from outside (`Listener::from_env`, feature `listenfd`).
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    /// The last attempt to accept has failed.
    troubled: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        socket: UnixListener,
        _file: Option<Unlink>,
    },
}

/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Listens on `addr`: a name or address with a port, IPv4 or IPv6; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The address is unknown, taken, or not allowed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing listens.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(addr).await.map(Listener::from)
    }

    /// Listens on a Unix socket at `path`, which is removed when the listener is dropped. One that was left behind
    /// there, with nobody listening, is replaced. Who may connect is decided by the permissions of the folder and the
    /// process's umask.
    ///
    /// # Errors
    ///
    /// Somebody listens there, something else lies there, or it is not allowed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO enabled.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let socket = match UnixListener::bind(path) {
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => {
                match std::os::unix::net::UnixStream::connect(path) {
                    Err(dead) if dead.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                    _ => return Err(taken),
                }
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        Ok(Listener {
            kind: Kind::Unix { socket, _file: Some(Unlink(path.to_owned())) },
            troubled: AtomicBool::new(false),
        })
    }

    /// The listeners that the process was started with, by the protocol of systemd's socket activation (`LISTEN_FDS` and
    /// `LISTEN_PID`), which `systemfd` and others speak, too. None if it was started without.
    ///
    /// Whoever has made the sockets keeps them open, so that the server can be restarted and nobody is refused: who
    /// connects while there is no server waits in the socket's queue for the next one. Two servers may also accept from
    /// the same sockets for a while: the new one first, and then the old one is told to drain.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use wsrv_core::Listener;
    ///
    /// let mut listeners = Listener::from_env()?;
    /// if listeners.is_empty() {
    ///     listeners.push(Listener::bind("127.0.0.1:8080").await?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// To be called once and early: it takes the variables out of the environment, so that no child process believes to
    /// be meant, and is not to do so while another thread reads the environment. Called again, there are none. On Windows,
    /// `systemfd`'s own protocol is spoken instead.
    ///
    /// # Errors
    ///
    /// One of them is no stream socket, or the system refuses. Nothing is listened on then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO enabled, if there are any.
    #[cfg(feature = "listenfd")]
    pub fn from_env() -> io::Result<Vec<Self>> {
        let mut given = listenfd::ListenFd::from_env();
        (0..given.len()).map(|index| Self::take(&mut given, index)).collect()
    }

    #[cfg(feature = "listenfd")]
    fn take(given: &mut listenfd::ListenFd, index: usize) -> io::Result<Self> {
        const MISSING: io::ErrorKind = io::ErrorKind::NotFound;
        let not_tcp = match given.take_tcp_listener(index) {
            Ok(tcp) => {
                let tcp = tcp.ok_or(MISSING)?;
                tcp.set_nonblocking(true)?;
                return TcpListener::from_std(tcp).map(Listener::from);
            }
            Err(not_tcp) => not_tcp,
        };
        #[cfg(unix)]
        if let Ok(unix) = given.take_unix_listener(index) {
            let unix = unix.ok_or(MISSING)?;
            unix.set_nonblocking(true)?;
            return UnixListener::from_std(unix).map(Listener::from);
        }
        Err(not_tcp)
    }

    /// Where it listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// It is a Unix socket, or the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.local_addr(),
            #[cfg(unix)]
            Kind::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next connection, and its peer's address, which a Unix socket's peer does not have.
    ///
    /// A connection that was lost before it was accepted is passed over. When the process or the system has no
    /// descriptor or memory left, accepting pauses for 50 ms at a time until there is: existing connections go on,
    /// and new ones wait in the system's queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no connection is lost.
    pub async fn accept(&self) -> (Accepted, Option<SocketAddr>) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => {
                    if self.troubled.swap(false, Ordering::Relaxed) {
                        tracing::info!("accepting again");
                    }
                    return accepted;
                }
                Err(error) if is_one_connections(&error) => {}
                Err(error) => {
                    // Told once, not twenty times a second.
                    if !self.troubled.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "cannot accept; trying on");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Accepted, Option<SocketAddr>)> {
        match &self.kind {
            Kind::Tcp(tcp) => {
                let (stream, peer) = tcp.accept().await?;
                Ok((Accepted::Tcp(stream), Some(canonical(peer))))
            }
            #[cfg(unix)]
            Kind::Unix { socket, .. } => Ok((Accepted::Unix(socket.accept().await?.0), None)),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener { kind: Kind::Tcp(listener), troubled: AtomicBool::new(false) }
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    /// The socket's file stays when the listener is dropped.
    fn from(socket: UnixListener) -> Self {
        Listener { kind: Kind::Unix { socket, _file: None }, troubled: AtomicBool::new(false) }
    }
}

/// Removes a socket's file.
#[cfg(unix)]
#[derive(Debug)]
struct Unlink(PathBuf);

#[cfg(unix)]
impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Errors that belong to the connection that was about to be accepted, not to the listener.
fn is_one_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A stream that was accepted. Hand it to [`Driver::accepted`](crate::Driver::accepted).
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Accepted::Tcp($stream) => $call,
            #[cfg(unix)]
            Accepted::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
