"""Step Report: reads what the run left in its folders and in S3, writes the report, and names the goals that failed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.evaluation import FILE_NAME as EVALUATION_NAME
from contracts.run_facts import write_run_facts
from contracts.run_manifest import RunManifest, read_run_manifest
from contracts.run_settings import FILE_NAME as SETTINGS_NAME
from contracts.run_settings import Goal, RunSettings
from contracts.segment_manifest import FILE_NAME as MANIFEST_NAME
from insights import make_report
from insights.report import render_report
from tests.embedded_aws import TwoAccounts
from tests.embedded_aws import accounts as accounts
from tests.report_runs import COLUMNS, failed_run, rich_run
from tests.worlds import SETTINGS as WORLD

BUCKET = "report-data"
RICH = rich_run()
SETTINGS = replace(
    WORLD,
    goals=(Goal("buy", "purchase", 30, 0.6), Goal("lapse", "leave", 90, 0.6)),
    segments=(),
    brand=RICH.run.brand,
    partner=RICH.run.partner,
    notice=RICH.run.notice,
    money=RICH.run.money,
)


@pytest.fixture(scope="module", autouse=True)
def bucket(accounts: TwoAccounts) -> None:
    """The bucket of the project."""
    accounts.s3().create_bucket(Bucket=BUCKET)


def write_inputs(ml_dir: Path, run: RunManifest, settings: RunSettings = SETTINGS) -> None:
    """Write what earlier steps left for this one."""
    inputs = ml_dir / "processing" / "input"
    (inputs / "settings").mkdir(parents=True)
    (inputs / "settings" / SETTINGS_NAME).write_bytes(settings.to_json())
    write_run_facts(run.run.facts, inputs / "run_facts", 0)
    for evaluation in run.evaluations:
        folder = inputs / f"evaluation-{evaluation.goal}"
        folder.mkdir()
        (folder / EVALUATION_NAME).write_bytes(evaluation.to_json())


def publish(accounts: TwoAccounts, run: RunManifest, prefix: str, folder: str = "candidates") -> None:
    """Put the manifests where Publish puts them."""
    for manifest in run.manifests:
        key = f"{prefix}/{folder}/{manifest.goal}/{MANIFEST_NAME}"
        accounts.s3().put_object(Bucket=BUCKET, Key=key, Body=manifest.to_json())


def start(ml_dir: Path, prefix: str, kind: str = "train") -> int:
    """Run the step."""
    options = {"ml-dir": str(ml_dir), "kind": kind, "execution-id": "run7"}
    options |= {"project-uri": f"s3://{BUCKET}/{prefix}/", "code-sha256": "c0de", "settings-sha256": "5e77"}
    return make_report.main([text for key, value in options.items() for text in (f"--{key}", value)])


def message(ml_dir: Path) -> str:
    return (ml_dir / "output" / "message").read_text(encoding="utf-8")


def test_report_is_made_from_the_two_documents_beside_it(accounts: TwoAccounts, tmp_path: Path) -> None:
    write_inputs(tmp_path, RICH)
    publish(accounts, RICH, "full")
    assert start(tmp_path, "full") == 0
    assert message(tmp_path) == "45,000 people in 2 segment(s), goals: 2"
    folder = tmp_path / "processing" / "report"
    written = read_run_manifest(folder)
    assert written.evaluations == RICH.evaluations
    assert written.manifests == RICH.manifests
    assert written.run.facts == RICH.run.facts
    assert (written.run.code_sha256, written.run.settings_sha256) == ("c0de", "5e77")
    assert (folder / "report.html").read_text(encoding="utf-8") == render_report(written)


def test_where_names_are_forbidden_no_document_has_one(accounts: TwoAccounts, tmp_path: Path) -> None:
    write_inputs(tmp_path, RICH, replace(SETTINGS, may_name_partner_columns=False))
    publish(accounts, RICH, "forbidden")
    assert start(tmp_path, "forbidden") == 0
    folder = tmp_path / "processing" / "report"
    for name in ("manifest.json", "evaluation.json", "report.html"):
        text = (folder / name).read_text(encoding="utf-8").replace("<wbr>", "")
        assert "days_since_last_order" in text or name == "manifest.json"
        assert not [column for column in COLUMNS if column in text], name
    assert (folder / "report.html").read_text(encoding="utf-8") == render_report(read_run_manifest(folder))


def test_goals_that_failed_are_named_with_check_value_and_floor(accounts: TwoAccounts, tmp_path: Path) -> None:
    run = failed_run()
    write_inputs(tmp_path, run)
    publish(accounts, run, "failed")
    assert start(tmp_path, "failed") == 0
    assert message(tmp_path) == "1 of 2 goals failed its gate: lapse (auc 0.581, at least 0.600, and 1 more)"
    assert "1 of 2 models was stopped" in (tmp_path / "processing" / "report" / "report.html").read_text(
        encoding="utf-8"
    )


def test_run_in_which_every_goal_failed_still_has_its_report(tmp_path: Path) -> None:
    failed = failed_run().failed[0]
    run = replace(RICH, evaluations=(replace(failed, goal="buy"), failed), manifests=())
    write_inputs(tmp_path, run)
    assert start(tmp_path, "nothing") == 0
    assert message(tmp_path).startswith("2 of 2 goals failed their gates: buy (auc 0.581")
    assert read_run_manifest(tmp_path / "processing" / "report").manifests == ()


def test_summary_of_many_failed_goals_fits_into_a_message() -> None:
    failed = failed_run().failed[0]
    many = tuple(replace(failed, goal=f"a_goal_with_a_long_name_{number}") for number in range(12))
    summary = make_report.summarise(replace(RICH, evaluations=many, manifests=()))
    assert all(evaluation.goal in summary for evaluation in many)
    assert len(summary.encode()) <= 1024


def test_scoring_run_reads_what_was_published_and_no_candidate(accounts: TwoAccounts, tmp_path: Path) -> None:
    approved = rich_run(1, status="approved")
    write_inputs(tmp_path, approved, replace(SETTINGS, goals=SETTINGS.goals[:1]))
    publish(accounts, RICH, "score", "candidates")
    publish(accounts, approved, "score", "published")
    assert start(tmp_path, "score", kind="score") == 0
    assert read_run_manifest(tmp_path / "processing" / "report").manifests == approved.manifests


def test_project_without_a_query_has_no_partner(tmp_path: Path) -> None:
    write_inputs(tmp_path, RICH, replace(SETTINGS, query=None, partner_columns_are_static=True))
    assert start(tmp_path, "alone") == 0
    run = read_run_manifest(tmp_path / "processing" / "report").run
    assert run.partner == ""
    assert not run.partner_columns_are_static


def test_manifest_that_is_none_stops_the_step_and_leaves_no_report(accounts: TwoAccounts, tmp_path: Path) -> None:
    write_inputs(tmp_path, RICH)
    for body, reason in ((b"\xff", "this is not a segment manifest"), (json.dumps({}).encode(), "lacks project")):
        accounts.s3().put_object(Bucket=BUCKET, Key=f"broken/candidates/buy/{MANIFEST_NAME}", Body=body)
        assert start(tmp_path, "broken") == 1
        assert reason in message(tmp_path)
        assert f"s3://{BUCKET}/broken/candidates/buy/{MANIFEST_NAME}" in message(tmp_path)
    assert not (tmp_path / "processing" / "report").exists()


def test_missing_evaluation_is_named(tmp_path: Path) -> None:
    write_inputs(tmp_path, rich_run(1))
    assert start(tmp_path, "nothing") == 1
    assert "evaluation-lapse" in message(tmp_path)
