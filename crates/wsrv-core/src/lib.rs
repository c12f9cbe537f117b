//! Connections, handlers, and the driver that joins them: the foundation on which every protocol and every layer of
//! wsrv stands. It knows no protocol itself; what it must know of one is the trait [`Wire`].
//!
//! ```text
//!              ┌──────────────────────────── Driver: one task per connection ─────────────────────────────┐
//!  stream ◄──► │ Receive: bytes → messages ──► Handler: on_open, on_message, on_error, on_close           │
//!              │ Transmit: messages → bytes ◄── outbox ◄── Link ◄── handler, other tasks, threads, Groups │
//!              └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A [`Handler`] gets the events of each connection one after the other and remembers what it needs in its `State`. A
//! [`Connection`] is a cheap handle that sends from anywhere. A layer is a handler around another handler, with a
//! richer connection. What a connection may cost is bounded by [`Limits`]; how it ended is told by [`Closed`].
//!
//! The smallest wire, [`lines`], makes a whole server:
//!
//! ```no_run
//! use bytes::Bytes;
//! use std::sync::Arc;
//! use wsrv_core::lines::{LineConnection, Lines};
//! use wsrv_core::{Driver, Error, Handler, Listener};
//!
//! struct Echo;
//!
//! impl Handler<LineConnection> for Echo {
//!     type State = ();
//!     async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     async fn on_message(&self, conn: &LineConnection, _: &mut (), line: Bytes) -> Result<(), Error> {
//!         Ok(conn.send(line).await?)
//!     }
//! }
//!
//! # async fn serve() -> std::io::Result<()> {
//! let listener = Listener::bind("127.0.0.1:7000").await?;
//! let echo = Arc::new(Echo);
//! loop {
//!     let (stream, _) = listener.accept().await;
//!     tokio::spawn(Driver::accepted(stream, Lines::new(1024)).run(echo.clone()));
//! }
//! # }
//! ```
//!
//! # Features
//!
//! `listenfd`: `Listener::from_env`, sockets that were given to the process by systemd or `systemfd`.
//!
//! `test-util`: the module `testing`, with which handlers and layers are tested without sockets. Meant for
//! `[dev-dependencies]`.
#![forbid(unsafe_code)]

mod attributes;
mod batch;
mod buffers;
mod closed;
mod connection;
mod connections;
mod driver;
mod error;
mod farewell;
mod group;
mod groups;
mod guarded;
mod handler;
mod id;
mod life;
mod limits;
pub mod lines;
mod link;
mod listener;
mod observe;
mod outbox;
mod places;
mod published;
mod pull;
mod queue;
mod rates;
mod shared;
mod shelf;
mod site;
mod slow;
mod stream;
#[cfg(feature = "test-util")]
pub mod testing;
mod waiting;
mod wire;

pub use attributes::AttributeStore;
pub use closed::{Closed, ClosedBy, Reason};
pub use connection::Connection;
pub use connections::Connections;
pub use driver::Driver;
pub use error::{Error, SendError};
pub use farewell::Farewell;
pub use group::{Delivery, Group, Membership};
pub use groups::{GroupEvent, Groups, NamedGroup, NamedMembership};
pub use handler::{Handler, Verdict};
pub use id::ConnectionId;
pub use limits::Limits;
pub use link::Link;
pub use listener::{Accepted, Listener};
pub use observe::{Direction, Observer, Slow};
pub use places::{NoPlace, Place, Places};
pub use pull::{FromFn, Running, Socket, SocketSink, SocketStream, from_fn};
pub use queue::Out;
pub use rates::{OverRate, Rate, RateLimits, Rates};
pub use slow::{Losses, SlowPeer};
pub use stream::Io;
pub use wire::{Receive, Received, Transmit, Wire};
