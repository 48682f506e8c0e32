"""Customers of examples/synthetic as a feature table, and how well scores do where the true probabilities are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.feature_table import Feature, FeatureTable, with_categories
from examples.synthetic.make_data import draw_customers

Scores = npt.NDArray[np.float64]

LABEL = "label__buy"
FRESH_ROWS = 200_000
FRESH_SEED = 1_000_000  # customers that no model was trained on
SIZES = (3_000, 30_000, 300_000)
RATES = (0.02, 0.10, 0.40)
GROUPS = 20


@dataclass(frozen=True)
class Population:
    """A feature table, its contract, and each row's true probability, with and without the partner's columns."""

    rows: pa.Table
    table: FeatureTable
    truth: Scores
    own_truth: Scores


def make_population(size: int, rate: float, partner_informs: bool, seed: int) -> Population:
    customers = draw_customers(size, rate, partner_informs, seed)
    columns = {
        name: pa.array(values, pa.string() if values.dtype.kind in "OU" else pa.float64(), from_pandas=True)
        for name, values in (customers.own | customers.partner).items()
    }
    features = tuple(
        Feature(name, "category" if pa.types.is_string(column.type) else "number", party)
        for party, names in (("brand", customers.own), ("partner", customers.partner))
        for name, column in ((name, columns[name]) for name in names)
    )
    rows = pa.table(
        {
            "customer_key": pa.array([f"k{number:06d}" for number in range(size)]),
            "snapshot_date": pa.array(np.full(size, np.datetime64(date(2026, 4, 1))), pa.date32()),
            "split": pa.array(np.where(np.random.default_rng([seed, 3]).random(size) < 0.25, "validation", "train")),
            LABEL: pa.array(customers.label),
            **columns,
        }
    )
    table = with_categories(FeatureTable(features, "0" * 64), rows)
    return Population(rows, table, customers.propensity, customers.own_propensity)


def own_columns(table: FeatureTable) -> FeatureTable:
    """The contract without the partner's columns."""
    return FeatureTable(tuple(f for f in table.features if f.party == "brand"), table.definition_sha256)


def expected_auc(scores: Scores, truth: Scores) -> float:
    """AUC in the mean over all labels that the true probabilities may give: the noise of labels is not in it."""
    _, place = np.unique(scores, return_inverse=True)
    positives, negatives = np.bincount(place, truth), np.bincount(place, 1 - truth)
    below = np.cumsum(negatives) - negatives / 2  # of equal scores, half
    return float((positives * below).sum() / (positives.sum() * negatives.sum()))


def expected_calibration_error(scores: Scores, outcome: Scores) -> float:
    """ECE over 20 groups of equally many customers by score: the mean distance of mean score and mean outcome.

    ``outcome`` is the true probability where it is known, else the label.
    """
    groups = np.array_split(np.argsort(scores, kind="stable"), GROUPS)
    return float(
        np.average([abs(scores[g].mean() - outcome[g].mean()) for g in groups], weights=[len(g) for g in groups])
    )


def expected_extra(both: Scores, own: Scores, outcome: Scores, percent: float) -> float:
    """Extra positives per 1,000 contacts when the best ``percent`` are chosen by ``both`` instead of by ``own``."""
    people = -(-len(outcome) * percent // 100)
    found = [outcome[np.argsort(-scores, kind="stable")[: int(people)]].sum() for scores in (both, own)]
    return float(1000 * (found[0] - found[1]) / people)
