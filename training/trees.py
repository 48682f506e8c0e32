"""Gradient-boosted trees: XGBoost, small and regularised, with rounds and depth chosen by cross-validation.

XGBoost's own defaults (depth 6, rate 0.3, no regularisation to speak of) overfit tables of some ten thousand customers,
so trees here are shallow, slow and stopped early. Classes are neither weighted nor resampled: either would bend the
probabilities that everything after this relies on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from contracts.feature_table import FeatureTable
from training.folds import Fold

Parameters = dict[str, Any]
Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
Margins = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)

COMMON: Parameters = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "subsample": 0.8,
    "colsample_bytree": 0.8,
}
CANDIDATES: tuple[Parameters, ...] = (
    {"max_depth": 2, "eta": 0.1, "min_child_weight": 10, "lambda": 5.0},
    {"max_depth": 3, "eta": 0.05, "min_child_weight": 10, "lambda": 5.0},
    {"max_depth": 4, "eta": 0.05, "min_child_weight": 20, "lambda": 10.0},
    {"max_depth": 6, "eta": 0.03, "min_child_weight": 30, "lambda": 20.0},
)
LARGE: Parameters = {  # at 300,000 rows of known truth closer to it than deeper trees, which learn the rare by heart
    "max_depth": 3,
    "eta": 0.15,
    "min_child_weight": 50,
    "lambda": 10.0,
    "subsample": 1.0,  # nothing is drawn: XGBoost would draw otherwise after a checkpoint
    "colsample_bytree": 1.0,
}
BAG = 5  # trees grown side by side in each round of the final model, each on its own sample of rows and columns
MAX_ROUNDS = 2000
PATIENCE_ROUNDS = 30


@dataclass(frozen=True)
class Search:
    """What cross-validation found for one candidate: its rounds, the mean log loss, and margins of the checked rows.

    ``margins`` is NaN in rows that no fold checked, ndarray of shape (n_rows,).
    """

    parameters: Parameters
    rounds: int
    log_loss: float
    margins: Margins


def bin_matrix(
    matrix: Matrix, labels: Labels | None, table: FeatureTable, reference: xgb.DMatrix | None = None
) -> xgb.QuantileDMatrix:
    """Bin rows for XGBoost; rows to check use the bins of ``reference``.

    Features go by their place: names are the brand's and the partner's, and may hold what XGBoost forbids in a name.
    """
    return xgb.QuantileDMatrix(
        matrix, label=labels, feature_types=feature_types(table), enable_categorical=True, ref=reference
    )


def feature_types(table: FeatureTable) -> list[str]:
    """Write the kinds of the features as XGBoost names them."""
    return ["c" if feature.kind == "category" else "q" for feature in table.features]


def grow(train: xgb.QuantileDMatrix, rounds: int, parameters: Parameters, seed: int, bag: int = BAG) -> xgb.Booster:
    """Grow a final model for a number of rounds known to be right."""
    settings = {**COMMON, **parameters, "seed": seed, "num_parallel_tree": bag}
    return xgb.train(settings, train, num_boost_round=rounds)


def grow_until_flat(
    train: xgb.QuantileDMatrix,
    check: xgb.QuantileDMatrix,
    parameters: Parameters,
    seed: int,
    callbacks: list[xgb.callback.TrainingCallback] | None = None,
) -> tuple[xgb.Booster, list[float]]:
    """Grow until the checked rows have not improved for ``PATIENCE_ROUNDS``; return all trees and each round's loss."""
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        {**COMMON, **parameters, "seed": seed},
        train,
        num_boost_round=MAX_ROUNDS,
        evals=[(check, "check")],
        early_stopping_rounds=PATIENCE_ROUNDS,
        evals_result=history,
        verbose_eval=False,
        callbacks=callbacks,
    )
    return booster, history["check"]["logloss"]


def cross_validate(
    matrix: Matrix, labels: Labels, table: FeatureTable, folds: list[Fold], parameters: Parameters, seed: int
) -> Search:
    """Find the number of rounds that is best over all folds, and what the trees then say of each checked row.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
    labels : ndarray of shape (n_rows,), int8
    """
    grown, losses, sizes = [], [], []
    for fold in folds:
        train = bin_matrix(matrix[fold.learn], labels[fold.learn], table)
        check = bin_matrix(matrix[fold.check], labels[fold.check], table, train)
        booster, history = grow_until_flat(train, check, parameters, seed)
        grown.append(booster)
        losses.append(history)
        sizes.append(len(fold.check))
    shortest = min(len(history) for history in losses)
    mean = np.average([history[:shortest] for history in losses], axis=0, weights=sizes)
    rounds = int(mean.argmin()) + 1
    margins = np.full(len(labels), np.nan)
    for booster, fold in zip(grown, folds, strict=True):
        margins[fold.check] = booster.inplace_predict(
            matrix[fold.check], predict_type="margin", iteration_range=(0, rounds)
        )
    logger.info("depth=%d rounds=%d logloss=%.5f", parameters["max_depth"], rounds, mean[rounds - 1])
    return Search(parameters, rounds, float(mean[rounds - 1]), margins)


def search_candidates(
    matrix: Matrix,
    labels: Labels,
    table: FeatureTable,
    folds: list[Fold],
    seed: int,
    candidates: tuple[Parameters, ...],
    note: Callable[[Search], None],
) -> Search:
    """Cross-validate candidates, given from shallow to deep, until a deeper one is no better; return the best."""
    best: Search | None = None
    for parameters in candidates:
        found = cross_validate(matrix, labels, table, folds, parameters, seed)
        note(found)
        if best and found.log_loss >= best.log_loss:
            break
        best = found
    if best is None:
        raise AssertionError("there is always a candidate")
    return best


def train_once(
    matrix: Matrix, labels: Labels, table: FeatureTable, fold: Fold, parameters: Parameters, seed: int
) -> tuple[Search, xgb.Booster]:
    """Grow one booster on a fold's rows to learn from, stopped on those to check."""
    train = bin_matrix(matrix[fold.learn], labels[fold.learn], table)
    check = bin_matrix(matrix[fold.check], labels[fold.check], table, train)
    booster, history = grow_until_flat(train, check, parameters, seed)
    rounds = int(np.argmin(history)) + 1
    booster = booster[:rounds]
    margins = np.full(len(labels), np.nan)
    margins[fold.check] = booster.inplace_predict(matrix[fold.check], predict_type="margin")
    logger.info("rounds=%d logloss=%.5f", rounds, history[rounds - 1])
    return Search(parameters, rounds, history[rounds - 1], margins), booster
