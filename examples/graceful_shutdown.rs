//! An echo that ends in good order: whoever says `restart` makes the server close everybody with 1012, wait for their
//! goodbyes, and report. Ctrl-C does the same with 1001.

use std::time::Duration;
use tokio::sync::mpsc;
use wsrv_app::prelude::*;

struct Echo {
    restart: mpsc::Sender<()>,
}

impl Handler<WebSocketConnection> for Echo {
    type State = ();

    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        if message.as_text() == Some("restart") {
            // Full only if somebody else has asked already.
            let _ = self.restart.try_send(());
            return Ok(());
        }
        Ok(conn.send(message).await?)
    }

    async fn on_close(&self, conn: &WebSocketConnection, _: (), closed: Closed) {
        // The connection can still say its last words.
        if closed.reason == Reason::Restart {
            let _ = conn.send("back in a moment").await;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let (restart, mut restarts) = mpsc::channel(1);
    let app = App::new().route("/", Echo { restart }).shutdown_timeout(Duration::from_secs(5));
    let server = app.bind(addr).await?;
    println!("ws://{}/", server.local_addr()?);
    let handle = server.handle();
    tokio::spawn(async move {
        if restarts.recv().await.is_some() {
            handle.stop_with(Reason::Restart);
        }
    });
    let stopped = server.serve().await;
    println!("stopped: {} closed, {} cut", stopped.closed, stopped.cut);
    Ok(())
}
