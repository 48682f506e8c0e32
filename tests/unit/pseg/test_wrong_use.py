"""What pseg says when it is used wrongly, or fails itself: one screen, one document, its exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pseg_process import NOWHERE, ROOT, environment, failure, pseg
from tests.worlds import write_project

WRONG = [
    (("fly",), "error", "no such command 'fly'"),
    (("modle", "list"), "error", "no such command 'modle'. Did you mean 'model'?"),
    (("segments", "shw", "x"), "segments", "no such command 'shw'. Did you mean 'show'?"),
    (("pipeline", "start"), "pipeline.start", "missing argument 'NAME'"),
    (("run", "x", "--as-off", "y"), "run", "no such option: --as-off (Possible options: --as-of)"),
    (("model", "show", "buy", "--version", "x"), "model.show", "invalid value for '--version'"),
    (("model", "show", "buy", "--version", "0"), "model.show", "greater than or equal to 1"),
    (("local", "up", "--party", "both"), "local.up", "'both' is not one of 'brand', 'partner'"),
    (("local", "up", "--port", "70000"), "local.up", "less than or equal to 65535"),
    (("pipeline", "logs", "x-train", "--lines", "0"), "pipeline.logs", "greater than or equal to 1"),
    (("segments", "list", "more"), "segments.list", "unexpected extra argument"),
    (("pipeline", "definition", "x"), "pipeline.definition", "no such option: --json"),
]


@pytest.mark.parametrize(("command", "schema", "what"), WRONG, ids=[" ".join(command) for command, _, _ in WRONG])
def test_wrong_use_is_exit_2_and_one_document(tmp_path: Path, command: tuple[str, ...], schema: str, what: str) -> None:
    done = pseg(tmp_path, *command, "--json")
    assert done.returncode == 2
    assert what in failure(done)["what"]
    assert json.loads(done.stdout)["schema"] == f"pseg.{schema}/1"


def test_wrong_use_without_json_says_how_to_use_it(tmp_path: Path) -> None:
    done = pseg(tmp_path, "pipeline", "start")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error  missing argument 'NAME'\n")
    assert "usage: pseg pipeline start [OPTIONS]" in done.stderr
    assert "see pseg pipeline start --help" in done.stderr


def test_no_arguments_show_the_help_and_are_exit_2(tmp_path: Path) -> None:
    done = pseg(tmp_path)
    assert done.returncode == 2
    assert "pipeline" in done.stdout
    assert "error" not in done.stderr


def fail_inside(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``segments list`` with a fault of ours planted in it."""
    write_project(folder / "spring", customers=5)
    script = """
import sys
import pseg.results

def read_results(project):
    raise KeyError("no such thing")

pseg.results.read_results = read_results
sys.argv = ["pseg", *sys.argv[1:]]
from pseg.cli import main
main()
"""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments, "segments", "list", "--project", str(folder / "spring")],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def test_fault_of_ours_is_one_line_and_exit_3(tmp_path: Path) -> None:
    done = fail_inside(tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert "unexpected KeyError: 'no such thing'" in line
    assert "--debug" in line


def test_fault_of_ours_shows_its_traceback_with_debug(tmp_path: Path) -> None:
    done = fail_inside(tmp_path, "--debug")
    assert done.returncode == 3
    assert "Traceback (most recent call last)" in done.stderr
    assert "in read_results" in done.stderr


def test_debug_by_the_environment_keeps_the_exit_code(tmp_path: Path) -> None:
    done = pseg(tmp_path, "segments", "list", "--project", "nowhere", PSEG_DEBUG="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "error  there is no project at nowhere" in done.stderr


def test_path_that_can_not_be_made_is_exit_2_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = pseg(tmp_path, "init", "file/spring", "--json")
    assert done.returncode == 2
    error = failure(done)
    assert error["what"] == "not a directory"
    assert error["where"].startswith("file/spring")


def test_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("import no_such_package")
    done = pseg(tmp_path, "segments", "list", "--json")
    assert done.returncode == 3
    assert failure(done)["what"] == "the package no_such_package is not installed here"


@pytest.mark.parametrize("name", ["a-", "a--b", "-a"])
def test_init_refuses_what_project_toml_would_refuse(tmp_path: Path, name: str) -> None:
    done = pseg(tmp_path, "init", "--", name)
    assert done.returncode == 2
    assert not (tmp_path / name).exists()


def test_init_takes_the_name_of_the_current_folder(tmp_path: Path) -> None:
    folder = tmp_path / "spring-sale"
    folder.mkdir()
    done = pseg(folder, "init", ".")
    assert done.returncode == 0, done.stderr
    assert 'name = "spring-sale"' in (folder / "project.toml").read_text()
    assert done.stderr.splitlines()[-1].startswith("Next  ")


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_leaves_the_answer_alone(tmp_path: Path, place: str) -> None:
    words = ["init", "spring"]
    done = pseg(tmp_path, *(["--quiet", *words] if place == "before" else [*words, "-q"]))
    assert (done.stdout, done.stderr) == ("spring/project.toml\n", "")


def test_quiet_does_not_silence_errors(tmp_path: Path) -> None:
    assert "error  there is no project" in pseg(tmp_path, "-q", "segments", "list").stderr


START = ("pipeline", "start", "spring-train", "--role", "arn:aws:iam::111111111111:role/x")


def test_what_is_billed_is_refused_where_nobody_can_be_asked(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    done = pseg(tmp_path, *START, "--project", project, "--json", **NOWHERE)
    assert done.returncode == 2, done.stderr
    error = failure(done)
    assert "is billed" in error["what"]
    assert "nothing was started" in error["why"]
    assert "--yes" in error["fix"]


def test_yes_agrees_to_what_is_billed(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    done = pseg(tmp_path, *START, "--project", project, "--yes", "--json", **NOWHERE)
    assert done.returncode == 3, done.stderr
    assert failure(done)["what"] == "AWS can't be reached"


def on_a_terminal(folder: Path, *arguments: object, typed: bytes, **more: str) -> tuple[int, str]:
    """Run one command on a terminal, type something, and return its exit code and all that it showed."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pseg", *map(str, arguments)],
        cwd=folder,
        env=environment(folder, PYTHONPATH=str(ROOT), TERM="xterm-256color", **more),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    os.write(master, typed)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # on Linux the end of a terminal is an error
        pass
    os.close(master)
    return process.wait(timeout=60), shown.decode()


def test_no_to_what_is_billed_is_exit_1(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    code, shown = on_a_terminal(tmp_path, *START, "--project", project, typed=b"n\n", **NOWHERE)
    assert code == 1, shown
    assert "is billed to the AWS account. Go on?" in shown
    assert "nothing was started" in shown


@pytest.mark.parametrize(
    ("words", "setting", "is_coloured"),
    [((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False)],
    ids=["plain", "--no-color", "NO_COLOR"],
)
def test_colour_is_for_terminals_that_want_it(
    tmp_path: Path, words: tuple[str, ...], setting: dict[str, str], is_coloured: bool
) -> None:
    _, shown = on_a_terminal(tmp_path, *words, "segments", "list", typed=b"", COLORTERM="truecolor", **setting)
    assert "there is no project" in shown
    assert ("38;2;184;72;10" in shown) == is_coloured


def test_no_colour_where_no_terminal_is(tmp_path: Path) -> None:
    assert "\x1b" not in pseg(tmp_path, "segments", "list").stderr
