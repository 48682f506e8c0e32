"""A collaboration as code: made once from both sides, found again, and refused where it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from clean_rooms.collaboration import Collaboration, OfferedTable, create_collaboration
from clean_rooms.protected_query import find_membership, make_client
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


def create(accounts: TwoAccounts, name: str, tables: tuple[OfferedTable, OfferedTable]) -> Collaboration:
    """Create a collaboration of this name."""
    return create_collaboration(name, accounts.brand, accounts.partner, BRAND_ACCOUNT, PARTNER_ACCOUNT, *tables)


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
