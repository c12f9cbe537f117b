//! Compression on the driver: what goes to many, what waits, what was agreed on, and hostile peers.

use bytes::BytesMut;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::io::AsyncWriteExt;
use wsrv_core::testing::Mock;
use wsrv_core::{ClosedBy, Connection, Driver, Error, Group, Handler, Limits, Reason, SlowPeer};
use wsrv_rfc6455::connection::testing::{MockWebSocket, request};
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
use wsrv_rfc6455::deflate::{Agreement, Compression, Deflate, DeflateParams};
use wsrv_rfc6455::{CloseCode, Message, Sender};

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();
    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

/// With context takeover, so that each connection's messages are compressed alone.
fn alone() -> DeflateParams {
    DeflateParams::default()
}

fn shared() -> DeflateParams {
    DeflateParams::default().with_takeover(false, false)
}

fn wire(compression: &Compression, params: DeflateParams) -> WebSocket {
    WebSocket::server(request("/", &[])).deflate(Some(Agreement::server(compression, params)))
}

fn mock(compression: &Compression, params: DeflateParams) -> MockWebSocket {
    MockWebSocket::with(wire(compression, params), |driver| driver)
}

fn line(n: usize) -> String {
    format!("message {n}, which is as long as it has to be to be compressed. ").repeat(10)
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_compressed() {
    for params in [alone(), shared()] {
        let compression = Compression::new(Deflate::default());
        let mut peer = mock(&compression, params);
        let mut session = peer.open(Echo).await.unwrap();
        for n in 0..20 {
            peer.send(line(n));
            assert_eq!(session.turn().await, None);
            assert!(peer.sent().len() < 200, "{}", peer.sent().len());
            assert_eq!(peer.take_messages(), [Message::from(line(n))]);
        }
        assert_eq!((compression.stats().inflated, compression.stats().alone), (40, 40), "20 each way, and the mock's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_gets_a_message_compressed_once_for_those_who_can_share_it() {
    let compression = Compression::new(Deflate::default());
    let mut peers: Vec<_> = [shared(), shared(), shared(), shared().with_window_bits(10, 15), alone(), alone()]
        .map(|params| mock(&compression, params))
        .into();
    peers.push(MockWebSocket::new());
    let group = Group::new();
    let mut members = Vec::new();
    let mut sessions = Vec::new();
    for peer in &mut peers {
        sessions.push(peer.open(Echo).await.unwrap());
        members.push(group.join(peer.connection()));
    }
    for n in 0..3 {
        assert_eq!(group.send(line(n)).sent, 7);
    }
    let stats = compression.stats();
    assert_eq!((stats.for_all, stats.reused, stats.alone), (3 * 2, 3 * 2, 3 * 2));
    // The mocks' ends are counted, too.
    assert_eq!((stats.connections, stats.with_takeover), (2 * 6, 2 * 2));
    for peer in &mut peers {
        assert_eq!(peer.take_messages(), [0, 1, 2].map(|n| Message::from(line(n))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_slow_peers_is_compressed_once_too_and_what_is_dropped_is_never_missed() {
    let compression = Compression::new(Deflate::default());
    let mut peers: Vec<_> = [shared(), shared(), alone()].map(|params| mock(&compression, params)).into();
    let group = Group::new();
    let (mut members, mut sessions) = (Vec::new(), Vec::new());
    for peer in &mut peers {
        sessions.push(peer.open(Echo).await.unwrap());
        members.push(group.join(peer.connection()));
        peer.stall();
        peer.connection().try_send("begun").unwrap();
        peer.accept(0);
    }
    for n in 0..10 {
        group.send_with(line(n), SlowPeer::KeepLatest(n as u64 % 2));
    }
    assert_eq!(compression.stats().for_all, 0, "nobody has needed it");
    for (peer, session) in peers.iter_mut().zip(&mut sessions) {
        peer.resume();
        assert_eq!(session.turn().await, None);
        assert_eq!(peer.take_messages(), [Message::from("begun"), line(8).into(), line(9).into()]);
    }
    let stats = compression.stats();
    assert_eq!((stats.for_all, stats.reused, stats.alone), (2, 2, 2));
    // The next refers to what the peer has seen.
    group.send(line(8));
    for peer in &mut peers {
        assert_eq!(peer.take_messages(), [Message::from(line(8))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_tells_what_was_agreed_on() {
    let head = request("/", &[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]);
    let compression = Compression::new(Deflate::default().with_takeover(true, true).with_window_bits(12, 11));
    let agreement = compression.negotiate(&head);
    let peer = MockWebSocket::with(WebSocket::server(head).deflate(agreement), |driver| driver);
    let conn = peer.connection();
    assert_eq!(conn.compression(), Some(alone().with_window_bits(12, 11)));
    let response = conn.response().unwrap();
    let extensions = response.headers().get("sec-websocket-extensions").unwrap();
    assert_eq!(extensions, "permessage-deflate; client_max_window_bits=11");
    let plain = MockWebSocket::new();
    assert_eq!(plain.connection().compression(), None);
    assert_eq!(plain.connection().response().unwrap().headers().get("sec-websocket-extensions"), None);
}

#[tokio::test(start_paused = true)]
async fn some_messages_stay_as_they_are() {
    let compression = Compression::new(Deflate::default());
    let mut peer = mock(&compression, shared());
    let _session = peer.open(Echo).await.unwrap();
    let conn = peer.connection().clone();
    conn.send_uncompressed(line(1)).await.unwrap();
    let mut writer = conn.begin_text();
    writer.part(line(2)).await.unwrap();
    writer.flush().await.unwrap();
    conn.try_send(line(3)).unwrap();
    assert_eq!(compression.stats().alone, 0);
    writer.finish("").await.unwrap();
    assert_eq!(compression.stats().alone, 1, "the one that has waited");
    assert!(peer.sent().len() > 2 * line(1).len());
    assert_eq!(peer.take_messages(), [1, 2, 3].map(|n| Message::from(line(n))));
}

#[tokio::test(start_paused = true)]
async fn faults_are_told_with_their_codes_and_nothing_is_kept() {
    // "Hello" in the way of RFC 7692, then what is wrong; all masked with zeros.
    for (frame, code) in [
        (&b"\xc1\x81\0\0\0\0\x07"[..], CloseCode::INVALID_PAYLOAD),
        (b"\xc1\x86\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07", CloseCode::INVALID_PAYLOAD),
        (b"\xc1\x88\0\0\0\0\x00\x02\x00\xfd\xff\xff\xff\x00", CloseCode::INVALID_PAYLOAD),
        (b"\xc9\x80\0\0\0\0", CloseCode::PROTOCOL_ERROR),
        (b"\xc0\x80\0\0\0\0", CloseCode::PROTOCOL_ERROR),
        (b"\xa1\x80\0\0\0\0", CloseCode::PROTOCOL_ERROR),
        // A thousand bytes, in eleven.
        (b"\xc2\x8b\0\0\0\0\x63\x60\x18\x05\xa3\x60\x14\x0c\x25\x00\x00", CloseCode::TOO_BIG),
    ] {
        let compression = Compression::new(Deflate::default());
        let wire = wire(&compression, alone()).limits(wsrv_rfc6455::Limits::default().with_max_message(100));
        let mut peer = MockWebSocket::with(wire, |driver| driver);
        let mut session = peer.open(Echo).await.unwrap();
        peer.receive(b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00");
        assert_eq!(session.turn().await, None);
        assert_eq!(peer.take_messages(), [Message::from("Hello")]);
        peer.receive(frame);
        let closed = session.turn().await.expect("an end");
        assert_eq!((closed.by, peer.close_frame().unwrap().code), (ClosedBy::Protocol, code), "{frame:x?}");
        drop((session, peer));
        assert_eq!((compression.stats().memory, compression.stats().connections), (0, 0));
    }
}

/// 1 MiB of zeros, so many times, each in some 1 KiB.
fn bombs(count: usize) -> Vec<u8> {
    let agreement = Agreement::client(&Compression::new(Deflate::default().with_binary(true).with_level(9)), shared());
    let mut sender = Sender::client().with_deflate(&agreement);
    let mut bytes = BytesMut::new();
    sender.message(vec![0; 1 << 20].into(), &mut bytes).unwrap();
    assert!(bytes.len() < 2 * 1024, "{}", bytes.len());
    bytes.repeat(count)
}

#[tokio::test]
async fn what_comes_out_of_a_message_is_charged_to_the_turn() {
    struct Slow(bool);
    impl Handler<WebSocketConnection> for Slow {
        type State = ();
        async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
            if self.0 {
                conn.closed().await;
            }
            Ok(())
        }
    }
    // Taken as they come, or received ahead.
    for (waits, at_most) in [(false, 5), (true, 2)] {
        let compression = Compression::new(Deflate::default());
        let (mut peer, stream) = tokio::io::duplex(1 << 20);
        peer.write_all(&bombs(60)).await.unwrap();
        let driver = Driver::io(stream, wire(&compression, shared())).run(Arc::new(Slow(waits)));
        let mut driver = std::pin::pin!(driver);
        let mut before = 0;
        for _ in 0..3 {
            assert!(driver.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let inflated = compression.stats().inflated - std::mem::replace(&mut before, compression.stats().inflated);
            assert!(inflated <= at_most, "{inflated}");
        }
        assert!(before > 0);
    }
}

#[tokio::test]
async fn nothing_that_is_dropped_is_inflated() {
    /// Says goodbye, or only stops listening.
    struct Deaf {
        says_goodbye: bool,
    }
    impl Handler<WebSocketConnection> for Deaf {
        type State = ();
        async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
            match self.says_goodbye {
                true => conn.close(Reason::Done),
                false => conn.close_read(),
            }
            Ok(())
        }
        async fn on_message(&self, _: &WebSocketConnection, _: &mut (), _: Message) -> Result<(), Error> {
            panic!("nothing is heard")
        }
    }
    for (says_goodbye, by) in [(false, ClosedBy::Peer), (true, ClosedBy::Local)] {
        let compression = Compression::new(Deflate::default());
        let (mut peer, stream) = tokio::io::duplex(1 << 20);
        // With context takeover it is the same.
        let driver = tokio::spawn(Driver::io(stream, wire(&compression, alone())).run(Arc::new(Deaf { says_goodbye })));
        tokio::task::yield_now().await;
        peer.write_all(&bombs(60)).await.unwrap();
        peer.write_all(b"\x88\x80\0\0\0\0").await.unwrap();
        let closed = driver.await.unwrap();
        assert_eq!((closed.by, closed.clean), (by, true));
        assert_eq!(compression.stats().inflated, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_as_it_will_be_sent() {
    let compression = Compression::new(Deflate::default());
    let mock: Mock<WebSocket> = Mock::with(wire(&compression, shared()), |driver: Driver<WebSocket>| {
        driver.limits(Arc::new(Limits::default().with_outbox(1000)))
    });
    mock.stall();
    let sent = (0..).take_while(|&n| mock.connection().try_send(line(n)).is_ok()).count();
    // Uncompressed, two are more than there is room for.
    assert!(sent > 5, "{sent}");
    assert!(mock.connection().link().queued() < 1200);
}
