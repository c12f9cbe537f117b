//! The opening handshake: a request head is read, checked and answered.
//!
//! The steps are values, to be put together as a server needs them: [`HeadReader`] cuts a [`RequestHead`] off what has
//! arrived, [`check`] decides by RFC 6455 whether it may become a WebSocket and makes an [`Offer`] of it,
//! [`Subprotocols::select`] picks a subprotocol, and [`encode_accept`] writes the answer. Every refusal knows its
//! HTTP status.
//!
//! ```
//! use bytes::BytesMut;
//! use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader, Subprotocols};
//!
//! let mut buffer = BytesMut::from(
//!     "GET /chat HTTP/1.1\r\n\
//!      Host: server.example.com\r\n\
//!      Upgrade: websocket\r\n\
//!      Connection: Upgrade\r\n\
//!      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
//!      Sec-WebSocket-Protocol: chat, superchat\r\n\
//!      Sec-WebSocket-Version: 13\r\n\r\n",
//! );
//! let head = HeadReader::new(HeadLimits::default()).read(&mut buffer)?.expect("the head is whole");
//! let offer = handshake::check(&head)?;
//! let subprotocols = Subprotocols::new(["superchat"])?;
//! let chosen = subprotocols.select(&offer)?;
//!
//! let mut answer = BytesMut::new();
//! handshake::encode_accept(&offer, chosen, &http::HeaderMap::new(), &mut answer)?;
//! assert!(answer.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a server that has read the request already, [`RequestHead::from_parts`] takes it over and [`accept_response`]
//! makes the answer.
//!
//! A client (feature `client`) goes the same way from the other end: a `ClientRequest` writes the request and tells what
//! is `Expected` of the answer, an `AnswerReader` cuts the `AnswerHead` off what arrives, and `Expected::check` decides.
//!
//! # Source
//!
//! RFC 6455 §4; RFC 9110 and RFC 9112 for what HTTP asks for.

mod accept_key;
#[cfg(feature = "client")]
mod answer;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "deflate")]
mod extensions;
mod head;
mod host;
mod http_types;
mod lines;
mod reader;
mod server;
mod shared_lines;
mod subprotocol;
mod tokens;

pub use accept_key::{AcceptKey, accept_key};
#[cfg(feature = "client")]
pub use answer::{AnswerHead, AnswerReader};
#[cfg(feature = "client")]
pub use client::{AnswerError, ClientRequest, Expected, RequestError};
#[cfg(feature = "deflate")]
pub(crate) use extensions::{Extension, extensions};
pub use head::RequestHead;
pub use host::split_host;
pub use http_types::accept_response;
pub use reader::{HeadError, HeadLimits, HeadReader};
pub use server::{HandshakeError, Offer, check, check_http, encode_accept};
pub use shared_lines::SharedLines;
pub use subprotocol::{InvalidSubprotocol, Subprotocols};
