//! Connections, handlers, and the driver that joins them: the foundation of [wsrv], on which every protocol and
//! every layer stands. It knows no protocol itself; what it must know of one is the trait [`Wire`].
#![forbid(unsafe_code)]

mod attributes;
mod batch;
mod buffers;
mod closed;
mod connection;
mod connections;
mod driver;
mod error;
mod group;
mod handler;
mod id;
mod limits;
pub mod lines;
mod link;
mod listener;
mod outbox;
mod stream;
mod wire;

pub use attributes::AttributeStore;
pub use closed::{Closed, ClosedBy, Reason};
pub use connection::Connection;
pub use connections::Connections;
pub use driver::Driver;
pub use error::{Error, SendError};
pub use group::{Delivery, Group, Membership};
pub use handler::{Handler, Verdict};
pub use id::ConnectionId;
pub use limits::{Limits, SlowPeer};
pub use link::Link;
pub use listener::Listener;
pub use outbox::Out;
pub use stream::Io;
pub use wire::{Receive, Received, Transmit, Wire};
