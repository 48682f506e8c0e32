"""How the rows to learn from are divided, so that a model is always checked on people, and times, it has not seen.

Nobody is on both sides of a fold, whatever the number of snapshots. Where rows have a time, a fold learns from what lay
before what it checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.feature_table import TIME_ORDER

FOLDS = 5
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Places of the rows to learn from and to check on."""

    learn: Rows
    check: Rows


def read_times(rows: pa.Table) -> npt.NDArray[np.int64] | None:
    """Return the numbers of the rows' times, 0 first; None where all are of one time or of none."""
    name = TIME_ORDER if TIME_ORDER in rows.schema.names else "snapshot_date"
    column = rows.column(name)
    if column.null_count or pc.count_distinct(column).as_py() < 2:
        return None
    return np.unique(column.to_numpy(), return_inverse=True)[1].astype(np.int64)


def people_of(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows' customers, in the order of their keys."""
    return np.unique(rows.column("customer_key").to_numpy(), return_inverse=True)[1].astype(np.int64)


def random_folds(people: npt.NDArray[np.int64], seed: int, count: int = FOLDS) -> list[Fold]:
    """Deal the customers out at random; each is checked once, with the others learned from.

    Parameters
    ----------
    people : ndarray of shape (n_rows,), int64
        The rows' customers, numbered.
    """
    part = np.random.default_rng(seed).permutation(int(people.max()) + 1)[people] % count
    return [Fold(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(count)]


def ordered_folds(
    people: npt.NDArray[np.int64], times: npt.NDArray[np.int64], seed: int, count: int = FOLDS
) -> list[Fold]:
    """Check on later rows what was learned from earlier ones, of other customers.

    Few times (snapshots), or most rows of the newest one: that is checked, one random part of the customers at a time.
    Many: the rows go by their time into ``count`` + 1 blocks, and each block after the first is checked with all those
    before it.
    """
    newest = times == times.max()
    if len(np.unique(times)) <= count or newest.mean() > 0.5:
        return [
            Fold(np.setdiff1d(fold.learn, np.flatnonzero(newest)), np.intersect1d(fold.check, np.flatnonzero(newest)))
            for fold in random_folds(people, seed, count)
        ]
    edges = np.quantile(times, np.linspace(0, 1, count + 2)[1:-1])
    block = np.searchsorted(edges, times, side="left")
    folds = []
    for number in range(1, count + 1):
        check = np.flatnonzero(block == number)
        before = np.flatnonzero(block < number)
        folds.append(Fold(before[~np.isin(people[before], people[check])], check))
    return folds


def usable(folds: list[Fold], labels: npt.NDArray[np.int8]) -> list[Fold]:
    """Keep the folds in which both sides hold both labels."""
    return [
        fold
        for fold in folds
        if all(len(side) and 0 < labels[side].sum() < len(side) for side in (fold.learn, fold.check))
    ]
