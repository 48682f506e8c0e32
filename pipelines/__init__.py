"""The two pipelines of a project, as the SDK's own ``Pipeline``: ``train_pipeline`` and ``score_pipeline``.

Comes in: a project.toml, a SageMaker session, a role. Goes out: a pipeline whose definition is the same bytes for the
same project. What the definition needs (code, settings, local tables) is put into S3 under the hash of its content.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.mlops.workflow.pipeline import Pipeline

    from pipelines.builder import Builder

__all__ = ["score_pipeline", "train_pipeline"]


def train_pipeline(project: str | Path, *, session: Session | None = None, role: str) -> Pipeline:
    """Make the pipeline that trains, evaluates, gates and registers, and publishes candidate segments.

    Parameters
    ----------
    project : path
        A project.toml, or the folder that holds it.
    session : Session, optional
        The SDK's session; by default one of the environment's credentials and region that reports nothing of what it
        does (the SDK's telemetry).
    role : str
        ARN of the role that the pipeline and its jobs run as.

    Raises
    ------
    SettingsError
        If the project is wrong.
    ServiceError
        If AWS, or the embedded AWS, can't be reached.
    """
    from pipelines.definition import build_train_pipeline

    return make(project, session, role, build_train_pipeline)


def score_pipeline(project: str | Path, *, session: Session | None = None, role: str) -> Pipeline:
    """Make the pipeline that scores with approved model packages (its parameters) and publishes the segments.

    Parameters and errors are those of ``train_pipeline``.
    """
    from pipelines.definition import build_score_pipeline

    return make(project, session, role, build_score_pipeline)


def make(path: str | Path, session: Session | None, role: str, build: Callable[[Builder, Any], Pipeline]) -> Pipeline:
    """Put a definition's inputs into S3 and wire the steps."""
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError
    from sagemaker.core import image_uris

    from contracts.errors import ServiceError, SettingsError
    from contracts.run_settings import FILE_NAME
    from pipelines.builder import UNDATED, Builder, Locations, Machines
    from pipelines.code_bundle import collect_code
    from pipelines.glue import find_table
    from pipelines.s3 import put_folder, put_table
    from pseg.project import read_project

    project = read_project(path)
    settings, aws = project.run_settings(), project.aws
    session = session or quiet_session(settings.data_bucket)
    s3 = session.boto_session.client("s3")
    bucket, prefix, owner = settings.data_bucket, settings.project, account_of(role)
    if session.boto_region_name != settings.region:
        raise SettingsError(
            f"aws.region = {settings.region!r}, but the session is in {session.boto_region_name}",
            where="project.toml",
            fix="set [aws].region to the region of the buckets and the collaboration, or the session to that region",
        )

    def locate(table: str, location: str | Path) -> str:
        if isinstance(location, Path):
            return put_table(s3, bucket, owner, f"{prefix}/tables/{table}", location)
        if location.startswith("glue://"):
            return find_table(session.boto_session, owner, location)
        return location.rstrip("/") + "/"

    try:
        locations = Locations(
            code=put_folder(s3, bucket, owner, f"{prefix}/code", collect_code()),
            settings=put_folder(s3, bucket, owner, f"{prefix}/settings", {FILE_NAME: settings.to_json()}),
            tables={name: locate(name, project.location(name)) for name in project.own_tables},
            is_content_addressed=all(isinstance(project.location(name), Path) for name in project.own_tables),
        )
    except (EndpointConnectionError, NoCredentialsError) as error:
        raise ServiceError(
            "AWS can't be reached",
            where=s3.meta.endpoint_url,
            why=str(error),
            fix="start the embedded AWS (pseg local up) and use the exports it prints, or set up an AWS account",
        ) from error
    machines = Machines(
        processing_image=aws.processing_image or default_image(owner, settings.region),
        xgboost_image=aws.xgboost_image
        or image_uris.retrieve("xgboost", region=settings.region, version="3.2-0", image_scope="training"),
        processing_instance=aws.processing_instance,
        processing_instances=aws.processing_instances,
        training_instance=aws.training_instance,
        training_instances=aws.training_instances,
        transform_instance=aws.transform_instance,
        transform_instances=aws.transform_instances,
        transform_vcpus=aws.transform_vcpus,
    )
    as_of = project.as_of.isoformat() if project.as_of else UNDATED if project.is_ready_table else None
    return build(Builder(settings, locations, machines, role, as_of), session)


def quiet_session(bucket: str) -> Session:
    """Make a session of the environment's credentials and region that sends no telemetry.

    Otherwise the SDK's creation and start of a pipeline tell account, region and pipeline to an address of its makers
    (``sagemaker.core.telemetry``), from the embedded AWS too.
    """
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    session: Session = PipelineSession(default_bucket=bucket)
    settings = session.sagemaker_config  # what the SDK's own configuration files say stays
    settings.setdefault("SchemaVersion", "1.0")
    sdk = settings.setdefault("SageMaker", {}).setdefault("PythonSDK", {})
    sdk.setdefault("Modules", {})["TelemetryOptOut"] = True
    return session


def account_of(role: str) -> str:
    """Account id of a role's ARN: the owner of the buckets, and by default of the processing image.

    Raises
    ------
    SettingsError
        If it is not the ARN of a role.
    """
    from contracts.errors import SettingsError

    parts = role.split(":")
    if len(parts) != 6 or not parts[5].startswith("role/"):
        raise SettingsError(f"{role!r} is not the ARN of a role", fix="give it as arn:aws:iam::ACCOUNT:role/NAME")
    return parts[4]


def default_image(account: str, region: str) -> str:
    """Name the processing image of ``processing/Dockerfile`` in the account's own registry."""
    return f"{account}.dkr.ecr.{region}.amazonaws.com/pseg-processing:0.1.0"
