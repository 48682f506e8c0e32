"""The calibration keeps the mean, whatever margins it is given."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ensemble import sigmoid
from training.calibrate import fit_calibration, fit_line

RNG = np.random.default_rng(4)
LABELS = (RNG.random(2000) < 0.1).astype(np.int8)
NOISE = RNG.normal(size=2000)
MARGINS = {
    "wrong way round": -2 * LABELS + NOISE,
    "no signal": NOISE,
    "perfect": 0.01 * LABELS + 1e-4 * NOISE,
    "far off": 50 + LABELS + NOISE,
    "narrow": -2 + 0.01 * (LABELS + NOISE),
    "few strong": np.where((LABELS == 1) & (NOISE > 1), 30.0, NOISE),
    "constant": np.full(2000, -1.5),
}


@pytest.mark.parametrize("margins", MARGINS.values(), ids=MARGINS.keys())
def test_mean_prediction_is_the_rate(margins: np.ndarray) -> None:
    predicted = sigmoid(fit_calibration(margins, LABELS).apply(margins))
    assert predicted.mean() == pytest.approx(LABELS.mean(), rel=0.01)


def test_slope_is_that_of_the_margins_however_narrow_they_are() -> None:
    truth = RNG.normal(size=50_000)
    labels = (RNG.random(50_000) < sigmoid(truth - 1)).astype(np.int8)
    slope, intercept = fit_line(0.3 * truth + 4, labels)
    assert slope == pytest.approx(1 / 0.3, rel=0.05)
    assert intercept == pytest.approx(-1 - 4 * slope, abs=0.05 * 4 * slope)
