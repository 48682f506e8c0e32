"""Whatever way a query takes to its groups: those of fewer people than the threshold stay out, all others are there."""

from __future__ import annotations

from collections import defaultdict

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_rooms.analysis_rules import check
from clean_rooms.analysis_rules.enforcement import apply_filters, mark_filters
from tests.clean_room_tables import BRAND, PARTNER, custom_rule, table, threshold

COLUMNS = {"who": "string", "city": "string", "spent": "int"}
VISITS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"])),
        st.one_of(st.none(), st.sampled_from(["Bern", "Oslo", "Rome"])),
        st.integers(0, 9),
    ),
    max_size=20,
)
WAYS = {
    "groups": "SELECT v.city AS city, SUM(v.spent) AS total FROM visits v GROUP BY v.city",
    "groups of people": (
        "WITH p AS (SELECT who, city, SUM(spent) AS paid FROM visits GROUP BY who, city)"
        " SELECT p.city AS city, SUM(p.paid) AS total FROM p GROUP BY p.city"
    ),
    "groups passed on": (
        "WITH c AS (SELECT city, SUM(spent) AS paid FROM visits GROUP BY city)"
        " SELECT c.city AS city, c.paid AS total FROM c"
    ),
    "groups passed on twice": (
        "SELECT d.city AS city, d.total AS total FROM (SELECT e.city AS city, e.paid AS total FROM"
        " (SELECT city, SUM(spent) AS paid FROM visits GROUP BY city) e) d"
    ),
    "groups of a star": (
        "SELECT d.city AS city, SUM(d.spent) AS total FROM (SELECT v.* FROM visits v) d GROUP BY d.city"
    ),
    "groups of a left join": (
        "SELECT k.place AS city, SUM(v.spent) AS total FROM places k LEFT JOIN visits v ON k.place = v.city"
        " GROUP BY k.place"
    ),
}


@pytest.mark.parametrize("sql", WAYS.values(), ids=WAYS.keys())
@settings(max_examples=25)
@given(visits=VISITS, minimum=st.integers(2, 4))
def test_groups_of_fewer_people_than_the_threshold_stay_out(
    sql: str, visits: list[tuple[str | None, str | None, int]], minimum: int
) -> None:
    rules = [
        table("visits", PARTNER, COLUMNS, "CUSTOM", custom_rule(**threshold("who", minimum))),
        table("places", BRAND, "place", "CUSTOM", custom_rule()),
    ]
    verdict = check(sql, rules, BRAND)
    assert verdict.query is not None, verdict.violations
    mark_filters(verdict)
    query = verdict.query.copy()
    filtered = apply_filters(query)
    people, spent = defaultdict(set), defaultdict(int)
    for who, city, amount in visits:
        spent[city] += amount
        people[city] |= {who} - {None}
    if "places" in sql:
        spent.pop(None, None)
    expected = {city: total for city, total in spent.items() if len(people[city]) >= minimum}
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE visits (who VARCHAR, city VARCHAR, spent INTEGER)")
        connection.execute("CREATE TABLE places AS SELECT unnest(['Bern', 'Oslo', 'Rome', 'Wien']) AS place")
        if visits:
            connection.executemany("INSERT INTO visits VALUES (?, ?, ?)", visits)
        rows = dict(connection.execute(query.sql("duckdb")).fetchall())
        ((groups, left_out, broken),) = connection.execute(filtered[0].counts.sql("duckdb")).fetchall()
    assert rows == expected
    assert (groups - left_out, broken) == (len(expected), left_out)
