"""Columns: what is found out, what is never guessed, and what is refused until somebody declares it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from clean_rooms.partner_columns import RESERVED, Declared, plan_columns, simple_name
from clean_rooms.partner_values import convert
from contracts.errors import ContractError
from contracts.feature_table import KEY_COLUMNS, LABEL_PREFIX


def sample(**columns: list[str]) -> pa.RecordBatch:
    """The head of a CSV file."""
    return pa.record_batch({name: pa.array([v.encode() for v in values]) for name, values in columns.items()})


def plan(declared: Declared | None = None, **columns: list[str]) -> dict[str, tuple[str, str, str]]:
    batch = sample(email=["ann@example.com"] * len(next(iter(columns.values()))), **columns)
    planned = plan_columns(batch.schema.names, batch, declared or Declared(), "members.csv")
    return {column.source: (column.name, column.role, column.kind) for column in planned}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "", "N/A"], "integer"),
        (["1", "2.5", "1e3", ".5"], "number"),
        (["true", "No", "y"], "boolean"),
        (["2026-01-31", "NULL"], "date"),
        (["2026-01-31T10:00:00Z", "2026-01-31 10:00:00"], "time"),
        (["01234", "99999"], "text"),
        (["03/04/2026"], "text"),
        (["1.234,5"], "text"),
        (["1234567890123456789"], "text"),
        (["1"] * 50 + ["x"], "text"),
        (["1"] * 200 + ["x"], "integer"),
        (["", ""], "text"),
        (["+5"], "text"),
        (["0", "1"], "integer"),
    ],
    ids=repr,
)
def test_type_is_found_out_and_never_guessed(values: list[str], kind: str) -> None:
    assert plan(column=values)["column"] == ("column", "attribute", kind)


def test_roles_are_known_by_the_names_of_columns() -> None:
    found = plan(Mobile=["+49"], attribute_date=["2026-01-31"], points=["1"])
    assert found["email"] == ("hashed_id", "identifier", "email")
    assert found["Mobile"] == ("hashed_id", "identifier", "phone")
    assert found["attribute_date"] == ("attribute_date", "date", "date")


def test_what_is_declared_is_followed() -> None:
    declared = Declared({"contact": "email"}, "day", {"day": "date:%d.%m.%Y", "plz": "integer"}, frozenset({"email"}))
    assert plan(declared, contact=["a@b.co"], day=["31.01.2026"], plz=["12"]) == {
        "contact": ("hashed_id", "identifier", "email"),
        "day": ("attribute_date", "date", "date"),
        "plz": ("plz", "attribute", "integer"),
    }


@pytest.mark.parametrize(
    ("declared", "columns", "what", "fix"),
    [
        (Declared(drop=frozenset({"email"})), {"points": ["1"]}, "no column holds an identifier", "--email"),
        (Declared(date="dya"), {"day": ["1"]}, "no column dya; did you mean day?", "one of email, day"),
        (Declared(types={"points": "money"}), {"points": ["1"]}, "'money' is no type", "integer"),
        (Declared(types={"points": "integer:%d"}), {"points": ["1"]}, "'integer:%d' is no type", "date:%d"),
        (Declared(), {"a b": ["1"], "A-B": ["1"]}, "can't keep its name", "--drop"),
        (Declared(), {"2x": ["1"]}, "can't keep its name", "rename"),
        (Declared(), {"Customer Key": ["1"]}, "can't keep its name", "rename"),
        (Declared(), {"label__buy": ["1"], "label  buy": ["1"]}, "can't keep its name", "--drop"),
        (Declared(), {f"c{n}": ["1"] for n in range(100)}, "101 columns, 100 are allowed", "--drop"),
        (Declared(), {"First Name": ["Ann"]}, "looks as if it named people", "--drop 'First Name'"),
        (Declared(), {"contact": ["ann@example.com", "-"]}, "looks as if it named people", "--type 'contact'=text"),
        (Declared(), {"line": ["+49 30 123456"]}, "looks as if it named people", "--drop"),
        (Declared(), {"tracker": ["6D92078A-8246-4BA4-AE5B-76104861E7DC"]}, "looks as if it named people", "--drop"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_column_that_can_not_be_offered_is_refused_with_the_option_that_helps(
    declared: Declared, columns: dict[str, list[str]], what: str, fix: str
) -> None:
    with pytest.raises(ContractError) as raised:
        plan(declared, **columns)
    assert what in raised.value.what
    assert fix in raised.value.fix


def test_identifier_that_nobody_declared_does_not_slip_in_beside_a_declared_one() -> None:
    with pytest.raises(ContractError, match="looks as if it named people"):
        plan(Declared({"email": "email"}), Mobile=["030 123456"])


def test_personal_column_that_somebody_declares_is_taken() -> None:
    found = plan(Declared(types={"Street": "text"}), Street=["High Street"])
    assert found["Street"] == ("street", "attribute", "text")


def test_nested_types_of_parquet_are_refused() -> None:
    batch = pa.record_batch({"email": ["a@b.co"], "tags": [["x"]]})
    with pytest.raises(ContractError, match="list"):
        plan_columns(["email", "tags"], batch, Declared(), "members.parquet")


def test_names_that_the_brand_uses_itself_are_reserved() -> None:
    assert set(KEY_COLUMNS) <= set(RESERVED)
    assert LABEL_PREFIX == "label__"


@pytest.mark.parametrize(("name", "simple"), [("Größe (cm)", "groe_cm"), ("postCode", "postcode"), ("A--B ", "a_b")])
def test_names_become_what_clean_rooms_takes(name: str, simple: str) -> None:
    assert simple_name(name) == simple


@pytest.mark.parametrize(
    ("values", "kind", "form", "expected", "bad"),
    [
        ([" 7 ", "", "x", "9" * 19], "integer", "", [7, None, None, None], [2, 3]),
        (["7", "1e400", "nan", "0x1"], "number", "", [7.0, None, None, None], [1, 3]),
        (["YES", "0"], "boolean", "", [True, None], [1]),
        (["2026-02-28", "2026-02-30", "20260228"], "date", "", [date(2026, 2, 28), None, None], [1, 2]),
        (["28.02.2026", "02/28/2026"], "date", "%d.%m.%Y", [date(2026, 2, 28), None], [1]),
        (["2026-01-31T23:30:00-02:00"], "time", "", [datetime(2026, 2, 1, 1, 30, tzinfo=UTC)], []),
        (["a\0b", "x" * 1001, "fine"], "text", "", [None, None, "fine"], [0, 1]),
    ],
    ids=["integer", "number", "boolean", "date", "date in another order", "time with a zone", "text"],
)
def test_values_become_typed_and_what_does_not_fit_is_named(
    values: list[str], kind: str, form: str, expected: list[Any], bad: list[int]
) -> None:
    typed, problems = convert(pa.array([value.encode() for value in values]), kind, form, is_date=False)
    assert typed.to_pylist() == expected
    assert [place for place in range(len(values)) if any(p[place].as_py() for p in problems.values())] == bad


def test_bytes_that_are_no_utf_8_are_named_and_spoil_no_other_row() -> None:
    typed, problems = convert(pa.array([b"gr\xfcn", "grün".encode()]), "text", "", is_date=False)
    assert typed.to_pylist() == [None, "grün"]
    assert [name for name, where in problems.items() if where[0].as_py()] == [
        "bytes that are no text, or over 1,000 of them"
    ]


def test_attribute_date_takes_the_day_of_a_time_and_can_not_be_missing() -> None:
    typed, problems = convert(pa.array([b"2026-01-31T23:30:00-02:00", b""]), "date", "", is_date=True)
    assert typed.to_pylist() == [date(2026, 2, 1), None]
    assert problems["missing"].to_pylist() == [False, True]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1.5, float("nan"), None]), "number", [1.5, None, None]),
        (pa.array([1, None], pa.int8()), "integer", [1, None]),
        (pa.array(["x", None]).dictionary_encode(), "text", ["x", None]),
        (pa.array([date(2026, 1, 31)], pa.date64()), "date", [date(2026, 1, 31)]),
        (pa.array([datetime(2026, 1, 31)], pa.timestamp("ns")), "time", [datetime(2026, 1, 31, tzinfo=UTC)]),
    ],
    ids=["NaN", "small integer", "dictionary", "date64", "time without a zone"],
)
def test_types_of_parquet_are_kept(values: pa.Array, kind: str, expected: list[Any]) -> None:
    typed, problems = convert(values, kind, "", is_date=False)
    assert typed.to_pylist() == expected
    assert not any(any(where.to_pylist()) for where in problems.values())


def test_infinite_number_does_not_fit() -> None:
    _, problems = convert(pa.array([float("inf"), 1.0]), "number", "", is_date=False)
    assert problems["no number"].to_pylist() == [True, False]
