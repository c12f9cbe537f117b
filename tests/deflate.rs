//! Compression in whole servers: each host agrees on it, and each route may have its own way.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use bytes::BytesMut;
use common::{CLOSE, Peer, TEXT, echo, frame, soon, upgrade};
use hosts::ALL;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_rfc6455::deflate::{Agreement, DeflateStats};
use wsrv_app::wsrv_rfc6455::handshake::{HeadLimits, HeadReader};
use wsrv_app::{Explanation, Outcome};
use wsrv_rfc6455::{Limits, Received, Receiver, Sender};

/// The first byte of a compressed text.
const COMPRESSED: u8 = TEXT | 0x40;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// The same offer, in the codec's words, with all that it lets us do.
const TAKEOVER: &str = "permessage-deflate";
const NO_TAKEOVER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn line(n: usize) -> String {
    format!("message {n}, which is as long as it has to be to be compressed. ").repeat(10)
}

async fn answered(peer: &mut Peer, target: &str, offer: &str) -> Option<String> {
    peer.send(upgrade(target, offer).as_bytes()).await;
    let head = peer.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: ")).map(str::to_owned)
}

fn app(compression: &Compression) -> App {
    App::new()
        .deflate(compression.clone())
        .route("/", from_fn(echo))
        .route("/rooms/{room}", Route::new(from_fn(echo)).deflate(Deflate::default().with_takeover(true, true)))
        .route("/chat", Route::new(from_fn(echo)).without_deflate())
}

#[tokio::test]
async fn every_host_compresses_for_those_who_offer_it() {
    for kind in ALL {
        let compression = Compression::new(Deflate::default());
        let host = kind.serve(app(&compression)).await;
        let mut peer = host.connect().await;
        assert_eq!(answered(&mut peer, "/", OFFER).await.as_deref(), Some(NO_TAKEOVER), "{kind:?}");
        // "Hello" as RFC 7692 has it; the answer is too short to be compressed.
        peer.send(&frame(COMPRESSED, b"\xf2\x48\xcd\xc9\xc9\x07\x00")).await;
        assert_eq!(peer.text().await, "Hello", "{kind:?}");
        peer.say(&line(1)).await;
        let (first, payload) = peer.frame().await.unwrap();
        assert_eq!((first, payload.len() < 150), (COMPRESSED, true), "{kind:?}");
        // And back again.
        peer.send(&frame(COMPRESSED, &payload)).await;
        assert_eq!(peer.frame().await, Some((COMPRESSED, payload)), "{kind:?}");
        let DeflateStats { connections, with_takeover, alone, inflated, .. } = compression.stats();
        assert_eq!((connections, with_takeover, alone, inflated), (1, 0, 2, 2), "{kind:?}");
        peer.send(&frame(COMPRESSED, b"\xf2\x00\x11\x00\x00")).await;
        assert_eq!(peer.close_code().await, 1007, "{kind:?}");
        assert_eq!(peer.frame().await, None);
        drop(peer);
        soon(host.connections().empty()).await;

        // Who offers nothing, or nothing that can be met, is served as ever.
        for offer in ["", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8, foo\r\n"] {
            let mut peer = host.connect().await;
            assert_eq!(answered(&mut peer, "/", offer).await, None, "{kind:?}");
            peer.say(&line(1)).await;
            assert_eq!(peer.text().await, line(1), "{kind:?}");
            peer.send(&frame(COMPRESSED, b"\0")).await;
            assert_eq!(peer.close_code().await, 1002, "{kind:?}");
        }

        // Routes with a way of their own.
        let mut peer = host.connect().await;
        assert_eq!(answered(&mut peer, "/rooms/1", OFFER).await.as_deref(), Some(TAKEOVER), "{kind:?}");
        peer.say(&line(1)).await;
        let (_, first) = peer.frame().await.unwrap();
        peer.say(&line(1)).await;
        let (_, second) = peer.frame().await.unwrap();
        assert!(second.len() < first.len() / 2, "{kind:?}");
        let mut peer = host.connect().await;
        assert_eq!(answered(&mut peer, "/chat", OFFER).await, None, "{kind:?}");
        assert_eq!(compression.stats().memory, 0, "{kind:?}: it is the other route's");
    }
}

#[tokio::test]
async fn what_ends_gives_its_memory_back_and_who_comes_without_any_left_gets_less() {
    // For one with takeover, and for some without.
    let settings = Deflate::default().with_takeover(true, true).with_memory(40_000);
    let compression = Compression::new(settings);
    let host = hosts::Kind::Ours.serve(App::new().deflate(compression.clone()).route("/", from_fn(echo))).await;
    let mut peers = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..25 {
        let mut peer = host.connect().await;
        answers.push(answered(&mut peer, "/", OFFER).await);
        // Each talks, whatever it got.
        peer.say("hi").await;
        assert_eq!(peer.frame().await.unwrap().0 & !0x40, TEXT);
        peers.push(peer);
    }
    assert_eq!(answers[0].as_deref(), Some(TAKEOVER));
    let less = answers.iter().filter(|answer| answer.as_deref() == Some(NO_TAKEOVER)).count();
    let none = answers.iter().filter(|answer| answer.is_none()).count();
    assert!(less > 5 && none > 5 && less + none == 24, "{answers:?}");
    assert!(compression.stats().memory <= 40_000);
    // A refused request takes none of it either.
    drop(peers);
    soon(host.connections().empty()).await;
    assert_eq!((compression.stats().memory, compression.stats().connections), (0, 0));
}

#[tokio::test]
async fn a_room_gets_its_messages_compressed_once() {
    let compression = Compression::new(Deflate::default());
    let room = Group::new();
    let members = room.clone();
    let talk = from_fn(move |mut socket: Socket<WebSocketConnection>| {
        let room = members.clone();
        async move {
            let _membership = room.join(socket.connection());
            while let Some(message) = socket.recv().await {
                room.send(message);
            }
            Ok(())
        }
    });
    let host = hosts::Kind::Ours.serve(App::new().deflate(compression.clone()).route("/", talk)).await;
    let mut peers = Vec::new();
    for _ in 0..10 {
        let mut peer = host.connect().await;
        answered(&mut peer, "/", OFFER).await.unwrap();
        peers.push(peer);
    }
    let mut plain = host.open("/").await;
    while room.len() < 11 {
        tokio::task::yield_now().await;
    }
    peers[0].say(&line(1)).await;
    let agreement = Agreement::client(&compression, DeflateParams::default().with_takeover(false, false));
    for peer in &mut peers {
        let (first, payload) = peer.frame().await.unwrap();
        assert_eq!(first, COMPRESSED);
        // As the codec's other end reads it.
        let mut receiver = Receiver::client(Limits::default()).with_deflate(&agreement);
        let mut buffer = BytesMut::from(&[&[first, 126, 0, payload.len() as u8][..], &payload].concat()[..]);
        if payload.len() < 126 {
            buffer = BytesMut::from(&[&[first, payload.len() as u8][..], &payload].concat()[..]);
        }
        let Ok(Received::Message(found)) = receiver.receive(&mut buffer) else { panic!("a message") };
        assert_eq!(receiver.take(found, &mut buffer), Message::from(line(1)));
    }
    assert_eq!(plain.text().await, line(1));
    assert_eq!((compression.stats().for_all, compression.stats().reused), (1, 9));
}

#[tokio::test]
async fn a_bomb_ends_with_1009_and_the_server_goes_on() {
    let host = hosts::Kind::Ours.serve(App::new().deflate(Deflate::default()).route("/", from_fn(echo))).await;
    let mut peer = host.connect().await;
    answered(&mut peer, "/", OFFER).await.unwrap();
    let agreement =
        Agreement::client(&Compression::new(Deflate::default().with_binary(true)), DeflateParams::default());
    let mut bomb = Vec::new();
    Sender::client().with_deflate(&agreement).message(vec![0; 100 << 20].into(), &mut bomb).unwrap();
    assert!(bomb.len() < 1 << 20);
    peer.send(&bomb).await;
    let (first, payload) = peer.frame().await.unwrap();
    assert_eq!((first, &payload[..2]), (CLOSE, &1009_u16.to_be_bytes()[..]));
    let mut peer = host.open("/").await;
    peer.say("still there").await;
    assert_eq!(peer.text().await, "still there");
}

#[tokio::test]
async fn it_is_told_beforehand_what_would_be_agreed_on() {
    let request = |offer: &str| {
        let text = upgrade("/", offer);
        HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(text.as_str())).unwrap().unwrap()
    };
    let compression = Compression::new(Deflate::default());
    for (offer, expected) in [("", None), (OFFER, Some(NO_TAKEOVER))] {
        let Explanation { outcome, .. } = app(&compression).explain(request(offer), None).await.unwrap();
        let Outcome::WebSocket { extensions, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(extensions.as_deref(), expected);
    }
    assert_eq!(compression.stats().memory, 0, "nothing was promised");
}
