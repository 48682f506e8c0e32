"""What a holdout shows: the published formula, and the size that would do where it shows too little."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from insights.holdout import describe_holdout, detectable_effect, needed_holdout
from tests.report_runs import rich_run

SEGMENT = rich_run(1).manifests[0].segments[0]


def test_detectable_effect_is_that_of_the_power_calculation() -> None:
    assert detectable_effect(0.244, 22_549, 2_451) == pytest.approx(0.0256, abs=5e-5)


def test_effect_of_that_size_is_found_in_four_of_five_campaigns() -> None:
    rng, rate, treated, held = np.random.default_rng(5), 0.25, 20_000, 2_500
    effect = detectable_effect(rate, treated, held)
    with_message = rng.binomial(treated, rate + effect, 4_000) / treated
    without = rng.binomial(held, rate, 4_000) / held
    error = np.sqrt(with_message * (1 - with_message) / treated + without * (1 - without) / held)
    assert np.mean((with_message - without) / error > 1.96) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("rate", "people"), [(0.05, 4_000), (0.244, 1_000), (0.01, 40_000)])
def test_needed_holdout_is_the_least_that_shows_the_effect(rate: float, people: int) -> None:
    needed = needed_holdout(rate, people, rate / 2)
    assert 0 < needed <= people / 2 + 1
    assert detectable_effect(rate, people - needed, needed) <= rate / 2 * (1 + 1e-9)
    assert detectable_effect(rate, people - needed + 1, needed - 1) > rate / 2


def test_no_holdout_is_enough_where_even_half_of_the_people_would_not_do() -> None:
    assert needed_holdout(0.01, 500, 0.005) == 0
    assert detectable_effect(0.01, 250, 250) > 0.005


def test_holdout_large_enough_asks_for_nothing() -> None:
    found = describe_holdout(SEGMENT)
    assert found is not None
    assert found.needed is None
    assert found.rate == SEGMENT.expected / SEGMENT.people


def test_holdout_too_small_says_how_many_would_do() -> None:
    found = describe_holdout(replace(SEGMENT, people=4_000, expected=200.0, holdout=20))
    assert found is not None
    assert found.effect > found.half
    assert found.needed
    assert math.isclose(found.half, 0.025)


@pytest.mark.parametrize(
    "changes", [{"holdout": 0}, {"people": 0}, {"expected": 0.0}, {"expected": float(SEGMENT.people)}], ids=repr
)
def test_nothing_is_said_where_nothing_can_be_told(changes: dict[str, float]) -> None:
    assert describe_holdout(replace(SEGMENT, **changes)) is None
