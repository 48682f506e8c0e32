"""What is suspicious in the rows themselves: a feature that gives the answer away, or that is a date in disguise.

Pure functions; who judges what they find is ``training.checks``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from contracts.feature_table import FeatureTable
from contracts.training_facts import Disguised, Single
from training.folds import Fold
from training.trees import bin_matrix, grow

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
Codes = npt.NDArray[np.int64]

BINS = 20
PRIOR_ROWS = 20
DISGUISED_RATIO = 0.05
DISGUISED_ROWS = 200  # with fewer rows, or fewer changes expected, runs of one value happen by chance
MAX_ROWS = 100_000
PROBE_ROUNDS = 30
PROBE = {"max_depth": 6, "eta": 0.3, "min_child_weight": 1, "lambda": 1.0}


def bin_codes(values: npt.NDArray[np.float32], kind: str) -> Codes:
    """Return the bin of each value: equal groups of a number, a category's own code; missing is a bin of its own."""
    missing = ~np.isfinite(values)
    if kind == "category":
        codes = np.where(missing, -1, values)
    else:
        known = values[~missing]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
        codes = np.where(missing, -1, np.searchsorted(edges, np.where(missing, 0, values), side="right"))
    return codes.astype(np.int64) + 1


def measure_singles(matrix: Matrix, labels: Labels, table: FeatureTable, folds: list[Fold]) -> tuple[Single, ...]:
    """Measure what each feature predicts alone, the strongest first.

    Each bin of the column is scored with its label rate in the rows of the first fold that were learned from (drawn to
    the mean by ``PRIOR_ROWS`` rows), and the score is ranked on those that were not: so a feature of many values gains
    nothing from them, and one that goes up and down is caught, too.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
    labels : ndarray of shape (n_rows,), int8
    """
    fold = folds[-1]
    learn, check = fold.learn[-MAX_ROWS:], fold.check[:MAX_ROWS]
    base = float(labels[learn].mean())
    found = []
    for place, feature in enumerate(table.features):
        codes = bin_codes(np.concatenate([matrix[learn, place], matrix[check, place]]), feature.kind)
        seen, asked = codes[: len(learn)], codes[len(learn) :]
        size = int(codes.max()) + 1
        counts = np.bincount(seen, minlength=size)
        positives = np.bincount(seen, weights=labels[learn], minlength=size)
        rates = (positives + PRIOR_ROWS * base) / (counts + PRIOR_ROWS)
        auc = float(roc_auc_score(labels[check], rates[asked]))
        found.append(Single(feature.name, feature.party, max(auc, 1 - auc)))
    return tuple(sorted(found, key=lambda single: (-single.auc, single.feature)))


def find_disguised(matrix: Matrix, table: FeatureTable, times: npt.NDArray[np.int64] | None) -> tuple[Disguised, ...]:
    """Find features that are the same for everybody at one time: they tell the date, not the person.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
    times : ndarray of shape (n_rows,), int64, or None
        The rows' times, numbered; None where rows have none.

    Notes
    -----
    In time order, such a feature changes from row to row far less often than its values' shares p would have it in
    random order, which is in 1 - sum(p^2) of the rows. Only numbers: a category that goes by time is a season (a month,
    a weekday), which comes back.
    """
    if times is None or len(times) < DISGUISED_ROWS:
        return ()
    order = np.argsort(times, kind="stable")
    blocks = len(np.unique(times))
    found = []
    for place, feature in enumerate(table.features):
        if feature.kind != "number":
            continue
        values = matrix[order, place]
        values = np.where(np.isnan(values), np.float32(-3.4e38), values)
        shares = np.unique(values, return_counts=True)[1] / len(values)
        expected = float(1 - (shares**2).sum()) * (len(values) - 1)
        changes = int((values[1:] != values[:-1]).sum())
        if expected < DISGUISED_ROWS / 4 or not changes >= 1 or (blocks > 2 and changes < 2):
            continue
        ratio = changes / expected
        if ratio <= DISGUISED_RATIO:
            found.append(Disguised(feature.name, feature.party, ratio))
    return tuple(found)


def probe_shuffled(
    matrix: Matrix, labels: Labels, people: npt.NDArray[np.int64], table: FeatureTable, fold: Fold, seed: int
) -> tuple[float, float]:
    """Learn labels that were dealt out at random, and rank with them the rows to check: nothing may be learned.

    A customer keeps one label, and so do rows that are twins: two or three rows, equal in every feature, as one person
    under two keys would be. (Where more rows are equal, features are coarse and equality means little.) So an area
    under the curve above chance means that the same people are learned from and tested on.

    Returns
    -------
    tuple of (float, float)
        Area under the ROC curve and its standard error where nothing can be learned (Hanley and McNeil 1982: with equal
        scores, (n + m + 1) / 12nm).
    """
    generator = np.random.default_rng(seed)
    learn, check = fold.learn[-MAX_ROWS:], fold.check[:MAX_ROWS]
    used = np.concatenate([learn, check])
    rows = np.ascontiguousarray(matrix[used])
    _, content, counts = np.unique(
        rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel(),
        return_inverse=True,
        return_counts=True,
    )
    is_twin = (counts[content] > 1) & (counts[content] <= 3)
    by_person = generator.random(int(people.max()) + 1)[people[used]]
    by_content = generator.random(len(counts))[content]
    draw = np.where(is_twin, by_content, by_person)
    shuffled = (draw < max(float(labels[used].mean()), 0.05)).astype(np.int8)
    learned, asked = shuffled[: len(learn)], shuffled[len(learn) :]
    if not (0 < learned.sum() < len(learned) and 0 < asked.sum() < len(asked)):
        return 0.5, 0.5
    booster = grow(bin_matrix(matrix[learn], learned, table), PROBE_ROUNDS, PROBE, seed, bag=1)
    auc = float(roc_auc_score(asked, booster.inplace_predict(matrix[check])))
    positives = int(asked.sum())
    negatives = len(asked) - positives
    return auc, math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
