//! A server's description.

use crate::drain::{Drain, Readiness};
use crate::explain::{Explanation, explain};
use crate::host::Host;
use crate::life::{Life, Phase};
use crate::route::{IntoRoute, Route};
use crate::server::Server;
use crate::transport::Security;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::ToSocketAddrs;
use tokio::sync::watch;
use wsrv_core::{Connections, Listener, Observer, Places, RateLimits, Reason};
use wsrv_http::{Addresses, Gate, Gates, InvalidRoute, Router, TrustedNetworks, TrustedProxies};
#[cfg(feature = "deflate")]
use wsrv_rfc6455::deflate::Compression;
#[cfg(all(doc, feature = "deflate"))]
use wsrv_rfc6455::deflate::Deflate;
use wsrv_rfc6455::handshake::{HeadLimits, RequestHead};

/// Describes a server: routes, gates, limits. [`bind`](App::bind) makes it one; `into_service` (feature `http`) makes
/// it a part of another.
#[derive(Debug, Default)]
pub struct App {
    routes: Vec<(String, Route)>,
    request_gates: Gates,
    upgrade_gates: Gates,
    #[cfg(feature = "http")]
    fallback: Option<crate::fallback::Fallback>,
    settings: Settings,
    connections: Connections,
    handshakes: Handshakes,
    drain: Drain,
    #[cfg(feature = "deflate")]
    compression: Option<Compression>,
    /// Of the server to be.
    phase: watch::Sender<Phase>,
}

pub(crate) const HANDSHAKES_PER_ADDRESS: usize = 1_024;

/// The places for sockets that are no WebSocket, or not yet.
#[derive(Debug)]
struct Handshakes(Places);

impl Default for Handshakes {
    fn default() -> Self {
        let places = Places::new();
        places.set_total(Some(16_384));
        places.set_per_address(Some(HANDSHAKES_PER_ADDRESS));
        Handshakes(places)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) head: HeadLimits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) addresses: Vec<Addresses>,
    pub(crate) proxy_protocol: Option<TrustedNetworks>,
    /// Those whose requests tell where they come from.
    pub(crate) proxies: Vec<TrustedNetworks>,
    #[cfg(feature = "tls")]
    pub(crate) tls_timeout: Duration,
    #[cfg(feature = "http")]
    pub(crate) http_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            head: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            addresses: Vec::new(),
            proxy_protocol: None,
            proxies: Vec::new(),
            #[cfg(feature = "tls")]
            tls_timeout: Duration::from_secs(5),
            #[cfg(feature = "http")]
            http_timeout: Duration::from_secs(60),
        }
    }
}

/// An [`App`] cannot become a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A route's path or host is malformed, or in conflict with another's.
    #[error(transparent)]
    Route(#[from] InvalidRoute),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address as it was given.
        addr: String,
        /// Why not.
        source: io::Error,
    },
}

impl App {
    /// An app without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves WebSockets on `path` with a handler, or with a [`Route`] that has settings of its own.
    ///
    /// `{name}` in a path stands for one segment, `{*name}` for all that follows; see [`Routed`](crate::Routed). Colons
    /// and stars alone mean nothing special.
    pub fn route(mut self, path: impl Into<String>, route: impl IntoRoute) -> Self {
        self.routes.push((path.into(), route.into_route()));
        self
    }

    /// Adds a gate in front of all routes. Gates are asked by their [stage](wsrv_http::Stage), and those of one stage in
    /// the order they were added. The first stages are asked about pages, too.
    ///
    /// A function or a closure `|opening: &mut Opening| …` that returns at once is a gate. One that has to wait goes through
    /// [`gate_fn`](wsrv_http::gate_fn), or is a type that implements [`Gate`].
    pub fn gate(mut self, gate: impl Gate) -> Self {
        match gate.stage().is_for_every_request() {
            true => self.request_gates.push(gate),
            false => self.upgrade_gates.push(gate),
        }
        self
    }

    /// Learns where requests really come from, from headers that proxies in front of this server add. From then on that
    /// is the request's address, for all other gates, limits and the connection.
    ///
    /// Add it by this method and not as a gate only: then the proxies' own [addresses](Self::addresses) are not judged
    /// before a request is read. All the proxies' clients share their address's
    /// [handshakes](Self::max_handshakes_per_address), so that limit is to be higher there. Default: no header is
    /// believed.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.settings.proxies.push(proxies.networks().clone());
        self.gate(proxies)
    }

    /// Expects a header of the PROXY protocol, version 1 or 2, in front of all that comes from these networks, TLS
    /// included. Its source is the peer's address from then on. Who sends none, or a bad one, is closed without an
    /// answer. Peers from elsewhere are taken as they are. For listeners of our own; inside another server, that one
    /// reads what comes first. Default: nobody sends one.
    pub fn proxy_protocol(mut self, from: TrustedNetworks) -> Self {
        self.settings.proxy_protocol = Some(from);
        self
    }

    /// Lets in who these lists say, and keeps them when they change: connections of an address that is blocked later
    /// are closed (1008). Default: everybody may come. Of several lists, each has to let a peer in.
    ///
    /// On listeners of our own an address is judged when it is accepted, before TLS and before its request is read;
    /// behind [trusted proxies](Self::trusted_proxies), as soon as it is known.
    pub fn addresses(mut self, addresses: Addresses) -> Self {
        let connections = self.connections.clone();
        addresses.watch(move |addresses| {
            let may_not = |addr: Option<SocketAddr>| !addresses.admits(addr.map(|addr| addr.ip()));
            connections.close_where(may_not, Reason::Policy);
        });
        self.settings.addresses.push(addresses.clone());
        self.gate(addresses)
    }

    /// Hands requests that ask for no upgrade to an HTTP service: pages, health, an API beside the sockets.
    ///
    /// Any `tower` service fits, an `axum::Router` for example. It gets every request that asks for no upgrade, on
    /// whatever path. Gates for [every request](wsrv_http::Stage::is_for_every_request) see them, others do not. A
    /// connection may bring one request after the other, and become a WebSocket with the last. Without a service such requests are refused.
    ///
    /// The peer's address is among the request's extensions as [`RemoteAddr`](crate::RemoteAddr), and with the feature
    /// `axum` as axum's `ConnectInfo<SocketAddr>`. Peers at a Unix socket have no address, and both are absent: a page
    /// that asks for `ConnectInfo<SocketAddr>` then answers 500, because axum does. One for both kinds of sockets takes
    /// `Option<Extension<RemoteAddr>>` instead.
    #[cfg(feature = "http")]
    pub fn http<S, B>(mut self, service: S) -> Self
    where
        S: tower_service::Service<
                http::Request<hyper::body::Incoming>,
                Response = http::Response<B>,
                Error = std::convert::Infallible,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
        B: hyper::body::Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        self.fallback = Some(crate::fallback::Fallback::new(service));
        self
    }

    /// Compresses messages by `permessage-deflate` (RFC 7692) with clients that offer it, as browsers do. A [`Deflate`] says
    /// how; a [`Compression`] made of it tells in its [stats](Compression::stats) what it does and costs. Default: no
    /// compression. A [`Route`] may have another.
    ///
    /// By default, no message refers to an earlier one: then connections hold no memory for it, and what goes to a group is
    /// compressed once. `docs/compression.md` of the repository tells what else costs how much.
    ///
    /// Where a message has a secret in it beside what somebody else chooses, and its size can be watched, the secret can be
    /// guessed: see [`deflate`](wsrv_rfc6455::deflate#secrets).
    ///
    /// ```
    /// use wsrv_app::prelude::*;
    ///
    /// let compression = Compression::new(Deflate::default().with_min_size(512));
    /// let app = App::new().deflate(compression.clone());
    /// assert_eq!(compression.stats().connections, 0);
    /// # let _ = app;
    /// ```
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, compression: impl Into<Compression>) -> Self {
        self.compression = Some(compression.into());
        self
    }

    /// The bounds of a request's head. Default: [`HeadLimits::default`].
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.settings.head = limits;
        self
    }

    /// How long a peer and the gates may take together from the accept to the answer, whatever the pace at which
    /// bytes arrive. Default 10 s.
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.settings.handshake_timeout = time;
        self
    }

    /// How long the TLS handshake may take, whatever the pace at which bytes arrive. The
    /// [time for the whole opening](App::handshake_timeout) runs meanwhile. Default 5 s.
    #[cfg(feature = "tls")]
    pub fn tls_timeout(mut self, time: Duration) -> Self {
        self.settings.tls_timeout = time;
        self
    }

    /// How long a connection may take from the beginning of one request for the [HTTP service](App::http) to the
    /// beginning of the next: to send a body, to wait for the answer, to read it, to be silent. Then it is closed.
    /// Default 60 s.
    #[cfg(feature = "http")]
    pub fn http_timeout(mut self, time: Duration) -> Self {
        self.settings.http_timeout = time;
        self
    }

    /// How the server comes to its end, unless its [handle](crate::Handle) says otherwise. Default [`Drain::new`].
    pub fn drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// Tells whether the server wants new connections: for a health page, which is there before the server is.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(&self.phase)
    }

    /// Has `observer` told what happens to the server's connections, and which requests are refused, under the words of
    /// [`Rejection::reason`](wsrv_http::Rejection::reason) and, for handshakes of TLS that fail, `tls`. Default: nobody is
    /// told.
    ///
    /// # Panics
    ///
    /// If there is one already. Of several, one has to tell the others.
    pub fn observe(self, observer: impl Observer) -> Self {
        self.connections.observe(observer);
        self
    }

    /// How many WebSockets there may be at once. Past it: 503, after the gates have been asked. Default `None`: as many
    /// as descriptors and memory allow.
    pub fn max_connections(self, connections: impl Into<Option<usize>>) -> Self {
        self.connections.places().set_total(connections.into());
        self
    }

    /// How many WebSockets one address may have at once. Past it: 503. Default `None`.
    ///
    /// The address is [`Opening::remote_addr`](wsrv_http::Opening::remote_addr) as the gates leave it, so behind a
    /// proxy that a gate trusts, the client's. Who has none is not counted: peers at a Unix socket, and inside another
    /// server those whose address it does not tell (see `WebSocketService`). What counts as one address is told at
    /// [`Places::set_per_address`].
    pub fn max_connections_per_address(self, connections: impl Into<Option<usize>>) -> Self {
        self.connections.places().set_per_address(connections.into());
        self
    }

    /// How many accepted sockets may be in their opening handshake at once; one that brings pages to the HTTP service
    /// counts for as long as it lives. Past it, sockets are told 503 before their request is read, or closed if they are
    /// for TLS. Default 16,384.
    pub fn max_handshakes(self, handshakes: impl Into<Option<usize>>) -> Self {
        self.handshakes.0.set_total(handshakes.into());
        self
    }

    /// How many of them one address may have: the socket's, or the one that a [PROXY header](Self::proxy_protocol) tells;
    /// all clients of a proxy that tells it in headers are one. Default 1,024.
    pub fn max_handshakes_per_address(self, handshakes: impl Into<Option<usize>>) -> Self {
        self.handshakes.0.set_per_address(handshakes.into());
        self
    }

    /// How fast the peers of one address may come and send. Default: as fast as they can.
    ///
    /// Messages and bytes are counted for the address as the gates leave it, like
    /// [`max_connections_per_address`](Self::max_connections_per_address); a peer over its rate is slowed or closed, as
    /// the limits say. Handshakes are counted for the socket's address, or the one that a
    /// [PROXY header](Self::proxy_protocol) tells; those beyond the rate are told 429 before they are read, or closed if
    /// they are for TLS. Leave them unlimited behind a proxy that tells the client in headers, since it is one address: a
    /// [`RequestRate`](crate::RequestRate) counts for its clients.
    ///
    /// ```
    /// use wsrv_app::prelude::*;
    ///
    /// let limits = RateLimits::default().with_messages(Rate::per_second(50).with_burst(200));
    /// let app = App::new().rate_limits(limits);
    /// # let _ = app;
    /// ```
    pub fn rate_limits(self, limits: RateLimits) -> Self {
        self.connections.rates().set(limits);
        self
    }

    /// The connections of the server to be, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Listens on `addr`: a name or address with a port, IPv4 or IPv6; port 0 lets the system choose.
    ///
    /// Peers may connect from now on; they are answered as soon as the server [serves](Server::serve).
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice, or the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing listens.
    pub async fn bind(self, addr: impl ToSocketAddrs + fmt::Debug) -> Result<Server, BindError> {
        self.listen(bind(addr).await?)
    }

    /// Uses a listener that is there: a [Unix socket](Listener::unix), or one that was made elsewhere.
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice.
    pub fn listen(self, listener: impl Into<Listener>) -> Result<Server, BindError> {
        Ok(Server::new(listener.into(), Security::Plain, Arc::new(self.into_host()?)))
    }

    /// As [`bind`](App::bind), for TLS; see [`tls`](crate::tls).
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice, or the address cannot be listened on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing listens.
    #[cfg(feature = "tls")]
    pub async fn bind_tls(
        self,
        addr: impl ToSocketAddrs + fmt::Debug,
        tls: crate::tls::Tls,
    ) -> Result<Server, BindError> {
        self.listen_tls(bind(addr).await?, tls)
    }

    /// As [`listen`](App::listen), for TLS; see [`tls`](crate::tls).
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice.
    #[cfg(feature = "tls")]
    pub fn listen_tls(self, listener: impl Into<Listener>, tls: crate::tls::Tls) -> Result<Server, BindError> {
        Ok(Server::new(listener.into(), Security::Tls(tls), Arc::new(self.into_host()?)))
    }

    /// Makes a service of it, to be called by somebody else's server: an axum or hyper application.
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice.
    #[cfg(feature = "http")]
    pub fn into_service(self) -> Result<crate::WebSocketService, InvalidRoute> {
        Ok(crate::WebSocketService::new(Arc::new(self.into_host()?)))
    }

    /// What this request would meet, as [`Server::explain`] tells it; to check an app that is not to serve.
    ///
    /// # Errors
    ///
    /// A path is malformed or used twice.
    pub async fn explain(self, request: RequestHead, peer: Option<SocketAddr>) -> Result<Explanation, InvalidRoute> {
        Ok(explain(&self.into_host()?, request, peer, true).await)
    }

    fn into_host(self) -> Result<Host, InvalidRoute> {
        let mut router = Router::new();
        for (path, mut route) in self.routes {
            let host = route.host.take();
            route.connections = self.connections.named(format!("{}{path}", host.as_deref().unwrap_or_default()));
            if !route.last_message {
                route.connections = route.connections.without_last_message();
            }
            #[cfg(feature = "deflate")]
            route.compression.get_or_insert_with(|| self.compression.clone());
            router.add(host.as_deref(), &path, Arc::new(route))?;
        }
        let life = Life::new(self.connections, self.handshakes.0, self.drain, self.phase);
        let host = Host::new(router, self.request_gates, self.upgrade_gates, self.settings, life);
        #[cfg(feature = "http")]
        let host = host.with_fallback(self.fallback);
        Ok(host)
    }
}

async fn bind(addr: impl ToSocketAddrs + fmt::Debug) -> Result<Listener, BindError> {
    let shown = format!("{addr:?}");
    Listener::bind(addr).await.map_err(|source| BindError::Listen { addr: shown, source })
}
