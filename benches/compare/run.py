#!/usr/bin/env python3
"""Runs wsrv and its peers at the same work, one after the other, round after round.

  benches/compare/run.py                builds all, measures, writes to docs/bench
  benches/compare/run.py --quick        a minute, to see that it works; writes to target/bench-quick
  benches/compare/run.py --report FILE  the table and the plots again, from the lines of an earlier run

What the figures mean is told in benches/compare/README.md.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import plot

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WSRV_TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TARGET = WSRV_TARGET / "compare" if "CARGO_TARGET_DIR" in os.environ else HERE / "target"
BINARIES = TARGET / "release"
UWS = TARGET / "uws"

# The names in the table; for those that are in the binary `peer`, its names.
PEERS = {
    "wsrv": None,
    "bare epoll": "limit",
    "uWebSockets": None,
    "fastwebsockets": "fastwebsockets",
    "tokio-websockets": "tokio-websockets",
    "tokio-tungstenite": "tokio-tungstenite",
    "batched tokio-tungstenite": "tokio-tungstenite-batched",
    "axum": "axum",
}
# fastwebsockets has no handle that others could send with.
BROADCASTING = {"wsrv", "bare epoll", "uWebSockets", "tokio-websockets", "tokio-tungstenite", "axum"}
# A run in which the server hardly ran: the kernel counts its time too coarsely for that.
LEAST_CPU_NS = 20e6


class Run(collections.namedtuple("Run", "mode size connections window kind", defaults=(16, 0, 1, "binary"))):
    def label(self):
        connections = f"{self.connections:,} connection" + "s" * (self.connections != 1)
        match self.mode:
            case "echo":
                kind = {"binary": "", "ascii": " of ASCII text", "mixed": " of non-ASCII text"}[self.kind]
                return f"echo {self.size} B{kind}, {connections}, {self.window} under way"
            case "broadcast":
                return f"broadcast {self.size} B, {self.connections:,} subscribers, {self.window} under way"
            case "handshake":
                return "opening handshake"
            case "idle":
                return f"idle, {connections}"
            case "fairness":
                return f"one floods with {self.size} B, {self.connections - 1} others"

    def arguments(self):
        match self.mode:
            case "handshake":
                return []
            case "idle":
                return ["--connections", self.connections]
        names = ["--size", "--connections", "--window", "--kind"]
        values = [self.size, self.connections, self.window, self.kind]
        return [part for pair in zip(names, values) for part in pair]

    def peers(self):
        if self.mode == "broadcast":
            return [peer for peer in PEERS if peer in BROADCASTING]
        if self.mode == "echo":
            return list(PEERS)
        return [peer for peer in PEERS if not peer.startswith("batched")]


ALL_RUNS = [
    Run("echo", 125, 1, 1),
    Run("echo", 125, 50, 1),
    Run("echo", 125, 500, 1),
    *(Run("echo", size, 50, 16) for size in (16, 125, 1024, 4096, 16384, 65536)),
    Run("echo", 125, 500, 16),
    *(Run("echo", size, 50, 16, kind) for kind in ("ascii", "mixed") for size in (125, 1024, 16384)),
    *(Run("broadcast", 125, subscribers, 1) for subscribers in (10, 100, 1000, 5000)),
    Run("broadcast", 125, 1000, 16),
    Run("broadcast", 1024, 1000, 4),
    Run("handshake"),
    *(Run("idle", connections=connections) for connections in (1000, 5000, 10000)),
    Run("fairness", 1024, 101, 256),
]
QUICK_RUNS = [
    Run("echo", 125, 50, 16),
    Run("echo", 1024, 50, 16, "mixed"),
    Run("broadcast", 125, 100, 1),
    Run("handshake"),
    Run("idle", connections=500),
    Run("fairness", 1024, 101, 256),
]
# What the table has a row for: figure, what it is called, how to write it.
ROWS = {
    "echo": [("cpu_ns", "CPU a message", "{:,.0f} ns")],
    "broadcast": [("cpu_ns", "CPU a delivery", "{:,.0f} ns")],
    "handshake": [("cpu_ns", "CPU", "{:,.0f} ns")],
    "idle": [("bytes", "memory a connection", "{:,.0f} B")],
    "fairness": [("p50_ns", "latency of the others, median", "{:,.0f} ns"), ("p99_ns", "the same, p99", "{:,.0f} ns")],
}
# With one message under way, latency is the server's; with many it is the queue's.
LATENCY_ROW = ("p99_ns", "latency p99", "{:,.0f} ns")


def rows(run):
    with_latency = run.mode == "echo" and run.window == 1 and run.connections > 1
    return ROWS[run.mode] + ([LATENCY_ROW] if with_latency else [])


# --- building -------------------------------------------------------------------


def build():
    """Builds everything, and tells which peers there are."""
    cargo = ["cargo", "build", "--release"]
    wsrv = ["-p", "wsrv-examples", "--example", "bench_peer", "--target-dir", WSRV_TARGET]
    subprocess.run([*cargo, *wsrv], cwd=ROOT, check=True)
    subprocess.run([*cargo, "--bins", "--target-dir", TARGET], cwd=HERE, check=True)
    peers = set(PEERS)
    if not build_uws():
        peers.remove("uWebSockets")
        print("uWebSockets is left out: it needs cc and c++", file=sys.stderr)
    return peers


def build_uws():
    c, cxx = (shutil.which(os.environ.get(name, default)) for name, default in [("CC", "cc"), ("CXX", "c++")])
    if not c or not cxx:
        return False
    if UWS.exists() and UWS.stat().st_mtime > max(path.stat().st_mtime for path in (HERE / "uws").iterdir()):
        return True
    manifest = HERE / "uws" / "Cargo.toml"
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest))
    package = next(package for package in metadata["packages"] if package["name"] == "libuwebsockets-sys")
    sources = Path(package["manifest_path"]).parent / "uWebSockets"
    usockets = sources / "uSockets" / "src"
    # As much as Rust's release builds do: for any machine, and optimised across files.
    flags = ["-O3", "-flto", "-w", "-DLIBUS_NO_SSL", f"-I{usockets}"]
    objects = []
    (TARGET / "uws-objects").mkdir(parents=True, exist_ok=True)
    for folder in (".", "eventing", "crypto"):
        for source in sorted((usockets / folder).glob("*.c")):
            objects.append(TARGET / "uws-objects" / f"{source.stem}.o")
            subprocess.run([c, *flags, "-std=c11", "-c", source, "-o", objects[-1]], check=True)
    server = [HERE / "uws" / "server.cpp", *objects, "-o", UWS]
    subprocess.run([cxx, *flags, "-std=c++20", "-DUWS_NO_ZLIB", f"-I{sources / 'src'}", *server], check=True)
    return True


def output(*command, cwd=HERE):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


# --- measuring ------------------------------------------------------------------


def machine():
    """What a reader must know of the machine and of the programs."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    crates = output("cargo", "tree", "--depth", "1", "--prefix", "none", "--edges", "normal").splitlines()
    crates = [" ".join(crate.split()[:2]) for crate in crates]
    changed = "-changed" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output("git", "rev-parse", "--short", "HEAD") + changed,
        "processor": models[0].split(": ")[1] if models else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "rustc": output("rustc", "--version"),
        "peers": [crate for crate in crates if crate.split()[0] in PEERS] + ["uWebSockets of libuwebsockets-sys v0.0.10"],
    }


def command(peer, mode, port):
    mode = "broadcast" if mode == "broadcast" else "echo"
    if peer == "wsrv":
        return [WSRV_TARGET / "release" / "examples" / "bench_peer", mode, str(port)]
    if peer == "uWebSockets":
        return [UWS, mode, str(port)]
    return [BINARIES / "peer", PEERS[peer], mode, str(port)]


def pinned(core):
    """One core each, so that the kernel does not move them about and neither takes the other's time."""
    return lambda: os.sched_setaffinity(0, {core})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(run, peer, settings):
    port = free_port()
    server_core, load_core = settings.cores
    server = subprocess.Popen(
        command(peer, run.mode, port), stdout=subprocess.PIPE, text=True, preexec_fn=pinned(server_core)
    )
    try:
        if server.stdout.readline().strip() != "ready":
            return {"error": "it does not start"}
        load = [BINARIES / "load", "--port", port, "--pid", server.pid, "--ms", settings.ms, run.mode, *run.arguments()]
        load = subprocess.run(
            list(map(str, load)), capture_output=True, text=True, timeout=120, preexec_fn=pinned(load_core)
        )
        return json.loads(load.stdout) if load.returncode == 0 else {"error": load.stderr.strip()}
    except subprocess.TimeoutExpired:
        return {"error": "it took too long"}
    finally:
        server.kill()
        server.wait()


def measure_all(settings, runs, lines):
    for round_ in range(settings.rounds):
        for run in runs:
            peers = [peer for peer in run.peers() if peer in settings.peers]
            # Nobody always comes first.
            turn = round_ % len(peers)
            for peer in peers[turn:] + peers[:turn]:
                figures = measure(run, peer, settings)
                line = {"round": round_, **run._asdict(), "ms": settings.ms, "peer": peer, **figures}
                lines.write(json.dumps(line) + "\n")
                lines.flush()
                progress = f"round {round_ + 1} of {settings.rounds}: {run.label()}: {peer}"
                if "error" in figures:
                    print(f"{progress}: {figures['error']}", file=sys.stderr)
                elif sys.stderr.isatty():
                    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


# --- reporting ------------------------------------------------------------------


class Results:
    def __init__(self, file):
        header, *lines = map(json.loads, file.read_text().splitlines())
        self.machine = header
        self.rounds = 0
        self.left_out = 0
        self.values = {}  # (run, peer) → round → figures
        for line in lines:
            run = Run(*(line[field] for field in Run._fields))
            self.rounds = max(self.rounds, line["round"] + 1)
            if "error" in line or self.is_too_little(line):
                self.left_out += 1
            else:
                self.values.setdefault((run, line["peer"]), {})[line["round"]] = line
        self.runs = list(dict.fromkeys(run for run, _ in self.values))
        present = {peer for _, peer in self.values}
        self.peers = [peer for peer in PEERS if peer in present]

    @staticmethod
    def is_too_little(line):
        return "server_busy" in line and line["server_busy"] * line["ms"] * 1e6 < LEAST_CPU_NS

    def busy(self):
        """How much of the time server or load was running, where one always has something to do: 1 and more in peace."""
        lines = [line for (run, _), rounds in self.values.items() if run.window > 1 for line in rounds.values()]
        busy = [line["server_busy"] + line["load_busy"] for line in lines]
        return statistics.median(busy) if busy else 1

    def warnings(self):
        if self.left_out:
            yield f"{self.left_out} measurements were left out: they failed, or the server ran for less than 20 ms."
        if (busy := self.busy()) < 0.8:
            yield f"**The machine was not quiet:** server and load together ran for {busy:.0%} of the time only."

    def figures(self, run, peer, figure):
        return {round_: line[figure] for round_, line in self.values.get((run, peer), {}).items()}

    def median(self, run, peer, figure):
        return statistics.median(self.figures(run, peer, figure).values())

    def ratios(self, run, peer, figure):
        """The peer's figure by wsrv's of the same round."""
        peers, ours = self.figures(run, peer, figure), self.figures(run, "wsrv", figure)
        return sorted(peers[round_] / ours[round_] for round_ in peers.keys() & ours.keys() if ours[round_] > 0)


def table(results):
    others = [peer for peer in results.peers if peer != "wsrv"]
    yield "| | wsrv | " + " | ".join(others) + " |"
    yield "|---|" + "---|" * (len(others) + 1)
    for run in results.runs:
        for figure, name, form in rows(run):
            ours = results.figures(run, "wsrv", figure)
            cells = [form.format(statistics.median(ours.values())) if ours else "–"]
            for peer in others:
                ratios = results.ratios(run, peer, figure)
                median = f"{statistics.median(ratios):.2f}" if ratios else "–"
                cells.append(f"{median} ({ratios[0]:.2f}–{ratios[-1]:.2f})" if len(ratios) > 1 else median)
            yield f"| {run.label()}: {name} | " + " | ".join(cells) + " |"


def report(results):
    machine = results.machine
    yield "# wsrv beside its peers\n"
    yield f"{machine['date']}, commit {machine['commit']}, {machine['processors']} × {machine['processor']},"
    yield f"Linux {machine['kernel']}, {machine['rustc']}; {', '.join(machine['peers'])}.\n"
    yield f"The column of wsrv has medians of {results.rounds} rounds. The others have the median of the ratios to wsrv in the same"
    yield "round, and in brackets the least and the greatest: above 1, the peer takes more. What the rows mean and how they"
    yield "were measured is told in [benches/compare](../../benches/compare/README.md).\n"
    yield from table(results)
    for warning in results.warnings():
        yield f"\n{warning}"
    yield "\n![CPU a message by payload](cpu-by-payload.svg)\n"
    yield "![Memory by connections](memory-by-connections.svg)\n"
    yield "![CPU a delivery by subscribers](cpu-by-subscribers.svg)"


def curves(results, x, figure, wanted, scale=1):
    """For each peer the medians of a figure, by what is on the other axis."""
    runs = sorted(filter(wanted, results.runs), key=x)
    return {
        peer: [(x(run), results.median(run, peer, figure) * scale) for run in runs if (run, peer) in results.values]
        for peer in results.peers
    }


def write_report(results, folder):
    (folder / "README.md").write_text("\n".join(report(results)) + "\n")

    def draw(name, title, x_label, y_label, series):
        picture = plot.lines(title, x_label, y_label, series, log_x=True, log_y=True)
        (folder / f"{name}.svg").write_text(picture)

    def is_plain_echo(run):
        return (run.mode, run.connections, run.window, run.kind) == ("echo", 50, 16, "binary")

    def is_plain_broadcast(run):
        return (run.mode, run.size, run.window) == ("broadcast", 125, 1)

    payload = curves(results, lambda run: run.size, "cpu_ns", is_plain_echo, 1e-3)
    draw("cpu-by-payload", "CPU of the server a message, echo, 16 under way", "payload (bytes)", "µs", payload)
    subscribers = curves(results, lambda run: run.connections, "cpu_ns", is_plain_broadcast, 1e-3)
    draw("cpu-by-subscribers", "CPU of the server a delivery, broadcast of 125 B", "subscribers", "µs", subscribers)
    memory = curves(results, lambda run: run.connections, "bytes", lambda run: run.mode == "idle")
    memory = {peer: [(count, count * each / 2**20) for count, each in points] for peer, points in memory.items()}
    draw("memory-by-connections", "Memory of idle connections that have talked once", "connections", "MiB", memory)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--ms", type=int, help="how long each measurement takes, default 800")
    parser.add_argument("--modes", type=lambda text: text.split(","), help="only these: " + ",".join(ROWS))
    parser.add_argument("--peers", type=lambda text: text.split(","), help="only these, and wsrv: " + ",".join(PEERS))
    parser.add_argument("--cores", type=lambda text: tuple(map(int, text.split(","))), help="SERVER,LOAD; default: two of all")
    parser.add_argument("--out", type=Path, help="where to write; default docs/bench, and target/bench-quick for a part")
    return parser.parse_args()


def main():
    settings = parse_arguments()
    if settings.report:
        results = Results(settings.report)
        write_report(results, settings.out or settings.report.parent)
        print("\n".join(table(results)))
        return
    known = {"wsrv", *settings.peers} if settings.peers else set(PEERS)
    for unknown in [*(known - set(PEERS)), *(set(settings.modes or []) - set(ROWS))]:
        sys.exit(f"there is no {unknown}; see --help")
    present = build()
    settings.rounds = settings.rounds or (1 if settings.quick else 5)
    settings.ms = settings.ms or (200 if settings.quick else 800)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed, one for the server and one for the load")
    settings.cores = settings.cores or cores[:2]
    # What is only a part must not take the place of the whole.
    is_part = settings.quick or settings.modes or settings.peers
    settings.out = settings.out or (WSRV_TARGET / "bench-quick" if is_part else ROOT / "docs" / "bench")
    settings.peers = known & present
    settings.out.mkdir(parents=True, exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    runs = QUICK_RUNS if settings.quick else ALL_RUNS
    runs = [run for run in runs if not settings.modes or run.mode in settings.modes]
    file = settings.out / "results.jsonl"
    with file.open("w") as lines:
        lines.write(json.dumps(machine()) + "\n")
        measure_all(settings, runs, lines)
    results = Results(file)
    write_report(results, settings.out)
    print("\n".join([*table(results), "", *results.warnings()]))
    print(f"\nwritten to {settings.out}")


if __name__ == "__main__":
    main()
