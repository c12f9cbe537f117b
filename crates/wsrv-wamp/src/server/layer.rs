//! WAMP on a WebSocket: messages in, requests out.

use super::request::{owned, owned_exclude};
use super::settings::Settings;
use super::{Call, CallArguments, Fault, Publication, Request, WampConnection};
use crate::{ClientMessage, Malformed, MessageError, PrefixError, uris};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use wsrv_core::{Closed, Connection, Error, Handler, Reason, Verdict};
use wsrv_rfc6455::connection::WebSocketConnection;
use wsrv_rfc6455::{CloseCode, Message};

/// The layer that speaks WAMP version 1: a handler of WebSockets around a handler of [`WampConnection`]s, which gets
/// [`Request`]s. [`Wamp`](super::Wamp) makes one around procedures and topics; a handler of one's own gets all there
/// is, and answers each call itself.
///
/// The WELCOME goes out before the inner handler opens. Prefixes are kept here: requests have full URIs. Malformed
/// messages are dealt with as the [dialect](crate::Dialect::malformed) says, after a call with a readable id was
/// answered; binary ones count among them.
pub struct WampLayer<H> {
    inner: H,
    settings: Arc<Settings>,
    /// That the route is wrong.
    has_warned: AtomicBool,
}

impl<H: Handler<WampConnection>> WampLayer<H> {
    /// The layer with the usual settings, around this handler. With others it is
    /// `Wamp::new()…build()?.map(|_| handler)`.
    pub fn new(inner: H) -> Self {
        Self::with(inner, Settings::default())
    }

    pub(crate) fn with(inner: H, settings: Settings) -> Self {
        WampLayer { inner, settings: Arc::new(settings), has_warned: AtomicBool::new(false) }
    }

    /// The same layer around another handler: one of your own, or a layer between this one and what
    /// [`Wamp::build`](super::Wamp::build) makes.
    pub fn map<G: Handler<WampConnection>>(self, around: impl FnOnce(H) -> G) -> WampLayer<G> {
        WampLayer { inner: around(self.inner), settings: self.settings, has_warned: self.has_warned }
    }

    /// Whether a client has to offer the [subprotocol](uris::SUBPROTOCOL): for the route that leads here.
    pub fn is_subprotocol_needed(&self) -> bool {
        self.settings.needs_subprotocol
    }

    async fn malformed(&self, conn: &WampConnection, error: MessageError) -> Result<(), Error> {
        if let Some(id) = error.call_id() {
            let fault = Fault::Malformed { why: error.to_string() };
            conn.call_error(id, &fault.into()).await?;
        }
        match self.settings.dialect.malformed {
            Malformed::Ignore => {
                tracing::debug!(conn = %conn.id(), %error, "a malformed message was ignored");
                Ok(())
            }
            Malformed::Close(code) => refuse(conn, code, error),
        }
    }
}

/// Whether the client's request offers to speak WAMP.
fn has_offered(conn: &WebSocketConnection) -> bool {
    let mut offered =
        conn.request().headers("sec-websocket-protocol").flat_map(|line| line.split(|byte| *byte == b','));
    offered.any(|name| name.trim_ascii() == uris::SUBPROTOCOL.as_bytes())
}

/// An error where there is a reason for this code; else a close with just this code.
fn refuse(conn: &WampConnection, code: u16, error: MessageError) -> Result<(), Error> {
    let reason = match code {
        1002 => Reason::BadPeer,
        1007 => Reason::BadData,
        1008 => Reason::Policy,
        _ => {
            tracing::debug!(conn = %conn.id(), %error, "a malformed message");
            return Ok(conn.close_with(CloseCode::from(code), "")?);
        }
    };
    Err(Error::new(reason, error))
}

/// The upper connection, made once, and the state of the handler within.
pub struct WampState<S> {
    conn: WampConnection,
    inner: S,
}

impl<H: Handler<WampConnection>> Handler<WebSocketConnection> for WampLayer<H> {
    type State = WampState<H::State>;

    async fn on_open(&self, lower: &WebSocketConnection) -> Result<Self::State, Error> {
        if self.settings.needs_subprotocol && lower.subprotocol() != Some(uris::SUBPROTOCOL) {
            if has_offered(lower) && !self.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    path = lower.request().path(),
                    "clients offer the subprotocol wamp, and the route does not choose it: it has to be a Route::wamp"
                );
            }
            return Err(Error::new(
                Reason::BadPeer,
                "the subprotocol wamp was not agreed on: the route has to choose it (Route::wamp does), and the client to offer it",
            ));
        }
        let conn = WampConnection::new(lower, &self.settings);
        conn.welcome().await?;
        let inner = self.inner.on_open(&conn).await?;
        Ok(WampState { conn, inner })
    }

    async fn on_message(
        &self,
        _: &WebSocketConnection,
        state: &mut Self::State,
        message: Message,
    ) -> Result<(), Error> {
        let WampState { conn, inner } = state;
        let Settings { limits, dialect, .. } = &*self.settings;
        let Message::Text(text) = message else {
            return self.malformed(conn, MessageError::not_text()).await;
        };
        // Nothing that is borrowed from the text is held over an await.
        let request = match ClientMessage::parse_in(text.as_str(), limits, dialect) {
            Ok(ClientMessage::Prefix { prefix, uri }) => {
                return match conn.register_prefix(&prefix, &uri) {
                    Ok(()) => Ok(()),
                    Err(error @ PrefixError::TooMany { .. }) => Err(Error::new(Reason::Policy, error)),
                    Err(error) => self.malformed(conn, MessageError::prefix(error)).await,
                };
            }
            Ok(ClientMessage::Call { id, procedure, arguments }) => Request::Call(Call {
                id: id.into_owned(),
                procedure: conn.resolve(&procedure).into_owned(),
                arguments: match dialect.unwrap_arguments {
                    true => CallArguments::unwrapped_in(&text, &arguments),
                    false => CallArguments::found_in(&text, &arguments),
                },
            }),
            Ok(ClientMessage::Subscribe { topic }) => Request::Subscribe { topic: conn.resolve(&topic).into_owned() },
            Ok(ClientMessage::Unsubscribe { topic }) => {
                Request::Unsubscribe { topic: conn.resolve(&topic).into_owned() }
            }
            Ok(ClientMessage::Publish { topic, event, exclude, eligible }) => Request::Publish(Publication {
                topic: conn.resolve(&topic).into_owned(),
                event: event.to_owned(),
                exclude: owned_exclude(exclude),
                eligible: eligible.map(owned),
            }),
            Err(error) => return self.malformed(conn, error).await,
        };
        self.inner.on_message(conn, inner, request).await
    }

    async fn on_error(&self, _: &WebSocketConnection, state: &mut Self::State, error: Error) -> Verdict {
        self.inner.on_error(&state.conn, &mut state.inner, error).await
    }

    async fn on_close(&self, _: &WebSocketConnection, state: Self::State, closed: Closed) {
        self.inner.on_close(&state.conn, state.inner, closed).await;
    }

    fn poll_background(
        &self,
        _: &WebSocketConnection,
        state: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        self.inner.poll_background(&state.conn, &mut state.inner, cx)
    }
}

impl<H: fmt::Debug> fmt::Debug for WampLayer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WampLayer").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for WampState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WampState").field("conn", &self.conn).finish_non_exhaustive()
    }
}
