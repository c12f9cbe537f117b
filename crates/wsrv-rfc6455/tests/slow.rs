//! What is particular to WebSockets about peers that do not keep up: control frames, and messages in parts.

use std::sync::Arc;
use wsrv_core::{Connection, Error, Handler, Limits, SlowPeer};
use wsrv_rfc6455::Message;
use wsrv_rfc6455::connection::testing::{MockWebSocket, Sent, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};

struct Silent;

impl Handler<WebSocketConnection> for Silent {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn control_frames_pass_messages_that_wait_for_a_slow_peer() {
    let mut mock = MockWebSocket::with(WebSocket::server(request("/", &[])), |driver| {
        driver.limits(Arc::new(Limits::default().with_outbox(1000)))
    });
    let mut session = mock.open(Silent).await.unwrap();
    let conn = mock.connection().clone();
    mock.stall();
    conn.try_send("begun").unwrap();
    mock.accept(0);
    for n in 0..1000 {
        conn.try_send_with(format!("quote {n}"), SlowPeer::KeepLatest(n % 2)).unwrap();
        conn.try_send_with(vec![0; 100], SlowPeer::DropOldest).unwrap();
    }
    let kept = (0..).take_while(|_| conn.try_send_with("kept", SlowPeer::DropNewest).is_ok()).count();
    // Also where there is no room for anything else, and never at the cost of the connection.
    let pings = (0..).take_while(|_| conn.ping(b"ping").is_ok()).count();
    assert!((2000..3000).contains(&pings), "{pings}");
    mock.receive([0x89, 0x84, 0, 0, 0, 0, b'w', b'e', b'l', b'l']);
    assert_eq!(session.turn().await, None);
    assert!(conn.is_open() && conn.link().losses().closed == 0);
    mock.resume();
    let frames = mock.take_frames();
    let control = |frame: &Sent| matches!(frame, Sent::Ping(_) | Sent::Pong(_));
    assert_eq!(frames[0], Sent::Message("begun".into()));
    assert!(frames[1..=pings + 1].iter().all(control));
    assert!(matches!(&frames[pings + 1], Sent::Pong(payload) if **payload == *b"well"));
    assert!(frames[pings + 2..].iter().all(|frame| *frame == Sent::Message("kept".into())));
    assert_eq!(frames.len(), 1 + pings + 1 + kept);
}

#[tokio::test(start_paused = true)]
async fn whole_messages_and_parts_keep_their_order_while_the_peer_is_behind() {
    let mut mock = MockWebSocket::new();
    let mut session = mock.open(Silent).await.unwrap();
    let conn = mock.connection().clone();
    mock.stall();
    conn.try_send("begun").unwrap();
    mock.accept(0);
    let quote = |n: u32| conn.try_send_with(format!("quote {n}"), SlowPeer::KeepLatest(1)).unwrap();
    quote(0);
    quote(1);
    // The first part goes behind what waits, which is encoded for that; the others belong to it.
    let mut writer = conn.begin_text();
    writer.part("a").await.unwrap();
    writer.flush().await.unwrap();
    quote(2);
    writer.part("b").await.unwrap();
    writer.flush().await.unwrap();
    conn.send("whole").await.unwrap();
    quote(3);
    mock.resume();
    // All is written but for the messages that wait for the end of the one in parts.
    assert_eq!(mock.take_messages(), ["begun".into(), "quote 1".into()] as [Message; 2]);
    quote(4);
    writer.finish("c").await.unwrap();
    assert_eq!(session.turn().await, None);
    assert_eq!(mock.take_messages(), ["abc".into(), "whole".into(), "quote 4".into()] as [Message; 3]);
    assert_eq!(conn.link().queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_message_in_parts_may_be_replaced_too() {
    let mut mock = MockWebSocket::new();
    let mut session = mock.open(Silent).await.unwrap();
    let conn = mock.connection().clone();
    let mut writer = conn.begin_text();
    writer.part("a").await.unwrap();
    writer.flush().await.unwrap();
    for n in 0..100_000 {
        conn.try_send_with(format!("quote {n}"), SlowPeer::KeepLatest(1)).unwrap();
    }
    conn.send("whole").await.unwrap();
    writer.finish("b").await.unwrap();
    assert_eq!(session.turn().await, None);
    let got = mock.take_messages();
    // The first was in the sending half before it was known that it would have to wait.
    let expected = ["ab", "quote 0", "quote 99999", "whole"].map(Message::from);
    assert_eq!(got, expected);
    assert_eq!(conn.link().losses().replaced, 99_998);
}
