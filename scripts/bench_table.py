#!/usr/bin/python3
"""bench_table.py [--overview] RESULTS.jsonl...: rankpool's figures beside what is wanted of them, as a table in Markdown.
With --overview: beside other pools'.

Each line of the input is a figure of bench_workloads, or of a peer measured in the same turns. The table has medians;
a ratio is to the median of the peer named, of the same input. A ratio to a peer may miss by 3 %, a bound may not. Where
the lines say how much of the machine others used ("others"), those of more than 6 % are left out if there are
undisturbed ones.
"""
import json
import statistics
import sys
from typing import NamedTuple

NOISY = 0.06
TOLERANCE = 1.03


class Unit(NamedTuple):
    name: str
    of: object  # of a line
    form: str = "{:.2f}"
    more_is_better: bool = False


PER_TASK_NS = Unit("ns/task", lambda line: line["seconds"] / line["tasks"] * 1e9)
PER_TASK_US = Unit("us/task", lambda line: line["seconds"] / line["tasks"] * 1e6, "{:.3f}")
EFFICIENCY = Unit("efficiency", lambda line: line["efficiency"], "{:.3f}", more_is_better=True)
SPEED = Unit("GB/s", lambda line: line["MBps"] / 1e3, more_is_better=True)
MILLISECONDS = Unit("ms", lambda line: line["seconds"] * 1e3)
INCREASE = Unit("ms more", lambda line: line["increase_ms"])
CPU = Unit("CPU s in 3 s", lambda line: line["cpu_s"], "{:.4f}")
NANOSECONDS = Unit("ns", lambda line: line["seconds"] * 1e9)


class Goal(NamedTuple):
    """At least as good as `times` the figure of `than`, and as `bound`."""

    peer: str
    workload: str
    unit: Unit
    bound: float | None = None
    than: str | None = None
    times: float = 1.0
    than_workload: str | None = None


def efficiencies(peer, **goal):
    workloads = ("map_100us", "map_100us_c1", "map_irregular", "map_irregular_c1")
    return [Goal(peer, workload, EFFICIENCY, **goal) for workload in workloads]


def sharing(peer, **goal):
    workloads = ("shared_add", "shared_lock", "shared_lock_alone", "shared_queue")
    return [Goal(peer, workload, PER_TASK_US, **goal) for workload in workloads]


GOALS = [
    Goal("rankpool", "map_tiny", PER_TASK_NS, 3.5),
    Goal("rankpool", "map_tiny_fn", PER_TASK_NS, than="raw_d2", than_workload="map_tiny"),
    Goal("rankpool", "map_tiny_lambda", PER_TASK_NS, than="raw_d2", than_workload="map_tiny"),
    Goal("rankpool", "map_unchunked", PER_TASK_US, 0.2, than="raw_d16"),
    Goal("rankpool", "apply_latency", PER_TASK_US, 0.9, than="raw_n2_1worker_d2"),
    *efficiencies("rankpool", than="tbb", times=0.995),
    Goal("rankpool", "map_1ms_journal", PER_TASK_US, than="rankpool", than_workload="map_1ms", times=1.02),
    Goal("rankpool", "payload_1MB", SPEED, than="raw_d2"),
    Goal("rankpool", "payload_1MB_reuse", SPEED, than="raw_d2"),
    Goal("rankpool", "startup_first", MILLISECONDS, 10),
    Goal("rankpool", "startup_cmd", INCREASE, 10),
    Goal("rankpool", "idle_cpu", CPU, 0.005),
    Goal("rankpool", "metg", NANOSECONDS, 50),
    Goal("rankpool", "metg_c1", NANOSECONDS),
    Goal("rankpool_mpirun", "map_tiny", PER_TASK_NS, than="rankpool", times=1.1),
    Goal("rankpool_mpirun", "map_unchunked", PER_TASK_US, than="rankpool", times=1.1),
    Goal("rankpool_mpirun", "apply_latency", PER_TASK_US, 3),
    *efficiencies("rankpool_mpirun", than="rankpool", times=0.9),
    Goal("rankpool_mpirun", "map_1ms_journal", PER_TASK_US, than="rankpool_mpirun", than_workload="map_1ms", times=1.02),
    Goal("rankpool_mpirun", "payload_1MB", SPEED, than="raw_d2", times=0.8),
    Goal("rankpool_mpirun", "startup_cmd", MILLISECONDS, than="raw_mpi_n3 (mpirun+Init+Finalize)", times=1.1),
    Goal("rankpool_mpirun", "idle_cpu", CPU, 0.03),
    Goal("rankpool_nodes", "map_tiny", PER_TASK_NS, than="raw_d2"),
    Goal("rankpool_nodes", "map_unchunked", PER_TASK_US, than="raw_d2"),
    Goal("rankpool_nodes", "apply_latency", PER_TASK_US),
    Goal("rankpool_2_nodes", "apply_latency", PER_TASK_US, 10),
    *efficiencies("rankpool_nodes", bound=0.97),
    Goal("rankpool_nodes", "payload_1MB", SPEED, than="raw_d2"),
    *efficiencies("rankpool_8_on_2", bound=0.95),
    *sharing("rankpool", than="multiprocessing"),
    *sharing("rankpool", than="multiprocessing.Manager", times=0.05),
    *sharing("rankpool_mpirun", than="multiprocessing"),
    *sharing("rankpool_mpirun", than="multiprocessing.Manager", times=0.05),
    *sharing("rankpool_2_nodes", than="raw_n2_1worker_d2", than_workload="apply_latency", times=2),
]


def read(paths):
    """Lines by (peer, workload)."""
    figures = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in map(json.loads, (text for text in lines if text.startswith("{"))):
                figures.setdefault((line["peer"], line["workload"]), []).append(line)
    return figures


def values(figures, peer, workload, unit):
    lines = figures.get((peer, workload), [])
    quiet = [line for line in lines if line.get("others", 0) <= NOISY]
    return [unit.of(line) for line in quiet or lines]


def is_met(goal, figure, other):
    """As far as can be told: without the peer's figure, by the bound alone."""
    tolerance = TOLERANCE if goal.times == 1 else 1
    if goal.unit.more_is_better:
        enough = goal.bound is None or figure >= goal.bound
        return enough and (other is None or figure >= goal.times * other / tolerance)
    enough = goal.bound is None or figure <= goal.bound
    return enough and (other is None or figure <= goal.times * other * tolerance)


def wanted(goal):
    sign = "≥" if goal.unit.more_is_better else "≤"
    parts = [f"{sign} {goal.bound:g}"] if goal.bound is not None else []
    if goal.than:
        than = " ".join(filter(None, (goal.than, goal.than_workload)))
        parts.append(f"{sign} {'' if goal.times == 1 else f'{goal.times:g} × '}{than}")
    return ", ".join(parts)


def verdict(goal, figure, other):
    if not is_met(goal, figure, other):
        return "**no**"
    return "the bound" if goal.than and other is None else "yes"


def row(goal, figures):
    own = values(figures, goal.peer, goal.workload, goal.unit)
    if not own:
        return None
    figure = statistics.median(own)
    others = values(figures, goal.than, goal.than_workload or goal.workload, goal.unit) if goal.than else []
    other = statistics.median(others) if others else None
    form = goal.unit.form.format
    judged = goal.bound is not None or other is not None
    return [
        goal.peer, goal.workload, goal.unit.name, form(figure), f"{form(min(own))} to {form(max(own))}", str(len(own)),
        wanted(goal), "" if other is None else form(other), "" if other is None else f"{figure / other:.2f}",
        "" if not judged else verdict(goal, figure, other),
    ]


class Row(NamedTuple):
    title: str
    workload: str
    unit: Unit
    raw: str = "raw_d2"  # the peer that is the raw MPI of this row
    nodes: str = "rankpool_nodes"
    others: bool = True  # whether other pools have a figure of their own here


OVERVIEW = [
    Row("`x*x` over 1,000,000 doubles; ns per task", "map_tiny", PER_TASK_NS),
    Row("the same by `rankpool::fn`", "map_tiny_fn", PER_TASK_NS, others=False),
    Row("the same by a lambda", "map_tiny_lambda", PER_TASK_NS, others=False),
    Row("`x*x` over 100,000 doubles, chunksize 1; us per task (raw MPI: 16 in flight)", "map_unchunked", PER_TASK_US,
        raw="raw_d16"),
    Row("`apply`, one after another; us (`-n 2`, 2 pretended nodes)", "apply_latency", PER_TASK_US,
        raw="raw_n2_1worker_d2", nodes="rankpool_2_nodes"),
    Row("20,000 tasks of 100 us; efficiency", "map_100us", EFFICIENCY),
    Row("the same, chunksize 1", "map_100us_c1", EFFICIENCY),
    Row("20,000 tasks of heavy-tailed length; efficiency", "map_irregular", EFFICIENCY),
    Row("the same, chunksize 1", "map_irregular_c1", EFFICIENCY),
    Row("500 tasks of 1 MB there and back, fresh memory; GB/s", "payload_1MB", SPEED),
    Row("the same, memory used again", "payload_1MB_reuse", SPEED),
    Row("CPU time of 3 s of idleness; s", "idle_cpu", CPU),
]
POOLS = {
    "`./app`": "rankpool",
    "`mpirun -n 3`": "rankpool_mpirun",
    "3 pretended nodes": "rankpool_nodes",
    "raw MPI": None,
    "oneTBB": "tbb",
    "Python `mp.Pool`": "mp.Pool_py3.11",
    "mpi4py.futures": "mpi4py.MPIPoolExecutor",
}


SHARING = [
    Row("add to a `value` (`Value` with its lock); us", "shared_add", PER_TASK_US),
    Row("take and leave a `lock` that all want; us", "shared_lock", PER_TASK_US),
    Row("the same alone; us", "shared_lock_alone", PER_TASK_US),
    Row("put into a `queue` and get out of it; us", "shared_queue", PER_TASK_US),
]
SHARERS = {
    "`./app`": "rankpool",
    "`mpirun -n 3`": "rankpool_mpirun",
    "2 pretended nodes": "rankpool_2_nodes",
    "Python `multiprocessing`": "multiprocessing",
    "its `Manager`": "multiprocessing.Manager",
}


def overview_cell(row, pool, figures):
    own = pool is not None and pool.startswith("rankpool")
    if not own and not row.others:
        return ""
    peer = {None: row.raw, "rankpool_nodes": row.nodes}.get(pool, pool)
    found = sorted(values(figures, peer, row.workload, row.unit))
    if not found:
        return ""
    digits = "{:.3f}" if row.unit is EFFICIENCY else "{:.2g}"
    figure = digits.format(statistics.median(found))
    return figure if "e" not in figure else f"{statistics.median(found):.0f}"


def print_overview(figures, rows, pools):
    print("| | " + " | ".join(pools) + " |")
    print("|---" * (len(pools) + 1) + "|")
    for line in rows:
        print(f"| {line.title} | " + " | ".join(overview_cell(line, peer, figures) for peer in pools.values()) + " |")


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments == ["--overview"]:
        sys.exit(__doc__)
    if arguments[0] == "--overview":
        figures = read(arguments[1:])
        print_overview(figures, OVERVIEW, POOLS)
        print()
        print_overview(figures, SHARING, SHARERS)
        return
    figures = read(arguments)
    print("| | workload | unit | median | range | runs | wanted | its median | ratio | met |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for cells in filter(None, (row(goal, figures) for goal in GOALS)):
        print("| " + " | ".join(cells) + " |")


main()
