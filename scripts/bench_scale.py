#!/usr/bin/python3
"""Runs workloads with more and more executors, rankpool's and others' in turns, and draws the curves.

Called by bench.sh --scale. A further pool is named by --with 'NAME=COMMAND', in which {N} stands for the number of
executors, {RANKS} for one more, and {W} for the workload; it prints a line of JSON with "tasks" and "seconds".
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402: after the choice of what draws

EXECUTORS = (1, 2, 4, 7, 8, 16)
MOST_RANKS = 8

# workload: what is drawn, and the figure of a line
PANELS = {
    "map_100us_c1": ("20,000 tasks of 100 us, chunksize 1: speedup", lambda line: line["tasks"] * 1e-4 / line["seconds"]),
    "map_unchunked": ("x*x, chunksize 1: million tasks/s", lambda line: line["tasks"] / line["seconds"] * 1e-6),
    "map_tiny": ("x*x, default chunks: million tasks/s", lambda line: line["tasks"] / line["seconds"] * 1e-6),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="bench_workloads")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--picture", required=True, help="where the curves go: .svg or .png")
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=COMMAND")
    return parser.parse_args()


def commands(options):
    mpirun = "mpirun --oversubscribe --bind-to none -n {RANKS}"
    mine = {
        "rankpool, ./app": f"RANKPOOL_PROCESSES={{N}} {options.program} {{W}}",
        "rankpool, mpirun": f"RANKPOOL_PROCESSES={{N}} {mpirun} {options.program} {{W}}",
    }
    return mine | dict(other.split("=", 1) for other in options.others)


def measure(command, executors, workload):
    filled = command.replace("{N}", str(executors)).replace("{RANKS}", str(executors + 1)).replace("{W}", workload)
    limited = ["timeout", "-k", "10", "300", "sh", "-c", filled]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    lines = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
    lines = [line for line in lines if line["workload"] == workload]
    if done.returncode != 0 or not lines:
        print(f"bench: {filled} ended with {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return PANELS[workload][1](lines[0])


def all_figures(pools, runs):
    """Medians by (pool, workload), each a list of (executors, figure)."""
    figures = {}
    for executors in EXECUTORS:
        for workload in PANELS:
            samples = {}
            for _ in range(runs):
                for pool, command in pools.items():
                    if executors >= MOST_RANKS and "{RANKS}" in command:
                        continue
                    figure = measure(command, executors, workload)
                    if figure is not None:
                        samples.setdefault(pool, []).append(figure)
            for pool, values in samples.items():
                middle = statistics.median(values)
                figures.setdefault((pool, workload), []).append((executors, middle))
                print(f"| {pool} | {workload} | {executors} | {middle:.3g} |", flush=True)
    return figures


def draw(figures, pools, path):
    drawing, panels = pyplot.subplots(1, len(PANELS), figsize=(5 * len(PANELS), 4))
    for panel, (workload, (title, _)) in zip(panels, PANELS.items()):
        for pool in pools:
            points = figures.get((pool, workload), [])
            panel.plot([x for x, _ in points], [y for _, y in points], marker="o", label=pool)
        panel.set_xscale("log", base=2)
        panel.set_xticks(EXECUTORS, [str(executors) for executors in EXECUTORS])
        panel.set_ylim(bottom=0)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel(f"executors on {os.cpu_count()} CPUs")
    panels[0].legend(fontsize=8)
    drawing.tight_layout()
    drawing.savefig(path)


def main():
    options = arguments()
    pools = commands(options)
    print("| pool | workload | executors | figure |\n|---|---|---|---|")
    draw(all_figures(pools, options.runs), pools, options.picture)
    print(f"\nbench: {options.picture}")


main()
