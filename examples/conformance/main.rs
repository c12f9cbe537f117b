//! The server under test: echoes text and binary at `/`, and speaks WAMP at `/wamp`.
//!
//! With `--wamp-cra-listen`, it speaks WAMP there too, with clients that have signed in, and prints a line `ready-cra
//! ws://ADDR/wamp` first.
//!
//! Prints a line `ready ws://ADDR/` as soon as it listens. SIGTERM and Ctrl-C drain it: everybody is closed with 1001,
//! and the program ends with 0; a second signal cuts who is left.

mod wamp;

use clap::Parser;
use std::future::IntoFuture;
use std::time::Duration;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_wamp::Dialect;

#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// Where to listen for WAMP clients that sign in.
    #[arg(long, value_name = "ADDR")]
    wamp_cra_listen: Option<String>,
    /// What serves: `own`, our listener, or `axum`.
    #[arg(long, default_value = "own", value_parser = ["own", "axum"])]
    host: String,
    /// The largest message and frame that is taken.
    #[arg(long, value_name = "BYTES")]
    max_message: Option<usize>,
    /// What is compressed for peers that offer it: nothing (`off`), what is by default (`default`), or whatever gets shorter,
    /// also with reference to earlier messages (`all`).
    #[arg(long, value_name = "HOW", default_value = "default", value_parser = ["off", "default", "all"])]
    deflate: String,
    /// How long a peer may take from its connection to our answer.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    handshake_timeout: Duration,
    /// How long the closing handshake may take.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    close_timeout: Duration,
    /// After how much silence a peer is pinged; 0: never.
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    keepalive: Duration,
    /// How long a pinged peer may stay silent.
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    keepalive_timeout: Duration,
    /// An origin whose pages may connect; may be given several times. Without it, all may. Peers that send no origin always
    /// may.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
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
    let mut message_limits = MessageLimits::default();
    if let Some(bytes) = options.max_message {
        // The suite sends its large messages in fragments of 64 bytes too.
        let fragments = u32::try_from(bytes / 64).unwrap_or(u32::MAX).max(message_limits.max_fragments);
        message_limits = message_limits.with_max_message(bytes).with_max_fragments(fragments);
    }
    let limits = ConnectionLimits::default()
        .with_close_timeout(options.close_timeout)
        .with_ping_after((!options.keepalive.is_zero()).then_some(options.keepalive))
        .with_pong_timeout(options.keepalive_timeout);
    let mut app = App::new()
        .route("/", Route::new(Echo).message_limits(message_limits).limits(limits.clone()))
        .route(
            "/wamp",
            Route::wamp(wamp::profile(Dialect::autobahn()).build()?).message_limits(message_limits).limits(limits),
        )
        .handshake_timeout(options.handshake_timeout);
    app = match options.deflate.as_str() {
        "off" => app,
        "all" => app.deflate(Deflate::default().with_min_size(0).with_binary(true).with_takeover(true, true)),
        _ => app.deflate(Deflate::default()),
    };
    if !options.allow_origin.is_empty() {
        app = app.gate(AllowedOrigins::new(&options.allow_origin)?.allow_missing(true));
    }
    let signing_in = match &options.wamp_cra_listen {
        None => None,
        Some(listen) => {
            let wamp = wamp::profile(Dialect::autobahn()).build()?.sign_in(wamp::accounts());
            let server = App::new().route("/wamp", Route::wamp(wamp)).bind(listen).await?;
            println!("ready-cra ws://{}/wamp", server.local_addr()?);
            Some(tokio::spawn(async move {
                server.serve().await;
            }))
        }
    };
    if options.host == "axum" {
        let listener = tokio::net::TcpListener::bind(&options.listen).await?;
        let addr = listener.local_addr()?;
        let sockets = app.into_service()?;
        let serving = axum::serve(listener, axum::Router::new().fallback_service(sockets.clone()));
        let stop = stop_signal()?;
        println!("ready ws://{addr}/");
        tokio::select! {
            served = serving.into_future() => return Ok(served?),
            () = stop => {}
        }
        let hurry = stop_signal()?;
        tokio::select! {
            _ = sockets.shutdown() => {}
            () = hurry => {}
        }
        return Ok(());
    }
    let server = app.bind(&options.listen).await?;
    let addr = server.local_addr()?;
    let serving = server.serve();
    println!("ready ws://{addr}/");
    serving.await;
    if let Some(signing_in) = signing_in {
        signing_in.await?;
    }
    Ok(())
}

/// Waits for Ctrl-C or, on Unix, SIGTERM. They are listened for from this call on.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
