//! tokio-tungstenite, with its defaults.

use crate::{Error, messages};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Sender;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

impl messages::Data for Message {
    fn is_data(&self) -> bool {
        self.is_text() || self.is_binary()
    }
}

pub async fn echo(stream: TcpStream) -> Result<(), Error> {
    messages::echo(accept_async(stream).await?).await
}

pub async fn echo_batched(stream: TcpStream) -> Result<(), Error> {
    messages::echo_batched(accept_async(stream).await?).await
}

pub async fn broadcast(stream: TcpStream, all: Sender<Message>) -> Result<(), Error> {
    messages::broadcast(accept_async(stream).await?, all).await
}
