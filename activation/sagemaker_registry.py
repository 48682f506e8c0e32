"""What publish asks the model registry: whether a package is still approved, and whether it is this goal's."""

from __future__ import annotations

import boto3

from contracts.errors import VerificationError
from contracts.naming import package_group


def require_approved(model_package_arn: str, project: str, goal: str) -> None:
    """Refuse a model package that is not approved now, or that belongs to another project or goal.

    Raises
    ------
    VerificationError
        Naming the package and its status.
    """
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=model_package_arn)
    found = (package["ModelPackageGroupName"], package["ModelApprovalStatus"])
    if found != (package_group(project, goal), "Approved"):
        raise VerificationError(
            f"the model is {found[1]} in {found[0]}, not Approved in {package_group(project, goal)}",
            where=model_package_arn,
            why="segments are only published with a model of this goal that is approved when they are",
            fix=f"approve a model of goal {goal} and start the score pipeline again; nothing was published",
        )
