//! The codec's two halves as the driver's.

use super::{Opened, WebSocketConnection};
use crate::handshake::RequestHead;
use crate::{
    CloseCode, CloseFrame, ControlPayload, Found, Limits, Message, Output, PreparedFrame, ProtocolError, Receiver,
    SendError, Sender,
};
use bytes::{Bytes, BytesMut};
use http::Extensions;
use std::time::{Duration, Instant};
use wsrv_core::{Link, Out, Reason, Receive, Received, Transmit, Wire};

/// The server's end of a WebSocket whose opening handshake is done: give it to a
/// [`Driver`](wsrv_core::Driver) together with the stream.
#[derive(Debug)]
pub struct WebSocket {
    limits: Limits,
    opened: Opened,
}

impl WebSocket {
    /// A WebSocket that this request has opened, with default limits and no subprotocol.
    pub fn server(request: RequestHead) -> Self {
        let opened = Opened { request, subprotocol: None, extensions: Extensions::new() };
        WebSocket { limits: Limits::default(), opened }
    }

    /// What the peer may send.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(mut self, name: Option<&str>) -> Self {
        self.opened.subprotocol = name.map(Into::into);
        self
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
    type Signal = Signal;
    type Close = CloseFrame;
    type Prepared = PreparedFrame;
    type Context = Opened;

    fn split(self) -> (WebSocketReceiver, WebSocketSender, Opened) {
        (
            WebSocketReceiver(Receiver::server(self.limits)),
            WebSocketSender { sender: Sender::server(), probe: None },
            self.opened,
        )
    }

    fn connection(link: Link<Self>) -> WebSocketConnection {
        WebSocketConnection(link)
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
pub struct WebSocketReceiver(Receiver);

impl Receive<WebSocket> for WebSocketReceiver {
    type Found = Found;
    type Error = ProtocolError;

    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<WebSocket, Found>, ProtocolError> {
        // Matched as it comes: moving the whole answer about costs more than most messages.
        match self.0.receive(buffer) {
            Ok(crate::Received::Message(found)) => Ok(Received::Message { found, size: found.len() }),
            Ok(crate::Received::Incomplete { needed }) => Ok(Received::Incomplete { needed }),
            Ok(crate::Received::Ping(payload)) => Ok(Received::Signal(Signal::Ping(payload))),
            Ok(crate::Received::Pong(payload)) => Ok(Received::Signal(Signal::Pong(payload))),
            Ok(crate::Received::Close(close)) => {
                Ok(Received::Close(close.unwrap_or_else(|| CloseCode::NO_STATUS.into())))
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, found: Found, buffer: &mut BytesMut) -> Message {
        self.0.take(found, buffer)
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

/// A control frame that wants something from the sending half.
#[derive(Debug)]
pub enum Signal {
    /// It is answered with a pong of the same payload.
    Ping(ControlPayload),
    /// Perhaps the answer to a ping of ours.
    Pong(ControlPayload),
}

impl WebSocketSender {
    pub(super) fn message(&mut self, message: Message, out: &mut Out<'_>) -> Result<(), wsrv_core::SendError> {
        Ok(self.sender.message(message, &mut To(out))?)
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

// The driver never asks for anything after `close`, so the sender has nothing to refuse.
impl Transmit<WebSocket> for WebSocketSender {
    fn prepared(&mut self, frame: &PreparedFrame, out: &mut Out<'_>) {
        let _ = self.sender.prepared(frame, &mut To(out));
    }

    fn ping(&mut self, out: &mut Out<'_>) -> bool {
        let (number, round_trip) = self.probe.as_ref().map_or((0, None), |last| (last.number + 1, last.round_trip));
        self.probe = Some(Box::new(Probe { number, sent: Instant::now(), open: true, round_trip }));
        self.sender.ping(&number.to_be_bytes(), &mut To(out)).is_ok()
    }

    fn answer(&mut self, signal: Signal, out: &mut Out<'_>) {
        match signal {
            Signal::Ping(payload) => {
                let _ = self.sender.pong(&payload, &mut To(out));
            }
            Signal::Pong(payload) => {
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
        let frame = Some(close).filter(|close| close.code != CloseCode::NO_STATUS);
        // Somebody may have made a frame by hand that cannot be sent; a plain goodbye is better than none.
        self.sender
            .close(frame, &mut To(out))
            .or_else(|_| self.sender.close(Some(&CloseCode::NORMAL.into()), &mut To(out)))
            .is_ok()
    }
}

struct To<'a, 'b>(&'a mut Out<'b>);

impl Output for To<'_, '_> {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    fn put_bytes(&mut self, bytes: Bytes) {
        self.0.put_bytes(bytes);
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
