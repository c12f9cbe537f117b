//! What is particular to WebSockets about peers that do not keep up: control frames, and messages in parts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use wsrv_core::{Connection, Driver, Error, Handler, Limits, Reason, SlowPeer};
use wsrv_rfc6455::connection::testing::{MockWebSocket, Sent, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::{CloseCode, Message};

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

#[tokio::test(start_paused = true)]
async fn the_close_frame_goes_behind_what_waits_for_a_slow_peer() {
    for half in [true, false] {
        let mut mock = MockWebSocket::new();
        let mut session = mock.open(Silent).await.unwrap();
        let conn = mock.connection().clone();
        mock.stall();
        conn.try_send("begun").unwrap();
        mock.accept(0);
        conn.try_send_with("quote", SlowPeer::KeepLatest(1)).unwrap();
        if half {
            conn.close_write(Reason::Done)
        } else {
            conn.close(Reason::Done)
        }
        mock.resume();
        let _ = session.turn().await;
        let frames = mock.take_frames();
        assert_eq!(frames[..2], ["begun", "quote"].map(|text| Sent::Message(text.into())));
        assert!(matches!(&frames[2..], [Sent::Close(close)] if close.code == CloseCode::NORMAL), "{frames:?}");
    }
}

#[derive(Default)]
struct Kept(OnceLock<WebSocketConnection>);

impl Handler<WebSocketConnection> for Kept {
    type State = ();
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        let _ = self.0.set(conn.clone());
        Ok(())
    }
    async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn what_waits_for_a_message_in_parts_follows_it_over_tcp_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let handler = Arc::new(Kept::default());
    let driver = Driver::tcp(listener.accept().await.unwrap().0, WebSocket::server(request("/", &[])));
    tokio::spawn(driver.run(handler.clone()));
    while handler.0.get().is_none() {
        tokio::task::yield_now().await;
    }
    let conn = handler.0.get().unwrap();
    let mut writer = conn.begin_text();
    writer.part("a").await.unwrap();
    writer.flush().await.unwrap();
    for n in 0..3 {
        conn.try_send_with(format!("{n}"), SlowPeer::KeepLatest(1)).unwrap();
    }
    writer.finish("b").await.unwrap();
    let mut got = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(10), peer.read_exact(&mut got)).await;
    read.expect("nobody has to help").unwrap();
    assert_eq!(got, *b"\x01\x01a\x80\x01b\x81\x010\x81\x012");
}
