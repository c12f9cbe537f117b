//! Both halves and their buffers in one value.

use bytes::{Buf, BytesMut};

#[cfg(feature = "client")]
use crate::KeyError;
use crate::{
    CloseCode, CloseFrame, ControlPayload, Limits, Message, ProtocolError, Received, Receiver, SendError, Sender, Text,
};

/// One end of a WebSocket after the opening handshake: bytes in, events out, and bytes to write.
///
/// It owns the buffers, answers pings, and carries out the closing handshake. What it leaves to the caller is the
/// stream and the clock: how long to wait for the peer's close frame, and when to ping.
///
/// Read into [`read_buffer`](Self::read_buffer) or hand over what was [`received`](Self::received), call
/// [`next`](Self::next) until it gives `None`, write [`output`](Self::output), tell what was
/// [`written`](Self::written), and read again until it [`is_finished`](Self::is_finished).
///
/// Memory stays bounded if all output is written before more is read: each ping that was read makes a pong.
/// # Examples
///
/// `examples/tokio_server.rs` of this crate is a server on tokio.
#[cfg_attr(
    all(feature = "client", feature = "handshake"),
    doc = concat!(
        "`examples/blocking_client.rs` is a client on a blocking socket:\n\n```no_run\n",
        include_str!("../examples/blocking_client.rs"),
        "```"
    )
)]
///
/// # Source
///
/// RFC 6455 §5.5 for the answers, §7.1 for the closing handshake.
#[derive(Debug)]
pub struct Protocol {
    receiver: Receiver,
    sender: Sender,
    input: BytesMut,
    output: BytesMut,
    /// The end that we have begun, while the peer has not answered.
    begun: Option<Closed>,
    closed: Option<Closed>,
}

/// Something that the peer did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A ping. It is answered already.
    Ping(ControlPayload),
    /// A pong, asked for or not.
    Pong(ControlPayload),
    /// The peer's close frame has come, and was answered if it was the first. No event follows.
    Closed(Closed),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Who began to close.
    pub began: Began,
    /// Why: the code of the first close frame. [`CloseCode::NO_STATUS`] if it has none, [`CloseCode::ABNORMAL`] if
    /// there was no close frame.
    pub code: CloseCode,
    /// Why, in words; often empty.
    pub reason: Text,
    /// Whether both sides have sent a close frame, and none because of a broken rule.
    pub clean: bool,
}

/// Who began to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Began {
    /// This side, on its own account or because the peer broke a rule.
    Us,
    /// The peer.
    Peer,
    /// Nobody: the stream ended.
    Transport,
}

impl Protocol {
    /// The server's end.
    pub fn server(limits: Limits) -> Self {
        Self::new(Receiver::server(limits), Sender::server())
    }

    /// The client's end.
    #[cfg(feature = "client")]
    pub fn client(limits: Limits) -> Self {
        Self::new(Receiver::client(limits), Sender::client())
    }

    fn new(receiver: Receiver, sender: Sender) -> Self {
        Self { receiver, sender, input: BytesMut::new(), output: BytesMut::new(), begun: None, closed: None }
    }

    /// Sets the longest payload of a data frame that is sent, in bytes; see [`Sender::with_max_frame`].
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.sender = self.sender.with_max_frame(bytes);
        self
    }

    /// Compresses and inflates messages as was agreed on; see [`deflate`](crate::deflate).
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, agreement: &crate::deflate::Agreement) -> Self {
        self.receiver = self.receiver.with_deflate(agreement);
        self.sender = self.sender.with_deflate(agreement);
        self
    }

    /// Where to append what is read from the stream, and only that: bytes that are there already must stay.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Takes what was read from the stream, or what had come together with the opening handshake.
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next event in what was read. `None`: write the output and read more.
    ///
    /// Events still come after [`close`](Self::close), until the peer's close frame.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke; all later calls give the same. The peer is told with a close frame, so write the
    /// output before closing the stream.
    #[expect(clippy::should_implement_trait, reason = "an iterator ends, while this goes on after the next read")]
    pub fn next(&mut self) -> Result<Option<Event>, ProtocolError> {
        match self.receiver.receive(&mut self.input) {
            Ok(Received::Incomplete { .. }) => Ok(None),
            Ok(Received::Message(found)) => Ok(Some(Event::Message(self.receiver.take(found, &mut self.input)))),
            Ok(Received::Ping(payload)) => {
                // Refused only if a client has no masking keys, and `failure` tells that.
                let _ = self.sender.pong(&payload, &mut self.output);
                Ok(Some(Event::Ping(payload)))
            }
            Ok(Received::Pong(payload)) => Ok(Some(Event::Pong(payload))),
            Ok(Received::Close(frame)) => Ok(Some(Event::Closed(self.recv_close(frame)))),
            Err(error) => {
                self.fail(error);
                Err(error)
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a close frame, ours or the peer's.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.message(message.into(), &mut self.output)
    }

    /// Sends a ping; its pong comes as an event.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] above 125 bytes, [`SendError::Closed`] after a close frame.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(payload, &mut self.output)
    }

    /// Begins the closing handshake, `None` without a code. Go on until the event [`Closed`](Event::Closed) comes, or
    /// for as long as there is patience.
    ///
    /// # Errors
    ///
    /// As [`Sender::close`].
    pub fn close(&mut self, frame: Option<&CloseFrame>) -> Result<(), SendError> {
        self.sender.close(frame, &mut self.output)?;
        self.begun = Some(Closed::new(Began::Us, frame.cloned()));
        Ok(())
    }

    /// Tells that the peer's stream has ended, once [`next`](Self::next) has given all events before that, and how the
    /// connection ended.
    pub fn ended(&mut self) -> &Closed {
        let begun = self.begun.take();
        self.closed.get_or_insert_with(|| {
            let abnormal = CloseFrame::from(CloseCode::ABNORMAL);
            begun.unwrap_or_else(|| Closed::new(Began::Transport, Some(abnormal)))
        })
    }

    /// The bytes to be written to the stream.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Tells that so many bytes of the output were written.
    ///
    /// # Panics
    ///
    /// If these are more than there were.
    pub fn written(&mut self, bytes: usize) {
        self.output.advance(bytes);
    }

    /// How the connection ended, once it has: after the event [`Closed`](Event::Closed), an error of
    /// [`next`](Self::next), or [`ended`](Self::ended).
    pub const fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Whether a close frame went out, so that nothing more can be sent.
    pub const fn is_closing(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the connection has ended and everything is written. A server closes its stream now; a client should give
    /// the server a moment to do so first (RFC 6455 §7.1.1).
    pub fn is_finished(&self) -> bool {
        self.closed.is_some() && self.output.is_empty()
    }

    /// Why a client has no masking keys and can send nothing, if so.
    #[cfg(feature = "client")]
    pub const fn failure(&self) -> Option<KeyError> {
        self.sender.failure()
    }

    fn recv_close(&mut self, frame: Option<CloseFrame>) -> Closed {
        let closed = match self.begun.take() {
            Some(ours) => Closed { clean: true, ..ours },
            None => {
                // The peer's own code was just found to be sendable.
                let clean = self.sender.close(frame.as_ref(), &mut self.output).is_ok();
                Closed { clean, ..Closed::new(Began::Peer, frame) }
            }
        };
        self.closed = Some(closed.clone());
        closed
    }

    fn fail(&mut self, error: ProtocolError) {
        if self.closed.is_none() {
            let frame = CloseFrame::new(error.close_code(), error.to_string());
            // Refused if we have closed already: then the peer answers with nonsense, and there is nothing more to say.
            let _ = self.sender.close(Some(&frame), &mut self.output);
            self.closed = Some(self.begun.take().unwrap_or_else(|| Closed::new(Began::Us, Some(frame))));
        }
    }
}

impl Closed {
    /// An end that is not clean yet.
    fn new(began: Began, frame: Option<CloseFrame>) -> Self {
        let CloseFrame { code, reason } = frame.unwrap_or_else(|| CloseCode::NO_STATUS.into());
        Self { began, code, reason, clean: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has received these frames, masked with zeros.
    fn server(received: &[u8]) -> Protocol {
        let mut server = Protocol::server(Limits::default());
        server.received(received);
        server
    }

    #[test]
    fn pings_are_answered_without_being_asked() {
        let mut server = server(b"\x89\x81\0\0\0\0a\x8A\x80\0\0\0\0");
        assert!(matches!(server.next(), Ok(Some(Event::Ping(payload))) if *payload == *b"a"));
        assert!(matches!(server.next(), Ok(Some(Event::Pong(payload))) if payload.is_empty()));
        assert_eq!(server.next(), Ok(None));
        assert_eq!(server.output(), b"\x8A\x01a");
        server.written(2);
        assert_eq!(server.output(), b"a");
    }

    #[test]
    fn the_peers_close_is_answered_with_its_code() {
        let mut server = server(b"\x88\x85\0\0\0\0\x0F\xA0bye\x81\x80\0\0\0\0");
        let Ok(Some(Event::Closed(closed))) = server.next() else { panic!("a close") };
        let expected = Closed { began: Began::Peer, code: CloseCode::from(4000), reason: "bye".into(), clean: true };
        assert_eq!((&closed, server.closed()), (&expected, Some(&expected)));
        assert_eq!(server.output(), b"\x88\x05\x0F\xA0bye");
        assert!(server.is_closing() && !server.is_finished());
        server.written(7);
        assert!(server.is_finished());
        assert_eq!(server.next(), Ok(None));
        assert_eq!(server.send("late"), Err(SendError::Closed));
        assert_eq!(server.ended(), &expected);
    }

    #[test]
    fn our_close_is_over_when_the_peers_has_come() {
        let mut server = Protocol::server(Limits::default());
        server.close(Some(&CloseFrame::new(CloseCode::GOING_AWAY, "night"))).unwrap();
        server.received(b"\x89\x80\0\0\0\0\x81\x81\0\0\0\0a");
        assert!(matches!(server.next(), Ok(Some(Event::Ping(_)))));
        assert_eq!(server.next(), Ok(Some(Event::Message("a".into()))));
        assert_eq!((server.next(), server.closed()), (Ok(None), None));
        server.received(b"\x88\x82\0\0\0\0\x03\xE8");
        let Ok(Some(Event::Closed(closed))) = server.next() else { panic!("a close") };
        assert_eq!((closed.began, closed.code, closed.clean), (Began::Us, CloseCode::GOING_AWAY, true));
        assert_eq!(closed.reason, "night");
        assert_eq!(server.output(), b"\x88\x07\x03\xE9night\x8A\x00", "a pong and no second close frame");
        assert_eq!(server.close(None), Err(SendError::Closed));
    }

    #[test]
    fn a_close_without_a_code_is_answered_without_one() {
        let mut server = server(b"\x88\x80\0\0\0\0");
        assert!(matches!(server.next(), Ok(Some(Event::Closed(_)))));
        assert_eq!(server.closed().map(|closed| closed.code), Some(CloseCode::NO_STATUS));
        assert_eq!(server.output(), b"\x88\x00");
    }

    #[test]
    fn a_broken_rule_is_told_to_the_peer_once() {
        let mut server = server(b"\x81\x81\0\0\0\0a\x81\x05Hello");
        assert_eq!(server.next(), Ok(Some(Event::Message("a".into()))));
        for _ in 0..3 {
            assert_eq!(server.next(), Err(ProtocolError::MissingMask));
        }
        assert_eq!(server.output(), b"\x88\x1E\x03\xEAa client frame is not masked");
        let closed = server.closed().expect("an end");
        assert_eq!((closed.began, closed.code, closed.clean), (Began::Us, CloseCode::PROTOCOL_ERROR, false));
    }

    #[test]
    fn a_stream_that_ends_early_is_not_clean() {
        let mut lost = server(b"\x81\x85\0\0\0\0a");
        assert_eq!(lost.next(), Ok(None));
        let closed = lost.ended().clone();
        assert_eq!((closed.began, closed.code, closed.clean), (Began::Transport, CloseCode::ABNORMAL, false));
        assert_eq!(lost.closed(), Some(&closed));

        let mut unanswered = server(b"");
        unanswered.close(None).unwrap();
        let closed = unanswered.ended();
        assert_eq!((closed.began, closed.code, closed.clean), (Began::Us, CloseCode::NO_STATUS, false));
    }
}
