"""Doorway *customers*: a ready table, one row per customer, features and labels as they are. Written by the brand.

Which column is what stands in project.toml under [columns] and at the goals; all others are features: numbers, booleans
or short texts. Refused by name: a column missing or of another type, a label other than 0 or 1, an infinite value, a
text that is no category, a date as a feature, two columns whose names differ only in case, a text that is no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import ContractError
from contracts.feature_table import KEY_COLUMNS, LABEL_PREFIX
from contracts.run_settings import ReadyTable
from contracts.segment_file import ENDPOINT_COLUMNS
from contracts.table import KINDS, LARGEST, Column, TableContract, count_true, read_batches

SPLIT_VALUES = ("train", "validation", "test")
TAKEN = (*KEY_COLUMNS, *ENDPOINT_COLUMNS)
MAX_TEXT = 256  # characters; a longer text is no category
ISO_TIME = (  # as text these sort by time
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|\+00(:?00)?)?)?$"
)
REMEDY = "look at [columns] in project.toml: it says which column is what, and ignore = [...] leaves columns out"


def customers_contract(table: ReadyTable, labels: tuple[str, ...], is_training: bool) -> TableContract:
    """Build the contract of one project's ready table.

    Only training needs labels (missing where a customer is only scored), split and time; scoring leaves them out.
    """
    columns = [Column(table.customer_key, "key")]
    if table.hashed_id:
        columns.append(Column(table.hashed_id, "text", may_be_null=True))
    if is_training:
        columns += [Column(label, "label", may_be_null=True) for label in labels]
        columns += [Column(name, "text", may_be_null=True, allowed=SPLIT_VALUES) for name in (table.split,) if name]
        columns += [Column(name, "order") for name in (table.time,) if name]
    else:
        unread = [name for name in (*labels, table.split, table.time) if name]
        columns += [Column(name, "any", is_required=False, may_be_null=True) for name in unread]
    columns += [Column(name, "boolean") for name in (table.may_match, table.may_contact) if name]
    columns += [Column(name, "any", may_be_null=True) for name in table.ignore]
    return TableContract(name="customers", columns=tuple(columns), remedy=REMEDY)


def feature_columns(schema: pa.Schema, contract: TableContract) -> list[str]:
    """List the columns of a ready table that are features, in its order."""
    named = {column.name for column in contract.columns}
    return [name for name in schema.names if name not in named]


def check_features(schema: pa.Schema, contract: TableContract, where: str) -> list[str]:
    """Check names and types of the features; return them.

    Raises
    ------
    ContractError
        If two names differ only in case, a name is one of ours, or a type can't be a feature.
    """
    folded = [name.casefold() for name in schema.names]
    if twice := sorted({name for name in schema.names if folded.count(name.casefold()) > 1}):
        raise ContractError(
            f"columns of customers have one name: {', '.join(twice)}",
            where=where,
            why="names that differ only in case are one name in SQL",
            fix="rename one of them",
        )
    names = feature_columns(schema, contract)
    for name in names:
        type_ = schema.field(name).type
        if name in TAKEN or name.startswith(LABEL_PREFIX) or not name.strip() or "\x00" in name:
            raise ContractError(
                f"a feature can't be named {name!r}",
                where=where,
                why="the feature table or a score shard uses it",
                fix=f"rename it, or leave it out: [columns] ignore = [{name!r}]",
            )
        if not (KINDS["value"](type_) or pa.types.is_null(type_)):
            raise ContractError(
                f"column {name} of customers can't be a feature: {type_}",
                where=where,
                why="features are numbers, booleans or texts",
                fix=f"turn it into one of these, or leave it out: [columns] ignore = [{name!r}]",
            )
    if not names:
        raise ContractError("customers has no feature column", where=where, fix=REMEDY)
    return names


def check_feature_values(batch: pa.RecordBatch, names: list[str], where: str) -> None:
    """Refuse infinite numbers and texts that are no category; NaN means missing."""
    for name in names:
        values = batch.column(name)
        if KINDS["number"](values.type):
            numbers = values.cast(pa.float64(), safe=False)
            if bad := count_true(pc.greater(pc.abs(numbers), LARGEST)):
                raise ContractError(
                    f"column {name} of customers is infinite or over {LARGEST:g} in {bad:,} of {batch.num_rows:,} rows",
                    where=where,
                    fix="write no value where there is none",
                )
        if KINDS["text"](values.type) and not pa.types.is_null(values.type):
            long = count_true(pc.greater(pc.utf8_length(values.cast(pa.string())), MAX_TEXT))
            if long:
                raise ContractError(
                    f"column {name} of customers has a text over {MAX_TEXT} characters in {long:,} rows",
                    where=where,
                    why="a text feature is a category, and this is none",
                    fix=f"leave it out: [columns] ignore = [{name!r}]",
                )


def check_order(batch: pa.RecordBatch, name: str, where: str) -> None:
    """Refuse texts that do not sort by time."""
    values = batch.column(name)
    if not KINDS["text"](values.type):
        return
    bad = count_true(pc.invert(pc.match_substring_regex(values.cast(pa.string()), ISO_TIME)))
    if bad:
        raise ContractError(
            f"column {name} of customers has text that is no ISO time in {bad:,} of {batch.num_rows:,} rows",
            where=where,
            why="text is sorted as text, which is the order in time only of YYYY-MM-DD and YYYY-MM-DDThh:mm:ss in UTC",
            fix="write it so, or as a date, a timestamp or a number",
        )


def read_customers(folder: Path, contract: TableContract) -> Iterator[pa.RecordBatch]:
    """Read a ready table's files in order, checked before their rows are given out.

    Raises
    ------
    ContractError
        If there is no file, a file is broken, its columns or rows break the contract, or two files have other features.
    """
    first: list[str] = []
    is_text: dict[str, bool] = {}
    orders = [column.name for column in contract.columns if column.kind == "order"]
    for batch in read_batches(folder, contract):
        names = check_features(batch.schema, contract, where=folder.name)
        first = first or names
        kinds = {
            name: KINDS["text"](batch.schema.field(name).type)
            for name in names
            if batch.column(name).null_count < len(batch)
        }
        other = set(first) ^ set(names) | {
            name for name, kind in kinds.items() if is_text.setdefault(name, kind) != kind
        }
        if other:
            raise ContractError(
                f"the files of customers differ in {', '.join(sorted(other))}",
                where=folder.name,
                why="a feature is in every file, as text or as number",
                fix="write all files alike",
            )
        check_feature_values(batch, names, where=folder.name)
        for name in orders:
            check_order(batch, name, where=folder.name)
        yield batch
