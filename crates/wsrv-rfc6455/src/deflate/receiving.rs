//! A connection's receiving half, if it inflates.

use std::sync::atomic::Ordering::Relaxed;

use super::Agreement;
use super::history::History;
use super::inflater::Fault;
use crate::ProtocolError;

/// So much may always come out of a message, whatever went in.
const FREE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Receiving {
    agreement: Agreement,
    /// `None` without context takeover.
    history: Option<Box<History>>,
    /// Nobody wants to know what is inflated.
    discards: bool,
}

impl Receiving {
    pub(crate) fn new(agreement: &Agreement) -> Self {
        let history = agreement.receive_history().map(Box::new);
        Self { agreement: agreement.clone(), history, discards: false }
    }

    /// Every message is empty from now on, and what came before is forgotten.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.history = None;
    }

    /// The message whose compressed form this is, of at most `max` bytes.
    pub(crate) fn inflate(&mut self, packed: &[u8], max: usize) -> Result<Vec<u8>, ProtocolError> {
        if self.discards {
            return Ok(Vec::new());
        }
        let compression = self.agreement.compression();
        let ratio = compression.settings().max_ratio;
        let by_ratio = ratio.map_or(usize::MAX, |ratio| packed.len().saturating_mul(ratio as usize).max(FREE));
        let history = self.history.as_ref().map_or(&[][..], |history| history.as_slice());
        let inflated = compression.with_inflater(|inflater| inflater.inflate(packed, history, max.min(by_ratio)));
        let message = inflated.map_err(|fault| match fault {
            Fault::Corrupt => ProtocolError::InvalidCompressedData,
            Fault::TooLong if max <= by_ratio => ProtocolError::MessageTooLong,
            Fault::TooLong => ProtocolError::CompressionRatio,
        })?;
        if let Some(history) = &mut self.history {
            history.push(&message);
        }
        self.agreement.compression().counts().inflated.fetch_add(1, Relaxed);
        Ok(message)
    }
}
