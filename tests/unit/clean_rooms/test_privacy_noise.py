"""Noise of differential privacy, as the embedded AWS acts it out: its size, its repetition, what a budget buys."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import exp, parse_one

from clean_rooms.analysis_rules.privacy_noise import PrivacyBudget, add_noise, draw

GROUPS = 200_000


def draws(seed: str, wanted: str) -> list[tuple[float, ...]]:
    """Ask something of a draw for each of many groups."""
    drawn = draw(seed, [exp.column("g")]).sql("duckdb")
    return duckdb.connect().sql(f"SELECT {wanted} FROM (SELECT {drawn} AS x FROM range({GROUPS}) t(g))").fetchall()


def test_noise_is_laplace_of_standard_deviation_one() -> None:
    below_median = "avg(CAST(abs(x) < ln(2) / sqrt(2) AS INT))"  # of the absolute value
    ((mean, deviation, within),) = draws("a", f"avg(x), stddev(x), {below_median}")
    assert mean == pytest.approx(0, abs=0.01)
    assert deviation == pytest.approx(1, abs=0.01)
    assert within == pytest.approx(0.5, abs=0.005)


def test_noise_follows_from_seed_and_group_alone() -> None:
    extremes = "min(x), max(x), median(x)"
    assert draws("a", extremes) == draws("a", extremes)
    assert draws("a", extremes) != draws("b", extremes)


def test_equal_queries_with_equal_seeds_are_equal_sql() -> None:
    text = "SELECT v.city, COUNT(*) AS n FROM visits AS v GROUP BY v.city"
    tree = parse_one(text)
    assert isinstance(tree, exp.Query)
    noisy = [add_noise(tree, ("v", "hashed_id"), 10, seed).tree.sql("duckdb") for seed in ("'1\\", "'1\\", "2")]
    assert noisy[0] == noisy[1] != noisy[2]
    assert tree.sql() == text


@pytest.mark.parametrize("noise", [10, 30, 100])
@pytest.mark.parametrize("epsilon", [1, 5, 20])
def test_budget_buys_what_it_says_and_more_noise_buys_more(epsilon: int, noise: int) -> None:
    budget = PrivacyBudget(epsilon, noise)
    for one in budget.content["aggregations"]:
        assert one["remainingCount"] == one["maxCount"]
        assert 0 < one["maxCount"] <= epsilon * noise / 2**0.5
    more = {one["type"]: one["maxCount"] for one in PrivacyBudget(epsilon, noise + 10).content["aggregations"]}
    assert all(more[one["type"]] >= one["maxCount"] for one in budget.content["aggregations"])
    used_up = PrivacyBudget(epsilon, noise, spent=epsilon)
    assert {one["remainingCount"] for one in used_up.content["aggregations"]} == {0}
