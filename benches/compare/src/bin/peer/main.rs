//! The peers: `peer NAME MODE PORT` serves on 127.0.0.1, prints `ready`, and echoes each message or sends it to all.
//!
//! Each is written as its documentation shows it, on tokio's runtime of one thread, with `TCP_NODELAY`.

mod axum;
mod fastwebsockets;
mod limit;
mod messages;
mod tls;
mod tokio_tungstenite;
mod tokio_websockets;

use clap::{Parser, ValueEnum};
use std::net::Ipv4Addr;
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Peer {
    name: Name,
    mode: Mode,
    port: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// No library: the least that a WebSocket can take on epoll.
    Limit,
    TokioTungstenite,
    /// The same, but replies are collected while messages are there, and flushed together.
    TokioTungsteniteBatched,
    TokioWebsockets,
    Fastwebsockets,
    Axum,
    /// The same over TLS.
    AxumTls,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Echo,
    Broadcast,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let Peer { name, mode, port } = Peer::parse();
    if let Name::Limit = name {
        return Ok(limit::serve(mode, port)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        println!("ready");
        match (name, mode) {
            (Name::TokioTungstenite, Mode::Echo) => accept(listener, tokio_tungstenite::echo).await,
            (Name::TokioTungsteniteBatched, Mode::Echo) => accept(listener, tokio_tungstenite::echo_batched).await,
            (Name::TokioTungstenite, Mode::Broadcast) => {
                let all = messages::channel();
                accept(listener, move |stream| tokio_tungstenite::broadcast(stream, all.clone())).await
            }
            (Name::TokioWebsockets, Mode::Echo) => accept(listener, tokio_websockets::echo).await,
            (Name::TokioWebsockets, Mode::Broadcast) => {
                let all = messages::channel();
                accept(listener, move |stream| tokio_websockets::broadcast(stream, all.clone())).await
            }
            (Name::Fastwebsockets, Mode::Echo) => accept(listener, fastwebsockets::serve).await,
            (Name::Axum, Mode::Echo) => axum::serve(listener, axum::echo()).await,
            (Name::AxumTls, Mode::Echo) => Ok(::axum::serve(tls::TlsListener::new(listener)?, axum::echo()).await?),
            (Name::Axum, Mode::Broadcast) => axum::serve(listener, axum::broadcast()).await,
            _ => Err("this peer has no such mode".into()),
        }
    })
}

/// A task for each connection. How one ends is its own affair.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}
