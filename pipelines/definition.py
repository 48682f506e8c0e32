"""The two pipelines as graphs: which step runs when, on what, and what it leaves. No logic of any step is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import Parameter, ParameterString
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, Step, StepTypeEnum

from contracts.naming import camel, package_group, package_parameter
from contracts.run_settings import Goal, RunSettings
from pipelines.steps import RequestStep

ML_DIR = "/opt/ml"
INPUT_DIR = f"{ML_DIR}/processing/input"
MODEL_ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": "inference.handler",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "PIP_NO_BUILD_ISOLATION": "0",  # the image's server builds code/ with pip; without a package index only this works
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "600",
}
SHARD_TYPE = "application/x-parquet"
CACHE = CacheConfig(enable_caching=True, expire_after="P30D")
SERVICE_RETRIES: list[RetryPolicy] = [
    StepRetryPolicy(
        exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
        interval_seconds=10,
        backoff_rate=2.0,
        max_attempts=4,
    )
]
JOB_RETRIES: list[RetryPolicy] = [
    *SERVICE_RETRIES,
    SageMakerJobStepRetryPolicy(
        exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
        interval_seconds=60,
        backoff_rate=2.0,
        max_attempts=5,
    ),
    SageMakerJobStepRetryPolicy(
        failure_reason_types=[
            SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
            SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
        ],
        interval_seconds=30,
        backoff_rate=2.0,
        max_attempts=3,
    ),
]


@dataclass(frozen=True)
class Machines:
    """Images and instance types of the steps."""

    processing_image: str
    xgboost_image: str
    processing_instance: str
    training_instance: str
    transform_instance: str
    transform_vcpus: int


@dataclass(frozen=True)
class Locations:
    """Where a definition's inputs lie in S3, each under the hash of its content."""

    code: str
    settings: str
    events: str
    contacts: str


class Builder:
    """The steps that both pipelines share, for one project, role and set of machines."""

    def __init__(
        self, settings: RunSettings, locations: Locations, machines: Machines, role: str, as_of: str | None
    ) -> None:
        self.settings = settings
        self.locations = locations
        self.machines = machines
        self.role = role
        self.as_of = ParameterString("AsOf", default_value=as_of)

    def run_uri(self, *parts: str) -> Join:
        """Address of something that this execution leaves behind."""
        base = f"s3://{self.settings.data_bucket}/{self.settings.project}/runs"
        return Join(on="/", values=[base, ExecutionVariables.PIPELINE_EXECUTION_ID, *parts])

    def process(
        self,
        name: str,
        module: str,
        arguments: list[Any],
        inputs: dict[str, Any],
        outputs: dict[str, str],
        image: str | None = None,
        **step: Any,
    ) -> RequestStep:
        """Make a processing step that runs ``module`` from the code bundle; outputs are named after their folders."""
        sources = {"code": self.locations.code, "settings": self.locations.settings, **inputs}
        request: dict[str, Any] = {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": self.machines.processing_instance,
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 50,
                }
            },
            "AppSpecification": {
                "ImageUri": image or self.machines.processing_image,
                "ContainerEntrypoint": ["python3", "-m", module],
                "ContainerArguments": ["--ml-dir", ML_DIR, *arguments],
            },
            "Environment": {"PYTHONPATH": f"{INPUT_DIR}/code", "AWS_DEFAULT_REGION": self.settings.region},
            "RoleArn": self.role,
            "ProcessingInputs": [
                {
                    "InputName": source,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{INPUT_DIR}/{source}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for source, uri in sources.items()
            ],
            "StoppingCondition": {"MaxRuntimeInSeconds": 6 * 3600},
        }
        if outputs:
            request["ProcessingOutputConfig"] = {
                "Outputs": [
                    {
                        "OutputName": output,
                        "S3Output": {
                            "S3Uri": self.run_uri(folder),
                            "LocalPath": f"{ML_DIR}/processing/{output}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for output, folder in outputs.items()
                ]
            }
        step.setdefault("retry_policies", JOB_RETRIES)
        return RequestStep(name, StepTypeEnum.PROCESSING, request, **step)

    def query(self) -> RequestStep:
        """Run the Clean Rooms query: never cached (the partner's data changes), never repeated (each is billed)."""
        return self.process(
            "QueryCleanRooms",
            "processing.query_clean_rooms",
            ["--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID],
            {"contacts": self.locations.contacts},
            {"query_result": "query_result"},
            retry_policies=SERVICE_RETRIES,
        )

    def features(self, query: RequestStep, purpose: str) -> RequestStep:
        """Build the feature table (``train``) and the score shards."""
        outputs = {"shards": "shards"}
        if purpose == "train":
            outputs["features"] = "features"
        return self.process(
            "BuildFeatures",
            "processing.build_features",
            ["--as-of", self.as_of, "--for", purpose],
            {
                "events": self.locations.events,
                "contacts": self.locations.contacts,
                "query_result": folder(output_of(query, "query_result")),
            },
            outputs,
            cache=CACHE,
        )

    def score(self, goal: Goal, model: RequestStep, features: RequestStep) -> RequestStep:
        """Score every shard: one shard, one request, one CSV."""
        request = {
            "ModelName": model.properties.ModelName,
            "BatchStrategy": "SingleRecord",
            "MaxConcurrentTransforms": self.machines.transform_vcpus,
            "MaxPayloadInMB": min(50, 100 // self.machines.transform_vcpus),
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 1},
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": folder(output_of(features, "shards")),
                    }
                },
                "ContentType": SHARD_TYPE,
                "CompressionType": "None",
                "SplitType": "None",
            },
            "TransformOutput": {
                "S3OutputPath": self.run_uri("scored", goal.name),
                "Accept": "text/csv",
                "AssembleWith": "None",
            },
            "TransformResources": {"InstanceType": self.machines.transform_instance, "InstanceCount": 1},
        }
        return RequestStep(f"Score{camel(goal.name)}", StepTypeEnum.TRANSFORM, request, retry_policies=JOB_RETRIES)

    def publish(self, goal: Goal, score: RequestStep, status: str, model_package: Any) -> RequestStep:
        """Write the goal's segments: candidates of an unapproved model, or the real ones."""
        place = "candidates" if status == "candidate" else "published"
        return self.process(
            f"Publish{camel(goal.name)}",
            "activation.publish",
            [
                *("--goal", goal.name, "--status", status, "--model", model_package, "--as-of", self.as_of),
                *("--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
                *("--uri", self.run_uri(place, goal.name)),
            ],
            {"scored": folder(score.properties.TransformOutput.S3OutputPath)},
            {},
        )

    def train(self, goal: Goal, features: RequestStep) -> RequestStep:
        """Train one goal's model with our own entrypoint: no pip, no network, our own failure text."""
        data = f"{ML_DIR}/input/data"
        channels = {
            "features": folder(output_of(features, "features")),
            "settings": self.locations.settings,
            "code": self.locations.code,
        }
        request = {
            "AlgorithmSpecification": {
                "TrainingImage": self.machines.xgboost_image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "-m", "training.train"],
                "ContainerArguments": ["--ml-dir", ML_DIR, "--goal", goal.name],
                "MetricDefinitions": [
                    {"Name": name, "Regex": f"{name}=([0-9.]+)"} for name in ("rounds", "validation_logloss")
                ],
            },
            "Environment": {"PYTHONPATH": f"{data}/code"},
            "RoleArn": self.role,
            "InputDataConfig": [
                {
                    "ChannelName": channel,
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": uri,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                    "InputMode": "File",
                }
                for channel, uri in channels.items()
            ],
            "OutputDataConfig": {"S3OutputPath": self.run_uri("models", goal.name)},
            "ResourceConfig": {
                "InstanceType": self.machines.training_instance,
                "InstanceCount": 1,
                "VolumeSizeInGB": 50,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 6 * 3600},
        }
        name = f"Train{camel(goal.name)}"
        return RequestStep(name, StepTypeEnum.TRAINING, request, cache=CACHE, retry_policies=JOB_RETRIES)

    def evaluate(self, goal: Goal, features: RequestStep, train: RequestStep) -> tuple[RequestStep, PropertyFile]:
        """Evaluate a model; its property file is what the gate reads."""
        file = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
        step = self.process(
            f"Evaluate{camel(goal.name)}",
            "training.evaluate",
            ["--goal", goal.name],
            {
                "model": train.properties.ModelArtifacts.S3ModelArtifacts,
                "features": folder(output_of(features, "features")),
            },
            {"evaluation": f"evaluation/{goal.name}"},
            image=self.machines.xgboost_image,
            property_files=[file],
            cache=CACHE,
        )
        return step, file

    def container(self, model_data: Any) -> dict[str, Any]:
        """Describe the container that serves a model: AWS's image, our handler inside the artifact."""
        return {"Image": self.machines.xgboost_image, "ModelDataUrl": model_data, "Environment": MODEL_ENVIRONMENT}

    def register(self, goal: Goal, train: RequestStep, evaluate: RequestStep) -> RequestStep:
        """Register a model that passed its gate; a person approves it."""
        request = {
            "ModelPackageGroupName": package_group(self.settings.project, goal.name),
            "ModelPackageDescription": f"Propensity of {goal.event_type} within {goal.horizon_days} days",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [self.container(train.properties.ModelArtifacts.S3ModelArtifacts)],
                "SupportedContentTypes": [SHARD_TYPE],
                "SupportedResponseMIMETypes": ["text/csv"],
                "SupportedTransformInstanceTypes": [self.machines.transform_instance],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": Join(on="/", values=[output_of(evaluate, "evaluation"), "evaluation.json"]),
                    }
                }
            },
            "CustomerMetadataProperties": {
                "project": self.settings.project,
                "goal": goal.name,
                "execution": ExecutionVariables.PIPELINE_EXECUTION_ID,
                "code": self.locations.code.rstrip("/").rsplit("/", 1)[-1],
            },
        }
        return RequestStep(
            f"Register{camel(goal.name)}", StepTypeEnum.REGISTER_MODEL, request, retry_policies=SERVICE_RETRIES
        )

    def create_model(self, goal: Goal, container: dict[str, Any], after: RequestStep) -> RequestStep:
        """Create the model that batch transform runs, once ``after`` is done."""
        request = {"ExecutionRoleArn": self.role, "PrimaryContainer": container}
        name = f"CreateModel{camel(goal.name)}"
        return RequestStep(name, StepTypeEnum.CREATE_MODEL, request, depends_on=[after], retry_policies=SERVICE_RETRIES)

    def train_goal(self, goal: Goal, features: RequestStep) -> list[Step]:
        """Train, evaluate and gate one goal; only behind the gate is anything registered, scored or published."""
        train = self.train(goal, features)
        evaluate, file = self.evaluate(goal, features, train)
        register = self.register(goal, train, evaluate)
        model = self.create_model(goal, self.container(train.properties.ModelArtifacts.S3ModelArtifacts), register)
        score = self.score(goal, model, features)
        publish = self.publish(goal, score, "candidate", register.properties.ModelPackageArn)
        evaluation = output_of(evaluate, "evaluation")
        failed = FailStep(
            f"GateFailed{camel(goal.name)}",
            error_message=Join(
                on=" ",
                values=[
                    f"goal {goal.name}: a check of the gate failed (AUC floor {goal.minimum_auc:g});",
                    "nothing was registered or published. Found and allowed:",
                    Join(on="/", values=[evaluation, "evaluation.json"]),
                ],
            ),
        )
        is_passed = JsonGet(step_name=evaluate.name, property_file=file, json_path="gate.is_passed")
        gate = ConditionStep(
            name=f"Gate{camel(goal.name)}",
            conditions=[ConditionEquals(left=is_passed, right=1)],
            if_steps=[register, model, score, publish],
            else_steps=[failed],
        )
        return [train, evaluate, gate]


def output_of(step: RequestStep, name: str) -> Any:
    """Refer to where a processing step put one of its outputs."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def folder(uri: Any) -> Join:
    """End an address in a slash: S3 matches prefixes, and ``scored/buy`` would take ``scored/buy_more`` too."""
    return Join(on="", values=[uri, "/"])


def build_train_pipeline(builder: Builder, session: Any) -> Pipeline:
    """Wire query, features, and for each goal training to candidate segments."""
    query = builder.query()
    features = builder.features(query, "train")
    steps: list[Step] = [query, features]
    for goal in builder.settings.goals:
        steps += builder.train_goal(goal, features)
    return make_pipeline(f"{builder.settings.project}-train", [builder.as_of], steps, session)


def build_score_pipeline(builder: Builder, session: Any) -> Pipeline:
    """Wire query, features, and for each goal scoring with exactly the model package that the caller names."""
    query = builder.query()
    features = builder.features(query, "score")
    steps: list[Step] = [query, features]
    parameters: list[Parameter] = [builder.as_of]
    for goal in builder.settings.goals:
        package = ParameterString(package_parameter(goal.name))
        parameters.append(package)
        model = builder.create_model(goal, {"ModelPackageName": package}, features)
        score = builder.score(goal, model, features)
        steps += [model, score, builder.publish(goal, score, "approved", package)]
    return make_pipeline(f"{builder.settings.project}-score", parameters, steps, session)


def make_pipeline(name: str, parameters: list[Parameter], steps: list[Step], session: Any) -> Pipeline:
    """Make the SDK's own pipeline; without an experiment, whose creation would need rights that nothing here uses."""
    return Pipeline(
        name=name, parameters=parameters, steps=steps, sagemaker_session=session, pipeline_experiment_config=None
    )
