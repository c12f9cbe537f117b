#!/usr/bin/env python3
"""Copies from fuzz/target/found/TARGET to fuzz/corpus/TARGET what reaches most that the corpus does not reach.

    python3 fuzz/keep.py TARGET [FILES]

At most FILES are copied, 100 if it is not said, and none of more than 2 KiB. A file's name is the hash of its content.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent


def reached(target, *folders):
    """The edges of the program that each file reaches."""
    with tempfile.TemporaryDirectory() as empty:
        control = pathlib.Path(empty, "control")
        pathlib.Path(empty, "out").mkdir()
        options = ["-merge=1", "-set_cover_merge=1", "-use_counters=0", f"-merge_control_file={control}"]
        command = ["cargo", "+nightly", "fuzz", "run", target, f"{empty}/out", *map(str, folders), "--", *options]
        subprocess.run(command, cwd=ROOT.parent, check=True, stderr=subprocess.DEVNULL)
        count, _, *lines = control.read_text().splitlines()
    files = [pathlib.Path(line) for line in lines[: int(count)]]
    edges = {}
    for line in lines[int(count) :]:
        kind, at, *numbers = line.split()
        if kind == "FT":
            edges[files[int(at)]] = set(numbers)
    return edges


def main(target, most=100):
    corpus, found = ROOT / "corpus" / target, ROOT / "target" / "found" / target
    edges = reached(target, corpus, found)
    covered = set().union(*(reach for path, reach in edges.items() if path.parent == corpus))
    left = {path: reach for path, reach in edges.items() if path.parent == found and path.stat().st_size <= 2048}
    before, copied = len(covered), 0
    while left and copied < most:
        best = max(left, key=lambda path: (len(left[path] - covered), -path.stat().st_size))
        if not left[best] - covered:
            break
        covered |= left.pop(best)
        data = best.read_bytes()
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
        copied += 1
    everything = len(set().union(*edges.values()))
    print(f"{target}: {copied} files copied; {before} edges before, {len(covered)} now, {everything} with all that was found")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
