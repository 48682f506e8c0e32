"""What is written into a segment file is what anybody reads out of it: csv, pandas, polars, DuckDB, our own reader."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ContractError
from contracts.segment_file import ENDPOINT_COLUMNS, header, read_scored_csv, writable_mask, write_scored_csv
from tests.strategies import endpoint_rows, is_writable, scores

Rows = list[tuple[str, ...]]


def read_with_csv(path: Path) -> Rows:
    """Read as the standard library does."""
    with path.open(newline="", encoding="utf-8") as handle:
        return [tuple(values) for values in csv.reader(handle)]


def read_with_pandas(path: Path) -> Rows:
    """Read as pandas does, every value as text."""
    table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8", skip_blank_lines=False)
    return [tuple(values) for values in table.itertuples(index=False)]


def read_with_duckdb(path: Path) -> Rows:
    """Read as DuckDB does, every value as text."""
    options = "header = false, all_varchar = true, delim = ',', quote = '\"', escape = '\"', auto_detect = false"
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(5))
    sql = f"SELECT * FROM read_csv('{path}', columns = {{{columns}}}, {options})"
    return [tuple(values) for values in duckdb.execute(sql).fetchall()]


def read_with_polars(path: Path) -> Rows:
    """Read as polars does, every value as text."""
    return pl.read_csv(path, has_header=False, infer_schema=False).rows()


def read_with_our_reader(path: Path) -> Rows:
    """Read as publish does."""
    lines = read_scored_csv(path, "buy")
    found = [*(lines.endpoints.column(name).to_pylist() for name in ENDPOINT_COLUMNS), lines.millionths / 1e6]
    return [tuple(header("buy")), *((*values, f"{score:.6f}") for *values, score in zip(*found, strict=True))]


@st.composite
def scored_rows(draw: st.DrawFn) -> tuple[pa.Table, list[float]]:
    """Endpoints, and a score for each."""
    rows = draw(endpoint_rows())
    return rows, draw(st.lists(scores(), min_size=rows.num_rows, max_size=rows.num_rows))


@pytest.mark.parametrize(
    "read",
    [read_with_csv, read_with_pandas, read_with_polars, read_with_duckdb, read_with_our_reader],
    ids=lambda read: read.__name__[10:],
)
@settings(max_examples=40)
@given(given_rows=scored_rows())
def test_every_value_survives(read: object, given_rows: tuple[pa.Table, list[float]]) -> None:
    rows, values = given_rows
    text = write_scored_csv(rows, np.array(values, dtype=np.float32), "buy")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scored.csv"
        path.write_bytes(text.encode())
        first, *found = read(path)  # type: ignore[operator]
    assert list(first) == header("buy")
    expected = zip(*(rows.column(name).to_pylist() for name in ENDPOINT_COLUMNS), strict=True)
    assert [values[:4] for values in found] == list(expected)
    assert [values[4] for values in found] == [f"{value:.6f}" for value in map(np.float32, values)]


@settings(max_examples=40)
@given(given_rows=scored_rows())
def test_header_comes_once_and_every_line_ends_in_a_line_feed(given_rows: tuple[pa.Table, list[float]]) -> None:
    rows, values = given_rows
    text = write_scored_csv(rows, np.array(values, dtype=np.float32), "buy")
    lines = text.split("\n")
    assert len(lines) == rows.num_rows + 2
    assert lines[0] == ",".join(header("buy"))
    assert lines[0] not in lines[1:]
    assert lines[-1] == ""


@settings(max_examples=200)
@given(values=st.lists(st.one_of(st.none(), st.text(max_size=110)), max_size=6))
def test_mask_marks_just_what_a_plain_reading_of_the_rules_does(values: list[str | None]) -> None:
    texts = [value and value.encode("utf-8", "ignore").decode() for value in values]
    filled = pa.array(["x"] * len(texts), pa.string())
    rows = pa.table([filled, pa.array(texts, pa.string()), filled, filled], names=list(ENDPOINT_COLUMNS))
    assert writable_mask(rows).to_pylist() == [text is not None and is_writable(text) for text in texts]


@settings(max_examples=60)
@given(given_rows=scored_rows(), place=st.integers(min_value=0), letter=st.sampled_from(list('",\n\r\t\x00.1é')))
def test_changed_file_is_refused_or_says_what_it_then_says(
    given_rows: tuple[pa.Table, list[float]], place: int, letter: str
) -> None:
    rows, values = given_rows
    text = write_scored_csv(rows, np.array(values, dtype=np.float32), "buy")
    place %= len(text)
    changed = text[:place] + letter + text[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scored.csv"
        path.write_bytes(changed.encode())
        try:
            found = read_with_our_reader(path)
        except ContractError:
            return
        assert found == read_with_csv(path)
