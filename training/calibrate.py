"""Calibration: a monotone table that makes scores probabilities, learned from predictions of rows not learned from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from inference.ensemble import Calibration, sigmoid

Margins = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

FLEXIBLE_POSITIVES = 1000  # with fewer, a straight line in log-odds is all that can be learned
KNOTS = 20
SLOPES = (0.2, 5.0)
MILD = 1e6  # scikit-learn's C: next to no regularisation, so that margins that tell everything have a slope, too


def fit_line(margins: Margins, labels: Labels) -> tuple[float, float]:
    """Fit slope and intercept in log-odds (Platt, 1999; without his smoothing of the labels).

    The slope is kept within ``SLOPES``; the intercept is then the one with which the mean prediction is the label rate.
    """
    centre, scale = float(margins.mean()), float(margins.std()) or 1.0
    scaled = (margins - centre) / scale
    fitted = LogisticRegression(C=MILD, solver="newton-cholesky").fit(scaled[:, None], labels)
    slope = float(np.clip(fitted.coef_[0, 0] / scale, *SLOPES))
    bent, rate = slope * scale * scaled, float(labels.mean())
    middle, reach = float(np.log(rate / (1 - rate))), float(np.abs(bent).max()) + 1.0
    offset = brentq(lambda shift: float(sigmoid(bent + shift).mean()) - rate, middle - reach, middle + reach)
    return slope, float(offset) - slope * centre


def fit_calibration(margins: Margins, labels: Labels) -> Calibration:
    """Fit the table.

    Parameters
    ----------
    margins : ndarray of shape (n_rows,), float64
        Raw margins of rows that were not learned from; they vary.
    labels : ndarray of shape (n_rows,), int8

    Notes
    -----
    A line in log-odds first. With ``FLEXIBLE_POSITIVES`` and as many negatives, isotonic regression (Zadrozny and
    Elkan, KDD 2002) of ``KNOTS`` equal groups bends it: knots at the groups' means, none where groups were pooled, so
    that the table stays strictly monotone and no two scores become one.
    """
    slope, intercept = fit_line(margins, labels)
    low, high = float(margins.min()), float(margins.max())
    raw = np.array([low, high if high > low else low + 1.0])
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) < FLEXIBLE_POSITIVES:
        return as_table(raw, slope * raw + intercept)
    order = np.argsort(margins, kind="stable")
    groups = np.array_split(order, KNOTS)
    centres = np.array([margins[group].mean() for group in groups])
    expected = sigmoid(slope * centres + intercept)
    # A group counts as much as its own rows; ten rows' worth of the line keep a group of few positives off 0 and 1.
    sizes = np.array([len(group) for group in groups])
    rates = np.array([(labels[group].sum() + 10 * expect) for group, expect in zip(groups, expected, strict=True)])
    rates = rates / (sizes + 10)
    smooth = IsotonicRegression().fit_transform(centres, rates, sample_weight=sizes)
    blocks = np.concatenate([[0], np.flatnonzero(np.diff(smooth) > 0) + 1, [len(smooth)]])
    middles = [float(np.average(centres[a:b], weights=sizes[a:b])) for a, b in pairwise(blocks)]
    values = [float(smooth[a]) for a in blocks[:-1]]
    knots = np.array(middles)
    if len(knots) < 2 or not np.all(np.diff(knots) > 0):
        return as_table(raw, slope * raw + intercept)
    bent = np.log(np.array(values) / (1 - np.array(values)))
    # Beyond the outermost groups' means the line's own slope goes on.
    edges = np.array([min(low, knots[0] - 1), max(high, knots[-1] + 1)])
    ends = np.array([bent[0] + slope * (edges[0] - knots[0]), bent[-1] + slope * (edges[1] - knots[-1])])
    return as_table(np.array([edges[0], *knots, edges[1]]), np.array([ends[0], *bent, ends[1]]))


def as_table(raw: Margins, calibrated: Margins) -> Calibration:
    """Write arrays as a table."""
    return Calibration(tuple(raw.tolist()), tuple(calibrated.tolist()))
