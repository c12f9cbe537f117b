//! A network that fails: silence, trickles, resets and delays between real clients and a real server.

mod common;
#[path = "common/fault_proxy.rs"]
mod fault_proxy;

use common::{BINARY, CLOSE, PING, PONG, Peer, Running, TEXT, close_frame, frame, serve, soon, upgrade};
use fault_proxy::{FaultProxy, Path};
use futures_util::{SinkExt, StreamExt};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite;
use wsrv_app::prelude::*;

const MS: Duration = Duration::from_millis(1);
/// Times are kept to the second, and machines are busy.
const SLACK: Duration = Duration::from_secs(5);

/// Echoes, or sends to all who begin with `*`. Knows who has come and how they have left.
#[derive(Default)]
struct Room {
    all: Group<WebSocketConnection>,
    closed: Mutex<Vec<(ConnectionId, ClosedBy)>>,
}

impl Handler<WebSocketConnection> for Room {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.all.join(conn))
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut Self::State, m: Message) -> Result<(), Error> {
        if m.as_bytes().starts_with(b"*") {
            self.all.send(m);
            return Ok(());
        }
        Ok(conn.send(m).await?)
    }

    async fn on_close(&self, conn: &WebSocketConnection, _: Self::State, closed: Closed) {
        self.closed.lock().unwrap().push((conn.id(), closed.by));
    }
}

impl Room {
    /// How so many connections have ended, once they have, and that none ended twice.
    async fn ends(&self, count: usize) -> Vec<ClosedBy> {
        soon(async {
            while self.closed.lock().unwrap().len() < count {
                sleep(MS).await;
            }
        })
        .await;
        // A second call for the same one would not come at once.
        sleep(50 * MS).await;
        let closed = self.closed.lock().unwrap();
        let mut ids: Vec<_> = closed.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), closed.len(), "on_close runs once");
        closed.iter().map(|(_, by)| *by).collect()
    }
}

async fn server() -> (Running, Arc<Room>, FaultProxy) {
    let limits = ConnectionLimits::default()
        .with_ping_after(Some(Duration::from_secs(1)))
        .with_pong_timeout(Duration::from_secs(1))
        .with_write_timeout(Some(Duration::from_secs(2)))
        .with_close_timeout(Duration::from_secs(1));
    server_with(limits).await
}

async fn server_with(limits: ConnectionLimits) -> (Running, Arc<Room>, FaultProxy) {
    let room = Arc::new(Room::default());
    let app = App::new().route("/", Route::new(room.clone()).limits(limits)).handshake_timeout(Duration::from_secs(1));
    let server = serve(app).await;
    let proxy = FaultProxy::to(server.addr).await;
    (server, room, proxy)
}

/// Talks all the time, directly, until its task is aborted.
struct Healthy {
    round_trips: Arc<Mutex<Vec<Duration>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Healthy {
    async fn begin(server: &Running) -> Self {
        let (mut client, _) = tokio_tungstenite::connect_async(format!("ws://{}/", server.addr)).await.unwrap();
        let round_trips = Arc::new(Mutex::default());
        let told: Arc<Mutex<Vec<_>>> = round_trips.clone();
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                client.send(tungstenite::Message::text("hello")).await.unwrap();
                loop {
                    match client.next().await.unwrap().unwrap() {
                        tungstenite::Message::Text(text) if text.as_str() == "hello" => break,
                        _ => continue,
                    }
                }
                told.lock().unwrap().push(began.elapsed());
                sleep(5 * MS).await;
            }
        });
        Healthy { round_trips, task }
    }

    fn end(self) {
        assert!(!self.task.is_finished(), "it was never disturbed");
        self.task.abort();
        let round_trips = self.round_trips.lock().unwrap();
        assert!(round_trips.len() > 20, "{} round trips", round_trips.len());
        quick(&round_trips);
    }
}

/// Other tests run beside this one, so that a few may wait for a core.
fn quick(round_trips: &[Duration]) {
    let mut sorted = round_trips.to_vec();
    sorted.sort_unstable();
    let (most, slowest) = (sorted[sorted.len() * 9 / 10], sorted[sorted.len() - 1]);
    assert!(most < 500 * MS && slowest < SLACK, "{most:?}, {slowest:?}");
}

async fn hello(peer: &mut Peer) {
    peer.say("hello").await;
    loop {
        match peer.frame().await.unwrap() {
            (TEXT, text) => return assert_eq!(text, b"hello"),
            (PING, payload) => peer.send(&frame(PONG, &payload)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peer_behind_a_black_hole_is_given_up_in_time() {
    for which in ["to the server", "to the client", "both"] {
        let (server, room, proxy) = server().await;
        let healthy = Healthy::begin(&server).await;
        let mut peer = Peer::open(proxy.addr, "/").await;
        hello(&mut peer).await;
        match which {
            "to the server" => proxy.to_server(Path::BlackHole),
            "to the client" => proxy.to_client(Path::BlackHole),
            _ => proxy.both(Path::BlackHole),
        }
        let began = Instant::now();
        // It does what it can: it would answer each ping that reaches it.
        let answering = tokio::spawn(async move {
            while let Ok(first) = peer.0.read_u8().await {
                let mut payload = vec![0; usize::from(peer.0.read_u8().await.unwrap())];
                peer.0.read_exact(&mut payload).await.unwrap();
                if first == PING {
                    peer.send(&frame(PONG, &payload)).await;
                }
            }
        });
        assert_eq!(room.ends(1).await, [ClosedBy::Timeout], "{which}");
        let took = began.elapsed();
        assert!((1000 * MS..Duration::from_secs(2) + SLACK).contains(&took), "{which}: {took:?}");
        answering.abort();
        healthy.end();
    }
}

#[tokio::test]
async fn a_half_open_connection_is_given_up_although_nothing_ever_ends_it() {
    let (server, room, proxy) = server().await;
    let healthy = Healthy::begin(&server).await;
    let mut peer = Peer::open(proxy.addr, "/").await;
    hello(&mut peer).await;
    proxy.both(Path::Stalled);
    assert_eq!(room.ends(1).await, [ClosedBy::Timeout]);
    healthy.end();
    drop(peer);
}

#[tokio::test]
async fn a_trickled_handshake_ends_at_the_deadline() {
    let (server, room, proxy) = server().await;
    proxy.to_server(Path::Trickle(1, 20 * MS));
    let began = Instant::now();
    let mut peer = Peer::connect(proxy.addr).await;
    peer.send(upgrade("/", "").as_bytes()).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 408 "));
    let took = began.elapsed();
    assert!((1000 * MS..Duration::from_secs(1) + SLACK).contains(&took), "{took:?}");
    drop(peer);
    // A quicker one is in time.
    proxy.to_server(Path::Trickle(50, 20 * MS));
    let mut peer = Peer::open(proxy.addr, "/").await;
    hello(&mut peer).await;
    assert_eq!(room.ends(0).await, []);
    drop(server);
}

#[tokio::test]
async fn a_trickled_message_arrives_whole_and_its_sender_is_not_taken_for_silent() {
    let (_server, room, proxy) = server().await;
    let mut peer = Peer::open(proxy.addr, "/").await;
    proxy.to_server(Path::Trickle(7, 10 * MS));
    proxy.to_client(Path::Trickle(100, 5 * MS));
    // On its way there it takes longer than silence may.
    let text = "ä€😀x".repeat(250);
    let began = Instant::now();
    peer.send(&frame(TEXT, text.as_bytes())).await;
    assert_eq!(peer.text().await, text);
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(room.ends(0).await, []);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_message_is_a_loss_and_nobody_elses_matter() {
    // No peer is to be given up for its silence: none of them answers pings.
    let (server, room, proxy) = server_with(ConnectionLimits::default()).await;
    let healthy = Healthy::begin(&server).await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = Peer::open(proxy.addr, "/").await;
        hello(&mut peer).await;
        let message = frame(BINARY, &[0; 100_000]);
        peer.send(&message[..50_000]).await;
        peers.push(peer);
    }
    sleep(300 * MS).await;
    proxy.reset();
    assert_eq!(room.ends(20).await, [ClosedBy::Lost; 20]);
    for peer in &mut peers {
        assert_eq!(soon(peer.0.read_u8()).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(room.all.len(), 1, "memberships end with their connections");
    healthy.end();
}

#[tokio::test]
async fn latency_does_not_break_the_closing_handshake() {
    let (server, room, proxy) =
        server_with(ConnectionLimits::default().with_close_timeout(Duration::from_secs(10))).await;
    proxy.both(Path::Latency(200 * MS));
    // The peer begins.
    let (mut client, _) = tokio_tungstenite::connect_async(format!("ws://{}/", proxy.addr)).await.unwrap();
    client.send(tungstenite::Message::text("hello")).await.unwrap();
    client.close(None).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), tungstenite::Message::text("hello"), "what was sent before it");
    assert!(matches!(client.next().await, Some(Ok(tungstenite::Message::Close(_)))));
    assert!(client.next().await.is_none());
    assert_eq!(room.ends(1).await, [ClosedBy::Peer]);
    // The server begins, and its peer is still talking.
    let mut peer = Peer::open(proxy.addr, "/").await;
    for _ in 0..50 {
        peer.say("hello").await;
    }
    let stopped = tokio::spawn(server.stop());
    let code = loop {
        match peer.frame().await.unwrap() {
            (CLOSE, payload) => break payload,
            (TEXT, _) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1001u16.to_be_bytes());
    peer.send(&close_frame(1001, "")).await;
    assert_eq!(peer.frame().await, None, "an orderly end of the stream");
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
    assert_eq!(room.ends(2).await, [ClosedBy::Peer, ClosedBy::Local]);
}

#[tokio::test]
async fn the_end_of_one_direction_alone_is_a_loss() {
    let (_server, room, proxy) = server().await;
    let mut peer = Peer::open(proxy.addr, "/").await;
    hello(&mut peer).await;
    proxy.to_server(Path::Cut);
    assert_eq!(room.ends(1).await, [ClosedBy::Lost]);
    assert_eq!(peer.frame().await, None, "the other direction ends in good order");
    // The other one: the server hears its peer and only the peer does not hear the server.
    let (_server, room, proxy) = self::server().await;
    let mut peer = Peer::open(proxy.addr, "/").await;
    hello(&mut peer).await;
    proxy.to_client(Path::Cut);
    assert_eq!(peer.frame().await, None);
    peer.send(&close_frame(1000, "")).await;
    assert_eq!(room.ends(1).await, [ClosedBy::Peer]);
}

#[tokio::test]
async fn a_peer_that_is_not_reached_does_not_hold_up_a_broadcast() {
    let (server, room, proxy) = server().await;
    let mut unreached = Peer::open(proxy.addr, "/").await;
    hello(&mut unreached).await;
    proxy.to_client(Path::Stalled);
    // It goes on talking, so it is not its silence that ends it.
    let talking = tokio::spawn(async move {
        loop {
            unreached.send(&frame(PONG, b"")).await;
            sleep(50 * MS).await;
        }
    });
    let mut speaker = Peer::open(server.addr, "/").await;
    let mut listener = Peer::open(server.addr, "/").await;
    let message = [&b"*"[..], &[7; 60_000]].concat();
    let mut round_trips = Vec::new();
    let began = Instant::now();
    while room.closed.lock().unwrap().is_empty() {
        let sent = Instant::now();
        speaker.send(&frame(BINARY, &message)).await;
        for peer in [&mut speaker, &mut listener] {
            loop {
                match peer.frame().await.unwrap() {
                    (BINARY, payload) => break assert!(payload == message),
                    (PING, payload) => peer.send(&frame(PONG, &payload)).await,
                    other => panic!("{:#x}", other.0),
                }
            }
        }
        round_trips.push(sent.elapsed());
        assert!(began.elapsed() < Duration::from_secs(20), "nobody ends it");
    }
    quick(&round_trips);
    // Its outbox was full, or it had taken nothing for too long: whichever came first.
    let ends = room.ends(1).await;
    assert!(matches!(ends[..], [ClosedBy::SlowPeer | ClosedBy::Timeout]), "{ends:?}");
    talking.abort();
}
