//! An app inside somebody else's HTTP server.

use crate::admission::admit;
use crate::app::HANDSHAKES_PER_ADDRESS;
use crate::drain::{Drain, Readiness};
use crate::explain::{Explanation, explain};
use crate::host::{Host, STOPS};
use crate::life::Stopped;
use crate::remote_addr;
use crate::transport::Transport;
use bytes::{Bytes, BytesMut};
use http::{Extensions, Request, Response};
use http_body_util::Full;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use wsrv_core::{Accepted, Connections, Reason};
use wsrv_http::Rejection;
use wsrv_rfc6455::handshake::RequestHead;

/// An [`App`](crate::App) as a `tower` service, for a server that reads the requests: an axum router, or hyper's
/// connections (served `with_upgrades`). Clones are the same service.
///
/// ```no_run
/// use std::net::SocketAddr;
/// use wsrv_app::prelude::*;
///
/// # async fn serve<H: Handler<WebSocketConnection>>(chat: H) -> Result<(), Box<dyn std::error::Error>> {
/// let sockets = App::new().route("/chat/{room}", chat).into_service()?;
/// let router = axum::Router::new()
///     .route("/", axum::routing::get(|| async { "a page" }))
///     .route_service("/chat/{room}", sockets.clone());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
/// # Ok(()) }
/// ```
///
/// It fits `route_service` (with the path the app knows, too), `nest_service` (the app sees the path without the
/// prefix) and `fallback_service`. Every request that comes here is answered here: with 101, or with the same refusals
/// that a [`Server`](crate::Server) gives. Requests over HTTP/2 are refused with 505: an upgrade needs HTTP/1.1.
///
/// **Connections** run as they do in a server of our own. Where the other server runs over plain TCP, also if through
/// `axum::serve`, the socket is taken back together with what was read ahead; anything else (TLS, a pipe) stays a
/// stream that the other server has wrapped. Extensions of the request, put there by layers around this service, are
/// the connection's [`extensions`](wsrv_rfc6455::connection::WebSocketConnection::extensions).
///
/// **The peer's address** is known before the 101 only if the request tells it, as an extension: axum's
/// `ConnectInfo<SocketAddr>` (with the feature `axum` here and `into_make_service_with_connect_info` there), or
/// [`RemoteAddr`](crate::RemoteAddr). Without it, gates see no address, so that block lists block nobody, an allow list lets
/// nobody in, and the limits per address count nobody. That is logged once as a warning if there is such a list or limit; the connection's own `remote_addr()` is the socket's all the same.
///
/// **Limits and times.** All of the app's hold, but those of what the other server does: reading the head
/// ([`handshake_timeout`](crate::App::handshake_timeout) begins when the request comes here), accepting, pages. What
/// was given to [`App::http`](crate::App::http) is not used: pages are the other server's.
///
/// **The end**: [`shutdown`](Self::shutdown), beside that of the other server, which knows nothing of connections that
/// it has handed over.
#[derive(Clone)]
pub struct WebSocketService {
    host: Arc<Host>,
}

impl WebSocketService {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        WebSocketService { host }
    }

    /// The established connections, to count them or to close them all.
    pub fn connections(&self) -> &Connections {
        &self.host.life.connections
    }

    /// Tells whether its end has begun, to pages beside it.
    pub fn readiness(&self) -> Readiness {
        self.host.life.readiness()
    }

    /// What this request would meet if it came from there, as [`Server::explain`](crate::Server::explain) tells it.
    pub async fn explain(&self, request: RequestHead, peer: Option<SocketAddr>) -> Explanation {
        explain(&self.host, request, peer, false).await
    }

    /// Ends it as [`App::drain`](crate::App::drain) says, and waits; see [`drain`](Self::drain).
    pub async fn shutdown(&self) -> Stopped {
        self.host.life.stop(None);
        self.finish().await
    }

    /// The same for another reason.
    pub async fn shutdown_with(&self, reason: Reason) -> Stopped {
        self.host.life.stop(Some(reason));
        self.finish().await
    }

    /// Closes every connection in this way and waits until all have said goodbye or are cut. While it waits as
    /// [`Drain::wait`] says, requests are taken as ever; after that, those that are under way are still answered, and
    /// closed as soon as they are connections, and new ones are refused with 503.
    ///
    /// Called again, in whichever way, it waits for the same end; the first call counts.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end goes on, but nobody cuts who does not say goodbye.
    pub async fn drain(&self, drain: Drain) -> Stopped {
        self.host.life.begin_end(drain);
        self.finish().await
    }

    async fn finish(&self) -> Stopped {
        self.host.life.finish(std::future::ready(()), std::future::pending()).await
    }
}

impl<B: Send + 'static> tower_service::Service<Request<B>> for WebSocketService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let host = self.host.clone();
        Box::pin(async move {
            let (parts, _) = request.into_parts();
            Ok(answer(host, parts).await)
        })
    }
}

async fn answer(host: Arc<Host>, mut parts: http::request::Parts) -> Response<Full<Bytes>> {
    let peer = remote_addr::of(&parts.extensions);
    let extensions = std::mem::take(&mut parts.extensions);
    let mut known = peer;
    let decided = host.life.until_cut(decide(&host, &parts, &mut known, extensions)).await;
    let response = decided.unwrap_or_else(|| Err(Rejection::overloaded(STOPS))).unwrap_or_else(|rejection| {
        host.refused(known, &rejection);
        rejection.response(parts.method.as_str(), parts.version)
    });
    response.map(Full::new)
}

async fn decide(
    host: &Arc<Host>,
    parts: &http::request::Parts,
    known: &mut Option<SocketAddr>,
    mut extensions: Extensions,
) -> Result<Response<Bytes>, Rejection> {
    let peer = *known;
    let deadline = Instant::now() + host.settings.handshake_timeout;
    if peer.is_none() {
        // Who has not chosen the limit does not miss it.
        let is_limited = host.life.handshakes.per_address().is_some_and(|limit| limit != HANDSHAKES_PER_ADDRESS);
        host.miss_address(is_limited || host.check_address(None).is_err());
    }
    let place = host.begin_handshake_of(peer)?;
    // Behind the place: who stops the app either waits for this request, or is seen here.
    if host.life.is_stopping() {
        return Err(Rejection::overloaded(STOPS));
    }
    let head = RequestHead::from_parts(parts, host.settings.head)?;
    let on_upgrade = extensions.remove::<OnUpgrade>();
    let admitted = admit(host, head, known, extensions, deadline).await;
    // A gate may have told the address. One that was refused for something else may not have come so far.
    let is_missing = match &admitted {
        Ok(admitted) => admitted.remote_addr().is_none(),
        Err(rejection) => known.is_none() && rejection.reason() == "address",
    };
    if is_missing {
        host.miss_address(
            host.life.connections.places().per_address().is_some() || !host.settings.addresses.is_empty(),
        );
    }
    let admitted = admitted?;
    let Some(on_upgrade) = on_upgrade else {
        tracing::error!("the server around this service does no upgrades");
        return Err(Rejection::internal());
    };
    let response = admitted.response();
    let host = host.clone();
    tokio::spawn(async move {
        let upgraded = host.life.until_cut(timeout_at(deadline, on_upgrade)).await;
        match upgraded {
            Some(Ok(Ok(upgraded))) => {
                let (transport, received) = take_back(upgraded);
                host.start(admitted, transport, received);
            }
            Some(_) => tracing::debug!(?peer, "lost in the opening handshake"),
            None => {}
        }
        drop(place);
    });
    Ok(response.map(|()| Bytes::new()))
}

/// The plain socket, if there is one below, and what was read of it already.
fn take_back(upgraded: Upgraded) -> (Transport, BytesMut) {
    match take_socket::<TcpStream>(upgraded) {
        Ok((tcp, received)) => {
            tracing::debug!("a plain TCP socket was upgraded");
            (Transport::Accepted(Accepted::Tcp(tcp)), received)
        }
        #[cfg(unix)]
        Err(upgraded) => match take_socket::<UnixStream>(upgraded) {
            Ok((unix, received)) => (Transport::Accepted(Accepted::Unix(unix)), received),
            Err(upgraded) => keep(upgraded),
        },
        #[cfg(not(unix))]
        Err(upgraded) => keep(upgraded),
    }
}

fn keep(upgraded: Upgraded) -> (Transport, BytesMut) {
    tracing::debug!("a stream of another server was upgraded");
    (Transport::Upgraded(TokioIo::new(upgraded)), BytesMut::new())
}

fn take_socket<T>(upgraded: Upgraded) -> Result<(T, BytesMut), Upgraded>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    // `axum::serve` and others find out the version of HTTP first, and wrap the stream for that.
    match auto::upgrade::downcast::<TokioIo<T>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf.into())),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<T>>()?;
            Ok((parts.io.into_inner(), parts.read_buf.into()))
        }
    }
}

impl fmt::Debug for WebSocketService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketService").field("connections", self.connections()).finish_non_exhaustive()
    }
}
