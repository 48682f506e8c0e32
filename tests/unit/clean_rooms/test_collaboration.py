"""A collaboration as code: made once from both sides, found again, and refused where it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from clean_rooms.agreement import OfferedTable, TemplateText
from clean_rooms.collaboration import Collaboration, create_collaboration
from clean_rooms.protected_query import find_membership, make_client
from clean_rooms.templates import find_template
from contracts.errors import ServiceError
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from tests.embedded_aws import TwoAccounts
from tests.local_aws.two_parties import make_glue_table, make_role

KEYS = pa.table({"hashed_id": ["h1", "h2"], "customer_key": ["c1", "c2"]})
PEOPLE = pa.table({"hashed_id": ["h1", "h9"], "age": pa.array([31, 42], pa.int32()), "city": ["Bern", "Rome"]})


@pytest.fixture(scope="module")
def tables(accounts: TwoAccounts) -> tuple[OfferedTable, OfferedTable]:
    """A Glue table in each account, as the parties offer it."""
    offered = []
    for session, bucket, name, table, columns in (
        (accounts.brand, "brand-keys", "match_keys", KEYS, ("customer_key",)),
        (accounts.partner, "partner-people", "people", PEOPLE, ("age", "city")),
    ):
        session.client("s3").create_bucket(Bucket=bucket)
        session.client("glue").create_database(DatabaseInput={"Name": "room"})
        make_glue_table(session.client, bucket, name, table)  # type: ignore[arg-type]
        role = make_role(session.client, "room-reader")  # type: ignore[arg-type]
        offered.append(OfferedTable(name, "room", name, ("hashed_id",), columns, role))
    return offered[0], offered[1]


def create(
    accounts: TwoAccounts,
    name: str,
    tables: tuple[OfferedTable, OfferedTable],
    template: TemplateText | None = None,
) -> Collaboration:
    """Create a collaboration of this name."""
    return create_collaboration(
        name, accounts.brand, accounts.partner, BRAND_ACCOUNT, PARTNER_ACCOUNT, *tables, template
    )


def inventory(accounts: TwoAccounts) -> list[str]:
    """Ids of everything that both accounts have in Clean Rooms."""
    found = []
    for session in (accounts.brand, accounts.partner):
        rooms: Any = session.client("cleanrooms")
        for operation, member in (
            ("list_collaborations", "collaborationList"),
            ("list_memberships", "membershipSummaries"),
            ("list_configured_tables", "configuredTableSummaries"),
        ):
            for page in rooms.get_paginator(operation).paginate():
                found += [f"{operation} {one['id']}" for one in page[member]]
        for page in rooms.get_paginator("list_memberships").paginate():
            for membership in page["membershipSummaries"]:
                pages = rooms.get_paginator("list_configured_table_associations").paginate(
                    membershipIdentifier=membership["id"]
                )
                found += [one["id"] for page in pages for one in page["configuredTableAssociationSummaries"]]
    return sorted(found)


def test_both_parties_get_a_membership_and_the_brand_can_query(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "autumn", tables)
    assert find_membership(make_client(accounts.brand), "autumn") == made.brand_membership_id
    assert find_membership(make_client(accounts.partner), "autumn") == made.partner_membership_id
    schemas = accounts.brand.client("cleanrooms").list_schemas(collaborationIdentifier=made.id)["schemaSummaries"]
    assert {schema["name"]: schema["analysisRuleTypes"] for schema in schemas} == {
        "match_keys": ["LIST"],
        "people": ["LIST"],
    }


def test_creating_twice_makes_nothing_twice(accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]) -> None:
    made = create(accounts, "spring", tables)
    before = inventory(accounts)
    assert create(accounts, "spring", tables) == made
    assert inventory(accounts) == before


def test_what_a_broken_attempt_left_is_completed(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "winter", tables)
    rooms: Any = accounts.partner.client("cleanrooms")
    key = {"membershipIdentifier": made.partner_membership_id}
    (link,) = rooms.list_configured_table_associations(**key)["configuredTableAssociationSummaries"]
    rooms.delete_configured_table_association_analysis_rule(
        **key, configuredTableAssociationIdentifier=link["id"], analysisRuleType="LIST"
    )
    rooms.delete_configured_table_association(**key, configuredTableAssociationIdentifier=link["id"])
    assert create(accounts, "winter", tables) == made
    (again,) = rooms.list_configured_table_associations(**key)["configuredTableAssociationSummaries"]
    rule = rooms.get_configured_table_association_analysis_rule(
        **key, configuredTableAssociationIdentifier=again["id"], analysisRuleType="LIST"
    )["analysisRule"]
    assert rule["policy"]["v1"]["list"]["allowedResultReceivers"] == [BRAND_ACCOUNT]


def test_two_projects_may_offer_tables_of_one_name(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    first, second = create(accounts, "north", tables), create(accounts, "south", tables)
    assert first.brand_membership_id != second.brand_membership_id


@pytest.mark.parametrize("columns", [("age",), ("age", "city", "hashed_id_2")], ids=["fewer", "more"])
def test_table_that_exists_with_other_columns_is_refused(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable], columns: tuple[str, ...]
) -> None:
    create(accounts, "summer", tables)
    before = inventory(accounts)
    with pytest.raises(ServiceError, match="configured table summer-people exists with other columns") as caught:
        create(accounts, "summer", (tables[0], replace(tables[1], list_columns=columns)))
    assert "['age', 'city', 'hashed_id']" in caught.value.why
    assert str(sorted(("hashed_id", *columns))) in caught.value.why
    assert inventory(accounts) == before


def test_membership_is_refused_where_there_is_none(accounts: TwoAccounts) -> None:
    with pytest.raises(ServiceError, match="0 active memberships in a collaboration named nowhere"):
        find_membership(make_client(accounts.brand), "nowhere")


def test_two_collaborations_of_one_name_are_refused(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    create(accounts, "twice", tables)
    rooms: Any = accounts.brand.client("cleanrooms")
    second = rooms.create_collaboration(
        name="twice",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    with pytest.raises(ServiceError, match="2 resources have"):
        create(accounts, "twice", tables)
    rooms.create_membership(collaborationIdentifier=second, queryLogStatus="DISABLED")
    with pytest.raises(ServiceError, match="2 active memberships in a collaboration named twice"):
        find_membership(make_client(accounts.brand), "twice")
    by_id = find_membership(make_client(accounts.brand), second)
    assert find_membership(make_client(accounts.brand), by_id) == by_id


def test_collaboration_is_found_by_its_id_and_by_the_membership(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "by-id", tables)
    before = inventory(accounts)
    for identifier in (made.id, made.brand_membership_id):
        assert create(accounts, identifier, tables) == made
        assert find_membership(make_client(accounts.brand), identifier) == made.brand_membership_id
    assert inventory(accounts) == before


def test_id_that_leads_nowhere_is_no_name_for_a_new_collaboration(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    before = inventory(accounts)
    with pytest.raises(ServiceError, match="there is no collaboration or membership 00000000"):
        create(accounts, "00000000-0000-4000-8000-000000000000", tables)
    assert inventory(accounts) == before


# -- CUSTOM rules

AVERAGE = TemplateText("average_age", "SELECT m.customer_key, p.age FROM match_keys m JOIN people p USING (hashed_id)")


def rules(accounts: TwoAccounts, made: Collaboration) -> list[dict[str, Any]]:
    """The CUSTOM rules of both tables as every member sees them, the associations' parts included."""
    rooms: Any = accounts.partner.client("cleanrooms")
    wanted = [{"name": name, "type": "CUSTOM"} for name in ("match_keys", "people")]
    answer = rooms.batch_get_schema_analysis_rule(collaborationIdentifier=made.id, schemaAnalysisRuleRequests=wanted)
    assert not answer["errors"]
    return [one["consolidatedPolicy"]["v1"]["custom"] for one in answer["analysisRules"]]


def test_custom_rules_allow_exactly_the_template_and_let_no_identifier_out(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "custom", tables, AVERAGE)
    arn = find_template(make_client(accounts.partner), made.partner_membership_id, "average_age")
    expected = {
        "allowedAnalyses": [arn],
        "disallowedOutputColumns": ["hashed_id"],
        "allowedResultReceivers": [BRAND_ACCOUNT],
    }
    assert rules(accounts, made) == [expected, expected]
    before = inventory(accounts)
    assert create(accounts, "custom", tables, AVERAGE) == made
    assert inventory(accounts) == before


def test_new_template_takes_the_place_of_the_one_that_was_allowed(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "renewed", tables, AVERAGE)
    second = TemplateText("average_age_2", AVERAGE.sql.replace("p.age", "p.age + 1 AS age"))
    assert create(accounts, "renewed", tables, second) == made
    arn = find_template(make_client(accounts.brand), made.brand_membership_id, "average_age_2")
    assert [rule["allowedAnalyses"] for rule in rules(accounts, made)] == [[arn], [arn]]


def test_template_of_one_name_with_another_text_is_refused(
    accounts: TwoAccounts, tables: tuple[OfferedTable, OfferedTable]
) -> None:
    made = create(accounts, "changed", tables, AVERAGE)
    before = rules(accounts, made)
    with pytest.raises(ServiceError, match="average_age exists with another text") as caught:
        create(accounts, "changed", tables, replace(AVERAGE, sql=f"{AVERAGE.sql} WHERE p.age > 1"))
    assert "average_age_2" in caught.value.fix
    assert rules(accounts, made) == before


@pytest.mark.parametrize(
    ("first", "second", "kind"), [(None, AVERAGE, "LIST"), (AVERAGE, None, "CUSTOM")], ids=["list", "custom"]
)
def test_table_with_a_rule_of_the_other_type_is_refused(
    accounts: TwoAccounts,
    tables: tuple[OfferedTable, OfferedTable],
    first: TemplateText | None,
    second: TemplateText | None,
    kind: str,
) -> None:
    create(accounts, f"first-{kind}", tables, first)
    with pytest.raises(ServiceError, match=f"first-{kind}-match_keys has a rule of type {kind}"):
        create(accounts, f"first-{kind}", tables, second)
