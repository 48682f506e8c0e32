"""What the partner's data adds does not depend on the order of the rows, which is that of the customers' keys."""

from __future__ import annotations

import numpy as np
import pytest

from training.partner_value import measure_partner_value


@pytest.mark.parametrize("order", ["oldest first", "newest first"])
def test_noise_adds_nothing_where_own_scores_are_equal_and_keys_tell_age(order: str) -> None:
    rng = np.random.default_rng(1)
    age = np.linspace(0, 1, 6000)
    labels = (rng.random(6000) < 0.05 + 0.3 * age).astype(np.int8)
    if order == "oldest first":
        labels = labels[::-1].copy()
    flag = (rng.random(6000) < 0.3).astype(float)
    value = measure_partner_value([flag], [rng.normal(size=6000)], [labels], 10.0, seed=7)
    assert value.at_cut.low < 0 < value.at_cut.high
    assert value.auc_own == pytest.approx(0.5, abs=0.02)
    assert value.auc_gain is not None
    assert value.auc_gain.low < 0 < value.auc_gain.high
