//! Sends every message back to where it came from.
//!
//! Run it, then talk to `ws://127.0.0.1:8080/` with any WebSocket client.

use wsrv_app::prelude::*;

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        println!("{} has come from {:?}", conn.id(), conn.remote_addr());
        Ok(())
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }

    async fn on_close(&self, conn: &WebSocketConnection, _: (), closed: Closed) {
        println!("{}: {closed}, {:?}", conn.id(), conn.close_frame());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let server = App::new().route("/", Echo).bind(addr).await?;
    println!("ws://{}/", server.local_addr()?);
    server.serve().await;
    Ok(())
}
