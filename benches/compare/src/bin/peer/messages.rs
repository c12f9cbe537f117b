//! What is the same for every library whose WebSocket is a `Stream` and a `Sink`.

use crate::Error;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::sync::broadcast;

pub trait Data: Clone + Send + 'static {
    /// Whether it is a text or binary message.
    fn is_data(&self) -> bool;
}

/// What libraries call a WebSocket.
pub trait Socket<M, E>: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin {}
impl<M, E, S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin> Socket<M, E> for S {}

/// One `send` for each message.
pub async fn echo<M: Data, E: Into<Error>>(mut socket: impl Socket<M, E>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message.map_err(E::into)?;
        if message.is_data() {
            socket.send(message).await.map_err(E::into)?;
        }
    }
    Ok(())
}

/// One `flush` for all messages that are there.
pub async fn echo_batched<M: Data, E: Into<Error>>(mut socket: impl Socket<M, E>) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let mut message = message.map_err(E::into)?;
        loop {
            if message.is_data() {
                socket.feed(message).await.map_err(E::into)?;
            }
            match socket.next().now_or_never() {
                Some(Some(next)) => message = next.map_err(E::into)?,
                Some(None) => return Ok(()),
                None => break,
            }
        }
        socket.flush().await.map_err(E::into)?;
    }
    Ok(())
}

pub fn channel<M: Clone>() -> broadcast::Sender<M> {
    broadcast::channel(1024).0
}

/// Every message goes to all, through a channel of tokio, as it is usually done with these libraries.
pub async fn broadcast<M: Data, E: Into<Error>>(
    mut socket: impl Socket<M, E>,
    all: broadcast::Sender<M>,
) -> Result<(), Error> {
    let mut pushed = all.subscribe();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(message) = message else { return Ok(()) };
                let message = message.map_err(E::into)?;
                if message.is_data() {
                    // There is a receiver: the one above.
                    let _ = all.send(message);
                }
            }
            message = pushed.recv() => {
                socket.feed(message?).await.map_err(E::into)?;
                while let Ok(message) = pushed.try_recv() {
                    socket.feed(message).await.map_err(E::into)?;
                }
                socket.flush().await.map_err(E::into)?;
            }
        }
    }
}
