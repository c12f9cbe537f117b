//! The program `wsrv`.
#![forbid(unsafe_code)]

mod check;
mod demo;
mod edge;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A WebSocket application server.
#[derive(Parser)]
#[command(name = "wsrv", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a page on which one person sees the server at work: two chats, their frames, a WAMP console, a log-in that
    /// sockets know of, live figures.
    Demo(demo::Options),
    /// Tells what a request to the demo with the same options would meet: gate by gate, and the answer.
    Check(check::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::builder().with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = match cli.command {
        Command::Demo(options) => demo::run(options).await.map(|()| ExitCode::SUCCESS),
        Command::Check(options) => check::run(options).await,
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("wsrv: {error}");
            // Not what a refused request ends with.
            ExitCode::from(2)
        }
    }
}
