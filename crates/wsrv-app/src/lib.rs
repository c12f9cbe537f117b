//! A complete WebSocket server from a handful of lines.
//!
//! An [`App`] joins what the other crates do: gates decide who may connect, routes say whose handler it is, the
//! handshake is done, and the connection driver takes over. It adds comfort and no protocol rules. The crates below
//! are re-exported: [`wsrv_core`], [`wsrv_rfc6455`], [`wsrv_http`], and with the features `session` and `wamp`
//! `wsrv_session` and `wsrv_wamp`; what a server usually needs of them is in the [`prelude`].
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
//! A gate that has to wait, for a database perhaps, is an async function given to [`gate_fn`](wsrv_http::gate_fn), or a type
//! that implements [`Gate`](wsrv_http::Gate); their pages have examples. What all of them would say of a request, [`Server::explain`] tells.
//!
//! # Hosts
//!
//! The same app works, with the same rules and limits,
//!
//! - on listeners of its own: [`App::bind`] for TCP, [`App::listen`] for a Unix socket or a listener made elsewhere,
//!   and [`Server::and_listen`] for several at once;
//! - beside pages on the same port (feature `http`): requests that ask for no upgrade go to the `tower` service given
//!   to `App::http`, and a connection that has brought pages may still become a WebSocket with a later request;
//! - with TLS, on any of these listeners: `App::bind_tls` and `Server::and_listen_tls` (feature `tls`);
//! - inside an axum or hyper application (feature `http`): `App::into_service` makes a `WebSocketService` of it.
//!
//! # Sessions
//!
//! With the feature `session`, who is logged in at the web front end is logged in here: `wsrv_session::Sessions` is a gate
//! that finds the visitor's session by its cookie, in PHP's files, in Redis, in PostgreSQL or in the cookie itself, and
//! attaches it to the connection. `docs/sessions.md` of the repository has a program for each front end.
//!
//! # TLS
//!
//! With the feature `tls`, listeners speak TLS by rustls: certificates by name, reloaded without a restart, client
//! certificates, resumption. Its page is the module `tls`.
//!
//! ```no_run
//! # #[cfg(feature = "tls")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use wsrv_app::prelude::*;
//! use wsrv_app::tls::Tls;
//!
//! let tls = Tls::from_pem_files("cert.pem", "key.pem")?;
//! App::new().bind_tls("[::]:443", tls).await?.serve().await;
//! # Ok(()) }
//! ```
//!
//! # Limits
//!
//! | what | set with | default | past it |
//! |---|---|---|---|
//! | a request's head | [`App::head_limits`] | 16 KiB, 8 KiB a line, 100 headers | 431, 414 |
//! | from the accept to the answer, gates included | [`App::handshake_timeout`] | 10 s | 408, 503 |
//! | the TLS handshake, within that | `App::tls_timeout` | 5 s | closed |
//! | handshakes at once, in all | [`App::max_handshakes`] | 16,384 | 503 |
//! | … from one address | [`App::max_handshakes_per_address`] | 1,024 | 503 |
//! | WebSockets at once, in all | [`App::max_connections`] | none | 503 |
//! | … from one address | [`App::max_connections_per_address`] | none | 503 |
//! | from one page's request to the next | `App::http_timeout` | 60 s | closed |
//! | requests, messages and bytes in a time, from one address | [`App::rate_limits`] | none | 429, slowed, 1008 |
//! | messages and frames | [`Route::message_limits`] | 1 MiB | 1009 |
//! | what waits for a peer, silence, goodbyes | [`Route::limits`] | [many](wsrv_core::Limits) | |
//! | the server's end | [`App::drain`] | 15 s | cut |
//!
//! # The end
//!
//! [`Server::serve`] ends with Ctrl-C or SIGTERM, [`Server::serve_until`] when a future of yours does, and both when a
//! [`Handle`] says so. How is told by [`Drain`], step by step: the server is not [ready](Readiness) any more, goes on for a
//! while if it is to, stops accepting, closes every connection with 1001 or 1012 over a window of time, cuts who has not
//! said goodbye at the deadline, and reports. [`Stopped`] tells how many were closed and how many cut.
//!
//! **A restart that refuses nobody** needs a socket that outlives the process: from a `.socket` unit of systemd, or from
//! `systemfd` while developing. With the feature `listenfd`, `Listener::from_env` takes it over; without such a socket it
//! is empty, and the server binds its own:
//!
//! ```
//! # #[cfg(feature = "listenfd")]
//! # async fn listen(app: wsrv_app::App) -> Result<wsrv_app::Server, Box<dyn std::error::Error>> {
//! use wsrv_app::prelude::*;
//!
//! let mut given = Listener::from_env()?.into_iter();
//! let server = match given.next() {
//!     Some(first) => app.listen(first)?,
//!     None => app.bind("0.0.0.0:8080").await?,
//! };
//! Ok(given.fold(server, Server::and_listen))
//! # }
//! ```
//!
//! The process manager then sends SIGTERM and, when the process has ended, starts the next; who connects in between waits
//! in the socket's queue. Or it starts the next first, and both accept for a moment.
//!
//! # Watching it
//!
//! An [`Observer`](wsrv_core::Observer), set with [`App::observe`], is told of connections that open and close, of messages,
//! errors and slow peers, of refused requests and of the end: to count them. [`Readiness`] is for a health page.
//!
//! # Logging
//!
//! By the crate `tracing`, with the targets `wsrv_app` and `wsrv_core`, and with the feature `wamp` `wsrv_wamp`, whose
//! documentation has a table of its own:
//!
//! | level | what |
//! |---|---|
//! | error | panics of handlers, gates and HTTP services; another server that does no upgrades |
//! | warn | handlers' errors with [`Reason::Internal`](wsrv_core::Reason::Internal), as all have that give no other; steps that took too long; handlers that block their thread; sockets that cannot be accepted; connections cut at the end; limits and lists of addresses where none are known |
//! | info | the server stops; accepting goes on |
//! | debug | refused requests and why, TLS handshakes that fail, handlers' errors with another reason, how each connection ended |
//!
//! Each connection runs in a span `connection` with its `id`, the peer's address as `remote`, and its `route`, so all that a
//! handler logs can be told apart. It has the level DEBUG and a target of its own, so it can be had alone:
//! `RUST_LOG=info,wsrv_core::connection=debug`. Where nobody wants it when a connection begins, it costs nothing.
//!
//! So what single peers do and what becomes of them is at DEBUG, but for who signs in by WAMP, which is at INFO. To see all,
//! with the `EnvFilter` of `tracing-subscriber`: `RUST_LOG=wsrv_app=debug,wsrv_core=debug,wsrv_wamp=debug`.
//!
//! # Testing
//!
//! Handlers are tested without a server: `wsrv_rfc6455::connection::testing` has a mock WebSocket whose peer is the
//! test, and `wsrv_core::testing` tells the rest. For what is offered by WAMP, `wsrv_wamp::testing` has a client. They come
//! with the feature `test-util`. Their time is paused, which is tokio's feature `test-util`.
//!
//! # Features
//!
//! - `deflate`: `App::deflate`, compression of messages by permessage-deflate (RFC 7692).
//! - `http`: the other hosts, which brings hyper. Without it, requests that ask for no upgrade are refused.
//! - `axum`: axum's `ConnectInfo` tells the peer's address to the app inside axum, and to pages beside it. Brings
//!   `http`.
//! - `listenfd`: `Listener::from_env`, sockets that systemd or others have made.
//! - `session`: `wsrv_session`, the visitors' sessions at the web front end. Which front ends and stores it knows is for
//!   that crate's own features.
//! - `tls`: TLS by rustls, with the cryptography of `ring`, for which a C compiler is needed.
//! - `wamp`: `Route::wamp`, calls and topics by WAMP version 1, which are described in `wsrv_wamp`.
//! - `wamp-cra`: the same with signing in by challenge and response.
//! - `test-util`: the modules for tests. Meant for `[dev-dependencies]`.
#![forbid(unsafe_code)]

mod admission;
mod app;
mod drain;
mod explain;
#[cfg(feature = "http")]
mod fallback;
mod handshake;
mod host;
#[cfg(feature = "http")]
mod keep_alive;
mod life;
mod proxy_protocol;
#[cfg(feature = "http")]
mod remote_addr;
#[cfg(feature = "http")]
mod replay;
mod request_rate;
mod route;
mod server;
#[cfg(feature = "http")]
mod service;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use app::{App, BindError};
pub use drain::{Drain, Readiness};
pub use explain::{Explanation, Outcome};
pub use life::Stopped;
pub use request_rate::RequestRate;
pub use route::{IntoRoute, Route, Routed};
pub use server::{Handle, Server};
#[cfg(feature = "http")]
pub use service::WebSocketService;
#[cfg(feature = "http")]
pub use wsrv_http::RemoteAddr;

pub use wsrv_core;
pub use wsrv_http;
pub use wsrv_rfc6455;
#[cfg(feature = "session")]
pub use wsrv_session;
#[cfg(feature = "wamp")]
pub use wsrv_wamp;

/// What a server usually needs.
pub mod prelude {
    pub use crate::{App, Drain, Handle, Readiness, Route, Routed, Server, Stopped};
    #[cfg(feature = "http")]
    pub use crate::{RemoteAddr, WebSocketService};
    pub use http::{HeaderName, HeaderValue, StatusCode};
    pub use wsrv_core::Limits as ConnectionLimits;
    pub use wsrv_core::{
        Closed, ClosedBy, Connection, ConnectionId, Delivery, Error, Group, Groups, Handler, Listener, Losses,
        Membership, Observer, OverRate, Rate, RateLimits, Reason, SendError, SlowPeer, Socket, Verdict, from_fn,
    };
    pub use wsrv_http::{
        Addresses, AllowedOrigins, Gate, Network, Opening, Params, Rejection, TrustedNetworks, TrustedProxies, gate_fn,
    };
    pub use wsrv_rfc6455::Limits as MessageLimits;
    pub use wsrv_rfc6455::connection::{ControlFrame, WebSocketConnection};
    #[cfg(feature = "deflate")]
    pub use wsrv_rfc6455::deflate::{Compression, Deflate, DeflateParams};
    pub use wsrv_rfc6455::handshake::Subprotocols;
    pub use wsrv_rfc6455::{CloseCode, CloseFrame, Message, Text};
}

/// What writers of layers need beside the [`prelude`]. How a layer is written is told at
/// [`Handler`](wsrv_core::Handler); `examples/layer.rs` of the repository is one, with its tests.
pub mod layer {
    pub use wsrv_core::{AttributeStore, ConnectionId, Link, Wire};
    pub use wsrv_rfc6455::PreparedFrame;
    pub use wsrv_rfc6455::connection::WebSocket;
}

// The programs in the README have to compile; some need a feature.
#[cfg(all(doctest, feature = "http", feature = "session", feature = "tls", feature = "wamp"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

// So have those in the guide for those who come from PHP.
#[cfg(all(doctest, feature = "http", feature = "session", feature = "wamp"))]
#[doc = include_str!("../../../docs/coming-from-ratchet.md")]
struct ComingFromRatchet;

// And those in the guide for those whose web front end stays.
#[cfg(all(doctest, feature = "http", feature = "session", feature = "wamp"))]
#[doc = include_str!("../../../docs/sessions.md")]
struct SessionsOfFrontEnds;
