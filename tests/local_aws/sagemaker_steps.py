"""Steps and pipelines as definition JSON, in a line each."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.local_aws.sagemaker_account import Account

Step = dict[str, Any]
NUMBERS = itertools.count()
WRITE = "import pathlib, sys; (pathlib.Path(sys.argv[1]) / 'processing/out/e.json').write_text('%s')"
SAVE = "import pathlib, sys; (pathlib.Path(sys.argv[1]) / 'model/m').write_text('m')"
E = [{"PropertyFileName": "E", "OutputName": "out", "FilePath": "e.json"}]


def processing(account: Account, name: str, code: str = "", inputs: Any = None, **more: Any) -> Step:
    """A processing step."""
    arguments = account.processing(name, code, inputs)
    del arguments["ProcessingJobName"]
    parts = [f"s3://{account.bucket}/runs", {"Get": "Execution.PipelineExecutionId"}, name]
    arguments["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = {"Std:Join": {"On": "/", "Values": parts}}
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **more}


def training(account: Account, name: str, code: str = SAVE, channels: Any = None, **more: Any) -> Step:
    """A training step."""
    arguments = account.training(name, code, channels)
    del arguments["TrainingJobName"]
    return {"Name": name, "Type": "Training", "Arguments": arguments, **more}


def condition(name: str, conditions: list[Any], yes: list[Step], no: list[Step], **more: Any) -> Step:
    """A condition step."""
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {"Conditions": conditions, "IfSteps": yes, "ElseSteps": no},
    } | more


def fail(name: str, message: Any) -> Step:
    """A fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def pipeline(account: Account, steps: list[Step], parameters: list[Any] | None = None, **more: Any) -> str:
    """Create a pipeline; its name."""
    name = f"pipeline-{next(NUMBERS)}"
    definition = {"Version": "2020-12-01", "Parameters": parameters or [], "Steps": steps}
    account.sm.create_pipeline(
        PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=account.role, **more
    )
    return name


def output_of(step: str) -> dict[str, str]:
    """Reference to the output of a processing step."""
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
