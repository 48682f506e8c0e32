"""Everything that the embedded AWS provides, put together."""

from __future__ import annotations

from pathlib import Path

from pseg.local_aws import clean_rooms, sagemaker, sts
from pseg.local_aws.wire import EmbeddedAws


def build(work_dir: Path) -> EmbeddedAws:
    """Build one session; ``work_dir`` holds the folders and logs of its jobs."""
    aws = EmbeddedAws()
    sts.install(aws)
    clean_rooms.install(aws)
    sagemaker.install(aws, work_dir)
    return aws
