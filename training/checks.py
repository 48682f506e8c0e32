"""The guards before registration: what was found, what is allowed, and whose it is to mend.

Pure functions. A failed check stops the registration; a warning only holds the quality word down (UX: at most Fair).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.evaluation import ALL_SCORES, Check, Interval, Shift
from contracts.run_settings import Goal, Training
from contracts.training_facts import TrainingFacts
from training.drift import BINS, allowed

LEAK_AUC = 0.80
SHUFFLED_MARGIN = 0.03
GAP = 0.05
RATE_OFF = 0.20  # predicted less happened, as a share of happened
TENTH_OFF = 0.10  # beyond a tenth's own range, as a probability
RATE_RATIO = 1.5  # between the label rates of two times
MATCH_POINTS = 0.10
GONE = 0.50  # of the rows in which a fact is missing now and was not then
LATE = 0.01
STALER_DAYS = 31  # by which the partner's newest value may be older than it was in training
Z = 1.959963984540054


@dataclass(frozen=True)
class Tested:
    """What the test part showed: its people, rates, area under the curve with its interval, and its worst tenth."""

    people: int
    positives: int
    auc: float
    auc_low: float
    auc_high: float
    predicted_rate: float
    happened_rate: float
    worst_tenth: float


@dataclass(frozen=True)
class Split:
    """How the test part stands to the rows learned from.

    ``shared`` customers are in both; of the test rows the share ``late`` [0-1] lies before the newest row learned from,
    None where rows have no time.
    """

    shared: int
    late: float | None


@dataclass(frozen=True)
class Rival:
    """The approved model: by how much the new one's area under the curve is larger; None, and why, if not compared."""

    version: str
    gain: Interval | None
    why_not: str = ""


def at_most(
    name: str, found: float, allowed: float, title: str, says: str = "", advice: str = "", is_warning: bool = False
) -> Check:
    """Hold something against what it may be at most; the text ``says`` what it is, and on failure ends in advice."""
    is_passed = found <= allowed
    text = (says and f"{says}.") if is_passed else says + (advice or ".")
    return Check(name, found, allowed, is_passed, title, "at most", text, is_warning)


def check_data(goal: Goal, training: Training, facts: TrainingFacts, tested: Tested, split: Split) -> list[Check]:
    """Check what a model was made of and tested on."""
    fewest = min(facts.positives, tested.positives)
    part = "test" if tested.positives <= facts.positives else "training"
    is_enough = fewest >= training.minimum_positives
    checks = [
        Check(
            "enough_positives",
            fewest,
            training.minimum_positives,
            is_enough,
            title=f"Enough {goal.words.noun} to learn from and to test on",
            text=""
            if is_enough
            else f"The {part} part has {fewest:,}. Bring more customers, or wait for more of them.",
        ),
        at_most(
            "customers_in_both_parts",
            split.shared,
            0,
            "Nobody is both learned from and tested on",
            advice="A customer in both parts lets a model pass by remembering him: look at [columns] split.",
        ),
    ]
    if split.late is not None:
        advice = "Share of the test rows that are older than rows learned from: look at [columns] split and time."
        checks.append(at_most("tested_on_the_past", split.late, LATE, "Tested on what came later", advice=advice))
    return checks


def check_leaks(
    training: Training, facts: TrainingFacts, feed_age_days: tuple[int | None, int | None], is_static: bool
) -> list[Check]:
    """Check that nothing gave the answer away, and that the partner's feed is as fresh as it was.

    Parameters
    ----------
    feed_age_days : tuple of int or None
        By how much the partner's newest value is older than the training and the scoring snapshot.
    """
    then, now = feed_age_days
    days_after = max(0, -(then or 0))
    is_undated = facts.match_rate is not None and then is None
    accepted = set(training.accept_features)
    suspects = [single for single in facts.singles if single.feature not in accepted | set(facts.left_out)]
    worst = max(suspects, key=lambda single: (single.low > LEAK_AUC, single.auc), default=None)
    used = [item.feature for item in facts.disguised if item.feature not in facts.left_out]
    unaccepted = sorted(set(used) - accepted)
    left_out = (
        f"Left out, the same for everybody at one time: {', '.join(facts.left_out)}. "
        "To use one, accept it: [training] accept_features"
    )
    checks = [
        at_most(
            "shuffled_labels",
            facts.shuffled_auc,
            0.5 + max(SHUFFLED_MARGIN, 3 * facts.shuffled_error),
            "Learns nothing where there is nothing to learn",
            advice="It ranked labels dealt out at random: the same people are in several rows, under other keys.",
        ),
        at_most(
            "single_feature",
            worst.auc if worst else 0.5,
            LEAK_AUC,
            "No single fact gives the answer away",
            advice=f"{worst.feature} alone ranks this well ({owner_of(worst.party)}). If it is known before the "
            f'outcome, accept it: [training] accept_features = ["{worst.feature}"]; if not, leave it out.'
            if worst
            else "",
            is_warning=worst is not None and worst.low <= LEAK_AUC,
        ),
        at_most(
            "days_after_snapshot",
            days_after,
            0,
            "Nothing known is from after the snapshot",
            says="The partner's values carry no date: that they were known then is the project's word"
            if is_undated
            else "",
            advice=f"The newest value learned from is {days_after:,} days younger than the date it stands for"
            + (": the project says that the partner's columns never change." if is_static else "."),
            is_warning=is_static,
        ),
        at_most(
            "dates_in_disguise",
            len(unaccepted),
            0,
            "No fact is a date in disguise",
            says="" if unaccepted or not facts.left_out else left_out,
            advice=f"Same for everybody at one time, and used: {', '.join(unaccepted)}.",
        ),
    ]
    if then is not None and now is not None:
        checks.append(
            at_most(
                "feed_age",
                now - max(then, 0),
                STALER_DAYS,
                "The partner's feed is as fresh as in training",
                f"The newest value was {max(then, 0)} days old in training and is {now} days old now",
                ": ask the partner for newer ones.",
                is_warning=True,
            )
        )
    return checks


def owner_of(party: str) -> str:
    """Say whose a feature is."""
    return "from the partner" if party == "partner" else "your own"


def check_quality(goal: Goal, facts: TrainingFacts, tested: Tested) -> list[Check]:
    """Check how well it ranks and whether its probabilities hold."""
    predicted, happened = tested.predicted_rate, tested.happened_rate
    noise = Z * math.sqrt(happened * (1 - happened) / tested.people)
    checks = [
        Check("auc", tested.auc, goal.minimum_auc, tested.auc >= goal.minimum_auc, title="Ranks better than its floor"),
        at_most(
            "validation_test_gap",
            facts.auc - tested.auc,
            GAP + (tested.auc_high - tested.auc_low) / 2,
            "As good in the test as in training",
            f"It ranked with {facts.auc:.3f} in cross-validation and with {tested.auc:.3f} in the test",
        ),
        at_most(
            "calibration_in_the_large",
            abs(predicted - happened) / happened,
            RATE_OFF + noise / happened,
            "Predicts as many as there are",
            f"It predicted {predicted:.1%} and {happened:.1%} happened",
            f"; of those learned from {facts.label_rate:.1%}: learn from newer ones.",
        ),
        at_most(
            "calibration_by_tenth",
            tested.worst_tenth,
            TENTH_OFF,
            "Predicts as many as there are, tenth by tenth",
            advice="How far the worst tenth's prediction lies outside the range of what happened.",
        ),
    ]
    if facts.random_auc is not None and facts.is_ordered:
        positives = facts.label_rate * facts.checked
        checks.append(
            at_most(
                "random_against_ordered",
                facts.random_auc - facts.auc,
                # twice the variance of an area where nothing is known (see training.probes.probe_shuffled)
                GAP + Z * math.sqrt((facts.checked + 1) / (6 * positives * (facts.checked - positives))),
                "As good in time order as with customers dealt out at random",
                f"With random parts it ranks with {facts.random_auc:.3f}, in time order with {facts.auc:.3f}: "
                "what holds today may not hold tomorrow",
                is_warning=True,
            )
        )
    return checks


def check_champion(rival: Rival | None) -> list[Check]:
    """Check that the model is not surely worse than the approved one; where they can't be compared, say why."""
    if rival is None:
        return []
    gain = rival.gain
    text = f"Not compared with {rival.version}: {rival.why_not}."
    if gain:
        text = (
            f"Area under the curve less that of {rival.version} on the same customers: {gain.value:+.3f} "
            f"({gain.low:+.3f} to {gain.high:+.3f})."
        )
    found = gain.high if gain else 0.0
    return [Check("champion", found, 0.0, found >= 0, title="Not worse than the approved model", text=text)]


def check_drift(shifts: Sequence[Shift], facts: TrainingFacts, tested: Tested, match_rate: float | None) -> list[Check]:
    """Check how far today's customers have moved from those learned from."""
    scores = max((shift.psi for shift in shifts if shift.name == ALL_SCORES), default=0.0)
    causes = sorted((shift for shift in shifts if shift.cause and shift.name != ALL_SCORES), key=lambda s: -s.psi)
    cause = f" Most moved {causes[0].name}: {causes[0].cause}." if causes else ""
    gone = sorted((shift for shift in shifts if shift.newly_missing > GONE), key=lambda s: -s.newly_missing)
    checks = [
        at_most(
            "drift_of_label_rate",
            max(tested.happened_rate / facts.label_rate, facts.label_rate / tested.happened_rate),
            RATE_RATIO + 2 * Z / math.sqrt(tested.positives),
            "The rate has not moved since training",
            f"{facts.label_rate:.1%} of those learned from, {tested.happened_rate:.1%} of those tested on",
            ": events or labels are counted otherwise now, or the market moved.",
        ),
        at_most(
            "drift_of_scores",
            scores,
            allowed(BINS, facts.checked, tested.people),
            "Today's customers score like those learned from",
            advice=f"Today's customers score otherwise than those learned from.{cause}",
            is_warning=True,
        ),
        at_most(
            "facts_gone_missing",
            len(gone),
            0,
            "No fact has gone missing since training",
            advice="; ".join(f"{shift.name}: {shift.cause}" for shift in gone),
        ),
    ]
    if match_rate is not None and facts.match_rate is not None:
        checks.append(
            at_most(
                "drift_of_match_rate",
                abs(match_rate - facts.match_rate),
                MATCH_POINTS,
                "The partner knows as many as in training",
                f"The partner knows {facts.match_rate:.0%} of those learned from and {match_rate:.0%} of today's "
                "customers",
                ": ask the partner about the feed, and look at your own match keys.",
                is_warning=True,
            )
        )
    return checks
