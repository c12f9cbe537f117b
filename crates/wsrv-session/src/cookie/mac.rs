//! Message authentication codes, and their comparison.

use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::{Digest, Output};
use hmac::{Mac, SimpleHmac};
use subtle::ConstantTimeEq;

/// The HMAC of these parts, one behind the other.
pub(super) fn hmac<D: Digest + BlockSizeUser>(key: &[u8], parts: &[&[u8]]) -> Output<D> {
    let mut mac = <SimpleHmac<D> as Mac>::new_from_slice(key).expect("HMAC has keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()
}

/// Whether they are equal, in a time that depends on their lengths alone.
///
/// Signatures are compared as the front end has written them, so there is one way of writing each.
pub(super) fn equal(computed: impl AsRef<[u8]>, given: &[u8]) -> bool {
    computed.as_ref().ct_eq(given).into()
}
