"""A brand account with a bucket and a role that SageMaker may take, and short ways to run jobs in it."""

from __future__ import annotations

import io
import json
import tarfile
import time
from dataclasses import dataclass
from typing import Any

from pseg.local_aws.session import BRAND_ACCOUNT
from pseg.local_aws.wire import EmbeddedAws

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
FINAL = ("Completed", "Failed", "Stopped", "Succeeded")


@dataclass
class Account:
    """Clients of one account, its role and its bucket."""

    sm: Any
    s3: Any
    logs: Any
    role: str
    bucket: str

    @classmethod
    def open(cls, aws: EmbeddedAws, bucket: str, account: str = BRAND_ACCOUNT) -> Account:
        """Make bucket and role in an account; modules share moto's state, so each takes a bucket name of its own."""
        client = {name: aws.client(name, aws.keys[account]) for name in ("sagemaker", "s3", "logs", "iam")}
        client["s3"].create_bucket(Bucket=bucket)
        role = client["iam"].create_role(RoleName=f"jobs-{bucket}", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
            "Arn"
        ]
        return cls(client["sagemaker"], client["s3"], client["logs"], role, bucket)

    def put(self, key: str, body: bytes | str) -> str:
        """Write an object; its address."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """Read an object."""
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def processing(self, name: str, code: str, inputs: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """Request of a processing job that runs Python code; its output folder goes to ``out/<name>``."""
        self.put(f"code/{name}/main.py", code)
        inputs = {"code": f"s3://{self.bucket}/code/{name}/", **(inputs or {})}
        return {
            "ProcessingJobName": name,
            "RoleArn": self.role,
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/main.py"],
                "ContainerArguments": ["/opt/ml"],
            },
            "ProcessingResources": {"ClusterConfig": dict(CLUSTER)},
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{key}", "S3DataType": "S3Prefix"},
                }
                for key, uri in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "out",
                        "S3Output": {
                            "S3Uri": f"s3://{self.bucket}/out/{name}",
                            "LocalPath": "/opt/ml/processing/out",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            **more,
        }

    def training(self, name: str, code: str, channels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """Request of a training job that runs Python code."""
        self.put(f"code/{name}/main.py", code)
        channels = {"code": f"s3://{self.bucket}/code/{name}/", **(channels or {})}
        return {
            "TrainingJobName": name,
            "RoleArn": self.role,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
                "ContainerArguments": ["/opt/ml"],
            },
            "ResourceConfig": dict(CLUSTER),
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "InputDataConfig": [
                {
                    "ChannelName": key,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
                }
                for key, uri in channels.items()
            ],
            **more,
        }

    def run(self, lead: str, request: dict[str, Any]) -> dict[str, Any]:
        """Create a job (``Processing``, ``Training``, ``Transform``) and wait for its end."""
        getattr(self.sm, f"create_{lead.lower()}_job")(**request)
        return self.wait(lead, request[f"{lead}JobName"])

    def wait(self, lead: str, name: str, *statuses: str) -> dict[str, Any]:
        """Wait until a job is in one of the statuses (final ones if none are given)."""
        for _ in range(600):
            answer = getattr(self.sm, f"describe_{lead.lower()}_job")(**{f"{lead}JobName": name})
            if answer[f"{lead}JobStatus"] in (statuses or FINAL):
                return dict(answer)
            time.sleep(0.05)
        raise AssertionError(f"{name} did not reach {statuses or FINAL}: {answer}")

    def lines(self, lead: str, name: str) -> list[str]:
        """What a job wrote."""
        group = f"/aws/sagemaker/{lead}Jobs"
        answer = self.logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")
        return [event["message"] for event in answer["events"]]

    def wait_for_line(self, lead: str, name: str, text: str) -> None:
        """Wait until a job has written a text."""
        for _ in range(600):
            groups = [group["logGroupName"] for group in self.logs.describe_log_groups()["logGroups"]]
            if f"/aws/sagemaker/{lead}Jobs" in groups and any(text in line for line in self.lines(lead, name)):
                return
            time.sleep(0.05)
        raise AssertionError(f"{name} did not write {text!r}")

    def execute(self, pipeline: str, **parameters: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Run a pipeline to its end: the execution, and its steps by name."""
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        started = self.sm.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=given)
        return self.finish(started["PipelineExecutionArn"])

    def finish(self, arn: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Wait for the end of an execution."""
        for _ in range(600):
            execution = self.sm.describe_pipeline_execution(PipelineExecutionArn=arn)
            if execution["PipelineExecutionStatus"] in FINAL:
                listed = self.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=100)
                return dict(execution), {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}
            time.sleep(0.05)
        raise AssertionError(f"{arn} did not end: {execution}")


def archive(files: dict[str, str]) -> bytes:
    """A .tar.gz of text files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()
