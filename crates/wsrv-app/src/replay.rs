//! A stream of which something was read already.

use crate::transport::Transport;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wsrv_rfc6455::handshake::RequestHead;

/// Gives the request's head and what came behind it once more, and then goes on with the stream.
pub(crate) struct Replay {
    prefix: BytesMut,
    stream: Transport,
}

impl Replay {
    pub(crate) fn new(head: &RequestHead, received: BytesMut, stream: Transport) -> Self {
        let mut prefix = BytesMut::from(&head.to_bytes()[..]);
        prefix.extend_from_slice(&received);
        Replay { prefix, stream }
    }

    /// The stream, and what was read of it beyond what the reader has used: `unused` is what it gives back.
    pub(crate) fn into_parts(self, unused: Bytes) -> (Transport, BytesMut) {
        let mut received = BytesMut::from(unused);
        received.extend_from_slice(&self.prefix);
        (self.stream, received)
    }
}

impl AsyncRead for Replay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..taken]);
        self.prefix.advance(taken);
        if self.prefix.is_empty() {
            // The connection may live long.
            self.prefix = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use wsrv_core::Accepted;
    use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

    #[tokio::test]
    async fn nothing_is_lost_wherever_the_reader_stops() {
        const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for stop in 0..HEAD.len() + 10 {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let stream = Transport::Accepted(Accepted::Tcp(listener.accept().await.unwrap().0));
            peer.write_all(b"later").await.unwrap();
            drop(peer);
            let mut received = BytesMut::from([HEAD, b"early"].concat().as_slice());
            let head = HeadReader::new(HeadLimits::default()).read(&mut received).unwrap().unwrap();
            let mut replay = Replay::new(&head, received, stream);
            let mut used = vec![0; stop];
            replay.read_exact(&mut used).await.unwrap();
            // The reader has looked at the last three bytes without a use for them.
            let unused = used.split_off(stop.saturating_sub(3));
            let (mut stream, received) = replay.into_parts(unused.into());
            used.extend_from_slice(&received);
            let mut rest = vec![0; HEAD.len() + 10 - used.len()];
            stream.read_exact(&mut rest).await.unwrap();
            used.extend_from_slice(&rest);
            assert_eq!(used, [HEAD, b"earlylater"].concat(), "{stop}");
        }
    }
}
