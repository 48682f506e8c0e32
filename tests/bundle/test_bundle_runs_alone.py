"""The code bundle alone, as containers have it: every entry point runs, and nothing comes from the repository."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contracts.evaluation import read_evaluation
from contracts.run_manifest import write_run_manifest
from insights.report import render_report
from pipelines.code_bundle import collect_code
from tests.report_runs import rich_run
from tests.worlds import AS_OF, SETTINGS, write_inputs

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = [
    "processing.query_clean_rooms",
    "processing.build_features",
    "training.train",
    "training.evaluate",
    "activation.publish",
    "insights.make_report",
]
FOREIGN = """
import importlib, json, sys
from pathlib import Path
root, found = Path(sys.argv[1]), {}
for name in sys.argv[2:]:
    importlib.import_module(name)
for name, module in sys.modules.items():
    path = Path(getattr(module, "__file__", None) or "/")
    if path.is_relative_to(root) and not path.is_relative_to(sys.prefix):
        found[name] = str(path)
print(json.dumps({"contracts": sys.modules["contracts"].__file__, "of the repository": found}))
"""
SCORE = """
import sys
from pathlib import Path
from inference import handler
model = handler.model_fn(sys.argv[1])
answer = handler.transform_fn(model, Path(sys.argv[2]).read_bytes(), "application/x-parquet", "text/csv")
assert isinstance(answer, tuple), answer.get_data(as_text=True)
Path(sys.argv[3]).write_bytes(answer[0].encode())
print(handler.__file__)
"""
REPORT = """
import sys
from pathlib import Path
from contracts.run_manifest import read_run_manifest
from insights.report import render_report
Path(sys.argv[2]).write_bytes(render_report(read_run_manifest(Path(sys.argv[1]))).encode())
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    for name, content in collect_code().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def run(code_dir: Path, folder: Path, *arguments: object, locale: str = "C") -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder with just this code on its path; by default in a locale that knows no UTF-8."""
    (folder / "empty").mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code_dir), "HOME": str(folder), "OMP_NUM_THREADS": "2"}
    environment |= {"OMP_WAIT_POLICY": "PASSIVE"}
    environment |= {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder / "empty",
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_every_module_is_imported_from_the_bundle_and_takes_nothing_from_the_repository(
    bundle: Path, tmp_path: Path
) -> None:
    done = run(bundle, tmp_path, "-c", FOREIGN, ROOT, *ENTRY_POINTS, "inference.handler")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "contracts": str(bundle / "contracts" / "__init__.py"),
        "of the repository": {},
    }


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_entry_point_explains_itself(bundle: Path, tmp_path: Path, module: str) -> None:
    done = run(bundle, tmp_path, "-m", module, "--help")
    assert done.returncode == 0, done.stderr
    assert "--ml-dir" in done.stdout


def test_features_training_evaluation_and_scoring_run_in_their_folders(bundle: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, notice="künstliche Partnerdaten שלום")
    building, training, judging = (tmp_path / name for name in ("building", "training", "judging"))

    write_inputs(building / "processing" / "input", settings, customers=500)
    done = run(
        bundle, tmp_path, "-m", "processing.build_features", "--ml-dir", building, "--as-of", AS_OF, "--for", "train"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    features = building / "processing" / "features"

    channels = training / "input" / "data"
    shutil.copytree(features, channels / "features")
    shutil.copytree(building / "processing" / "input" / "settings", channels / "settings")
    shutil.copytree(bundle, channels / "code")
    done = run(channels / "code", tmp_path, "-m", "training.train", "--ml-dir", training, "--goal", "buy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (training / "output" / "failure").exists()

    inputs = judging / "processing" / "input"
    (inputs / "model").mkdir(parents=True)
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(training / "model", arcname=".")
    for name in ("features", "scoring", "run_facts"):
        shutil.copytree(building / "processing" / name, inputs / name)
    shutil.copytree(building / "processing" / "input" / "settings", inputs / "settings")
    done = run(bundle, tmp_path, "-m", "training.evaluate", "--ml-dir", judging, "--goal", "buy")
    assert done.returncode == 0, done.stdout + done.stderr
    evaluation = read_evaluation(judging / "processing" / "evaluation" / "evaluation.json")
    assert evaluation.notice == settings.notice
    assert evaluation.auc > 0.6
    assert (judging / "output" / "message").read_text(encoding="utf-8").count(f", AUC {evaluation.auc:.3f}, ") == 1

    model, scored = training / "model", tmp_path / "shard-00000.parquet.out"
    shard = building / "processing" / "shards" / "shard-00000.parquet"
    done = run(model / "code", tmp_path, "-c", SCORE, model, shard, scored)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(model / "code" / "inference" / "handler.py")
    with scored.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["Id"] for row in rows] == pq.read_table(shard)["Id"].to_pylist()
    assert all(0 <= float(row["Metrics.buy_score"]) <= 1 for row in rows)


def test_report_has_its_templates_in_the_bundle_and_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    write_run_manifest(rich_run(1), tmp_path / "run")
    done = run(bundle, tmp_path, "-c", REPORT, tmp_path / "run", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").read_bytes() == render_report(rich_run(1)).encode()


def test_failing_entry_point_leaves_its_reason_and_exit_1(bundle: Path, tmp_path: Path) -> None:
    command = ("-m", "training.train", "--ml-dir", tmp_path, "--goal", "buy")
    done = run(bundle, tmp_path, *command, locale="C.UTF-8")
    assert done.returncode == 1
    assert "the run settings can't be read" in (tmp_path / "output" / "failure").read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr
