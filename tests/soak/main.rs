//! Runs a real server for minutes among thousands of connections, honest ones and hostile ones, and judges what is left.
//!
//! ```text
//! cargo run --release -p wsrv-tests --example soak -- [--minutes 10] [--connections 4000] [--csv FILE]
//! ```
//!
//! The server is a process of its own, this program once more, so that its memory, descriptors and CPU time are its own.
//! It has the default limits but for the times, which are shorter, so that each runs out many times. `plot.py` draws what
//! `--csv` writes. Linux only: `/proc` tells the figures.

#[path = "../common/mod.rs"]
mod common;

mod abuse;
mod honest;
mod peers;
mod process;
mod server;
mod verdict;

use clap::{Parser, Subcommand};
use peers::Peers;
use process::Process;
use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use verdict::{Sample, judge};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    serve: Option<Serve>,
    /// How long; it may be a fraction.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many peers there are at a time.
    #[arg(long, default_value_t = 4000)]
    connections: usize,
    /// Where the samples go.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Serve {
    /// Is the server. `soak` starts it by itself.
    Serve,
}

const BETWEEN_SAMPLES: Duration = Duration::from_secs(2);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let descriptors = common::raise_descriptors()?;
    if args.serve.is_some() {
        server::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    if descriptors < args.connections as u64 * 5 / 4 + 100 {
        return Err(format!("{descriptors} descriptors are too few for {} connections", args.connections).into());
    }
    soak(&args)
}

fn soak(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut server = Process::start()?;
    let before = server.figures()?;
    println!("server {} with {} descriptors, {} KiB", server.id(), before.descriptors, before.rss);

    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let peers = Arc::new(Peers::new(server.addr, time.min(Duration::from_secs(100)) / 10));
    // Round trips are measured on a thread that does nothing else.
    let (among_the_honest, among_the_others) = (runtime()?, runtime()?);
    let honest = honest::spawn(&peers, args.connections - args.connections / 10, &among_the_honest);
    let abuse = abuse::spawn(&peers, args.connections / 10, &among_the_others);

    let (began, mut samples, mut csv) = (Instant::now(), Vec::new(), format!("{}\n", Sample::COLUMNS));
    while began.elapsed() < time {
        sleep(BETWEEN_SAMPLES);
        let sample = Sample::new(began.elapsed(), server.figures()?, peers.take_round_trips());
        writeln!(csv, "{sample}")?;
        if samples.len() % 5 == 0 {
            println!("{}", sample.to_progress());
        }
        samples.push(sample);
    }
    peers.end();
    let all_left = among_the_honest.block_on(async { tokio::time::timeout(Duration::from_secs(40), honest).await });
    if all_left.is_err() {
        peers.complain("honest peers could not leave".into());
    }
    drop(abuse);
    among_the_others.shutdown_timeout(Duration::from_secs(5));

    // Those that were cut off, and those that hang, have their times.
    let patience = Instant::now();
    let mut after = server.figures()?;
    while (after.connections > 0 || after.descriptors != before.descriptors) && patience.elapsed().as_secs() < 40 {
        sleep(Duration::from_millis(100));
        after = server.figures()?;
    }
    println!("everybody has gone; {} KiB, {} descriptors", after.rss, after.descriptors);
    println!("closed by: {}", server.ends()?);
    println!("{}", peers.report());
    if let Some(path) = &args.csv {
        std::fs::write(path, csv)?;
    }
    let failures = judge(&samples, &before, &after, &peers);
    println!("{}", if failures == 0 { "the soak passed" } else { "the soak FAILED" });
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
