//! What all peers have in common: where they connect, when they begin and end, and what they have to tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) struct Peers {
    pub(crate) addr: SocketAddr,
    /// Over which time they begin.
    pub(crate) ramp: Duration,
    ended: watch::Sender<bool>,
    round_trips: Mutex<Vec<Duration>>,
    pub(crate) echoes: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) visits: AtomicU64,
    pub(crate) abuses: Mutex<BTreeMap<&'static str, u64>>,
    complaints: Mutex<Vec<String>>,
}

impl Peers {
    pub(crate) fn new(addr: SocketAddr, ramp: Duration) -> Self {
        Peers {
            addr,
            ramp,
            ended: watch::Sender::new(false),
            round_trips: Mutex::default(),
            echoes: AtomicU64::new(0),
            received: AtomicU64::new(0),
            visits: AtomicU64::new(0),
            abuses: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// A socket of a peer with this number. They come from many addresses of the loopback network, because one alone has
    /// neither ports nor places for all the handshakes.
    pub(crate) async fn connect(&self, number: usize, receive_buffer: Option<u32>) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        socket.bind(([127, 0, 1, (number % 200) as u8 + 1], 0).into()).unwrap();
        let stream = socket.connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Ready when the soak is over.
    pub(crate) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Waits so long, or until the soak is over.
    pub(crate) async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.ended()).await;
    }

    /// Waits for the turn of this peer among so many.
    pub(crate) async fn turn(&self, number: usize, among: usize) {
        sleep(self.ramp.mul_f64(number as f64 / among as f64)).await;
    }

    pub(crate) fn round_trip(&self, began: Instant) {
        self.echoes.fetch_add(1, Relaxed);
        self.round_trips.lock().unwrap().push(began.elapsed());
    }

    /// Those since the last call.
    pub(crate) fn take_round_trips(&self) -> Vec<Duration> {
        std::mem::take(&mut self.round_trips.lock().unwrap())
    }

    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn report(&self) -> String {
        let abuses = self.abuses.lock().unwrap();
        format!(
            "{} echoes, {} visits, {} messages from groups; abuse: {} in all: {abuses:?}",
            self.echoes.load(Relaxed),
            self.visits.load(Relaxed),
            self.received.load(Relaxed),
            abuses.values().sum::<u64>(),
        )
    }
}

/// Not for secrets: the same every time, so that a soak can be done again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: usize) -> Self {
        Dice((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
