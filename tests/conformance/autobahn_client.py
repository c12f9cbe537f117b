#!/usr/bin/env python3
"""Runs a client against the fuzzing server of the Autobahn test suite.

    autobahn_client.py                     all cases but those of compression, and a few of these
    autobahn_client.py --all               all cases; takes half an hour
    autobahn_client.py --cases 6.* 12.1.1  only these
    autobahn_client.py --client PROGRAM    the program, called with URL and AGENT

Every case must be OK, in its behaviour and in its closing. Exit status: as
autobahn.py's, which also installs the suite.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import autobahn
from autobahn import GROUPS, OUTPUT, ROOT, SUITE, TIMEOUTS, Untrusted, chosen_cases, passes, python27, sample

CLIENT = ROOT / "target" / "release" / "examples" / "autobahn_client"
AGENT = "client"
# The suite's server, which else listens on every interface.
SERVER = """
import autobahntestsuite.fuzzing as fuzzing, autobahntestsuite.wstest as wstest
listen = fuzzing.listenWS
fuzzing.listenWS = lambda factory, context=None: listen(factory, context, interface="127.0.0.1")
wstest.run()
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, suite):
    for _ in range(200):
        if suite.poll() is not None:
            raise Untrusted(f"the suite ended with status {suite.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise Untrusted("the fuzzing server does not listen")


def run(client, cases, limit):
    """Runs the cases and gives the suite's result of each."""
    url = f"ws://127.0.0.1:{free_port()}"
    spec = {
        "url": url,
        "outdir": str(OUTPUT / "client-reports"),
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
        # The third of them is a client's.
        "options": {name: TIMEOUTS[name] for name in ("openHandshakeTimeout", "closeHandshakeTimeout")},
    }
    (OUTPUT / "client-spec.json").write_text(json.dumps(spec, indent=1))
    options = ["-m", "fuzzingserver", "-u", "0", "-s", str(OUTPUT / "client-spec.json")]
    command = [str(SUITE / "bin" / "python"), "-c", SERVER, *options]
    with open(OUTPUT / "client-wstest.log", "w") as log:
        environment = dict(os.environ, PYTHONWARNINGS="ignore", PYTHONUNBUFFERED="1")
        suite = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=OUTPUT)
        try:
            wait_for(int(url.rpartition(":")[2]), suite)
            status = subprocess.run([client, url, AGENT], timeout=limit).returncode
            if status != 0:
                raise Untrusted(f"the client ended with status {status}")
            if suite.poll() is not None:
                raise Untrusted(f"the suite ended with status {suite.returncode}")
        except subprocess.TimeoutExpired as error:
            raise Untrusted(f"the client is still at it after {limit} s") from error
        finally:
            suite.kill()
            suite.wait()
    try:
        results = json.loads((OUTPUT / "client-reports" / "index.json").read_text())[AGENT]
    except (OSError, ValueError, KeyError) as error:
        raise Untrusted(f"the suite wrote no results: {error!r}") from error
    missing = [case for case in cases if case not in results]
    if missing or len(results) != len(cases):
        raise Untrusted(f"{len(results)} results for {len(cases)} cases; missing: {missing[:5]}")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="only these: 7.1.5, or 6.* for a group")
    parser.add_argument("--all", action="store_true", help="all of those of compression, too")
    parser.add_argument("--client", default=str(CLIENT), help="the program to test")
    parser.add_argument("--limit", type=int, default=3600, help="seconds for the whole run (3600)")
    args = parser.parse_args()
    try:
        autobahn.setup()
        OUTPUT.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(OUTPUT / "client-reports", ignore_errors=True)
        cases = chosen_cases(args.cases or [group + ".*" for group in GROUPS])
        if not (args.cases or args.all):
            cases = sample(cases)
        results = run(args.client, cases, args.limit)
    except (Untrusted, python27.CannotInstall, subprocess.CalledProcessError) as error:
        print(f"NOT TO BE TRUSTED: {error}")
        return 2
    failed = {case: result for case, result in results.items() if not passes(case, result)}
    for case, result in failed.items():
        print(f"FAILED {case}: {result['behavior']}, closing {result['behaviorClose']}")
    if failed:
        print(f"look at {OUTPUT.relative_to(ROOT)}/client-reports/index.html")
    print(f"{len(results)} cases: {len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
