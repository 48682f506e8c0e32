"""``pseg`` as a command: exit codes, one JSON document for failures, and ``init``."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from pseg.project import read_project
from tests.interruptible import PSEG
from tests.pseg_process import NOWHERE, ROOT, environment, failure, pseg
from tests.worlds import write_project


def test_init_writes_a_project_that_parses_and_is_named_as_its_folder(tmp_path: Path) -> None:
    done = pseg(tmp_path, "init", "spring-sale", "--json")
    assert done.returncode == 0, done.stderr
    file = tmp_path / json.loads(done.stdout)["project"]
    project = read_project(file)
    assert project.name == "spring-sale"
    assert (tmp_path / "spring-sale" / "data").is_dir()
    assert "PROJECT_NAME" not in file.read_text()


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "spring").mkdir()
    (tmp_path / "spring" / "project.toml").write_text("mine")
    done = pseg(tmp_path, "init", "spring", "--json")
    assert done.returncode == 2
    assert failure(done)["what"] == "there is a project already"
    assert (tmp_path / "spring" / "project.toml").read_text() == "mine"


@pytest.mark.parametrize("name", ["Spring", "1st", "a", "a_b", "x" * 31])
def test_init_refuses_a_name_that_no_project_can_have_and_makes_nothing(tmp_path: Path, name: str) -> None:
    done = pseg(tmp_path, "init", name)
    assert done.returncode == 2
    assert f"{name!r} can't be a project's name" in done.stderr
    assert not (tmp_path / name).exists()


def wrong_project(folder: Path) -> Path:
    """A project whose file has an unknown key."""
    project = write_project(folder / "spring", customers=5)
    with (project / "project.toml").open("a") as handle:
        handle.write("[colour]\n")
    return project


def line_count(project: Path) -> int:
    """How many lines a project's file has: the last one is the wrong one."""
    return len((project / "project.toml").read_text().splitlines())


@pytest.mark.parametrize(
    "command",
    [
        ("run", "{}"),
        ("pipeline", "upsert", "{}"),
        ("pipeline", "start", "spring-train", "--project", "{}"),
        ("model", "list", "--project", "{}"),
        ("segments", "list", "--project", "{}"),
        ("segments", "verify", "--project", "{}"),
    ],
    ids=" ".join,
)
def test_wrong_project_is_exit_2_and_one_document_that_names_the_key(tmp_path: Path, command: tuple[str, ...]) -> None:
    project = wrong_project(tmp_path)
    done = pseg(tmp_path, *(word.format(project) for word in command), "--json")
    assert done.returncode == 2
    error = failure(done)
    assert error["what"].startswith("colour: ")
    assert error["where"] == f"{project / 'project.toml'}:{line_count(project)}"


def test_error_without_json_goes_to_stderr_with_what_where_and_fix(tmp_path: Path) -> None:
    project = wrong_project(tmp_path)
    done = pseg(tmp_path, "segments", "list", "--project", project)
    assert (done.returncode, done.stdout) == (2, "")
    for words in ("error  colour: ", f"where  {project / 'project.toml'}", "fix    "):
        assert words in done.stderr


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("run", "{}", "--as-of", "yesterday"), "'yesterday' is not a day"),
        (
            ("pipeline", "start", "spring-train", "--project", "{}", "--as-of", "2026-13-01"),
            "'2026-13-01' is not a day",
        ),
        (("pipeline", "start", "spring", "--project", "{}"), "spring is not a pipeline of ours"),
        (("pipeline", "start", "spring-train", "--project", "{}", "--set", "AsOf"), "'AsOf' is not NAME=VALUE"),
        (("pipeline", "start", "autumn-train", "--project", "{}"), "autumn-train is not a pipeline of spring"),
        (("segments", "list", "--project", "{}"), "there is no run yet"),
        (("segments", "verify", "--project", "{}"), "there is no run yet"),
        (("segments", "show", "likely_buyers", "--project", "{}"), "there is no run yet"),
    ],
    ids=[
        "run as of no day",
        "start as of no day",
        "no pipeline",
        "half a parameter",
        "another's pipeline",
        "list",
        "verify",
        "show",
    ],
)
def test_bad_input_is_exit_2(tmp_path: Path, command: tuple[str, ...], what: str) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    done = pseg(tmp_path, *(word.format(project) for word in command), "--json", **NOWHERE)
    assert done.returncode == 2, done.stderr
    assert what in failure(done)["what"]


def test_run_without_a_date_is_exit_2(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5, as_of="")
    done = pseg(tmp_path, "run", project, "--json")
    assert done.returncode == 2
    assert failure(done)["what"] == "the run has no date"


@pytest.mark.parametrize("content", ["", "[]", '"text"', '{"manifests": [5]}'], ids=repr)
def test_manifest_that_is_none_is_exit_2(tmp_path: Path, content: str) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    (project / "output").mkdir()
    (project / "output" / "manifest.json").write_text(content)
    done = pseg(tmp_path, "segments", "list", "--project", project, "--json")
    assert done.returncode == 2, done.stderr
    assert "manifest.json" in failure(done)["where"]


def test_aws_out_of_reach_is_exit_3_and_says_what_to_start(tmp_path: Path) -> None:
    project = write_project(tmp_path / "spring", customers=5)
    done = pseg(tmp_path, "model", "list", "--project", project, "--json", **NOWHERE)
    assert done.returncode == 3
    error = failure(done)
    assert (error["what"], error["where"]) == ("AWS can't be reached", NOWHERE["AWS_ENDPOINT_URL"])
    assert "pseg local up" in error["fix"]


def test_no_embedded_aws_is_exit_1_of_status_and_no_error_of_down(tmp_path: Path) -> None:
    done = pseg(tmp_path, "local", "status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"schema": "pseg.local.status/1", "is_up": False, "endpoint": None}
    down = pseg(tmp_path, "local", "down", "--json")
    assert down.returncode == 0
    assert json.loads(down.stdout)["was_up"] is False


def test_interrupt_is_exit_130_and_no_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*PSEG, "pipeline", "status", "spring-train"],
            cwd=ROOT,
            env=environment(tmp_path, **(NOWHERE | {"AWS_ENDPOINT_URL": where})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()  # it now waits for an answer
        connection.recv(1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted  nothing of this command goes on"
