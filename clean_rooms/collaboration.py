"""A two-party collaboration as code, from both accounts: what exists is used, what is missing is made.

The brand creates the collaboration, queries and receives; the partner only provides. Both tables carry a LIST rule, or
a CUSTOM rule that allows one analysis template and lets no join column out. Order of calls and names: AWS Clean Rooms
API reference.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import boto3

from clean_rooms.protected_query import make_client
from clean_rooms.templates import create_template
from contracts.errors import ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient
    from mypy_boto3_cleanrooms.type_defs import ConfiguredTableAnalysisRulePolicyUnionTypeDef

logger = logging.getLogger(__name__)

RuleType = Literal["CUSTOM", "LIST"]
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class OfferedTable:
    """One party's Glue table as the collaboration sees it: SQL name, columns by their part in the rule, role."""

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


@dataclass(frozen=True)
class TemplateText:
    """An analysis template as its SQL text, to be made where there is none of this name."""

    name: str
    sql: str


def create_collaboration(
    collaboration: str,
    brand: boto3.Session,
    partner: boto3.Session,
    brand_account: str,
    partner_account: str,
    brand_table: OfferedTable,
    partner_table: OfferedTable,
    template: TemplateText | None = None,
) -> Collaboration:
    """Create the collaboration, both memberships, tables, rules and associations, as far as they do not exist.

    Parameters
    ----------
    collaboration : str
        A name (the collaboration is created if there is none of it), or the id of a collaboration or of the brand's
        membership.
    brand, partner : Session
        Of the two accounts, whose ids are ``brand_account`` and ``partner_account``.
    brand_table, partner_table : OfferedTable
        What each of them offers.
    template : TemplateText, optional
        Makes the rules CUSTOM rules that allow exactly this template, which the brand stores; LIST rules without.

    Raises
    ------
    ServiceError
        If something of the same name exists but differs in what the rules depend on, or an id leads nowhere.
    """
    own, other = make_client(brand), make_client(partner)
    collaboration_id, name = find_collaboration(own, collaboration)
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
    offers = []
    for client, table in ((own, brand_table), (other, partner_table)):
        membership_id = join(client, collaboration_id)
        ids = offer_table(client, membership_id, table, f"{name}-{table.name}")
        offers.append((client, membership_id, table, ids))
    memberships = [membership_id for _, membership_id, _, _ in offers]
    arn = create_template(own, memberships[0], template.name, template.sql) if template else ""
    for client, membership_id, table, (table_id, association_id) in offers:
        set_table_rule(client, table_id, table, arn)
        set_association_rule(client, membership_id, association_id, "CUSTOM" if arn else "LIST", [brand_account])
    return Collaboration(collaboration_id, *memberships)


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
    client: CleanRoomsServiceClient, membership_id: str, table: OfferedTable, configured_name: str
) -> tuple[str, str]:
    """Configure one table and associate it; return the ids of the configured table and of its association.

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
    return table_id, association_id


def set_table_rule(client: CleanRoomsServiceClient, table_id: str, table: OfferedTable, template_arn: str) -> None:
    """Give a table its rule: CUSTOM for exactly one template, LIST where ``template_arn`` is empty.

    Raises
    ------
    ServiceError
        If the table has a rule of another type.
    """
    kind: RuleType = "CUSTOM" if template_arn else "LIST"
    policy: ConfiguredTableAnalysisRulePolicyUnionTypeDef = {
        "v1": {"custom": {"allowedAnalyses": [template_arn], "disallowedOutputColumns": [*table.join_columns]}}
        if template_arn
        else {"list": {"joinColumns": [*table.join_columns], "listColumns": [*table.list_columns]}}
    }
    found = client.get_configured_table(configuredTableIdentifier=table_id)["configuredTable"]
    if not found["analysisRuleTypes"]:
        client.create_configured_table_analysis_rule(
            configuredTableIdentifier=table_id, analysisRuleType=kind, analysisRulePolicy=policy
        )
        return
    if found["analysisRuleTypes"] != [kind]:
        raise ServiceError(
            f"the configured table {found['name']} has a rule of type {', '.join(found['analysisRuleTypes'])}",
            where="AWS Clean Rooms",
            why=f"the project asks for rule = {kind}, and a table has one rule",
            fix="its owner deletes the rules of the table and of its association, or the project keeps the rule",
        )
    if template_arn:
        rule = client.get_configured_table_analysis_rule(configuredTableIdentifier=table_id, analysisRuleType=kind)
        if rule["analysisRule"]["policy"] != policy:
            logger.info("table %s now allows analysis template %s", found["name"], template_arn)
            client.update_configured_table_analysis_rule(
                configuredTableIdentifier=table_id, analysisRuleType=kind, analysisRulePolicy=policy
            )


def set_association_rule(
    client: CleanRoomsServiceClient,
    membership_id: str,
    association_id: str,
    kind: RuleType,
    receivers: list[str],
) -> None:
    """Give an association its rule if it has none: ``receivers`` may get results made from the table."""
    try:
        client.get_configured_table_association_analysis_rule(
            membershipIdentifier=membership_id,
            configuredTableAssociationIdentifier=association_id,
            analysisRuleType=kind,
        )
    except client.exceptions.ResourceNotFoundException:
        policy: Any = {"v1": {kind.lower(): {"allowedResultReceivers": receivers}}}
        client.create_configured_table_association_analysis_rule(
            membershipIdentifier=membership_id,
            configuredTableAssociationIdentifier=association_id,
            analysisRuleType=kind,
            analysisRulePolicy=policy,
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
