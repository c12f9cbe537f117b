//! A WAMP client of a handler, without a socket.

#![allow(dead_code, reason = "each test program uses its part of this")]

use serde_json::{Value, json};
use wsrv_core::testing::Session;
use wsrv_core::{Closed, Handler};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

/// A client, seen from its end of the wire.
pub(crate) struct Client<H: Handler<WebSocketConnection>> {
    pub(crate) peer: MockWebSocket,
    pub(crate) session: Session<WebSocket, H>,
    pub(crate) id: String,
}

/// A WebSocket on which WAMP was agreed on.
pub(crate) fn wire() -> WebSocket {
    WebSocket::server(request("/wamp", &[])).subprotocol(Some("wamp"))
}

/// All that has come since, as it was written.
pub(crate) fn texts(peer: &mut MockWebSocket) -> Vec<String> {
    peer.take_messages().into_iter().map(|message| message.as_text().unwrap().to_owned()).collect()
}

impl<H: Handler<WebSocketConnection>> Client<H> {
    pub(crate) async fn connect(handler: H) -> Self {
        Self::connect_over(wire(), handler).await
    }

    pub(crate) async fn connect_over(wire: WebSocket, handler: H) -> Self {
        let mut peer = MockWebSocket::with(wire, |driver| driver);
        let session = peer.open(handler).await.unwrap();
        let welcome: Value = serde_json::from_str(&texts(&mut peer).remove(0)).unwrap();
        let id = welcome[1].as_str().unwrap().to_owned();
        Client { peer, session, id }
    }

    // --- as texts ---

    /// All that has come since, as it was written.
    pub(crate) fn heard(&mut self) -> Vec<String> {
        texts(&mut self.peer)
    }

    /// Lets the connection's task run whenever it is woken, until something comes.
    pub(crate) async fn hear(&mut self) -> Vec<String> {
        loop {
            self.session.woken().await;
            assert_eq!(self.session.turn().await, None);
            let heard = self.heard();
            if !heard.is_empty() {
                return heard;
            }
        }
    }

    /// Sends something, and hears what comes back at once.
    pub(crate) async fn say(&mut self, text: &str) -> Vec<String> {
        assert_eq!(self.session.deliver(text.into()).await, None, "{text} closes");
        self.heard()
    }

    /// Sends something that ends the connection.
    pub(crate) async fn say_last(&mut self, text: impl Into<Message>) -> Closed {
        self.session.deliver(text.into()).await.expect("that closes")
    }

    // --- as JSON ---

    /// All that has come since.
    pub(crate) fn received(&mut self) -> Vec<Value> {
        self.heard().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// Sends a message, and waits until it is dealt with.
    pub(crate) async fn send(&mut self, message: Value) -> Option<Closed> {
        self.session.deliver(message.to_string().into()).await
    }

    /// The result of a call, or the URI of its error.
    pub(crate) async fn call<const N: usize>(
        &mut self,
        procedure: &str,
        arguments: [Value; N],
    ) -> Result<Value, String> {
        let mut call = vec![json!(2), json!("id"), json!(procedure)];
        call.extend(arguments);
        assert_eq!(self.send(Value::Array(call)).await, None, "{procedure}");
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{procedure}: {received:?}");
        let mut answer = received.remove(0);
        assert_eq!(answer[1], "id");
        match answer[0].as_u64() {
            Some(3) => Ok(answer[2].take()),
            Some(4) => Err(answer[2].as_str().unwrap().to_owned()),
            _ => panic!("{answer}"),
        }
    }
}
