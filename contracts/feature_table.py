"""Doorway *feature table*: the matrix a model learns from, with the contract that both training and scoring keep.

Comes in: a Parquet file and ``feature_table.json`` (names, order, kinds, categories, whose data, and a fingerprint).
Goes out: a float32 matrix. Refused: a missing column, another type, another fingerprint. No address and no identifier
but ``customer_key`` is ever a column.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import ContractError

PARQUET_NAME = "feature_table.parquet"
JSON_NAME = "feature_table.json"
TIME_ORDER = "time_order"  # the place of a row's time among all, only where a ready table has a time
KEY_COLUMNS = ("customer_key", "snapshot_date", "split", TIME_ORDER)
SPLITS = ("train", "validation", "test")
LABEL_PREFIX = "label__"
FINGERPRINT_KEY = b"pseg.fingerprint"
IS_KIND: dict[str, Callable[[pa.DataType], bool]] = {
    "number": lambda t: (
        pa.types.is_integer(t)
        or pa.types.is_floating(t)
        or pa.types.is_decimal(t)
        or pa.types.is_boolean(t)
        or pa.types.is_null(t)
    ),
    "category": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
}


@dataclass(frozen=True)
class Feature:
    """One input column: ``kind`` is ``number`` or ``category``; ``party`` is ``brand`` or ``partner``."""

    name: str
    kind: str
    party: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureTable:
    """The features in their order, and the sha256 of the SQL that defines them."""

    features: tuple[Feature, ...]
    definition_sha256: str

    @property
    def names(self) -> list[str]:
        """Names of the features, in matrix order."""
        return [feature.name for feature in self.features]

    @property
    def fingerprint(self) -> str:
        """Hash of what a model depends on: names, order, kinds and definition. Categories are learned, so not in it."""
        parts = [[feature.name, feature.kind, feature.party] for feature in self.features]
        text = json.dumps([self.definition_sha256, parts], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> bytes:
        """Write the contract as JSON, with its fingerprint."""
        document = {"schema": "pseg.feature_table/1", "fingerprint": self.fingerprint, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_feature_table(folder: Path) -> FeatureTable:
    """Read the contract from a folder.

    Raises
    ------
    ContractError
        If the file is missing, is not of this form, or its fingerprint does not belong to its content.
    """
    path = folder / JSON_NAME
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        features = tuple(
            Feature(f["name"], f["kind"], f["party"], tuple(f["categories"])) for f in document["features"]
        )
        table = FeatureTable(features, document["definition_sha256"])
        fingerprint = document["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(
            "the feature table's contract can't be read", where=str(path), why=str(error), fix="run BuildFeatures again"
        ) from error
    if table.fingerprint != fingerprint:
        raise ContractError(
            "the feature table's fingerprint does not belong to its columns",
            where=str(path),
            why="the file was changed after it was written",
            fix="run BuildFeatures again",
        )
    return table


def parquet_name(host: int, number: int = 0) -> str:
    """Name a file of one host of BuildFeatures: the first, or another where it writes several."""
    place = f"-{host:04d}-{number:03d}" if number else f"-{host:04d}" if host else ""
    return PARQUET_NAME.replace(".", f"{place}.")


def read_part(folder: Path, part: str, label: str) -> pa.Table:
    """Read the rows of one part (``train``, ``validation`` or ``test``) that have the label.

    Files of several hosts are put in the order that one host would have written, so their number changes no bit.

    Raises
    ------
    ContractError
        If there is no file, one can't be read, the label is missing or never varies, or a row is there twice.
    """
    paths = feature_files(folder, label)
    try:
        tables = [
            pq.read_table(path, filters=(pc.field("split") == part) & pc.field(label).is_valid()) for path in paths
        ]
        rows = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "the feature table can't be read", where=str(folder), why=str(error), fix="run BuildFeatures again"
        ) from error
    if len(paths) > 1:
        rows = rows.sort_by([("customer_key", "ascending"), ("snapshot_date", "ascending")])
        keys = rows.select(["customer_key", "snapshot_date"])
        if keys.group_by(["customer_key", "snapshot_date"]).aggregate([]).num_rows < rows.num_rows:
            raise ContractError(
                "a customer is in the feature table twice", where=str(folder), fix="write one row per customer"
            )
    refuse_flat(label, part, pc.sum(rows.column(label)).as_py() or 0, rows.num_rows)
    return rows


def feature_files(folder: Path, label: str) -> list[Path]:
    """List the files of a feature table.

    Raises
    ------
    ContractError
        If there is none, it can't be read, or it lacks the label.
    """
    paths = sorted(folder.glob(PARQUET_NAME.replace(".", "*.")))
    if not paths:
        raise ContractError(
            "the feature table is missing", where=str(folder / PARQUET_NAME), fix="run BuildFeatures again"
        )
    try:
        is_there = label in pq.read_schema(paths[0]).names
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "the feature table can't be read", where=str(folder), why=str(error), fix="run BuildFeatures again"
        ) from error
    if not is_there:
        raise ContractError(f"label {label} is missing", where=PARQUET_NAME, fix="run BuildFeatures for this goal")
    return paths


def refuse_flat(label: str, part: str, positives: int, rows: int) -> None:
    """Stop if a label never varies in a part."""
    if positives in (0, rows):
        raise ContractError(
            f"{label.removeprefix(LABEL_PREFIX)} can't be learned: {positives:,} of {rows:,} have it",
            where=f"{part} part",
            why="the label must vary in each part",
            fix="bring more customers, or check goal, label and split in project.toml",
        )


def read_keys(folder: Path, label: str) -> pa.Table:
    """Read the key columns of the rows that may be learned from: those that have the label and are not for the test.

    Raises
    ------
    ContractError
        If a file can't be read.
    """
    tables = []
    try:
        for path in sorted(folder.glob(PARQUET_NAME.replace(".", "*."))):
            names = [name for name in KEY_COLUMNS if name in pq.read_schema(path).names]
            is_learned = (pc.field("split") != "test") & pc.field(label).is_valid()
            tables.append(pq.read_table(path, columns=names, filters=is_learned))
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "the feature table can't be read", where=str(folder), why=str(error), fix="run BuildFeatures again"
        ) from error


def with_categories(table: FeatureTable, rows: pa.Table) -> FeatureTable:
    """Fill in the categories that training rows have, sorted; any other value is missing to the model."""
    return replace(
        table,
        features=tuple(
            replace(feature, categories=tuple(sorted(pc.unique(rows.column(feature.name).drop_null()).to_pylist())))
            if feature.kind == "category"
            else feature
            for feature in table.features
        ),
    )


def encode(rows: pa.Table, table: FeatureTable, where: str) -> npt.NDArray[np.float32]:
    """Turn feature columns into the matrix that models read.

    Parameters
    ----------
    rows : Table of shape (n_rows, any)
        Holds at least the feature columns, of their kinds.
    table : FeatureTable
        The contract: order, kinds and categories.
    where : str
        What to name in an error.

    Returns
    -------
    ndarray of shape (n_rows, n_features), float32, column by column in memory (Fortran order)
        Missing numbers and missing or unknown categories are NaN; a category is its position in ``categories``.

    Raises
    ------
    ContractError
        If a column is missing or has another kind.
    """
    matrix = np.empty((rows.num_rows, len(table.features)), dtype=np.float32, order="F")
    for position, feature in enumerate(table.features):
        if feature.name not in rows.schema.names:
            raise ContractError(
                f"feature {feature.name} is missing",
                where=f"{where}, {rows.num_rows:,} rows",
                fix="run BuildFeatures again",
            )
        values = rows.column(feature.name)
        if not IS_KIND[feature.kind](values.type):
            raise ContractError(
                f"feature {feature.name} must be a {feature.kind}, got {values.type}",
                where=where,
                fix="run BuildFeatures again, or train a new model",
            )
        if feature.kind == "category":
            values = pc.index_in(values.cast(pa.string()), value_set=pa.array(feature.categories, pa.string()))
        matrix[:, position] = values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return matrix
