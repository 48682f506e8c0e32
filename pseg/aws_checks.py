"""What ``pseg doctor`` finds in the AWS that commands speak to: who is asking, where, and what a project needs there.

Only reads. A question that AWS refuses is a finding, never the end of the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clean_rooms.protected_query import find_membership, make_client
from contracts.errors import PsegError, ServiceError
from contracts.run_settings import RunSettings
from pseg.aws_errors import explain
from pseg.checks import Check, State, from_error

ONE_TRY = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=15)  # seconds
ABILITIES = {"CAN_QUERY", "CAN_RECEIVE_RESULTS"}  # what the brand does in the collaboration


def check_aws(
    session: boto3.Session, which: str, is_embedded: bool, settings: RunSettings | None, processing_image: str
) -> Iterator[Check]:
    """Check which AWS answers to whom, and what a project needs there.

    Parameters
    ----------
    which : str
        How ``choose_aws`` named it.
    is_embedded : bool
        There, what is missing is made by the next run: worth knowing, no fault.
    settings : RunSettings or None
        Of the project, None without one.
    processing_image : str
        project.toml's, empty if it names none.
    """
    if not is_embedded and session.get_credentials() is None:
        yield Check(
            "!", "aws", "no AWS is configured, and the embedded AWS is down", "pseg run PROJECT, or: pseg local up"
        )
        return
    region = str(session.region_name or "")  # None if nothing names one, whatever boto3's types say
    if not region:
        yield Check("x", "region", f"{which}, no region", "set AWS_DEFAULT_REGION, or the profile's region")
        return
    account, check = ask("identity", lambda: read_identity(session, which))
    yield check
    if settings is None:
        return
    is_same = region == settings.region
    yield Check(
        "ok" if is_same else "x",
        "region",
        region if is_same else f"{region}, but [aws].region is {settings.region}",
        "" if is_same else "set one to the other: buckets, collaboration and jobs lie in one region",
    )
    if account is None:
        return
    missing: State = "!" if is_embedded else "x"
    buckets = {"data_bucket": settings.data_bucket, "results_bucket": settings.results_bucket}
    if len(set(buckets.values())) == 1:
        yield Check("x", "buckets", "data and query results share a bucket", "[aws].results_bucket holds results only")
    for key, bucket in buckets.items():
        yield ask(key, lambda key=key, bucket=bucket: find_bucket(session, key, bucket, account, missing))[1]  # type: ignore[misc]
    roles = (("pipeline", "sagemaker"), ("match-keys", "cleanrooms"))
    for name, service in roles if settings.query else roles[:1]:
        role = f"pseg-{settings.project}-{name}"
        yield ask(f"role {name}", lambda role=role, service=service: find_role(session, role, service, missing))[1]  # type: ignore[misc]
    if (query := settings.query) is not None:
        yield ask("membership", lambda: find_active_membership(session, query.collaboration, missing))[1]
    if is_embedded or processing_image:
        yield Check("ok", "image", processing_image or "none needed by the embedded AWS")
    else:
        yield Check(
            "!",
            "image",
            f"[aws].processing_image is not set; pseg-processing:0.1.0 of {account}'s registry is used",
            "see that processing/Dockerfile was built and pushed there, or name your image",
        )


Answer = tuple[str | None, Check]


def ask(topic: str, question: Callable[[], Answer]) -> Answer:
    """Ask AWS; what it refuses is the finding."""
    try:
        return question()
    except PsegError as error:
        return None, from_error(error, topic)
    except (BotoCoreError, ClientError) as error:
        return None, from_error(explain(error) or ServiceError(str(error)), topic)


def read_identity(session: boto3.Session, which: str) -> Answer:
    """Return the account, and say who is asking."""
    caller = session.client("sts", config=ONE_TRY).get_caller_identity()
    return caller["Account"], Check("ok", "identity", f"{which}: account {caller['Account']}, {caller['Arn']}")


def find_bucket(session: boto3.Session, key: str, bucket: str, account: str, missing: State) -> Answer:
    """Tell if a bucket is there, belongs to this account and lies in this region."""
    try:
        found = session.client("s3", config=ONE_TRY).head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return None, Check(missing, key, f"there is no bucket {bucket}", made_by(missing))
        if status != 403:
            raise
        return None, Check(
            "x",
            key,
            f"bucket {bucket} belongs to another account, or may not be read",
            f"choose a name of your own for [aws].{key}, or give the caller s3:ListBucket on it",
        )
    region = found.get("BucketRegion") or session.region_name
    if region != session.region_name:
        return None, Check(
            "x", key, f"bucket {bucket} is in {region}, the session in {session.region_name}", "move one"
        )
    return bucket, Check("ok", key, f"bucket {bucket} is this account's")


def find_role(session: boto3.Session, name: str, service: str, missing: State) -> Answer:
    """Tell if a role is there and its trust policy lets the service assume it."""
    iam = session.client("iam", config=ONE_TRY)
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None, Check(missing, f"role {name}", "is not there", f"{made_by(missing)}, or give commands your --role")
    principal = f"{service}.amazonaws.com"
    if not trusts(role["AssumeRolePolicyDocument"], principal):
        return None, Check(
            "x", f"role {name}", f"does not trust {principal}", f"let {principal} assume it in its trust policy"
        )
    return name, Check("ok", f"role {name}", f"{principal} may assume it")


def trusts(policy: Any, principal: str) -> bool:
    """Tell if a trust policy allows a service principal to assume the role; conditions are not judged."""
    document = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        who, actions = statement.get("Principal", {}), statement.get("Action", [])
        named = who.get("Service", []) if isinstance(who, dict) else []
        if (
            statement.get("Effect") == "Allow"
            and principal in ([named] if isinstance(named, str) else named)
            and {"sts:AssumeRole", "sts:*", "*"} & set([actions] if isinstance(actions, str) else actions)
        ):
            return True
    return False


def find_active_membership(session: boto3.Session, collaboration: str, missing: State) -> Answer:
    """Tell if this account is an active member that may query and receive."""
    client = make_client(session, attempts=2)
    try:
        membership_id = find_membership(client, collaboration)
    except ServiceError as error:
        return None, from_error(error, "membership", missing)
    abilities = set(client.get_membership(membershipIdentifier=membership_id)["membership"]["memberAbilities"])
    if lacking := sorted(ABILITIES - abilities):
        return None, Check(
            "x",
            "membership",
            f"this account's membership in {collaboration} lacks {', '.join(lacking)}",
            "the collaboration's creator gives abilities; they can't be changed later: make a new collaboration",
        )
    return membership_id, Check("ok", "membership", f"active in collaboration {collaboration}: may query and receive")


def made_by(missing: State) -> str:
    """Say who makes what is missing."""
    return "the next pseg run makes it" if missing == "!" else "make it (see README, With your AWS account)"
