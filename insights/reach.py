"""How many people to contact: the rows that slider, sentence, table, dots and curve of one goal all read.

What was published gives expected numbers over the people scored (``SegmentManifest.reach``). Where nothing was
published, the test's own reach is shown and says that it is the test's.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from contracts.errors import ContractError
from contracts.evaluation import Evaluation
from contracts.run_settings import Money
from contracts.segment_manifest import PublishedSegment, SegmentManifest
from insights.wording import about, exact, money, of_every, percent

PICKS = (1, 5, 10, 20, 30, 50, 100)
ALL_SHARE = 0.995  # what rounds to 100 percent


@dataclass(frozen=True)
class Cut:
    """The ``percent`` [0-100] of people with the highest scores: how many, and how many of them do it.

    ``positives`` are expected over the people scored (``low`` to ``high``: 95 % interval) or counted in a test (then
    None). ``share`` [0-1] is of all positives, ``lift`` the rate against that of everyone.
    """

    percent: float
    people: float
    positives: float
    low: float | None
    high: float | None
    share: float
    lift: float

    @property
    def rate(self) -> float:
        """Share [0-1] of the people in the cut who do it."""
        return self.positives / self.people if self.people else 0.0


@dataclass(frozen=True)
class Row:
    """One row of the table: a cut, the segment that it is the start of (empty: none)."""

    cut: Cut
    segment: str = ""


@dataclass(frozen=True)
class Preset:
    """A button beside the slider: the whole percent it goes to, and what it is called by."""

    percent: int
    kind: str
    name: str
    cut: float


def expected_cuts(manifest: SegmentManifest) -> tuple[Cut, ...]:
    """Read the cuts over the people scored.

    Raises
    ------
    ContractError
        If there are rows, but not the hundred from 1 to 100 percent.
    """
    rows = manifest.reach
    if not rows:
        return ()
    if [row.percent for row in rows] != list(range(1, 101)):
        raise ContractError(
            f"the reach of {manifest.goal} has not one row for each percent from 1 to 100", fix="publish again"
        )
    last = rows[-1]
    return tuple(
        make_cut(row.percent, row.people, row.expected, row.low, row.high, last.people, last.expected) for row in rows
    )


def tested_cuts(evaluation: Evaluation) -> tuple[Cut, ...]:
    """Read the cuts of the test, with what happened there.

    Raises
    ------
    ContractError
        If there are rows, but the last is not everyone in the test.
    """
    if evaluation.reach and (evaluation.reach[-1].percent, evaluation.reach[-1].people) != (100, evaluation.people):
        raise ContractError(
            f"the reach of {evaluation.goal} in the test does not end with everyone", fix="run Evaluate again"
        )
    return tuple(
        make_cut(row.percent, row.people, row.positives, None, None, evaluation.people, evaluation.positives)
        for row in evaluation.reach
    )


def make_cut(
    percent: float,
    people: float,
    positives: float,
    low: float | None,
    high: float | None,
    all_people: float,
    all_positives: float,
) -> Cut:
    """Make a cut from its counts; where nobody at all does it, share and lift are 0."""
    share = positives / all_positives if all_positives else 0.0
    return Cut(percent, people, positives, low, high, share, share * all_people / people if people else 0.0)


def cut_at(cuts: tuple[Cut, ...], percent: float) -> Cut:
    """Return the cut at any percent (0-100]: its people rounded up, all else linear between its neighbours by people.

    Before the first cut stands nobody at 0.
    """
    place = bisect_left([cut.percent for cut in cuts], percent)
    after = cuts[min(place, len(cuts) - 1)]
    if after.percent == percent:
        return after
    before = cuts[place - 1] if place else Cut(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    people = math.ceil(Fraction(str(percent)) * Fraction(str(cuts[-1].people)) / 100)
    part = (people - before.people) / (after.people - before.people) if after.people > before.people else 0.0

    def mix(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one + part * (other - one)

    positives = before.positives + part * (after.positives - before.positives)
    low, high = mix(before.low, after.low), mix(before.high, after.high)
    return make_cut(percent, people, positives, low, high, cuts[-1].people, cuts[-1].positives)


def percent_of(segment: PublishedSegment, cuts: tuple[Cut, ...]) -> float | None:
    """Return the percent that a segment is the start of, None where its people are not those of that cut.

    The cuts are over everyone scored, on all channels: with a channel, a minimum score or a cap a segment may hold
    others or fewer. Those held back belong to it.
    """
    is_plain = not (segment.channel or segment.minimum_score or segment.max_size)
    is_cut = cut_at(cuts, segment.top_percent).people == segment.people + segment.holdout
    return segment.top_percent if is_plain or is_cut else None


def start_of(segment: PublishedSegment, cuts: tuple[Cut, ...]) -> int:
    """Return the whole percent at which the slider starts: the first that has as many people as the segment."""
    wanted = segment.people + segment.holdout
    return next((whole(cut.percent) for cut in cuts if cut.people >= wanted), 100)


def table_rows(cuts: tuple[Cut, ...], starts: dict[str, float]) -> tuple[Row, ...]:
    """Choose the rows of the table: fixed percents that there are, and the start of each segment."""
    taken = set(starts.values())
    fixed = [Row(cut) for cut in cuts if cut.percent in PICKS and cut.percent not in taken]
    segments = [Row(cut_at(cuts, percent), name) for name, percent in starts.items()]
    return tuple(sorted([*fixed, *segments], key=lambda row: row.cut.percent))


def presets(cuts: tuple[Cut, ...], starts: dict[str, float]) -> tuple[Preset, ...]:
    """Choose the buttons: top 1 %, each segment, half of those who do it, all; of two at one place, the segment's."""
    half = next((int(cut.percent) for cut in cuts if cut.share >= 0.5), 100)
    wanted = [
        *(Preset(whole(percent), "segment", name, percent) for name, percent in starts.items()),
        Preset(1, "top", "", 1.0),
        Preset(100, "all", "", 100.0),
        Preset(half, "half", "", half),
    ]
    found: dict[int, Preset] = {}
    for preset in wanted:
        found.setdefault(preset.percent, preset)
    return tuple(found[percent] for percent in sorted(found))


def whole(percent: float) -> int:
    """Return the whole percent, at least 1, that the slider can show for a cut."""
    return max(1, round(percent))


def readout(cut: Cut, costs: Money) -> dict[str, str | float]:
    """Write everything that the slider says at one cut; the page's script only puts these texts into their places.

    ``dots`` is a whole number of a hundred, ``x`` and ``y`` are shares [0-1] on the curve.
    """
    texts: dict[str, str | float] = {
        "at": f"top {cut.percent:.0f}% = {exact(cut.people)} people",
        "people": exact(cut.people),
        "expected": about(cut.positives),
        "low": about(cut.low or 0.0),
        "high": about(cut.high or 0.0),
        "share": "all" if cut.share >= ALL_SHARE else percent(cut.share),
        "others": exact(cut.people - cut.positives),
        "picture": f"{of_every(cut.rate)} you contact",
        "dots": round(100 * cut.rate),
        "x": cut.percent / 100,
        "y": round(cut.share, 4),
    }
    if costs.cost_per_contact is not None:
        cost = cut.people * costs.cost_per_contact
        texts["cost"] = money(cost, costs.currency)
        texts["each"] = money(cost / cut.positives, costs.currency) if cut.positives else "no amount"
    return texts
