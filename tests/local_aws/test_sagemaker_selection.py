"""Selective execution: some steps run again, on what an earlier execution of the pipeline has made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import Account
from tests.local_aws.sagemaker_steps import WRITE, E, Step, condition, fail, output_of, pipeline, processing

COPY = """
import pathlib, shutil, sys
ml = pathlib.Path(sys.argv[1])
shutil.copy(ml / "processing/in/e.json", ml / "processing/out/e.json")
"""
PARAMETERS = [
    {"Name": "Floor", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Auc", "Type": "String", "DefaultValue": "0.8"},
]


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account."""
    return Account.open(aws, "selection")


def copier(account: Account, name: str, source: str, **more: Any) -> Step:
    """A processing step that passes another one's file on."""
    step = processing(account, name, COPY, {"in": "s3://x"}, **more)
    step["Arguments"]["ProcessingInputs"][-1]["S3Input"]["S3Uri"] = output_of(source)
    return step


@pytest.fixture(scope="module")
def chain(account: Account) -> str:
    """Query -> Build -> Measure -> Gate (Good -> Better | Bad), and Other, which depends on nothing."""
    code = "import os, pathlib, sys\nout = pathlib.Path(sys.argv[1]) / 'processing/out/e.json'\n"
    query = processing(account, "Query", code + "out.write_text('{\"auc\": ' + os.environ['AUC'] + '}')")
    query["Arguments"]["Environment"] = {"AUC": {"Get": "Parameters.Auc"}}
    auc = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Measure.PropertyFiles.E"}, "Path": "auc"}}
    test = {"Type": "GreaterThanOrEqualTo", "LeftValue": auc, "RightValue": {"Get": "Parameters.Floor"}}
    steps = [
        query,
        copier(account, "Build", "Query"),
        copier(account, "Measure", "Build", PropertyFiles=E),
        condition(
            "Gate",
            [test],
            [processing(account, "Good"), copier(account, "Better", "Build", DependsOn=["Good"])],
            [fail("Bad", "weak")],
        ),
        processing(account, "Other"),
    ]
    return pipeline(account, steps, PARAMETERS)


@pytest.fixture(scope="module")
def first(account: Account, chain: str) -> str:
    """A whole execution that has succeeded."""
    execution, _ = account.execute(chain)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    return str(execution["PipelineExecutionArn"])


def start(account: Account, name: str, steps: list[str], source: str | None = None, **parameters: str) -> str:
    """Start a selective execution."""
    config = {"SelectedSteps": [{"StepName": step} for step in steps]}
    return str(
        account.sm.start_pipeline_execution(
            PipelineName=name,
            PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
            SelectiveExecutionConfig=config | ({"SourcePipelineExecutionArn": source} if source else {}),
        )["PipelineExecutionArn"]
    )


def statuses(steps: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Status of each step, ``reused`` for those of another execution."""
    return {
        name: "reused" if "SelectiveExecutionResult" in step else step["StepStatus"] for name, step in steps.items()
    }


def test_selected_steps_run_on_what_the_source_execution_has_made(account: Account, chain: str, first: str) -> None:
    arn = start(account, chain, ["Build", "Measure", "Gate"], first)
    execution, steps = account.finish(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert execution["SelectiveExecutionConfig"] == {
        "SourcePipelineExecutionArn": first,
        "SelectedSteps": [{"StepName": name} for name in ("Build", "Measure", "Gate")],
    }
    assert statuses(steps) == {"Query": "reused", "Build": "Succeeded", "Measure": "Succeeded", "Gate": "Succeeded"}
    assert steps["Query"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first}
    _, before = account.finish(first)
    assert steps["Query"]["Metadata"] == before["Query"]["Metadata"]
    build = account.sm.describe_processing_job(
        ProcessingJobName=steps["Build"]["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    )
    uris = [item["S3Input"]["S3Uri"] for item in build["ProcessingInputs"] if item["InputName"] == "in"]
    assert uris == [f"s3://{account.bucket}/runs/{first.rsplit('/', 1)[-1]}/Query"]
    output = build["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert (
        output == f"s3://{account.bucket}/runs/{arn.rsplit('/', 1)[-1]}/Build"
    )  # execution variables are the new ones


def test_condition_reads_the_property_file_of_a_step_that_is_reused(account: Account, chain: str, first: str) -> None:
    execution, steps = account.finish(start(account, chain, ["Gate", "Bad"], first, Floor="0.9"))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert statuses(steps) == {"Measure": "reused", "Gate": "Succeeded", "Bad": "Failed"}


def test_branch_of_a_selected_condition_runs_only_where_its_steps_are_selected(
    account: Account, chain: str, first: str
) -> None:
    _, steps = account.finish(start(account, chain, ["Gate", "Good"], first))
    assert statuses(steps) == {"Measure": "reused", "Gate": "Succeeded", "Good": "Succeeded"}
    _, steps = account.finish(start(account, chain, ["Gate"], first))
    assert statuses(steps) == {"Measure": "reused", "Gate": "Succeeded"}


def test_step_of_a_branch_follows_the_conditions_outcome_in_the_source(
    account: Account, chain: str, first: str
) -> None:
    _, steps = account.finish(start(account, chain, ["Good", "Better"], first))
    assert statuses(steps) == {"Build": "reused", "Gate": "reused", "Good": "Succeeded", "Better": "Succeeded"}
    with pytest.raises(ClientError, match="Step Bad does not follow from Gate, which was True in it"):
        start(account, chain, ["Bad"], first)


def test_steps_without_dependencies_need_no_source(account: Account, chain: str) -> None:
    execution, steps = account.finish(start(account, chain, ["Query", "Build"]))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(steps) == {"Query": "Succeeded", "Build": "Succeeded"}


def test_parameters_are_not_inherited(account: Account, chain: str) -> None:
    other, _ = account.execute(chain, Floor="0.1", Auc="0.3")
    execution, _ = account.finish(start(account, chain, ["Gate", "Bad"], other["PipelineExecutionArn"]))
    assert execution["PipelineExecutionStatus"] == "Failed"  # 0.3 of the source against the default floor of 0.5
    listed = account.sm.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    assert {item["Name"]: item["Value"] for item in listed["PipelineParameters"]} == {"Floor": "0.5", "Auc": "0.8"}


def test_failed_source_gives_the_steps_that_succeeded(account: Account, chain: str) -> None:
    failed, _ = account.execute(chain, Floor="0.9")
    assert failed["PipelineExecutionStatus"] == "Failed"
    execution, steps = account.finish(start(account, chain, ["Gate", "Good"], failed["PipelineExecutionArn"]))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(steps) == {"Measure": "reused", "Gate": "Succeeded", "Good": "Succeeded"}
    with pytest.raises(ClientError, match="have not succeeded in it: Good"):
        start(account, chain, ["Better"], failed["PipelineExecutionArn"])


def test_stopped_source_gives_the_steps_that_succeeded(account: Account) -> None:
    steps = [
        processing(account, "Done", WRITE % "{}"),
        copier(account, "Long", "Done"),
        processing(account, "After", DependsOn=["Long"]),
    ]
    name = pipeline(account, steps, PARAMETERS)
    code = account.get("code/Long/main.py")
    account.put("code/Long/main.py", "import time; time.sleep(60)")
    arn = account.sm.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    while len(account.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]) < 2:
        pass
    with pytest.raises(ClientError, match="Its status is Executing"):
        start(account, name, ["Long"], arn)
    account.sm.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert account.finish(arn)[0]["PipelineExecutionStatus"] == "Stopped"
    account.put("code/Long/main.py", code)
    execution, again = account.finish(start(account, name, ["Long", "After"], arn))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(again) == {"Done": "reused", "Long": "Succeeded", "After": "Succeeded"}


def test_selective_execution_can_be_the_source_of_the_next(account: Account, chain: str, first: str) -> None:
    second = start(account, chain, ["Build", "Measure"], first)
    account.finish(second)
    _, steps = account.finish(start(account, chain, ["Build"], second))
    assert statuses(steps) == {"Query": "reused", "Build": "Succeeded"}
    assert steps["Query"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": second}
    with pytest.raises(ClientError, match="have not succeeded in it: Gate"):
        start(account, chain, ["Good"], second)


def test_definition_may_have_changed_since_the_source_ran(account: Account) -> None:
    steps = [processing(account, "Kept", WRITE % "{}"), processing(account, "Broken", "raise SystemExit(1)")]
    steps[1]["DependsOn"] = ["Kept"]
    name = pipeline(account, steps)
    failed, _ = account.execute(name)
    steps[1] = processing(account, "Broken", "", DependsOn=["Kept"])
    account.sm.update_pipeline(
        PipelineName=name, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": steps})
    )
    execution, done = account.finish(start(account, name, ["Broken"], failed["PipelineExecutionArn"]))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(done) == {"Kept": "reused", "Broken": "Succeeded"}


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (["Nothing", "Build"], "does not have the steps: Nothing"),
        (["Query", "Measure"], "Build lies between selected steps"),
        (["Query", "Good"], "Build, Measure, Gate lies between selected steps"),
        (["Query", "Other"], "is not connected with the other selected steps"),
    ],
    ids=["unknown", "between", "between across a condition", "not connected"],
)
def test_selection_that_cannot_be_is_refused(
    account: Account, chain: str, first: str, steps: list[str], text: str
) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        start(account, chain, steps, first)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_source_that_cannot_give_what_is_needed_is_refused(account: Account, chain: str, first: str) -> None:
    text = r"Invalid SourcePipelineExecutionArn: null. The selected steps \[Build\] have dependencies on \[Query\]"
    with pytest.raises(ClientError, match=text):
        start(account, chain, ["Build"])
    other = pipeline(account, [processing(account, "Query"), processing(account, "Build", DependsOn=["Query"])])
    for name, source in ((other, first), (chain, f"{first}x")):
        with pytest.raises(ClientError, match="It is not an execution of this pipeline"):
            start(account, name, ["Build"], source)


def test_selection_has_at_most_50_steps(account: Account, chain: str) -> None:
    with pytest.raises(ClientError, match=r"selectedSteps.*less than or equal to 50"):
        start(account, chain, ["Query"] * 51)
