"""What moved is said in words: categories that training knew, rarer ones, and those that it never saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from contracts.evaluation import Shift
from contracts.feature_table import Feature, FeatureTable, encode, with_categories
from training.drift import compare, measure_distributions, shares_unknown

TABLE = FeatureTable((Feature("card", "category", "partner"),), "a" * 64)
NAMES = [f"c{number:02d}" for number in range(30)]


def shift(then: Sequence[str | None], now: Sequence[str | None]) -> Shift:
    """Compare two columns of categories as Evaluate does."""
    rows, today = pa.table({"card": pa.array(then, pa.string())}), pa.table({"card": pa.array(now, pa.string())})
    table = with_categories(TABLE, rows)
    matrix = encode(today, table, where="today")
    (found,) = compare(
        measure_distributions(encode(rows, table, where="rows"), table),
        matrix,
        table,
        len(then),
        shares_unknown(today, matrix, table),
    )
    return found


def drawn(shares: list[float], size: int = 3000) -> list[str]:
    return np.random.default_rng(1).choice(NAMES, size, p=np.array(shares) / sum(shares)).tolist()


def test_categories_that_training_knew_are_not_called_unknown_however_rare_they_were() -> None:
    found = shift(drawn([1.0] * 30), drawn([1.0] * 20 + [5.0] * 10))
    assert found.cause.startswith("rarer categories were ")
    assert found.newly_missing == pytest.approx(0, abs=0.01)


def test_the_commonest_categories_are_looked_at_whatever_their_names() -> None:
    found = shift(drawn([1.0] * 29 + [30.0]), drawn([1.0] * 29 + [3.0]))
    assert found.cause.startswith("c29 was ")


def test_another_spelling_is_unknown_to_training_and_as_good_as_gone_to_the_model() -> None:
    then = ["gold", "silver"] * 500
    found = shift(then, ["Gold", "silver", "Gold", "silver", "Gold"] * 200)
    assert found.cause == "60% have a category that training did not know: ask whoever runs the partner's feed"
    assert found.newly_missing == pytest.approx(0.6)


def test_what_has_gone_missing_is_said_to_be_missing() -> None:
    found = shift(["gold", "silver"] * 500, ["gold", None] * 500)
    assert found.cause.startswith("missing in 0% of the rows then, in 50% now")
    assert found.newly_missing == 0.5


def test_what_chance_moves_between_few_rows_is_nothing_to_watch() -> None:
    draws = [np.random.default_rng(seed).choice(NAMES[:12], (2, 150)).tolist() for seed in range(40)]
    found = [shift(then, now) for then, now in draws]
    assert max(found, key=lambda each: each.psi).psi > 0.10
    assert sum(each.state == "watch" for each in found) <= 2
    assert shift(["c00", "c01"] * 75, ["c00", "c00", "c00", "c01"] * 40).state == "watch"
