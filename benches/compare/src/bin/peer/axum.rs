//! axum, with its defaults.

use crate::{Error, messages};
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

impl messages::Data for Message {
    fn is_data(&self) -> bool {
        matches!(self, Message::Text(_) | Message::Binary(_))
    }
}

pub fn echo() -> Router {
    let upgrade = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|socket| async {
            let _ = messages::echo(socket).await;
        })
    };
    Router::new().route("/", any(upgrade))
}

pub fn broadcast() -> Router {
    let all = messages::channel();
    let upgrade = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|socket| async {
            let _ = messages::broadcast(socket, all).await;
        })
    };
    Router::new().route("/", any(upgrade))
}

pub async fn serve(listener: TcpListener, router: Router) -> Result<(), Error> {
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}
