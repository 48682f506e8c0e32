"""The data partner's preparation: raw files become the table that the partner offers in the collaboration.

Comes in: CSV or Parquet files and what the partner declared of them. Goes out: a folder with ``data/*.parquet`` (hashed
identifiers and typed attributes), ``glue_table.json`` and the data card. All or nothing: the folder appears when all is
in it. Refused: files that can't be read, columns that look personal, too many rows that can't be used. Nothing leaves
the machine, and raw identifiers are never written, not even for a while.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from clean_rooms.data_card import DataCard, IdentifierFacts, column_facts, date_facts, describe_hashing, write_card
from clean_rooms.partner_cleaning import Cleaner, IdentifierColumn
from clean_rooms.partner_columns import ColumnPlan, Declared, plan_columns
from clean_rooms.partner_files import WRONG_COLUMNS, BadRows, CsvForm, read_files, read_names
from clean_rooms.partner_parts import fill_buckets, write_parts
from contracts.errors import ContractError, VerificationError


@dataclass(frozen=True)
class Preparation:
    """What to prepare, and how.

    ``region`` is that of national phone numbers; ``key`` makes keyed hashes. ``database`` and ``table`` are names in
    Glue, ``location`` is the ``s3://`` prefix where the data will lie. If more than ``max_bad_percent`` [0-100] of all
    rows would be left out, the files are refused.
    """

    files: tuple[Path, ...]
    form: CsvForm = field(default_factory=CsvForm)
    declared: Declared = field(default_factory=Declared)
    region: str = ""
    key: bytes | None = field(default=None, repr=False)
    database: str = "pseg"
    table: str = "partner_attributes"
    location: str = "s3://YOUR-BUCKET/partner_attributes/"
    max_bad_percent: float = 5.0


def prepare(job: Preparation, output: Path | None, report_rows: Callable[[int], None] = lambda rows: None) -> DataCard:
    """Prepare a partner's files.

    Parameters
    ----------
    job : Preparation
        Files and settings.
    output : Path or None
        Folder to make; None prepares for the card alone and leaves nothing behind.
    report_rows : callable
        Called with the number of rows read so far.

    Returns
    -------
    DataCard
        What was made, as the card in the folder says.

    Raises
    ------
    ContractError
        If the files can't be read or planned, or the folder is not empty. Nothing is left behind.
    VerificationError
        If too many rows can't be used. Nothing is left behind.
    """
    if output and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ContractError("the output folder is not empty", where=str(output), fix="name another, or remove it")
    plan = plan_files(job)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".pseg-partner-", dir=output.parent if output else None))
    try:
        card = prepare_in(work, job, plan, report_rows)
        if output:
            (work / "finished").replace(output)
    finally:
        shutil.rmtree(work)
    return card


def plan_files(job: Preparation) -> tuple[ColumnPlan, ...]:
    """Plan the columns from the head of the first file.

    Raises
    ------
    ContractError
        If there is no row, the columns can't be planned, or ready hashes would be keyed.
    """
    head = next(read_files(list(job.files), job.form, BadRows()), None)
    if head is None or not head.columns.num_rows:
        raise ContractError("there is no row", where=job.files[0].name, fix="name files with a header and rows")
    plan = plan_columns(read_names(job.files[0], job.form), head.columns, job.declared, head.file)
    hashed = [column.source for column in plan if column.kind == "sha256"]
    if hashed and job.key:
        raise ContractError(
            f"column {hashed[0]!r} holds hashes, and a key was given",
            where=head.file,
            why="a keyed hash is made of the identifier itself",
            fix="name a column with raw identifiers, or leave the key out",
        )
    return plan


def prepare_in(
    work: Path, job: Preparation, plan: tuple[ColumnPlan, ...], report_rows: Callable[[int], None]
) -> DataCard:
    """Prepare into ``work/finished``."""
    data, buckets = work / "finished" / "data", work / "buckets"
    data.mkdir(parents=True)
    buckets.mkdir()
    cleaner = Cleaner(plan, job.region)
    input_bytes = sum(path.stat().st_size for path in job.files)
    fill_buckets(buckets, cleaned(job, cleaner, report_rows), job.key, input_bytes)
    pa.default_memory_pool().release_unused()  # what cleaning needed is not held while the buckets are finished
    rows_read = cleaner.rows + cleaner.bad.counts[WRONG_COLUMNS]
    refuse_loss(cleaner.bad, rows_read, job.max_bad_percent)
    counts = write_parts(buckets, data)
    card = DataCard(
        table=job.table,
        files=tuple(path.name for path in job.files),
        rows_read=rows_read,
        rows=counts.rows,
        distinct_identifiers=counts.identifiers,
        rows_identical=counts.identical,
        rows_replaced=counts.replaced,
        left_out=dict(sorted(cleaner.bad.counts.items())),
        left_out_first=dict(sorted(cleaner.bad.examples.items())),
        hashing=describe_hashing(job.key, {column.kind for column in cleaner.identifiers}, job.region),
        identifiers=tuple(map(identifier_facts, cleaner.identifiers)),
        columns=column_facts(data, cleaner.attributes),
        dates=date_facts(data, cleaner.attributes),
    )
    write_card(card, work / "finished", job.database, job.location)
    return card


def cleaned(job: Preparation, cleaner: Cleaner, report_rows: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    """Read and clean batch after batch."""
    for batch in read_files(list(job.files), job.form, cleaner.bad):
        yield from cleaner.clean(batch)
        report_rows(cleaner.rows)


def identifier_facts(column: IdentifierColumn) -> IdentifierFacts:
    """Take out of a column of identifiers what the card says."""
    unusable = column.unusable
    return IdentifierFacts(
        column.source,
        column.kind,
        column.usable,
        dict(sorted(unusable.counts.items())),
        dict(sorted(unusable.examples.items())),
    )


def refuse_loss(bad: BadRows, rows_read: int, max_bad_percent: float) -> None:
    """Refuse if no row, or too few, can be used.

    Raises
    ------
    VerificationError
        Naming the commonest reason and where it is first.
    """
    left_out = bad.counts.total()
    if left_out < rows_read and left_out <= rows_read * max_bad_percent / 100:
        return
    reason, count = bad.counts.most_common(1)[0]
    raise VerificationError(
        f"{left_out:,} of {rows_read:,} rows can't be used, {max_bad_percent:g}% are allowed",
        where=", ".join(bad.examples[reason]),
        why=f"{count:,} times: {reason}",
        fix="mend the file, declare the column (--type, --region, --drop), or allow it: --max-bad-percent",
    )
