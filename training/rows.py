"""The rows that may be learned from, read in batches: in one order, however many files they are in.

Comes in: the files of a feature table, each sorted by customer and date. Goes out: batches of bounded length, in the
order that one file would have had, so that the number of files changes no bit of a model; small tables whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import ContractError
from contracts.feature_table import (
    KEY_COLUMNS,
    PARQUET_NAME,
    FeatureTable,
    encode,
    feature_files,
    refuse_flat,
    with_categories,
)

PARTS = ("train", "validation")
BATCH_ROWS = 50_000
ORDER = [("customer_key", "ascending"), ("snapshot_date", "ascending")]

Batches = Callable[[list[str]], Iterator[pa.Table]]


@dataclass(frozen=True)
class Rows:
    """Rows of both parts: their keys and labels in memory, the rest by batches of some columns in the same order."""

    keys: pa.Table
    table: FeatureTable
    label: str
    batches: Batches
    files: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.keys.num_rows)

    @property
    def names(self) -> list[str]:
        """Columns that learning needs."""
        return [*self.keys.schema.names, *self.table.names]

    def hashes(self) -> tuple[str, ...]:
        """Hash what each file holds, every value of it; none where the rows were in memory."""
        return tuple(digest(path) for path in self.files)

    def whole(self) -> pa.Table:
        """Return all rows in one table."""
        return pa.concat_tables(self.batches(self.names), promote_options="permissive")

    def some(self, limit: int, seed: int) -> pa.Table:
        """Return about ``limit`` rows at most: all of some customers, drawn at random."""
        people = np.unique(self.keys.column("customer_key").to_numpy(), return_inverse=True)[1]
        drawn = np.random.default_rng(seed).permutation(int(people.max()) + 1)[people]
        is_in = drawn < limit / self.count * (int(people.max()) + 1)
        found, place = [], 0
        for batch in self.batches(self.names):
            found.append(batch.filter(pa.array(is_in[place : place + batch.num_rows])))
            place += batch.num_rows
        return pa.concat_tables(found, promote_options="permissive")

    def read(self, part: str) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]]:
        """Yield the matrices and labels of one part, each of at most ``BATCH_ROWS`` rows."""
        hidden = [feature.name in self.left_out for feature in self.table.features]
        of_part = (batch.filter(pc.field("split") == part) for batch in self.batches(self.names))
        for batch in rebatch(of_part):
            matrix = encode(batch, self.table, where=PARQUET_NAME)
            matrix[:, hidden] = np.nan
            yield matrix, batch.column(self.label).to_numpy().astype(np.int8)


def open_rows(folder: Path, table: FeatureTable, label: str) -> Rows:
    """Look through a folder's files.

    Raises
    ------
    ContractError
        If there is no file, one can't be read, a label is missing or never varies in a part, or a row is there twice.
    """
    paths = feature_files(folder, label)
    wanted = pc.field("split").isin(PARTS) & pc.field(label).is_valid()

    def batches(columns: list[str]) -> Iterator[pa.Table]:
        try:
            for batch in merge([chunks(path, [*columns, label], wanted) for path in paths]):
                yield batch.select(columns)
        except (pa.ArrowException, OSError) as error:
            raise ContractError(
                "the feature table can't be read", where=str(folder), why=str(error), fix="run BuildFeatures again"
            ) from error

    known = set(pq.read_schema(paths[0]).names)
    if missing := [name for name in table.names if name not in known]:
        raise ContractError(
            f"feature {missing[0]} is missing", where=f"{PARQUET_NAME}, {paths[0].name}", fix="run BuildFeatures again"
        )
    keys = pa.concat_tables(
        batches([name for name in (*KEY_COLUMNS, label) if name in known]), promote_options="permissive"
    )
    for part in PARTS:
        found = keys.filter(pc.field("split") == part).column(label)
        refuse_flat(label, part, pc.sum(found).as_py() or 0, len(found))
    return Rows(keys, table, label, batches, tuple(paths))


def digest(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_of(rows: pa.Table, table: FeatureTable, label: str) -> Rows:
    """Take rows that are in memory as they are."""
    keys = rows.select([name for name in (*KEY_COLUMNS, label) if name in rows.schema.names])
    return Rows(keys, table, label, lambda columns: rebatch(iter([rows.select(list(dict.fromkeys(columns)))])))


def learn_categories(rows: Rows) -> FeatureTable:
    """Fill in the categories of the text features, which is all that is read; see ``with_categories``."""
    names = [feature.name for feature in rows.table.features if feature.kind == "category"]
    if not names:
        return rows.table
    seen = [batch.group_by(names).aggregate([]) for batch in rows.batches(names)]
    texts = pa.concat_tables(seen, promote_options="permissive")
    found = with_categories(
        replace(rows.table, features=tuple(f for f in rows.table.features if f.name in names)), texts
    )
    by_name = {feature.name: feature for feature in found.features}
    return replace(rows.table, features=tuple(by_name.get(feature.name, feature) for feature in rows.table.features))


def chunks(path: Path, columns: list[str], wanted: pc.Expression) -> Iterator[pa.Table]:
    """Read the wanted rows of one file, a batch at a time."""
    with pq.ParquetFile(path) as file:
        names = set(columns) | set(KEY_COLUMNS)
        for batch in file.iter_batches(BATCH_ROWS, columns=[n for n in file.schema_arrow.names if n in names]):
            rows = pa.Table.from_batches([batch]).filter(wanted)
            if rows.num_rows:
                yield rows


def merge(streams: list[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Put the rows of sorted streams in one order, as far as each of them has been read.

    Raises
    ------
    ContractError
        If two streams hold the same row.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [(stream, head) for stream in streams if (head := next(stream, None)) is not None]
    while heads:
        limit = min(head.column("customer_key")[-1].as_py() for _, head in heads)
        taken, left = [], []
        for stream, head in heads:
            count = pc.sum(pc.less_equal(head.column("customer_key"), limit)).as_py()
            taken.append(head.slice(0, count))
            rest = head.slice(count) if count < head.num_rows else next(stream, None)
            if rest is not None:
                left.append((stream, rest))
        rows = pa.concat_tables(taken, promote_options="permissive").sort_by(ORDER)
        refuse_repeated(rows)
        yield rows
        heads = left


def refuse_repeated(rows: pa.Table) -> None:
    """Stop if a row of sorted ones has the customer and the date of the one before."""
    same = [
        pc.equal(column.slice(1), column.slice(0, len(column) - 1)).fill_null(True)
        for column in (rows.column("customer_key"), rows.column("snapshot_date"))
    ]
    if pc.any(pc.and_(*same)).as_py():
        raise ContractError(
            "a customer is in the feature table twice", where=PARQUET_NAME, fix="write one row per customer"
        )


def rebatch(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Cut tables anew into batches of ``BATCH_ROWS`` rows, the last of what is left."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(rows.num_rows for rows in waiting) >= BATCH_ROWS:
            rows = pa.concat_tables(waiting, promote_options="permissive")
            yield rows.slice(0, BATCH_ROWS)
            waiting = [rows.slice(BATCH_ROWS)]
    if sum(rows.num_rows for rows in waiting):
        yield pa.concat_tables(waiting, promote_options="permissive")
