"""How many identifiers two files share, before a collaboration is set up; no identifier is shown.

Comes in: two files with a column of hashes. Goes out: counts rounded to tens, and the share of each side that the other
knows, with its 95 % range. Refused: fewer than 1,000 identifiers on a side, so that nobody asks about single people by
accident. It is no defence against who holds both files and means to: a hash can be compared by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clean_rooms.identity_columns import normalise_column
from clean_rooms.partner_files import BadRows, CsvForm, read_files, read_names
from clean_rooms.partner_values import read_text
from contracts.errors import ContractError

MIN_IDENTIFIERS = 1_000
Z = 1.959964  # 95 %, two-sided


@dataclass(frozen=True)
class Side:
    """One file: rows, distinct identifiers, and how many of these the other file has; rounded to tens."""

    rows: int
    identifiers: int
    matched: int

    @property
    def rate(self) -> float:
        """Share of the identifiers that the other file has, 0 to 1."""
        return self.matched / self.identifiers

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % range of the rate, as if the file were a sample: Wilson's score interval (JASA 22, 1927)."""
        return wilson(self.matched, self.identifiers)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share: ``hits`` of ``trials`` > 0."""
    share, weight = hits / trials, Z * Z / trials
    middle = share + weight / 2
    half = sqrt(weight * share * (1 - share) + weight * weight / 4)
    return max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight))


def preview_match(ours: Path, theirs: Path, column: str) -> tuple[Side, Side]:
    """Count what two files of hashed identifiers share.

    Returns
    -------
    tuple of Side
        Ours and theirs; ``matched`` is the same in both.

    Raises
    ------
    ContractError
        If a file can't be read, lacks the column, holds something else than hashes, or has too few of them.
    """
    with duckdb.connect(config={"memory_limit": "128MiB"}) as connection:
        rows = [register(connection, name, path, column) for name, path in (("ours", ours), ("theirs", theirs))]
        counts = [count(connection, f"SELECT count(*) FROM {name}") for name in ("ours", "theirs")]
        matched = count(connection, "SELECT count(*) FROM ours SEMI JOIN theirs USING (id)")
    for path, identifiers in zip((ours, theirs), counts, strict=True):
        if identifiers < MIN_IDENTIFIERS:
            raise ContractError(
                f"fewer than {MIN_IDENTIFIERS:,} identifiers",
                where=path.name,
                why="a match rate of few people tells of single ones",
                fix="compare larger files",
            )
    first, second = (
        Side(round(all_rows, -1), round(identifiers, -1), round(matched, -1))
        for all_rows, identifiers in zip(rows, counts, strict=True)
    )
    return first, second


def count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the one number that a query has."""
    ((number,),) = connection.sql(sql).fetchall()
    return int(number)


def register(connection: duckdb.DuckDBPyConnection, name: str, path: Path, column: str) -> int:
    """Make a table of a file's distinct identifiers; return its rows."""
    if column not in (names := read_names(path, CsvForm())):
        raise ContractError(f"there is no column {column}", where=path.name, fix=f"--column, one of {', '.join(names)}")
    connection.execute(f"CREATE TEMP TABLE all_{name} (id VARCHAR)")
    for hashes in read_hashes(path, column):
        connection.register("batch", pa.table({"id": hashes}))
        connection.execute(f"INSERT INTO all_{name} SELECT id FROM batch")
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT DISTINCT id FROM all_{name}")
    return count(connection, f"SELECT count(*) FROM all_{name}")


def read_hashes(path: Path, column: str) -> Iterator[pa.Array]:
    """Read a file's hashes, batch by batch."""
    for batch in read_files([path], CsvForm(), BadRows()):
        texts, reasons = normalise_column(read_text(batch.columns.column(column))[0], "sha256")
        rows, wrong = batch.first_rows(pc.is_valid(reasons))
        if wrong:
            raise ContractError(
                f"{wrong:,} values of {column} are no hashes of identifiers",
                where=f"{path.name} row {rows[0]:,}",
                fix="make them with pseg partner prepare",
            )
        yield texts
