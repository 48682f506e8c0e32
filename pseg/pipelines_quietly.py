"""The SDK, kept quiet: no telemetry, no log noise, and its pipelines put up and started for a project."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

from contracts.errors import SettingsError
from pseg.console import working

if TYPE_CHECKING:
    from sagemaker.mlops.workflow.pipeline import Pipeline

    from pseg.project import Project

Kind = Literal["train", "score"]


def make_pipeline(project: Project, kind: Kind, role: str) -> Pipeline:
    """Make one of a project's pipelines; what it reads is uploaded, unless it is there already."""
    shown = working(
        f"uploading code, settings and tables of {project.name}-{kind}",
        if_interrupted="nothing was started; what is uploaded is found again the next time",
    )
    with shown, warnings.catch_warnings():
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
    name = f"{project.name}-{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(project, kind, role)
        check_parameters(pipeline, parameters)
        pipeline.upsert(role_arn=role)
        options: dict[str, Any] = {"parameters": parameters}
        if from_step:
            options = select_from(pipeline, from_step, parameters)
        with working(f"starting {name}", if_interrupted=f"{name} may have started: pseg pipeline status {name}"):
            return str(pipeline.start(**options).arn)


def check_parameters(pipeline: Pipeline, given: dict[str, Any]) -> None:
    """Refuse a parameter that the pipeline does not have, or a value that can't be one, before anything is started.

    Raises
    ------
    SettingsError
        Naming it, and what there is.
    """
    known = {parameter.name: parameter for parameter in pipeline.parameters}
    for name, value in given.items():
        if name not in known:
            raise SettingsError(
                f"{pipeline.name} has no parameter {name}", where="--set", fix=f"one of: {', '.join(sorted(known))}"
            )
        is_count = known[name].parameter_type.value == "Integer"
        if is_count and not (str(value).isdigit() and 1 <= int(value) <= 100):
            raise SettingsError(f"{name} = {value!r} is no count", where="--set", fix="a whole number from 1 to 100")
        if name == "QueryResultUri" and not str(value).startswith("s3://") and value != "none":
            raise SettingsError(
                f"{value!r} is not an s3:// address",
                where=name,
                fix="name the prefix of a result: s3://.../query_result/",
            )


def select_from(pipeline: Pipeline, from_step: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what the SDK's ``start`` takes to run a step and all after it on the results of the latest execution."""
    from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

    from pipelines.downstream import steps_from
    from pseg.aws_executions import executions_of, parameters_of

    selected = steps_from(pipeline.definition(), from_step)
    session = pipeline.sagemaker_session.boto_session
    arn = next(executions_of(session, pipeline.name), None)
    if arn is None:
        raise SettingsError(
            f"{pipeline.name} was never started", where="--from-step", fix="start it once without --from-step"
        )
    config = SelectiveExecutionConfig(selected_steps=selected, source_pipeline_execution_arn=arn)
    return {"parameters": parameters_of(session, arn) | parameters, "selective_execution_config": config}
