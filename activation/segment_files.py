"""A segment on disk: its CSVs of at most 1 GB each, and the list of those who are held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from activation.population import Population, Positions
from activation.selection import expect, positives_within, select
from contracts.evaluation import Evaluation
from contracts.run_facts import RunFacts
from contracts.run_settings import Segment
from contracts.segment_file import MAX_FILE_BYTES, header, write_column
from contracts.segment_manifest import PublishedFile, PublishedSegment, describe_file

HOLDOUT_COLUMN = "User.UserId"


def write_segment(
    folder: Path, segment: Segment, population: Population, facts: RunFacts, evaluation: Evaluation, seed: int
) -> PublishedSegment:
    """Choose a segment's people, write its files below ``folder`` and describe them."""
    chosen = select(population, segment, facts, seed)
    scores = population.score(chosen.people)
    expected, low, high = expect(
        float(scores.sum()),
        float((scores * (1 - scores)).sum()),
        len(scores),
        positives_within(evaluation, chosen.whole_percent),
    )
    return PublishedSegment(
        name=segment.name,
        goal=segment.goal,
        top_percent=segment.top_percent,
        people=len(chosen.people),
        endpoints=len(chosen.endpoints),
        lowest_score=float(population.score(chosen.endpoints[-1:]).sum()),
        expected=expected,
        waterfall=chosen.waterfall,
        files=write_parts(folder, segment.name, segment.goal, population, chosen.endpoints),
        channel=segment.channel,
        minimum_score=segment.minimum_score,
        max_size=segment.max_size,
        holdout_percent=segment.holdout_percent,
        holdout=len(chosen.held_back),
        holdout_file=(
            write_holdout(folder, segment.name, population, chosen.held_back) if segment.holdout_percent else None
        ),
        expected_low=low,
        expected_high=high,
    )


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
