//! tokio-websockets, with its defaults.
//!
//! Batching by hand is no use here: looking for the next message writes what was fed.

use crate::{Error, messages};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Sender;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

impl messages::Data for Message {
    fn is_data(&self) -> bool {
        self.is_text() || self.is_binary()
    }
}

async fn accept(stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Error> {
    Ok(ServerBuilder::new().accept(stream).await?.1)
}

pub async fn echo(stream: TcpStream) -> Result<(), Error> {
    messages::echo(accept(stream).await?).await
}

pub async fn broadcast(stream: TcpStream, all: Sender<Message>) -> Result<(), Error> {
    messages::broadcast(accept(stream).await?, all).await
}
