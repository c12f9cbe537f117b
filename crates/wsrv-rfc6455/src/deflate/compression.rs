//! What all connections have together for compression: settings, compressors, memory, counts.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::compressor::Compressor;
use super::inflater::Inflater;
use super::{Deflate, MAX_BITS, MIN_BITS};

/// What a server, or a client, has for compression. One is made for all connections; clones are the same.
///
/// It has as many compressors as were needed at the same time, of each window size that was agreed on: one for each thread
/// at most. Each takes 240 to 370 KiB, a decompressor 80 KiB. They are kept until it is dropped.
#[derive(Clone)]
pub struct Compression(Arc<Shared>);

struct Shared {
    settings: Deflate,
    /// By window bits, from [`MIN_BITS`] on.
    compressors: [Idle<Compressor>; (MAX_BITS - MIN_BITS + 1) as usize],
    inflaters: Idle<Inflater>,
    /// Bytes that connections hold, or may come to hold by what was agreed on.
    memory: AtomicUsize,
    counts: Counts,
}

/// Tools that nobody uses at the moment.
type Idle<T> = Mutex<Vec<Box<T>>>;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) agreements: AtomicUsize,
    pub(super) with_takeover: AtomicUsize,
    pub(super) alone: AtomicU64,
    pub(super) for_all: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) compressed_bytes: AtomicU64,
    pub(super) inflated: AtomicU64,
}

/// What compression has done, and what it costs, from [`Compression::stats`]. Counts are of all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateStats {
    /// Connections that have agreed on compression and live.
    pub connections: usize,
    /// How many of them take over the context of what they send, so that messages to many are compressed for each of them
    /// by itself.
    pub with_takeover: usize,
    /// Bytes that connections hold, or may come to hold by what was agreed on. Compressors do not count.
    pub memory: usize,
    /// Messages compressed for one connection alone.
    pub alone: u64,
    /// Messages to many that were compressed once for all connections with the same window.
    pub for_all: u64,
    /// How often such a message was sent once more without compressing it again.
    pub reused: u64,
    /// Bytes of the messages that were compressed, before.
    pub bytes: u64,
    /// The same after.
    pub compressed_bytes: u64,
    /// Messages that were inflated.
    pub inflated: u64,
}

impl Compression {
    /// Compression with these settings.
    pub fn new(settings: Deflate) -> Self {
        Self(Arc::new(Shared {
            settings: settings.bounded(),
            compressors: Default::default(),
            inflaters: Idle::default(),
            memory: AtomicUsize::new(0),
            counts: Counts::default(),
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &Deflate {
        &self.0.settings
    }

    /// What it has done and what it costs.
    pub fn stats(&self) -> DeflateStats {
        let counts = &self.0.counts;
        DeflateStats {
            connections: counts.agreements.load(Relaxed),
            with_takeover: counts.with_takeover.load(Relaxed),
            memory: self.0.memory.load(Relaxed),
            alone: counts.alone.load(Relaxed),
            for_all: counts.for_all.load(Relaxed),
            reused: counts.reused.load(Relaxed),
            bytes: counts.bytes.load(Relaxed),
            compressed_bytes: counts.compressed_bytes.load(Relaxed),
            inflated: counts.inflated.load(Relaxed),
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Takes a share of the memory. False: so much is not left.
    #[cfg(feature = "handshake")]
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let most = self.0.settings.memory;
        let take = |held: usize| held.checked_add(bytes).filter(|&held| held <= most);
        self.0.memory.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Takes a share of the memory, whether so much is left or not.
    pub(super) fn reserve_anyway(&self, bytes: usize) {
        self.0.memory.fetch_add(bytes, Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.0.memory.fetch_sub(bytes, Relaxed);
    }

    /// Lends a compressor with this window.
    pub(super) fn with_compressor<R>(&self, bits: u8, work: impl FnOnce(&mut Compressor) -> R) -> R {
        let idle = &self.0.compressors[usize::from(bits - MIN_BITS)];
        lend(idle, || Compressor::new(self.0.settings.level, bits), work)
    }

    /// Lends a decompressor.
    pub(super) fn with_inflater<R>(&self, work: impl FnOnce(&mut Inflater) -> R) -> R {
        lend(&self.0.inflaters, Inflater::new, work)
    }
}

/// What panics meanwhile does not come back.
fn lend<T, R>(idle: &Idle<T>, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
    let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    let last = lock().pop();
    let mut tool = last.unwrap_or_else(|| Box::new(make()));
    let result = work(&mut tool);
    lock().push(tool);
    result
}

/// Whether they are the same, and not only alike.
impl PartialEq for Compression {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Compression {}

impl From<Deflate> for Compression {
    fn from(settings: Deflate) -> Self {
        Self::new(settings)
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressors_are_lent_and_come_back() {
        let compression = Compression::new(Deflate::default());
        let idle = |bits: u8| compression.0.compressors[usize::from(bits - MIN_BITS)].lock().unwrap().len();
        for _ in 0..3 {
            compression.with_compressor(15, |_| {
                assert_eq!(idle(15), 0);
                compression.with_compressor(9, |_| ());
            });
        }
        assert_eq!((idle(15), idle(9), idle(12)), (1, 1, 0));
        compression.with_compressor(15, |_| compression.with_compressor(15, |_| ()));
        assert_eq!(idle(15), 2);
    }

    #[cfg(feature = "handshake")]
    #[test]
    fn there_is_so_much_memory_and_no_more() {
        let compression = Compression::new(Deflate::default().with_memory(100));
        assert!(compression.reserve(60) && !compression.reserve(41) && !compression.reserve(usize::MAX));
        assert!(compression.reserve(40));
        compression.release(60);
        assert!(compression.reserve(60));
        assert_eq!(compression.stats().memory, 100);
    }
}
