"""Pipelines of projects without a partner, with a ready table, with many goals: which steps, inputs and parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import boto3
import pytest

from contracts.errors import SettingsError
from contracts.model_card import plan_card
from contracts.run_settings import Goal, RunSettings
from pipelines.downstream import steps_from
from tests.definitions import ROLE, steps_of
from tests.embedded_aws import TwoAccounts
from tests.ready_worlds import READY, with_roles
from tests.worlds import SETTINGS

HASHED = replace(with_roles(hashed_id="hash"), query=SETTINGS.query)
EVENT_TABLES = ("events", "contacts")


@pytest.fixture(scope="module")
def define(accounts: TwoAccounts) -> Callable[..., str]:
    """Definition of a pipeline of given settings and tables, as JSON text."""
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    from pipelines.builder import Builder, Locations, Machines
    from pipelines.definition import build_score_pipeline, build_train_pipeline

    session = PipelineSession(boto_session=boto3.Session(), default_bucket="spring-data")
    machines = Machines("image", "xgboost", "ml.m5.xlarge", 3, "ml.m5.xlarge", 1, "ml.m5.large", 1, 2)

    @cache
    def definition(
        settings: RunSettings, tables: tuple[str, ...], kind: str = "train", as_of: str | None = "2026-06-30"
    ) -> str:
        locations = Locations("s3://d/code/c1/", "s3://d/settings/s1/", {table: f"s3://d/{table}/" for table in tables})
        build = build_train_pipeline if kind == "train" else build_score_pipeline
        return str(build(Builder(settings, locations, machines, ROLE, as_of), session).definition())

    return definition


def named(definition: str) -> dict[str, dict[str, Any]]:
    """Steps by name."""
    return {step["Name"]: step for step in steps_of(definition)}


def inputs_of(step: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """Address and distribution of a processing step's inputs."""
    return {
        one["InputName"]: (one["S3Input"]["S3Uri"], one["S3Input"]["S3DataDistributionType"])
        for one in step["Arguments"]["ProcessingInputs"]
    }


def parameters_of(definition: str) -> dict[str, Any]:
    """Parameters and their defaults."""
    return {each["Name"]: each.get("DefaultValue") for each in json.loads(definition)["Parameters"]}


@pytest.mark.parametrize("kind", ["train", "score"])
def test_without_a_partner_nothing_is_asked_for_and_nothing_waits_for_an_answer(
    define: Callable[..., str], kind: str
) -> None:
    found = define(replace(SETTINGS, query=None), EVENT_TABLES, kind)
    assert "QueryCleanRooms" not in found
    assert "QueryResultUri" not in parameters_of(found)
    assert set(inputs_of(named(found)["BuildFeatures"])) == {"code", "settings", "events", "contacts"}


def test_events_go_to_every_instance_and_a_ready_tables_files_are_shared_out(define: Callable[..., str]) -> None:
    events = inputs_of(named(define(SETTINGS, EVENT_TABLES))["BuildFeatures"])
    assert {distribution for _, distribution in events.values()} == {"FullyReplicated"}
    ready = inputs_of(named(define(HASHED, ("customers", "contacts")))["BuildFeatures"])
    assert {name for name, (_, distribution) in ready.items() if distribution == "ShardedByS3Key"} == {"customers"}
    assert set(ready) == {"code", "settings", "customers", "contacts", "query_result"}


@pytest.mark.parametrize(
    ("settings", "tables", "sources"),
    [
        (SETTINGS, EVENT_TABLES, ["contacts"]),
        (HASHED, ("customers",), ["customers"]),
        (HASHED, ("customers", "contacts"), ["customers", "contacts"]),
        (replace(READY, query=SETTINGS.query, has_contacts=True), ("customers", "contacts"), ["customers", "contacts"]),
    ],
    ids=["events", "ready with identifiers", "ready with both", "ready with contacts"],
)
def test_query_step_reads_where_identifiers_and_consents_are_and_all_of_it(
    define: Callable[..., str], settings: RunSettings, tables: tuple[str, ...], sources: list[str]
) -> None:
    inputs = inputs_of(named(define(settings, tables))["QueryCleanRooms"])
    assert set(inputs) == {"code", "settings", *sources}
    assert {name: inputs[name] for name in sources} == {
        name: (f"s3://d/{name}/", "FullyReplicated") for name in sources
    }


@pytest.mark.parametrize("as_of", ["undated", None, "2026-06-30"])
def test_date_that_the_project_has_is_the_default(define: Callable[..., str], as_of: str | None) -> None:
    assert parameters_of(define(READY, ("customers",), as_of=as_of))["AsOf"] == as_of


def test_number_of_instances_that_the_project_has_is_the_default(define: Callable[..., str]) -> None:
    assert parameters_of(define(SETTINGS, EVENT_TABLES))["ProcessingInstanceCount"] == 3


def many_goals(number: int) -> RunSettings:
    """Settings with so many goals."""
    goals = tuple(Goal(f"goal_{place}", "purchase", 90, 0.6) for place in range(number))
    return replace(SETTINGS, goals=goals, segments=())


@pytest.mark.parametrize(("kind", "most", "steps"), [("train", 6, 47), ("score", 15, 48)])
def test_more_goals_than_a_pipeline_can_hold_are_refused_when_it_is_defined(
    define: Callable[..., str], kind: str, most: int, steps: int
) -> None:
    assert len(list(steps_of(define(many_goals(most), EVENT_TABLES, kind)))) == steps
    with pytest.raises(SettingsError, match="steps, 50 are allowed") as caught:
        define(many_goals(most + 1), EVENT_TABLES, kind)
    assert caught.value.where == "project.toml [[goals]]"
    assert "split the goals over two projects" in caught.value.fix


def test_eight_goals_are_too_many_to_train(define: Callable[..., str]) -> None:
    with pytest.raises(SettingsError, match="the pipeline spring-train would have 61 steps"):
        define(many_goals(8), EVENT_TABLES)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal("buy", "purchase", 90, 0.6), "Propensity of purchase within 90 days"),
        (Goal("lapse", "purchase", 30, 0.6, is_absent=True), "Propensity of no purchase within 30 days"),
        (Goal("subscribes", "", 0, 0.6, label="y"), "Propensity of y"),
    ],
    ids=["event", "absence", "label"],
)
def test_registered_model_says_what_it_predicts(define: Callable[..., str], goal: Goal, words: str) -> None:
    steps = named(define(replace(SETTINGS, goals=(goal,)), EVENT_TABLES))
    register = next(step for name, step in steps.items() if name.startswith("Register"))
    assert register["Arguments"]["ModelPackageDescription"] == words


def test_registered_model_carries_a_draft_card_and_metadata_that_the_service_takes(
    define: Callable[..., str],
) -> None:
    settings = replace(SETTINGS, partner="Müller & Söhne, (GmbH)", goals=(SETTINGS.goal("buy"),))
    steps = named(define(settings, EVENT_TABLES))
    request = next(step for name, step in steps.items() if name.startswith("Register"))["Arguments"]
    assert json.loads(request["ModelCard"]["ModelCardContent"]) == plan_card(settings, settings.goals[0])
    assert request["ModelCard"]["ModelCardStatus"] == "Draft"
    properties = request["CustomerMetadataProperties"]
    assert properties["partner"] == "Müller  Söhne GmbH"
    assert properties["partner_columns"] == str(len(settings.partner_columns))
    assert json.dumps(properties["model_card"]).endswith('"model_card.json"]}}')
    for name, value in properties.items():
        assert re.fullmatch(r"[\w .:/=+@-]{1,128}", name)
        assert isinstance(value, dict) or re.fullmatch(r"[\w .:/=+@-]{1,256}", value)


BUY = ("TrainBuy", "EvaluateBuy", "GateBuy", "RegisterBuy", "CreateModelBuy", "ScoreBuy", "PublishBuy")
LEAVE = tuple(name.replace("Buy", "Leave") for name in BUY)
END = ("Report", "AllGoals", "FailedGoals")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("QueryCleanRooms", ("QueryCleanRooms", "BuildFeatures", *BUY, *LEAVE, *END)),
        ("BuildFeatures", ("BuildFeatures", *BUY, *LEAVE, *END)),
        ("TrainBuy", (*BUY, "PublishLeave", *END)),
        ("EvaluateLeave", ("PublishBuy", *LEAVE[1:], *END)),
        ("GateBuy", ("GateBuy", "RegisterBuy")),
        ("RegisterBuy", ("RegisterBuy",)),
        ("ScoreLeave", ("PublishBuy", "ScoreLeave", "PublishLeave", *END)),
        ("Report", ("PublishBuy", "PublishLeave", *END)),
        ("AllGoals", ("AllGoals", "FailedGoals")),
        ("FailedGoals", ("FailedGoals",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_steps_after_a_step_are_those_that_depend_on_it(
    define: Callable[..., str], first: str, expected: tuple[str, ...]
) -> None:
    goals = (SETTINGS.goals[0], Goal("leave", "purchase", 90, 0.6, is_absent=True))
    found = define(replace(SETTINGS, goals=goals), EVENT_TABLES)
    assert tuple(steps_from(found, first)) == expected


def test_steps_after_a_step_of_the_score_pipeline(define: Callable[..., str]) -> None:
    found = define(SETTINGS, EVENT_TABLES, "score")
    assert steps_from(found, "ScoreBuy") == ["ScoreBuy", "PublishBuy", "Report"]


def test_step_that_there_is_not_is_refused_with_those_there_are(define: Callable[..., str]) -> None:
    with pytest.raises(SettingsError, match="there is no step Fly") as caught:
        steps_from(define(SETTINGS, EVENT_TABLES, "score"), "Fly")
    assert caught.value.fix == ("one of: BuildFeatures, CreateModelBuy, PublishBuy, QueryCleanRooms, Report, ScoreBuy")
