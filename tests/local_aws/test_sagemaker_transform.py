"""Models and batch transform: a real model server in the image's script mode, and SageMaker's rules per object."""

from __future__ import annotations

import io
import itertools
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import IMAGE, Account, archive

HANDLER = """
import os, pathlib, time
from werkzeug.wrappers import Response

def model_fn(model_dir):
    print("code in", pathlib.Path(__file__).parents[1].name, "batch", os.environ["SAGEMAKER_BATCH"], flush=True)
    return (pathlib.Path(model_dir) / "weight").read_text()

def transform_fn(model, body, content_type, accept):
    if b"raise" == body or "raise" == body:
        raise ValueError("a secret reason")
    if body == b"refuse":
        return Response("row 3 has no key", 400, mimetype="text/plain")
    if body == b"sleep":
        time.sleep(30)
    shown = body if isinstance(body, str) else body.decode()
    return f"{type(body).__name__} {model} {content_type} {accept}\\n{shown}", "text/csv"
"""
FILES = {"weight": "7", "code/inference/__init__.py": "", "code/inference/handler.py": HANDLER}
ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": "inference.handler",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "PIP_NO_BUILD_ISOLATION": "0",
    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
}
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """An account with a model."""
    opened = Account.open(aws, "transform")
    make_model(opened, "good", FILES)
    return opened


def make_model(account: Account, name: str, files: dict[str, str], **environment: str | None) -> None:
    """Store an archive and create a model of it; an environment value of None leaves a variable out."""
    uri = account.put(f"models/{name}.tar.gz", archive(files))
    merged = {key: value for key, value in (ENVIRONMENT | environment).items() if value is not None}
    container = {"Image": IMAGE, "ModelDataUrl": uri, "Environment": merged}
    account.sm.create_model(ModelName=name, ExecutionRoleArn=account.role, PrimaryContainer=container)


def transform(account: Account, prefix: str, model: str = "good", **more: Any) -> dict[str, Any]:
    """Request of a transform job over a prefix; its outputs go to ``scored/<prefix>``."""
    return {
        "TransformJobName": f"job-{next(NUMBERS)}",
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{account.bucket}/{prefix}"}},
            "ContentType": "application/x-parquet",
        },
        "TransformOutput": {"S3OutputPath": f"s3://{account.bucket}/scored/{prefix}"},
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        "ModelClientConfig": {"InvocationsMaxRetries": 0},
        **more,
    }


def test_each_object_is_one_request_and_one_output(account: Account) -> None:
    account.put("in/a.parquet", b"A")
    account.put("in/deep/b.parquet", b"B")
    request = transform(account, "in/", MaxConcurrentTransforms=2)
    request["TransformOutput"]["Accept"] = "text/csv"
    answer = account.run("Transform", request)
    assert answer["TransformJobStatus"] == "Completed", answer
    assert account.keys("scored/in/") == ["scored/in/a.parquet.out", "scored/in/deep/b.parquet.out"]
    assert account.get("scored/in/a.parquet.out") == b"bytes 7 application/x-parquet text/csv\nA"
    lines = account.lines("Transform", answer["TransformJobName"])
    assert "code in code batch true" in lines
    assert any("MaxConcurrentTransforms=2, MaxPayloadInMB=6" in line for line in lines)


def test_text_arrives_as_text_and_no_accept_as_json(account: Account) -> None:
    account.put("text/a.csv", "1,2")
    request = transform(account, "text/")
    request["TransformInput"]["ContentType"] = "text/csv"
    account.run("Transform", request)
    assert account.get("scored/text/a.csv.out") == b"str 7 text/csv application/json\n1,2"


@pytest.mark.parametrize(
    ("strategy", "assemble", "expected"),
    [
        ("SingleRecord", "Line", b"H\n1\n\nH\n2\n\nH\n3\n"),
        ("MultiRecord", "None", b"H\n1\n2\n3"),
    ],
)
def test_lines_are_split_and_assembled(account: Account, strategy: str, assemble: str, expected: bytes) -> None:
    prefix = f"lines-{strategy}/"
    account.put(f"{prefix}a.csv", "1\n2\n3")
    request = transform(account, prefix, BatchStrategy=strategy)
    request["TransformInput"] |= {"ContentType": "text/csv", "SplitType": "Line"}
    request["TransformOutput"] |= {"Accept": "text/csv", "AssembleWith": assemble}
    assert account.run("Transform", request)["TransformJobStatus"] == "Completed"
    header = b"str 7 text/csv text/csv"
    assert account.get(f"scored/{prefix}a.csv.out").replace(header, b"H") == expected


def test_manifest_and_several_instances(account: Account) -> None:
    for name in "abc":
        account.put(f"many/{name}", name)
    manifest = account.put("many.json", f'[{{"prefix": "s3://{account.bucket}/many/"}}, "a", "b", "c"]')
    request = transform(account, "many/")
    request["TransformInput"]["DataSource"]["S3DataSource"] = {"S3DataType": "ManifestFile", "S3Uri": manifest}
    request["TransformResources"]["InstanceCount"] = 2
    assert account.run("Transform", request)["TransformJobStatus"] == "Completed"
    assert account.keys("scored/many/") == [f"scored/many/{name}.out" for name in "abc"]
    streams = account.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix=request["TransformJobName"]
    )["logStreams"]
    assert len(streams) == 2


def test_failing_object_has_no_output_and_the_others_do(account: Account) -> None:
    account.put("partly/a", "fine")
    account.put("partly/b", "raise")
    account.put("partly/c", "refuse")
    answer = account.run("Transform", transform(account, "partly/"))
    assert answer["TransformJobStatus"] == "Failed"
    assert f"2 of 3 objects failed. s3://{account.bucket}/partly/b" in answer["FailureReason"]
    assert "a secret reason" not in answer["FailureReason"]
    assert account.keys("scored/partly/") == ["scored/partly/a.out"]
    lines = account.lines("Transform", answer["TransformJobName"])
    assert any("a secret reason" in line for line in lines)
    assert any(line.endswith("row 3 has no key") for line in lines)


def test_object_over_the_payload_limit_is_named_with_size_and_limit(account: Account) -> None:
    account.put("big/x", b"x" * (1024 * 1024 + 1))
    answer = account.run("Transform", transform(account, "big/", MaxPayloadInMB=1))
    assert f"s3://{account.bucket}/big/x" in answer["FailureReason"]
    assert "1048577 bytes is more than MaxPayloadInMB=1" in answer["FailureReason"]
    assert account.run("Transform", transform(account, "big/", MaxPayloadInMB=2))["TransformJobStatus"] == "Completed"


def test_invocation_timeout_is_honoured(account: Account) -> None:
    account.put("sleepy/x", "sleep")
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    answer = account.run("Transform", transform(account, "sleepy/", ModelClientConfig=client))
    assert "InvocationsTimeoutInSeconds=1" in answer["FailureReason"]


def test_stopped_transform_stores_nothing(account: Account) -> None:
    account.put("stop/a", "fine")
    account.put("stop/b", "sleep")
    request = transform(account, "stop/")
    account.sm.create_transform_job(**request)
    account.wait_for_line("Transform", request["TransformJobName"], "MaxConcurrentTransforms")
    account.sm.stop_transform_job(TransformJobName=request["TransformJobName"])
    assert account.wait("Transform", request["TransformJobName"])["TransformJobStatus"] == "Stopped"
    assert account.keys("scored/stop/") == []


@pytest.mark.parametrize(
    ("environment", "files", "text"),
    [
        ({"SAGEMAKER_PROGRAM": "inference/handler.py"}, {}, "inference/handler"),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": None}, {}, "SAGEMAKER_SUBMIT_DIRECTORY"),
        ({"PIP_NO_BUILD_ISOLATION": None}, {}, "PIP_NO_BUILD_ISOLATION"),
        ({"PIP_NO_BUILD_ISOLATION": "1"}, {}, "PIP_NO_BUILD_ISOLATION"),
        ({}, {"code/requirements.txt": "x"}, "package index"),
        ({}, {"code/inference/handler.py": "def model_fn(d): pass"}, "no transform_fn"),
        ({}, {"code/inference/handler.py": "def model_fn(d): 1 / 0\ndef transform_fn(*a): pass"}, "/ping"),
    ],
    ids=[
        "path",
        "no submit directory",
        "isolated build",
        "inverted switch",
        "requirements",
        "no transform_fn",
        "bad model",
    ],
)
def test_server_that_cannot_start_fails_the_job(
    account: Account, environment: dict[str, Any], files: dict[str, str], text: str
) -> None:
    account.put("in/a.parquet", b"A")
    name = f"bad-{next(NUMBERS)}"
    make_model(account, name, FILES | files, **environment)
    answer = account.run("Transform", transform(account, "in/", name))
    assert answer["TransformJobStatus"] == "Failed"
    assert answer["FailureReason"].startswith("AlgorithmError: ")
    log = "\n".join(account.lines("Transform", answer["TransformJobName"]))
    assert text in answer["FailureReason"] + log


def test_archive_that_leaves_its_folder_fails_the_job(account: Account) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../escaped"))
    account.put("models/traversal.tar.gz", made.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{account.bucket}/models/traversal.tar.gz"}
    account.sm.create_model(ModelName="traversal", ExecutionRoleArn=account.role, PrimaryContainer=container)
    answer = account.run("Transform", transform(account, "in/", "traversal"))
    assert "Failed to extract model data archive" in answer["FailureReason"]
    assert "escaped" in answer["FailureReason"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"MaxConcurrentTransforms": 20}, "must not be more than 100"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "DataProcessing.JoinSource=Input"),
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "InputFilter"),
        ({"ModelName": "nobody"}, "Could not find model"),
        ({"Environment": {f"K{index}": "x" for index in range(17)}}, "less than or equal to 16"),
    ],
    ids=["payload times concurrency", "join", "filter", "model", "environment"],
)
def test_wrong_requests_are_refused_by_name(account: Account, change: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError) as caught:
        account.sm.create_transform_job(**(transform(account, "in/") | change))
    assert text in str(caught.value)


@pytest.mark.parametrize("split", ["RecordIO", "TFRecord"])
def test_record_formats_are_refused_by_name(account: Account, split: str) -> None:
    request = transform(account, "in/")
    request["TransformInput"]["SplitType"] = split
    with pytest.raises(ClientError, match=r"TransformInput\.SplitType="):
        account.sm.create_transform_job(**request)


def test_models_are_described_listed_and_deleted(account: Account) -> None:
    make_model(account, "short-lived", FILES)
    described = account.sm.describe_model(ModelName="short-lived")
    assert described["PrimaryContainer"]["Environment"]["SAGEMAKER_PROGRAM"] == "inference.handler"
    assert [model["ModelName"] for model in account.sm.list_models(NameContains="short")["Models"]] == ["short-lived"]
    with pytest.raises(ClientError, match="already existing"):
        make_model(account, "short-lived", FILES)
    account.sm.delete_model(ModelName="short-lived")
    with pytest.raises(ClientError, match="Could not find model"):
        account.sm.describe_model(ModelName="short-lived")


def test_model_needs_its_data_and_a_role(account: Account) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{account.bucket}/models/none.tar.gz"}
    with pytest.raises(ClientError, match="Could not find model data"):
        account.sm.create_model(ModelName="none", ExecutionRoleArn=account.role, PrimaryContainer=container)
    with pytest.raises(ClientError, match="ExecutionRoleArn"):
        account.sm.create_model(ModelName="none", PrimaryContainer=container)
    with pytest.raises(ClientError, match="Containers"):
        account.sm.create_model(ModelName="none", ExecutionRoleArn=account.role, Containers=[container])


def test_model_of_a_package_takes_the_packages_container(account: Account) -> None:
    account.put("package/x", "x")
    account.sm.create_model_package_group(ModelPackageGroupName="scorers")
    package = account.sm.create_model_package(
        ModelPackageGroupName="scorers",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": IMAGE,
                    "ModelDataUrl": f"s3://{account.bucket}/models/good.tar.gz",
                    "Environment": ENVIRONMENT,
                }
            ],
            "SupportedContentTypes": ["application/x-parquet"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    model = {
        "ModelName": "packaged",
        "ExecutionRoleArn": account.role,
        "PrimaryContainer": {"ModelPackageName": package},
    }
    with pytest.raises(ClientError, match="not approved"):
        account.sm.create_model(**model)
    account.sm.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    account.sm.create_model(**model)
    answer = account.run("Transform", transform(account, "package/", "packaged"))
    assert answer["TransformJobStatus"] == "Completed", answer
    assert account.keys("scored/package/") == ["scored/package/x.out"]


def test_request_over_the_servers_own_timeout_ends_its_worker_and_another_takes_over(account: Account) -> None:
    account.put("slow/a", "sleep")
    account.put("slow/b", "fine")
    make_model(account, "impatient", FILES, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
    answer = account.run("Transform", transform(account, "slow/", "impatient"))
    assert "slow/a: Unable to get response from algorithm" in answer["FailureReason"]
    assert account.keys("scored/slow/") == ["scored/slow/b.out"]


def test_fault_of_the_server_is_tried_again(account: Account) -> None:
    account.put("again/a", "raise")
    request = transform(account, "again/", ModelClientConfig={"InvocationsMaxRetries": 2})
    answer = account.run("Transform", request)
    assert answer["FailureReason"].count("Bad HTTP status received from algorithm: 500") == 1
    lines = account.lines("Transform", answer["TransformJobName"])
    assert sum("Bad HTTP status" in line for line in lines) == 3
