"""DESIGN's interface from plain Python: the SDK's own Pipeline against the embedded AWS, with stock clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.journey.conftest import Pseg
from tests.worlds import write_project

SCRIPT = """
    import json, sys, time, warnings
    warnings.simplefilter("ignore")
    import boto3
    from pipelines import train_pipeline, score_pipeline
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    project, role = sys.argv[1], "arn:aws:iam::111111111111:role/pseg-plain-pipeline"
    session = PipelineSession(default_bucket="pseg-plain-data")
    pipeline = train_pipeline(project + "/project.toml", session=session, role=role)
    first, second = pipeline.definition(), train_pipeline(project, session=session, role=role).definition()
    pipeline.upsert(role_arn=role)
    arn = pipeline.upsert(role_arn=role)["PipelineArn"]
    execution = pipeline.start(parameters={"AsOf": "2026-06-30"})
    execution.wait(delay=1, max_attempts=120)
    steps = execution.list_steps()
    print(json.dumps({"same": first == second, "arn": arn, "status": execution.describe()["PipelineExecutionStatus"],
        "steps": {s["StepName"]: s["StepStatus"] for s in steps}}))
"""


def test_upsert_start_describe_and_list_steps_of_the_sdk(tmp_path: Path, pseg: Pseg, exports: dict[str, str]) -> None:
    project = write_project(tmp_path / "plain", name='name = "plain"')
    assert pseg("run", str(project)).returncode == 0
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | exports
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(project)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["same"]
    assert answer["status"] == "Succeeded"
    assert set(answer["steps"].values()) == {"Succeeded"}
    assert {"QueryCleanRooms", "BuildFeatures", "TrainBuy", "EvaluateBuy", "RegisterBuy", "PublishBuy"} <= set(
        answer["steps"]
    )


def test_embedded_aws_down_fails_at_the_first_call_and_says_what_to_start(tmp_path: Path, pseg: Pseg) -> None:
    project = write_project(tmp_path / "spring")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    nowhere |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    for command in (
        ("model", "list", "--project", str(project)),
        ("pipeline", "upsert", str(project), "--role", "arn:aws:iam::1:role/x"),
    ):
        done = pseg(*command, **nowhere)
        assert done.returncode == 3, done.stderr
        assert "pseg local up" in done.stderr
        assert "Traceback" not in done.stderr
    script = (
        "from pipelines import train_pipeline; train_pipeline(__import__('sys').argv[1], role='arn:aws:iam::1:role/x')"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | nowhere
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(project)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.returncode != 0
    assert "pseg local up" in plain.stderr
