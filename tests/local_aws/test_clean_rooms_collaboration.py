"""Collaborations and memberships: who may see, join, query, pay and leave."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config

from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from pseg.local_aws.wire import EmbeddedAws

from .two_parties import Clients, refused

UNKNOWN = "00000000-0000-4000-8000-000000000000"
PARTNER = {"accountId": PARTNER_ACCOUNT, "memberAbilities": [], "displayName": "partner"}


def create(clients: Clients, **changes: Any) -> dict[str, Any]:
    """Create a collaboration of brand and partner."""
    given = {
        "name": "shared",
        "creatorDisplayName": "brand",
        "creatorMemberAbilities": ["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        "members": [PARTNER],
        "queryLogStatus": "DISABLED",
    }
    found: dict[str, Any] = clients("cleanrooms").create_collaboration(**given | changes)["collaboration"]
    return found


def join(clients: Clients, collaboration: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Join a collaboration."""
    given = {"collaborationIdentifier": collaboration["id"], "queryLogStatus": "DISABLED"}
    found: dict[str, Any] = clients("cleanrooms").create_membership(**given | changes)["membership"]
    return found


def test_both_accounts_see_the_collaboration_each_in_its_own_state(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand, description="a room")
    key = {"collaborationIdentifier": collaboration["id"]}
    assert collaboration["creatorAccountId"] == BRAND_ACCOUNT
    assert collaboration["arn"] == f"arn:aws:cleanrooms:us-east-1:{BRAND_ACCOUNT}:collaboration/{collaboration['id']}"
    assert partner("cleanrooms").get_collaboration(**key)["collaboration"]["memberStatus"] == "INVITED"
    membership = join(partner, collaboration)
    seen = partner("cleanrooms").get_collaboration(**key)["collaboration"]
    assert (seen["memberStatus"], seen["membershipId"], seen["description"]) == ("ACTIVE", membership["id"], "a room")
    assert brand("cleanrooms").get_collaboration(**key)["collaboration"]["memberStatus"] == "INVITED"


def test_list_collaborations_filters_by_member_status(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand)
    join(brand, collaboration)

    def listed(clients: Clients, **status: str) -> set[str]:
        pages = (
            clients("cleanrooms")
            .get_paginator("list_collaborations")
            .paginate(PaginationConfig={"PageSize": 2}, **status)
        )
        return {one["id"] for page in pages for one in page["collaborationList"]}

    for clients, own, other in ((brand, "ACTIVE", "INVITED"), (partner, "INVITED", "ACTIVE")):
        assert collaboration["id"] in listed(clients)
        assert collaboration["id"] in listed(clients, memberStatus=own)
        assert collaboration["id"] not in listed(clients, memberStatus=other)


def test_members_have_the_abilities_that_the_collaboration_gave_them(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand)
    assert join(brand, collaboration)["memberAbilities"] == ["CAN_QUERY", "CAN_RECEIVE_RESULTS"]
    assert join(partner, collaboration)["memberAbilities"] == []
    members = partner("cleanrooms").list_members(collaborationIdentifier=collaboration["id"])["memberSummaries"]
    assert [(one["accountId"], one["status"], one["displayName"]) for one in members] == [
        (BRAND_ACCOUNT, "ACTIVE", "brand"),
        (PARTNER_ACCOUNT, "ACTIVE", "partner"),
    ]
    assert [one["paymentConfiguration"]["queryCompute"]["isResponsible"] for one in members] == [True, False]


def test_account_that_is_not_invited_is_denied_everything(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand, members=[])
    key = {"collaborationIdentifier": collaboration["id"]}
    rooms = partner("cleanrooms")
    for call in (rooms.get_collaboration, rooms.delete_collaboration, rooms.list_members, rooms.list_schemas):
        with refused("AccessDeniedException", reason="INSUFFICIENT_PERMISSIONS"):
            call(**key)
    with refused("AccessDeniedException"):
        join(partner, collaboration)
    assert collaboration["id"] not in {one["id"] for one in rooms.list_collaborations()["collaborationList"]}


def test_unknown_collaboration_is_access_denied_and_unknown_membership_not_found(brand: Clients) -> None:
    with refused("AccessDeniedException"):
        brand("cleanrooms").get_collaboration(collaborationIdentifier=UNKNOWN)
    with refused("ResourceNotFoundException", UNKNOWN):
        brand("cleanrooms").get_membership(membershipIdentifier=UNKNOWN)


def test_second_membership_of_an_account_conflicts(brand: Clients) -> None:
    collaboration = create(brand)
    join(brand, collaboration)
    with refused("ConflictException", "already", "ALREADY_EXISTS"):
        join(brand, collaboration)


def test_membership_is_visible_to_its_own_account_only(brand: Clients, partner: Clients) -> None:
    membership = join(partner, create(brand))
    key = {"membershipIdentifier": membership["id"]}
    assert partner("cleanrooms").get_membership(**key)["membership"]["status"] == "ACTIVE"
    with refused("ResourceNotFoundException"):
        brand("cleanrooms").get_membership(**key)
    listed = partner("cleanrooms").list_memberships(status="ACTIVE")["membershipSummaries"]
    assert membership["id"] in {one["id"] for one in listed}
    assert partner("cleanrooms").list_memberships(status="REMOVED")["membershipSummaries"] == []


@pytest.mark.parametrize("accepted", [None, False], ids=["silent", "declined"])
def test_payer_who_cannot_query_must_accept_to_pay(brand: Clients, partner: Clients, accepted: bool | None) -> None:
    payer = PARTNER | {"paymentConfiguration": {"queryCompute": {"isResponsible": True}}}
    collaboration = create(brand, members=[payer])
    given = {} if accepted is None else {"paymentConfiguration": {"queryCompute": {"isResponsible": accepted}}}
    with refused("ValidationException", "paymentConfiguration", "INVALID_CONFIGURATION"):
        join(partner, collaboration, **given)
    paid = join(partner, collaboration, paymentConfiguration={"queryCompute": {"isResponsible": True}})
    assert paid["paymentConfiguration"]["queryCompute"]["isResponsible"] is True
    assert join(brand, collaboration)["paymentConfiguration"]["queryCompute"]["isResponsible"] is False


def test_member_who_is_not_to_pay_cannot_accept_to_pay(brand: Clients, partner: Clients) -> None:
    with refused("ValidationException", "paymentConfiguration"):
        join(partner, create(brand), paymentConfiguration={"queryCompute": {"isResponsible": True}})


def test_query_waits_for_its_payer_to_join(brand: Clients, partner: Clients) -> None:
    payer = PARTNER | {"paymentConfiguration": {"queryCompute": {"isResponsible": True}}}
    membership = join(brand, create(brand, members=[payer]))
    with refused("ValidationException", "is not active"):
        brand("cleanrooms").start_protected_query(
            type="SQL", membershipIdentifier=membership["id"], sqlParameters={"queryString": "SELECT 1"}
        )


def test_only_receivers_may_set_a_default_result_configuration(brand: Clients, partner: Clients) -> None:
    output = {"outputConfiguration": {"s3": {"bucket": "anything", "resultFormat": "CSV"}}}
    collaboration = create(brand)
    with refused("ValidationException", "cannot receive results"):
        join(partner, collaboration, defaultResultConfiguration=output)
    assert join(brand, collaboration, defaultResultConfiguration=output)["defaultResultConfiguration"] == output


def test_only_the_creator_deletes_and_then_memberships_say_so(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand)
    ours, theirs = join(brand, collaboration), join(partner, collaboration)
    key = {"collaborationIdentifier": collaboration["id"]}
    with refused("AccessDeniedException", "only its creator"):
        partner("cleanrooms").delete_collaboration(**key)
    with refused("ConflictException", "before the collaboration", "INVALID_STATE"):
        brand("cleanrooms").delete_membership(membershipIdentifier=ours["id"])
    brand("cleanrooms").delete_collaboration(**key)
    for clients, membership in ((brand, ours), (partner, theirs)):
        rooms, own = clients("cleanrooms"), {"membershipIdentifier": membership["id"]}
        assert rooms.get_membership(**own)["membership"]["status"] == "COLLABORATION_DELETED"
        with refused("AccessDeniedException"):
            rooms.get_collaboration(**key)
        with refused("AccessDeniedException", "COLLABORATION_DELETED"):
            rooms.start_protected_query(type="SQL", sqlParameters={"queryString": "SELECT 1"}, **own)
        rooms.delete_membership(**own)
        with refused("ResourceNotFoundException"):
            rooms.get_membership(**own)


def test_member_who_left_is_marked_and_cannot_come_back(brand: Clients, partner: Clients) -> None:
    collaboration = create(brand)
    membership = join(partner, collaboration)
    partner("cleanrooms").delete_membership(membershipIdentifier=membership["id"])
    members = brand("cleanrooms").list_members(collaborationIdentifier=collaboration["id"])["memberSummaries"]
    assert [one["status"] for one in members if one["accountId"] == PARTNER_ACCOUNT] == ["LEFT"]
    with refused("AccessDeniedException"):
        join(partner, collaboration)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"members": [PARTNER, PARTNER]}, "named twice"),
        ({"members": [PARTNER | {"accountId": BRAND_ACCOUNT}]}, "creator"),
        ({"analyticsEngine": "CLEAN_ROOMS_SQL"}, "retired"),
    ],
    ids=["member twice", "creator as member", "old engine"],
)
def test_impossible_collaboration_is_refused(brand: Clients, changes: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text, "INVALID_CONFIGURATION"):
        create(brand, **changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"creatorMemberAbilities": ["CAN_DANCE"]}, "creatorMemberAbilities.1.member"),
        ({"queryLogStatus": "MAYBE"}, "queryLogStatus"),
        ({"name": "x" * 101}, "name"),
        ({"name": "  "}, "name"),
        ({"members": [PARTNER | {"accountId": "12345678901x"}]}, "members.1.member.accountId"),
        ({"tags": {"k" * 129: "v"}}, "tags.key"),
    ],
    ids=["enum in list", "enum", "too long", "blank", "pattern", "map key"],
)
def test_input_outside_the_model_is_refused_with_the_field(brand: Clients, changes: dict[str, Any], field: str) -> None:
    with refused("ValidationException", field, "FIELD_VALIDATION_FAILED"):
        create(brand, **changes)


def test_missing_and_mistyped_members_are_refused_by_the_server_too(aws: EmbeddedAws) -> None:
    key = aws.keys[BRAND_ACCOUNT]
    unchecked = aws.boto3_session.client(
        "cleanrooms",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        endpoint_url=aws.endpoint,
        config=Config(parameter_validation=False),
    )
    with refused("ValidationException", "creatorDisplayName", "FIELD_VALIDATION_FAILED"):
        unchecked.create_collaboration(name="x", members=[], creatorMemberAbilities=[], queryLogStatus="DISABLED")
    with refused("ValidationException", "outputConfiguration", "FIELD_VALIDATION_FAILED"):
        unchecked.create_membership(
            collaborationIdentifier=UNKNOWN, queryLogStatus="DISABLED", defaultResultConfiguration={"roleArn": "x"}
        )


def test_names_may_hold_any_script(brand: Clients) -> None:
    assert create(brand, name="Zürich ☕ 😀")["name"] == "Zürich ☕ 😀"


def test_next_token_of_another_kind_is_refused(brand: Clients) -> None:
    with refused("ValidationException", "nextToken"):
        brand("cleanrooms").list_collaborations(nextToken="made-up")


def test_tags_are_kept_with_their_resource(brand: Clients, partner: Clients) -> None:
    arn = create(brand, tags={"team": "growth"})["arn"]
    rooms = brand("cleanrooms")
    rooms.tag_resource(resourceArn=arn, tags={"stage": "test"})
    assert rooms.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "growth", "stage": "test"}
    rooms.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert rooms.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "test"}
    with refused("ResourceNotFoundException"):
        partner("cleanrooms").list_tags_for_resource(resourceArn=arn)


def test_operation_that_is_not_provided_is_refused_by_name(brand: Clients) -> None:
    with refused("UnsupportedOperation", "cleanrooms:ListIdMappingTables"):
        brand("cleanrooms").list_id_mapping_tables(membershipIdentifier=UNKNOWN)
