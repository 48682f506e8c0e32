"""The SDK, kept quiet: no telemetry, no log noise, and its pipelines put up and started for a project."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

from contracts.errors import SettingsError
from contracts.naming import NEW_QUERY
from pseg.console import say, working

if TYPE_CHECKING:
    from boto3 import Session
    from sagemaker.mlops.workflow.pipeline import Pipeline

    from pseg.project import Project

Kind = Literal["train", "score"]
MACHINES = ("InstanceType", "InstanceCount")


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
    not given, are those of the pipeline's latest execution that has them.

    Raises
    ------
    SettingsError
        If there is no such step, or no execution to go on from with these parameters.
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
        if name == "QueryResultUri" and not str(value).startswith("s3://") and value != NEW_QUERY:
            raise SettingsError(
                f"{value!r} is not an s3:// address",
                where=name,
                fix="name the prefix of a result: s3://.../query_result/",
            )


def select_from(pipeline: Pipeline, from_step: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what the SDK's ``start`` takes to run a step and all after it on the results of an earlier execution.

    Raises
    ------
    SettingsError
        If no execution has the results, or a step whose result is taken over reads a parameter that is other now.
    """
    from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

    from pipelines.downstream import read_needs, steps_from
    from pseg.aws_executions import parameters_of

    definition = pipeline.definition()
    selected = steps_from(definition, from_step)
    needs = read_needs(definition)
    session = pipeline.sagemaker_session.boto_session
    arn = find_source(session, pipeline.name, set().union(*(needs[name] for name in selected)) - set(selected))
    before = parameters_of(session, arn)
    refuse_changed(definition, selected, before, given, arn)
    for parameter in pipeline.parameters:
        default = getattr(parameter, "default_value", None)
        kept = before.get(parameter.name)
        if default is not None and parameter.name not in given and kept not in (None, str(default)):
            say(f"{parameter.name} = {kept}, as in execution {arn.rsplit('/', 1)[-1]}; project.toml says {default}")
    config = SelectiveExecutionConfig(selected_steps=selected, source_pipeline_execution_arn=arn)
    return {"parameters": before | given, "selective_execution_config": config}


def find_source(session: Session, name: str, needed: set[str]) -> str:
    """Return the newest execution of a pipeline in which the needed steps succeeded.

    Raises
    ------
    SettingsError
        If there is none.
    """
    from pseg.aws_executions import executions_of, succeeded_steps

    missing: set[str] = set()
    for place, arn in enumerate(executions_of(session, name)):
        lacks = needed - succeeded_steps(session, arn)
        if not lacks:
            if place:
                say(f"goes on from execution {arn.rsplit('/', 1)[-1]}: later ones lack {', '.join(sorted(missing))}")
            return arn
        missing = missing or lacks
    lacking = f"no execution of {name} has what comes before: {', '.join(sorted(missing))}"
    raise SettingsError(
        lacking if missing else f"{name} was never started",
        where="--from-step",
        fix="start it once without --from-step",
    )


def refuse_changed(
    definition: str, selected: list[str], before: dict[str, str], given: dict[str, Any], source: str
) -> None:
    """Refuse a parameter that is other than before, where a step reads it whose result is taken from before.

    Machines may change: they change no result.
    """
    from pipelines.downstream import read_parameters

    for step, reads in read_parameters(definition).items():
        for name in sorted(reads & set(given)):
            if step in selected or name.endswith(MACHINES) or str(given[name]) == before.get(name):
                continue
            raise SettingsError(
                f"{name} can't change in a run that begins after {step}",
                where="--from-step",
                why=f"{step} reads it, and its result would be that of execution {source.rsplit('/', 1)[-1]}, where it "
                f"was {before.get(name, 'not there')}",
                fix=f"--from-step {step}, or no --from-step",
            )
