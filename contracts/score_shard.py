"""Doorway *score shard*: features and Pinpoint endpoint columns of eligible customers, one Parquet file per request.

A shard is at most 20 MB and 100,000 rows, so that batch transform can send it whole (its limit is 100 MB, ours leaves
room) and one shard is one CSV. The shard carries the fingerprint of its features.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import ContractError
from contracts.feature_table import FINGERPRINT_KEY, FeatureTable
from contracts.segment_file import ENDPOINT_COLUMNS

MAX_ROWS = 100_000
MAX_BYTES = 20_000_000
UNIQUE = ("Address", "Id", "User.UserId")  # a dictionary of what never repeats, as of most numbers, only costs time


def write_shards(
    pieces: Iterable[pa.Table], table: FeatureTable, folder: Path, host: int = 0, may_be_empty: bool = False
) -> list[Path]:
    """Write rows into shards ``shard-00000.parquet`` and on, in the order given, holding one shard at a time.

    Several hosts write into one prefix: the names of each but the first hold its number.

    Parameters
    ----------
    pieces : iterable of Table, each of shape (n_rows, any)
        Together the rows to score, with the endpoint columns and every feature of ``table``.

    Raises
    ------
    ContractError
        If a column is missing, or there is nobody to score and that may not be. Nothing was written.
    """
    wanted = [*ENDPOINT_COLUMNS, *table.names]
    stem = folder / ("shard" if host == 0 else f"shard-h{host:03d}")
    written: list[Path] = []
    waiting: list[pa.Table] = []
    for piece in pieces:
        if missing := [name for name in wanted if name not in piece.schema.names]:
            raise ContractError(
                f"columns are missing from the rows to score: {missing}",
                where=f"score shards, {piece.num_rows:,} rows",
                fix="run BuildFeatures again",
            )
        waiting.append(piece.select(wanted).replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}))
        while sum(rows.num_rows for rows in waiting) >= MAX_ROWS:
            rows = pa.concat_tables(waiting)
            written += write_within_limit(rows.slice(0, MAX_ROWS), stem, len(written))
            waiting = [rows.slice(MAX_ROWS)]
    if sum(rows.num_rows for rows in waiting):
        written += write_within_limit(pa.concat_tables(waiting), stem, len(written))
    if not written and not may_be_empty:
        raise ContractError(
            "there is nobody to score",
            where="score shards",
            why="no customer with events may be contacted on an address that we have",
            fix="check may_contact and address in contacts",
        )
    return written


def write_within_limit(rows: pa.Table, stem: Path, number: int) -> list[Path]:
    """Write one shard, halved until each file is within the limit."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    path = stem.with_name(f"{stem.name}-{number:05d}.parquet")
    repeating = [field.name for field in rows.schema if pa.types.is_string(field.type) and field.name not in UNIQUE]
    pq.write_table(rows, path, compression="snappy", use_dictionary=repeating)
    if path.stat().st_size <= MAX_BYTES or rows.num_rows == 1:
        return [path]
    half = (rows.num_rows + 1) // 2
    first = write_within_limit(rows.slice(0, half), stem, number)
    return first + write_within_limit(rows.slice(half), stem, number + len(first))


def read_shard(source: pa.BufferReader | Path, table: FeatureTable) -> pa.Table:
    """Read one shard and refuse it if its features are not the model's.

    Raises
    ------
    ContractError
        If it is not Parquet, lacks an endpoint column (as text), or carries another fingerprint.
    """
    try:
        rows = pq.read_table(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise ContractError(
            "the shard is not a Parquet file", why=str(error), fix="send a shard of BuildFeatures"
        ) from error
    found = (rows.schema.metadata or {}).get(FINGERPRINT_KEY, b"none").decode(errors="replace")
    if found != table.fingerprint:
        raise ContractError(
            "the shard's features are not the model's",
            where=f"shard {found[:12]}, model {table.fingerprint[:12]}, {rows.num_rows:,} rows",
            why="the features were changed after this model was trained",
            fix="train and approve a new model, or score with the code that trained this one",
        )
    missing = [name for name in ENDPOINT_COLUMNS if name not in rows.schema.names]
    if missing:
        raise ContractError(f"endpoint columns are missing from the shard: {missing}", fix="run BuildFeatures again")
    for name in ENDPOINT_COLUMNS:
        if not pa.types.is_string(rows.schema.field(name).type):
            raise ContractError(
                f"endpoint column {name} of the shard must be text, got {rows.schema.field(name).type}",
                fix="run BuildFeatures again",
            )
    return rows
