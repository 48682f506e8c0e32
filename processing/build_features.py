"""Step BuildFeatures: events and the partner's answer become the training table and the score shards.

Comes in: events, contacts, the query result. Goes out: ``features/`` (the training snapshots with labels and split, and
their contract) and ``shards/`` (today's features with the endpoints of those who may be contacted). Refused: what the
contracts refuse, a partner value from the future, a label that never varies.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.contacts import CONTACTS
from contracts.errors import ContractError, SettingsError
from contracts.events import EVENTS
from contracts.feature_table import JSON_NAME, LABEL_PREFIX, PARQUET_NAME, SPLITS, Feature, FeatureTable
from contracts.job import run_job
from contracts.query_result import query_result_contract
from contracts.run_settings import RunSettings, read_run_settings
from contracts.score_shard import write_shards
from contracts.segment_file import writable_mask
from contracts.table import check_table, parquet_files
from processing import features


def training_table(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date
) -> tuple[pa.Table, FeatureTable]:
    """Build the training table: one row per customer and snapshot, sorted by both.

    Raises
    ------
    ContractError
        If a part is empty or a label never varies in it.
    """
    dates = features.training_dates(settings, features.training_goal(settings), as_of)
    parts = []
    columns: list[Feature] = []
    for day in dates:
        _, _, columns = features.snapshot(connection, settings, day)
        split = features.split_sql(settings.seed, is_newest=day == dates[0], has_older=len(dates) > 1)
        names = ", ".join(column.name for column in columns)
        parts.append(
            f"""SELECT customer_key, DATE '{day}' AS snapshot_date, {split} AS split,
            {features.label_sql(settings.goals, day)}, {names} FROM snapshot_{day:%Y%m%d}"""
        )
    union = " UNION ALL ".join(parts)
    rows = connection.sql(
        f"SELECT * FROM ({union}) WHERE split IS NOT NULL ORDER BY customer_key, snapshot_date"
    ).to_arrow_table()
    refuse_flat_labels(rows, settings)
    learned = rows.filter(pc.equal(rows.column("split"), "train"))
    categorised = tuple(
        replace(column, categories=features.category_values(learned, column)) if column.kind == "category" else column
        for column in columns
    )
    return rows, FeatureTable(categorised, features.definition_sha256())


def refuse_flat_labels(rows: pa.Table, settings: RunSettings) -> None:
    """Stop if a part of the split has no row, or a goal's label is the same for everybody in it."""
    for part in SPLITS:
        chosen = rows.filter(pc.equal(rows.column("split"), part))
        for goal in settings.goals:
            positives = pc.sum(chosen.column(LABEL_PREFIX + goal.name)).as_py() or 0
            if positives in (0, chosen.num_rows):
                raise ContractError(
                    f"goal {goal.name} can't be learned: {positives:,} of {chosen.num_rows:,} customers have it",
                    where=f"{part} part, label window of {goal.horizon_days} days",
                    why=f"events of type {goal.event_type} in that window decide the label, and it must vary",
                    fix="check event_type, horizon_days and as_of in project.toml, or bring more events",
                )


def score_rows(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, as_of: date, contacts: list[Path]
) -> tuple[pa.Table, features.PartnerJoin, int, int]:
    """Join today's features with the endpoints of those who may be contacted.

    Returns
    -------
    Table of shape (n_endpoints, any)
        Endpoint columns and features, sorted by customer and address.
    PartnerJoin
        How many customers the partner knew.
    int
        How many customers had events.
    int
        How many endpoints the file format forbids, which were left out.
    """
    today, join, columns = features.snapshot(connection, settings, as_of)
    (customers,) = features.one_row(connection, f"SELECT count(*) FROM {today}")
    connection.from_parquet([str(path) for path in contacts], union_by_name=True).create_view("contacts", replace=True)
    names = ", ".join(f"s.{column.name}" for column in columns)
    rows = connection.sql(
        f"""SELECT c.channel_type AS "ChannelType", c.address AS "Address",
               sha256(c.channel_type || '|' || c.address || '|' || c.customer_key)[:32] AS "Id",
               c.customer_key AS "User.UserId", {names}
        FROM (SELECT DISTINCT channel_type, address, customer_key FROM contacts WHERE may_contact) c
        JOIN {today} s USING (customer_key)
        ORDER BY c.customer_key, c.channel_type, c.address"""
    ).to_arrow_table()
    mask = writable_mask(rows)
    kept = rows.filter(mask)
    return kept, join, int(customers), rows.num_rows - kept.num_rows


def build_features(settings: RunSettings, as_of: date, inputs: Path, outputs: Path, is_training: bool) -> str:
    """Do the step's work and return its summary."""
    check_table(inputs / "events", EVENTS)
    check_table(inputs / "contacts", CONTACTS)
    check_table(inputs / "query_result", query_result_contract(settings.query.partner_columns))
    connection = features.connect(outputs / "spill")
    features.register_events(connection, parquet_files(inputs / "events", EVENTS.name))
    result_files = [str(path) for path in parquet_files(inputs / "query_result", "query result")]
    connection.from_parquet(result_files).create_view("query_result")
    shards, join, customers, forbidden = score_rows(
        connection, settings, as_of, parquet_files(inputs / "contacts", CONTACTS.name)
    )
    rows: pa.Table | None = None
    if is_training:
        rows, table = training_table(connection, settings, as_of)
    else:
        table = FeatureTable(tuple(features.snapshot(connection, settings, as_of)[2]), features.definition_sha256())
    written = write_shards(shards, table, outputs / "shards")
    if rows is not None:
        folder = outputs / "features"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.replace_schema_metadata(None), folder / PARQUET_NAME)
        (folder / JSON_NAME).write_bytes(table.to_json())
    own = sum(feature.party == "brand" for feature in table.features)
    dropped = f", {forbidden:,} endpoints left out (format)" if forbidden else ""
    return (
        f"{customers:,} customers, {join.matched:,} matched ({100 * join.matched / customers:.1f}%), "
        f"{own} own + {len(table.features) - own} partner columns, "
        f"{shards.num_rows:,} endpoints in {len(written)} shard(s){dropped}"
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
