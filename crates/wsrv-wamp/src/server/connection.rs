//! A connection that speaks WAMP.

use super::removals::Removals;
use super::settings::Settings;
use super::{CallError, Request, SessionId};
use crate::message::{
    encode_call_error, encode_call_result, encode_event, encode_prefix, encode_welcome, serialize_call_result,
    serialize_event,
};
use crate::{Dialect, Exclude, PrefixError, Prefixes, RawValue, Recipients};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wsrv_core::{Connection, Link, SendError};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::{CloseCode, PreparedFrame, Text};

/// A WebSocket on which both ends speak WAMP version 1. Clones are the same connection.
///
/// It contains the [WebSocket](WampConnection::websocket) and does not dereference to it, so that nothing is sent past
/// the protocol by accident.
#[derive(Clone)]
pub struct WampConnection {
    lower: WebSocketConnection,
    session: Arc<Session>,
}

struct Session {
    id: SessionId,
    settings: Arc<Settings>,
    prefixes: Mutex<Prefixes>,
    removals: Removals,
}

impl WampConnection {
    pub(crate) fn new(lower: &WebSocketConnection, settings: &Arc<Settings>) -> Self {
        let prefixes = Mutex::new(settings.prefixes());
        let session =
            Session { id: SessionId::random(), settings: settings.clone(), prefixes, removals: Removals::default() };
        WampConnection { lower: lower.clone(), session: Arc::new(session) }
    }

    /// The WebSocket below: its request, extensions and close codes. Messages that are sent on it directly are not WAMP.
    pub fn websocket(&self) -> &WebSocketConnection {
        &self.lower
    }

    /// The session's name, which the WELCOME has told the client: 128 bits from the operating system, as text. Whoever
    /// learns it can aim events at this client, so it is no public name.
    pub fn session_id(&self) -> &SessionId {
        &self.session.id
    }

    /// What this server calls itself.
    pub fn identity(&self) -> &str {
        &self.session.settings.identity
    }

    /// How the protocol's open questions are answered here.
    pub fn dialect(&self) -> &Dialect {
        &self.session.settings.dialect
    }

    /// Who receives an event that this client publishes: those who are eligible (`None`: everybody) and not excluded, as
    /// the [dialect](Self::dialect) says.
    pub fn recipients<'a>(&'a self, exclude: &'a Exclude<'a>, eligible: Option<&'a [Cow<'a, str>]>) -> Recipients<'a> {
        Recipients::new(exclude, eligible, Some(self.session.id.as_str()), self.dialect())
    }

    /// Topics that the server takes from this client.
    pub(crate) fn removals(&self) -> &Removals {
        &self.session.removals
    }

    /// Replaces a prefix that this client has registered by the URI it stands for.
    pub fn resolve<'a>(&self, uri: &'a str) -> Cow<'a, str> {
        self.prefixes().resolve(uri)
    }

    /// Registers a prefix as if the client had.
    ///
    /// # Errors
    ///
    /// There are too many, one of the two is too long, or the prefix can be none: it is empty, has a colon in it, or is a
    /// scheme such as `http`.
    pub fn register_prefix(&self, prefix: &str, uri: &str) -> Result<(), PrefixError> {
        self.prefixes().set(prefix, uri)
    }

    /// Registers a prefix and tells the client. The protocol does not foresee that, and some clients take it for a
    /// violation; those of Ratchet's time know it.
    ///
    /// # Errors
    ///
    /// The prefix as for [`register_prefix`](Self::register_prefix), or the connection is closed.
    pub async fn prefix(&self, prefix: &str, uri: &str) -> Result<(), wsrv_core::Error> {
        self.register_prefix(prefix, uri)?;
        Ok(self.lower.send(encode_prefix(prefix, uri)).await?)
    }

    /// Answers a call with a result.
    ///
    /// # Errors
    ///
    /// The connection is closed, or the result cannot be written as JSON ([`SendError::Invalid`]).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is sent.
    pub async fn call_result(&self, id: &str, result: &(impl Serialize + Sync + ?Sized)) -> Result<(), SendError> {
        let text = serialize_call_result(id, result).map_err(|_| SendError::Invalid("a result that is no JSON"))?;
        self.lower.send(text).await
    }

    pub(crate) async fn raw_result(&self, id: &str, result: &RawValue) -> Result<(), SendError> {
        self.lower.send(encode_call_result(id, result)).await
    }

    /// Answers a call with an error; a [fault](super::Fault) in the words of [`Wamp::faults`](super::Wamp::faults).
    ///
    /// # Errors
    ///
    /// The connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is sent.
    pub async fn call_error(&self, id: &str, error: &CallError) -> Result<(), SendError> {
        let error = self.session.settings.told(error);
        self.lower.send(encode_call_error(id, error.uri(), error.description(), error.raw_details())).await
    }

    /// Sends an event to this client only, whether or not it has subscribed to the topic.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is sent.
    pub async fn event(&self, event: &Event) -> Result<(), SendError> {
        self.lower.send(event.0.clone()).await
    }

    /// Closes with this code and text. One longer than 123 bytes is cut.
    ///
    /// # Errors
    ///
    /// The code may not be sent.
    pub fn close_with(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), SendError> {
        self.lower.close_with(code, reason)
    }

    pub(crate) async fn welcome(&self) -> Result<(), SendError> {
        self.lower.send(encode_welcome(self.session.id.as_str(), self.identity())).await
    }

    pub(crate) fn prefixes(&self) -> MutexGuard<'_, Prefixes> {
        self.session.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection for WampConnection {
    type Wire = WebSocket;
    type Incoming = Request;
    type Outgoing = Event;

    fn link(&self) -> &Link<WebSocket> {
        self.lower.link()
    }

    fn encode(event: Event) -> PreparedFrame {
        WebSocketConnection::encode(event.0.into())
    }
}

impl fmt::Debug for WampConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WampConnection").field("lower", &self.lower).field("session_id", &self.session.id).finish()
    }
}

/// An event of a topic, written once for all who get it. Clones share it.
#[derive(Clone)]
pub struct Event(Text);

impl Event {
    /// An event of this topic.
    ///
    /// # Errors
    ///
    /// The event cannot be written as JSON.
    pub fn new(topic: &str, event: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        Ok(Event(serialize_event(topic, event)?.into()))
    }

    /// An event that is JSON already.
    pub fn raw(topic: &str, event: &RawValue) -> Self {
        Event(encode_event(topic, event).into())
    }

    /// The message as it goes to the clients.
    pub fn as_text(&self) -> &Text {
        &self.0
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("len", &self.0.len()).finish_non_exhaustive()
    }
}
