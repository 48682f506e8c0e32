"""A registered model: opened where people read and explore, and by Evaluate, to compare a new one with it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from contracts.errors import ServiceError
from contracts.evaluation import Evaluation, parse_evaluation
from contracts.model_artifact import unpack
from contracts.training_facts import TrainingFacts, read_training_facts
from inference.handler import Model, model_fn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def load_model(arn: str, *, session: boto3.Session | None = None) -> Model:
    """Load a registered model: its trees, its features and its card, exactly as it scores.

    Parameters
    ----------
    arn : str
        ARN of a model package, or the ``s3://`` address of an artifact, as a manifest names it.
    session : boto3.Session, optional
        By default one of the environment's credentials and region.

    Raises
    ------
    ServiceError
        If there is no such package or artifact.
    ContractError
        If the artifact is broken.
    """
    with unpacked(arn, session or boto3.Session()) as folder:
        return model_fn(str(folder))


@contextmanager
def unpacked(arn: str, session: boto3.Session) -> Iterator[Path]:
    """Unpack the artifact of a model package, or of an ``s3://`` address, for as long as it is looked at."""
    uri = (
        arn
        if arn.startswith("s3://")
        else describe(session, arn)["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    )
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.tar.gz"
        archive.write_bytes(read_object(session.client("s3"), uri))
        yield unpack(archive, Path(folder) / "model")


def load_evaluation(arn: str, *, session: boto3.Session | None = None) -> Evaluation:
    """Load the evaluation that a model package was registered with.

    Raises
    ------
    ServiceError
        If there is no such package, or its evaluation is gone.
    """
    session = session or boto3.Session()
    uri = describe(session, arn)["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    return parse_evaluation(json.loads(read_object(session.client("s3"), uri)), where=uri)


@dataclass(frozen=True)
class Champion:
    """The approved model that a new one is compared with, and its training's facts."""

    model: Model
    facts: TrainingFacts


def find_champion(group: str) -> str:
    """Find the ARN of the newest approved model of a package group; empty where none is approved yet.

    Raises
    ------
    ServiceError
        If the registry can't be read.
    """
    session = boto3.Session()
    try:
        found = session.client("sagemaker").list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
            return ""  # no model was registered yet: the group does not exist
        raise ServiceError(
            "the model registry can't be read", where=group, why=str(error), fix="let the role list model packages"
        ) from error
    return found[0]["ModelPackageArn"] if found else ""


def load_champion(arn: str) -> Champion:
    """Load an approved model.

    Raises
    ------
    ServiceError, ContractError
        If its artifact is gone, or of a form that this release does not read.
    """
    with unpacked(arn, boto3.Session()) as folder:
        return Champion(model_fn(str(folder)), read_training_facts(folder))


def version_of(arn: str) -> str:
    """Name the version of a model package."""
    return f"version {arn.rpartition('/')[2]}"


def describe(session: boto3.Session, arn: str) -> Any:
    """Describe a model package."""
    try:
        return session.client("sagemaker").describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        raise ServiceError(
            "the model package can't be read", where=arn, why=str(error), fix="list what there is: pseg model list"
        ) from error


def read_object(s3: S3Client, uri: str) -> bytes:
    """Read one object."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise ServiceError("the model can't be read", where=uri, why=str(error), fix="train the model again") from error
