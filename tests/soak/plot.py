#!/usr/bin/env python3
"""Draws what a soak has sampled: plot.py SAMPLES.csv PLOT.svg"""
import csv
import re
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benches/compare"))
import plot  # noqa: E402

POINTS = 60


def medians(samples, column):
    """A column over time, in minutes: of each group of samples the value in the middle."""
    size = max(1, len(samples) // POINTS)
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    middle = [statistics.median(sample[column] for sample in group) for group in groups]
    return [(group[-1]["seconds"] / 60, value) for group, value in zip(groups, middle)]


def main(source, target):
    with open(source, encoding="utf-8") as file:
        samples = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    for before, sample in zip([{"seconds": 0, "cpu_seconds": 0}, *samples], samples):
        passed = sample["seconds"] - before["seconds"]
        sample["CPU"] = 100 * (sample["cpu_seconds"] - before["cpu_seconds"]) / passed
        sample["resident"] = sample["rss_kib"] / 1024
        sample["p50"], sample["p99"] = sample["p50_us"] / 1000, sample["p99_us"] / 1000
    panels = [
        ("Memory of the server, MiB", ["resident"]),
        ("Connections of the server, and its descriptors", ["connections", "descriptors"]),
        ("CPU time of the server, % of a core", ["CPU"]),
        ("Load of the whole machine", ["load"]),
        ("Round trips of honest peers, ms", ["p50", "p99"]),
    ]
    drawn = []
    for place, (title, columns) in enumerate(panels):
        series = {column: medians(samples, column) for column in columns}
        svg = plot.lines(title, "minutes", "", series, log_y=title.endswith(" ms"))
        # One plot below the other.
        drawn.append(re.sub("^<svg ", f'<svg y="{place * plot.HEIGHT}" ', svg))
    width, height = plot.WIDTH, plot.HEIGHT * len(panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    Path(target).write_text(head + "\n" + "".join(drawn) + "</svg>\n", encoding="utf-8")


main(*sys.argv[1:])
