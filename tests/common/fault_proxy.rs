//! A network that fails as it is told to: a TCP proxy on loopback, between a real client and a real server.

#![allow(unreachable_pub)]

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// What happens to bytes, and to the end of the stream, on their way in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// They are passed on at once.
    Open,
    /// They arrive so much later, in the same order and at the same rate.
    Latency(Duration),
    /// So many at a time are passed on, and then nothing for so long.
    Trickle(usize, Duration),
    /// They are taken and are gone. TCP sees nothing wrong: whoever sends is acknowledged for ever.
    BlackHole,
    /// They are not taken any more, so they wait with who sends them, until its window is full.
    Stalled,
    /// The direction is ended as if its sender had: behind what has passed, the end of the stream arrives.
    Cut,
}

/// Both paths of all connections through a proxy.
#[derive(Clone, Copy, Debug)]
struct Paths {
    to_server: Path,
    to_client: Path,
    /// Both sockets are reset.
    reset: bool,
}

/// Passes connections on to a server. What it does to them can be changed at any time and holds for those that exist as
/// well as for later ones; it ends when it is dropped, and they with it.
pub struct FaultProxy {
    pub addr: SocketAddr,
    paths: watch::Sender<Paths>,
    accepting: AbortHandle,
}

impl FaultProxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let paths = watch::Sender::new(Paths { to_server: Path::Open, to_client: Path::Open, reset: false });
        let orders = paths.subscribe();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(server).await.unwrap();
                connections.spawn(pass(client, server, orders.clone()));
            }
        });
        FaultProxy { addr, paths, accepting: accepting.abort_handle() }
    }

    pub fn to_server(&self, path: Path) {
        self.paths.send_modify(|paths| paths.to_server = path);
    }

    pub fn to_client(&self, path: Path) {
        self.paths.send_modify(|paths| paths.to_client = path);
    }

    pub fn both(&self, path: Path) {
        self.paths.send_modify(|paths| (paths.to_server, paths.to_client) = (path, path));
    }

    /// Resets all connections, at both ends.
    pub fn reset(&self) {
        self.paths.send_modify(|paths| paths.reset = true);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection.
async fn pass(client: TcpStream, server: TcpStream, mut orders: watch::Receiver<Paths>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = direction(&mut from_client, &mut to_server, |paths| paths.to_server, orders.clone());
    let back = direction(&mut from_server, &mut to_client, |paths| paths.to_client, orders.clone());
    let reset = tokio::select! {
        // Each passes its end on by itself, so a connection with one direction goes on.
        ended = async { tokio::try_join!(there, back) } => ended.is_err(),
        _ = orders.wait_for(|paths| paths.reset) => true,
    };
    if reset {
        for (from, to) in [(from_client, to_client), (from_server, to_server)] {
            let _ = from.as_ref().set_zero_linger();
            // Else it would end the stream in good order before the socket is closed.
            to.forget();
        }
    }
}

/// Carries bytes until the end of the stream was passed on. An error is a reset.
async fn direction(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    path: fn(&Paths) -> Path,
    orders: watch::Receiver<Paths>,
) -> io::Result<()> {
    let (sends, arrives) = mpsc::channel(64);
    let take = take(from, sends, path, orders.clone());
    tokio::try_join!(take, give(to, arrives, path, orders)).map(drop)
}

/// Takes bytes from who sends them, with the time at which they are to arrive.
async fn take(
    from: &mut OwnedReadHalf,
    sends: mpsc::Sender<(Instant, Vec<u8>)>,
    path: fn(&Paths) -> Path,
    mut orders: watch::Receiver<Paths>,
) -> io::Result<()> {
    let mut piece = vec![0; 16 * 1024];
    // None: the other end has been told that there is nothing more.
    let mut sends = Some(sends);
    loop {
        let now = path(&orders.borrow_and_update());
        if now == Path::Cut {
            sends = None;
        }
        let read = tokio::select! {
            biased;
            changed = orders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
            read = from.read(&mut piece), if now != Path::Stalled => read,
        };
        match (read, now) {
            // The end is gone like everything else.
            (Ok(0) | Err(_), Path::BlackHole) => return pending().await,
            (Ok(0), _) => return Ok(()),
            (Err(error), _) => return Err(error),
            (Ok(_), Path::BlackHole) => {}
            (Ok(size), _) => {
                let late = if let Path::Latency(time) = now { time } else { Duration::ZERO };
                if let Some(sends) = &sends {
                    let _ = sends.send((Instant::now() + late, piece[..size].to_vec())).await;
                }
            }
        }
    }
}

async fn give(
    to: &mut OwnedWriteHalf,
    mut arrives: mpsc::Receiver<(Instant, Vec<u8>)>,
    path: fn(&Paths) -> Path,
    orders: watch::Receiver<Paths>,
) -> io::Result<()> {
    while let Some((due, bytes)) = arrives.recv().await {
        sleep_until(due).await;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let now = path(&orders.borrow());
            let (size, pause) =
                if let Path::Trickle(size, pause) = now { (size, pause) } else { (rest.len(), Duration::ZERO) };
            let (part, later) = rest.split_at(size.min(rest.len()));
            to.write_all(part).await?;
            sleep(pause).await;
            rest = later;
        }
    }
    to.shutdown().await
}
