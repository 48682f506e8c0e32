"""A segment on disk: its CSVs of at most 1 GB each, and the list of those who are held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from activation.population import Population, Positions
from contracts.segment_file import MAX_FILE_BYTES, header, write_column
from contracts.segment_manifest import PublishedFile, describe_file

HOLDOUT_COLUMN = "User.UserId"


def write_parts(
    folder: Path, name: str, goal: str, population: Population, rows: Positions
) -> tuple[PublishedFile, ...]:
    """Write the lines of some endpoints as ``segments/<name>/part-0000.csv`` and on, each with the header."""
    first = (",".join(header(goal)) + "\n").encode()
    room = MAX_FILE_BYTES - len(first)
    ends = np.cumsum(population.size[rows], dtype=np.int64)
    lines = population.lines(rows)
    files: list[PublishedFile] = []
    begin = 0
    while begin < len(rows):
        written = int(ends[begin - 1]) if begin else 0
        end = int(np.searchsorted(ends, written + room, side="right"))
        key = f"segments/{name}/part-{len(files):04d}.csv"
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        with (folder / key).open("wb") as handle:
            handle.write(first)
            handle.writelines(next(lines) for _ in range(begin, end))
        files.append(describe_file(folder / key, key, end - begin))
        begin = end
    return tuple(files)


def write_holdout(folder: Path, name: str, population: Population, people: Positions) -> PublishedFile:
    """Write the sorted keys of those who are held back as ``holdouts/<name>.csv``: beside the segments, in none."""
    key = f"holdouts/{name}.csv"
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    (folder / key).write_bytes(
        write_column(HOLDOUT_COLUMN, pa.array(sorted(population.customer_keys(people)), pa.string()))
    )
    return describe_file(folder / key, key, len(people))
