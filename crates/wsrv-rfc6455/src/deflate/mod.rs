//! Compression of messages: the extension `permessage-deflate` of RFC 7692.
//!
//! A [`Compression`] is what a server (or a client) has for it: the settings, the compressors, the memory that may be used,
//! and what was counted. One is made for all connections. In the opening handshake it [negotiates](Compression::negotiate)
//! an [`Agreement`] for each of them, and the two halves of the codec are told of it:
//!
#![cfg_attr(feature = "handshake", doc = "```")]
#![cfg_attr(not(feature = "handshake"), doc = "```ignore")]
//! use bytes::BytesMut;
//! use wsrv_rfc6455::deflate::{Compression, Deflate};
//! use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
//! use wsrv_rfc6455::{Limits, Receiver, Sender};
//!
//! let compression = Compression::new(Deflate::default());
//!
//! let mut buffer = BytesMut::from(
//!     "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
//!      Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
//! );
//! let head = HeadReader::new(HeadLimits::default()).read(&mut buffer)?.expect("the head is whole");
//! let mut offer = handshake::check(&head)?;
//! let agreement = compression.negotiate(&head).expect("an offer that can be taken");
//! offer.agree(&agreement);
//! let mut answer = BytesMut::new();
//! handshake::encode_accept(&offer, None, &http::HeaderMap::new(), &mut answer)?;
//!
//! let receiver = Receiver::server(Limits::default()).with_deflate(&agreement);
//! let mut sender = Sender::server().with_deflate(&agreement);
//! let mut out = Vec::new();
//! sender.message("a line like the line before it\n".repeat(30).into(), &mut out)?;
//! assert!(out.len() < 100);
//! # drop(receiver);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a connection holds
//!
//! Never a compressor or a decompressor: these are the `Compression`'s, are taken for one message at a time, and are as
//! many as threads need at once. Where messages refer to earlier ones (*context takeover*), a connection remembers the end
//! of what it has sent, of 4 KiB at most, and the end of what it has received, as much as the window that was agreed on
//! holds. A compressor is primed with that. It takes some microseconds, where a compressor of its own would take 200 to 400
//! KiB. Without context takeover a connection remembers nothing, and messages to many are compressed once for all of them.
//!
//! # Secrets
//!
//! What is compressed together shows in its size how much alike it is. Where a peer, or somebody who can make it speak, chooses
//! a part of a message that also has a secret in it (or, with context takeover, of another message of the connection), and
//! somebody else sees the sizes, the secret can be guessed bit by bit. Send secrets uncompressed
//! ([`Sender::message_uncompressed`](crate::Sender::message_uncompressed)), or apart from what others choose.
//!
//! # Source
//!
//! RFC 7692; RFC 1951 for the compressed data. See `CONFORMANCE.md` of this crate for its rules one by one.

mod agreement;
mod compression;
mod compressor;
mod history;
mod inflater;
mod params;
mod receiving;
mod sending;
mod settings;

pub use agreement::Agreement;
pub use compression::{Compression, DeflateStats};
pub use params::DeflateParams;
#[cfg(feature = "handshake")]
pub(crate) use params::Offered;
pub use settings::Deflate;

pub(crate) use receiving::Receiving;
pub(crate) use sending::{Sending, Variants};

/// What ends each compressed message and is left out (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// The smallest window that zlib can compress with, as a power of two. It takes 8 for 9, which a peer with a window of 8
/// does not understand.
const MIN_BITS: u8 = 9;
/// The largest window that there is.
const MAX_BITS: u8 = 15;
