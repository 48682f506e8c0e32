"""CreatePipeline refuses what could not run, and says in which step."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import Account

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account."""
    return Account.open(aws, "definition")


@pytest.fixture
def definition(account: Account) -> dict[str, Any]:
    """A definition that is accepted: Make -> Train -> Gate (Stop)."""
    make = account.processing("make", "")
    train = account.training("train", "", {"data": "s3://x"})
    del make["ProcessingJobName"], train["TrainingJobName"]
    uri = {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    train["InputDataConfig"][-1]["DataSource"]["S3DataSource"]["S3Uri"] = uri
    train["HyperParameters"] = {"depth": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Depth"}]}}}
    auc = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Make.PropertyFiles.E"}, "Path": "auc"}}
    stop = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
    condition = {"Type": "GreaterThan", "LeftValue": auc, "RightValue": 0.5}
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "MlflowConfig": None,
        "Parameters": [{"Name": "Depth", "Type": "Integer", "DefaultValue": 3}],
        "Steps": [
            {
                "Name": "Make",
                "Type": "Processing",
                "Arguments": make,
                "PropertyFiles": [{"PropertyFileName": "E", "OutputName": "out", "FilePath": "e.json"}],
                "RetryPolicies": [{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 2, "BackoffRate": 2.0}],
            },
            {
                "Name": "Train",
                "Type": "Training",
                "Arguments": train,
                "CacheConfig": {"Enabled": True, "ExpireAfter": "P7D"},
            },
            {
                "Name": "Gate",
                "Type": "Condition",
                "DependsOn": ["Train"],
                "Arguments": {"Conditions": [condition], "IfSteps": [], "ElseSteps": [stop]},
            },
        ],
    }


def create(account: Account, definition: dict[str, Any], name: str = "p") -> None:
    """Create a pipeline."""
    account.sm.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=account.role)


def test_accepted_definition_is_described_as_it_was_given(account: Account, definition: dict[str, Any]) -> None:
    create(account, definition, "accepted")
    described = account.sm.describe_pipeline(PipelineName="accepted")
    assert described["PipelineDefinition"] == json.dumps(definition)
    assert described["PipelineStatus"] == "Active"


CHANGES: dict[str, tuple[Change, str]] = {
    "version": (lambda d: d.update(Version="1"), "2020-12-01"),
    "top key": (lambda d: d.update(Extra=1), "Extra"),
    "mlflow": (lambda d: d.update(MlflowConfig={"a": 1}), "MlflowConfig"),
    "no steps": (lambda d: d.update(Steps=[]), "1 to 50 steps"),
    "step type": (lambda d: d["Steps"][0].update(Type="Tuning"), r"step type Tuning \(step Make\)"),
    "lambda": (lambda d: d["Steps"].append({"Name": "L", "Type": "Lambda", "Arguments": {}}), r"Lambda \(step L\)"),
    "step key": (lambda d: d["Steps"][0].update(TriggerCondition={}), r"TriggerCondition \(step Make\)"),
    "step name": (lambda d: d["Steps"][0].update(Name="M ke"), "Step name 'M ke'"),
    "same name": (lambda d: d["Steps"][1].update(Name="Make"), "Make is used twice"),
    "unknown argument": (lambda d: d["Steps"][0]["Arguments"].update(Foo=1), 'Step Make.*"Foo"'),
    "argument type": (
        lambda d: d["Steps"][1]["Arguments"].update(HyperParameters={"a": 1}),
        "Step Train.*HyperParameters.a",
    ),
    "missing argument": (lambda d: d["Steps"][1]["Arguments"].pop("RoleArn"), 'Step Train.*"RoleArn"'),
    "refused member": (
        lambda d: d["Steps"][1]["Arguments"].update(DebugHookConfig={"S3OutputPath": "s3://x"}),
        "Step Train.*DebugHookConfig",
    ),
    "unknown step": (lambda d: d["Steps"][1].update(DependsOn=["Nobody"]), "Step Train.*Nobody"),
    "unknown parameter": (
        lambda d: d["Steps"][2]["Arguments"]["ElseSteps"][0]["Arguments"].update(ErrorMessage={"Get": "Parameters.X"}),
        "Step Stop refers to Parameters.X",
    ),
    "unknown variable": (
        lambda d: d["Steps"][2]["Arguments"]["ElseSteps"][0]["Arguments"].update(ErrorMessage={"Get": "Execution.X"}),
        "Execution.X",
    ),
    "unknown property": (
        lambda d: d["Steps"][1]["Arguments"]["OutputDataConfig"].update(S3OutputPath={"Get": "Steps.Make.Outputs"}),
        "no property Outputs",
    ),
    "unknown function": (
        lambda d: d["Steps"][1]["Arguments"]["OutputDataConfig"].update(S3OutputPath={"Std:Upper": "x"}),
        "Std:Upper",
    ),
    "property file": (lambda d: d["Steps"][0].update(PropertyFiles=[]), "PropertyFiles.E"),
    "property file output": (
        lambda d: d["Steps"][0]["PropertyFiles"][0].update(OutputName="other"),
        "names no output",
    ),
    "cycle": (lambda d: d["Steps"][0].update(DependsOn=["Gate"]), "cycle"),
    "condition type": (
        lambda d: d["Steps"][2]["Arguments"]["Conditions"][0].update(Type="Like"),
        "Step Gate: unknown condition type Like",
    ),
    "condition keys": (lambda d: d["Steps"][2]["Arguments"]["Conditions"][0].pop("RightValue"), "Step Gate"),
    "fail arguments": (lambda d: d["Steps"][2]["Arguments"]["ElseSteps"][0].update(Arguments={}), "ErrorMessage"),
    "retry kind": (
        lambda d: d["Steps"][0].update(RetryPolicies=[{"ExceptionType": ["Exit.CODE"], "MaxAttempts": 1}]),
        "cannot be retried on Exit.CODE",
    ),
    "retry bounds": (
        lambda d: d["Steps"][0].update(RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"]}]),
        "either MaxAttempts or ExpireAfterMin",
    ),
    "cache of a condition": (lambda d: d["Steps"][2].update(CacheConfig={"Enabled": True}), "no CacheConfig"),
    "cache duration": (lambda d: d["Steps"][1]["CacheConfig"].update(ExpireAfter="soon"), "ISO 8601"),
    "parameter type": (lambda d: d["Parameters"][0].update(Type="Date"), "Depth"),
    "parameter default": (lambda d: d["Parameters"][0].update(DefaultValue="three"), "default 'three'"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES.keys())
def test_wrong_definitions_are_refused_by_name(
    account: Account, definition: dict[str, Any], change: Change, text: str
) -> None:
    wrong = copy.deepcopy(definition)
    change(wrong)
    with pytest.raises(ClientError, match=text) as caught:
        create(account, wrong)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_definition_may_lie_in_s3(account: Account, definition: dict[str, Any]) -> None:
    account.put("definition.json", json.dumps(definition))
    place = {"Bucket": account.bucket, "ObjectKey": "definition.json"}
    account.sm.create_pipeline(PipelineName="from-s3", PipelineDefinitionS3Location=place, RoleArn=account.role)
    assert account.sm.describe_pipeline(PipelineName="from-s3")["PipelineDefinition"] == json.dumps(definition)
    with pytest.raises(ClientError, match="Cannot read"):
        account.sm.update_pipeline(PipelineName="from-s3", PipelineDefinitionS3Location=place | {"ObjectKey": "none"})


def test_text_that_is_not_json_and_a_role_that_is_not_there(account: Account, definition: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="not JSON"):
        account.sm.create_pipeline(PipelineName="p", PipelineDefinition="{", RoleArn=account.role)
    nobody = "arn:aws:iam::111111111111:role/nobody"
    with pytest.raises(ClientError, match="nobody"):
        account.sm.create_pipeline(PipelineName="p", PipelineDefinition=json.dumps(definition), RoleArn=nobody)
    with pytest.raises(ClientError, match="length less than or equal to 1048576"):
        account.sm.create_pipeline(PipelineName="p", PipelineDefinition="x" * 1_048_577, RoleArn=account.role)
