//! A connection's sending half, if it compresses, and messages that are compressed for many.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::history::History;
use super::{Agreement, Compression, MIN_BITS};

#[derive(Debug)]
pub(crate) struct Sending {
    agreement: Agreement,
    bits: u8,
    /// `None` without context takeover.
    history: Option<Box<History>>,
}

impl Sending {
    pub(crate) fn new(agreement: &Agreement) -> Self {
        let history = agreement.send_history().map(Box::new);
        Self { agreement: agreement.clone(), bits: agreement.send_bits(), history }
    }

    pub(crate) fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Whether such a message is to be compressed.
    pub(crate) fn wants(&self, text: bool, len: usize) -> bool {
        let settings = self.agreement.compression().settings();
        len >= settings.min_size && (text || settings.binary) && self.bits >= MIN_BITS
    }

    /// Whether messages to many are compressed for this connection by itself.
    pub(crate) fn is_alone(&self) -> bool {
        self.history.is_some()
    }

    /// Gives a message's compressed form to `send`; the next message may refer to it. `None`: it is to be sent as it is.
    pub(crate) fn compress<R>(&mut self, message: &[u8], send: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let compression = self.agreement.compression();
        let history = self.history.as_ref().map(|history| history.as_slice());
        let sent = compression.with_compressor(self.bits, |compressor| {
            let packed = compressor.compress(message, history)?;
            compression.counts().alone.fetch_add(1, Relaxed);
            count_bytes(compression, message.len(), packed.len());
            Some(send(packed))
        })?;
        if let Some(history) = &mut self.history {
            history.push(message);
        }
        Some(sent)
    }

    /// The frame around a message's compressed form, the same for all connections of this kind that have no context
    /// takeover. `None`: the message is to be sent as it is.
    pub(crate) fn shared(
        &self,
        variants: &Variants,
        message: &[u8],
        frame: impl FnOnce(&[u8]) -> Bytes,
    ) -> Option<Bytes> {
        let compression = self.agreement.compression();
        // Others wait meanwhile, for what they would otherwise do once more.
        let mut variants = variants.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = variants.iter().find(|(bits, _)| *bits == self.bits) {
            compression.counts().reused.fetch_add(u64::from(known.is_some()), Relaxed);
            return known.clone();
        }
        let made = compression.with_compressor(self.bits, |compressor| {
            let packed = compressor.compress(message, None)?;
            compression.counts().for_all.fetch_add(1, Relaxed);
            count_bytes(compression, message.len(), packed.len());
            Some(frame(packed))
        });
        variants.push((self.bits, made.clone()));
        made
    }
}

fn count_bytes(compression: &Compression, before: usize, after: usize) {
    compression.counts().bytes.fetch_add(before as u64, Relaxed);
    compression.counts().compressed_bytes.fetch_add(after as u64, Relaxed);
}

/// The compressed forms of a message to many: one for each window size, made when somebody is the first to need it.
/// `None` where the message is shorter as it is.
#[derive(Debug, Default)]
pub(crate) struct Variants(Mutex<Vec<(u8, Option<Bytes>)>>);
