//! Values that were signed together with the time: `payload`, separator, `time`, separator, `signature`.

use super::inflate::inflate;
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The parts of such a value. The payload may have separators in it.
pub(super) struct Timed<'v> {
    pub(super) payload: &'v [u8],
    pub(super) time: &'v [u8],
    /// Payload and time with the separator between them.
    pub(super) signed: &'v [u8],
    pub(super) signature: &'v [u8],
}

impl<'v> Timed<'v> {
    /// # Errors
    ///
    /// [`SessionError::MalformedCookie`]: there are less than three parts.
    pub(super) fn split(value: &'v [u8], separator: u8) -> Result<Self, SessionError> {
        let mut parts = value.rsplitn(3, |&byte| byte == separator);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(signature), Some(time), Some(payload)) => {
                Ok(Timed { payload, time, signed: &value[..payload.len() + 1 + time.len()], signature })
            }
            _ => Err(SessionError::MalformedCookie),
        }
    }

    /// The data in a payload that is base64url, with a `.` in front if zlib has packed them.
    ///
    /// # Errors
    ///
    /// [`SessionError::CorruptData`] if it is not, [`SessionError::Limit`] if there are too many.
    pub(super) fn unpack(&self, limits: &Limits) -> Result<Vec<u8>, SessionError> {
        let packed = self.payload.strip_prefix(b".");
        let data = URL_SAFE_NO_PAD.decode(packed.unwrap_or(self.payload)).map_err(|_| SessionError::CorruptData)?;
        if packed.is_some() { inflate(&data, limits) } else { Ok(data) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_separators_divide() {
        for (value, payload, time, signed, signature) in
            [("a:b:c", "a", "b", "a:b", "c"), ("x:a:b:c", "x:a", "b", "x:a:b", "c"), ("::", "", "", ":", "")]
        {
            let timed = Timed::split(value.as_bytes(), b':').ok().unwrap();
            let parts = [timed.payload, timed.time, timed.signed, timed.signature];
            assert_eq!(parts, [payload, time, signed, signature].map(str::as_bytes), "{value}");
        }
        for value in ["", "a", "a:b", "a.b.c"] {
            assert_eq!(Timed::split(value.as_bytes(), b':').err(), Some(SessionError::MalformedCookie), "{value}");
        }
    }
}
