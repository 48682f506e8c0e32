"""Rows to model: trees and, where it helps, a linear member, chosen and calibrated on rows that they had not seen.

Up to ``SMALL_ROWS`` rows everything is cross-validated and the model learns from all rows; above that, one booster
learns from the training part, batch by batch, and is stopped and calibrated on the validation part; what else is asked
of such rows is asked of a sample of them. The test part is never here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost as xgb

from contracts.errors import ContractError
from contracts.feature_table import PARQUET_NAME, FeatureTable, encode, with_categories
from inference.ensemble import Ensemble, LinearMember, Settings, sigmoid
from training import trees
from training.calibrate import fit_calibration
from training.folds import Fold, ordered_folds, people_of, random_folds, read_times, usable
from training.hosts import unite
from training.large import Checkpoints, bin_rows, grow_watched, needs_disk
from training.linear import STRENGTHS, fit_linear
from training.rows import Rows, learn_categories, rows_of
from training.trees import Search

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
Margins = npt.NDArray[np.float64]

SMALL_ROWS = 200_000
WEIGHTS = np.linspace(0, 1, 11)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Rows to learn from: matrix of shape (n_rows, n_features), labels, customers and times (None: of one time)."""

    matrix: Matrix
    labels: Labels
    people: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64] | None
    table: FeatureTable
    folds: list[Fold]

    @property
    def checked(self) -> npt.NDArray[np.intp]:
        """Places of the rows that some fold checks."""
        return np.concatenate([fold.check for fold in self.folds])


@dataclass(frozen=True)
class Learned:
    """A model, and what its like, learned without them, said of the rows to check.

    ``margins`` is of every row of the sample, NaN where it was not checked; ``checked`` holds margins and labels of all
    rows that were, which for a large table are more than the sample's.
    """

    ensemble: Ensemble
    table: FeatureTable
    margins: Margins
    checked: tuple[Margins, Labels]
    rounds: int
    parameters: trees.Parameters
    trials: tuple[Search, ...]

    def predict(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Score rows; see ``Ensemble.predict``."""
        return self.ensemble.predict(matrix)


@dataclass(frozen=True)
class Members:
    """Members and weight that cross-validation chose, with the margins of the checked rows."""

    search: Search
    trials: tuple[Search, ...]
    linear_weight: float
    strength: float
    margins: Margins


def take_sample(rows: pa.Table, table: FeatureTable, label: str, seed: int, is_of_more: bool = False) -> Sample:
    """Encode rows and divide them into folds.

    Parameters
    ----------
    rows : Table of shape (n_rows, any)
        Key columns, ``label`` and the features.
    is_of_more : bool
        These stand for more rows: ``table`` knows their categories, and the one fold is the one that those are given.

    Raises
    ------
    ContractError
        If no fold can be made in which the label varies.
    """
    table = table if is_of_more else with_categories(table, rows)
    labels = rows.column(label).to_numpy().astype(np.int8)
    people, times = people_of(rows), read_times(rows)
    if is_of_more:
        split = rows.column("split").to_numpy(zero_copy_only=False)
        folds = [Fold(np.flatnonzero(split == "train"), np.flatnonzero(split == "validation"))]
    elif times is None:
        folds = random_folds(people, seed)
    else:
        folds = ordered_folds(people, times, seed)
    folds = usable(folds, labels)
    if not folds:
        raise ContractError(
            f"{label} can't be learned: {int(labels.sum()):,} of {len(labels):,} have it",
            where=PARQUET_NAME,
            why="no part of the rows can be held back in which it varies",
            fix="bring more customers",
        )
    return Sample(encode(rows, table, where=PARQUET_NAME), labels, people, times, table, folds)


def leave_out(sample: Sample, names: tuple[str, ...]) -> Sample:
    """Hide features from a model: to it they are missing for everybody, so nothing it learns depends on them."""
    matrix = sample.matrix.copy(order="K")
    matrix[:, [feature.name in names for feature in sample.table.features]] = np.nan
    return replace(sample, matrix=matrix)


def select_party(sample: Sample, party: str) -> Sample:
    """Keep one party's features."""
    places = [place for place, feature in enumerate(sample.table.features) if feature.party == party]
    table = replace(sample.table, features=tuple(sample.table.features[place] for place in places))
    return replace(sample, matrix=sample.matrix[:, places], table=table)


def log_loss(margins: Margins, labels: Labels) -> Margins:
    """Return each row's log loss, ndarray of shape (n_rows,)."""
    return np.logaddexp(0, np.where(labels == 1, -margins, margins))


def check_linear(sample: Sample, strength: float, seed: int) -> Margins:
    """Return what the linear member says of the checked rows, learned without them."""
    margins = np.full(len(sample.labels), np.nan)
    for fold in sample.folds:
        member = fit_linear(sample.matrix[fold.learn], sample.labels[fold.learn], sample.table, strength, seed)
        margins[fold.check] = member.margins(sample.matrix[fold.check])
    return margins


def choose_members(sample: Sample, seed: int, parameters: tuple[trees.Parameters, ...] = trees.CANDIDATES) -> Members:
    """Cross-validate trees, linear member and the weight between them.

    The linear member shares in the score only if the mean loss falls by more than its paired standard error: less than
    that is not worth a second member.
    """
    trials: list[Search] = []
    best = trees.search_candidates(
        sample.matrix, sample.labels, sample.table, sample.folds, seed, parameters, trials.append
    )
    rows = sample.checked
    labels = sample.labels[rows]
    candidates = [(strength, check_linear(sample, strength, seed)) for strength in STRENGTHS]
    strength, linear = min(candidates, key=lambda pair: float(log_loss(pair[1][rows], labels).mean()))
    alone = log_loss(best.margins[rows], labels)
    mixed = [log_loss((1 - w) * best.margins[rows] + w * linear[rows], labels) for w in WEIGHTS]
    place = int(np.argmin([loss.mean() for loss in mixed]))
    gain = alone - mixed[place]
    weight = float(WEIGHTS[place]) if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0.0
    logger.info("linear weight=%.1f C=%g gain=%.5f", weight, strength, gain.mean())
    return Members(best, tuple(trials), weight, strength, (1 - weight) * best.margins + weight * linear)


def learn_small(sample: Sample, seed: int, parameters: tuple[trees.Parameters, ...] = trees.CANDIDATES) -> Learned:
    """Choose by cross-validation, then learn from every row."""
    members = choose_members(sample, seed, parameters)
    search = members.search
    booster = trees.grow(
        trees.bin_matrix(sample.matrix, sample.labels, sample.table), search.rounds, search.parameters, seed
    )
    linear: LinearMember | None = None
    if members.linear_weight:
        linear = fit_linear(sample.matrix, sample.labels, sample.table, members.strength, seed)
    return finish(sample, booster, members.linear_weight, linear, members.margins, search, members.trials)


def learn_once(sample: Sample, seed: int) -> Learned:
    """Learn from a sample of a large table as ``learn_large`` does from all of it."""
    (fold,) = sample.folds
    search, booster = trees.train_once(sample.matrix, sample.labels, sample.table, fold, trees.LARGE, seed)
    return finish(sample, booster, 0.0, None, search.margins, search, (search,))


def know_categories(rows: Rows) -> Rows:
    """Fill in the categories of all hosts' rows."""
    table = learn_categories(rows)
    features = tuple(replace(feature, categories=unite(feature.categories)) for feature in table.features)
    return replace(rows, table=replace(table, features=features))


def learn_large(rows: Rows, seed: int, kept: Path | None = None) -> Learned:
    """Learn one booster from the training part, stopped and calibrated on the validation part.

    Of several hosts each brings its own rows and ends with the same trees; each calibrates on its own validation part,
    and the first one's model counts.

    Parameters
    ----------
    rows : Rows
        With their categories.
    kept : Path or None
        Folder of the checkpoints.
    """
    identity = {
        "rows": [*unite(rows.hashes()), rows.table.fingerprint, rows.label, *rows.left_out],
        "parameters": [trees.COMMON, trees.LARGE, seed, xgb.__version__],
    }
    checkpoints = Checkpoints(kept, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())
    with tempfile.TemporaryDirectory(prefix="bins-") as folder:
        cache = Path(folder) if needs_disk(rows.count, len(rows.table.features)) else None
        train = bin_rows(rows, "train", cache)
        check = bin_rows(rows, "validation", cache, train)
        booster, losses = grow_watched(train, check, trees.LARGE, seed, checkpoints)
        del train, check
    rounds = int(np.argmin(losses)) + 1
    booster = booster[:rounds]
    found = [(booster.inplace_predict(matrix, predict_type="margin"), y) for matrix, y in rows.read("validation")]
    margins = np.concatenate([margin for margin, _ in found]).astype(np.float64)
    labels = np.concatenate([y for _, y in found])
    logger.info("rounds=%d logloss=%.5f", rounds, losses[rounds - 1])
    search = Search(trees.LARGE, rounds, losses[rounds - 1], margins)
    ensemble = Ensemble(booster, Settings(0.0, None, fit_calibration(margins, labels)))
    return Learned(ensemble, rows.table, margins, (margins, labels), rounds, trees.LARGE, (search,))


def finish(
    sample: Sample,
    booster: xgb.Booster,
    weight: float,
    linear: LinearMember | None,
    margins: Margins,
    search: Search,
    trials: tuple[Search, ...],
) -> Learned:
    """Calibrate on the checked rows and put the model together."""
    rows = sample.checked
    calibration = fit_calibration(margins[rows], sample.labels[rows])
    ensemble = Ensemble(booster, Settings(weight, linear, calibration))
    checked = margins[rows], sample.labels[rows]
    return Learned(ensemble, sample.table, margins, checked, search.rounds, search.parameters, trials)


def learn(rows: pa.Table, table: FeatureTable, label: str, seed: int) -> Learned:
    """Learn a model of one label; what notebooks and benchmarks call.

    Parameters
    ----------
    rows : Table of shape (n_rows, any)
        Training and validation parts of a feature table.
    table : FeatureTable
        Its contract.
    label : str
        Name of the label's column.
    seed : int
        The same seed and rows give the same model.

    Returns
    -------
    Learned
        ``table`` has the categories filled in; ``predict`` takes what ``encode`` makes with it.

    Raises
    ------
    ContractError
        If the label can't be learned.
    """
    if rows.num_rows > SMALL_ROWS:
        return learn_large(know_categories(rows_of(rows, table, label)), seed)
    return learn_small(take_sample(rows, table, label, seed), seed)


def calibrated(learned: Learned) -> npt.NDArray[np.float64]:
    """Return calibrated probabilities of the checked rows."""
    return sigmoid(learned.ensemble.settings.calibration.apply(learned.checked[0]))
