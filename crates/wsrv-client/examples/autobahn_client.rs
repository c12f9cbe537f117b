//! A client for the fuzzing server of the Autobahn test suite: runs all its cases, and echoes what comes.
//!
//! ```text
//! cargo run --release --features deflate --example autobahn_client ws://127.0.0.1:9001 wsrv
//! ```

use std::error::Error;
use wsrv_client::wsrv_rfc6455::Limits;
use wsrv_client::wsrv_rfc6455::deflate::{Compression, Deflate};
use wsrv_client::{Client, ConnectError, Socket, WebSocketConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let url = url.trim_end_matches('/');
    // All that can be agreed on, so that the suite has something to look at.
    let compression = Compression::new(Deflate::default().with_takeover(true, true).with_min_size(0).with_binary(true));
    let connect = async |path: &str| connect(&format!("{url}/{path}"), &compression).await;
    let cases: u32 = match connect("getCaseCount").await?.recv().await {
        Some(count) => count.as_text().ok_or("the count is text")?.parse()?,
        None => return Err("the server tells no count".into()),
    };
    for case in 1..=cases {
        let mut socket = connect(&format!("runCase?case={case}&agent={agent}")).await?;
        while let Some(message) = socket.recv().await {
            // Many cases end in the middle.
            if socket.connection().send(message).await.is_err() {
                break;
            }
        }
        // Up to the end of the closing handshake, and of the stream.
        while socket.recv().await.is_some() {}
    }
    let mut socket = connect(&format!("updateReports?agent={agent}")).await?;
    while socket.recv().await.is_some() {}
    println!("{cases} cases");
    Ok(())
}

async fn connect(url: &str, compression: &Compression) -> Result<Socket<WebSocketConnection>, ConnectError> {
    // The largest message of the suite has 16 MiB, others come in many frames.
    let limits = Limits::default().with_max_message(32 << 20).with_max_fragments(1 << 20);
    Client::new(url)?.message_limits(limits).deflate(compression).connect().await
}
