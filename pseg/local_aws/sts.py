"""STS: who is calling, and temporary keys of a role in either account, if the role's trust policy allows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from pseg.local_aws.session import Credential
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Register the operations."""

    @aws.operation("sts", "GetCallerIdentity")
    def get_caller_identity(call: Call, _: dict[str, Any]) -> dict[str, Any]:
        arn = call.caller.role_arn or f"arn:aws:iam::{call.account}:root"
        return {"Account": call.account, "Arn": arn, "UserId": call.caller.access_key_id}

    @aws.operation("sts", "AssumeRole")
    def assume_role(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters["RoleArn"]
        caller = call.caller.role_arn or f"arn:aws:iam::{call.account}:root"
        if not trusts(aws, arn, {"AWS": {caller, f"arn:aws:iam::{call.account}:root", call.account}}):
            raise AwsError("AccessDenied", f"{caller} is not authorized to perform: sts:AssumeRole on resource: {arn}")
        key = aws.keyring.issue(account_of(arn), arn)
        expires = datetime.now(UTC) + timedelta(seconds=parameters.get("DurationSeconds") or 3600)
        session_arn = f"{arn.replace(':role/', ':assumed-role/')}/{parameters['RoleSessionName']}"
        return {
            "Credentials": {
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": key.secret_access_key,
                "SessionToken": key.session_token,
                "Expiration": expires,
            },
            "AssumedRoleUser": {"Arn": session_arn, "AssumedRoleId": f"{key.access_key_id}:session"},
        }


def account_of(arn: str) -> str:
    """Account id inside an ARN."""
    return arn.split(":")[4]


def assume_for_service(aws: EmbeddedAws, role_arn: str, service: str) -> Credential:
    """Give a service (``sagemaker``, ``cleanrooms``) temporary keys of a role that trusts it.

    Raises
    ------
    AwsError
        ``ValidationException`` if the role does not exist or does not trust ``<service>.amazonaws.com``.
    """
    if not trusts(aws, role_arn, {"Service": {f"{service}.amazonaws.com"}}):
        raise AwsError(
            "ValidationException", f"Could not assume role {role_arn}: it does not exist or does not trust {service}"
        )
    return aws.keyring.issue(account_of(role_arn), role_arn)


def trusts(aws: EmbeddedAws, role_arn: str, principals: dict[str, set[str]]) -> bool:
    """Tell if a role exists and its trust policy names one of the principals. Conditions are not evaluated."""
    owner = aws.keys.get(account_of(role_arn)) if role_arn.count(":") >= 5 else None
    if owner is None:
        return False
    try:
        role = aws.client("iam", owner).get_role(RoleName=role_arn.rsplit("/", 1)[-1])["Role"]
    except ClientError:
        return False
    policy = role["AssumeRolePolicyDocument"]
    if isinstance(policy, str):
        policy = json.loads(unquote(policy))
    for statement in policy["Statement"]:
        principal = statement.get("Principal", {})
        if statement["Effect"] != "Allow" or not isinstance(principal, dict):
            continue
        for kind, wanted in principals.items():
            named = principal.get(kind, [])
            if wanted & ({named} if isinstance(named, str) else set(named)):
                return True
    return False
