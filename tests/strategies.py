"""Hypothesis strategies that follow the contracts: what a doorway accepts, and no more."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from contracts.feature_table import Feature, FeatureTable
from contracts.segment_file import ENDPOINT_COLUMNS, FORBIDDEN, MAX_VALUE_CHARACTERS

RTL = "שלום"
AWKWARD = [
    '"',
    ",",
    '""',
    '","',
    "'",
    ";",
    "|",
    "\\",
    "#",
    " ",
    "é",
    "ß",
    RTL,
    "\u202e",
    "😀",
    "\u2028",
    "\u0085",
    "\ufeff",
]


def is_writable(text: str) -> bool:
    """Tell, in plain Python, if a value may stand in a segment file."""
    return 0 < len(text) <= MAX_VALUE_CHARACTERS and not re.search(FORBIDDEN, text)


def writable_values() -> st.SearchStrategy[str]:
    """Values that a segment file can hold: any text without control characters, awkward ones on purpose."""
    plain = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=MAX_VALUE_CHARACTERS)
    awkward = st.lists(st.sampled_from([*AWKWARD, "a", "1"]), min_size=1, max_size=12).map("".join)
    return st.one_of(plain, awkward).filter(is_writable)


def scores() -> st.SearchStrategy[float]:
    """Propensity scores, the ends among them."""
    return st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-6, 4e-7, 0.9999996]), st.floats(0, 1, width=32))


@st.composite
def endpoint_rows(draw: st.DrawFn, max_rows: int = 8) -> pa.Table:
    """Rows of endpoint columns, each value writable, ids unique."""
    size = draw(st.integers(0, max_rows))
    columns = {
        name: st.lists(writable_values(), min_size=size, max_size=size, unique=name == "Id")
        for name in ENDPOINT_COLUMNS
    }
    return pa.table({name: pa.array(draw(values), pa.string()) for name, values in columns.items()})


def column_names() -> st.SearchStrategy[str]:
    """Names that project.toml allows for columns and tables, words of SQL among them."""
    words = ["select", "from", "order", "group", "join", "on", "values", "lateral", "distinct", "table", "date", "null"]
    return st.one_of(st.sampled_from(words), st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True))


@st.composite
def feature_rows(draw: st.DrawFn, max_rows: int = 12) -> tuple[pa.Table, FeatureTable]:
    """A feature table's contract, and rows that keep it: missing values and unknown categories among them."""
    names = draw(st.lists(st.from_regex(r"f_[a-z]{1,6}", fullmatch=True), min_size=1, max_size=5, unique=True))
    size = draw(st.integers(1, max_rows))
    features, columns = [], {}
    for name in names:
        if draw(st.booleans()):
            known = draw(st.lists(st.sampled_from(["low", "mid", "high", "é,"]), min_size=1, unique=True))
            values = st.one_of(st.none(), st.sampled_from([*known, "never seen"]))
            features.append(Feature(name, "category", "partner", tuple(sorted(known))))
            columns[name] = pa.array(draw(st.lists(values, min_size=size, max_size=size)), pa.string())
        else:
            numbers = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))
            features.append(Feature(name, "number", "brand"))
            columns[name] = pa.array(draw(st.lists(numbers, min_size=size, max_size=size)), pa.float64())
    return pa.table(columns), FeatureTable(tuple(features), "0" * 64)


def endpoints_of(size: int) -> dict[str, pa.Array]:
    """Endpoint columns of so many customers."""
    keys = [f"k{number:05d}" for number in range(size)]
    return {
        "ChannelType": pa.array(["EMAIL"] * size, pa.string()),
        "Address": pa.array([f"{key}@example.com" for key in keys], pa.string()),
        "Id": pa.array([f"id-{key}" for key in keys], pa.string()),
        "User.UserId": pa.array(keys, pa.string()),
    }


def random_rows(size: int, seed: int) -> tuple[pa.Table, FeatureTable]:
    """Endpoint columns, two numbers and a category, with missing values, and their contract."""
    rng = np.random.default_rng(seed)
    bands = rng.choice(np.array(["low", "mid", "high", None], dtype=object), size=size)
    columns = {
        "recency": pa.array(rng.normal(size=size)),
        "amount": pa.array(rng.gamma(2.0, size=size), mask=rng.random(size) < 0.2),
        "band": pa.array(bands.tolist(), pa.string()),
    }
    features = (
        Feature("recency", "number", "brand"),
        Feature("amount", "number", "brand"),
        Feature("band", "category", "partner", ("high", "low", "mid")),
    )
    return pa.table(endpoints_of(size) | columns), FeatureTable(features, "a" * 64)
