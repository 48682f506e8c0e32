"""The synthetic customers are what the truth tests take them for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from contracts.feature_table import with_categories
from examples.synthetic.make_data import draw_customers, write_tables
from pseg.project import read_project
from tests.truth.synthetic import (
    FRESH_ROWS,
    FRESH_SEED,
    LABEL,
    RATES,
    expected_auc,
    expected_calibration_error,
    expected_extra,
    make_population,
    own_columns,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "synthetic"


def test_same_seed_gives_the_same_customers_and_another_seed_others() -> None:
    first, again, other = (make_population(500, 0.1, True, seed) for seed in (1, 1, 2))
    assert first.rows.equals(again.rows)
    assert first.truth.tobytes() == again.truth.tobytes()
    assert not first.rows.equals(other.rows)


def test_useless_partner_comes_with_the_same_own_columns_and_changes_no_probability() -> None:
    useless, informative = make_population(500, 0.1, False, 1), make_population(500, 0.1, True, 1)
    own = own_columns(useless.table).names
    assert useless.rows.select(own).equals(informative.rows.select(own))
    assert useless.table.names == informative.table.names
    np.testing.assert_allclose(useless.truth, useless.own_truth, atol=2e-4)


@pytest.mark.parametrize("rate", RATES)
def test_truth_is_moderately_hard_and_the_informative_partner_is_worth_two_points_of_auc(rate: float) -> None:
    fresh = make_population(FRESH_ROWS, rate, True, FRESH_SEED)
    best, best_own = (expected_auc(scores, fresh.truth) for scores in (fresh.truth, fresh.own_truth))
    assert 0.75 < best_own < best < 0.85
    assert best - best_own >= 0.02
    assert expected_calibration_error(fresh.own_truth, fresh.truth) < 0.001


@pytest.mark.parametrize("rate", RATES)
def test_labels_happen_as_often_as_asked_for(rate: float) -> None:
    population = make_population(100_000, rate, True, 3)
    happened = population.rows[LABEL].to_numpy()
    assert abs(happened.mean() - population.truth.mean()) < 0.005
    assert abs(population.truth.mean() - rate) < 0.01


def test_partner_knows_two_thirds_and_some_regions_are_rare() -> None:
    rows = make_population(20_000, 0.1, True, 4).rows
    assert abs(rows["affinity"].null_count / rows.num_rows - 0.35) < 0.02
    counts = pc.value_counts(rows["region"]).field("counts").to_numpy()
    assert len(counts) == 30
    assert counts.min() < 0.005 * rows.num_rows


def test_contract_has_the_categories_of_its_rows() -> None:
    population = make_population(3_000, 0.1, True, 5)
    assert with_categories(population.table, population.rows) == population.table


def test_expected_auc_is_the_mean_over_the_labels() -> None:
    population = make_population(3_000, 0.4, True, 6)
    rng = np.random.default_rng(0)
    drawn = [roc_auc_score(rng.random(3_000) < population.truth, population.own_truth) for _ in range(50)]
    assert abs(np.mean(drawn) - expected_auc(population.own_truth, population.truth)) < 0.005


def test_expected_auc_of_labels_that_are_known_is_their_auc() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 20, 500) / 20, rng.integers(0, 2, 500).astype(float)
    assert expected_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_scores_that_are_twice_the_truth_are_off_by_the_mean_truth() -> None:
    truth = np.random.default_rng(0).uniform(0, 0.5, 4_000)
    assert expected_calibration_error(2 * truth, truth) == pytest.approx(truth.mean())
    assert expected_calibration_error(truth, truth) == pytest.approx(0)


def test_extra_positives_are_counted_per_1000_contacts() -> None:
    outcome = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    best, worst = np.arange(5, 0, -1.0), np.arange(5.0)
    assert expected_extra(best, worst, outcome, 40) == 500


def test_example_writes_the_truth_beside_what_happened_and_only_customers_whom_the_partner_knows(
    tmp_path: Path,
) -> None:
    customers = draw_customers(1_000, 0.1, True, 7)
    write_tables(customers, tmp_path / "data")
    brand, partner = (pq.read_table(tmp_path / "data" / f"{name}.parquet") for name in ("customers", "partner"))
    np.testing.assert_array_equal(brand["true_propensity"], customers.propensity)
    np.testing.assert_array_equal(brand["buys"], customers.label)
    assert pc.is_in(partner["hashed_id"], brand["hashed_id"].combine_chunks()).to_pylist() == [True] * partner.num_rows
    assert partner.num_rows == np.isfinite(customers.partner["affinity"]).sum()


def test_example_ignores_the_truth() -> None:
    assert read_project(EXAMPLE).columns.ignore == ("true_propensity",)
