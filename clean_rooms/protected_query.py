"""One protected query from start to result location: deadline, cancel, and the service's own words on failure.

The service has no waiter, no idempotency token and bills every start (about a dollar), so a start is never retried
after it may have reached the service, an interrupt cancels, and the location comes from the answer, never from a guess.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from botocore.waiter import WaiterModel, create_waiter_with_client

from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient
    from mypy_boto3_cleanrooms.literals import WorkerComputeTypeType
    from mypy_boto3_cleanrooms.type_defs import ProtectedQuerySQLParametersTypeDef

logger = logging.getLogger(__name__)

POLL_SECONDS = 1
FINAL_STATES = {"SUCCESS": "success", "FAILED": "failure", "CANCELLED": "failure", "TIMED_OUT": "failure"}


@dataclass(frozen=True)
class TemplateRun:
    """An analysis template and the values of its parameters, as text: the service casts each to its declared type."""

    arn: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class QueryResult:
    """Where the result lies and what it cost: ``billed_units`` are CRPU-hours, None if the service did not say."""

    query_id: str
    location: str
    seconds: float
    billed_units: float | None


def make_client(session: boto3.Session | None = None, attempts: int = 10) -> CleanRoomsServiceClient:
    """Make a Clean Rooms client that makes a throttled or failed request so many times at most."""
    retries = Config(retries={"mode": "standard", "total_max_attempts": attempts})
    return (session or boto3.Session()).client("cleanrooms", config=retries)


def find_membership(client: CleanRoomsServiceClient, collaboration: str) -> str:
    """Return the id of this account's active membership in a collaboration.

    ``collaboration`` is its name, its id, or the id of the membership itself.

    Raises
    ------
    ServiceError
        If there is none, or more than one.
    """
    pages = client.get_paginator("list_memberships").paginate(status="ACTIVE")
    own = [membership for page in pages for membership in page["membershipSummaries"]]
    found = [m["id"] for m in own if collaboration in (m["collaborationName"], m["collaborationId"], m["id"])]
    if len(found) != 1:
        raise ServiceError(
            f"{len(found)} active memberships in a collaboration named {collaboration}",
            where="AWS Clean Rooms",
            why=f"this account is in: {', '.join(sorted({m['collaborationName'] for m in own})) or 'no collaboration'}",
            fix="pseg collaboration create (or join); where several have one name, set [query].collaboration to an id",
        )
    return found[0]


def run_query(
    client: CleanRoomsServiceClient,
    starter: CleanRoomsServiceClient,
    membership_id: str,
    query: str | TemplateRun,
    bucket: str,
    key_prefix: str,
    deadline_seconds: int,
    worker_type: WorkerComputeTypeType = "CR.1X",
    workers: int = 16,
) -> QueryResult:
    """Run SQL or an analysis template and wait for its result; on any interruption, cancel it.

    ``starter`` is a client of one attempt: a start whose answer was lost may have reached the service and be billed.
    The workers are billed by type and number; 16 of CR.1X are the service's own default.

    Raises
    ------
    ServiceError
        With the service's error code and text if the query fails, is cancelled, or is not done by the deadline.
    """
    parameters: ProtectedQuerySQLParametersTypeDef = (
        {"queryString": query}
        if isinstance(query, str)
        else {"analysisTemplateArn": query.arn, "parameters": dict(query.parameters)}
    )
    answer = starter.start_protected_query(
        type="SQL",
        membershipIdentifier=membership_id,
        sqlParameters=parameters,
        resultConfiguration={
            "outputConfiguration": {"s3": {"resultFormat": "PARQUET", "bucket": bucket, "keyPrefix": key_prefix}}
        },
        computeConfiguration={"worker": {"type": worker_type, "number": workers}},
    )
    query_id = answer["protectedQuery"]["id"]
    try:
        logger.info("protected query %s started", query_id)
        wait_for_end(client, membership_id, query_id, deadline_seconds)
    except BaseException:
        cancel(client, membership_id, query_id)
        raise
    return read_result(client, membership_id, query_id)


def wait_for_end(client: CleanRoomsServiceClient, membership_id: str, query_id: str, deadline_seconds: int) -> None:
    """Wait until the query is in a final state; a final state that is not SUCCESS is not an error here.

    Raises
    ------
    ServiceError
        If the deadline passes first.
    """
    acceptors = [
        {"matcher": "path", "argument": "protectedQuery.status", "expected": status, "state": state}
        for status, state in FINAL_STATES.items()
    ]
    waiter = {
        "operation": "GetProtectedQuery",
        "delay": POLL_SECONDS,
        "maxAttempts": max(1, math.ceil(deadline_seconds / POLL_SECONDS)),
        "acceptors": acceptors,
    }
    model = WaiterModel({"version": 2, "waiters": {"ProtectedQueryEnded": waiter}})
    try:
        create_waiter_with_client("ProtectedQueryEnded", model, client).wait(
            membershipIdentifier=membership_id, protectedQueryIdentifier=query_id
        )
    except WaiterError as error:
        answer = cast("dict[str, Any]", error.last_response)
        status = answer.get("protectedQuery", {}).get("status")
        if status in FINAL_STATES:
            return
        if "Max attempts" not in str(error):
            raise ServiceError(
                "the state of the query can't be read", where=f"query {query_id}", why=str(error)
            ) from error
        raise ServiceError(
            f"the query is still {status} after {deadline_seconds} s",
            where=f"query {query_id}",
            why="the deadline passed; the query was cancelled",
            fix="raise [query].deadline_seconds in project.toml, or make the tables smaller",
        ) from error


def read_result(client: CleanRoomsServiceClient, membership_id: str, query_id: str) -> QueryResult:
    """Return where a finished query's result lies.

    Raises
    ------
    ServiceError
        With the service's code and text if the query did not succeed.
    """
    query = client.get_protected_query(membershipIdentifier=membership_id, protectedQueryIdentifier=query_id)[
        "protectedQuery"
    ]
    if query["status"] != "SUCCESS":
        error = query.get("error", {"code": query["status"], "message": "the service gave no reason"})
        raise ServiceError(
            f"the protected query ended as {query['status']}",
            where=f"query {query_id}",
            why=f"{error['code']}: {error['message']}",
            fix="mend what the message names; nothing was read",
        )
    statistics = query.get("statistics", {})
    return QueryResult(
        query_id=query_id,
        location=query["result"]["output"]["s3"]["location"],
        seconds=statistics.get("totalDurationInMillis", 0) / 1000,
        billed_units=statistics.get("billedResourceUtilization", {}).get("units"),
    )


def cancel(client: CleanRoomsServiceClient, membership_id: str, query_id: str) -> None:
    """Cancel a query that is not needed any more; what the service says of it is only logged."""
    try:
        client.update_protected_query(
            membershipIdentifier=membership_id, protectedQueryIdentifier=query_id, targetStatus="CANCELLED"
        )
        logger.warning("protected query %s was cancelled", query_id)
    except (BotoCoreError, ClientError) as error:
        logger.warning("protected query %s could not be cancelled: %s", query_id, error)
