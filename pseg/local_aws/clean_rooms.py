"""AWS Clean Rooms for two accounts: collaborations, tables, analysis rules, schemas and protected queries.

Comes in: calls of either account. Goes out: answers shaped by botocore's own model. Refused: input that the model does
not allow, what the caller may not do, and whatever this embedded version does not run (by name, never in silence).
State is in memory, under one lock; a method named as an operation answers it.

Sources: AWS Clean Rooms User Guide and API Reference; names, enums and limits are botocore's model of 2022-02-17.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore import xform_name
from moto.core.utils import get_service_model

from pseg.local_aws.clean_rooms_records import (
    Record,
    State,
    check_input,
    check_no_parts,
    conflict,
    denied,
    having,
    invalid,
    now,
    page,
    view,
    without_nones,
)
from pseg.local_aws.clean_rooms_runs import Runs
from pseg.local_aws.cloudwatch_logs import JobLogs
from pseg.local_aws.wire import Call, EmbeddedAws


def install(aws: EmbeddedAws, logs: JobLogs) -> None:
    """Register the operations."""
    service = CleanRooms(aws, logs)
    for name in get_service_model("cleanrooms").operation_names:
        if hasattr(service, xform_name(name)):
            aws.operation("cleanrooms", name)(service.answering(name))
    aws.on_close.append(service.close)
    aws.busy_checks.append(lambda: bool(service.running()))


class Members(State):
    """Collaborations and memberships."""

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
        wanted = [given["memberStatus"]] if "memberStatus" in given else ["INVITED", "ACTIVE"]
        seen = [self.as_seen(call, one) for one in self.collaborations.values() if call.account in one["members"]]
        found = [one for one in seen if one["memberStatus"] in wanted]
        return page("collaborationList", "CollaborationSummary", found, given)

    def delete_collaboration(self, call: Call, given: Record) -> None:
        """Delete a collaboration; its memberships stay, marked, until their accounts delete them."""
        collaboration = self.collaboration(call, given)
        if collaboration["creatorAccountId"] != call.account:
            raise denied("only its creator can delete a collaboration")
        del self.collaborations[collaboration["id"]]
        for membership in having(self.memberships, collaborationId=collaboration["id"]):
            membership.update(status="COLLABORATION_DELETED", updateTime=now())
        for query in having(self.runs, collaborationId=collaboration["id"]):
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
            text = "this account has a membership already"
            raise conflict("MEMBERSHIP", member["membershipId"], "ALREADY_EXISTS", text)
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
        status = {"status": given["status"]} if "status" in given else {}
        own = having(self.memberships, account=call.account, **status)
        return page("membershipSummaries", "MembershipSummary", own, given)

    def delete_membership(self, call: Call, given: Record) -> None:
        """Leave a collaboration, for good (User Guide, "Leaving a collaboration")."""
        membership = self.membership(call, given)
        collaboration = self.collaborations.get(membership["collaborationId"])
        if collaboration and collaboration["creatorAccountId"] == call.account:
            text = "the creator's membership cannot be deleted before the collaboration"
            raise conflict("MEMBERSHIP", membership["id"], "INVALID_STATE", text)
        kinds = {"associations": self.links, "analysis templates": self.templates, "running queries": self.running()}
        kinds["a privacy budget template"] = self.budgets
        parts = {
            what: [one["id"] for one in having(all_of_them, membershipId=membership["id"])]
            for what, all_of_them in kinds.items()
        }
        check_no_parts("MEMBERSHIP", membership["id"], parts)
        del self.memberships[membership["id"]]
        if collaboration:
            member = collaboration["members"][call.account]
            member.update(status="LEFT", updateTime=now(), membershipId=None, membershipArn=None)


class CleanRooms(Members, Runs):
    """All operations: a method named as one takes the call and its checked input, and answers."""

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
