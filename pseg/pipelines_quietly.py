"""The SDK, kept quiet: no telemetry, no log noise, and its pipelines put up and started for a project."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

from contracts.errors import SettingsError
from pseg.aws_executions import executions_of, parameters_of
from pseg.project import Project

if TYPE_CHECKING:
    import boto3
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


def start_pipeline(project: Project, kind: Kind, role: str, parameters: dict[str, Any], from_step: str = "") -> str:
    """Create or update a pipeline and start it; return the execution's ARN.

    With ``from_step`` only that step and what comes after it run again; what comes before, and the parameters that are
    not given, are those of the pipeline's latest execution.

    Raises
    ------
    SettingsError
        If there is no such step, or no execution to go on from.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(project, kind, role)
        pipeline.upsert(role_arn=role)
        if not from_step:
            return str(pipeline.start(parameters=parameters).arn)
        from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

        from pipelines.downstream import steps_from

        selected = steps_from(pipeline.definition(), from_step)
        source, known = latest_execution(pipeline.sagemaker_session.boto_session, pipeline.name)
        config = SelectiveExecutionConfig(selected_steps=selected, source_pipeline_execution_arn=source)
        return str(pipeline.start(parameters=known | parameters, selective_execution_config=config).arn)


def latest_execution(session: boto3.Session, pipeline: str) -> tuple[str, dict[str, str]]:
    """Return a pipeline's latest execution and its parameters.

    Raises
    ------
    SettingsError
        If it was never started.
    """
    arn = next(executions_of(session, pipeline), None)
    if arn is None:
        raise SettingsError(
            f"{pipeline} was never started", where="--from-step", fix="start it once without --from-step"
        )
    return arn, parameters_of(session, arn)
