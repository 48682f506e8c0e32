"""A partner's CSV and Parquet files, read as hostile: batch by batch in flat memory, every row left out is counted.

Comes in: paths. Goes out: batches of columns under the names of their files, with the row numbers to speak of them (the
header is row 1, as spreadsheets count; a quoted line break does not begin a row). Refused, with what to do: no header,
names that are empty or come twice, another encoding, a quote that is never closed, a row over 1 MB, a broken file,
files with different columns. Left out and counted: rows with another number of columns than the header.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from contracts.errors import ContractError
from contracts.table import is_parquet

BLOCK_BYTES = 1 << 20  # of CSV parsed at once, and so the longest row
HEADER_BYTES = 64 << 10
BATCH_ROWS = 65_536
EXAMPLES = 5
DELIMITERS = ",;\t|"
UTF_8_MARK, UTF_16_MARKS = "\ufeff".encode(), (b"\xff\xfe", b"\xfe\xff")
WRONG_COLUMNS = "another number of columns than the header"


@dataclass
class BadRows:
    """What was left out: how often by reason, and where the first of each reason are. Never a value."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, file: str, rows: list[int], count: int) -> None:
        """Count ``count`` rows, of which ``rows`` (numbers in the file) are the first."""
        if count:
            self.counts[reason] += count
            known = self.examples.setdefault(reason, [])
            known.extend(f"{file} row {row:,}" for row in rows[: EXAMPLES - len(known)])


@dataclass(frozen=True)
class CsvForm:
    """How CSV is written; an empty delimiter is found out from the header."""

    delimiter: str = ""
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file; ``skipped`` are the numbers, in order, of rows of the file that were left out unread."""

    file: str
    first_row: int
    skipped: tuple[int, ...]
    columns: pa.RecordBatch

    def row(self, place: int) -> int:
        """Return the number in the file of the row at this place of the batch."""
        number = self.first_row + place
        for skipped in self.skipped:
            number += self.first_row <= skipped <= number
        return number

    def first_rows(self, mask: pa.Array) -> tuple[list[int], int]:
        """Return the numbers of the first rows that a mask is true for, and how many there are."""
        places = pc.indices_nonzero(mask)
        return [self.row(place) for place in places.slice(0, EXAMPLES).to_pylist()], len(places)


class CsvSource(io.RawIOBase):
    """A CSV file as UTF-8, whatever its encoding and (by its name) compression; counts the quotes that pass."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.stream = pa.input_stream(str(path), compression="detect")
        is_utf8 = encoding.lower() in ("utf-8", "utf8")
        self.text = None if is_utf8 else io.TextIOWrapper(self.stream, encoding=encoding, newline="")
        self.quotes = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes of UTF-8; a character has at most four."""
        block: bytes = self.text.read(size // 4).encode() if self.text else self.stream.read(size)
        self.quotes += block.count(b'"')
        return block


@contextmanager
def reading(path: Path, form: CsvForm) -> Iterator[None]:
    """Turn what libraries raise over a file into an error that says what to do."""
    try:
        yield
    except LookupError as error:
        raise ContractError(
            f"there is no encoding named {form.encoding}", where=path.name, fix="for example utf-8, cp1252, utf-16"
        ) from error
    except UnicodeError as error:
        raise ContractError(
            f"the file is not {form.encoding}", where=path.name, why=str(error), fix="say which: --encoding cp1252"
        ) from error
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        is_long = "straddl" in str(error)
        raise ContractError(
            "a row is longer than 1 MB" if is_long else "the file can't be read",
            where=path.name,
            why="most likely a quote that is never closed" if is_long else str(error).splitlines()[0],
            fix="write the file again: every quote closed, quotes inside a value doubled",
        ) from error


def read_header(path: Path, form: CsvForm) -> tuple[list[str], str]:
    """Read the names of a CSV file's columns, and its delimiter.

    Raises
    ------
    ContractError
        If its first line is none, or can't be read.
    """
    with reading(path, form):
        start = CsvSource(path, form.encoding).read(HEADER_BYTES)
        if start[:2] in UTF_16_MARKS:
            raise ContractError("the file is UTF-16, not UTF-8", where=path.name, fix="say so: --encoding utf-16")
        line = start.removeprefix(UTF_8_MARK).replace(b"\r", b"\n").partition(b"\n")[0].decode()
    delimiter = form.delimiter or max(DELIMITERS, key=line.count)
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error as error:
        raise ContractError(
            "the header can't be read",
            where=path.name,
            why=str(error),
            fix="write all names on one line, quotes closed",
        ) from error
    if not any(names) or len(start) == len(line.encode()) == HEADER_BYTES:
        raise ContractError("the file has no header", where=path.name, fix="its first line must name its columns")
    return names, delimiter


def read_names(path: Path, form: CsvForm) -> list[str]:
    """Read the names of a file's columns.

    Raises
    ------
    ContractError
        If there is no such file, or a name is empty or comes twice.
    """
    if not path.is_file():
        raise ContractError("there is no such file", where=str(path), fix="name CSV or Parquet files")
    if is_parquet(path):
        with reading(path, form):
            names = pq.read_schema(path).names
    else:
        names, _ = read_header(path, form)
    if twice := sorted({name or "(empty)" for name in names if not name or names.count(name) > 1}):
        raise ContractError(
            f"the header has names that are empty or come twice: {', '.join(twice)}",
            where=path.name,
            fix="give every column a name of its own",
        )
    return list(names)


def read_files(paths: list[Path], form: CsvForm, bad: BadRows) -> Iterator[Batch]:
    """Read files one after the other, in the given order.

    Raises
    ------
    ContractError
        If a file can't be read to its end, or has other columns than the first.
    """
    names = read_names(paths[0], form)
    for path in paths:
        found = read_names(path, form)
        if set(found) != set(names):
            raise ContractError(
                f"{path.name} and {paths[0].name} have different columns",
                where=path.name,
                why=f"only in one of them: {', '.join(sorted(set(found) ^ set(names)))}",
                fix="prepare them one by one, or give them the same columns",
            )
        read = read_parquet if is_parquet(path) else read_csv
        with reading(path, form):
            for batch in read(path, form, bad):
                yield Batch(batch.file, batch.first_row, batch.skipped, batch.columns.select(names))


def read_parquet(path: Path, form: CsvForm, bad: BadRows) -> Iterator[Batch]:
    """Read a Parquet file; texts may be dictionaries in it, and come out as texts."""
    with pq.ParquetFile(path) as file:
        row = 1
        for batch in file.iter_batches(BATCH_ROWS):
            yield Batch(path.name, row, (), batch)
            row += batch.num_rows


def read_csv(path: Path, form: CsvForm, bad: BadRows) -> Iterator[Batch]:
    """Read a CSV file; every value comes out as bytes, an empty one as empty."""
    names, delimiter = read_header(path, form)
    skipped: deque[int] = deque()
    source = CsvSource(path, form.encoding)
    reader = pa.csv.open_csv(
        source,
        read_options=pa.csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1, encoding="utf8"
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip_into(skipped, bad, path.name)
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False, check_utf8=False
        ),
    )
    row = 2
    for columns in reader:
        batch = Batch(path.name, row, tuple(skipped), columns)
        yield batch
        row = batch.row(columns.num_rows)
        while skipped and skipped[0] < row:
            skipped.popleft()
    if source.quotes % 2:
        raise ContractError(
            "a quote is never closed",
            where=path.name,
            why="there is an odd number of quotes in the file; what follows one may have been read as one value",
            fix="write the file again: every quote closed, quotes inside a value doubled",
        )


def skip_into(skipped: deque[int], bad: BadRows, file: str) -> Callable[[pa.csv.InvalidRow], str]:
    """Make pyarrow's handler of rows with another number of columns: it counts them and notes their numbers."""

    def skip(row: pa.csv.InvalidRow) -> str:
        skipped.append(row.number)
        bad.add(WRONG_COLUMNS, file, [row.number], 1)
        return "skip"

    return skip
