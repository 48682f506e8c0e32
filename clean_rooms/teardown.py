"""Taking one party's half of a collaboration down, in the order that the service asks for.

Only what this account owns and what was made for this agreement: its templates that read the agreed tables, the rules,
the association and the configured table of its own table. The collaboration goes if this account created it, the
membership with it, both only if nothing else of this account is left in them. Glue tables, buckets and roles stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from clean_rooms.agreement import Agreement, Party
from clean_rooms.lookup import associations, find, pages
from clean_rooms.protected_query import cancel, wait_for_end
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

RUNNING = ("SUBMITTED", "STARTED", "CANCELLING")
CANCEL_SECONDS = 120


@dataclass(frozen=True)
class Removal:
    """One thing to take away; ``keep`` says why it stays instead."""

    kind: str
    name: str
    remove: Callable[[], Any]
    keep: str = ""


def plan_teardown(
    client: CleanRoomsServiceClient, agreement: Agreement, party: Party, *, is_table_only: bool = False
) -> list[Removal]:
    """Find what this party has, in the order in which it goes; empty if nothing is left.

    With ``is_table_only`` that is its table with association and rules; it stays a member, its templates stay.

    Raises
    ------
    ServiceError
        If several collaborations have the name.
    """
    rooms, memberships, name = find_rooms(client, agreement)
    table_name = f"{name}-{agreement.tables[party].name}"
    table_id = find(pages(client, "list_configured_tables", "configuredTableSummaries"), name=table_name)
    removals: list[Removal] = []
    last: list[Removal] = []
    keeps: dict[str, str] = {}
    for membership in memberships:
        parts, others = list_parts(client, agreement, membership["id"], table_id)
        keep = f"it has {', '.join(others)}, not of this agreement" if others else ""
        if not keep:
            removals += list_running(client, membership["id"])
        removals += parts
        leave = partial(client.delete_membership, membershipIdentifier=membership["id"])
        keeps[membership["collaborationId"]] = keep
        last.append(Removal("membership", membership["id"], leave, keep))
    if is_table_only:
        removals, rooms, last = [one for one in removals if "association" in one.kind], [], []
    removals += remove_table(client, table_id, table_name) if table_id else []
    for room in rooms:
        if room["creatorAccountId"] == agreement.accounts[party]:
            delete = partial(client.delete_collaboration, collaborationIdentifier=room["id"])
            removals.append(Removal("collaboration", room["name"], delete, keeps.get(room["id"], "")))
    return removals + last


def tear_down(removals: list[Removal], say: Callable[[Removal], None]) -> None:
    """Take everything away, one after the other; ``say`` is told of each that is gone."""
    for removal in removals:
        if not removal.keep:
            removal.remove()
            say(removal)


def find_rooms(
    client: CleanRoomsServiceClient, agreement: Agreement
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Find the collaboration (one at most), this account's memberships in it, and its name.

    A membership whose collaboration its creator has deleted is among them: only its own account can take it away.
    """
    wanted = agreement.collaboration
    memberships = [
        one
        for one in pages(client, "list_memberships", "membershipSummaries")
        if one["status"] != "REMOVED" and wanted in (one["collaborationName"], one["collaborationId"], one["id"])
    ]
    ids = {one["collaborationId"] for one in memberships}
    rooms = [
        one
        for one in pages(client, "list_collaborations", "collaborationList")
        if one["id"] in ids or wanted in (one["name"], one["id"])
    ]
    if len(rooms) > 1:
        raise ServiceError(
            f"{len(rooms)} collaborations are named {wanted}",
            where="AWS Clean Rooms",
            why=f"their ids: {', '.join(sorted(one['id'] for one in rooms))}",
            fix="name one of them by its id",
        )
    names = [one["name"] for one in rooms] + [one["collaborationName"] for one in memberships]
    return rooms, memberships, names[0] if names else wanted


def list_parts(
    client: CleanRoomsServiceClient, agreement: Agreement, membership_id: str, table_id: str | None
) -> tuple[list[Removal], list[str]]:
    """List what a membership has of this agreement, and name what it has of others."""
    removals, others = [], []
    names = {terms.name for terms in agreement.tables.values()}
    summaries = pages(
        client, "list_analysis_templates", "analysisTemplateSummaries", membershipIdentifier=membership_id
    )
    for one in summaries:
        keys = {"membershipIdentifier": membership_id, "analysisTemplateIdentifier": one["id"]}
        read = client.get_analysis_template(**keys)["analysisTemplate"]["schema"].get("referencedTables", [])
        if names & set(read):
            removals.append(Removal("analysis template", one["name"], partial(client.delete_analysis_template, **keys)))
        else:
            others.append(f"analysis template {one['name']}")
    for link in associations(client, membership_id):
        keys = {"membershipIdentifier": membership_id, "configuredTableAssociationIdentifier": link["id"]}
        if link["configuredTableId"] != table_id:
            others.append(f"table association {link['name']}")
            continue
        for kind in link.get("analysisRuleTypes", ()):
            delete = partial(client.delete_configured_table_association_analysis_rule, **keys, analysisRuleType=kind)
            removals.append(Removal(f"{kind} rule of the association", link["name"], delete))
        delete = partial(client.delete_configured_table_association, **keys)
        removals.append(Removal("table association", link["name"], delete))
    return removals, others


def remove_table(client: CleanRoomsServiceClient, table_id: str, name: str) -> Iterator[Removal]:
    """Yield a configured table's rule and the table."""
    keys = {"configuredTableIdentifier": table_id}
    for kind in client.get_configured_table(configuredTableIdentifier=table_id)["configuredTable"]["analysisRuleTypes"]:
        delete = partial(client.delete_configured_table_analysis_rule, **keys, analysisRuleType=kind)
        yield Removal(f"{kind} analysis rule", name, delete)
    yield Removal("configured table", name, partial(client.delete_configured_table, **keys))


def list_running(client: CleanRoomsServiceClient, membership_id: str) -> Iterator[Removal]:
    """Yield the queries that still run: a membership with one can't go."""
    for query in pages(client, "list_protected_queries", "protectedQueries", membershipIdentifier=membership_id):
        if query["status"] in RUNNING:
            yield Removal("running query", query["id"], partial(end_query, client, membership_id, query["id"]))


def end_query(client: CleanRoomsServiceClient, membership_id: str, query_id: str) -> None:
    """Cancel a query and wait for its end."""
    cancel(client, membership_id, query_id)
    wait_for_end(client, membership_id, query_id, CANCEL_SECONDS)
