"""Hostile files: every row is read, or left out and counted by its number, or the file is refused with what to do."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_rooms import partner_files
from clean_rooms.partner_files import WRONG_COLUMNS, BadRows, CsvForm, read_files
from contracts.errors import ContractError


def read(path: Path, form: CsvForm | None = None) -> tuple[list[tuple[int, list[str]]], BadRows]:
    """Number and values of each row, and what was left out."""
    bad = BadRows()
    rows = [
        (batch.row(place), [str(value, "utf-8") for value in row.values()])
        for batch in read_files([path], form or CsvForm(), bad)
        for place, row in enumerate(batch.columns.to_pylist())
    ]
    return rows, bad


def write(tmp_path: Path, content: bytes, name: str = "members.csv") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2\n", [["1", "2"]]),
        (b"a,b\r\n1,2\r\n3,4", [["1", "2"], ["3", "4"]]),
        (b"a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
        (b"a;b\n1,5;2\n", [["1,5", "2"]]),
        (b"a\tb\n1\t2\n", [["1", "2"]]),
        (b'a,b\n"x\ny","say ""hi"""\n', [["x\ny", 'say "hi"']]),
        (b'a,b\n"1,2",\n', [["1,2", ""]]),
    ],
    ids=["plain", "CRLF", "CR", "byte order mark", "semicolon", "tab", "quoted", "empty value"],
)
def test_ways_to_write_csv_are_read(tmp_path: Path, content: bytes, rows: list[list[str]]) -> None:
    found, bad = read(write(tmp_path, content))
    assert [values for _, values in found] == rows
    assert bad.counts.total() == 0


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_declared_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    found, _ = read(write(tmp_path, "größe,b\nzwölf,2\n".encode(encoding)), CsvForm(encoding=encoding))
    assert found == [(2, ["zwölf", "2"])]


def test_compressed_csv_is_read(tmp_path: Path) -> None:
    found, _ = read(write(tmp_path, gzip.compress(b"a,b\n1,2\n"), "members.csv.gz"))
    assert found == [(2, ["1", "2"])]


@pytest.mark.parametrize(
    ("content", "encoding", "what", "fix"),
    [
        (b"", "utf-8", "no header", "first line"),
        (b"\n\n1,2\n", "utf-8", "no header", "first line"),
        (b"a" * 70_000, "utf-8", "no header", "first line"),
        (b"a,a\n1,2\n", "utf-8", "come twice: a", "name of its own"),
        (b"a,\n1,2\n", "utf-8", "(empty)", "name of its own"),
        (b'a,"b\n1,2\n', "utf-8", "header can't be read", "quotes closed"),
        ("a,b\n1,2\n".encode("utf-16"), "utf-8", "UTF-16", "--encoding utf-16"),
        ("größe\n1\n".encode("cp1252"), "utf-8", "not utf-8", "--encoding cp1252"),
        (b"a,b\n\xff,2\n", "ascii", "not ascii", "--encoding"),
        (b"a,b\n1,2\n", "utf-99", "no encoding named utf-99", "cp1252"),
        (b'a,b\n1,"2\n3,4\n', "utf-8", "a quote is never closed", "every quote closed"),
        (b'a,b\n1,"' + b"2\n3,4" * 600_000 + b'"', "utf-8", "longer than 1 MB", "every quote closed"),
        (b"PAR1 and then nothing", "utf-8", "can't be read", "again"),
    ],
    ids=[
        "empty",
        "blank first line",
        "endless header",
        "name twice",
        "no name",
        "header quote",
        "UTF-16",
        "other encoding",
        "not as declared",
        "no encoding",
        "open quote",
        "open quote in a large file",
        "broken Parquet",
    ],
)
def test_file_that_can_not_be_read_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, encoding: str, what: str, fix: str
) -> None:
    with pytest.raises(ContractError) as raised:
        read(write(tmp_path, content), CsvForm(encoding=encoding))
    assert what in raised.value.what
    assert raised.value.where == "members.csv"
    assert fix in raised.value.fix


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no such file"):
        read(tmp_path / "members.csv")


def test_files_with_different_columns_are_refused(tmp_path: Path) -> None:
    one, other = write(tmp_path, b"a,b\n1,2\n"), write(tmp_path, b"a,c\n1,2\n", "more.csv")
    with pytest.raises(ContractError, match="only in one of them: b, c"):
        list(read_files([one, other], CsvForm(), BadRows()))


def test_files_may_order_their_columns_differently(tmp_path: Path) -> None:
    one, other = write(tmp_path, b"a,b\n1,2\n"), write(tmp_path, b"b,a\n4,3\n", "more.csv")
    rows = [row for batch in read_files([one, other], CsvForm(), BadRows()) for row in batch.columns.to_pylist()]
    assert rows == [{"a": b"1", "b": b"2"}, {"a": b"3", "b": b"4"}]


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), tmp_path / "members.parquet")
    (batch,) = read_files([tmp_path / "members.parquet"], CsvForm(), BadRows())
    assert batch.columns.to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert (batch.row(0), batch.row(1)) == (1, 2)


VALUE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(VALUE, min_size=1, max_size=4), max_size=60), st.integers(200, 2000))
def test_every_row_keeps_its_number_and_values_among_rows_that_are_left_out(
    tmp_path_factory: pytest.TempPathFactory, records: list[list[str]], block: int
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["a", "b"])
    writer.writerows(records)
    path = write(tmp_path_factory.mktemp("csv"), text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partner_files, "BLOCK_BYTES", block)
        found, bad = read(path)
    numbered = list(enumerate(records, start=2))
    assert found == [(number, record) for number, record in numbered if len(record) == 2]
    wrong = [number for number, record in numbered if len(record) != 2]
    assert bad.counts[WRONG_COLUMNS] == len(wrong)
    assert bad.examples.get(WRONG_COLUMNS, []) == [f"members.csv row {number}" for number in wrong[:5]]
