"""Evaluations: read back whole, the gate in a number, refused when malformed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ContractError
from contracts.evaluation import (
    FILE_NAME,
    CalibrationGroup,
    Check,
    Evaluation,
    Gain,
    PartnerValue,
    Quality,
    ReachPoint,
    Reason,
    Shift,
    Strength,
    Tenth,
    Trait,
    read_evaluation,
)
from contracts.run_settings import Words

EVALUATION = Evaluation(
    goal="buy",
    notice="naïve שלום",
    split="customer",
    people=100,
    positives=20,
    auc=0.7512345678901234,
    average_precision=0.5,
    log_loss=0.4,
    brier=0.1,
    base_rate=0.2,
    tenths=(Tenth(1, 10, 6, 0.61, 0.6, 3.0), Tenth(2, 10, 1, 0.2, 0.1, 0.5)),
    checks=(Check("auc", 0.75, 0.6, True), Check("lift", 3.0, 2.0, True)),
    model={"rounds": 12, "training_as_of": ["2026-04-01"]},
)
FAILED = Check("brier", 0.3, 0.2, False)
FULL = replace(
    EVALUATION,
    words=Words("Kauft", better=-1),
    calibration=(CalibrationGroup(8, 0.1, 0.125, 0.02, 0.47),),
    reach=(ReachPoint(1, 1, 1), ReachPoint(100, 100, 20)),
    quality=Quality("Fair", 40.5, 21.0, 60.0, "Test.", (Reason("ok", "é"), Reason("watch", "few"))),
    traits={"likely": (Trait("buys often", "brand", 5, 0.5, 0.1),)},
    strengths=(Strength("recency", "brand", 0.4),),
    partner_value=PartnerValue(0.7, 0.72, Gain(10.0, 3.0, -1.0, 7.0), (Gain(20.0, 2.0, 0.5, 3.5),), 20),
    shifts=(Shift("score", "partner", 0.11, "watch", "band"),),
)


@pytest.mark.parametrize("evaluation", [EVALUATION, FULL], ids=["measured", "explained"])
def test_evaluation_comes_back_whole(tmp_path: Path, evaluation: Evaluation) -> None:
    (tmp_path / FILE_NAME).write_bytes(evaluation.to_json())
    assert read_evaluation(tmp_path / FILE_NAME) == evaluation


@pytest.mark.parametrize(
    ("checks", "number"),
    [(EVALUATION.checks, 1), ((*EVALUATION.checks, FAILED), 0), ((FAILED,), 0)],
    ids=["all passed", "one failed", "the only one failed"],
)
def test_gate_is_1_only_if_every_check_passed(checks: tuple[Check, ...], number: int) -> None:
    evaluation = replace(EVALUATION, checks=checks)
    assert json.loads(evaluation.to_json())["gate"]["is_passed"] == number
    assert evaluation.is_passed == bool(number)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'"text"', b"null", b"{}", b'{"tenths": [{}], "checks": []}', b"\xff"], ids=repr
)
def test_file_that_holds_no_evaluation_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ContractError, match="this is not an evaluation") as caught:
        read_evaluation(tmp_path / FILE_NAME)
    assert caught.value.where == str(tmp_path / FILE_NAME)


def test_evaluation_that_lacks_a_metric_is_refused(tmp_path: Path) -> None:
    document = json.loads(EVALUATION.to_json())
    del document["auc"]
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    with pytest.raises(ContractError, match="auc"):
        read_evaluation(tmp_path / FILE_NAME)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="this is not an evaluation"):
        read_evaluation(tmp_path / FILE_NAME)


@pytest.mark.parametrize(
    ("predicted", "tenths", "keeps"),
    [
        (0.2, (Tenth(1, 10, 2, 0.2, 0.2, 1.0, 0.1, 0.3),), True),
        (0.219, (Tenth(1, 10, 2, 0.2, 0.2, 1.0, 0.1, 0.3),), True),
        (0.221, (Tenth(1, 10, 2, 0.2, 0.2, 1.0, 0.1, 0.3),), False),
        (0.2, (Tenth(1, 10, 2, 0.34, 0.2, 1.0, 0.1, 0.3),), False),
        (0.2, (Tenth(1, 10, 2, 0.06, 0.2, 1.0, 0.1, 0.3),), False),
        (0.0, (), True),
    ],
    ids=["kept", "in total a tenth off", "in total more", "a tenth above its range", "a tenth below it", "unknown"],
)
def test_evaluation_tells_if_its_numbers_can_be_planned_with(
    predicted: float, tenths: tuple[Tenth, ...], keeps: bool
) -> None:
    assert replace(EVALUATION, base_rate=0.2, predicted_rate=predicted, tenths=tenths).keeps_its_word is keeps
