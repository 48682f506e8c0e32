"""AWS Clean Rooms for two accounts: collaborations, tables, analysis rules, schemas and protected queries.

Comes in: calls of either account. Goes out: answers shaped by botocore's own model. Refused: input that the model does
not allow, what the caller may not do, and whatever this embedded version does not run (by name, never in silence).
State is in memory, under one lock; a method named as an operation answers it.

Sources: AWS Clean Rooms User Guide and API Reference; names, enums and limits are botocore's model of 2022-02-17.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto.core.utils import get_service_model

from pseg.local_aws import clean_rooms_queries as queries
from pseg.local_aws.session import Credential
from pseg.local_aws.sts import account_of, assume_for_service
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws

logger = logging.getLogger(__name__)

Record = dict[str, Any]  # a resource: the members of its API shapes, and what only we need to know

QUOTAS = {  # User Guide, "Quotas"
    "Allowed columns per configured table": 100,
    "Configured tables per account": 250,
    "Configured table associations per membership": 100,
    "Concurrent queries in progress per membership": 5,
}
KINDS = {"configuredtable": "CONFIGURED_TABLE", "configuredtableassociation": "CONFIGURED_TABLE_ASSOCIATION"}
RUNNING = ("SUBMITTED", "STARTED", "CANCELLING")
COLUMN_LISTS = frozenset(  # members of rule policies that name columns of the configured table
    {"joinColumns", "listColumns", "dimensionColumns", "columnNames", "columnName", "disallowedOutputColumns"}
    | {"identityColumns", "allowedLiteralComparisonColumns", "allowedColumnComparisonColumns"}
)
DISJOINT_LISTS = {"list": [("joinColumns", "listColumns")], "aggregation": [("joinColumns", "dimensionColumns")]}
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403", "Forbidden"})
MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "404", "EntityNotFoundException"})


def install(aws: EmbeddedAws) -> None:
    """Register the operations."""
    service = CleanRooms(aws)
    for name in get_service_model("cleanrooms").operation_names:
        if hasattr(service, xform_name(name)):
            aws.operation("cleanrooms", name)(service.answering(name))
    aws.on_close.append(service.close)
    aws.busy_checks.append(lambda: any(one["status"] in RUNNING for one in list(service.runs.values())))


# -- errors and input


def invalid(message: str, reason: str = "INVALID_CONFIGURATION", **members: Any) -> AwsError:
    """ValidationException."""
    return AwsError("ValidationException", message, reason=reason, **members)


def denied(message: str) -> AwsError:
    """AccessDeniedException."""
    return AwsError("AccessDeniedException", message, reason="INSUFFICIENT_PERMISSIONS")


def conflict(kind: str, identifier: str, reason: str, message: str) -> AwsError:
    """ConflictException."""
    return AwsError("ConflictException", message, resourceType=kind, resourceId=identifier, reason=reason)


def not_found(kind: str, identifier: str, what: str = "") -> AwsError:
    """ResourceNotFoundException."""
    text = f"no such {what or kind}: {identifier}"
    return AwsError("ResourceNotFoundException", text, resourceType=kind, resourceId=identifier)


def within_quota(name: str, used: int) -> None:
    """Refuse one more when the quota is used up."""
    if used > QUOTAS[name]:
        raise AwsError(
            "ServiceQuotaExceededException", f"{name}: {QUOTAS[name]}", quotaName=name, quotaValue=QUOTAS[name]
        )


def check_input(shape: Any, parameters: Record) -> None:
    """Hold parameters against the service's model: types, required members, enums, patterns and lengths."""
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise invalid(report.generate_report(), "FIELD_VALIDATION_FAILED")
    if problems := [{"name": name, "message": message} for name, message in field_problems(shape, parameters, "")]:
        text = "; ".join(f"{problem['name']}: {problem['message']}" for problem in problems)
        raise invalid(text, "FIELD_VALIDATION_FAILED", fieldList=problems)


def field_problems(shape: Any, value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield path and reason of each value that the model's constraints do not allow."""
    if shape.type_name == "structure":
        for key, inner in value.items():
            yield from field_problems(shape.members[key], inner, f"{name}.{key}".lstrip("."))
    elif shape.type_name == "list":
        for index, inner in enumerate(value):
            yield from field_problems(shape.member, inner, f"{name}[{index}]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from field_problems(shape.key, key, f"{name} (key)")
            yield from field_problems(shape.value, inner, f"{name}.{key}")
    size = len(value) if hasattr(value, "__len__") else 0 if isinstance(value, bool) else value
    limits = shape.metadata
    if size > limits.get("max", size) or size < limits.get("min", size):
        yield name, f"must be between {limits.get('min', 0)} and {limits.get('max', 'any number')}"
    elif limits.get("enum") and value not in limits["enum"]:
        yield name, f"{value} is not one of {', '.join(limits['enum'])}"
    elif limits.get("pattern") and not matcher(limits["pattern"])(value):
        yield name, f"does not match {limits['pattern']}"


@cache
def matcher(pattern: str) -> Callable[[str], object]:
    """Compile a pattern of the model, which is written for Java; one with Unicode classes is not checked."""
    if r"\p{" in pattern:
        return lambda _: True
    return re.compile(pattern.replace(r"\uD800\uDBFF-\uDC00\uDFFF", r"\U00010000-\U0010FFFF")).fullmatch


def without_nones(value: Any) -> Any:
    """Drop members that were not sent."""
    if isinstance(value, dict):
        return {key: without_nones(inner) for key, inner in value.items() if inner is not None}
    return [without_nones(inner) for inner in value] if isinstance(value, list) else value


def view(shape: str, record: Mapping[str, Any]) -> Record:
    """Pick the members of a record that belong to a shape of the model."""
    members: dict[str, Any] = get_service_model("cleanrooms").shape_for(shape).members  # type: ignore[attr-defined]
    return {name: record[name] for name in members if record.get(name) is not None}


def page(key: str, shape: str, records: Iterable[Mapping[str, Any]], given: Record) -> Record:
    """One page of summaries."""
    found = [view(shape, record) for record in records]
    token, size = given.get("nextToken", "0"), given.get("maxResults", 100)
    if not token.isdigit() or int(token) > len(found):
        raise invalid("nextToken: not one of ours", "FIELD_VALIDATION_FAILED")
    end = int(token) + size
    return {key: found[int(token) : end], **({"nextToken": str(end)} if end < len(found) else {})}


def columns_named(policy: Any) -> Iterator[str]:
    """Every column of its table that a rule policy names."""
    for key, value in policy.items() if isinstance(policy, dict) else ():
        if key in COLUMN_LISTS:
            yield from [value] if isinstance(value, str) else value
        elif key == "differentialPrivacy":
            yield from (column["name"] for column in value["columns"])
        else:
            for inner in value if isinstance(value, list) else [value]:
                yield from columns_named(inner)


def policy_content(rule: Mapping[str, Any] | None) -> Record:
    """Read what a rule says, below its version and type."""
    return dict(next(iter(rule["policy"]["v1"].values()))) if rule else {}


# -- readiness of a schema (SchemaStatusReasonCode of the model; when each holds is our reading of its name)

REASONS = {
    "ANALYSIS_RULE_MISSING": "the configured table has no analysis rule",
    "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED": "the association has no collaboration analysis rule",
    "ANALYSIS_RULE_TYPES_NOT_COMPATIBLE": "the rules of table and association are of different types",
    "ANALYSIS_TEMPLATES_NOT_CONFIGURED": "the custom rule allows no analysis",
    "ANALYSIS_PROVIDERS_NOT_CONFIGURED": "the custom rule allows any query but names no provider",
    "DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED": "the embedded AWS has no privacy budgets",
    "RESULT_RECEIVERS_NOT_ALLOWED": "the rule requires an additional analysis, so it allows no direct results",
    "RESULT_RECEIVERS_NOT_CONFIGURED": "the collaboration analysis rule names no result receiver",
    "ADDITIONAL_ANALYSES_NOT_ALLOWED": "the rule does not allow additional analyses",
    "ADDITIONAL_ANALYSES_NOT_CONFIGURED": "the collaboration analysis rule names no additional analysis",
}


def reasons(table: Record, link: Record, analysis: str) -> list[dict[str, str]]:
    """Say why a table cannot take part in an analysis; empty if it can."""
    rule, shared = policy_content(table["rule"]), policy_content(link["rule"])
    both, direct = bool(table["rule"] and link["rule"]), analysis == "DIRECT_ANALYSIS"
    additional = rule.get("additionalAnalyses", "NOT_ALLOWED")
    holds = {
        "ANALYSIS_RULE_MISSING": not table["rule"],
        "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED": not link["rule"],
        "ANALYSIS_RULE_TYPES_NOT_COMPATIBLE": both and table["rule"]["type"] != link["rule"]["type"],
        "ANALYSIS_TEMPLATES_NOT_CONFIGURED": direct and rule.get("allowedAnalyses") == [],
        "ANALYSIS_PROVIDERS_NOT_CONFIGURED": direct
        and "ANY_QUERY" in rule.get("allowedAnalyses", [])
        and not rule.get("allowedAnalysisProviders"),
        "DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED": direct and "differentialPrivacy" in rule,
        "RESULT_RECEIVERS_NOT_ALLOWED": direct and additional == "REQUIRED",
        "RESULT_RECEIVERS_NOT_CONFIGURED": direct and bool(link["rule"]) and not shared.get("allowedResultReceivers"),
        "ADDITIONAL_ANALYSES_NOT_ALLOWED": not direct and bool(table["rule"]) and additional == "NOT_ALLOWED",
        "ADDITIONAL_ANALYSES_NOT_CONFIGURED": not direct
        and bool(link["rule"])
        and not shared.get("allowedAdditionalAnalyses"),
    }
    return [{"code": code, "message": text} for code, text in REASONS.items() if holds[code]]


@dataclass(frozen=True)
class Delivery:
    """Where one receiver's result goes, and as whom it is written."""

    account: str
    s3: Mapping[str, Any]
    writer: Credential
    is_runner: bool


@dataclass
class CleanRooms:
    """State and operations: a method named as an operation takes the call and its checked input, and answers."""

    aws: EmbeddedAws
    lock: threading.RLock = field(default_factory=threading.RLock)
    collaborations: dict[str, Record] = field(default_factory=dict)
    memberships: dict[str, Record] = field(default_factory=dict)
    tables: dict[str, Record] = field(default_factory=dict)
    links: dict[str, Record] = field(default_factory=dict)  # configured table associations
    runs: dict[str, Record] = field(default_factory=dict)

    def answering(self, operation: str) -> Callable[[Call, dict[str, Any]], dict[str, Any] | None]:
        """Wrap an operation: input checked by the model, one at a time."""
        shape = get_service_model("cleanrooms").operation_model(operation).input_shape
        method = getattr(self, xform_name(operation))

        def handler(call: Call, parameters: dict[str, Any]) -> dict[str, Any] | None:
            given = without_nones(parameters)
            check_input(shape, given)
            with self.lock:
                answer: dict[str, Any] | None = method(call, given)
                return answer

        return handler

    def close(self) -> None:
        """Stop running queries and wait for them."""
        for query in list(self.runs.values()):
            query["stop"].set()
        for query in list(self.runs.values()):
            query["thread"].join(10)

    # -- collaborations

    def create_collaboration(self, call: Call, given: Record) -> Record:
        """Create a collaboration; its creator joins it like the others, by a membership."""
        creator = {
            "accountId": call.account,
            "memberAbilities": given["creatorMemberAbilities"],
            "mlMemberAbilities": given.get("creatorMLMemberAbilities"),
            "displayName": given["creatorDisplayName"],
            "paymentConfiguration": given.get("creatorPaymentConfiguration"),
        }
        people = [creator, *given["members"]]
        if len({person["accountId"] for person in people}) != len(people):
            raise invalid("members: an account is named twice, or is the creator's")
        if given.get("analyticsEngine", "SPARK") != "SPARK":
            raise invalid("analyticsEngine: only SPARK can be chosen; CLEAN_ROOMS_SQL is retired")
        paid = any(
            (person.get("paymentConfiguration") or {}).get("queryCompute", {}).get("isResponsible") for person in people
        )
        collaboration = self.new(call, "collaboration", given) | {
            "creatorAccountId": call.account,
            "analyticsEngine": "SPARK",
            "autoApprovedChangeTypes": given.get("autoApprovedChangeRequestTypes"),
        }
        collaboration["members"] = {
            person["accountId"]: {
                "accountId": person["accountId"],
                "status": "INVITED",
                "displayName": person["displayName"],
                "abilities": person["memberAbilities"],
                "mlAbilities": person.get("mlMemberAbilities"),
                "createTime": collaboration["createTime"],
                "updateTime": collaboration["updateTime"],
                "paymentConfiguration": {
                    "queryCompute": {"isResponsible": not paid and "CAN_QUERY" in person["memberAbilities"]},
                    **(person.get("paymentConfiguration") or {}),
                },
            }
            for person in people
        }
        self.collaborations[collaboration["id"]] = collaboration
        return {"collaboration": view("Collaboration", self.as_seen(call, collaboration))}

    def get_collaboration(self, call: Call, given: Record) -> Record:
        """Describe a collaboration to one of its members."""
        return {"collaboration": view("Collaboration", self.as_seen(call, self.collaboration(call, given)))}

    def list_collaborations(self, call: Call, given: Record) -> Record:
        """List the collaborations that the account is in or invited to."""
        seen = [self.as_seen(call, one) for one in self.collaborations.values() if call.account in one["members"]]
        wanted = [given["memberStatus"]] if "memberStatus" in given else ["INVITED", "ACTIVE"]
        return page(
            "collaborationList", "CollaborationSummary", (one for one in seen if one["memberStatus"] in wanted), given
        )

    def delete_collaboration(self, call: Call, given: Record) -> None:
        """Delete a collaboration; its memberships stay, marked, until their accounts delete them."""
        collaboration = self.collaboration(call, given)
        if collaboration["creatorAccountId"] != call.account:
            raise denied("only its creator can delete a collaboration")
        del self.collaborations[collaboration["id"]]
        for membership in self.memberships.values():
            if membership["collaborationId"] == collaboration["id"]:
                membership.update(status="COLLABORATION_DELETED", updateTime=now())
        for query in self.runs.values():
            if query["collaborationId"] == collaboration["id"]:
                query["stop"].set()

    def list_members(self, call: Call, given: Record) -> Record:
        """List the members of a collaboration, joined or not."""
        return page("memberSummaries", "MemberSummary", self.collaboration(call, given)["members"].values(), given)

    # -- memberships

    def create_membership(self, call: Call, given: Record) -> Record:
        """Join a collaboration."""
        collaboration = self.collaboration(call, given)
        member = collaboration["members"][call.account]
        if member["status"] == "ACTIVE":
            raise conflict(
                "MEMBERSHIP", member["membershipId"], "ALREADY_EXISTS", "this account has a membership already"
            )
        responsible = member["paymentConfiguration"]["queryCompute"]["isResponsible"]
        accepted = given.get("paymentConfiguration", {}).get("queryCompute", {}).get("isResponsible")
        if accepted is None and responsible and "CAN_QUERY" not in member["abilities"]:
            raise invalid("paymentConfiguration: this member is to pay for query compute and must accept it")
        if accepted is not None and accepted != responsible:
            raise invalid(
                f"paymentConfiguration: the collaboration says queryCompute.isResponsible = {str(responsible).lower()}"
            )
        if delivery := given.get("defaultResultConfiguration"):
            if "CAN_RECEIVE_RESULTS" not in member["abilities"]:
                raise invalid("defaultResultConfiguration: this member cannot receive results")
            if "roleArn" in delivery:
                self.check_role(call, delivery["roleArn"])
        membership = self.new(call, "membership", given) | {
            "collaborationArn": collaboration["arn"],
            "collaborationId": collaboration["id"],
            "collaborationCreatorAccountId": collaboration["creatorAccountId"],
            "collaborationCreatorDisplayName": collaboration["creatorDisplayName"],
            "collaborationName": collaboration["name"],
            "status": "ACTIVE",
            "memberAbilities": member["abilities"],
            "mlMemberAbilities": member["mlAbilities"],
            "paymentConfiguration": {
                "queryCompute": {"isResponsible": responsible},
                **given.get("paymentConfiguration", {}),
            },
        }
        self.memberships[membership["id"]] = membership
        member.update(status="ACTIVE", membershipId=membership["id"], membershipArn=membership["arn"], updateTime=now())
        return {"membership": view("Membership", membership)}

    def get_membership(self, call: Call, given: Record) -> Record:
        """Describe a membership to its account."""
        return {"membership": view("Membership", self.membership(call, given))}

    def list_memberships(self, call: Call, given: Record) -> Record:
        """List the account's memberships."""
        own = (one for one in self.memberships.values() if one["account"] == call.account)
        return page(
            "membershipSummaries",
            "MembershipSummary",
            (one for one in own if given.get("status", one["status"]) == one["status"]),
            given,
        )

    def delete_membership(self, call: Call, given: Record) -> None:
        """Leave a collaboration, for good (User Guide, "Leaving a collaboration")."""
        membership = self.membership(call, given)
        collaboration = self.collaborations.get(membership["collaborationId"])
        if collaboration and collaboration["creatorAccountId"] == call.account:
            text = "the creator's membership cannot be deleted before the collaboration"
            raise conflict("MEMBERSHIP", membership["id"], "INVALID_STATE", text)
        self.check_no_parts(
            "MEMBERSHIP", membership["id"], "associations", self.links_of(membershipId=membership["id"])
        )
        running = [
            one["id"]
            for one in self.runs.values()
            if one["membershipId"] == membership["id"] and one["status"] in RUNNING
        ]
        self.check_no_parts("MEMBERSHIP", membership["id"], "running queries", running)
        del self.memberships[membership["id"]]
        if collaboration:
            member = collaboration["members"][call.account]
            member.update(status="LEFT", updateTime=now(), membershipId=None, membershipArn=None)

    # -- configured tables and their rules

    def create_configured_table(self, call: Call, given: Record) -> Record:
        """Offer a Glue table of the account to collaborations."""
        within_quota(
            "Configured tables per account", 1 + sum(one["account"] == call.account for one in self.tables.values())
        )
        table = self.new(call, "configuredtable", given) | {"tableType": "GLUE"}
        table.update(self.check_table(call, table))
        self.tables[table["id"]] = table
        return {"configuredTable": view("ConfiguredTable", table)}

    def get_configured_table(self, call: Call, given: Record) -> Record:
        """Describe a configured table to its account."""
        return {"configuredTable": view("ConfiguredTable", self.table(call, given))}

    def update_configured_table(self, call: Call, given: Record) -> Record:
        """Change a configured table; columns that its rule names must stay allowed."""
        table = self.table(call, given)
        changes = {key: value for key, value in given.items() if key != "configuredTableIdentifier"}
        changed = table | changes
        columns = self.check_table(call, changed)
        if used := sorted(set(columns_named((table["rule"] or {}).get("policy"))) - set(changed["allowedColumns"])):
            text = f"allowedColumns: the analysis rule names {', '.join(used)}; change the rule first"
            raise conflict("CONFIGURED_TABLE", table["id"], "INVALID_STATE", text)
        table.update(changes, **columns, updateTime=now())
        return {"configuredTable": view("ConfiguredTable", table)}

    def list_configured_tables(self, call: Call, given: Record) -> Record:
        """List the account's configured tables."""
        own = (one for one in self.tables.values() if one["account"] == call.account)
        return page("configuredTableSummaries", "ConfiguredTableSummary", own, given)

    def delete_configured_table(self, call: Call, given: Record) -> None:
        """Withdraw a configured table that nothing uses any more."""
        table = self.table(call, given)
        self.check_no_parts(
            "CONFIGURED_TABLE", table["id"], "associations", self.links_of(configuredTableId=table["id"])
        )
        self.check_no_parts("CONFIGURED_TABLE", table["id"], "an analysis rule", table["analysisRuleTypes"])
        del self.tables[table["id"]]

    # -- associations and their rules

    def create_configured_table_association(self, call: Call, given: Record) -> Record:
        """Bring a configured table into a collaboration, under the name that SQL uses."""
        membership, table = self.membership(call, given, active=True), self.table(call, given)
        within_quota(
            "Configured table associations per membership", 1 + len(self.links_of(membershipId=membership["id"]))
        )
        self.check_role(call, given["roleArn"])
        for other in self.links_in(membership["collaborationId"]):
            if other["name"].lower() == given["name"].lower():
                text = f"the collaboration has a table named {other['name']} already"
                raise conflict("CONFIGURED_TABLE_ASSOCIATION", other["id"], "ALREADY_EXISTS", text)
        link = self.new(call, f"configuredtableassociation/{membership['id']}", given) | {
            "configuredTableId": table["id"],
            "configuredTableArn": table["arn"],
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
        }
        self.links[link["id"]] = link
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", link)}

    def get_configured_table_association(self, call: Call, given: Record) -> Record:
        """Describe an association to its account."""
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", self.link(call, given))}

    def update_configured_table_association(self, call: Call, given: Record) -> Record:
        """Change description or role; the name stays."""
        link = self.link(call, given)
        if "roleArn" in given:
            self.check_role(call, given["roleArn"])
        link.update({key: given[key] for key in ("description", "roleArn") if key in given}, updateTime=now())
        return {"configuredTableAssociation": view("ConfiguredTableAssociation", link)}

    def list_configured_table_associations(self, call: Call, given: Record) -> Record:
        """List the associations of a membership."""
        links = (self.links[one] for one in self.links_of(membershipId=self.membership(call, given)["id"]))
        return page("configuredTableAssociationSummaries", "ConfiguredTableAssociationSummary", links, given)

    def delete_configured_table_association(self, call: Call, given: Record) -> None:
        """Take a table out of a collaboration."""
        link = self.link(call, given)
        self.check_no_parts("CONFIGURED_TABLE_ASSOCIATION", link["id"], "an analysis rule", link["analysisRuleTypes"])
        del self.links[link["id"]]

    # -- rules of tables (one each) and of associations

    def ruled(self, call: Call, given: Record) -> tuple[Record, str]:
        """Find what a rule call speaks of, a configured table or an association, and the shape of its rule."""
        if "configuredTableIdentifier" in given:
            return self.table(call, given), "ConfiguredTableAnalysisRule"
        return self.link(call, given), "ConfiguredTableAssociationAnalysisRule"

    def create_rule(self, call: Call, given: Record) -> Record:
        """Put a rule on a table or an association that has none."""
        record, shape = self.ruled(call, given)
        if record["rule"]:
            raise conflict(record["kind"], record["id"], "ALREADY_EXISTS", "there is an analysis rule already")
        self.check_policy(record, given)
        ids = {f"configuredTable{part}": record[key] for part, key in (("Id", "id"), ("Arn", "arn"))}
        if "membershipId" in record:
            ids = {f"configuredTableAssociation{part}": record[key] for part, key in (("Id", "id"), ("Arn", "arn"))}
            ids["membershipIdentifier"] = record["membershipId"]
        rule = {"policy": given["analysisRulePolicy"], "type": given["analysisRuleType"], "createTime": now()}
        record.update(rule=ids | rule | {"updateTime": now()}, analysisRuleTypes=[given["analysisRuleType"]])
        return {"analysisRule": view(shape, record["rule"])}

    def get_rule(self, call: Call, given: Record) -> Record:
        """Describe a rule to the account that set it."""
        record, shape = self.ruled(call, given)
        return {"analysisRule": view(shape, rule_of(record, given["analysisRuleType"]))}

    def update_rule(self, call: Call, given: Record) -> Record:
        """Change a rule within its type."""
        record, shape = self.ruled(call, given)
        rule = rule_of(record, given["analysisRuleType"])
        self.check_policy(record, given)
        rule.update(policy=given["analysisRulePolicy"], updateTime=now())
        return {"analysisRule": view(shape, rule)}

    def delete_rule(self, call: Call, given: Record) -> None:
        """Take a rule away; the table can no longer be queried."""
        record, _ = self.ruled(call, given)
        rule_of(record, given["analysisRuleType"])
        record.update(rule=None, analysisRuleTypes=[])

    create_configured_table_analysis_rule = create_configured_table_association_analysis_rule = create_rule
    get_configured_table_analysis_rule = get_configured_table_association_analysis_rule = get_rule
    update_configured_table_analysis_rule = update_configured_table_association_analysis_rule = update_rule
    delete_configured_table_analysis_rule = delete_configured_table_association_analysis_rule = delete_rule

    # -- schemas, as every member sees them

    def get_schema(self, call: Call, given: Record) -> Record:
        """Describe a table of the collaboration and say for what it is ready."""
        return {"schema": self.schema(self.collaboration(call, given, joined=True), given["name"])}

    def list_schemas(self, call: Call, given: Record) -> Record:
        """List the tables of the collaboration."""
        collaboration = self.collaboration(call, given, joined=True)
        names = [link["name"] for link in self.links_in(collaboration["id"])]
        schemas = [self.schema(collaboration, name) for name in names if given.get("schemaType", "TABLE") == "TABLE"]
        return page("schemaSummaries", "SchemaSummary", schemas, given)

    def batch_get_schema(self, call: Call, given: Record) -> Record:
        """Describe several tables; those that are not there come back as errors."""
        collaboration = self.collaboration(call, given, joined=True)
        found, errors = each(given["names"], lambda name: self.schema(collaboration, name), str)
        return {"schemas": found, "errors": errors}

    def get_schema_analysis_rule(self, call: Call, given: Record) -> Record:
        """Show the rule of a table, the collaboration's rule for it, and both as one."""
        return {"analysisRule": self.schema_rule(self.collaboration(call, given, joined=True), given)}

    def batch_get_schema_analysis_rule(self, call: Call, given: Record) -> Record:
        """Show several rules; those that are not there come back as errors."""
        collaboration = self.collaboration(call, given, joined=True)
        wanted = given["schemaAnalysisRuleRequests"]
        found, errors = each(wanted, lambda one: self.schema_rule(collaboration, one), lambda one: str(one["name"]))
        types = {one["name"]: one["type"] for one in wanted}
        return {"analysisRules": found, "errors": [error | {"type": types[error["name"]]} for error in errors]}

    # -- protected queries

    def start_protected_query(self, call: Call, given: Record) -> Record:
        """Check a query in full, then run it in a thread of its own."""
        membership = self.membership(call, given, active=True)
        collaboration = self.collaborations[membership["collaborationId"]]
        if "CAN_QUERY" not in membership["memberAbilities"]:
            raise denied("this member does not have the ability CAN_QUERY")
        payer = self.payer(collaboration, call.account, given.get("queryComputePayerAccountId"))
        sql = given["sqlParameters"]
        if "analysisTemplateArn" in sql or "parameters" in sql:
            raise invalid("analysis templates are not part of this version of the embedded AWS", "INVALID_QUERY")
        tables = {link["name"].lower(): self.room_table(link) for link in self.links_in(collaboration["id"])}
        try:
            plan = queries.prepare(sql.get("queryString", ""), tables, call.account)
        except queries.QueryRefused as refused:
            raise invalid(str(refused), "INVALID_QUERY") from refused
        result = given.get("resultConfiguration") or view(
            "ProtectedQueryResultConfiguration", membership.get("defaultResultConfiguration") or {}
        )
        deliveries = self.deliveries(call, collaboration, plan, result, tables.values())
        running = sum(
            one["membershipId"] == membership["id"] and one["status"] in RUNNING for one in self.runs.values()
        )
        within_quota("Concurrent queries in progress per membership", 1 + running)
        query: Record = {
            "id": str(uuid.uuid4()),
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
            "createTime": now(),
            "status": "SUBMITTED",
            "sqlParameters": sql,
            "resultConfiguration": result,
            "computeConfiguration": given.get("computeConfiguration"),
            "queryComputePayerAccountId": payer,
            "collaborationId": collaboration["id"],
            "receiverConfigurations": [
                {
                    "analysisType": "DIRECT_ANALYSIS",
                    "configurationDetails": {
                        "directAnalysisConfigurationDetails": {
                            "receiverAccountIds": [one.account for one in deliveries]
                        }
                    },
                }
            ],
            "stop": threading.Event(),
        }
        query["thread"] = threading.Thread(
            target=self.run_query, args=(query, plan, deliveries), name=f"protected-query-{query['id']}", daemon=True
        )
        self.runs[query["id"]] = query
        answer = {"protectedQuery": view("ProtectedQuery", query)}
        query["thread"].start()
        return answer

    def get_protected_query(self, call: Call, given: Record) -> Record:
        """Describe a query to the member who runs it."""
        return {"protectedQuery": view("ProtectedQuery", self.query(call, given))}

    def update_protected_query(self, call: Call, given: Record) -> Record:
        """Cancel a query that still runs."""
        query = self.query(call, given)
        if query["status"] not in RUNNING:
            raise conflict(
                "MEMBERSHIP", query["membershipId"], "INVALID_STATE", f"the query is {query['status']} already"
            )
        query["status"] = "CANCELLING"
        query["stop"].set()
        return {"protectedQuery": view("ProtectedQuery", query)}

    def list_protected_queries(self, call: Call, given: Record) -> Record:
        """List the queries of a membership."""
        own = self.membership(call, given)["id"]
        found = [
            one
            for one in self.runs.values()
            if one["membershipId"] == own and given.get("status", one["status"]) == one["status"]
        ]
        return page("protectedQueries", "ProtectedQuerySummary", found, given)

    # -- tags

    def tag_resource(self, call: Call, given: Record) -> Record:
        """Add tags."""
        self.by_arn(call, given).setdefault("tags", {}).update(given["tags"])
        return {}

    def untag_resource(self, call: Call, given: Record) -> Record:
        """Take tags away."""
        tags = self.by_arn(call, given).get("tags", {})
        for key in given["tagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, call: Call, given: Record) -> Record:
        """List the tags of a resource."""
        return {"tags": self.by_arn(call, given).get("tags", {})}

    # -- finding things (all that follows is called under the lock, but for what a query's thread does)

    def new(self, call: Call, kind: str, given: Record) -> Record:
        """Begin a record: what was given, an id, an ARN and the times."""
        identifier, moment = str(uuid.uuid4()), now()
        arn = f"arn:aws:cleanrooms:{call.region}:{call.account}:{kind}/{identifier}"
        rule: Record = {"kind": KINDS.get(kind.split("/")[0], ""), "rule": None, "analysisRuleTypes": []}
        who = {"id": identifier, "arn": arn, "account": call.account, "createTime": moment, "updateTime": moment}
        return given | rule | who

    def collaboration(self, call: Call, given: Record, joined: bool = False) -> Record:
        """Find a collaboration of the caller; to all others it looks as if it were not there."""
        found = self.collaborations.get(given["collaborationIdentifier"])
        member = found["members"].get(call.account) if found else None
        if found is None or member is None or member["status"] not in (["ACTIVE"] if joined else ["INVITED", "ACTIVE"]):
            raise denied(f"account {call.account} is not {'an active' if joined else 'a'} member of this collaboration")
        return found

    def as_seen(self, call: Call, collaboration: Record) -> Record:
        """Add what differs from member to member."""
        member = collaboration["members"][call.account]
        return collaboration | {
            "memberStatus": member["status"],
            "membershipId": member.get("membershipId"),
            "membershipArn": member.get("membershipArn"),
        }

    def membership(self, call: Call, given: Record, active: bool = False) -> Record:
        """Find a membership of the caller's account."""
        found = owned(self.memberships, "MEMBERSHIP", call, given["membershipIdentifier"])
        if active and found["status"] != "ACTIVE":
            raise denied(f"the membership is not active ({found['status']})")
        return found

    def table(self, call: Call, given: Record) -> Record:
        """Find a configured table of the caller's account."""
        return owned(self.tables, "CONFIGURED_TABLE", call, given["configuredTableIdentifier"])

    def link(self, call: Call, given: Record, active: bool = False) -> Record:
        """Find an association of the caller's membership."""
        membership = self.membership(call, given, active)
        found = owned(self.links, "CONFIGURED_TABLE_ASSOCIATION", call, given["configuredTableAssociationIdentifier"])
        if found["membershipId"] != membership["id"]:
            raise not_found("CONFIGURED_TABLE_ASSOCIATION", found["id"])
        return found

    def query(self, call: Call, given: Record) -> Record:
        """Find a query of the caller's membership."""
        membership, found = self.membership(call, given), self.runs.get(given["protectedQueryIdentifier"])
        if found is None or found["membershipId"] != membership["id"]:
            raise AwsError(
                "ResourceNotFoundException", "no such protected query", resourceId=given["protectedQueryIdentifier"]
            )
        return found

    def by_arn(self, call: Call, given: Record) -> Record:
        """Find a resource of the caller's account by its ARN."""
        for records in (self.collaborations, self.memberships, self.tables, self.links):
            for record in records.values():
                if record["arn"] == given["resourceArn"] and record["account"] == call.account:
                    return record
        raise AwsError("ResourceNotFoundException", "no such resource", resourceId=given["resourceArn"])

    def links_of(self, **keys: str) -> list[str]:
        """Ids of the associations of a membership or of a configured table."""
        return [one["id"] for one in self.links.values() if all(one[key] == value for key, value in keys.items())]

    def links_in(self, collaboration_id: str) -> list[Record]:
        """Associations in a collaboration, of all its members."""
        return [
            one
            for one in self.links.values()
            if self.memberships[one["membershipId"]]["collaborationId"] == collaboration_id
        ]

    def link_named(self, collaboration: Record, name: str) -> tuple[Record, Record]:
        """Find an association by its SQL name, with its configured table."""
        for link in self.links_in(collaboration["id"]):
            if link["name"].lower() == name.lower():
                return link, self.tables[link["configuredTableId"]]
        raise not_found("CONFIGURED_TABLE_ASSOCIATION", name)

    # -- checking things

    def check_no_parts(self, kind: str, identifier: str, what: str, parts: list[str]) -> None:
        """Refuse to delete what still has parts."""
        if parts:
            raise conflict(kind, identifier, "SUBRESOURCES_EXIST", f"{kind} still has {what}: {', '.join(parts)}")

    def check_role(self, call: Call, role_arn: str) -> None:
        """Refuse a role of another account, one that does not exist, and one that Clean Rooms may not assume."""
        if account_of(role_arn) != call.account:
            raise denied(f"roleArn: {role_arn} is not a role of account {call.account}")
        try:
            assume_for_service(self.aws, role_arn, "cleanrooms")
        except AwsError as error:
            raise invalid(f"roleArn: {error.message}") from error

    def check_table(self, call: Call, table: Record) -> Record:
        """Hold a configured table against Glue; return its columns with their types."""
        within_quota("Allowed columns per configured table", len(table["allowedColumns"]))
        if "glue" not in (reference := table["tableReference"]):
            raise invalid(f"tableReference: the embedded AWS has Glue tables only, not {', '.join(reference)}")
        if table["analysisMethod"] != "DIRECT_QUERY":
            raise invalid("analysisMethod: the embedded AWS runs SQL only (DIRECT_QUERY)")
        glue = reference["glue"]
        if glue.get("region", call.region) != call.region:
            raise invalid(f"tableReference.glue.region: the embedded AWS has one region, {call.region}")
        try:
            client = self.aws.client("glue", self.aws.keys[call.account], call.region)
            found = client.get_table(DatabaseName=glue["databaseName"], Name=glue["tableName"])["Table"]
        except ClientError as error:
            raise invalid(
                f"tableReference: {glue['databaseName']}.{glue['tableName']}: {error.response['Error']['Message']}"
            ) from error
        groups = {
            "columns": found.get("StorageDescriptor", {}).get("Columns", []),
            "partitionKeys": found.get("PartitionKeys", []),
        }
        allowed = table["allowedColumns"]
        known = {
            group: [
                {"name": one["Name"].lower(), "type": one.get("Type", "string")}
                for one in columns
                if one["Name"].lower() in allowed
            ]
            for group, columns in groups.items()
        }
        names = {column["name"] for columns in known.values() for column in columns}
        if absent := [name for name in allowed if name not in names]:
            raise invalid(
                f"allowedColumns: not in Glue table {glue['databaseName']}.{glue['tableName']}: {', '.join(absent)}"
            )
        if len(set(allowed)) != len(allowed):
            raise invalid("allowedColumns: a column is named twice")
        return known

    def check_policy(self, record: Record, given: Record) -> None:
        """Hold a rule against its type and its table; an association's against the table's rule and the members."""
        ((kind, content),) = given["analysisRulePolicy"]["v1"].items()
        if kind.upper() != given["analysisRuleType"]:
            raise invalid(f"analysisRulePolicy: for {kind}, but analysisRuleType is {given['analysisRuleType']}")
        if "membershipId" in record:
            rule = self.tables[record["configuredTableId"]]["rule"]
            if rule is None or rule["type"] != given["analysisRuleType"]:
                raise invalid(f"analysisRuleType: the configured table has {rule['type'] if rule else 'no'} rule")
            collaboration = self.collaborations.get(self.memberships[record["membershipId"]]["collaborationId"], {})
            if strange := set(content.get("allowedResultReceivers", [])) - set(collaboration.get("members", {})):
                raise invalid(f"allowedResultReceivers: not members of the collaboration: {', '.join(sorted(strange))}")
            return
        if len(json.dumps(content)) > 100_000:
            raise invalid("analysisRulePolicy: larger than 100 KB")
        if strange := set(columns_named(content)) - set(record["allowedColumns"]):
            raise invalid(f"analysisRulePolicy: not among the table's allowedColumns: {', '.join(sorted(strange))}")
        for one, other in DISJOINT_LISTS.get(kind, []):
            if both := sorted(set(content[one]) & set(content[other])):
                raise invalid(f"analysisRulePolicy: in {one} and in {other}: {', '.join(both)}")

    # -- schemas and query tables

    def schema(self, collaboration: Record, name: str) -> Record:
        """Describe one table of a collaboration."""
        link, table = self.link_named(collaboration, name)
        details = []
        for analysis in ("DIRECT_ANALYSIS", "ADDITIONAL_ANALYSIS"):
            why = reasons(table, link, analysis)
            status: Record = {
                "status": "NOT_READY" if why else "READY",
                "analysisType": analysis,
                "reasons": why,
                "configurations": [],
            }
            details.append(status | ({"analysisRuleType": table["rule"]["type"]} if table["rule"] else {}))
        facts = link | {key: table[key] for key in ("columns", "partitionKeys", "analysisRuleTypes", "analysisMethod")}
        room = f"arn:aws:cleanrooms:{link['arn'].split(':')[3]}:{link['account']}:membership/{link['membershipId']}"
        return view("Schema", facts) | {
            "creatorAccountId": link["account"],
            "collaborationId": collaboration["id"],
            "collaborationArn": collaboration["arn"],
            "description": link.get("description", ""),
            "type": "TABLE",
            "schemaStatusDetails": details,
            "resourceArn": f"{room}/configuredtableassociation/{link['id']}",
            "schemaTypeProperties": {"configuredTableAssociation": {"configuredTableAssociationId": link["id"]}},
        }

    def schema_rule(self, collaboration: Record, wanted: Record) -> Record:
        """Describe the rule of one table of a collaboration."""
        link, table = self.link_named(collaboration, wanted["name"])
        rule = rule_of(table, wanted["type"])
        answer = rule | {"collaborationId": collaboration["id"], "name": link["name"]}
        if link["rule"] and link["rule"]["type"] == rule["type"]:
            kind = rule["type"].lower()
            answer["collaborationPolicy"] = link["rule"]["policy"]
            answer["consolidatedPolicy"] = {"v1": {kind: policy_content(rule) | policy_content(link["rule"])}}
        return view("AnalysisRule", answer)

    def room_table(self, link: Record) -> queries.RoomTable:
        """Describe an association to the query checker."""
        table = self.tables[link["configuredTableId"]]
        columns = {column["name"]: column["type"] for column in [*table["columns"], *table["partitionKeys"]]}
        return queries.RoomTable(
            name=link["name"].lower(),
            owner=link["account"],
            columns={name: columns[name] for name in table["allowedColumns"]},
            partition_keys=frozenset(column["name"] for column in table["partitionKeys"]),
            database=table["tableReference"]["glue"]["databaseName"],
            glue_table=table["tableReference"]["glue"]["tableName"],
            role_arn=link["roleArn"],
            rule_type=table["rule"]["type"] if table["rule"] else "",
            policy=policy_content(table["rule"]),
            receivers=frozenset(policy_content(link["rule"]).get("allowedResultReceivers", ())),
            not_ready=tuple(reason["code"] for reason in reasons(table, link, "DIRECT_ANALYSIS")),
        )

    # -- one query

    def payer(self, collaboration: Record, runner: str, chosen: str | None) -> str:
        """Find who pays for a query; the payer must have joined."""
        members = collaboration["members"]
        able = [
            account for account, one in members.items() if one["paymentConfiguration"]["queryCompute"]["isResponsible"]
        ]
        if chosen is not None and chosen not in able:
            raise invalid(f"queryComputePayerAccountId: {chosen} does not pay for query compute in this collaboration")
        payer = chosen or (runner if runner in able else able[0] if len(able) == 1 else None)
        if payer is None:
            raise invalid(f"queryComputePayerAccountId: choose one of {', '.join(able) or 'no member at all'}")
        if members[payer]["status"] != "ACTIVE":
            raise invalid(f"the member who pays for query compute, {payer}, is not active in the collaboration")
        return payer

    def deliveries(
        self, call: Call, collaboration: Record, plan: queries.Plan, result: Record, tables: Iterable[queries.RoomTable]
    ) -> list[Delivery]:
        """Find where results go, and refuse receivers and buckets that may not have them."""
        output = result.get("outputConfiguration", {})
        places = output["distribute"]["locations"] if "distribute" in output else [output]
        if not output or "intermediateTable" in output or sum("s3" in place for place in places) > 1:
            raise invalid("resultConfiguration: name one s3 output, a member, or distribute with at most one s3 output")
        found = [self.delivery(call, collaboration, place) for place in places]
        sources = self.source_buckets(tables)
        for delivery in found:
            member = collaboration["members"].get(delivery.account, {})
            if "CAN_RECEIVE_RESULTS" not in member.get("abilities", ()) or member["status"] != "ACTIVE":
                raise invalid(f"account {delivery.account} is not an active member who can receive results")
            for table, _ in plan.reads:
                if delivery.account not in table.receivers:
                    raise invalid(
                        f"account {delivery.account} is not among allowedResultReceivers of table {table.name}"
                    )
            bucket = delivery.s3["bucket"]
            if bucket in sources:
                raise invalid(
                    f"bucket {bucket} holds source data of this collaboration; results need a bucket of their own"
                )
            try:
                client = self.aws.client("s3", delivery.writer)
                region = client.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
                client.head_bucket(Bucket=bucket)
            except ClientError as error:
                raise invalid(
                    f"bucket {bucket} cannot be written by account {delivery.account}: {code_of(error)}"
                ) from error
            if region not in collaboration.get("allowedResultRegions", [region]):
                raise invalid(f"bucket {bucket} is in {region}, which is not among allowedResultRegions")
        return found

    def delivery(self, call: Call, collaboration: Record, place: Record) -> Delivery:
        """Read one output: the runner's own S3 place, or what another member set as its default."""
        if "s3" in place:
            return Delivery(call.account, place["s3"], call.caller, is_runner=True)
        account = place["member"]["accountId"]
        member = collaboration["members"].get(account, {})
        default = self.memberships.get(member.get("membershipId") or "", {}).get("defaultResultConfiguration", {})
        if "roleArn" not in default:
            raise invalid(f"account {account} has no default result configuration with a role to write results")
        return Delivery(account, default["outputConfiguration"]["s3"], self.role(default["roleArn"]), is_runner=False)

    def role(self, role_arn: str) -> Credential:
        """Assume a role as Clean Rooms."""
        try:
            return assume_for_service(self.aws, role_arn, "cleanrooms")
        except AwsError as error:
            raise invalid(error.message) from error

    def source_buckets(self, tables: Iterable[queries.RoomTable]) -> set[str]:
        """Buckets that hold data of the collaboration's tables."""
        buckets = set()
        for table in tables:
            try:
                client = self.aws.client("glue", self.aws.keys[table.owner])
                found = client.get_table(DatabaseName=table.database, Name=table.glue_table)["Table"]
            except ClientError:
                continue  # the table is gone: a query that names it fails with RESOURCE_NOT_FOUND
            buckets.add(bucket_and_prefix(found.get("StorageDescriptor", {}).get("Location", ""))[0])
        return buckets

    def run_query(self, query: Record, plan: queries.Plan, deliveries: list[Delivery]) -> None:
        """Run a query to its end, in its own thread; whatever happens becomes a status."""
        began = time.monotonic()
        outcome: Record
        with self.lock:
            if not query["stop"].is_set():
                query["status"] = "STARTED"
        try:
            with tempfile.TemporaryDirectory(prefix="protected-query-") as folder:
                outcome = {
                    "status": "SUCCESS",
                    "result": {"output": self.produce(query, plan, deliveries, Path(folder), began)},
                }
        except Exception as error:  # the thread ends here: every error becomes a status
            if query["stop"].is_set():
                outcome = {"status": "CANCELLED"}
            elif time.monotonic() - began > queries.RUN_TIME_LIMIT_SECONDS:
                outcome = {"status": "TIMED_OUT"}
            else:
                code, message = failure(error)
                outcome = {
                    "status": "FAILED",
                    "error": {"code": code, "message": message, "retry": {"retryable": False}},
                }
        seconds = time.monotonic() - began
        units = queries.crpu_hours(query["computeConfiguration"] or {}, seconds)
        statistics = {"totalDurationInMillis": int(1000 * seconds), "billedResourceUtilization": {"units": units}}
        with self.lock:
            query.update(outcome, statistics=statistics)
        logger.info("protected query %s: %s", query["id"], query["status"])

    def produce(
        self, query: Record, plan: queries.Plan, deliveries: list[Delivery], folder: Path, began: float
    ) -> Record:
        """Load the tables, run the plan, write and upload the result; return the output to report."""
        engine = queries.Engine(folder)
        with engine.interruptible(query["stop"], began + queries.RUN_TIME_LIMIT_SECONDS):
            for table, columns in plan.reads:
                engine.load(table, columns, self.sources(table, folder, query["stop"]))
            engine.seal()
            rows = engine.batches(plan)
            parts = [
                queries.PartFiles(
                    folder / str(index), one.s3["resultFormat"], one.s3.get("singleFileOutput", False), rows.schema
                )
                for index, one in enumerate(deliveries)
            ]
            for batch in rows:
                for part in parts:
                    part.write(batch)
        if query["stop"].is_set():
            raise queries.QueryCancelled
        own: Record = {}
        others = []
        for delivery, part in zip(deliveries, parts, strict=True):
            prefix = "/".join(piece for piece in (delivery.s3.get("keyPrefix", "").strip("/"), query["id"]) if piece)
            client = self.aws.client("s3", delivery.writer)
            for file in part.close():
                client.upload_file(str(file), delivery.s3["bucket"], f"{prefix}/{file.name}")
            if delivery.is_runner:
                own = {"s3": {"location": f"s3://{delivery.s3['bucket']}/{prefix}/"}}
            else:
                others.append({"accountId": delivery.account})
        if own and others:
            return {"distribute": own | {"memberList": others}}
        return own or {"memberList": others}

    def sources(self, table: queries.RoomTable, folder: Path, stop: threading.Event) -> Iterator[queries.Source]:
        """Fetch a table's files partition by partition, as the association's role; each is gone after its turn."""
        credential = assume_for_service(self.aws, table.role_arn, "cleanrooms")
        glue = self.aws.client("glue", credential)
        found = glue.get_table(DatabaseName=table.database, Name=table.glue_table)["Table"]
        storage = found.get("StorageDescriptor", {})
        if (
            "parquet" not in storage.get("InputFormat", "").lower()
            and found.get("Parameters", {}).get("classification") != "parquet"
        ):
            raise queries.QueryFailed(
                "INVALID_RESOURCE", f"table {table.name}: the embedded AWS reads Parquet tables only"
            )
        keys = [key["Name"].lower() for key in found.get("PartitionKeys", [])]
        places: list[tuple[str, dict[str, Any]]] = [(storage.get("Location", ""), {})]
        if keys:
            pages = glue.get_paginator("get_partitions").paginate(
                DatabaseName=table.database, TableName=table.glue_table
            )
            partitions = [partition for answer in pages for partition in answer["Partitions"]]
            places = [
                (one["StorageDescriptor"]["Location"], dict(zip(keys, one["Values"], strict=True)))
                for one in partitions
            ]
        if not places:
            raise queries.QueryFailed("INVALID_RESOURCE", f"table {table.name}: no partition is registered in Glue")
        s3 = self.aws.client("s3", credential)
        for location, partition in places:
            bucket, prefix = bucket_and_prefix(location)
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            objects = [
                one
                for answer in pages
                for one in answer.get("Contents", [])
                if one["Size"] and not hidden(one["Key"], prefix)
            ]
            if not objects:
                which = (
                    f"partition {'/'.join(f'{key}={value}' for key, value in partition.items())}"
                    if partition
                    else "the table"
                )
                raise queries.QueryFailed(
                    "INVALID_RESOURCE", f"table {table.name}: {which} has no data files at its location"
                )
            files = []
            for index, one in enumerate(sorted(objects, key=lambda item: str(item["Key"]))):
                if stop.is_set():
                    raise queries.QueryCancelled
                files.append(folder / f"{table.name}-{index}.parquet".replace("/", "_"))
                s3.download_file(bucket, one["Key"], str(files[-1]))
            yield queries.Source(tuple(files), partition)
            for file in files:
                file.unlink()


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def owned(records: Mapping[str, Record], kind: str, call: Call, identifier: str) -> Record:
    """Find a record of the caller's account; others' look as if they were not there."""
    found = records.get(identifier)
    if found is None or found["account"] != call.account:
        raise not_found(kind, identifier)
    return found


def rule_of(record: Record, rule_type: str) -> Record:
    """Return the rule of a table or an association, if it has the type asked for."""
    rule: Record | None = record["rule"]
    if rule is None or rule["type"] != rule_type:
        raise not_found(record["kind"], record["id"], f"{rule_type} analysis rule")
    return rule


def each(
    wanted: list[Any], find: Callable[[Any], Record], name: Callable[[Any], str]
) -> tuple[list[Record], list[dict[str, str]]]:
    """Find several things; what is not there becomes an error entry."""
    found, errors = [], []
    for one in wanted:
        try:
            found.append(find(one))
        except AwsError as error:
            errors.append({"name": name(one), "code": error.code, "message": error.message})
    return found, errors


def bucket_and_prefix(location: str) -> tuple[str, str]:
    """Split an S3 location; the prefix is a folder."""
    bucket, _, prefix = re.sub(r"^s3[an]?://", "", location).partition("/")
    return bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""


def hidden(key: str, prefix: str) -> bool:
    """Spark leaves out files and folders whose name begins with a dot or an underscore."""
    return any(part.startswith((".", "_")) for part in key[len(prefix) :].split("/"))


def code_of(error: ClientError) -> str:
    """Error code of an AWS answer."""
    return str(error.response["Error"]["Code"])


def failure(error: Exception) -> tuple[str, str]:
    """Error code and message of a run-time error, for the runner: no path and no value of the other party."""
    if isinstance(error, ClientError) and code_of(error) in DENIED:
        return "RESOURCE_ACCESS_DENIED", "one or more tables or the result bucket are not accessible by their role"
    if isinstance(error, ClientError) and code_of(error) in MISSING:
        return "RESOURCE_NOT_FOUND", "a Glue table or bucket that the query needs does not exist"
    if isinstance(error, AwsError):
        return "RESOURCE_ACCESS_DENIED", "one or more tables are not accessible by their service role"
    return queries.failure(error)
