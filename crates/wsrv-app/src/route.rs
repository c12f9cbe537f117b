//! What happens on a path.

use std::fmt;
use std::sync::Arc;
use wsrv_core::{Connections, Driver, Handler, Limits};
use wsrv_http::{Gate, Gates, Params};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
#[cfg(feature = "deflate")]
use wsrv_rfc6455::deflate::{Agreement, Compression};
#[cfg(feature = "deflate")]
use wsrv_rfc6455::handshake::RequestHead;
use wsrv_rfc6455::handshake::Subprotocols;

/// A handler with the settings of its route. A handler alone is a route with default settings.
pub struct Route {
    pub(crate) host: Option<String>,
    pub(crate) gates: Gates,
    pub(crate) subprotocols: Subprotocols,
    pub(crate) message_limits: wsrv_rfc6455::Limits,
    pub(crate) limits: Arc<Limits>,
    /// `None`: what the app says.
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Option<Compression>>,
    /// Whether its connections understand the message of a drain.
    pub(crate) last_message: bool,
    /// The app's, under the name of this route, once it is the app's.
    pub(crate) connections: Connections,
    pub(crate) start: Start,
}

/// Spawns the driver. Handlers of all types are made alike here, once per connection; no message meets a `dyn`.
pub(crate) type Start = Box<dyn Fn(Driver<WebSocket>) + Send + Sync>;

impl Route {
    /// A route to this handler; to one that others hold as well, if it is an [`Arc`].
    pub fn new<H: Handler<WebSocketConnection>>(handler: H) -> Self {
        let handler = Arc::new(handler);
        Route {
            host: None,
            gates: Gates::new(),
            subprotocols: Subprotocols::none(),
            message_limits: wsrv_rfc6455::Limits::default(),
            limits: Arc::default(),
            #[cfg(feature = "deflate")]
            compression: None,
            last_message: true,
            connections: Connections::new(),
            // A task of its own, so that nothing of the handshake stays behind in it.
            start: Box::new(move |driver| drop(driver.spawn(handler.clone()))),
        }
    }

    /// A route to what a [`Wamp`](wsrv_wamp::Wamp) offers, or to another handler around which the layer is, with the
    /// subprotocol `wamp`.
    ///
    /// ```
    /// use wsrv_app::prelude::*;
    /// use wsrv_app::wsrv_wamp::{Open, Wamp};
    ///
    /// let wamp = Wamp::new().topic("http://example.com/rooms/{room}", Open);
    /// let app = App::new().route("/wamp", Route::wamp(wamp.build()?));
    /// # let _ = app;
    /// # Ok::<(), wsrv_app::wsrv_wamp::WampError>(())
    /// ```
    #[cfg(feature = "wamp")]
    pub fn wamp<H: Handler<wsrv_wamp::WampConnection>>(layer: wsrv_wamp::WampLayer<H>) -> Self {
        let subprotocols = Subprotocols::new([wsrv_wamp::uris::SUBPROTOCOL]).expect("its name is a token");
        let needed = layer.is_subprotocol_needed();
        Self::new(layer).subprotocols(if needed { subprotocols } else { subprotocols.optional() }).last_message(false)
    }

    /// Takes only requests for this host (a name or an address, without the port). Such a route wins over one for
    /// any host. Default: any.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds a gate for this route, behind those of the app.
    pub fn gate(mut self, gate: impl Gate) -> Self {
        self.gates.push(gate);
        self
    }

    /// The subprotocols this route speaks. With [`Subprotocols::new`] a client has to offer one of them, or is refused
    /// with 400; [`Subprotocols::optional`] lets it in without. [`WebSocketConnection::subprotocol`] tells which.
    ///
    /// Default: none. A client that offers some is let in and told of none; most clients then give up by themselves.
    pub fn subprotocols(mut self, subprotocols: Subprotocols) -> Self {
        self.subprotocols = subprotocols;
        self
    }

    /// Whether its connections are sent the [last message](crate::Drain::last_message) of a drain. Default `true`; `false`
    /// for a route whose clients would take it for a broken message of their own protocol, as those of WAMP.
    pub fn last_message(mut self, send: bool) -> Self {
        self.last_message = send;
        self
    }

    /// What a peer may send: sizes of messages and frames.
    ///
    /// ```
    /// # use wsrv_app::prelude::*;
    /// # fn route<H: Handler<WebSocketConnection>>(handler: H) -> Route {
    /// Route::new(handler)
    ///     .message_limits(MessageLimits::default().with_max_message(16 * 1024))
    ///     .limits(ConnectionLimits::default().with_slow_peer(SlowPeer::DropNewest))
    /// # }
    /// ```
    pub fn message_limits(mut self, limits: wsrv_rfc6455::Limits) -> Self {
        self.message_limits = limits;
        self
    }

    /// Compresses the messages of this route in another way than [the app says](crate::App::deflate), with memory and
    /// compressors of its own unless it is the same [`Compression`].
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, compression: impl Into<Compression>) -> Self {
        self.compression = Some(Some(compression.into()));
        self
    }

    /// Compresses no messages on this route, whatever the app says.
    #[cfg(feature = "deflate")]
    pub fn without_deflate(mut self) -> Self {
        self.compression = Some(None);
        self
    }

    /// The bounds of a connection: outbox, policies, timeouts.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Arc::new(limits);
        self
    }
}

#[cfg(feature = "deflate")]
impl Route {
    /// Agrees with this client on compression, if there is any and the client offers it.
    pub(crate) fn negotiate(&self, request: &RequestHead) -> Option<Agreement> {
        self.compression.as_ref()?.as_ref()?.negotiate(request)
    }
}

/// What [`App::route`](crate::App::route) takes: a [`Route`], or a handler, which is a route with default settings.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a handler of `WebSocketConnection`s nor a `Route`",
    label = "not a handler",
    note = "a function that gets a `Socket` becomes a handler by `from_fn(function)`",
    note = "a handler of another layer's connection needs that layer around it"
)]
pub trait IntoRoute {
    /// Makes the route.
    fn into_route(self) -> Route;
}

impl IntoRoute for Route {
    fn into_route(self) -> Route {
        self
    }
}

impl<H: Handler<WebSocketConnection>> IntoRoute for H {
    fn into_route(self) -> Route {
        Route::new(self)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("host", &self.host).field("gates", &self.gates).finish_non_exhaustive()
    }
}

/// What a connection knows of the route it came by.
pub trait Routed {
    /// The value of a parameter of the route's path, percent-decoded: `room` in `/rooms/{room}`.
    fn param(&self, name: &str) -> Option<&str>;
}

impl Routed for WebSocketConnection {
    fn param(&self, name: &str) -> Option<&str> {
        self.extensions().get::<Params>()?.get(name)
    }
}
