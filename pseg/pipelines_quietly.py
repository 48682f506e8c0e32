"""The SDK, kept quiet: no telemetry, no log noise, and its pipelines put up and started for a project."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

from pseg.project import Project

if TYPE_CHECKING:
    from sagemaker.mlops.workflow.pipeline import Pipeline

Kind = Literal["train", "score"]


def make_pipeline(project: Project, kind: Kind, role: str) -> Pipeline:
    """Make one of a project's pipelines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipelines import score_pipeline, train_pipeline

        for name in ("sagemaker", "sagemaker.config", "sagemaker.core"):
            logging.getLogger(name).setLevel(logging.ERROR)
        build = train_pipeline if kind == "train" else score_pipeline
        return build(project.folder, role=role)


def upsert_pipeline(project: Project, kind: Kind, role: str) -> str:
    """Create or update a pipeline; return its ARN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(make_pipeline(project, kind, role).upsert(role_arn=role)["PipelineArn"])


def start_pipeline(project: Project, kind: Kind, role: str, parameters: dict[str, Any]) -> str:
    """Create or update a pipeline and start it; return the execution's ARN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(project, kind, role)
        pipeline.upsert(role_arn=role)
        return str(pipeline.start(parameters=parameters).arn)
