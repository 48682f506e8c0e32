"""What SageMaker remembers and how it answers: named records per account, paged lists, constraints of the API model.

Comes in: parsed requests. Goes out: records, pages, arn. Refused: values outside the service's own model, and members
that the embedded AWS does not act on, by name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.core.utils import get_service_model

from pseg.local_aws.session import Credential
from pseg.local_aws.sts import account_of, assume_for_service
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws, Handler, outside_model

Record = dict[str, Any]

# Members that the embedded AWS would ignore. "A.B=x|y" refuses only these values; lists are looked through.
REFUSED: dict[str, str] = {
    "CreateProcessingJob": """ProcessingInputs.DatasetDefinition ProcessingInputs.AppManaged=True
        ProcessingInputs.S3Input.S3InputMode=Pipe ProcessingInputs.S3Input.S3CompressionType=Gzip
        ProcessingOutputConfig.Outputs.FeatureStoreOutput ProcessingOutputConfig.Outputs.AppManaged=True
        ProcessingOutputConfig.Outputs.S3Output.S3UploadMode=Continuous
        ProcessingResources.ClusterConfig.InstancePreferences""",
    "CreateTrainingJob": """AlgorithmSpecification.AlgorithmName AlgorithmSpecification.TrainingInputMode=Pipe
        InputDataConfig.InputMode=Pipe InputDataConfig.CompressionType=Gzip
        InputDataConfig.RecordWrapperType=RecordIO InputDataConfig.ShuffleConfig
        InputDataConfig.DataSource.FileSystemDataSource InputDataConfig.DataSource.DatasetSource
        InputDataConfig.DataSource.S3DataSource.S3DataType=AugmentedManifestFile|Converse
        InputDataConfig.DataSource.S3DataSource.AttributeNames
        InputDataConfig.DataSource.S3DataSource.InstanceGroupNames OutputDataConfig.CompressionType=NONE
        ResourceConfig.InstanceGroups ResourceConfig.TrainingPlanArn ResourceConfig.InstancePreferences
        ResourceConfig.KeepAlivePeriodInSeconds DebugHookConfig DebugRuleConfigurations
        ProfilerRuleConfigurations TensorBoardOutputConfig ServerlessJobConfig MlflowConfig ModelPackageConfig
        RemoteDebugConfig.EnableRemoteDebug=True InfraCheckConfig.EnableInfraCheck=True SessionChainingConfig""",
    "CreateTransformJob": """DataProcessing.InputFilter DataProcessing.OutputFilter DataProcessing.JoinSource=Input
        DataCaptureConfig TransformInput.SplitType=RecordIO|TFRecord TransformInput.CompressionType=Gzip
        TransformInput.DataSource.S3DataSource.S3DataType=AugmentedManifestFile|Converse""",
    "CreateModel": """Containers InferenceExecutionConfig PrimaryContainer.Mode=MultiModel
        PrimaryContainer.MultiModelConfig PrimaryContainer.ModelDataSource PrimaryContainer.AdditionalModelDataSources
        PrimaryContainer.InferenceSpecificationName PrimaryContainer.ContainerMetricsConfig""",
    "CreateModelPackage": """ModelPackageName ValidationSpecification SourceAlgorithmSpecification
        AdditionalInferenceSpecifications CertifyForMarketplace=True
        InferenceSpecification.Containers.ModelDataSource SourceUri""",
    "UpdateModelPackage": "AdditionalInferenceSpecificationsToAdd InferenceSpecification SourceUri ModelCard",
    "DescribeModelPackage": "IncludedData=MetadataOnly",
    "ListModelPackages": "ModelPackageType=Unversioned|Both",
    "ListModelPackageGroups": "CrossAccountFilterOption=CrossAccount",
    "ListTrainingJobs": "WarmPoolStatusEquals TrainingPlanArnEquals",
    "ListPipelines": "ManagedBy=AWS",
    "ListPipelineExecutions": "PipelineVersionAlias",
    "CreatePipeline": "PipelineVersionAliases",
    "UpdatePipeline": "PipelineVersionAliases",
    "DescribePipeline": "PipelineVersionId PipelineVersionAlias",
    "StartPipelineExecution": "PipelineVersionId PipelineVersionAlias MlflowExperimentName",
}


def invalid(message: str) -> AwsError:
    """SageMaker's usual answer to a wrong request."""
    return AwsError("ValidationException", message)


def now() -> datetime:
    """Read the service's clock."""
    return datetime.now(UTC)


@dataclass
class Records:
    """Things of one kind, each under its name in its account and region, oldest first."""

    resource: str
    by_scope: dict[tuple[str, str], dict[str, Record]] = field(default_factory=dict)

    def of(self, call: Call) -> dict[str, Record]:
        """All records of the caller's account and region."""
        return self.by_scope.setdefault((call.account, call.region), {})

    def arn(self, call: Call, name: str) -> str:
        """ARN of the thing with this name."""
        return f"arn:aws:sagemaker:{call.region}:{call.account}:{self.resource}/{name}"

    def find(self, call: Call, name_or_arn: str) -> Record | None:
        """Look one up by name, or by an ARN of the caller's own account."""
        prefix = self.arn(call, "")
        return self.of(call).get(name_or_arn.removeprefix(prefix))


class SageMaker:
    """What all SageMaker rooms share: the wire, the working folder, and one table of records per kind."""

    def __init__(self, aws: EmbeddedAws, work_dir: Path) -> None:
        self.aws = aws
        self.work_dir = work_dir
        self.tables: dict[str, Records] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def records(self, resource: str) -> Records:
        """Return the table of one kind of resource, named as in ARNs."""
        return self.tables.setdefault(resource, Records(resource))

    def operation(self, name: str) -> Callable[[Handler], Handler]:
        """Register an operation whose request is checked against the service's model before it is answered."""
        shape = get_service_model("sagemaker").operation_model(name).input_shape

        def register(handler: Handler) -> Handler:
            def checked(call: Call, parameters: dict[str, Any]) -> dict[str, Any] | None:
                for path, value, rule in outside_model(shape, parameters):
                    wrong = f"Value '{str(value)[:200]}' at '{path}' failed to satisfy constraint: {rule}"
                    raise invalid(f"1 validation error detected: {wrong}")
                refuse(name, parameters)
                return handler(call, parameters)

            self.aws.operation("sagemaker", name)(checked)
            return handler

        return register

    def call(self, call: Call, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call another operation of ours for the same caller, as a pipeline step does."""
        inner = Call(call.service, operation, call.region, call.caller)
        return self.aws.handlers["sagemaker", operation](inner, parameters) or {}

    def assume(self, call: Call, role_arn: str) -> Credential:
        """Take the role that a request passes to SageMaker.

        Raises
        ------
        AwsError
            ``ValidationException`` if it belongs to another account, does not exist or does not trust SageMaker.
        """
        if account_of(role_arn) != call.account:
            raise invalid(f"Cross-account pass role is not allowed: {role_arn}")
        return assume_for_service(self.aws, role_arn, "sagemaker")

    def tag(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Add or replace tags of a resource."""
        self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags or ()})


def refuse(operation: str, parameters: dict[str, Any]) -> None:
    """Refuse, by name, members of a request that the embedded AWS does not act on."""
    for entry in REFUSED.get(operation, "").split():
        path, _, values = entry.partition("=")
        for found in values_at(parameters, path.split(".")):
            if not values or str(found) in values.split("|"):
                raise invalid(f"the embedded AWS does not provide {operation} with {entry if values else path}")


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """All values at a path of members; lists are looked through."""
    if isinstance(value, list):
        for item in value:
            yield from values_at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and value.get(path[0]) is not None:
        yield from values_at(value[path[0]], path[1:])


def page(
    records: list[Record], parameters: dict[str, Any], *, name: str, status: str = "", order: str = "Descending"
) -> tuple[list[Record], dict[str, Any]]:
    """Filter, sort and cut a list as SageMaker's List operations do.

    Parameters
    ----------
    records : list of dict
        Candidates, oldest first, each with ``CreationTime``.
    parameters : dict
        The request: time filters, NameContains, StatusEquals, SortBy, SortOrder, NextToken, MaxResults (10 if left out;
        documented for ListTransformJobs, taken for all).
    name, status : str
        Members that hold name and status.
    order : {"Ascending", "Descending"}
        The operation's documented default.

    Returns
    -------
    (list of dict, dict)
        One page, and ``{"NextToken": ...}`` if there is more.
    """

    def kept(record: Record) -> bool:
        for key, value in parameters.items():
            match = re.fullmatch(r"(CreationTime|LastModifiedTime|Created)(After|Before)", key)
            if match:
                moment = record["LastModifiedTime" if match[1] == "LastModifiedTime" else "CreationTime"]
                bound = value if value.tzinfo else value.replace(tzinfo=UTC)
                if moment <= bound if match[2] == "After" else moment >= bound:
                    return False
        return parameters.get("NameContains", "").lower() in record[name].lower() and (
            parameters.get("StatusEquals") in (None, record.get(status))
        )

    by = {"Name": name, "Status": status}.get(parameters.get("SortBy", ""), parameters.get("SortBy") or "CreationTime")
    found = sorted(filter(kept, records), key=lambda record: record[by])
    if parameters.get("SortOrder", order) == "Descending":
        found.reverse()
    start = 0
    if token := parameters.get("NextToken"):
        try:
            start = int(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError) as error:
            raise invalid("NextToken is not valid") from error
    size = parameters.get("MaxResults") or 10
    more = {"NextToken": base64.b64encode(str(start + size).encode()).decode()} if len(found) > start + size else {}
    return found[start : start + size], more
