//! Frames become messages.

use std::mem;

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

#[cfg(feature = "deflate")]
use crate::deflate::{Agreement, Receiving};
#[cfg(feature = "deflate")]
use crate::frame::Header;
use crate::frame::{self, FIN, MASK, OpCode, RSV};
use crate::payload::{Fragments, Payload};
use crate::received::{ControlPayload, Found, Received};
use crate::{CloseCode, CloseFrame, Limits, Message, ProtocolError, Text, mask, utf8};

/// Payloads of at least this many bytes are handed out as views of the read buffer, smaller ones as copies.
///
/// A view keeps the whole buffer alive for as long as somebody keeps the message, so with reads of 64 KiB a message
/// holds four times its size at most.
pub const SHARE_FROM: usize = 16 * 1024;

/// The receiving half: turns bytes into checked messages and control frames.
///
/// It keeps no read buffer. The caller reads into a [`BytesMut`] of its own, appending at the end, and calls
/// [`receive`](Self::receive) until it answers [`Received::Incomplete`]. Between calls nobody else may change the
/// bytes that are already there; the receiver has unmasked and checked some of them.
///
/// Every rule is checked as soon as the bytes show that it is broken: a bad header before its payload arrives, text
/// that is no UTF-8 in the middle of a frame. Each payload byte is unmasked once and checked once, however it is cut
/// into reads. The only memory the receiver holds is that of an unfinished fragmented message, which grows with what
/// has arrived, not with what was announced.
///
/// ```
/// use bytes::BytesMut;
/// use wsrv_rfc6455::{Limits, Message, Received, Receiver};
///
/// let mut receiver = Receiver::server(Limits::default());
/// let mut buffer = BytesMut::from(&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]);
/// let Received::Message(found) = receiver.receive(&mut buffer)? else { unreachable!("a whole message") };
/// assert_eq!(receiver.take(found, &mut buffer), Message::from("Hello"));
/// assert!(buffer.is_empty());
/// # Ok::<(), wsrv_rfc6455::ProtocolError>(())
/// ```
///
/// # Source
///
/// RFC 6455 §5, §6.2, §7.4 and §8.1.
pub struct Receiver {
    limits: Limits,
    /// What the mask bit of each frame must be: set from a client, clear from a server.
    mask_bit: u8,
    state: State,
    /// The message whose fragments are arriving.
    fragments: Option<Box<Fragments>>,
    /// How many bytes of the buffer are a message with its header, which the last call found and nobody has taken yet.
    /// 0 if there is none.
    ready: usize,
    /// What its payload is still masked with: it is unmasked while it is copied.
    key: [u8; 4],
    #[cfg(feature = "deflate")]
    deflate: Option<Box<Receiving>>,
}

impl Receiver {
    /// The receiver of a server, which wants every frame masked.
    pub const fn server(limits: Limits) -> Self {
        Self::new(limits, MASK)
    }

    /// The receiver of a client, which wants no frame masked.
    pub const fn client(limits: Limits) -> Self {
        Self::new(limits, 0)
    }

    const fn new(limits: Limits, mask_bit: u8) -> Self {
        Self {
            limits,
            mask_bit,
            state: State::Header,
            fragments: None,
            ready: 0,
            key: mask::NONE,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Inflates messages that are compressed as was agreed on.
    ///
    /// Such a message is held as it arrives and inflated when it is whole, so that what is held grows with what has
    /// arrived, and not with what that might become. [`Limits`] hold for what has arrived (with 1/16 and 64 bytes more, since
    /// some data only gets longer) and for what it inflates to.
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, agreement: &Agreement) -> Self {
        self.deflate = Some(Box::new(Receiving::new(agreement)));
        self
    }

    /// From now on nothing is inflated, for who drops all messages that still come: they are empty. Whether what is in them is
    /// correct is not looked at.
    #[cfg(feature = "deflate")]
    pub fn discard(&mut self) {
        if let Some(receiving) = &mut self.deflate {
            receiving.discard();
        }
    }

    /// What the peer may send from now on. A frame whose header was looked at is not looked at again.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Looks at what has arrived and takes one step.
    ///
    /// A message found by the last call and not taken is skipped. Control frames are removed from the buffer.
    /// After [`Received::Close`] all further bytes are dropped and the answer stays [`Received::Incomplete`].
    ///
    /// # Errors
    ///
    /// The rule that the peer broke. All later calls give the same error and drop what is in the buffer.
    #[inline(always)]
    pub fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received, ProtocolError> {
        if self.ready > 0 {
            self.skip(buffer);
        }
        match self.common(buffer) {
            Some(found) => Ok(Received::Message(found)),
            None => self.settle(Ok(Next::Again), buffer),
        }
    }

    /// Lifts the message that [`receive`](Self::receive) has just found out of the buffer.
    ///
    /// Below [`SHARE_FROM`] bytes the payload is copied; from there on, and for a message that came in fragments, it
    /// is not.
    ///
    /// # Panics
    ///
    /// If `found` is not what the last call of `receive` found, or `buffer` not the one it was found in.
    #[inline(always)]
    pub fn take(&mut self, found: Found, buffer: &mut BytesMut) -> Message {
        let (offset, size) = (found.offset(), mem::take(&mut self.ready));
        if size > 0 && size == offset + found.len() && found.len() < SHARE_FROM {
            let payload = mask::unmasked(&buffer[..size], offset, self.key);
            buffer.advance(size);
            return found.message(payload);
        }
        self.take_unusual(found, size, buffer)
    }

    /// Looks at the payload of the message that [`receive`](Self::receive) has just found, without taking it. The
    /// next call of `receive` skips it.
    ///
    /// Empty if `found` is not what was found last.
    #[inline]
    pub fn peek<'a>(&'a mut self, found: Found, buffer: &'a mut [u8]) -> &'a [u8] {
        if let State::Assembled(message) = &self.state {
            return if found.offset() == Found::ASSEMBLED { &message.payload } else { &[] };
        }
        if self.ready != found.offset() + found.len() {
            return &[];
        }
        let payload = buffer.get_mut(found.offset()..self.ready).unwrap_or_default();
        mask::apply(payload, mem::replace(&mut self.key, mask::NONE), 0);
        payload
    }

    /// Whether a message has begun and not ended, so that the end of the stream would cut it off.
    ///
    /// A header that is not whole is still only in the caller's buffer: ask whether that is empty, too.
    pub const fn is_mid_message(&self) -> bool {
        self.fragments.is_some() || matches!(self.state, State::Whole(_))
    }

    /// How many bytes of memory the receiver holds for a message that comes in fragments; never more than
    /// [`Limits::max_message`], or as much compressed.
    pub fn held(&self) -> usize {
        let message = if let State::Assembled(message) = &self.state { Some(message) } else { self.fragments.as_ref() };
        message.map_or(0, |message| message.payload.capacity())
    }
}

/// What one step has come to. All plain numbers, unlike [`Received`], which is built only once, where it is returned.
enum Next {
    Incomplete(usize),
    Message(Found),
    Control(Control),
    /// The state has changed, and another step is due.
    Again,
}

/// A control frame that is whole, and still masked in the buffer.
struct Control {
    opcode: OpCode,
    key: [u8; 4],
    offset: usize,
    len: usize,
}

/// The first byte of a message in one frame.
const TEXT: u8 = FIN | OpCode::Text.as_u8();
const BINARY: u8 = FIN | OpCode::Binary.as_u8();

// In boxes: an idle connection is between frames.
enum State {
    /// A header comes next.
    Header,
    /// The payload of an unfragmented message is arriving; header and payload stay in the buffer.
    Whole(Box<Payload>),
    /// The payload of a fragment is arriving; its header is gone, and so is the payload so far.
    Fragment(Box<Payload>),
    /// A message that came in fragments is whole. It was found by the last call, and nobody has taken it yet.
    Assembled(Box<Fragments>),
    /// A close frame has been received.
    Closed,
    /// The peer broke a rule.
    Failed(ProtocolError),
}

/// Shows what is being received, and nothing of what it says.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Header | State::Assembled(_) => "between frames",
            State::Whole(_) | State::Fragment(_) => "within a frame",
            State::Closed => "closed",
            State::Failed(_) => "failed",
        };
        f.debug_struct("Receiver").field("limits", &self.limits).field("state", &state).finish_non_exhaustive()
    }
}

impl Receiver {
    /// The common case, without detours: a whole message of less than 64 KiB, all of it in the buffer and nothing wrong
    /// with it. Everything else is left as it is, for [`frame`](Self::frame) to judge.
    #[inline(always)]
    fn common(&mut self, buffer: &mut BytesMut) -> Option<Found> {
        let (State::Header, None) = (&self.state, &self.fragments) else { return None };
        let &[first @ (TEXT | BINARY), second, ..] = &**buffer else { return None };
        let text = first == TEXT;
        // With the wrong mask bit, this is above 127.
        let (len, size) = match second ^ self.mask_bit {
            len @ ..=125 => (usize::from(len), 2),
            126 => match buffer.get(2..4)? {
                &[high, low] if high > 0 || low > 125 => (usize::from(u16::from_be_bytes([high, low])), 4),
                _ => return None,
            },
            _ => return None,
        };
        if len > self.limits.max_frame || len > self.limits.max_message {
            return None;
        }
        let offset = size + self.masking();
        let mut key = if self.mask_bit == 0 { mask::NONE } else { frame::masking_key(buffer, size)? };
        let payload = buffer.get_mut(offset..offset + len)?;
        // Most payloads stay masked until they are copied. Not those that are not copied, and not text in need of a
        // close look.
        if len >= SHARE_FROM || (text && !mask::hides_ascii(payload, key)) {
            if !unmask_and_check(payload, text, key) {
                return None;
            }
            key = mask::NONE;
        }
        self.key = key;
        self.ready = offset + len;
        Some(Found::new(text, offset, len))
    }

    /// How many bytes of masking key each frame has: four if the mask bit is set, else none.
    #[inline]
    const fn masking(&self) -> usize {
        (self.mask_bit >> 5) as usize
    }

    /// Drops the message that was found and not taken.
    #[cold]
    fn skip(&mut self, buffer: &mut BytesMut) {
        let size = mem::take(&mut self.ready);
        buffer.advance(size.min(buffer.len()));
    }

    /// Takes what needs no copy: a large message, or one that came in fragments.
    #[inline(never)]
    fn take_unusual(&mut self, found: Found, size: usize, buffer: &mut BytesMut) -> Message {
        match &mut self.state {
            State::Assembled(message) if found.offset() == Found::ASSEMBLED && found.len() == message.payload.len() => {
                let payload = mem::take(&mut message.payload);
                self.state = State::Header;
                found.message(payload.into())
            }
            _ if size > 0 && size == found.offset() + found.len() => {
                buffer.advance(found.offset());
                found.message(buffer.split_to(found.len()).freeze())
            }
            _ => panic!("take() needs the message that the last receive() found"),
        }
    }

    /// Bytes of the shortest frame: two and the masking key.
    #[inline]
    const fn shortest(&self) -> usize {
        2 + self.masking()
    }

    /// Takes further steps until there is an answer.
    #[inline(never)]
    fn settle(
        &mut self,
        mut next: Result<Next, ProtocolError>,
        buffer: &mut BytesMut,
    ) -> Result<Received, ProtocolError> {
        loop {
            return match next {
                Ok(Next::Message(found)) => Ok(Received::Message(found)),
                Ok(Next::Incomplete(needed)) => Ok(Received::Incomplete { needed }),
                Ok(Next::Control(control)) => self.control(control, buffer),
                Ok(Next::Again) => {
                    next = self.resume(buffer);
                    continue;
                }
                Err(error) => Err(self.fail(error, buffer)),
            };
        }
    }

    /// Goes on with what has begun before.
    #[inline]
    fn resume(&mut self, buffer: &mut BytesMut) -> Result<Next, ProtocolError> {
        match &mut self.state {
            State::Header => self.frame(buffer),
            State::Whole(payload) => {
                if let Some(needed) = payload.go_on(buffer)? {
                    return Ok(Next::Incomplete(needed));
                }
                let Payload { text, compressed, offset, len, .. } = **payload;
                self.state = State::Header;
                if compressed {
                    self.inflate_frame(text, offset, len, buffer)
                } else {
                    Ok(self.found(text, offset, len))
                }
            }
            State::Fragment(payload) => {
                let message = self.fragments.get_or_insert_default();
                let max_message = self.limits.max_message;
                let most = if message.compressed { with_overhead(max_message) } else { max_message };
                if let Some(needed) = payload.move_to(message, buffer, most)? {
                    return Ok(Next::Incomplete(needed));
                }
                let fin = payload.fin;
                self.state = State::Header;
                match self.fragments.take_if(|_| fin) {
                    Some(message) => self.assembled(message),
                    None => Ok(Next::Again),
                }
            }
            State::Assembled(_) => {
                self.state = State::Header;
                Ok(Next::Again)
            }
            State::Closed => {
                buffer.clear();
                Ok(Next::Incomplete(self.shortest()))
            }
            State::Failed(error) => Err(*error),
        }
    }

    /// A frame begins. The rules are checked in the order of the bytes, so every way to cut the input gives the same
    /// error.
    #[inline]
    fn frame(&mut self, buffer: &mut BytesMut) -> Result<Next, ProtocolError> {
        let Some(&first) = buffer.first() else { return Ok(Next::Incomplete(self.shortest())) };
        let opcode = self.admit_first(first)?;
        let Some(&second) = buffer.get(1) else { return Ok(Next::Incomplete(self.shortest())) };
        match (second & MASK != 0, self.mask_bit != 0) {
            (false, true) => return Err(ProtocolError::MissingMask),
            (true, false) => return Err(ProtocolError::UnexpectedMask),
            _ => {}
        }
        let Some((len, size)) = frame::length(buffer, opcode)? else {
            return Ok(Next::Incomplete(self.masking() + if second & !MASK == 126 { 4 } else { 10 }));
        };
        let compressed = first & RSV != 0;
        let len = self.admit_length(opcode, len, compressed)?;
        let offset = size + self.masking();
        let key = if self.mask_bit == 0 {
            mask::NONE
        } else {
            let Some(key) = frame::masking_key(buffer, size) else {
                return Ok(Next::Incomplete(offset.saturating_add(len)));
            };
            key
        };
        let is_whole = buffer.len() - offset >= len;
        let fin = first & FIN != 0;

        if opcode.is_control() {
            let control = Control { opcode, key, offset, len };
            return Ok(if is_whole { Next::Control(control) } else { Next::Incomplete(offset + len) });
        }
        let text = opcode == OpCode::Text;
        if fin && self.fragments.is_none() {
            if is_whole {
                let payload = &mut buffer[offset..offset + len];
                mask::apply(payload, key, 0);
                if compressed {
                    return self.inflate_frame(text, offset, len, buffer);
                }
                if text && !utf8::is_valid(payload) {
                    return Err(ProtocolError::InvalidUtf8);
                }
                return Ok(self.found(text, offset, len));
            }
            let payload = Payload { key, fin, text, compressed, offset, len, done: 0, checked: 0 };
            self.state = State::Whole(Box::new(payload));
            return Ok(Next::Again);
        }
        buffer.advance(offset);
        let payload = Payload { key, fin, text, compressed, offset: 0, len, done: 0, checked: 0 };
        self.state = State::Fragment(Box::new(payload));
        let message = self.fragments.get_or_insert_default();
        message.text |= text;
        message.compressed |= compressed;
        message.count += 1;
        Ok(Next::Again)
    }

    /// What the first byte shows: reserved bits, the opcode, and whether its frame may come now.
    #[inline]
    fn admit_first(&self, first: u8) -> Result<OpCode, ProtocolError> {
        if first & RSV != 0 && !self.may_be_compressed(first) {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = frame::opcode(first)?;
        let count = match (&self.fragments, opcode) {
            (_, OpCode::Close | OpCode::Ping | OpCode::Pong) => return Ok(opcode),
            (None, OpCode::Continuation) => return Err(ProtocolError::UnexpectedContinuation),
            (Some(_), OpCode::Text | OpCode::Binary) => return Err(ProtocolError::ExpectedContinuation),
            (None, _) if first & FIN != 0 => return Ok(opcode),
            (None, _) => 0,
            (Some(fragments), _) => fragments.count,
        };
        if count < self.limits.max_fragments { Ok(opcode) } else { Err(ProtocolError::TooManyFragments) }
    }

    /// Holds the announced length against the limits, and so makes it fit memory.
    #[inline]
    fn admit_length(&self, opcode: OpCode, len: u64, compressed: bool) -> Result<usize, ProtocolError> {
        let len = usize::try_from(len).map_err(|_| ProtocolError::FrameTooLong)?;
        if opcode.is_control() {
            return Ok(len);
        }
        let so_far = self.fragments.as_ref().map_or(0, |message| message.payload.len());
        let Limits { mut max_frame, mut max_message, .. } = self.limits;
        if compressed || self.fragments.as_ref().is_some_and(|message| message.compressed) {
            (max_frame, max_message) = (with_overhead(max_frame), with_overhead(max_message));
        }
        if len > max_frame {
            return Err(ProtocolError::FrameTooLong);
        }
        // By subtraction: a sum of what a peer announces could wrap around.
        if len > max_message.saturating_sub(so_far) { Err(ProtocolError::MessageTooLong) } else { Ok(len) }
    }

    /// Whether a frame that begins with this byte, in which a reserved bit is set, may begin a compressed message.
    #[cfg(feature = "deflate")]
    fn may_be_compressed(&self, first: u8) -> bool {
        let is_first_of_message = matches!(first & 0x0F, 1 | 2);
        self.deflate.is_some() && first & RSV == Header::RSV1 << 4 && is_first_of_message
    }

    #[cfg(not(feature = "deflate"))]
    fn may_be_compressed(&self, _: u8) -> bool {
        false
    }

    /// Inflates a message that came in one frame, which lies whole and unmasked in the buffer.
    fn inflate_frame(
        &mut self,
        text: bool,
        offset: usize,
        len: usize,
        buffer: &mut BytesMut,
    ) -> Result<Next, ProtocolError> {
        let message = Fragments { text, ..Fragments::default() };
        let next = self.inflated(Box::new(message), &buffer[offset..offset + len]);
        buffer.advance(offset + len);
        next
    }

    /// A compressed message is whole.
    #[cfg(feature = "deflate")]
    fn inflated(&mut self, mut message: Box<Fragments>, packed: &[u8]) -> Result<Next, ProtocolError> {
        let receiving = self.deflate.as_mut().ok_or(ProtocolError::ReservedBits)?;
        message.payload = receiving.inflate(packed, self.limits.max_message)?;
        message.compressed = false;
        if message.text && !utf8::is_valid(&message.payload) {
            return Err(ProtocolError::InvalidUtf8);
        }
        message.checked = message.payload.len();
        self.assembled(message)
    }

    #[cfg(not(feature = "deflate"))]
    fn inflated(&mut self, _: Box<Fragments>, _: &[u8]) -> Result<Next, ProtocolError> {
        Err(ProtocolError::ReservedBits)
    }

    #[inline]
    fn found(&mut self, text: bool, offset: usize, len: usize) -> Next {
        self.ready = offset + len;
        self.key = mask::NONE;
        Next::Message(Found::new(text, offset, len))
    }

    fn assembled(&mut self, mut message: Box<Fragments>) -> Result<Next, ProtocolError> {
        if message.compressed {
            let packed = mem::take(&mut message.payload);
            return self.inflated(message, &packed);
        }
        let Fragments { text, checked, .. } = *message;
        let len = message.payload.len();
        if text && checked < len {
            return Err(ProtocolError::InvalidUtf8);
        }
        self.state = State::Assembled(message);
        Ok(Next::Message(Found::new(text, Found::ASSEMBLED, len)))
    }

    /// A whole close, ping or pong.
    #[inline(never)]
    fn control(&mut self, control: Control, buffer: &mut BytesMut) -> Result<Received, ProtocolError> {
        let Control { opcode, key, offset, len } = control;
        let payload = &mut buffer[offset..offset + len];
        mask::apply(payload, key, 0);
        let payload = Bytes::copy_from_slice(payload);
        buffer.advance(offset + len);
        match opcode {
            OpCode::Ping => Ok(Received::Ping(ControlPayload(payload))),
            OpCode::Pong => Ok(Received::Pong(ControlPayload(payload))),
            _ => match parse_close(payload) {
                Ok(close) => {
                    self.state = State::Closed;
                    self.fragments = None;
                    buffer.clear();
                    Ok(Received::Close(close))
                }
                Err(error) => Err(self.fail(error, buffer)),
            },
        }
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError, buffer: &mut BytesMut) -> ProtocolError {
        self.state = State::Failed(error);
        self.fragments = None;
        buffer.clear();
        error
    }
}

/// What may come of compressed data where so much may come out of it: what cannot be compressed gets longer.
const fn with_overhead(limit: usize) -> usize {
    limit.saturating_add(limit / 16).saturating_add(64)
}

/// Unmasks a whole payload. False: it is text that is no UTF-8, and is left as it was.
#[inline(never)]
fn unmask_and_check(payload: &mut [u8], text: bool, key: [u8; 4]) -> bool {
    mask::apply(payload, key, 0);
    let is_good = !text || utf8::is_valid(payload);
    if !is_good {
        mask::apply(payload, key, 0);
    }
    is_good
}

/// A close frame's content: nothing, or a code and a reason.
fn parse_close(payload: Bytes) -> Result<Option<CloseFrame>, ProtocolError> {
    let (code, reason) = match *payload {
        [] => return Ok(None),
        [_] => return Err(ProtocolError::TruncatedCloseCode),
        [high, low, ..] => (CloseCode::from(u16::from_be_bytes([high, low])), payload.slice(2..)),
    };
    if !code.is_sendable() {
        return Err(ProtocolError::InvalidCloseCode(code));
    }
    let reason = Text::try_from(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
    Ok(Some(CloseFrame { code, reason }))
}
