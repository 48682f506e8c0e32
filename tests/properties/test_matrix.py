"""The matrix that models read depends on the values alone: not on the order of columns, nor on a row's neighbours."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.feature_table import FeatureTable, encode
from tests.strategies import feature_rows

Given = tuple[pa.Table, FeatureTable]


@settings(max_examples=40)
@given(given_rows=feature_rows(), seed=st.integers(0, 9))
def test_order_of_columns_is_irrelevant(given_rows: Given, seed: int) -> None:
    rows, table = given_rows
    names = random.Random(seed).sample(rows.column_names, k=rows.num_columns)
    np.testing.assert_array_equal(encode(rows.select(names), table, "here"), encode(rows, table, "here"))


@settings(max_examples=40)
@given(given_rows=feature_rows(), place=st.integers(0, 20))
def test_row_has_the_same_values_alone_and_among_others(given_rows: Given, place: int) -> None:
    rows, table = given_rows
    place %= rows.num_rows
    np.testing.assert_array_equal(encode(rows.slice(place, 1), table, "here")[0], encode(rows, table, "here")[place])


@settings(max_examples=40)
@given(given_rows=feature_rows())
def test_category_is_its_place_in_the_contract_and_nan_if_unknown_or_missing(given_rows: Given) -> None:
    rows, table = given_rows
    matrix = encode(rows, table, "here")
    assert matrix.shape == (rows.num_rows, len(table.features))
    for position, feature in enumerate(table.features):
        for value, found in zip(rows.column(feature.name).to_pylist(), matrix[:, position], strict=True):
            if feature.kind == "number":
                expected = np.float32(np.nan if value is None else value)
            else:
                known = value in feature.categories
                expected = np.float32(feature.categories.index(value) if known else np.nan)
            np.testing.assert_equal(found, expected)
