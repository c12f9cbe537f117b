//! A complete WebSocket server from a handful of lines.
//!
//! An [`App`] joins what the other crates do: gates decide who may connect, routes say whose handler it is, the
//! handshake is done, and the connection driver takes over. It adds comfort and no protocol rules. The crates below
//! are here as modules: [`core`], [`rfc6455`], [`http`].
//!
//! ```no_run
//! use wsrv_app::prelude::*;
//!
//! #[derive(Default)]
//! struct Chat { room: Group<WebSocketConnection> }
//!
//! impl Handler<WebSocketConnection> for Chat {
//!     type State = Membership<WebSocketConnection>; // leaves the room when dropped
//!
//!     async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
//!         Ok(self.room.join(conn))
//!     }
//!     async fn on_message(&self, _: &WebSocketConnection, me: &mut Self::State, text: Message) -> Result<(), Error> {
//!         me.send_to_others(text);
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let app = App::new()
//!         .gate(AllowedOrigins::new(["https://example.com"])?)
//!         .route("/chat", Chat::default());
//!     app.bind("127.0.0.1:8080").await?.serve().await;
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! `http`: requests that are no upgrade go to an ordinary HTTP service on the same port (`App::http`). Without it
//! they are refused.
#![forbid(unsafe_code)]

mod app;
#[cfg(feature = "http")]
mod fallback;
mod handshake;
mod route;
mod server;

pub use app::{App, BindError};
pub use route::{Route, Routed};
pub use server::{Server, Stopped};

/// The foundation: connections, handlers, groups, the driver.
pub use wsrv_core as core;
/// Gates, routes, refusals.
pub use wsrv_http as http;
/// The WebSocket protocol.
pub use wsrv_rfc6455 as rfc6455;

/// What a server usually needs.
pub mod prelude {
    pub use crate::{App, Route, Routed, Server};
    pub use wsrv_core::{
        Closed, ClosedBy, Connection, Error, Group, Handler, Membership, Reason, SendError, SlowPeer, Verdict,
    };
    pub use wsrv_http::{AllowedOrigins, Gate, Opening, Params, Rejection};
    pub use wsrv_rfc6455::connection::WebSocketConnection;
    pub use wsrv_rfc6455::{CloseCode, CloseFrame, Message, Text};
}

// The program in the README has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
