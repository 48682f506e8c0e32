"""Doorway *evaluation*: how good a model is on customers it never saw. Read by the gate, the registry and people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import ContractError

FILE_NAME = "evaluation.json"


@dataclass(frozen=True)
class Tenth:
    """One tenth of the test customers by score (1 = highest): how many, what was predicted, what happened, lift."""

    tenth: int
    people: int
    positives: int
    predicted: float
    happened: float
    lift: float


@dataclass(frozen=True)
class Check:
    """One check that the gate reads: what was found, what is allowed, and whether it passed."""

    name: str
    found: float
    allowed: float
    is_passed: bool


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

    @property
    def is_passed(self) -> bool:
        """Tell if every check passed."""
        return all(check.is_passed for check in self.checks)

    def to_json(self) -> bytes:
        """Write the evaluation; ``gate.is_passed`` is 1 or 0, as a pipeline's condition compares numbers."""
        document = {"schema": "pseg.evaluation/1", "gate": {"is_passed": int(self.is_passed)}, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def parse_evaluation(document: dict[str, Any], where: str) -> Evaluation:
    """Read an evaluation from its JSON document.

    Raises
    ------
    ContractError
        If it is not of this form.
    """
    try:
        rest = {key: value for key, value in document.items() if key not in ("schema", "gate", "tenths", "checks")}
        tenths = tuple(Tenth(**tenth) for tenth in document["tenths"])
        checks = tuple(Check(**check) for check in document["checks"])
        return Evaluation(**rest, tenths=tenths, checks=checks)
    except (KeyError, TypeError, AttributeError) as error:
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
