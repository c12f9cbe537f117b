//! The stream below a mock connection: both directions in memory, at the pace of the test.

use bytes::{Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends of the stream. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    written: BytesMut,
    writes: usize,
    /// Bytes the peer still takes; `None`: all.
    room: Option<usize>,
    writer: Option<Waker>,
    /// Bytes from the peer that were not read yet.
    arrived: BytesMut,
    reader: Option<Waker>,
    /// The peer has ended its half.
    hung_up: bool,
    /// Our half has ended.
    shut_down: bool,
}

impl Pipe {
    pub(crate) fn written(&self) -> Bytes {
        Bytes::copy_from_slice(&self.lock().written)
    }

    pub(crate) fn take_written(&self) -> Bytes {
        self.lock().written.split().freeze()
    }

    pub(crate) fn writes(&self) -> usize {
        self.lock().writes
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.lock().shut_down
    }

    pub(crate) fn stall(&self) {
        self.lock().room = Some(0);
    }

    pub(crate) fn accept(&self, bytes: usize) {
        let mut state = self.lock();
        state.room = Some(state.room.unwrap_or(0).saturating_add(bytes));
        wake(state, |state| state.writer.take());
    }

    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        state.room = None;
        wake(state, |state| state.writer.take());
    }

    /// The peer sends.
    pub(crate) fn arrive(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.arrived.extend_from_slice(bytes);
        wake(state, |state| state.reader.take());
    }

    /// The peer ends its half of the stream.
    pub(crate) fn hang_up(&self) {
        let mut state = self.lock();
        state.hung_up = true;
        wake(state, |state| state.reader.take());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes without the lock.
fn wake(mut state: MutexGuard<'_, State>, who: impl FnOnce(&mut State) -> Option<Waker>) {
    let waker = who(&mut state);
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if !state.arrived.is_empty() {
            let now = state.arrived.len().min(buf.remaining());
            buf.put_slice(&state.arrived.split_to(now));
        } else if !state.hung_up {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.room == Some(0) {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut taken = 0;
        for piece in pieces {
            let now = piece.len().min(state.room.map_or(usize::MAX, |room| room - taken));
            state.written.extend_from_slice(&piece[..now]);
            taken += now;
        }
        state.room = state.room.map(|room| room - taken);
        state.writes += 1;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().shut_down = true;
        Poll::Ready(Ok(()))
    }
}
