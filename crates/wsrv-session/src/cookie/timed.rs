//! Values that were signed together with the time: `payload`, separator, `time`, separator, `signature`.

use super::inflate::inflate;
use crate::{Limits, SessionError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::{Duration, SystemTime};

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

/// When a value that was signed in this second is too old. It is good throughout the last second of its age. `None`:
/// never, as far as a clock can tell.
pub(super) fn end(signed_at: u64, max_age: Duration) -> Option<SystemTime> {
    let seconds = signed_at.checked_add(max_age.as_secs())?.checked_add(1)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_that_no_clock_reaches_never_ends() {
        assert_eq!(end(5, Duration::from_millis(2900)), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(8)));
        for (signed_at, max_age) in [(u64::MAX, 1), (1, u64::MAX), (u64::MAX - 1, 1), (u64::MAX - 2, 1)] {
            assert_eq!(end(signed_at, Duration::from_secs(max_age)), None, "{signed_at}");
        }
    }

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
