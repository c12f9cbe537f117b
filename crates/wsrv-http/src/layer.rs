//! Gates in front of any `tower` service, such as an axum router.

use crate::gate::wants_connection;
use crate::{Gate, Opening, Rejection, RemoteAddr};
use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response};
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;
use wsrv_rfc6455::handshake::{HeadLimits, RequestHead};

/// Puts a gate, or [`Gates`](crate::Gates), in front of a service: requests that the gate refuses do not reach it.
///
/// A gate is asked about those requests that its [stage](crate::Stage) is for; [`every_request`](Self::every_request)
/// changes that. Gates that are to look at the same request share what they have learnt if they are one
/// [`Gates`](crate::Gates) in one layer.
///
/// - **The peer's address** is not part of a request. [`client_addr`](Self::client_addr) tells the layer where the
///   server has put it; without it, gates know none.
/// - **The service** gets the request with what gates have attached among its extensions, and the address as gates
///   have left it as [`RemoteAddr`]. Headers that gates have added to the opening's answer are added to its answer.
///   A subprotocol that a gate has selected is not passed on.
/// - **A refusal** is answered in the service's place and told to [`on_refused`](Self::on_refused). The [`Rejection`] is
///   among the answer's extensions, for layers around this one. A [silent](Rejection::silent) one is answered too.
///
/// ```
/// use axum::extract::ConnectInfo;
/// use std::net::SocketAddr;
/// use wsrv_http::{Addresses, GateLayer, Gates, TrustedNetworks, TrustedProxies};
///
/// let addresses = Addresses::new();
/// let mut gates = Gates::new();
/// gates.push(TrustedProxies::new(TrustedNetworks::loopback()));
/// gates.push(addresses.clone());
/// let layer = GateLayer::new(gates)
///     .client_addr(|request| Some(request.get::<ConnectInfo<SocketAddr>>()?.0));
/// let router: axum::Router = axum::Router::new().layer(layer);
/// ```
pub struct GateLayer<G> {
    gate: Arc<G>,
    every_request: bool,
    head_limits: HeadLimits,
    client_addr: FindAddr,
    on_refused: Option<TellRefused>,
}

type TellRefused = Arc<dyn Fn(Option<SocketAddr>, &Rejection) + Send + Sync>;
type FindAddr = Arc<dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync>;

impl<G: Gate> GateLayer<G> {
    /// A layer of this gate.
    pub fn new(gate: G) -> Self {
        GateLayer {
            every_request: gate.stage().is_for_every_request(),
            gate: Arc::new(gate),
            head_limits: HeadLimits::default(),
            client_addr: Arc::new(|extensions| Some(extensions.get::<RemoteAddr>()?.0)),
            on_refused: None,
        }
    }

    /// Whether the gate is asked about every request or about upgrades only. Default: as its
    /// [stage](crate::Stage::is_for_every_request) says.
    pub fn every_request(mut self, every: bool) -> Self {
        self.every_request = every;
        self
    }

    /// Where to find the peer's address in a request. Default: a [`RemoteAddr`] that a layer or the server around this one has left.
    pub fn client_addr(mut self, find: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        self.client_addr = Arc::new(find);
        self
    }

    /// The limits of a request's head; one beyond them is answered with 431 or 414. Default: those of [`HeadLimits`].
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// Calls `tell` with each refusal, before it is answered: to log it and to count it. The address is the client's as
    /// the gates know it. It is called in the request's own task, so it is to be quick. Default: nobody is told.
    pub fn on_refused(mut self, tell: impl Fn(Option<SocketAddr>, &Rejection) + Send + Sync + 'static) -> Self {
        self.on_refused = Some(Arc::new(tell));
        self
    }

    /// Lets the request pass, with what the gate has attached, or refuses it. `client` is afterwards what is known of
    /// its address, however it ends.
    async fn admit<B>(
        &self,
        request: Request<B>,
        client: &mut Option<SocketAddr>,
    ) -> Result<(Request<B>, HeaderMap), Rejection> {
        let (mut parts, body) = request.into_parts();
        *client = (self.client_addr)(&parts.extensions).map(RemoteAddr::canonical);
        let head = RequestHead::from_parts(&parts, self.head_limits)?;
        if !self.every_request && !wants_connection(&head) {
            return Ok((Request::from_parts(parts, body), HeaderMap::new()));
        }
        let mut opening = Opening::new(head, *client);
        *opening.extensions_mut() = std::mem::take(&mut parts.extensions);
        let admitted = self.gate.admit(&mut opening).await;
        *client = opening.remote_addr();
        admitted?;
        let (_, addr, extensions, response_headers) = opening.into_parts();
        parts.extensions = extensions;
        if let Some(addr) = addr {
            parts.extensions.insert(RemoteAddr(addr));
        }
        Ok((Request::from_parts(parts, body), response_headers))
    }
}

impl<S, G> Layer<S> for GateLayer<G> {
    type Service = GateService<S, G>;

    fn layer(&self, inner: S) -> GateService<S, G> {
        GateService { inner, layer: self.clone() }
    }
}

/// The service that a [`GateLayer`] makes.
pub struct GateService<S, G> {
    inner: S,
    layer: GateLayer<G>,
}

impl<S, G, B, R> Service<Request<B>> for GateService<S, G>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    G: Gate,
    B: Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The one that is ready; a fresh clone need not be.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let (method, version) = (request.method().clone(), request.version());
            let mut client = None;
            match layer.admit(request, &mut client).await {
                Ok((request, headers)) => {
                    let mut response = inner.call(request).await?;
                    for (name, value) in &headers {
                        response.headers_mut().append(name, value.clone());
                    }
                    Ok(response)
                }
                Err(rejection) => {
                    if let Some(tell) = &layer.on_refused {
                        tell(client, &rejection);
                    }
                    let mut response = rejection.response(method.as_str(), version).map(R::from);
                    response.extensions_mut().insert(rejection);
                    Ok(response)
                }
            }
        })
    }
}

impl<G> Clone for GateLayer<G> {
    fn clone(&self) -> Self {
        GateLayer {
            gate: self.gate.clone(),
            every_request: self.every_request,
            head_limits: self.head_limits,
            client_addr: self.client_addr.clone(),
            on_refused: self.on_refused.clone(),
        }
    }
}

impl<S: Clone, G> Clone for GateService<S, G> {
    fn clone(&self) -> Self {
        GateService { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<G> fmt::Debug for GateLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer")
            .field("every_request", &self.every_request)
            .field("head_limits", &self.head_limits)
            .finish_non_exhaustive()
    }
}

impl<S, G> fmt::Debug for GateService<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("layer", &self.layer).finish_non_exhaustive()
    }
}
