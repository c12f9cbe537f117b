//! The same echo as `echo`, written as a loop.

use wsrv_app::prelude::*;

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    println!("{} has come from {:?}", socket.id(), socket.remote_addr());
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    println!("{} has gone", socket.id());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let server = App::new().route("/", from_fn(echo)).bind(addr).await?;
    println!("ws://{}/", server.local_addr()?);
    server.serve().await;
    Ok(())
}
