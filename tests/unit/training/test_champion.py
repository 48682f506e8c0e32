"""A new model is compared with the one that is approved in the registry, on the same customers."""

from __future__ import annotations

import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.evaluation import Check, read_evaluation
from contracts.feature_table import FeatureTable
from contracts.run_facts import RunFacts, write_run_facts
from tests.embedded_aws import TwoAccounts
from tests.embedded_aws import accounts as accounts
from tests.known_truth import make_customers, write_training_inputs
from training import evaluate, train

BUCKET, GROUP, NEWEST = "models", "spring--buy", "version 2"


def train_on(folder: Path, rows: pa.Table, table: FeatureTable) -> Path:
    """Train; return model.tar.gz."""
    write_training_inputs(folder, rows, table)
    assert train.main(["--ml-dir", str(folder), "--goal", "buy"]) == 0
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model", arcname=".")
    return folder / "model.tar.gz"


def without_recency(rows: pa.Table) -> pa.Table:
    """What a broken feed leaves to learn from: the strongest fact says nothing any more."""
    place = rows.column_names.index("recency")
    return rows.set_column(place, "recency", pa.array(np.random.default_rng(1).normal(size=rows.num_rows)))


def register(accounts: TwoAccounts, archive: Path, status: str) -> str:
    """Register a model; return its version."""
    accounts.s3().upload_file(str(archive), BUCKET, f"{archive.parent.name}.tar.gz")
    container = {"Image": "xgboost", "ModelDataUrl": f"s3://{BUCKET}/{archive.parent.name}.tar.gz"}
    arn = accounts.brand.client("sagemaker").create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/x-parquet"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    return f"version {arn.rpartition('/')[2]}"


def judge(folder: Path, archive: Path, rows: pa.Table, table: FeatureTable, group: str = GROUP) -> list[Check]:
    """Evaluate a model on the test part of honest rows; return what stops it or names a champion."""
    inputs = folder / "processing" / "input"
    write_training_inputs(folder / "given", rows, table)
    shutil.copytree(folder / "given" / "input" / "data", inputs)
    (inputs / "model").mkdir()
    shutil.copy(archive, inputs / "model" / "model.tar.gz")
    write_run_facts(RunFacts("2026-06-30", 1, None, (), (), (), None), inputs / "run_facts", 0)
    arguments = ["--ml-dir", str(folder), "--goal", "buy", "--package-group", group]
    assert evaluate.main(arguments) == 0, (folder / "output" / "message").read_text()
    checks = read_evaluation(folder / "processing" / "evaluation" / "evaluation.json").checks
    return [check for check in checks if check.name == "champion"]


@pytest.fixture(scope="module")
def models(accounts: TwoAccounts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good model and one that learned from a broken feed, both of the same features."""
    accounts.s3().create_bucket(Bucket=BUCKET)
    rows, table, _ = make_customers(3000, seed=5)
    return {
        "good": train_on(tmp_path_factory.mktemp("good"), rows, table),
        "bad": train_on(tmp_path_factory.mktemp("bad"), without_recency(rows), table),
    }


def test_model_is_held_against_the_approved_one(accounts: TwoAccounts, models: dict[str, Path], tmp_path: Path) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    assert judge(tmp_path / "no group", models["bad"], rows, table) == []
    accounts.brand.client("sagemaker").create_model_package_group(ModelPackageGroupName=GROUP)
    register(accounts, models["good"], "PendingManualApproval")
    assert judge(tmp_path / "none approved", models["bad"], rows, table) == []

    approved = register(accounts, models["good"], "Approved")
    (worse,) = judge(tmp_path / "worse", models["bad"], rows, table)
    assert worse.is_stop
    assert approved in worse.text
    (same,) = judge(tmp_path / "same", models["good"], rows, table)
    assert (same.is_stop, same.found) == (False, 0.0)


def test_approved_model_of_other_features_is_not_compared(
    accounts: TwoAccounts, models: dict[str, Path], tmp_path: Path
) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    other = replace(table, definition_sha256="b" * 64)
    archive = train_on(tmp_path / "other", rows, other)
    (found,) = judge(tmp_path / "judged", archive, rows, other)
    assert (found.is_stop, found.text) == (False, f"Not compared with {NEWEST}: it reads other features.")


def test_approved_model_that_has_learned_from_the_test_customers_is_not_compared(
    accounts: TwoAccounts, models: dict[str, Path], tmp_path: Path
) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    shuffled = np.random.default_rng(1).permutation(rows["split"].to_numpy(zero_copy_only=False))
    rows = rows.set_column(rows.column_names.index("split"), "split", pa.array(shuffled))
    (found,) = judge(tmp_path / "judged", models["bad"], rows, table)
    assert not found.is_stop
    assert re.search(r"it has learned from (7\d|8\d)% of the customers tested on", found.text)


def test_approved_model_whose_artifact_is_gone_stops_no_training(
    accounts: TwoAccounts, models: dict[str, Path], tmp_path: Path
) -> None:
    rows, table, _ = make_customers(3000, seed=5)
    accounts.s3().delete_object(Bucket=BUCKET, Key=f"{models['good'].parent.name}.tar.gz")
    (found,) = judge(tmp_path / "judged", models["bad"], rows, table)
    assert not found.is_stop
    assert "it can't be read (the model can't be read); reject it" in found.text
