"""Pipeline executions run their steps as real jobs, in order and side by side, and end as SageMaker's do."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.session import PARTNER_ACCOUNT
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws, Handler
from tests.local_aws.sagemaker_account import IMAGE, Account, archive
from tests.local_aws.sagemaker_steps import WRITE, E, Step, condition, fail, output_of, pipeline, processing, training

CLUSTER_PARAMETERS = [
    {"Name": "Instances", "Type": "Integer", "DefaultValue": 1},
    {"Name": "Kind", "Type": "String", "DefaultValue": "ml.m5.xlarge"},
]


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account."""
    return Account.open(aws, "pipelines")


@pytest.fixture(scope="module")
def gate(account: Account) -> str:
    """Measure -> Gate (Good | Bad) with a property file and a parameter."""
    auc = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Measure.PropertyFiles.E"}, "Path": "m['auc'][0].value"}}
    test = {"Type": "GreaterThanOrEqualTo", "LeftValue": auc, "RightValue": {"Get": "Parameters.Floor"}}
    message = {"Std:Join": {"On": " ", "Values": ["below", {"Get": "Parameters.Floor"}]}}
    steps = [
        processing(account, "Measure", WRITE % '{"m": {"auc": [{"value": 0.8}]}}', PropertyFiles=E),
        condition("Gate", [test], [processing(account, "Good")], [fail("Bad", message)]),
        processing(account, "After", DependsOn=["Good"]),
    ]
    return pipeline(account, steps, [{"Name": "Floor", "Type": "Float", "DefaultValue": 0.5}])


def test_condition_that_holds_runs_its_steps(account: Account, gate: str) -> None:
    execution, steps = account.execute(gate)
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(
        ("Measure", "Gate", "Good", "After"), "Succeeded"
    )
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    arn = steps["Good"]["Metadata"]["ProcessingJob"]["Arn"]
    job = account.sm.describe_processing_job(ProcessingJobName=arn.rsplit("/", 1)[-1])
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingJobName"].startswith(
        f"pipelines-{execution['PipelineExecutionArn'].rsplit('/', 1)[-1]}-Good-"
    )
    assert steps["Measure"]["StartTime"] <= steps["Measure"]["EndTime"] <= steps["Gate"]["EndTime"]


def test_condition_that_does_not_hold_reaches_the_fail_step(account: Account, gate: str) -> None:
    execution, steps = account.execute(gate, Floor="0.9")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Step failure: One or multiple steps failed."
    assert set(steps) == {"Measure", "Gate", "Bad"}
    assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "False"}}
    assert steps["Bad"]["FailureReason"] == "below 0.9"
    assert steps["Bad"]["Metadata"] == {"Fail": {"ErrorMessage": "below 0.9"}}


def test_parameters_are_checked(account: Account) -> None:
    name = pipeline(
        account,
        [condition("C", [{"Type": "Equals", "LeftValue": {"Get": "Parameters.Flag"}, "RightValue": True}], [], [])],
        [
            {"Name": "Rows", "Type": "Integer"},
            {"Name": "Flag", "Type": "Boolean", "DefaultValue": False},
            {"Name": "Color", "Type": "String", "DefaultValue": "red", "EnumValues": ["red", "blue"]},
        ],
    )
    for given, text in (
        ({}, "missing for required parameter: Rows"),
        ({"Rows": "many"}, "Rows: 'many' is not a value of type Integer"),
        ({"Rows": "1", "Flag": "perhaps"}, "Flag"),
        ({"Rows": "1", "Color": "green"}, "not one of red, blue"),
        ({"Rows": "1", "Extra": "1"}, "Extra"),
    ):
        with pytest.raises(ClientError, match=text):
            account.execute(name, **given)
    execution, steps = account.execute(name, Rows="1", Flag="true")
    assert steps["C"]["Metadata"]["Condition"]["Outcome"] == "True"
    listed = account.sm.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    values = {item["Name"]: item["Value"] for item in listed["PipelineParameters"]}
    assert values == {"Rows": "1", "Flag": "true", "Color": "red"}


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        ({"Type": "In", "QueryValue": {"Get": "Parameters.N"}, "Values": [1, 3]}, "True"),
        (
            {"Type": "Not", "Condition": {"Type": "Equals", "LeftValue": {"Get": "Parameters.N"}, "RightValue": 3}},
            "False",
        ),
        (
            {
                "Type": "Or",
                "Conditions": [
                    {"Type": "LessThan", "LeftValue": {"Get": "Parameters.N"}, "RightValue": 3},
                    {"Type": "LessThanOrEqualTo", "LeftValue": {"Get": "Parameters.N"}, "RightValue": 3},
                ],
            },
            "True",
        ),
        ({"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.N"}, "RightValue": 3}, "False"),
    ],
    ids=["In", "Not", "Or", "GreaterThan"],
)
def test_condition_types(account: Account, test: dict[str, Any], outcome: str) -> None:
    name = pipeline(account, [condition("C", [test], [], [])], [{"Name": "N", "Type": "Integer", "DefaultValue": 3}])
    assert account.execute(name)[1]["C"]["Metadata"] == {"Condition": {"Outcome": outcome}}


def test_condition_on_what_cannot_be_compared_fails_its_step(account: Account) -> None:
    name = pipeline(account, [condition("C", [{"Type": "LessThan", "LeftValue": "a", "RightValue": 1}], [], [])])
    execution, steps = account.execute(name)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert steps["C"]["FailureReason"] == "ClientError: LessThan cannot compare 'a' with 1"


@pytest.mark.parametrize(
    ("written", "text"), [("{", "is not JSON"), ('{"a": 1}', "has no value"), ('{"auc": {}}', "not a single value")]
)
def test_property_file_that_does_not_hold_the_value_fails_the_condition(
    account: Account, written: str, text: str
) -> None:
    auc = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Measure.PropertyFiles.E"}, "Path": "auc"}}
    steps = [
        processing(account, "Measure", WRITE % written, PropertyFiles=E),
        condition("C", [{"Type": "Equals", "LeftValue": auc, "RightValue": 1}], [], []),
    ]
    assert text in account.execute(pipeline(account, steps))[1]["C"]["FailureReason"]


def test_parallel_branches_overlap(account: Account) -> None:
    code = """
import boto3, sys, time
s3 = boto3.client("s3")
s3.put_object(Bucket="pipelines", Key="barrier/%s", Body=b"")
for _ in range(200):
    if "Contents" in s3.list_objects_v2(Bucket="pipelines", Prefix="barrier/%s"):
        sys.exit(0)
    time.sleep(0.05)
sys.exit(1)
"""
    steps = [
        processing(account, "Left", code % ("left", "right")),
        processing(account, "Right", code % ("right", "left")),
    ]
    execution, done = account.execute(pipeline(account, steps))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert max(step["StartTime"] for step in done.values()) < min(step["EndTime"] for step in done.values())


def test_parallelism_limit_is_kept_and_start_overrides_it(account: Account) -> None:
    steps = [processing(account, f"S{index}") for index in range(3)]
    name = pipeline(account, steps, ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    done = sorted(account.execute(name)[1].values(), key=lambda step: step["StartTime"])
    assert all(first["EndTime"] <= second["StartTime"] for first, second in itertools.pairwise(done))
    arn = account.sm.start_pipeline_execution(
        PipelineName=name, ParallelismConfiguration={"MaxParallelExecutionSteps": 3}
    )["PipelineExecutionArn"]
    assert account.finish(arn)[0]["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}


def test_failed_step_is_named_with_its_reason_and_independent_steps_go_on(account: Account) -> None:
    steps = [
        training(
            account, "Boom", "import sys; open(sys.argv[1] + '/output/failure', 'w').write('no labels'); sys.exit(1)"
        ),
        processing(account, "AfterBoom", DependsOn=["Boom"]),
        processing(account, "Killed", "import os; os.kill(os.getpid(), 9)"),
        processing(account, "Other"),
        processing(account, "AfterOther", DependsOn=["Other"]),
    ]
    execution, done = account.execute(pipeline(account, steps))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Step failure: One or multiple steps failed."
    assert {name: step["StepStatus"] for name, step in done.items()} == {
        "Boom": "Failed",
        "Killed": "Failed",
        "Other": "Succeeded",
        "AfterOther": "Succeeded",
    }
    assert done["Boom"]["FailureReason"] == "AlgorithmError: no labels, exit code: 1"
    assert done["Boom"]["AttemptCount"] == 1
    assert "TrainingJob" in done["Boom"]["Metadata"]
    assert done["Killed"]["FailureReason"] == "AlgorithmError: killed by SIGKILL, exit code: 137"


def test_fail_step_stops_what_runs(account: Account) -> None:
    steps = [
        processing(account, "Long", "print('up'); import time; time.sleep(60)"),
        processing(account, "Soon", "import time; time.sleep(0.5)"),
        fail("Stop", "enough") | {"DependsOn": ["Soon"]},
        processing(account, "Never", DependsOn=["Long"]),
    ]
    execution, done = account.execute(pipeline(account, steps))
    assert execution["PipelineExecutionStatus"] == "Failed"
    statuses = {name: step["StepStatus"] for name, step in done.items()}
    assert statuses == {"Long": "Stopped", "Soon": "Succeeded", "Stop": "Failed"}


def test_stop_ends_the_jobs_and_the_execution(account: Account) -> None:
    steps = [
        processing(account, "Long", "print('up'); import time; time.sleep(60)"),
        processing(account, "Next", DependsOn=["Long"]),
    ]
    arn = account.sm.start_pipeline_execution(PipelineName=pipeline(account, steps))["PipelineExecutionArn"]
    for _ in range(200):
        (step,) = account.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"] or [{}]
        if "Metadata" in step:
            break
        time.sleep(0.05)
    job = step["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    account.wait_for_line("Processing", job, "up")
    account.sm.stop_pipeline_execution(PipelineExecutionArn=arn)
    execution, done = account.finish(arn)
    assert execution["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in done.items()} == {"Long": "Stopped"}
    assert account.sm.describe_processing_job(ProcessingJobName=job)["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="cannot be stopped"):
        account.sm.stop_pipeline_execution(PipelineExecutionArn=arn)


def test_job_that_somebody_stops_fails_its_step(account: Account) -> None:
    name = pipeline(account, [processing(account, "Long", "print('up'); import time; time.sleep(60)")])
    arn = account.sm.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    job = ""
    while not job:
        (found,) = account.sm.list_processing_jobs(NameContains=f"{arn.rsplit('/', 1)[-1]}-Long")[
            "ProcessingJobSummaries"
        ] or [{}]
        job = found.get("ProcessingJobName", "")
    account.sm.stop_processing_job(ProcessingJobName=job)
    execution, done = account.finish(arn)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "was stopped" in done["Long"]["FailureReason"]


def test_cache_hit_reuses_the_output_of_the_last_successful_run(account: Account) -> None:
    cache: Step = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}, "PropertyFiles": E}
    auc = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Cached.PropertyFiles.E"}, "Path": "auc"}}
    steps = [
        processing(account, "Cached", WRITE % '{"auc": 1}', **cache),
        processing(account, "Reader", inputs={"in": "s3://x"}),
        condition("C", [{"Type": "Equals", "LeftValue": auc, "RightValue": 1}], [], []),
    ]
    steps[0]["Arguments"]["Environment"] = {"DAY": {"Get": "Parameters.Day"}}
    steps[1]["Arguments"]["ProcessingInputs"][-1]["S3Input"]["S3Uri"] = output_of("Cached")
    name = pipeline(account, steps, [{"Name": "Day", "Type": "String", "DefaultValue": "1"}])
    first, before = account.execute(name)
    second, after = account.execute(name)
    third, other = account.execute(name, Day="2")
    assert {first["PipelineExecutionStatus"], second["PipelineExecutionStatus"], third["PipelineExecutionStatus"]} == {
        "Succeeded"
    }
    assert "CacheHitResult" not in before["Cached"]
    assert after["Cached"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first["PipelineExecutionArn"]}
    assert after["Cached"]["Metadata"] == before["Cached"]["Metadata"]
    assert "CacheHitResult" not in after["Reader"]
    assert "CacheHitResult" not in other["Cached"]


def test_failed_or_expired_runs_are_no_cache_hits(account: Account) -> None:
    enabled: Step = {"CacheConfig": {"Enabled": True}}
    name = pipeline(account, [processing(account, "Bad", "raise SystemExit(1)", **enabled)])
    account.execute(name)
    assert "CacheHitResult" not in account.execute(name)[1]["Bad"]
    expired: Step = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT0M"}}
    name = pipeline(account, [processing(account, "Old", **expired)])
    account.execute(name)
    assert "CacheHitResult" not in account.execute(name)[1]["Old"]


@pytest.fixture
def faults(aws: EmbeddedAws) -> Iterator[list[AwsError]]:
    """Errors that CreateProcessingJob answers before it works again."""
    waiting: list[AwsError] = []
    original: Handler = aws.handlers["sagemaker", "CreateProcessingJob"]

    def faulty(call: Call, parameters: dict[str, Any]) -> dict[str, Any] | None:
        if waiting:
            raise waiting.pop(0)
        return original(call, parameters)

    aws.handlers["sagemaker", "CreateProcessingJob"] = faulty
    yield waiting
    aws.handlers["sagemaker", "CreateProcessingJob"] = original


@pytest.mark.parametrize(
    ("code", "kind", "times", "attempts", "status"),
    [
        ("ThrottlingException", "Step.THROTTLING", 2, 3, "Succeeded"),
        ("ResourceLimitExceeded", "SageMaker.RESOURCE_LIMIT", 1, 2, "Succeeded"),
        ("ThrottlingException", "Step.THROTTLING", 9, 3, "Failed"),
        ("ResourceLimitExceeded", "Step.THROTTLING", 1, 1, "Failed"),
        ("ValidationException", "Step.SERVICE_FAULT", 1, 1, "Failed"),
    ],
    ids=["throttled", "limit", "used up", "other kind", "never retryable"],
)
def test_retry_policies(
    account: Account, faults: list[AwsError], code: str, kind: str, times: int, attempts: int, status: str
) -> None:
    policy = {"ExceptionType": [kind], "IntervalSeconds": 0, "BackoffRate": 1.0, "MaxAttempts": 2}
    name = pipeline(account, [processing(account, "S", RetryPolicies=[policy])])
    faults.extend(AwsError(code, "not now") for _ in range(times))
    _, done = account.execute(name)
    assert (done["S"]["StepStatus"], done["S"]["AttemptCount"]) == (status, attempts)
    if status == "Failed":
        assert done["S"]["FailureReason"] == (
            "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: not now"
        )


def test_wrong_value_at_run_time_fails_the_step(account: Account) -> None:
    step = training(account, "T")
    step["Arguments"]["HyperParameters"] = {"depth": {"Get": "Parameters.Depth"}}
    name = pipeline(account, [step], [{"Name": "Depth", "Type": "Integer", "DefaultValue": 3}])
    reason = account.execute(name)[1]["T"]["FailureReason"]
    assert reason.startswith("ClientError: Failed to invoke sagemaker:CreateTrainingJob.")
    assert "HyperParameters.depth" in reason


def test_model_is_trained_registered_and_used_for_scoring(account: Account) -> None:
    handler = "def model_fn(d): return 1\ndef transform_fn(m, body, c, a): return b'h\\n' + body, 'text/csv'\n"
    account.put("base/model.tar.gz", archive({"code/handler.py": handler}))
    account.put("shards/a.parquet", "row")
    save = (
        "import pathlib, sys, tarfile\nml = pathlib.Path(sys.argv[1])\n"
        "tarfile.open(ml / 'input/data/base/model.tar.gz').extractall(ml / 'model', filter='data')"
    )
    data = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    environment = {
        "SAGEMAKER_PROGRAM": "handler",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": environment}
    steps = [
        training(account, "Train", save, {"base": f"s3://{account.bucket}/base/"}),
        {
            "Name": "Register",
            "Type": "RegisterModel",
            "Arguments": {
                "ModelPackageGroupName": "made-by-the-step",
                "ModelApprovalStatus": "PendingManualApproval",
                "SkipModelValidation": "None",
                "ModelMetrics": {"Bias": {}, "Explainability": {}},
                "InferenceSpecification": {
                    "Containers": [container],
                    "SupportedContentTypes": ["application/x-parquet"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
            },
        },
        {
            "Name": "Model",
            "Type": "Model",
            "Arguments": {"ExecutionRoleArn": account.role, "PrimaryContainer": container},
        },
        {
            "Name": "Score",
            "Type": "Transform",
            "Arguments": {
                "ModelName": {"Get": "Steps.Model.ModelName"},
                "TransformInput": {
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{account.bucket}/shards/"}
                    },
                    "ContentType": "application/x-parquet",
                },
                "TransformOutput": {"S3OutputPath": f"s3://{account.bucket}/scored"},
                "TransformResources": {
                    "InstanceType": {"Get": "Parameters.Kind"},
                    "InstanceCount": {"Get": "Parameters.Instances"},
                },
            },
        },
    ]
    execution, done = account.execute(pipeline(account, steps, CLUSTER_PARAMETERS), Instances="2")
    assert execution["PipelineExecutionStatus"] == "Succeeded", done
    package = account.sm.describe_model_package(ModelPackageName=done["Register"]["Metadata"]["RegisterModel"]["Arn"])
    assert package["ModelPackageGroupName"] == "made-by-the-step"
    assert account.get("scored/a.parquet.out") == b"h\nrow"
    assert ":model/pipelines-" in done["Model"]["Metadata"]["Model"]["Arn"]
    arn = done["Score"]["Metadata"]["TransformJob"]["Arn"]
    assert ":transform-job/pipelines-" in arn
    job = account.sm.describe_transform_job(TransformJobName=arn.rsplit("/", 1)[-1])
    assert job["TransformResources"] == {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}


def test_number_and_type_of_instances_are_parameters(account: Account) -> None:
    code = "import json, sys; print(json.load(open(sys.argv[1] + '/config/resourceconfig.json'))['current_host'])"
    step = processing(account, "Many", code)
    cluster = step["Arguments"]["ProcessingResources"]["ClusterConfig"]
    cluster |= {"InstanceType": {"Get": "Parameters.Kind"}, "InstanceCount": {"Get": "Parameters.Instances"}}
    name = pipeline(account, [step], CLUSTER_PARAMETERS)
    _, done = account.execute(name, Instances="2", Kind="ml.c5.xlarge")
    job = done["Many"]["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    described = account.sm.describe_processing_job(ProcessingJobName=job)["ProcessingResources"]["ClusterConfig"]
    assert (described["InstanceType"], described["InstanceCount"]) == ("ml.c5.xlarge", 2)
    assert sorted(account.lines("Processing", job)) == ["algo-1", "algo-2"]
    assert "enum value set" in account.execute(name, Kind="ml.none")[1]["Many"]["FailureReason"]


def test_fail_step_tells_what_a_step_left_as_its_exit_message(account: Account) -> None:
    said = {"Std:Join": {"On": "", "Values": ["gate: ", {"Get": "Steps.Judge.ExitMessage"}, "!"]}}
    code = "open(__import__('sys').argv[1] + '/output/message', 'w').write('%s')"
    steps = [processing(account, "Judge", code % "auc 0.51, floor 0.6"), fail("Stop", said)]
    assert account.execute(pipeline(account, steps))[1]["Stop"]["FailureReason"] == "gate: auc 0.51, floor 0.6!"
    steps[0] = processing(account, "Judge")  # leaves none
    reason = account.execute(pipeline(account, steps))[1]["Stop"]["FailureReason"]
    assert reason == "ClientError: Steps.Judge.ExitMessage has no value (at 'ExitMessage')"


def test_steps_are_listed_newest_first_unless_asked_otherwise(account: Account) -> None:
    steps = [processing(account, "One"), processing(account, "Two", DependsOn=["One"])]
    arn = account.execute(pipeline(account, steps))[0]["PipelineExecutionArn"]
    listed = account.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert [step["StepName"] for step in listed] == ["Two", "One"]
    ascending = account.sm.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending", PaginationConfig={"PageSize": 1}
    )
    assert [step["StepName"] for page in ascending for step in page["PipelineExecutionSteps"]] == ["One", "Two"]


def test_start_is_idempotent_by_its_token(account: Account) -> None:
    name = pipeline(account, [processing(account, "S")])
    token = "t" * 32
    started = [
        account.sm.start_pipeline_execution(PipelineName=name, ClientRequestToken=token)["PipelineExecutionArn"]
        for _ in range(2)
    ]
    assert started[0] == started[1]
    with pytest.raises(account.sm.exceptions.ConflictException):
        account.sm.start_pipeline_execution(
            PipelineName=name, ClientRequestToken=token, PipelineExecutionDisplayName="x"
        )
    assert len(account.sm.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]) == 1


def test_running_execution_keeps_the_definition_that_it_started_with(account: Account) -> None:
    name = pipeline(account, [processing(account, "Before")])
    execution, _ = account.execute(name)
    changed = {"Version": "2020-12-01", "Steps": [fail("Now", "x")]}
    account.sm.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(changed))
    kept = account.sm.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])
    assert "Before" in kept["PipelineDefinition"]
    assert list(account.execute(name)[1]) == ["Now"]
    summaries = account.sm.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionStatus"] for item in summaries] == ["Failed", "Succeeded"]
    assert summaries[0]["PipelineExecutionFailureReason"] == "Step failure: One or multiple steps failed."


def test_pipelines_are_unique_tagged_listed_and_deleted(account: Account) -> None:
    name = pipeline(account, [fail("F", "x")], Tags=[{"Key": "a", "Value": "1"}])
    arn = account.sm.describe_pipeline(PipelineName=name)["PipelineArn"]
    definition = json.dumps({"Version": "2020-12-01", "Steps": [fail("F", "x")]})
    with pytest.raises(ClientError, match="already exists"):
        account.sm.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=account.role)
    account.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    assert account.sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    listed = account.sm.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"]
    assert [item["PipelineName"] for item in listed] == [name]
    execution, _ = account.execute(name)
    account.sm.delete_pipeline(PipelineName=name)
    for operation in ("describe_pipeline", "update_pipeline", "start_pipeline_execution"):
        with pytest.raises(account.sm.exceptions.ResourceNotFound):
            getattr(account.sm, operation)(PipelineName=name)
    with pytest.raises(account.sm.exceptions.ResourceNotFound):
        account.sm.describe_pipeline_execution(PipelineExecutionArn=execution["PipelineExecutionArn"])


def test_pipeline_with_a_running_execution_is_not_deleted(account: Account) -> None:
    name = pipeline(account, [processing(account, "Long", "import time; time.sleep(60)")])
    arn = account.sm.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    with pytest.raises(account.sm.exceptions.ConflictException):
        account.sm.delete_pipeline(PipelineName=name)
    account.sm.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert account.finish(arn)[0]["PipelineExecutionStatus"] == "Stopped"


def test_accounts_do_not_see_each_others_pipelines(aws: EmbeddedAws, account: Account) -> None:
    name = pipeline(account, [fail("F", "x")])
    arn = account.execute(name)[0]["PipelineExecutionArn"]
    partner = aws.client("sagemaker", aws.keys[PARTNER_ACCOUNT])
    assert partner.list_pipelines()["PipelineSummaries"] == []
    with pytest.raises(partner.exceptions.ResourceNotFound):
        partner.describe_pipeline_execution(PipelineExecutionArn=arn)
