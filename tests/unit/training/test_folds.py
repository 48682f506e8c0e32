"""Folds check on later rows what was learned from earlier ones, of other customers, wherever the rows lie in time."""

from __future__ import annotations

import numpy as np
import pytest

from training.folds import ordered_folds, usable


@pytest.mark.parametrize("share", [0.1, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("times", [2, 8, 12, 200])
def test_rows_can_be_learned_from_however_many_of_them_are_of_the_newest_time(times: int, share: float) -> None:
    rng = np.random.default_rng(times)
    when = np.where(rng.random(2400) < share, times - 1, rng.integers(0, times - 1, 2400))
    labels, people = (rng.random(2400) < 0.3).astype(np.int8), np.arange(2400)
    folds = usable(ordered_folds(people, when, seed=7), labels)
    assert folds
    for fold in folds:
        assert when[fold.learn].max() <= when[fold.check].min()
        assert not set(people[fold.learn]) & set(people[fold.check])
