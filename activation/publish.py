"""Step Publish: scored CSVs become the segments of one goal.

Comes in: every scored CSV of the run (``*.out``). Goes out: ``segments/<name>/*.csv`` and, last of all,
``manifest.json`` beside them. Whole populations are ranked exactly, and chosen lines are copied byte for byte. All or
nothing: without its manifest nothing was published, and what a broken attempt left is removed by the next.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import awswrangler as wr

from activation.sagemaker_registry import require_approved
from contracts.errors import ContractError, VerificationError
from contracts.job import run_job
from contracts.run_settings import Segment, read_run_settings
from contracts.segment_file import SCORE_DIGITS, header, read_lines
from contracts.segment_manifest import (
    FILE_NAME,
    STATUSES,
    PublishedFile,
    PublishedSegment,
    SegmentManifest,
    describe_file,
    verify_files,
)

SCORE = re.compile(rf"[01]\.[0-9]{{{SCORE_DIGITS}}}")
PART_BYTES = 1_000_000_000  # Pinpoint's limit of one import job (Developer Guide, "Quotas")


@dataclass(frozen=True)
class ScoredLine:
    """One endpoint of the population: its score, its identity, and the line it was written as."""

    score: float
    endpoint_id: str
    customer: str
    address: tuple[str, str]
    line: bytes


def read_population(folder: Path, goal: str) -> list[ScoredLine]:
    """Read every scored CSV of a run.

    Raises
    ------
    ContractError
        If there is no file, a file is not of the format, a score is outside [0, 1], or an id comes twice.
    """
    paths = sorted(folder.rglob("*.out"))
    if not paths:
        raise ContractError("there is no scored CSV", where=str(folder), fix="check the transform job of this run")
    population, ids = [], set()
    for path in paths:
        for (channel, address, endpoint_id, customer, score), line in read_lines(path, goal):
            value = float(score) if SCORE.fullmatch(score) else math.nan
            if not 0 <= value <= 1 or endpoint_id in ids:
                problem = "comes twice" if endpoint_id in ids else f"has the score {score}"
                raise ContractError(f"endpoint {endpoint_id} {problem}", where=path.name, fix="score the run again")
            ids.add(endpoint_id)
            population.append(ScoredLine(value, endpoint_id, customer, (channel, address), line))
    return population


def rank(population: list[ScoredLine]) -> tuple[list[ScoredLine], int]:
    """Order a population by score, highest first, one line for each address; return it and how many lines were dropped.

    Equal scores are ordered by endpoint id. Of several customers with one address the one with the highest score stays:
    two rows of one address would fight over it (Pinpoint API reference, EndpointStatus).
    """
    ordered = sorted(population, key=lambda scored: (-scored.score, scored.endpoint_id))
    first: dict[tuple[str, str], ScoredLine] = {}
    for scored in ordered:
        first.setdefault(scored.address, scored)
    return list(first.values()), len(ordered) - len(first)


def cut(ranked: list[ScoredLine], top_percent: float) -> list[ScoredLine]:
    """Take the top share of the people in a ranked population, with every address of theirs that is in it.

    The share is rounded up, so that a small population still gives one person. The percentage counts as written: 0.07
    percent of 10,000 are 7, though in floats 10,000 x 0.07 is more than 700.
    """
    people = list(dict.fromkeys(scored.customer for scored in ranked))
    chosen = set(people[: math.ceil(len(people) * Fraction(str(top_percent)) / 100)])
    return [scored for scored in ranked if scored.customer in chosen]


def count_people(lines: list[ScoredLine]) -> int:
    """Count the customers behind some lines."""
    return len({scored.customer for scored in lines})


def write_segment(folder: Path, segment: Segment, population: list[ScoredLine]) -> PublishedSegment:
    """Write one segment's CSV files below ``folder`` and describe them."""
    ranked, _ = rank(population)
    chosen = cut(ranked, segment.top_percent)
    target = folder / "segments" / segment.name
    target.mkdir(parents=True, exist_ok=True)
    first = (",".join(header(segment.goal)) + "\n").encode()
    files: list[PublishedFile] = []
    start = 0
    while start < len(chosen):
        path = target / f"part-{len(files):04d}.csv"
        size, end = len(first), start
        with path.open("wb") as handle:
            handle.write(first)
            while end < len(chosen) and size + len(chosen[end].line) <= PART_BYTES:
                handle.write(chosen[end].line)
                size += len(chosen[end].line)
                end += 1
        files.append(describe_file(path, f"segments/{segment.name}/{path.name}", end - start))
        start = end
    return PublishedSegment(
        name=segment.name,
        goal=segment.goal,
        top_percent=segment.top_percent,
        people=count_people(chosen),
        endpoints=len(chosen),
        lowest_score=chosen[-1].score,
        expected=round(math.fsum({scored.customer: scored.score for scored in chosen}.values()), 1),
        waterfall=(
            ("scored", count_people(population)),
            ("address used by another", count_people(population) - count_people(ranked)),
            ("below the cut", count_people(ranked) - count_people(chosen)),
        ),
        files=tuple(files),
    )


def upload(folder: Path, manifest: SegmentManifest, uri: str) -> None:
    """Put the files under ``uri``, read each back and compare, and write the manifest last.

    Raises
    ------
    VerificationError
        If what lies there is not what was written; there is then no manifest.
    """
    wr.s3.delete_objects(f"{uri}/")
    keys = [file.key for segment in manifest.segments for file in segment.files]
    for key in keys:
        wr.s3.upload(local_file=str(folder / key), path=f"{uri}/{key}")
    with tempfile.TemporaryDirectory() as copy:
        for key in keys:
            (Path(copy) / key).parent.mkdir(parents=True, exist_ok=True)
            wr.s3.download(path=f"{uri}/{key}", local_file=str(Path(copy) / key))
        verify_files(manifest, Path(copy))
    if sorted(wr.s3.list_objects(f"{uri}/")) != sorted(f"{uri}/{key}" for key in keys):
        raise VerificationError(
            "other files lie where the segments were written", where=uri, fix="publish the run again"
        )
    wr.s3.upload(local_file=str(folder / FILE_NAME), path=f"{uri}/{FILE_NAME}")


def publish(ml_dir: Path, goal: str, status: str, model: str, as_of: str, execution_id: str, uri: str) -> str:
    """Do the step's work and return its summary."""
    processing = ml_dir / "processing"
    settings = read_run_settings(processing / "input" / "settings")
    segments = settings.segments_of(settings.goal(goal).name)
    if status == "approved":
        require_approved(model, settings.project, goal)
    population = read_population(processing / "input" / "scored", goal)
    if not population:
        raise ContractError("there is nobody to choose from", where="scored CSVs", fix="check contacts and may_contact")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        published = tuple(write_segment(folder, segment, population) for segment in segments)
        manifest = SegmentManifest(
            settings.project, goal, status, as_of, execution_id, model, settings.notice, published
        )
        (folder / FILE_NAME).write_bytes(manifest.to_json())
        upload(folder, manifest, uri.rstrip("/"))
    return ", ".join(f"{segment.name} {segment.people:,} people" for segment in published)


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    parser.add_argument("--status", choices=STATUSES, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--execution-id", required=True)
    parser.add_argument("--uri", required=True)
    a = parser.parse_args(argv)
    return run_job(
        lambda: publish(a.ml_dir, a.goal, a.status, a.model, a.as_of, a.execution_id, a.uri),
        note=a.ml_dir / "output" / "message",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
