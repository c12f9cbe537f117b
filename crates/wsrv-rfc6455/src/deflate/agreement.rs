//! What one connection's two ends have agreed on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(feature = "handshake")]
use super::Offered;
use super::{Compression, DeflateParams, MAX_BITS, MIN_BITS};

/// What the two ends of one connection have agreed on, seen from this one: for
/// [`Receiver::with_deflate`](crate::Receiver::with_deflate) and [`Sender::with_deflate`](crate::Sender::with_deflate) of
/// this connection and no other.
///
/// It holds a share of [`Deflate::memory`](super::Deflate::memory) until it and all its clones are dropped.
#[derive(Clone)]
pub struct Agreement(Arc<Inner>);

struct Inner {
    compression: Compression,
    params: DeflateParams,
    /// As it stands in the answer.
    #[cfg(feature = "handshake")]
    answer: Offered,
    is_server: bool,
    memory: usize,
}

/// What a connection holds besides windows: this, and its two halves' notes.
const NOTES: usize = 192;

impl Agreement {
    /// A server's side of an agreement that was reached by other means than
    /// [`negotiate`](super::Compression::negotiate). It is not held against the memory there may be.
    pub fn server(compression: &Compression, params: DeflateParams) -> Self {
        Self::anyway(compression, params, true)
    }

    /// A client's side, likewise.
    pub fn client(compression: &Compression, params: DeflateParams) -> Self {
        Self::anyway(compression, params, false)
    }

    fn anyway(compression: &Compression, params: DeflateParams, is_server: bool) -> Self {
        let memory = cost(&params);
        compression.reserve_anyway(memory);
        Self::reserved(Inner {
            compression: compression.clone(),
            params,
            #[cfg(feature = "handshake")]
            answer: params.into(),
            is_server,
            memory,
        })
    }

    /// A server's side with this answer, if there is memory for it.
    #[cfg(feature = "handshake")]
    pub(super) fn within_memory(compression: &Compression, params: DeflateParams, answer: Offered) -> Option<Self> {
        let memory = cost(&params);
        let inner = || Inner { compression: compression.clone(), params, answer, is_server: true, memory };
        compression.reserve(memory).then(|| Self::reserved(inner()))
    }

    fn reserved(inner: Inner) -> Self {
        let agreement = Self(Arc::new(inner));
        let counts = agreement.compression().counts();
        counts.agreements.fetch_add(1, Relaxed);
        counts.with_takeover.fetch_add(usize::from(agreement.send_takeover()), Relaxed);
        agreement
    }

    /// The value of the answer's `Sec-WebSocket-Extensions`.
    #[cfg(feature = "handshake")]
    pub(crate) fn answer(&self) -> String {
        self.0.answer.to_string()
    }

    /// What was agreed on.
    pub fn params(&self) -> DeflateParams {
        self.0.params
    }

    pub(super) fn compression(&self) -> &Compression {
        &self.0.compression
    }

    /// How far back may be referred to by what this side sends. Below [`MIN_BITS`], nothing can be compressed.
    pub(super) fn send_bits(&self) -> u8 {
        let Inner { params, is_server, .. } = &*self.0;
        if *is_server { params.server_max_window_bits } else { params.client_max_window_bits }.min(MAX_BITS)
    }

    /// The same of what the other sends. Who says 8 may mean 9.
    pub(super) fn receive_bits(&self) -> u8 {
        let Inner { params, is_server, .. } = &*self.0;
        let bits = if *is_server { params.client_max_window_bits } else { params.server_max_window_bits };
        bits.clamp(MIN_BITS, MAX_BITS)
    }

    pub(super) fn send_takeover(&self) -> bool {
        self.0.takeover(self.0.is_server)
    }

    pub(super) fn receive_takeover(&self) -> bool {
        self.0.takeover(!self.0.is_server)
    }

    /// The other end's view of it, for tests that are the other end.
    #[cfg(feature = "test-util")]
    pub(crate) fn other_end(&self) -> Self {
        Self::anyway(&self.0.compression, self.0.params, !self.0.is_server)
    }
}

impl Inner {
    fn takeover(&self, of_server: bool) -> bool {
        let Self { params, .. } = self;
        !if of_server { params.server_no_context_takeover } else { params.client_no_context_takeover }
    }
}

/// Bytes that a connection holds with these parameters, at most.
fn cost(params: &DeflateParams) -> usize {
    let window = |no_takeover: bool, bits: u8| if no_takeover { 0 } else { 1 << bits.clamp(MIN_BITS, MAX_BITS) };
    NOTES
        + window(params.server_no_context_takeover, params.server_max_window_bits)
        + window(params.client_no_context_takeover, params.client_max_window_bits)
}

impl Drop for Inner {
    fn drop(&mut self) {
        let takeover = self.takeover(self.is_server);
        let counts = self.compression.counts();
        counts.agreements.fetch_sub(1, Relaxed);
        counts.with_takeover.fetch_sub(usize::from(takeover), Relaxed);
        self.compression.release(self.memory);
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Agreement").field(&self.0.params).finish()
    }
}
