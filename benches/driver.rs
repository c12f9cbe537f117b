//! Whole connections, but for the network: the driver, the handler, the outbox and groups, over streams in memory.
//!
//! Over such a stream each connection writes in its own turn. Over TCP the sender of a group writes for all, which
//! `scripts/instructions` counts and the comparison over real sockets shows.
#![allow(missing_docs)]

use divan::Bencher;
use divan::counter::ItemsCount;
use wsrv_benches::{Crowd, Kind, echo, frames};

fn main() {
    divan::main();
}

/// Enough that opening and closing the connection do not count.
const READS: usize = 2000;

const SIZES: [usize; 3] = [16, 125, 1024];

/// A connection that echoes `READS` × `PER_READ` messages. The figure to look at is items (messages) a second.
#[divan::bench(args = SIZES, consts = [1, 16], sample_size = 1, sample_count = 50)]
fn echo_binary<const PER_READ: usize>(bencher: Bencher, size: usize) {
    run(bencher, Kind::Binary, size, PER_READ);
}

#[divan::bench(args = SIZES, consts = [1, 16], sample_size = 1, sample_count = 50)]
fn echo_text<const PER_READ: usize>(bencher: Bencher, size: usize) {
    run(bencher, Kind::Mixed, size, PER_READ);
}

fn run(bencher: Bencher, kind: Kind, size: usize, per_read: usize) {
    let read = frames(kind, size, per_read).into();
    bencher.counter(ItemsCount::new(READS * per_read)).bench_local(|| echo(&read, READS));
}

/// One message of 125 bytes to so many connections. Items are deliveries.
#[divan::bench(args = [1, 10, 100, 1000], sample_size = 10, sample_count = 50)]
fn fan_out(bencher: Bencher, members: usize) {
    let crowd = Crowd::new(members);
    let message = Kind::Binary.message(125);
    bencher.counter(ItemsCount::new(members)).bench_local(|| crowd.send(message.clone()));
}
