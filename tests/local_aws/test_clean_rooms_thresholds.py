"""Aggregation thresholds and comparison controls of CUSTOM rules: rows of too few people are left out, in silence."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pseg.local_aws.clean_rooms_runs import LOG_GROUP
from pseg.local_aws.session import BRAND_ACCOUNT

from .two_parties import Clients, Room, make_glue_table, open_room, refused

VISITS = pa.table(
    {
        "hashed_id": ["h1", "h1", "h2", "h3", "h3", None, "h9"],
        "city": ["Bern", "Bern", "Bern", "Rome", "Rome", "Rome", "Oslo"],
        "spent": pa.array([10, 20, 30, 40, 50, 60, 70], pa.int32()),
    }
)
ANYBODY = {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": [BRAND_ACCOUNT]}
THRESHOLD = {
    "identityColumns": ["hashed_id"],
    "minimumIdentityCount": 2,
    "type": "COUNT_DISTINCT",
    "allowedAggregateExpressionType": "ANY_EXPRESSION",
}
RULE: dict[str, Any] = ANYBODY | {"aggregationThresholds": [THRESHOLD]}


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    room = open_room(brand, partner)
    make_glue_table(partner, "partner-data", "visits", VISITS)
    room.partner.table, _ = room.partner.offer("visits", "visits", VISITS.column_names, RULE, "CUSTOM")
    room.brand.table, _ = room.brand.offer("keys", "match_keys", ["hashed_id", "customer_key"], ANYBODY, "CUSTOM")
    return room


def log_of(room: Room, query: dict[str, Any]) -> list[str]:
    """What the embedded AWS logged of a query, to its runner."""
    found = room.brand.clients("logs").get_log_events(logGroupName=LOG_GROUP, logStreamName=query["id"])
    return [event["message"] for event in found["events"]]


def set_rule(room: Room, rule: dict[str, Any]) -> None:
    """Change the rule of the partner's table."""
    room.partner.clients("cleanrooms").update_configured_table_analysis_rule(
        configuredTableIdentifier=room.partner.table,
        analysisRuleType="CUSTOM",
        analysisRulePolicy={"v1": {"custom": rule}},
    )


KEPT: dict[str, tuple[str, list[dict[str, Any]], list[str]]] = {
    "groups": (
        "SELECT city, SUM(spent) AS total FROM visits GROUP BY city",
        [{"city": "Bern", "total": 60}],
        ["2 of 3"],
    ),
    "one group": ("SELECT SUM(spent) AS total FROM visits WHERE city = 'Rome'", [], ["1 of 1"]),
    "groups of a join": (
        "SELECT v.city, AVG(v.spent) AS mean FROM keys k JOIN visits v ON k.hashed_id = v.hashed_id GROUP BY v.city",
        [{"city": "Bern", "mean": 20.0}],
        ["1 of 2"],
    ),
    "HAVING and ORDER BY": (
        "SELECT city AS c, SUM(spent) AS t FROM visits GROUP BY city HAVING SUM(spent) < 150 ORDER BY t LIMIT 5",
        [{"c": "Bern", "t": 60}],
        ["1 of 2"],
    ),
    "groups of groups by person": (
        "WITH people AS (SELECT hashed_id, city, SUM(spent) AS paid FROM visits GROUP BY hashed_id, city)"
        " SELECT p.city, COUNT(*) AS n, SUM(p.paid) AS total FROM people p GROUP BY p.city",
        [{"city": "Bern", "n": 2, "total": 60}],
        ["2 of 3"],
    ),
    "groups that are passed on": (
        "WITH cities AS (SELECT city, SUM(spent) AS total FROM visits GROUP BY city)"
        " SELECT UPPER(c.city) AS place, c.total FROM cities c ORDER BY c.total",
        [{"place": "BERN", "total": 60}],
        ["2 of 3"],
    ),
    "groups of a derived table": (
        "WITH all_of_them AS (SELECT * FROM visits)"
        " SELECT d.n FROM (SELECT city, COUNT(DISTINCT hashed_id) AS n FROM all_of_them GROUP BY city) d",
        [{"n": 2}],
        ["2 of 3"],
    ),
    "rows": ("SELECT spent FROM visits", [], ["7 of 7"]),
    "rows of a join": (
        "SELECT k.customer_key, v.spent FROM keys k LEFT JOIN visits v ON k.hashed_id = v.hashed_id",
        [],
        ["6 of 6"],
    ),
    "different values": ("SELECT DISTINCT city FROM visits", [{"city": "Bern"}], ["2 of 3"]),
    "a count of one table": ("SELECT COUNT(*) AS n FROM visits WHERE city = 'Oslo'", [{"n": 1}], []),
    "a count of people": ("SELECT COUNT(DISTINCT hashed_id) AS n FROM visits WHERE spent > 60", [{"n": 1}], []),
    "a count with a condition on its group": (
        "SELECT COUNT(*) AS n FROM visits WHERE city = 'Oslo' HAVING SUM(spent) = 70",
        [],
        ["1 of 1"],
    ),
    "a count by group": (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city",
        [{"city": "Bern", "n": 3}],
        ["2 of 3"],
    ),
    "a count of a join": (
        "SELECT COUNT(*) AS n FROM keys k JOIN visits v ON k.hashed_id = v.hashed_id WHERE v.city = 'Rome'",
        [],
        ["1 of 1"],
    ),
    "a table without threshold": ("SELECT COUNT(customer_key) AS n FROM keys GROUP BY hashed_id", [{"n": 1}] * 4, []),
}


@pytest.mark.parametrize(("sql", "rows", "logged"), KEPT.values(), ids=KEPT.keys())
def test_rows_of_too_few_people_are_left_out_and_the_log_alone_says_so(
    room: Room, sql: str, rows: list[dict[str, Any]], logged: list[str]
) -> None:
    query = room.run(sql)
    assert room.rows(query) == rows
    lines = log_of(room, query) if logged else []
    assert [line.split(" groups left out by aggregation thresholds")[0] for line in lines] == logged
    assert all("with fewer than 2 distinct values of visits.hashed_id" in line for line in lines)
    assert "left out" not in str(query)


NOT_COUNTED = {
    "union": (
        "SELECT city, SUM(spent) AS t FROM visits GROUP BY city UNION SELECT 'x' || city, 1 FROM visits",
        "rows of a set operation",
    ),
    "window": ("SELECT spent, SUM(spent) OVER (PARTITION BY city) AS t FROM visits", "window functions"),
    "people who are not passed on": (
        "WITH c AS (SELECT city, SUM(spent) AS total FROM visits GROUP BY city) SELECT SUM(c.total) AS t FROM c",
        "c does not pass it on as it is",
    ),
    "own people among the partner's": (
        "WITH u AS (SELECT hashed_id, spent FROM visits UNION ALL SELECT customer_key, 0 FROM keys)"
        " SELECT SUM(u.spent) AS t FROM u",
        "u does not pass it on as it is",
    ),
    "own people joined with the partner's": (
        "WITH u AS (SELECT hashed_id, spent FROM keys FULL JOIN visits USING (hashed_id))"
        " SELECT SUM(u.spent) AS t FROM u",
        "u does not pass it on as it is",
    ),
    "scalar subquery of a CTE that is read, too": (
        "WITH c AS (SELECT hashed_id, SUM(spent) AS paid FROM visits GROUP BY hashed_id)"
        " SELECT COUNT(*) AS n, (SELECT MAX(paid) AS m FROM c) AS m FROM c",
        "a subquery in an expression",
    ),
    "scalar subquery": (
        "SELECT COUNT(customer_key) AS n, (SELECT SUM(spent) AS s FROM visits) AS s FROM keys",
        "a subquery in an expression",
    ),
}


@pytest.mark.parametrize(("sql", "text"), NOT_COUNTED.values(), ids=NOT_COUNTED.keys())
def test_query_whose_people_cannot_be_counted_is_refused_by_name(room: Room, sql: str, text: str) -> None:
    with refused("ValidationException", text, "INVALID_QUERY"):
        room.start(sql)


def test_stricter_threshold_counts_when_it_changes(room: Room) -> None:
    sql = "SELECT city, SUM(spent) AS total FROM visits GROUP BY city"
    set_rule(room, ANYBODY | {"aggregationThresholds": [THRESHOLD | {"minimumIdentityCount": 3}]})
    assert room.rows(room.run(sql)) == []
    set_rule(room, RULE)
    assert room.rows(room.run(sql)) == [{"city": "Bern", "total": 60}]


def test_comparison_controls_allow_and_refuse_by_column(room: Room) -> None:
    controls = {"allowedLiteralComparisonColumns": ["spent"], "allowedColumnComparisonColumns": ["hashed_id", "city"]}
    set_rule(room, RULE | {"comparisonControls": controls})
    sql = "SELECT v.city, SUM(v.spent) AS total FROM visits v WHERE {} GROUP BY v.city"
    assert room.rows(room.run(sql.format("v.spent > 10"))) == [{"city": "Bern", "total": 50}]
    with refused("ValidationException", "city may not be compared with a literal", "INVALID_QUERY"):
        room.start(sql.format("v.city = 'Bern'"))
    with refused("ValidationException", "hashed_id may never be compared with a literal", "INVALID_QUERY"):
        room.start(sql.format("v.hashed_id = 'h1'"))
    with refused("ValidationException", "spent may not be compared with a column", "INVALID_QUERY"):
        room.start(sql.format("v.spent > v.spent"))
    set_rule(room, RULE)


def test_columns_only_refuses_what_is_computed_inside_an_aggregate(room: Room) -> None:
    set_rule(
        room, ANYBODY | {"aggregationThresholds": [THRESHOLD | {"allowedAggregateExpressionType": "COLUMNS_ONLY"}]}
    )
    with refused("ValidationException", "an aggregate may take a column only", "INVALID_QUERY"):
        room.start("SELECT city, SUM(spent * 2) AS total FROM visits GROUP BY city")
    set_rule(room, RULE)
