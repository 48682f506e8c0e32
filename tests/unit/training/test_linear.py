"""The linear member knows the line between the least and the largest value that it learned from, and no further."""

from __future__ import annotations

import numpy as np

from contracts.feature_table import Feature, FeatureTable
from training.linear import fit_linear

TABLE = FeatureTable(tuple(Feature(name, "number", "brand") for name in ("signal", "noise")), "a" * 64)


def test_value_beyond_all_that_were_learned_from_counts_as_the_last_one() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(2000, 2)).astype(np.float32)
    labels = (rng.random(2000) < 1 / (1 + np.exp(1 - matrix[:, 0]))).astype(np.int8)
    member = fit_linear(matrix, labels, TABLE, 1.0, seed=7)
    lowest, highest = matrix.min(axis=0), matrix.max(axis=0)
    ends = member.margins(np.stack([lowest, highest]))
    beyond = member.margins(np.stack([lowest - 1e5, highest + 1e5]).astype(np.float32))
    np.testing.assert_allclose(beyond, ends, rtol=1e-5)
