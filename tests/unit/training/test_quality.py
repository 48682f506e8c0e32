"""How good a ranking is: intervals against simulation and other formulas, groups that add up, and the one word."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, rankdata
from sklearn.metrics import roc_auc_score

from contracts.evaluation import Check, Quality, Tenth
from contracts.run_settings import Words
from training.quality import (
    auc_interval,
    judge,
    order_by_score,
    paired_bootstrap,
    rate_interval,
    summarise_calibration,
    summarise_reach,
    summarise_tenths,
)

WORDS = Words(past="bought", noun="buyers")
PASSED = (Check("auc", 0.8, 0.6, True, "Ranks better than its floor"),)


def draw(size: int, seed: int, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two normal groups, ``shift`` apart: their true AUC is known."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(size) < 0.3).astype(np.int8)
    return rng.normal(size=size) + shift * labels, labels


def keys_of(size: int) -> list[str]:
    """Customer keys."""
    return [f"k{number:05d}" for number in range(size)]


def delong_by_definition(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """AUC and its variance from every pair, as DeLong, DeLong and Clarke-Pearson (1988) define them."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    psi = (pairs > 0) + 0.5 * (pairs == 0)
    positives, negatives = psi.mean(axis=1), psi.mean(axis=0)
    variance = positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)
    return float(psi.mean()), float(variance)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_interval_of_the_auc_is_that_of_its_definition(ties: bool) -> None:
    scores, labels = draw(400, seed=3)
    scores = np.round(scores) if ties else scores
    auc, low, high = auc_interval(scores, labels)
    expected, variance = delong_by_definition(scores, labels)
    assert auc == pytest.approx(expected, abs=1e-12)
    assert auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    half = norm.ppf(0.975) * variance**0.5
    assert (low, high) == (pytest.approx(auc - half, abs=1e-9), pytest.approx(auc + half, abs=1e-9))


def test_interval_of_the_auc_is_as_wide_as_a_bootstrap_says() -> None:
    scores, labels = draw(800, seed=4)
    rng = np.random.default_rng(5)
    draws = [rng.integers(0, 800, size=800) for _ in range(300)]
    bootstrap = [roc_auc_score(labels[chosen], scores[chosen]) for chosen in draws]
    _, low, high = auc_interval(scores, labels)
    assert (low, high) == pytest.approx(tuple(np.quantile(bootstrap, [0.025, 0.975])), abs=0.012)
    assert high - low == pytest.approx(2 * 1.96 * np.std(bootstrap), rel=0.12)


def test_equal_scores_are_ordered_by_nothing_that_tells_when_a_customer_came() -> None:
    place = np.argsort(order_by_score(np.full(2000, 0.5), keys_of(2000)))
    assert abs(np.corrcoef(place, np.arange(2000))[0, 1]) < 0.1


def test_resamples_without_positives_are_left_out_of_the_interval() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0], dtype=np.int8)
    low, high = paired_bootstrap(np.arange(6.0), -np.arange(6.0), labels, seed=7)
    assert -1 <= low <= high <= 1


def covered(hits: int, draws: int) -> bool:
    """Tell if so many hits of a nominal 95 % interval are within binomial bounds (two-sided 99.9 %)."""
    low, high = binom.ppf([0.0005, 0.9995], draws, 0.95)
    return bool(low <= hits <= high)


@pytest.mark.parametrize(("size", "shift"), [(300, 1.0), (1000, 0.3)])
def test_interval_of_the_auc_covers_the_truth_as_often_as_it_says(size: int, shift: float) -> None:
    truth = norm.cdf(shift / 2**0.5)
    hits = 0
    for seed in range(400):
        _, low, high = auc_interval(*draw(size, seed, shift))
        hits += low <= truth <= high
    assert covered(hits, 400), hits


def test_check_of_coverage_does_notice_intervals_that_are_too_narrow_or_too_wide() -> None:
    assert not covered(355, 400)
    assert not covered(398, 400)
    assert covered(380, 400)


def test_perfect_and_hopeless_rankings_stay_within_0_and_1() -> None:
    labels = np.array([0] * 20 + [1] * 20, np.int8)
    assert auc_interval(np.arange(40.0), labels) == (1.0, 1.0, 1.0)
    assert auc_interval(-np.arange(40.0), labels) == (0.0, 0.0, 0.0)
    assert auc_interval(np.ones(40), labels)[0] == 0.5
    assert all(0 <= value <= 1 for value in auc_interval(np.arange(40.0), np.roll(labels, 1)))


def test_one_positive_is_enough_for_a_number() -> None:
    labels = np.array([0, 0, 0, 1], np.int8)
    auc, low, high = auc_interval(np.array([0.1, 0.3, 0.2, 0.25]), labels)
    assert auc == pytest.approx(2 / 3)
    assert 0 <= low <= auc <= high <= 1


@pytest.mark.parametrize(("positives", "people"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 4000), (1, 1)])
def test_interval_of_a_rate_is_wilsons_as_scipy_computes_it(positives: int, people: int) -> None:
    expected = binomtest(positives, people).proportion_ci(0.95, method="wilson")
    assert rate_interval(positives, people) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("rate", "people"), [(0.02, 400), (0.3, 60)])
def test_interval_of_a_rate_covers_the_truth_as_often_as_it_says(rate: float, people: int) -> None:
    chances = binom.pmf(range(people + 1), people, rate)
    inside = [low <= rate <= high for low, high in (rate_interval(count, people) for count in range(people + 1))]
    assert 0.92 < chances[inside].sum() < 0.99


def test_equal_scores_have_one_order_whatever_the_order_of_the_rows() -> None:
    keys = keys_of(50)
    order = order_by_score(np.repeat([0.5, 0.9], 25), keys)
    back = order_by_score(np.repeat([0.9, 0.5], 25), keys[::-1])
    assert [keys[place] for place in order] == [keys[::-1][place] for place in back]
    assert set(order[:25]) == set(range(25, 50))


def test_calibration_has_twelve_groups_of_equal_size_lowest_first() -> None:
    rng = np.random.default_rng(6)
    scores = rng.random(1000)
    labels = (rng.random(1000) < scores).astype(np.int8)
    groups = summarise_calibration(scores, labels, order_by_score(scores, keys_of(1000)))
    assert len(groups) == 12
    assert {group.people for group in groups} == {83, 84}
    assert sum(group.people for group in groups) == 1000
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)
    assert all(group.low <= group.happened <= group.high for group in groups)
    assert groups[0].predicted == pytest.approx(np.sort(scores)[: groups[0].people].mean())
    assert sum(group.people * group.happened for group in groups) == pytest.approx(labels.sum())
    assert sum(group.low <= group.predicted <= group.high for group in groups) >= 10


def test_calibration_of_fewer_people_than_groups_leaves_no_empty_one() -> None:
    scores, labels = np.array([0.2, 0.8, 0.5]), np.array([0, 1, 1], np.int8)
    groups = summarise_calibration(scores, labels, order_by_score(scores, list("abc")))
    assert [(group.people, group.predicted) for group in groups] == [(1, 0.2), (1, 0.5), (1, 0.8)]


@pytest.mark.parametrize("size", [3, 99, 100, 101, 1234])
def test_reach_only_grows_and_its_last_row_is_everyone(size: int) -> None:
    scores, labels = draw(size, seed=size)
    labels[0] = 1
    order = order_by_score(scores, keys_of(size))
    reach = summarise_reach(labels, order)
    assert [point.percent for point in reach] == list(range(1, 101))
    assert (reach[-1].people, reach[-1].positives) == (size, labels.sum())
    for one, more in pairwise(reach):
        assert one.people <= more.people
        assert one.positives <= more.positives
    for point in reach:
        assert point.people == -(-size * point.percent // 100)
        assert point.positives == labels[order[: point.people]].sum()


def test_tenths_have_the_interval_of_their_rate() -> None:
    scores, labels = draw(500, seed=8)
    for tenth in summarise_tenths(scores, labels, order_by_score(scores, keys_of(500))):
        assert (tenth.low, tenth.high) == rate_interval(tenth.positives, tenth.people)
        assert tenth.low <= tenth.happened <= tenth.high
    ranks = rankdata(-scores, method="ordinal")
    assert tenth.positives == labels[ranks > 450].sum()


def tenths_of(off: float = 0.0) -> tuple[Tenth, ...]:
    """Ten tenths of 1,000 customers each; the best one's prediction is beyond its range by so much."""
    rates = [0.4, 0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.03, 0.02]
    rows = [Tenth(n, 1000, int(1000 * r), r, r, r / 0.138, r - 0.02, r + 0.02) for n, r in enumerate(rates, start=1)]
    return (replace(rows[0], predicted=rows[0].high + off) if off else rows[0], *rows[1:])


def quality(
    low: float,
    positives: int = 1380,
    rates: tuple[float, float] = (0.138, 0.138),
    off: float = 0.0,
    checks: tuple[Check, ...] = PASSED,
) -> Quality:
    """Judge a ranking whose score has this lower end."""
    auc = tuple((value / 100 + 1) / 2 for value in (low + 4, low, low + 8))
    return judge(auc, tenths_of(off), checks, positives, rates, WORDS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "word"),
    [
        *((-5.0, "Poor"), (0.0, "Poor"), (19.9, "Poor"), (20.1, "Fair"), (39.9, "Fair")),
        *((40.1, "Good"), (59.9, "Good"), (60.1, "Excellent"), (90.0, "Excellent")),
    ],
)
def test_lower_end_of_the_interval_decides_the_word(low: float, word: str) -> None:
    found = quality(low)
    assert found.word == word
    assert (found.score, found.low, found.high) == pytest.approx((low + 4, low, low + 8))
    assert found.advice


@pytest.mark.parametrize(("low", "better"), [(10.0, "Fair"), (30.0, "Good")])
def test_word_below_good_says_what_would_raise_it(low: float, better: str) -> None:
    (watch,) = [reason.text for reason in quality(low).reasons if reason.state == "watch"]
    assert watch.startswith(f"To be {better}, the low end of its score must rise to ")


def test_good_word_has_reasons_in_the_goals_own_words() -> None:
    found = quality(50.0)
    assert {reason.state for reason in found.reasons} == {"ok"}
    texts = [reason.text for reason in found.reasons]
    assert texts[0] == "The best tenth of the customers bought 2.9 times as often as average."
    assert texts[1] == "It was tested on 10,000 customers it had never seen; 1,380 of them bought."
    assert texts[2] == "It predicted 13.8% and 13.8% happened."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positives": 499}, "Only 499 buyers in the test: 500 would let it be better than Fair."),
        ({"rates": (0.16, 0.138)}, "It predicted 16.0% and 13.8% happened"),
        ({"rates": (0.12, 0.138)}, "It predicted 12.0% and 13.8% happened"),
        ({"off": 0.04}, "One tenth is off by 4 points beyond its range: 3 are allowed."),
        ({"off": -0.09}, "One tenth is off by 5 points beyond its range: 3 are allowed."),
    ],
    ids=["few positives", "promised too much", "promised too little", "tenth too high", "tenth too low"],
)
@pytest.mark.parametrize(("low", "word"), [(70.0, "Fair"), (45.0, "Fair"), (25.0, "Fair"), (5.0, "Poor")])
def test_what_does_not_hold_caps_the_word_and_is_its_reason(
    change: dict[str, object], words: str, low: float, word: str
) -> None:
    found = quality(low, **change)  # type: ignore[arg-type]
    assert found.word == word
    (watch,) = [reason.text for reason in found.reasons if reason.state == "watch"]
    assert words in watch


@pytest.mark.parametrize(
    "change", [{"positives": 500}, {"rates": (0.1517, 0.138)}, {"rates": (0.1243, 0.138)}, {"off": 0.029}]
)
def test_what_is_just_allowed_caps_nothing(change: dict[str, object]) -> None:
    assert quality(70.0, **change).word == "Excellent"  # type: ignore[arg-type]


def test_several_caps_are_all_told() -> None:
    found = quality(70.0, positives=200, rates=(0.2, 0.138), off=0.1)
    assert found.word == "Fair"
    assert sum(reason.state == "watch" for reason in found.reasons) == 3


def test_fewer_than_a_hundred_positives_are_too_few_to_judge() -> None:
    found = quality(70.0, positives=99)
    assert found.word == "Too little data to judge: 99 buyers, 100 needed"
    assert quality(70.0, positives=100).word == "Fair"


def test_failed_check_stops_before_any_word() -> None:
    failed = (*PASSED, Check("auc", 0.55, 0.6, False, "Ranks better than its floor"), Check("leak", 1, 0, False))
    found = quality(70.0, positives=5, checks=failed)
    assert found.word == 'Stopped by "Ranks better than its floor", "leak"'
    assert "nobody was chosen" in found.advice
