"""With no AWS behind the endpoint, the first call fails and says what to start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.journey.conftest import Pseg
from tests.worlds import write_project


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
