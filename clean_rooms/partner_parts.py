"""From cleaned rows to sized Parquet: hashed, one row per identifier and date, sorted, whatever the size.

Comes in: cleaned batches. Goes out: ``part-00000.parquet`` and so on. Rows go to disk in buckets by the first digits of
their hash, which spread evenly, and a few buckets are in memory at a time: it does not grow with the table. Of several
rows with one identifier and date the last one read stays. Same files, same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clean_rooms.identity_columns import hash_sql, prepare_hashing
from clean_rooms.partner_cleaning import IDENTIFIER, IS_HASHED, NUMBER
from clean_rooms.partner_columns import HASHED_ID
from contracts.query_result import DATE

BUCKET_BYTES = 2 << 20  # of input for each bucket
MAX_BUCKETS = 4096  # 8 GB of CSV; beyond, buckets and memory grow with the table
SPLIT_ROWS = 65_536  # are hashed and split at once
PART_BYTES = 128 << 20  # a Parquet file ends once it is larger
ROW_GROUP_ROWS = 65_536
BUCKET = "bucket of the row"

Item = TypeVar("Item")
Result = TypeVar("Result")


class Buckets:
    """Cleaned rows on disk, in files by the first 16 bits of their hash."""

    def __init__(self, folder: Path, key: bytes | None, input_bytes: int) -> None:
        self.folder = folder
        self.connection = duckdb.connect(config={"threads": 1})
        prepare_hashing(self.connection, key)
        count = min(max(input_bytes // BUCKET_BYTES, 1), MAX_BUCKETS)
        hashed = f'CASE WHEN "{IS_HASHED}" THEN "{IDENTIFIER}" ELSE {hash_sql(quoted(IDENTIFIER), key is not None)} END'
        self.sql = f"""SELECT (('0x' || {HASHED_ID}[1:4])::INTEGER * {count}) >> 16 AS "{BUCKET}", *
            FROM (SELECT {hashed} AS {HASHED_ID}, * EXCLUDE ("{IDENTIFIER}", "{IS_HASHED}") FROM cleaned)"""

    def split(self, cleaned: pa.Table) -> None:
        """Hash the identifiers of some rows and add each row to its bucket's file."""
        self.connection.register("cleaned", cleaned)
        rows = self.connection.sql(self.sql).to_arrow_table().combine_chunks()
        rows = rows.take(pc.sort_indices(rows[BUCKET]))
        runs = pc.run_end_encode(rows[BUCKET].combine_chunks())
        rows, start = rows.drop_columns([BUCKET]), 0
        for bucket, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            with (
                (self.folder / f"{bucket:04d}.arrows").open("ab") as file,
                pa.ipc.new_stream(file, rows.schema) as sink,
            ):
                sink.write_table(rows.slice(start, end - start))
            start = end


def quoted(name: str) -> str:
    """Write a name as SQL takes it; no name here holds a quote."""
    return f'"{name}"'


def fill_buckets(folder: Path, batches: Iterable[pa.RecordBatch], key: bytes | None, input_bytes: int) -> None:
    """Hash cleaned rows and split them into buckets, while the next ones are read and cleaned."""
    buckets = Buckets(folder, key, input_bytes)
    with ThreadPoolExecutor(1) as pool:
        for _ in work_ahead(pool, buckets.split, gather(batches, SPLIT_ROWS), depth=1):
            pass
    buckets.connection.close()


def gather(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Put batches together to tables of at least so many rows; the last may have fewer."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def work_ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Iterator[Result]:
    """Do work on items in the pool and yield its results in their order, at most ``depth`` ahead of what was taken."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True)
class Finished:
    """A bucket's rows as they will be written, of how many identifiers they are, and which rows were not kept.

    Of an identifier and date, ``identical`` rows said the same as another one, ``replaced`` rows something else.
    """

    rows: pa.Table
    identifiers: int
    identical: int
    replaced: int


def finish_bucket(path: Path) -> Finished:
    """Sort a bucket and keep the last row read of each identifier and date."""
    rows = read_bucket(path)
    path.unlink()
    key = [HASHED_ID, *([DATE] if DATE in rows.column_names else [])]
    order = [*((name, "ascending") for name in key), (NUMBER, "descending")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=order)).drop_columns([NUMBER]).combine_chunks()
    is_new_identifier = differs_from_last(rows[HASHED_ID])
    is_new = is_new_identifier
    for name in key[1:]:
        is_new = pc.or_(is_new, differs_from_last(rows[name]))
    identifiers = pc.sum(is_new_identifier).as_py()
    kept = rows.filter(is_new)
    repeats = pc.invert(is_new)
    several = rows.filter(pc.or_(repeats, pa.chunked_array([*repeats.slice(1).chunks, pa.array([False])])))
    different = several.group_by(rows.column_names, use_threads=False).aggregate([]).num_rows
    replaced = different - (several.num_rows - (rows.num_rows - kept.num_rows))
    return Finished(kept, identifiers, several.num_rows - different, replaced)


def read_bucket(path: Path) -> pa.Table:
    """Read what was added to a bucket's file, one stream after the other."""
    tables = []
    with pa.memory_map(str(path)) as file:
        while file.tell() < file.size():
            tables.append(pa.ipc.open_stream(file).read_all())
        return pa.concat_tables(tables).combine_chunks()


def differs_from_last(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Tell for each value, none of them missing, if it differs from the one before it; the first does."""
    first = pa.chunked_array([pa.array([True])])
    changes = pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))
    return pa.chunked_array([*first.chunks, *changes.chunks])


@dataclass
class PartCounts:
    """What was written."""

    rows: int = 0
    identifiers: int = 0
    identical: int = 0
    replaced: int = 0


def write_parts(buckets: Path, folder: Path) -> PartCounts:
    """Finish every bucket, in the order of the hashes, into Parquet files of about ``PART_BYTES``."""
    counts = PartCounts()

    def rows_of(finished: Iterable[Finished]) -> Iterator[pa.RecordBatch]:
        for bucket in finished:
            counts.rows += bucket.rows.num_rows
            counts.identifiers += bucket.identifiers
            counts.identical += bucket.identical
            counts.replaced += bucket.replaced
            yield from bucket.rows.to_batches()

    writer: pq.ParquetWriter | None = None
    parts = 0
    with ThreadPoolExecutor(1) as pool:
        finished = work_ahead(pool, finish_bucket, sorted(buckets.iterdir()), depth=1)
        for group in gather(rows_of(finished), ROW_GROUP_ROWS):
            path = folder / f"part-{parts:05d}.parquet"
            if writer is None:
                coded = [name for name in group.column_names if name != HASHED_ID]  # hashes rarely repeat
                writer = pq.ParquetWriter(path, group.schema, compression="zstd", use_dictionary=coded)
            writer.write_table(group.combine_chunks(), row_group_size=group.num_rows)
            if path.stat().st_size > PART_BYTES:
                writer.close()
                writer, parts = None, parts + 1
    if writer:
        writer.close()
    return counts
