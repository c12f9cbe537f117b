#!/usr/bin/env python3
"""Runs wsrv and its peers at the same work, one after the other, round after round.

  benches/compare/run.py                builds all, measures, writes to docs/bench
  benches/compare/run.py --resume       goes on with a run that was interrupted
  benches/compare/run.py --quick        a minute or two, to see that it works; writes to target/bench-quick
  benches/compare/run.py --report FILE  the tables and the plots again, from the lines of an earlier run

What the figures mean is told in benches/compare/README.md; what is measured, in rows.py.
"""
import argparse
import ctypes
import datetime
import json
import os
import platform
import random
import resource
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from report import Results, read, run_of, tables, write_report
from rows import ALL_RUNS, MODES, OVER_TLS, PEERS, QUICK_RUNS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WSRV_TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TARGET = WSRV_TARGET / "compare" if "CARGO_TARGET_DIR" in os.environ else HERE / "target"
BINARIES = TARGET / "release"
UWS = TARGET / "uws"
PATIENCE = 60  # seconds, for a measurement


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


def machine(settings):
    """What a reader must know of the machine and of the programs."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    crates = output("cargo", "tree", "--depth", "1", "--prefix", "none", "--edges", "normal").splitlines()
    crates = [" ".join(crate.split()[:2]) for crate in crates]
    changed = "-changed" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output("git", "rev-parse", "--short", "HEAD") + changed,
        "command": shlex.join(["benches/compare/run.py", *(part for part in sys.argv[1:] if part != "--resume")]),
        "ms": settings.ms,
        "processor": models[0].split(": ")[1] if models else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "rustc": output("rustc", "--version"),
        "peers": [crate for crate in crates if crate.split()[0] in PEERS] + ["uWebSockets of libuwebsockets-sys v0.0.10"],
    }


def command(run, peer, port):
    if peer == "wsrv":
        program = WSRV_TARGET / "release" / "examples" / "bench_peer"
        return [program, run.server_mode(), str(port), *run.over_tls(), *run.options.split()]
    if peer == "uWebSockets":
        return [UWS, run.server_mode(), str(port)]
    names = OVER_TLS if run.kind == "tls" else PEERS
    return [BINARIES / "peer", names[peer], run.server_mode(), str(port)]


def start(command, cores, **pipes):
    """Starts it on cores of its own, so that the kernel does not move it about. It ends with this process, whatever ends
    that."""
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def prepare():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
        os.sched_setaffinity(0, cores)

    return subprocess.Popen(list(map(str, command)), text=True, preexec_fn=prepare, **pipes)


def free_port():
    """One below those from which the system takes ports for clients, so that none of them comes in between."""
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def place(run, settings):
    """The cores of the server, and of each load. Several loads only where a server of several threads can show it."""
    threads = int(run.options.split()[1]) if run.options.startswith("--threads") else 1
    most = max(2, threads)
    if run.mode != "threads" or len(settings.spare) < most:
        server, load = settings.cores
        return {server}, [{load}]
    cores = [*settings.cores, *settings.spare]
    return set(cores[:threads]), [{core} for core in cores[most:]]


def measure(run, peer, settings):
    server_cores, load_cores = place(run, settings)
    port = free_port()
    server = start(command(run, peer, port), server_cores, stdout=subprocess.PIPE)
    loads = []
    try:
        readable, _, _ = select.select([server.stdout], [], [], PATIENCE)
        if not readable or server.stdout.readline().strip() != "ready":
            return {"error": "it does not start"}
        # Those that share the work share the connections.
        run = run._replace(connections=run.connections // len(load_cores))
        load = [BINARIES / "load", "--port", port, "--pid", server.pid, "--ms", settings.ms, *run.load_arguments()]
        for cores in load_cores:
            loads.append(start(load, {*cores}, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        figures = []
        for load in loads:
            out, error = load.communicate(timeout=PATIENCE)
            if load.returncode != 0:
                return {"error": error.strip()}
            figures.append(json.loads(out))
        return together(figures) | ({"parallel": len(loads) > 1} if run.mode == "threads" else {})
    except subprocess.TimeoutExpired:
        return {"error": "it took too long"}
    finally:
        for process in [*loads, server]:
            process.kill()
            process.wait()


def together(figures):
    """What several loads have seen at the same time."""
    if len(figures) == 1:
        return figures[0]
    per_s = sum(each["per_s"] for each in figures)
    busy, load_busy = (sum(each[name] for each in figures) / len(figures) for name in ("server_busy", "load_busy"))
    return {"cpu_ns": busy * 1e9 / per_s, "per_s": per_s, "server_busy": busy, "load_busy": load_busy}


def plan(settings, runs):
    """All measurements in their order. What is compared is measured close together, and nobody always comes first."""
    groups = {}
    for run in runs:
        groups.setdefault(run.base() or run, []).append(run)

    def turned(items, round_):
        turn = round_ % len(items)
        return items[turn:] + items[:turn]

    for round_ in range(settings.rounds):
        for group in groups.values():
            peers = group[0].able_peers() if settings.chosen_peers else group[0].peers()
            for peer in turned([peer for peer in peers if peer in settings.peers], round_):
                for run in turned(group, round_):
                    has_part = settings.chosen_peers or round_ < run.rounds(peer, settings.rounds)
                    if has_part and (peer == "wsrv" or not run.options):
                        yield round_, run, peer


def measure_all(settings, runs, lines, done):
    measurements = [each for each in plan(settings, runs) if each not in done]
    began, last = time.monotonic(), None
    for at, (round_, run, peer) in enumerate(measurements):
        took = time.monotonic() - began
        left = f", {took / at * (len(measurements) - at) / 60:.0f} min left" if at > 0 else ""
        progress = f"{at + 1} of {len(measurements)}{left}: round {round_ + 1}: {run.label()}"
        if sys.stderr.isatty():
            print(f"\r\033[K{progress}: {peer}", end="", file=sys.stderr, flush=True)
        elif run != last:
            print(progress, file=sys.stderr, flush=True)
        last = run
        figures = measure(run, peer, settings)
        line = {"round": round_, **run._asdict(), "ms": settings.ms, "peer": peer, **figures}
        lines.write(json.dumps(line) + "\n")
        lines.flush()
        if "error" in figures:
            print(f"\n{run.label()}: {peer}: {figures['error']}", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def resumed(file, header):
    """What has been measured already, and rewrites the file without what failed or was cut short."""
    before, lines = read(file)
    for field in ("commit", "ms", "processor"):
        if before[field] != header[field]:
            sys.exit(f"{file} has another {field}: {before[field]}, and now {header[field]}")
    lines = [line for line in lines if "error" not in line]
    file.write_text("".join(json.dumps(line) + "\n" for line in [before, *lines]))
    return {(line["round"], run_of(line), line["peer"]) for line in lines}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--resume", action="store_true", help="with the other arguments as they were")
    parser.add_argument("--report", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, help="default 7")
    parser.add_argument("--ms", type=int, help="how long each measurement takes, default 700")
    parser.add_argument("--modes", type=lambda text: text.split(","), help="only these: " + ",".join(MODES))
    peers_help = "only these, and wsrv, but in every row: " + ",".join(PEERS)
    parser.add_argument("--peers", type=lambda text: text.split(","), help=peers_help)
    cores_help = "SERVER,LOAD[,MORE…]; default: all. More are used where a server has several threads"
    parser.add_argument("--cores", type=lambda text: list(map(int, text.split(","))), help=cores_help)
    parser.add_argument("--out", type=Path, help="where to write; default docs/bench, and target/bench-quick for a part")
    return parser.parse_args()


def main():
    settings = parse_arguments()
    if settings.report:
        results = Results(settings.report)
        write_report(results, settings.out or settings.report.parent)
        print("\n".join(tables(results)))
        return
    known = {"wsrv", *settings.peers} if settings.peers else set(PEERS)
    for unknown in [*(known - set(PEERS)), *(set(settings.modes or []) - set(MODES))]:
        sys.exit(f"there is no {unknown}; see --help")
    # Ended by a signal, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal; --resume goes on"))
    present = build()
    settings.rounds = settings.rounds or (1 if settings.quick else 7)
    settings.ms = settings.ms or (200 if settings.quick else 700)
    cores = list(dict.fromkeys(settings.cores or sorted(os.sched_getaffinity(0))))
    if len(cores) < 2:
        sys.exit("two cores are needed, one for the server and one for the load")
    settings.cores, settings.spare = cores[:2], cores[2:]
    # What is only a part must not take the place of the whole.
    is_part = settings.quick or settings.modes or settings.peers
    settings.out = settings.out or (WSRV_TARGET / "bench-quick" if is_part else ROOT / "docs" / "bench")
    settings.chosen_peers = settings.peers is not None
    settings.peers = known & present
    settings.out.mkdir(parents=True, exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    runs = QUICK_RUNS if settings.quick else ALL_RUNS
    runs = [run for run in runs if not settings.modes or run.mode in settings.modes]
    file, header, done = settings.out / "results.jsonl", machine(settings), set()
    if settings.resume and file.exists():
        done = resumed(file, header)
    else:
        file.write_text(json.dumps(header) + "\n")
    try:
        with file.open("a") as lines:
            measure_all(settings, runs, lines, done)
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; --resume goes on")
    results = Results(file)
    write_report(results, settings.out)
    print("\n".join(tables(results)))
    print(f"\nwritten to {settings.out}")


if __name__ == "__main__":
    main()
