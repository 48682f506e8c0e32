"""What is suspicious in the rows themselves: a feature that gives the answer away, or that is a date in disguise.

Pure functions; who judges what they find is ``training.checks``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson
from sklearn.metrics import roc_auc_score

from contracts.feature_table import FeatureTable
from contracts.training_facts import Disguised, Single
from training.folds import Fold
from training.quality import auc_interval
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
SURELY = 0.01
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

    Each bin of the column is scored with its label rate in the rows of a fold that were learned from (drawn to the mean
    by ``PRIOR_ROWS`` rows), and the scores are ranked on those that were not: so a feature of many values gains nothing
    from them, and one that goes up and down is caught, too. The folds' areas are averaged, each with its own variance.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
    labels : ndarray of shape (n_rows,), int8
    """
    found = []
    for place, feature in enumerate(table.features):
        codes = bin_codes(matrix[:, place], feature.kind)
        size, ranked = int(codes.max()) + 1, []
        for fold in folds:
            counts = np.bincount(codes[fold.learn], minlength=size)
            positives = np.bincount(codes[fold.learn], weights=labels[fold.learn], minlength=size)
            base = float(labels[fold.learn].mean())
            rates = (positives + PRIOR_ROWS * base) / (counts + PRIOR_ROWS)
            ranked.append(auc_interval(rates[codes[fold.check]], labels[fold.check])[:2])
        auc, half = float(np.mean([auc for auc, _ in ranked])), math.hypot(*(auc - low for auc, low in ranked))
        found.append(Single(feature.name, feature.party, auc, auc - half / len(ranked)))
    return tuple(sorted(found, key=lambda single: (-single.auc, single.feature)))


def find_disguised(
    matrix: Matrix, table: FeatureTable, times: npt.NDArray[np.int64] | None, seed: int
) -> tuple[Disguised, ...]:
    """Find features that are the same for everybody at one time: they tell the date, not the person.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
    times : ndarray of shape (n_rows,), int64, or None
        The rows' times, numbered; None where rows have none.

    Notes
    -----
    In time order, such a feature changes from row to row far less often than its values' shares p would have it in
    random order, which is in 1 - sum(p^2) of the rows. Looked at are the rows in which it is known; those of one time
    come at random, for the order of their keys may tell more than the time. Only numbers: a category that goes by time
    is a season (a month, a weekday), which comes back.
    """
    if times is None or len(times) < DISGUISED_ROWS:
        return ()
    order = np.lexsort((np.random.default_rng(seed).permutation(len(times)), times))
    blocks = len(np.unique(times))
    found = []
    for place, feature in enumerate(table.features):
        if feature.kind != "number":
            continue
        values = matrix[order, place]
        values = values[~np.isnan(values)]
        shares = np.unique(values, return_counts=True)[1] / len(values)
        expected = float(1 - (shares**2).sum()) * (len(values) - 1)
        changes = int((values[1:] != values[:-1]).sum())
        if expected < DISGUISED_ROWS / 4 or not changes >= 1 or (blocks > 2 and changes < 2):
            continue
        ratio = changes / expected
        if ratio <= DISGUISED_RATIO:
            found.append(Disguised(feature.name, feature.party, ratio))
    return tuple(found)


def are_people(counts: npt.NDArray[np.int64]) -> bool:
    """Tell if rows come in twos, or in threes, as chance does not have it where features are coarse.

    Parameters
    ----------
    counts : ndarray of shape (n_contents,), int64
        How many rows have each content.

    Notes
    -----
    Where rows fall on contents by chance, however unevenly, their number in a content is a mixture of Poissons, and the
    expected numbers n_r of contents with r rows keep (r! n_r)^2 <= (r-1)! n_(r-1) (r+1)! n_(r+1) (moments of a mixture
    are log-convex). Far fewer contents of r + 1 rows than that means that those of r are no accident.
    """
    once, twice, thrice, more = (int((counts == size).sum()) for size in (1, 2, 3, 4))
    for before, found, after, ratio in ((once, twice, thrice, 2 / 3), (twice, thrice, more, 3 / 4)):
        fewest = max(found - 2 * math.sqrt(found), 0.0)  # both numbers are themselves by chance
        if float(poisson.cdf(after, ratio * fewest**2 / (before + 2 * math.sqrt(before) + 1))) < SURELY:
            return True
    return False


def probe_shuffled(
    matrix: Matrix, labels: Labels, people: npt.NDArray[np.int64], table: FeatureTable, fold: Fold, seed: int
) -> tuple[float, float]:
    """Learn labels that were dealt out at random, and rank with them the rows to check: nothing may be learned.

    A customer keeps one label, and so do twins: two or three rows, equal in every feature, as one person under two keys
    would be, where they are more than chance gives (``are_people``). So an area under the curve above chance means that
    the same people are learned from and tested on.

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
    is_twin = (counts[content] > 1) & (counts[content] <= 3) & are_people(counts)
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
