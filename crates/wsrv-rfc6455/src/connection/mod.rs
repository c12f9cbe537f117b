//! The codec on `wsrv-core`'s driver: what a handler of WebSocket messages sees.
//!
//! ```
//! use wsrv_core::{Error, Handler};
//! use wsrv_rfc6455::Message;
//! use wsrv_rfc6455::connection::WebSocketConnection;
//!
//! struct Echo;
//!
//! impl Handler<WebSocketConnection> for Echo {
//!     type State = ();
//!     async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
//!         Ok(conn.send(message).await?)
//!     }
//! }
//! ```
//!
//! `wsrv-app` runs such a handler on a path of a whole server. In an accept loop of one's own, a connection begins like
//! this (without answers to bad requests, and without a deadline):
//!
//! ```
//! # use wsrv_core::Handler;
//! # use wsrv_rfc6455::connection::WebSocketConnection;
//! use bytes::BytesMut;
//! use std::sync::Arc;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//! use wsrv_core::{Closed, Driver};
//! use wsrv_rfc6455::connection::WebSocket;
//! use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
//!
//! async fn serve<H>(mut stream: TcpStream, handler: Arc<H>) -> Result<Closed, Box<dyn std::error::Error>>
//! where
//!     H: Handler<WebSocketConnection>,
//! {
//!     let mut received = BytesMut::new();
//!     let mut reader = HeadReader::new(HeadLimits::default());
//!     let request = loop {
//!         if stream.read_buf(&mut received).await? == 0 {
//!             return Err("gone".into());
//!         }
//!         if let Some(request) = reader.read(&mut received)? {
//!             break request;
//!         }
//!     };
//!     let offer = handshake::check(&request)?;
//!     let mut answer = BytesMut::new();
//!     handshake::encode_accept(&offer, None, &Default::default(), &mut answer)?;
//!     stream.write_all(&answer).await?;
//!     let driver = Driver::tcp(stream, WebSocket::server(request)).received(received);
//!     Ok(driver.run(handler).await)
//! }
//! ```

mod control;
#[cfg(feature = "test-util")]
pub mod testing;
mod wire;
mod writer;

pub use control::{ControlFrame, ControlFrames};
pub use wire::{WebSocket, WebSocketReceiver, WebSocketSender};
pub use writer::MessageWriter;

#[cfg(feature = "deflate")]
use crate::deflate::DeflateParams;
#[cfg(feature = "client")]
use crate::handshake::AnswerHead;
use crate::handshake::{self, RequestHead};
use crate::{CloseCode, CloseFrame, Message, PreparedFrame, Text};
use http::{Extensions, HeaderMap, Response};
use std::fmt;
use std::time::Duration;
#[cfg(feature = "deflate")]
use wsrv_core::Transmit;
use wsrv_core::{Connection, Link, SendError};

/// An established WebSocket connection, as its handler and everybody else with a clone sees it.
#[derive(Clone)]
pub struct WebSocketConnection(Link<WebSocket>);

/// What is known since the opening handshake; read it through [`WebSocketConnection`].
#[derive(Debug)]
pub struct Opened {
    request: RequestHead,
    subprotocol: Option<Box<str>>,
    extensions: Extensions,
    /// Most answers of ours have no headers of their own.
    answered: Option<Box<Answered>>,
}

/// The answer to the request, as far as it does not follow from the rest.
#[derive(Debug)]
enum Answered {
    /// What ours has besides the headers of the handshake.
    Ours(HeaderMap),
    /// The server's, at a client's end.
    #[cfg(feature = "client")]
    Theirs(AnswerHead),
}

impl WebSocketConnection {
    /// Sends a message, as soon as there is room in the outbox.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is or gets closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub fn send(&self, message: impl Into<Message>) -> impl Future<Output = Result<(), SendError>> + Send {
        // No `async fn`: the message would lie in its future twice.
        let message = message.into();
        self.0.send_message(
            message,
            |message| PreparedFrame::new(message.take()),
            |message, sender, out| sender.message_in(message, out),
        )
    }

    /// Sends a message at once or not at all. From within a handler it leaves with the end of the turn.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if the outbox is full, in which case
    /// [`Limits::slow_peer`](wsrv_core::Limits::slow_peer) decides whether the connection goes on.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        self.0.try_send_message(message, PreparedFrame::new, |message, sender, out| sender.message(message, out))
    }

    /// As [`send`](Self::send), and not compressed, whatever was agreed on: for secrets beside which somebody else chooses
    /// what is sent. See [`deflate`](crate::deflate#secrets).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_uncompressed(&self, message: impl Into<Message>) -> impl Future<Output = Result<(), SendError>> + Send {
        // Prepared, it says so wherever it waits.
        let frame = PreparedFrame::new(message).uncompressed();
        self.0.send_message(
            frame,
            |frame| frame.clone(),
            |frame, sender, out| {
                sender.prepared(frame, out);
                Ok(())
            },
        )
    }

    /// Begins a text message that is sent in parts. Others' messages go on as ever until its first part is sent.
    ///
    /// ```
    /// # use wsrv_core::SendError;
    /// # use wsrv_rfc6455::connection::WebSocketConnection;
    /// # async fn example(conn: &WebSocketConnection) -> Result<(), SendError> {
    /// let mut numbers = conn.begin_text();
    /// for n in 0..1_000_000 {
    ///     numbers.part(format!("{n}\n")).await?;
    /// }
    /// numbers.finish("that was all").await
    /// # }
    /// ```
    pub fn begin_text(&self) -> MessageWriter {
        MessageWriter::new(self, true)
    }

    /// Begins a binary message that is sent in parts.
    pub fn begin_binary(&self) -> MessageWriter {
        MessageWriter::new(self, false)
    }

    /// Sends a message at once, and asks for the connection to be closed with this close frame, or with a
    /// [`CloseCode`] alone. It is the last message: nothing that is sent later is taken, not even in `on_close`.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send), and [`SendError::Invalid`] while somebody sends a message in parts; the connection
    /// is closed all the same. [`SendError::Invalid`] if the code [may not be sent](CloseCode::is_sendable); then nothing
    /// is done.
    pub fn close_after(&self, message: impl Into<Message>, close: impl Into<CloseFrame>) -> Result<(), SendError> {
        let (message, close) = (message.into(), close.into());
        sendable(close.code)?;
        self.0.send_then_close(|sender, out| sender.last_message(message, out), close)
    }

    /// Sends a ping; the peer answers with a pong of the same payload, of at most 125 bytes. There is room for it where
    /// there is none for messages any more. See [`Link::try_send_control`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if that room is used up, too;
    /// [`SendError::Invalid`] if the payload is longer.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.0.try_send_control(|sender, out| sender.ping(payload, out))
    }

    /// Sends a pong nobody asked for, a sign of life without an answer (RFC 6455 §5.5.3). Pings are answered without
    /// this.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&self, payload: &[u8]) -> Result<(), SendError> {
        self.0.try_send_control(|sender, out| sender.pong(payload, out))
    }

    /// The peer's pings and pongs from now on, for those who want to see them. Pings are answered without this.
    pub fn control_frames(&self) -> ControlFrames {
        ControlFrames::new(self)
    }

    /// Sets the longest payload of a frame that is sent, in bytes: longer messages leave in several fragments from now
    /// on, except those to a group and those that waited for a slow peer behind such. 0 counts as 1. Default, and the most that
    /// can be set: 4 GiB.
    pub fn set_max_frame(&self, bytes: usize) {
        self.0.with_sender(|sender| sender.set_max_frame(bytes));
    }

    /// Changes what the peer may send, from the next frame on that has not been looked at.
    pub fn set_message_limits(&self, limits: crate::Limits) {
        self.0.change_receiver(move |receiver| receiver.0.set_limits(limits));
    }

    /// How long the last ping of the keepalive took to come back. `None` until one has: a peer that talks is not
    /// pinged.
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.with_sender(|sender| sender.round_trip())
    }

    /// Asks for the connection to be closed with this code and reason, and returns at once. A reason longer than 123
    /// bytes is cut. What happens then is told at [`Link::close`].
    ///
    /// # Errors
    ///
    /// [`SendError::Invalid`] if this code [may not be sent](CloseCode::is_sendable).
    pub fn close_with(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), SendError> {
        self.0.close(CloseFrame::new(sendable(code)?, reason));
        Ok(())
    }

    /// The close frame with which the end began, the peer's or ours: known in `on_close` and afterwards. `None` before,
    /// and if the connection was lost or cut.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.goodbye()
    }

    /// The peer's close frame, once it has come; with [`CloseCode::NO_STATUS`] if it named no code.
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.0.peer_close()
    }

    /// The request of the opening handshake: the client's, or at a client's end the one that was sent.
    pub fn request(&self) -> &RequestHead {
        &self.0.context().request
    }

    /// The answer to it, freshly made: status 101 with all its headers. At a client's end it is what the server has sent.
    /// `None` if the request was no opening handshake, because somebody made the connection by other means.
    pub fn response(&self) -> Option<Response<()>> {
        let Opened { request, subprotocol, answered, .. } = self.0.context();
        let none = HeaderMap::new();
        let extra = match answered.as_deref() {
            #[cfg(feature = "client")]
            Some(Answered::Theirs(answer)) => {
                let mut response = Response::new(());
                *response.status_mut() = answer.status();
                *response.version_mut() = answer.version();
                *response.headers_mut() = answer.to_headers();
                return Some(response);
            }
            Some(Answered::Ours(extra)) => extra,
            None => &none,
        };
        #[cfg_attr(not(feature = "deflate"), expect(unused_mut))]
        let mut offer = handshake::check(request).ok()?;
        #[cfg(feature = "deflate")]
        if let Some(agreement) = self.0.with_sender(|sender| sender.agreement()) {
            offer.agree(&agreement);
        }
        handshake::accept_response(&offer, subprotocol.as_deref(), extra).ok()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.context().subprotocol.as_deref()
    }

    /// What was agreed on about compression; `None` if messages go uncompressed.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<DeflateParams> {
        self.0.with_sender(|sender| sender.agreement()).map(|agreement| agreement.params())
    }

    /// What gates have attached to the request, one value per type. (What is found out later goes into
    /// [`attributes`](Connection::attributes).)
    pub fn extensions(&self) -> &Extensions {
        &self.0.context().extensions
    }
}

fn sendable(code: CloseCode) -> Result<CloseCode, SendError> {
    if code.is_sendable() { Ok(code) } else { Err(SendError::Invalid("this close code must not be sent")) }
}

impl Connection for WebSocketConnection {
    type Wire = WebSocket;
    type Incoming = Message;
    type Outgoing = Message;

    fn link(&self) -> &Link<WebSocket> {
        &self.0
    }

    fn encode(message: Message) -> PreparedFrame {
        PreparedFrame::new(message)
    }
}

impl fmt::Debug for WebSocketConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocketConnection").field(&self.0).finish()
    }
}
