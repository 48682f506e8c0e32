"""``pseg report`` writes the last run's report again, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.run_facts import RunFacts
from contracts.run_manifest import Run, RunManifest, write_run_manifest
from contracts.run_settings import Money
from tests.pseg_process import failure, pseg

FACTS = RunFacts("2026-06-30", 800, None, ("spend",), (), ("2026-04-01",), None)
RUN = Run("spring", "train", "9f2c", "Brand", "", "made-up world", True, Money(), FACTS, "c" * 64, "s" * 64)
# The renderer is insights'; what the command does with its answer is tested with one that stands in for it.
RENDERER = "def render_report(manifest):\n    return f'<!doctype html><p>{manifest.run.project} é'\n"
REFUSAL = """
from contracts.errors import ContractError
def render_report(manifest):
    raise ContractError("the waterfall does not sum up")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a run, and a renderer that Python finds before any other."""
    write_run_manifest(RunManifest(RUN, (), ()), tmp_path / "spring" / "output")
    (tmp_path / "insights").mkdir()
    (tmp_path / "insights" / "__init__.py").write_text("")
    (tmp_path / "insights" / "report.py").write_text(RENDERER)
    return tmp_path


@pytest.mark.parametrize("named", ["spring", "spring/project.toml"])
def test_report_is_written_and_its_place_is_the_answer(folder: Path, named: str) -> None:
    (folder / "spring" / "project.toml").write_text("")
    done = pseg(folder, "report", named)
    assert (done.returncode, done.stdout) == (0, "spring/output/report.html\n"), done.stderr
    assert (folder / "spring" / "output" / "report.html").read_bytes() == "<!doctype html><p>spring é".encode()
    assert done.stderr.splitlines()[-1].startswith("Next  ")


def test_report_of_the_current_folder_as_json(folder: Path) -> None:
    (folder / "insights").rename(folder / "spring" / "insights")
    done = pseg(folder / "spring", "report", "--json")
    assert json.loads(done.stdout) == {"schema": "pseg.report/1", "report": "output/report.html"}


def test_refused_run_leaves_the_report_as_it_was(folder: Path) -> None:
    (folder / "spring" / "output" / "report.html").write_text("before")
    (folder / "insights" / "report.py").write_text(REFUSAL)
    done = pseg(folder, "report", "spring", "--json")
    assert done.returncode == 2
    assert failure(done)["what"] == "the waterfall does not sum up"
    assert (folder / "spring" / "output" / "report.html").read_text() == "before"
    assert sorted(path.name for path in (folder / "spring" / "output").iterdir()) == [
        *("evaluation.json", "manifest.json", "report.html")
    ]


def test_open_without_a_browser_says_where_the_report_is(folder: Path) -> None:
    done = pseg(folder, "report", "spring", "--open", BROWSER="/bin/false %s", PATH="", DISPLAY="")
    assert done.returncode == 0
    assert f"open {folder / 'spring' / 'output' / 'report.html'} yourself" in done.stderr


@pytest.mark.parametrize("named", [".", "nowhere"])
def test_no_run_is_exit_2_and_says_how_to_get_one(tmp_path: Path, named: str) -> None:
    done = pseg(tmp_path, "report", named, "--json")
    assert done.returncode == 2
    error = failure(done)
    assert error["what"] == "there is no run here"
    assert error["fix"] == "run the project first: pseg run PROJECT"
    assert json.loads(done.stdout)["schema"] == "pseg.report/1"
