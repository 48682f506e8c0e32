"""The two pipelines: what they run, what they never do, and that AWS's own model takes every request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import Shape
from botocore.validate import ParamValidator

from contracts.run_settings import FILE_NAME
from pipelines.code_bundle import collect_code
from tests.definitions import KINDS, TWO_GOALS, define, make_project, steps_of
from tests.embedded_aws import TwoAccounts

CREATE = {
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "job"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "job"}),
    "Transform": ("CreateTransformJob", {"TransformJobName": "job"}),
    "Model": ("CreateModel", {"ModelName": "model"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
GOAL_STEPS = ("Train", "Evaluate", "Gate", "CreateModel", "Score", "Publish")
VARIABLES = ({"Get"}, {"Std:Join"}, {"Std:JsonGet"})


@pytest.fixture(scope="module")
def project(accounts: TwoAccounts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two goals."""
    return make_project(tmp_path_factory.mktemp("projects") / "spring", **TWO_GOALS)


@pytest.fixture(scope="module")
def definitions(project: Path) -> dict[str, str]:
    """Both definitions of it."""
    return {kind: define(project, kind) for kind in KINDS}


def named(definition: str) -> dict[str, dict[str, Any]]:
    """Steps by name."""
    return {step["Name"]: step for step in steps_of(definition)}


def filled(value: Any, shape: Shape | None) -> Any:
    """Put a value of the shape's type in place of each pipeline variable."""
    if isinstance(value, dict) and set(value) in VARIABLES:
        return {"integer": 1, "boolean": True, "list": [], "map": {}}.get(shape.type_name if shape else "", "text")
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        of_value = getattr(shape, "value", None)
        return {key: filled(item, members.get(key, of_value)) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, getattr(shape, "member", None)) for item in value]
    return value


def problems(step: dict[str, Any]) -> str:
    """What botocore's validator finds wrong with a step's request."""
    operation, name = CREATE[step["Type"]]
    model = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation)
    assert model.input_shape is not None
    request = filled(step["Arguments"], model.input_shape) | name
    return str(ParamValidator().validate(request, model.input_shape).generate_report())


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_is_valid_for_aws(definitions: dict[str, str], kind: str) -> None:
    checked = [step["Type"] for step in steps_of(definitions[kind]) if step["Type"] in CREATE]
    assert {step["Name"]: problems(step) for step in steps_of(definitions[kind]) if step["Type"] in CREATE} == {
        step["Name"]: "" for step in steps_of(definitions[kind]) if step["Type"] in CREATE
    }
    expected = {"train": {*CREATE}, "score": {"Processing", "Model", "Transform"}}
    assert set(checked) == expected[kind]


def test_validator_does_notice_an_unknown_key_and_a_wrong_type(definitions: dict[str, str]) -> None:
    step = named(definitions["train"])["TrainBuy"]
    step["Arguments"] |= {"Colour": "red", "RoleArn": 5}
    assert "Colour" in problems(step)
    assert "RoleArn" in problems(step)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_steps_are_unique_and_as_aws_takes_them(definitions: dict[str, str], kind: str) -> None:
    names = [step["Name"] for step in steps_of(definitions[kind])]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}", name) for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_query_is_never_cached_and_its_job_never_repeated(definitions: dict[str, str], kind: str) -> None:
    query = named(definitions[kind])["QueryCleanRooms"]
    assert "CacheConfig" not in query
    exceptions = [name for policy in query["RetryPolicies"] for name in policy["ExceptionType"]]
    assert exceptions
    assert [name for name in exceptions if name.startswith("SageMaker.")] == []


def test_what_is_cached_is_what_equal_requests_decide(definitions: dict[str, str]) -> None:
    cached = {name for name, step in named(definitions["train"]).items() if "CacheConfig" in step}
    assert cached == {"BuildFeatures", "TrainBuy", "TrainBigSpender"}


def test_score_pipeline_trains_and_registers_nothing(definitions: dict[str, str]) -> None:
    steps = named(definitions["score"])
    assert {step["Type"] for step in steps.values()} == {"Processing", "Model", "Transform"}
    modules = {
        step["Arguments"]["AppSpecification"]["ContainerEntrypoint"][-1]
        for step in steps.values()
        if step["Type"] == "Processing"
    }
    assert modules == {
        *("processing.query_clean_rooms", "processing.build_features", "activation.publish", "insights.make_report"),
    }


def test_score_pipeline_scores_with_exactly_the_packages_it_is_given(definitions: dict[str, str]) -> None:
    document = json.loads(definitions["score"])
    assert {parameter["Name"]: parameter.get("DefaultValue") for parameter in document["Parameters"]} == {
        "AsOf": "2026-06-30",
        "QueryResultUri": "none",
        "ProcessingInstanceType": "ml.m5.xlarge",
        "ProcessingInstanceCount": 1,
        "TransformInstanceType": "ml.m5.large",
        "TransformInstanceCount": 1,
        "BuyModelPackageArn": None,
        "BigSpenderModelPackageArn": None,
    }
    for goal in ("Buy", "BigSpender"):
        container = named(definitions["score"])[f"CreateModel{goal}"]["Arguments"]["PrimaryContainer"]
        assert container == {"ModelPackageName": {"Get": f"Parameters.{goal}ModelPackageArn"}}


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_have_names_that_eventbridge_takes(definitions: dict[str, str], kind: str) -> None:
    for parameter in json.loads(definitions[kind])["Parameters"]:
        assert re.fullmatch(r"([A-Z][a-z0-9]*)+", parameter["Name"]), parameter


@pytest.mark.parametrize(
    ("kind", "status", "folder"), [("train", "candidate", "candidates"), ("score", "approved", "published")]
)
def test_published_status_is_that_of_the_pipeline(
    definitions: dict[str, str], kind: str, status: str, folder: str
) -> None:
    arguments = named(definitions[kind])["PublishBuy"]["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--status") + 1] == status
    assert folder in arguments[arguments.index("--uri") + 1]["Std:Join"]["Values"]


def input_uri(step: dict[str, Any], name: str) -> Any:
    """Where a processing step takes one of its inputs from; None if it has no such input."""
    inputs = {one["InputName"]: one["S3Input"]["S3Uri"] for one in step["Arguments"]["ProcessingInputs"]}
    return inputs.get(name)


def test_only_behind_the_gate_is_anything_registered(definitions: dict[str, str]) -> None:
    document = json.loads(definitions["train"])
    steps = {step["Name"]: step for step in document["Steps"]}
    goals = [f"{step}{goal}" for goal in ("Buy", "BigSpender") for step in GOAL_STEPS]
    assert list(steps) == ["QueryCleanRooms", "BuildFeatures", *goals, "Report", "AllGoals"]
    for goal in ("Buy", "BigSpender"):
        gate = steps[f"Gate{goal}"]["Arguments"]
        assert [step["Name"] for step in gate["IfSteps"]] == [f"Register{goal}"]
        assert gate["ElseSteps"] == []
        (condition,) = gate["Conditions"]
        assert (condition["Type"], condition["RightValue"]) == ("Equals", 1)
        assert condition["LeftValue"]["Std:JsonGet"]["Path"] == "gate.is_passed"
        assert condition["LeftValue"]["Std:JsonGet"]["PropertyFile"] == {
            "Get": f"Steps.Evaluate{goal}.PropertyFiles.Evaluation"
        }


def test_publish_of_a_candidate_reads_its_own_goals_evaluation_and_so_gates_itself(definitions: dict[str, str]) -> None:
    for goal in ("Buy", "BigSpender"):
        step = named(definitions["train"])[f"Publish{goal}"]
        uri = json.dumps(input_uri(step, "evaluation"))
        assert f"Steps.Evaluate{goal}.ProcessingOutputConfig.Outputs['evaluation']" in uri
        assert input_uri(named(definitions["score"])[f"Publish{goal}"], "evaluation") is None


@pytest.mark.parametrize("kind", KINDS)
def test_report_comes_after_everything_was_published_and_knows_the_run(definitions: dict[str, str], kind: str) -> None:
    step = named(definitions[kind])["Report"]
    assert set(step["DependsOn"]) == {"PublishBuy", "PublishBigSpender"}
    assert "BuildFeatures" in json.dumps(input_uri(step, "run_facts"))
    evaluations = [input_uri(step, f"evaluation-{goal}") is not None for goal in ("buy", "big_spender")]
    assert evaluations == [True, True]
    arguments = step["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--kind") + 1] == kind
    hashes = {re.search(rf"/{part}/([0-9a-f]{{64}})/", definitions[kind])[1] for part in ("code", "settings")}  # type: ignore[index]
    assert hashes <= {argument for argument in arguments if isinstance(argument, str)}


def test_last_step_fails_the_run_unless_every_goal_passed_and_says_what_the_report_says(
    definitions: dict[str, str],
) -> None:
    last = named(definitions["train"])["AllGoals"]
    assert last["DependsOn"] == ["Report"]
    arguments = last["Arguments"]
    assert arguments["IfSteps"] == []
    conditions = [condition["LeftValue"]["Std:JsonGet"]["PropertyFile"]["Get"] for condition in arguments["Conditions"]]
    assert conditions == [f"Steps.Evaluate{goal}.PropertyFiles.Evaluation" for goal in ("Buy", "BigSpender")]
    (failed,) = arguments["ElseSteps"]
    assert (failed["Name"], failed["Type"]) == ("FailedGoals", "Fail")
    assert "Steps.Report.ExitMessage" in json.dumps(failed["Arguments"]["ErrorMessage"])


@pytest.mark.parametrize("kind", KINDS)
def test_start_may_choose_machines_date_and_an_earlier_query(definitions: dict[str, str], kind: str) -> None:
    steps = named(definitions[kind])
    text = json.dumps(steps["BuildFeatures"]["Arguments"])
    for parameter in ("AsOf", "ProcessingInstanceType", "ProcessingInstanceCount"):
        assert f"Parameters.{parameter}" in text
    assert "Parameters.QueryResultUri" in json.dumps(steps["QueryCleanRooms"]["Arguments"])
    for parameter in ("TransformInstanceType", "TransformInstanceCount"):
        assert f"Parameters.{parameter}" in json.dumps(steps["ScoreBuy"]["Arguments"]["TransformResources"])
    for name, step in steps.items():
        if step["Type"] == "Processing" and name != "BuildFeatures":
            assert step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    named_here = {parameter["Name"] for parameter in json.loads(definitions[kind])["Parameters"]}
    assert ("TrainingInstanceType" in named_here) == (kind == "train")
    if kind == "train":
        resources = json.dumps(steps["TrainBuy"]["Arguments"]["ResourceConfig"])
        assert "Parameters.TrainingInstanceType" in resources
        assert "Parameters.TrainingInstanceCount" in resources


def test_registered_model_waits_for_a_person(definitions: dict[str, str]) -> None:
    assert named(definitions["train"])["RegisterBuy"]["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"


def test_one_shard_is_one_request_and_one_csv(definitions: dict[str, str]) -> None:
    request = named(definitions["score"])["ScoreBuy"]["Arguments"]
    assert (request["BatchStrategy"], request["TransformInput"]["SplitType"]) == ("SingleRecord", "None")
    assert request["TransformOutput"]["AssembleWith"] == "None"
    assert request["MaxConcurrentTransforms"] * request["MaxPayloadInMB"] <= 100
    assert request["MaxPayloadInMB"] >= 20


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_that_a_container_starts_is_in_the_bundle(definitions: dict[str, str], kind: str) -> None:
    text = definitions[kind]
    modules = set(re.findall(r'"python3", "-m", "([\w.]+)"', text)) | set(
        re.findall(r'"SAGEMAKER_PROGRAM": "(.+?)"', text)
    )
    assert "processing.query_clean_rooms" in modules
    assert ("inference.handler" in modules) == (kind == "train")
    assert {f"{module.replace('.', '/')}.py" for module in modules} <= set(collect_code())


@pytest.mark.parametrize("kind", KINDS)
def test_same_project_gives_the_same_bytes(project: Path, definitions: dict[str, str], kind: str) -> None:
    assert define(project, kind) == definitions[kind]
    assert define(project / "project.toml", kind) == definitions[kind]


def test_what_the_definition_names_lies_in_s3(
    accounts: TwoAccounts, project: Path, definitions: dict[str, str]
) -> None:
    named_uris = set(re.findall(r's3://pseg-spring-data/(spring/(?:code|settings|tables)[^"]*)', definitions["train"]))
    assert len(named_uris) == 4
    for prefix in named_uris:
        assert prefix.endswith("/")
        assert accounts.keys("pseg-spring-data", prefix), prefix
    code = next(prefix for prefix in named_uris if "/code/" in prefix)
    assert {
        key.removeprefix(code): accounts.read("pseg-spring-data", key)
        for key in accounts.keys("pseg-spring-data", code)
    } == collect_code()
    settings = next(prefix for prefix in named_uris if "/settings/" in prefix)
    assert json.loads(accounts.read("pseg-spring-data", settings + FILE_NAME))["project"] == "spring"


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"segments": TWO_GOALS["segments"].replace("10", "11", 1)}, "settings"),
        ({"notice": 'notice = "another"'}, "settings"),
    ],
    ids=["share", "notice"],
)
def test_other_settings_lie_under_another_hash(
    tmp_path: Path, definitions: dict[str, str], change: dict[str, str], differs: str
) -> None:
    other = define(make_project(tmp_path / "spring", **(TWO_GOALS | change)), "train")
    for part in ("code", "settings"):
        found = [re.findall(rf"/{part}/([0-9a-f]{{64}})/", text)[0] for text in (other, definitions["train"])]
        assert (found[0] != found[1]) == (part == differs)


def test_changed_table_lies_under_another_hash(tmp_path: Path, definitions: dict[str, str]) -> None:
    project = make_project(tmp_path / "spring", **TWO_GOALS)
    table = project / "data" / "contacts.parquet"
    table.write_bytes(table.read_bytes() + b"\n")
    other = define(project, "train")
    for name in ("events", "contacts"):
        found = [set(re.findall(rf"/tables/{name}/([0-9a-f]{{64}})/", text)) for text in (other, definitions["train"])]
        assert (found[0] != found[1]) == (name == "contacts")


def test_prefixes_in_s3_are_used_where_they_are(tmp_path: Path, accounts: TwoAccounts) -> None:
    tables = '[tables]\nevents = "s3://lake/events"\ncontacts = "s3://lake/contacts/"'
    inputs = named(define(make_project(tmp_path / "spring", tables=tables), "score"))["BuildFeatures"]["Arguments"]
    uris = {one["InputName"]: one["S3Input"]["S3Uri"] for one in inputs["ProcessingInputs"]}
    assert (uris["events"], uris["contacts"]) == ("s3://lake/events/", "s3://lake/contacts/")


def test_features_of_tables_that_may_change_in_place_are_never_cached(tmp_path: Path, accounts: TwoAccounts) -> None:
    tables = '[tables]\nevents = "data/events.parquet"\ncontacts = "s3://lake/contacts/"'
    local, lake = make_project(tmp_path / "local" / "spring"), make_project(tmp_path / "lake" / "spring", tables=tables)
    for kind in KINDS:
        assert "CacheConfig" in named(define(local, kind))["BuildFeatures"]
        assert "CacheConfig" not in named(define(lake, kind))["BuildFeatures"]
