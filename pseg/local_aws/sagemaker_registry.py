"""The model registry: groups, and model packages in versions that are approved or rejected.

Refused: unversioned packages, validation jobs and other members that would be ignored (REFUSED); going back to
PendingManualApproval, which AWS does not list among the possible transitions.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pseg.local_aws.sagemaker_data import split_uri
from pseg.local_aws.sagemaker_records import Record, SageMaker, invalid, now, page
from pseg.local_aws.wire import AwsError, Call

PENDING = "PendingManualApproval"


def install(sagemaker: SageMaker) -> None:
    """Register the operations."""
    groups = sagemaker.records("model-package-group")
    packages = sagemaker.records("model-package")  # named "<group>/<version>"
    operation = sagemaker.operation

    def find_group(call: Call, name: str) -> Record:
        record = groups.find(call, name)
        if record is None:
            raise invalid(f"ModelPackageGroup {groups.arn(call, name)} does not exist.")
        return record

    def find_package(call: Call, name_or_arn: str) -> Record:
        record = packages.find(call, name_or_arn)
        if record is None:
            raise invalid(f"ModelPackage {name_or_arn} does not exist.")
        return record

    def in_group(call: Call, group: str) -> list[Record]:
        return [record for record in packages.of(call).values() if record["ModelPackageGroupName"] == group]

    @operation("CreateModelPackageGroup")
    def create_group(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["ModelPackageGroupName"]
        arn = groups.arn(call, name)
        if groups.find(call, name):
            raise invalid(f"Model Package Group already exists: {arn}")
        made = {
            "ModelPackageGroupArn": arn,
            "ModelPackageGroupStatus": "Completed",
            "CreationTime": now(),
            "CreatedBy": {},
        }
        groups.of(call)[name] = {**parameters, **made, "last version": 0}
        sagemaker.tag(arn, parameters.get("Tags"))
        return {"ModelPackageGroupArn": arn}

    @operation("DescribeModelPackageGroup")
    def describe_group(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return find_group(call, parameters["ModelPackageGroupName"])

    @operation("ListModelPackageGroups")
    def list_groups(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        records = list(groups.of(call).values())
        found, more = page(records, parameters, name="ModelPackageGroupName", order="Ascending")
        return {"ModelPackageGroupSummaryList": found, **more}

    @operation("DeleteModelPackageGroup")
    def delete_group(call: Call, parameters: dict[str, Any]) -> None:
        group = find_group(call, parameters["ModelPackageGroupName"])
        name = group["ModelPackageGroupName"]
        if in_group(call, name):
            raise AwsError(
                "ConflictException", f"Model Package Group {name} cannot be deleted: it still holds model packages"
            )
        del groups.of(call)[name]

    @operation("CreateModelPackage")
    def create_package(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if not parameters.get("ModelPackageGroupName") or not parameters.get("InferenceSpecification"):
            raise invalid("CreateModelPackage needs ModelPackageGroupName and InferenceSpecification")
        group = find_group(call, parameters["ModelPackageGroupName"])
        containers = parameters["InferenceSpecification"]["Containers"]
        if len(containers) != 1:
            raise invalid("the embedded AWS provides model packages with one container")
        check_data(call, containers[0].get("ModelDataUrl", ""))
        check_card(parameters.get("ModelCard", {}).get("ModelCardContent", "{}"))
        group["last version"] += 1
        version, name = group["last version"], group["ModelPackageGroupName"]
        arn = packages.arn(call, f"{name}/{version}")
        packages.of(call)[f"{name}/{version}"] = {
            "ModelApprovalStatus": PENDING,
            **{key: value for key, value in parameters.items() if key not in ("Tags", "ClientToken")},
            "ModelPackageGroupName": name,
            "ModelPackageName": f"{name}/{version}",
            "ModelPackageVersion": version,
            "ModelPackageArn": arn,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "CreatedBy": {},
        }
        sagemaker.tag(arn, parameters.get("Tags"))
        return {"ModelPackageArn": arn}

    def check_card(content: str) -> None:
        try:
            if isinstance(json.loads(content), dict):
                return
        except ValueError:
            pass
        raise invalid("ModelCardContent is not a JSON object (the embedded AWS does not check its schema)")

    def check_data(call: Call, uri: str) -> None:
        if not uri.startswith("s3://"):
            raise invalid("A model package's container needs ModelDataUrl, an s3:// address")
        bucket, key = split_uri(uri)
        try:
            sagemaker.aws.client("s3", call.caller, call.region).head_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise invalid(
                f"Cannot find S3 object: {key} in bucket {bucket}. Please check if your S3 object exists."
            ) from error

    @operation("DescribeModelPackage")
    def describe_package(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return dict(find_package(call, parameters["ModelPackageName"]))

    @operation("ListModelPackages")
    def list_packages(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if "ModelPackageGroupName" not in parameters:
            raise invalid("the embedded AWS lists model packages of one group: give ModelPackageGroupName")
        group = find_group(call, parameters["ModelPackageGroupName"])
        status = parameters.get("ModelApprovalStatus")
        records = [
            record
            for record in in_group(call, group["ModelPackageGroupName"])
            if status in (None, record["ModelApprovalStatus"])
        ]
        found, more = page(records, parameters, name="ModelPackageName", order="Ascending")
        return {"ModelPackageSummaryList": found, **more}

    @operation("UpdateModelPackage")
    def update_package(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        record = find_package(call, parameters["ModelPackageArn"])
        status = parameters.get("ModelApprovalStatus", record["ModelApprovalStatus"])
        if status == PENDING != record["ModelApprovalStatus"]:
            raise invalid(
                f"Model package {record['ModelPackageArn']} is {record['ModelApprovalStatus']}: not back to {PENDING}"
            )
        properties = {
            **record.get("CustomerMetadataProperties", {}),
            **parameters.get("CustomerMetadataProperties", {}),
        }
        for key in parameters.get("CustomerMetadataPropertiesToRemove") or []:
            properties.pop(key, None)
        kept = ("ApprovalDescription", "ModelPackageRegistrationType", "ModelLifeCycle")
        record |= {key: parameters[key] for key in kept if key in parameters}
        record |= {"ModelApprovalStatus": status, "LastModifiedTime": now(), "LastModifiedBy": {}}
        record["CustomerMetadataProperties"] = properties
        return {"ModelPackageArn": record["ModelPackageArn"]}

    @operation("DeleteModelPackage")
    def delete_package(call: Call, parameters: dict[str, Any]) -> None:
        record = find_package(call, parameters["ModelPackageName"])
        del packages.of(call)[record["ModelPackageName"]]
