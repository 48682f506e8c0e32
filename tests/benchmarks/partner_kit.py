"""The partner kit at full size, ``make bench-partner``: 10 million rows of CSV, one process, its seconds and its peak.

On a shared machine wall clock is noise, so the CPU seconds of the process stand beside it: what one free core would
need. Held: less than 300 MB, and 0.3 million rows a second by the better of the two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

MAX_MB = 300
MIN_ROWS_PER_SECOND = 300_000


def make_members(path: Path, rows: int) -> None:
    """Draw members with five attributes; 1 row in 50 repeats an identifier, 1 in 1,000 has none."""
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"""COPY (
                SELECT CASE WHEN n % 1000 = 0 THEN 'n/a' ELSE 'User.' || (n % {rows * 49 // 50}) || '@Example.com' END
                    AS email,
                    (1000 * random())::INTEGER AS points, round(100 * random(), 2) AS spend,
                    CASE WHEN random() < 0.3 THEN 'gold' WHEN random() < 0.5 THEN 'silver' ELSE 'basic' END AS tier,
                    random() < 0.5 AS active, DATE '2026-01-01' - (90 * random())::INTEGER AS attribute_date
                FROM range({rows}) t(n)) TO '{path}' (HEADER)"""
        )


def main() -> None:
    """Run the benchmark, print its figures, and fail if they are not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keyed", action="store_true", help="keyed hashes instead of SHA-256")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        members, out = Path(work, "members.csv"), Path(work, "prepared")
        make_members(members, options.rows)
        command = [sys.executable, "-m", "pseg", "partner", "prepare", str(members), "--out", str(out)]
        command += ["--key-env", "BENCHMARK_KEY"] if options.keyed else []
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=os.environ | {"BENCHMARK_KEY": "0" * 64}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds, cpu = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
        if process.returncode:
            raise SystemExit(f"{' '.join(command[1:])} ended with exit code {process.returncode}")
        size = members.stat().st_size / 1e6
        written = sum(path.stat().st_size for path in out.rglob("*.parquet")) / 1e6
    peak, rate = usage.ru_maxrss / 1024, options.rows / min(seconds, cpu)
    print(f"{options.rows:,} rows, {size:,.0f} MB of CSV to {written:,.0f} MB of Parquet, {os.cpu_count()} cores")  # noqa: T201
    print(  # noqa: T201
        f"{seconds:.1f} s wall clock, {options.rows / seconds / 1e6:.2f} million rows a second · "
        f"{cpu:.1f} s CPU, {options.rows / cpu / 1e6:.2f} million rows a CPU second · peak {peak:,.0f} MB"
    )
    if peak >= MAX_MB or rate < MIN_ROWS_PER_SECOND:
        raise SystemExit(f"not held: less than {MAX_MB} MB and {MIN_ROWS_PER_SECOND:,} rows a second")


if __name__ == "__main__":
    main()
