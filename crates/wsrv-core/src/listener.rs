//! Accepts TCP connections and survives what goes wrong with it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

/// A TCP listener whose [`accept`](Listener::accept) does not fail.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on `addr`: a name or address with a port, IPv4 or IPv6; port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The address is unknown, taken, or not allowed.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(addr).await.map(Listener)
    }

    /// Where it listens; with port 0, the port that was chosen.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
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
            match self.0.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_one_connections(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept; trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener(listener)
    }
}

/// Errors that belong to the connection that was about to be accepted, not to the listener.
fn is_one_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
