"""What goes wrong names step, cause and log, and publishes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import psutil
import pytest

from tests.interruptible import PSEG
from tests.journey.conftest import Pseg
from tests.worlds import TRAINING_DATE, write_project


@contextlib.contextmanager
def killing(state_dir: Path, module: str) -> Iterator[None]:
    """Kill, with SIGKILL, every process of this embedded AWS that runs ``module``."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            for process in psutil.process_iter(["cmdline"]):
                command = process.info["cmdline"] or []
                if module in command and any(str(state_dir) in part for part in command):
                    with contextlib.suppress(ProcessLookupError):  # it ended by itself
                        os.kill(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=5)


def manifests_in(exports: dict[str, str], project: str) -> list[str]:
    """List the manifests that lie in a project's data bucket."""
    s3: Any = boto3.client(
        "s3",
        endpoint_url=exports["AWS_ENDPOINT_URL"],
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=f"pseg-{project}-data", Prefix=f"{project}/runs/")
    try:
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    except s3.exceptions.NoSuchBucket:  # interrupted before there was one
        return []
    return [key for key in keys if key.endswith("manifest.json") and "/report/" not in key]


@pytest.mark.parametrize(
    ("module", "step"),
    [
        pytest.param("training.train", "TrainBuy", id="training", marks=pytest.mark.long),
        pytest.param("activation.publish", "PublishBuy", id="publish"),
    ],
)
def test_killed_step_fails_the_run_by_name_and_publishes_nothing(
    tmp_path: Path, pseg: Pseg, exports: dict[str, str], state_dir: Path, module: str, step: str
) -> None:
    name = f"killed-{step.lower()}"
    project = write_project(tmp_path / name, name=f'name = "{name}"')
    with killing(state_dir, module):
        done = pseg("run", str(project))
    assert done.returncode == 1, done.stderr
    assert f"{step} failed" in done.stderr
    assert "SIGKILL" in done.stderr
    assert "log    /aws/sagemaker/" in done.stderr
    assert manifests_in(exports, name) == []
    assert not (project / "output").exists()


def test_step_that_exits_1_fails_the_run_with_its_own_reason(
    tmp_path: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    project = write_project(tmp_path / "renamed", name='name = "renamed"')
    contacts = pd.read_parquet(project / "data" / "contacts.parquet").rename(columns={"may_match": "consent"})
    contacts.to_parquet(project / "data" / "contacts.parquet", index=False)
    done = pseg("run", str(project), "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["error"]["what"] == "QueryCleanRooms failed"
    assert "column may_match is missing from contacts" in answer["error"]["why"]
    assert "contacts.parquet" in answer["error"]["why"]
    assert any("may_match" in line for line in answer["log"])
    assert manifests_in(exports, "renamed") == []


def test_partner_value_from_the_future_stops_the_run_by_name(tmp_path: Path, pseg: Pseg) -> None:
    project = write_project(tmp_path / "future", name='name = "future"')
    partner = pd.read_parquet(project / "data" / "partner.parquet")
    partner["attribute_date"] = TRAINING_DATE + timedelta(days=1)
    partner.to_parquet(project / "data" / "partner.parquet", index=False)
    done = pseg("run", str(project))
    assert done.returncode == 1
    assert "BuildFeatures failed" in done.stderr
    assert "partner columns affinity, band of" in done.stderr
    assert "are dated after the snapshot" in done.stderr


def test_failed_gate_registers_and_publishes_nothing_and_its_report_says_why(
    tmp_path: Path, pseg: Pseg, exports: dict[str, str]
) -> None:
    goal = '[[goals]]\nname = "buy"\nevent = "purchase"\nhorizon_days = 90\nminimum_auc = 0.99'
    project = write_project(tmp_path / "weak", name='name = "weak"', goals=goal)
    done = pseg("run", str(project), "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["error"]["what"] == "FailedGoals failed"
    assert re.search(r"buy.*auc 0\.[0-9]+.*0\.99", answer["error"]["why"])
    assert "Stopped" in Path(answer["report"]).read_text(encoding="utf-8")
    assert not (project / "output" / "segments").exists()
    assert json.loads(pseg("model", "list", "--project", str(project), "--json").stdout)["models"] == []
    assert manifests_in(exports, "weak") == []
    status = pseg("pipeline", "status", "weak-train")
    assert status.returncode == 1
    assert "FailedGoals" in status.stdout


def test_nobody_matched_is_a_clear_error(tmp_path: Path, pseg: Pseg) -> None:
    project = write_project(tmp_path / "strangers", name='name = "strangers"')
    partner = pd.read_parquet(project / "data" / "partner.parquet")
    partner["hashed_id"] = partner["hashed_id"].str[::-1]
    partner.to_parquet(project / "data" / "partner.parquet", index=False)
    done = pseg("run", str(project))
    assert done.returncode == 1
    assert "the query result is empty" in done.stderr


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ("embedded AWS up", "nothing was registered or published"),
        ("QueryCleanRooms", "nothing was registered or published"),
        pytest.param("BuildFeatures", "nothing was registered or published", marks=pytest.mark.long),
        ("TrainBuy", "nothing was registered or published"),
        pytest.param("EvaluateBuy", "nothing was published", marks=pytest.mark.long),
        pytest.param("ScoreBuy", "nothing was published", marks=pytest.mark.long),
    ],
    ids=lambda value: value.replace(" ", "-") if "was" not in value else "",
)
def test_interrupt_after_any_step_stops_the_run_and_leaves_no_half_of_it(
    tmp_path: Path, state_dir: Path, pseg: Pseg, exports: dict[str, str], after: str, left: str
) -> None:
    name = "stopped-" + after.lower().replace(" ", "-")[:20]
    project = write_project(tmp_path / name, name=f'name = "{name}"')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [*PSEG, "run", str(project)],
        env=environment | {"PSEG_STATE_DIR": str(state_dir)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith(after):
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    if after != "embedded AWS up":
        assert "is Stopped" in said
        assert json.loads(pseg("pipeline", "status", f"{name}-train", "--json").stdout)["status"] == "Stopped"
    if "registered" in left:
        assert left in said or after == "embedded AWS up"
    assert manifests_in(exports, name) == []
    assert not (project / "output").exists()
    assert not list(project.glob("output.*"))


def test_runs_at_once_each_leave_whole_results(tmp_path: Path, state_dir: Path, pseg: Pseg) -> None:
    project = write_project(tmp_path / "twice", name='name = "twice"')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    runs = [
        subprocess.Popen(
            [*PSEG, "run", str(project), "--json"],
            env=environment | {"PSEG_STATE_DIR": str(state_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs), answers
    said = [json.loads(out) for out, _ in answers]
    assert len({one["execution"] for one in said}) == len(runs)
    assert all(one["segments"] == said[0]["segments"] for one in said)
    assert pseg("segments", "verify", "--project", str(project)).returncode == 0
    assert [path.name for path in project.glob("output*")] == ["output"]
