"""What a prepared table is, for people and for Glue: data card (JSON and Markdown) and table definition.

Comes in: counts and the finished Parquet files. Goes out: ``data_card.json``, ``data_card.md``, ``glue_table.json``,
which hold counts, types and the range of dates, and no value: nothing that tells of a person.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from clean_rooms.identity import key_fingerprint
from clean_rooms.partner_columns import HASHED_ID, ColumnPlan
from contracts.query_result import DATE

GLUE_TYPES = {
    "text": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
    "time": "timestamp",
}
SEEMS_KEY_SHARE = 0.9  # distinct texts per row from which a column seems to name the row
INPUT_FORMAT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
OUTPUT_FORMAT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
SERIALISER = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


@dataclass(frozen=True)
class IdentifierFacts:
    """A column of identifiers: kind, how many values became identifiers, why the others did not and where first."""

    source: str
    kind: str
    usable: int
    unusable: dict[str, int]
    unusable_first: dict[str, list[str]]


@dataclass(frozen=True)
class ColumnFacts:
    """A column of the table: Glue type, rows without a value, and about how many values there are (2 % or so off)."""

    name: str
    source: str
    type: str
    missing: int
    distinct: int
    seems_key: bool


@dataclass(frozen=True)
class DateFacts:
    """The attribute dates: first, last, and about how many."""

    first: str
    last: str
    distinct: int


@dataclass(frozen=True)
class DataCard:
    """A prepared table in numbers.

    ``rows_read`` = ``left_out`` + rows with an identifier; a row with two identifiers is two rows of the table. Of
    rows with one identifier and date, ``rows_identical`` said the same and ``rows_replaced`` something else.
    """

    table: str
    files: tuple[str, ...]
    rows_read: int
    rows: int
    distinct_identifiers: int
    rows_identical: int
    rows_replaced: int
    left_out: dict[str, int]
    left_out_first: dict[str, list[str]]
    hashing: str
    identifiers: tuple[IdentifierFacts, ...]
    columns: tuple[ColumnFacts, ...]
    dates: DateFacts | None

    def to_json(self) -> bytes:
        """Write the card as JSON."""
        document = {"schema": "pseg.data_card/1", **asdict(self)}
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    def to_markdown(self) -> str:
        """Write the card for people."""
        dates = f"No dates: name their column with --date, else no value may be newer than the training. ({DATE})"
        if self.dates:
            dates = f"Dates: {self.dates.first} to {self.dates.last}, about {self.dates.distinct:,}."
        sources = ", ".join(one.source for one in self.identifiers)
        lines = [
            f"# Data card of {self.table}",
            "",
            f"{self.rows:,} rows of {self.distinct_identifiers:,} identifiers, from {self.rows_read:,} rows read in "
            f"{', '.join(self.files)}. This card holds counts, types and dates, and no value.",
            "",
            f"- Identifiers: {self.hashing}",
            f"- {dates}",
            f"- Rows left out: {counted(self.left_out)}.",
            f"- Rows of an identifier and date that was there: {self.rows_identical:,} said the same, "
            f"{self.rows_replaced:,} something else; the last one read stays.",
            *(
                f"- Column {one.name} seems to name the row: does it tell of a person?"
                for one in self.columns
                if one.seems_key
            ),
            "",
            "| column | from | type | missing | values |",
            "| --- | --- | --- | ---: | ---: |",
            f"| {HASHED_ID} | {sources} | string | 0 | {self.distinct_identifiers:,} |",
        ]
        lines += [
            f"| {one.name} | {one.source} | {one.type} | {one.missing:,} | about {one.distinct:,} |"
            for one in self.columns
        ]
        lines += ["", "| identifier | kind | usable | not usable |", "| --- | --- | ---: | --- |"]
        lines += [
            f"| {one.source} | {one.kind} | {one.usable:,} | {counted(one.unusable)} |" for one in self.identifiers
        ]
        return "\n".join(lines) + "\n"


def counted(reasons: dict[str, int]) -> str:
    """Write counts by reason, the commonest first."""
    return ", ".join(f"{why} {n:,}" for why, n in sorted(reasons.items(), key=lambda one: -one[1])) or "none"


def describe_hashing(key: bytes | None, kinds: set[str], region: str) -> str:
    """Say how identifiers were made, so that the other party can make the same."""
    published = files("clean_rooms").joinpath("identity_conformance.json").read_bytes()
    how = f"keyed HMAC-SHA-256, key fingerprint {key_fingerprint(key)}" if key else "SHA-256"
    return (
        f"{how} of the normalised {', '.join(sorted(kinds))}"
        + (f", national phone numbers of {region}" if region and "phone" in kinds else "")
        + f"; conformance set {hashlib.sha256(published).hexdigest()[:16]}."
    )


def aggregate(data: Path, expressions: str) -> tuple[Any, ...]:
    """Aggregate over the finished files, in one pass and flat memory."""
    with duckdb.connect(config={"memory_limit": "128MiB", "threads": 1}) as connection:
        (row,) = connection.from_parquet(str(data / "*.parquet")).aggregate(expressions).fetchall()
    return tuple(row)


def column_facts(data: Path, columns: list[ColumnPlan]) -> tuple[ColumnFacts, ...]:
    """Count missing and distinct values of the finished files, in one pass."""
    if not columns:
        return ()
    counts = ", ".join(f'count("{column.name}"), approx_count_distinct("{column.name}")' for column in columns)
    rows, *found = aggregate(data, f"count(*), {counts}")
    return tuple(
        ColumnFacts(
            column.name,
            column.source,
            GLUE_TYPES[column.kind],
            rows - present,
            min(distinct, present),
            column.kind == "text" and distinct > SEEMS_KEY_SHARE * rows,
        )
        for column, present, distinct in zip(columns, found[::2], found[1::2], strict=True)
    )


def date_facts(data: Path, columns: list[ColumnPlan]) -> DateFacts | None:
    """Find the range of the attribute dates; None without any."""
    if not any(column.role == "date" for column in columns):
        return None
    first, last, distinct = aggregate(data, f"min({DATE}), max({DATE}), approx_count_distinct({DATE})")
    return DateFacts(first.isoformat(), last.isoformat(), distinct)


def glue_table(card: DataCard, database: str, location: str) -> dict[str, Any]:
    """Write the request of Glue's CreateTable: an external table of Parquet, columns in the files' order."""
    columns = [{"Name": HASHED_ID, "Type": "string"}, *({"Name": c.name, "Type": c.type} for c in card.columns)]
    return {
        "DatabaseName": database,
        "TableInput": {
            "Name": card.table,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {
                "Columns": columns,
                "Location": location,
                "InputFormat": INPUT_FORMAT,
                "OutputFormat": OUTPUT_FORMAT,
                "SerdeInfo": {"SerializationLibrary": SERIALISER, "Parameters": {"serialization.format": "1"}},
            },
        },
    }


def upload_commands(folder: Path, location: str) -> tuple[str, str]:
    """Write the two commands that bring a prepared folder into the partner's own account."""
    return (
        f"aws s3 sync {folder}/data/ {location}",
        f"aws glue create-table --cli-input-json file://{folder}/glue_table.json",
    )


def write_card(card: DataCard, folder: Path, database: str, location: str) -> None:
    """Write card and table definition beside the data."""
    (folder / "data_card.json").write_bytes(card.to_json())
    (folder / "data_card.md").write_text(card.to_markdown(), encoding="utf-8")
    table = json.dumps(glue_table(card, database, location), indent=1)
    (folder / "glue_table.json").write_text(table + "\n", encoding="utf-8")
