"""Step Evaluate: how good is a model on the test customers, measured through the handler that will score everybody.

Comes in: the model artifact, the feature table, the settings. Goes out: ``evaluation.json``, which gate, registry and
report read. Scores are read back from the CSV that the handler writes, so what is measured is what is shipped.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from contracts.errors import ContractError
from contracts.evaluation import FILE_NAME, Check, Evaluation
from contracts.feature_table import FINGERPRINT_KEY, LABEL_PREFIX, FeatureTable, read_feature_table, read_part
from contracts.job import run_job
from contracts.model_artifact import unpack
from contracts.run_settings import Goal, RunSettings, read_run_settings
from contracts.segment_file import ENDPOINT_COLUMNS, score_column
from inference.handler import CONTENT_TYPE, Model, model_fn, transform_fn
from training.quality import (
    Labels,
    Scores,
    auc_interval,
    judge,
    order_by_score,
    summarise_calibration,
    summarise_reach,
    summarise_tenths,
)


def score_through_handler(model: Model, rows: pa.Table, table: FeatureTable) -> Scores:
    """Score feature rows as a shard is scored; row numbers stand in for address and id.

    Raises
    ------
    ContractError
        If the handler refuses the rows.
    """
    key = pa.array([str(number) for number in range(rows.num_rows)])
    channel = pa.array(["CUSTOM"] * rows.num_rows)
    shard = pa.table(
        [channel, key, key, key, *[rows.column(name) for name in table.names]], [*ENDPOINT_COLUMNS, *table.names]
    )
    sink = pa.BufferOutputStream()
    pq.write_table(shard.replace_schema_metadata({FINGERPRINT_KEY: table.fingerprint.encode()}), sink)
    answer = transform_fn(model, sink.getvalue().to_pybytes(), CONTENT_TYPE, "text/csv")
    if not isinstance(answer, tuple):
        raise ContractError(
            "the handler refused the test customers", why=answer.get_data(as_text=True), fix="train again"
        )
    column = score_column(model.card.goal)
    return np.array([float(line[column]) for line in csv.DictReader(io.StringIO(answer[0]))])


def evaluate(
    scores: Scores, labels: Labels, keys: list[str], goal: Goal, split: str, model: Model, notice: str
) -> Evaluation:
    """Measure scores against what happened.

    Parameters
    ----------
    scores, labels : ndarray of shape (n_customers,)
        Propensity scores in [0, 1]; 1 if the goal's event happened, else 0.
    keys : list of str, length n_customers
        Customer keys, to order equal scores.

    Raises
    ------
    ContractError
        If the labels do not vary.
    """
    if not 0 < labels.sum() < len(labels):
        raise ContractError(
            f"the test part can't judge goal {goal.name}: {int(labels.sum()):,} of {len(labels):,} customers have it",
            fix="bring more events, or check event_type and horizon_days",
        )
    order = order_by_score(scores, keys)
    auc, low, high = auc_interval(scores, labels)
    tenths = summarise_tenths(scores, labels, order)
    checks = (Check("auc", auc, goal.minimum_auc, auc >= goal.minimum_auc, title="Ranks better than its floor"),)
    positives, rates = int(labels.sum()), (float(scores.mean()), float(labels.mean()))
    return Evaluation(
        goal=goal.name,
        notice=notice,
        split=split,
        people=len(labels),
        positives=positives,
        auc=auc,
        auc_low=low,
        auc_high=high,
        average_precision=float(average_precision_score(labels, scores)),
        log_loss=float(log_loss(labels, scores)),
        brier=float(brier_score_loss(labels, scores)),
        base_rate=rates[1],
        predicted_rate=rates[0],
        tenths=tenths,
        calibration=summarise_calibration(scores, labels, order),
        reach=summarise_reach(labels, order),
        quality=judge((auc, low, high), tenths, checks, positives, rates, goal.words),
        checks=checks,
        words=goal.words,
        model={
            "rounds": model.card.rounds,
            "train_rows": model.card.train_rows,
            "training_as_of": list(model.card.training_as_of),
            "fingerprint": model.card.fingerprint,
        },
    )


def split_words(settings: RunSettings) -> str:
    """Say how the test customers were set apart."""
    if settings.customers is None:
        return "customer" if settings.training_snapshots == 1 else "customer and time"
    return "given" if settings.customers.split else "time" if settings.customers.time else "customer"


def run(processing: Path, goal_name: str) -> str:
    """Do the step's work and return its summary."""
    inputs = processing / "input"
    settings = read_run_settings(inputs / "settings")
    goal = settings.goal(goal_name)
    model = model_fn(str(unpack(inputs / "model" / "model.tar.gz", processing / "model")))
    table = read_feature_table(inputs / "features")
    rows = read_part(inputs / "features", "test", LABEL_PREFIX + goal.name)
    labels = rows.column(LABEL_PREFIX + goal.name).to_numpy().astype(np.int8)
    keys = rows.column("customer_key").to_pylist()
    scores = score_through_handler(model, rows, table)
    result = evaluate(scores, labels, keys, goal, split_words(settings), model, settings.notice)
    output = processing / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE_NAME).write_bytes(result.to_json())
    verdict = "passed" if result.is_passed else f"below its floor {goal.minimum_auc:.3f}"
    return (
        f"AUC {result.auc:.3f} {verdict}, the top tenth {goal.words.past} {result.tenths[0].lift:.1f} times "
        f"the average, {result.people:,} test customers"
    )


def main(argv: list[str]) -> int:
    """Run the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ml-dir", type=Path, required=True)
    parser.add_argument("--goal", required=True)
    arguments = parser.parse_args(argv)
    return run_job(
        lambda: run(arguments.ml_dir / "processing", arguments.goal), note=arguments.ml_dir / "output" / "message"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
