"""From the lines of a run to tables and plots."""
import json
import statistics

import plot
from rows import ALONE, BESIDE_ITSELF, BESIDE_UWEBSOCKETS, CPU, MAIN_PEERS, PEERS, Run, figures

# A run in which the server hardly ran: the kernel counts its time too coarsely for that.
LEAST_CPU_NS = 20e6

SECTIONS = {
    "Echo": lambda run: run.mode == "echo" and run.kind == "binary",
    "Echo of text": lambda run: run.mode == "echo" and run.kind != "binary",
    "Broadcast": lambda run: run.mode == "broadcast",
    "Handshakes": lambda run: run.mode in ("handshake", "close"),
    "Memory": lambda run: run.mode == "idle",
}


def read(file):
    """The header and the lines. The last one may have been cut short."""
    lines = []
    for text in file.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines[0], lines[1:]


def run_of(line):
    return Run(**{field: line[field] for field in Run._fields if field in line})


class Results:
    def __init__(self, file):
        self.machine, lines = read(file)
        self.rounds = 0
        self.left_out = 0
        self.values = {}  # (run, peer) → round → figures
        for line in lines:
            self.rounds = max(self.rounds, line["round"] + 1)
            if "error" in line or self.is_too_little(line):
                self.left_out += 1
            else:
                self.values.setdefault((run_of(line), line["peer"]), {})[line["round"]] = line
        self.runs = list(dict.fromkeys(run for run, _ in self.values))
        present = {peer for _, peer in self.values}
        self.peers = [peer for peer in PEERS if peer in present]

    @staticmethod
    def is_too_little(line):
        # Latency needs no time of the server's.
        is_cpu = "server_busy" in line and line["mode"] != "fairness"
        return is_cpu and line["server_busy"] * line["ms"] * 1e6 < LEAST_CPU_NS

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
        if any(run.mode == "threads" for run in self.runs) and not self.in_parallel():
            yield (
                "Two threads that serve need two cores, and their load two more; here they shared one. So this shows what "
                "a shape of the runtime costs, and not what a second thread gains."
            )

    def in_parallel(self):
        """Whether the threads of the server had cores of their own."""
        lines = [line for (run, _), rounds in self.values.items() if run.mode == "threads" for line in rounds.values()]
        return bool(lines) and all(line["parallel"] for line in lines)

    def figures(self, run, peer, field):
        rounds = self.values.get((run, peer), {})
        return {round_: line[field] for round_, line in rounds.items() if field in line}

    def median(self, run, peer, field):
        values = self.figures(run, peer, field).values()
        return statistics.median(values) if values else None

    def ratios(self, field, one, other):
        """The figure of one (run, peer) by that of the other, in the same round."""
        ones, others = self.figures(*one, field), self.figures(*other, field)
        return sorted(ones[round_] / others[round_] for round_ in ones.keys() & others.keys() if others[round_] > 0)


def with_range(ratios, digits=2):
    if not ratios:
        return "–"
    median = f"{statistics.median(ratios):.{digits}f}"
    return f"{median} ({ratios[0]:.2f}–{ratios[-1]:.2f})" if len(ratios) > 1 else median


def judged(target, value):
    """The cell of a target, and whether it is met."""
    if target is None or value is None:
        return "", None
    met = target.is_met(value)
    return f"{target}: {'met' if met else '**missed**'}", met


def table_row(cells):
    return "| " + " | ".join(cells) + " |"


def peers_tables(results, verdicts):
    """wsrv beside its peers, section by section. Adds to `verdicts` whether targets are met."""
    for title, belongs in SECTIONS.items():
        runs = [run for run in results.runs if belongs(run)]
        if not runs:
            continue
        others = [peer for peer in results.peers[1:] if any((run, peer) in results.values for run in runs)]
        yield f"\n### {title}\n"
        yield table_row(["", "wsrv", "wsrv / uWebSockets", "target", *(f"{peer} / wsrv" for peer in others)])
        yield "|---|" + "---|" * (len(others) + 3)
        for run in runs:
            for figure in figures(run):
                median = results.median(run, "wsrv", figure.field)
                beside = results.ratios(figure.field, (run, "wsrv"), (run, "uWebSockets"))
                if (target := ALONE.get((run, figure.field))) is not None:
                    cell, met = judged(target, median)
                else:
                    target = BESIDE_UWEBSOCKETS.get(run) if figure.field == CPU.field else None
                    cell, met = judged(target, statistics.median(beside) if beside else None)
                verdicts.append(met)
                ratios = [results.ratios(figure.field, (run, peer), (run, "wsrv")) for peer in others]
                ours = "–" if median is None else figure.write(median)
                row = [f"{run.label()}: {figure.name}", ours, with_range(beside, 3), cell, *map(with_range, ratios)]
                yield table_row(row)


def itself_table(results, verdicts):
    """wsrv beside itself: each run by the one that it is compared with, and what the same is with others."""
    runs = [run for run in results.runs if run.base() not in (None, run)]
    if not runs:
        return
    others = [peer for peer in MAIN_PEERS[1:] if any((run, peer) in results.values for run in runs)]
    yield "\n## wsrv beside itself\n"
    yield "Each figure by that of the first row of its kind: 50 connections, no other groups, no flood, no layers, one thread."
    yield "On the right the same for others, each by its own.\n"
    yield table_row(["", "base", "here", "ratio", "target", *others])
    yield "|---|" + "---|" * (len(others) + 4)
    for run in runs:
        for figure in figures(run):
            if run.mode == "threads" and figure.field == "per_s" and not results.in_parallel():
                continue
            medians = [results.median(which, "wsrv", figure.field) for which in (run.base(), run)]
            ratios = {
                peer: results.ratios(figure.field, (run, peer), (run.base(), peer)) for peer in ["wsrv", *others]
            }
            ours = ratios["wsrv"]
            target = BESIDE_ITSELF.get((run.mode, figure.field))
            cell, met = judged(target, statistics.median(ours) if ours else None)
            verdicts.append(met)
            values = ["–" if median is None else figure.write(median) for median in medians]
            cells = [f"{run.label()}: {figure.name}", *values, with_range(ours, 3), cell]
            yield table_row([*cells, *(with_range(ratios[peer]) for peer in others)])


def tables(results):
    verdicts = []
    lines = [*peers_tables(results, verdicts), *itself_table(results, verdicts)]
    with_target = [met for met in verdicts if met is not None]
    if with_target:
        lines.append(f"\n{sum(with_target)} of {len(with_target)} targets are met.")
    lines += [f"\n{warning}" for warning in results.warnings()]
    return lines


PLOTS = {
    "cpu-by-payload": "CPU of the server a message: echo, 50 connections, 16 under way",
    "cpu-by-subscribers": "CPU of the server a delivery: broadcast of 125 B, 1 under way",
    "memory-by-connections": "Memory of the server: idle connections that have talked once",
}


def report(results):
    machine = results.machine
    where = f"{machine['processors']} × {machine['processor']}, Linux {machine['kernel']}"
    yield "# wsrv beside its peers\n"
    yield f"{machine['date']}, commit {machine['commit']}, {where},"
    yield f"{machine['rustc']}; {', '.join(machine['peers'])}. Made by\n"
    yield f"```sh\n{machine.get('command', 'benches/compare/run.py')}\n```\n"
    yield f"The column of wsrv has medians of up to {results.rounds} rounds. Ratios are medians of the ratios within a round, and in"
    yield "brackets stand the least and the greatest. A target is for the ratio of wsrv to uWebSockets, or for the figure of"
    yield "wsrv if it has a unit. What the rows mean and how they were measured is told in"
    yield "[benches/compare](../../benches/compare/README.md)."
    yield from tables(results)
    yield "\n## Plots"
    for name, title in PLOTS.items():
        yield f"\n![{title}]({name}.svg)\n"
        yield f"{title}. {where}, {machine['date']}; `{machine.get('command', 'benches/compare/run.py')}`."


def curves(results, x, field, wanted, scale=1):
    """For each peer the medians of a figure, by what is on the other axis."""
    runs = sorted(filter(wanted, results.runs), key=x)
    return {
        peer: [(x(run), results.median(run, peer, field) * scale) for run in runs if (run, peer) in results.values]
        for peer in results.peers
    }


def write_report(results, folder):
    (folder / "README.md").write_text("\n".join(report(results)) + "\n")

    def draw(name, x_label, y_label, series):
        picture = plot.lines(PLOTS[name], x_label, y_label, series, log_x=True, log_y=True)
        (folder / f"{name}.svg").write_text(picture)

    def is_plain_echo(run):
        return (run.mode, run.connections, run.window, run.kind) == ("echo", 50, 16, "binary")

    def is_plain_broadcast(run):
        return (run.mode, run.size, run.window) == ("broadcast", 125, 1)

    payload = curves(results, lambda run: run.size, "cpu_ns", is_plain_echo, 1e-3)
    draw("cpu-by-payload", "payload (bytes)", "µs", payload)
    subscribers = curves(results, lambda run: run.connections, "cpu_ns", is_plain_broadcast, 1e-3)
    draw("cpu-by-subscribers", "subscribers", "µs", subscribers)
    memory = curves(results, lambda run: run.connections, "anonymous_bytes", lambda run: run.mode == "idle" and run.kind != "tls")
    memory = {peer: [(count, count * each / 2**20) for count, each in points] for peer, points in memory.items()}
    draw("memory-by-connections", "connections", "MiB", memory)
