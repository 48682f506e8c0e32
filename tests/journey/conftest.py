"""An embedded AWS in a process of its own, as users have it, and ``pseg`` as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Pseg = Callable[..., "subprocess.CompletedProcess[str]"]


def run_pseg(state_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one ``pseg`` command with a state folder of its own and no AWS settings of the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "pseg", *arguments],
        env=kept | {"PSEG_STATE_DIR": str(state_dir)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="session")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One embedded AWS for all journeys; it goes down at the end."""
    folder = tmp_path_factory.mktemp("state")
    yield folder
    run_pseg(folder, "local", "down")


@pytest.fixture(scope="session")
def pseg(state_dir: Path) -> Pseg:
    """Run ``pseg`` against that embedded AWS."""
    return lambda *arguments, **environment: run_pseg(state_dir, *arguments, **environment)


@pytest.fixture(scope="session")
def exports(pseg: Pseg) -> dict[str, str]:
    """Environment of an AWS client of the brand."""
    up: dict[str, Any] = json.loads(pseg("local", "up", "--json").stdout)
    exported: dict[str, str] = up["exports"]
    return exported
