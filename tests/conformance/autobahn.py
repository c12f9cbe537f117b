#!/usr/bin/env python3
"""Runs the Autobahn test suite against a server and judges every case.

    autobahn.py --setup            install the suite into .tools/autobahn
    autobahn.py                    run most of it and compare with autobahn-server.md
    autobahn.py --all              the same with all cases of compression, which take long
    autobahn.py --host axum        the same with the server inside axum
    autobahn.py --update           run all of it and rewrite autobahn-server.md
    autobahn.py --cases 6.* 7.1.5  run only these, compare nothing

Every case must be OK, in its behaviour and in its closing. Exit status: 0 all
is well, 1 a case or the comparison failed, 2 the run cannot be trusted (a case
has no result, the suite or the server ended early), 77 there is no Python 2.7.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

sys.path.insert(0, str(HERE.parent / "common"))
import python27  # noqa: E402

SUITE = ROOT / ".tools" / "autobahn"
PINS = HERE / "requirements.txt"
TABLE = HERE / "autobahn-server.md"
OUTPUT = ROOT / "target" / "autobahn"
SERVER = ROOT / "target" / "release" / "examples" / "conformance"
# The largest message of the suite has 16 MiB. Whatever gets shorter is compressed.
SERVER_ARGS = ["--listen", "127.0.0.1:0", "--max-message", str(32 * 1024 * 1024), "--deflate", "all"]

GROUPS = {
    "1": "Text and binary messages",
    "2": "Ping and pong",
    "3": "Reserved bits",
    "4": "Reserved opcodes",
    "5": "Fragments",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Large messages and many messages",
    "10": "Messages sent in many fragments",
    "12": "Compression: kinds and sizes of messages",
    "13": "Compression: parameters",
}
# A case of these sends 1,000 messages and takes seconds, and there are 216: without --all, of each kind and set of
# parameters only those with messages of 16 bytes, and of 8 KiB in frames of 256 bytes.
LONG_GROUPS = ("12", "13")
SAMPLE = re.compile(r"1[23]\.\d+\.(1|11)")
# The suite has no opinion on these, whoever answers: data in flight during the
# closing handshake, and close codes outside the defined ranges.
NO_OPINION = re.compile(r"7\.1\.6|7\.13\.\d+")

# The suite's own limits, 5 s and 1 s, are too tight for a busy machine.
TIMEOUTS = {
    "openHandshakeTimeout": 20,
    "closeHandshakeTimeout": 5,
    "serverConnectionDropTimeout": 5,
}


class Untrusted(Exception):
    """The run says nothing about the server."""


# --- the suite's environment -------------------------------------------------


def setup():
    """Makes the suite's environment, unless these very pins are installed."""
    python27.install(SUITE, PINS, "the Autobahn test suite", ["wstest", "-a"])


# --- one run -----------------------------------------------------------------


@contextlib.contextmanager
def server(program, host):
    """Starts the server and gives its URL; complains if it ended by itself."""
    log = open(OUTPUT / "server.log", "w+")
    child = subprocess.Popen(
        [program, *SERVER_ARGS, "--host", host], stdout=subprocess.PIPE, stderr=log, text=True
    )
    overdue = threading.Timer(20, child.kill)
    overdue.start()
    ready = child.stdout.readline().split()
    overdue.cancel()
    try:
        if len(ready) != 2 or ready[0] != "ready":
            raise Untrusted(f"the server did not become ready, see {log.name}")
        yield ready[1]
        if child.poll() is not None:
            raise Untrusted(f"the server ended with status {child.returncode}, see {log.name}")
    finally:
        child.kill()
        child.wait()


def sample(cases):
    """Those of them that do not take long."""
    return [case for case in cases if group_of(case) not in LONG_GROUPS or SAMPLE.fullmatch(case)]


def chosen_cases(patterns):
    """The suite's case ids that match, in the suite's order."""
    listing = "import autobahntestsuite.case as c; print(' '.join(x.__name__[4:] for x in c.Cases))"
    out = subprocess.run(
        [str(SUITE / "bin" / "python"), "-W", "ignore", "-c", listing],
        check=True,
        capture_output=True,
        text=True,
        cwd=OUTPUT,  # Python looks here first, and this file's name is a package of the suite
    )
    known = [name.replace("_", ".") for name in out.stdout.split()]
    chosen = set()
    for pattern in patterns:
        hits = {c for c in known if c == pattern or pattern.endswith(".*") and c.startswith(pattern[:-1])}
        if not hits:
            raise Untrusted(f"the suite has no case {pattern}")
        chosen |= hits
    return [case for case in known if case in chosen]


def run_suite(url, cases, limit):
    """Runs the cases and gives the suite's result of each."""
    spec = {
        "outdir": str(OUTPUT / "reports"),
        "servers": [{"agent": "server", "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
        "options": TIMEOUTS,
    }
    (OUTPUT / "spec.json").write_text(json.dumps(spec, indent=1))
    command = [str(SUITE / "bin" / "wstest"), "-m", "fuzzingclient", "-s", str(OUTPUT / "spec.json")]
    suite = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(os.environ, PYTHONWARNINGS="ignore", PYTHONUNBUFFERED="1"),
    )
    overdue = threading.Timer(limit, suite.kill)
    overdue.start()
    refused = None
    try:
        with open(OUTPUT / "wstest.log", "w") as log:
            for line in suite.stdout:
                log.write(line)
                if re.match(r"Connection to .* failed", line):
                    refused = refused or line.strip()
                progress(line)
    finally:
        overdue.cancel()
        suite.kill()
        suite.wait()
    # The suite ends with 0 whatever happened, so its own status proves little.
    if refused:
        raise Untrusted(refused)
    if suite.returncode != 0:
        raise Untrusted(f"the suite ended with status {suite.returncode} (limit {limit} s)")
    try:
        results = json.loads((OUTPUT / "reports" / "index.json").read_text())["server"]
    except (OSError, ValueError, KeyError) as error:
        raise Untrusted(f"the suite wrote no results: {error!r}") from error
    missing = [case for case in cases if case not in results]
    if missing or len(results) != len(cases):
        raise Untrusted(f"{len(results)} results for {len(cases)} cases; missing: {missing[:5]}")
    return results


def progress(line):
    """Shows the running case: in place on a terminal, else once per group."""
    found = re.search(r"test case ID (\d+)(\.[\d.]+)", line)
    if not found:
        return
    if sys.stdout.isatty():
        print(f"\r  case {found[1]}{found[2]}      ", end="", flush=True)
    elif progress.group != found[1]:
        print(f"  group {found[1]}: {GROUPS.get(found[1], '')}", flush=True)
    progress.group = found[1]


progress.group = None


# --- judging -----------------------------------------------------------------


def passes(case, result):
    allowed = {"OK", "INFORMATIONAL"} if NO_OPINION.fullmatch(case) else {"OK"}
    return {result["behavior"], result["behaviorClose"]} <= allowed


def group_of(case):
    return case.split(".")[0]


def table(results):
    """All results as Markdown, without anything that changes between runs."""
    cases = sorted(results, key=lambda case: [int(part) for part in case.split(".")])
    groups = sorted({group_of(case) for case in cases}, key=int)

    def counts(title, members):
        ok = sum(results[c]["behavior"] == results[c]["behaviorClose"] == "OK" for c in members)
        good = sum(passes(c, results[c]) for c in members)
        return f"| {title} | {len(members)} | {ok} | {good - ok} | {len(members) - good} |"

    lines = [
        "# Autobahn test suite: the server's results",
        "",
        "Written by `scripts/test --update-conformance`; every run of `scripts/test` must give the same,",
        "and `scripts/test --long` runs all of these cases.",
        "A case is OK when its behaviour and its closing are. *Informational* are cases on which the suite",
        "has no opinion (7.1.6, 7.13.\\*). The last column is the close code that the server sent.",
        "",
        "| group | cases | OK | informational | failed |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for group in groups:
        title = f"{group} {GROUPS.get(group, '')}".strip()
        lines.append(counts(title, [c for c in cases if group_of(c) == group]))
    lines.append(counts("all", cases))
    for group in groups:
        lines += ["", f"## {group} {GROUPS.get(group, '')}".rstrip(), ""]
        lines += ["| case | behaviour | closing | close code |", "| --- | --- | --- | --- |"]
        for case in (c for c in cases if group_of(c) == group):
            result = results[case]
            code = result["remoteCloseCode"]
            code = "none" if code is None else code
            lines.append(f"| {case} | {result['behavior']} | {result['behaviorClose']} | {code} |")
    return "\n".join(lines) + "\n"


def rows(text):
    """The results in a table, by case."""
    return dict(re.findall(r"^\| (\d[\d.]+) (\|.*\|)$", text, re.MULTILINE))


def judge(results, compare, update):
    failed = {case: result for case, result in results.items() if not passes(case, result)}
    for case, result in failed.items():
        print(f"FAILED {case}: {result['behavior']}, closing {result['behaviorClose']}")
    if failed:
        print(f"look at {OUTPUT.relative_to(ROOT)}/reports/index.html")

    differs = False
    if compare:
        fresh = table(results)
        (OUTPUT / TABLE.name).write_text(fresh)
        known = TABLE.read_text() if TABLE.exists() else ""
        if update:
            TABLE.write_text(fresh)
            print(f"wrote {TABLE.relative_to(ROOT)}")
        else:
            # Not all cases are run each time, so their rows are compared and nothing else.
            old, new = rows(known), rows(fresh)
            for case in new:
                if new[case] != old.get(case):
                    differs = True
                    print(f"{case} differs from {TABLE.relative_to(ROOT)}: {old.get(case)} was {new[case]} in this run")
    print(f"{len(results)} cases: {len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or differs else 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--setup", action="store_true", help="install the suite and stop")
    parser.add_argument("--all", action="store_true", help="all cases, also those that take long")
    parser.add_argument("--update", action="store_true", help="run all cases and rewrite the table of results")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="only these: 7.1.5, or 6.* for a group")
    parser.add_argument("--server", default=str(SERVER), help="the program to test")
    parser.add_argument("--host", default="own", help="what serves: own, our listener, or axum (own)")
    parser.add_argument("--url", help="test the server that listens here instead of starting one")
    parser.add_argument("--limit", type=int, default=3600, help="seconds for the whole run (3600)")
    args = parser.parse_args()
    if args.update and args.cases:
        parser.error("--update needs all cases")

    try:
        setup()
        if args.setup:
            return 0
        shutil.rmtree(OUTPUT, ignore_errors=True)
        OUTPUT.mkdir(parents=True)
        cases = chosen_cases(args.cases or [group + ".*" for group in GROUPS])
        if not (args.cases or args.all or args.update):
            cases = sample(cases)
        print(f"{len(cases)} cases", flush=True)
        with contextlib.nullcontext(args.url) if args.url else server(args.server, args.host) as url:
            results = run_suite(url, cases, args.limit)
        return judge(results, compare=not args.cases, update=args.update)
    except (Untrusted, python27.CannotInstall, subprocess.CalledProcessError) as error:
        print(f"NOT TO BE TRUSTED: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
