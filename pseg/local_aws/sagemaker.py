"""SageMaker, put together: jobs, models and batch transform, the registry, and pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pseg.local_aws import (
    sagemaker_jobs,
    sagemaker_pipelines,
    sagemaker_registry,
    sagemaker_transform,
)
from pseg.local_aws.cloudwatch_logs import JobLogs
from pseg.local_aws.sagemaker_records import SageMaker
from pseg.local_aws.wire import Call, EmbeddedAws


def install(aws: EmbeddedAws, work_dir: Path, logs: JobLogs) -> None:
    """Register the operations; ``work_dir`` holds the folders of running jobs."""
    sagemaker = SageMaker(aws, work_dir)
    jobs = sagemaker_jobs.install(sagemaker, logs)
    sagemaker_registry.install(sagemaker)
    sagemaker_transform.install(sagemaker, jobs)
    sagemaker_pipelines.install(sagemaker, jobs)

    @sagemaker.operation("AddTags")
    def add_tags(_: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        sagemaker.tag(parameters["ResourceArn"], parameters["Tags"])
        return {"Tags": parameters["Tags"]}

    @sagemaker.operation("ListTags")
    def list_tags(_: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = sagemaker.tags.get(parameters["ResourceArn"], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
