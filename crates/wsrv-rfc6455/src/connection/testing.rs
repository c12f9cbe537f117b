//! A mock WebSocket, for tests of handlers and layers: [`wsrv_core::testing`] with a peer that reads and sends
//! messages.
//!
//! ```
//! use wsrv_core::{ClosedBy, Error, Handler, Reason};
//! use wsrv_rfc6455::connection::WebSocketConnection;
//! use wsrv_rfc6455::connection::testing::MockWebSocket;
//! use wsrv_rfc6455::{CloseCode, Message};
//!
//! struct Echo;
//!
//! impl Handler<WebSocketConnection> for Echo {
//!     type State = ();
//!     async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
//!         let text = message.as_text().ok_or_else(|| Error::new(Reason::Policy, "text only"))?;
//!         Ok(conn.send(text).await?)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Error> {
//! // In #[tokio::test(start_paused = true)] async fn echo_is_for_text():
//! let mut peer = MockWebSocket::new();
//! let mut session = peer.open(Echo).await?;
//! session.message("hello".into()).await?;
//! assert_eq!(peer.take_messages(), [Message::from("hello")]);
//!
//! let closed = session.deliver(Message::Binary("?".into())).await.expect("a verdict to close");
//! assert_eq!(closed.by, ClosedBy::Handler);
//! assert_eq!(peer.close_frame().expect("a goodbye").code, CloseCode::POLICY);
//! # Ok(()) }
//! ```

use super::WebSocket;
use crate::handshake::{HeadLimits, HeadReader, RequestHead};
use crate::{CloseCode, CloseFrame, ControlPayload, Limits, Message, Received, Receiver, SendError, Sender};
use bytes::BytesMut;
use std::ops::{Deref, DerefMut};
use wsrv_core::Driver;
use wsrv_core::testing::Mock;

/// A [`Mock`] whose peer is a WebSocket client: what it has taken is read as messages and close frames. (What is taken
/// from [`Mock::take_sent`] does not reach the peer.)
///
/// Most tests give a handler its messages by [`Session::message`](wsrv_core::testing::Session::message) and
/// [`deliver`](wsrv_core::testing::Session::deliver). What the peer sends takes the long way through the codec, and is
/// read in the next [`turn`](wsrv_core::testing::Session::turn).
#[derive(Debug)]
pub struct MockWebSocket {
    mock: Mock<WebSocket>,
    receiver: Receiver,
    sender: Sender,
    buffer: BytesMut,
    close: Option<CloseFrame>,
}

/// What the peer of a [`MockWebSocket`] has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A message.
    Message(Message),
    /// A ping.
    Ping(ControlPayload),
    /// A pong.
    Pong(ControlPayload),
    /// The goodbye, with [`CloseCode::NO_STATUS`] if it names no code.
    Close(CloseFrame),
}

impl MockWebSocket {
    /// An open WebSocket at `/`, with default limits.
    pub fn new() -> Self {
        Self::with(WebSocket::server(request("/", &[])), |driver| driver)
    }

    /// An open WebSocket with another [`request`], subprotocol or extensions, and with the [`Driver`]'s options. If the
    /// wire compresses, so does the peer.
    pub fn with(wire: WebSocket, configure: impl FnOnce(Driver<WebSocket>) -> Driver<WebSocket>) -> Self {
        // A client of one's own server takes what that sends.
        let limits = Limits::default().with_max_message(usize::MAX);
        let (receiver, sender) = (Receiver::client(limits), Sender::client());
        #[cfg(feature = "deflate")]
        let (receiver, sender) = match wire.other_end() {
            Some(agreement) => (receiver.with_deflate(&agreement), sender.with_deflate(&agreement)),
            None => (receiver, sender),
        };
        MockWebSocket { mock: Mock::with(wire, configure), receiver, sender, buffer: BytesMut::new(), close: None }
    }

    /// The peer sends a message.
    ///
    /// # Panics
    ///
    /// If it has sent its close frame; if the system has no random bytes for a masking key. So do the next two.
    pub fn send(&mut self, message: impl Into<Message>) {
        self.transmit(|sender, out| sender.message(message.into(), out));
    }

    /// The peer sends a ping, of at most 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) {
        self.transmit(|sender, out| sender.ping(payload, out));
    }

    /// The peer sends its close frame, `None` without a code.
    pub fn close(&mut self, close: Option<&CloseFrame>) {
        self.transmit(|sender, out| sender.close(close, out));
    }

    fn transmit(&mut self, encode: impl FnOnce(&mut Sender, &mut BytesMut) -> Result<(), SendError>) {
        let mut bytes = BytesMut::new();
        encode(&mut self.sender, &mut bytes).expect("a client may send this");
        self.mock.receive(bytes);
    }

    /// What the peer has received since the last call.
    ///
    /// # Panics
    ///
    /// If it is not what a server may send.
    pub fn take_frames(&mut self) -> Vec<Sent> {
        self.buffer.extend_from_slice(&self.mock.take_sent());
        let mut frames = Vec::new();
        loop {
            frames.push(match self.receiver.receive(&mut self.buffer).expect("the server keeps the protocol") {
                Received::Incomplete { .. } => return frames,
                Received::Message(found) => Sent::Message(self.receiver.take(found, &mut self.buffer)),
                Received::Ping(payload) => Sent::Ping(payload),
                Received::Pong(payload) => Sent::Pong(payload),
                Received::Close(close) => {
                    let close = close.unwrap_or_else(|| CloseCode::NO_STATUS.into());
                    self.close = Some(close.clone());
                    Sent::Close(close)
                }
            });
        }
    }

    /// The messages among what the peer has received since the last call. The rest is passed over.
    ///
    /// # Panics
    ///
    /// As [`take_frames`](Self::take_frames).
    pub fn take_messages(&mut self) -> Vec<Message> {
        let frames = self.take_frames().into_iter();
        frames.filter_map(|frame| if let Sent::Message(message) = frame { Some(message) } else { None }).collect()
    }

    /// The server's goodbye, if the peer has received it. What came before it is passed over, unless it was taken.
    ///
    /// # Panics
    ///
    /// As [`take_frames`](Self::take_frames).
    pub fn close_frame(&mut self) -> Option<CloseFrame> {
        self.take_frames();
        self.close.clone()
    }
}

impl Default for MockWebSocket {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for MockWebSocket {
    type Target = Mock<WebSocket>;

    fn deref(&self) -> &Mock<WebSocket> {
        &self.mock
    }
}

impl DerefMut for MockWebSocket {
    fn deref_mut(&mut self) -> &mut Mock<WebSocket> {
        &mut self.mock
    }
}

/// The request of a client that opens a WebSocket at `target`, with more header fields.
///
/// ```
/// use wsrv_rfc6455::connection::testing::request;
///
/// let request = request("/chat?room=1", &[("Origin", "https://example.com")]);
/// assert_eq!(request.path(), "/chat");
/// assert_eq!(request.header_str("origin"), Some("https://example.com"));
/// ```
///
/// # Panics
///
/// If that is no request.
pub fn request(target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut reader = HeadReader::new(HeadLimits::default());
    let read = reader.read(&mut BytesMut::from(head.as_bytes())).expect("a well-formed request");
    read.expect("a whole request")
}
