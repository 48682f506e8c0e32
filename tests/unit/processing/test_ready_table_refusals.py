"""A ready customer table that can't be learned from is refused by column and rows, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from contracts.errors import ContractError, PsegError
from contracts.run_settings import RunSettings
from contracts.segment_file import ENDPOINT_COLUMNS
from tests.ready_worlds import (
    READY,
    build,
    make_customers,
    scored_rows,
    training_rows,
    with_column,
    with_roles,
    write_customers,
)


def refuse(folder: Path, customers: pd.DataFrame | pa.Table, settings: RunSettings = READY) -> PsegError:
    """The error that a table is refused with; nothing of it is left behind."""
    with pytest.raises(ContractError) as caught:
        build(folder, customers, settings)
    assert not (folder / "out" / "features").exists()
    assert not (folder / "out" / "run_facts").exists()
    assert not [*(folder / "out").rglob("feature_table*"), *(folder / "out").rglob("spill*")]
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="customer_id"), "column customer_id is missing from customers"),
        (lambda t: t.rename(columns={"customer_id": "Customer_Id"}), "column customer_id is missing from customers"),
        (lambda t: t.drop(columns="y"), "column y is missing from customers"),
        (lambda t: t.drop(columns="duration"), "column duration is missing from customers"),
        (lambda t: t.assign(customer_id=1.5), "column customer_id of customers must be key, got double"),
        (lambda t: t.assign(customer_id=" "), "column customer_id of customers has an empty value in 400 of 400"),
        (lambda t: t.assign(customer_id=None), "column customer_id of customers"),
        (lambda t: t.assign(customer_id=["c"] * 2 + t["customer_id"].tolist()[2:]), "400 rows for 399 customers"),
        (lambda t: pd.concat([t, t.head(3)]), "customers has 403 rows for 400 customers"),
        (lambda t: t.assign(y="yes"), "column y of customers must be label, got"),
        (lambda t: t.assign(y=t["y"] + 1), "column y of customers has another value than 0 and 1"),
        (lambda t: t.assign(y=t["y"] * 0.5), "column y of customers has another value than 0 and 1"),
        (lambda t: t.assign(y=1), "goal subscribes can't be learned: "),
        (lambda t: t.assign(y=0), "goal subscribes can't be learned: 0 of "),
        (lambda t: t.assign(y=pd.Series([None] * len(t), dtype="Int64")), "goal subscribes can't be learned: 0 of 0"),
        (lambda t: t.head(5), "goal subscribes can't be learned"),
        (lambda t: t.head(0), "customers has no rows"),
        (
            lambda t: t.assign(income=np.inf),
            "column income of customers is infinite or over 3e+38 in 400 of 400 rows",
        ),
        (lambda t: t.assign(income=1e300), "column income of customers is infinite or over 3e+38 in 400 of 400 rows"),
        (lambda t: t.assign(job="x" * 257), "column job of customers has a text over 256 characters in 400 rows"),
        (lambda t: t.assign(job=["x" * 10_000] + ["y"] * 399), "column job of customers has a text over 256"),
        (lambda t: t.assign(mail=t["customer_id"] + "@example.com"), "column mail has 400 different texts in 400"),
        (lambda t: t.assign(Age=1), "columns of customers have one name: Age, age"),
        (lambda t: t.assign(Y=1), "columns of customers have one name: Y, y"),
        (lambda t: t.assign(CUSTOMER_ID=1), "columns of customers have one name: CUSTOMER_ID, customer_id"),
        (lambda t: t.assign(split=1), "a feature can't be named 'split'"),
        (lambda t: t.assign(customer_key=1), "a feature can't be named 'customer_key'"),
        (lambda t: t.assign(label__x=1), "a feature can't be named 'label__x'"),
        (lambda t: t.rename(columns={"age": "a\x00e"}), "a feature can't be named"),
        (lambda t: t.rename(columns={"age": " "}), "a feature can't be named ' '"),
        (lambda t: t[["customer_id", "duration", "y"]], "customers has no feature column"),
    ],
    ids=[
        *("key missing", "key renamed", "label missing", "ignored column missing", "key is a number with a point"),
        *("key empty", "no keys", "customer twice", "rows twice", "label is text", "label 1 and 2", "label a half"),
        *(
            "all labels 1",
            "all labels 0",
            "no labels",
            "five rows",
            "no rows",
            "infinite",
            "beyond single precision",
            "257 characters",
            "10 kB",
        ),
        *("e-mail address", "two cases", "two cases of the label", "two cases of the key", "named split"),
        *("named customer_key", "named as a label", "NUL in a name", "name of blanks", "nothing left"),
    ],
)
def test_bad_table_is_refused_by_name_and_nothing_written(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    assert words in refuse(tmp_path, change(make_customers())).what


@pytest.mark.parametrize("name", ENDPOINT_COLUMNS)
def test_feature_named_as_a_column_of_endpoints_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    customers = make_customers().assign(**{name: range(400)})
    error = refuse(tmp_path, customers)
    assert error.what == f"a feature can't be named {name!r}"
    assert f"ignore = [{name!r}]" in error.fix
    out = build(tmp_path / "ignored", customers, with_roles(ignore=("duration", name)))
    assert len(scored_rows(out)) == 400
    other_case = customers.rename(columns={name: name.swapcase()})
    assert scored_rows(build(tmp_path / "case", other_case))[name.swapcase()].tolist() == [*range(400)]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([date(2026, 1, 1)] * 400),
        pa.array([0] * 400, pa.timestamp("us", "UTC")),
        pa.array([0] * 400, pa.time64("us")),
        pa.array([[1]] * 400, pa.list_(pa.field("element", pa.int64()))),
        pa.array([b"x"] * 400),
        pa.array([{"a": 1}] * 400),
    ],
    ids=lambda values: str(values.type),
)
def test_column_that_can_be_no_feature_is_refused_with_the_way_out(tmp_path: Path, values: pa.Array) -> None:
    error = refuse(tmp_path, with_column("since", values))
    assert error.what == f"column since of customers can't be a feature: {values.type}"
    assert "ignore = ['since']" in error.fix
    out = build(tmp_path / "again", with_column("since", values), with_roles(ignore=("duration", "since")))
    assert "since" not in training_rows(out).columns


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["train", None], "column part of customers has no value in 200 rows that have a label"),
        (["train", "Test"], "column part of customers has another value than train, validation, test in 200"),
        (["train", "train"], "goal subscribes can't be learned: 0 of 0 customers have it"),
        (["validation", "test"], "goal subscribes can't be learned: 0 of 0 customers have it"),
    ],
    ids=["missing", "misspelt", "no test", "no train"],
)
def test_split_that_can_not_be_used_is_refused(tmp_path: Path, parts: list[str | None], words: str) -> None:
    customers = make_customers().assign(part=parts * 200)
    assert words in refuse(tmp_path, customers, with_roles(split="part")).what


def test_time_may_not_be_missing(tmp_path: Path) -> None:
    customers = make_customers().assign(day=[None, *range(399)])
    assert (
        "column day of customers has no value in 1 of 400" in refuse(tmp_path, customers, with_roles(time="day")).what
    )


@pytest.mark.parametrize(
    "day",
    ["28/02/2026", "02-28-2026", "10", "20260228", "2026-2-8", "2026-13-01", "2026-01-01T10:00+02:00", "Jan 2026", ""],
)
@pytest.mark.parametrize("is_dictionary", [False, True], ids=["text", "dictionary"])
def test_time_in_text_that_does_not_sort_by_time_is_refused(tmp_path: Path, day: str, is_dictionary: bool) -> None:
    days = pa.array(["2026-02-28"] * 398 + [day] * 2)
    table = with_column("day", days.dictionary_encode() if is_dictionary else days)
    error = refuse(tmp_path, table, with_roles(time="day"))
    assert error.what == "column day of customers has text that is no ISO time in 2 of 400 rows"
    assert "YYYY-MM-DD" in error.why


def test_time_in_any_text_is_no_matter_where_nobody_is_learned_from(tmp_path: Path) -> None:
    customers = make_customers().assign(day="28/02/2026")
    assert len(scored_rows(build(tmp_path, customers, with_roles(time="day"), is_training=False))) == 400


@pytest.mark.parametrize(
    "change",
    [lambda t: t.drop(columns="age"), lambda t: t.assign(more=1), lambda t: t.assign(age="old")],
    ids=["age", "more", "age as text"],
)
def test_files_that_differ_are_refused(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    customers = make_customers()
    write_customers(tmp_path / "input", change(customers[300:]), "part-1")
    error = refuse(tmp_path, customers[:300])
    assert error.what.startswith("the files of customers differ in ")


@pytest.mark.parametrize(("values", "words"), [("yes", "must be boolean"), (None, "column ok of customers")])
def test_consent_must_be_said(tmp_path: Path, values: str | None, words: str) -> None:
    assert words in refuse(tmp_path, make_customers().assign(ok=values), with_roles(may_contact="ok")).what
