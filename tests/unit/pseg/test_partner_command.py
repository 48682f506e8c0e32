"""``pseg partner``: what the data provider types, and what the answers and exit codes are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clean_rooms.identity import hash_identifier

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef0123456789abcdef"
MEMBERS = "mail;Tel;updated;points\nann@example.com;030 123456;31.01.2026;1\nbob@example.com;;01.02.2026;2\n"
OPTIONS = (
    "--email",
    "mail",
    "--phone",
    "Tel",
    "--date",
    "updated",
    "--type",
    "updated=date:%d.%m.%Y",
    "--region",
    "DE",
)


def partner(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``pseg partner`` in a folder that holds members.csv."""
    (folder / "members.csv").write_text(MEMBERS)
    return subprocess.run(
        [sys.executable, "-m", "pseg", "partner", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
    )


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_prepare_makes_the_folder_and_says_what_to_do_next(tmp_path: Path) -> None:
    done = partner(tmp_path, "prepare", "members.csv", *OPTIONS, "--out", "made", "--location", "s3://mine/members")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "  aws s3 sync made/data/ s3://mine/members/",
        "  aws glue create-table --cli-input-json file://made/glue_table.json",
    ]
    rows = pq.read_table(tmp_path / "made" / "data").to_pylist()
    expected = [hash_identifier(text) for text in ("ann@example.com", "+4930123456", "bob@example.com")]
    assert sorted(row["hashed_id"] for row in rows) == sorted(expected)
    assert {str(row["attribute_date"]) for row in rows} == {"2026-01-31", "2026-02-01"}


def test_check_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    done = partner(tmp_path, "check", "members.csv", *OPTIONS, "--json")
    assert done.returncode == 0, done.stderr
    card = document(done)
    assert (card["schema"], card["rows"], card["distinct_identifiers"]) == ("pseg.partner.check/1", 3, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["members.csv"]


@pytest.mark.parametrize("where", ["file", "variable"])
def test_key_is_read_from_a_file_or_a_variable_and_shown_nowhere(tmp_path: Path, where: str) -> None:
    (tmp_path / "key.txt").write_text(KEY + "\n")
    option = ("--key-file", "key.txt") if where == "file" else ("--key-env", "SECRET")
    done = partner(tmp_path, "prepare", "members.csv", "--email", "mail", "--drop", "Tel", *option, SECRET=KEY)
    assert done.returncode == 0, done.stderr
    hashes = [row["hashed_id"] for row in pq.read_table(tmp_path / "prepared" / "data").to_pylist()]
    assert hash_identifier("ann@example.com", KEY.encode()) in hashes
    assert "key fingerprint" in done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("check",), 2, "no file is named"),
        (("check", "other.csv"), 2, "there is no such file"),
        (("check", "members.csv"), 2, "column 'Tel' looks as if it named people"),
        (("check", "members.csv", "--drop", "mail"), 2, "no column holds an identifier"),
        (("check", "members.csv", "--email", "Mail"), 2, "there is no column Mail; did you mean mail?"),
        (("check", "members.csv", "--email", "mail", "--phone", "mail"), 2, "said to be email and phone"),
        (("check", "members.csv", "--email", "mail", "--type", "points"), 2, "'points' is not COLUMN=TYPE"),
        (("check", "members.csv", "--email", "mail", "--region", "Germany"), 2, "'Germany' is no region"),
        (("check", "members.csv", "--email", "mail", "--delimiter", ";;"), 2, "';;' is no delimiter"),
        (("check", "members.csv", "--email", "mail", "--key-env", "UNSET"), 2, "there is no key"),
        (("check", "members.csv", "--drop", "Tel", "--date", "updated"), 1, "2 of 2 rows can't be used"),
        (("prepare", "members.csv", "--email", "mail", "--table", "My Table"), 2, "'My Table' can't be a name"),
        (("prepare", "members.csv", "--email", "mail", "--location", "/tmp/x"), 2, "'/tmp/x' is no S3 prefix"),
        (("match", "members.csv", "members.csv"), 2, "there is no column hashed_id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_can_not_be_done_is_said_with_its_exit_code(
    tmp_path: Path, words: tuple[str, ...], code: int, what: str
) -> None:
    done = partner(tmp_path, *words, "--json")
    assert done.returncode == code, done.stderr
    error = document(done)["error"]
    assert what in error["what"]
    assert error["fix"]
    assert [path.name for path in tmp_path.iterdir()] == ["members.csv"]


def test_conformance_is_exit_0_where_every_example_is_kept(tmp_path: Path) -> None:
    done = partner(tmp_path, "check", "--conformance", "--json")
    assert done.returncode == 0, done.stderr
    assert document(done)["differences"] == []
    assert document(done)["cases"] == 70


def test_match_shows_counts_and_no_identifier(tmp_path: Path) -> None:
    hashes = [hash_identifier(f"p{number}") for number in range(1_500)]
    (tmp_path / "ours.csv").write_text("\n".join(["hashed_id", *hashes[:1_200]]))
    (tmp_path / "theirs.csv").write_text("\n".join(["hashed_id", *hashes[300:]]))
    done = partner(tmp_path, "match", "ours.csv", "theirs.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == [
        "ours.csv",
        "1,200",
        "1,200",
        "900",
        "75.0%",
        "(72.5%",
        "to",
        "77.4%)",
    ]
    assert not any(hashed in done.stdout for hashed in hashes)
