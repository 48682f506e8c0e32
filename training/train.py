"""Training job: a feature table becomes a small regularised XGBoost model of one goal.

Comes in: channels ``features``, ``settings`` and ``code`` (the bundle this runs from). Goes out: the model artifact.
XGBoost's own defaults (depth 6, rate 0.3, no regularisation to speak of) overfit tables of some ten thousand customers,
so trees here are shallow, slow and stopped early on the validation part. Classes are neither weighted nor resampled:
either would bend the probabilities that everything after this relies on.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xgboost as xgb

from contracts.feature_table import (
    LABEL_PREFIX,
    PARQUET_NAME,
    FeatureTable,
    encode,
    read_feature_table,
    read_part,
    with_categories,
)
from contracts.job import run_job
from contracts.model_artifact import BOOSTER_NAME, CODE_DIR, JSON_NAME, ModelCard
from contracts.run_settings import Goal, read_run_settings

PARAMETERS: dict[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "max_depth": 3,
    "eta": 0.05,
    "min_child_weight": 10,
    "lambda": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
}
logger = logging.getLogger(__name__)

MAX_ROUNDS = 2000
PATIENCE_ROUNDS = 50


def make_matrix(rows: pa.Table, table: FeatureTable, goal: Goal, reference: xgb.DMatrix | None) -> xgb.QuantileDMatrix:
    """Build XGBoost's binned matrix with the goal's label; validation uses the bins of training (``reference``).

    Features go by their place: names are the brand's and the partner's, and may hold what XGBoost forbids in a name.
    """
    return xgb.QuantileDMatrix(
        encode(rows, table, where=PARQUET_NAME),
        label=rows.column(LABEL_PREFIX + goal.name).to_numpy().astype(np.float32),
        feature_types=["c" if feature.kind == "category" else "q" for feature in table.features],
        enable_categorical=True,
        ref=reference,
    )


def fit(train: xgb.QuantileDMatrix, validation: xgb.QuantileDMatrix, seed: int) -> tuple[xgb.Booster, int]:
    """Grow trees until the validation part has not improved for ``PATIENCE_ROUNDS``; return the best ones."""
    booster = xgb.train(
        {**PARAMETERS, "seed": seed},
        train,
        num_boost_round=MAX_ROUNDS,
        evals=[(validation, "validation")],
        early_stopping_rounds=PATIENCE_ROUNDS,
        verbose_eval=100,
    )
    rounds = booster.best_iteration + 1
    logger.info("rounds=%d validation_logloss=%.5f", rounds, booster.best_score)
    return booster[:rounds], rounds


def train(ml_dir: Path, goal_name: str) -> str:
    """Do the job's work and return its summary."""
    channels = ml_dir / "input" / "data"
    settings = read_run_settings(channels / "settings")
    goal = settings.goal(goal_name)
    label = LABEL_PREFIX + goal.name
    rows = read_part(channels / "features", "train", label)
    held_out = read_part(channels / "features", "validation", label)
    table = with_categories(read_feature_table(channels / "features"), rows)
    matrix = make_matrix(rows, table, goal, None)
    booster, rounds = fit(matrix, make_matrix(held_out, table, goal, matrix), settings.seed)
    model_dir = ml_dir / "model"
    booster.save_model(model_dir / BOOSTER_NAME)
    card = ModelCard(
        goal=goal.name,
        rounds=rounds,
        parameters=PARAMETERS,
        seed=settings.seed,
        train_rows=rows.num_rows,
        validation_rows=held_out.num_rows,
        positives=int(pc.sum(rows.column(label)).as_py()),
        training_as_of=tuple(sorted(str(day) for day in pc.unique(rows.column("snapshot_date")).to_pylist() if day)),
        fingerprint=table.fingerprint,
    )
    (model_dir / JSON_NAME).write_bytes(card.to_json())
    (model_dir / "feature_table.json").write_bytes(table.to_json())
    shutil.copytree(channels / "code", model_dir / CODE_DIR, ignore=shutil.ignore_patterns("__pycache__"))
    return f"{rows.num_rows:,} customers, {card.positives:,} positives, {rounds} rounds"


def main(argv: list[str]) -> int:
    """Run the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    arguments = parser.parse_args(argv)
    (arguments.ml_dir / "model").mkdir(parents=True, exist_ok=True)
    return run_job(lambda: train(arguments.ml_dir, arguments.goal), note=arguments.ml_dir / "output" / "failure")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
