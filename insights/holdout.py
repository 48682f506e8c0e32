"""What a segment's holdout can show: the smallest effect of a message that its campaign would tell from chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from contracts.segment_manifest import PublishedSegment

Z_SUM = 2.80  # 1.96 for a two-sided 5 % level, 0.84 for a power of 80 %


@dataclass(frozen=True)
class Holdout:
    """``rate`` [0-1] without a message, and the least change of it that would show.

    ``needed`` is set where that is more than half the rate: so many people kept back would show half the rate, 0 if no
    number of this segment's people would.
    """

    held: int
    rate: float
    effect: float
    needed: int | None = None

    @property
    def half(self) -> float:
        """Half the rate: the largest effect that one may hope for."""
        return self.rate / 2


def detectable_effect(rate: float, treated: int, held: int) -> float:
    """Return the minimum detectable difference between two rates.

    ``2.80 x sqrt(r (1 - r) (1 / treated + 1 / held))``: two-sided level 5 %, power 80 %, both groups with the variance
    at the rate ``r`` without a message. Source: Duflo, Glennerster and Kremer, "Using Randomization in Development
    Economics Research: A Toolkit" (2007), section 4.1.
    """
    return Z_SUM * math.sqrt(rate * (1 - rate) * (1 / treated + 1 / held))


def needed_holdout(rate: float, people: int, effect: float) -> int:
    """Return how many of ``people`` must be kept back to show ``effect``; 0 if not even half of them would do.

    Solves the formula of :func:`detectable_effect` for ``held`` with ``treated = people - held``:
    ``held (people - held) = people x rate (1 - rate) (2.80 / effect)^2``.
    """
    product = people * rate * (1 - rate) * (Z_SUM / effect) ** 2
    root = people**2 - 4 * product
    return math.ceil((people - math.sqrt(root)) / 2) if root >= 0 else 0


def describe_holdout(segment: PublishedSegment) -> Holdout | None:
    """Describe a segment's holdout; None where nobody is kept back or sent to, or nobody or everyone does it."""
    if not segment.holdout or not segment.people or not 0 < segment.expected < segment.people:
        return None
    rate = segment.expected / segment.people
    effect = detectable_effect(rate, segment.people, segment.holdout)
    if effect <= rate / 2 and rate + effect < 1:
        return Holdout(segment.holdout, rate, effect)
    needed = needed_holdout(rate, segment.people + segment.holdout, min(rate, 1 - rate) / 2)
    return Holdout(segment.holdout, rate, effect, needed)
