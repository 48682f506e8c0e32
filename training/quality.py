"""How good a ranking is, in numbers with their intervals and in one word with its reasons.

Pure functions of scores and labels. Intervals are 95 %. Sources stand at each formula.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from contracts.evaluation import (
    TENTH_TOLERANCE,
    TOTAL_TOLERANCE,
    CalibrationGroup,
    Check,
    Quality,
    ReachPoint,
    Reason,
    Tenth,
)
from contracts.run_settings import Words

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Order = npt.NDArray[np.int64]

Z = 1.959963984540054  # two-sided 95 %
GROUPS = 12
RESAMPLES = 200
JUDGE_POSITIVES = 100
PLAN_POSITIVES = 500
BANDS = (
    (20.0, "Poor", "Do not use it to choose people."),
    (40.0, "Fair", "Useful for a first cut. Test before you spend."),
    (60.0, "Good", "Good enough to choose people and plan numbers."),
    (math.inf, "Excellent", "Rarely seen. Look for a fact that gives the answer away before you believe it."),
)


def order_by_score(scores: Scores, keys: list[str]) -> Order:
    """Order customers by score, highest first; equal scores by a hash, since keys often tell who came first."""
    hashes = np.array([hashlib.sha256(key.encode()).digest() for key in keys], dtype="S32")
    return np.lexsort((hashes, -scores)).astype(np.int64)


def auc_interval(scores: Scores, labels: Labels) -> tuple[float, float, float]:
    """Area under the ROC curve with its interval, cut to [0, 1].

    Parameters
    ----------
    scores, labels : ndarray of shape (n_customers,)
        Labels hold both 0 and 1.

    Notes
    -----
    The variance is DeLong's (see ``placements``).
    """
    above, below = placements(scores, labels)
    spread = sum(float(part.var(ddof=1)) / len(part) for part in (above, below) if len(part) > 1)
    auc = float(above.mean())
    half = Z * math.sqrt(spread)
    return auc, max(0.0, auc - half), min(1.0, auc + half)


def placements(scores: Scores, labels: Labels) -> tuple[Scores, Scores]:
    """Return for each positive the share of negatives below it, and for each negative that of positives above it.

    Notes
    -----
    DeLong, DeLong, Clarke-Pearson, Biometrics 44(3), 1988, computed by ranks as in Sun and Xu, IEEE Signal Processing
    Letters 21(11), 2014.
    """
    positive, negative = scores[labels == 1], scores[labels == 0]
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    return above, below


def paired_auc(first: Scores, second: Scores, labels: Labels) -> tuple[float, float, float]:
    """Area under the ROC curve of the second ranking less that of the first on the same customers, with its interval.

    Notes
    -----
    DeLong's test of two correlated areas (see ``placements``).
    """
    (above_first, below_first), (above, below) = placements(first, labels), placements(second, labels)
    differences = (above - above_first, below - below_first)
    spread = sum(float(part.var(ddof=1)) / len(part) for part in differences if len(part) > 1)
    gain, half = float(differences[0].mean()), Z * math.sqrt(spread)
    return gain, gain - half, gain + half


def weighted_average_precision(labels: Labels, weights: Scores) -> float:
    """Average precision of rows in descending order of score, each counted ``weights`` times."""
    positives = weights * labels
    reached = np.maximum(np.cumsum(weights), 1)
    return float((positives * np.cumsum(positives) / reached).sum() / positives.sum())


def paired_bootstrap(first: Scores, second: Scores, labels: Labels, seed: int) -> tuple[float, float]:
    """Interval of the second ranking's average precision less the first's, over resamples that are the same for both.

    Notes
    -----
    Percentiles of ``RESAMPLES`` resamples, each customer drawn a Poisson(1) number of times (Chamandy et al.,
    Estimating uncertainty for massive data streams, 2012). Equal scores are ordered at random, the same in all.
    """
    generator = np.random.default_rng(seed)
    shuffle = generator.permutation(len(labels))
    orders = [shuffle[np.argsort(-scores[shuffle], kind="stable")] for scores in (first, second)]
    found = []
    for _ in range(RESAMPLES):
        weights = generator.poisson(1.0, len(labels)).astype(np.float64)
        if not 0 < weights[labels == 1].sum() < weights.sum():
            continue  # nothing to rank in this one
        before, after = (weighted_average_precision(labels[order], weights[order]) for order in orders)
        found.append(after - before)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def rate_interval(positives: int, people: int) -> tuple[float, float]:
    """Interval of a rate (Wilson, Journal of the American Statistical Association 22, 1927)."""
    rate = positives / people
    centre = rate + Z**2 / (2 * people)
    half = Z * math.sqrt(rate * (1 - rate) / people + Z**2 / (4 * people**2))
    return max(0.0, (centre - half) / (1 + Z**2 / people)), min(1.0, (centre + half) / (1 + Z**2 / people))


def summarise_tenths(scores: Scores, labels: Labels, order: Order) -> tuple[Tenth, ...]:
    """Compare prediction and outcome in ten groups of equal size (they differ by one at most), highest scores first.

    ``lift`` is the group's rate over the overall rate.
    """
    base = labels.mean()
    tenths = 1 + (10 * np.arange(len(order))) // max(len(order), 1)
    rows = []
    for tenth in range(1, 11):
        chosen = order[tenths == tenth]
        if not len(chosen):
            continue
        positives, happened = int(labels[chosen].sum()), float(labels[chosen].mean())
        low, high = rate_interval(positives, len(chosen))
        predicted = float(scores[chosen].mean())
        rows.append(Tenth(tenth, len(chosen), positives, predicted, happened, happened / base, low, high))
    return tuple(rows)


def summarise_calibration(scores: Scores, labels: Labels, order: Order) -> tuple[CalibrationGroup, ...]:
    """Compare prediction and outcome in twelve groups of equal size, lowest scores first."""
    rows = []
    for chosen in np.array_split(order[::-1], GROUPS):
        if len(chosen):
            positives = int(labels[chosen].sum())
            low, high = rate_interval(positives, len(chosen))
            rows.append(
                CalibrationGroup(len(chosen), float(scores[chosen].mean()), float(labels[chosen].mean()), low, high)
            )
    return tuple(rows)


def summarise_reach(labels: Labels, order: Order) -> tuple[ReachPoint, ...]:
    """Count who is reached in the best 1, 2 ... 100 percent; the share is rounded up, as a segment's cut is."""
    found = np.cumsum(labels[order])
    sizes = [-(-len(order) * percent // 100) for percent in range(1, 101)]
    return tuple(ReachPoint(percent, size, int(found[size - 1])) for percent, size in enumerate(sizes, start=1))


def judge(
    auc: tuple[float, float, float],
    tenths: tuple[Tenth, ...],
    checks: tuple[Check, ...],
    positives: int,
    rates: tuple[float, float],
    words: Words,
) -> Quality:
    """Say in one word how good the ranking is: by the lower end of its interval, capped where its numbers do not hold.

    Parameters
    ----------
    auc : tuple of float
        Value and interval.
    rates : tuple of float
        Mean prediction and share that happened, in the test.
    """
    score, low, high = (100 * (2 * value - 1) for value in auc)
    people = sum(tenth.people for tenth in tenths)
    if failed := [check for check in checks if check.is_stop]:
        word = "Stopped by " + ", ".join(f'"{check.title or check.name}"' for check in failed)
        return Quality(word, score, low, high, "It was not registered, and nobody was chosen with it.")
    if positives < JUDGE_POSITIVES:
        word = f"Too little data to judge: {positives:,} {words.noun}, {JUDGE_POSITIVES} needed"
        return Quality(word, score, low, high, "Bring more customers, or wait for more of them.")
    place = next(number for number, (top, _, _) in enumerate(BANDS) if low < top)
    caps = [
        *cap_reasons(tenths, positives, rates, words),
        *(check.text or check.title for check in checks if check.is_warning and not check.is_passed),
    ]
    if caps:
        place = min(place, 1)
    reasons = [
        Reason("ok", f"The best tenth of the customers {words.past} {tenths[0].lift:.1f} times as often as average."),
        Reason("ok", f"It was tested on {people:,} customers it had never seen; {positives:,} of them {words.past}."),
        *([] if caps else [Reason("ok", f"It predicted {rates[0]:.1%} and {rates[1]:.1%} happened.")]),
        *(Reason("watch", text) for text in caps),
    ]
    if place < 2 and not caps:
        wanted = BANDS[place][0]
        reasons.append(
            Reason("watch", f"To be {BANDS[place + 1][1]}, the low end of its score must rise to {wanted:.0f}.")
        )
    return Quality(BANDS[place][1], score, low, high, BANDS[place][2], tuple(reasons))


def cap_reasons(tenths: tuple[Tenth, ...], positives: int, rates: tuple[float, float], words: Words) -> list[str]:
    """Say why a ranking is at most Fair, and what would raise it."""
    predicted, happened = rates
    reasons = []
    if positives < PLAN_POSITIVES:
        reasons.append(
            f"Only {positives:,} {words.noun} in the test: {PLAN_POSITIVES} would let it be better than Fair."
        )
    if abs(predicted - happened) > TOTAL_TOLERANCE * happened:
        reasons.append(
            f"It predicted {predicted:.1%} and {happened:.1%} happened: to plan with, a tenth off is the most."
        )
    worst = max((max(t.low - t.predicted, t.predicted - t.high) for t in tenths), default=0.0)
    if worst > TENTH_TOLERANCE:
        reasons.append(f"One tenth is off by {100 * worst:.0f} points beyond its range: 3 are allowed.")
    return reasons
