"""Made-up runs for the report: a rich one where everything is known, and a sparse one with what every run has.

The numbers are drawn, so that they agree with each other: chances from a logistic normal, outcomes from the chances.
``python -m tests.report_runs FOLDER`` writes a report of each, to be looked at.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.evaluation import (
    ALL_SCORES,
    CalibrationGroup,
    Check,
    Evaluation,
    Gain,
    Interval,
    PartnerValue,
    Quality,
    ReachPoint,
    Reason,
    Shift,
    Strength,
    Tenth,
    Trait,
)
from contracts.run_facts import QueryFacts, RunFacts
from contracts.run_manifest import Run, RunManifest
from contracts.run_settings import Money, Words
from contracts.segment_manifest import (
    BELOW_CUT,
    ExpectedReach,
    Moves,
    PublishedFile,
    PublishedSegment,
    SegmentManifest,
)

Numbers = npt.NDArray[np.float64]
CUSTOMERS, SCORED, TESTED = 412_680, 320_742, 41_268
BUYING = Words("Buys again within 30 days", "buy", "bought", "buyers", "buyer", 1)
LEAVING = Words("Stops buying for 90 days", "stop buying", "stopped buying", "leavers", "leaver", -1)
COLUMNS = ("points_balance", "redeemed_90d", "household_size")
SHA = "5be1c07d" * 8
MOVED = "Today's customers score like those learned from"
MOVED_TEXT = "Today's customers score otherwise. Most moved points_balance: values are lower (the partner's feed)."


@dataclass(frozen=True)
class World:
    """One goal's customers: chance of the average one, how far chances spread, and how its segment is cut."""

    goal: str
    words: Words
    intercept: float
    spread: float
    top_percent: float
    channel: str
    seed: int
    max_size: int = 25_000


BUY = World("buy", BUYING, -3.35, 1.25, 10.0, "EMAIL", 11)
LAPSE = World("lapse", LEAVING, -1.60, 0.80, 8.0, "SMS", 12)


def draw_chances(world: World, people: int, seed: int) -> Numbers:
    """Draw the chances of people, highest first."""
    normal = np.random.default_rng(seed).normal(size=people)
    return np.sort(1 / (1 + np.exp(-(world.intercept + world.spread * normal))))[::-1]


def rate_interval(positives: int, people: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    rate, z2 = positives / people, 1.96**2
    middle = (rate + z2 / (2 * people)) / (1 + z2 / people)
    half = 1.96 * math.sqrt(rate * (1 - rate) / people + z2 / (4 * people**2)) / (1 + z2 / people)
    return max(0.0, middle - half), min(1.0, middle + half)


@cache
def make_evaluation(world: World) -> Evaluation:
    """Test the goal: everything that an evaluation can hold."""
    chances = draw_chances(world, TESTED, world.seed)
    happened = (np.random.default_rng(world.seed + 1).random(TESTED) < chances).astype(int)
    base = happened.mean()
    tenths, groups, reach = [], [], []
    for number, rows in enumerate(np.array_split(np.arange(TESTED), 10), start=1):
        low, high = rate_interval(int(happened[rows].sum()), len(rows))
        rate = float(happened[rows].mean())
        predicted = float(chances[rows].mean())
        tenths.append(Tenth(number, len(rows), int(happened[rows].sum()), predicted, rate, rate / base, low, high))
    for rows in np.array_split(np.arange(TESTED)[::-1], 12):
        low, high = rate_interval(int(happened[rows].sum()), len(rows))
        predicted = float(chances[rows].mean())
        groups.append(CalibrationGroup(len(rows), predicted, float(happened[rows].mean()), low, high))
    for percent in range(1, 101):
        people = math.ceil(TESTED * percent / 100)
        reach.append(ReachPoint(percent, people, int(happened[:people].sum())))
    ranks = np.arange(TESTED, 0, -1)
    positives = int(happened.sum())
    auc = float((ranks[happened == 1].sum() - positives * (positives + 1) / 2) / (positives * (TESTED - positives)))
    helps = world.words.better > 0
    return Evaluation(
        goal=world.goal,
        notice="Invented companies.",
        split="customer and time",
        people=TESTED,
        positives=positives,
        auc=auc,
        average_precision=0.231,
        log_loss=0.187,
        brier=0.0493,
        base_rate=float(base),
        tenths=tuple(tenths),
        checks=(
            Check("auc", auc, 0.6, True, "Better than picking at random"),
            Check("positives", positives, 500, True, "Enough examples in the test"),
            Check("shuffled_auc", 0.502, 0.53, True, "Shuffled labels teach nothing", "at most"),
            Check("shared_customers", 0, 0, True, "Nobody in both training and test", "at most"),
            Check("calibration_in_the_large", 0.004, 0.21, True, "Predicts as many as there are", "at most"),
            *(() if helps else (Check("drift_of_scores", 0.12, 0.1, False, MOVED, "at most", MOVED_TEXT, True),)),
        ),
        model={
            "rounds": 412,
            "parameters": {"max_depth": 3, "eta": 0.1},
            "linear_weight": 0.3,
            "cross_validated_auc": 0.771,
            "left_out": [] if helps else ["household_size"],
            "train_rows": 164_000,
            "training_as_of": ["2026-08-31"],
            "fingerprint": SHA,
        },
        auc_low=auc - 0.009,
        auc_high=auc + 0.009,
        predicted_rate=float(chances.mean()),
        words=world.words,
        calibration=tuple(groups),
        reach=tuple(reach),
        quality=make_quality(world, auc),
        traits={f"likely_to_{world.goal}": make_traits(helps)},
        strengths=make_strengths(helps),
        partner_value=make_partner_value(helps, positives),
        shifts=(
            Shift("points_balance", "partner", 0.14, "watch", "The partner's file is 9 days older than last time"),
            Shift("visits_per_week", "brand", 0.11, "watch", "Visits fell by 12%"),
            Shift("days_since_last_order", "brand", 0.06, "ok"),
            Shift(ALL_SCORES, "model", 0.12 if not helps else 0.03, "watch" if not helps else "ok"),
        ),
    )


def make_quality(world: World, auc: float) -> Quality:
    """Put the ranking into words."""
    score = 100 * (2 * auc - 1)
    low, high = score - 1.8, score + 1.8
    if low >= 40:
        reasons = (
            Reason("ok", "The top tenth of customers did it several times as often as the average customer."),
            Reason("ok", "It keeps its word: predictions and outcome differ by less than one point in every group."),
            Reason("ok", "It was tested on customers it had never seen, in a later month than it learned from."),
        )
        return Quality("Good", score, low, high, "Good enough to choose people and plan numbers.", reasons)
    reasons = (
        Reason("ok", "It was tested on customers it had never seen, in a later month than it learned from."),
        Reason("watch", "Your customers have changed: visits_per_week fell, points_balance drifted."),
        Reason("watch", "To become Good, the low end of the ranking score has to rise to 40."),
    )
    return Quality("Fair", score, low, high, "Useful for a first cut. Test before you spend.", reasons)


def make_traits(helps: bool) -> tuple[Trait, ...]:
    """List traits, one of them too rare to print."""
    if not helps:
        return (
            Trait("No order for 60 days", "brand", 10_797, 0.83, 0.44),
            Trait("Visits halved in 8 weeks", "brand", 8_585, 0.66, 0.21),
            Trait("Returned an order in 6 months", "brand", 4_032, 0.31, 0.13),
        )
    return (
        Trait("Ordered in the last 30 days", "brand", 13_755, 0.61, 0.17),
        Trait("Three or more orders in 12 months", "brand", 12_176, 0.54, 0.14),
        Trait("Redeemed points in 90 days", "partner", 8_569, 0.38, 0.12),
        Trait("Moved house this week", "brand", 7, 0.0003, 0.0002),
    )


def make_strengths(helps: bool) -> tuple[Strength, ...]:
    """List what moves the score."""
    rows = [("days_since_last_order", "brand", 0.61), ("orders_12m", "brand", 0.43), ("average_basket", "brand", 0.16)]
    if helps:
        rows += [("points_balance", "partner", 0.35), ("redeemed_90d", "partner", 0.20)]
    return tuple(Strength(*row) for row in sorted(rows, key=lambda row: -row[2]))


def make_partner_value(helps: bool, positives: int) -> PartnerValue:
    """Let the partner's data help one goal and add nothing to the other."""
    if helps:
        gains = (Gain(10, 16.3, 9.4, 24.0), Gain(20, 8.6, 4.4, 13.0), Gain(30, 6.4, 3.6, 9.5))
        auc_gain, precision_gain = Interval(0.031, 0.022, 0.040), Interval(0.019, 0.011, 0.028)
        return PartnerValue(0.741, 0.772, gains[0], gains, positives, auc_gain, 0.212, 0.231, precision_gain)
    gains = (Gain(10, -0.5, -4.1, 1.9), Gain(20, 0.6, -1.3, 2.3), Gain(30, 0.5, -1.0, 2.4))
    return PartnerValue(0.690, 0.691, Gain(8, -0.5, -4.1, 1.9), gains, positives)


@cache
def make_manifest(world: World, status: str = "candidate") -> SegmentManifest:
    """Publish one segment of the goal."""
    chances = draw_chances(world, SCORED, world.seed + 2)
    tested = make_evaluation(world).reach
    rows = []
    for percent in range(1, 101):
        top = chances[: math.ceil(SCORED * percent / 100)]
        spread = (top * (1 - top)).sum() + top.sum() ** 2 / tested[percent - 1].positives / 4
        half = 1.96 * math.sqrt(spread)
        expected = float(top.sum())
        rows.append(ExpectedReach(percent, len(top), expected, expected - half, expected + half, float(top[-1])))
    cut = rows[int(world.top_percent) - 1]
    after_cap = min(cut.people, world.max_size or cut.people)
    held = after_cap // 10
    people = after_cap - held
    expected, half = cut.expected * people / cut.people, (cut.high - cut.low) / 2 * people / cut.people
    segment = PublishedSegment(
        name=f"likely_to_{world.goal}",
        goal=world.goal,
        top_percent=world.top_percent,
        people=people,
        endpoints=people + 12,
        lowest_score=cut.lowest_score,
        expected=expected,
        waterfall=(
            ("customers in the snapshot", CUSTOMERS),
            ("customer for less than 30 days", 18_442),
            ("no consent to be contacted", 61_204),
            ("no usable address", CUSTOMERS - 18_442 - 61_204 - SCORED),
            (BELOW_CUT, SCORED - cut.people),
            ("over the size cap", cut.people - after_cap),
            ("held back for measuring", held),
        ),
        files=(PublishedFile(f"segments/likely_to_{world.goal}/part-0000.csv", people, 1_234_567, SHA),),
        channel=world.channel,
        max_size=world.max_size,
        holdout_percent=10.0,
        holdout=held,
        expected_low=expected - half,
        expected_high=expected + half,
        since_last=Moves(4_310, 3_874, people - 4_310) if world.words.better > 0 else None,
    )
    model = f"arn:aws:sagemaker:us-east-1:111111111111:model-package/spring-{world.goal}/7"
    return SegmentManifest(
        "spring", world.goal, status, "2026-11-20", "run7", model, "Invented companies.", (segment,), tuple(rows)
    )


def make_run(**changes: object) -> Run:
    """Describe the run."""
    facts = RunFacts(
        as_of="2026-11-20",
        customers=CUSTOMERS,
        matched=269_067,
        own_columns=("days_since_last_order", "orders_12m", "average_basket", "visits_per_week"),
        partner_columns=COLUMNS,
        training_dates=("2026-08-31",),
        query=QueryFacts("3f0c8a52-91ab", "LIST", 96.0, 0.53, 269_067),
    )
    run = Run(
        project="spring",
        kind="train",
        execution_id="2026-11-23-0642",
        brand="Juniper & Lane",
        partner="Harbour Points",
        notice="Sample report. The companies are invented and every customer is simulated.",
        may_name_partner_columns=True,
        money=Money("$", 0.42, 18.0, 22.0),
        facts=facts,
        code_sha256=SHA,
        settings_sha256=SHA[::-1],
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def rich_run(goals: int = 2, status: str = "candidate", is_cut_only: bool = False) -> RunManifest:
    """A run in which everything is known, of one to six goals; its segments may be without channel and cap."""
    worlds = [BUY, LAPSE, *(replace(BUY, goal=f"buy{number}", seed=20 + number) for number in range(3, 7))][:goals]
    if is_cut_only:
        worlds = [replace(world, channel="", max_size=0) for world in worlds]
    evaluations = tuple(make_evaluation(world) for world in worlds)
    manifests = tuple(make_manifest(world, status) for world in worlds)
    return RunManifest(make_run(), evaluations, manifests)


def sparse_run() -> RunManifest:
    """One goal of a brand alone, from a ready table without dates: only what every run has."""
    rich = rich_run(1)
    full, published = rich.evaluations[0], rich.manifests[0]
    evaluation = Evaluation(
        goal=full.goal,
        notice="",
        split="customer",
        people=full.people,
        positives=full.positives,
        auc=full.auc,
        average_precision=full.average_precision,
        log_loss=full.log_loss,
        brier=full.brier,
        base_rate=full.base_rate,
        tenths=tuple(replace(row, low=0.0, high=1.0) for row in full.tenths),
        checks=(Check("auc", full.auc, 0.6, True),),
        model=full.model,
    )
    segment = published.segments[0]
    waterfall = (("scored", SCORED), ("address used by another", 0), (BELOW_CUT, SCORED - segment.people))
    plain = PublishedSegment(
        name=segment.name,
        goal=segment.goal,
        top_percent=segment.top_percent,
        people=segment.people,
        endpoints=segment.people,
        lowest_score=segment.lowest_score,
        expected=segment.expected,
        waterfall=waterfall,
        files=segment.files,
    )
    facts = RunFacts("undated", CUSTOMERS, None, ("age", "balance"), (), ("undated",), None)
    run = make_run(brand="", partner="", notice="", money=Money(), facts=facts)
    return RunManifest(run, (evaluation,), (replace(published, segments=(plain,), reach=(), notice=""),))


def failed_run() -> RunManifest:
    """Two goals, the second of which failed two checks; nothing was published for it."""
    rich = rich_run()
    buy, lapse = rich.evaluations
    checks = (
        *lapse.checks[1:],
        replace(lapse.checks[0], found=0.581, is_passed=False, text="Too little is known of who will leave."),
        Check("total", 0.84, 0.9, False, "Total kept"),
    )
    stopped = replace(lapse, checks=checks, quality=None, traits=None)
    return RunManifest(rich.run, (buy, stopped), rich.manifests[:1])


RUNS: dict[str, Callable[[], RunManifest]] = {
    "rich": rich_run,
    "sparse": sparse_run,
    "failed": failed_run,
    "approved": lambda: rich_run(status="approved"),
    "six goals": lambda: rich_run(6),
}


def main(folder: Path) -> None:
    """Write a report of each run."""
    from insights.report import render_report

    folder.mkdir(parents=True, exist_ok=True)
    for name, make in RUNS.items():
        (folder / f"{name.replace(' ', '_')}.html").write_text(render_report(make()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
