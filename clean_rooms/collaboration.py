"""A two-party collaboration as code, from both accounts: what exists by name is used, what is missing is made.

The brand creates the collaboration, queries and receives; the partner only provides. Both tables carry a LIST rule.
Order of calls and names: AWS Clean Rooms API reference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from clean_rooms.protected_query import make_client
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfferedTable:
    """One party's Glue table as the collaboration sees it: SQL name, columns by their part in the LIST rule, role."""

    name: str
    glue_database: str
    glue_table: str
    join_columns: tuple[str, ...]
    list_columns: tuple[str, ...]
    role_arn: str


@dataclass(frozen=True)
class Collaboration:
    """What both parties ended up with."""

    id: str
    brand_membership_id: str
    partner_membership_id: str


def create_collaboration(
    name: str,
    brand: boto3.Session,
    partner: boto3.Session,
    brand_account: str,
    partner_account: str,
    brand_table: OfferedTable,
    partner_table: OfferedTable,
) -> Collaboration:
    """Create the collaboration, both memberships, tables, rules and associations, as far as they do not exist.

    Raises
    ------
    ServiceError
        If something of the same name exists but differs in what the rules depend on.
    """
    own, other = make_client(brand), make_client(partner)
    collaboration_id = find(pages(own, "list_collaborations", "collaborationList"), name=name)
    if collaboration_id is None:
        collaboration_id = own.create_collaboration(
            name=name,
            description=f"Predictive segments: {name}",
            creatorDisplayName="brand",
            creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
            members=[{"accountId": partner_account, "displayName": "partner", "memberAbilities": []}],
            queryLogStatus="ENABLED",
            analyticsEngine="SPARK",
        )["collaboration"]["id"]
    memberships = []
    for client, table in ((own, brand_table), (other, partner_table)):
        membership_id = join(client, collaboration_id)
        offer_table(client, membership_id, table, f"{name}-{table.name}", receivers=[brand_account])
        memberships.append(membership_id)
    return Collaboration(collaboration_id, *memberships)


def join(client: CleanRoomsServiceClient, collaboration_id: str) -> str:
    """Return this account's membership, made if need be."""
    existing = find(
        pages(client, "list_memberships", "membershipSummaries", status="ACTIVE"), collaborationId=collaboration_id
    )
    if existing:
        return existing
    answer = client.create_membership(collaborationIdentifier=collaboration_id, queryLogStatus="ENABLED")
    return answer["membership"]["id"]


def offer_table(
    client: CleanRoomsServiceClient, membership_id: str, table: OfferedTable, configured_name: str, receivers: list[str]
) -> None:
    """Configure one table with its LIST rule and associate it; ``receivers`` may get results made from it.

    ``configured_name`` is unique in the account, where several projects may each offer a table of the same SQL name.
    """
    columns = [*table.join_columns, *table.list_columns]
    table_id = find(pages(client, "list_configured_tables", "configuredTableSummaries"), name=configured_name)
    if table_id is None:
        table_id = client.create_configured_table(
            name=configured_name,
            tableReference={"glue": {"databaseName": table.glue_database, "tableName": table.glue_table}},
            allowedColumns=columns,
            analysisMethod="DIRECT_QUERY",
        )["configuredTable"]["id"]
    found = client.get_configured_table(configuredTableIdentifier=table_id)["configuredTable"]
    if set(found["allowedColumns"]) != set(columns):
        raise ServiceError(
            f"the configured table {configured_name} exists with other columns",
            where="AWS Clean Rooms",
            why=f"allowed {sorted(found['allowedColumns'])}, the project offers {sorted(columns)}",
            fix="its owner deletes the association, the rule and the table, or the project asks for those columns",
        )
    if not found["analysisRuleTypes"]:
        client.create_configured_table_analysis_rule(
            configuredTableIdentifier=table_id,
            analysisRuleType="LIST",
            analysisRulePolicy={
                "v1": {"list": {"joinColumns": [*table.join_columns], "listColumns": [*table.list_columns]}}
            },
        )
    associations = pages(
        client,
        "list_configured_table_associations",
        "configuredTableAssociationSummaries",
        membershipIdentifier=membership_id,
    )
    association_id = find(associations, configuredTableId=table_id)
    if association_id is None:
        association_id = client.create_configured_table_association(
            name=table.name,
            membershipIdentifier=membership_id,
            configuredTableIdentifier=table_id,
            roleArn=table.role_arn,
        )["configuredTableAssociation"]["id"]
    try:
        client.get_configured_table_association_analysis_rule(
            membershipIdentifier=membership_id,
            configuredTableAssociationIdentifier=association_id,
            analysisRuleType="LIST",
        )
    except client.exceptions.ResourceNotFoundException:
        client.create_configured_table_association_analysis_rule(
            membershipIdentifier=membership_id,
            configuredTableAssociationIdentifier=association_id,
            analysisRuleType="LIST",
            analysisRulePolicy={"v1": {"list": {"allowedResultReceivers": receivers}}},
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
