"""SageMaker's own SDK (v3) upserts, starts, waits for and describes a pipeline on the embedded AWS, unchanged.

It runs in a process of its own, as a user's code would: its import takes seconds and warns about its own parts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pseg.local_aws.session import BRAND_ACCOUNT, SessionFile
from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import Account

pytest.importorskip("sagemaker")

SCRIPT = """
import json, logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import boto3
from botocore.exceptions import WaiterError
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData

ROLE, BUCKET, IMAGE = sys.argv[1:]
session = PipelineSession(boto_session=boto3.Session(), default_bucket=BUCKET)
floor = ParameterFloat(name="Floor", default_value=0.5)
processor = Processor(
    role=ROLE, image_uri=IMAGE, instance_count=1, instance_type="ml.m5.xlarge", sagemaker_session=session,
    entrypoint=["python3", "/opt/ml/processing/code/make.py"],
)
make = ProcessingStep(
    name="Make",
    step_args=processor.run(
        arguments=["--ml-dir", "/opt/ml"],
        inputs=[ProcessingInput(input_name="code", s3_input=ProcessingS3Input(
            s3_uri=f"s3://{BUCKET}/code/", local_path="/opt/ml/processing/code",
            s3_data_type="S3Prefix", s3_input_mode="File"))],
        outputs=[ProcessingOutput(output_name="table", s3_output=ProcessingS3Output(
            s3_uri=Join(on="/", values=[f"s3://{BUCKET}/runs", ExecutionVariables.PIPELINE_EXECUTION_ID]),
            local_path="/opt/ml/processing/table", s3_upload_mode="EndOfJob"))],
    ),
    property_files=[report := PropertyFile(name="Report", output_name="table", path="report.json")],
    cache_config=CacheConfig(enable_caching=True, expire_after="P7D"),
)
table = make.properties.ProcessingOutputConfig.Outputs["table"].S3Output.S3Uri
trainer = ModelTrainer(
    training_image=IMAGE, role=ROLE, sagemaker_session=session, base_job_name="train",
    compute=Compute(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=30),
    hyperparameters={"depth": "4"},
    input_data_config=[InputData(channel_name="table", data_source=table),
                       InputData(channel_name="code", data_source=f"s3://{BUCKET}/code/")],
)
train_args = trainer.train()
train = TrainingStep(name="Train", step_args=train_args)
gate = ConditionStep(
    name="Gate",
    conditions=[ConditionGreaterThanOrEqualTo(
        left=JsonGet(step_name="Make", property_file=report, json_path="auc"), right=floor)],
    if_steps=[train], else_steps=[FailStep(
        name="Weak", error_message=Join(on=" ", values=["below", floor, make.properties.ExitMessage]))],
)
pipeline = Pipeline(name="sdk", parameters=[floor], steps=[make, gate], sagemaker_session=session)
definition = json.loads(pipeline.definition())
specification = definition["Steps"][1]["Arguments"]["IfSteps"][0]["Arguments"]["AlgorithmSpecification"]
specification["ContainerEntrypoint"] = ["python3", "/opt/ml/input/data/code/train.py"]
specification["ContainerArguments"] = ["/opt/ml"]
pipeline.definition = lambda: json.dumps(definition)
found = {}
for _ in range(2):
    found["arn"] = pipeline.upsert(role_arn=ROLE, tags=[{"Key": "a", "Value": "b"}])["PipelineArn"]
def again():
    latest = found["weak"]["arn"]
    return pipeline.start(
        parameters=pipeline.build_parameters_from_execution(latest, {"Floor": 0.6}),
        selective_execution_config=SelectiveExecutionConfig(selected_steps=["Gate", "Train"]),
    )
for label, start in (
    ("good", pipeline.start), ("weak", lambda: pipeline.start(parameters={"Floor": 0.9})), ("again", again)
):
    execution = start()
    try:
        execution.wait(delay=1, max_attempts=60)
        waited = "ok"
    except WaiterError as error:
        waited = str(error)
    described = execution.describe()
    found[label] = {
        "arn": execution.arn,
        "waited": waited,
        "selective": described.get("SelectiveExecutionConfig"),
        "status": described["PipelineExecutionStatus"],
        "reason": described.get("FailureReason"),
        "steps": {step["StepName"]: step["StepStatus"] for step in execution.list_steps()},
        "reasons": {s["StepName"]: s["FailureReason"] for s in execution.list_steps() if "FailureReason" in s},
        "reused": [step["StepName"] for step in execution.list_steps() if "SelectiveExecutionResult" in step],
        "cached": [step["StepName"] for step in execution.list_steps() if "CacheHitResult" in step],
        "parameters": execution.list_parameters()["PipelineParameters"],
    }
print(json.dumps(found))
"""

MAKE = """
import json, pathlib, sys
table = pathlib.Path(sys.argv[2]) / "processing/table"
(table / "report.json").write_text(json.dumps({"auc": 0.8}))
(table / "table.csv").write_text("1,2")
(table.parent.parent / "output/message").write_text("measured 0.8 on 1 row")
"""
TRAIN = """
import json, pathlib, sys
ml = pathlib.Path(sys.argv[1])
depth = json.loads((ml / "input/config/hyperparameters.json").read_text())["depth"]
(ml / "model/model.txt").write_text(depth + (ml / "input/data/table/table.csv").read_text())
"""


def test_sdk_pipeline_runs_from_upsert_to_wait(aws: EmbeddedAws, tmp_path: Path) -> None:
    account = Account.open(aws, "sdk-bucket")
    account.put("code/make.py", MAKE)
    account.put("code/train.py", TRAIN)
    key = aws.keys[BRAND_ACCOUNT]
    exports = SessionFile(endpoint=aws.endpoint, pid=0, brand=key, partner=key).exports()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, account.role, account.bucket, image],
        env={**kept, **exports, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["arn"].endswith(":pipeline/sdk")
    assert found["good"]["status"] == "Succeeded", found
    assert found["good"]["waited"] == "ok"
    assert found["good"]["steps"] == {"Make": "Succeeded", "Gate": "Succeeded", "Train": "Succeeded"}
    assert found["good"]["parameters"] == [{"Name": "Floor", "Value": "0.5"}]
    assert found["weak"]["status"] == "Failed"
    assert found["weak"]["reason"] == "Step failure: One or multiple steps failed."
    assert found["weak"]["steps"] == {"Make": "Succeeded", "Gate": "Succeeded", "Weak": "Failed"}
    assert found["weak"]["cached"] == ["Make"]
    assert found["weak"]["reasons"] == {"Weak": "below 0.9 measured 0.8 on 1 row"}
    assert "terminal failure state" in found["weak"]["waited"]
    assert found["again"]["status"] == "Succeeded"
    assert found["again"]["steps"] == {"Make": "Succeeded", "Gate": "Succeeded", "Train": "Succeeded"}
    assert found["again"]["reused"] == ["Make"]
    assert found["again"]["parameters"] == [{"Name": "Floor", "Value": "0.6"}]
    assert found["again"]["selective"]["SourcePipelineExecutionArn"] == found["weak"]["arn"]
    assert [key for key in account.keys("") if key.endswith("model.tar.gz")]
