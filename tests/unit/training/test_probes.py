"""What is suspicious in rows, and what only looks so: dates in disguise, twins, facts that give the answer away."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.feature_table import Feature, FeatureTable
from training.folds import random_folds
from training.probes import are_people, find_disguised, measure_singles, probe_shuffled

SIZE = 4000
ONE = FeatureTable((Feature("rate", "number", "partner"),), "a" * 64)


def disguised(values: np.ndarray, times: np.ndarray) -> list[str]:
    return [found.feature for found in find_disguised(values.astype(np.float32)[:, None], ONE, times, seed=7)]


@pytest.mark.parametrize("unmatched", [0.0, 0.05, 0.4, 0.7])
def test_date_in_disguise_is_found_however_many_customers_the_partner_does_not_know(unmatched: float) -> None:
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 40, SIZE))
    rates = rng.normal(size=40)[times]
    rates[rng.random(SIZE) < unmatched] = np.nan
    assert disguised(rates, times) == ["rate"]


def test_fact_that_goes_by_the_keys_is_no_date_where_many_rows_have_one_time() -> None:
    times = np.repeat([0, 1, 2], SIZE)
    tenure = np.tile(np.arange(SIZE) // 40, 3)  # keys count up with the day of signing up, on every snapshot
    assert disguised(tenure, times) == []


def coarse_counts(rows: int, contents: int, unevenness: float) -> np.ndarray:
    """How many rows have each content where rows fall on contents by chance, some of them likelier than others."""
    rng = np.random.default_rng(rows)
    likely = rng.gamma(1 / unevenness, size=contents)
    return np.unique(rng.choice(contents, rows, p=likely / likely.sum()), return_counts=True)[1]


@pytest.mark.parametrize("unevenness", [0.01, 1.0, 3.0])
@pytest.mark.parametrize("contents", [300, 1000, 3000, 100_000])
@pytest.mark.parametrize("rows", [500, 3000, 10_000])
def test_equal_rows_of_coarse_features_are_no_twins(rows: int, contents: int, unevenness: float) -> None:
    assert not are_people(coarse_counts(rows, contents, unevenness))


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("share", [0.15, 0.5, 1.0])
def test_rows_that_come_in_twos_or_threes_are_people(copies: int, share: float) -> None:
    assert are_people(np.where(np.arange(2000) < share * 2000, copies, 1))


def test_people_under_two_keys_are_learned_and_those_who_look_alike_by_chance_are_not() -> None:
    rng = np.random.default_rng(5)
    table = FeatureTable(tuple(Feature(name, "number", "brand") for name in "abcd"), "a" * 64)
    fine = np.repeat(rng.normal(size=(1000, 4)), 2, axis=0).astype(np.float32)
    coarse = rng.integers(0, 5, (2000, 4)).astype(np.float32)
    labels, people = (rng.random(2000) < 0.3).astype(np.int8), np.arange(2000)
    fold = random_folds(people, seed=7)[0]
    auc, error = probe_shuffled(fine, labels, people, table, fold, seed=7)
    assert auc > 0.5 + 3 * error
    auc, error = probe_shuffled(coarse, labels, people, table, fold, seed=7)
    assert auc < 0.5 + 3 * error


def test_single_fact_is_ranked_over_all_folds_with_its_range() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(600) < 0.2).astype(np.int8)
    strong = (labels * 1.2 + rng.normal(size=600)).astype(np.float32)
    (single,) = measure_singles(strong[:, None], labels, ONE, random_folds(np.arange(600), seed=7))
    assert 0.65 < single.low < single.auc - 0.03 < 0.85
