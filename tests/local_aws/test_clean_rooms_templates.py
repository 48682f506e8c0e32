"""Analysis templates: kept by their maker, read by every member, checked when they are made, and never changed."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from pseg.local_aws import clean_rooms_records
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

from .two_parties import QUERY, Clients, Party, Room, open_room, refused

NUMBERS = itertools.count()
WITH_PARAMETER = f"{QUERY} WHERE p.age >= :least"


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    return open_room(brand, partner)


def create(party: Party, text: str = QUERY, **changes: Any) -> dict[str, Any]:
    """Make a template in a party's membership."""
    given = {
        "membershipIdentifier": party.membership,
        "name": f"template-{next(NUMBERS)}",
        "format": "SQL",
        "source": {"text": text},
    }
    made: dict[str, Any] = party.clients("cleanrooms").create_analysis_template(**given | changes)["analysisTemplate"]
    return made


def key(party: Party, template: dict[str, Any]) -> dict[str, str]:
    """What names a template to the party that made it."""
    return {"membershipIdentifier": party.membership, "analysisTemplateIdentifier": template["id"]}


def test_template_is_kept_described_listed_and_deleted(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    least = [{"name": "least", "type": "INTEGER", "defaultValue": "18"}]
    made = create(room.brand, WITH_PARAMETER, name="adults", description="of age", analysisParameters=least)
    arn = (
        f"arn:aws:cleanrooms:us-east-1:{BRAND_ACCOUNT}:membership/{room.brand.membership}/analysistemplate/{made['id']}"
    )
    assert made["arn"] == arn
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])
    assert made["schema"] == {"referencedTables": ["match_keys", "people"]}
    assert (made["source"], made["analysisParameters"]) == ({"text": WITH_PARAMETER}, least)
    assert (made["collaborationId"], made["membershipId"]) == (room.id, room.brand.membership)
    assert rooms.get_analysis_template(**key(room.brand, made))["analysisTemplate"] == made
    changed = rooms.update_analysis_template(**key(room.brand, made), description="grown up")["analysisTemplate"]
    assert (changed["description"], changed["source"]) == ("grown up", made["source"])
    assert changed["updateTime"] > made["updateTime"]
    pages = rooms.get_paginator("list_analysis_templates").paginate(
        membershipIdentifier=room.brand.membership, PaginationConfig={"PageSize": 1}
    )
    listed = {one["id"]: one["description"] for page in pages for one in page["analysisTemplateSummaries"]}
    assert listed[made["id"]] == "grown up"
    rooms.delete_analysis_template(**key(room.brand, made))
    for call in (rooms.get_analysis_template, rooms.update_analysis_template, rooms.delete_analysis_template):
        with refused("ResourceNotFoundException", "analysisTemplate"):
            call(**key(room.brand, made))


def test_every_member_reads_it_and_nobody_else_changes_it(room: Room) -> None:
    made, rooms = create(room.brand), room.partner.clients("cleanrooms")
    seen = rooms.get_collaboration_analysis_template(collaborationIdentifier=room.id, analysisTemplateArn=made["arn"])[
        "collaborationAnalysisTemplate"
    ]
    assert (seen["source"], seen["creatorAccountId"]) == (made["source"], BRAND_ACCOUNT)
    listed = rooms.list_collaboration_analysis_templates(collaborationIdentifier=room.id)
    names = {one["arn"]: one["name"] for one in listed["collaborationAnalysisTemplateSummaries"]}
    assert names[made["arn"]] == made["name"]
    missing = made["arn"].replace(made["id"], room.id)
    answer = rooms.batch_get_collaboration_analysis_template(
        collaborationIdentifier=room.id, analysisTemplateArns=[made["arn"], missing]
    )
    assert [one["id"] for one in answer["collaborationAnalysisTemplates"]] == [made["id"]]
    assert [(one["arn"], one["code"]) for one in answer["errors"]] == [(missing, "ResourceNotFoundException")]
    with refused("ResourceNotFoundException"):
        rooms.get_collaboration_analysis_template(collaborationIdentifier=room.id, analysisTemplateArn=missing)
    for membership in (room.brand.membership, room.partner.membership):
        with refused("ResourceNotFoundException"):
            rooms.delete_analysis_template(membershipIdentifier=membership, analysisTemplateIdentifier=made["id"])
    own = rooms.list_analysis_templates(membershipIdentifier=room.partner.membership)["analysisTemplateSummaries"]
    assert made["id"] not in {one["id"] for one in own}


def test_template_is_seen_in_its_own_collaboration_only(brand: Clients, room: Room) -> None:
    made, rooms = create(room.brand), brand("cleanrooms")
    other = rooms.create_collaboration(
        name="other",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[{"accountId": PARTNER_ACCOUNT, "memberAbilities": [], "displayName": "partner"}],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    rooms.create_membership(collaborationIdentifier=other, queryLogStatus="DISABLED")
    assert not rooms.list_collaboration_analysis_templates(collaborationIdentifier=other)[
        "collaborationAnalysisTemplateSummaries"
    ]
    with refused("ResourceNotFoundException", made["arn"]):
        rooms.get_collaboration_analysis_template(collaborationIdentifier=other, analysisTemplateArn=made["arn"])
    with refused("AccessDeniedException", reason="INSUFFICIENT_PERMISSIONS"):  # invited, but has not joined
        room.partner.clients("cleanrooms").list_collaboration_analysis_templates(collaborationIdentifier=other)


def test_name_is_unique_within_the_membership(room: Room) -> None:
    create(room.brand, name="only one")
    create(room.partner, name="only one")
    with refused("ConflictException", "only one", "ALREADY_EXISTS"):
        create(room.brand, name="only one")


def test_membership_with_a_template_is_not_deleted(room: Room) -> None:
    made, rooms = create(room.partner), room.partner.clients("cleanrooms")
    link = {
        "membershipIdentifier": room.partner.membership,
        "configuredTableAssociationIdentifier": room.partner.association,
    }
    rooms.delete_configured_table_association_analysis_rule(**link, analysisRuleType="LIST")
    rooms.delete_configured_table_association(**link)
    try:
        with refused("ConflictException", made["id"], "SUBRESOURCES_EXIST"):
            rooms.delete_membership(membershipIdentifier=room.partner.membership)
    finally:
        room.partner.association = rooms.create_configured_table_association(
            name="people",
            membershipIdentifier=room.partner.membership,
            configuredTableIdentifier=room.partner.table,
            roleArn=room.partner.role,
        )["configuredTableAssociation"]["id"]


def test_templates_have_a_quota(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    create(room.brand)
    monkeypatch.setitem(clean_rooms_records.QUOTAS, "Analysis templates per membership", 1)
    with refused("ServiceQuotaExceededException", "Analysis templates"):
        create(room.brand)


def parameter(**changes: str) -> dict[str, Any]:
    """A query with one parameter."""
    return {"text": WITH_PARAMETER, "analysisParameters": [{"name": "least", "type": "INTEGER"} | changes]}


@pytest.mark.parametrize(
    ("given", "text", "reason"),
    [
        ({"text": "SELECT FROM WHERE"}, "sql-does-not-parse", "INVALID_QUERY"),
        ({"text": f"{QUERY}; {QUERY}"}, "several-statements", "INVALID_QUERY"),
        ({"text": "DROP TABLE people"}, "not-a-select", "INVALID_QUERY"),
        ({"text": "SELECT 1 AS one"}, "reads no table of the collaboration", "INVALID_QUERY"),
        ({"text": "SELECT a FROM nothing"}, "unknown-table", "INVALID_QUERY"),
        ({"text": "SELECT * FROM read_text('/etc/passwd')"}, "table-function", "INVALID_QUERY"),
        ({"text": WITH_PARAMETER}, ":least is not a parameter", "INVALID_QUERY"),
        ({"text": "SELECT age FROM :least"} | {"analysisParameters": []}, "parameter-place", "INVALID_QUERY"),
        (parameter() | {"text": "SELECT age FROM :least"}, "parameter-place", "INVALID_QUERY"),
        (parameter(defaultValue="many"), "least = 'many': not an INTEGER", "INVALID_QUERY"),
        (parameter(type="DATE", defaultValue="soon"), "least = 'soon': not a DATE", "INVALID_QUERY"),
        (parameter(type="GEOMETRY"), "analysisParameters.1.member.type", "FIELD_VALIDATION_FAILED"),
        (parameter(name="at-least"), "analysisParameters.1.member.name", "FIELD_VALIDATION_FAILED"),
        (
            {"analysisParameters": [{"name": "a", "type": "INT"}, {"name": "a", "type": "DATE"}]},
            "named twice",
            "INVALID_CONFIGURATION",
        ),
        ({"name": "-adults-"}, "name", "FIELD_VALIDATION_FAILED"),
        ({"name": "a" * 129}, "name", "FIELD_VALIDATION_FAILED"),
        ({"text": QUERY + " " * 500_000}, "source.text", "FIELD_VALIDATION_FAILED"),
        ({"format": "PYSPARK_1_0"}, "format SQL", "INVALID_CONFIGURATION"),
        ({"schema": {"referencedTables": ["people"]}}, "does not provide schema", "INVALID_CONFIGURATION"),
        ({"errorMessageConfiguration": {"type": "DETAILED"}}, "errorMessageConfiguration", "INVALID_CONFIGURATION"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_template_that_cannot_be_is_refused(room: Room, given: dict[str, Any], text: str, reason: str) -> None:
    with refused("ValidationException", text, reason):
        create(room.brand, given.pop("text", QUERY), **given)
