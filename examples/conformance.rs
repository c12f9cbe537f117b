//! The server under test: echoes text and binary at `/`.
//!
//! Prints a line `ready ws://ADDR/` as soon as it listens.

use clap::Parser;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_rfc6455::Limits;

#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// What serves: `own`, our listener, or `axum`.
    #[arg(long, default_value = "own", value_parser = ["own", "axum"])]
    host: String,
    /// The largest message and frame that is taken.
    #[arg(long, value_name = "BYTES")]
    max_message: Option<usize>,
}

struct Echo;

impl Handler<WebSocketConnection> for Echo {
    type State = ();

    async fn on_open(&self, _: &WebSocketConnection) -> Result<(), Error> {
        Ok(())
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let mut limits = Limits::default();
    if let Some(bytes) = options.max_message {
        // The suite sends its large messages in fragments of 64 bytes too.
        let fragments = u32::try_from(bytes / 64).unwrap_or(u32::MAX).max(limits.max_fragments);
        limits = limits.with_max_message(bytes).with_max_fragments(fragments);
    }
    let app = App::new().route("/", Route::new(Echo).message_limits(limits));
    if options.host == "axum" {
        let listener = tokio::net::TcpListener::bind(&options.listen).await?;
        println!("ready ws://{}/", listener.local_addr()?);
        let router = axum::Router::new().fallback_service(app.into_service()?);
        return Ok(axum::serve(listener, router).await?);
    }
    let server = app.bind(&options.listen).await?;
    let addr = server.local_addr()?;
    let serving = server.serve();
    println!("ready ws://{addr}/");
    serving.await;
    Ok(())
}
