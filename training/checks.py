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
from training.drift import BINS, SOME

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


def advise(is_failed: bool, text: str) -> str:
    """Say what to do only where there is something to do."""
    return text if is_failed else ""


def check_data(goal: Goal, training: Training, facts: TrainingFacts, tested: Tested, split: Split) -> list[Check]:
    """Check what a model was made of and tested on."""
    fewest = min(facts.positives, tested.positives)
    part = "test" if tested.positives <= facts.positives else "training"
    checks = [
        Check(
            "enough_positives",
            fewest,
            training.minimum_positives,
            fewest >= training.minimum_positives,
            title=f"Enough {goal.words.noun} to learn from and to test on",
            text=advise(
                fewest < training.minimum_positives,
                f"The {part} part has {fewest:,}. Bring more customers, or wait for more of them.",
            ),
        ),
        Check(
            "customers_in_both_parts",
            split.shared,
            0,
            split.shared == 0,
            title="Nobody is both learned from and tested on",
            comparison="at most",
            text=advise(
                split.shared > 0,
                "A customer in both parts lets a model pass by remembering him: look at [columns] split.",
            ),
        ),
    ]
    if split.late is not None:
        checks.append(
            Check(
                "tested_on_the_past",
                split.late,
                LATE,
                split.late <= LATE,
                title="Tested on what came later",
                comparison="at most",
                text=advise(
                    split.late > LATE,
                    "Share of the test rows that are older than rows learned from: look at [columns] split and time.",
                ),
            )
        )
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
    accepted = set(training.accept_features)
    allowed = 0.5 + max(SHUFFLED_MARGIN, 3 * facts.shuffled_error)
    suspects = [single for single in facts.singles if single.feature not in accepted | set(facts.left_out)]
    worst = max(suspects, key=lambda single: (single.low > LEAK_AUC, single.auc), default=None)
    found = worst.auc if worst else 0.5
    used = [item.feature for item in facts.disguised if item.feature not in facts.left_out]
    unaccepted = sorted(set(used) - accepted)
    checks = [
        Check(
            "shuffled_labels",
            facts.shuffled_auc,
            allowed,
            facts.shuffled_auc <= allowed,
            title="Learns nothing where there is nothing to learn",
            comparison="at most",
            text=advise(
                facts.shuffled_auc > allowed,
                "It ranked labels dealt out at random: the same people are in several rows, under other keys.",
            ),
        ),
        Check(
            "single_feature",
            found,
            LEAK_AUC,
            found <= LEAK_AUC,
            title="No single fact gives the answer away",
            comparison="at most",
            text=""
            if worst is None or found <= LEAK_AUC
            else f"{worst.feature} alone ranks this well ({owner_of(worst.party)}). If it is known before the outcome, "
            f'accept it: [training] accept_features = ["{worst.feature}"]; if not, leave it out.',
            is_warning=worst is not None and worst.low <= LEAK_AUC,
        ),
        Check(
            "days_after_snapshot",
            days_after,
            0,
            days_after <= 0,
            title="Nothing known is from after the snapshot",
            comparison="at most",
            text=advise(
                days_after > 0,
                f"The newest value learned from is {days_after:,} days younger than the date it stands for"
                + (": the project says that the partner's columns never change." if is_static else "."),
            )
            or advise(
                facts.match_rate is not None and then is None,
                "The partner's values carry no date: that they were known then is the project's word.",
            ),
            is_warning=is_static,
        ),
        Check(
            "dates_in_disguise",
            len(unaccepted),
            0,
            not unaccepted,
            title="No fact is a date in disguise",
            comparison="at most",
            text=disguise_text(facts, unaccepted),
        ),
    ]
    if then is not None and now is not None:
        staler = now - max(then, 0)
        checks.append(
            Check(
                "feed_age",
                staler,
                STALER_DAYS,
                staler <= STALER_DAYS,
                title="The partner's feed is as fresh as in training",
                comparison="at most",
                text=f"The newest value was {max(then, 0)} days old in training and is {now} days old now"
                + (": ask the partner for newer ones." if staler > STALER_DAYS else "."),
                is_warning=True,
            )
        )
    return checks


def disguise_text(facts: TrainingFacts, unaccepted: list[str]) -> str:
    """Say which features are the same for everybody at one time, and what was done about them."""
    if unaccepted:
        return f"Same for everybody at one time, and used: {', '.join(unaccepted)}."
    if facts.left_out:
        return (
            f"Left out, the same for everybody at one time: {', '.join(facts.left_out)}. "
            "To use one, accept it: [training] accept_features."
        )
    return ""


def owner_of(party: str) -> str:
    """Say whose a feature is."""
    return "from the partner" if party == "partner" else "your own"


def check_quality(goal: Goal, facts: TrainingFacts, tested: Tested) -> list[Check]:
    """Check how well it ranks and whether its probabilities hold."""
    spread = (tested.auc_high - tested.auc_low) / 2
    gap, gap_allowed = facts.auc - tested.auc, GAP + spread
    predicted, happened = tested.predicted_rate, tested.happened_rate
    noise = Z * math.sqrt(happened * (1 - happened) / tested.people)
    off, off_allowed = abs(predicted - happened) / happened, RATE_OFF + noise / happened
    checks = [
        Check("auc", tested.auc, goal.minimum_auc, tested.auc >= goal.minimum_auc, title="Ranks better than its floor"),
        Check(
            "validation_test_gap",
            gap,
            gap_allowed,
            gap <= gap_allowed,
            title="As good in the test as in training",
            comparison="at most",
            text=f"It ranked with {facts.auc:.3f} in cross-validation and with {tested.auc:.3f} in the test.",
        ),
        Check(
            "calibration_in_the_large",
            off,
            off_allowed,
            off <= off_allowed,
            title="Predicts as many as there are",
            comparison="at most",
            text=f"It predicted {predicted:.1%} and {happened:.1%} happened"
            + (f"; of those learned from {facts.label_rate:.1%}: learn from newer ones." if off > off_allowed else "."),
        ),
        Check(
            "calibration_by_tenth",
            tested.worst_tenth,
            TENTH_OFF,
            tested.worst_tenth <= TENTH_OFF,
            title="Predicts as many as there are, tenth by tenth",
            comparison="at most",
            text=advise(
                tested.worst_tenth > TENTH_OFF,
                "How far the worst tenth's prediction lies outside the range of what happened.",
            ),
        ),
    ]
    if facts.random_auc is not None and facts.is_ordered:
        flattery = facts.random_auc - facts.auc
        positives = facts.label_rate * facts.checked
        # twice the variance of an area where nothing is known (see training.probes.probe_shuffled)
        allowed = GAP + Z * math.sqrt((facts.checked + 1) / (6 * positives * (facts.checked - positives)))
        checks.append(
            Check(
                "random_against_ordered",
                flattery,
                allowed,
                flattery <= allowed,
                title="As good in time order as with customers dealt out at random",
                comparison="at most",
                text=f"With random parts it ranks with {facts.random_auc:.3f}, in time order with {facts.auc:.3f}: "
                "what holds today may not hold tomorrow.",
                is_warning=True,
            )
        )
    return checks


def check_champion(rival: Rival | None) -> list[Check]:
    """Check that the model is not surely worse than the approved one; where they can't be compared, say why."""
    if rival is None:
        return []
    gain = rival.gain
    return [
        Check(
            "champion",
            gain.high if gain else 0.0,
            0.0,
            gain is None or gain.high >= 0,
            title="Not worse than the approved model",
            text=f"Area under the curve less that of {rival.version} on the same customers: {gain.value:+.3f} "
            f"({gain.low:+.3f} to {gain.high:+.3f})."
            if gain
            else f"Not compared with {rival.version}: {rival.why_not}.",
        )
    ]


def check_drift(shifts: Sequence[Shift], facts: TrainingFacts, tested: Tested, match_rate: float | None) -> list[Check]:
    """Check how far today's customers have moved from those learned from."""
    scores = max((shift.psi for shift in shifts if shift.name == ALL_SCORES), default=0.0)
    causes = sorted((shift for shift in shifts if shift.cause and shift.name != ALL_SCORES), key=lambda s: -s.psi)
    cause = f" Most moved {causes[0].name}: {causes[0].cause}." if causes else ""
    ratio = max(tested.happened_rate / facts.label_rate, facts.label_rate / tested.happened_rate)
    allowed = RATE_RATIO + 2 * Z / math.sqrt(tested.positives)
    # twice what chance gives on average (Yurdakul and Naranjo, Statistical properties of the PSI, 2020)
    scores_allowed = SOME + 2 * (BINS - 1) * (1 / facts.checked + 1 / tested.people)
    gone = sorted((shift for shift in shifts if shift.newly_missing > GONE), key=lambda s: -s.newly_missing)
    checks = [
        Check(
            "drift_of_label_rate",
            ratio,
            allowed,
            ratio <= allowed,
            title="The rate has not moved since training",
            comparison="at most",
            text=f"{facts.label_rate:.1%} of those learned from, {tested.happened_rate:.1%} of those tested on"
            + (": events or labels are counted otherwise now, or the market moved." if ratio > allowed else "."),
        ),
        Check(
            "drift_of_scores",
            scores,
            scores_allowed,
            scores <= scores_allowed,
            title="Today's customers score like those learned from",
            comparison="at most",
            text=advise(scores > scores_allowed, f"Today's customers score otherwise than those learned from.{cause}"),
            is_warning=True,
        ),
        Check(
            "facts_gone_missing",
            len(gone),
            0,
            not gone,
            title="No fact has gone missing since training",
            comparison="at most",
            text="; ".join(f"{shift.name}: {shift.cause}" for shift in gone),
        ),
    ]
    if match_rate is not None and facts.match_rate is not None:
        moved = abs(match_rate - facts.match_rate)
        checks.append(
            Check(
                "drift_of_match_rate",
                moved,
                MATCH_POINTS,
                moved <= MATCH_POINTS,
                title="The partner knows as many as in training",
                comparison="at most",
                text=f"The partner knows {facts.match_rate:.0%} of those learned from and {match_rate:.0%} of today's"
                + (
                    " customers: ask the partner about the feed, and look at your own match keys."
                    if moved > MATCH_POINTS
                    else " customers."
                ),
                is_warning=True,
            )
        )
    return checks
