"""The model registry as people use it: list, approve, reject, and what the score pipeline may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.exceptions import ClientError

from contracts import model_card
from contracts.errors import ServiceError
from contracts.naming import package_group, package_parameter

Decision = Literal["Approved", "Rejected"]


@dataclass(frozen=True)
class ModelPackage:
    """One version of a goal's model."""

    goal: str
    version: int
    status: str
    created: str
    arn: str
    properties: dict[str, str]


def list_packages(session: boto3.Session, project: str, goal: str, status: str | None = None) -> list[ModelPackage]:
    """List a goal's model packages, newest version first."""
    client = session.client("sagemaker")
    request: dict[str, Any] = {"ModelPackageGroupName": package_group(project, goal)}
    if status:
        request["ModelApprovalStatus"] = status
    try:
        pages = client.get_paginator("list_model_packages").paginate(
            **request, SortBy="CreationTime", SortOrder="Descending"
        )
        arns = [summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]]
    except ClientError as error:
        if "not exist" in str(error):
            return []
        raise
    packages = [read_package(client, goal, arn) for arn in arns]
    return sorted(packages, key=lambda package: -package.version)


def read_package(client: Any, goal: str, arn: str) -> ModelPackage:
    """Read one package."""
    answer = client.describe_model_package(ModelPackageName=arn)
    return ModelPackage(
        goal=goal,
        version=answer["ModelPackageVersion"],
        status=answer["ModelApprovalStatus"],
        created=f"{answer['CreationTime']:%Y-%m-%d %H:%M}",
        arn=arn,
        properties=answer.get("CustomerMetadataProperties", {}),
    )


def pick_package(session: boto3.Session, project: str, goal: str, version: int | None) -> ModelPackage:
    """Return one version of a goal's model, by default the newest.

    Raises
    ------
    ServiceError
        If there is no such version.
    """
    packages = list_packages(session, project, goal)
    for package in packages:
        if version in (None, package.version):
            return package
    raise ServiceError(
        f"goal {goal} has no model{f' version {version}' if version else ''}",
        where=package_group(project, goal),
        why=f"versions: {[package.version for package in packages] or 'none'}",
        fix="train one first: pseg run PROJECT, or start the train pipeline",
    )


def read_card(session: boto3.Session, package: ModelPackage) -> dict[str, Any] | None:
    """Read the filled model card of a package from where its metadata says; None where there is none any more.

    Raises
    ------
    ContractError
        If what lies there is no model card.
    """
    uri = package.properties.get("model_card", "")
    if not uri:
        return None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = session.client("s3")
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
        return None
    return model_card.parse_card(body.decode(errors="replace"), where=uri)


def decide(session: boto3.Session, package: ModelPackage, status: Decision, comment: str) -> None:
    """Approve or reject a model package."""
    session.client("sagemaker").update_model_package(
        ModelPackageArn=package.arn, ModelApprovalStatus=status, ApprovalDescription=comment
    )


def approved_parameters(session: boto3.Session, project: str, goals: list[str]) -> dict[str, str]:
    """Return the score pipeline's parameters: each goal's latest approved package.

    Raises
    ------
    ServiceError
        If a goal has no approved model. Nothing was started.
    """
    parameters = {}
    for goal in goals:
        packages = list_packages(session, project, goal, status="Approved")
        if not packages:
            pending = list_packages(session, project, goal)
            raise ServiceError(
                f"no model of goal {goal} is approved",
                where=package_group(project, goal),
                why=f"{len(pending)} version(s), none approved; nothing is scored with a model that nobody approved",
                fix=f"look at the evaluation, then: pseg model approve {goal}" if pending else "train a model first",
            )
        parameters[package_parameter(goal)] = packages[0].arn
    return parameters
