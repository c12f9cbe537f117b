//! The mock WebSocket.

use bytes::Bytes;
use std::sync::Arc;
use wsrv_core::{ClosedBy, Connection, Error, Group, Handler, Limits, Membership, Reason};
use wsrv_rfc6455::connection::testing::{MockWebSocket, Sent, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::{CloseCode, CloseFrame, Message};

#[derive(Default)]
struct Room(Group<WebSocketConnection>);

impl Handler<WebSocketConnection> for Room {
    type State = Membership<WebSocketConnection>;
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        conn.send(conn.request().path()).await?;
        Ok(self.0.join(conn))
    }
    async fn on_message(&self, conn: &WebSocketConnection, me: &mut Self::State, said: Message) -> Result<(), Error> {
        if said == Message::from("bye") {
            conn.close_with(CloseCode::from(4000), "see you")?;
        }
        me.send_to_others(said);
        Ok(conn.ping(b"?")?)
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_gets_is_read_as_frames_also_from_pieces() {
    let room = Arc::new(Room::default());
    let mut ada = MockWebSocket::with(WebSocket::server(request("/ada", &[])).subprotocol(Some("chat")), |d| d);
    let mut grace = MockWebSocket::new();
    let mut of_ada = ada.open(room.clone()).await.unwrap();
    let _of_grace = grace.open(room.clone()).await.unwrap();
    assert_eq!(ada.connection().subprotocol(), Some("chat"));
    assert_eq!(ada.take_messages(), [Message::from("/ada")]);
    assert_eq!(grace.take_messages(), [Message::from("/")]);

    let large = Message::Binary(Bytes::from(vec![b'x'; 70_000]));
    grace.stall();
    of_ada.message(large.clone()).await.unwrap();
    assert_eq!(grace.take_frames(), []);
    grace.accept(5);
    assert_eq!(grace.take_frames(), []);
    grace.resume();
    assert_eq!(grace.take_messages(), [large]);

    assert!(matches!(&ada.take_frames()[..], [Sent::Ping(payload)] if **payload == *b"?"));
    let closed = of_ada.deliver("bye".into()).await.unwrap();
    assert_eq!(closed.reason, Reason::Other);
    assert_eq!(ada.close_frame(), Some(CloseFrame::new(4000, "see you")));
    assert_eq!(ada.connection().close_frame(), Some(CloseFrame::new(4000, "see you")));
    assert_eq!(grace.close_frame(), None);
    assert!(ada.is_ended() && room.0.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_sends_goes_through_the_codec() {
    let room = Arc::new(Room::default());
    let (mut ada, mut grace) = (MockWebSocket::new(), MockWebSocket::new());
    let mut of_ada = ada.open(room.clone()).await.unwrap();
    let _of_grace = grace.open(room.clone()).await.unwrap();
    ada.send("hello");
    ada.ping(b"there?");
    assert_eq!(of_ada.turn().await, None);
    assert_eq!(grace.take_messages(), ["/".into(), Message::from("hello")]);
    assert!(ada.take_frames().iter().any(|frame| matches!(frame, Sent::Pong(payload) if **payload == *b"there?")));
    ada.close(Some(&CloseCode::GOING_AWAY.into()));
    let closed = of_ada.turn().await.unwrap();
    assert_eq!((closed.by, closed.reason, closed.clean), (ClosedBy::Peer, Reason::GoingAway, true));
    assert_eq!(ada.close_frame().unwrap().code, CloseCode::GOING_AWAY);

    // What a well-behaved client does not send, it sends as bytes.
    let mut mallory = MockWebSocket::new();
    let mut session = mallory.open(room).await.unwrap();
    mallory.receive(b"\x81\x00");
    let closed = session.turn().await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Protocol, Reason::BadPeer));
    assert_eq!(mallory.close_frame().unwrap().code, CloseCode::PROTOCOL_ERROR);
}

#[tokio::test]
async fn the_connection_has_the_drivers_options() {
    let limits = Arc::new(Limits::default().with_outbox(7));
    let addr: std::net::SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
    let mut peer = MockWebSocket::with(WebSocket::server(request("/", &[])), |d| d.limits(limits).remote_addr(addr));
    assert_eq!(peer.connection().remote_addr().unwrap().to_string(), "192.0.2.1:80");
    peer.stall();
    peer.connection().try_send("seven!!").unwrap();
    assert!(peer.connection().try_send("no room").is_err());
    peer.resume();
    assert_eq!(peer.take_messages(), [Message::from("seven!!")]);
}
