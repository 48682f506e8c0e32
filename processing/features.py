"""Snapshots of customers: what was known of them on a date, and what they did after it.

Comes in: checked events and the partner's answer, as DuckDB views. Goes out: tables with one row per customer and date.
No time travel: ``features.sql`` reads nothing dated after the snapshot, and a partner value dated after it stops all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from contracts.errors import ContractError
from contracts.feature_table import LABEL_PREFIX, Feature
from contracts.query_result import DATE, KEY
from contracts.run_settings import Goal, RunSettings

FEATURES_SQL = files(__package__).joinpath("features.sql").read_text(encoding="utf-8")
SPLIT_PERCENT = {"test": 20, "validation": 20}
MEMORY_LIMIT = "1500MB"  # what does not fit spills to disk; measured: more brings little


@dataclass(frozen=True)
class PartnerJoin:
    """How the partner's rows met a snapshot's customers."""

    matched: int
    duplicates: int


def connect(work_dir: Path) -> duckdb.DuckDBPyConnection:
    """Open a connection that spills to ``work_dir``, keeps UTC, and fetches nothing from outside."""
    connection = duckdb.connect(
        config={
            "temp_directory": str(work_dir),
            "memory_limit": MEMORY_LIMIT,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def definition_sha256() -> str:
    """Hash the SQL that defines the brand's features: another definition is another model."""
    return hashlib.sha256(FEATURES_SQL.encode()).hexdigest()


def register_events(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    """Register the event files as the view that ``features.sql`` reads; absent amounts and quantities are missing.

    Both become decimals with six digits after the point (contracts.events keeps them below 10^12): sums of decimals are
    exact, so the order of events, and with it the number of threads, changes no bit of a feature.
    """
    connection.from_parquet([str(path) for path in paths], union_by_name=True).create_view("raw_events")
    present = columns_of(connection, "raw_events")
    optional = ", ".join(
        f"{name if name in present else 'NULL'}::DECIMAL(18, 6) AS {name}" for name in ("amount", "quantity")
    )
    connection.execute(
        f"""CREATE VIEW events AS
        SELECT customer_key::VARCHAR AS customer_key, event_type::VARCHAR AS event_type,
               event_time::TIMESTAMPTZ::TIMESTAMP::DATE AS event_day, {optional}
        FROM raw_events"""
    )


def training_dates(settings: RunSettings, goal: Goal, as_of: date) -> list[date]:
    """List the snapshot dates of training, newest first: one horizon before ``as_of``, and each a horizon earlier.

    The label window of each ends on or before the next one's date, so no label is counted twice.
    """
    return [as_of - timedelta(days=goal.horizon_days * step) for step in range(1, settings.training_snapshots + 1)]


def refuse_censored_labels(connection: duckdb.DuckDBPyConnection, goal: Goal, as_of: date) -> None:
    """Stop if the events end so early that many of those who did it late in the label window would count as not.

    A tenth of the horizon may be missing, and at least a week: feeds are late.
    """
    (last,) = one_row(connection, "SELECT max(event_day) FROM events")
    allowed = max(7, goal.horizon_days // 10)
    if (as_of - last).days > allowed:
        raise ContractError(
            f"the events end on {last}, {(as_of - last).days} days before the run's date {as_of}",
            where=f"goal {goal.name}, label window of {goal.horizon_days} days, {allowed} may be missing",
            why="whoever did it in the missing days would be learned as one who did not",
            fix=f"bring the events up to {as_of}, or set as_of to {last}",
        )


def training_goal(settings: RunSettings) -> Goal:
    """Return the goal whose horizon dates the training snapshots; all goals of a project share one horizon."""
    horizons = {goal.horizon_days for goal in settings.goals}
    if len(horizons) > 1:
        raise ContractError(
            f"goals have different horizons: {sorted(horizons)} days",
            where="project.toml",
            fix="give all goals one horizon_days",
        )
    return settings.goals[0]


def one_row(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    """Run a query that has exactly one row and return it."""
    (row,) = connection.execute(sql, parameters or {}).fetchall()
    return tuple(row)


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return a table's columns with their DuckDB types, in order."""
    return {name: str(type_) for name, type_, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}


def brand_table(as_of: date) -> str:
    """Name the table of the brand's own features on a date; its keys are the customers known by then."""
    return f"brand_{as_of:%Y%m%d}"


def brand_features(connection: duckdb.DuckDBPyConnection, as_of: date) -> str:
    """Compute the brand's own features of every customer known on ``as_of``; return the table's name."""
    name = brand_table(as_of)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {FEATURES_SQL}", {"as_of": as_of})
    return name


def partner_features(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date
) -> tuple[str, PartnerJoin]:
    """Choose one partner row for each customer: the newest dated on or before ``as_of``, then the lowest row hash.

    Raises
    ------
    ContractError
        If a customer has partner values that are all dated after ``as_of`` (by name, unless the project says that the
        partner's columns are static), or too many customers have several rows that nothing tells apart.
    """
    values = [quoted(name) for name in settings.query.partner_columns if name != DATE]
    is_dated = DATE in settings.query.partner_columns
    known = f"SELECT * FROM query_result WHERE {KEY} IN (SELECT {KEY} FROM {brand_table(as_of)})"
    newest = ""
    if is_dated:
        if not settings.partner_columns_are_static:
            refuse_later_values(connection, as_of, settings.query.partner_columns)
            known += f" AND {DATE}::DATE <= DATE '{as_of}'"
        newest = f"WHERE {DATE} = (SELECT max(n.{DATE}) FROM known n WHERE n.{KEY} = known.{KEY})"
    row_hash = f"sha256(concat_ws('|', {', '.join(f'coalesce({name}::VARCHAR, chr(0))' for name in values)}))"
    suffix = f"{as_of:%Y%m%d}"
    chosen, repeated, partner = f"chosen_{suffix}", f"repeated_{suffix}", f"partner_{suffix}"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {chosen} AS WITH known AS ({known}) SELECT * FROM known {newest}")
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {repeated} AS
        SELECT {KEY} FROM {chosen} GROUP BY {KEY} HAVING count(*) > 1"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW {partner} AS
        SELECT {KEY}, {", ".join(values)} FROM {chosen} ANTI JOIN {repeated} USING ({KEY})
        UNION ALL
        SELECT {KEY}, {", ".join(values)} FROM {chosen} SEMI JOIN {repeated} USING ({KEY})
        QUALIFY row_number() OVER (PARTITION BY {KEY} ORDER BY {row_hash}) = 1"""
    )
    (matched,) = one_row(connection, f"SELECT count(DISTINCT {KEY}) FROM {chosen}")
    (duplicates,) = one_row(connection, f"SELECT count(*) FROM {repeated}")
    if matched and 100 * duplicates / matched > settings.max_duplicate_percent:
        raise ContractError(
            f"{duplicates:,} of {matched:,} matched customers have several partner rows of one date",
            where="query result",
            why=f"over {settings.max_duplicate_percent:g} percent: the partner's table has no single row per person",
            fix="ask the partner for one row per identifier and date, or raise [query].max_duplicate_percent",
        )
    return partner, PartnerJoin(matched, duplicates)


def refuse_later_values(connection: duckdb.DuckDBPyConnection, as_of: date, columns: tuple[str, ...]) -> None:
    """Stop if a customer's partner values all come from after the snapshot: the model would learn from the future."""
    later, newest = one_row(
        connection,
        f"""SELECT count(*), max(oldest) FROM (
            SELECT min({DATE}::DATE) AS oldest FROM query_result
            WHERE {KEY} IN (SELECT {KEY} FROM {brand_table(as_of)}) GROUP BY {KEY})
        WHERE oldest > $as_of""",
        {"as_of": as_of},
    )
    if later:
        named = ", ".join(name for name in columns if name != DATE)
        raise ContractError(
            f"partner columns {named} of {later:,} customers are dated after the snapshot",
            where=f"query result, {DATE} up to {newest}, snapshot {as_of}",
            why="a model must not learn from what was not known yet",
            fix=f"ask the partner for values as of {as_of}, or set partner_columns_are_static if they never change",
        )


def quoted(name: str) -> str:
    """Write a column's name so that it is no word of SQL."""
    return f'"{name}"'


def literal(text: str) -> str:
    """Write a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def label_sql(goals: tuple[Goal, ...], as_of: date) -> str:
    """Write the label expressions: 1 if the goal's event happened in the horizon after ``as_of``, else 0."""
    parts = []
    for goal in goals:
        last = as_of + timedelta(days=goal.horizon_days)
        parts.append(
            f"""(customer_key IN (SELECT customer_key FROM events WHERE event_type = {literal(goal.event_type)}
            AND event_day > DATE '{as_of}' AND event_day <= DATE '{last}'))::TINYINT
            AS {LABEL_PREFIX}{goal.name}"""
        )
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


def snapshot(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date
) -> tuple[str, PartnerJoin, list[Feature]]:
    """Join a date's brand and partner features as a view; unmatched customers keep missing partner columns.

    Returns
    -------
    str
        Name of the view: ``customer_key`` and the features.
    PartnerJoin
        How the partner's rows met the customers.
    list of Feature
        The features in their order, categories not filled in.
    """
    own = brand_features(connection, as_of)
    partner, join = partner_features(connection, settings, as_of)
    own_columns = [column for column in columns_of(connection, own) if column != KEY]
    partner_types = {c: t for c, t in columns_of(connection, partner).items() if c != KEY}
    if clash := set(partner_types) & set(own_columns):
        raise ContractError(
            f"partner columns have the names of our own features: {sorted(clash)}",
            where="query result",
            fix="rename them",
        )
    cast = ", ".join(
        f"p.{quoted(c)}" if t == "VARCHAR" else f"p.{quoted(c)}::DOUBLE AS {quoted(c)}"
        for c, t in partner_types.items()
    )
    name = f"snapshot_{as_of:%Y%m%d}"
    connection.execute(
        f"""CREATE OR REPLACE TEMP VIEW {name} AS
        SELECT o.*, {cast} FROM {own} o LEFT JOIN {partner} p USING ({KEY})"""
    )
    features = [Feature(column, "number", "brand") for column in own_columns]
    features += [Feature(c, "category" if t == "VARCHAR" else "number", "partner") for c, t in partner_types.items()]
    return name, join, features


def category_values(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> tuple[str, ...]:
    """List a category's values in the training part, sorted."""
    found = connection.execute(
        f"SELECT DISTINCT {quoted(name)} FROM {table} WHERE split = 'train' AND {quoted(name)} IS NOT NULL ORDER BY 1"
    ).fetchall()
    return tuple(value for (value,) in found)
