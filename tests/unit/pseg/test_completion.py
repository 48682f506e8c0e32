"""Help and completion are there at once: they know the project's names and load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pseg_process import ROOT, environment
from tests.worlds import write_project

HEAVY = ("boto3", "botocore", "sagemaker", "pandas", "numpy", "pyarrow", "duckdb", "xgboost", "pydantic")
RUN_AND_LIST = f"""
import sys
from pseg.cli import main
sys.argv[0] = "pseg"
try:
    main()
finally:
    print("loaded:", *[name for name in {HEAVY} if name in sys.modules])
"""


def complete(folder: Path, line: str) -> list[str]:
    """Return what bash would offer for the last word of a line, and what was loaded for it."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST],
        cwd=folder,
        env=environment(
            folder,
            PYTHONPATH=str(ROOT),
            COMP_WORDS=line,
            COMP_CWORD=str(len(words) - 1),
            _PSEG_COMPLETE="complete_bash",
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    *offered, loaded = done.stdout.splitlines()
    assert loaded == "loaded:"
    assert done.stderr == ""
    return [word for word in offered if word]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pseg pip", ["pipeline"]),
        ("pseg pipeline sta", ["start", "status"]),
        ("pseg pipeline status ", ["spring-train", "spring-score"]),
        ("pseg pipeline logs spring-s", ["spring-score"]),
        ("pseg pipeline start --project . ", ["spring-train", "spring-score"]),
        ("pseg model approve ", ["buy"]),
        ("pseg segments show l", ["likely_buyers"]),
        ("pseg local up --party ", ["brand", "partner"]),
        ("pseg run --as", ["--as-of"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_of_the_project_in_the_current_folder_are_completed(
    tmp_path: Path, line: str, offered: list[str]
) -> None:
    assert complete(write_project(tmp_path / "spring", customers=5), line) == offered


def test_names_of_another_project_are_completed(tmp_path: Path) -> None:
    write_project(tmp_path / "autumn", customers=5, name='name = "autumn"')
    assert complete(tmp_path, "pseg model show --project autumn ") == ["buy"]
    assert complete(tmp_path, "pseg pipeline start --project autumn/project.toml a") == ["autumn-train", "autumn-score"]


@pytest.mark.parametrize("content", [None, "name =", "goals = 5", "goals = [5]\nname = 7"], ids=repr)
def test_no_project_completes_nothing_and_says_nothing(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "project.toml").write_text(content)
    assert complete(tmp_path, "pseg model show ") == []


@pytest.mark.parametrize("command", ["", "run", "pipeline start", "doctor", "segments show"])
def test_help_loads_nothing_heavy(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST, *command.split(), "--help"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded:"
    assert f"Usage: pseg {command}".strip() in done.stdout


def test_help_is_there_in_less_than_a_second(tmp_path: Path) -> None:  # 0.2 s where nothing else runs
    def take() -> float:
        began = time.perf_counter()
        command = [sys.executable, "-m", "pseg", "--help"]
        subprocess.run(command, cwd=ROOT, env=environment(tmp_path), check=True, capture_output=True)
        return time.perf_counter() - began

    assert min(take() for _ in range(3)) < 1


def test_completion_can_be_shown_and_installed(tmp_path: Path) -> None:
    for option, words in (("--show-completion", "_PSEG_COMPLETE=complete_bash"), ("--install-completion", "installed")):
        done = subprocess.run(
            ["bash", "-c", f"'{sys.executable}' -m pseg {option}; exit $?"],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    assert "complete -o default -F _pseg_completion pseg" in (tmp_path / ".bash_completions" / "pseg.sh").read_text()
