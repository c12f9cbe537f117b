//! A WAMP client of a handler that speaks JSON values.

#![allow(dead_code, reason = "each test program uses its part of this")]

use serde_json::{Value, json};
use std::ops::{Deref, DerefMut};
use wsrv_core::{Closed, Handler};
use wsrv_rfc6455::connection::testing::MockWebSocket;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_wamp::testing::MockWamp;

pub(crate) struct Client<H: Handler<WebSocketConnection>> {
    pub(crate) mock: MockWamp<H>,
    pub(crate) id: String,
}

/// All that has come since, as it was written.
pub(crate) fn texts(peer: &mut MockWebSocket) -> Vec<String> {
    peer.take_messages().into_iter().map(|message| message.as_text().unwrap().to_owned()).collect()
}

impl<H: Handler<WebSocketConnection>> Client<H> {
    pub(crate) async fn connect(handler: H) -> Self {
        Self::connect_over(wsrv_wamp::testing::wire(), handler).await
    }

    pub(crate) async fn connect_over(wire: WebSocket, handler: H) -> Self {
        let mock = MockWamp::open_over(wire, handler).await.unwrap();
        let id = mock.session_id().to_owned();
        Client { mock, id }
    }

    /// All that has come since.
    pub(crate) fn received(&mut self) -> Vec<Value> {
        self.heard().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// Sends a message, and waits until it is dealt with.
    pub(crate) async fn send(&mut self, message: Value) -> Option<Closed> {
        self.session.deliver(message.to_string().into()).await
    }

    /// The result of a call that is answered at once, or the URI of its error. Nothing else comes.
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

impl<H: Handler<WebSocketConnection>> Deref for Client<H> {
    type Target = MockWamp<H>;

    fn deref(&self) -> &MockWamp<H> {
        &self.mock
    }
}

impl<H: Handler<WebSocketConnection>> DerefMut for Client<H> {
    fn deref_mut(&mut self) -> &mut MockWamp<H> {
        &mut self.mock
    }
}
