//! The server under load, as the kernel sees it.

use std::{fs, io};

pub struct Server {
    pub port: u16,
    pub pid: u32,
}

impl Server {
    /// The time all its threads have been running so far, in nanoseconds: in their own code and in the kernel for them.
    pub fn cpu_ns(&self) -> io::Result<u64> {
        cpu_ns(self.pid)
    }

    /// Its resident memory in bytes: in all, and without what is mapped from files.
    pub fn memory(&self) -> io::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        match (field("VmRSS:"), field("RssAnon:")) {
            (Some(all), Some(anonymous)) => Ok((all * 1024, anonymous * 1024)),
            _ => Err(io::Error::other("no memory in /proc/PID/status")),
        }
    }
}

pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let statistics = fs::read_to_string(task?.path().join("schedstat"))?;
        let running = statistics.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        sum += running.ok_or_else(|| io::Error::other("no time in /proc/PID/task/TID/schedstat"))?;
    }
    Ok(sum)
}
