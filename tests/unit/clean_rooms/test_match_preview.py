"""A match rate is counted without showing an identifier, and never of few people."""

from __future__ import annotations

from pathlib import Path

import pytest

from clean_rooms.identity import hash_identifier
from clean_rooms.match_preview import Side, preview_match, wilson
from contracts.errors import ContractError


def write(path: Path, numbers: range, repeat: int = 1) -> Path:
    path.write_text("hashed_id\n" + "".join(f"{hash_identifier(f'p{n}')}\n" for n in numbers) * repeat)
    return path


def test_counts_are_distinct_identifiers_rounded_to_tens(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", range(2_003), repeat=2)
    theirs = write(tmp_path / "theirs.csv", range(1_500, 3_004))
    assert preview_match(ours, theirs, "hashed_id") == (Side(4_010, 2_000, 500), Side(1_500, 1_500, 500))


def test_rate_has_the_score_interval() -> None:
    low, high = wilson(15, 148)  # Newcombe, Statistics in Medicine 17 (1998), table I: 0.0624 to 0.1605
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert wilson(0, 20) == (0.0, pytest.approx(0.1611, abs=5e-5))
    assert Side(10, 10, 10).interval[1] == pytest.approx(1.0)


@pytest.mark.parametrize("place", [0, 1], ids=["ours", "theirs"])
def test_few_identifiers_are_refused_however_often_they_repeat(tmp_path: Path, place: int) -> None:
    files = [write(tmp_path / "many.csv", range(1_000)), write(tmp_path / "more.csv", range(1_000))]
    files[place] = write(tmp_path / "few.csv", range(999), repeat=3)
    with pytest.raises(ContractError, match=r"fewer than 1,000 identifiers · few\.csv"):
        preview_match(files[0], files[1], "hashed_id")


def test_what_is_no_hash_is_refused_by_its_row_and_not_shown(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", range(1_200))
    ours.write_text(ours.read_text() + "ann@example.com\n")
    with pytest.raises(ContractError) as raised:
        preview_match(ours, ours, "hashed_id")
    assert raised.value.where == "ours.csv row 1,202"
    assert "ann" not in str(raised.value)


def test_missing_column_is_refused(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.csv", range(1_000))
    with pytest.raises(ContractError, match=r"no column id · .*hashed_id"):
        preview_match(ours, ours, "id")
