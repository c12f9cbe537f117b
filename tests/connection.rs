//! Established connections of a whole server: messages, control frames, and every way to say goodbye.

mod common;

use common::{BINARY, CLOSE, PING, PONG, Peer, Running, TEXT, close_frame, frame, serve, soon};
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite;
use wsrv_app::prelude::*;
use wsrv_core::Limits;

/// Does what it is told.
#[derive(Default)]
struct Obedient {
    closed: Mutex<Vec<(Closed, Option<CloseFrame>)>>, // and the close frame with which the end began
    last: Mutex<Option<WebSocketConnection>>,
}

impl Handler<WebSocketConnection> for Obedient {
    type State = ();

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        *self.last.lock().unwrap() = Some(conn.clone());
        match conn.request().query() {
            Some("refuse") => Err(Error::new(Reason::Policy, "not today")),
            Some("panic") => panic!("on purpose"),
            _ => Ok(()),
        }
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or_default().to_owned();
        match text.split_once(' ').unwrap_or((&text, "")) {
            ("sleep", _) => {
                sleep(Duration::from_millis(300)).await;
                conn.try_send("slept")?;
            }
            ("fail", _) => return Err("on purpose".into()),
            ("panic", _) => panic!("on purpose"),
            ("close", "") => conn.close(Reason::Done),
            ("close", code) => conn.close_with(code.parse::<u16>()?.into(), "as you wish")?,
            ("ping", payload) => conn.ping(payload.as_bytes())?,
            // Until the socket is blocked, and not so much that the peer is not read any more.
            ("fill", _) => {
                while conn.link().queued() < 100_000 {
                    conn.try_send(vec![0; 20_000])?;
                }
            }
            _ => conn.send(message).await?,
        }
        Ok(())
    }

    async fn on_error(&self, conn: &WebSocketConnection, _: &mut (), error: Error) -> Verdict {
        if conn.request().query() == Some("hang") {
            std::future::pending::<()>().await;
        }
        Verdict::Close(error.reason())
    }

    async fn on_close(&self, conn: &WebSocketConnection, _: (), closed: Closed) {
        // What comes in meanwhile must not be taken for the answer to our close frame.
        sleep(Duration::from_millis(5)).await;
        let _ = conn.try_send("last words");
        self.closed.lock().unwrap().push((closed, conn.close_frame()));
    }
}

async fn server() -> (Running, Arc<Obedient>) {
    let handler = Arc::new(Obedient::default());
    let mut limits = Limits::default();
    limits.close_timeout = Duration::from_millis(600);
    let app = App::new().route("/", Route::new(handler.clone()).limits(limits));
    (serve(app).await, handler)
}

/// What `on_close` was told, once it has run.
async fn told(handler: &Obedient) -> (Closed, Option<CloseFrame>) {
    soon(async {
        loop {
            if let Some(told) = handler.closed.lock().unwrap().last().cloned() {
                return told;
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

#[tokio::test]
async fn text_and_binary_of_every_size_come_back_as_they_were() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    for size in [0, 1, 125, 126, 127, 4095, 4096, 65535, 65536, 300_000, 1 << 20] {
        let payload: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
        peer.send(&frame(BINARY, &payload)).await;
        assert_eq!(peer.frame().await, Some((BINARY, payload)));
        let text = "ä€😀x".chars().cycle().take(size / 4).collect::<String>();
        peer.say(&text).await;
        assert_eq!(peer.text().await, text);
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_from_its_header() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    let header = [&[BINARY, 0xff][..], &((1u64 << 20) + 1).to_be_bytes(), &[1, 2, 3, 4]].concat();
    peer.send(&header).await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.close_code().await, 1009);
    assert_eq!(peer.frame().await, None);
    let (closed, _) = told(&handler).await;
    assert_eq!((closed.by, closed.reason), (ClosedBy::Protocol, Reason::TooBig));
}

#[tokio::test]
async fn fragments_with_a_ping_between_are_one_message() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    let parts = [frame(0x01, b"one "), frame(PING, b"?"), frame(0x00, b""), frame(0x80, b"two")];
    peer.send(&parts.concat()).await;
    assert_eq!(peer.frame().await, Some((PONG, b"?".to_vec())));
    assert_eq!(peer.text().await, "one two");
}

#[tokio::test]
async fn messages_before_a_faulty_frame_are_answered_and_nothing_after_it_is() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    let reserved = frame(0xf1, b"bad");
    peer.send(&[frame(TEXT, b"one"), frame(TEXT, b"two"), reserved.clone(), frame(TEXT, b"three"), reserved].concat())
        .await;
    assert_eq!((peer.text().await, peer.text().await), ("one".into(), "two".into()));
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.close_code().await, 1002);
    assert_eq!(peer.frame().await, None);
    assert_eq!(handler.closed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn faulty_frames_are_answered_with_the_right_code() {
    let (server, _) = server().await;
    for (what, bytes, code) in [
        ("no mask", vec![TEXT, 0x01, b'x'], 1002),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("a long ping", frame(PING, &[0; 126]), 1002),
        ("a continuation of nothing", frame(0x80, b""), 1002),
        ("a message inside a message", [frame(0x01, b"a"), frame(TEXT, b"b")].concat(), 1002),
        ("a length that is not minimal", vec![BINARY, 0xfe, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 0], 1002),
        ("a length beyond all bounds", [&[BINARY, 0xff][..], &[0xff; 8], &[0; 4]].concat(), 1002),
        ("no UTF-8", frame(TEXT, b"\xff"), 1007),
        ("no UTF-8 in an unfinished frame", frame(TEXT, b"\xf4\x90-----")[..8].to_vec(), 1007),
        ("half a character at the end", frame(TEXT, "ä".as_bytes()[..1].as_ref()), 1007),
        ("half a close code", frame(CLOSE, b"\x03"), 1002),
        ("a reserved close code", close_frame(1005, ""), 1002),
        ("an unknown close code", close_frame(2999, ""), 1002),
        ("a close reason that is no UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ("too many fragments", [frame(0x01, b""), frame(0x00, b"").repeat(4096)].concat(), 1008),
    ] {
        let mut peer = Peer::open(server.addr, "/").await;
        peer.send(&bytes).await;
        assert_eq!(peer.text().await, "last words", "{what}");
        assert_eq!(peer.close_code().await, code, "{what}");
        assert_eq!(peer.frame().await, None, "{what}");
    }
}

#[tokio::test]
async fn pings_are_answered_while_the_handler_waits() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.say("sleep").await;
    peer.send(&frame(PING, b"there?")).await;
    assert_eq!(peer.frame().await, Some((PONG, b"there?".to_vec())));
    let conn = handler.last.lock().unwrap().clone().unwrap();
    conn.try_send("pushed").unwrap();
    assert_eq!(peer.text().await, "pushed");
    assert_eq!(peer.text().await, "slept");
}

#[tokio::test]
async fn while_the_socket_is_blocked_only_the_latest_ping_is_answered() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.say("fill").await;
    sleep(Duration::from_millis(100)).await;
    for n in 0..1000u32 {
        peer.send(&frame(PING, &n.to_be_bytes())).await;
    }
    sleep(Duration::from_millis(100)).await;
    let conn = handler.last.lock().unwrap().clone().unwrap();
    let held = conn.link().queued();
    assert!((1..150_000).contains(&held), "{held} bytes are held");
    let mut pongs = Vec::new();
    while pongs.last() != Some(&999) {
        match peer.frame().await.unwrap() {
            (PONG, payload) => pongs.push(u32::from_be_bytes(payload.try_into().unwrap())),
            (BINARY, _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pongs, [999]);
}

#[tokio::test]
async fn no_pong_follows_the_answer_to_the_peers_close_frame() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.say("fill").await;
    sleep(Duration::from_millis(100)).await;
    peer.send(&[frame(PING, b"there?"), close_frame(1000, "")].concat()).await;
    sleep(Duration::from_millis(100)).await;
    let mut last = Vec::new();
    while let Some((first, _)) = peer.frame().await {
        last.push(first);
    }
    assert_eq!(last[last.len() - 3..], [TEXT, PONG, CLOSE]);
}

#[tokio::test]
async fn on_error_that_hangs_after_a_protocol_error_is_dropped() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/?hang").await;
    peer.send(&frame(0xff, b"")).await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.close_code().await, 1002);
}

#[tokio::test]
async fn the_peers_close_is_answered_with_the_same_code_and_reason() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999] {
        let (server, handler) = server().await;
        let mut peer = Peer::open(server.addr, "/").await;
        peer.send(&[frame(TEXT, b"one"), close_frame(code, "bye"), frame(TEXT, b"too late")].concat()).await;
        assert_eq!(peer.text().await, "one");
        assert_eq!(peer.text().await, "last words");
        assert_eq!(peer.frame().await, Some((CLOSE, [&code.to_be_bytes()[..], b"bye"].concat())));
        assert_eq!(peer.frame().await, None, "the server ends the stream first");
        let (closed, frame) = told(&handler).await;
        assert_eq!((closed.by, closed.clean), (ClosedBy::Peer, true));
        assert_eq!(frame, Some(CloseFrame::new(CloseCode::from(code), "bye")));
    }
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_without_one() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.send(&frame(CLOSE, b"")).await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.frame().await, Some((CLOSE, vec![])));
    assert_eq!(peer.frame().await, None);
    assert_eq!(told(&handler).await.1.unwrap().code, CloseCode::NO_STATUS);
}

#[tokio::test]
async fn our_close_waits_for_the_peers_and_then_ends_the_stream_in_good_order() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    // Unread input at the server: closing the socket at once would reset it and could lose the close frame.
    peer.send(&[frame(TEXT, b"close"), frame(TEXT, &[b'x'; 100_000])].concat()).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.frame().await, Some((CLOSE, vec![0x03, 0xe8])), "1000 is the default, without words");
    let early = tokio::time::timeout(Duration::from_millis(200), peer.frame()).await;
    assert!(early.is_err(), "the server waits for the answer");
    peer.send(&close_frame(1000, "")).await;
    assert_eq!(peer.frame().await, None);
    assert_eq!(told(&handler).await.0.by, ClosedBy::Local);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_is_left_at_the_deadline() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    let began = Instant::now();
    peer.say("close 4321").await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.frame().await, Some((CLOSE, [&4321u16.to_be_bytes()[..], b"as you wish"].concat())));
    let _ = peer.frame().await;
    let waited = began.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn each_end_has_its_close_code() {
    let (server, handler) = server().await;
    for (target, message, code, by) in [
        ("/", "fail", 1011, Some(ClosedBy::Handler)),
        ("/", "panic", 1011, Some(ClosedBy::Panic)),
        ("/", "close 1012", 1012, Some(ClosedBy::Local)),
        ("/?refuse", "", 1008, None),
        ("/?panic", "", 1011, None),
    ] {
        handler.closed.lock().unwrap().clear();
        let mut peer = Peer::open(server.addr, target).await;
        if by.is_some() {
            peer.say(message).await;
            assert_eq!(peer.text().await, "last words");
        }
        assert_eq!(peer.close_code().await, code, "{target} {message}");
        peer.send(&close_frame(code, "")).await;
        assert_eq!(peer.frame().await, None);
        let told = handler.closed.lock().unwrap().first().cloned();
        assert_eq!(told.as_ref().map(|(closed, _)| closed.by), by);
        assert_eq!(told.and_then(|(_, frame)| frame).map(|frame| frame.code.as_u16()), by.map(|_| code));
    }
}

#[tokio::test]
async fn a_peer_that_goes_on_sending_after_our_end_is_not_reset_at_once() {
    let (server, _) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.send(&frame(0xff, b"")).await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.close_code().await, 1002);
    assert_eq!(peer.frame().await, None);
    // A reset could overtake the close frame on its way through a real network.
    for _ in 0..5 {
        peer.send(&[b'x'; 1000]).await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_code_that_may_not_be_sent_is_not() {
    let (server, _) = server().await;
    for code in ["0", "1005", "1006", "1015", "2000", "5000"] {
        let mut peer = Peer::open(server.addr, "/").await;
        peer.say(&format!("close {code}")).await;
        assert_eq!(peer.text().await, "last words");
        assert_eq!(peer.close_code().await, 1011, "the handler's error, not code {code}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_frame_is_lost() {
    let (server, handler) = server().await;
    let mut peer = Peer::open(server.addr, "/").await;
    peer.say("one").await;
    assert_eq!(peer.text().await, "one");
    peer.0.shutdown().await.unwrap();
    let (closed, frame) = told(&handler).await;
    assert_eq!((closed.by, closed.reason, closed.clean, frame), (ClosedBy::Lost, Reason::Other, false, None));
}

#[tokio::test]
async fn pings_of_ours_are_answered_by_a_real_client_and_a_close_is_clean() {
    let (server, handler) = server().await;
    let (mut client, response) = tokio_tungstenite::connect_async(format!("ws://{}/", server.addr)).await.unwrap();
    assert_eq!(response.status(), 101);
    client.send(tungstenite::Message::text("ping are you there")).await.unwrap();
    assert!(
        matches!(client.next().await, Some(Ok(tungstenite::Message::Ping(payload))) if &payload[..] == b"are you there")
    );
    for size in [0, 125, 126, 65535, 65536, 1 << 20] {
        let sent = tungstenite::Message::binary(vec![7; size]);
        client.send(sent.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), sent);
    }
    client.close(None).await.unwrap();
    while client.next().await.is_some_and(|message| message.is_ok()) {}
    assert!(told(&handler).await.0.clean);
}
