//! An echo that ends in good order, and can be restarted without refusing anybody. Whoever says `restart` makes the
//! server close everybody with 1012 in the course of a second, wait for their goodbyes, and report. Ctrl-C and SIGTERM
//! do the same with 1001.
//!
//! It takes over the sockets it is given. So with `systemfd --no-pid -s tcp::8080 -- cargo run --example graceful_shutdown`,
//! or as a service with a `.socket` unit of systemd, those who connect during the restart wait for the next process.

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
    let drain = Drain::new().window(Duration::from_secs(1)).deadline(Duration::from_secs(5));
    let app = App::new().route("/", Echo { restart }).drain(drain.clone());
    let mut given = Listener::from_env()?.into_iter();
    let server = match given.next() {
        Some(first) => app.listen(first)?,
        None => app.bind(addr).await?,
    };
    let server = given.fold(server, Server::and_listen);
    let addr = server.local_addr()?;
    let handle = server.handle();
    tokio::spawn(async move {
        if restarts.recv().await.is_some() {
            handle.drain(drain.reason(Reason::Restart).last_message("this server restarts"));
        }
    });
    // Listens for signals before anybody is told that it is ready.
    let serving = server.serve();
    println!("ws://{addr}/");
    let stopped = serving.await;
    println!("stopped: {} closed, {} cut", stopped.closed, stopped.cut);
    Ok(())
}
