"""A ready customer table instead of events: ten lines of project.toml, with and without a partner, several goals."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.journey.conftest import Pseg

TEN_LINES = """name = "renewals"
[tables]
customers = "data/customers.parquet"
partner = "data/partner.parquet"
[columns]
customer_key = "customer_id"
hashed_id = "hashed_id"
split = "split"
[[goals]]
name = "renews"
label = "y"
"""
ROWS, FEATURES = 9_000, 82
FEW_ROWS, FEW_FEATURES = 2_000, 12  # where the size is not the point


def write_tables(folder: Path, rows: int = ROWS, features: int = FEATURES, seed: int = 4) -> None:
    """Write customers with features (key, split and label besides) and a partner who knows some of them."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, features - 2)).round(3)
    customers = pd.DataFrame(numbers, columns=[f"number {place}" for place in range(features - 2)])
    customers["region, as sold"] = rng.choice(["north", 'the "south"', "east,west", None], rows)
    customers["is_member"] = rng.random(rows) < 0.4
    logit = -2 + numbers[:, 0] + 0.5 * numbers[:, 1] + 0.7 * customers["is_member"]
    customers["y"] = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype("int8")
    customers["customer_id"] = [f"C{place:05d}" for place in range(rows)]
    customers["split"] = np.where(rng.random(rows) < 0.7, "train", "test")
    assert customers.shape == (rows, features + 3)
    hashed = [hashlib.sha256(key.encode()).hexdigest() for key in customers["customer_id"]]
    known = rng.random(rows) < 0.6
    partner = pd.DataFrame({"hashed_id": np.array(hashed)[known], "points": numbers[known, 2]})
    folder.mkdir(parents=True)
    customers.assign(hashed_id=hashed).to_parquet(folder / "customers.parquet", index=False)
    partner.to_parquet(folder / "partner.parquet", index=False)


def run(pseg: Pseg, project: Path) -> dict[str, Any]:
    """Run a project and return what it says of itself."""
    done = pseg("run", str(project), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize(
    "has_partner",
    [
        pytest.param(True, id="with a partner"),
        pytest.param(False, id="without a partner", marks=pytest.mark.long),
    ],
)
def test_ready_table_runs_with_nothing_but_ten_lines(tmp_path: Path, pseg: Pseg, has_partner: bool) -> None:
    project = tmp_path / "renewals"
    write_tables(project / "data")
    text = TEN_LINES if has_partner else TEN_LINES.replace('partner = "data/partner.parquet"\n', "")
    text = text.replace("renewals", "renewals-both" if has_partner else "renewals-own")
    (project / "project.toml").write_text(text)
    answer = run(pseg, project)
    assert answer["evaluations"][0]["auc"] > 0.7
    (segment,) = answer["segments"]
    assert segment["people"] == ROWS // 10
    with (project / "output" / segment["files"][0]).open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["ChannelType"] for row in rows} == {"CUSTOM"}
    assert all(row["Address"] == row["User.UserId"] for row in rows)
    facts = json.loads((project / "output" / "manifest.json").read_text())["run"]["facts"]
    assert facts["customers"] == ROWS
    assert (facts["matched"] is None) == (not has_partner)
    assert facts["partner_columns"] == (["points"] if has_partner else [])
    report = (project / "output" / "report.html").read_text(encoding="utf-8")
    assert "hashed_id" not in report
    assert pseg("segments", "verify", "--project", str(project)).returncode == 0


def test_failed_gate_stops_only_its_goal_and_the_last_step_lists_it(tmp_path: Path, pseg: Pseg) -> None:
    project = tmp_path / "goals"
    write_tables(project / "data", FEW_ROWS, FEW_FEATURES)
    customers = pd.read_parquet(project / "data" / "customers.parquet")
    noise = np.random.default_rng(1).integers(0, 2, FEW_ROWS)
    customers.assign(coin=noise).to_parquet(project / "data" / "customers.parquet", index=False)
    text = TEN_LINES.replace("renewals", "two-goals") + '\n[[goals]]\nname = "flips"\nlabel = "coin"\n'
    (project / "project.toml").write_text(text)
    done = pseg("run", str(project), "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["error"]["what"] == "FailedGoals failed"
    assert "flips" in answer["error"]["why"]
    assert "auc" in answer["error"]["why"]
    assert "0.6" in answer["error"]["why"]
    output = project / "output"
    assert [path.name for path in (output / "segments").iterdir()] == ["renews"]
    assert "Flips" in (output / "report.html").read_text(encoding="utf-8")
    evaluations = json.loads((output / "evaluation.json").read_text())["evaluations"]
    assert {one["goal"]: one["gate"]["is_passed"] for one in evaluations} == {"renews": 1, "flips": 0}
    models = json.loads(pseg("model", "list", "--project", str(project), "--json").stdout)["models"]
    assert [model["goal"] for model in models] == ["renews"]
    assert pseg("segments", "verify", "--project", str(project)).returncode == 0


@pytest.mark.long
def test_several_instances_choose_the_same_people(tmp_path: Path, pseg: Pseg) -> None:
    project = tmp_path / "hosts"
    write_tables(project / "data", FEW_ROWS, FEW_FEATURES)
    whole = pd.read_parquet(project / "data" / "customers.parquet")
    whole.loc[whole.index % 5 == 0, "split"] = "validation"  # several instances can't choose one between them
    (project / "data" / "customers").mkdir()
    for number in range(3):
        part = whole.iloc[number::3]
        part.to_parquet(project / "data" / "customers" / f"part-{number}.parquet", index=False)
    text = TEN_LINES.replace("renewals", "hosts").replace("customers.parquet", "customers")
    (project / "project.toml").write_text(text)
    one = run(pseg, project)
    chosen = (project / "output" / "segments" / "renews" / "part-0000.csv").read_bytes()
    settings = ("--set", "ProcessingInstanceCount=2", "--set", "TransformInstanceCount=2")
    done = pseg("pipeline", "start", "hosts-train", "--project", str(project), *settings, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "output" / "segments" / "renews" / "part-0000.csv").read_bytes() == chosen
    assert one["segments"][0]["people"] == FEW_ROWS // 10
    execution = json.loads(done.stdout)["execution"]
    assert execution != one["execution"]
