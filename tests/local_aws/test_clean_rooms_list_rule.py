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
    "nonsense": ("selec distinct x", "not parse"),
    "broken": ("SELECT DISTINCT FROM WHERE", "not parse"),
    "unbalanced": ("SELECT DISTINCT (p.age " + JOIN, "not parse"),
    "empty": ("", "exactly one SELECT"),
    "two statements": (f"{QUERY}; {QUERY}", "exactly one SELECT"),
    "drop": ("DROP TABLE people", "exactly one SELECT"),
    "insert": ("INSERT INTO people VALUES (1)", "exactly one SELECT"),
    "set": ("SET a = 1", "exactly one SELECT"),
    "union": (f"{QUERY} UNION {QUERY}", "exactly one SELECT"),
    "in parentheses": (f"({QUERY})", "exactly one SELECT"),
    "double quotes": (f'{QUERY} WHERE p.city = "Bern"', "double quotes"),
    "nested deeply": (f"SELECT DISTINCT {'(' * 5000}p.age{')' * 5000} {JOIN}", "nested too deeply"),
}
NOT_A_TABLE = {
    "no table": ("SELECT DISTINCT 1", "no table"),
    "unknown": (
        "SELECT DISTINCT x.a FROM match_keys m JOIN x ON m.hashed_id = x.hashed_id",
        "table x is not associated",
    ),
    "glue name": (QUERY.replace("people p", "room.people p"), "write its name alone"),
    "file": ("SELECT DISTINCT a FROM parquet.`/etc/passwd`", "write its name alone"),
    "quoted file": ("SELECT DISTINCT a FROM `/etc/passwd`", "not associated"),
    "read_parquet": ("SELECT DISTINCT a FROM read_parquet('/etc/passwd')", "functions cannot be read from"),
    "read_text": ("SELECT DISTINCT content FROM read_text('/etc/passwd')", "functions cannot be read from"),
    "range": ("SELECT DISTINCT id FROM range(10)", "functions cannot be read from"),
    "system table": ("SELECT DISTINCT name FROM duckdb_settings()", "functions cannot be read from"),
    "information schema": ("SELECT DISTINCT table_name FROM information_schema.tables", "write its name alone"),
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
    "cte": (f"WITH people AS (SELECT ssn, hashed_id FROM people) SELECT DISTINCT p.ssn {JOIN}", "WITH"),
    "derived table": ("SELECT DISTINCT p.ssn FROM (SELECT * FROM people) p", "a subquery"),
    "whole row": (f"SELECT DISTINCT p {JOIN}", "could not be resolved"),
    "file name": (f"SELECT DISTINCT p.filename {JOIN}", "filename"),
    "row id": (f"SELECT DISTINCT p.rowid {JOIN}", "rowid"),
}
NOT_LIST = {
    "without distinct": (f"SELECT p.age {JOIN}", "SELECT DISTINCT"),
    "distinct on": (f"SELECT DISTINCT ON (p.age) p.age {JOIN}", "ON is not allowed in DISTINCT"),
    "join column out": (f"SELECT DISTINCT p.hashed_id {JOIN}", "a join column in the LIST rule of table people"),
    "join column out by alias": (f"SELECT DISTINCT m.`HASHED_ID` AS x {JOIN}", "[hashed_id] is not allowed in select"),
    "join column in where": (f"{QUERY} WHERE p.hashed_id = 'h1'", "[hashed_id] is not allowed in where"),
    "literal": (f"SELECT DISTINCT p.age, 1 AS one {JOIN}", "only list columns"),
    "expression": (f"SELECT DISTINCT p.age + 1 AS older {JOIN}", "only list columns"),
    "function": (f"SELECT DISTINCT upper(p.city) {JOIN}", "a function"),
    "aggregate": (f"SELECT DISTINCT count(p.age) {JOIN}", "a function"),
    "window": (f"SELECT DISTINCT row_number() OVER (ORDER BY p.age) {JOIN}", "WINDOW"),
    "function in where": (f"{QUERY} WHERE length(p.city) = 4", "a function"),
    "cast in where": (f"{QUERY} WHERE CAST(p.age AS STRING) = '1'", "a function"),
    "java": (f"SELECT DISTINCT reflect('java.lang.System', 'getenv', 'PATH') {JOIN}", "a function"),
    "group by": (f"SELECT DISTINCT p.age {JOIN} GROUP BY p.age", "GROUP BY"),
    "having": (f"SELECT DISTINCT p.age {JOIN} HAVING p.age > 1", "HAVING"),
    "order by": (f"{QUERY} ORDER BY p.age", "ORDER BY"),
    "offset": (f"{QUERY} LIMIT 3 OFFSET 2", "OFFSET"),
    "limit 0": (f"{QUERY} LIMIT 0", "positive whole number"),
    "subquery in where": (f"{QUERY} WHERE p.age IN (SELECT 1)", "a subquery"),
    "exists": (f"{QUERY} WHERE EXISTS (SELECT 1)", "EXISTS"),
    "between": (f"{QUERY} WHERE p.age BETWEEN 1 AND 3", "BETWEEN"),
    "qualify": (f"SELECT DISTINCT p.age {JOIN} QUALIFY p.age > 1", "QUALIFY"),
    "lateral view": (f"SELECT DISTINCT p.age {JOIN} LATERAL VIEW explode(array(1)) t AS x", "LATERALS"),
    "sample": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people TABLESAMPLE (1 ROWS) p ON m.hashed_id = p.hashed_id",
        "",
    ),
    "hint": (f"SELECT /*+ BROADCAST(p) */ DISTINCT p.age {JOIN}", "hints"),
    "no join": ("SELECT DISTINCT p.age FROM people p", "an inner join to a table of the query runner is required"),
    "partner tables only": (
        "SELECT DISTINCT p.age FROM people p JOIN people q ON p.hashed_id = q.hashed_id",
        "an inner join to a table of the query runner is required",
    ),
    "left join": (QUERY.replace("INNER", "LEFT"), "outer join"),
    "semi join": (QUERY.replace("INNER", "LEFT SEMI"), "outer join"),
    "cross join": ("SELECT DISTINCT p.age FROM match_keys m CROSS JOIN people p", "INNER JOIN ... ON"),
    "comma": ("SELECT DISTINCT p.age FROM match_keys m, people p", "INNER JOIN ... ON"),
    "join without on": ("SELECT DISTINCT p.age FROM match_keys m JOIN people p", "TRUE is not allowed"),
    "using": ("SELECT DISTINCT p.age FROM match_keys m JOIN people p USING (hashed_id)", "USING"),
    "natural": ("SELECT DISTINCT p.age FROM match_keys m NATURAL JOIN people p", "NATURAL"),
    "list column in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.customer_key = p.city",
        "column customer_key of table match_keys is not allowed in ON",
    ),
    "inequality in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id <> p.hashed_id",
        "column = column",
    ),
    "literal in on": (f"SELECT DISTINCT p.age {JOIN} AND p.hashed_id = 'h1'", "column = column"),
    "same table in on": (
        "SELECT DISTINCT p.age FROM match_keys m JOIN people p ON p.hashed_id = p.hashed_id",
        "with a table before it",
    ),
    "or not allowed": (
        f"SELECT DISTINCT p.age {JOIN} OR m.hashed_id = p.hashed_id",
        "OR is not among allowedJoinOperators",
    ),
    "and not allowed": (
        "SELECT DISTINCT q.age FROM match_keys m JOIN more_people q"
        " ON m.hashed_id = q.hashed_id AND m.hashed_id = q.hashed_id",
        "table more_people: AND is not among allowedJoinOperators",
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


def test_aggregation_rules_are_refused_loudly_and_rule_types_never_mixed(room: Room) -> None:
    policy = {
        "aggregateColumns": [{"columnNames": ["age"], "function": "AVG"}],
        "joinColumns": ["hashed_id"],
        "dimensionColumns": ["city"],
        "scalarFunctions": [],
        "outputConstraints": [{"columnName": "hashed_id", "minimum": 2, "type": "COUNT_DISTINCT"}],
    }
    room.partner.offer("by_city", "people", ["hashed_id", "age", "city"], policy, "AGGREGATION")
    with refused("ValidationException", "does not run queries under AGGREGATION rules yet", "INVALID_QUERY"):
        room.start("SELECT avg(age) FROM by_city")
    with refused("ValidationException", "cannot be mixed: AGGREGATION, LIST", "INVALID_QUERY"):
        room.start(QUERY.replace("people", "by_city"))


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
