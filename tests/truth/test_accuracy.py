"""How close to the truth our models come, and to the best of three that an expert would try first.

Each cell of the grid, customers x positives x partner, is drawn with 20 seeds, and every model is scored on 200,000
fresh customers against their true probabilities, so that no noise of labels is in AUC or ECE. All cells and seeds take
about an hour and a half on one free core, most of it the cells of 300,000; ``TRUTH_SEEDS=3`` takes fewer seeds and
``-k "30000-"`` some of the cells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from tests.truth.learners import learn
from tests.truth.synthetic import (
    FRESH_ROWS,
    FRESH_SEED,
    LABEL,
    RATES,
    SIZES,
    Population,
    expected_auc,
    expected_calibration_error,
    make_population,
)

pytestmark = pytest.mark.long

SEEDS = int(os.environ.get("TRUTH_SEEDS", "20"))
OTHERS = ("logistic regression", "LightGBM", "XGBoost defaults")
PARTNERS = {"informs": True, "useless": False}
CELLS = [(size, rate, partner) for size in SIZES for rate in RATES for partner in PARTNERS]


def cells(*sizes: int) -> pytest.MarkDecorator:
    found = [cell for cell in CELLS if cell[0] in sizes]
    ids = [f"{size}-{rate:.0%}-{partner}" for size, rate, partner in found]
    return pytest.mark.parametrize(("size", "rate", "partner"), found, ids=ids)


@dataclass(frozen=True)
class Cell:
    """Mean AUC over the seeds of each model and of the truth; the highest ECE of ours."""

    auc: dict[str, float]
    truth: float
    worst_error: float


@cache
def fresh_customers(rate: float, partner: str) -> Population:
    return make_population(FRESH_ROWS, rate, PARTNERS[partner], FRESH_SEED)


@cache
def measure(size: int, rate: float, partner: str) -> Cell:
    began, fresh = time.perf_counter(), fresh_customers(rate, partner)
    auc: dict[str, list[float]] = {name: [] for name in ("ours", *OTHERS)}
    errors = []
    for seed in range(SEEDS):
        population = make_population(size, rate, PARTNERS[partner], seed)
        for name, found in auc.items():
            scores = learn(name, population.rows, population.table, LABEL, seed)(fresh.rows)
            found.append(expected_auc(scores, fresh.truth))
            if name == "ours":
                errors.append(expected_calibration_error(scores, fresh.truth))
    cell = Cell(
        {n: float(np.mean(found)) for n, found in auc.items()}, expected_auc(fresh.truth, fresh.truth), max(errors)
    )
    values = "".join(f"{value:>21.4f}" for value in (cell.truth, *cell.auc.values(), cell.worst_error))
    print(f"\n{size:>7,} {rate:>4.0%} {partner}{values}{time.perf_counter() - began:>8.0f} s", end="", flush=True)  # noqa: T201
    return cell


@pytest.fixture(scope="module", autouse=True)
def heading() -> Iterator[None]:
    titles = "".join(f"{title:>21}" for title in ("truth", "ours", *OTHERS, "worst ECE of ours"))
    print(f"\n\nmean AUC over {SEEDS} seeds\n{'customers, positives':<20}{titles}", end="")  # noqa: T201
    yield
    print()  # noqa: T201


@cells(*SIZES)
def test_is_never_far_below_the_best_of_what_an_expert_tries_first(size: int, rate: float, partner: str) -> None:
    auc = measure(size, rate, partner).auc
    assert auc["ours"] >= max(auc[name] for name in OTHERS) - 0.005


@cells(300_000)
def test_comes_close_to_the_truth_on_many_customers(size: int, rate: float, partner: str) -> None:
    cell = measure(size, rate, partner)
    assert cell.auc["ours"] >= cell.truth - 0.01


@cells(30_000)
def test_predictions_keep_their_word(size: int, rate: float, partner: str) -> None:
    assert measure(size, rate, partner).worst_error <= 0.02
