//! Stubs of the layers that do not exist yet. They only have to compile: each shape below would be a breaking change
//! if the traits did not carry it today.

use bytes::BytesMut;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wsrv_core::*;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::{Message, PreparedFrame, Text};

// --- WAMP: a layer with a connection, messages and state of its own, above WebSocket.

#[derive(Clone)]
struct WampConnection {
    websocket: WebSocketConnection,
    session: Arc<str>,
}

enum Call {
    Publish(Text),
}

struct Event {
    topic: String,
    payload: Text,
}

impl Connection for WampConnection {
    type Wire = WebSocket;
    type Incoming = Call;
    type Outgoing = Event;
    fn link(&self) -> &Link<WebSocket> {
        self.websocket.link()
    }
    fn encode(event: Event) -> PreparedFrame {
        PreparedFrame::new(format!("[8,\"{}\",{}]", event.topic, event.payload))
    }
}

struct Wamp<H>(H);

struct WampState<S> {
    conn: WampConnection,
    prefixes: HashMap<String, String>,
    inner: S,
}

impl<H: Handler<WampConnection>> Handler<WebSocketConnection> for Wamp<H> {
    type State = WampState<H::State>;
    async fn on_open(&self, websocket: &WebSocketConnection) -> Result<Self::State, Error> {
        let conn = WampConnection { websocket: websocket.clone(), session: "random".into() };
        websocket.try_send(format!("[0,\"{}\",1,\"wsrv\"]", conn.session))?;
        let inner = self.0.on_open(&conn).await?;
        Ok(WampState { conn, prefixes: HashMap::new(), inner })
    }
    async fn on_message(&self, _: &WebSocketConnection, s: &mut Self::State, m: Message) -> Result<(), Error> {
        let Message::Text(text) = m else { return Err(Error::new(Reason::BadPeer, "binary")) };
        s.prefixes.clear();
        self.0.on_message(&s.conn, &mut s.inner, Call::Publish(text)).await
    }
    async fn on_error(&self, _: &WebSocketConnection, s: &mut Self::State, error: Error) -> Verdict {
        self.0.on_error(&s.conn, &mut s.inner, error).await
    }
    async fn on_close(&self, _: &WebSocketConnection, s: Self::State, closed: Closed) {
        self.0.on_close(&s.conn, s.inner, closed).await
    }
    fn poll_background(
        &self,
        _: &WebSocketConnection,
        s: &mut Self::State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        self.0.poll_background(&s.conn, &mut s.inner, cx)
    }
}

struct Topic(Group<WampConnection>);

impl Handler<WampConnection> for Topic {
    type State = Membership<WampConnection>;
    async fn on_open(&self, conn: &WampConnection) -> Result<Self::State, Error> {
        Ok(self.0.join(conn))
    }
    async fn on_message(
        &self,
        _: &WampConnection,
        me: &mut Self::State,
        Call::Publish(text): Call,
    ) -> Result<(), Error> {
        me.send_to_others(Event { topic: "t".into(), payload: text });
        Ok(())
    }
}

// --- TLS, or an upgrade inside hyper: any stream, the same driver; plain TCP below it keeps its fast path.

#[allow(dead_code)]
fn begin<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: Result<TcpStream, S>,
    read_ahead: BytesMut,
    wire: WebSocket,
) -> impl Future<Output = Closed> + Send {
    let driver = match stream {
        Ok(tcp) => Driver::tcp(tcp, wire),
        Err(other) => Driver::io(other, wire),
    };
    driver.received(read_ahead).run(Arc::new(Wamp(Topic(Group::new()))))
}

// --- A client's end: another wire, the same handler trait.

#[derive(Clone)]
struct ClientConnection(Link<Client>);
struct Client;
struct Half;

impl Connection for ClientConnection {
    type Wire = Client;
    type Incoming = Message;
    type Outgoing = Message;
    fn link(&self) -> &Link<Client> {
        &self.0
    }
    fn encode(message: Message) -> Message {
        message
    }
}

impl Wire for Client {
    type Connection = ClientConnection;
    type Receiver = Half;
    type Sender = Half;
    type Signal = ();
    type Close = Reason;
    // A client masks each frame anew, so what is prepared for many is the message.
    type Prepared = Message;
    type Context = ();
    fn split(self) -> (Half, Half, ()) {
        (Half, Half, ())
    }
    fn connection(link: Link<Self>) -> ClientConnection {
        ClientConnection(link)
    }
    fn reason(close: &Reason) -> Reason {
        *close
    }
}

impl Receive<Client> for Half {
    type Found = usize;
    type Error = std::fmt::Error;
    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<Client, usize>, std::fmt::Error> {
        Ok(Received::Message { found: buffer.len(), size: buffer.len() })
    }
    fn take(&mut self, found: usize, buffer: &mut BytesMut) -> Message {
        buffer.split_to(found).freeze().into()
    }
    fn end_of_stream(&mut self, _: &[u8]) -> bool {
        false
    }
    fn farewell(_: &std::fmt::Error) -> Reason {
        Reason::BadPeer
    }
}

impl Transmit<Client> for Half {
    fn prepared(&mut self, message: &Message, out: &mut Out<'_>) {
        out.put_slice(message.as_bytes());
    }
    fn answer(&mut self, (): (), _: &mut Out<'_>) {}
    fn close(&mut self, _: &Reason, _: &mut Out<'_>) -> bool {
        true
    }
}

// --- What the futures must be able to do.

#[test]
fn a_layered_handler_runs_over_any_stream() {
    fn spawnable(_: impl Future<Output = Closed> + Send + 'static) {}
    let (stream, _) = tokio::io::duplex(1);
    struct Nothing;
    impl Handler<ClientConnection> for Nothing {
        type State = ();
        async fn on_open(&self, _: &ClientConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, conn: &ClientConnection, _: &mut (), message: Message) -> Result<(), Error> {
            conn.link().try_send(|_, out| {
                out.put_slice(message.as_bytes());
                Ok(())
            })?;
            Ok(())
        }
    }
    spawnable(Driver::io(stream, Client).run(Arc::new(Nothing)));
}
