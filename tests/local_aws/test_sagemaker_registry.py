"""The model registry: versions, approval, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import IMAGE, Account


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """An account with a model archive."""
    opened = Account.open(aws, "registry")
    opened.put("model.tar.gz", "x")
    opened.sm.create_model_package_group(ModelPackageGroupName="refusing")
    return opened


def package(account: Account, group: str, **more: Any) -> str:
    """Register a package; its ARN."""
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{account.bucket}/model.tar.gz"}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    request = {"ModelPackageGroupName": group, "InferenceSpecification": specification, **more}
    return str(account.sm.create_model_package(**request)["ModelPackageArn"])


def test_versions_count_up_and_are_never_given_twice(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="counting")
    first, second = package(account, "counting"), package(account, "counting")
    assert first.endswith(":model-package/counting/1")
    account.sm.delete_model_package(ModelPackageName=second)
    assert package(account, "counting").endswith("/3")


def test_metrics_and_properties_are_kept(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="kept", ModelPackageGroupDescription="about")
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://registry/e.json"}}}
    arn = package(account, "kept", ModelMetrics=metrics, CustomerMetadataProperties={"git": "abc", "old": "1"})
    account.sm.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"run": "7"}, CustomerMetadataPropertiesToRemove=["old"]
    )
    described = account.sm.describe_model_package(ModelPackageName=arn)
    assert described["ModelMetrics"] == metrics
    assert described["CustomerMetadataProperties"] == {"git": "abc", "run": "7"}
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelPackageVersion"] == 1
    group = account.sm.describe_model_package_group(ModelPackageGroupName="kept")
    assert group["ModelPackageGroupDescription"] == "about"


def test_model_card_is_kept_and_must_be_json(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="cards")
    card = {"ModelCardContent": '{"intended_uses": {"risk_rating": "Unknown"}}', "ModelCardStatus": "Draft"}
    described = account.sm.describe_model_package(ModelPackageName=package(account, "cards", ModelCard=card))
    assert described["ModelCard"] == card
    for content in ("no card", "[]"):
        with pytest.raises(ClientError, match="ModelCardContent is not a JSON object"):
            package(account, "cards", ModelCard={"ModelCardContent": content, "ModelCardStatus": "Draft"})


def test_newest_approved_package_is_found(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="approved")
    arns = [package(account, "approved") for _ in range(3)]
    for arn in arns[:2]:
        account.sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="ok")
    found = account.sm.list_model_packages(
        ModelPackageGroupName="approved",
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )
    assert [item["ModelPackageArn"] for item in found["ModelPackageSummaryList"]] == [arns[1]]
    rest = account.sm.list_model_packages(
        ModelPackageGroupName="approved",
        ModelApprovalStatus="Approved",
        SortOrder="Descending",
        MaxResults=1,
        NextToken=found["NextToken"],
    )
    assert [item["ModelPackageArn"] for item in rest["ModelPackageSummaryList"]] == [arns[0]]
    assert "NextToken" not in rest


def test_approval_moves_between_approved_and_rejected_but_not_back_to_pending(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="moves")
    arn = package(account, "moves")
    for status in ("Rejected", "Approved", "Rejected"):
        account.sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
        assert account.sm.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == status
    with pytest.raises(ClientError, match="not back to PendingManualApproval"):
        account.sm.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="PendingManualApproval")


def test_groups_are_listed_and_deleted_when_empty(account: Account) -> None:
    account.sm.create_model_package_group(ModelPackageGroupName="to-delete")
    arn = package(account, "to-delete")
    with pytest.raises(ClientError, match="already exists"):
        account.sm.create_model_package_group(ModelPackageGroupName="to-delete")
    with pytest.raises(account.sm.exceptions.ConflictException):
        account.sm.delete_model_package_group(ModelPackageGroupName="to-delete")
    account.sm.delete_model_package(ModelPackageName=arn)
    account.sm.delete_model_package_group(ModelPackageGroupName="to-delete")
    assert account.sm.list_model_package_groups(NameContains="to-delete")["ModelPackageGroupSummaryList"] == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"group": "nobody"}, "does not exist"),
        ({"CertifyForMarketplace": True}, "CertifyForMarketplace"),
        ({"ModelApprovalStatus": "Perhaps"}, "enum value set"),
        (
            {"InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://registry/no"}]}},
            "S3 object",
        ),
    ],
)
def test_wrong_packages_are_refused(account: Account, change: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        package(account, **({"group": "refusing"} | change))


def test_unknown_packages_are_errors(account: Account) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        account.sm.describe_model_package(ModelPackageName="arn:aws:sagemaker:us-east-1:111111111111:model-package/x/1")
