"""The steps that both pipelines are made of: what each runs, on what, and what it leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import Parameter, ParameterInteger, ParameterString
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import StepTypeEnum

from contracts.model_card import FILE_NAME, describe_goal, plan_card, to_json
from contracts.naming import NEW_QUERY, camel, package_group
from contracts.run_settings import Goal, RunSettings
from pipelines.steps import CACHE, JOB_RETRIES, SERVICE_RETRIES, RequestStep

ML_DIR = "/opt/ml"
INPUT_DIR = f"{ML_DIR}/processing/input"
MODEL_ENVIRONMENT = {
    "SAGEMAKER_PROGRAM": "inference.handler",
    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    "PIP_NO_BUILD_ISOLATION": "0",  # the image's server builds code/ with pip; without a package index only this works
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "600",
}
TRAINING_METRICS = ("folds", "rounds", "members", "linear_percent")
SHARD_TYPE = "application/x-parquet"
UNDATED = "undated"  # likewise processing.build_features


@dataclass(frozen=True)
class Machines:
    """Images of the steps, and the instance types and counts that a start may change."""

    processing_image: str
    xgboost_image: str
    processing_instance: str
    processing_instances: int
    training_instance: str
    training_instances: int
    transform_instance: str
    transform_instances: int
    transform_vcpus: int


@dataclass(frozen=True)
class Locations:
    """Where a definition's inputs lie in S3: code, settings and the project's tables by their names.

    ``is_content_addressed`` tells if every table lies under the hash of its content; one in a lake may change in place.
    """

    code: str
    settings: str
    tables: dict[str, str]
    is_content_addressed: bool = True


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
        self.query_result = ParameterString("QueryResultUri", default_value=NEW_QUERY)
        self.processing_instance = ParameterString("ProcessingInstanceType", default_value=machines.processing_instance)
        self.processing_instances = ParameterInteger(
            "ProcessingInstanceCount", default_value=machines.processing_instances
        )
        self.training_instance = ParameterString("TrainingInstanceType", default_value=machines.training_instance)
        self.training_instances = ParameterInteger("TrainingInstanceCount", default_value=machines.training_instances)
        self.transform_instance = ParameterString("TransformInstanceType", default_value=machines.transform_instance)
        self.transform_instances = ParameterInteger(
            "TransformInstanceCount", default_value=machines.transform_instances
        )

    def parameters(self, kind: str) -> list[Parameter]:
        """List what a start of one of the pipelines may change, besides the models to score with."""
        training = [self.training_instance, self.training_instances] if kind == "train" else []
        query = [self.query_result] if self.settings.query else []
        processing = [self.processing_instance, self.processing_instances]
        return [self.as_of, *query, *processing, *training, self.transform_instance, self.transform_instances]

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
        sharded: tuple[str, ...] = (),
        instances: Any = 1,
        **step: Any,
    ) -> RequestStep:
        """Make a processing step that runs ``module`` from the code bundle; outputs are named after their folders.

        Of several ``instances`` each gets a share of the objects of the ``sharded`` inputs and all of the others.
        """
        sources = {"code": self.locations.code, "settings": self.locations.settings, **inputs}
        request: dict[str, Any] = {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": self.processing_instance,
                    "InstanceCount": instances,
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
                        "S3DataDistributionType": "ShardedByS3Key" if source in sharded else "FullyReplicated",
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

    def table(self, *names: str) -> dict[str, str]:
        """Return the inputs of those of these tables that the project has."""
        return {name: self.locations.tables[name] for name in names if name in self.locations.tables}

    def query(self) -> RequestStep:
        """Run the Clean Rooms query: never cached (the partner's data changes), never repeated (each is billed).

        It reads both tables where there are both: a refusal of matching in either counts.
        """
        return self.process(
            "QueryCleanRooms",
            "processing.query_clean_rooms",
            [
                *("--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
                *("--query-result-uri", self.query_result),
            ],
            self.table("customers", "contacts"),
            {"query_result": "query_result"},
            retry_policies=SERVICE_RETRIES,
        )

    def features(self, query: RequestStep | None, purpose: str) -> RequestStep:
        """Build the feature table (``train``) and the score shards; a ready table's files are shared out by key.

        Cached only where equal addresses mean equal content: else yesterday's addresses and consents would be used.
        """
        outputs = {"shards": "shards", "run_facts": "run_facts"}
        if purpose == "train":
            outputs |= {"features": "features", "scoring": "scoring"}
        answer = {"query_result": folder(output_of(query, "query_result"))} if query else {}
        return self.process(
            "BuildFeatures",
            "processing.build_features",
            ["--as-of", self.as_of, "--for", purpose],
            {**self.table("events", "customers", "contacts"), **answer},
            outputs,
            sharded=("customers",),
            instances=self.processing_instances,
            cache=CACHE if self.locations.is_content_addressed else None,
        )

    def score(self, goal: Goal, model: RequestStep, features: RequestStep) -> RequestStep:
        """Score every shard: one shard, one request, one CSV; the service shares the shards out among instances."""
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
            "TransformResources": {
                "InstanceType": self.transform_instance,
                "InstanceCount": self.transform_instances,
            },
        }
        return RequestStep(f"Score{camel(goal.name)}", StepTypeEnum.TRANSFORM, request, retry_policies=JOB_RETRIES)

    def publish(
        self, goal: Goal, score: RequestStep, features: RequestStep, status: str, model: Any, evaluate: Any = None
    ) -> RequestStep:
        """Write the goal's segments: candidates of a model that passed its gate, or those of an approved one."""
        place = "candidates" if status == "candidate" else "published"
        evaluation = {"evaluation": folder(output_of(evaluate, "evaluation"))} if evaluate else {}
        return self.process(
            f"Publish{camel(goal.name)}",
            "activation.publish",
            [
                *("--goal", goal.name, "--status", status, "--model", model, "--as-of", self.as_of),
                *("--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
                *("--uri", self.run_uri(place, goal.name)),
            ],
            {
                "scored": folder(score.properties.TransformOutput.S3OutputPath),
                "run_facts": folder(output_of(features, "run_facts")),
                **evaluation,
            },
            {} if evaluate else {"evaluation": f"evaluation/{goal.name}"},
        )

    def report(
        self, kind: str, features: RequestStep, evaluations: dict[str, Any], publishes: list[RequestStep]
    ) -> RequestStep:
        """Write the report of everything that this execution measured and published."""
        return self.process(
            "Report",
            "insights.make_report",
            [
                *("--kind", kind, "--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
                *("--project-uri", self.run_uri()),
                *("--code-sha256", hash_in(self.locations.code)),
                *("--settings-sha256", hash_in(self.locations.settings)),
            ],
            {
                "run_facts": folder(output_of(features, "run_facts")),
                **{f"evaluation-{goal}": uri for goal, uri in evaluations.items()},
            },
            {"report": "report"},
            depends_on=publishes,
        )

    def train(self, goal: Goal, features: RequestStep) -> RequestStep:
        """Train one goal's model with our own entrypoint: no pip, no network, our own failure text.

        Of several instances each gets a share of the table's files and all of its contract. Checkpoints lie under
        the goal, not the execution: their address is part of the cache's key, and each knows which rows it is of.
        """
        data = f"{ML_DIR}/input/data"
        table = output_of(features, "features")
        checkpoints = f"s3://{self.settings.data_bucket}/{self.settings.project}/checkpoints/{goal.name}"
        channels = {
            "features": folder(table),
            "contract": Join(on="/", values=[table, "feature_table.json"]),
            "settings": self.locations.settings,
            "code": self.locations.code,
        }
        request = {
            "AlgorithmSpecification": {
                "TrainingImage": self.machines.xgboost_image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "-m", "training.train"],
                "ContainerArguments": ["--ml-dir", ML_DIR, "--goal", goal.name],
                "MetricDefinitions": [{"Name": name, "Regex": f"kept: .*{name}=([0-9]+)"} for name in TRAINING_METRICS],
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
                            "S3DataDistributionType": "ShardedByS3Key" if channel == "features" else "FullyReplicated",
                        }
                    },
                    "InputMode": "File",
                }
                for channel, uri in channels.items()
            ],
            "OutputDataConfig": {"S3OutputPath": self.run_uri("models", goal.name)},
            "ResourceConfig": {
                "InstanceType": self.training_instance,
                "InstanceCount": self.training_instances,
                "VolumeSizeInGB": 50,
            },
            "EnableInterContainerTrafficEncryption": True,  # several hosts tell each other sums of labels
            "CheckpointConfig": {"S3Uri": checkpoints, "LocalPath": f"{ML_DIR}/checkpoints"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 6 * 3600},
        }
        name = f"Train{camel(goal.name)}"
        return RequestStep(name, StepTypeEnum.TRAINING, request, cache=CACHE, retry_policies=JOB_RETRIES)

    def evaluate(self, goal: Goal, features: RequestStep, train: RequestStep) -> tuple[RequestStep, PropertyFile]:
        """Evaluate a model; its property file is what the gate reads.

        Never cached: it compares with the model that is approved now.
        """
        file = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
        step = self.process(
            f"Evaluate{camel(goal.name)}",
            "training.evaluate",
            [
                *("--goal", goal.name, "--package-group", package_group(self.settings.project, goal.name)),
                *("--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
                *("--code-sha256", hash_in(self.locations.code)),
                *("--settings-sha256", hash_in(self.locations.settings)),
            ],
            {
                "model": train.properties.ModelArtifacts.S3ModelArtifacts,
                **{name: folder(output_of(features, name)) for name in ("features", "scoring", "run_facts")},
            },
            {"evaluation": f"evaluation/{goal.name}"},
            image=self.machines.xgboost_image,
            property_files=[file],
        )
        return step, file

    def container(self, model_data: Any) -> dict[str, Any]:
        """Describe the container that serves a model: AWS's image, our handler inside the artifact."""
        return {"Image": self.machines.xgboost_image, "ModelDataUrl": model_data, "Environment": MODEL_ENVIRONMENT}

    def register(self, goal: Goal, train: RequestStep, evaluate: RequestStep) -> RequestStep:
        """Register a model that passed its gate; a person approves it.

        The card that is attached is a draft, made before anything ran; the metadata says where the filled one lies.
        """
        evaluation = output_of(evaluate, "evaluation")
        request = {
            "ModelPackageGroupName": package_group(self.settings.project, goal.name),
            "ModelPackageDescription": describe_goal(goal),
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [self.container(train.properties.ModelArtifacts.S3ModelArtifacts)],
                "SupportedContentTypes": [SHARD_TYPE],
                "SupportedResponseMIMETypes": ["text/csv"],
                "SupportedTransformInstanceTypes": [self.transform_instance],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": Join(on="/", values=[evaluation, "evaluation.json"]),
                    }
                }
            },
            "CustomerMetadataProperties": {
                "project": self.settings.project,
                "goal": goal.name,
                "execution": ExecutionVariables.PIPELINE_EXECUTION_ID,
                "code": hash_in(self.locations.code),
                "settings": hash_in(self.locations.settings),
                "predicts": plain(describe_goal(goal)),
                "as_of": self.as_of,
                "partner": plain(self.settings.partner) if self.settings.query else "none",
                "partner_columns": str(len(self.settings.partner_columns)),
                "model_card": Join(on="/", values=[evaluation, FILE_NAME]),
            },
            "ModelCard": {
                "ModelCardContent": to_json(plan_card(self.settings, goal)),
                "ModelCardStatus": "Draft",
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


def plain(text: str) -> str:
    """Leave of a text what a package's metadata takes: 256 letters, digits, spaces and ``_.:/=+-@``."""
    return re.sub(r"[^\w .:/=+@-]", "", text)[:256].strip() or "-"


def hash_in(uri: str) -> str:
    """Return the content hash that ends an address."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def output_of(step: RequestStep, name: str) -> Any:
    """Refer to where a processing step put one of its outputs."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def folder(uri: Any) -> Join:
    """End an address in a slash: S3 matches prefixes, and ``scored/buy`` would take ``scored/buy_more`` too."""
    return Join(on="", values=[uri, "/"])
