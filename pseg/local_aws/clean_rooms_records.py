"""What all Clean Rooms modules share: errors, input checked by botocore's model, answers, and both accounts' state.

State is in memory, under one lock; every finder shows a caller its own account's things alone.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model

from pseg.local_aws.cloudwatch_logs import JobLogs
from pseg.local_aws.session import Credential
from pseg.local_aws.sts import account_of, assume_for_service
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws, outside_model

Record = dict[str, Any]  # a resource: the members of its API shapes, and what only we need to know

QUOTAS = {  # User Guide, "Quotas"
    "Allowed columns per configured table": 100,
    "Configured tables per account": 250,
    "Configured table associations per membership": 100,
    "Analysis templates per membership": 100,
    "Concurrent queries in progress per membership": 5,
}
KINDS = {"configuredtable": "CONFIGURED_TABLE", "configuredtableassociation": "CONFIGURED_TABLE_ASSOCIATION"}
RUNNING = ("SUBMITTED", "STARTED", "CANCELLING")


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


def within_quota(name: str, used: Sized) -> None:
    """Refuse one more when the quota is used up."""
    if len(used) >= QUOTAS[name]:
        raise AwsError(
            "ServiceQuotaExceededException", f"{name}: {QUOTAS[name]}", quotaName=name, quotaValue=QUOTAS[name]
        )


def check_input(shape: Any, parameters: Record) -> None:
    """Hold parameters against the service's model: types, required members, enums, patterns and lengths."""
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise invalid(report.generate_report(), "FIELD_VALIDATION_FAILED")
    if problems := [{"name": path, "message": rule} for path, _, rule in outside_model(shape, parameters)]:
        text = "; ".join(f"{problem['name']}: {problem['message']}" for problem in problems)
        raise invalid(text, "FIELD_VALIDATION_FAILED", fieldList=problems)


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


def policy_content(rule: Mapping[str, Any] | None) -> Record:
    """Read what a rule says, below its version and type."""
    return dict(next(iter(rule["policy"]["v1"].values()))) if rule else {}


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def having(records: Mapping[str, Record], **members: Any) -> list[Record]:
    """List the records whose members have these values."""
    return [one for one in records.values() if all(one[name] == value for name, value in members.items())]


def check_no_parts(kind: str, identifier: str, parts: Mapping[str, list[str]]) -> None:
    """Refuse to delete what still has parts; ``parts`` says of each kind which."""
    for what, names in parts.items():
        if names:
            raise conflict(kind, identifier, "SUBRESOURCES_EXIST", f"{kind} still has {what}: {', '.join(names)}")


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


@dataclass
class State:
    """What both accounts have in Clean Rooms, and the ways to find it; a method named as an operation answers it."""

    aws: EmbeddedAws
    logs: JobLogs
    lock: threading.RLock = field(default_factory=threading.RLock)
    collaborations: dict[str, Record] = field(default_factory=dict)
    memberships: dict[str, Record] = field(default_factory=dict)
    tables: dict[str, Record] = field(default_factory=dict)
    links: dict[str, Record] = field(default_factory=dict)  # configured table associations
    templates: dict[str, Record] = field(default_factory=dict)
    budgets: dict[str, Record] = field(default_factory=dict)  # privacy budget templates, with what is spent
    runs: dict[str, Record] = field(default_factory=dict)

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

    def part(self, records: Mapping[str, Record], call: Call, given: Record, key: str) -> Record:
        """Find a query or a template of the caller's membership by the id that ``key`` holds."""
        membership, found = self.membership(call, given), records.get(given[key])
        if found is None or found["membershipId"] != membership["id"]:
            raise AwsError(
                "ResourceNotFoundException", f"no such {key.removesuffix('Identifier')}", resourceId=given[key]
            )
        return found

    def running(self) -> dict[str, Record]:
        """Find the queries that have not ended."""
        return {key: one for key, one in list(self.runs.items()) if one["status"] in RUNNING}

    def by_arn(self, call: Call, given: Record) -> Record:
        """Find a resource of the caller's account by its ARN."""
        for records in (self.collaborations, self.memberships, self.tables, self.links):
            for record in records.values():
                if record["arn"] == given["resourceArn"] and record["account"] == call.account:
                    return record
        raise AwsError("ResourceNotFoundException", "no such resource", resourceId=given["resourceArn"])

    def links_in(self, collaboration_id: str) -> list[Record]:
        """Associations in a collaboration, of all its members."""
        members = having(self.memberships, collaborationId=collaboration_id)
        return [one for member in members for one in having(self.links, membershipId=member["id"])]

    def link_named(self, collaboration: Record, name: str) -> tuple[Record, Record]:
        """Find an association by its SQL name, with its configured table."""
        for link in self.links_in(collaboration["id"]):
            if link["name"].lower() == name.lower():
                return link, self.tables[link["configuredTableId"]]
        raise not_found("CONFIGURED_TABLE_ASSOCIATION", name)

    def check_role(self, call: Call, role_arn: str) -> None:
        """Refuse a role of another account, one that does not exist, and one that Clean Rooms may not assume."""
        if account_of(role_arn) != call.account:
            raise denied(f"roleArn: {role_arn} is not a role of account {call.account}")
        self.role(role_arn)

    def role(self, role_arn: str) -> Credential:
        """Assume a role as Clean Rooms."""
        try:
            return assume_for_service(self.aws, role_arn, "cleanrooms")
        except AwsError as error:
            raise invalid(f"roleArn: {error.message}") from error
