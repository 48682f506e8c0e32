"""Collaborations of two accounts and their memberships."""

from __future__ import annotations

from pseg.local_aws.clean_rooms_records import RUNNING, Record, State, conflict, denied, invalid, now, page, view
from pseg.local_aws.wire import Call


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
