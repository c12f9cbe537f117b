//! The codec's two halves as the driver's.

use super::control::{self, ControlFrame};
use super::{Answered, Opened, WebSocketConnection};
#[cfg(feature = "deflate")]
use crate::deflate::Agreement;
#[cfg(feature = "client")]
use crate::handshake::AnswerHead;
use crate::handshake::RequestHead;
use crate::parts::Suspended;
use crate::{
    CloseCode, CloseFrame, Found, Limits, Message, Output, PartError, PreparedFrame, ProtocolError, Receiver,
    SendError, Sender,
};
use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use wsrv_core::{Link, Out, Reason, Receive, Received, Transmit, Wire};

/// One end of a WebSocket whose opening handshake is done, the server's or the client's: give it to a
/// [`Driver`](wsrv_core::Driver) together with the stream.
#[derive(Debug)]
pub struct WebSocket {
    limits: Limits,
    opened: Opened,
    #[cfg(feature = "deflate")]
    agreement: Option<Agreement>,
}

impl WebSocket {
    /// A WebSocket that this request has opened, with default limits and no subprotocol.
    pub fn server(request: RequestHead) -> Self {
        Self::new(request, None)
    }

    /// The client's end: a WebSocket that this request of ours and this answer have opened, with default limits and no
    /// subprotocol. The answer has been [checked](crate::handshake::Expected::check).
    ///
    /// What is sent is masked, and what comes must not be (RFC 6455 §5.1). When both have said goodbye, the server is to end
    /// the stream first (§7.1.1).
    #[cfg(feature = "client")]
    pub fn client(request: RequestHead, answer: AnswerHead) -> Self {
        Self::new(request, Some(Box::new(Answered::Theirs(answer))))
    }

    fn new(request: RequestHead, answered: Option<Box<Answered>>) -> Self {
        let opened = Opened { request, subprotocol: None, extensions: Extensions::new(), answered };
        WebSocket {
            limits: Limits::default(),
            opened,
            #[cfg(feature = "deflate")]
            agreement: None,
        }
    }

    /// What the peer may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What was agreed on about compression.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, agreement: Option<Agreement>) -> Self {
        self.agreement = agreement;
        self
    }

    /// The same, as the other end sees it.
    #[cfg(all(feature = "deflate", feature = "test-util"))]
    pub(super) fn other_end(&self) -> Option<Agreement> {
        self.agreement.as_ref().map(Agreement::other_end)
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(mut self, name: Option<&str>) -> Self {
        self.opened.subprotocol = name.map(Into::into);
        self
    }

    /// Headers that the answer had besides those of the handshake itself. At a client's end they are known already, so this
    /// does nothing.
    pub fn response_headers(mut self, headers: HeaderMap) -> Self {
        if !self.is_client() {
            self.opened.answered = (!headers.is_empty()).then(|| Box::new(Answered::Ours(headers)));
        }
        self
    }

    fn is_client(&self) -> bool {
        match self.opened.answered.as_deref() {
            #[cfg(feature = "client")]
            Some(Answered::Theirs(_)) => true,
            Some(Answered::Ours(_)) | None => false,
        }
    }

    /// What has been found out about the request.
    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.opened.extensions = extensions;
        self
    }
}

impl Wire for WebSocket {
    type Connection = WebSocketConnection;
    type Receiver = WebSocketReceiver;
    type Sender = WebSocketSender;
    type Signal = ControlFrame;
    type Close = CloseFrame;
    type Prepared = PreparedFrame;
    type Context = Opened;

    fn split(self) -> (WebSocketReceiver, WebSocketSender, Opened) {
        let (receiver, sender) = match self.is_client() {
            #[cfg(feature = "client")]
            true => (Receiver::client(self.limits), Sender::client()),
            _ => (Receiver::server(self.limits), Sender::server()),
        };
        #[cfg(feature = "deflate")]
        let (receiver, sender) = match &self.agreement {
            Some(agreement) => (receiver.with_deflate(agreement), sender.with_deflate(agreement)),
            None => (receiver, sender),
        };
        (
            WebSocketReceiver(receiver),
            WebSocketSender { sender, probe: None, in_parts: None, watchers: None },
            self.opened,
        )
    }

    fn connection(link: Link<Self>) -> WebSocketConnection {
        WebSocketConnection(link)
    }

    fn size(frame: &PreparedFrame) -> usize {
        frame.as_bytes().len()
    }

    fn reason(close: &CloseFrame) -> Reason {
        match close.code {
            CloseCode::NORMAL | CloseCode::NO_STATUS => Reason::Done,
            CloseCode::GOING_AWAY => Reason::GoingAway,
            CloseCode::PROTOCOL_ERROR => Reason::BadPeer,
            CloseCode::UNSUPPORTED_DATA | CloseCode::INVALID_PAYLOAD => Reason::BadData,
            CloseCode::POLICY => Reason::Policy,
            CloseCode::TOO_BIG => Reason::TooBig,
            CloseCode::INTERNAL => Reason::Internal,
            CloseCode::RESTART => Reason::Restart,
            CloseCode::TRY_AGAIN => Reason::Overload,
            _ => Reason::Other,
        }
    }
}

/// The close code for a neutral reason, without words.
impl From<Reason> for CloseFrame {
    fn from(reason: Reason) -> Self {
        CloseFrame::from(match reason {
            Reason::GoingAway => CloseCode::GOING_AWAY,
            Reason::Restart => CloseCode::RESTART,
            Reason::BadPeer => CloseCode::PROTOCOL_ERROR,
            Reason::BadData => CloseCode::INVALID_PAYLOAD,
            Reason::Policy => CloseCode::POLICY,
            Reason::TooBig => CloseCode::TOO_BIG,
            Reason::Overload => CloseCode::TRY_AGAIN,
            Reason::Internal => CloseCode::INTERNAL,
            _ => CloseCode::NORMAL,
        })
    }
}

/// The receiving half of a [`WebSocket`].
#[derive(Debug)]
pub struct WebSocketReceiver(pub(super) Receiver);

impl Receive<WebSocket> for WebSocketReceiver {
    type Found = Found;
    type Error = ProtocolError;

    #[inline(always)]
    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<WebSocket, Found>, ProtocolError> {
        // Matched as it comes: moving the whole answer about costs more than most messages.
        match self.0.receive(buffer) {
            Ok(crate::Received::Message(found)) => Ok(Received::Message { found, size: found.len() }),
            Ok(crate::Received::Incomplete { needed }) => Ok(Received::Incomplete { needed }),
            Ok(crate::Received::Ping(payload)) => Ok(Received::Signal(ControlFrame::Ping(payload))),
            Ok(crate::Received::Pong(payload)) => Ok(Received::Signal(ControlFrame::Pong(payload))),
            Ok(crate::Received::Close(close)) => {
                Ok(Received::Close(close.unwrap_or_else(|| CloseCode::NO_STATUS.into())))
            }
            Err(error) => Err(error),
        }
    }

    #[inline(always)]
    fn take(&mut self, found: Found, buffer: &mut BytesMut) -> Message {
        self.0.take(found, buffer)
    }

    /// What is compressed is not inflated any more.
    fn discard(&mut self) {
        #[cfg(feature = "deflate")]
        self.0.discard();
    }

    /// Never orderly: a peer says goodbye with a close frame (RFC 6455 §7.1.5).
    fn end_of_stream(&mut self, _: &[u8]) -> bool {
        false
    }

    fn farewell(error: &ProtocolError) -> CloseFrame {
        CloseFrame::new(error.close_code(), error.to_string())
    }
}

/// The sending half of a [`WebSocket`].
#[derive(Debug)]
pub struct WebSocketSender {
    sender: Sender,
    /// Made when the first ping of ours is sent.
    probe: Option<Box<Probe>>,
    /// A message that is being sent in parts.
    in_parts: Option<Box<InParts>>,
    /// Those who want to see pings and pongs.
    watchers: Option<broadcast::Sender<ControlFrame>>,
}

/// A message of which parts have been sent, and the messages that wait for its end.
#[derive(Debug)]
struct InParts {
    message: Suspended,
    waiting: Vec<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
enum Waiting {
    Message(Message),
    Prepared(PreparedFrame),
}

/// What a message costs besides its payload while it waits.
const OVERHEAD: usize = size_of::<Waiting>();

const IN_PARTS: wsrv_core::SendError = wsrv_core::SendError::Invalid("another message is being sent in parts");

impl InParts {
    fn wait(&mut self, message: Waiting, len: usize) {
        self.bytes += len + OVERHEAD;
        self.waiting.push(message);
    }
}

/// A ping of the keepalive, and what it told.
#[derive(Debug)]
struct Probe {
    number: u64,
    sent: Instant,
    /// Not answered yet.
    open: bool,
    round_trip: Option<Duration>,
}

impl WebSocketSender {
    #[inline]
    pub(super) fn message(&mut self, message: Message, out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        if let Some(in_parts) = &mut self.in_parts {
            let len = message.len();
            in_parts.wait(Waiting::Message(message), len);
            return Ok(());
        }
        Ok(self.sender.message(message, &mut To(out))?)
    }

    /// As [`message`](Self::message), for one that need not be moved here.
    #[inline]
    pub(super) fn message_in(&mut self, message: &mut Message, out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        match self.in_parts {
            None => Ok(self.sender.message_in(message, &mut To(out))?),
            Some(_) => self.message(message.take(), out),
        }
    }

    /// A message that nothing is to follow.
    pub(super) fn last_message(&mut self, message: Message, out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        if self.in_parts.is_some() {
            return Err(IN_PARTS);
        }
        self.message(message, out)
    }

    /// Begins a message in parts.
    pub(super) fn begin(&mut self, text: bool) -> Result<(), wsrv_core::SendError> {
        if self.in_parts.is_some() {
            return Err(IN_PARTS);
        }
        let parts = if text { self.sender.begin_text()? } else { self.sender.begin_binary()? };
        self.in_parts = Some(Box::new(InParts { message: parts.suspend(), waiting: Vec::new(), bytes: 0 }));
        Ok(())
    }

    /// Sends a part of the message that was begun; behind the last, the messages that have waited.
    pub(super) fn part(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        let in_parts = self.in_parts.as_mut().ok_or(wsrv_core::SendError::Closed)?;
        let mut parts = self.sender.resume(in_parts.message);
        let sent = match last {
            true => parts.finish(bytes, &mut To(out)),
            false => parts.part(bytes, &mut To(out)).map(|()| in_parts.message = parts.suspend()),
        };
        let none_sent = !in_parts.message.has_begun();
        if (last && sent.is_ok()) || none_sent {
            let waiting = self.in_parts.take().map(|in_parts| in_parts.waiting);
            for message in waiting.into_iter().flatten() {
                match message {
                    Waiting::Message(message) => self.sender.message(message, &mut To(out))?,
                    Waiting::Prepared(frame) => self.sender.prepared(&frame, &mut To(out))?,
                }
            }
        }
        Ok(sent?)
    }

    /// Has pings and pongs told from now on.
    pub(super) fn watch(&mut self) -> broadcast::Receiver<ControlFrame> {
        self.watchers.get_or_insert_with(|| broadcast::Sender::new(control::KEPT)).subscribe()
    }

    #[cfg(feature = "deflate")]
    pub(super) fn agreement(&self) -> Option<Agreement> {
        self.sender.agreement().cloned()
    }

    pub(super) fn set_max_frame(&mut self, bytes: usize) {
        self.sender.set_max_frame(bytes);
    }

    pub(super) fn ping(&mut self, payload: &[u8], out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        Ok(self.sender.ping(payload, &mut To(out))?)
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.probe.as_ref()?.round_trip
    }

    pub(super) fn pong(&mut self, payload: &[u8], out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        Ok(self.sender.pong(payload, &mut To(out))?)
    }
}

// The driver asks for nothing but answers after `close`, so the sender has nothing to refuse.
impl Transmit<WebSocket> for WebSocketSender {
    #[inline]
    fn prepared(&mut self, frame: &PreparedFrame, out: &mut Out<'_>) {
        if let Some(in_parts) = &mut self.in_parts {
            return in_parts.wait(Waiting::Prepared(frame.clone()), frame.as_bytes().len());
        }
        let _ = self.sender.prepared(frame, &mut To(out));
    }

    fn ping(&mut self, out: &mut Out<'_>) -> bool {
        let (number, round_trip) = self.probe.as_ref().map_or((0, None), |last| (last.number + 1, last.round_trip));
        self.probe = Some(Box::new(Probe { number, sent: Instant::now(), open: true, round_trip }));
        self.sender.ping(&number.to_be_bytes(), &mut To(out)).is_ok()
    }

    fn held_back(&self) -> usize {
        self.in_parts.as_ref().map_or(0, |in_parts| in_parts.bytes)
    }

    fn answer(&mut self, frame: ControlFrame, out: &mut Out<'_>) {
        if let Some(watchers) = &self.watchers
            && watchers.send(frame.clone()).is_err()
        {
            // The last of them has gone.
            self.watchers = None;
        }
        match frame {
            ControlFrame::Ping(payload) => {
                let _ = self.sender.pong(&payload, &mut To(out));
            }
            ControlFrame::Pong(payload) => {
                let probe = self.probe.as_mut().filter(|probe| probe.open && *payload == probe.number.to_be_bytes());
                if let Some(probe) = probe {
                    probe.open = false;
                    probe.round_trip = Some(probe.sent.elapsed());
                }
            }
        }
    }

    /// Waits for the peer's close frame (RFC 6455 §7.1.2).
    fn close(&mut self, close: &CloseFrame, out: &mut Out<'_>) -> bool {
        self.in_parts = None;
        let frame = Some(close).filter(|close| close.code != CloseCode::NO_STATUS);
        // Somebody may have made a frame by hand that cannot be sent; a plain goodbye is better than none.
        self.sender
            .close(frame, &mut To(out))
            .or_else(|_| self.sender.close(Some(&CloseCode::NORMAL.into()), &mut To(out)))
            .is_ok()
    }

    /// The server ends the TCP connection, so that it is its port that waits (RFC 6455 §7.1.1).
    fn peer_ends_stream(&self) -> bool {
        self.sender.is_client()
    }
}

struct To<'a, 'b>(&'a mut Out<'b>);

impl Output for To<'_, '_> {
    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    fn put_bytes(&mut self, bytes: Bytes) {
        self.0.put_bytes(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        self.0.put_shared(bytes);
    }

    #[inline(always)]
    fn put_frame(&mut self, header: &[u8], payload: Bytes) {
        self.0.put(header, payload);
    }
}

impl From<SendError> for wsrv_core::SendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed => Self::Closed,
            SendError::ControlTooLong => Self::Invalid("a control frame cannot carry more than 125 bytes"),
            SendError::InvalidCloseCode => Self::Invalid("this close code must not be sent"),
        }
    }
}

impl From<PartError> for wsrv_core::SendError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Closed => Self::Closed,
            PartError::InvalidUtf8 => Self::Invalid("the text is not UTF-8"),
        }
    }
}
