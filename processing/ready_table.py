"""A ready customer table as a snapshot: its columns as features, its labels and its split.

Comes in: checked Parquet files. Goes out: a base table (``customer_key`` and features) and the SQL of labels and split.
Refused: two rows for a customer, a text column that names people rather than groups them, a labelled row without split.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from contracts.customers import customers_contract, feature_columns, read_customers
from contracts.errors import ContractError
from contracts.feature_table import LABEL_PREFIX
from contracts.query_result import KEY
from contracts.run_settings import Goal, ReadyTable, RunSettings
from contracts.table import TableContract, parquet_files
from processing.sql import columns_of, literal, one_row, quoted, refuse_identifier

BASE = "ready"


def register_customers(
    connection: duckdb.DuckDBPyConnection, settings: RunSettings, folder: Path, is_training: bool
) -> str:
    """Check a ready table and register it as ``all_customers``; return the table of its features.

    Raises
    ------
    ContractError
        If it breaks its contract, holds a customer twice, or has a feature that names people.
    """
    ready = ready_of(settings)
    contract = customers_contract(ready, tuple(goal.label for goal in settings.goals), is_training)
    rows = sum(batch.num_rows for batch in read_customers(folder, contract))
    if not rows:
        raise ContractError("customers has no rows", where=str(folder), fix=contract.remedy)
    paths = [str(path) for path in parquet_files(folder, contract.name)]
    connection.from_parquet(paths, union_by_name=True).create_view("raw_customers", replace=True)
    key = quoted(ready.customer_key)
    others = f"EXCLUDE ({key})" if ready.customer_key != KEY else f"REPLACE ({key}::VARCHAR AS {key})"
    own = f"{key}::VARCHAR AS {KEY}, * {others}" if ready.customer_key != KEY else f"* {others}"
    connection.execute(f"CREATE OR REPLACE VIEW all_customers AS SELECT {own} FROM raw_customers")
    (keys,) = one_row(connection, f"SELECT count(DISTINCT {KEY}) FROM all_customers")
    if keys != rows:
        raise ContractError(
            f"customers has {rows:,} rows for {keys:,} customers",
            where=f"column {ready.customer_key}",
            why="a ready table has one row per customer; a repeated one would be in training and test at once",
            fix="write one row per customer, or name the right column: [columns] customer_key",
        )
    return make_base(connection, contract)


def make_base(connection: duckdb.DuckDBPyConnection, contract: TableContract) -> str:
    """Make the table of features: numbers and booleans as doubles, texts as they are."""
    types = columns_of(connection, "raw_customers")
    schema = connection.table("raw_customers").limit(0).to_arrow_table().schema
    names = feature_columns(schema, contract)
    for name in (name for name in names if types[name] == "VARCHAR"):
        refuse_identifier(
            connection, "raw_customers", name, "customers", f"leave it out: [columns] ignore = [{name!r}]"
        )
    selected = ", ".join(
        quoted(name) if types[name].startswith(("VARCHAR", "ENUM")) else f"{quoted(name)}::DOUBLE AS {quoted(name)}"
        for name in names
    )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {BASE} AS SELECT {KEY}, {selected} FROM all_customers")
    return BASE


def ready_of(settings: RunSettings) -> ReadyTable:
    """Return the roles of the ready table's columns."""
    if settings.customers is None:
        raise ContractError("this project has no ready table", where="run settings", fix="pseg pipeline upsert")
    return settings.customers


def columns_of_training(ready: ReadyTable, goals: tuple[Goal, ...]) -> tuple[str, ...]:
    """List the columns that only training has; the user's own features must not depend on them."""
    return tuple(name for name in (*(goal.label for goal in goals), ready.split, ready.time) if name)


def ready_labels(goals: tuple[Goal, ...]) -> str:
    """Write the label expressions; a missing label stays missing."""
    return ", ".join(f"c.{quoted(goal.label)}::TINYINT AS {LABEL_PREFIX}{goal.name}" for goal in goals)


def ready_split(
    connection: duckdb.DuckDBPyConnection, ready: ReadyTable, goals: tuple[Goal, ...], seed: int, hosts: int
) -> str:
    """Write the split expression: as the table says, by time (the newest are tested on), or by the customer's key.

    A given split without a validation part gives a quarter of its training part: the newest where there is a time. With
    several ``hosts`` it is taken as it is, for none knows if another has a validation part; the training job looks.

    Raises
    ------
    ContractError
        If a labelled row has no split, or there is a time on several hosts: none sees all times.
    """
    if hosts > 1 and ready.time:
        raise ContractError(
            f"{hosts} instances can't put customers in the order of {ready.time}",
            where="pipeline parameter ProcessingInstanceCount",
            why="each sees a share of the customers, and with it a share of the times",
            fix="train with one processing instance, or give no time: train, validation and test in [columns] split, "
            f"and ignore = [{ready.time!r}]",
        )
    hashed = f"sha256('{seed}|' || c.{KEY})"  # rows of one time are dealt out by it: keys often tell who came first
    place = (
        f"percent_rank() OVER (ORDER BY c.{quoted(ready.time)}, {hashed})"
        if ready.time
        else f"(('0x' || {hashed}[:8])::BIGINT % 100) / 100"
    )
    if not ready.split:
        return f"CASE WHEN {place} < 0.6 THEN 'train' WHEN {place} < 0.8 THEN 'validation' ELSE 'test' END"
    split = f"c.{quoted(ready.split)}"
    labelled = " OR ".join(f"{quoted(goal.label)} IS NOT NULL" for goal in goals)
    missing, validation = one_row(
        connection,
        f"""SELECT count(*) FILTER (({labelled}) AND {quoted(ready.split)} IS NULL),
        count(*) FILTER ({quoted(ready.split)} = 'validation') FROM all_customers""",
    )
    if missing:
        raise ContractError(
            f"column {ready.split} of customers has no value in {missing:,} rows that have a label",
            where="customers",
            fix="say train or test in each row that has a label",
        )
    if validation or hosts > 1:
        return f"{split}::VARCHAR"
    within = place.replace("OVER (", f"OVER (PARTITION BY {split} ")
    return f"CASE WHEN {split} = {literal('train')} AND {within} >= 0.75 THEN 'validation' ELSE {split}::VARCHAR END"
