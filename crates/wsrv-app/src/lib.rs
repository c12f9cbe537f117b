//! A complete WebSocket server from a handful of lines.
//!
//! An [`App`] joins what the other crates do: gates decide who may connect, routes say whose handler it is, the
//! handshake is done, and the connection driver takes over. It adds comfort and no protocol rules. The crates below
//! are re-exported: [`wsrv_core`], [`wsrv_rfc6455`], [`wsrv_http`]; what a server usually needs of them is in the
//! [`prelude`].
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
//! # Gates
//!
//! A gate decides about a request before it becomes a connection, and attaches what it has found out:
//!
//! ```no_run
//! use wsrv_app::prelude::*;
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! fn log_in(opening: &mut Opening) -> Result<(), Rejection> {
//!     let user = match opening.request().header_str("authorization") {
//!         Some("Bearer open sesame") => User("ali baba".into()),
//!         _ => return Err(Rejection::new(StatusCode::UNAUTHORIZED, "no token").json(r#"{"error":"no token"}"#)),
//!     };
//!     opening.extensions_mut().insert(user);
//!     Ok(())
//! }
//!
//! struct Hello;
//!
//! impl Handler<WebSocketConnection> for Hello {
//!     type State = ();
//!     async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
//!         let User(name) = conn.extensions().get().ok_or("the gate lets nobody pass without a name")?;
//!         Ok(conn.send(format!("hello {name}")).await?)
//!     }
//!     async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
//!         Ok(())
//!     }
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! App::new().gate(log_in).route("/", Hello).bind("127.0.0.1:8080").await?.serve().await;
//! # Ok(()) }
//! ```
//!
//! # Logging
//!
//! By the crate `tracing`: install a subscriber to see why requests were refused, what handlers failed with, and how
//! connections ended.
//!
//! # Testing
//!
//! Handlers are tested without a server: `wsrv_rfc6455::connection::testing` has a mock WebSocket whose peer is the
//! test, and `wsrv_core::testing` tells the rest. Both come with the feature `test-util`.
//!
//! # Features
//!
//! `http`: requests that are no upgrade go to an ordinary HTTP service on the same port (`App::http`). Without it
//! they are refused.
//!
//! `test-util`: the modules for tests. Meant for `[dev-dependencies]`.
#![forbid(unsafe_code)]

mod admission;
mod app;
#[cfg(feature = "http")]
mod fallback;
mod handshake;
mod host;
#[cfg(feature = "http")]
mod keep_alive;
#[cfg(feature = "http")]
mod remote_addr;
#[cfg(feature = "http")]
mod replay;
mod route;
mod server;
#[cfg(feature = "http")]
mod service;

pub use app::{App, BindError};
pub use host::Stopped;
#[cfg(feature = "http")]
pub use remote_addr::RemoteAddr;
pub use route::{Route, Routed};
pub use server::{Handle, Server};
#[cfg(feature = "http")]
pub use service::WebSocketService;

pub use wsrv_core;
pub use wsrv_http;
pub use wsrv_rfc6455;

/// What a server usually needs.
pub mod prelude {
    pub use crate::{App, Route, Routed, Server};
    pub use http::{HeaderName, HeaderValue, StatusCode};
    pub use wsrv_core::Limits as ConnectionLimits;
    pub use wsrv_core::{
        Closed, ClosedBy, Connection, Error, Group, Handler, Membership, Reason, SendError, SlowPeer, Socket, Verdict,
        from_fn,
    };
    pub use wsrv_http::{AllowedOrigins, Gate, Opening, Params, Rejection};
    pub use wsrv_rfc6455::Limits as MessageLimits;
    pub use wsrv_rfc6455::connection::WebSocketConnection;
    pub use wsrv_rfc6455::handshake::Subprotocols;
    pub use wsrv_rfc6455::{CloseCode, CloseFrame, Message, Text};
}

// The program in the README has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
