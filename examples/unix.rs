//! An echo on a Unix socket and on TCP at the same time: behind a local proxy, say, and for those at the machine.
//!
//! The arguments are the socket's path and the TCP address.

use wsrv_app::prelude::*;

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    // A Unix socket's peer has no address.
    println!("{} has come from {:?}", socket.id(), socket.remote_addr());
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("/tmp/wsrv-echo.sock".into());
    let addr = std::env::args().nth(2).unwrap_or("127.0.0.1:8080".into());
    let server = App::new().route("/", from_fn(echo)).bind(addr).await?.and_listen(Listener::unix(&path)?);
    println!("ws://{}/", server.local_addr()?);
    println!("and at {path}");
    server.serve().await;
    Ok(())
}
