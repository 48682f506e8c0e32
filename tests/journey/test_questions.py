"""What people ask of a project's runs: is all there, why did it fail, what did it write. With the real embedded AWS."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.interruptible import PSEG
from tests.journey.conftest import Pseg
from tests.pseg_process import environment
from tests.worlds import write_project


def findings(pseg: Pseg, project: Path) -> dict[str, dict[str, str]]:
    """What doctor finds, by topic."""
    checks: list[dict[str, str]] = json.loads(pseg("doctor", str(project), "--json").stdout)["checks"]
    return {check["topic"]: check for check in checks}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory, pseg: Pseg, exports: dict[str, str]) -> dict[str, Any]:
    """A run that failed in its first step, with what doctor found before it and after."""
    project = write_project(tmp_path_factory.mktemp("questions") / "asked", name='name = "asked"')
    contacts = pd.read_parquet(project / "data" / "contacts.parquet").rename(columns={"may_match": "consent"})
    contacts.to_parquet(project / "data" / "contacts.parquet", index=False)
    before = findings(pseg, project)
    assert pseg("run", str(project)).returncode == 1
    status = pseg("pipeline", "status", "asked-train", "--json")
    assert status.returncode == 1
    return {"before": before, "after": findings(pseg, project), "status": json.loads(status.stdout)}


def test_doctor_tells_what_the_next_run_will_make_and_then_finds_it(failed: dict[str, Any]) -> None:
    made = ("data_bucket", "results_bucket", "role pseg-asked-pipeline", "role pseg-asked-match-keys", "membership")
    assert {topic: failed["before"][topic]["state"] for topic in made} == dict.fromkeys(made, "!")
    assert {topic: failed["after"][topic]["state"] for topic in made} == dict.fromkeys(made, "ok")
    assert "the embedded AWS" in failed["after"]["identity"]["said"]
    assert "account 111111111111" in failed["after"]["identity"]["said"]


def test_status_of_a_failed_run_says_why_and_what_to_do(failed: dict[str, Any], pseg: Pseg) -> None:
    shown = pseg("pipeline", "status", "asked-train")
    assert shown.returncode == 1
    execution = failed["status"]["execution"].rsplit("/", 1)[-1]
    head, step, *rest = shown.stdout.splitlines()
    assert head.startswith(f"asked-train  execution {execution}  Failed after ")
    assert step.split()[:2] == ["QueryCleanRooms", "Failed"]
    assert any(line.startswith("Why   ") and "may_match is missing" in line for line in rest)
    assert any(line.startswith("Fix   ") for line in rest)
    assert rest[-1] == f"Log   pseg pipeline logs {execution} --step QueryCleanRooms"
    error = failed["status"]["error"]
    assert (error["code"], error["what"]) == (1, "QueryCleanRooms failed")
    assert "may_match is missing" in error["why"]


@pytest.mark.parametrize("named", ["name", "id", "start of the id", "arn"])
def test_log_of_the_failed_step_is_found_by_name_id_and_arn(failed: dict[str, Any], pseg: Pseg, named: str) -> None:
    arn = failed["status"]["execution"]
    execution = arn.rsplit("/", 1)[-1]
    word = {"name": "asked-train", "id": execution, "start of the id": execution[:8], "arn": arn}[named]
    done = pseg("pipeline", "logs", word)
    assert done.returncode == 0, done.stderr
    assert "may_match" in done.stdout
    assert "QueryCleanRooms  Failed" in done.stderr


def test_last_lines_of_a_log_and_its_place_as_json(failed: dict[str, Any], pseg: Pseg) -> None:
    document = json.loads(pseg("pipeline", "logs", "asked-train", "--lines", "1", "--json").stdout)
    assert document["schema"] == "pseg.pipeline.logs/1"
    assert document["step"] == "QueryCleanRooms"
    assert document["log_group"] == "/aws/sagemaker/ProcessingJobs"
    assert len(document["lines"]) == 1


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("logs", "asked-train", "--step", "TrainBuy"), "there is no step TrainBuy"),
        (("logs", "asked-score"), "asked-score was never started"),
        (("status", "autumn-train"), "autumn-train was never started"),
        (("status", "zzzz"), "no executions have an id that starts with zzzz"),
        (("status", ""), "'' is too short for an execution's id"),
    ],
    ids=["no such step", "no log", "never started", "no such id", "no id"],
)
def test_what_there_is_not_is_exit_2_and_one_document(
    failed: dict[str, Any], pseg: Pseg, command: tuple[str, ...], what: str
) -> None:
    done = pseg("pipeline", *command, "--json")
    assert done.returncode == 2, done.stderr
    assert what in json.loads(done.stdout)["error"]["what"]


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_shows_calls_and_request_ids_and_no_secret(
    failed: dict[str, Any], pseg: Pseg, exports: dict[str, str], place: str
) -> None:
    words = ("pipeline", "status", "asked-train", "--json")
    done = pseg(*(("-v", *words) if place == "before" else (*words, "-v")))
    calls = [line for line in done.stderr.splitlines() if line.startswith("aws  ")]
    assert any(line.startswith("aws  sagemaker.DescribePipelineExecution  200  request ") for line in calls)
    assert len(calls) == len(set(calls))
    assert exports["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    assert exports["AWS_ACCESS_KEY_ID"] not in done.stderr
    assert json.loads(done.stdout)["status"] == "Failed"


def test_embedded_start_asks_nobody_and_goes_on_when_nobody_follows_it_any_more(
    failed: dict[str, Any], pseg: Pseg, exports: dict[str, str], state_dir: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "asked", name='name = "asked"')
    process = subprocess.Popen(
        [*PSEG, "pipeline", "start", "asked-train", "--project", str(project), "--json"],
        env=environment(tmp_path, **exports, PSEG_STATE_DIR=str(state_dir)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        deadline = time.monotonic() + 120
        while status_of(pseg)["execution"] == failed["status"]["execution"]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    error = json.loads(said)["error"]
    assert (process.returncode, error["code"]) == (130, 130)
    assert error["what"] == "not followed any more; the execution goes on: pseg pipeline status asked-train"
    while not (steps := status_of(pseg)["steps"]) or steps[0]["status"] == "Executing":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert steps[0]["status"] == "Succeeded"


def status_of(pseg: Pseg) -> dict[str, Any]:
    """State of the latest execution."""
    document: dict[str, Any] = json.loads(pseg("pipeline", "status", "asked-train", "--json").stdout)
    return document


def test_service_with_an_endpoint_of_its_own_is_not_the_embedded_aws(
    failed: dict[str, Any], pseg: Pseg, exports: dict[str, str], tmp_path: Path
) -> None:
    project = write_project(tmp_path / "asked", name='name = "asked"')
    elsewhere = exports | {"AWS_ENDPOINT_URL_CLEANROOMS": exports["AWS_ENDPOINT_URL"]}
    refused = pseg("pipeline", "start", "asked-train", "--project", str(project), "--no-wait", "--json", **elsewhere)
    assert refused.returncode == 2
    assert "is billed" in json.loads(refused.stdout)["error"]["what"]
