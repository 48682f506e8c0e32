"""Everything that the embedded AWS provides, put together."""

from __future__ import annotations

from pathlib import Path

from pseg.local_aws import clean_rooms, cloudwatch_logs, sagemaker, sts
from pseg.local_aws.wire import EmbeddedAws


def build(work_dir: Path) -> EmbeddedAws:
    """Build one session; ``work_dir`` holds the folders and logs of its jobs."""
    aws = EmbeddedAws()
    sts.install(aws)
    logs = cloudwatch_logs.JobLogs(work_dir / "logs")
    cloudwatch_logs.install(aws, logs)
    clean_rooms.install(aws, logs)
    sagemaker.install(aws, work_dir, logs)
    return aws
