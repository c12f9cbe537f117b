//! Messages become frames.

use bytes::{Bytes, BytesMut};
#[cfg(feature = "deflate")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "client")]
use crate::Text;
#[cfg(feature = "deflate")]
use crate::deflate::{Agreement, DeflateParams, Sending, Variants};
use crate::frame::{self, Header, MAX_CONTROL, OpCode};
#[cfg(feature = "client")]
use crate::keys::{self, KeyError, Keys};
use crate::parts::Payload;
use crate::{CloseFrame, Message};

/// Where encoded bytes go: a buffer, a write queue, whatever the caller has.
///
/// A frame is offered as a short slice with the header, followed by its payload.
pub trait Output {
    /// Appends a copy of these bytes.
    fn put_slice(&mut self, bytes: &[u8]);

    /// Appends these bytes. A queue may keep the shared buffer instead of copying, which pays from some kilobytes on.
    fn put_bytes(&mut self, bytes: Bytes) {
        self.put_slice(&bytes);
    }

    /// Appends bytes that many outputs are given alike. A queue may share one copy between them.
    fn put_shared(&mut self, bytes: &Bytes) {
        self.put_bytes(bytes.clone());
    }

    /// Appends a copy of a frame's header, and its payload as by [`put_bytes`](Self::put_bytes). A queue may make room
    /// for both at once.
    #[inline(always)]
    fn put_frame(&mut self, header: &[u8], payload: Bytes) {
        frame::put(header, self);
        self.put_bytes(payload);
    }
}

impl Output for BytesMut {
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Output for Vec<u8> {
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<O: Output + ?Sized> Output for &mut O {
    fn put_slice(&mut self, bytes: &[u8]) {
        (**self).put_slice(bytes);
    }

    fn put_bytes(&mut self, bytes: Bytes) {
        (**self).put_bytes(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        (**self).put_shared(bytes);
    }

    fn put_frame(&mut self, header: &[u8], payload: Bytes) {
        (**self).put_frame(header, payload);
    }
}

/// Something the local program tried to send and must not. The connection itself is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A close frame has been sent, and nothing but pongs may follow it (RFC 6455 §5.5.1).
    ///
    /// Also if the sender cannot go on for another reason: a message in parts was left unfinished, after which only
    /// control frames may follow, or the operating system gave a client no masking keys.
    #[error("the sender is closed")]
    Closed,
    /// More than 125 bytes in a ping or pong, or more than 123 in a close reason (RFC 6455 §5.5).
    #[error("a control frame cannot carry more than 125 bytes")]
    ControlTooLong,
    /// A close code that [may not be sent](crate::CloseCode::is_sendable).
    #[error("this close code must not be sent")]
    InvalidCloseCode,
}

/// The sending half: turns messages and control frames into bytes.
///
/// It keeps no buffer. Every call appends whole frames to the [`Output`] it is given, so they leave in the order of the
/// calls. After a close frame it refuses everything but pongs.
///
/// ```
/// use wsrv_rfc6455::{Message, Sender};
///
/// let mut out = Vec::new();
/// Sender::server().message(Message::from("Hello"), &mut out)?;
/// assert_eq!(out, b"\x81\x05Hello");
/// # Ok::<(), wsrv_rfc6455::SendError>(())
/// ```
///
/// # Source
///
/// RFC 6455 §5.4, §5.6 and §6.1. A message is one frame unless [`with_max_frame`](Self::with_max_frame) says otherwise:
/// its length is known, and no rule asks for fragments.
#[derive(Debug)]
pub struct Sender {
    closed: bool,
    /// The last data frame left its message open.
    pub(crate) unfinished: bool,
    /// In four bytes, since every connection has one.
    max_frame: u32,
    #[cfg(feature = "client")]
    masking: Masking,
    #[cfg(feature = "deflate")]
    deflate: Option<Box<Sending>>,
}

#[cfg(feature = "client")]
#[derive(Debug)]
enum Masking {
    /// A server's frames have no masking key.
    None,
    /// In a box, since servers have many senders and no use for it.
    Keys(Box<Keys>),
    Failed(KeyError),
}

impl Sender {
    /// The sender of a server, which does not mask.
    pub const fn server() -> Self {
        Self {
            closed: false,
            unfinished: false,
            max_frame: u32::MAX,
            #[cfg(feature = "client")]
            masking: Masking::None,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// The sender of a client, which masks each frame with a fresh key from the operating system.
    ///
    /// Keys are fetched in blocks. Without keys nothing can be sent: should the operating system fail to give them,
    /// the sender is closed for good and [`failure`](Self::failure) tells why.
    ///
    /// # Source
    ///
    /// RFC 6455 §5.3 and §10.3.
    #[cfg(feature = "client")]
    pub fn client() -> Self {
        Self { masking: Masking::Keys(Box::new(Keys::new(keys::fill))), ..Self::server() }
    }

    /// Sets the longest payload of a data frame, in bytes: longer messages leave in several fragments, as some peers
    /// want it. 0 counts as 1. Default, and the most that can be set: 4 GiB.
    ///
    /// [Prepared](Self::prepared) frames stay whole at a server.
    pub const fn with_max_frame(mut self, bytes: usize) -> Self {
        self.set_max_frame(bytes);
        self
    }

    /// As [`with_max_frame`](Self::with_max_frame), for the messages from now on.
    pub const fn set_max_frame(&mut self, bytes: usize) {
        self.max_frame = match bytes {
            0 => 1,
            bytes if bytes > u32::MAX as usize => u32::MAX,
            bytes => bytes as u32,
        };
    }

    /// Why the sender of a client has no masking keys, if so.
    #[cfg(feature = "client")]
    pub const fn failure(&self) -> Option<KeyError> {
        if let Masking::Failed(error) = self.masking { Some(error) } else { None }
    }

    /// Compresses messages as was agreed on, where that makes them shorter and
    /// [`Deflate`](crate::deflate::Deflate) says so. (With context takeover, also where it makes them longer by 16 bytes at
    /// most: later ones may refer to them.) Messages [in parts](Self::begin_text) are sent as they are.
    ///
    /// That takes its time, some 100 MB/s: a large message should not be sent where others wait for the thread.
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, agreement: &Agreement) -> Self {
        self.deflate = Some(Box::new(Sending::new(agreement)));
        self
    }

    /// What was agreed on about compression.
    #[cfg(feature = "deflate")]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.deflate.as_ref().map(|sending| sending.agreement().params())
    }

    #[cfg(all(feature = "deflate", feature = "connection"))]
    pub(crate) fn agreement(&self) -> Option<&Agreement> {
        self.deflate.as_ref().map(|sending| sending.agreement())
    }

    /// Sends a message, in one frame unless it is longer than [`with_max_frame`](Self::with_max_frame) allows.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame.
    #[inline]
    pub fn message(&mut self, message: Message, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.deflate.is_some()
            && let Some(sent) = self.compressed(opcode_of(&message), message.as_bytes(), out)
        {
            return sent;
        }
        self.message_as_it_is(message, out)
    }

    /// As [`message`](Self::message), and not compressed, whatever was agreed on: for secrets beside which somebody else
    /// chooses what is sent. (Nothing that is sent later refers to it, either.)
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    #[cfg(feature = "deflate")]
    pub fn message_uncompressed(
        &mut self,
        message: Message,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        self.message_as_it_is(message, out)
    }

    /// Sends a message compressed. `None`: it is to be sent as it is.
    #[cfg(feature = "deflate")]
    #[cold]
    #[inline(never)]
    fn compressed(
        &mut self,
        opcode: OpCode,
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Option<Result<(), SendError>> {
        let is_wanted = |sending: &mut Box<Sending>| sending.wants(opcode == OpCode::Text, payload.len());
        let mut sending = self.deflate.take_if(is_wanted)?;
        let sent = match self.ready_for_message() {
            Ok(()) => sending.compress(payload, |packed| self.compressed_frames(opcode, packed, out)),
            Err(error) => Some(Err(error)),
        };
        self.deflate = Some(sending);
        sent
    }

    #[cfg(feature = "deflate")]
    fn compressed_frames(
        &mut self,
        opcode: OpCode,
        mut packed: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let (mut next, mut reserved) = (opcode, Header::RSV1);
        while packed.len() > self.max_frame() {
            let (part, rest) = packed.split_at(self.max_frame());
            let header = Header { fin: false, reserved, ..Header::whole(next, part.len() as u64) };
            self.frame(header, Payload::Slice(part), out)?;
            (packed, next, reserved) = (rest, OpCode::Continuation, 0);
        }
        let header = Header { reserved, ..Header::whole(next, packed.len() as u64) };
        self.frame(header, Payload::Slice(packed), out)
    }

    #[inline]
    fn message_as_it_is(&mut self, message: Message, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.ready_for_message()?;
        let opcode = opcode_of(&message);
        let payload = message.into_bytes();
        if payload.len() <= self.max_frame() {
            self.frame(Header::whole(opcode, payload.len() as u64), Payload::Shared(payload), out)
        } else {
            self.fragments(opcode, payload, out)
        }
    }

    /// Sends a message that is too long for one frame.
    #[inline(never)]
    fn fragments(
        &mut self,
        opcode: OpCode,
        mut payload: Bytes,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let mut next = opcode;
        while payload.len() > self.max_frame() {
            let part = payload.split_to(self.max_frame());
            let header = Header { fin: false, ..Header::whole(next, part.len() as u64) };
            self.frame(header, Payload::Shared(part), out)?;
            next = OpCode::Continuation;
        }
        self.frame(Header::whole(next, payload.len() as u64), Payload::Shared(payload), out)
    }

    /// As [`message`](Self::message). A small message stays where it is, since its payload is copied anyway; a larger one
    /// is taken away.
    #[inline]
    #[cfg(feature = "connection")]
    pub(crate) fn message_in(
        &mut self,
        message: &mut Message,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        const SMALL: usize = 4096;
        #[cfg(feature = "deflate")]
        if self.deflate.is_some()
            && let Some(sent) = self.compressed(opcode_of(message), message.as_bytes(), out)
        {
            return sent;
        }
        if message.len() > self.max_frame().min(SMALL) {
            return self.message_as_it_is(message.take(), out);
        }
        self.ready_for_message()?;
        let payload = message.as_bytes();
        let header = Header::whole(opcode_of(message), payload.len() as u64);
        self.frame(header, Payload::Slice(payload), out)
    }

    /// Sends a frame that was encoded before, as in a broadcast. A client, whose frames differ, encodes it again.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame.
    #[inline]
    pub fn prepared(&mut self, frame: &PreparedFrame, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.ready_for_message()?;
        #[cfg(feature = "client")]
        if !matches!(self.masking, Masking::None) {
            return match frame.is_uncompressed() {
                true => self.message_as_it_is(frame.to_message(), out),
                false => self.message(frame.to_message(), out),
            };
        }
        #[cfg(feature = "deflate")]
        if self.deflate.is_some()
            && let Some(sent) = self.prepared_compressed(frame, out)
        {
            return sent;
        }
        out.put_shared(&frame.bytes);
        Ok(())
    }

    /// Sends what was encoded before in its compressed form. `None`: it is to be sent as it is.
    #[cfg(feature = "deflate")]
    #[cold]
    #[inline(never)]
    fn prepared_compressed(
        &mut self,
        frame: &PreparedFrame,
        out: &mut (impl Output + ?Sized),
    ) -> Option<Result<(), SendError>> {
        let (sending, variants) = (self.deflate.as_mut()?, frame.variants.as_ref()?);
        let (opcode, payload) = frame.parts();
        if !sending.wants(opcode == OpCode::Text, payload.len()) {
            return None;
        }
        // The frame stays whole, whether it is compressed for this peer alone or for many.
        let whole = |packed: &[u8]| {
            let header = Header { reserved: Header::RSV1, ..Header::whole(opcode, packed.len() as u64) };
            header.to_array()
        };
        if sending.is_alone() {
            let send = |packed: &[u8]| {
                let (header, len) = whole(packed);
                out.put_slice(&header[..len]);
                out.put_slice(packed);
            };
            return sending.compress(payload, send).map(Ok);
        }
        let encode = |packed: &[u8]| {
            let (header, len) = whole(packed);
            [&header[..len], packed].concat().into()
        };
        let bytes = sending.shared(variants.get_or_init(Arc::default), payload, encode)?;
        out.put_shared(&bytes);
        Some(Ok(()))
    }

    /// Asks the peer for a sign of life; it answers with the same payload.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] above 125 bytes, [`SendError::Closed`] after a close frame.
    pub fn ping(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(OpCode::Ping, &[], payload, out)
    }

    /// Answers a ping, with its payload. Of several unanswered pings the latest is enough (RFC 6455 §5.5.3).
    ///
    /// The one thing that may follow our close frame: a peer that has not answered it may still want to know whether
    /// somebody is there (§5.5.2). After the *peer's* close frame there is no ping to answer.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] above 125 bytes; [`SendError::Closed`] if a client has no masking keys.
    pub fn pong(&mut self, payload: &[u8], out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        self.control(OpCode::Pong, &[], payload, out)
    }

    /// Begins or answers the closing handshake. `None` sends a close frame without a code.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] for a code that may not be sent, [`SendError::ControlTooLong`] for a reason
    /// above 123 bytes, which [`CloseFrame::new`] never makes, [`SendError::Closed`] if a close frame went out before.
    /// Nothing is written then.
    pub fn close(&mut self, frame: Option<&CloseFrame>, out: &mut (impl Output + ?Sized)) -> Result<(), SendError> {
        match frame {
            None => self.control(OpCode::Close, &[], &[], out)?,
            Some(frame) if !frame.code.is_sendable() => {
                self.ready()?;
                return Err(SendError::InvalidCloseCode);
            }
            Some(CloseFrame { code, reason }) => {
                self.control(OpCode::Close, &code.as_u16().to_be_bytes(), reason.as_bytes(), out)?;
            }
        }
        self.closed = true;
        Ok(())
    }

    /// Whether nothing can follow, as a rule because a close frame went out.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    fn control(
        &mut self,
        opcode: OpCode,
        front: &[u8],
        payload: &[u8],
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        if opcode != OpCode::Pong {
            self.ready()?;
        }
        let len = front.len() + payload.len();
        if len > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        let mask = self.key()?;
        Header { mask, ..Header::whole(opcode, len as u64) }.encode(out);
        put(front, mask, 0, out);
        put(payload, mask, front.len(), out);
        Ok(())
    }

    /// Sends a data frame whose header lacks nothing but the masking key.
    #[inline(always)]
    pub(crate) fn frame(
        &mut self,
        header: Header,
        payload: Payload<'_>,
        out: &mut (impl Output + ?Sized),
    ) -> Result<(), SendError> {
        let mask = self.key()?;
        self.unfinished = !header.fin;
        let header = Header { mask, ..header };
        match payload {
            Payload::Shared(bytes) if mask.is_none() => {
                let (header, len) = header.to_array();
                out.put_frame(&header[..len], bytes);
            }
            payload => {
                header.encode(out);
                put(payload.as_slice(), mask, 0, out);
            }
        }
        Ok(())
    }

    /// Whether this is a client's.
    #[cfg(feature = "connection")]
    pub(crate) const fn is_client(&self) -> bool {
        #[cfg(feature = "client")]
        return !matches!(self.masking, Masking::None);
        #[cfg(not(feature = "client"))]
        false
    }

    /// The next frame's masking key, `None` at a server.
    #[inline]
    fn key(&mut self) -> Result<Option<[u8; 4]>, SendError> {
        #[cfg(feature = "client")]
        match &mut self.masking {
            Masking::None => {}
            Masking::Keys(keys) => match keys.next() {
                Ok(key) => return Ok(Some(key)),
                Err(error) => {
                    self.masking = Masking::Failed(error);
                    self.closed = true;
                    return Err(SendError::Closed);
                }
            },
            Masking::Failed(_) => return Err(SendError::Closed),
        }
        Ok(None)
    }

    #[inline(always)]
    pub(crate) const fn max_frame(&self) -> usize {
        self.max_frame as usize
    }

    #[inline]
    fn ready(&self) -> Result<(), SendError> {
        if self.closed { Err(SendError::Closed) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn ready_for_message(&self) -> Result<(), SendError> {
        if self.closed || self.unfinished { Err(SendError::Closed) } else { Ok(()) }
    }
}

/// A message encoded once, to be sent to many peers.
///
/// A server's frame is the same for everybody, so a broadcast shares one buffer: a clone copies nothing. With the feature
/// `deflate`, it is compressed when the first peer needs that, once for all that have agreed on the same window and on no
/// context takeover.
#[derive(Debug)]
pub struct PreparedFrame {
    bytes: Bytes,
    /// Its compressed forms, which clones share: made when the first is needed, or when it is cloned. `None`: it is to be
    /// sent as it is.
    #[cfg(feature = "deflate")]
    variants: Option<OnceLock<Arc<Variants>>>,
}

impl PreparedFrame {
    /// Encodes the message, copying its payload once.
    pub fn new(message: impl Into<Message>) -> Self {
        let message = message.into();
        let (header, len) = Header::whole(opcode_of(&message), message.len() as u64).to_array();
        let mut bytes = Vec::with_capacity(len + message.len());
        bytes.extend_from_slice(&header[..len]);
        bytes.extend_from_slice(message.as_bytes());
        Self {
            bytes: bytes.into(),
            #[cfg(feature = "deflate")]
            variants: Some(OnceLock::new()),
        }
    }

    /// The same message, to be sent as it is to everybody; see
    /// [`Sender::message_uncompressed`].
    #[cfg(feature = "deflate")]
    pub fn uncompressed(mut self) -> Self {
        self.variants = None;
        self
    }

    /// The whole frame, header and payload, uncompressed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole frame, header and payload, uncompressed and without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// What it is, and its payload.
    #[cfg(any(feature = "client", feature = "deflate"))]
    fn parts(&self) -> (OpCode, &[u8]) {
        match Header::parse(&self.bytes) {
            Ok(Some((header, size))) => (header.opcode, &self.bytes[size..]),
            _ => unreachable!("`new` has encoded the header"),
        }
    }

    #[cfg(feature = "client")]
    fn is_uncompressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.variants.is_none();
        #[cfg(not(feature = "deflate"))]
        true
    }

    /// The message, of which the payload is shared.
    #[cfg(feature = "client")]
    fn to_message(&self) -> Message {
        let (opcode, payload) = self.parts();
        let payload = self.bytes.slice_ref(payload);
        match opcode {
            OpCode::Text => Message::Text(Text::from_checked(payload)),
            _ => Message::Binary(payload),
        }
    }
}

impl Clone for PreparedFrame {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            #[cfg(feature = "deflate")]
            variants: self.variants.as_ref().map(|variants| variants.get_or_init(Arc::default).clone().into()),
        }
    }
}

/// Whether it is the same message, in whatever forms it was sent.
impl PartialEq for PreparedFrame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PreparedFrame {}

impl From<Message> for PreparedFrame {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}

#[inline]
fn opcode_of(message: &Message) -> OpCode {
    if message.is_text() { OpCode::Text } else { OpCode::Binary }
}

/// Writes a piece of payload that begins at `offset`, masked if there is a key.
#[inline]
fn put(bytes: &[u8], key: Option<[u8; 4]>, offset: usize, out: &mut (impl Output + ?Sized)) {
    match key {
        #[cfg(feature = "client")]
        Some(key) => crate::mask::put(bytes, key, offset, out),
        _ => {
            debug_assert!(key.is_none() && offset <= MAX_CONTROL, "only clients have keys");
            out.put_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CloseCode;

    fn sent(send: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>) -> Result<Vec<u8>, SendError> {
        let mut out = Vec::new();
        send(&mut Sender::server(), &mut out).map(|()| out)
    }

    #[test]
    fn the_sample_frames_of_the_rfc_are_sent() {
        // RFC 6455 §5.7, those that come from a server.
        assert_eq!(sent(|sender, out| sender.message("Hello".into(), out)).unwrap(), b"\x81\x05Hello");
        assert_eq!(sent(|sender, out| sender.ping(b"Hello", out)).unwrap(), b"\x89\x05Hello");
        let (short, long) = (vec![7; 256], vec![7; 65_536]);
        let frame = sent(|sender, out| sender.message(short.clone().into(), out)).unwrap();
        assert_eq!(frame, [&b"\x82\x7E\x01\x00"[..], &short].concat());
        let frame = sent(|sender, out| sender.message(long.clone().into(), out)).unwrap();
        assert_eq!(frame, [&b"\x82\x7F\0\0\0\0\0\x01\0\0"[..], &long].concat());
    }

    #[test]
    fn nothing_but_pongs_follows_a_close() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        assert!(!sender.is_closed());
        sender.close(Some(&CloseFrame::new(CloseCode::NORMAL, "done")), &mut out).unwrap();
        assert!(sender.is_closed());
        assert_eq!(out, b"\x88\x06\x03\xE8done");
        assert_eq!(sender.message("a".into(), &mut out), Err(SendError::Closed));
        assert_eq!(sender.prepared(&PreparedFrame::new("a"), &mut out), Err(SendError::Closed));
        assert_eq!(sender.ping(b"", &mut out), Err(SendError::Closed));
        assert_eq!(sender.close(None, &mut out), Err(SendError::Closed));
        assert_eq!(out.len(), 8);
        sender.pong(b"?", &mut out).unwrap();
        assert_eq!(out[8..], *b"\x8A\x01?");
    }

    #[test]
    fn a_close_without_a_code_is_empty_and_never_status_zero() {
        assert_eq!(sent(|sender, out| sender.close(None, out)).unwrap(), b"\x88\x00");
        for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
            let frame = CloseFrame::from(CloseCode::from(code));
            let result = sent(|sender, out| sender.close(Some(&frame), out));
            assert_eq!(result, Err(SendError::InvalidCloseCode), "{code}");
        }
    }

    #[test]
    fn a_refused_close_writes_nothing_and_can_be_tried_again() {
        let (mut sender, mut out) = (Sender::server(), Vec::new());
        let too_long = CloseFrame { code: CloseCode::NORMAL, reason: "a".repeat(124).into() };
        assert_eq!(sender.close(Some(&too_long), &mut out), Err(SendError::ControlTooLong));
        assert!(out.is_empty() && !sender.is_closed());
        sender.close(Some(&CloseFrame::new(too_long.code, too_long.reason)), &mut out).unwrap();
        assert_eq!(out.len(), 127);
    }

    #[test]
    fn control_payloads_have_at_most_125_bytes() {
        assert_eq!(sent(|sender, out| sender.pong(&[b'a'; 125], out)).unwrap().len(), 127);
        assert_eq!(sent(|sender, out| sender.ping(&[b'a'; 126], out)), Err(SendError::ControlTooLong));
    }

    #[test]
    fn a_long_message_leaves_in_fragments() {
        let (mut sender, mut out) = (Sender::server().with_max_frame(3), Vec::new());
        for (text, frames) in [
            ("", &b"\x81\0"[..]),
            ("Hel", b"\x81\x03Hel"),
            ("Hello", b"\x01\x03Hel\x80\x02lo"),
            ("Hello!", b"\x01\x03Hel\x80\x03lo!"),
            ("Hello you", b"\x01\x03Hel\0\x03lo \x80\x03you"),
        ] {
            out.clear();
            sender.message(text.into(), &mut out).unwrap();
            assert_eq!(out, frames, "{text}");
        }
        assert_eq!(Sender::server().with_max_frame(0).max_frame(), 1);
    }

    #[test]
    fn payloads_are_offered_to_the_output_as_shared_bytes() {
        #[derive(Default)]
        struct Queue(Vec<Bytes>);
        impl Output for Queue {
            fn put_slice(&mut self, bytes: &[u8]) {
                self.0.push(Bytes::copy_from_slice(bytes));
            }
            fn put_bytes(&mut self, bytes: Bytes) {
                self.0.push(bytes);
            }
        }
        let payload = Bytes::from(vec![7; 10_000]);
        let mut queue = Queue::default();
        Sender::server().message(payload.clone().into(), &mut queue).unwrap();
        assert_eq!(queue.0[1].as_ptr(), payload.as_ptr());

        let frame = PreparedFrame::new("to everybody");
        Sender::server().prepared(&frame, &mut queue).unwrap();
        assert_eq!(queue.0[2].as_ptr(), frame.as_bytes().as_ptr());
    }

    #[cfg(feature = "client")]
    mod client {
        use super::*;
        use crate::keys::tests::{BLOCK, shaky};
        use crate::mask;

        /// Takes the frames apart: the headers, and the payloads unmasked.
        fn frames(mut bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
            let mut frames = Vec::new();
            while let Some((header, size)) = Header::parse(bytes).unwrap() {
                let (payload, rest) = bytes[size..].split_at(header.payload_len as usize);
                let mut payload = payload.to_vec();
                mask::apply(&mut payload, header.mask.expect("a client masks"), 0);
                frames.push((header, payload));
                bytes = rest;
            }
            frames
        }

        #[test]
        fn a_client_masks_each_frame_with_its_own_key() {
            let (mut sender, mut out) = (Sender::client(), Vec::new());
            let long = "a".repeat(5000);
            sender.message("Hello".into(), &mut out).unwrap();
            sender.message(long.as_str().into(), &mut out).unwrap();
            sender.ping(b"1", &mut out).unwrap();
            sender.pong(b"2", &mut out).unwrap();
            sender.close(Some(&CloseFrame::new(CloseCode::NORMAL, "done")), &mut out).unwrap();
            let frames = frames(&out);
            let payloads: Vec<&[u8]> = frames.iter().map(|(_, payload)| payload.as_slice()).collect();
            assert_eq!(payloads, [b"Hello", long.as_bytes(), b"1", b"2", b"\x03\xE8done"]);
            assert!(frames.iter().all(|(header, _)| header.fin && header.reserved == 0));
            let keys: std::collections::HashSet<_> = frames.iter().map(|(header, _)| header.mask).collect();
            assert_eq!(keys.len(), 5);
        }

        #[test]
        fn a_client_masks_a_prepared_frame_and_never_sends_it_as_it_is() {
            let (mut sender, mut out) = (Sender::client(), Vec::new());
            let messages = [Message::from("text"), Message::from(vec![7; 300]), Message::from("")];
            for message in &messages {
                sender.prepared(&PreparedFrame::new(message.clone()), &mut out).unwrap();
            }
            for ((header, payload), message) in frames(&out).iter().zip(&messages) {
                assert_eq!((header.fin, header.opcode), (true, opcode_of(message)));
                assert_eq!(payload, message.as_bytes());
            }
        }

        #[test]
        fn fragments_have_keys_of_their_own() {
            let (mut sender, mut out) = (Sender::client().with_max_frame(2), Vec::new());
            sender.prepared(&PreparedFrame::new("Hello"), &mut out).unwrap();
            let frames = frames(&out);
            assert_eq!(frames.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), [2, 2, 1]);
            assert_ne!(frames[0].0.mask, frames[1].0.mask);
        }

        #[test]
        fn a_client_must_not_send_what_a_server_must_not() {
            let (mut sender, mut out) = (Sender::client(), Vec::new());
            assert_eq!(sender.ping(&[0; 126], &mut out), Err(SendError::ControlTooLong));
            for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
                let frame = CloseFrame::from(CloseCode::from(code));
                assert_eq!(sender.close(Some(&frame), &mut out), Err(SendError::InvalidCloseCode), "{code}");
            }
            assert!(out.is_empty());
            sender.close(None, &mut out).unwrap();
            assert_eq!(frames(&out)[0].1, b"");
            let len = out.len();
            assert_eq!(sender.message("a".into(), &mut out), Err(SendError::Closed));
            assert_eq!(sender.prepared(&PreparedFrame::new("a"), &mut out), Err(SendError::Closed));
            assert_eq!(sender.begin_text().map(drop), Err(SendError::Closed));
            assert_eq!(sender.ping(b"", &mut out), Err(SendError::Closed));
            assert_eq!(sender.close(None, &mut out), Err(SendError::Closed));
            assert_eq!(out.len(), len);
            sender.pong(b"?", &mut out).unwrap();
            assert_eq!(frames(&out)[1].1, b"?");
        }

        #[test]
        fn without_keys_a_client_sends_nothing_more_and_says_why() {
            let (mut sender, mut out) = (Sender::client(), Vec::new());
            sender.masking = Masking::Keys(Box::new(Keys::new(shaky)));
            for _ in 0..BLOCK {
                sender.ping(b"", &mut out).unwrap();
            }
            assert_eq!(sender.failure(), None);
            let len = out.len();
            assert_eq!(sender.message("Hello".into(), &mut out), Err(SendError::Closed));
            assert!(sender.failure().is_some() && sender.is_closed());
            assert_eq!(sender.close(None, &mut out), Err(SendError::Closed));
            assert_eq!(out.len(), len);
        }
    }
}
