"""Results are fetched whole and verified, or ``output`` stays as it was."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ContractError, PsegError, VerificationError
from contracts.run_manifest import Run, RunManifest, read_run_manifest, write_run_manifest
from contracts.run_settings import Money
from contracts.segment_manifest import PublishedSegment, SegmentManifest, describe_file
from pseg.project import Project, read_project
from pseg.results import fetch_prefix, fetch_results, read_results
from tests.embedded_aws import TwoAccounts
from tests.embedded_aws import accounts as accounts
from tests.unit.contracts.test_evaluation import EVALUATION, FAILED
from tests.unit.contracts.test_run_facts import ONE
from tests.worlds import write_project

BUCKET = "pseg-spring-data"
BASE = "spring/runs/exec1"
ARTIFACT = f"s3://{BUCKET}/{BASE}/models/buy/output/model.tar.gz"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that ran before: its output is there."""
    folder = write_project(tmp_path / "spring", customers=5)
    (folder / "output").mkdir()
    (folder / "output" / "report.html").write_text("the run before")
    return read_project(folder)


@pytest.fixture
def s3(accounts: TwoAccounts) -> Iterator[Any]:
    """The brand's S3, with an empty bucket."""
    client = accounts.s3()
    client.create_bucket(Bucket=BUCKET)
    yield client
    for key in accounts.keys(BUCKET):
        client.delete_object(Bucket=BUCKET, Key=key)


def model_archive() -> bytes:
    """A model.tar.gz with one file."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.json")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))
    return sink.getvalue()


def put_run(s3: Any, folder: Path, **changes: Any) -> RunManifest:
    """Leave in S3 what a train execution leaves: report, one goal's segments, its model; another goal failed."""
    files = {
        "segments/likely/part-0000.csv": "header\na\n",
        "segments/likely/part-0001.csv": "header\nb\n",
        "holdout/likely.csv": "customer_key\nc\n",
    }
    described = []
    for key, text in files.items():
        path = folder / "made" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        described.append(describe_file(path, key, 1))
        s3.put_object(Bucket=BUCKET, Key=f"{BASE}/candidates/buy/{key}", Body=text.encode())
    segment = PublishedSegment(
        name="likely",
        goal="buy",
        top_percent=10.0,
        people=2,
        endpoints=2,
        lowest_score=0.25,
        expected=0.8,
        waterfall=(("scored", 3), ("holdout", 1)),
        files=tuple(described[:2]),
        holdout=1,
        holdout_file=described[2],
    )
    manifest = SegmentManifest("spring", "buy", "candidate", "2026-06-30", "exec1", ARTIFACT, "", (segment,))
    run = Run("spring", "train", "exec1", "spring", "Acme", "", True, Money(), ONE, "c" * 64, "s" * 64)
    evaluations = (EVALUATION, replace(EVALUATION, goal="leave", checks=(FAILED,)))
    whole = RunManifest(run, evaluations, (replace(manifest, **changes),))
    write_run_manifest(whole, folder / "report")
    for path in (folder / "report").iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"{BASE}/report/{path.name}", Body=path.read_bytes())
    s3.put_object(Bucket=BUCKET, Key=f"{BASE}/report/report.html", Body=b"<html>this run")
    s3.put_object(Bucket=BUCKET, Key=ARTIFACT.removeprefix(f"s3://{BUCKET}/"), Body=model_archive())
    return whole


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_whole_run_replaces_the_output(accounts: TwoAccounts, s3: Any, project: Project, tmp_path: Path) -> None:
    whole = put_run(s3, tmp_path)
    assert fetch_results(accounts.brand, project, "exec1") == whole
    assert set(content(project.output_dir)) == {
        *("manifest.json", "evaluation.json", "report.html"),
        *("segments/likely/part-0000.csv", "segments/likely/part-0001.csv", "holdout/likely.csv"),
        *("model/buy/model.tar.gz", "model/buy/model.json"),
    }
    assert (project.output_dir / "report.html").read_text() == "<html>this run"
    assert read_results(project) == whole
    assert read_run_manifest(project.output_dir).failed[0].goal == "leave"
    assert [path.name for path in project.folder.iterdir() if path.name.startswith("output")] == ["output"]


def test_run_whose_goals_all_failed_is_fetched_with_its_report(
    accounts: TwoAccounts, s3: Any, project: Project, tmp_path: Path
) -> None:
    whole = replace(put_run(s3, tmp_path), manifests=())
    write_run_manifest(whole, tmp_path / "report")
    for path in (tmp_path / "report").iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"{BASE}/report/{path.name}", Body=path.read_bytes())
    assert fetch_results(accounts.brand, project, "exec1").manifests == ()
    assert set(content(project.output_dir)) == {"manifest.json", "evaluation.json", "report.html"}


@pytest.mark.parametrize(
    ("key", "body", "kind"),
    [
        ("report/manifest.json", None, ContractError),
        ("report/evaluation.json", b"{}", ContractError),
        ("candidates/buy/segments/likely/part-0001.csv", None, ContractError),
        ("candidates/buy/segments/likely/part-0001.csv", b"header\nx\n", VerificationError),
        ("candidates/buy/holdout/likely.csv", None, ContractError),
        ("candidates/buy/holdout/likely.csv", b"customer_key\nx\n", VerificationError),
        ("models/buy/output/model.tar.gz", None, ContractError),
        ("models/buy/output/model.tar.gz", b"not a tar", ContractError),
    ],
    ids=[
        *("no manifest", "no evaluations", "file missing", "file changed", "holdout missing", "holdout changed"),
        *("model missing", "model broken"),
    ],
)
def test_half_a_run_leaves_the_output_as_it_was(
    accounts: TwoAccounts,
    s3: Any,
    project: Project,
    tmp_path: Path,
    key: str,
    body: bytes | None,
    kind: type[PsegError],
) -> None:
    put_run(s3, tmp_path)
    if body is None:
        s3.delete_object(Bucket=BUCKET, Key=f"{BASE}/{key}")
    else:
        s3.put_object(Bucket=BUCKET, Key=f"{BASE}/{key}", Body=body)
    with pytest.raises(kind):
        fetch_results(accounts.brand, project, "exec1")
    assert content(project.output_dir) == {"report.html": b"the run before"}
    assert [path.name for path in project.folder.iterdir() if path.name.startswith("output")] == ["output"]


def test_execution_that_left_nothing_is_refused(accounts: TwoAccounts, s3: Any, project: Project) -> None:
    with pytest.raises(ContractError, match="nothing lies under"):
        fetch_results(accounts.brand, project, "exec1")
    assert content(project.output_dir) == {"report.html": b"the run before"}


def test_file_that_is_longer_named_is_not_taken_for_the_one_asked_for(
    accounts: TwoAccounts, s3: Any, tmp_path: Path
) -> None:
    for name in ("part-0000.csv", "part-0000.csv.bak"):
        s3.put_object(Bucket=BUCKET, Key=f"x/{name}", Body=name.encode())
    fetch_prefix(accounts.brand, f"s3://{BUCKET}/x/part-0000.csv", tmp_path / "got")
    assert content(tmp_path / "got") == {"part-0000.csv": b"part-0000.csv"}


def test_key_that_points_out_of_its_folder_is_refused(accounts: TwoAccounts, s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="x/../../evil.txt", Body=b"evil")
    with pytest.raises(ContractError, match="points out of its folder"):
        fetch_prefix(accounts.brand, f"s3://{BUCKET}/x/", tmp_path / "a" / "b")
    assert not list(tmp_path.rglob("evil.txt"))


def test_project_that_never_ran_is_told_how_to(tmp_path: Path) -> None:
    project = read_project(write_project(tmp_path / "spring", customers=5))
    with pytest.raises(ContractError, match="there is no run yet") as caught:
        read_results(project)
    assert caught.value.fix == f"run the project first: pseg run {project.folder}"
