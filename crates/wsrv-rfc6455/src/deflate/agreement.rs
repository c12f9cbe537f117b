//! What one connection's two ends have agreed on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(feature = "handshake")]
use super::Offered;
use super::history::History;
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
        let memory = cost(&params, is_server);
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
        let memory = cost(&params, true);
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
        self.bits(self.0.is_server)
    }

    /// What is to be remembered of what this side sends; nothing without context takeover.
    pub(super) fn send_history(&self) -> Option<History> {
        self.send_takeover().then(|| History::new(send_history(self.send_bits())))
    }

    /// What is to be remembered of what the other side sends; nothing without context takeover.
    pub(super) fn receive_history(&self) -> Option<History> {
        let bits = self.bits(!self.0.is_server);
        self.0.takeover(!self.0.is_server).then(|| History::new(receive_history(bits)))
    }

    fn send_takeover(&self) -> bool {
        self.0.takeover(self.0.is_server)
    }

    fn bits(&self, of_server: bool) -> u8 {
        let Inner { params, .. } = &*self.0;
        if of_server { params.server_max_window_bits } else { params.client_max_window_bits }.min(MAX_BITS)
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
fn cost(params: &DeflateParams, is_server: bool) -> usize {
    let of_server = (!params.server_no_context_takeover, params.server_max_window_bits);
    let of_client = (!params.client_no_context_takeover, params.client_max_window_bits);
    let ((sends, send_bits), (receives, receive_bits)) =
        if is_server { (of_server, of_client) } else { (of_client, of_server) };
    NOTES + if sends { send_history(send_bits) } else { 0 } + if receives { receive_history(receive_bits) } else { 0 }
}

/// How much is remembered of what is sent with this window: no more than pays. To prime a compressor takes time for each
/// byte, and what lies further back than some KiB makes few messages much shorter (`docs/compression.md` has figures).
fn send_history(bits: u8) -> usize {
    const ENOUGH: usize = 4096;
    (1 << bits.clamp(MIN_BITS, MAX_BITS)).min(ENOUGH)
}

/// How much has to be remembered of what is received with this window. Who says 8 may mean 9.
fn receive_history(bits: u8) -> usize {
    1 << bits.clamp(MIN_BITS, MAX_BITS)
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
