"""What all Clean Rooms modules share: errors, input checked by botocore's model, answers, and both accounts' state.

State is in memory, under one lock; every finder shows a caller its own account's things alone.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.validate import ParamValidator
from moto.core.utils import get_service_model

from pseg.local_aws.session import Credential
from pseg.local_aws.sts import account_of, assume_for_service
from pseg.local_aws.wire import AwsError, Call, EmbeddedAws

Record = dict[str, Any]  # a resource: the members of its API shapes, and what only we need to know

QUOTAS = {  # User Guide, "Quotas"
    "Allowed columns per configured table": 100,
    "Configured tables per account": 250,
    "Configured table associations per membership": 100,
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


def policy_content(rule: Mapping[str, Any] | None) -> Record:
    """Read what a rule says, below its version and type."""
    return dict(next(iter(rule["policy"]["v1"].values()))) if rule else {}


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


@dataclass
class State:
    """What both accounts have in Clean Rooms, and the ways to find it; a method named as an operation answers it."""

    aws: EmbeddedAws
    lock: threading.RLock = field(default_factory=threading.RLock)
    collaborations: dict[str, Record] = field(default_factory=dict)
    memberships: dict[str, Record] = field(default_factory=dict)
    tables: dict[str, Record] = field(default_factory=dict)
    links: dict[str, Record] = field(default_factory=dict)  # configured table associations
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

    def role(self, role_arn: str) -> Credential:
        """Assume a role as Clean Rooms."""
        try:
            return assume_for_service(self.aws, role_arn, "cleanrooms")
        except AwsError as error:
            raise invalid(error.message) from error
