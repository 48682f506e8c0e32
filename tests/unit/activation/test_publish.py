"""Publish: bad scores are refused, large segments split, and a manifest lies there only after everything else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import awswrangler as wr
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError

from activation import publish
from activation.s3 import upload
from contracts.errors import VerificationError
from contracts.evaluation import Check
from contracts.naming import package_group
from contracts.run_settings import Goal, Segment
from contracts.segment_manifest import SegmentManifest, parse_manifest, verify_files
from tests.embedded_aws import TwoAccounts
from tests.scored_runs import HEADER, evaluation_of, scored_texts, write_run
from tests.worlds import SETTINGS

BUCKET = "spring-data"
HELD_BACK = replace(SETTINGS, segments=(Segment("likely", "buy", 40.0, holdout_percent=25.0),))


@pytest.fixture(scope="module", autouse=True)
def bucket(accounts: TwoAccounts) -> None:
    """The bucket that segments are published to."""
    accounts.s3().create_bucket(Bucket=BUCKET)
    accounts.s3().put_object(Bucket=BUCKET, Key="model.tar.gz", Body=b"a model")


def run(ml_dir: Path, prefix: str, bucket: str = BUCKET, **changes: str) -> int:
    """Run the step."""
    options = {"goal": "buy", "status": "candidate", "model": "s3://models/model.tar.gz", "as-of": "2026-06-30"}
    options |= {"ml-dir": str(ml_dir), "execution-id": "exec1", "uri": f"s3://{bucket}/{prefix}"} | changes
    return publish.main([text for key, value in options.items() for text in (f"--{key}", value)])


def message(ml_dir: Path) -> str:
    """What the step told the service."""
    return (ml_dir / "output" / "message").read_text(encoding="utf-8")


def read_manifest(accounts: TwoAccounts, prefix: str) -> SegmentManifest:
    """The manifest below a prefix."""
    return parse_manifest(json.loads(accounts.read(BUCKET, f"{prefix}/manifest.json")), prefix)


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
    assert (manifest.status, manifest.model, manifest.as_of) == (
        *("candidate", "s3://models/model.tar.gz"),
        "2026-06-30",
    )
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
        upload(folder, manifest, f"s3://{BUCKET}/broken")
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
        upload(tmp_path, manifest, f"s3://{BUCKET}/changed")
    assert "changed/manifest.json" not in accounts.keys(BUCKET, "changed/")


def test_bucket_that_is_not_there_fails_with_the_services_reason(accounts: TwoAccounts, tmp_path: Path) -> None:
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    assert run(ml_dir, "x", bucket="no-such-bucket") == 1
    assert message(ml_dir).startswith("the segments can't be uploaded · s3://no-such-bucket/x")
    assert "NoSuchBucket" in message(ml_dir)


def test_connection_that_breaks_halfway_leaves_no_manifest(
    accounts: TwoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = wr.s3.upload

    def break_at_the_second(local_file: str, path: str) -> None:
        if path.endswith("segments/all/part-0000.csv"):
            raise EndpointConnectionError(endpoint_url="https://s3")
        send(local_file=local_file, path=path)

    monkeypatch.setattr(wr.s3, "upload", break_at_the_second)
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    assert run(ml_dir, "halfway") == 1
    assert "the segments can't be uploaded" in message(ml_dir)
    assert "without a manifest nothing counts as published" in message(ml_dir)
    assert accounts.keys(BUCKET, "halfway/") == ["halfway/segments/likely/part-0000.csv"]


def test_full_disk_is_a_clear_error_and_publishes_nothing(
    accounts: TwoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "part-0000.csv" and path.parent.name == "all":
            path = Path("/dev/full")  # takes no byte, and says so as a full disk does
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    assert run(ml_dir, "full") == 1
    assert message(ml_dir).startswith("the segments can't be written to the step's own disk")
    assert "No space left on device" in message(ml_dir)
    assert "VolumeSizeInGB" in message(ml_dir)
    assert accounts.keys(BUCKET, "full/") == []
    assert list((ml_dir / "processing").iterdir()) == [ml_dir / "processing" / "input"]


# -- the gate, and whose evaluation it is


def test_candidate_that_failed_its_gate_is_not_published_and_says_why(accounts: TwoAccounts, tmp_path: Path) -> None:
    weak = evaluation_of(auc=0.581)
    error = Check("calibration", 0.12, 0.1, False, comparison="at most")
    ml_dir = write_run(tmp_path / "ml", [], evaluation=replace(weak, checks=(*weak.checks, error)))
    assert run(ml_dir, "weak") == 0
    assert message(ml_dir) == "nothing published: auc 0.581, at least 0.600; calibration 0.120, at most 0.100"
    assert accounts.keys(BUCKET, "weak/") == []


def test_evaluation_of_another_goal_is_refused(accounts: TwoAccounts, tmp_path: Path) -> None:
    ml_dir = write_run(tmp_path / "ml", scored_texts(), evaluation=evaluation_of(goal="leave"))
    assert run(ml_dir, "stranger") == 1
    assert "the evaluation is of goal leave, not buy" in message(ml_dir)


def register(accounts: TwoAccounts, evaluation_uri: str | None, status: str = "Approved") -> str:
    """Register a model package; return its ARN."""
    sagemaker: Any = accounts.brand.client("sagemaker")
    group = package_group(SETTINGS.project, "buy")
    metrics = {"ContentType": "application/json", "S3Uri": evaluation_uri}
    with_metrics = {"ModelMetrics": {"ModelQuality": {"Statistics": metrics}}} if evaluation_uri else {}
    groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    if group not in [found["ModelPackageGroupName"] for found in groups]:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    package = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/x-parquet"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        **with_metrics,
    )
    return str(package["ModelPackageArn"])


def test_approved_model_is_published_with_the_evaluation_of_its_package(accounts: TwoAccounts, tmp_path: Path) -> None:
    evaluation = evaluation_of()
    reach = tuple(replace(point, positives=10**9) for point in evaluation.reach)
    accounts.s3().put_object(Bucket=BUCKET, Key="evaluation.json", Body=replace(evaluation, reach=reach).to_json())
    arn = register(accounts, f"s3://{BUCKET}/evaluation.json")
    ml_dir = write_run(tmp_path / "ml", scored_texts(), evaluation=evaluation_of(goal="leave"))
    assert run(ml_dir, "approved", status="approved", model=arn) == 0
    manifest = read_manifest(accounts, "approved")
    assert (manifest.status, manifest.model) == ("approved", arn)
    row = manifest.reach[-1]  # with so many positives in the test only chance is left: scores 0, 1/99 ... 1
    variance = sum(p * (1 - p) for p in np.linspace(0, 1, 100))
    assert row.high - row.expected == pytest.approx(1.96 * variance**0.5, abs=0.11)


@pytest.mark.parametrize("uri", [None, f"s3://{BUCKET}/nowhere.json"], ids=["none registered", "file is gone"])
def test_approved_model_without_evaluation_publishes_nothing(
    accounts: TwoAccounts, tmp_path: Path, uri: str | None
) -> None:
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    assert run(ml_dir, "unjudged", status="approved", model=register(accounts, uri)) == 1
    assert "evaluation" in message(ml_dir)
    assert accounts.keys(BUCKET, "unjudged/") == []


def test_model_that_is_not_approved_publishes_nothing(accounts: TwoAccounts, tmp_path: Path) -> None:
    arn = register(accounts, f"s3://{BUCKET}/evaluation.json", status="PendingManualApproval")
    ml_dir = write_run(tmp_path / "ml", scored_texts())
    assert run(ml_dir, "pending", status="approved", model=arn) == 1
    assert "the model is PendingManualApproval" in message(ml_dir)
    assert accounts.keys(BUCKET, "pending/") == []


# -- holdout


def test_held_back_people_are_written_beside_the_segments(accounts: TwoAccounts, tmp_path: Path) -> None:
    assert run(write_run(tmp_path / "ml", scored_texts(), HELD_BACK), "held") == 0
    assert accounts.keys(BUCKET, "held/") == [
        "held/holdouts/likely.csv",
        "held/manifest.json",
        "held/segments/likely/part-0000.csv",
    ]
    (segment,) = read_manifest(accounts, "held").segments
    title, *held = accounts.read(BUCKET, "held/holdouts/likely.csv").decode().splitlines()
    assert title == "User.UserId"
    assert (segment.people, segment.holdout, len(held)) == (30, 10, 10)
    text = accounts.read(BUCKET, "held/segments/likely/part-0000.csv").decode()
    assert [key for key in held if f",{key}," in text] == []
    assert dict(segment.waterfall)["held back"] == 10


# -- what does not depend on the people


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


def test_project_with_more_goals_than_an_application_has_attributes_is_refused(
    accounts: TwoAccounts, tmp_path: Path
) -> None:
    goals = (*SETTINGS.goals, *(Goal(f"goal{number}", "purchase", 90, 0.6) for number in range(250)))
    ml_dir = write_run(tmp_path / "ml", scored_texts(), replace(SETTINGS, goals=goals))
    assert run(ml_dir, "many") == 1
    assert "251 attributes, an application takes 250" in message(ml_dir)
