"""A partner's rows: identifiers normalised, attributes typed, and each row that can't be used counted by its reason.

Comes in: batches as they were read, and the plan of the columns. Goes out: batches with one normal identifier a row (a
row with an e-mail address and a phone number becomes two), the row's number over all files, and the typed attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from clean_rooms.identity import MALFORMED, Kind
from clean_rooms.identity_columns import normalise_column
from clean_rooms.partner_columns import ColumnPlan
from clean_rooms.partner_files import BadRows, Batch
from clean_rooms.partner_values import ARROW_TYPES, convert, find_addresses, is_textual, read_text

IDENTIFIER, IS_HASHED, NUMBER = "identifier of the row", "is hashed", "number of the row"  # no column can be named so
NO_IDENTIFIER = "no usable identifier"


@dataclass
class IdentifierColumn:
    """One column of identifiers: of which kind, how many can be used, and why the others can't."""

    source: str
    kind: Kind
    usable: int = 0
    unusable: BadRows = field(default_factory=BadRows)


class Cleaner:
    """Cleans batch after batch and keeps count."""

    def __init__(self, plan: tuple[ColumnPlan, ...], region: str) -> None:
        self.attributes = [column for column in plan if column.role != "identifier"]
        self.identifiers = [
            IdentifierColumn(column.source, column.identifier_kind) for column in plan if column.role == "identifier"
        ]
        self.region = region
        self.bad = BadRows()
        self.rows = 0
        self.schema = pa.schema(
            [
                (IDENTIFIER, pa.string()),
                (IS_HASHED, pa.bool_()),
                (NUMBER, pa.int64()),
                *(
                    (column.name, "date32" if column.role == "date" else ARROW_TYPES[column.kind])
                    for column in self.attributes
                ),
            ]
        )

    def clean(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        """Clean a batch: one batch for each identifier column comes out, of the rows where it can be used."""
        is_kept = pa.repeat(True, batch.columns.num_rows)
        typed: dict[str, pa.Array] = {}
        for column in self.attributes:
            values = batch.columns.column(column.source)
            typed[column.name], problems = convert(values, column.kind, column.form, column.role == "date")
            if column.kind == "text" and not column.is_declared:
                problems["an e-mail address"] = find_addresses(typed[column.name])
            for problem, where in problems.items():
                is_kept = self.leave_out(batch, is_kept, where, f"{column.source}: {problem}")
        found = [self.identify(batch, column, is_kept) for column in self.identifiers]
        is_identified = pa.repeat(False, batch.columns.num_rows)
        for texts in found:
            is_identified = pc.or_(is_identified, pc.is_valid(texts))
        is_kept = self.leave_out(batch, is_kept, pc.invert(is_identified), NO_IDENTIFIER)
        numbers = pa.array(range(self.rows, self.rows + batch.columns.num_rows), pa.int64())
        self.rows += batch.columns.num_rows
        for identifier, texts in zip(self.identifiers, found, strict=True):
            is_hashed = pa.repeat(identifier.kind == "sha256", len(texts))
            cleaned = pa.record_batch([texts, is_hashed, numbers, *typed.values()], schema=self.schema)
            usable = cleaned.filter(pc.and_(is_kept, pc.is_valid(texts)))
            identifier.usable += usable.num_rows
            yield usable

    def identify(self, batch: Batch, column: IdentifierColumn, is_kept: pa.Array) -> pa.Array:
        """Normalise a column of identifiers; count those that can't be used in the rows that are kept so far."""
        values = batch.columns.column(column.source)
        is_text = pa.types.is_binary(values.type) or is_textual(values.type) or pa.types.is_null(values.type)
        text, is_bad = read_text(values if is_text else values.cast(pa.string()))
        texts, reasons = normalise_column(text, column.kind, self.region)
        reasons = pc.if_else(is_bad, MALFORMED, reasons)
        for reason in sorted(pc.unique(reasons.filter(is_kept)).drop_null().to_pylist()):
            is_reason = pc.fill_null(pc.and_(is_kept, pc.equal(reasons, reason)), False)
            column.unusable.add(reason, batch.file, *batch.first_rows(is_reason))
        return texts

    def leave_out(self, batch: Batch, is_kept: pa.Array, is_bad: pa.Array, reason: str) -> pa.Array:
        """Count the rows that were kept so far and are bad now; return those still kept."""
        if not pc.any(is_bad).as_py():
            return is_kept
        self.bad.add(reason, batch.file, *batch.first_rows(pc.and_(is_kept, is_bad)))
        return pc.and_not(is_kept, is_bad)
