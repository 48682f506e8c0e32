"""Our steps beside the bare engines that they are made of, at one size, in one run: ``make bench``.

Each side is a process on local files with two threads; both take turns, and the best of some runs counts. Seconds hold
the start of Python; S3 is on neither side. What is read are the ratios; where others use the machine too, those of CPU
time, which waiting does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from tests.benchmarks.inputs import FEATURES, make_inputs
from tests.scored_runs import evaluation_of
from tests.worlds import AS_OF

THREADS = "2"
FROM = ("events", "table")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": THREADS, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(Path.cwd())}


@dataclass(frozen=True)
class Cost:
    """What a process took: wall clock, CPU time of all its threads, and peak memory."""

    seconds: float
    cpu: float
    peak_mb: float

    def __add__(self, other: Cost) -> Cost:
        """Run one after the other: seconds add up, the higher peak stays."""
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, max(self.peak_mb, other.peak_mb))

    def __str__(self) -> str:
        """Write as three columns of a table."""
        return f"{self.seconds:>6.1f} s {self.cpu:>6.1f} s {self.peak_mb:>6,.0f} MB"


def measure(*command: str) -> Cost:
    """Run a Python module to its end and measure it; its failure ends the benchmark."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *command], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ended with exit code {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def fresh_run(folder: Path, *command: str) -> Cost:
    """Measure a command that writes a folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    return measure(*command)


def compare(runs: int, ours: tuple[str, ...], bare: tuple[str, ...]) -> tuple[Cost, Cost]:
    """Run two commands in turn, so many times each; return the fastest run of each, with its highest peak."""
    found: list[tuple[Cost, Cost]] = []
    for _ in range(runs):
        found.append((measure(*ours), measure(*bare)))
    first, second = ([pair[side] for pair in found] for side in (0, 1))
    return best_of(first), best_of(second)


def best_of(costs: list[Cost]) -> Cost:
    """Take the fastest of some runs in either clock, with the highest peak of all."""
    return Cost(
        min(cost.seconds for cost in costs), min(cost.cpu for cost in costs), max(cost.peak_mb for cost in costs)
    )


def run(
    ml: Path, runs: int, with_pandas: bool
) -> tuple[list[tuple[str, Cost, str, Cost]], list[tuple[str, Cost, str, Cost]]]:
    """Measure each step beside its bare engine, then scoring beside pandas; each step leaves its files for the next."""
    folder, data = str(ml), ml / "input" / "data"
    (ml / "bare").mkdir()
    day = ("--as-of", str(AS_OF))

    def beside(step: str, engine: str, ours: tuple[str, ...], times: int) -> None:
        found, bare = compare(times, ours, ("tests.benchmarks.bare", step.split()[0], folder))
        steps.append((step, found, engine, bare))

    steps: list[tuple[str, Cost, str, Cost]] = []
    build = ("processing.build_features", "--ml-dir", folder, *day, "--for")
    beside("features", "DuckDB", (*build, "train"), runs)
    shutil.copytree(ml / "processing" / "features", data / "features")
    shutil.copytree(ml / "processing" / "input" / "settings", data / "settings")
    (data / "code").mkdir()
    (ml / EVALUATION_NAME).write_bytes(evaluation_of().to_json())
    train = ("training.train", "--ml-dir", folder, "--goal", "buy")
    (ml / "learned").mkdir()
    beside("train proper", "XGBoost", ("tests.benchmarks.ours", "learn", folder), runs)
    whole = best_of([fresh_run(ml / "model", *train) for _ in range(runs)])
    steps.append(("train, whole", whole, "XGBoost", steps[-1][3]))
    beside("score", "XGBoost, pyarrow CSV", ("tests.benchmarks.ours", "score", folder), runs + 1)
    beside("publish", "pyarrow CSV", ("tests.benchmarks.ours", "publish", folder), runs + 1)

    if not with_pandas:
        return steps, []
    measure("tests.benchmarks.plain_pandas", "fit", folder)
    ready = steps[3][1] + steps[4][1]
    fresh = best_of([measure(*build, "score") for _ in range(runs)])
    plain = [best_of([measure("tests.benchmarks.plain_pandas", step, folder) for _ in range(runs)]) for step in FROM]
    pandas = [
        (f"from {FROM[0]}", fresh + ready, "pandas", plain[0]),
        (f"from {FROM[1]}", ready, "pandas", plain[1]),
    ]
    return steps, pandas


def line(step: str, ours: Cost, name: str, theirs: Cost, above: Cost, below: Cost) -> str:
    """Write one row of a table, with the ratio of two costs in both clocks."""
    ratios = f"{above.seconds / below.seconds:>5.2f} {above.cpu / below.cpu:>5.2f}"
    return f"{step:<12} {ours}   {name:<20} {theirs}  {ratios}"


def heading(step: str, name: str, ratio: str) -> str:
    """Write the heading of a table."""
    columns = f"{'wall':>8} {'CPU':>8} {'peak':>9}"
    return f"{step:<12} {columns}   {name:<20} {columns}  {ratio}: wall, CPU"


def describe(steps: list[tuple[str, Cost, str, Cost]], pandas: list[tuple[str, Cost, str, Cost]]) -> Iterator[str]:
    """Write the tables."""
    yield heading("our step", "bare engine", "ours / bare")
    for step, ours, engine, bare in steps:
        yield line(step, ours, engine, bare, ours, bare)
    proper = [row for row in steps if row[0] != "train, whole"]
    sums = [reduce(Cost.__add__, (row[side] for row in proper)) for side in (1, 3)]
    yield line("sum", sums[0], "", sums[1], *sums)
    if not pandas:
        return
    yield ""
    yield heading("our scoring", "first script", "pandas / ours")
    for step, ours, name, theirs in pandas:
        yield line(step, ours, name, theirs, theirs, ours)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--no-pandas", action="store_true", help="leave out the script, which needs much memory")
    parser.add_argument("--runs", type=int, default=2, help="of each step; scoring and publishing run once more")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ml = Path(work)
        make_inputs(ml / "processing" / "input", a.customers)
        steps, pandas = run(ml, a.runs, not a.no_pandas)
        if a.no_pandas:
            print(f"{a.customers:,} customers x {FEATURES} features, {THREADS} threads\n")  # noqa: T201
            print("\n".join(describe(steps, pandas)))  # noqa: T201
            return
        command = [sys.executable, "-m", "tests.benchmarks.ours", "shard", str(ml)]
        shard = json.loads(subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True).stdout)
    print(f"{a.customers:,} customers x {FEATURES} features, {THREADS} threads, Python {platform.python_version()}\n")  # noqa: T201
    print("\n".join([*describe(steps, pandas), ""]))  # noqa: T201
    for name in ("ours", "pandas"):
        wall, cpu = shard[name]
        print(  # noqa: T201
            f"one shard, {shard['rows']:,} rows, {name:<6} {1000 * wall:>6,.0f} ms wall, {1000 * cpu:>6,.0f} ms CPU: "
            f"{shard['rows'] / wall / 1e6:.2f} million rows a second"
        )


if __name__ == "__main__":
    main()
