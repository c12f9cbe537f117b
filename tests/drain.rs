//! The orderly end, step by step, in every host.

mod common;
#[path = "common/hosts.rs"]
mod hosts;

use common::{CLOSE, Peer, TEXT, close_frame, soon, upgrade};
use hosts::{ALL, Kind};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::sleep;
use wsrv_app::prelude::*;

const LATE: Duration = Duration::from_secs(60);

/// Sends to all who are here, and then tells the sender that it has; or waits for ever.
#[derive(Default)]
struct Room(Group<WebSocketConnection>);

impl Handler<WebSocketConnection> for Room {
    type State = Membership<WebSocketConnection>;
    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.0.join(conn))
    }
    async fn on_message(&self, _: &WebSocketConnection, me: &mut Self::State, message: Message) -> Result<(), Error> {
        if message.as_text() == Some("hang") {
            pending::<()>().await;
        }
        me.group().send(message);
        Ok(())
    }
}

fn app() -> App {
    App::new().route("/", Room::default())
}

#[tokio::test]
async fn every_host_drains_step_by_step() {
    const WAIT: Duration = Duration::from_millis(500);
    for kind in ALL {
        let app = app();
        let early = app.readiness();
        let host = kind.serve(app).await;
        let mut peers = vec![host.open("/").await];
        assert!(early.is_ready() && host.readiness().is_ready());
        let drain = Drain::new().wait(WAIT).reason(Reason::Restart).last_message("see you").deadline(LATE);
        let began = Instant::now();
        let stopped = host.drain(drain);
        soon(early.ended()).await;
        assert!(!early.is_ready() && !host.readiness().is_ready(), "{kind:?}");
        // Meanwhile all goes on.
        peers.push(host.open("/").await);
        peers[1].say("hello").await;
        for peer in &mut peers {
            assert_eq!(peer.text().await, "hello", "{kind:?}");
        }
        for peer in &mut peers {
            assert_eq!(peer.text().await, "see you", "{kind:?}");
            assert!(began.elapsed() >= WAIT, "{kind:?}");
            assert_eq!(peer.close_code().await, 1012, "{kind:?}");
            peer.send(&close_frame(1012, "")).await;
            assert_eq!(peer.frame().await, None);
        }
        drop(peers);
        let stopped = soon(stopped).await.unwrap();
        assert_eq!((stopped.closed, stopped.cut), (2, 0), "{kind:?}");
        assert!(stopped.took >= WAIT && stopped.took <= began.elapsed(), "{kind:?}: {:?}", stopped.took);
        match kind {
            Kind::Ours | Kind::KeptAlive => assert!(TcpStream::connect(host.addr).await.is_err(), "nobody listens"),
            Kind::Axum | Kind::Hyper => assert_eq!(host.answer(&upgrade("/", "")).await.0, 503, "{kind:?}"),
        }
    }
}

#[tokio::test]
async fn every_host_closes_over_the_window_and_cuts_at_the_deadline() {
    for kind in ALL {
        let host = kind.serve(app()).await;
        let mut peers = Vec::new();
        for _ in 0..20 {
            peers.push(host.open("/").await);
        }
        // So the window has come to a half.
        let drain = Drain::new().window(Duration::from_secs(1)).deadline(Duration::from_millis(500));
        let stopped = host.drain(drain);
        let mut told = 0;
        for mut peer in peers {
            // A cut may be a reset.
            told += usize::from(peer.rest_or_reset().await.first() == Some(&CLOSE));
        }
        let stopped = soon(stopped).await.unwrap();
        // Nobody has answered.
        assert_eq!((stopped.closed, stopped.cut), (0, 20), "{kind:?}");
        assert!((5..=15).contains(&told), "{kind:?}: {told}");
    }
}

#[tokio::test]
async fn a_window_ends_early_if_everybody_has_gone() {
    let host = Kind::Ours.serve(app()).await;
    let (first, second) = (host.open("/").await, host.open("/").await);
    let stopped = host.drain(Drain::new().window(LATE));
    drop((first, second));
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_handler_that_is_stuck_is_dropped_and_its_peer_told_why() {
    let limits = ConnectionLimits::default().with_close_timeout(Duration::from_millis(300));
    let host = Kind::Ours.serve(App::new().route("/", Route::new(Room::default()).limits(limits))).await;
    let mut stuck = host.open("/").await;
    stuck.say("hang").await;
    let mut other = host.open("/").await;
    other.say("hello").await;
    // So the handler of the first is stuck by now.
    assert_eq!((stuck.text().await, other.text().await), ("hello".into(), "hello".into()));
    drop(other);
    let stopped = host.drain(Drain::new().last_message("see you"));
    assert_eq!(stuck.text().await, "see you");
    assert_eq!(stuck.close_code().await, 1001);
    stuck.send(&close_frame(1001, "")).await;
    drop(stuck);
    assert_eq!(soon(stopped).await.unwrap().cut, 0);
}

#[tokio::test]
async fn routes_whose_clients_would_not_understand_it_get_no_last_message() {
    for kind in ALL {
        let wordless = Route::new(Room::default()).last_message(false);
        let host = kind.serve(app().route("/wordless", wordless)).await;
        let (mut told, mut untold) = (host.open("/").await, host.open("/wordless").await);
        let stopped = host.drain(Drain::new().last_message("see you"));
        assert_eq!(told.text().await, "see you", "{kind:?}");
        for peer in [&mut told, &mut untold] {
            assert_eq!(peer.close_code().await, 1001, "{kind:?}");
            peer.send(&close_frame(1001, "")).await;
        }
        drop((told, untold));
        assert_eq!(soon(stopped).await.unwrap().cut, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn an_end_that_nobody_waits_for_goes_on() {
    let server = app().bind("127.0.0.1:0").await.unwrap();
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve_until(pending()));
    let mut peer = Peer::open(addr, "/").await;
    handle.drain(Drain::new().wait(Duration::from_millis(100)).reason(Reason::Restart));
    // So that it has begun.
    sleep(Duration::from_millis(20)).await;
    serving.abort();
    assert_eq!(soon(handle.stopped()).await, None);
    assert_eq!(peer.close_code().await, 1012);
}

#[tokio::test]
async fn what_was_published_before_the_end_reaches_everybody() {
    const PEERS: usize = 1_000;
    #[cfg(unix)]
    common::raise_descriptors().unwrap();
    // So who does not answer the goodbye is there until the drain's own deadline, which leaves a slow machine its time.
    let limits = ConnectionLimits::default().with_close_timeout(LATE);
    let host = Kind::Ours.serve(App::new().route("/", Route::new(Room::default()).limits(limits))).await;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(host.open("/").await);
    }
    let mut publisher = host.open("/").await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // Publishes for as long as it may, and counts what has come back and so was published.
    let publishing = tokio::spawn(async move {
        let mut published = 0;
        for number in 0.. {
            if try_say(&mut publisher, &number.to_string()).await.is_err() {
                return published;
            }
            match soon(publisher.frame()).await {
                Some((TEXT, text)) if text == number.to_string().as_bytes() => {}
                // The last message, or the end.
                _ => return published,
            }
            published += 1;
            let _ = tell.send(published);
        }
        published
    });
    while told.recv().await.unwrap() < 20 {}
    // Nobody reads so far. A tenth never answers.
    let drain = Drain::new().window(Duration::from_millis(300)).last_message("end").deadline(Duration::from_secs(8));
    let before = loop {
        // What was published before the signal.
        match told.try_recv() {
            Ok(published) if published >= 40 => break published,
            _ => tokio::task::yield_now().await,
        }
    };
    let stopped = host.drain(drain);
    let mut silent = Vec::new();
    let mut reading = tokio::task::JoinSet::new();
    for (index, mut peer) in peers.into_iter().enumerate() {
        if index % 10 == 0 {
            silent.push(peer);
            continue;
        }
        reading.spawn(async move {
            let mut number = 0;
            loop {
                match peer.text().await {
                    last if last == "end" => break,
                    text => assert_eq!(text, number.to_string(), "in order and without a gap"),
                }
                number += 1;
            }
            assert_eq!(peer.close_code().await, 1001);
            peer.send(&close_frame(1001, "")).await;
            assert_eq!(peer.frame().await, None);
            number
        });
    }
    for number in soon(reading.join_all()).await {
        assert!(number >= before, "{number} of {before} have arrived");
    }
    let stopped = soon(stopped).await.unwrap();
    assert_eq!(stopped.closed + stopped.cut, PEERS + 1);
    assert!((PEERS / 10..=PEERS / 10 + 1).contains(&stopped.cut), "{stopped:?}");
    assert!(stopped.took < Duration::from_secs(10), "{stopped:?}");
    publishing.await.unwrap();
}

/// Fails if the connection is over.
async fn try_say(peer: &mut Peer, text: &str) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    peer.0.write_all(&common::frame(TEXT, text.as_bytes())).await
}

/// Writes down what a server says of itself.
#[derive(Default)]
struct Scribe(Mutex<Vec<String>>);

impl Observer for Scribe {
    fn opened(&self, _: ConnectionId, _: Option<SocketAddr>, route: Option<&str>) {
        self.0.lock().unwrap().push(format!("opened {route:?}"));
    }
    fn closed(&self, _: ConnectionId, closed: &Closed) {
        self.0.lock().unwrap().push(format!("closed {closed}"));
    }
    fn refused(&self, remote_addr: Option<SocketAddr>, status: u16, why: &str) {
        assert!(remote_addr.is_some_and(|addr| addr.ip().is_loopback()));
        self.0.lock().unwrap().push(format!("refused {status} {why}"));
    }
    fn drained(&self, closed: usize, cut: usize, _: Duration) {
        self.0.lock().unwrap().push(format!("drained {closed} {cut}"));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_refusals_and_of_the_end_by_every_host() {
    for kind in ALL {
        let scribe = Arc::new(Scribe::default());
        let host = kind.serve(App::new().route("/{name}", Room::default()).observe(scribe.clone())).await;
        assert_eq!(host.answer(&upgrade("/a/b", "")).await.0, 404, "{kind:?}");
        let mut peer = host.open("/a").await;
        let stopped = host.stop();
        assert_eq!(peer.close_code().await, 1001);
        peer.send(&close_frame(1001, "")).await;
        drop(peer);
        soon(stopped).await.unwrap();
        // Whoever waits for the report may be the quicker one.
        while scribe.0.lock().unwrap().len() < 4 {
            sleep(Duration::from_millis(1)).await;
        }
        let told = scribe.0.lock().unwrap().clone();
        assert!(told[0].starts_with("refused 404 "), "{kind:?}: {told:?}");
        let rest = ["opened Some(\"/{name}\")", "closed closed by this side (going away)", "drained 1 0"];
        assert_eq!(told[1..], rest, "{kind:?}");
    }
}
