"""Laws of the tenths: balanced, best first, and nothing but the order of scores matters."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.quality import order_by_score, summarise_tenths

Customers = tuple[np.ndarray, list[str]]


def assign_tenths(scores: np.ndarray, keys: list[str]) -> np.ndarray:
    """The tenth of each customer, as the summary cuts the order of their scores."""
    order = order_by_score(scores, keys)
    labels = np.ones(len(scores), np.int8)
    sizes = [tenth.people for tenth in summarise_tenths(scores, labels, order)]
    numbers = [tenth.tenth for tenth in summarise_tenths(scores, labels, order)]
    tenths = np.empty(len(scores), dtype=np.int64)
    tenths[order] = np.repeat(numbers, sizes)
    return tenths


@st.composite
def customers(draw: st.DrawFn) -> Customers:
    """Scores with many ties, and unique keys."""
    size = draw(st.integers(1, 60))
    score = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
    scores = draw(st.lists(score, min_size=size, max_size=size))
    keys = draw(st.permutations([f"k{number:03d}" for number in range(size)]))
    return np.array(scores, dtype=np.float64), list(keys)


@settings(max_examples=60)
@given(given_customers=customers())
def test_sizes_differ_by_at_most_one_and_larger_tenths_come_as_due(given_customers: Customers) -> None:
    scores, keys = given_customers
    tenths = assign_tenths(scores, keys)
    sizes = np.bincount(tenths, minlength=11)[1:]
    assert sizes.sum() == len(scores)
    assert sizes.max() - sizes.min() <= 1
    assert tenths.min() == 1


@settings(max_examples=60)
@given(given_customers=customers())
def test_better_tenths_have_no_lower_scores(given_customers: Customers) -> None:
    scores, keys = given_customers
    tenths = assign_tenths(scores, keys)
    best_first = -scores[np.argsort(tenths, kind="stable")]
    edges = np.flatnonzero(np.diff(np.sort(tenths))) + 1
    for before, after in zip(np.split(best_first, edges), np.split(best_first, edges)[1:], strict=False):
        assert before.max() <= after.min()


@settings(max_examples=60)
@given(given_customers=customers(), seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(given_customers: Customers, seed: int) -> None:
    scores, keys = given_customers
    order = np.random.default_rng(seed).permutation(len(scores))
    shuffled = assign_tenths(scores[order], [keys[place] for place in order])
    np.testing.assert_array_equal(shuffled, assign_tenths(scores, keys)[order])


@settings(max_examples=60)
@given(given_customers=customers(), shift=st.sampled_from([1.0, -3.0, 1024.0]), scale=st.sampled_from([0.5, 2.0, 64.0]))
def test_only_the_order_of_the_scores_matters(given_customers: Customers, shift: float, scale: float) -> None:
    scores, keys = given_customers
    scores = np.round(scores, 3).astype(np.float64)
    np.testing.assert_array_equal(assign_tenths(np.float64(scale) * scores + shift, keys), assign_tenths(scores, keys))


@settings(max_examples=60)
@given(given_customers=customers(), seed=st.integers(0, 99))
def test_summary_counts_everybody_once_and_predicts_in_order(given_customers: Customers, seed: int) -> None:
    scores, keys = given_customers
    labels = np.random.default_rng(seed).integers(0, 2, size=len(scores)).astype(np.int8)
    labels[0] = 1
    summary = summarise_tenths(scores, labels, order_by_score(scores, keys))
    assert sum(tenth.people for tenth in summary) == len(scores)
    assert sum(tenth.positives for tenth in summary) == labels.sum()
    predicted = [round(tenth.predicted, 9) for tenth in summary]
    assert predicted == sorted(predicted, reverse=True)
    weighted = sum(tenth.lift * tenth.people for tenth in summary) / len(scores)
    assert abs(weighted - 1) < 1e-9
