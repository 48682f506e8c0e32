"""Configured tables, associations, their rules, and the schemas that every member sees."""

from __future__ import annotations

from typing import Any

import pytest

from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

from .two_parties import PEOPLE, Clients, Room, make_glue_table, make_role, open_room, refused

UNKNOWN = "00000000-0000-4000-8000-000000000000"
LIST = {"joinColumns": ["hashed_id"], "listColumns": ["age", "city"]}
COLUMNS = ["hashed_id", "age", "city"]


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    return open_room(brand, partner)


def configure(room: Room, **changes: Any) -> dict[str, Any]:
    """Make another configured table of the partner."""
    given = {
        "name": "people",
        "tableReference": {"glue": {"databaseName": "room", "tableName": "people"}},
        "allowedColumns": COLUMNS,
        "analysisMethod": "DIRECT_QUERY",
    }
    made: dict[str, Any] = room.partner.clients("cleanrooms").create_configured_table(**given | changes)[
        "configuredTable"
    ]
    return made


def associate(room: Room, name: str, table: str, **changes: Any) -> str:
    """Associate a configured table of the partner."""
    given = {
        "name": name,
        "membershipIdentifier": room.partner.membership,
        "configuredTableIdentifier": table,
        "roleArn": room.partner.role,
    }
    made = room.partner.clients("cleanrooms").create_configured_table_association(**given | changes)
    return str(made["configuredTableAssociation"]["id"])


def rule(kind: str = "LIST", **policy: Any) -> dict[str, Any]:
    """The rule part of a call."""
    return {"analysisRuleType": kind, "analysisRulePolicy": {"v1": {kind.lower(): policy}}}


def status(room: Room, name: str, analysis: str = "DIRECT_ANALYSIS") -> list[str]:
    """Reason codes of a schema, as the brand sees them; ``["READY"]`` if there is none."""
    rooms = room.brand.clients("cleanrooms")
    schema = rooms.get_schema(collaborationIdentifier=room.id, name=name)["schema"]
    (detail,) = (one for one in schema["schemaStatusDetails"] if one["analysisType"] == analysis)
    assert (detail["status"] == "READY") == (not detail["reasons"])
    return [one["code"] for one in detail["reasons"]] or ["READY"]


# -- configured tables


def test_configured_table_is_kept_changed_listed_and_deleted(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    key = {"configuredTableIdentifier": configure(room, description="offered")["id"]}
    assert rooms.get_configured_table(**key)["configuredTable"]["description"] == "offered"
    changed = rooms.update_configured_table(**key, name="renamed", allowedColumns=["hashed_id", "age"])
    assert (changed["configuredTable"]["name"], changed["configuredTable"]["allowedColumns"]) == (
        "renamed",
        ["hashed_id", "age"],
    )
    pages = rooms.get_paginator("list_configured_tables").paginate(PaginationConfig={"PageSize": 1})
    listed = {one["id"]: one["name"] for page in pages for one in page["configuredTableSummaries"]}
    assert listed[key["configuredTableIdentifier"]] == "renamed"
    rooms.delete_configured_table(**key)
    with refused("ResourceNotFoundException", reason=None):
        rooms.get_configured_table(**key)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tableReference": {"glue": {"databaseName": "nowhere", "tableName": "people"}}}, "nowhere"),
        ({"tableReference": {"glue": {"databaseName": "room", "tableName": "nothing"}}}, "nothing"),
        ({"allowedColumns": ["hashed_id", "shoe_size"]}, "not in Glue table room.people: shoe_size"),
        ({"allowedColumns": ["age", "age"]}, "named twice"),
        ({"analysisMethod": "DIRECT_JOB"}, "SQL only"),
        (
            {"tableReference": {"athena": {"workGroup": "w", "databaseName": "room", "tableName": "people"}}},
            "Glue tables only",
        ),
        (
            {"tableReference": {"glue": {"databaseName": "room", "tableName": "people", "region": "eu-west-1"}}},
            "one region",
        ),
    ],
    ids=["database", "table", "column", "column twice", "jobs", "athena", "region"],
)
def test_configured_table_must_be_what_glue_says(room: Room, changes: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text, "INVALID_CONFIGURATION"):
        configure(room, **changes)


def test_column_name_in_upper_case_is_refused_by_the_model(room: Room) -> None:
    with refused("ValidationException", "allowedColumns.1.member", "FIELD_VALIDATION_FAILED"):
        configure(room, allowedColumns=["AGE"])


def test_more_than_100_columns_exceed_the_quota(room: Room) -> None:
    with refused("ServiceQuotaExceededException", "Allowed columns"):
        configure(room, allowedColumns=[f"c{index}" for index in range(101)])


def test_table_of_the_other_account_is_not_found(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    key = {"configuredTableIdentifier": room.partner.table}
    for call in (rooms.get_configured_table, rooms.delete_configured_table):
        with refused("ResourceNotFoundException"):
            call(**key)


# -- rules of tables


def test_rule_is_kept_changed_and_deleted(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    key = {"configuredTableIdentifier": configure(room)["id"]}
    made = rooms.create_configured_table_analysis_rule(**key, **rule(**LIST))["analysisRule"]
    assert (made["type"], made["policy"]) == ("LIST", {"v1": {"list": LIST}})
    assert rooms.get_configured_table(**key)["configuredTable"]["analysisRuleTypes"] == ["LIST"]
    smaller = LIST | {"listColumns": ["age"]}
    rooms.update_configured_table_analysis_rule(**key, **rule(**smaller))
    kept = rooms.get_configured_table_analysis_rule(**key, analysisRuleType="LIST")["analysisRule"]
    assert kept["policy"]["v1"]["list"] == smaller
    with refused("ResourceNotFoundException", "CUSTOM"):
        rooms.get_configured_table_analysis_rule(**key, analysisRuleType="CUSTOM")
    with refused("ConflictException", "an analysis rule", "SUBRESOURCES_EXIST"):
        rooms.delete_configured_table(**key)
    rooms.delete_configured_table_analysis_rule(**key, analysisRuleType="LIST")
    with refused("ResourceNotFoundException"):
        rooms.delete_configured_table_analysis_rule(**key, analysisRuleType="LIST")
    rooms.delete_configured_table(**key)


def test_table_has_one_rule(room: Room) -> None:
    with refused("ConflictException", reason="ALREADY_EXISTS"):
        room.partner.clients("cleanrooms").create_configured_table_analysis_rule(
            configuredTableIdentifier=room.partner.table, **rule("CUSTOM", allowedAnalyses=[])
        )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (rule(joinColumns=["hashed_id"], listColumns=["ssn"]), "not among the table's allowedColumns: ssn"),
        (rule(joinColumns=["hashed_id"], listColumns=["hashed_id"]), "in joinColumns and in listColumns"),
        (rule("CUSTOM", allowedAnalyses=[], disallowedOutputColumns=["ssn"]), "allowedColumns: ssn"),
        (rule(**LIST) | {"analysisRuleType": "CUSTOM"}, "analysisRuleType is CUSTOM"),
    ],
    ids=["list column", "join and list", "disallowed column", "another type"],
)
def test_rule_that_does_not_fit_its_table_is_refused(room: Room, given: dict[str, Any], text: str) -> None:
    key = {"configuredTableIdentifier": configure(room)["id"]}
    with refused("ValidationException", text, "INVALID_CONFIGURATION"):
        room.partner.clients("cleanrooms").create_configured_table_analysis_rule(**key, **given)


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (LIST | {"listColumns": ["Age"]}, "listColumns.1.member"),
        (LIST | {"allowedJoinOperators": ["XOR"]}, "allowedJoinOperators.1.member"),
        (LIST | {"additionalAnalyses": "SOMETIMES"}, "additionalAnalyses"),
    ],
    ids=["column name", "operator", "enum"],
)
def test_rule_outside_the_model_is_refused(room: Room, policy: dict[str, Any], field: str) -> None:
    key = {"configuredTableIdentifier": configure(room)["id"]}
    with refused("ValidationException", field, "FIELD_VALIDATION_FAILED"):
        room.partner.clients("cleanrooms").create_configured_table_analysis_rule(**key, **rule(**policy))


def test_columns_that_a_rule_names_stay_allowed(room: Room) -> None:
    with refused("ConflictException", "city", "INVALID_STATE"):
        room.partner.clients("cleanrooms").update_configured_table(
            configuredTableIdentifier=room.partner.table, allowedColumns=["hashed_id", "age"]
        )


# -- associations and their rules


def test_association_is_kept_changed_listed_and_deleted(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    table = configure(room)["id"]
    key = {
        "membershipIdentifier": room.partner.membership,
        "configuredTableAssociationIdentifier": associate(room, "kept", table),
    }
    other = make_role(room.partner.clients, "other-reader")
    rooms.update_configured_table_association(**key, description="changed", roleArn=other)
    found = rooms.get_configured_table_association(**key)["configuredTableAssociation"]
    assert (found["name"], found["description"], found["roleArn"]) == ("kept", "changed", other)
    listed = rooms.list_configured_table_associations(membershipIdentifier=room.partner.membership)
    assert "kept" in {one["name"] for one in listed["configuredTableAssociationSummaries"]}
    rooms.create_configured_table_analysis_rule(configuredTableIdentifier=table, **rule(**LIST))
    rooms.create_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=[]))
    with refused("ConflictException", "associations", "SUBRESOURCES_EXIST"):
        rooms.delete_configured_table(configuredTableIdentifier=table)
    with refused("ConflictException", "an analysis rule", "SUBRESOURCES_EXIST"):
        rooms.delete_configured_table_association(**key)
    with refused("ConflictException", "associations", "SUBRESOURCES_EXIST"):
        rooms.delete_membership(membershipIdentifier=room.partner.membership)
    rooms.delete_configured_table_association_analysis_rule(**key, analysisRuleType="LIST")
    rooms.delete_configured_table_association(**key)
    with refused("ResourceNotFoundException"):
        rooms.get_configured_table_association(**key)


def test_sql_name_is_unique_in_the_collaboration_whatever_its_case(room: Room) -> None:
    with refused("ConflictException", "match_keys", "ALREADY_EXISTS"):
        associate(room, "Match_Keys", configure(room)["id"])


def test_role_must_exist_trust_clean_rooms_and_be_of_the_own_account(room: Room) -> None:
    table = configure(room)["id"]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}}],
    }
    trust["Statement"][0]["Action"] = "sts:AssumeRole"  # type: ignore[index]
    for arn in (
        f"arn:aws:iam::{PARTNER_ACCOUNT}:role/no-such-role",
        make_role(room.partner.clients, "for-glue", trust),
    ):
        with refused("ValidationException", "roleArn", "INVALID_CONFIGURATION"):
            associate(room, "roleless", table, roleArn=arn)
    with refused("AccessDeniedException", "not a role of account"):
        associate(room, "roleless", table, roleArn=room.brand.role)


def test_association_needs_the_own_membership_and_the_own_table(room: Room) -> None:
    with refused("ResourceNotFoundException", "MEMBERSHIP"):
        associate(room, "stranger", room.partner.table, membershipIdentifier=room.brand.membership)
    with refused("ResourceNotFoundException", "CONFIGURED_TABLE"):
        associate(room, "stranger", room.brand.table)


def test_association_rule_is_kept_changed_and_bound_to_the_tables_rule(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    table = configure(room)["id"]
    key = {
        "membershipIdentifier": room.partner.membership,
        "configuredTableAssociationIdentifier": associate(room, "ruled", table),
    }
    with refused("ValidationException", "analysisRuleType", "INVALID_CONFIGURATION"):  # the table has no rule
        rooms.create_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=[]))
    rooms.create_configured_table_analysis_rule(configuredTableIdentifier=table, **rule(**LIST))
    with refused("ValidationException", "analysisRuleType", "INVALID_CONFIGURATION"):
        rooms.create_configured_table_association_analysis_rule(**key, **rule("CUSTOM", allowedResultReceivers=[]))
    with refused("ValidationException", "not members", "INVALID_CONFIGURATION"):
        rooms.create_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=["333333333333"]))
    made = rooms.create_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=[]))[
        "analysisRule"
    ]
    assert (made["membershipIdentifier"], made["type"]) == (room.partner.membership, "LIST")
    with refused("ConflictException", reason="ALREADY_EXISTS"):
        rooms.create_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=[]))
    rooms.update_configured_table_association_analysis_rule(**key, **rule(allowedResultReceivers=[BRAND_ACCOUNT]))
    found = rooms.get_configured_table_association_analysis_rule(**key, analysisRuleType="LIST")["analysisRule"]
    assert found["policy"]["v1"]["list"] == {"allowedResultReceivers": [BRAND_ACCOUNT]}


# -- schemas


def test_every_member_sees_the_schemas_of_all_without_columns_that_are_not_allowed(room: Room) -> None:
    for party in (room.brand, room.partner):
        rooms = party.clients("cleanrooms")
        listed = rooms.list_schemas(collaborationIdentifier=room.id)["schemaSummaries"]
        owners = {one["name"]: one["creatorAccountId"] for one in listed}
        assert (owners["match_keys"], owners["people"]) == (BRAND_ACCOUNT, PARTNER_ACCOUNT)
        schema = rooms.get_schema(collaborationIdentifier=room.id, name="people")["schema"]
        assert {one["name"]: one["type"] for one in schema["columns"]} == {
            "hashed_id": "string",
            "age": "int",
            "city": "string",
        }
        assert (schema["type"], schema["partitionKeys"], schema["analysisRuleTypes"]) == ("TABLE", [], ["LIST"])


def test_partition_keys_are_told_apart_from_columns(room: Room) -> None:
    keys = [{"Name": "day", "Type": "date"}]
    make_glue_table(room.partner.clients, "partner-data", "by_day", PEOPLE.select(["hashed_id"]), PartitionKeys=keys)
    room.partner.offer("by_day", "by_day", ["hashed_id", "day"], None)
    schema = room.brand.clients("cleanrooms").get_schema(collaborationIdentifier=room.id, name="by_day")["schema"]
    assert schema["partitionKeys"] == [{"name": "day", "type": "date"}]
    assert [one["name"] for one in schema["columns"]] == ["hashed_id"]


def test_batch_get_schema_answers_what_it_can(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    answer = rooms.batch_get_schema(collaborationIdentifier=room.id, names=["people", "nothing"])
    assert [one["name"] for one in answer["schemas"]] == ["people"]
    assert [(one["name"], one["code"]) for one in answer["errors"]] == [("nothing", "ResourceNotFoundException")]


def test_schema_rules_show_the_tables_the_collaborations_and_both(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    key = {"collaborationIdentifier": room.id}
    found = rooms.get_schema_analysis_rule(**key, name="people", type="LIST")["analysisRule"]
    receivers = {"allowedResultReceivers": [BRAND_ACCOUNT]}
    assert found["policy"]["v1"]["list"] == LIST
    assert found["collaborationPolicy"]["v1"]["list"] == receivers
    assert found["consolidatedPolicy"]["v1"]["list"] == LIST | receivers
    wanted = [{"name": "people", "type": "LIST"}, {"name": "people", "type": "CUSTOM"}]
    answer = rooms.batch_get_schema_analysis_rule(**key, schemaAnalysisRuleRequests=wanted)
    assert [one["type"] for one in answer["analysisRules"]] == ["LIST"]
    assert [(one["name"], one["type"]) for one in answer["errors"]] == [("people", "CUSTOM")]
    with refused("ResourceNotFoundException"):
        rooms.get_schema(**key, name="nothing")
    with refused("ResourceNotFoundException"):
        rooms.get_schema_analysis_rule(**key, name="people", type="CUSTOM")


def test_schema_says_why_it_is_not_ready_until_it_is(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    table = configure(room)["id"]
    key = {"configuredTableIdentifier": table}
    link = {
        "membershipIdentifier": room.partner.membership,
        "configuredTableAssociationIdentifier": associate(room, "steps", table),
    }
    assert status(room, "steps") == ["ANALYSIS_RULE_MISSING", "COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED"]
    rooms.create_configured_table_analysis_rule(**key, **rule(**LIST))
    assert status(room, "steps") == ["COLLABORATION_ANALYSIS_RULE_NOT_CONFIGURED"]
    rooms.create_configured_table_association_analysis_rule(**link, **rule())
    assert status(room, "steps") == ["RESULT_RECEIVERS_NOT_CONFIGURED"]
    rooms.update_configured_table_association_analysis_rule(**link, **rule(allowedResultReceivers=[BRAND_ACCOUNT]))
    assert status(room, "steps") == ["READY"]
    assert status(room, "steps", "ADDITIONAL_ANALYSIS") == [
        "ADDITIONAL_ANALYSES_NOT_ALLOWED",
        "ADDITIONAL_ANALYSES_NOT_CONFIGURED",
    ]
    rooms.update_configured_table_analysis_rule(**key, **rule(**LIST, additionalAnalyses="REQUIRED"))
    assert status(room, "steps") == ["RESULT_RECEIVERS_NOT_ALLOWED"]
    rooms.delete_configured_table_analysis_rule(**key, analysisRuleType="LIST")
    rooms.create_configured_table_analysis_rule(**key, **rule("CUSTOM", allowedAnalyses=[]))
    assert status(room, "steps") == ["ANALYSIS_RULE_TYPES_NOT_COMPATIBLE", "ANALYSIS_TEMPLATES_NOT_CONFIGURED"]
    rooms.update_configured_table_analysis_rule(**key, **rule("CUSTOM", allowedAnalyses=["ANY_QUERY"]))
    assert status(room, "steps") == ["ANALYSIS_RULE_TYPES_NOT_COMPATIBLE", "ANALYSIS_PROVIDERS_NOT_CONFIGURED"]
