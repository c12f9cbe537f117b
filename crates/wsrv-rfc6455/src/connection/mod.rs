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

mod wire;

pub use wire::{Signal, WebSocket, WebSocketReceiver, WebSocketSender};

use crate::handshake::RequestHead;
use crate::{CloseCode, CloseFrame, Message, PreparedFrame, Text};
use http::Extensions;
use std::fmt;
use std::time::Duration;
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
        self.0.send(move |sender, out| sender.message(message, out))
    }

    /// Sends a message at once or not at all. From within a handler it leaves with the end of the turn.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if the outbox is full, in which case
    /// [`Limits::slow_peer`](wsrv_core::Limits::slow_peer) decides whether the connection goes on.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        self.0.try_send(|sender, out| sender.message(message, out))
    }

    /// Sends a ping; the peer answers with a pong of the same payload, of at most 125 bytes.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send); [`SendError::Invalid`] if the payload is longer.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.0.try_send(|sender, out| sender.ping(payload, out))
    }

    /// Sends a pong nobody asked for, a sign of life without an answer (RFC 6455 §5.5.3). Pings are answered without
    /// this.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&self, payload: &[u8]) -> Result<(), SendError> {
        self.0.try_send(|sender, out| sender.pong(payload, out))
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
        if !code.is_sendable() {
            return Err(SendError::Invalid("this close code must not be sent"));
        }
        self.0.close(CloseFrame::new(code, reason));
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

    /// The request of the opening handshake.
    pub fn request(&self) -> &RequestHead {
        &self.0.context().request
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.context().subprotocol.as_deref()
    }

    /// What gates have attached to the request, one value per type. (What is found out later goes into
    /// [`attributes`](Connection::attributes).)
    pub fn extensions(&self) -> &Extensions {
        &self.0.context().extensions
    }
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
