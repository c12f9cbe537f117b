//! A layer of one's own: JSON values over WebSocket text, and a drawing board on top that never sees any JSON.
//!
//! What one client draws at `ws://127.0.0.1:8080/board`, the others get, and who comes later gets it first:
//! `{"from":[0,0],"to":[40,30],"color":"red"}`.
//!
//! A layer has three parts: a connection that contains the lower one, a handler around the upper handler, and the state
//! that keeps both for each connection. The tests at the end show what to test of it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use wsrv_app::layer::{Link, PreparedFrame, WebSocket};
use wsrv_app::prelude::*;

// --- the connection ---------------------------------------------------------------

/// What is sent and received. All that serde can do.
trait Value: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Value for T {}

/// A connection as the handler above the layer sees it: whole values instead of messages.
///
/// It contains the lower connection and does not dereference to it, or plain text could be sent past the layer.
struct JsonConnection<T> {
    lower: WebSocketConnection,
    // `fn` because the connection holds no value: it may be shared between threads whether or not a `T` may.
    values: PhantomData<fn(T) -> T>,
}

// Derived, it would ask for `T: Clone`.
impl<T> Clone for JsonConnection<T> {
    fn clone(&self) -> Self {
        JsonConnection { lower: self.lower.clone(), values: PhantomData }
    }
}

impl<T: Value> JsonConnection<T> {
    fn new(lower: &WebSocketConnection) -> Self {
        JsonConnection { lower: lower.clone(), values: PhantomData }
    }

    /// Sends a value as soon as there is room.
    async fn send(&self, value: &T) -> Result<(), SendError> {
        let text = serde_json::to_string(value).map_err(|_| SendError::Invalid("a value that is no JSON"))?;
        self.lower.send(text).await
    }
}

/// The link gives it an id, an address, attributes, `close` and `cut`; `encode` lets it into a [`Group`].
impl<T: Value> Connection for JsonConnection<T> {
    type Wire = WebSocket;
    type Incoming = T;
    type Outgoing = T;

    fn link(&self) -> &Link<WebSocket> {
        self.lower.link()
    }

    /// A group encodes once for all its members, and has nobody to give an error to: a type of which some values are no
    /// JSON (a map with keys that are no strings) is a bug of this program, and panics.
    fn encode(value: T) -> PreparedFrame {
        let text = serde_json::to_string(&value).expect("values of this type can be JSON");
        WebSocketConnection::encode(text.into())
    }
}

// --- the handler around the handler -------------------------------------------------

/// The layer: below a handler of WebSocket messages, above it a handler of values.
struct Json<T, H> {
    inner: H,
    values: PhantomData<fn(T) -> T>,
}

impl<T: Value, H: Handler<JsonConnection<T>>> Json<T, H> {
    fn new(inner: H) -> Self {
        Json { inner, values: PhantomData }
    }
}

/// The upper connection is made once and kept beside the inner state. Both live in here and nowhere else, so they are
/// dropped with the connection on every path.
struct JsonState<T, S> {
    conn: JsonConnection<T>,
    inner: S,
}

impl<T: Value, H: Handler<JsonConnection<T>>> Handler<WebSocketConnection> for Json<T, H> {
    type State = JsonState<T, H::State>;

    async fn on_open(&self, lower: &WebSocketConnection) -> Result<Self::State, Error> {
        let conn = JsonConnection::new(lower);
        // Last: once the inner handler has opened, it is owed an `on_close`, so nothing may fail after this.
        let inner = self.inner.on_open(&conn).await?;
        Ok(JsonState { conn, inner })
    }

    async fn on_message(
        &self,
        _: &WebSocketConnection,
        state: &mut Self::State,
        message: Message,
    ) -> Result<(), Error> {
        // What a peer may get wrong is an error with its reason, never a panic. It comes back by `on_error`, where the
        // inner handler decides whether the connection goes on.
        let text = message.as_text().ok_or_else(|| Error::new(Reason::BadData, "JSON comes as text"))?;
        let value = serde_json::from_str(text).map_err(|error| Error::new(Reason::BadData, error))?;
        self.inner.on_message(&state.conn, &mut state.inner, value).await
    }

    // These have defaults, which would hide the events from the inner handler. Pass on all of them.

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

// --- an application on top --------------------------------------------------------

/// A line on the board. Of a fixed size, so that the number of lines bounds the board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stroke {
    from: [i16; 2],
    to: [i16; 2],
    color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Color {
    Black,
    Red,
    Blue,
}

/// How many strokes the board remembers; the oldest fade.
const STROKES: usize = 1000;

#[derive(Default)]
struct Board {
    painters: Group<JsonConnection<Stroke>>,
    strokes: Mutex<VecDeque<Stroke>>,
}

impl Handler<JsonConnection<Stroke>> for Board {
    type State = Membership<JsonConnection<Stroke>>;

    async fn on_open(&self, conn: &JsonConnection<Stroke>) -> Result<Self::State, Error> {
        // Under one lock, so that a stroke is either among these or will be sent.
        let (me, strokes) = {
            let strokes = self.strokes.lock().unwrap_or_else(PoisonError::into_inner);
            (self.painters.join(conn), strokes.clone())
        };
        for stroke in &strokes {
            conn.send(stroke).await?;
        }
        Ok(me)
    }

    async fn on_message(&self, _: &JsonConnection<Stroke>, me: &mut Self::State, stroke: Stroke) -> Result<(), Error> {
        let mut strokes = self.strokes.lock().unwrap_or_else(PoisonError::into_inner);
        if strokes.len() == STROKES {
            strokes.pop_front();
        }
        strokes.push_back(stroke);
        // Sending to a group never waits, so it may be done under a lock; all see the strokes in the same order.
        me.send_to_others(stroke);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let server = App::new().route("/board", Json::new(Board::default())).bind(addr).await?;
    println!("ws://{}/board", server.local_addr()?);
    server.serve().await;
    Ok(())
}

// --- what to test of a layer --------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use wsrv_app::wsrv_core::testing::{Probe, check_layer};
    use wsrv_app::wsrv_rfc6455::connection::testing::{MockWebSocket, request};

    fn stroke(length: i16) -> Stroke {
        Stroke { from: [0, 0], to: [length, 0], color: Color::Red }
    }

    fn json(length: i16) -> Message {
        Message::from(format!(r#"{{"from":[0,0],"to":[{length},0],"color":"red"}}"#))
    }

    #[tokio::test(start_paused = true)]
    async fn it_passes_everything_on() {
        check_layer(
            || WebSocket::server(request("/", &[])),
            |probe: Probe<JsonConnection<Stroke>>| Json::new(probe),
            |n| (json(n as i16), stroke(n as i16)),
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn values_go_out_as_json_one_by_one_and_to_groups() {
        let board = Arc::new(Json::new(Board::default()));
        let (mut ada, mut grace) = (MockWebSocket::new(), MockWebSocket::new());
        let mut painter = ada.open(board.clone()).await.unwrap();
        painter.message(json(1)).await.unwrap();
        let _watcher = grace.open(board.clone()).await.unwrap();
        assert_eq!(grace.take_messages(), [json(1)], "sent when she came");
        painter.message(json(2)).await.unwrap();
        assert_eq!(grace.take_messages(), [json(2)], "sent to the group");
        assert_eq!(ada.take_messages(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_value_is_an_error_with_a_reason() {
        for bad in
            ["", "{", r#"{"from":[0,0]}"#, r#"{"from":[0,0],"to":[99999,0],"color":"red"}"#, &"[".repeat(100_000)]
        {
            let mut peer = MockWebSocket::new();
            let mut session = peer.open(Json::new(Board::default())).await.unwrap();
            assert_eq!(session.message(bad.into()).await.unwrap_err().reason(), Reason::BadData, "{bad:.40}");
            let closed = session.deliver(Message::Binary("{}".into())).await.expect("the default verdict");
            assert_eq!((closed.by, closed.reason), (ClosedBy::Handler, Reason::BadData));
            assert_eq!(peer.close_frame().unwrap().code, CloseCode::INVALID_PAYLOAD);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_strokes_fade() {
        let board = Arc::new(Json::new(Board::default()));
        let mut painter = MockWebSocket::new().open(board.clone()).await.unwrap();
        for n in 0..STROKES as i16 + 5 {
            painter.message(json(n)).await.unwrap();
        }
        let mut late = MockWebSocket::new();
        let _session = late.open(board).await.unwrap();
        let strokes = late.take_messages();
        assert_eq!((strokes.len(), &strokes[0]), (STROKES, &json(5)));
    }
}
