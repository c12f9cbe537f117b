//! What is decided about a request before it becomes a connection: **gates** that admit or refuse it, **routes** that
//! say whose it is, and **rejections** that tell the peer honestly.
//!
//! This is no web framework: it looks at one request, an [`Opening`], and answers at most with a refusal. Reading the
//! request and the rules of the opening handshake are `wsrv-rfc6455`'s; what happens on the connection afterwards is
//! `wsrv-core`'s, of which this crate knows nothing.
//!
//! # Gates
//!
//! A [`Gate`] is asked about an [`Opening`]. [`Gates`] are asked in the order of their [stages](Stage), whatever the
//! order in which they were added:
//!
//! | stage | gate | asked about |
//! |---|---|---|
//! | `Proxy` | [`TrustedProxies`]: who the client is | every request |
//! | `Address` | [`Addresses`]: block list and allow list | every request |
//! | `Limit` | by what is going on already: `RequestRate` of `wsrv-app`, or yours | every request |
//! | `Origin` | [`AllowedOrigins`]: which pages may connect | upgrades |
//! | `Session` | whose session it is | upgrades |
//! | `Application` | yours: a type, a function, or a waiting function ([`gate_fn`]) | upgrades |
//!
//! Those of this crate are handles: a clone that is kept changes what the gate decides by while the server runs.
//!
//! ```
//! use wsrv_http::{Addresses, AllowedOrigins, Gates, Network, TrustedNetworks, TrustedProxies};
//!
//! let (addresses, origins) = (Addresses::new(), AllowedOrigins::new(["https://example.com"])?);
//! let mut gates = Gates::new();
//! gates.push(origins.clone());
//! gates.push(addresses.clone());
//! gates.push(TrustedProxies::new(TrustedNetworks::loopback()));
//!
//! // Later, from anywhere:
//! addresses.block("203.0.113.0/24".parse::<Network>()?);
//! origins.allow("https://*.example.com")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Gates::explain`] asks the same gates and tells what each has said. A [`Rejection`] has a word to be counted under
//! and a note for the log.
//!
//! # Before the request
//!
//! A listener [checks](Addresses::check) the address of a socket right after it was accepted, and reads a [`ProxyHeader`] from
//! peers that it [trusts](TrustedNetworks::trusts_peer).
//!
//! # Without a server of ours
//!
//! With the feature `tower`, `GateLayer` puts gates in front of any service, such as an axum router.
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

pub use addresses::Addresses;
pub use gate::{Gate, GateFn, Stage, gate_fn};
pub use gates::{Explained, Gates, Said};
#[cfg(feature = "tower")]
pub use layer::{GateLayer, GateService};
pub use network::{InvalidNetwork, Network};
pub use opening::{Opening, RemoteAddr};
pub use origin::{AllowedOrigins, InvalidOrigin, OriginChecked};
pub use proxies::{ForwardedHeaders, ProxyAddr, TrustedProxies};
pub use proxy_header::{ProxyHeader, ProxyHeaderError};
pub use rejection::Rejection;
pub use router::{InvalidRoute, Matched, Params, Router};
pub use trusted::TrustedNetworks;
