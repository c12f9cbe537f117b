"""What is measured, who takes part, and what is aimed at."""
import typing

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
# Those that speak TLS; uWebSockets does so with OpenSSL only, whose memory would be compared.
OVER_TLS = {"wsrv": None, "axum": "axum-tls"}
# They are in every round and nearly every row; the others are in some rounds of what is plotted.
MAIN_PEERS = ["wsrv", "bare epoll", "uWebSockets"]
# fastwebsockets has no handle that others could send with.
BROADCASTING = {"wsrv", "bare epoll", "uWebSockets", "tokio-websockets", "tokio-tungstenite", "axum"}
# Rounds of the other peers; and of memory, which hardly varies and takes its time: those of the main peers, of others.
ROUNDS_OF_OTHERS = 3
ROUNDS_OF_MEMORY = (3, 1)


class Run(typing.NamedTuple):
    mode: str
    size: int = 16
    connections: int = 0
    window: int = 1
    kind: str = "binary"
    # Of the server, which is wsrv if there are any.
    options: str = ""

    def label(self):
        connections = f"{self.connections:,} connection" + "s" * (self.connections != 1)
        with_options = f"`{self.options}`" if self.options else ""
        match self.mode:
            case "echo" | "growth":
                kind = {"binary": "", "ascii": " of ASCII text", "mixed": " of non-ASCII text"}[self.kind]
                return f"echo {size(self.size)}{kind}, {connections}, {self.window} under way"
            case "broadcast":
                return f"broadcast {size(self.size)}, {self.connections:,} subscribers, {self.window} under way"
            case "handshake":
                return "opening handshake"
            case "close":
                return "opening and closing handshake"
            case "idle":
                return f"idle{' over TLS' if self.kind == 'tls' else ''}, {connections}"
            case "fairness":
                flood = f"one floods with {self.window} messages of {size(self.size)}" if self.window else "no flood"
                return f"{self.connections - 1} ping, {flood}"
            case "topics":
                return f"publish to {self.connections} subscribers, {with_options or 'no other groups'}"
            case "layers" | "threads":
                return f"echo {size(self.size)}, {connections}, {self.window} under way, {with_options or 'plain'}"

    def over_tls(self):
        return ["--tls"] if self.kind == "tls" else []

    def server_mode(self):
        return "broadcast" if self.mode in ("broadcast", "topics") else "echo"

    def load_arguments(self):
        match self.mode:
            case "handshake":
                return ["handshake"]
            case "close":
                return ["handshake", "--close"]
            case "idle":
                return ["idle", "--connections", self.connections, *self.over_tls()]
        mode = "fairness" if self.mode == "fairness" else self.server_mode()
        names = ["--size", "--connections", "--window", "--kind"]
        values = [self.size, self.connections, self.window, self.kind]
        return [mode, *(part for pair in zip(names, values) for part in pair)]

    def base(self):
        """The run that this one is compared with, if wsrv is compared with itself."""
        return self._replace(**BASES[self.mode]) if self.mode in BASES else None

    def peers(self):
        if self.mode in ("topics", "layers", "threads"):
            return ["wsrv"]
        if self.kind == "tls":
            return [peer for peer in PEERS if peer in OVER_TLS]
        if self not in WITH_ALL_PEERS:
            return MAIN_PEERS
        return self.able_peers()

    def able_peers(self):
        if self.kind == "tls":
            return self.peers()
        if self.server_mode() == "broadcast":
            return [peer for peer in PEERS if peer in BROADCASTING]
        if self.mode in ("echo", "growth"):
            return list(PEERS)
        return [peer for peer in PEERS if not peer.startswith("batched")]

    def rounds(self, peer, rounds):
        """In how many of so many rounds a peer takes part."""
        main = peer in MAIN_PEERS
        if self.mode == "idle":
            return min(rounds, ROUNDS_OF_MEMORY[0 if main else 1])
        return rounds if main else min(rounds, ROUNDS_OF_OTHERS)


def size(count):
    for unit, name in [(2**20, "MiB"), (2**10, "KiB")]:
        if count >= 4 * 2**10 and count % unit == 0 or count == unit:
            return f"{count // unit} {name}"
    return f"{count} B"


# In which way the run differs that others of its mode are compared with.
BASES = {
    "growth": {"connections": 50},
    "topics": {"options": ""},
    "layers": {"options": ""},
    "threads": {"options": ""},
    "fairness": {"window": 0},
}
THREADS = ["", "--threads 2", "--threads 2 --runtime-per-thread"]

SMALL = (16, 125, 1024)
# For the plots.
WITH_ALL_PEERS = [
    *(Run("echo", size, 50, 16) for size in (*SMALL, 4096, 16384, 65536)),
    Run("echo", 125, 50, 1),
    Run("echo", 1024, 50, 16, "mixed"),
    *(Run("broadcast", 125, subscribers, 1) for subscribers in (10, 100, 1000, 5000)),
    Run("handshake"),
    *(Run("idle", connections=connections) for connections in (1000, 5000, 10000)),
]
ALL_RUNS = [
    Run("echo", 125, 1, 1),
    *(Run("echo", size, connections, 1) for connections in (50, 500) for size in SMALL),
    *(Run("echo", size, 50, 16) for size in (*SMALL, 4096, 16384, 65536)),
    *(Run("echo", size, 500, 16) for size in SMALL),
    Run("echo", 16384, 50, 1),
    *(Run("echo", size, 10, 1) for size in (2**18, 2**20)),
    *(Run("echo", size, 50, 16, "ascii") for size in (125, 1024, 16384)),
    *(Run("echo", size, 50, 16, "mixed") for size in (125, 1024, 4096, 16384)),
    *(Run("broadcast", 125, subscribers, 1) for subscribers in (10, 100, 1000, 5000)),
    *(Run("broadcast", 125, subscribers, 16) for subscribers in (100, 1000, 5000)),
    Run("handshake"),
    Run("close"),
    *(Run("idle", connections=connections) for connections in (1000, 5000, 10000)),
    Run("idle", connections=1000, kind="tls"),
    *(Run("growth", 125, connections, window) for window in (1, 16) for connections in (50, 500, 5000)),
    *(Run("topics", 125, 100, 1, "binary", options) for options in ("", "--topics 100000")),
    *(Run("fairness", 1024, 101, window) for window in (0, 256)),
    *(Run("layers", 125, 50, window, "binary", options) for window in (1, 16) for options in ("", "--layers 3")),
    *(Run("threads", 125, 100, window, "binary", options) for window in (1, 16) for options in THREADS),
]
QUICK_RUNS = [
    Run("echo", 125, 50, 1),
    Run("echo", 125, 50, 16),
    Run("echo", 2**20, 10, 1),
    Run("echo", 1024, 50, 16, "mixed"),
    Run("broadcast", 125, 100, 1),
    Run("broadcast", 125, 100, 16),
    Run("handshake"),
    Run("close"),
    Run("idle", connections=1000),
    *(Run("growth", 125, connections, 16) for connections in (50, 500)),
    *(Run("topics", 125, 100, 1, "binary", options) for options in ("", "--topics 10000")),
    *(Run("fairness", 1024, 101, window) for window in (0, 256)),
    *(Run("layers", 125, 50, 16, "binary", options) for options in ("", "--layers 3")),
    *(Run("threads", 125, 100, 16, "binary", options) for options in THREADS),
]
MODES = list(dict.fromkeys(run.mode for run in ALL_RUNS))


class Figure(typing.NamedTuple):
    """What the table has a row for: its field, what it is called, how it is written."""

    field: str
    name: str
    form: str

    def write(self, value):
        return self.form.format(value)


CPU = Figure("cpu_ns", "CPU a message", "{:,.0f} ns")
FIGURES = {
    "echo": [CPU],
    "broadcast": [Figure("cpu_ns", "CPU a delivery", "{:,.0f} ns")],
    "handshake": [Figure("cpu_ns", "CPU", "{:,.0f} ns")],
    "close": [Figure("cpu_ns", "CPU", "{:,.0f} ns")],
    "idle": [
        Figure("anonymous_bytes", "memory a connection", "{:,.0f} B"),
        Figure("kept", "of that kept after closing", "{:.0%}"),
    ],
    "growth": [CPU],
    "topics": [Figure("cpu_ns", "CPU a delivery", "{:,.0f} ns")],
    "fairness": [
        Figure("p50_ns", "latency of a ping, median", "{:,.0f} ns"),
        Figure("p99_ns", "latency of a ping, p99", "{:,.0f} ns"),
    ],
    "layers": [CPU],
    "threads": [CPU, Figure("per_s", "messages a second", "{:,.0f}")],
}
# With one message under way, latency is the server's; with many it is the queue's.
LATENCY = Figure("p99_ns", "latency p99", "{:,.0f} ns")


def figures(run):
    with_latency = run.mode == "echo" and run.window == 1 and run.connections > 1
    return FIGURES[run.mode] + ([LATENCY] if with_latency else [])


class Target(typing.NamedTuple):
    bound: float
    is_least: bool = False
    form: str = "{:.2f}"

    def is_met(self, value):
        return value >= self.bound if self.is_least else value <= self.bound

    def __str__(self):
        return ("≥ " if self.is_least else "≤ ") + self.form.format(self.bound)


# The figure of wsrv by that of uWebSockets, in CPU.
BESIDE_UWEBSOCKETS = {
    **{Run("echo", size, connections, 1): Target(1.02) for size in SMALL for connections in (50, 500)},
    **{Run("echo", size, connections, 16): Target(0.95) for size in SMALL for connections in (50, 500)},
    Run("echo", 16384, 50, 1): Target(1.03),
    Run("echo", 16384, 50, 16): Target(0.80),
    Run("echo", 2**18, 10, 1): Target(0.90),
    Run("echo", 2**20, 10, 1): Target(0.80),
    # From 0.80 to 0.45, in a straight line by the logarithm of the size.
    Run("echo", 125, 50, 16, "mixed"): Target(0.80),
    Run("echo", 1024, 50, 16, "mixed"): Target(0.65),
    Run("echo", 4096, 50, 16, "mixed"): Target(0.55),
    Run("echo", 16384, 50, 16, "mixed"): Target(0.45),
    **{Run("broadcast", 125, subscribers, 1): Target(0.98) for subscribers in (100, 1000, 5000)},
    **{Run("broadcast", 125, subscribers, 16): Target(0.85) for subscribers in (100, 1000, 5000)},
    Run("handshake"): Target(1.12),
    Run("close"): Target(1.12),
}
# A figure of wsrv alone.
ALONE = {
    (Run("idle", connections=10000), "anonymous_bytes"): Target(1200, form="{:,.0f} B"),
    (Run("idle", connections=10000), "kept"): Target(0.5, form="{:.0%}"),
}
# A figure of wsrv by its own in the run it is compared with.
BESIDE_ITSELF = {
    ("growth", "cpu_ns"): Target(1.10),
    ("topics", "cpu_ns"): Target(1.10),
    ("fairness", "p99_ns"): Target(5),
    ("layers", "cpu_ns"): Target(1.03),
    ("threads", "per_s"): Target(1.8, is_least=True),
}
