"""What the chapters of the report say: one view of each goal and segment, and the lines that weigh them up.

Comes in: a run manifest. Goes out: views that the templates only lay out. Refused: a waterfall that does not sum up,
a reach that has not its hundred rows, a segment or model of a goal that the run does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from contracts.errors import ContractError
from contracts.evaluation import ALL_SCORES, Check, Evaluation, Shift, Trait
from contracts.run_manifest import Run, RunManifest
from contracts.segment_manifest import BELOW_CUT, PublishedSegment, SegmentManifest
from insights import charts, reach
from insights.holdout import Holdout, describe_holdout
from insights.partner import Scope, Verdict, judge_partner
from insights.wording import NO_DATE, day, exact, listed, of_every, percent_as_written, user

CHANNELS = {"EMAIL": "e-mail", "SMS": "SMS", "VOICE": "phone", "PUSH": "push message", "CUSTOM": "custom channel"}
STATE_ORDER = {"stop": 0, "watch": 1, "ok": 2}
MAX_LINES = 5


@dataclass(frozen=True)
class Step:
    """One step of a waterfall: how many it took away, how many are left after it."""

    reason: str
    dropped: int
    left: int


@dataclass(frozen=True)
class SegmentView:
    """One published segment; ``after_cut`` are the steps from its cut on, none where the waterfall has no such step."""

    key: str
    published: PublishedSegment
    evaluation: Evaluation
    is_approved: bool
    channel: str
    steps: tuple[Step, ...]
    after_cut: tuple[Step, ...]
    holdout: Holdout | None

    @property
    def rate(self) -> float:
        """Share [0-1] of the people in the file who are expected to do it."""
        return self.published.expected / self.published.people if self.published.people else 0.0

    @property
    def emptied_by(self) -> Step | None:
        """The step that took the last people away, None where somebody is in the file or nobody ever was."""
        taken = [step for step in self.steps if step.dropped]
        return taken[-1] if taken and not self.published.people else None

    @property
    def has_interval(self) -> bool:
        """Tell if the publish estimated an interval."""
        return self.published.expected_high > 0


@dataclass(frozen=True)
class ReachView:
    """The panel "How many people": all of it read from ``cuts``. ``is_expected`` is False where only a test tells."""

    is_expected: bool
    has_moved: bool
    cuts: tuple[reach.Cut, ...]
    rows: tuple[reach.Row, ...]
    presets: tuple[reach.Preset, ...]
    start: int
    texts: tuple[dict[str, str | float], ...]
    hundred: Markup
    chart: Markup

    @property
    def at_start(self) -> dict[str, str | float]:
        """What the slider says before anybody moves it."""
        return self.texts[self.start - 1]


@dataclass(frozen=True)
class GoalView:
    """One goal: its evaluation, what was published for it, and everything drawn or said about it."""

    key: str
    evaluation: Evaluation
    manifest: SegmentManifest | None
    segments: tuple[SegmentView, ...]
    reach: ReachView | None
    partner: Verdict | None
    charts: dict[str, Markup]

    @property
    def title(self) -> str:
        """What people call the goal."""
        return title_of(self.evaluation)

    @property
    def base_rate(self) -> float:
        """Share [0-1] of everyone who does it: expected today if it was published, else that of the test."""
        if self.reach and self.reach.is_expected:
            return self.reach.cuts[-1].rate
        return self.evaluation.base_rate

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """Checks that stopped the goal."""
        return tuple(check for check in self.evaluation.checks if check.is_stop)

    @property
    def checks(self) -> list[Check]:
        """All checks: what stopped it first, then what is to watch."""
        return sorted(self.evaluation.checks, key=lambda check: STATE_ORDER[state_of_check(check)])


@dataclass(frozen=True)
class Line:
    """One line with a state, and the chapter that tells more: its id and what its link is called."""

    state: str
    text: Markup
    link: str
    chapter: str


@dataclass(frozen=True)
class ShiftRow:
    """One shift; ``goals`` are the titles of the goals that it was measured for, none where it is the same for all."""

    shift: Shift
    goals: tuple[str, ...]


def title_of(evaluation: Evaluation) -> str:
    """Return what people call a goal."""
    return evaluation.words.title or evaluation.goal


def title_of_check(check: Check) -> str:
    """Return what people call a check."""
    return check.title or check.name


def state_of_check(check: Check) -> str:
    """Return how a check stands: ok, watch or stop."""
    return "ok" if check.is_passed else "watch" if check.is_warning else "stop"


def settings_in_words(model: dict[str, Any]) -> str:
    """List the settings that were chosen for a model."""
    return ", ".join(f"{name} {value:g}" for name, value in sorted(model.get("parameters", {}).items()))


def view_goals(manifest: RunManifest) -> tuple[GoalView, ...]:
    """Make the view of every goal, in the order of the project.

    Raises
    ------
    ContractError
        If something was published for a goal that has no evaluation, or a waterfall does not sum up.
    """
    unknown = {m.goal for m in manifest.manifests} - {e.goal for e in manifest.evaluations}
    if unknown:
        raise ContractError(
            f"segments were published for {', '.join(sorted(unknown))}, of which there is no evaluation",
            where="evaluation.json",
            fix="run the project again",
        )
    return tuple(
        view_goal(f"goal-{number}", evaluation, manifest) for number, evaluation in enumerate(manifest.evaluations, 1)
    )


def view_goal(key: str, evaluation: Evaluation, manifest: RunManifest) -> GoalView:
    """Make the view of one goal."""
    published = manifest.manifest_of(evaluation.goal)
    segments: tuple[SegmentView, ...] = ()
    if published:
        segments = tuple(
            view_segment(f"{key}-segment-{number}", segment, evaluation, published.status == "approved")
            for number, segment in enumerate(published.segments, start=1)
        )
    words = evaluation.words
    drawn = {"tenths": charts.draw_tenths(f"{key}-tenths", evaluation.tenths, evaluation.base_rate, words.past)}
    if evaluation.calibration:
        drawn["calibration"] = charts.draw_calibration(f"{key}-calibration", evaluation.calibration)
    if segments and segments[0].published.people:
        first = segments[0]
        label = f"{of_every(first.rate)} in {first.published.name} will {words.verb}"
        drawn["hundred"] = charts.draw_hundred(first.rate, label)
    value, verdict = evaluation.partner_value, None
    if value:
        drawn["gains"] = charts.draw_gains(f"{key}-gains", value.gains, words.noun, manifest.run.partner)
        matched = manifest.run.facts.matched
        cuts = reach.expected_cuts(published) if published else ()
        scope = Scope(reach.cut_at(cuts, value.at_cut.percent).people, matched) if cuts and matched else None
        verdict = judge_partner(value, evaluation.base_rate, words, manifest.run.partner, manifest.run.money, scope)
    panel = view_reach(key, evaluation, published, manifest.run)
    return GoalView(key, evaluation, published, segments, panel, verdict, drawn)


def view_reach(key: str, evaluation: Evaluation, published: SegmentManifest | None, run: Run) -> ReachView | None:
    """Make the panel of the reach; None where neither a publish nor the test counted it."""
    tested = reach.tested_cuts(evaluation)
    cuts = reach.expected_cuts(published) if published else ()
    is_expected = bool(cuts)
    cuts = cuts or tested
    if not cuts:
        return None
    segments = published.segments if published else ()
    found = {segment.name: reach.percent_of(segment, cuts) for segment in segments}
    starts = {name: percent for name, percent in found.items() if percent is not None}
    start = reach.whole(next(iter(starts.values()), 10.0))
    if segments and is_expected and segments[0].name not in starts:
        start = reach.start_of(segments[0], cuts)
    cut = reach.cut_at(cuts, start)
    words = evaluation.words
    return ReachView(
        is_expected=is_expected,
        has_moved=any(shift.name == ALL_SCORES and shift.state == "watch" for shift in evaluation.shifts),
        cuts=cuts,
        rows=reach.table_rows(cuts, starts),
        presets=reach.presets(cuts, starts),
        start=start,
        texts=tuple(reach.readout(row, run.money) for row in cuts) if is_expected else (),
        hundred=charts.draw_hundred(cut.rate, f"{of_every(cut.rate)} you contact will {words.verb}"),
        chart=charts.draw_reach(
            f"{key}-reach",
            cuts,
            cut,
            tuple(row for row in tested if is_expected and row.percent % 10 == 0 and row.percent < 100),
            words.noun,
        ),
    )


def view_segment(key: str, segment: PublishedSegment, evaluation: Evaluation, is_approved: bool) -> SegmentView:
    """Make the view of one segment."""
    steps = waterfall_steps(segment)
    reasons = [step.reason for step in steps]
    after = steps[reasons.index(BELOW_CUT) :] if BELOW_CUT in reasons else ()
    channel = CHANNELS.get(segment.channel, segment.channel) or "all addresses"
    return SegmentView(key, segment, evaluation, is_approved, channel, steps, after, describe_holdout(segment))


def waterfall_steps(segment: PublishedSegment) -> tuple[Step, ...]:
    """Follow a segment's waterfall down to its file.

    Raises
    ------
    ContractError
        If it does not end at the number of people in the file.
    """
    counts = [count for _, count in segment.waterfall]
    left = list(accumulate(counts, lambda before, dropped: before - dropped))
    if not left or left[-1] != segment.people:
        raise ContractError(
            f"the waterfall of {segment.name} does not sum up",
            where=f"it ends at {left[-1] if left else 0:,}, the file holds {segment.people:,}",
            fix="publish again",
        )
    dropped = [0, *counts[1:]]
    return tuple(
        Step(reason, count, rest) for (reason, _), count, rest in zip(segment.waterfall, dropped, left, strict=True)
    )


def shift_rows(goals: tuple[GoalView, ...]) -> tuple[ShiftRow, ...]:
    """List every shift once, the worst first; a feature's shift is the same for all goals that use it."""
    found: dict[Shift, list[str]] = {}
    for goal in goals:
        for shift in goal.evaluation.shifts:
            found.setdefault(shift, []).append(goal.title)
    rows = [ShiftRow(shift, () if len(titles) == len(goals) else tuple(titles)) for shift, titles in found.items()]
    return tuple(sorted(rows, key=lambda row: (STATE_ORDER[row.shift.state], -row.shift.psi)))


def measured_when(goals: tuple[GoalView, ...], run: Run) -> str:
    """Say when the models were tested, where that was not in this run; empty where it was."""
    if run.kind != "score":
        return ""
    models = "the models were" if len(goals) > 1 else "the model was"
    texts = sorted({text for goal in goals for text in goal.evaluation.model.get("training_as_of", ())})
    days = ", ".join(day(text) for text in texts if day(text) != NO_DATE)
    return f"measured when {models} trained" + (f", from customers as of {days}" if days else "")


def headline(goals: tuple[GoalView, ...]) -> str:
    """Say in one sentence whether anything is live."""
    segments = [segment for goal in goals for segment in goal.segments]
    failed = [goal for goal in goals if goal.failed_checks]
    people = exact(sum(segment.published.people for segment in segments))
    if segments and all(segment.is_approved for segment in segments):
        ready = f"{people} people are ready, chosen by approved models. This run has sent nothing."
    else:
        ready = f"{people} people are ready to contact. Nothing has been sent."
    if segments and failed:
        return f"{ready} {len(failed)} of {len(goals)} models {'was' if len(failed) == 1 else 'were'} stopped."
    if segments:
        return ready
    if not failed:
        return "No segment was made. Nothing has been sent."
    if len(goals) == 1:
        count = len(failed[0].failed_checks)
        return f"No segment was made: the model failed {count} check{'s' if count > 1 else ''}."
    return f"No segment was made: {len(failed)} of {len(goals)} models failed their checks."


def weigh_up(goals: tuple[GoalView, ...], run: Run) -> list[Line]:
    """List what to know before the next step: at most five lines, the gravest first."""
    lines = [*stopped_lines(goals), *word_lines(goals), *effect_lines(goals), *partner_lines(goals, run)]
    shifts = [row.shift for row in shift_rows(goals) if row.shift.state != "ok"]
    if shifts:
        when = "had moved most when the model was trained" if run.kind == "score" else "moved most since training"
        cause = Markup(": {}").format(user(shifts[0].cause)) if shifts[0].cause else ""
        moved = Markup("{} {}{}.").format(user(shifts[0].name), when, cause)
        had = "had moved" if run.kind == "score" else "moved"
        others = Markup(" {} more {}.").format(len(shifts) - 1, had) if len(shifts) > 1 else ""
        lines.append(Line(shifts[0].state, moved + others, "changes", "What changed"))
    for goal in goals:
        quality = goal.evaluation.quality
        if quality and not goal.failed_checks and any(reason.state != "ok" for reason in quality.reasons):
            text = Markup("{}: the model is {}. {}").format(user(goal.title), quality.word, quality.advice)
            lines.append(Line("watch", text, goal.key, "How good it is"))
    lines += check_lines(goals)
    return sorted(lines, key=lambda line: STATE_ORDER[line.state])[:MAX_LINES]


def check_lines(goals: tuple[GoalView, ...]) -> list[Line]:
    """Count the checks, where none stopped a model."""
    states = [state_of_check(check) for goal in goals for check in goal.evaluation.checks]
    if "stop" in states:
        return []
    text = Markup("{} of {} checks passed").format(states.count("ok"), len(states))
    if "watch" in states:
        return [Line("watch", text + Markup(", {} to watch.").format(states.count("watch")), "checks", "Checks")]
    sums = Markup(", and the waterfall adds up to the last person") if any(goal.segments for goal in goals) else ""
    return [Line("ok", text + sums + Markup("."), "checks", "Checks")]


def stopped_lines(goals: tuple[GoalView, ...]) -> list[Line]:
    """Say which goals were stopped, in one line."""
    failed = [goal for goal in goals if goal.failed_checks]
    if not failed:
        return []
    named = listed(
        [Markup("{} ({})").format(user(goal.title), title_of_check(goal.failed_checks[0])) for goal in failed]
    )
    return [Line("stop", Markup("No segment was made for {}.").format(named), "checks", "Checks")]


def word_lines(goals: tuple[GoalView, ...]) -> list[Line]:
    """Name the models whose numbers the test did not bear out."""
    broken = [goal for goal in goals if not goal.failed_checks and not goal.evaluation.keeps_its_word]
    text = Markup("{}: it predicted {:.1%} and {:.1%} happened. Use the order at most, not the numbers.")
    return [
        Line(
            "watch",
            text.format(user(goal.title), goal.evaluation.predicted_rate, goal.evaluation.base_rate),
            goal.key,
            "Can you plan with its numbers",
        )
        for goal in broken
    ]


def effect_lines(goals: tuple[GoalView, ...]) -> list[Line]:
    """Say that a score is no effect, and if the holdouts can show one."""
    segments = [segment for goal in goals for segment in goal.segments if segment.published.people]
    if not segments:
        return []
    text = Markup("A score says who <b>will</b> do it, not whom your message <b>persuades</b>. ")
    without = [user(segment.published.name) for segment in segments if not segment.published.holdout]
    small = [
        user(segment.published.name) for segment in segments if segment.holdout and segment.holdout.needed is not None
    ]
    if without:
        text += Markup("In {} nobody is held back, so the campaign can’t show what it changed.").format(listed(without))
    elif small:
        text += Markup("The holdout of {} is too small to show what the message changed.").format(listed(small))
    else:
        every = "Every segment keeps" if len(segments) > 1 else "The segment keeps"
        text += Markup("{} a random group back, so that the campaign can show it.").format(every)
    return [Line("watch", text, "segments", "Segments")]


def partner_lines(goals: tuple[GoalView, ...], run: Run) -> list[Line]:
    """Say that partner values have no date, where the project accepted that."""
    if not run.partner_columns_are_static:
        return []
    text = Markup(
        "The columns from {} carry no date: values from after the outcome can’t be ruled out, and the tests may look "
        "better than the campaign will be."
    )
    return [Line("watch", text.format(user(run.partner)), "method", "How it was made")]


def most_apart(traits: tuple[Trait, ...], smallest: int) -> Trait | None:
    """Choose the trait by which the segment differs most from everyone, of those that enough people have."""
    shown = [trait for trait in traits if trait.people >= smallest]
    return max(shown, key=lambda trait: abs(trait.in_segment - trait.in_everyone), default=None)


def rule_in_words(view: SegmentView) -> Markup:
    """Say who is in a segment, as the project's rule has it."""
    segment, verb = view.published, user(view.evaluation.words.verb)
    parts = [Markup("Everyone who was scored")]
    if segment.top_percent < 100:
        parts = [Markup("The {:g}% most likely to {}").format(segment.top_percent, verb)]
    if segment.minimum_score > 0:
        parts.append(Markup("with a chance of at least {}").format(percent_as_written(segment.minimum_score)))
    if segment.max_size:
        parts.append(Markup("at most {} people").format(exact(segment.max_size)))
    return Markup(", ").join(parts) + Markup(".")
