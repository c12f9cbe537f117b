//! What is decided about a request before it becomes a connection: **gates** that admit or refuse it, **routes** that
//! say whose it is, and **rejections** that tell the peer honestly.
//!
//! This is no web framework: it looks at one request, an [`Opening`], and answers at most with a refusal. Reading the
//! request and the rules of the opening handshake are `wsrv-rfc6455`'s; what happens on the connection afterwards is
//! `wsrv-core`'s, of which this crate knows nothing.
#![forbid(unsafe_code)]

mod addresses;
mod forwarded;
mod gate;
mod gates;
#[cfg(feature = "tower")]
mod layer;
mod network;
mod opening;
mod origin;
mod proxies;
mod proxy_header;
mod rejection;
mod router;
mod shared;
#[cfg(test)]
mod testing;
mod trusted;

pub use addresses::{Addresses, Verdict};
pub use gate::{Gate, GateFn, Stage, gate_fn};
pub use gates::{Explained, Gates, Said};
#[cfg(feature = "tower")]
pub use layer::{ClientAddr, GateLayer, GateService};
pub use network::{InvalidNetwork, Network};
pub use opening::Opening;
pub use origin::{AllowedOrigins, InvalidOrigin};
pub use proxies::{ForwardedHeaders, ProxyAddr, TrustedProxies};
pub use proxy_header::{ProxyHeader, ProxyHeaderError};
pub use rejection::Rejection;
pub use router::{InvalidRoute, Matched, Params, Router};
pub use trusted::TrustedNetworks;
