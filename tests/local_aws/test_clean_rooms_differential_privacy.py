"""Differential privacy acted out: noise on every total, a budget that runs out, and only the SQL that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from pseg.local_aws.clean_rooms_runs import LOG_GROUP
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

from .two_parties import Clients, Party, Room, make_glue_table, open_room, refused

PEOPLE = 1200
VISITS = pa.table(
    {
        "hashed_id": [f"h{number // 2}" for number in range(2 * PEOPLE)],  # two visits each
        "city": [("Bern", "Rome")[number // 2 % 2] for number in range(2 * PEOPLE)],
        "spent": pa.array([number % 5 for number in range(2 * PEOPLE)], pa.int32()),
    }
)
ANYBODY = {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": [BRAND_ACCOUNT]}
RULE: dict[str, Any] = ANYBODY | {"differentialPrivacy": {"columns": [{"name": "hashed_id"}]}}
COUNT = "SELECT COUNT(*) AS n FROM visits"
BY_CITY = (
    "SELECT city, COUNT(*) AS n, COUNT(DISTINCT hashed_id) AS people, SUM(spent) AS total, AVG(spent) AS mean"
    " FROM visits GROUP BY city"
)


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    """A room whose table ``visits`` is under differential privacy; there is no budget yet."""
    room = open_room(brand, partner)
    make_glue_table(partner, "partner-data", "visits", VISITS)
    room.partner.table, _ = room.partner.offer("visits", "visits", VISITS.column_names, RULE, "CUSTOM")
    room.brand.offer("keys", "match_keys", ["hashed_id", "customer_key"], ANYBODY, "CUSTOM")
    return room


def make_budget(party: Party, epsilon: int = 20, noise: int = 10, **changes: Any) -> str:
    """Make a privacy budget template; its id."""
    made = party.clients("cleanrooms").create_privacy_budget_template(
        **{
            "membershipIdentifier": party.membership,
            "autoRefresh": "NONE",
            "privacyBudgetType": "DIFFERENTIAL_PRIVACY",
            "parameters": {"differentialPrivacy": {"epsilon": epsilon, "usersNoisePerQuery": noise}},
        }
        | changes
    )
    return str(made["privacyBudgetTemplate"]["id"])


def remove_budget(party: Party, budget: str) -> None:
    """Take a template away."""
    party.clients("cleanrooms").delete_privacy_budget_template(
        membershipIdentifier=party.membership, privacyBudgetTemplateIdentifier=budget
    )


@pytest.fixture
def budget(room: Room) -> Iterator[str]:
    """The largest budget, not used yet."""
    found = make_budget(room.partner)
    yield found
    remove_budget(room.partner, found)


def left(room: Room) -> dict[str, int]:
    """How many aggregations are left, as the brand sees it."""
    answer = room.brand.clients("cleanrooms").list_collaboration_privacy_budgets(
        collaborationIdentifier=room.id, privacyBudgetType="DIFFERENTIAL_PRIVACY"
    )
    (found,) = answer["collaborationPrivacyBudgetSummaries"]
    assert found["creatorAccountId"] == PARTNER_ACCOUNT
    return {one["type"]: one["remainingCount"] for one in found["budget"]["differentialPrivacy"]["aggregations"]}


def test_table_without_a_budget_is_not_ready(room: Room) -> None:
    schema = room.brand.clients("cleanrooms").get_schema(collaborationIdentifier=room.id, name="visits")["schema"]
    (direct,) = (one for one in schema["schemaStatusDetails"] if one["analysisType"] == "DIRECT_ANALYSIS")
    assert [one["code"] for one in direct["reasons"]] == ["DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED"]
    with refused("ValidationException", "visits is not ready for queries: DIFFERENTIAL_PRIVACY_POLICY_NOT_CONFIGURED"):
        room.start(COUNT)


def test_every_total_has_noise_of_the_agreed_size_and_says_its_limits(room: Room, budget: str) -> None:
    query = room.run(BY_CITY)
    rows = {row["city"]: row for row in room.rows(query)}
    truth = {"n": PEOPLE, "people": PEOPLE // 2, "total": 2 * PEOPLE, "mean": 2.0}
    users = {"n": 2, "people": 1, "total": 2 * 4, "mean": 0.02}  # how much one person changes at most, about
    for city in ("Bern", "Rome"):
        for name, true in truth.items():
            off = abs(rows[city][name] - true)
            assert 0 < off < 10 * 10 * users[name], (city, name, rows)  # ten standard deviations of ten users
    assert {type(rows["Bern"][name]) for name in ("n", "people", "total")} == {int}
    found = query["differentialPrivacy"]["sensitivityParameters"]
    assert [(one["aggregationType"], one["userContributionLimit"]) for one in found] == [
        ("COUNT", 2),
        ("COUNT_DISTINCT", 1),
        ("SUM", 2),
        ("AVG", 2),
    ]
    assert [(one["minColumnValue"], one["maxColumnValue"]) for one in found[2:]] == [(0.0, 4.0), (0.0, 4.0)]
    log = room.brand.clients("logs").get_log_events(logGroupName=LOG_GROUP, logStreamName=query["id"])["events"]
    assert [event["message"] for event in log] == [
        "4 totals have noise; it follows from the query's text and number, so it protects nobody"
    ]


def test_noise_repeats_with_the_history_of_the_budget_and_not_within_it(room: Room) -> None:
    results = []
    for _ in range(2):
        budget = make_budget(room.partner)
        results.append([room.rows(room.run(COUNT)) for _ in range(3)])
        remove_budget(room.partner, budget)
    assert results[0] == results[1]
    assert len({row["n"] for ((row),) in results[0]}) == 3


def test_budget_is_used_up_by_totals_and_then_refuses(room: Room) -> None:
    budget = make_budget(room.partner, epsilon=1)
    assert left(room) == {"AVG": 3, "COUNT": 7, "COUNT_DISTINCT": 7, "STDDEV": 2, "SUM": 7}
    room.run(f"{COUNT} WHERE city = 'Bern'")
    room.run("SELECT AVG(spent) AS mean FROM visits")
    assert left(room) == {"AVG": 2, "COUNT": 4, "COUNT_DISTINCT": 4, "STDDEV": 1, "SUM": 4}
    with refused("ValidationException", "not enough aggregations left", "INVALID_QUERY"):
        room.start(BY_CITY)  # three sums and an average take five
    room.run("SELECT COUNT(*) AS n, SUM(spent) AS t, AVG(spent) AS mean FROM visits")
    assert set(left(room).values()) == {0}
    with refused("ValidationException", "1 x COUNT, but the privacy budget has 0 left", "INVALID_QUERY"):
        room.start(COUNT)
    rooms = room.partner.clients("cleanrooms")
    keys = {"membershipIdentifier": room.partner.membership, "privacyBudgetTemplateIdentifier": budget}
    changed = {"privacyBudgetType": "DIFFERENTIAL_PRIVACY"}
    rooms.update_privacy_budget_template(
        **keys, **changed, parameters={"differentialPrivacy": {"epsilon": 2, "usersNoisePerQuery": 10}}
    )
    assert left(room)["COUNT"] == 7
    room.run(COUNT)
    with refused("ValidationException", "epsilon: after the first query", "INVALID_CONFIGURATION"):
        rooms.update_privacy_budget_template(
            **keys, **changed, parameters={"differentialPrivacy": {"epsilon": 1, "usersNoisePerQuery": 10}}
        )
    remove_budget(room.partner, budget)


def test_both_members_see_the_budget_and_its_owner_the_template(room: Room, budget: str) -> None:
    rooms = room.partner.clients("cleanrooms")
    keys = {"membershipIdentifier": room.partner.membership, "privacyBudgetTemplateIdentifier": budget}
    template = rooms.get_privacy_budget_template(**keys)["privacyBudgetTemplate"]
    assert template["parameters"] == {"differentialPrivacy": {"epsilon": 20, "usersNoisePerQuery": 10}}
    listed = rooms.list_privacy_budget_templates(membershipIdentifier=room.partner.membership)
    assert [one["id"] for one in listed["privacyBudgetTemplateSummaries"]] == [budget]
    own = rooms.list_privacy_budgets(
        membershipIdentifier=room.partner.membership, privacyBudgetType="DIFFERENTIAL_PRIVACY"
    )["privacyBudgetSummaries"]
    assert [one["privacyBudgetTemplateId"] for one in own] == [budget]
    assert left(room)["COUNT"] == 141
    access = rooms.list_privacy_budgets(membershipIdentifier=room.partner.membership, privacyBudgetType="ACCESS_BUDGET")
    assert access["privacyBudgetSummaries"] == []
    with refused("ConflictException", "template"):
        make_budget(room.brand)
    with refused("ResourceNotFoundException"):
        room.brand.clients("cleanrooms").get_privacy_budget_template(
            membershipIdentifier=room.brand.membership, privacyBudgetTemplateIdentifier=budget
        )


def test_preview_tells_what_more_noise_buys(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    bought = []
    for noise in (10, 100):
        impact = rooms.preview_privacy_impact(
            membershipIdentifier=room.partner.membership,
            parameters={"differentialPrivacy": {"epsilon": 3, "usersNoisePerQuery": noise}},
        )["privacyImpact"]["differentialPrivacy"]["aggregations"]
        bought.append({one["type"]: one["maxCount"] for one in impact})
    assert bought[0] == {"AVG": 10, "COUNT": 21, "COUNT_DISTINCT": 21, "STDDEV": 7, "SUM": 21}
    assert all(bought[1][kind] >= 10 * count for kind, count in bought[0].items())


def test_monthly_budget_is_made_and_access_budgets_are_refused_by_name(room: Room) -> None:
    remove_budget(room.partner, make_budget(room.partner, autoRefresh="CALENDAR_MONTH"))
    resource = f"arn:aws:cleanrooms:us-east-1:{PARTNER_ACCOUNT}:membership/m/configuredtableassociation/a"
    parameters = {"accessBudget": {"resourceArn": resource, "budgetParameters": [{"type": "LIFETIME", "budget": 5}]}}
    with refused("ValidationException", "no access budget", "INVALID_CONFIGURATION"):
        make_budget(room.partner, privacyBudgetType="ACCESS_BUDGET", parameters=parameters)


RUNS = {
    "user-level rows in a CTE": (
        "WITH people AS (SELECT hashed_id, MAX(spent) AS most FROM visits GROUP BY hashed_id)"
        " SELECT SUM(p.most) AS total FROM people p"
    ),
    "a join with the runner's table": (
        "SELECT COUNT(DISTINCT v.hashed_id) AS n FROM keys k JOIN visits v ON k.hashed_id = v.hashed_id"
    ),
    "arithmetic": "SELECT ROUND(SUM(spent) / COUNT(*), 2) AS per_visit, COUNT(*) AS n FROM visits",
    "HAVING, ORDER BY and LIMIT": (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city HAVING COUNT(*) > -5 ORDER BY COUNT(*) DESC LIMIT 1"
    ),
}


@pytest.mark.parametrize("sql", RUNS.values(), ids=RUNS.keys())
def test_sql_that_differential_privacy_takes_runs(room: Room, budget: str, sql: str) -> None:
    assert len(room.rows(room.run(sql))) == 1


NOT_RUN = {
    "rows": ("SELECT spent FROM visits", "the final SELECT must aggregate"),
    "MAX": ("SELECT MAX(spent) AS m FROM visits", "MAX is not among COUNT, SUM, AVG, STDDEV"),
    "STDDEV": ("SELECT STDDEV(spent) AS s FROM visits", "do not say what noise a STDDEV gets"),
    "no user in a CTE": (
        "WITH c AS (SELECT city, SUM(spent) AS t FROM visits GROUP BY city) SELECT SUM(c.t) AS t FROM c",
        "must select the user identifier",
    ),
    "a total in HAVING alone": (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city HAVING SUM(spent) > 10",
        "shows without noise",
    ),
    "FILTER": ("SELECT COUNT(*) FILTER (WHERE spent > 1) AS n FROM visits", "write CASE inside the aggregate"),
}


@pytest.mark.parametrize(("sql", "text"), NOT_RUN.values(), ids=NOT_RUN.keys())
def test_sql_that_differential_privacy_does_not_take_is_refused(room: Room, budget: str, sql: str, text: str) -> None:
    with refused("ValidationException", text, "INVALID_QUERY"):
        room.start(sql)
    assert left(room)["COUNT"] == 141


def test_member_with_a_budget_does_not_leave(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    joined = room.brand.clients("cleanrooms").create_collaboration(
        name="short",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[{"accountId": PARTNER_ACCOUNT, "memberAbilities": [], "displayName": "partner"}],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    membership = rooms.create_membership(collaborationIdentifier=joined, queryLogStatus="DISABLED")["membership"]["id"]
    other = replace(room.partner, membership=membership)
    budget = make_budget(other)
    with refused("ConflictException", "a privacy budget template"):
        rooms.delete_membership(membershipIdentifier=membership)
    remove_budget(other, budget)
    rooms.delete_membership(membershipIdentifier=membership)
