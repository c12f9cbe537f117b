#![cfg_attr(feature = "tls", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tls"),
    doc = "A WebSocket client on the codec and the connection driver of wsrv, without TLS."
)]
#![forbid(unsafe_code)]

mod client;
mod dial;
mod error;
mod open;
mod proxy;
mod reconnecting;
mod target;
#[cfg(feature = "tls")]
mod tls;

pub use client::Client;
pub use error::{ConnectError, InvalidRequest, Phase, RedirectError, Unreachable, UrlError};
pub use proxy::{Proxy, ProxyError};
pub use reconnecting::{Backoff, Reconnecting};

#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
pub use wsrv_core;
pub use wsrv_core::Socket;
pub use wsrv_rfc6455;
pub use wsrv_rfc6455::Message;
pub use wsrv_rfc6455::connection::WebSocketConnection;

/// Connects to a URL with default settings: [`Client::new`] and [`Client::connect`].
///
/// # Errors
///
/// # Panics
///
/// # Cancel safety
///
/// As [`Client::connect`].
pub async fn connect(url: &str) -> Result<Socket<WebSocketConnection>, ConnectError> {
    Client::new(url)?.connect().await
}
