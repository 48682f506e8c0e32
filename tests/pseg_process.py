"""``pseg`` as a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
NOWHERE |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment without AWS settings and with a state folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PSEG_"))}
    return kept | {"PSEG_STATE_DIR": str(folder / "state"), "HOME": str(folder)} | more


def pseg(folder: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pseg", *map(str, arguments)],
        cwd=folder,
        env=environment(folder, **more) | {"PYTHONPATH": os.pathsep.join([str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


def failure(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON document of a failure."""
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["error"]["code"] == done.returncode
    assert "Traceback" not in done.stderr
    error: dict[str, Any] = document["error"]
    return error
