//! What requests and connections run over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wsrv_core::{Accepted, Driver, Wire};

/// What protects the streams that a listener accepts.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "tls")]
    Tls(crate::tls::Tls),
}

impl Security {
    /// Whether a refusal can be told at once. With TLS there would have to be a handshake first, which is the work that
    /// is refused.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Security::Plain)
    }
}

/// A stream that a host reads requests from, and then gives to the driver.
pub(crate) enum Transport {
    Accepted(Accepted),
    /// Boxed: those without TLS are not to be as large.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Accepted>>),
    /// Whatever another server runs over.
    #[cfg(feature = "http")]
    Upgraded(hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>),
}

impl Transport {
    /// A connection over it.
    pub(crate) fn driver<W: Wire>(self, wire: W) -> Driver<W> {
        match self {
            Transport::Accepted(stream) => Driver::accepted(stream, wire),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => {
                let local = match stream.get_ref().0 {
                    Accepted::Tcp(tcp) => tcp.local_addr().ok(),
                    _ => None,
                };
                let driver = Driver::io(*stream, wire);
                match local {
                    Some(local) => driver.local_addr(local),
                    None => driver,
                }
            }
            #[cfg(feature = "http")]
            Transport::Upgraded(stream) => Driver::io(stream, wire),
        }
    }
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Accepted($stream) => $call,
            #[cfg(feature = "tls")]
            Transport::Tls($stream) => $call,
            #[cfg(feature = "http")]
            Transport::Upgraded($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Accepted(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.is_write_vectored(),
            #[cfg(feature = "http")]
            Transport::Upgraded(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
