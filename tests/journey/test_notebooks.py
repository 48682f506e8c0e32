"""The notebooks as they stand, run from top to bottom against an embedded AWS, and what every notebook keeps."""

from __future__ import annotations

import ast
import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from contracts.run_manifest import RunManifest, read_run_manifest
from pipelines.code_bundle import collect_code
from tests.journey.conftest import run_pseg
from tests.worlds import TRAINING_DATE, make_query_result, write_project

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]
EXPLORE, READ, START = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What a test wants to know of a notebook's variables, asked in one more cell at its end.
QUESTIONS = {
    EXPLORE: "{'matched': sorted(customers.loc[customers['matched'], 'customer_key']), 'keep': keep}",
    READ: "{'cuts': cuts[['percent', 'people', 'expected', 'low', 'high']].to_dict('records'),"
    " 'score': float(rows['score'].iloc[0]), 'effects': effects.tolist(), 'because': because, 'arn': arn}",
    START: "{'status': scoring.describe()['PipelineExecutionStatus'], 'segments': segments,"
    " 'steps': [step['StepName'] for step in steps_of(execution)]}",
}


@dataclass(frozen=True)
class Journey:
    """A project that ran once, and the notebooks after it: executed cells, and answers to the questions."""

    state_dir: Path
    project: Path
    run: RunManifest
    executed: dict[Path, Any]
    answers: dict[Path, Any]

    def shown(self, notebook: Path) -> str:
        """All that a notebook shows, as text."""
        outputs = [output for cell in self.executed[notebook].cells for output in cell.get("outputs", [])]
        kinds = ("text/markdown", "image/svg+xml", "text/html", "text/plain")
        return "\n".join(output["data"][kind] for output in outputs for kind in kinds if kind in output.get("data", {}))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def cell_of(notebook: Any, identity: str) -> Any:
    (cell,) = (cell for cell in notebook.cells if cell["id"] == identity)
    return cell


def write_world(folder: Path) -> Path:
    """A small project of the example's name and columns, so that the notebooks run with the defaults they have."""
    columns = '[query]\ncolumns = ["music_affinity", "household_income_band", "attribute_date"]'
    project = write_project(folder / "examples" / "cdnow", name='name = "cdnow"', query=columns)
    path = project / "data" / "partner.parquet"
    names = {"affinity": "music_affinity", "band": "household_income_band"}
    pd.read_parquet(path).rename(columns=names).to_parquet(path, index=False)
    (folder / "notebooks").mkdir()
    return project


def execute(path: Path, folder: Path, environment: dict[str, str]) -> Any:
    notebook = read(path)
    if path == READ:
        moved = cell_of(notebook, "py-cut")["source"].replace("CUT = 10", "CUT = 30")
        notebook.cells.append(nbformat.v4.new_code_cell(moved, id="moved"))  # type: ignore[no-untyped-call]
    question = f"import json\nprint(json.dumps({QUESTIONS[path]}))"
    notebook.cells.append(nbformat.v4.new_code_cell(question, id="answer"))  # type: ignore[no-untyped-call]
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", startup_timeout=120, timeout=300, resources=where)
    return client.execute(env=environment)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp("notebooks")
    project, state = write_world(folder), folder / "state"
    done = run_pseg(state, "run", str(project))
    assert done.returncode == 0, done.stderr
    exports = json.loads(run_pseg(state, "local", "up", "--json").stdout)["exports"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {"NO_PROXY": "127.0.0.1", "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        executed = {path: execute(path, folder / "notebooks", kept | exports | own) for path in (EXPLORE, READ, START)}
    answers = {path: json.loads(cell_of(one, "answer")["outputs"][0]["text"]) for path, one in executed.items()}
    yield Journey(state, project, read_run_manifest(project / "output"), executed, answers)
    run_pseg(state, "local", "down")


@pytest.mark.parametrize(
    ("path", "pictures"), [(EXPLORE, 3), (READ, 4), (START, 0)], ids=lambda value: str(value)[-22:]
)
def test_notebook_runs_as_it_stands_without_errors_or_warnings(journey: Journey, path: Path, pictures: int) -> None:
    outputs = [output for cell in journey.executed[path].cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) == pictures


def test_explore_counts_whom_the_run_counts(journey: Journey) -> None:
    facts = journey.run.run.facts
    assert f"{facts.customers:,} customers, {facts.matched:,} matched" in journey.shown(EXPLORE)
    tables = {name: pd.read_parquet(journey.project / "data" / f"{name}.parquet") for name in ("events", "contacts")}
    partner = pd.read_parquet(journey.project / "data" / "partner.parquet")
    known = set(make_query_result(tables["contacts"], partner)["customer_key"])
    is_past = tables["events"]["event_time"].dt.date <= TRAINING_DATE
    assert journey.answers[EXPLORE]["matched"] == sorted(known & set(tables["events"].loc[is_past, "customer_key"]))


def test_explore_ends_with_the_line_for_project_toml(journey: Journey) -> None:
    assert journey.answers[EXPLORE]["keep"] == ["music_affinity", "attribute_date"]
    (line,) = re.findall(r"```toml\n(.*?)```", journey.shown(EXPLORE), re.S)
    assert tomllib.loads(line) == {"query": {"columns": ["music_affinity", "attribute_date"]}}


def test_read_shows_the_numbers_of_manifest_and_evaluation(journey: Journey) -> None:
    (manifest,), (evaluation,) = journey.run.manifests, journey.run.evaluations
    names = ("percent", "people", "expected", "low", "high")
    assert journey.answers[READ]["cuts"] == [{name: getattr(row, name) for name in names} for row in manifest.reach]
    assert evaluation.quality
    assert f"**{evaluation.quality.word}.** {evaluation.quality.advice}" in journey.shown(READ)
    assert f"{evaluation.auc_low:.3f} to {evaluation.auc_high:.3f}" in journey.shown(READ)


def test_numbers_move_with_the_cut(journey: Journey) -> None:
    (manifest,) = journey.run.manifests
    for cell, percent in (("py-cut", 10), ("moved", 30)):
        row = manifest.reach[percent - 1]
        picture = cell_of(journey.executed[READ], cell)["outputs"][0]["data"]["image/svg+xml"]
        assert f"The top {percent}%: {row.people:,} people, {row.expected:,.0f} ({row.low:,.0f} to" in picture


def test_reasons_of_the_best_customer_raise_the_score(journey: Journey) -> None:
    answer = journey.answers[READ]
    assert sum(answer["effects"]) > 0
    assert len(answer["because"]) == 3
    strongest = max(answer["effects"], key=abs)
    assert answer["because"][0].endswith("raises it" if strongest > 0 else "lowers it")
    assert answer["score"] >= journey.run.manifests[0].reach[0].lowest_score


def test_start_trains_approves_and_publishes(journey: Journey) -> None:
    answer = journey.answers[START]
    assert {"QueryCleanRooms", "BuildFeatures", "RegisterBuy", "Report", "AllGoals"} <= set(answer["steps"])
    assert answer["status"] == "Succeeded"
    assert [key.rsplit("/", 2)[-2:] for key in answer["segments"]] == [["likely_buyers", "part-0000.csv"]]
    listed = json.loads(
        run_pseg(journey.state_dir, "model", "list", "--project", str(journey.project), "--json").stdout
    )
    assert [(one["version"], one["status"]) for one in listed["models"]] == [
        (2, "Approved"),
        (1, "PendingManualApproval"),
    ]


@pytest.mark.parametrize("path", [EXPLORE, READ, START], ids=lambda path: path.stem)
def test_notebook_is_short_and_has_no_stored_outputs(path: Path) -> None:
    cells = read(path).cells
    assert len(cells) <= 20
    assert cells[0]["source"].splitlines()[0].endswith("?")
    assert cells[-1]["source"].startswith("## What to do now\n")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []
    for cell in code:
        tree = ast.parse(re.sub(r"^( *)%.*$", r"\1pass", cell["source"], flags=re.M))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        assert [one.name for one in functions if (one.end_lineno or 0) - one.lineno >= 5] == []


def test_start_pins_the_sdk_as_the_project_does() -> None:
    (wanted,) = re.findall(r'SDK = "(.+)"', cell_of(read(START), "py-pin")["source"])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert f"sagemaker{wanted}" in extras["demo"]


def test_nothing_needs_the_notebooks() -> None:
    assert [name for name in collect_code() if "notebook" in name] == []
    modules = [path for path in ROOT.glob("[a-z]*/**/*.py") if path.parts[len(ROOT.parts)] != "tests"]
    assert modules
    for path in modules:
        assert not re.search(r"(import|from) notebooks|\.ipynb|notebooks/", path.read_text(encoding="utf-8")), path
