"""A partner's files become the table to offer: what a plain Python reading of them gives, all or nothing."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import botocore.session
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.validate import ParamValidator

from clean_rooms import partner_parts
from clean_rooms.identity import hash_identifier, normalise
from clean_rooms.partner_columns import Declared
from clean_rooms.partner_files import CsvForm
from clean_rooms.partner_kit import Preparation, prepare
from contracts.errors import ContractError, VerificationError

ROOT = Path(__file__).parents[3]
KEY = b"0123456789abcdef0123456789abcdef"


def write(folder: Path, *lines: str, name: str = "members.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def rows_of(output: Path) -> list[dict[str, Any]]:
    return [row for part in sorted((output / "data").iterdir()) for row in pq.read_table(part).to_pylist()]


def draw_rows(seed: int, rows: int) -> list[dict[str, str]]:
    """Rows with spellings, repetitions, junk and values that do not fit."""
    random = Random(seed)
    drawn = []
    for _ in range(rows):
        person = random.randrange(rows // 3)
        email = random.choice([f"p{person}@example.com", f" P{person}@Example.COM", f"p{person}@exämple.de"])
        phone = random.choice([f"+49 30 {100000 + person}", f"030/{100000 + person}", ""])
        drawn.append(
            {
                "email": random.choice([email, email, email, "", "n/a", "test@test.com", "p@", "NULL"]),
                "phone": random.choice([phone, phone, "0000000", "12"]),
                "attribute_date": str(date(2026, 1, 1) + timedelta(days=random.randrange(3))),
                "points": random.choice(["1", "2", "", "3"] * 60 + ["x"]),
                "note": random.choice(["plain", "with, comma", 'with "quote"', "two\nlines", "ünï", ""]),
            }
        )
    return drawn


def expected_rows(drawn: list[dict[str, str]]) -> tuple[list[tuple[Any, ...]], int, int]:
    """The table, and how many rows said the same or something else, by plain Python."""
    kept: dict[tuple[str, date], tuple[Any, ...]] = {}
    seen: dict[tuple[str, date], set[tuple[Any, ...]]] = {}
    rows = 0
    for row in drawn:
        if row["points"] == "x":
            continue
        values = (int(row["points"]) if row["points"] else None, row["note"] or None)
        for kind in ("email", "phone"):
            text = normalise(kind, row[kind], "DE").text  # type: ignore[arg-type]
            if text:
                key = (hash_identifier(text), date.fromisoformat(row["attribute_date"]))
                kept[key] = values
                seen.setdefault(key, set()).add(values)
                rows += 1
    different = sum(map(len, seen.values()))
    return sorted((*key, *values) for key, values in kept.items()), rows - different, different - len(kept)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_table_is_what_a_plain_reading_of_the_files_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(partner_parts, "SPLIT_ROWS", 300)
    monkeypatch.setattr(partner_parts, "BUCKET_BYTES", 2_000)
    drawn = draw_rows(seed, 2_000)
    files = []
    for name, share in (("one.csv", drawn[:1_200]), ("two.csv", drawn[1_200:])):
        files.append(tmp_path / name)
        with files[-1].open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(drawn[0]))
            writer.writeheader()
            writer.writerows(share)
    card = prepare(Preparation(tuple(files), region="DE", max_bad_percent=50), tmp_path / "out")
    rows, identical, replaced = expected_rows(drawn)
    columns = ("hashed_id", "attribute_date", "points", "note")
    assert [tuple(row[name] for name in columns) for row in rows_of(tmp_path / "out")] == rows
    assert (card.rows, card.rows_identical, card.rows_replaced) == (len(rows), identical, replaced)
    assert card.distinct_identifiers == len({row[0] for row in rows})
    usable = sum(one.usable for one in card.identifiers)
    assert usable == card.rows + card.rows_identical + card.rows_replaced
    assert card.rows_read == len(drawn)
    assert card.left_out["points: no integer"] == sum(row["points"] == "x" for row in drawn)
    assert [column.missing for column in card.columns] == [
        sum(row[place] is None for row in rows) for place in (1, 2, 3)
    ]


def test_same_files_make_the_same_bytes_whatever_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"p{n % 700}@example.com,{n}" for n in range(1_000)]
    job = Preparation((write(tmp_path, "email,points", *lines),))
    prepare(job, tmp_path / "one")
    monkeypatch.setattr(partner_parts, "SPLIT_ROWS", 90)
    prepare(job, tmp_path / "other")
    made = [sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in ("one", "other")]
    assert [path.name for path in made[0]] == [
        "part-00000.parquet",
        "data_card.json",
        "data_card.md",
        "glue_table.json",
    ]
    assert [path.read_bytes() for path in made[0]] == [path.read_bytes() for path in made[1]]


def test_parquet_gives_the_same_table_as_csv(tmp_path: Path) -> None:
    write(tmp_path, "email,points,attribute_date", "a@b.co,1,2026-01-31", "c@d.co,,2026-02-01")
    table = {
        "email": ["a@b.co", "c@d.co"],
        "points": [1, None],
        "attribute_date": [date(2026, 1, 31), date(2026, 2, 1)],
    }
    pq.write_table(pa.table(table), tmp_path / "members.parquet")
    for name in ("csv", "parquet"):
        prepare(Preparation((tmp_path / f"members.{name}",)), tmp_path / name)
    assert rows_of(tmp_path / "csv") == rows_of(tmp_path / "parquet")


def test_data_ends_a_file_when_it_is_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partner_parts, "PART_BYTES", 10_000)
    monkeypatch.setattr(partner_parts, "ROW_GROUP_ROWS", 200)
    monkeypatch.setattr(partner_parts, "BUCKET_BYTES", 1_000)
    job = Preparation((write(tmp_path, "email,n", *(f"p{n}@example.com,{n}" for n in range(2_000))),))
    card = prepare(job, tmp_path / "out")
    parts = sorted((tmp_path / "out" / "data").iterdir())
    assert len(parts) > 3
    assert sum(pq.read_metadata(part).num_rows for part in parts) == card.rows == 2_000
    hashes = [row["hashed_id"] for row in rows_of(tmp_path / "out")]
    assert hashes == sorted(hashes)


def test_keyed_hashes_are_made_with_the_key_and_the_card_shows_only_its_fingerprint(tmp_path: Path) -> None:
    job = Preparation((write(tmp_path, "email", "ann@example.com"),), key=KEY)
    prepare(job, tmp_path / "out")
    assert rows_of(tmp_path / "out") == [{"hashed_id": hash_identifier("ann@example.com", KEY)}]
    card = (tmp_path / "out" / "data_card.md").read_text()
    assert "key fingerprint" in card
    assert KEY.decode() not in card + repr(job)


def test_ready_hashes_are_taken_as_they_are_and_never_keyed(tmp_path: Path) -> None:
    ready = hash_identifier("ann@example.com")
    file = write(tmp_path, "hashed_id,n", f"{ready.upper()},1", f"{hash_identifier('')},2", "ann@example.com,3")
    prepare(Preparation((file,), max_bad_percent=70), tmp_path / "out")
    assert rows_of(tmp_path / "out") == [{"hashed_id": ready, "n": 1}]
    with pytest.raises(ContractError, match="a key was given"):
        prepare(Preparation((file,), key=KEY), tmp_path / "keyed")


def test_nothing_that_is_written_holds_an_identifier_or_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    finish = partner_parts.finish_bucket

    def look_and_finish(path: Path) -> partner_parts.Finished:
        written.append(path.read_bytes())
        return finish(path)

    monkeypatch.setattr(partner_parts, "finish_bucket", look_and_finish)
    file = write(
        tmp_path, "email,phone,tier", "secretann@example.com,+4930123456,goldsecret", "secretjunk,x,goldsecret"
    )
    prepare(Preparation((file,), max_bad_percent=60), tmp_path / "out")
    texts = [path.read_bytes() for path in (tmp_path / "out").glob("*.*")]
    assert len(texts) == 3
    for content in (*written, *texts, *(path.read_bytes() for path in (tmp_path / "out" / "data").iterdir())):
        assert b"secretann" not in content
        assert b"secretjunk" not in content
        assert b"4930123456" not in content
    assert all(b"goldsecret" not in text for text in texts)


@pytest.mark.parametrize(
    ("lines", "declared", "error", "what"),
    [
        (["email,n", *["a@b.co,1"] * 200, *["a@b.co,1,2"] * 20], Declared(), VerificationError, "20 of 220 rows"),
        (["email,n", "n/a,1"], Declared(), VerificationError, "1 of 1 rows"),
        (["email,n", "test@test.com,1"], Declared(), VerificationError, "1 of 1 rows"),
        (["email,n"], Declared(), ContractError, "no row"),
        (["email,n", 'a@b.co,"1'], Declared(), ContractError, "quote"),
        (["name,n", "Ann,1"], Declared(), ContractError, "identifier"),
        (["email,n", "a@b.co,1", *["a@b.co,x"] * 9], Declared(types={"n": "integer"}), VerificationError, "9 of 10"),
    ],
    ids=["columns", "no identifier", "placeholder", "no row", "open quote", "no column", "wrong type"],
)
def test_files_that_can_not_be_offered_leave_nothing_behind(
    tmp_path: Path, lines: list[str], declared: Declared, error: type[Exception], what: str
) -> None:
    file = write(tmp_path, *lines)
    with pytest.raises(error, match=what):
        prepare(Preparation((file,), declared=declared), tmp_path / "made" / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert not (tmp_path / "made" / "out").exists()


def test_refusal_names_the_reason_and_its_first_rows(tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as raised:
        prepare(Preparation((write(tmp_path, "email,n", "a@b.co,1", "a@b.co", "junk,1"),)), None)
    assert raised.value.where == "members.csv row 3"
    assert "--max-bad-percent" in raised.value.fix


def test_check_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = write(tmp_path, "email,n", "a@b.co,1")
    assert prepare(Preparation((file,)), None).rows == 1
    assert list(tmp_path.iterdir()) == [file]


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    kept = write(tmp_path, "mine", name="out.txt")
    with pytest.raises(ContractError, match="not empty"):
        prepare(Preparation((write(tmp_path, "email", "a@b.co"),)), tmp_path)
    assert kept.read_text() == "mine\n"


def test_e_mail_address_in_a_column_of_text_leaves_the_row_out(tmp_path: Path) -> None:
    lines = [*["a@b.co,fine"] * 300, "c@d.co,write to Eve@Example.com", "c@d.co,eve@example.com"]
    card = prepare(Preparation((write(tmp_path, "email,note", *lines),)), tmp_path / "out")
    assert card.left_out == {"note: an e-mail address": 1}
    assert card.left_out_first == {"note: an e-mail address": ["members.csv row 303"]}


def test_column_that_names_the_row_is_pointed_out(tmp_path: Path) -> None:
    lines = [f"p{n}@example.com,M-{n}" for n in range(500)]
    card = prepare(Preparation((write(tmp_path, "email,member", *lines),)), None)
    assert [column.seems_key for column in card.columns] == [True]
    assert "Column member seems to name the row" in card.to_markdown()


def test_card_adds_up_and_reads_back(tmp_path: Path) -> None:
    file = write(tmp_path, "email;n", "a@b.co;1", "a@b.co;1", "a@b.co;2", "c@d.co;", "junk;1")
    card = prepare(Preparation((file,), form=CsvForm(";"), max_bad_percent=30), tmp_path / "out")
    document = json.loads((tmp_path / "out" / "data_card.json").read_text())
    assert document["schema"] == "pseg.data_card/1"
    assert (card.rows_read, card.rows, card.rows_identical, card.rows_replaced) == (5, 2, 1, 1)
    assert document["identifiers"][0]["unusable"] == {"malformed": 1}
    assert card.dates is None


def test_table_definition_is_what_glue_takes_and_names_the_files_columns_in_order(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "email,attribute_date,points,spend,tier,active,seen",
        "a@b.co,2026-01-31,1,1.5,gold,true,2026-01-31T10:00:00Z",
    )
    prepare(Preparation((file,), location="s3://mine/members/"), tmp_path / "out")
    request = json.loads((tmp_path / "out" / "glue_table.json").read_text())
    shape = botocore.session.get_session().get_service_model("glue").operation_model("CreateTable").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    storage = request["TableInput"]["StorageDescriptor"]
    assert storage["Location"] == "s3://mine/members/"
    assert [(column["Name"], column["Type"]) for column in storage["Columns"]] == [
        ("hashed_id", "string"),
        ("attribute_date", "date"),
        ("points", "bigint"),
        ("spend", "double"),
        ("tier", "string"),
        ("active", "boolean"),
        ("seen", "timestamp"),
    ]
    (part,) = (tmp_path / "out" / "data").iterdir()
    assert pq.read_schema(part).names == [column["Name"] for column in storage["Columns"]]


BLOCKED = ("awswrangler", "boto3", "botocore", "moto", "numpy", "pandas", "sagemaker", "sqlglot", "xgboost")


def test_kit_runs_with_nothing_but_its_own_lock(tmp_path: Path) -> None:
    write(tmp_path, "email,points", "ann@example.com,1")
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["pseg", "partner", "prepare", "members.csv", "--out", "out"]
from pseg.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "out") == [{"hashed_id": hash_identifier("ann@example.com"), "points": 1}]
