"""Whether the value that is put on a partner's data is right, where its true value is known.

A run draws 30,000 customers, 10 % of whom are positive, and lets the partner's data be priced at the best tenth: extra
positives per 1,000 contacts with a 95 % interval. In half of the 200 runs the partner knows something (.02 of AUC for
the best possible scores, which tests/truth/test_synthetic.py holds), in the other half nothing.

The true value is that of the models that the customers would get: both models, with and without the partner's columns,
learn from the same rows and choose the best tenth of 200,000 fresh customers; what they gain is summed from the true
probabilities, so it has no noise of labels. It differs from run to run, since the models do.

The oracle's interval is the narrowest that is honest: it knows these scores and each fresh customer's true probability.
It draws 30,000 of the fresh customers and their labels 200 times over and takes 2 x 1.96 standard deviations of the
paired estimate (the same customers and labels for both scores). Whoever must learn from the data as well knows less.

All runs take about an hour on one free core; ``TRUTH_RUNS=20`` makes fewer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from contracts.evaluation import Gain
from contracts.feature_table import encode
from tests.truth.synthetic import (
    FRESH_ROWS,
    FRESH_SEED,
    LABEL,
    Population,
    Scores,
    expected_extra,
    make_population,
)
from training.learn import learn_small, select_party, take_sample
from training.partner_value import compare_models

pytestmark = pytest.mark.long

RUNS = int(os.environ.get("TRUTH_RUNS", "200"))
SIZE, RATE, PERCENT = 30_000, 0.10, 10
DRAWS = 200
Z = 1.96


@dataclass(frozen=True)
class Run:
    """What was said of the partner's data in one run, what is true, and the width of the oracle's interval."""

    said: Gain
    truth: float
    oracle_width: float

    @property
    def is_covered(self) -> bool:
        return self.said.low <= self.truth <= self.said.high

    @property
    def is_called_useful(self) -> bool:
        return self.said.low > 0  # as insights.partner words it

    @property
    def is_called_no_gain(self) -> bool:
        return self.said.low <= 0 <= self.said.high  # "adds nothing" or "can't tell"; below: "makes it worse"


def spread_of_draws(both: Scores, own: Scores, outcome: Scores, percent: float, seed: int) -> float:
    """Standard deviation of the paired estimate over draws of 30,000 customers; probabilities are drawn as labels."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(outcome), SIZE)
        labels = (rng.random(SIZE) < outcome[drawn]).astype(float)
        found.append(expected_extra(both[drawn], own[drawn], labels, percent))
    return float(np.std(found, ddof=1))


@cache
def fresh_customers(partner_informs: bool) -> Population:
    return make_population(FRESH_ROWS, RATE, partner_informs, FRESH_SEED)


@cache
def run(partner_informs: bool, seed: int) -> Run:
    fresh, population = fresh_customers(partner_informs), make_population(SIZE, RATE, partner_informs, seed)
    sample = take_sample(population.rows, population.table, LABEL, seed)
    models = [learn_small(part, seed) for part in (select_party(sample, "brand"), sample)]
    said = compare_models(sample, *models, PERCENT, seed).at_cut
    own, both = (model.predict(encode(fresh.rows, model.table, where="fresh")).astype(float) for model in models)
    truth = expected_extra(both, own, fresh.truth, PERCENT)
    found = Run(said, truth, 2 * Z * spread_of_draws(both, own, fresh.truth, PERCENT, seed))
    print(  # noqa: T201
        f"\npartner {'informs' if partner_informs else 'useless'}, seed {seed:>3}: said {said.extra:>5.1f} "
        f"({said.low:.1f} to {said.high:.1f}), true {truth:.1f}, oracle's width {found.oracle_width:.1f}",
        end="",
        flush=True,
    )
    return found


def runs(partner_informs: bool) -> list[Run]:
    return [run(partner_informs, seed) for seed in range(RUNS // 2)]


def share(claims: list[bool]) -> float:
    return sum(claims) / len(claims)


def test_partner_that_informs_is_called_useful() -> None:
    assert share([found.is_called_useful for found in runs(True)]) >= 0.80


def test_useless_partner_is_said_to_add_nothing_or_not_to_be_told() -> None:
    assert share([found.is_called_no_gain for found in runs(False)]) >= 0.90


def test_interval_holds_the_true_value() -> None:
    assert share([found.is_covered for found in runs(True) + runs(False)]) >= 0.90


def test_interval_is_at_most_twice_as_wide_as_that_of_an_oracle() -> None:
    found = runs(True) + runs(False)
    said = np.median([run.said.high - run.said.low for run in found])
    assert said <= 2 * np.median([run.oracle_width for run in found])
