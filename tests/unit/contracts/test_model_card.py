"""A model card has the form of SageMaker's, says what people ask of a model, and keeps the form's lengths."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from contracts import model_card
from contracts.errors import ContractError
from contracts.evaluation import Check, Evaluation
from contracts.run_settings import Words
from tests.report_runs import rich_run
from tests.worlds import SETTINGS

RICH = rich_run()
NAMES = ("Juniper & Lane", "Harbour Points")
ORIGIN = model_card.Origin("run7", "c0de", "5e77")


@pytest.fixture(scope="module")
def form() -> Any:
    """SageMaker's own shape of a card; the XGBoost image does not have the SDK."""
    return pytest.importorskip("sagemaker.core.shapes.model_card_shapes").ModelCardContent


def fill(evaluation: Evaluation) -> dict[str, Any]:
    """Fill the card of the tests' world."""
    planned = model_card.plan_card(SETTINGS, SETTINGS.goal("buy"))
    return model_card.fill_card(planned, evaluation, (23, 2), RICH.run.facts, NAMES, ORIGIN)


@pytest.mark.parametrize(
    "card",
    [model_card.plan_card(SETTINGS, SETTINGS.goal("buy")), *map(fill, RICH.evaluations)],
    ids=["planned", "filled", "filled with a check to watch"],
)
def test_card_has_the_form_of_sagemakers(form: Any, card: dict[str, Any]) -> None:
    read = form.model_validate(card)
    assert read.model_dump(exclude_unset=True, mode="json") == card
    assert "\n" not in model_card.to_json(card)


def test_user_words_of_any_length_fit(form: Any) -> None:
    long = "n" * 3000
    words = Words(long, long, long, long, long)
    goal = replace(SETTINGS.goal("buy"), event_type=long, words=words)
    card = model_card.plan_card(replace(SETTINGS, brand=long, notice=long, partner=long), goal)
    assert form.model_validate(card)


def test_essentials_say_purpose_quality_dates_columns_checks_and_limits() -> None:
    said = dict(model_card.essentials(fill(RICH.evaluations[1])))
    assert said["Predicts"] == "Propensity of purchase within 90 days"
    assert said["Quality"].startswith("Fair, ranking score")
    assert said["Checks"] == "5 of 6 passed"
    assert said["Check"].startswith("drift_of_scores, watch: 0.12, at most 0.1 is allowed. Today's customers")
    assert said["Learned from"] == "164,000 rows, customers as of 2026-08-31"
    assert said["Columns"] == "23 of Juniper & Lane, 2 of Harbour Points"
    assert said["Made of"] == "70% boosted trees of depth 3, 412 rounds; 30% linear, in log-odds"
    assert said["Left out"] == "household_size"
    assert (said["Execution"], said["Code"], said["Settings"]) == ("run7", "c0de", "5e77")
    assert "not whom a message persuades" in said["Limits"]


def test_card_for_people_holds_what_the_one_for_programs_does() -> None:
    card = fill(RICH.evaluations[0])
    text = model_card.to_markdown(card)
    for name, words in model_card.essentials(card):
        assert f"- **{name}**: {words}\n" in text
    for check in RICH.evaluations[0].checks:
        assert f"| {check.name} | " in text


def test_floor_is_needed_and_a_ceiling_allowed() -> None:
    floor, ceiling = Check("auc", 0.7, 0.6, True), Check("gap", 0.01, 0.05, True, comparison="at most")
    assert "0.7, at least 0.6 is needed" in model_card.metric_of(floor)["notes"]
    assert "0.01, at most 0.05 is allowed" in model_card.metric_of(ceiling)["notes"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"intended_uses": {}}'], ids=["empty", "list", "nothing", "half"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="this is not a model card"):
        model_card.parse_card(text, "s3://here")
    assert model_card.parse_card(json.dumps(fill(RICH.evaluations[0])), "here")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"rounds": 412}, "boosted trees, 412 rounds"),
        ({"rounds": 74, "parameters": {"max_depth": 2}, "linear_weight": 0.0}, "boosted trees of depth 2, 74 rounds"),
        (
            {"rounds": 74, "parameters": {"max_depth": 2}, "linear_weight": 0.7},
            "30% boosted trees of depth 2, 74 rounds; 70% linear, in log-odds",
        ),
        ({"rounds": 74, "linear_weight": 1.0}, "linear, in log-odds"),
    ],
    ids=["little known", "trees", "with a linear member", "linear alone"],
)
def test_model_is_said_in_words(model: dict[str, object], words: str) -> None:
    assert model_card.learner_in_words(model) == words
