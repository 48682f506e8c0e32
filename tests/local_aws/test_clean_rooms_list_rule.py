"""LIST rules: which queries are refused before anything runs, and that no accepted query reaches beyond its tables."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pseg.local_aws.clean_rooms_engine import Engine

from .two_parties import QUERY, Clients, Room, open_room, refused

JOIN = "FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id"


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    room = open_room(brand, partner)
    rule = {"joinColumns": ["hashed_id"], "listColumns": ["age", "city"]}
    room.partner.offer("not_ready", "people", ["hashed_id", "age", "city"], None)
    room.partner.offer("more_people", "people", ["hashed_id", "age", "city"], rule | {"allowedJoinOperators": ["OR"]})
    return room


NOT_SQL = {
    "nonsense": ("selec distinct x", "not-a-select"),
    "broken": ("SELECT DISTINCT FROM WHERE", "sql-does-not-parse"),
    "unbalanced": ("SELECT DISTINCT (p.age " + JOIN, "sql-does-not-parse"),
    "empty": ("", "not-a-select"),
    "two statements": (f"{QUERY}; {QUERY}", "several-statements"),
    "drop": ("DROP TABLE people", "not-a-select"),
    "insert": ("INSERT INTO people VALUES (1)", "not-a-select"),
    "set": ("SET a = 1", "not-a-select"),
    "union": (f"{QUERY} UNION {QUERY}", "list-set-operation"),
    "in parentheses": (f"({QUERY})", "list-brackets"),
    "double quotes": (f'{QUERY} WHERE p.city = "Bern"', "double-quotes"),
    "nested deeply": (f"SELECT DISTINCT {'(' * 5000}p.age{')' * 5000} {JOIN}", "sql-not-understood"),
}
NOT_A_TABLE = {
    "no table": ("SELECT DISTINCT 1", "no-table"),
    "unknown": (
        "SELECT DISTINCT other.a FROM match_keys m JOIN other ON m.hashed_id = other.hashed_id",
        "(unknown-table, line 1, column 48: other)",
    ),
    "glue name": (QUERY.replace("people p", "room.people p"), "qualified-table"),
    "file": ("SELECT DISTINCT a FROM parquet.`/etc/passwd`", "qualified-table"),
    "quoted file": ("SELECT DISTINCT a FROM `/etc/passwd`", "unknown-table"),
    "read_parquet": ("SELECT DISTINCT a FROM read_parquet('/etc/passwd')", "table-function"),
    "read_text": ("SELECT DISTINCT content FROM read_text('/etc/passwd')", "table-function"),
    "range": ("SELECT DISTINCT id FROM range(10)", "table-function"),
    "system table": ("SELECT DISTINCT name FROM duckdb_settings()", "table-function"),
    "information schema": ("SELECT DISTINCT table_name FROM information_schema.tables", "qualified-table"),
    "not ready": (QUERY.replace("people", "not_ready"), "ANALYSIS_RULE_MISSING"),
}
NOT_ALLOWED_COLUMN = {
    "plain": (f"SELECT DISTINCT p.ssn {JOIN}", "ssn"),
    "bare": (f"SELECT DISTINCT ssn {JOIN}", "ssn"),
    "upper case": (f"SELECT DISTINCT P.SSN {JOIN}", "ssn"),
    "quoted": (f"SELECT DISTINCT p.`ssn` {JOIN}", "ssn"),
    "where": (f"{QUERY} WHERE p.ssn = 'secret-1'", "ssn"),
    "join": (f"SELECT DISTINCT p.age {JOIN} AND p.ssn = m.hashed_id", "ssn"),
    "alias in where": (f"SELECT DISTINCT p.age AS ssn {JOIN} WHERE ssn = 1", "ssn"),
    "star": (f"SELECT DISTINCT * {JOIN}", "Column(s) [hashed_id] is not allowed in select"),
    "star of table": (f"SELECT DISTINCT p.* {JOIN}", "Column(s) [hashed_id] is not allowed in select"),
    "cte": (f"WITH people AS (SELECT ssn, hashed_id FROM people) SELECT DISTINCT p.ssn {JOIN}", "list-cte"),
    "derived table": ("SELECT DISTINCT p.ssn FROM (SELECT * FROM people) p", "list-subquery"),
    "whole row": (f"SELECT DISTINCT p {JOIN}", "unknown-column"),
    "file name": (f"SELECT DISTINCT p.filename {JOIN}", "filename"),
    "row id": (f"SELECT DISTINCT p.rowid {JOIN}", "rowid"),
}
NOT_LIST = {
    "without distinct": (f"SELECT p.age {JOIN}", "list-needs-distinct"),
    "distinct on": (f"SELECT DISTINCT ON (p.age) p.age {JOIN}", "unknown-syntax"),
    "join column out": (f"SELECT DISTINCT p.hashed_id {JOIN}", "list-select-join-column"),
    "join column out by alias": (f"SELECT DISTINCT m.`HASHED_ID` AS x {JOIN}", "[hashed_id] is not allowed in select"),
    "join column in where": (f"{QUERY} WHERE p.hashed_id = 'h1'", "list-where-join-column"),
    "literal": (f"SELECT DISTINCT p.age, 1 AS one {JOIN}", "list-select-literal"),
    "expression": (f"SELECT DISTINCT p.age + 1 AS older {JOIN}", "list-select-expression"),
    "function": (f"SELECT DISTINCT upper(p.city) {JOIN}", "list-function"),
    "aggregate": (f"SELECT DISTINCT count(p.age) {JOIN}", "list-function"),
    "window": (f"SELECT DISTINCT row_number() OVER (ORDER BY p.age) {JOIN}", "list-select-expression"),
    "function in where": (f"{QUERY} WHERE length(p.city) = 4", "list-function"),
    "cast in where": (f"{QUERY} WHERE CAST(p.age AS STRING) = '1'", "list-function"),
    "java": (f"SELECT DISTINCT reflect('java.lang.System', 'getenv', 'PATH') {JOIN}", "list-function"),
    "group by": (f"SELECT DISTINCT p.age {JOIN} GROUP BY p.age", "list-group-by"),
    "having": (f"SELECT DISTINCT p.age {JOIN} HAVING p.age > 1", "list-having"),
    "order by": (f"{QUERY} ORDER BY p.age", "list-order-by"),
    "offset": (f"{QUERY} LIMIT 3 OFFSET 2", "list-offset"),
    "limit 0": (f"{QUERY} LIMIT 0", "list-limit"),
    "subquery in where": (f"{QUERY} WHERE p.age IN (SELECT 1)", "list-subquery"),
    "exists": (f"{QUERY} WHERE EXISTS (SELECT 1)", "list-subquery"),
    "between": (f"{QUERY} WHERE p.age BETWEEN 1 AND 3", "list-where-operator"),
    "qualify": (f"SELECT DISTINCT p.age {JOIN} QUALIFY p.age > 1", "unknown-syntax"),
    "lateral view": (f"SELECT DISTINCT p.age {JOIN} LATERAL VIEW explode(array(1)) t AS x", "list-lateral-view"),
    "sample": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people TABLESAMPLE (1 ROWS) p ON m.hashed_id = p.hashed_id",
        "unknown-syntax",
    ),
    "hint": (f"SELECT /*+ BROADCAST(p) */ DISTINCT p.age {JOIN}", "list-hint"),
    "no join": ("SELECT DISTINCT p.age FROM people p", "list-needs-join"),
    "partner tables only": (
        "SELECT DISTINCT p.age FROM people p JOIN people q ON p.hashed_id = q.hashed_id",
        "list-overlap",
    ),
    "left join": (QUERY.replace("INNER", "LEFT"), "list-outer-join"),
    "semi join": (QUERY.replace("INNER", "LEFT SEMI"), "list-outer-join"),
    "cross join": ("SELECT DISTINCT p.age FROM match_keys m CROSS JOIN people p", "list-cross-join"),
    "comma": ("SELECT DISTINCT p.age FROM match_keys m, people p", "list-cross-join"),
    "join without on": ("SELECT DISTINCT p.age FROM match_keys m JOIN people p", "list-on-not-equality"),
    "using": ("SELECT DISTINCT p.age FROM match_keys m JOIN people p USING (hashed_id)", "list-using"),
    "natural": ("SELECT DISTINCT p.age FROM match_keys m NATURAL JOIN people p", "list-natural-join"),
    "list column in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.customer_key = p.city",
        "list-on-not-join-column",
    ),
    "inequality in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id <> p.hashed_id",
        "list-on-not-equality",
    ),
    "literal in on": (f"SELECT DISTINCT p.age {JOIN} AND p.hashed_id = 'h1'", "list-on-not-equality"),
    "same table in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON p.hashed_id = p.hashed_id",
        "list-on-same-side",
    ),
    "or not allowed": (
        f"SELECT DISTINCT p.age {JOIN} OR m.hashed_id = p.hashed_id",
        "list-join-operator",
    ),
    "and not allowed": (
        "SELECT DISTINCT q.age FROM match_keys m JOIN more_people q"
        " ON m.hashed_id = q.hashed_id AND m.hashed_id = q.hashed_id",
        "list-join-operator",
    ),
    "same name twice": (f"SELECT DISTINCT p.age, p.city AS age {JOIN}", "same name: age"),
}


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        pytest.param(sql, text, id=f"{group}: {name}")
        for group, cases in (
            ("sql", NOT_SQL),
            ("table", NOT_A_TABLE),
            ("column", NOT_ALLOWED_COLUMN),
            ("rule", NOT_LIST),
        )
        for name, (sql, text) in cases.items()
    ],
)
def test_query_outside_the_rule_is_refused_before_it_starts(room: Room, sql: str, text: str) -> None:
    before = room.brand.clients("cleanrooms").list_protected_queries(membershipIdentifier=room.brand.membership)
    with refused("ValidationException", text, "INVALID_QUERY"):
        room.start(sql)
    after = room.brand.clients("cleanrooms").list_protected_queries(membershipIdentifier=room.brand.membership)
    assert before["protectedQueries"] == after["protectedQueries"]


def test_all_violations_are_named_at_once(room: Room) -> None:
    for text in ("GROUP BY", "SELECT DISTINCT"):
        with refused("ValidationException", text):
            room.start(f"SELECT p.age {JOIN} GROUP BY p.age")


def test_chain_of_joins_to_the_runners_table_is_allowed(room: Room) -> None:
    sql = (
        "SELECT DISTINCT m.customer_key, q.age FROM people p JOIN more_people q ON p.hashed_id = q.hashed_id"
        " INNER JOIN match_keys m ON (m.hashed_id = q.hashed_id)"
    )
    assert room.rows(room.run(sql)) == [{"customer_key": "c1", "age": 31}, {"customer_key": "c2", "age": 42}]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM glob('/*')",
        "COPY (SELECT 1) TO '/tmp/never'",
        "ATTACH '/tmp/never.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
    ],
)
def test_even_sql_that_escaped_the_checks_meets_a_sealed_engine(tmp_path: Path, sql: str) -> None:
    engine = Engine(tmp_path)
    engine.seal()
    with pytest.raises(duckdb.Error, match=r"disabled|locked|Cannot change|cannot be reset|lock"):
        engine.connection.execute(sql)
    engine.connection.close()
