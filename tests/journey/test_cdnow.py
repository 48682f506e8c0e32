"""The README's journey on the real purchases: run, look, approve, score."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journey.conftest import Pseg

ROOT = Path(__file__).parents[2]
SCRIPT = """
    import json, sys, time, warnings
    warnings.simplefilter("ignore")
    import boto3
    from pipelines import train_pipeline, score_pipeline
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    project, role = sys.argv[1], "arn:aws:iam::111111111111:role/pseg-cdnow-pipeline"
    session = PipelineSession(default_bucket="pseg-cdnow-data")
    pipeline = train_pipeline(project + "/project.toml", session=session, role=role)
    first, second = pipeline.definition(), train_pipeline(project, session=session, role=role).definition()
    pipeline.upsert(role_arn=role)
    arn = pipeline.upsert(role_arn=role)["PipelineArn"]
    execution = pipeline.start(parameters={"AsOf": "1998-06-30"})
    execution.wait(delay=1, max_attempts=240)
    client = session.boto_session.client("sagemaker")  # the SDK's list_steps reads one page of ten, newest first
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=execution.arn, MaxResults=100)
    ten = [step["StepName"] for step in execution.list_steps()]
    print(json.dumps({"same": first == second, "arn": arn, "status": execution.describe()["PipelineExecutionStatus"],
        "ten": ten, "steps": {s["StepName"]: s["StepStatus"] for s in steps["PipelineExecutionSteps"]}}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, as a user would copy it."""
    folder = tmp_path_factory.mktemp("journey") / "cdnow"
    shutil.copytree(ROOT / "examples" / "cdnow", folder, ignore=shutil.ignore_patterns("output*", "__pycache__"))
    return folder


@pytest.fixture(scope="module")
def first_run(pseg: Pseg, project: Path) -> dict[str, Any]:
    """What ``pseg run --json`` says of the first run."""
    done = pseg("run", str(project), "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def read_csv(project: Path) -> list[dict[str, str]]:
    """Read the published segment."""
    with (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").open(
        newline="", encoding="utf-8"
    ) as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def first_bytes(first_run: dict[str, Any], project: Path) -> bytes:
    """The segment file of the first run."""
    return (project / "output" / "segments" / "likely_buyers" / "part-0000.csv").read_bytes()


def test_run_leaves_segments_manifest_evaluation_and_model(first_run: dict[str, Any], project: Path) -> None:
    output = project / "output"
    for name in (
        "manifest.json",
        "evaluation.json",
        "report.html",
        "model/buy/booster.ubj",
        "model/buy/code/inference/handler.py",
    ):
        assert (output / name).is_file(), name
    assert {path.suffix for path in (output / "segments" / "likely_buyers").iterdir()} == {".csv"}
    assert first_run["notice"].startswith("Synthetic partner data")


def test_segment_is_the_top_tenth_of_those_who_may_be_contacted(first_run: dict[str, Any], project: Path) -> None:
    manifest = json.loads((project / "output" / "manifest.json").read_text())["manifests"][0]
    segment = manifest["segments"][0]
    rows = read_csv(project)
    assert manifest["status"] == "candidate"
    start, *drops = (count for _, count in segment["waterfall"])
    assert len(rows) == segment["people"] == start - sum(drops)
    scored = json.loads((project / "output" / "manifest.json").read_text())["run"]["facts"]["scored"]["EMAIL"]
    chosen = segment["people"] + segment["holdout"]
    assert chosen == -(-scored // 10)
    assert segment["holdout"] == -(-chosen // 10)
    held_back = (project / "output" / segment["holdout_file"]["key"]).read_text().splitlines()[1:]
    assert len(held_back) == segment["holdout"]
    assert not {row["User.UserId"] for row in rows} & set(held_back)
    scores = [float(row["Metrics.buy_score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == segment["lowest_score"]
    assert {row["ChannelType"] for row in rows} == {"EMAIL"}


def test_model_is_as_good_as_the_literature_on_this_data(first_run: dict[str, Any]) -> None:
    (evaluation,) = first_run["evaluations"]
    assert evaluation["auc"] > 0.76
    assert evaluation["lift_top_tenth"] > 2.5


def test_segments_verify_notices_a_changed_file(first_bytes: bytes, pseg: Pseg, project: Path) -> None:
    path = project / "output" / "segments" / "likely_buyers" / "part-0000.csv"
    assert pseg("segments", "verify", "--project", str(project)).returncode == 0
    path.write_bytes(first_bytes + b"EMAIL,stranger@example.com,x,y,0.9\n")
    changed = pseg("segments", "verify", "--project", str(project), "--json")
    path.write_bytes(first_bytes)
    assert changed.returncode == 1
    assert "is not what was published" in json.loads(changed.stdout)["error"]["what"]


def test_model_show_prints_the_model_card(first_run: dict[str, Any], pseg: Pseg, project: Path) -> None:
    shown = pseg("model", "show", "buy", "--project", str(project))
    assert shown.returncode == 0, shown.stderr
    for words in ("Propensity of purchase within 273 days", "23 of CDNOW, 2 of the synthetic partner", "1997-09-30"):
        assert words in shown.stdout
    document = json.loads(pseg("model", "show", "buy", "--project", str(project), "--json").stdout)
    assert (
        document["card"]["additional_information"]["custom_details"]["Execution"] == document["properties"]["execution"]
    )
    assert document["properties"]["predicts"] == "Propensity of purchase within 273 days"


def test_nothing_approved_is_a_clear_error(first_run: dict[str, Any], pseg: Pseg, project: Path) -> None:
    refused = pseg("pipeline", "start", "cdnow-score", "--project", str(project))
    assert refused.returncode == 3
    assert "no model of goal buy is approved" in refused.stderr
    assert "pseg model approve buy" in refused.stderr


def assert_readme_shows(output: str, csv_bytes: bytes) -> None:
    """Compare the README's pasted output with a real one, but for times, port, version and folder.

    Lines are compared in any order: steps that need nothing of each other may end in either.
    """
    (block,) = re.findall(r"^```\n(\$ make demo\n.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    pasted = dict(part.split("\n", 1) for part in re.split(r"^\$ ", block, flags=re.M)[1:])

    def normal(text: str) -> list[str]:
        for pattern in (r" +[0-9.]+ s\b", r":[0-9]{4,5}\b", r"version [0-9]+", r"\S*cdnow(/output)?\b"):
            text = re.sub(pattern, " *", text)
        return sorted(line.rstrip() for line in text.splitlines() if not line.startswith("  still "))

    demo, head = pasted
    assert (demo, head) == ("make demo", "head -4 examples/cdnow/output/segments/likely_buyers/part-0000.csv")
    assert normal(pasted[demo]) == normal(output)
    assert pasted[head] == "".join(csv_bytes.decode().splitlines(keepends=True)[:4])


def test_second_run_gives_the_same_bytes_and_approved_version_scores(
    first_bytes: bytes, pseg: Pseg, project: Path
) -> None:
    second = pseg("run", str(project))
    assert second.returncode == 0
    assert_readme_shows(second.stderr + second.stdout, first_bytes)
    path = project / "output" / "segments" / "likely_buyers" / "part-0000.csv"
    assert path.read_bytes() == first_bytes
    listed = json.loads(pseg("model", "list", "--project", str(project), "--json").stdout)["models"]
    assert [(model["version"], model["status"]) for model in listed] == [
        (2, "PendingManualApproval"),
        (1, "PendingManualApproval"),
    ]
    assert pseg("model", "approve", "buy", "--version", "1", "--project", str(project)).returncode == 0
    scored = pseg("pipeline", "start", "cdnow-score", "--project", str(project))
    assert scored.returncode == 0, scored.stderr
    manifest = json.loads((project / "output" / "manifest.json").read_text())["manifests"][0]
    assert manifest["status"] == "approved"
    assert manifest["model"].endswith(":model-package/cdnow--buy/1")
    assert (project / "output" / "model" / "buy" / "booster.ubj").is_file()
    shown = pseg("segments", "show", "likely_buyers", "--project", str(project)).stdout
    assert "approved" in shown
    assert "Synthetic partner data" in shown
    status = json.loads(pseg("pipeline", "status", "cdnow-score", "--json").stdout)
    assert status["status"] == "Succeeded"
    assert {step["name"] for step in status["steps"]} == {
        *("QueryCleanRooms", "BuildFeatures", "CreateModelBuy", "ScoreBuy", "PublishBuy", "Report")
    }


def test_approval_taken_back_during_the_run_publishes_nothing(
    first_run: dict[str, Any], pseg: Pseg, project: Path
) -> None:
    assert pseg("model", "approve", "buy", "--version", "1", "--project", str(project)).returncode == 0
    started = pseg("pipeline", "start", "cdnow-score", "--project", str(project), "--no-wait", "--json")
    assert pseg("model", "reject", "buy", "--version", "1", "--project", str(project)).returncode == 0
    execution = json.loads(started.stdout)["execution"]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = json.loads(pseg("pipeline", "status", "cdnow-score", "--json").stdout)
        assert status["execution"] == execution
        if status["status"] != "Executing":
            break
    assert status["status"] == "Failed"
    assert "Rejected" in " ".join(step["reason"] for step in status["steps"])


def test_rejected_model_is_not_used(first_run: dict[str, Any], pseg: Pseg, project: Path) -> None:
    for version in ("1", "2"):
        assert pseg("model", "reject", "buy", "--version", version, "--project", str(project)).returncode == 0
    assert pseg("pipeline", "start", "cdnow-score", "--project", str(project)).returncode == 3


def test_upsert_start_describe_and_list_steps_of_the_sdk_from_plain_python(
    first_run: dict[str, Any], project: Path, exports: dict[str, str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | exports
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(project)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["same"]
    assert answer["status"] == "Succeeded"
    assert set(answer["steps"].values()) == {"Succeeded"}
    assert set(answer["ten"]) < set(answer["steps"])
    assert {"QueryCleanRooms", "BuildFeatures", "TrainBuy", "EvaluateBuy", "RegisterBuy", "PublishBuy"} <= set(
        answer["steps"]
    )
