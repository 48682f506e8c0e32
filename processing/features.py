"""Customers by their events: what was known of them on a date, and what they did after it.

Comes in: checked events. Goes out: tables with one row per customer and date, and the SQL of labels and split.
No time travel: ``features.sql`` reads nothing dated after the snapshot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import duckdb

from contracts.errors import ContractError
from contracts.feature_table import LABEL_PREFIX
from contracts.run_settings import Goal, RunSettings
from processing.sample import WHOLE, Sample, choose_sample
from processing.sql import columns_of, literal, one_row

FEATURES_SQL = files(__package__).joinpath("features.sql").read_text(encoding="utf-8")
DAY = "make_timestamp(epoch_us(event_time::TIMESTAMPTZ))::DATE"  # of UTC; by ::TIMESTAMP it takes 14 times as long
SPLIT_PERCENT = {"test": 20, "validation": 20}


def definition_sha256(settings: RunSettings) -> str:
    """Hash the SQL that defines the brand's features, the user's own with it: another definition is another model.

    The features of a ready table are defined by whoever wrote it; their names and types are in the fingerprint anyway.
    """
    ours = FEATURES_SQL if settings.customers is None else "ready table"
    return hashlib.sha256((ours + settings.features_sql).encode()).hexdigest()


def register_events(connection: duckdb.DuckDBPyConnection, paths: list[Path], host: int = 0, hosts: int = 1) -> None:
    """Register the event files as the view that ``features.sql`` reads; absent amounts and quantities are missing.

    Of several hosts each takes the customers whose hash falls to it, so that all events of a customer are on one.

    Both become decimals with six digits after the point (contracts.events keeps them below 10^12): sums of decimals are
    exact, so the order of events, and with it the number of threads, changes no bit of a feature.
    """
    connection.from_parquet([str(path) for path in paths], union_by_name=True).create_view("raw_events")
    present = columns_of(connection, "raw_events")
    optional = ", ".join(
        f"{name if name in present else 'NULL'}::DECIMAL(18, 6) AS {name}" for name in ("amount", "quantity")
    )
    own = f"WHERE hash(customer_key::VARCHAR) % {hosts} = {host}" if hosts > 1 else ""
    connection.execute(
        f"""CREATE VIEW own_events AS
        SELECT customer_key::VARCHAR AS customer_key, event_type::VARCHAR AS event_type,
               {DAY} AS event_day, {optional}
        FROM raw_events {own}"""
    )
    take_events(connection, WHOLE)
    connection.execute("CREATE VIEW all_events AS SELECT * FROM events")


def take_events(connection: duckdb.DuckDBPyConnection, sample: Sample) -> None:
    """Let ``events`` be those of a sample of this host's customers, from here on."""
    connection.execute(f"CREATE OR REPLACE VIEW events AS SELECT * FROM own_events WHERE {sample.condition}")


def sample_customers(connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date) -> Sample:
    """Choose whom to learn from, so that no more than ``max_rows`` rows become a training table; over all hosts."""
    days = [day for _, dates in training_dates(settings, as_of) for day in dates]
    rows = " + ".join(f"(first <= DATE '{day}')::BIGINT" for day in days)
    customers = f"SELECT customer_key::VARCHAR AS customer_key, min({DAY}) AS first FROM raw_events GROUP BY ALL"
    return choose_sample(connection, settings, f"SELECT customer_key, {rows} AS rows FROM ({customers})")


def training_dates(settings: RunSettings, as_of: date) -> Iterator[tuple[tuple[Goal, ...], list[date]]]:
    """Yield the goals of each horizon with their snapshot dates, newest first, each a horizon before the one before.

    The first is one horizon before ``as_of``. The label window of each ends on or before the next one's date, so no
    label is counted twice.
    """
    for horizon in sorted({goal.horizon_days for goal in settings.goals}):
        goals = tuple(goal for goal in settings.goals if goal.horizon_days == horizon)
        yield goals, [as_of - timedelta(days=horizon * step) for step in range(1, settings.training_snapshots + 1)]


def refuse_censored_labels(connection: duckdb.DuckDBPyConnection, goal: Goal, as_of: date) -> None:
    """Stop if the events end so early that many of those who did it late in the label window would count as not."""
    refuse_missing_days(
        connection,
        goal,
        as_of,
        where=f"goal {goal.name}, label window of {goal.horizon_days} days",
        why="whoever did it in the missing days would be learned as one who did not",
    )


def refuse_stale_events(connection: duckdb.DuckDBPyConnection, goals: tuple[Goal, ...], as_of: date) -> None:
    """Stop if the events end so early that everybody would be scored as one who has gone quiet."""
    refuse_missing_days(
        connection,
        min(goals, key=lambda goal: goal.horizon_days),
        as_of,
        where=f"scores as of {as_of}",
        why="everybody would be scored as one who did nothing in the missing days",
    )


def refuse_missing_days(
    connection: duckdb.DuckDBPyConnection, goal: Goal, as_of: date, *, where: str, why: str
) -> None:
    """Stop if too many days before the run's date have no event; looks at the events of all hosts.

    A tenth of the horizon may be missing, and at least a week: feeds are late.
    """
    (last,) = one_row(connection, f"SELECT max({DAY}) FROM raw_events WHERE {DAY} <= DATE '{as_of}'")
    if last is None:
        raise ContractError(
            f"no event is dated on or before the run's date {as_of}",
            where="events",
            why="no customer is known on that day",
            fix="check event_time and as_of",
        )
    allowed = max(7, goal.horizon_days // 10)
    if (as_of - last).days > allowed:
        raise ContractError(
            f"the events end on {last}, {(as_of - last).days} days before the run's date {as_of}",
            where=f"{where}, {allowed} may be missing",
            why=why,
            fix=f"bring the events up to {as_of}, or set as_of to {last}",
        )


def count_later(connection: duckdb.DuckDBPyConnection, as_of: date) -> tuple[int, int]:
    """Count the events after the run's date, and the customers who have no others: neither is used."""
    later = f"event_day > DATE '{as_of}'"
    (events,) = one_row(connection, f"SELECT count(*) FROM events WHERE {later}")
    if not events:
        return 0, 0
    (customers,) = one_row(
        connection, f"SELECT count(*) FROM (SELECT 1 FROM events GROUP BY customer_key HAVING bool_and({later}))"
    )
    return int(events), int(customers)


def brand_table(as_of: date) -> str:
    """Name the table of the brand's own features on a date; its keys are the customers known by then."""
    return f"brand_{as_of:%Y%m%d}"


def brand_features(connection: duckdb.DuckDBPyConnection, as_of: date) -> str:
    """Compute the brand's own features of every customer known on ``as_of``; return the table's name."""
    name = brand_table(as_of)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {FEATURES_SQL}", {"as_of": as_of})
    return name


def label_sql(goals: tuple[Goal, ...], dated: tuple[Goal, ...], as_of: date) -> str:
    """Write the label expressions: 1 if the goal's event happened in the horizon after ``as_of``, else 0.

    A goal of absence is the other way round; a goal that is not ``dated`` here has no label.
    """
    parts = []
    for goal in goals:
        last = as_of + timedelta(days=goal.horizon_days)
        happened = f"""(customer_key IN (SELECT customer_key FROM events WHERE event_type = {literal(goal.event_type)}
            AND event_day > DATE '{as_of}' AND event_day <= DATE '{last}'))"""
        label = f"({happened} = {str(not goal.is_absent).lower()})" if goal in dated else "NULL"
        parts.append(f"{label}::TINYINT AS {LABEL_PREFIX}{goal.name}")
    return ",\n".join(parts)


def split_sql(seed: int, is_newest: bool, has_older: bool) -> str:
    """Write the split of a customer: fixed by its key alone, so that nobody is in two parts on any date.

    With several snapshots the newest is only tested on and the older ones only learned from: by customer and time.
    """
    bucket = f"(('0x' || sha256('{seed}|' || customer_key)[:8])::BIGINT % 100)"
    test, validation = SPLIT_PERCENT["test"], SPLIT_PERCENT["validation"]
    part = (
        f"CASE WHEN {bucket} < {test} THEN 'test' "
        f"WHEN {bucket} < {test + validation} THEN 'validation' ELSE 'train' END"
    )
    if not has_older:
        return part
    return f"nullif({part}, 'test')" if not is_newest else f"CASE WHEN {part} = 'test' THEN 'test' END"
