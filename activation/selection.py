"""Who is in a segment: the cut, the minimum, the cap and the holdout, and how many people each took away.

Pure functions on a population. People are given as the positions of their best endpoints, best first.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from activation.population import Codes, Population, Positions, first_of_each
from contracts.errors import ContractError
from contracts.evaluation import Evaluation
from contracts.run_facts import ANY_CHANNEL, RunFacts
from contracts.run_settings import Segment
from contracts.segment_file import SCORE_DIGITS
from contracts.segment_manifest import BELOW_CUT, ExpectedReach

Waterfall = tuple[tuple[str, int], ...]
Z95 = 1.96


@dataclass(frozen=True)
class Selection:
    """One segment: endpoints of its file and its people, both best first; people held back; where all others went.

    ``whole_percent`` is the least whole percentage of the people with an address that holds both: how deep the rule
    went, whichever part of it cut. It is 1 where nobody is left.
    """

    endpoints: Positions
    people: Positions
    held_back: Positions
    waterfall: Waterfall
    whole_percent: int


def select(population: Population, segment: Segment, facts: RunFacts, seed: int) -> Selection:
    """Choose the people of a segment, with every address of theirs on its channel.

    Of several customers with one address the one with the highest score keeps it: two rows of one address would fight
    over it (Pinpoint API reference, EndpointStatus). The cut is over the people who then have an address. Whoever lost
    an address is never held back: the customer who keeps it may be written to there.

    Raises
    ------
    ContractError
        If nobody was scored on the channel, or not as many people as the run's facts say.
    """
    on_channel = endpoints_on(population, segment.channel)
    start = waterfall_to_scored(facts, segment.channel, len(best_endpoints(population, on_channel)))
    endpoints = on_channel[first_of_each(population.address[on_channel], len(population.address))]
    reachable = best_endpoints(population, endpoints)
    above_cut = reachable[: share(len(reachable), segment.top_percent)]
    minimum = math.ceil(Fraction(str(segment.minimum_score)) * 10**SCORE_DIGITS)
    sure = above_cut[population.millionths[above_cut] >= minimum]
    chosen = sure[: segment.max_size or None]
    can_be_held = ~np.isin(population.customer[chosen], losers(population, on_channel, endpoints))
    is_held = np.zeros(len(chosen), dtype=bool)
    is_held[can_be_held] = draw_holdout(population, chosen[can_be_held], len(chosen), segment, seed)
    people = chosen[~is_held]
    is_in_file = np.zeros(len(population.customer), dtype=bool)
    is_in_file[population.customer[people]] = True
    counts = {
        "address used by another customer": facts.scored[segment.channel] - len(reachable),
        BELOW_CUT: len(reachable) - len(above_cut),
        "under the minimum score": len(above_cut) - len(sure),
        "over the size cap": len(sure) - len(chosen),
        "held back": int(is_held.sum()),
    }
    return Selection(
        endpoints=endpoints[is_in_file[population.customer[endpoints]]],
        people=people,
        held_back=chosen[is_held],
        waterfall=(*start, *counts.items()),
        whole_percent=max(0, 100 * (len(chosen) - 1) // len(reachable)) + 1,
    )


def endpoints_on(population: Population, channel: str) -> Positions:
    """Return the endpoints on a channel, or all of them for ``ANY_CHANNEL``."""
    if channel == ANY_CHANNEL:
        return np.arange(len(population.channel))
    if channel not in population.channels:
        raise ContractError(
            f"there is nobody to choose from on channel {channel}",
            where="scored CSVs",
            why=f"the scored addresses are on {', '.join(sorted(population.channels))}",
            fix="check channel_type in contacts, or the segment's channel in project.toml",
        )
    return np.flatnonzero(population.channel == population.channels.index(channel))


def best_endpoints(population: Population, endpoints: Positions) -> Positions:
    """Return the best endpoint of each customer among some, best first."""
    return endpoints[first_of_each(population.customer[endpoints], len(population.customer))]


def losers(population: Population, endpoints: Positions, kept: Positions) -> Codes:
    """Return the customers of those among some endpoints whose address is another customer's in the ``kept`` ones."""
    owner = np.empty(len(population.address), dtype=np.int32)
    owner[population.address[kept]] = population.customer[kept]
    customer = population.customer[endpoints]
    return np.asarray(customer[owner[population.address[endpoints]] != customer], dtype=np.int32)


def waterfall_to_scored(facts: RunFacts, channel: str, people: int) -> Waterfall:
    """Start a waterfall: all customers, and what took them away before a model scored the ``people`` that are left.

    Raises
    ------
    ContractError
        If the facts of the run do not lead to this number of people.
    """
    drops = facts.drops.get(channel, ())
    left = facts.customers - sum(count for _, count in drops)
    if not facts.scored.get(channel) == left == people:
        raise ContractError(
            f"{people:,} people were scored, {left:,} are left and {facts.scored.get(channel, 0):,} expected "
            "by the facts of the run",
            where=f"channel {channel or 'any'}",
            why="the scored CSVs are not those of the shards that BuildFeatures wrote in this run",
            fix="score the run again; nothing was published",
        )
    return (("all customers", facts.customers), *drops)


def share(count: int, percent: float) -> int:
    """Count a share of so many people, rounded up, so that a few people still give one.

    The percentage counts as written: 0.07 percent of 10,000 are 7, though in floats 10,000 x 0.07 is more than 700.
    """
    return math.ceil(count * Fraction(str(percent)) / 100)


def draw_holdout(
    population: Population, people: Positions, of: int, segment: Segment, seed: int
) -> npt.NDArray[np.bool_]:
    """Draw who is kept out of a segment's file: of some people those with the lowest hashes.

    They are the segment's share ``of`` so many, rounded up, but never all of these. The hash depends on seed, segment
    and customer alone, so the same people are held back in each run, as far as they are chosen and lose no address.

    Returns
    -------
    ndarray of shape (n_people,), bool
    """
    is_held = np.zeros(len(people), dtype=bool)
    if not segment.holdout_percent:
        return is_held
    digests = bytearray()
    for key in population.customer_keys(people):
        digests += hashlib.sha256(f"{seed}|{segment.name}|{key}".encode()).digest()
    words = np.frombuffer(digests, dtype=">u8").reshape(-1, 4)
    held = min(share(of, segment.holdout_percent), max(0, of - 1))
    is_held[np.lexsort(words.T[::-1])[:held]] = True
    return is_held


def expect(mean: float, variance: float, people: int, positives: int) -> tuple[float, float, float]:
    """Tell how many of some people will do it, with a 95 % interval; all rounded to tenths.

    Parameters
    ----------
    mean, variance : float
        The sums of p and of p (1 - p) over the people, with p the propensity score.
    people, positives : int
        How many people; how many positives the test had in the same reach.

    Notes
    -----
    Half of the interval is 1.96 x sqrt(sum p(1-p) + mean^2 / positives): chance among these people, and that the model
    was judged on so few positives (a count of n has a relative error of 1/sqrt(n)). It ends at none and at all of them.
    """
    half = Z95 * math.sqrt(variance + mean**2 / positives)
    return round(mean, 1), round(max(0.0, mean - half), 1), round(min(float(people), mean + half), 1)


def positives_within(evaluation: Evaluation, percent: float) -> int:
    """Count the positives among the best ``percent`` of the test (the next whole percentage), at least 1.

    Raises
    ------
    ContractError
        If the evaluation does not reach that far.
    """
    points = [point for point in evaluation.reach if point.percent >= percent]
    if not points:
        raise ContractError(
            f"the evaluation does not say how many the best {percent:g} percent reach",
            where=f"evaluation of {evaluation.goal}",
            fix="run Evaluate again",
        )
    return max(1, min(points, key=lambda point: point.percent).positives)


def expected_reach(population: Population, evaluation: Evaluation) -> tuple[ExpectedReach, ...]:
    """Tell for each percentage of the scored people how many of them will do it; each counts with the best score."""
    best = population.score(best_endpoints(population, np.arange(len(population.customer))))
    means, variances = np.cumsum(best), np.cumsum(best * (1 - best))
    rows = []
    for percent in range(1, 101):
        people = share(len(best), percent)
        last, positives = people - 1, positives_within(evaluation, percent)
        expected = expect(float(means[last]), float(variances[last]), people, positives)
        rows.append(ExpectedReach(percent, people, *expected, lowest_score=float(best[last])))
    return tuple(rows)
