//! Streams that lead nowhere.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives the same bytes at every read, as often as it was told, and then ends. What is written to it is gone.
#[derive(Debug)]
pub struct Repeat {
    bytes: Arc<[u8]>,
    reads: usize,
}

impl Repeat {
    /// Each of the `reads` gives all of `bytes`, if there is room for them.
    pub fn new(bytes: Arc<[u8]>, reads: usize) -> Self {
        Self { bytes, reads }
    }
}

impl AsyncRead for Repeat {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads > 0 {
            self.reads -= 1;
            buffer.put_slice(&self.bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Repeat {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A peer that says next to nothing, and of whom is only known how much it was sent.
#[derive(Debug)]
pub struct Silent {
    first: Vec<u8>,
    written: Arc<AtomicUsize>,
}

impl Silent {
    /// Adds the bytes written to it to `written`, which it may share with others.
    pub fn new(written: Arc<AtomicUsize>) -> Self {
        Self { first: Vec::new(), written }
    }

    /// Says this at first, all at once.
    pub fn after(mut self, first: Vec<u8>) -> Self {
        self.first = first;
        self
    }
}

impl AsyncRead for Silent {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Poll::Pending;
        }
        let some = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..some]);
        self.first.drain(..some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
