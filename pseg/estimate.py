"""What a run would cost, before it runs: row counts and the table of prices make dollars, low, likely and high.

Comes in: a project, how many rows there are, which pipeline. Goes out: one line for each kind of cost. Pure but for the
row counts of local Parquet files. The times are assumptions and stand here as such: Clean Rooms publishes none; of our
own steps the low end is what ``make bench`` measures (two threads, 50 features), likely two or three times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from contracts.errors import SettingsError
from contracts.prices import (
    CRPU_PER_WORKER,
    PUT_1000,
    STORAGE_GB_MONTH,
    instance_hour,
    query_dollars,
)
from contracts.table import parquet_files
from pseg.project import Project, TableName

QUERY_MINUTES = (1.0, 1.5, 4.0)  # of a small query on 32 CRPU; AWS states no times, the minimum billed is one minute
QUERY_MINUTES_PER_MILLION = (0.02, 0.05, 0.2)  # rows read, on 32 CRPU, and inversely with other sizes
DEFAULT_CRPU = 32
START_MINUTES = (1.0, 2.0, 4.0)  # of each job, billed: image and data arrive, results leave
FEATURE_MINUTES_PER_MILLION = (0.05, 0.15, 0.5)  # events (or rows of a ready table), for each snapshot
TRAIN_MINUTES_PER_MILLION = (0.5, 1.5, 5.0)  # customers
EVALUATE_MINUTES_PER_MILLION = (0.3, 1.0, 4.0)  # customers; not in the benchmark
SCORE_MINUTES_PER_MILLION = (0.2, 0.5, 1.5)  # customers
PUBLISH_MINUTES_PER_MILLION = (0.1, 0.2, 0.6)  # customers
BYTES_PER_CUSTOMER = (500, 1_500, 4_000)  # all that a run leaves in S3, for each customer and goal
PUTS_PER_RUN = (200, 500, 2_000)
EVENTS_PER_CUSTOMER = 10  # where only the number of customers was given
Three = tuple[float, float, float]
NOTHING: Three = (0.0, 0.0, 0.0)
Kind = Literal["train", "score"]


@dataclass(frozen=True)
class Size:
    """Millions of rows: customers, what features are built from (events, or the ready table), the partner's."""

    customers: float
    source_rows: float
    partner_rows: float


@dataclass(frozen=True)
class Line:
    """One kind of cost in dollars: low, likely and high."""

    name: str
    what: str
    dollars: Three


@dataclass(frozen=True)
class Estimate:
    """What a run would cost; ``cheaper`` is the query with fewer workers, where that saves something."""

    lines: tuple[Line, ...]
    cheaper: Line | None

    @property
    def total(self) -> Three:
        """Dollars of the whole run: low, likely, high."""
        return add(*(line.dollars for line in self.lines))


def add(*ranges: Three) -> Three:
    """Add ranges, end by end; the sum of highs is higher than what is likely to come together."""
    low, likely, high = (sum(ends) for ends in zip(NOTHING, *ranges, strict=True))
    return low, likely, high


def grow(start: Three, per_million: Three, millions: float) -> Three:
    """Minutes of something that takes a while to start and then some for each million rows."""
    low, likely, high = (begin + each * millions for begin, each in zip(start, per_million, strict=True))
    return low, likely, high


def times(range_: Three, factor: float) -> Three:
    """Multiply a range."""
    low, likely, high = range_
    return low * factor, likely * factor, high * factor


def estimate(
    project: Project,
    size: Size,
    kind: Kind = "train",
    *,
    has_query: bool = True,
    has_differential_privacy: bool = False,
) -> Estimate:
    """Estimate a run.

    Parameters
    ----------
    project : Project
        Goals, instances and workers.
    size : Size
        Millions of rows.
    kind : str
        Which pipeline: ``train`` or ``score``.
    has_query : bool
        False where the result of an earlier query is read.
    has_differential_privacy : bool
        True where the partner's tables demand it: the query costs twice as much.

    Raises
    ------
    SettingsError
        If there is no price of an instance.
    """
    lines, cheaper, waiting = [], None, NOTHING
    aws, goals = project.aws, len(project.goals)
    if project.has_partner and has_query:
        workers = (project.query.worker_type, project.query.workers)
        waiting = add(
            minutes_of_query(size, *workers), START_MINUTES
        )  # the step that waits for the query is billed too
        lines.append(query_line("Clean Rooms", size, *workers, has_differential_privacy))
        fewer = query_line("  with CR.1X x 4", size, "CR.1X", 4, has_differential_privacy)
        cheaper = fewer if fewer.dollars[1] < lines[0].dollars[1] else None
    snapshots = 1 + project.training.snapshots if kind == "train" else 1
    processing = [
        waiting,
        times(START_MINUTES, aws.processing_instances),
        times(FEATURE_MINUTES_PER_MILLION, size.source_rows * snapshots),
        times(grow(START_MINUTES, PUBLISH_MINUTES_PER_MILLION, size.customers), goals),
        START_MINUTES,  # the report
    ]
    names = "features, segments, report"
    if kind == "train":
        names = "features, evaluation, segments, report"
        processing.append(times(grow(START_MINUTES, EVALUATE_MINUTES_PER_MILLION, size.customers), goals))
    lines.append(instance_line("Processing", names, aws.processing_instance, add(*processing)))
    models = f"{goals} goal{'s' if goals > 1 else ''}"
    if kind == "train":
        begin = times(START_MINUTES, aws.training_instances)
        training = times(grow(begin, TRAIN_MINUTES_PER_MILLION, size.customers), goals)
        lines.append(instance_line("Training", models, aws.training_instance, training))
    start = times(START_MINUTES, aws.transform_instances)
    scoring = times(grow(start, SCORE_MINUTES_PER_MILLION, size.customers), goals)
    lines.append(instance_line("Score", models, aws.transform_instance, scoring))
    lines.append(Line("S3", "a month of what the run leaves, and its requests", storage(size, goals)))
    return Estimate(tuple(lines), cheaper)


def instance_line(name: str, what: str, instance: str, minutes: Three) -> Line:
    """Estimate what jobs on one type of instance cost, from the minutes of all instances together."""
    return Line(name, f"{what} on {instance}", times(minutes, instance_hour(instance) / 60))


def minutes_of_query(size: Size, worker_type: str, workers: int) -> Three:
    """Estimate how long a query runs."""
    crpu = CRPU_PER_WORKER[worker_type] * workers
    rows = size.customers + size.partner_rows
    return grow(QUERY_MINUTES, times(QUERY_MINUTES_PER_MILLION, DEFAULT_CRPU / crpu), rows)


def query_line(name: str, size: Size, worker_type: str, workers: int, has_differential_privacy: bool) -> Line:
    """Estimate what a query costs."""
    minutes = minutes_of_query(size, worker_type, workers)
    low, likely, high = (query_dollars(worker_type, workers, 60 * m, has_differential_privacy) for m in minutes)
    crpu = CRPU_PER_WORKER[worker_type] * workers
    what = f"{crpu} CRPU, {minutes[0]:.0f}-{minutes[2]:.0f} min{', differential privacy' * has_differential_privacy}"
    return Line(name, what, (low, likely, high))


def storage(size: Size, goals: int) -> Three:
    """Estimate a month of S3, and the requests of a run."""
    low, likely, high = (
        each * size.customers * 1e6 * goals / 1e9 * STORAGE_GB_MONTH + puts / 1000 * PUT_1000
        for each, puts in zip(BYTES_PER_CUSTOMER, PUTS_PER_RUN, strict=True)
    )
    return low, likely, high


def count_rows(project: Project, customers: int | None = None) -> Size:
    """Count the rows of a project's local files; what is not local follows from the number of customers.

    Raises
    ------
    SettingsError
        If nobody knows how many customers there are.
    """
    found = {name: rows_of(project, name) for name in ("events", "customers", "contacts", "partner")}
    counted = found["customers"] or found["contacts"]
    people = customers if customers is not None else counted
    if people is None:
        raise SettingsError(
            "nobody knows how many rows there are",
            where=str(project.folder / "project.toml"),
            why="the tables lie in S3 or Glue, and an estimate asks nobody in AWS",
            fix="say how many customers: --rows 2000000",
        )
    source = found["customers"] if project.is_ready_table else found["events"]
    if customers is not None or source is None:
        source = people if project.is_ready_table else EVENTS_PER_CUSTOMER * people
    partner = people if customers is not None or found["partner"] is None else found["partner"]
    return Size(people / 1e6, source / 1e6, partner / 1e6)


def rows_of(project: Project, name: TableName) -> int | None:
    """Count the rows of a local table by its files' metadata; None if there is none, or it is not local."""
    if not getattr(project.tables, name):
        return None
    place = project.location(name)
    if not isinstance(place, Path):
        return None
    return sum(int(pq.read_metadata(file).num_rows) for file in parquet_files(place, name))


def embedded_cost(project: Project) -> str:
    """Say what a run on the embedded AWS costs, and what that means for the project's budget."""
    budget = project.budget.max_dollars
    within = "" if budget is None else f" · [budget] max_dollars = {budget:.2f} stops runs in AWS only"
    return f"estimate $0.00 (embedded){within}"


def refuse_over_budget(found: Estimate, project: Project) -> None:
    """Refuse a run whose likely cost is over the project's budget; without a budget nothing is refused.

    Raises
    ------
    SettingsError
        Before anything is spent.
    """
    budget, likely = project.budget.max_dollars, found.total[1]
    if budget is None or likely <= budget:
        return
    dearest = max(found.lines, key=lambda line: line.dollars[1])
    raise SettingsError(
        f"the run would cost about ${likely:.2f}, the budget is ${budget:.2f}",
        where=f"{project.folder / 'project.toml'} [budget] max_dollars",
        why=f"the most of it: {dearest.name.strip()}, ${dearest.dollars[1]:.2f} ({dearest.what}); nothing was started",
        fix="raise the budget, take fewer [query] workers, or read a paid result: --query-result-uri",
    )
