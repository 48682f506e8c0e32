"""Doorway *evaluation*: how good a model is on customers it never saw. Read by the gate, the registry and the report.

Intervals are 95 %. What a later step of the work adds (traits, strengths, partner value, shifts) is empty until then.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contracts.document import read_document
from contracts.errors import ContractError
from contracts.run_settings import Words

FILE_NAME = "evaluation.json"
# How far predictions may be off: of the rate that happened, and in points beyond a tenth's range.
TOTAL_TOLERANCE = 0.10
TENTH_TOLERANCE = 0.03
ALL_SCORES = "all scores"  # the name of the shift that compares the scores themselves


@dataclass(frozen=True)
class Tenth:
    """One tenth of the test customers by score (1 = highest): how many, what was predicted, what happened, lift.

    ``low`` and ``high`` are the interval of ``happened``.
    """

    tenth: int
    people: int
    positives: int
    predicted: float
    happened: float
    lift: float
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class CalibrationGroup:
    """One of twelve equal groups of test customers by score, lowest first: mean prediction, rate and its interval."""

    people: int
    predicted: float
    happened: float
    low: float
    high: float


@dataclass(frozen=True)
class ReachPoint:
    """The best ``percent`` of the test customers: how many people, how many of them did it."""

    percent: int
    people: int
    positives: int


@dataclass(frozen=True)
class Check:
    """One check that the gate reads: what was found, what is allowed, and whether it passed.

    ``name`` is for machines, ``title`` for people. ``comparison`` is ``at least`` or ``at most``. ``text`` says what
    was found, whose it is and what to do. One that ``is_warning`` stops nothing, but lowers the quality word.
    """

    name: str
    found: float
    allowed: float
    is_passed: bool
    title: str = ""
    comparison: str = "at least"
    text: str = ""
    is_warning: bool = False

    @property
    def is_stop(self) -> bool:
        """Tell if it stops the model."""
        return not self.is_passed and not self.is_warning


@dataclass(frozen=True)
class Reason:
    """One reason for the quality word: ``state`` is ok, watch or stop."""

    state: str
    text: str


@dataclass(frozen=True)
class Quality:
    """How good the ranking is in one word, why, and what to do with it.

    ``score`` is 100 x (2 AUC - 1): 0 is random, 100 perfect; ``low`` and ``high`` are its interval.
    """

    word: str
    score: float
    low: float
    high: float
    advice: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Trait:
    """A trait in words: which share [0-1] of the segment and of everyone has it; ``people`` have it in the segment."""

    text: str
    party: str
    people: int
    in_segment: float
    in_everyone: float


@dataclass(frozen=True)
class Strength:
    """How much one feature moves the scores: mean absolute contribution in log-odds."""

    feature: str
    party: str
    value: float


@dataclass(frozen=True)
class Interval:
    """A value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Gain:
    """Extra positives per 1,000 contacts that the partner's data brings at one reach, with its interval."""

    percent: float
    extra: float
    low: float
    high: float


@dataclass(frozen=True)
class PartnerValue:
    """What the partner's data adds, on the same customers and folds: at the segment's cut and at fixed reaches."""

    auc_own: float
    auc_both: float
    at_cut: Gain
    gains: tuple[Gain, ...]
    positives: int
    auc_gain: Interval | None = None
    average_precision_own: float = 0.0
    average_precision_both: float = 0.0
    average_precision_gain: Interval | None = None


@dataclass(frozen=True)
class Shift:
    """How far one quantity has moved since training (population stability index), with its cause and owner.

    ``newly_missing`` is the share of rows in which it is missing now, less that in which it was missing then.
    """

    name: str
    party: str
    psi: float
    state: str
    cause: str = ""
    newly_missing: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one goal on the test part. Sources of the formulas: scikit-learn's ``metrics`` of the same names."""

    goal: str
    notice: str
    split: str
    people: int
    positives: int
    auc: float
    average_precision: float
    log_loss: float
    brier: float
    base_rate: float
    tenths: tuple[Tenth, ...]
    checks: tuple[Check, ...]
    model: dict[str, Any]
    auc_low: float = 0.0
    auc_high: float = 1.0
    predicted_rate: float = 0.0
    words: Words = field(default_factory=Words)
    calibration: tuple[CalibrationGroup, ...] = ()
    reach: tuple[ReachPoint, ...] = ()
    quality: Quality | None = None
    traits: dict[str, tuple[Trait, ...]] | None = None
    strengths: tuple[Strength, ...] = ()
    partner_value: PartnerValue | None = None
    shifts: tuple[Shift, ...] = ()

    @property
    def worst_tenth(self) -> float:
        """Most that a tenth's prediction lies beyond the range of what happened, 0 if none does."""
        return max((max(t.low - t.predicted, t.predicted - t.high, 0.0) for t in self.tenths), default=0.0)

    @property
    def keeps_its_word(self) -> bool:
        """Tell if its numbers can be planned with: in total and in each tenth within the tolerances."""
        is_total_kept = abs(self.predicted_rate - self.base_rate) <= TOTAL_TOLERANCE * self.base_rate
        return not self.predicted_rate or (is_total_kept and self.worst_tenth <= TENTH_TOLERANCE)

    @property
    def is_passed(self) -> bool:
        """Tell if no check stops the model."""
        return not any(check.is_stop for check in self.checks)

    def to_json(self) -> bytes:
        """Write the evaluation; ``gate.is_passed`` is 1 or 0, as a pipeline's condition compares numbers."""
        document = {"schema": "pseg.evaluation/1", "gate": {"is_passed": int(self.is_passed)}, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_evaluation(document: dict[str, Any], where: str) -> Evaluation:
    """Read an evaluation from its JSON document.

    Raises
    ------
    ContractError
        If it is not of this form.
    """
    try:
        return read_document(Evaluation, {key: document[key] for key in document if key not in ("schema", "gate")})
    except (ValueError, TypeError, KeyError) as error:
        raise ContractError(
            "this is not an evaluation", where=where, why=str(error), fix="run Evaluate again"
        ) from error


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation file.

    Raises
    ------
    ContractError
        If it is missing or not of this form.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError(
            "this is not an evaluation", where=str(path), why=str(error), fix="run Evaluate again"
        ) from error
    return parse_evaluation(document, where=str(path))
