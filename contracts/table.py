"""The form that every tabular doorway shares: named columns with a type, checked as the file is read.

Comes in: Parquet files. Goes out: the same, or a ``ContractError`` that names file, column, rows and remedy.
Files are checked row group by row group, so their size does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import ContractError

LARGEST = 3e38  # features are single precision to a model; what is larger would be infinite there
KINDS: dict[str, Callable[[pa.DataType], bool]] = {
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or is_text_dictionary(t),
    "number": lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    "boolean": lambda t: bool(pa.types.is_boolean(t)),
    "date": lambda t: pa.types.is_date(t) or pa.types.is_timestamp(t),
    "time": pa.types.is_timestamp,
}
KINDS["value"] = lambda t: any(KINDS[kind](t) for kind in ("text", "number", "boolean"))
KINDS["key"] = lambda t: KINDS["text"](t) or bool(pa.types.is_integer(t))
KINDS["label"] = lambda t: KINDS["number"](t) or bool(pa.types.is_boolean(t)) or bool(pa.types.is_null(t))
KINDS["order"] = lambda t: any(KINDS[kind](t) for kind in ("text", "number", "date"))
KINDS["any"] = lambda t: True


def is_text_dictionary(type_: pa.DataType) -> bool:
    """Tell if a type is a dictionary of strings."""
    return bool(pa.types.is_dictionary(type_) and pa.types.is_string(type_.value_type))


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, one of ``KINDS``, whether it may be missing, and which values it may have."""

    name: str
    kind: str
    is_required: bool = True
    may_be_null: bool = False
    below: float | None = None
    allowed: tuple[str, ...] = ()

    def problems(self, values: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, int]]:
        """Yield what can be wrong with a value, and in how many rows it is."""
        yield "no value", 0 if self.may_be_null else values.null_count
        if self.kind == "label":
            numbers = values.cast(pa.float64(), safe=False)
            is_label = pc.is_in(numbers, value_set=pa.array([0.0, 1.0]))
            yield "another value than 0 and 1", count_true(pc.and_(pc.is_valid(numbers), pc.invert(is_label)))
        if self.kind in ("text", "key"):
            yield "an empty value", count_true(pc.equal(pc.utf8_trim_whitespace(values.cast(pa.string())), ""))
        if self.allowed:
            known = pc.is_in(values.cast(pa.string()), value_set=pa.array(self.allowed))
            unknown = pc.and_(pc.is_valid(values), pc.invert(known))
            yield f"another value than {', '.join(self.allowed)}", count_true(unknown)
        if pa.types.is_floating(values.type) and self.kind not in ("label", "any"):
            yield "NaN or an infinite value", count_true(pc.invert(pc.is_finite(values)))
        if self.below is not None and KINDS["number"](values.type):
            yield (
                f"a value beyond {self.below:g}",
                count_true(pc.greater_equal(pc.abs(values.cast(pa.float64(), safe=False)), self.below)),
            )


@dataclass(frozen=True)
class TableContract:
    """The columns that a table must have. Columns beyond them are ignored."""

    name: str
    columns: tuple[Column, ...]
    remedy: str

    def check_schema(self, schema: pa.Schema, where: str) -> None:
        """Raise ``ContractError`` if a column is missing, of another kind, or there but for the case of its name."""
        for column in self.columns:
            self.refuse_other_case(column, schema.names, where)
            position = schema.get_field_index(column.name)
            if position < 0:
                if not column.is_required:
                    continue
                raise ContractError(
                    f"column {column.name} is missing from {self.name}",
                    where=where,
                    why=f"found {', '.join(schema.names) or 'no columns'}",
                    fix=self.remedy,
                )
            found = schema.field(position).type
            if not KINDS[column.kind](found) and not pa.types.is_null(found):  # no type, as there is no value
                raise ContractError(
                    f"column {column.name} of {self.name} must be {column.kind}, got {found}",
                    where=where,
                    fix=self.remedy,
                )

    def refuse_other_case(self, column: Column, names: list[str], where: str) -> None:
        """Raise ``ContractError`` if a name differs from an optional column's, or one that is there, only in case."""
        same = sorted(name for name in names if name.casefold() == column.name.casefold())
        if len(set(same)) > 1:
            raise ContractError(
                f"columns of {self.name} have one name: {', '.join(same)}",
                where=where,
                why="names that differ only in case are one name in SQL",
                fix="rename one of them",
            )
        if same and same[0] != column.name and not column.is_required:
            raise ContractError(
                f"column {same[0]} of {self.name} must be named {column.name}",
                where=where,
                why=f"names that differ only in case are one name in SQL, and {column.name} would count as missing",
                fix="rename it",
            )

    def check_rows(self, batch: pa.RecordBatch | pa.Table, where: str) -> None:
        """Raise ``ContractError`` if a value is missing, empty, infinite or not a number."""
        for column in self.columns:
            if column.name not in batch.schema.names:
                continue
            for problem, bad in column.problems(batch.column(column.name)):
                if bad:
                    raise ContractError(
                        f"column {column.name} of {self.name} has {problem} in {bad:,} of {batch.num_rows:,} rows",
                        where=where,
                        fix=self.remedy,
                    )


def count_true(mask: pa.ChunkedArray | pa.Array) -> int:
    """Count the true values of a mask; missing ones do not count."""
    return int(pc.sum(pc.cast(mask, pa.int64())).as_py() or 0)


def parquet_files(folder: Path, contract_name: str) -> list[Path]:
    """List the Parquet files below a folder (or the one file), sorted.

    Raises
    ------
    ContractError
        If there is none.
    """
    files = [folder] if folder.is_file() else find_parquet(folder)
    if not files:
        raise ContractError(
            f"no Parquet file for {contract_name}",
            where=str(folder),
            why="files and folders whose names begin with _ or . do not count",
            fix="check the table's location in project.toml",
        )
    return files


def find_parquet(folder: Path) -> list[Path]:
    """Find the Parquet files below a folder, sorted.

    Names that begin with ``_`` or ``.`` are left out, as Spark and pyarrow do: it is unfinished or no data.
    """
    return sorted(path for path in folder.rglob("*") if not is_hidden(path.relative_to(folder)) and is_parquet(path))


def is_hidden(path: Path) -> bool:
    """Tell if a part of a path begins with ``_`` or ``.``."""
    return any(part.startswith(("_", ".")) for part in path.parts)


def is_parquet(path: Path) -> bool:
    """Tell if a path is a file that starts as Parquet does, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(4) == b"PAR1"


def read_batches(folder: Path, contract: TableContract) -> Iterator[pa.RecordBatch]:
    """Read a table's files in order, each checked against the contract before its rows are given out.

    Raises
    ------
    ContractError
        If there is no file, a file is broken, or its columns or rows break the contract.
    """
    for path in parquet_files(folder, contract.name):
        try:
            file = pq.ParquetFile(path)
            contract.check_schema(file.schema_arrow, where=path.name)
            for batch in file.iter_batches():
                contract.check_rows(batch, where=path.name)
                yield batch
        except (pa.ArrowInvalid, OSError) as error:
            raise ContractError(
                f"{contract.name} can't be read", where=path.name, why=str(error), fix="write this Parquet file again"
            ) from error


def check_table(folder: Path, contract: TableContract) -> int:
    """Check every row of a table and return how many there are.

    Raises
    ------
    ContractError
        If the table breaks its contract or has no row.
    """
    rows: int = sum(batch.num_rows for batch in read_batches(folder, contract))
    if not rows:
        raise ContractError(f"{contract.name} has no rows", where=str(folder), fix=contract.remedy)
    return rows
