//! The server's process, and what the system tells about it.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub(crate) addr: SocketAddr,
}

/// How things stand with the server.
pub(crate) struct Figures {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) connections: u64,
    pub(crate) descriptors: usize,
    /// Resident memory in KiB.
    pub(crate) rss: u64,
    /// All CPU time so far.
    pub(crate) cpu: Duration,
    /// How many processes on the whole machine want a core, in the last minute.
    pub(crate) load: f64,
}

impl Process {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut ready = String::new();
        stdout.read_line(&mut ready)?;
        let addr = ready.trim().strip_prefix("ready ").ok_or("the server is not ready")?.parse()?;
        Ok(Process { child, stdin, stdout, addr })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn ask(&mut self, question: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.stdin, "{question}")?;
        let mut answer = String::new();
        if self.stdout.read_line(&mut answer)? == 0 {
            return Err("the server has died".into());
        }
        Ok(answer.trim().to_owned())
    }

    /// How connections have ended, and how many each way.
    pub(crate) fn ends(&mut self) -> Result<String, Box<dyn Error>> {
        self.ask("ends")
    }

    pub(crate) fn figures(&mut self) -> Result<Figures, Box<dyn Error>> {
        let counts = self.ask("counts")?;
        let mut counts = counts.split(' ').map(str::parse);
        let mut count = || counts.next().ok_or("a count is missing");
        let (opened, closed, connections) = (count()??, count()??, count()??);
        let folder = format!("/proc/{}", self.id());
        let status = std::fs::read_to_string(format!("{folder}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let rss = rss.trim_end_matches("kB").trim().parse()?;
        // Behind the name, which may have anything in it; the fields are counted from 3 there.
        let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).ok_or("no CPU time")?.parse::<u64>().map_err(|_| "no number");
        let ticks = ticks(14)? + ticks(15)?;
        let cpu = Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32;
        let descriptors = std::fs::read_dir(format!("{folder}/fd"))?.count();
        let load = std::fs::read_to_string("/proc/loadavg")?.split(' ').next().ok_or("no load")?.parse()?;
        Ok(Figures { opened, closed, connections, descriptors, rss, cpu, load })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
