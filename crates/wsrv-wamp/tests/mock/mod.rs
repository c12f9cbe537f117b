//! A WAMP client of a handler, without a socket.

use serde_json::{Value, json};
use wsrv_core::testing::Session;
use wsrv_core::{Closed, Handler};
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

pub(crate) struct Client<H: Handler<WebSocketConnection>> {
    pub(crate) peer: MockWebSocket,
    pub(crate) session: Session<WebSocket, H>,
    pub(crate) id: String,
}

impl<H: Handler<WebSocketConnection>> Client<H> {
    pub(crate) async fn connect(handler: H) -> Self {
        let wire = WebSocket::server(request("/", &[])).subprotocol(Some("wamp"));
        let mut peer = MockWebSocket::with(wire, |driver| driver);
        let session = peer.open(handler).await.unwrap();
        let mut client = Client { peer, session, id: String::new() };
        let welcome = client.received();
        client.id = welcome[0][1].as_str().unwrap().to_owned();
        client
    }

    /// All that has come since.
    pub(crate) fn received(&mut self) -> Vec<Value> {
        let messages = self.peer.take_messages();
        messages.iter().map(|message| serde_json::from_str(message.as_text().unwrap()).unwrap()).collect()
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
