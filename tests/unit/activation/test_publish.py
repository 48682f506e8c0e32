"""Publish: bad scores are refused, large segments split, and a manifest lies there only after everything else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from activation import publish
from contracts.errors import ContractError, VerificationError
from contracts.run_settings import FILE_NAME as SETTINGS_NAME
from contracts.run_settings import Segment
from contracts.segment_file import header, write_scored_csv
from contracts.segment_manifest import SegmentManifest, parse_manifest, verify_files
from tests.embedded_aws import TwoAccounts
from tests.strategies import endpoints_of
from tests.worlds import SETTINGS

HEADER = ",".join(header("buy")) + "\n"
BUCKET = "spring-data"
TWO_SEGMENTS = replace(SETTINGS, segments=(Segment("likely", "buy", 10.0), Segment("all", "buy", 100.0)))


@pytest.fixture(scope="module", autouse=True)
def bucket(accounts: TwoAccounts) -> None:
    """The bucket that segments are published to."""
    accounts.s3().create_bucket(Bucket=BUCKET)


def scored_texts(size: int = 100, files: int = 3) -> list[str]:
    """Scored CSVs of so many customers, each with a score of its own."""
    rows = pa.table(endpoints_of(size))
    scores = np.random.default_rng(3).permutation(np.linspace(0, 1, size)).astype(np.float32)
    step = -(-size // files)
    return [
        write_scored_csv(rows.slice(start, step), scores[start : start + step], "buy") for start in range(0, size, step)
    ]


def write_run(ml_dir: Path, texts: list[str], settings: Any = TWO_SEGMENTS) -> Path:
    """Write the inputs of the step."""
    inputs = ml_dir / "processing" / "input"
    (inputs / "scored").mkdir(parents=True)
    for number, text in enumerate(texts):
        (inputs / "scored" / f"shard-{number:05d}.parquet.out").write_bytes(text.encode())
    (inputs / "settings").mkdir()
    (inputs / "settings" / SETTINGS_NAME).write_bytes(settings.to_json())
    return ml_dir


def run(ml_dir: Path, prefix: str, bucket: str = BUCKET, goal: str = "buy") -> int:
    """Run the step."""
    options = {"goal": goal, "status": "candidate", "model": "arn:model/1", "as-of": "2026-06-30"}
    options |= {"ml-dir": str(ml_dir), "execution-id": "exec1", "uri": f"s3://{bucket}/{prefix}"}
    return publish.main([text for key, value in options.items() for text in (f"--{key}", value)])


def message(ml_dir: Path) -> str:
    """What the step told the service."""
    return (ml_dir / "output" / "message").read_text(encoding="utf-8")


def read_manifest(accounts: TwoAccounts, prefix: str) -> SegmentManifest:
    """The manifest below a prefix."""
    return parse_manifest(json.loads(accounts.read(BUCKET, f"{prefix}/manifest.json")), prefix)


# -- reading scored CSVs


def read(tmp_path: Path, *texts: str) -> list[publish.ScoredLine]:
    """Read scored CSVs as the step does."""
    return publish.read_population(write_run(tmp_path, list(texts)) / "processing" / "input" / "scored", "buy")


def test_every_line_of_every_file_is_read_once(tmp_path: Path) -> None:
    texts = scored_texts(100)
    population = read(tmp_path, *texts)
    expected = "".join(text.removeprefix(HEADER) for text in texts)
    assert b"".join(scored.line for scored in population).decode() == expected


def test_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shard-00000.parquet").write_bytes(b"not scored")
    with pytest.raises(ContractError, match="there is no scored CSV") as caught:
        publish.read_population(tmp_path, "buy")
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("is_same_file", [True, False], ids=["in one file", "in two files"])
def test_id_that_comes_twice_is_refused_by_name(tmp_path: Path, is_same_file: bool) -> None:
    line = "EMAIL,{0}@example.com,id-1,k{0},0.500000\n"
    first, second = line.format(1), line.format(2)
    texts = [HEADER + first + second] if is_same_file else [HEADER + first, HEADER + second]
    with pytest.raises(ContractError, match="endpoint id-1 comes twice") as caught:
        read(tmp_path, *texts)
    assert caught.value.where == f"shard-{len(texts) - 1:05d}.parquet.out"


@pytest.mark.parametrize(
    "score", ["1.000001", "-0.500000", "nan", "inf", "", "0.5", "half", "1e-3", "0_0.00000", " 0.500000"]
)
def test_score_that_is_not_one_is_refused_by_endpoint(tmp_path: Path, score: str) -> None:
    with pytest.raises(ContractError, match=f"endpoint id-1 has the score {score}"):
        read(tmp_path, f"{HEADER}EMAIL,a@example.com,id-1,k1,{score}\n")


def test_header_in_the_middle_of_a_file_is_refused(tmp_path: Path) -> None:
    first, second, _ = scored_texts()
    with pytest.raises(ContractError, match=r"endpoint Id has the score Metrics.buy_score"):
        read(tmp_path, first + second)


def test_scores_of_another_goal_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the header is not that of a scored CSV"):
        read(tmp_path, HEADER.replace("buy", "leave"))


# -- writing segments


@pytest.mark.parametrize("part_bytes", [400, 1000, 100_000])
def test_parts_keep_their_limit_and_each_has_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(publish, "PART_BYTES", part_bytes)
    population = read(tmp_path / "in", *scored_texts(100))
    segment = publish.write_segment(tmp_path, Segment("all", "buy", 100.0), population)
    parts = [(tmp_path / file.key).read_text() for file in segment.files]
    assert [file.key for file in segment.files] == [f"segments/all/part-{n:04d}.csv" for n in range(len(parts))]
    assert max(len(part.encode()) for part in parts) <= part_bytes
    assert all(part.startswith(HEADER) and part.count(HEADER) == 1 for part in parts)
    assert (len(parts) == 1) == (part_bytes == 100_000)
    lines = [line for part in parts for line in part.removeprefix(HEADER).splitlines(keepends=True)]
    assert [line.encode() for line in lines] == [scored.line for scored in publish.rank(population)[0]]
    assert [file.rows for file in segment.files] == [part.count("\n") - 1 for part in parts]
    for file, following in zip(segment.files, parts[1:], strict=False):
        assert file.bytes + len(following.splitlines(keepends=True)[1].encode()) > part_bytes


def test_numbers_of_a_segment_are_those_of_its_lines(tmp_path: Path) -> None:
    segment = publish.write_segment(tmp_path, Segment("likely", "buy", 10.0), read(tmp_path / "in", *scored_texts(100)))
    lines = (tmp_path / segment.files[0].key).read_text().splitlines()[1:]
    scores = [float(line.rsplit(",", 1)[1]) for line in lines]
    assert (segment.people, segment.lowest_score) == (10, min(scores))
    assert segment.expected == round(sum(scores), 1)
    assert segment.waterfall == (("scored", 100), ("address used by another", 0), ("below the cut", 90))


# -- publishing


def test_all_segments_of_the_goal_are_published_and_verified(accounts: TwoAccounts, tmp_path: Path) -> None:
    assert run(write_run(tmp_path / "ml", scored_texts()), "first/") == 0
    assert message(tmp_path / "ml") == "likely 10 people, all 100 people"
    assert accounts.keys(BUCKET, "first/") == [
        "first/manifest.json",
        "first/segments/all/part-0000.csv",
        "first/segments/likely/part-0000.csv",
    ]
    manifest = read_manifest(accounts, "first")
    assert (manifest.status, manifest.model, manifest.as_of) == ("candidate", "arn:model/1", "2026-06-30")
    assert (manifest.execution_id, manifest.notice) == ("exec1", SETTINGS.notice)
    for segment in manifest.segments:
        for file in segment.files:
            (tmp_path / file.key).parent.mkdir(parents=True)
            (tmp_path / file.key).write_bytes(accounts.read(BUCKET, f"first/{file.key}"))
    assert verify_files(manifest, tmp_path) == 110


def test_publishing_again_gives_the_same_bytes(accounts: TwoAccounts, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        texts = scored_texts(files=3 if name == "a" else 1)
        assert run(write_run(tmp_path / name, texts), f"again-{name}") == 0
        found.append([accounts.read(BUCKET, key) for key in accounts.keys(BUCKET, f"again-{name}/")])
    assert found[0] == found[1]


def test_upload_that_breaks_off_leaves_no_manifest_not_even_an_old_one(accounts: TwoAccounts, tmp_path: Path) -> None:
    assert run(write_run(tmp_path / "ml", scored_texts()), "broken") == 0
    manifest = read_manifest(accounts, "broken")
    folder = tmp_path / "lost"
    for segment in manifest.segments:
        (folder / "segments" / segment.name).mkdir(parents=True)
    first, second = (file.key for segment in manifest.segments for file in segment.files)
    (folder / first).write_bytes(accounts.read(BUCKET, f"broken/{first}"))
    with pytest.raises(FileNotFoundError):  # the disk has lost the second file
        publish.upload(folder, manifest, f"s3://{BUCKET}/broken")
    assert accounts.keys(BUCKET, "broken/") == [f"broken/{first}"]
    assert second != first


def test_file_that_arrives_changed_is_noticed_and_no_manifest_written(accounts: TwoAccounts, tmp_path: Path) -> None:
    assert run(write_run(tmp_path / "ml", scored_texts()), "changed") == 0
    manifest = read_manifest(accounts, "changed")
    for segment in manifest.segments:
        for file in segment.files:
            (tmp_path / file.key).parent.mkdir(parents=True)
            (tmp_path / file.key).write_bytes(accounts.read(BUCKET, f"changed/{file.key}")[:-1] + b" ")
    with pytest.raises(VerificationError, match="is not what was published"):
        publish.upload(tmp_path, manifest, f"s3://{BUCKET}/changed")
    assert "changed/manifest.json" not in accounts.keys(BUCKET, "changed/")


def test_bucket_that_is_not_there_fails_with_the_services_reason(accounts: TwoAccounts, tmp_path: Path) -> None:
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    with pytest.raises(ClientError, match="NoSuchBucket"):
        run(ml_dir, "x", bucket="no-such-bucket")
    assert "NoSuchBucket" in message(ml_dir)


def test_publishing_over_a_broken_attempt_leaves_no_stale_file(accounts: TwoAccounts, tmp_path: Path) -> None:
    for key in ("segments/likely/part-0007.csv", "segments/gone/part-0000.csv", "manifest.json"):
        accounts.s3().put_object(Bucket=BUCKET, Key=f"stale/{key}", Body=b"stale")
    accounts.s3().put_object(Bucket=BUCKET, Key="stale-not/neighbour", Body=b"mine")
    assert run(write_run(tmp_path / "ml", scored_texts()), "stale") == 0
    assert accounts.keys(BUCKET, "stale/") == [
        "stale/manifest.json",
        "stale/segments/all/part-0000.csv",
        "stale/segments/likely/part-0000.csv",
    ]
    assert read_manifest(accounts, "stale").goal == "buy"
    assert accounts.keys(BUCKET, "stale-not/") == ["stale-not/neighbour"]


@pytest.mark.parametrize(
    ("texts", "goal", "reason"),
    [
        ([HEADER], "buy", "there is nobody to choose from"),
        ([], "buy", "there is no scored CSV"),
        ([HEADER + "EMAIL,a@example.com,i,u,half\n"], "buy", "endpoint i has the score half"),
        ([HEADER], "leave", "there is no goal named leave"),
    ],
    ids=["nobody", "no file", "bad score", "unknown goal"],
)
def test_refused_run_publishes_nothing_and_says_why(
    accounts: TwoAccounts, tmp_path: Path, texts: list[str], goal: str, reason: str
) -> None:
    ml_dir = write_run(tmp_path / "ml", texts)
    assert run(ml_dir, "refused", goal=goal) == 1
    assert reason in message(ml_dir)
    assert accounts.keys(BUCKET, "refused/") == []


def test_status_is_candidate_or_approved_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        publish.main(["--ml-dir", str(tmp_path), "--status", "promoted"])
    assert caught.value.code == 2
    assert "promoted" in capsys.readouterr().err
