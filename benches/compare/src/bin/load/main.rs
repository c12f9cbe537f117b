//! The load generator: one thread that drives one server and prints one line of JSON with what it saw.
//!
//! It measures the server from outside, by what the kernel says about its process. What it costs itself hardly matters,
//! as long as it has a core of its own.

mod client;
mod handshake;
mod idle;
mod server;
mod tls;
mod traffic;

use clap::{Args, Parser, Subcommand};
use server::Server;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use wsrv_compare::Kind;

#[derive(Parser)]
struct Load {
    /// Where the server listens on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// How long to measure, in milliseconds.
    #[arg(long, default_value_t = 800)]
    ms: u64,
    /// How long to run before that.
    #[arg(long, default_value_t = 200)]
    warm_ms: u64,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Each connection has so many messages under way and sends the next when one comes back.
    Echo(Messages),
    /// The first connection sends; a message is done when all connections have it.
    Broadcast(Messages),
    /// One connection floods the server, or is silent if its window is 0; the others send a message of 16 bytes each
    /// every 10 ms.
    Fairness(Messages),
    /// Connections are opened and cut, 32 at a time.
    Handshake {
        /// Not cut but closed, with the closing handshake.
        #[arg(long)]
        close: bool,
    },
    /// Connections are opened, echo one message of 16 bytes, and stay.
    Idle {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        tls: bool,
    },
}

#[derive(Args)]
struct Messages {
    /// Bytes of the payload.
    #[arg(long)]
    size: usize,
    #[arg(long)]
    connections: usize,
    /// Messages under way.
    #[arg(long, default_value_t = 1)]
    window: usize,
    #[arg(long, value_enum, default_value = "binary")]
    kind: Kind,
}

/// How long something is measured, and what runs before that.
#[derive(Clone, Copy)]
struct Span {
    warm: Duration,
    measured: Duration,
}

/// What is printed, in this order.
type Figures = Vec<(&'static str, f64)>;

fn main() -> ExitCode {
    match run(Load::parse()) {
        Ok(figures) => {
            let figures: Vec<_> = figures.iter().map(|(name, value)| format!("\"{name}\": {value:.3}")).collect();
            println!("{{{}}}", figures.join(", "));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(load: Load) -> io::Result<Figures> {
    let server = Server { port: load.port, pid: load.pid };
    let span = Span { warm: Duration::from_millis(load.warm_ms), measured: Duration::from_millis(load.ms) };
    match load.mode {
        Mode::Echo(messages) => traffic::run(traffic::Pattern::Echo, &messages, &server, span),
        Mode::Broadcast(messages) => traffic::run(traffic::Pattern::Broadcast, &messages, &server, span),
        Mode::Fairness(messages) => traffic::run(traffic::Pattern::Fairness, &messages, &server, span),
        Mode::Handshake { close } => handshake::run(close, &server, span),
        Mode::Idle { connections, tls } => idle::run(connections, tls, &server),
    }
}
