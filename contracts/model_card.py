"""Doorway *model card*: what a registered model predicts, what it is for and not for, made of, and how good.

Two of them, in one form. Registration attaches the planned one: what is known before anything ran. Evaluate writes the
filled one beside ``evaluation.json``, as JSON and as Markdown; the package's metadata names its address, as the
definition of a pipeline can't hold what its steps find. Source of form and lengths: SageMaker Developer Guide, "View
and update the details of a model version", model package model card schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.errors import ContractError
from contracts.evaluation import Check, Evaluation
from contracts.run_facts import RunFacts
from contracts.run_settings import Goal, RunSettings

FILE_NAME, TEXT_NAME = "model_card.json", "model_card.md"
SHORT, LONG = 1024, 2048  # characters that the form allows
LIMITS = (
    "A score says who will do it, not whom a message persuades: only a holdout shows an effect. Scores hold for "
    "customers like those learned from: look at what moved before each use. No decision about credit, insurance, work, "
    "housing or health may rest on it."
)


@dataclass(frozen=True)
class Origin:
    """What a model was made by: the execution, and the hashes under which code and settings lie in S3."""

    execution_id: str = ""
    code_sha256: str = ""
    settings_sha256: str = ""


def describe_goal(goal: Goal) -> str:
    """Say what a goal's model predicts."""
    if goal.label:
        return f"Propensity of {goal.label}"
    return f"Propensity of {'no ' if goal.is_absent else ''}{goal.event_type} within {goal.horizon_days} days"


def plan_card(settings: RunSettings, goal: Goal) -> dict[str, Any]:
    """Return the content of the card that registration attaches."""
    brand = settings.brand or settings.project
    source = "events up to that day" if settings.customers is None else "the columns of the customer table"
    partner = ""
    if settings.query:
        partner = (
            f" {settings.partner} gave {len(settings.partner_columns)} columns of matched customers, by a "
            f"{settings.query.rule} rule in AWS Clean Rooms; customers who are not matched lack them."
        )
    observations = (
        f"Learned from customers of {brand}: {source}, and whether they did it afterwards. Nobody is both learned from "
        f"and tested on.{partner}"
    )
    return {
        "model_overview": {"model_creator": f"{brand}, with Predictive Segments"[:SHORT]},
        "intended_uses": {
            "purpose_of_model": describe_goal(goal)[:LONG],
            "intended_uses": (
                f"To rank the customers of {brand} by their chance to {goal.words.verb}, to choose segments to "
                "contact, and to plan with expected numbers; after a person has approved it."
            )[:LONG],
            "factors_affecting_model_efficiency": (
                "Customers, feeds or rates that moved since training, and facts that go missing: see the checks."
            ),
            "risk_rating": "Unknown",
            "explanations_for_risk_rating": "Not rated: that is for those who approve it.",
        },
        "training_details": {"training_observations": observations[:SHORT]},
        "additional_information": {
            "caveats_and_recommendations": f"{LIMITS} {settings.notice}".strip()[:LONG],
            "custom_details": {"Goal": goal.name, "Project": settings.project},
        },
    }


def fill_card(
    card: dict[str, Any],
    evaluation: Evaluation,
    columns: tuple[int, int],
    facts: RunFacts,
    names: tuple[str, str],
    origin: Origin,
) -> dict[str, Any]:
    """Add what training and the test found.

    Parameters
    ----------
    columns, names : tuple of the brand's and the partner's
        How many columns the model reads of each, and what both are called.
    """
    model = evaluation.model
    days = ", ".join(model["training_as_of"]) or "no date"
    parties = [f"{count} of {name}" for count, name in zip(columns, names, strict=True) if count]
    quality, custom = evaluation.quality, card["additional_information"]["custom_details"]
    passed = sum(check.is_passed for check in evaluation.checks)
    details = {
        **custom,
        "Quality": f"{quality.word}, ranking score {quality.score:.0f} ({quality.low:.0f} to {quality.high:.0f}) of 100"
        if quality
        else "",
        "Checks": f"{passed} of {len(evaluation.checks)} passed",
        "Learned from": f"{model['train_rows']:,} rows, customers as of {days}",
        "Tested on": f"{evaluation.people:,} people apart by {evaluation.split}, {evaluation.positives:,} "
        f"{evaluation.words.noun}",
        "Scored as of": facts.as_of,
        "Columns": ", ".join(parties),
        "Made of": learner_in_words(model),
        "Left out": ", ".join(model.get("left_out", ())),
        "Execution": origin.execution_id,
        "Code": origin.code_sha256,
        "Settings": origin.settings_sha256,
    }
    return {
        **card,
        "training_details": {
            **card["training_details"],
            "training_job_details": {
                "user_provided_hyper_parameters": [
                    {"name": name, "value": f"{value:g}"} for name, value in sorted(model.get("parameters", {}).items())
                ]
            },
        },
        "evaluation_details": [
            {
                "name": "Test on customers whom it had not seen",
                "evaluation_observation": " ".join(row.text for row in quality.reasons)[:LONG] if quality else "",
                "metric_groups": [
                    {"name": "Metrics", "metric_data": list(metrics_of(evaluation))},
                    {"name": "Checks", "metric_data": [metric_of(check) for check in evaluation.checks]},
                ],
            }
        ],
        "additional_information": {
            **card["additional_information"],
            "custom_details": {name: text for name, text in details.items() if text},
        },
    }


def metrics_of(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield the metrics of the test, with their intervals where they have one."""
    interval = f"95% range {evaluation.auc_low:.3f} to {evaluation.auc_high:.3f}"
    rate = f"{evaluation.predicted_rate:.1%} were predicted"
    for name, value, notes in (
        ("AUC", evaluation.auc, interval),
        ("Average precision", evaluation.average_precision, ""),
        ("Log loss", evaluation.log_loss, ""),
        ("Brier score", evaluation.brier, ""),
        ("Rate in the test", evaluation.base_rate, rate),
        ("Lift of the best tenth", evaluation.tenths[0].lift, "times the average"),
    ):
        yield {"name": name, "type": "number", "value": value, **({"notes": notes} if notes else {})}
    gain = evaluation.partner_value.auc_gain if evaluation.partner_value else None
    if gain:
        gained = f"by the partner's data, 95% range {gain.low:+.3f} to {gain.high:+.3f}"
        yield {"name": "AUC gained", "type": "number", "value": gain.value, "notes": gained}


def metric_of(check: Check) -> dict[str, Any]:
    """Write a check as a metric; what is allowed, its result and its text are the notes."""
    result = "passed" if check.is_passed else "watch" if check.is_warning else "stopped"
    said = check.title or check.name
    text = said if check.is_passed or not check.text else check.text
    verb = "needed" if check.comparison == "at least" else "allowed"
    notes = f"{result}: {check.found:.4g}, {check.comparison} {check.allowed:.4g} is {verb}. {text}"
    return {"name": check.name, "type": "number", "value": check.found, "notes": notes[:SHORT]}


def learner_in_words(model: dict[str, Any]) -> str:
    """Say what a model is made of: its trees, and its linear member where it has one."""
    parameters, weight = model.get("parameters", {}), model.get("linear_weight", 0.0)
    depth = f" of depth {parameters['max_depth']}" if "max_depth" in parameters else ""
    trees = f"boosted trees{depth}, {model.get('rounds', 0):,} rounds"
    if weight == 1:
        return "linear, in log-odds"
    return f"{1 - weight:.0%} {trees}; {weight:.0%} linear, in log-odds" if weight else trees


def to_json(card: dict[str, Any]) -> str:
    """Write a card as the service takes it: one line."""
    return json.dumps(card, ensure_ascii=False)


def parse_card(text: str, where: str) -> dict[str, Any]:
    """Read a card that Evaluate filled.

    Raises
    ------
    ContractError
        If it is not of this form.
    """
    try:
        card: dict[str, Any] = json.loads(text)
        list(essentials(card))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ContractError(
            "this is not a model card", where=where, why=str(error), fix="run Evaluate again"
        ) from error
    return card


def groups_of(card: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the metrics of a filled card by their group."""
    return {group["name"]: group["metric_data"] for group in card["evaluation_details"][0]["metric_groups"]}


def essentials(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what to know of a filled card, each with its name: purpose, quality, dates, columns, metrics, limits."""
    uses, more = card["intended_uses"], card["additional_information"]
    yield "Predicts", uses["purpose_of_model"]
    yield from more["custom_details"].items()
    for metric in groups_of(card)["Metrics"]:
        yield metric["name"], f"{metric['value']:.3f}{', ' + metric['notes'] if 'notes' in metric else ''}"
    for check in groups_of(card)["Checks"]:
        if not check["notes"].startswith("passed"):
            yield "Check", f"{check['name']}, {check['notes']}"
    yield "Meant", uses["intended_uses"]
    yield "Limits", more["caveats_and_recommendations"]


def to_markdown(card: dict[str, Any]) -> str:
    """Write a filled card for people."""
    settings = card["training_details"]["training_job_details"]["user_provided_hyper_parameters"]
    lines = ["# Model card", ""]
    lines += [f"- **{name}**: {text}" for name, text in essentials(card)]
    lines += ["", "## Training", "", card["training_details"]["training_observations"], ""]
    lines += [f"- {setting['name']} {setting['value']}" for setting in settings]
    lines += ["", "## Checks", "", "| check | found | result and allowed |", "| --- | --- | --- |"]
    lines += [
        f"| {check['name']} | {check['value']:.4g} | {check['notes'].replace('|', '/')} |"
        for check in groups_of(card)["Checks"]
    ]
    return "\n".join(lines) + "\n"
