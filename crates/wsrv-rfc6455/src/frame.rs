//! Frame headers: the two to fourteen bytes before each payload.

use crate::{Output, ProtocolError};

/// The longest header in bytes: two, eight of length, four of masking key.
pub const MAX_HEADER: usize = 14;

/// The largest payload of a control frame in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame is.
///
/// The ten other numbers are reserved, and a frame with one of them fails the connection, so this enum is closed.
///
/// # Source
///
/// RFC 6455 §5.2 and §11.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// 0: goes on with the message that the last data frame left open.
    Continuation = 0,
    /// 1: begins a text message.
    Text = 1,
    /// 2: begins a binary message.
    Binary = 2,
    /// 8: begins or answers the closing handshake.
    Close = 8,
    /// 9: asks for a pong with the same payload.
    Ping = 9,
    /// 10: answers a ping, or is a sign of life.
    Pong = 10,
}

impl OpCode {
    /// The opcode of this number, `None` if it is reserved.
    #[inline]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// The number on the wire.
    #[inline]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Whether this is a close, ping or pong, which may come between the fragments of a message.
    #[inline]
    pub const fn is_control(self) -> bool {
        self.as_u8() & 8 != 0
    }
}

/// A frame header, parsed or about to be encoded.
///
/// ```
/// use wsrv_rfc6455::frame::{Header, OpCode};
///
/// let (header, size) = Header::parse(b"\x81\x85\x37\xfa\x21\x3d...")?.expect("the header is whole");
/// assert_eq!(header.opcode, OpCode::Text);
/// assert_eq!(header.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
/// assert_eq!((header.payload_len, size), (5, 6));
/// # Ok::<(), wsrv_rfc6455::ProtocolError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame is the last, or only, one of its message.
    pub fin: bool,
    /// The three reserved bits as a number: [`RSV1`](Self::RSV1), [`RSV2`](Self::RSV2), [`RSV3`](Self::RSV3). Zero
    /// unless an extension is in use.
    pub reserved: u8,
    /// What the frame is.
    pub opcode: OpCode,
    /// The masking key. Clients must mask, servers must not.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload in bytes, below 2⁶³.
    pub payload_len: u64,
}

impl Header {
    /// The first reserved bit, as it stands in [`reserved`](Self::reserved).
    pub const RSV1: u8 = 0b100;
    /// The second reserved bit.
    pub const RSV2: u8 = 0b010;
    /// The third reserved bit.
    pub const RSV3: u8 = 0b001;

    /// The header of an unmasked frame that is a whole message or a control frame: what a server sends.
    pub const fn whole(opcode: OpCode, payload_len: u64) -> Self {
        Self { fin: true, reserved: 0, opcode, mask: None, payload_len }
    }

    /// Reads the header at the beginning of `bytes`, and tells its size in bytes. `None`: it is not whole yet.
    ///
    /// These are the rules that hold for either role and any extension. A [`Receiver`](crate::Receiver) adds the
    /// rest: masks, reserved bits, the order of fragments, limits.
    ///
    /// # Errors
    ///
    /// [`ReservedOpCode`](ProtocolError::ReservedOpCode), [`FragmentedControl`](ProtocolError::FragmentedControl),
    /// [`ControlTooLong`](ProtocolError::ControlTooLong), [`NonMinimalLength`](ProtocolError::NonMinimalLength) or
    /// [`LengthOverflow`](ProtocolError::LengthOverflow), each as soon as the bytes so far show it.
    ///
    /// # Source
    ///
    /// RFC 6455 §5.2 and §5.5.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = match opcode(first) {
            Ok(opcode) => opcode,
            Err(error) => return fail(error),
        };
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let (payload_len, size) = match length(bytes, opcode) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(None),
            Err(error) => return fail(error),
        };
        let (mask, size) = if second & MASK == 0 {
            (None, size)
        } else {
            let Some(key) = masking_key(bytes, size) else { return Ok(None) };
            (Some(key), size + 4)
        };
        Ok(Some((Self { fin: first & FIN != 0, reserved: (first & RSV) >> 4, opcode, mask, payload_len }, size)))
    }

    /// Writes the header, with the length in its shortest form.
    ///
    /// It writes what it is told: whether a control frame is short enough, or a mask belongs there, is for the
    /// caller, normally a [`Sender`](crate::Sender), to know.
    #[inline(always)]
    pub fn encode(&self, out: &mut (impl Output + ?Sized)) {
        match (self.mask, self.payload_len) {
            // Nearly all frames of a server. Two bytes are one instruction, a slice of some length is a call.
            (None, len @ 0..=125) => out.put_slice(&[self.first(), len as u8]),
            _ => {
                let (bytes, len) = self.to_array();
                put(&bytes[..len], out);
            }
        }
    }

    #[inline(always)]
    const fn first(self) -> u8 {
        let fin = if self.fin { FIN } else { 0 };
        fin | (self.reserved << 4) & RSV | self.opcode.as_u8()
    }

    #[inline]
    pub(crate) fn to_array(self) -> ([u8; MAX_HEADER], usize) {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = self.first();
        let mut len = match self.payload_len {
            len @ 0..=125 => {
                bytes[1] = len as u8;
                2
            }
            len @ 126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            len => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&len.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[1] |= MASK;
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        (bytes, len)
    }
}

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV: u8 = 0x70;
pub(crate) const MASK: u8 = 0x80;

/// Appends a header. Two or four bytes are one instruction if it is known how many, else they are a call.
#[inline(always)]
pub(crate) fn put(header: &[u8], out: &mut (impl Output + ?Sized)) {
    match *header {
        [first, second] => out.put_slice(&[first, second]),
        [first, second, high, low] => out.put_slice(&[first, second, high, low]),
        _ => out.put_slice(header),
    }
}

/// An error, made where the values of a good header are not in its way.
#[cold]
#[inline(never)]
fn fail(error: ProtocolError) -> Result<Option<(Header, usize)>, ProtocolError> {
    Err(error)
}

/// What the first byte says by itself, and whether that may be.
#[inline]
pub(crate) fn opcode(first: u8) -> Result<OpCode, ProtocolError> {
    let opcode = OpCode::from_u8(first & 0x0F).ok_or(ProtocolError::ReservedOpCode(first & 0x0F))?;
    if opcode.is_control() && first & FIN == 0 {
        return Err(ProtocolError::FragmentedControl);
    }
    Ok(opcode)
}

/// The payload's length and the number of header bytes up to here. `None`: not all of them have arrived.
#[inline]
pub(crate) fn length(bytes: &[u8], opcode: OpCode) -> Result<Option<(u64, usize)>, ProtocolError> {
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let short = second & !MASK;
    if short <= 125 {
        return Ok(Some((u64::from(short), 2)));
    }
    if opcode.is_control() {
        return Err(ProtocolError::ControlTooLong);
    }
    if short == 126 {
        let Some(&[high, low]) = bytes.get(2..4).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        let len = u16::from_be_bytes([high, low]);
        return if len > 125 { Ok(Some((u64::from(len), 4))) } else { Err(ProtocolError::NonMinimalLength) };
    }
    let Some(bytes) = bytes.get(2..10).and_then(<[u8]>::first_chunk) else { return Ok(None) };
    let len = u64::from_be_bytes(*bytes);
    if len >> 63 != 0 {
        Err(ProtocolError::LengthOverflow)
    } else if len <= 0xFFFF {
        Err(ProtocolError::NonMinimalLength)
    } else {
        Ok(Some((len, 10)))
    }
}

/// The four bytes after the length.
#[inline]
pub(crate) fn masking_key(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4).and_then(<[u8]>::first_chunk).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    #[test]
    fn every_opcode_is_known_or_reserved() {
        for number in 0..16 {
            let known = matches!(number, 0..=2 | 8..=10);
            assert_eq!(OpCode::from_u8(number).map(OpCode::as_u8), known.then_some(number));
            let parsed = Header::parse(&[FIN | number]);
            assert_eq!(parsed, if known { Ok(None) } else { Err(ProtocolError::ReservedOpCode(number)) });
        }
        assert!(!OpCode::Continuation.is_control() && !OpCode::Binary.is_control());
        assert!(OpCode::Close.is_control() && OpCode::Ping.is_control() && OpCode::Pong.is_control());
    }

    #[test]
    fn what_was_encoded_parses_to_the_same_at_every_length_border() {
        for (payload_len, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (u64::MAX >> 1, 10)] {
            for mask in [None, Some(KEY)] {
                for reserved in 0..8 {
                    let header = Header { fin: false, reserved, opcode: OpCode::Binary, mask, payload_len };
                    let mut bytes = Vec::new();
                    header.encode(&mut bytes);
                    assert_eq!(bytes.len(), size + if mask.is_some() { 4 } else { 0 });
                    assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
                    for cut in 0..bytes.len() {
                        assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
                    }
                }
            }
        }
    }

    #[test]
    fn lengths_must_take_the_shortest_form() {
        for bytes in [&[0x82, 126, 0, 0][..], &[0x82, 126, 0, 125], &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]] {
            assert_eq!(Header::parse(bytes), Err(ProtocolError::NonMinimalLength), "{bytes:x?}");
        }
        // Not even a control frame may say a short length the long way.
        assert_eq!(Header::parse(&[0x89, 126]), Err(ProtocolError::ControlTooLong));
    }

    #[test]
    fn a_length_beyond_63_bits_is_refused() {
        let bytes = [0x82, 127, 0x80, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(Header::parse(&bytes), Err(ProtocolError::LengthOverflow));
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        for opcode in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
            assert_eq!(Header::parse(&[opcode.as_u8()]), Err(ProtocolError::FragmentedControl));
            assert_eq!(Header::parse(&[FIN | opcode.as_u8(), 127]), Err(ProtocolError::ControlTooLong));
            assert!(Header::parse(&[FIN | opcode.as_u8(), 125]).unwrap().is_some());
        }
    }
}
