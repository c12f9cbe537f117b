//! A server for load generators: `bench_peer MODE PORT [--threads N]`, where MODE is `echo` or `broadcast` (every
//! message goes to all connections, the sender included). It is what users get, with larger limits.

use clap::{Parser, ValueEnum};
use wsrv_app::prelude::*;

#[derive(Parser)]
struct Args {
    mode: Mode,
    port: u16,
    /// Worker threads of the runtime.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Broadcast,
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

#[derive(Default)]
struct Broadcast {
    all: Group<WebSocketConnection>,
}

impl Handler<WebSocketConnection> for Broadcast {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        Ok(self.all.join(conn))
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, message: Message) -> Result<(), Error> {
        self.all.send(message);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Args { mode, port, threads } = Args::parse();
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        _ => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
    };
    runtime.block_on(async {
        let route = match mode {
            Mode::Echo => Route::new(Echo),
            Mode::Broadcast => Route::new(Broadcast::default()),
        };
        // A load generator sends what a peer would not be allowed to, and reads late what it has been sent.
        let route = route
            .message_limits(MessageLimits::default().with_max_message(64 << 20))
            .limits(ConnectionLimits::default().with_outbox(16 << 20));
        let server = App::new().route("/", route).bind(("127.0.0.1", port)).await?;
        println!("ready");
        server.serve().await;
        Ok(())
    })
}
