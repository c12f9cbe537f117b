//! The decision about a request that asks to become a connection, the same for every host.

use crate::explain::Account;
use crate::host::Host;
use crate::route::Route;
use crate::transport::Transport;
use bytes::BytesMut;
use http::{Extensions, StatusCode};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{Instant, timeout_at};
use wsrv_core::Place;
use wsrv_http::{Gate, Gates, Matched, Opening, Rejection};
use wsrv_rfc6455::connection::WebSocket;
#[cfg(feature = "deflate")]
use wsrv_rfc6455::deflate::Agreement;
use wsrv_rfc6455::handshake::{self, Offer, RequestHead, SharedLines};

/// A request that may become a connection: everybody who has a say has agreed, and a place is taken.
pub(crate) struct Admitted {
    route: Arc<Route>,
    opening: Opening,
    offer: Offer,
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    agreement: Option<Agreement>,
    place: Place,
    /// The host knew where the peer is.
    addressed: bool,
}

/// Decides about a request, until the deadline at the latest. What panics refuses.
///
/// `peer` is where the request comes from, if the host knows, and afterwards what the gates know, however it ends;
/// `extensions` stay with the connection.
pub(crate) async fn admit(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    extensions: Extensions,
    deadline: Instant,
) -> Result<Box<Admitted>, Rejection> {
    in_time(deadline, decide(host, request, peer, extensions, None)).await
}

/// With an account, it is kept of what is found on the way.
pub(crate) async fn decide(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    extensions: Extensions,
    mut account: Option<&mut Account>,
) -> Result<Box<Admitted>, Rejection> {
    let addressed = peer.is_some();
    let mut opening = ask_first(host, request, peer, extensions, account.as_deref_mut()).await?;
    let request = opening.request();
    let found = host.router.find(request).ok_or_else(Rejection::not_found);
    if let (Some(account), Ok(Matched { value: route, params })) = (account.as_deref_mut(), &found) {
        account.route = route.connections.name().map(str::to_owned);
        account.params = params.clone();
    }
    if let Err(not_found) = &found
        && !request.is_upgrade()
    {
        // There is no page here either. On a route, the answer below tells what is missing.
        return Err(not_found.clone());
    }
    #[cfg_attr(not(feature = "deflate"), expect(unused_mut))]
    let mut offer = handshake::check(request)?;
    let Matched { value: route, params } = found?;
    if params.iter().next().is_some() {
        opening.extensions_mut().insert(params);
    }
    ask(&host.upgrade_gates, &mut opening, account.as_deref_mut()).await?;
    ask(&route.gates, &mut opening, account).await?;
    let subprotocol = match opening.subprotocol() {
        Some(chosen_by_gate) => Some(chosen_by_gate.to_owned()),
        None => route.subprotocols.select(&offer)?.map(str::to_owned),
    };
    let place = host.life.connections.places().take(opening.remote_addr().map(|addr| addr.ip()));
    let place = place.map_err(|full| Rejection::overloaded(full.to_string()))?;
    // Last, so that who is refused takes nothing of the memory there is for it.
    #[cfg(feature = "deflate")]
    let agreement = route.negotiate(opening.request()).inspect(|agreement| offer.agree(agreement));
    // Boxed, as it goes from hand to hand and is larger than what the handshake's task holds otherwise.
    Ok(Box::new(Admitted {
        route: route.clone(),
        opening,
        offer,
        subprotocol,
        #[cfg(feature = "deflate")]
        agreement,
        place,
        addressed,
    }))
}

/// What a PROXY header has said of the client's connection.
#[derive(Clone, Copy)]
pub(crate) struct SaidSecure(pub(crate) bool);

fn opening(request: RequestHead, peer: Option<SocketAddr>, extensions: Extensions) -> Opening {
    let mut opening = Opening::new(request, peer);
    #[cfg(feature = "tls")]
    if extensions.get::<crate::tls::TlsInfo>().is_some() {
        opening.set_secure(Some(true));
    }
    // Of the client itself, where the TLS may be the proxy's.
    if let Some(SaidSecure(secure)) = extensions.get() {
        opening.set_secure(Some(*secure));
    }
    *opening.extensions_mut() = extensions;
    opening
}

/// Decides about a request for a page, as [`admit`] does about those for connections. Returns what gates have attached.
#[cfg(feature = "http")]
pub(crate) async fn admit_page(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    extensions: Extensions,
    deadline: Instant,
) -> Result<Extensions, Rejection> {
    in_time(deadline, decide_page(host, request, peer, extensions, None)).await
}

#[cfg(feature = "http")]
pub(crate) async fn decide_page(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    extensions: Extensions,
    account: Option<&mut Account>,
) -> Result<Extensions, Rejection> {
    let opening = ask_first(host, request, peer, extensions, account).await?;
    let (_, _, extensions, _) = opening.into_parts();
    Ok(extensions)
}

/// Asks the gates for every request. `peer` is afterwards what they know, however it ends.
async fn ask_first(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    extensions: Extensions,
    account: Option<&mut Account>,
) -> Result<Opening, Rejection> {
    let mut opening = opening(request, *peer, extensions);
    let admitted = ask(&host.request_gates, &mut opening, account).await;
    *peer = opening.remote_addr();
    admitted.map(|()| opening)
}

async fn ask(gates: &Gates, opening: &mut Opening, account: Option<&mut Account>) -> Result<(), Rejection> {
    match account {
        None => gates.admit(opening).await,
        Some(account) => Box::pin(account.ask(gates, opening)).await,
    }
}

/// The peer has done its part by then, so it is a gate that takes so long, or panics.
async fn in_time<T>(deadline: Instant, decide: impl Future<Output = Result<T, Rejection>>) -> Result<T, Rejection> {
    // Boxed: a future that is held by others, one in the other, gets larger with each of them.
    timeout_at(deadline, unpanicking(Box::pin(decide))).await.unwrap_or_else(|_| {
        Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "it took too long to decide").because("timeout"))
    })
}

/// Whose code panics refuses; everybody else goes on.
pub(crate) fn unpanicking<T>(
    mut decide: Pin<Box<impl Future<Output = Result<T, Rejection>>>>,
) -> impl Future<Output = Result<T, Rejection>> {
    poll_fn(move |cx| {
        // What the panic left half done is its own.
        catch_unwind(AssertUnwindSafe(|| decide.as_mut().poll(cx))).unwrap_or_else(|_| {
            tracing::error!("a gate panicked");
            Poll::Ready(Err(Rejection::internal()))
        })
    })
}

const SELECTED_IS_TOKEN: &str = "a selected subprotocol is a token";

impl Admitted {
    /// Where the peer is, if anybody knows so far.
    pub(crate) fn remote_addr(&self) -> Option<SocketAddr> {
        self.opening.remote_addr()
    }

    /// The subprotocol that the answer names.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What the answer says of extensions.
    pub(crate) fn extensions(&self) -> Option<&str> {
        self.offer.extensions()
    }

    /// The answer as it goes over the wire.
    pub(crate) fn encode(&self) -> BytesMut {
        let mut answer = BytesMut::with_capacity(256);
        let headers = self.opening.response_headers();
        handshake::encode_accept(&self.offer, self.subprotocol.as_deref(), headers, &mut answer)
            .expect(SELECTED_IS_TOKEN);
        answer
    }

    /// The answer for a server that writes it by itself.
    #[cfg(feature = "http")]
    pub(crate) fn response(&self) -> http::Response<()> {
        let headers = self.opening.response_headers();
        handshake::accept_response(&self.offer, self.subprotocol.as_deref(), headers).expect(SELECTED_IS_TOKEN)
    }

    /// Begins the connection after the answer; `received` is what the peer has sent behind its request already.
    pub(crate) fn start(self: Box<Self>, transport: Transport, received: BytesMut, shared_lines: &SharedLines) {
        #[cfg(feature = "deflate")]
        let agreement = self.agreement;
        let Admitted { route, opening, subprotocol, place, addressed, .. } = *self;
        let (mut request, remote_addr, extensions, response_headers) = opening.into_parts();
        request.share(shared_lines);
        let wire = WebSocket::server(request).limits(route.message_limits).subprotocol(subprotocol.as_deref());
        let wire = wire.extensions(extensions).response_headers(response_headers);
        #[cfg(feature = "deflate")]
        let wire = wire.deflate(agreement);
        let driver = transport.driver(wire);
        // Where neither the host nor a gate has known it, the socket may.
        let driver = match remote_addr {
            None if !addressed => driver,
            known => driver.remote_addr(known),
        };
        (route.start)(
            driver.received(received).limits(route.limits.clone()).tracked_by(&route.connections).place(place),
        );
    }
}
