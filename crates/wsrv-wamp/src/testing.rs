//! A WAMP client of a handler, without a socket: for tests of procedures and topics (feature `test-util`).
//!
//! Time is paused, so that timers come at once and in their order.
//!
//! ```
//! use std::sync::Arc;
//! use wsrv_wamp::testing::MockWamp;
//! use wsrv_wamp::{Args, CallError, Open, Wamp};
//!
//! async fn halve(Args((n,)): Args<(u32,)>) -> Result<u32, CallError> {
//!     if n % 2 == 1 { Err(CallError::new("http://example.com/error#odd", "an odd number")) } else { Ok(n / 2) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! // In #[tokio::test(start_paused = true)] async fn halves_and_rooms():
//! let handler = Arc::new(Wamp::new().procedure("halve", halve).topic("rooms/{room}", Open).build().unwrap());
//! let mut ada = MockWamp::open(handler.clone()).await.unwrap();
//! let mut bob = MockWamp::open(handler).await.unwrap();
//!
//! assert_eq!(ada.call::<u32>("halve", &(4,)).await.unwrap(), 2);
//! let error = ada.call::<u32>("halve", &(3,)).await.unwrap_err();
//! assert_eq!(error.uri(), "http://example.com/error#odd");
//!
//! ada.subscribe("rooms/1").await;
//! bob.publish("rooms/1", "hello").await;
//! assert_eq!(ada.events::<String>("rooms/1"), ["hello"]);
//! # }
//! ```
//!
//! One that has to sign in calls `authreq` and `auth` by itself: the module `cra` has what it answers the challenge with.

use crate::message::ServerMessage;
use crate::{CallError, ClientEvent, ClientSession, MessageLimits, uris};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;
use wsrv_core::testing::Session;
use wsrv_core::{Closed, Error, Handler};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

/// For how long something is waited for that may never come.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// A client of WAMP whose server is a handler under test, on a [`MockWebSocket`].
///
/// # Panics
///
/// Most methods panic if the connection ends, or if the handler sends what is no WAMP: then the test has failed. So do those
/// that wait, when nothing has come for 24 hours.
pub struct MockWamp<H: Handler<WebSocketConnection>> {
    /// The wire and the client's end of it. What is taken from it here reaches none of the methods.
    pub peer: MockWebSocket,
    /// The handler's side, to run it step by step.
    pub session: Session<WebSocket, H>,
    client: ClientSession,
    /// What has come and was not asked for yet.
    inbox: Vec<String>,
}

/// A WebSocket on which WAMP was agreed on, at `/wamp`.
pub fn wire() -> WebSocket {
    WebSocket::server(request("/wamp", &[])).subprotocol(Some(uris::SUBPROTOCOL))
}

impl<H: Handler<WebSocketConnection>> MockWamp<H> {
    /// Connects, and takes the WELCOME.
    ///
    /// # Errors
    ///
    /// What the handler's `on_open` has said.
    pub async fn open(handler: H) -> Result<Self, Error> {
        Self::open_over(wire(), handler).await
    }

    /// The same with another request or extensions: begin with [`wire`].
    ///
    /// # Errors
    ///
    /// What the handler's `on_open` has said.
    pub async fn open_over(wire: WebSocket, handler: H) -> Result<Self, Error> {
        let mut peer = MockWebSocket::with(wire, |driver| driver);
        let session = peer.open(handler).await?;
        let mut mock = MockWamp { peer, session, client: ClientSession::new(), inbox: Vec::new() };
        let mut heard = mock.heard();
        mock.client.receive(&heard.remove(0)).expect("a WELCOME");
        mock.inbox = heard;
        Ok(mock)
    }

    /// The session's id, as the WELCOME has told it.
    pub fn session_id(&self) -> &str {
        self.client.session_id().expect("it was welcomed")
    }

    /// Calls a procedure, and waits for its answer. Events that come meanwhile are kept.
    ///
    /// # Errors
    ///
    /// The handler's answer, if that is an error.
    ///
    /// # Panics
    ///
    /// The arguments are no list, or the result is of another type.
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        procedure: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<T, CallError> {
        let (call, text) = self.client.call(procedure, arguments).expect("the arguments are a list");
        self.deliver(&text).await;
        loop {
            let mut answer = None;
            for text in self.take_texts() {
                match self.client.receive(&text).expect("the server keeps the protocol") {
                    Some(ClientEvent::CallResult { call: answered, result }) if answered == call => {
                        answer = Some(Ok(serde_json::from_str(result.get()).expect("a result of this type")));
                    }
                    Some(ClientEvent::CallError { call: answered, uri, description, details }) if answered == call => {
                        let error = CallError::new(uri.into_owned(), description.into_owned());
                        answer = Some(Err(details.into_iter().fold(error, |error, details| error.details(&details))));
                    }
                    _ => self.inbox.push(text),
                }
            }
            match answer {
                Some(answer) => return answer,
                None => self.wait().await,
            }
        }
    }

    /// Subscribes to a topic. Whether that was refused, the protocol does not say.
    pub async fn subscribe(&mut self, topic: &str) {
        let text = self.client.subscribe(topic);
        self.deliver(&text).await;
    }

    /// Takes that back.
    pub async fn unsubscribe(&mut self, topic: &str) {
        let text = self.client.unsubscribe(topic);
        self.deliver(&text).await;
    }

    /// Publishes an event, and leaves it to the server whether it comes back.
    ///
    /// # Panics
    ///
    /// The event cannot be written as JSON.
    pub async fn publish(&mut self, topic: &str, event: &(impl Serialize + ?Sized)) {
        let text = self.client.publish(topic, event).expect("an event that is JSON");
        self.deliver(&text).await;
    }

    /// The events of a topic that have come and were not taken yet.
    ///
    /// # Panics
    ///
    /// One of them is of another type.
    pub fn events<T: DeserializeOwned>(&mut self, topic: &str) -> Vec<T> {
        let (mut events, mut others) = (Vec::new(), Vec::new());
        for text in self.heard() {
            match ServerMessage::parse(&text, &MessageLimits::default()) {
                Ok(ServerMessage::Event { topic: of, event }) if of == topic => {
                    events.push(serde_json::from_str(event.get()).expect("an event of this type"));
                }
                _ => others.push(text),
            }
        }
        self.inbox = others;
        events
    }

    /// Waits until there are events of a topic, and takes them.
    ///
    /// # Panics
    ///
    /// One of them is of another type.
    pub async fn next_events<T: DeserializeOwned>(&mut self, topic: &str) -> Vec<T> {
        loop {
            let events = self.events(topic);
            if !events.is_empty() {
                return events;
            }
            self.wait().await;
        }
    }

    // --- as texts ---

    /// Sends a message as it is, and takes what has come by the time it was dealt with.
    pub async fn say(&mut self, text: &str) -> Vec<String> {
        self.deliver(text).await;
        self.heard()
    }

    /// Sends a message that ends the connection, and tells how.
    ///
    /// # Panics
    ///
    /// It does not end.
    pub async fn say_last(&mut self, message: impl Into<Message>) -> Closed {
        self.session.deliver(message.into()).await.expect("that closes")
    }

    /// Takes all that has come, as it was written.
    pub fn heard(&mut self) -> Vec<String> {
        let new = self.take_texts();
        let mut heard = std::mem::take(&mut self.inbox);
        heard.extend(new);
        heard
    }

    /// Waits until something has come, and takes it all.
    pub async fn hear(&mut self) -> Vec<String> {
        loop {
            let heard = self.heard();
            if !heard.is_empty() {
                return heard;
            }
            self.wait().await;
        }
    }

    fn take_texts(&mut self) -> Vec<String> {
        let messages = self.peer.take_messages().into_iter();
        messages.map(|message| message.as_text().expect("WAMP is text").to_owned()).collect()
    }

    async fn deliver(&mut self, text: &str) {
        assert_eq!(self.session.deliver(text.into()).await, None, "{text} closes");
    }

    /// Until the connection's task is woken, which it then runs.
    async fn wait(&mut self) {
        timeout(PATIENCE, self.session.woken()).await.expect("something to come");
        assert_eq!(self.session.turn().await, None, "the connection has ended");
    }
}

impl<H: Handler<WebSocketConnection>> fmt::Debug for MockWamp<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockWamp").field("client", &self.client).finish_non_exhaustive()
    }
}
