"""Finding what there is in Clean Rooms by its name, and saying in what it differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clean_rooms.agreement import RuleType
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def find_collaboration(client: CleanRoomsServiceClient, wanted: str) -> tuple[str | None, str]:
    """Return id and name of a collaboration that this account created or is invited to; no id if there is none.

    Raises
    ------
    ServiceError
        If several have the name, or an id leads nowhere.
    """
    known = list(pages(client, "list_collaborations", "collaborationList"))
    for one in known:
        if wanted in (one["id"], one.get("membershipId")):
            return one["id"], one["name"]
    if ID.fullmatch(wanted):
        raise ServiceError(
            f"there is no collaboration or membership {wanted}",
            where="AWS Clean Rooms",
            why=f"this account is in: {', '.join(sorted(one['name'] for one in known)) or 'no collaboration'}",
            fix="set [query].collaboration to a name or an id that is there",
        )
    return find(iter(known), name=wanted), wanted


def members_of(client: CleanRoomsServiceClient, collaboration_id: str) -> dict[str, dict[str, Any]]:
    """Return the members of a collaboration by their account, joined or not."""
    found = pages(client, "list_members", "memberSummaries", collaborationIdentifier=collaboration_id)
    return {member["accountId"]: member for member in found}


def associations(client: CleanRoomsServiceClient, membership_id: str) -> Iterator[dict[str, Any]]:
    """Yield the table associations of a membership."""
    what = "configured_table_associations"
    return pages(client, f"list_{what}", "configuredTableAssociationSummaries", membershipIdentifier=membership_id)


def policy(kind: RuleType, content: Mapping[str, Any]) -> Any:
    """Write a rule's content as the service takes it, for a table or an association."""
    return {"v1": {kind.lower(): dict(content)}}


def content_of(rule_policy: Any) -> dict[str, Any]:
    """Read what a rule's policy says, below its version and type."""
    return dict(next(iter(rule_policy["v1"].values())))


def differs(kind: str, name: str, what: str, there: Iterable[str], wanted: Iterable[str]) -> ServiceError:
    """Make the error for something that exists and is not what was agreed."""
    return ServiceError(
        f"the {kind} {name} exists with other {what}",
        where="AWS Clean Rooms",
        why=f"there: {sorted(there)}, agreed: {sorted(wanted)}",
        fix="its owner runs pseg collaboration teardown --table-only, then this again; or both files say what is there",
    )


def pages(client: Any, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Yield every summary of a List operation."""
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page[member]


def find(summaries: Iterator[dict[str, Any]], **wanted: str) -> str | None:
    """Return the id of the one summary whose members have the wanted values, None if there is none.

    Raises
    ------
    ServiceError
        If there are several.
    """
    ids = [summary["id"] for summary in summaries if all(summary.get(key) == value for key, value in wanted.items())]
    if len(ids) > 1:
        raise ServiceError(f"{len(ids)} resources have {wanted}", where="AWS Clean Rooms", fix="delete all but one")
    return ids[0] if ids else None
