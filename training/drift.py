"""How far today's customers have moved from those learned from: the population stability index, cause and owner.

PSI = sum over bins of (now - then) ln(now / then), with shares of equal-sized bins of then; by custom (Siddiqi, Credit
Risk Scorecards, 2006, ch. 9) below 0.10 is none, from 0.25 much.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts.evaluation import ALL_SCORES, Shift
from contracts.feature_table import Feature, FeatureTable
from contracts.training_facts import Distribution

Values = npt.NDArray[np.floating]

SCORES = ALL_SCORES
BINS = 10
MAX_CATEGORIES = 20
SOME = 0.10
FLOOR = 1e-4  # the least share a bin counts with, so that an empty one moves the sum, not everything


def measure_numbers(name: str, party: str, values: Values) -> Distribution:
    """Measure the distribution of a number over ten equal groups and the missing.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Not finite means missing.
    """
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
    found = tuple(float(edge) for edge in edges)
    return Distribution(name, party, shares_of_numbers(values, found), edges=found)


def shares_of_numbers(values: Values, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Share out numbers among bins, the missing last."""
    known = values[np.isfinite(values)].astype(np.float64)
    counts = np.bincount(np.searchsorted(np.array(edges), known, side="right"), minlength=len(edges) + 1)
    return tuple(float(count) / max(len(values), 1) for count in (*counts, len(values) - len(known)))


def shares_of_codes(codes: Values, feature: Feature, kept: tuple[str, ...], unknown: float = 0.0) -> tuple[float, ...]:
    """Share out category codes among the ``kept``, the others, and the missing; ``unknown`` of these are others."""
    known = codes[~np.isnan(codes)].astype(np.intp)
    counts = np.bincount(known, minlength=len(feature.categories)) / max(len(codes), 1)
    by_name = dict(zip(feature.categories, counts.tolist(), strict=True))
    shares = [by_name.get(name, 0.0) for name in kept]
    missing = 1 - len(known) / max(len(codes), 1) - unknown
    return (*shares, max(float(counts.sum()) - sum(shares), 0.0) + unknown, max(missing, 0.0))


def commonest(codes: Values, feature: Feature) -> tuple[str, ...]:
    """Name the ``MAX_CATEGORIES`` commonest categories of some rows, in their own order."""
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.intp), minlength=len(feature.categories))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MAX_CATEGORIES])
    return tuple(feature.categories[place] for place in kept)


def shares_unknown(rows: pa.Table, matrix: npt.NDArray[np.float32], table: FeatureTable) -> dict[str, float]:
    """Return for each text feature the share of rows with a category that training did not know.

    ``matrix`` is what ``encode`` made of the rows: such a category is missing there.
    """
    return {
        feature.name: (int(np.isnan(matrix[:, place]).sum()) - rows.column(feature.name).null_count) / len(matrix)
        for place, feature in enumerate(table.features)
        if feature.kind == "category" and len(matrix)
    }


def measure_distributions(matrix: npt.NDArray[np.float32], table: FeatureTable) -> tuple[Distribution, ...]:
    """Measure every feature.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
        As ``contracts.feature_table.encode`` makes it.
    """
    found = []
    for place, feature in enumerate(table.features):
        values = matrix[:, place]
        if feature.kind == "number":
            found.append(measure_numbers(feature.name, feature.party, values))
        else:
            kept = commonest(values, feature)
            shares = shares_of_codes(values, feature, kept)
            found.append(Distribution(feature.name, feature.party, shares, categories=kept))
    return tuple(found)


def psi(then: tuple[float, ...], now: tuple[float, ...]) -> float:
    """Return the population stability index of two lists of shares."""
    first, second = (np.maximum(np.array(shares), FLOOR) for shares in (then, now))
    return float(((second - first) * np.log(second / first)).sum())


def allowed(bins: int, *rows: int) -> float:
    """Return up to what index nothing need be said of two lists of shares, each of so many rows.

    Notes
    -----
    Twice what chance gives on average comes on top of ``SOME`` (Yurdakul and Naranjo, Statistical properties of the
    PSI, 2020).
    """
    return SOME + 2 * (bins - 1) * sum(1 / max(count, 1) for count in rows)


def state_of(index: float, limit: float) -> str:
    """Say how a shift looks: ok or watch. None alone stops a model: a cohort that grows older moves, and rightly."""
    return "watch" if index > limit else "ok"


def compare(
    then: tuple[Distribution, ...],
    matrix: npt.NDArray[np.float32],
    table: FeatureTable,
    rows: int,
    unknown: Mapping[str, float] = MappingProxyType({}),
) -> list[Shift]:
    """Compare today's rows with the distributions of training, feature by feature, with cause and owner.

    ``rows`` is how many were learned from; ``unknown`` tells the share of today's rows with an unknown category, as
    ``shares_unknown`` does.
    """
    by_name = {distribution.name: distribution for distribution in then}
    shifts = []
    for place, feature in enumerate(table.features):
        before = by_name[feature.name]
        values = matrix[:, place]
        if feature.kind == "number":
            shares = shares_of_numbers(values, before.edges)
        else:
            shares = shares_of_codes(values, feature, before.categories, unknown.get(feature.name, 0.0))
        index, limit = psi(before.shares, shares), allowed(len(shares), rows, len(matrix))
        cause = cause_of(before, shares, unknown.get(feature.name, 0.0)) if index > limit else ""
        gone = shares[-1] + unknown.get(feature.name, 0.0) - before.shares[-1]  # to the model both are missing
        shifts.append(Shift(feature.name, feature.party, index, state_of(index, limit), cause, gone))
    return shifts


def cause_of(before: Distribution, shares: tuple[float, ...], unknown: float) -> str:
    """Say in words what moved most, and whose feed to look at."""
    owner = "the partner's feed" if before.party == "partner" else "your own feed"
    missing = (before.shares[-1], shares[-1])
    if abs(missing[1] - missing[0]) > 0.05:
        return f"missing in {missing[0]:.0%} of the rows then, in {missing[1]:.0%} now: ask whoever runs {owner}"
    if before.categories:
        moves = np.array(shares[:-2]) - np.array(before.shares[:-2])
        place = int(np.abs(moves).argmax())
        if unknown > np.abs(moves).max() / 2:  # who has another name for a category has left the one it had
            return f"{unknown:.0%} have a category that training did not know: ask whoever runs {owner}"
        if abs(shares[-2] - before.shares[-2]) > np.abs(moves).max():
            return f"rarer categories were {before.shares[-2]:.0%} then, are {shares[-2]:.0%} now ({owner})"
        return f"{before.categories[place]} was {before.shares[place]:.0%} then, is {shares[place]:.0%} now ({owner})"
    middle = np.arange(len(shares) - 1)
    known = [np.array(side[:-1]) / max(sum(side[:-1]), FLOOR) for side in (before.shares, shares)]
    moved = float((known[1] * middle).sum() - (known[0] * middle).sum())
    return f"values are {'higher' if moved > 0 else 'lower'} than in training ({owner})"
