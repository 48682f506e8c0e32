"""Step BuildFeatures: events and the partner's answer become the training table and the score shards.

Comes in: events, contacts, the query result. Goes out: ``features/`` (the training snapshots with labels and split, and
their contract) and ``shards/`` (today's features with the endpoints of those who may be contacted). Refused: what the
contracts refuse, a partner value from the future, a label that never varies.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from contracts.contacts import CONTACTS
from contracts.errors import ContractError, SettingsError
from contracts.events import EVENTS
from contracts.feature_table import JSON_NAME, LABEL_PREFIX, PARQUET_NAME, SPLITS, Feature, FeatureTable
from contracts.job import run_job
from contracts.query_result import query_result_contract
from contracts.run_settings import RunSettings, read_run_settings
from contracts.score_shard import write_shards
from contracts.segment_file import reachable_mask, writable_mask
from contracts.table import check_table, parquet_files
from processing import features

ROW_GROUP_ROWS = 122_880
READ_ROWS = 100_000


def write_training_table(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date, path: Path
) -> FeatureTable:
    """Write the training table, one row per customer and snapshot, sorted by both; return its contract.

    Raises
    ------
    ContractError
        If a part is empty or a label never varies in it.
    """
    goal = features.training_goal(settings)
    features.refuse_censored_labels(connection, goal, as_of)
    dates = features.training_dates(settings, goal, as_of)
    parts = []
    columns: list[Feature] = []
    for day in dates:
        view, _, columns = features.snapshot(connection, settings, day)
        split = features.split_sql(settings.seed, is_newest=day == dates[0], has_older=len(dates) > 1)
        names = ", ".join(features.quoted(column.name) for column in columns)
        parts.append(
            f"""SELECT customer_key, DATE '{day}' AS snapshot_date, {split} AS split,
            {features.label_sql(settings.goals, day)}, {names} FROM {view}"""
        )
    union = " UNION ALL ".join(parts)
    connection.execute(
        f"""COPY (SELECT * FROM ({union}) WHERE split IS NOT NULL ORDER BY customer_key, snapshot_date)
        TO {features.literal(str(path))} (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"""
    )
    connection.from_parquet([str(path)]).create_view("training", replace=True)
    refuse_flat_labels(connection, settings)
    categorised = (
        replace(column, categories=features.category_values(connection, "training", column.name))
        if column.kind == "category"
        else column
        for column in columns
    )
    return FeatureTable(tuple(categorised), features.definition_sha256())


def refuse_flat_labels(connection: duckdb.DuckDBPyConnection, settings: RunSettings) -> None:
    """Stop if a part of the split has no row, or a goal's label is the same for everybody in it."""
    for goal in settings.goals:
        found = {
            split: (people, positives)
            for split, people, positives in connection.execute(
                f"SELECT split, count(*), sum({LABEL_PREFIX}{goal.name}) FROM training GROUP BY split"
            ).fetchall()
        }
        for part in SPLITS:
            people, positives = found.get(part, (0, 0))
            if positives in (0, people):
                raise ContractError(
                    f"goal {goal.name} can't be learned: {positives:,} of {people:,} customers have it",
                    where=f"{part} part, label window of {goal.horizon_days} days",
                    why=f"events of type {goal.event_type} in that window decide the label, and it must vary",
                    fix="check event_type, horizon_days and as_of in project.toml, or bring more events",
                )


@dataclass
class Endpoints:
    """The endpoints of those who may be contacted, read in pieces; counts what is kept and what can't be an address."""

    reader: pa.RecordBatchReader
    kept: int = 0
    forbidden: int = 0

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows that can be written."""
        for batch in self.reader:
            rows = pa.Table.from_batches([batch])
            usable = rows.filter(pc.and_(writable_mask(rows), reachable_mask(rows)))
            self.kept += usable.num_rows
            self.forbidden += rows.num_rows - usable.num_rows
            yield usable


def open_endpoints(
    connection: duckdb.DuckDBPyConnection, view: str, columns: list[Feature], contacts: list[Path]
) -> Endpoints:
    """Join a snapshot with the endpoints of those who may be contacted, sorted by customer and address.

    One refusal of an address, on any row of any customer, counts for all.
    """
    connection.from_parquet([str(path) for path in contacts], union_by_name=True).create_view("contacts", replace=True)
    names = ", ".join(f"s.{features.quoted(column.name)}" for column in columns)
    relation = connection.sql(
        f"""SELECT c.channel_type AS "ChannelType", c.address AS "Address",
               sha256(concat_ws(chr(31), c.channel_type, c.address, c.customer_key))[:32] AS "Id",
               c.customer_key AS "User.UserId", {names}
        FROM (SELECT DISTINCT channel_type, address, customer_key FROM contacts
              QUALIFY bool_and(may_contact) OVER (PARTITION BY channel_type, lower(trim(address)))) c
        JOIN {view} s USING (customer_key)
        ORDER BY c.customer_key, c.channel_type, c.address"""
    )
    return Endpoints(relation.to_arrow_reader(READ_ROWS))


def build_features(settings: RunSettings, as_of: date, inputs: Path, outputs: Path, is_training: bool) -> str:
    """Do the step's work and return its summary."""
    check_table(inputs / "events", EVENTS)
    check_table(inputs / "contacts", CONTACTS)
    check_table(inputs / "query_result", query_result_contract(settings.query.partner_columns))
    outputs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="spill-", dir=outputs) as spill,
        features.connect(Path(spill)) as connection,
    ):
        features.register_events(connection, parquet_files(inputs / "events", EVENTS.name))
        result_files = [str(path) for path in parquet_files(inputs / "query_result", "query result")]
        connection.from_parquet(result_files).create_view("query_result")
        table = write_training_table(connection, settings, as_of, Path(spill) / PARQUET_NAME) if is_training else None
        view, join, columns = features.snapshot(connection, settings, as_of)
        (customers,) = features.one_row(connection, f"SELECT count(*) FROM {features.brand_table(as_of)}")
        endpoints = open_endpoints(connection, view, columns, parquet_files(inputs / "contacts", CONTACTS.name))
        contract = table or FeatureTable(tuple(columns), features.definition_sha256())
        written = write_shards(endpoints, contract, outputs / "shards")
        if table:
            (outputs / "features").mkdir(parents=True, exist_ok=True)
            shutil.move(Path(spill) / PARQUET_NAME, outputs / "features" / PARQUET_NAME)
            (outputs / "features" / JSON_NAME).write_bytes(table.to_json())
    own = sum(column.party == "brand" for column in columns)
    dropped = f", {endpoints.forbidden:,} endpoints left out (no such address)" if endpoints.forbidden else ""
    return (
        f"{customers:,} customers, {join.matched:,} matched ({100 * join.matched / customers:.1f}%), "
        f"{own} own + {len(columns) - own} partner columns, "
        f"{endpoints.kept:,} endpoints in {len(written)} shard(s){dropped}"
    )


def parse_as_of(text: str) -> date:
    """Read the run's date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"AsOf = {text!r} is not a date", where="pipeline parameter AsOf", fix="give a day as YYYY-MM-DD"
        ) from error


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--for", dest="purpose", choices=("train", "score"), required=True)
    arguments = parser.parse_args(argv)
    processing = arguments.ml_dir / "processing"
    return run_job(
        lambda: build_features(
            read_run_settings(processing / "input" / "settings"),
            parse_as_of(arguments.as_of),
            processing / "input",
            processing,
            is_training=arguments.purpose == "train",
        ),
        note=arguments.ml_dir / "output" / "message",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
