//! Accepts TCP connections and survives what goes wrong with it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

/// A TCP listener whose [`accept`](Listener::accept) does not fail.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    /// The last attempt to accept has failed.
    troubled: AtomicBool,
}

/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// Listens on `addr`: a name or address with a port, IPv4 or IPv6; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The address is unknown, taken, or not allowed.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(addr).await.map(Listener::from)
    }

    /// Where it listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection.
    ///
    /// A connection that was lost before it was accepted is passed over. When the process or the system has no
    /// descriptor or memory left, accepting pauses for 50 ms at a time until there is: existing connections go on,
    /// and new ones wait in the system's queue.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, no connection is lost.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.tcp.accept().await {
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
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener { tcp: listener, troubled: AtomicBool::new(false) }
    }
}

/// Errors that belong to the connection that was about to be accepted, not to the listener.
fn is_one_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
