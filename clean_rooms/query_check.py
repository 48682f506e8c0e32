"""A query checked against the rules that Clean Rooms shows, before it is paid for, a template before it is stored.

Comes in: a Clean Rooms client, SQL or an analysis template. Goes out: the verdict of ``clean_rooms.analysis_rules``.
Refused: a query that breaks a rule, and rules that can't be read. Only reads. What the checker can't tell is logged and
left to the service, which refuses a broken rule when the query starts (docs/adr/0014).
Sources: AWS Clean Rooms API reference, BatchGetSchema, BatchGetSchemaAnalysisRule, GetCollaborationAnalysisTemplate,
ListCollaborationPrivacyBudgets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from clean_rooms.analysis_rules import Verdict, check
from clean_rooms.lookup import content_of, pages, policy
from contracts.errors import ContractError, ServiceError

if TYPE_CHECKING:
    from mypy_boto3_cleanrooms import CleanRoomsServiceClient

    from clean_rooms.agreement import Agreement
    from clean_rooms.protected_query import TemplateRun

logger = logging.getLogger(__name__)

BATCH = 25  # names of one BatchGetSchema; API reference
NEW = "new"  # ARN of a template that is not stored yet
BUDGETS = ("DIFFERENTIAL_PRIVACY", "ACCESS_BUDGET")
READING = (
    "GetMembership ListSchemas BatchGetSchema BatchGetSchemaAnalysisRule GetCollaborationAnalysisTemplate"
    " ListCollaborationPrivacyBudgets"
).split()  # what the role of the query step needs for this


def check_query(client: CleanRoomsServiceClient, membership_id: str, query: str | TemplateRun) -> Verdict:
    """Check a query of a membership, whose account runs it and receives its result.

    Raises
    ------
    ContractError
        If the query breaks a rule: every violation with table, owner, rule, place in the SQL and remedy.
    ServiceError
        If a rule, a template's text or a budget can't be read.
    """
    try:
        membership = client.get_membership(membershipIdentifier=membership_id)["membership"]
        account, room = membership["arn"].split(":")[4], membership["collaborationId"]
        template = None if isinstance(query, str) else read_template(client, room, query.arn)
        sql = query if isinstance(query, str) else template_text(template)
        schemas = list(read_schemas(client, room, sql))
        budgets = list(read_budgets(client, room))
    except ClientError as error:
        raise ServiceError(
            "the rules for the query can't be read, so it was not started",
            where=f"membership {membership_id}",
            why=str(error),
            fix=f"allow the role that runs it {', '.join(f'cleanrooms:{one}' for one in READING)}",
        ) from error
    values = {} if isinstance(query, str) else query.parameters
    verdict = check(sql, schemas, account, template=template, parameters=values, privacy_budget=budgets)
    refuse_broken(verdict, sql, f"collaboration {room}", "the query breaks analysis rules, so it was not started")
    return verdict


def check_template(client: CleanRoomsServiceClient, room: str | None, agreement: Agreement, sql: str) -> Verdict:
    """Check a template's text before it is stored, as if all that was agreed were there already.

    Of a table that is in the collaboration, its own columns and CUSTOM rule count, whatever its owner has added; of one
    that is not, what was agreed. That the template is not allowed yet is not a fault of its text.

    Parameters
    ----------
    room : str or None
        Id of the collaboration; None: it is not there, or not joined.

    Raises
    ------
    ContractError
        If the text breaks a rule.
    """
    there = {str(one["schema"]["name"]): one for one in read_schemas(client, room, sql)} if room else {}
    schemas = []
    for owner, terms in agreement.tables.items():
        found = there.pop(terms.name, {"schema": {}, "analysisRules": []})
        rules = [content_of(one["policy"]) for one in found["analysisRules"] if one["type"] == "CUSTOM"]
        rule = {"disallowedOutputColumns": [*terms.join_columns]} | (rules[0] if rules else {})
        columns = [{"name": name, "type": "string"} for name in terms.columns]
        schema = {"name": terms.name, "creatorAccountId": agreement.accounts[owner], "columns": columns}
        given = {key: found["schema"][key] for key in ("columns", "partitionKeys") if key in found["schema"]}
        shared = policy("CUSTOM", {"allowedResultReceivers": [agreement.brand_account]})
        allowing = policy("CUSTOM", rule | {"allowedAnalyses": [NEW]})
        rule_there = {"type": "CUSTOM", "policy": allowing, "collaborationPolicy": shared}
        schemas.append({"schema": schema | given, "analysisRules": [rule_there]})
    template = {"arn": NEW, "creatorAccountId": agreement.brand_account}
    verdict = check(sql, [*schemas, *there.values()], agreement.brand_account, template=template)
    refuse_broken(verdict, sql, "analysis template", "the template's text breaks analysis rules, so it was not stored")
    return verdict


def refuse_broken(verdict: Verdict, sql: str, where: str, what: str) -> None:
    """Refuse what breaks a rule; what the checker can't tell is logged only.

    Raises
    ------
    ContractError
        With every violation that Clean Rooms would refuse by its documents.
    """
    for one in verdict.unsure:
        logger.warning("not known whether Clean Rooms runs this: %s", one.describe(sql))
    if broken := verdict.rejections:
        fixes = dict.fromkeys(one.fix for one in broken)
        raise ContractError(what, where=where, why="; ".join(one.describe(sql) for one in broken), fix="; ".join(fixes))


def read_template(client: CleanRoomsServiceClient, room: str, arn: str) -> Mapping[str, Any]:
    """Read a template as any member of its collaboration can."""
    return client.get_collaboration_analysis_template(collaborationIdentifier=room, analysisTemplateArn=arn)[
        "collaborationAnalysisTemplate"
    ]


def template_text(template: Mapping[str, Any] | None) -> str:
    """Return a template's SQL.

    Raises
    ------
    ServiceError
        If it holds none: PySpark is not checked here.
    """
    source = (template or {}).get("source") or {}
    if "text" not in source:
        arn = (template or {}).get("arn", "")
        raise ServiceError("the analysis template holds no SQL, so it can't be checked", where=arn, fix="name another")
    return str(source["text"])


def read_schemas(client: CleanRoomsServiceClient, room: str, sql: str) -> Iterator[dict[str, Any]]:
    """Yield schema and rules of every table whose name stands in a query, for the checker.

    Raises
    ------
    ServiceError
        If the service doesn't show one of them; it names the table and the service's code.
    """
    there = pages(client, "list_schemas", "schemaSummaries", collaborationIdentifier=room)
    names = [one["name"] for one in there if one["name"].lower() in sql.lower()]
    for start in range(0, len(names), BATCH):
        answer = client.batch_get_schema(collaborationIdentifier=room, names=names[start : start + BATCH])
        refuse_unread("schema", answer["errors"], room)
        wanted: list[Any] = [
            {"name": one["name"], "type": kind} for one in answer["schemas"] for kind in one["analysisRuleTypes"]
        ]
        rules: list[Any] = []
        if wanted:
            found = client.batch_get_schema_analysis_rule(
                collaborationIdentifier=room, schemaAnalysisRuleRequests=wanted
            )
            refuse_unread("analysis rule", found["errors"], room)
            rules = found["analysisRules"]
        for schema in answer["schemas"]:
            own = [rule for rule in rules if rule["name"] == schema["name"]]
            yield {"schema": schema, "analysisRules": own}


def refuse_unread(what: str, errors: Any, room: str) -> None:
    """Refuse to go on without a schema or a rule.

    Raises
    ------
    ServiceError
        If there are errors.
    """
    if errors:
        raise ServiceError(
            f"the {what} of {', '.join(one['name'] for one in errors)} can't be read, so the query was not started",
            where=f"collaboration {room}",
            why="; ".join(f"{one['name']}: {one['code']}: {one['message']}" for one in errors),
            fix="pseg collaboration status says what is missing and who must act",
        )


def read_budgets(client: CleanRoomsServiceClient, room: str) -> Iterator[dict[str, Any]]:
    """Yield the privacy and access budgets of a collaboration."""
    for kind in BUDGETS:
        yield from pages(
            client, "list_collaboration_privacy_budgets", "collaborationPrivacyBudgetSummaries",
            collaborationIdentifier=room, privacyBudgetType=kind,
        )  # fmt: skip
