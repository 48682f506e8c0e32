"""Feature table: what its fingerprint depends on, and how rows become the matrix that models read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError
from contracts.feature_table import (
    JSON_NAME,
    Feature,
    FeatureTable,
    encode,
    parquet_name,
    read_feature_table,
    read_part,
    with_categories,
)

RECENCY = Feature("recency", "number", "brand")
BAND = Feature("band", "category", "partner", ("high", "low", "mïd"))
TABLE = FeatureTable((RECENCY, BAND), "d" * 64)
ROWS = pa.table({"recency": [1.5, None, 3.0], "band": ["low", "unheard of", None]})


def written(folder: Path, spoil: Callable[[dict[str, Any]], Any]) -> Path:
    """Write the contract, spoiled in one way."""
    document = json.loads(TABLE.to_json())
    spoil(document)
    (folder / JSON_NAME).write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "other",
    [
        FeatureTable((BAND, RECENCY), "d" * 64),
        FeatureTable((replace(RECENCY, name="frequency"), BAND), "d" * 64),
        FeatureTable((replace(RECENCY, kind="category"), BAND), "d" * 64),
        FeatureTable((replace(RECENCY, party="partner"), BAND), "d" * 64),
        FeatureTable((RECENCY,), "d" * 64),
        FeatureTable((RECENCY, BAND), "e" * 64),
    ],
    ids=["order", "name", "kind", "party", "fewer", "definition"],
)
def test_fingerprint_changes_with_what_a_model_depends_on(other: FeatureTable) -> None:
    assert other.fingerprint != TABLE.fingerprint


def test_fingerprint_does_not_change_with_learned_categories() -> None:
    assert FeatureTable((RECENCY, replace(BAND, categories=("x",))), "d" * 64).fingerprint == TABLE.fingerprint


def test_contract_comes_back_whole(tmp_path: Path) -> None:
    (tmp_path / JSON_NAME).write_bytes(TABLE.to_json())
    assert read_feature_table(tmp_path) == TABLE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["features"].reverse(),
        lambda document: document["features"][0].update(name="frequency"),
        lambda document: document.update(definition_sha256="e" * 64),
        lambda document: document.update(fingerprint="f" * 64),
    ],
    ids=["order", "name", "definition", "fingerprint"],
)
def test_contract_changed_after_it_was_written_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    with pytest.raises(ContractError, match="fingerprint does not belong to its columns") as caught:
        read_feature_table(written(tmp_path, spoil))
    assert caught.value.where == str(tmp_path / JSON_NAME)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("fingerprint"),
        lambda document: document.pop("features"),
        lambda document: document["features"][0].pop("kind"),
        lambda document: document.update(features="recency"),
    ],
    ids=["no fingerprint", "no features", "no kind", "features are text"],
)
def test_contract_of_another_form_is_refused(tmp_path: Path, spoil: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(ContractError, match="the feature table's contract can't be read") as caught:
        read_feature_table(written(tmp_path, spoil))
    assert "run BuildFeatures again" in caught.value.fix


def test_missing_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the feature table's contract can't be read"):
        read_feature_table(tmp_path)


def test_matrix_has_a_row_per_row_and_a_column_per_feature() -> None:
    matrix = encode(ROWS, TABLE, "shard")
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array([[1.5, 1], [np.nan, np.nan], [3.0, np.nan]], np.float32))


def test_table_without_rows_gives_a_matrix_without_rows() -> None:
    assert encode(ROWS.slice(0, 0), TABLE, "shard").shape == (0, 2)


@pytest.mark.parametrize("name", ["recency", "band"])
def test_missing_column_is_named(name: str) -> None:
    with pytest.raises(ContractError, match=f"feature {name} is missing") as caught:
        encode(ROWS.drop_columns([name]), TABLE, "shard 7")
    assert caught.value.where == "shard 7, 3 rows"


@pytest.mark.parametrize(
    ("name", "values", "got"),
    [
        ("recency", pa.array(["1", "2", "3"]), "string"),
        ("recency", pa.array(["1", "2", "3"]).dictionary_encode(), "dictionary"),
        ("recency", pa.array([0, 1, 2], pa.timestamp("us")), "timestamp"),
        ("recency", pa.array([0, 1, 2], pa.date32()), "date32"),
        ("recency", pa.array([[1], [2], [3]]), "list"),
        ("band", pa.array([1, 2, 3]), "int64"),
        ("band", pa.array([True, False, None]), "bool"),
    ],
    ids=["text", "dictionary", "time", "date", "list", "number for a category", "boolean for a category"],
)
def test_column_of_another_kind_is_refused_by_name_and_type(name: str, values: pa.Array, got: str) -> None:
    rows = ROWS.set_column(ROWS.column_names.index(name), name, values)
    with pytest.raises(ContractError, match=f"feature {name} must be a .*, got {got}"):
        encode(rows, TABLE, "shard")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 0], pa.int64()),
        pa.array([1, None, 0], pa.float32()),
        pa.array([Decimal(1), None, Decimal(0)], pa.decimal128(9, 2)),
        pa.array([True, None, False]),
    ],
    ids=["int64", "float32", "decimal", "bool"],
)
def test_numbers_may_be_stored_in_several_ways(values: pa.Array) -> None:
    rows = ROWS.set_column(0, "recency", values)
    np.testing.assert_array_equal(encode(rows, TABLE, "shard")[:, 0], np.array([1, np.nan, 0], np.float32))


PARTS = pa.table(
    {
        "customer_key": ["a", "b", "c", "d", "e", "f"],
        "snapshot_date": pa.array([None] * 6, pa.date32()),
        "split": ["train", "train", "train", "test", "test", "train"],
        "label__buy": pa.array([1, 0, None, 1, 1, 0], pa.int8()),
        "band": ["low", "mid", "high", "other", None, None],
    }
)


def put(folder: Path, *hosts: pa.Table) -> Path:
    """Write a feature table's rows, one file for each host."""
    for host, rows in enumerate(hosts):
        pq.write_table(rows, folder / parquet_name(host))
    return folder


def test_part_holds_its_rows_that_have_the_label(tmp_path: Path) -> None:
    rows = read_part(put(tmp_path, PARTS), "train", "label__buy")
    assert rows["customer_key"].to_pylist() == ["a", "b", "f"]
    assert rows["label__buy"].to_pylist() == [1, 0, 0]


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [0, 2, 4, 1, 3, 5]], ids=["backwards", "mixed"])
def test_rows_of_several_hosts_come_in_the_order_of_one(tmp_path: Path, order: list[int]) -> None:
    shuffled = PARTS.take(order)
    put(tmp_path, shuffled.slice(0, 2), shuffled.slice(2, 0), shuffled.slice(2))
    (tmp_path / "one").mkdir()
    assert read_part(tmp_path, "train", "label__buy").equals(
        read_part(put(tmp_path / "one", PARTS), "train", "label__buy")
    )


@pytest.mark.parametrize(
    ("part", "label", "words"),
    [
        ("test", "label__buy", "buy can't be learned: 2 of 2 have it"),
        ("validation", "label__buy", "buy can't be learned: 0 of 0 have it"),
        ("train", "label__leave", "label label__leave is missing"),
    ],
)
def test_part_that_teaches_nothing_is_refused(tmp_path: Path, part: str, label: str, words: str) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        read_part(put(tmp_path, PARTS), part, label)
    assert caught.value.fix


def test_customer_of_two_hosts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="a customer is in the feature table twice"):
        read_part(put(tmp_path, PARTS, PARTS.slice(1, 1)), "train", "label__buy")


def test_hosts_that_disagree_on_a_kind_are_refused(tmp_path: Path) -> None:
    other = PARTS.slice(5).set_column(4, "band", pa.array([1.5]))
    with pytest.raises(ContractError, match="the feature table can't be read"):
        read_part(put(tmp_path, PARTS.slice(0, 5), other), "train", "label__buy")


def test_missing_or_broken_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the feature table is missing"):
        read_part(tmp_path, "train", "label__buy")
    (tmp_path / parquet_name(0)).write_bytes(b"PAR1")
    with pytest.raises(ContractError, match="the feature table can't be read"):
        read_part(tmp_path, "train", "label__buy")


def test_categories_are_those_of_the_training_rows_and_sorted(tmp_path: Path) -> None:
    table = FeatureTable((RECENCY, replace(BAND, categories=())), "d" * 64)
    rows = read_part(put(tmp_path, PARTS), "train", "label__buy")
    learned = with_categories(table, rows)
    assert [feature.categories for feature in learned.features] == [(), ("low", "mid")]
    assert learned.fingerprint == table.fingerprint
