#![cfg_attr(feature = "handshake", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "handshake"),
    doc = "Bytes become WebSocket messages and messages become bytes, by RFC 6455."
)]
#![forbid(unsafe_code)]

mod close;
#[cfg(feature = "connection")]
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
mod error;
pub mod frame;
#[cfg(feature = "handshake")]
pub mod handshake;
#[cfg(feature = "client")]
mod keys;
mod limits;
pub mod mask;
mod message;
mod parts;
mod payload;
mod protocol;
mod received;
mod receiver;
mod sender;
mod text;
mod utf8;

pub use bytes;
#[cfg(feature = "handshake")]
pub use http;

pub use close::{CloseCode, CloseFrame};
pub use error::ProtocolError;
#[cfg(feature = "client")]
pub use keys::KeyError;
pub use limits::Limits;
pub use message::Message;
pub use parts::{PartError, Parts};
pub use protocol::{Began, Closed, Event, Protocol};
pub use received::{ControlPayload, Found, Received};
pub use receiver::{Receiver, SHARE_FROM};
pub use sender::{Output, PreparedFrame, SendError, Sender};
pub use text::{InvalidUtf8, Text};
