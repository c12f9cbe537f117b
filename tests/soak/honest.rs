//! Peers that do what RFC 6455 says, with a client that is not ours. None of them may ever be closed by the server, wait
//! long, or miss a message.

use crate::peers::{Dice, Peers};
use futures_util::{SinkExt, StreamExt, future::join_all};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};

/// Far beyond what a healthy server needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// Those who get the feed, which is the most of what is sent.
const MOST_AT_THE_FEED: usize = 20;

struct Client {
    socket: WebSocketStream<TcpStream>,
    peers: Arc<Peers>,
}

/// `count` peers; the future is ready when all have left.
pub(crate) fn spawn(peers: &Arc<Peers>, count: usize, runtime: &Runtime) -> impl Future<Output = ()> + use<> {
    let tasks = (0..count).map(|number| {
        let peers = peers.clone();
        runtime.spawn(async move {
            peers.turn(number, count).await;
            let dice = Dice::new(number);
            match number % 10 {
                0 => echo(peers, number, dice).await,
                1 => visit(peers, number, dice).await,
                2 if number / 10 < MOST_AT_THE_FEED.min(count / 40) => listen(peers, number, "/feed").await,
                2..=4 => listen(peers, number, "/clock").await,
                _ => listen(peers, number, "/echo").await,
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let peers = peers.clone();
    async move {
        for task in join_all(tasks).await {
            if let Err(panic) = task {
                let panic = panic.into_panic();
                let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
                peers.complain(format!("an honest peer: {}", text.unwrap_or("panicked")));
            }
        }
    }
}

impl Client {
    async fn open(peers: &Arc<Peers>, number: usize, path: &str) -> Self {
        let stream = peers.connect(number, None).await;
        let url = format!("ws://{}{path}", peers.addr);
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let opening = tokio_tungstenite::client_async_with_config(url, stream, Some(config));
        let (socket, _) = tokio::time::timeout(PATIENCE, opening).await.expect("an answer in time").expect("a 101");
        Client { socket, peers: peers.clone() }
    }

    /// The next message, behind pings. Pongs go out by themselves.
    async fn next(&mut self) -> Message {
        loop {
            match self.socket.next().await.expect("no end of the stream").expect("no error") {
                Message::Ping(_) => {}
                Message::Close(frame) => panic!("closed: {frame:?}"),
                message => return message,
            }
        }
    }

    async fn echo(&mut self, dice: &mut Dice) {
        let size = if dice.below(100) == 0 { 100_000 } else { dice.below(1000) };
        let message = Message::binary(vec![dice.below(256) as u8; size as usize]);
        let began = Instant::now();
        let round_trip = async {
            self.socket.send(message.clone()).await.expect("no error");
            self.next().await
        };
        let back = tokio::time::timeout(PATIENCE, round_trip).await.expect("an echo in time");
        assert!(back == message, "another message came back");
        self.peers.round_trip(began);
    }

    async fn close(mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let closing = async {
            self.socket.close(Some(goodbye.clone())).await.expect("no error");
            loop {
                match self.socket.next().await.expect("a close frame before the end").expect("no error") {
                    Message::Close(frame) => return frame,
                    _ => continue,
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, closing).await.expect("a close frame in time");
        assert_eq!(answer, Some(goodbye));
        assert!(matches!(self.socket.next().await, None | Some(Err(_))), "nothing behind the close frame");
    }
}

/// Talks all the time.
async fn echo(peers: Arc<Peers>, number: usize, mut dice: Dice) {
    let mut client = Client::open(&peers, number, "/echo").await;
    while !peers.has_ended() {
        client.echo(&mut dice).await;
        peers.pause(Duration::from_millis(100 + dice.below(200))).await;
    }
    client.close().await;
}

/// Comes, says a few words and leaves, again and again.
async fn visit(peers: Arc<Peers>, number: usize, mut dice: Dice) {
    while !peers.has_ended() {
        let mut client = Client::open(&peers, number, "/echo").await;
        for _ in 0..dice.below(4) {
            client.echo(&mut dice).await;
        }
        peers.pause(Duration::from_millis(dice.below(2000))).await;
        client.close().await;
        peers.visits.fetch_add(1, Relaxed);
        peers.pause(Duration::from_millis(dice.below(1000))).await;
    }
}

/// Says nothing but pongs. What is numbered comes without a gap.
async fn listen(peers: Arc<Peers>, number: usize, path: &str) {
    let mut client = Client::open(&peers, number, path).await;
    let mut last: Option<u64> = None;
    loop {
        let message = tokio::select! {
            biased;
            () = peers.ended() => break,
            message = client.next() => message,
        };
        peers.received.fetch_add(1, Relaxed);
        if let Message::Text(text) = message {
            let number = text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
            assert!(last.is_none_or(|last| number == last + 1), "{number} behind {last:?}");
            last = Some(number);
        }
    }
    client.close().await;
}
