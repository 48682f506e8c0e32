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
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from contracts.errors import ContractError
from contracts.evaluation import FILE_NAME, Check, Evaluation, Tenth
from contracts.feature_table import FINGERPRINT_KEY, LABEL_PREFIX, PARQUET_NAME, FeatureTable, read_feature_table
from contracts.job import run_job
from contracts.model_artifact import unpack
from contracts.run_settings import Goal, read_run_settings
from contracts.segment_file import ENDPOINT_COLUMNS, score_column
from inference.handler import CONTENT_TYPE, Model, model_fn, transform_fn

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


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


def assign_tenths(scores: Scores, keys: list[str]) -> npt.NDArray[np.int8]:
    """Rank customers into ten equal groups by propensity score.

    Parameters
    ----------
    scores : ndarray of shape (n_customers,)
        Propensity scores in [0, 1].
    keys : list of str, length n_customers
        Decides between equal scores, so that runs repeat.

    Returns
    -------
    ndarray of shape (n_customers,), int8
        1 = highest. Group sizes differ by at most one.
    """
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], keys[place]))
    tenths = np.empty(len(scores), dtype=np.int8)
    tenths[order] = 1 + (10 * np.arange(len(scores))) // max(len(scores), 1)
    return tenths


def summarise_tenths(scores: Scores, labels: Labels, tenths: npt.NDArray[np.int8]) -> tuple[Tenth, ...]:
    """Compare prediction and outcome in each tenth; lift is the tenth's rate over the overall rate."""
    base = labels.mean()
    rows = []
    for tenth in range(1, 11):
        chosen = tenths == tenth
        if not chosen.any():
            continue
        happened = float(labels[chosen].mean())
        rows.append(
            Tenth(
                tenth,
                int(chosen.sum()),
                int(labels[chosen].sum()),
                float(scores[chosen].mean()),
                happened,
                happened / base,
            )
        )
    return tuple(rows)


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
    auc = float(roc_auc_score(labels, scores))
    return Evaluation(
        goal=goal.name,
        notice=notice,
        split=split,
        people=len(labels),
        positives=int(labels.sum()),
        auc=auc,
        average_precision=float(average_precision_score(labels, scores)),
        log_loss=float(log_loss(labels, scores)),
        brier=float(brier_score_loss(labels, scores)),
        base_rate=float(labels.mean()),
        tenths=summarise_tenths(scores, labels, assign_tenths(scores, keys)),
        checks=(Check("auc", auc, goal.minimum_auc, auc >= goal.minimum_auc),),
        model={
            "rounds": model.card.rounds,
            "train_rows": model.card.train_rows,
            "training_as_of": list(model.card.training_as_of),
            "fingerprint": model.card.fingerprint,
        },
    )


def run(processing: Path, goal_name: str) -> str:
    """Do the step's work and return its summary."""
    inputs = processing / "input"
    settings = read_run_settings(inputs / "settings")
    goal = settings.goal(goal_name)
    model = model_fn(str(unpack(inputs / "model" / "model.tar.gz", processing / "model")))
    table = read_feature_table(inputs / "features")
    rows = pq.read_table(inputs / "features" / PARQUET_NAME, filters=[("split", "=", "test")])
    labels = rows.column(LABEL_PREFIX + goal.name).to_numpy().astype(np.int8)
    keys = rows.column("customer_key").to_pylist()
    split = "customer" if settings.training_snapshots == 1 else "customer and time"
    result = evaluate(score_through_handler(model, rows, table), labels, keys, goal, split, model, settings.notice)
    output = processing / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE_NAME).write_bytes(result.to_json())
    verdict = "passed" if result.is_passed else f"below its floor {goal.minimum_auc:.3f}"
    return (
        f"AUC {result.auc:.3f} {verdict}, top tenth buys {result.tenths[0].lift:.1f} times the average, "
        f"{result.people:,} test customers"
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
