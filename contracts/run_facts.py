"""Doorway *run facts*: what BuildFeatures counted before any model saw it. Read by publish and by the report.

One file for each host of the step, ``run_facts-<host>.json``; reading adds them up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path

from contracts.document import read_document
from contracts.errors import ContractError

ANY_CHANNEL = ""


@dataclass(frozen=True)
class QueryFacts:
    """The protected query of the run: its id, what it took and cost (None if the service did not say), and its rule."""

    query_id: str
    rule: str
    seconds: float
    billed_units: float | None
    rows: int


@dataclass(frozen=True)
class RunFacts:
    """Counts of one run.

    ``customers`` are those of the scoring snapshot, ``matched`` those of them that the partner knows (None without a
    partner). ``drops`` tells, for each channel and for ``ANY_CHANNEL``, why how many customers can't be written to, in
    the order in which they are taken away; ``scored``, with the same keys, how many are left. By
    ``feed_age_days`` the newest partner value is older than the training snapshot and than the scoring one; None where
    it has no date.
    """

    as_of: str
    customers: int
    matched: int | None
    own_columns: tuple[str, ...]
    partner_columns: tuple[str, ...]
    training_dates: tuple[str, ...]
    query: QueryFacts | None
    drops: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    scored: dict[str, int] = field(default_factory=dict)
    feed_age_days: tuple[int | None, int | None] = (None, None)

    def __add__(self, other: RunFacts) -> RunFacts:
        """Add the counts of another host."""
        matched = None if self.matched is None or other.matched is None else self.matched + other.matched
        channels = sorted(self.drops.keys() | other.drops.keys())
        return replace(
            self,
            customers=self.customers + other.customers,
            matched=matched,
            feed_age_days=(
                youngest(self.feed_age_days[0], other.feed_age_days[0]),
                youngest(self.feed_age_days[1], other.feed_age_days[1]),
            ),
            drops={channel: add_drops(self, other, channel) for channel in channels},
            scored={channel: self.scored.get(channel, 0) + other.scored.get(channel, 0) for channel in channels},
        )

    def to_json(self) -> bytes:
        """Write the facts as JSON."""
        document = {"schema": "pseg.run_facts/1", **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def youngest(one: int | None, other: int | None) -> int | None:
    """Return the smaller of two ages, of those that are known."""
    return min((age for age in (one, other) if age is not None), default=None)


def add_drops(one: RunFacts, other: RunFacts, channel: str) -> tuple[tuple[str, int], ...]:
    """Add the counts of one channel; a host without the channel counts its customers under the first reason."""
    first, second = (facts.drops.get(channel) for facts in (one, other))
    if first is None or second is None:
        known, absent = (first, other) if second is None else (second, one)
        if not known:
            return ()
        (reason, count), *rest = known
        return ((reason, count + absent.customers), *rest)
    return tuple((reason, count + more) for (reason, count), (_, more) in zip(first, second, strict=True))


def write_run_facts(facts: RunFacts, folder: Path, host: int) -> None:
    """Write one host's facts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"run_facts-{host:04d}.json").write_bytes(facts.to_json())


def read_run_facts(folder: Path) -> RunFacts:
    """Read and add up the facts of every host.

    Raises
    ------
    ContractError
        If there is no file, or one is not of this form.
    """
    found = []
    for path in sorted(folder.glob("run_facts-*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            document.pop("schema")
            found.append(read_document(RunFacts, document))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ContractError(
                "these are not the facts of a run", where=str(path), why=str(error), fix="run BuildFeatures again"
            ) from error
    if not found:
        raise ContractError("the facts of the run are missing", where=str(folder), fix="run BuildFeatures again")
    return reduce(RunFacts.__add__, found)
