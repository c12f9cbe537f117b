//! Pushes from outside every handler: whoever is connected to `ws://127.0.0.1:8080/` hears a clock tick.

use std::time::{Duration, Instant};
use wsrv_app::prelude::*;

struct Clock {
    listeners: Group<WebSocketConnection>,
}

impl Handler<WebSocketConnection> for Clock {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.listeners.join(conn))
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, _: Message) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listeners = Group::new();
    let server = App::new().route("/", Clock { listeners: listeners.clone() }).bind(addr).await?;
    println!("ws://{}/", server.local_addr()?);
    // A group is a handle: any task or thread may send to it.
    tokio::spawn(async move {
        let started = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let delivery = listeners.send(format!("{} s", started.elapsed().as_secs()));
            println!("told {} listeners", delivery.sent);
        }
    });
    server.serve().await;
    Ok(())
}
