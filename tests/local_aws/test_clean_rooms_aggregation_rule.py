"""AGGREGATION rules: granted aggregates run, small groups are left out in silence, and only the log says so."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pseg.local_aws.clean_rooms_runs import LOG_GROUP

from .two_parties import QUERY, Clients, Room, make_glue_table, open_room, refused

JOIN = "FROM match_ids m JOIN visits v ON m.hashed_id = v.hashed_id"
VISITS = pa.table(
    {
        "hashed_id": ["h1", "h1", "h2", "h3", None, "h9"],
        "city": ["Bern", "Bern", "Bern", "Rome", "Rome", "Oslo"],
        "spent": pa.array([10, 20, 30, 40, 50, 60], pa.int32()),
        "ssn": ["s1", "s1", "s2", "s3", "s0", "s9"],
    }
)
RULE: dict[str, Any] = {
    "aggregateColumns": [
        {"columnNames": ["spent"], "function": "SUM"},
        {"columnNames": ["hashed_id"], "function": "COUNT_DISTINCT"},
    ],
    "joinColumns": ["hashed_id"],
    "joinRequired": "QUERY_RUNNER",
    "dimensionColumns": ["city"],
    "scalarFunctions": ["UPPER"],
    "outputConstraints": [{"columnName": "hashed_id", "minimum": 2, "type": "COUNT_DISTINCT"}],
}
OURS = RULE | {
    "aggregateColumns": [{"columnNames": ["customer_key"], "function": "COUNT_DISTINCT"}],
    "dimensionColumns": [],
    "outputConstraints": [{"columnName": "customer_key", "minimum": 2, "type": "COUNT_DISTINCT"}],
}


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    room = open_room(brand, partner)
    make_glue_table(partner, "partner-data", "visits", VISITS)
    columns = ["hashed_id", "city", "spent"]
    room.partner.table, _ = room.partner.offer("visits", "visits", columns, RULE, "AGGREGATION")
    room.partner.offer("free_visits", "visits", columns, without(RULE, "joinRequired"), "AGGREGATION")
    room.brand.offer("match_ids", "match_keys", ["hashed_id", "customer_key"], OURS, "AGGREGATION")
    return room


def without(rule: dict[str, Any], name: str) -> dict[str, Any]:
    """A rule without one of its fields."""
    return {key: value for key, value in rule.items() if key != name}


def log_of(room: Room, query: dict[str, Any]) -> list[str]:
    """What the embedded AWS logged of a query, to its runner."""
    found = room.brand.clients("logs").get_log_events(logGroupName=LOG_GROUP, logStreamName=query["id"])
    return [event["message"] for event in found["events"]]


def test_small_groups_are_left_out_and_the_log_alone_says_how_many_and_why(room: Room) -> None:
    query = room.run(f"SELECT v.city, SUM(v.spent) AS total {JOIN} GROUP BY v.city")
    assert room.rows(query) == [{"city": "Bern", "total": 60}]
    assert log_of(room, query) == [
        "1 of 2 groups left out by output constraints: 1 with fewer than 2 distinct values of match_ids.customer_key,"
        " 1 with fewer than 2 distinct values of visits.hashed_id"
    ]
    assert "left out" not in str(query)


def test_null_counts_for_no_minimum(room: Room) -> None:
    query = room.run("SELECT city, SUM(spent) AS total FROM free_visits GROUP BY city")
    assert room.rows(query) == [{"city": "Bern", "total": 60}]  # Rome has two rows, of which one has no identifier
    assert "2 of 3 groups left out" in log_of(room, query)[0]


def test_query_without_groups_is_one_group_that_can_be_too_small(room: Room) -> None:
    sql = "SELECT SUM(spent) AS total FROM free_visits"
    assert room.rows(room.run(sql)) == [{"total": 210}]
    assert room.rows(room.run(f"{sql} WHERE city = 'Rome'")) == []


def test_strictest_minimum_counts_when_it_changes(room: Room) -> None:
    rooms = room.partner.clients("cleanrooms")
    sql = f"SELECT UPPER(v.city) AS place, COUNT(DISTINCT v.hashed_id) AS n {JOIN} GROUP BY UPPER(v.city)"
    assert room.rows(room.run(sql)) == [{"place": "BERN", "n": 2}]
    for minimum, expected in ((3, []), (2, [{"place": "BERN", "n": 2}])):
        constraint = {"columnName": "hashed_id", "minimum": minimum, "type": "COUNT_DISTINCT"}
        rooms.update_configured_table_analysis_rule(
            configuredTableIdentifier=room.partner.table,
            analysisRuleType="AGGREGATION",
            analysisRulePolicy={"v1": {"aggregation": RULE | {"outputConstraints": [constraint]}}},
        )
        assert room.rows(room.run(sql)) == expected


def test_having_by_an_alias_and_order_by_go_with_the_constraints(room: Room) -> None:
    sql = f"SELECT v.city AS place, SUM(v.spent) AS total {JOIN} GROUP BY place HAVING total > {{}} ORDER BY total DESC"
    assert room.rows(room.run(sql.format(50))) == [{"place": "Bern", "total": 60}]
    query = room.run(sql.format(60))
    assert room.rows(query) == []
    assert log_of(room, query) == ["0 of 0 groups left out by output constraints"]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT SUM(spent) AS total FROM visits", "Inner join to query runner table required for table members"),
        (f"SELECT AVG(v.spent) AS mean {JOIN}", "AVG of spent is not granted"),
        (f"SELECT v.hashed_id, SUM(v.spent) AS total {JOIN} GROUP BY v.hashed_id", "Column(s) [hashed_id] is not allo"),
        (f"SELECT LOWER(v.city) AS c, SUM(v.spent) AS t {JOIN} GROUP BY LOWER(v.city)", "not a granted scalar"),
        (f"SELECT v.city {JOIN} GROUP BY v.city", "no aggregate is selected"),
        (f"SELECT COUNT(DISTINCT v.ssn) AS n {JOIN}", "no column v.ssn among the allowed columns"),
        (f"SELECT SUM(v.spent) AS total {JOIN} WHERE v.ssn = 's1'", "no column v.ssn among the allowed columns"),
        ("SELECT SUM(spent) AS total FROM read_parquet('/etc/passwd')", "table-function"),
        ("SELECT SUM(spent) AS total FROM room.visits", "qualified-table"),
        ("SELECT SUM(spent) AS total FROM `s3://partner-data/visits/data.parquet`", "unknown-table"),
        (QUERY.replace("people", "visits"), "read together: AGGREGATION, LIST"),
    ],
)
def test_query_outside_the_rule_is_refused(room: Room, sql: str, text: str) -> None:
    with refused("ValidationException", text, "INVALID_QUERY"):
        room.start(sql)
