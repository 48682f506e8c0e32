"""One pipeline step as the request that the service will make: the API's own names, nothing generated.

The SDK's wrappers add time-stamped prefixes, random names and role checks, and its trainer has no entrypoint of ours;
so steps hold the Create request itself and everything else of the SDK (pipeline, conditions, properties, retries) is
used as it is. docs/adr/0003 tells why.
"""

from __future__ import annotations

from typing import Any

from sagemaker.core.workflow.properties import Properties, PropertyFile
from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ConfigurableRetryStep, Step, StepTypeEnum

DESCRIBE_SHAPES = {
    StepTypeEnum.PROCESSING: "DescribeProcessingJobResponse",
    StepTypeEnum.TRAINING: "DescribeTrainingJobResponse",
    StepTypeEnum.TRANSFORM: "DescribeTransformJobResponse",
    StepTypeEnum.CREATE_MODEL: "DescribeModelOutput",
    StepTypeEnum.REGISTER_MODEL: "DescribeModelPackageOutput",
}

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


class RequestStep(ConfigurableRetryStep):  # type: ignore[misc]
    """A step of one of the five job and model types.

    Parameters
    ----------
    name : str
        1 to 64 letters, digits and hyphens, unique in the pipeline.
    step_type : StepTypeEnum
        One of ``DESCRIBE_SHAPES``.
    request : dict
        The Create request without the name of what it creates; values may be pipeline variables.
    property_files : list of PropertyFile
        JSON outputs that conditions read (processing only).
    cache : CacheConfig or None
        Set only where equal requests mean equal results.
    """

    def __init__(
        self,
        name: str,
        step_type: StepTypeEnum,
        request: dict[str, Any],
        *,
        property_files: list[PropertyFile] | None = None,
        cache: CacheConfig | None = None,
        depends_on: list[Step] | None = None,
        retry_policies: list[RetryPolicy] | None = None,
    ) -> None:
        super().__init__(name, step_type, depends_on=depends_on, retry_policies=retry_policies)
        self._request = request
        self.property_files = property_files or []
        self._cache = cache
        self._properties = Properties(step_name=name, step=self, shape_name=DESCRIBE_SHAPES[step_type])

    @property
    def arguments(self) -> dict[str, Any]:
        """The Create request."""
        return self._request

    @property
    def properties(self) -> Properties:
        """What a later step may refer to: the members of the Describe answer."""
        return self._properties

    def to_request(self) -> dict[str, Any]:
        """Write the step into a definition."""
        request: dict[str, Any] = super().to_request()
        if self._cache:
            request.update(self._cache.config)
        if self.property_files:
            request["PropertyFiles"] = [file.expr for file in self.property_files]
        return request
