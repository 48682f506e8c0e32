"""Each party's half: planned, completed in turn, refused where it differs, and taken down in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from clean_rooms.agreement import Agreement, OfferedTable, TemplateText
from clean_rooms.collaboration import Half
from clean_rooms.lookup import associations, pages
from clean_rooms.protected_query import make_client
from clean_rooms.readiness import find_missing
from clean_rooms.teardown import plan_teardown, tear_down
from clean_rooms.template_sql import hash_sql
from contracts.errors import ServiceError
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from tests.embedded_aws import TwoAccounts
from tests.local_aws.two_parties import make_glue_table
from tests.unit.clean_rooms.test_collaboration import AVERAGE, inventory
from tests.unit.clean_rooms.test_collaboration import tables as tables

Tables = tuple[OfferedTable, OfferedTable]


class Parties:
    """Both halves of a collaboration of this name, each with the clients of its own account."""

    def __init__(self, accounts: TwoAccounts, tables: Tables, name: str, template: TemplateText | None = None) -> None:
        self.agreement = Agreement(
            name,
            BRAND_ACCOUNT,
            PARTNER_ACCOUNT,
            "CUSTOM" if template else "LIST",
            tables[0].terms,
            tables[1].terms,
            {template.name: hash_sql(template.sql)} if template else {},
        )
        self.brand = Half(make_client(accounts.brand), self.agreement, "brand", tables[0], template)
        self.partner = Half(make_client(accounts.partner), self.agreement, "partner", tables[1])

    def complete(self) -> None:
        """Complete both in turn."""
        for _ in range(2 if self.agreement.templates else 1):
            self.brand.complete()
            self.partner.complete()

    def is_ready(self) -> bool:
        """Whether status finds nothing missing."""
        commands: Any = {"brand": "create", "partner": "join"}
        return all(one.state != "x" for one in find_missing(self.brand.client, self.agreement, "brand", commands))


def states(half: Half) -> dict[str, str]:
    """State of each kind of part."""
    return {part.kind: part.state for part in half.parts}


def take_down(half: Half, **options: bool) -> list[str]:
    """Take a half down; kinds of what went, in order."""
    gone: list[str] = []
    tear_down(plan_teardown(half.client, half.agreement, half.party, **options), lambda one: gone.append(one.kind))
    return gone


def test_plan_names_every_part_and_makes_none(accounts: TwoAccounts, tables: Tables) -> None:
    parties, before = Parties(accounts, tables, "planned", AVERAGE), inventory(accounts)
    for half in (parties.brand, parties.partner):
        half.is_plan = True
        half.complete()
    assert inventory(accounts) == before
    made = {
        *("membership", "configured table", "table association"),
        *("CUSTOM analysis rule", "CUSTOM rule of the association"),
    }
    waits = {"analysis template": "waits"}
    assert states(parties.brand) == dict.fromkeys([*made, "collaboration"], "missing") | waits
    assert states(parties.partner) == dict.fromkeys(made, "missing") | waits | {"collaboration": "waits"}


def test_template_waits_for_the_partners_table_and_the_partner_for_the_template(
    accounts: TwoAccounts, tables: Tables
) -> None:
    parties = Parties(accounts, tables, "in-turn", AVERAGE)
    parties.brand.complete()
    assert states(parties.brand)["analysis template"] == "waits"
    parties.partner.complete()
    assert states(parties.partner)["analysis template"] == "waits"
    assert not parties.is_ready()
    parties.brand.complete()
    assert states(parties.brand)["analysis template"] == "made"
    assert states(parties.brand)["CUSTOM analysis rule"] == "changed"
    assert not parties.is_ready()
    parties.partner.complete()
    assert states(parties.partner)["CUSTOM analysis rule"] == "changed"
    assert parties.is_ready()
    for half in (parties.brand, parties.partner):
        half.complete()
        assert set(states(half).values()) == {"there"}


def test_partner_who_is_not_invited_is_told_who_invites(accounts: TwoAccounts, tables: Tables) -> None:
    with pytest.raises(ServiceError, match="not invited to a collaboration named uninvited") as caught:
        Parties(accounts, tables, "uninvited").partner.complete()
    assert BRAND_ACCOUNT in caught.value.why


def test_partner_does_not_allow_another_text_of_the_agreed_name(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "other-text", AVERAGE)
    parties.brand.complete()
    parties.partner.complete()
    parties.brand.complete()
    parties.partner.agreement = replace(parties.agreement, templates={AVERAGE.name: hash_sql(f"{AVERAGE.sql} LIMIT 1")})
    with pytest.raises(ServiceError, match="average_age exists with another text") as caught:
        parties.partner.complete()
    assert hash_sql(AVERAGE.sql) in caught.value.why
    assert not parties.is_ready()


def test_what_an_owner_added_to_a_rule_stays_when_a_template_is_allowed(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "stricter", AVERAGE)
    parties.brand.complete()
    parties.partner.complete()
    rooms: Any = parties.partner.client
    own = pages(rooms, "list_configured_tables", "configuredTableSummaries")
    (table,) = [one["id"] for one in own if one["name"] == "stricter-people"]
    keys = {"configuredTableIdentifier": table, "analysisRuleType": "CUSTOM"}
    content = {"allowedAnalyses": [], "disallowedOutputColumns": ["hashed_id"], "additionalAnalyses": "ALLOWED"}
    rooms.update_configured_table_analysis_rule(**keys, analysisRulePolicy={"v1": {"custom": content}})
    parties.complete()
    rule = rooms.get_configured_table_analysis_rule(**keys)["analysisRule"]["policy"]["v1"]["custom"]
    assert rule["additionalAnalyses"] == "ALLOWED"
    assert len(rule["allowedAnalyses"]) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"list_columns": ("age",)}, "configured table .* with other columns"),
        (
            {"join_columns": ("age",), "list_columns": ("hashed_id", "city")},
            "analysis rule of .* with other joinColumns",
        ),
        ({"glue_table": "elsewhere"}, "configured table .* with other Glue table"),
        ({"role_arn": f"arn:aws:iam::{PARTNER_ACCOUNT}:role/other"}, "table association people .* name or role"),
    ],
    ids=["columns", "rule", "source", "role"],
)
def test_what_exists_and_differs_is_named(
    accounts: TwoAccounts, tables: Tables, change: dict[str, Any], named: str
) -> None:
    parties = Parties(accounts, tables, "differs")
    parties.complete()
    before = inventory(accounts)
    parties.partner.table = replace(tables[1], **change)
    with pytest.raises(ServiceError, match=named) as caught:
        parties.partner.complete()
    assert "--table-only" in caught.value.fix
    assert inventory(accounts) == before


def test_other_receivers_than_agreed_are_named(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "receivers")
    parties.complete()
    rooms: Any = parties.partner.client
    (link,) = associations(parties.partner.client, str(parties.partner.membership_id))
    rooms.update_configured_table_association_analysis_rule(
        membershipIdentifier=parties.partner.membership_id,
        configuredTableAssociationIdentifier=link["id"],
        analysisRuleType="LIST",
        analysisRulePolicy={"v1": {"list": {"allowedResultReceivers": [BRAND_ACCOUNT, PARTNER_ACCOUNT]}}},
    )
    with pytest.raises(ServiceError, match="other result receivers") as caught:
        parties.partner.complete()
    assert PARTNER_ACCOUNT in caught.value.why


def test_query_logs_and_metrics_are_on(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "logged")
    parties.complete()
    rooms: Any = parties.brand.client
    about = rooms.get_collaboration(collaborationIdentifier=parties.brand.collaboration_id)["collaboration"]
    own = rooms.get_membership(membershipIdentifier=parties.brand.membership_id)["membership"]
    for thing in (about, own):
        assert (thing["queryLogStatus"], thing["isMetricsEnabled"]) == ("ENABLED", True)


# -- teardown

TABLE = ("rule of the association", "table association", "analysis rule", "configured table")


def table_parts(kind: str) -> list[str]:
    """What a table consists of, in the order in which it goes."""
    return [f"{kind} {one}" if "rule" in one else one for one in TABLE]


@pytest.mark.parametrize("first", ["brand", "partner"])
@pytest.mark.parametrize("template", [None, AVERAGE], ids=["LIST", "CUSTOM"])
def test_teardown_leaves_nothing_in_whichever_order_and_works_twice(
    accounts: TwoAccounts, tables: Tables, first: str, template: TemplateText | None
) -> None:
    before = inventory(accounts)
    parties = Parties(accounts, tables, f"down-{first}-{bool(template)}".lower(), template)
    parties.complete()
    table = table_parts(parties.agreement.rule)
    expected = {
        "brand": ["analysis template"] * bool(template) + table + ["collaboration", "membership"],
        "partner": [*table, "membership"],
    }
    halves = [parties.brand, parties.partner] if first == "brand" else [parties.partner, parties.brand]
    for half in halves:
        assert take_down(half) == expected[half.party]
    assert inventory(accounts) == before
    for half in halves:
        assert take_down(half) == []


def test_table_alone_goes_and_comes_back_with_other_columns(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "again")
    parties.complete()
    membership = parties.partner.membership_id
    assert take_down(parties.partner, is_table_only=True) == table_parts("LIST")
    fewer = replace(tables[1], list_columns=("city",))
    parties.partner.table = fewer
    parties.partner.complete()
    assert parties.partner.membership_id == membership
    assert not parties.is_ready()  # the brand still asks for the age
    parties.agreement = replace(parties.agreement, partner_table=fewer.terms)
    assert parties.is_ready()


def test_what_belongs_to_another_agreement_keeps_the_membership(accounts: TwoAccounts, tables: Tables) -> None:
    parties = Parties(accounts, tables, "shared-room")
    parties.complete()
    rooms: Any = parties.partner.client
    other = rooms.create_configured_table(
        name="of-another-agreement",
        tableReference={"glue": {"databaseName": "room", "tableName": "people"}},
        allowedColumns=["hashed_id"],
        analysisMethod="DIRECT_QUERY",
    )["configuredTable"]["id"]
    rooms.create_configured_table_association(
        name="others",
        membershipIdentifier=parties.partner.membership_id,
        configuredTableIdentifier=other,
        roleArn=tables[1].role_arn,
    )
    removals = plan_teardown(parties.partner.client, parties.agreement, "partner")
    assert {one.kind: one.keep for one in removals if one.keep} == {
        "membership": "it has table association others, not of this agreement"
    }
    assert take_down(parties.partner) == table_parts("LIST")
    left = associations(parties.partner.client, str(parties.partner.membership_id))
    assert [one["name"] for one in left] == ["others"]


def test_query_that_still_runs_is_cancelled_before_the_membership_goes(accounts: TwoAccounts, tables: Tables) -> None:
    size = 60_000  # a join that takes minutes
    keys = pa.table({"hashed_id": ["same"] * size, "customer_key": [f"k{index}" for index in range(size)]})
    people = pa.table({"hashed_id": ["same"] * size, "city": ["k5"] * size})
    make_glue_table(accounts.brand.client, "brand-keys", "slow_keys", keys)  # type: ignore[arg-type]
    make_glue_table(accounts.partner.client, "partner-people", "slow_people", people)  # type: ignore[arg-type]
    ours = replace(tables[0], name="slow_keys", glue_table="slow_keys")
    theirs = replace(tables[1], name="slow_people", glue_table="slow_people", list_columns=("city",))
    parties = Parties(accounts, (ours, theirs), "running")
    parties.complete()
    accounts.brand.client("s3").create_bucket(Bucket="running-results")
    rooms: Any = parties.brand.client
    rooms.start_protected_query(
        type="SQL",
        membershipIdentifier=parties.brand.membership_id,
        sqlParameters={
            "queryString": "SELECT DISTINCT m.customer_key FROM slow_keys m JOIN slow_people p "
            "ON m.hashed_id = p.hashed_id WHERE p.city > 'k4'"
        },
        resultConfiguration={"outputConfiguration": {"s3": {"bucket": "running-results", "resultFormat": "PARQUET"}}},
    )
    gone = take_down(parties.brand)
    assert (gone[0], gone[-1]) == ("running query", "membership")
