"""Tabular doorways: what they let through, and how they name file, column, rows and remedy when they refuse."""

from __future__ import annotations

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.contacts import CONTACTS
from contracts.errors import ContractError
from contracts.events import EVENTS
from contracts.match_keys import MATCH_KEYS, SCHEMA
from contracts.query_result import query_result_contract
from contracts.table import Column, TableContract, check_table, read_batches

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
GOOD_EVENTS = pa.table(
    {"customer_key": ["a", "b"], "event_type": ["buy", "buy"], "event_time": [NOON, NOON], "amount": [1.5, None]}
)
GOOD_CONTACTS = pa.table(
    {
        "customer_key": ["a"],
        "channel_type": ["EMAIL"],
        "address": ["a@example.com"],
        "may_match": [True],
        "may_contact": [False],
    }
)
GOOD_KEYS = pa.table({"hashed_id": ["h"], "customer_key": ["a"]}, schema=SCHEMA)
RESULT = query_result_contract(("age", "band", "attribute_date"))
GOOD_RESULT = pa.table(
    {"customer_key": ["a"], "age": [31], "band": pa.array([None], pa.string()), "attribute_date": [NOON.date()]}
)
DOORWAYS = {
    "events": (EVENTS, GOOD_EVENTS),
    "contacts": (CONTACTS, GOOD_CONTACTS),
    "match_keys": (MATCH_KEYS, GOOD_KEYS),
    "query result": (RESULT, GOOD_RESULT),
}
EACH_COLUMN = [
    pytest.param(contract, table, column, id=f"{name}-{column.name}")
    for name, (contract, table) in DOORWAYS.items()
    for column in contract.columns
    if column.name in table.column_names
]


def put(folder: Path, table: pa.Table, name: str = "part.parquet") -> Path:
    """Write a table as one file of a folder."""
    pq.write_table(table, folder / name)
    return folder


def replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """A table with one column replaced."""
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(("contract", "table"), DOORWAYS.values(), ids=DOORWAYS)
def test_good_table_passes_and_its_rows_are_counted(tmp_path: Path, contract: TableContract, table: pa.Table) -> None:
    put(tmp_path, table, "1.parquet")
    put(tmp_path, table, "2.parquet")
    assert check_table(tmp_path, contract) == 2 * table.num_rows


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_missing_column_is_refused_by_name_unless_it_is_optional(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    name, is_required = column.name, column.is_required
    put(tmp_path, table.drop_columns([name]), "july.parquet")
    if not is_required:
        assert check_table(tmp_path, contract) == table.num_rows
        return
    with pytest.raises(ContractError, match=f"column {name} is missing from {contract.name}") as caught:
        check_table(tmp_path, contract)
    assert caught.value.where == "july.parquet"
    assert all(other in caught.value.why for other in table.column_names if other != name)
    assert caught.value.fix == contract.remedy


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_column_of_another_kind_is_refused_by_name(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    name, kind = column.name, column.kind
    put(tmp_path, replaced(table, name, pa.array([[1]] * table.num_rows)), "july.parquet")
    with pytest.raises(ContractError, match=f"column {name} of {contract.name} must be {kind}, got list") as caught:
        check_table(tmp_path, contract)
    assert caught.value.where == "july.parquet"
    assert caught.value.fix == contract.remedy


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_missing_value_is_refused_unless_the_column_may_lack_one(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    name, may_be_null = column.name, column.may_be_null
    values = [*table.column(name).to_pylist()[:-1], None]
    put(tmp_path, replaced(table, name, pa.array(values, table.schema.field(name).type)))
    if may_be_null:
        assert check_table(tmp_path, contract) == table.num_rows
        return
    with pytest.raises(ContractError) as caught:
        check_table(tmp_path, contract)
    assert f"column {name} of {contract.name} has no value in 1 of {table.num_rows:,} rows" in str(caught.value)


@pytest.mark.parametrize("empty", ["", "   ", "\t"], ids=["nothing", "spaces", "tab"])
def test_empty_key_is_refused(tmp_path: Path, empty: str) -> None:
    put(tmp_path, replaced(GOOD_EVENTS, "customer_key", pa.array(["a", empty])))
    with pytest.raises(ContractError, match="column customer_key of events has an empty value in 1 of 2 rows"):
        check_table(tmp_path, EVENTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_number_that_is_none_is_refused_even_where_a_value_may_lack(tmp_path: Path, value: float) -> None:
    put(tmp_path, replaced(GOOD_EVENTS, "amount", pa.array([None, value], pa.float64())))
    with pytest.raises(ContractError, match="column amount of events has NaN or an infinite value in 1 of 2 rows"):
        check_table(tmp_path, EVENTS)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"]).dictionary_encode(),
    ],
    ids=["large_string", "dictionary"],
)
def test_text_may_be_stored_in_several_ways(tmp_path: Path, values: pa.Array) -> None:
    put(tmp_path, replaced(GOOD_EVENTS, "customer_key", values))
    assert check_table(tmp_path, EVENTS) == 2


def test_columns_beyond_the_contract_are_ignored(tmp_path: Path) -> None:
    put(tmp_path, GOOD_EVENTS.append_column("basket", pa.array([[1], [2]])))
    assert check_table(tmp_path, EVENTS) == 2


@pytest.mark.parametrize("name", ["Amount", "AMOUNT"])
def test_optional_column_in_another_case_is_refused_by_both_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, GOOD_EVENTS.rename_columns({"amount": name}), "july.parquet")
    with pytest.raises(ContractError, match=f"column {name} of events must be named amount") as caught:
        check_table(tmp_path, EVENTS)
    assert caught.value.where == "july.parquet"


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_column_that_is_there_in_two_cases_is_refused_by_both_names(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    name = column.name
    put(tmp_path, table.append_column(name.title(), table.column(name)))
    with pytest.raises(ContractError, match=f"columns of {contract.name} have one name: {name.title()}, {name}"):
        check_table(tmp_path, contract)


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_required_column_in_another_case_is_missing_and_the_other_is_named(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    name = column.name
    put(tmp_path, table.rename_columns({name: name.title()}))
    with pytest.raises(ContractError) as caught:
        check_table(tmp_path, contract)
    assert name in caught.value.what
    assert name.title() in str(caught.value)


def test_table_without_rows_is_refused(tmp_path: Path) -> None:
    put(tmp_path, GOOD_EVENTS.slice(0, 0))
    with pytest.raises(ContractError, match="events has no rows") as caught:
        check_table(tmp_path, EVENTS)
    assert caught.value.where == str(tmp_path)


def test_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("customer_key\na\n")
    with pytest.raises(ContractError, match="no Parquet file for events") as caught:
        check_table(tmp_path, EVENTS)
    assert caught.value.where == str(tmp_path)


def test_parquet_is_known_by_its_content_and_found_in_subfolders(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    put(tmp_path / "day=1", GOOD_EVENTS, "part-0000.snappy")
    assert check_table(tmp_path, EVENTS) == 2


@pytest.mark.parametrize(
    "name", ["_temporary/0/part.parquet", "day=1/_old/part.parquet", ".part.parquet", "_part.parquet"]
)
def test_what_lies_under_a_name_of_something_unfinished_is_not_read(tmp_path: Path, name: str) -> None:
    table = tmp_path / "_tables" / ".hidden"  # above the table any name will do
    (table / name).parent.mkdir(parents=True, exist_ok=True)
    put(table, GOOD_EVENTS)
    put(table, GOOD_EVENTS, name)
    assert check_table(table, EVENTS) == 2
    (table / "part.parquet").unlink()
    with pytest.raises(ContractError, match="no Parquet file for events") as caught:
        check_table(table, EVENTS)
    assert "begin with _ or ." in caught.value.why


@pytest.mark.parametrize("kept", [20, -20], ids=["start", "all but its end"])
def test_cut_off_parquet_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    path = put(tmp_path, GOOD_EVENTS, "july.parquet") / "july.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ContractError, match="events can't be read") as caught:
        check_table(tmp_path, EVENTS)
    assert caught.value.where == "july.parquet"


def test_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("customer_key\na\n")
    with pytest.raises(ContractError, match="events can't be read"):
        check_table(tmp_path / "events.csv", EVENTS)


def test_only_good_rows_are_given_out_before_a_bad_file_stops_the_reading(tmp_path: Path) -> None:
    put(tmp_path, GOOD_EVENTS, "1.parquet")
    put(tmp_path, replaced(GOOD_EVENTS, "customer_key", pa.array(["a", ""])), "2.parquet")
    batches = read_batches(tmp_path, EVENTS)
    assert next(batches).num_rows == 2
    with pytest.raises(ContractError, match=r"2\.parquet"):
        next(batches)


def test_query_result_asks_for_a_date_only_where_the_partner_has_one() -> None:
    names = [column.name for column in query_result_contract(("age",)).columns]
    assert names == ["customer_key", "age"]
    dated = {column.name: column.kind for column in RESULT.columns}
    assert dated == {"customer_key": "text", "age": "value", "band": "value", "attribute_date": "date"}


@pytest.mark.parametrize(("contract", "table", "column"), EACH_COLUMN)
def test_column_of_no_type_counts_by_its_missing_values(
    tmp_path: Path, contract: TableContract, table: pa.Table, column: Column
) -> None:
    untyped = replaced(table, column.name, pa.nulls(table.num_rows))
    put(tmp_path, untyped)
    if column.may_be_null:
        assert check_table(tmp_path, contract) == table.num_rows
        return
    with pytest.raises(ContractError, match=f"has no value in {table.num_rows} of {table.num_rows} rows"):
        check_table(tmp_path, contract)


def test_empty_table_whose_columns_have_no_type_has_no_rows(tmp_path: Path) -> None:
    put(tmp_path, pa.table({name: pa.nulls(0) for name in GOOD_EVENTS.column_names}))
    with pytest.raises(ContractError, match="events has no rows"):
        check_table(tmp_path, EVENTS)
