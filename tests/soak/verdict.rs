//! What was measured, and whether it is good enough.

use crate::peers::Peers;
use crate::process::Figures;
use std::fmt;
use std::time::Duration;

/// What the server's memory may have grown from the first fifth of the time behind the warm-up to the last, in KiB. In
/// ten minutes a leak of 10 bytes per echo or 50 per connection would be more. How many peers read slowly at a time makes
/// a difference of one or two.
const GROWTH: i64 = 4096;
/// How many times its first value the 99th percentile of round trips may be in the end, and what is never too long: one
/// that is measured in microseconds doubles when anything else runs on the machine.
const SLOWER: u32 = 2;
const QUICK: Duration = Duration::from_millis(10);
/// Shorter soaks are all warm-up.
const WORTH_A_TREND: Duration = Duration::from_secs(120);

pub(crate) struct Sample {
    at: Duration,
    figures: Figures,
    round_trips: usize,
    p50: Duration,
    p99: Duration,
}

impl Sample {
    pub(crate) const COLUMNS: &str = "seconds,rss_kib,descriptors,connections,cpu_seconds,load,echoes,p50_us,p99_us";

    pub(crate) fn new(at: Duration, figures: Figures, mut round_trips: Vec<Duration>) -> Self {
        round_trips.sort_unstable();
        let rank = |percent| round_trips.get(round_trips.len() * percent / 100).copied().unwrap_or_default();
        Sample { at, figures, round_trips: round_trips.len(), p50: rank(50), p99: rank(99) }
    }

    pub(crate) fn to_progress(&self) -> String {
        let figures = &self.figures;
        format!(
            "{:4} s  {:6} connections  {:7} KiB  {:6} descriptors  {:7.1} s of CPU  echo p50 {:?}, p99 {:?}",
            self.at.as_secs(),
            figures.connections,
            figures.rss,
            figures.descriptors,
            figures.cpu.as_secs_f64(),
            self.p50,
            self.p99,
        )
    }
}

/// A line of comma-separated values.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { rss, descriptors, connections, cpu, load, .. } = &self.figures;
        let (at, cpu) = (self.at.as_secs_f64(), cpu.as_secs_f64());
        let (p50, p99) = (self.p50.as_micros(), self.p99.as_micros());
        write!(f, "{at:.1},{rss},{descriptors},{connections},{cpu:.2},{load},{},{p50},{p99}", self.round_trips)
    }
}

/// Says what is good and what is not. How much is not, is returned.
pub(crate) fn judge(samples: &[Sample], before: &Figures, after: &Figures, peers: &Peers) -> usize {
    let mut failures = 0;
    let mut check = |good: bool, what: String| {
        println!("{} {what}", if good { "ok    " } else { "FAILED" });
        failures += usize::from(!good);
    };
    let complaints = peers.complaints();
    check(complaints.is_empty(), format!("{} complaints of peers", complaints.len()));
    complaints.iter().take(20).for_each(|complaint| println!("         {complaint}"));
    check(
        after.descriptors == before.descriptors,
        format!("descriptors: {} before, {} after", before.descriptors, after.descriptors),
    );
    check(after.connections == 0, format!("{} connections are left", after.connections));
    check(
        after.opened == after.closed && after.opened > 0,
        format!("on_open succeeded {} times, on_close ran {} times", after.opened, after.closed),
    );
    // The first fifth is a warm-up: peers come, and memory is taken that is kept for the next.
    let warm = &samples[samples.len() / 5..];
    if samples.last().is_none_or(|sample| sample.at < WORTH_A_TREND) {
        println!("       too short to judge memory and time");
        return failures;
    }
    let (first, last) = (&warm[..warm.len() / 5], &warm[warm.len() - warm.len() / 5..]);
    let rss = |samples: &[Sample]| median(samples.iter().map(|sample| sample.figures.rss)) as i64;
    let growth = rss(last) - rss(first);
    check(growth <= GROWTH, format!("memory: {} KiB at first, {growth:+} KiB in the end", rss(first)));
    let (first, last) = (&warm[..warm.len() / 10], &warm[warm.len() - warm.len() / 10..]);
    let p99 = |samples: &[Sample]| median(samples.iter().map(|sample| sample.p99));
    check(
        p99(last) <= QUICK.max(SLOWER * p99(first)),
        format!("99 of 100 round trips take {:?} at first, {:?} in the end", p99(first), p99(last)),
    );
    failures
}

fn median<T: Ord>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    let middle = values.len() / 2;
    values.swap_remove(middle)
}
