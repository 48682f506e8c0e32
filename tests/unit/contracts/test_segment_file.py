"""Segment files: the format that is promised, refused where a value would break it, read back line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from contracts import segment_file
from contracts.errors import ContractError
from contracts.segment_file import (
    ENDPOINT_COLUMNS,
    MAX_ATTRIBUTES,
    check_columns,
    header,
    read_scored_csv,
    writable_mask,
    write_scored_csv,
)
from tests.strategies import endpoints_of

HEADER = "ChannelType,Address,Id,User.UserId,Metrics.buy_score\n"
FORBIDDEN_VALUES = {
    "tab": "a\tb",
    "line feed": "a\nb",
    "carriage return": "a\rb",
    "null byte": "a\x00b",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
    "too long": "x" * 101,
    "too long beyond ASCII": "é" * 101,
    "empty": "",
    "missing": None,
}


def endpoints(**changes: list[str]) -> pa.Table:
    """Three endpoints, some of their columns replaced."""
    return pa.table(endpoints_of(3) | {name: pa.array(values, pa.string()) for name, values in changes.items()})


def with_value(name: str, value: str | None) -> pa.Table:
    """Three endpoints, the second with this value in one column."""
    table = pa.table(endpoints_of(3))
    values = table.column(name).to_pylist()
    values[1] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))


def floats(*values: float) -> npt.NDArray[np.float32]:
    """Scores as a booster gives them."""
    return np.array(values, dtype=np.float32)


def written(path: Path, text: str | bytes) -> Path:
    """Write a file as it is."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_is_these_very_bytes() -> None:
    rows = endpoints(Address=['say "hi", please', "שלום@example.com", "a;b|c"])
    assert (
        write_scored_csv(rows, floats(1.0, 0.1234567, 0.0), "buy").encode()
        == (
            HEADER + 'EMAIL,"say ""hi"", please",id-k00000,k00000,1.000000\n'
            "EMAIL,שלום@example.com,id-k00001,k00001,0.123457\n"
            "EMAIL,a;b|c,id-k00002,k00002,0.000000\n"
        ).encode()
    )


def test_no_rows_leave_the_header_only() -> None:
    assert write_scored_csv(endpoints().slice(0, 0), floats(), "buy") == HEADER


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0.000000"),
        (-0.0, "0.000000"),
        (1.0, "1.000000"),
        (1e-6, "0.000001"),
        (1e-9, "0.000000"),
        (0.9999999, "1.000000"),
        (0.5, "0.500000"),
        (0.1234564, "0.123456"),
        (0.1234566, "0.123457"),
    ],
)
def test_scores_have_six_digits_and_no_exponent(score: float, text: str) -> None:
    lines = write_scored_csv(endpoints().slice(0, 1), np.array([score]), "buy").splitlines()
    assert lines[1].rsplit(",", 1)[1] == text


@pytest.mark.parametrize("score", [-0.001, 1.001, float("nan"), float("inf")], ids=str)
def test_score_outside_0_to_1_is_refused_and_counted(score: float) -> None:
    with pytest.raises(ContractError, match="1 of 3 scores are missing or outside 0 to 1") as caught:
        write_scored_csv(endpoints(), floats(0.5, score, 1.0), "buy")
    assert caught.value.where == "Metrics.buy_score"


@pytest.mark.parametrize("name", ENDPOINT_COLUMNS)
@pytest.mark.parametrize("value", FORBIDDEN_VALUES.values(), ids=FORBIDDEN_VALUES)
def test_value_that_the_format_forbids_is_masked_and_refused(name: str, value: str | None) -> None:
    rows = with_value(name, value)
    assert writable_mask(rows).to_pylist() == [True, False, True]
    with pytest.raises(ContractError, match="1 of 3 rows have a value that the format forbids") as caught:
        write_scored_csv(rows, floats(0.1, 0.2, 0.3), "buy")
    assert "BuildFeatures" in caught.value.fix


def test_value_of_100_characters_is_written_however_many_bytes_it_takes() -> None:
    rows = with_value("Address", "é" * 100)
    assert writable_mask(rows).to_pylist() == [True] * 3
    assert "é" * 100 in write_scored_csv(rows, floats(0.1, 0.2, 0.3), "buy")


def test_id_that_comes_twice_is_refused_and_counted() -> None:
    with pytest.raises(ContractError, match="1 of 3 rows repeat an id"):
        write_scored_csv(endpoints(Id=["a", "b", "a"]), floats(0.1, 0.2, 0.3), "buy")


def test_rows_in_several_chunks_and_slices_are_written_as_the_same_bytes() -> None:
    rows = endpoints(Address=['say "hi", please', "b@example.com", "a,b"])
    pieces = pa.concat_tables([rows.slice(2, 1), rows.slice(0, 2)])
    turned = pa.concat_tables([rows, rows]).slice(2, 3)
    expected = write_scored_csv(rows.take([2, 0, 1]), floats(0.1, 0.2, 0.3), "buy")
    assert write_scored_csv(pieces, floats(0.1, 0.2, 0.3), "buy") == expected
    assert write_scored_csv(turned, floats(0.1, 0.2, 0.3), "buy") == expected


def test_lines_come_back_as_values_and_as_the_very_bytes(tmp_path: Path) -> None:
    text = write_scored_csv(endpoints(Address=['"', ",", "é"]), floats(0.1, 1.0, 0.000001), "buy").encode()
    lines = read_scored_csv(written(tmp_path / "a.out", text), "buy")
    assert lines.endpoints.column("Address").to_pylist() == ['"', ",", "é"]
    assert lines.millionths.tolist() == [100_000, 1_000_000, 1]
    found = [text[start:end] for start, end in zip(lines.bounds, lines.bounds[1:], strict=False)]
    assert HEADER.encode() + b"".join(found) == text
    assert [line.count(b"\n") for line in found] == [1, 1, 1]


@pytest.mark.parametrize("name", ENDPOINT_COLUMNS)
def test_value_that_begins_with_a_byte_order_mark_is_read_whole(tmp_path: Path, name: str) -> None:
    values = ["\ufeffa", "\ufeffb", "\ufeffc"]
    text = write_scored_csv(endpoints(**{name: values}), floats(0.1, 0.2, 0.3), "buy")
    lines = read_scored_csv(written(tmp_path / "a.out", text), "buy")
    assert lines.endpoints.column(name).to_pylist() == values


def test_header_alone_is_a_file_without_lines(tmp_path: Path) -> None:
    lines = read_scored_csv(written(tmp_path / "a.out", HEADER), "buy")
    assert lines.endpoints.num_rows == len(lines.millionths) == 0
    assert lines.bounds.tolist() == [len(HEADER)]


def test_file_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.out", write_scored_csv(endpoints(), floats(0.1, 0.2, 0.3), "buy"))
    monkeypatch.setattr(segment_file, "MAX_FILE_BYTES", path.stat().st_size)
    assert read_scored_csv(path, "buy").endpoints.num_rows == 3
    monkeypatch.setattr(segment_file, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(ContractError, match="larger than 1 GB"):
        read_scored_csv(path, "buy")


@pytest.mark.parametrize(
    "start",
    [
        "",
        HEADER.replace("buy", "leave"),
        HEADER.replace("ChannelType,Address", "Address,ChannelType"),
        "\ufeff" + HEADER,
        HEADER.replace("\n", "\r\n"),
        HEADER.rstrip("\n"),
        "EMAIL,a@example.com,i,u,0.5\n",
    ],
    ids=["nothing", "another goal", "another order", "byte order mark", "CRLF", "cut off", "none"],
)
def test_other_header_is_refused(tmp_path: Path, start: str) -> None:
    with pytest.raises(ContractError, match="the header is not that of a scored CSV") as caught:
        read_scored_csv(written(tmp_path / "shard-00000.parquet.out", start), "buy")
    assert caught.value.where == "shard-00000.parquet.out"


@pytest.mark.parametrize(
    "line",
    [
        b"EMAIL,c@example.com,i,u,0.12",
        b"EMAIL,c@exam",
        b"EMAIL,c@example.com,i,0.5\n",
        b"EMAIL,c@example.com,i,u,0.5,0.5\n",
        b"\n",
        b'EMAIL,"c@example.com,i,u,0.5\n',
        b'EMAIL,c@example.com,i,u,"0.5\n',
        b"EMAIL,c\r@example.com,i,u,0.5\n",
        b"EMAIL,caf\xe9@example.com,i,u,0.5\n",
        b"EMAIL,\xff\xfe,i,u,0.5\n",
        b"EMAIL," + b"x" * 200_000 + b",i,u,0.5\n",
        b'EMAIL,c@example.com,"i",u,0.5\n',
        b'EMAIL,c@example.com,i"i,u,0.5\n',
        b'EMAIL,"c@example.com\n",i,u,0.5\n',
        b"EMAIL,c@example.com,i,u,0.5\r\n",
        b"EMAIL,,i,u,0.5\n",
        b"EMAIL,c\x00@example.com,i,u,0.5\n",
        b"EMAIL," + b"x" * 101 + b",i,u,0.5\n",
    ],
    ids=[
        "without line break",
        "cut off",
        "a value too few",
        "a value too many",
        "empty line",
        "open quote",
        "open quote at the end",
        "carriage return",
        "Latin-1",
        "not UTF-8",
        "longer than a block",
        "quotes for nothing",
        "bare quote",
        "line break in quotes",
        "CRLF",
        "empty value",
        "null byte",
        "value too long",
    ],
)
def test_line_that_is_not_of_the_format_is_refused_by_its_number(tmp_path: Path, line: bytes) -> None:
    good = write_scored_csv(endpoints().slice(0, 2), floats(0.1, 0.2), "buy").encode()
    after = b"EMAIL,d@example.com,j,v,0.5\n" if line.endswith(b"\n") else b""
    with pytest.raises(ContractError, match="line 4 is cut off or not of this format") as caught:
        read_scored_csv(written(tmp_path / "shard-00000.parquet.out", good + line + after), "buy")
    assert caught.value.where == "shard-00000.parquet.out"


@pytest.mark.parametrize("place", [0, 1, 7, 98, 99])
def test_bad_line_is_found_wherever_it_stands(tmp_path: Path, place: int) -> None:
    text = write_scored_csv(pa.table(endpoints_of(100)), np.linspace(0, 1, 100, dtype=np.float32), "buy")
    lines = text.splitlines(keepends=True)
    lines[place + 1] = lines[place + 1].replace("EMAIL", "\x0bMAIL")
    with pytest.raises(ContractError, match=f"line {place + 2} is cut off"):
        read_scored_csv(written(tmp_path / "a.out", "".join(lines)), "buy")


@pytest.mark.parametrize(
    "column",
    [
        *("OptOut", "EffectiveDate", "EndpointStatus", "Consent", "metrics.buy", "Attributes", "Attributes."),
        *(f"Metrics.a{letter}b" for letter in "#:?\\/\n\t"),
        f"Metrics.{'x' * 51}",
        f"User.UserAttributes.{'x' * 51}",
        "Id",
    ],
)
def test_column_that_the_import_does_not_take_is_refused_by_name(column: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_columns([*header("buy"), column])
    assert column in caught.value.what


@pytest.mark.parametrize("column", ["Location.City", "Attributes.tier", f"Metrics.{'x' * 50}", "Demographic.Locale"])
def test_column_that_the_import_takes_passes(column: str) -> None:
    check_columns([*header("buy"), column])


@pytest.mark.parametrize("column", ["OptOut", "EffectiveDate", "EndpointStatus"])
def test_consent_is_written_only_where_it_is_asked_for(column: str) -> None:
    check_columns([*header("buy"), column], asked_for={column})
    with pytest.raises(ContractError, match="would overwrite what was set since the snapshot") as caught:
        check_columns([*header("buy"), column], asked_for={"Location.City"})
    assert column in caught.value.what


def test_application_takes_250_attributes_and_no_more() -> None:
    columns = [f"Metrics.goal{number}_score" for number in range(MAX_ATTRIBUTES)]
    check_columns([*ENDPOINT_COLUMNS, *columns])
    with pytest.raises(ContractError, match="251 attributes"):
        check_columns([*ENDPOINT_COLUMNS, *columns, "Attributes.tier"])


def test_goal_of_30_letters_has_a_column_and_one_of_45_is_refused() -> None:
    check_columns(header("g" * 30))
    with pytest.raises(ContractError, match="51 characters, 1 to 50 are allowed"):
        write_scored_csv(endpoints(), floats(0.1, 0.2, 0.3), "g" * 45)


def test_header_names_the_goal() -> None:
    assert header("big_spender")[-1] == "Metrics.big_spender_score"
