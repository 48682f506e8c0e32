"""What publish asks the model registry: whether a package is still approved, whether it is this goal's, how it did."""

from __future__ import annotations

import boto3

from contracts.errors import VerificationError
from contracts.naming import package_group


def require_approved(model_package_arn: str, project: str, goal: str) -> str:
    """Refuse a model package that is not approved now, or that belongs to another project or goal.

    Returns
    -------
    str
        Where its evaluation lies in S3.

    Raises
    ------
    VerificationError
        Naming the package and its status, or if it was registered without an evaluation.
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
    uri = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri")
    if not uri:
        raise VerificationError(
            "the model was registered without its evaluation",
            where=model_package_arn,
            why="ModelMetrics.ModelQuality.Statistics is missing, and the expected numbers come from there",
            fix="register a model by the train pipeline and approve that one",
        )
    return uri
