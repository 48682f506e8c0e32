"""CUSTOM rules: only what every owner allows runs, on allowed columns, and no disallowed column reaches the result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

from .two_parties import QUERY, Clients, Party, Room, open_room, refused

NUMBERS = itertools.count()
JOIN = "FROM keys k JOIN persons p ON k.hashed_id = p.hashed_id"
TEXT = f"SELECT k.customer_key, p.age, p.city {JOIN} WHERE p.age >= :least"
ANYBODY = {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": [BRAND_ACCOUNT]}


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    """A room whose tables ``keys`` and ``persons`` have CUSTOM rules; their ids take the place of the LIST tables'."""
    room = open_room(brand, partner)
    nobody: dict[str, Any] = {"allowedAnalyses": []}
    columns = ["hashed_id", "customer_key"]
    room.brand.table, room.brand.association = room.brand.offer("keys", "match_keys", columns, nobody, "CUSTOM")
    columns = ["hashed_id", "age", "city"]
    room.partner.table, room.partner.association = room.partner.offer("persons", "people", columns, nobody, "CUSTOM")
    return room


def template(party: Party, text: str = TEXT, **changes: Any) -> str:
    """Make a template; its ARN."""
    given = {
        "membershipIdentifier": party.membership,
        "name": f"template-{next(NUMBERS)}",
        "format": "SQL",
        "source": {"text": text},
        "analysisParameters": [{"name": "least", "type": "INTEGER", "defaultValue": "0"}] if ":least" in text else [],
    }
    made = party.clients("cleanrooms").create_analysis_template(**given | changes)
    return str(made["analysisTemplate"]["arn"])


def allow(party: Party, **policy: Any) -> None:
    """Set what a party's table allows."""
    party.clients("cleanrooms").update_configured_table_analysis_rule(
        configuredTableIdentifier=party.table,
        analysisRuleType="CUSTOM",
        analysisRulePolicy={"v1": {"custom": policy}},
    )


def receive(party: Party, *accounts: str) -> None:
    """Set who may receive what is made from a party's table."""
    party.clients("cleanrooms").update_configured_table_association_analysis_rule(
        membershipIdentifier=party.membership,
        configuredTableAssociationIdentifier=party.association,
        analysisRuleType="CUSTOM",
        analysisRulePolicy={"v1": {"custom": {"allowedResultReceivers": [*accounts]}}},
    )


@contextmanager
def allowed(room: Room, *arns: str) -> Iterator[None]:
    """Both tables allow these templates."""
    for party in (room.brand, room.partner):
        allow(party, allowedAnalyses=[*arns])
    yield
    for party in (room.brand, room.partner):
        allow(party, allowedAnalyses=[])
        receive(party, BRAND_ACCOUNT)


def by(arn: str, **parameters: str) -> dict[str, Any]:
    """The part of a start that names a template."""
    return {"sqlParameters": {"analysisTemplateArn": arn, **({"parameters": parameters} if parameters else {})}}


def rows_of(room: Room, text: str, **changes: Any) -> list[dict[str, Any]]:
    """Rows of a template's result, made and allowed for this."""
    arn = template(room.brand, text, **changes)
    with allowed(room, arn):
        return room.rows(room.run(**by(arn)))


# -- success


def test_template_runs_where_both_owners_allow_it(room: Room) -> None:
    arn = template(room.brand)
    with allowed(room, arn):
        query = room.run(**by(arn, least="40"))
        assert room.rows(query) == [{"customer_key": "c2", "age": 42, "city": None}]
        assert query["sqlParameters"] == {"analysisTemplateArn": arn, "parameters": {"least": "40"}}
        assert len(room.rows(room.run(**by(arn)))) == 2  # by the default


def test_template_may_aggregate_and_use_subqueries_windows_and_set_operations(room: Room) -> None:
    text = """
    WITH ages AS (SELECT hashed_id, COUNT(*) AS n, SUM(age) AS total FROM persons GROUP BY hashed_id),
    ranked AS (SELECT ages.*, ROW_NUMBER() OVER (ORDER BY total DESC) AS place FROM ages)
    SELECT k.customer_key, CASE WHEN r.place = 1 THEN 'first' ELSE 'other' END AS class, r.total
    FROM keys k LEFT JOIN ranked r ON k.hashed_id = r.hashed_id
    WHERE k.hashed_id IS NOT NULL AND EXISTS (SELECT 1 AS one FROM persons q WHERE q.age > 0)
    UNION ALL SELECT CAST('all' AS STRING), CAST('sum' AS STRING), SUM(age) FROM persons
    ORDER BY customer_key DESC
    """
    assert rows_of(room, text) == [
        {"customer_key": "c3", "class": "other", "total": None},
        {"customer_key": "c2", "class": "other", "total": 42},
        {"customer_key": "c1", "class": "other", "total": 31},
        {"customer_key": "all", "class": "sum", "total": 190},
    ]


def test_same_template_gives_the_same_bytes(room: Room) -> None:
    arn = template(room.brand, f"SELECT k.customer_key, p.age {JOIN}")
    with allowed(room, arn):
        assert room.files(room.run(**by(arn))) == room.files(room.run(**by(arn)))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CAST(p.age / 20 AS INT)", 1),  # 1.55: Spark cuts off, it does not round
        ("CAST('7' AS INT)", 7),
        ("SUM(p.age)", 31),  # BIGINT, not a decimal
        ("COUNT(*)", 1),
        ("p.age / 0", None),
        ("CAST(CAST(p.age AS DOUBLE) / 20 AS BIGINT)", 1),
        ("CAST(DATE '2026-02-28' + INTERVAL 1 DAY AS STRING)", "2026-03-01"),
        ("CAST(LAST_DAY(DATE_SUB(DATE '2026-03-01', 1)) AS STRING)", "2026-02-28"),
        ("CAST(CAST('2026-03-01' AS DATE) AS STRING)", "2026-03-01"),
        ("MAX(p.age) - 1", 30),
        ("-p.age DIV 2", -15),  # towards zero
        ("CAST(CAST(p.age AS DECIMAL(5, 2)) / 20 AS INT)", 1),
        ("SUM(CAST(p.age AS DECIMAL(5, 2)))", Decimal("31.00")),
        ("SUM(CAST(p.age AS DECIMAL(5, 2))) FILTER (WHERE p.age > 0)", Decimal("31.00")),
        ("CEIL(CAST(p.age AS DOUBLE) / 20)", 2),  # a whole number, not 2.0
        ("CAST(TRUNC(DATE '2026-03-15', 'MM') AS STRING)", "2026-03-01"),
        ("CAST(TO_DATE('15.03.2026', 'dd.MM.yyyy') AS STRING)", "2026-03-15"),
        ("SHA2('abc', 256)", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("SUBSTRING('abcdef', -2, 2)", "ef"),
    ],
)
def test_values_are_those_of_spark(room: Room, expression: str, value: object) -> None:
    group = "" if expression[:4] in ("SUM(", "COUN", "MAX(") else "p.age, "
    text = f"SELECT {expression} AS x {JOIN} WHERE k.customer_key = 'c1' GROUP BY {group}k.customer_key"
    (row,) = rows_of(room, text)
    assert row["x"] == value
    assert type(row["x"]) is type(value)


@pytest.mark.parametrize(
    "expression",
    [
        "CAST(p.city AS INT)",
        "CAST(p.age + 300 AS TINYINT)",
        "CAST(concat(CAST(p.age AS STRING), '.9') AS INT)",
        "CAST(p.age AS DECIMAL(2, 1))",
        "TO_DATE(p.city, 'yyyy-MM-dd')",
    ],
)
def test_value_that_cannot_be_cast_fails_the_query_as_in_spark(room: Room, expression: str) -> None:
    arn = template(room.brand, f"SELECT {expression} AS x {JOIN}")
    with allowed(room, arn):
        query = room.run(**by(arn))
    assert (query["status"], query["error"]["code"]) == ("FAILED", "MALFORMED_QUERY")
    assert "Bern" not in query["error"]["message"]


# -- parameters


@pytest.mark.parametrize(
    ("kind", "given", "expression", "value"),
    [
        ("INTEGER", "-3", ":x", -3),
        ("LONG", "12345678901", ":x", 12345678901),
        ("DECIMAL", "0.05", ":x * 100 = 5", True),
        ("DOUBLE_PRECISION", "1e3", ":x", 1000.0),
        ("BOOLEAN", "true", "NOT :x", False),
        ("DATE", "2026-02-28", "CAST(DATE_ADD(:x, 1) AS STRING)", "2026-03-01"),
        ("STRING", "O'Hara' OR 1=1 -- :x", "CAST(:x AS STRING)", "O'Hara' OR 1=1 -- :x"),
        ("VARCHAR", "", "CAST(:x AS STRING)", ""),
        ("STRING", "ignored", "CAST(':x' AS STRING)", ":x"),
    ],
)
def test_parameter_is_a_literal_of_its_type(room: Room, kind: str, given: str, expression: str, value: object) -> None:
    text = f"SELECT DISTINCT {expression} AS x FROM keys"
    arn = template(room.brand, text, analysisParameters=[{"name": "x", "type": kind}])
    with allowed(room, arn):
        assert room.rows(room.run(**by(arn, x=given))) == [{"x": value}]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, "least has neither value nor default"),
        ({"least": "1", "most": "2"}, "parameter most is not declared"),
        ({"least": "young"}, "least = 'young': not an INTEGER"),
        ({"least": "1.5"}, "least = '1.5': not an INTEGER"),
        ({"least": "99999999999"}, "'99999999999': not an INTEGER"),
        ({"least": "1 OR 1=1"}, "'1 OR 1=1': not an INTEGER"),
    ],
    ids=["missing", "unknown", "text", "fraction", "too large", "injection"],
)
def test_parameters_that_do_not_fit_are_refused(room: Room, parameters: dict[str, str], text: str) -> None:
    arn = template(room.brand, analysisParameters=[{"name": "least", "type": "INTEGER"}])
    with allowed(room, arn), refused("ValidationException", text, "INVALID_QUERY"):
        room.start(**by(arn, **parameters))


# -- permission: taking any one away


@pytest.mark.parametrize("party", ["brand", "partner"])
def test_one_owner_who_does_not_allow_the_template_is_enough(room: Room, party: str) -> None:
    arn, other = template(room.brand), template(room.brand)
    with allowed(room, arn):
        room.start(**by(arn))
        allow(getattr(room, party), allowedAnalyses=[other])
        table = {"brand": "keys", "partner": "persons"}[party]
        with refused("ValidationException", f"the template is not among the analyses that {table} allows"):
            room.start(**by(arn))
        allow(getattr(room, party), allowedAnalyses=[])
        with refused("ValidationException", f"{table} is not ready for queries: ANALYSIS_TEMPLATES_NOT_CONF"):
            room.start(**by(arn))
        allow(getattr(room, party), allowedAnalyses=[arn], additionalAnalyses="REQUIRED")
        with refused("ValidationException", f"{table} is not ready for queries: RESULT_RECEIVERS_NOT_ALLOWED"):
            room.start(**by(arn))
        allow(getattr(room, party), allowedAnalyses=[arn], additionalAnalyses="ALLOWED")
        room.start(**by(arn))


@pytest.mark.parametrize("party", ["brand", "partner"])
def test_receiver_must_be_allowed_by_every_table(room: Room, party: str) -> None:
    arn = template(room.brand)
    table = {"brand": "keys", "partner": "persons"}[party]
    with allowed(room, arn):
        receive(getattr(room, party), PARTNER_ACCOUNT)
        text = f"{BRAND_ACCOUNT} may not receive results of {table}"
        with refused("ValidationException", text, "INVALID_CONFIGURATION"):
            room.start(**by(arn))
        receive(getattr(room, party))
        with refused("ValidationException", "RESULT_RECEIVERS_NOT_CONFIGURED", "INVALID_QUERY"):
            room.start(**by(arn))


def test_deleted_template_runs_no_more_though_rules_name_it(room: Room) -> None:
    arn = template(room.brand)
    with allowed(room, arn):
        room.brand.clients("cleanrooms").delete_analysis_template(
            membershipIdentifier=room.brand.membership, analysisTemplateIdentifier=arn.rsplit("/", 1)[-1]
        )
        with refused("ResourceNotFoundException", arn):
            room.start(**by(arn))


def test_sql_of_the_runners_own_needs_any_query_and_the_runner_among_the_providers(room: Room) -> None:
    sql = TEXT.replace(":least", "40")
    arn = template(room.brand)
    with allowed(room, arn):
        with refused("ValidationException", "keys allows templates only"):
            room.start(sql)
        for party in (room.brand, room.partner):
            allow(party, **ANYBODY)
        assert room.rows(room.run(sql)) == [{"customer_key": "c2", "age": 42, "city": None}]
        assert room.rows(room.run(**by(arn, least="40"))) == room.rows(room.run(sql))  # its author is a provider
        allow(room.partner, **ANYBODY | {"allowedAnalysisProviders": [PARTNER_ACCOUNT]})
        with refused("ValidationException", "queries on persons by 111111111111 are not allowed"):
            room.start(sql)
        with refused("ValidationException", "the template is not among the analyses that persons allows"):
            room.start(**by(arn))
        allow(room.brand, **ANYBODY | {"allowedAnalysisProviders": [PARTNER_ACCOUNT]})
        assert room.rows(room.run(**by(template(room.partner), least="40"))) == [
            {"customer_key": "c2", "age": 42, "city": None}
        ]


def test_only_a_member_who_can_query_runs_a_template(room: Room) -> None:
    arn = template(room.partner)
    with allowed(room, arn), refused("AccessDeniedException", "CAN_QUERY", "INSUFFICIENT_PERMISSIONS"):
        room.partner.clients("cleanrooms").start_protected_query(
            type="SQL", membershipIdentifier=room.partner.membership, **by(arn)
        )


def test_templates_and_list_rules_do_not_go_together(room: Room) -> None:
    with refused(
        "ValidationException", "analysis templates run under CUSTOM rules only, not under LIST", "INVALID_QUERY"
    ):
        room.start(**by(template(room.brand, QUERY)))
    mixed = template(room.brand, "SELECT m.customer_key FROM match_keys m JOIN persons p ON m.hashed_id = p.hashed_id")
    with allowed(room, mixed), refused("ValidationException", "read together: CUSTOM, LIST", "INVALID_QUERY"):
        room.start(**by(mixed))


def test_query_is_either_text_or_a_template(room: Room) -> None:
    arn = template(room.brand)
    for given, text in (
        ({"queryString": TEXT, "analysisTemplateArn": arn}, "either queryString or analysisTemplateArn"),
        ({"queryString": TEXT, "parameters": {"least": "1"}}, "only with analysisTemplateArn"),
        ({"queryString": TEXT}, ":least is not a parameter"),
        ({"analysisTemplateArn": f"{arn}/x"}, "sqlParameters.analysisTemplateArn"),
    ):
        with refused("ValidationException", text):
            room.start(sqlParameters=given)


# -- columns


NOT_ALLOWED = {
    "plain": f"SELECT p.ssn {JOIN}",
    "in a common table expression": "WITH x AS (SELECT ssn FROM persons) SELECT x.ssn FROM x",
    "in a derived table": "SELECT d.s FROM (SELECT ssn AS s FROM persons) d",
    "in where": f"SELECT p.age {JOIN} WHERE p.ssn = 'secret-1'",
    "in a correlated subquery": (
        "SELECT age FROM persons p WHERE EXISTS (SELECT 1 AS o FROM keys k WHERE k.hashed_id = p.ssn)"
    ),
    "whole row": f"SELECT p {JOIN}",
    "through a hiding name": "WITH persons AS (SELECT * FROM persons) SELECT ssn FROM persons",
    "row id": f"SELECT p.rowid {JOIN}",
}


@pytest.mark.parametrize("sql", NOT_ALLOWED.values(), ids=NOT_ALLOWED.keys())
def test_columns_that_are_not_allowed_cannot_be_read(room: Room, sql: str) -> None:
    with allowed(room):
        for party in (room.brand, room.partner):
            allow(party, **ANYBODY)
        with refused("ValidationException", reason="INVALID_QUERY"):
            room.start(sql)
        starred = room.rows(room.run("SELECT * FROM persons"))
        assert {*starred[0]} == {"hashed_id", "age", "city"}


REACHES = {
    "plain": f"SELECT p.hashed_id {JOIN}",
    "alias": f"SELECT p.HASHED_ID AS who {JOIN}",
    "expression": f"SELECT upper(substring(p.hashed_id, 1, 4)) AS who {JOIN}",
    "condition": f"SELECT CASE WHEN p.hashed_id = 'h1' THEN 1 ELSE 0 END AS is_h1 {JOIN}",
    "aggregate": "SELECT COUNT(hashed_id) AS n FROM persons",
    "star": "SELECT * FROM persons",
    "star of a derived table": "SELECT d.* FROM (SELECT * FROM persons) d",
    "common table expression": "WITH x AS (SELECT hashed_id AS who FROM persons) SELECT x.who AS y FROM x",
    "chain of expressions": (
        "WITH x AS (SELECT hashed_id AS a FROM persons), y AS (SELECT a AS b FROM x) SELECT upper(b) AS c FROM y"
    ),
    "aggregate in a subquery": "SELECT d.n FROM (SELECT COUNT(hashed_id) AS n FROM persons) d",
    "scalar subquery": "SELECT k.customer_key, (SELECT MAX(hashed_id) AS m FROM persons) AS m FROM keys k",
    "scalar subquery over an expression": (
        "WITH x AS (SELECT hashed_id AS a FROM persons)"
        " SELECT k.customer_key, (SELECT MAX(a) AS m FROM x) AS m FROM keys k"
    ),
    "correlated subquery": (
        "SELECT customer_key, (SELECT MAX(p.age) AS a FROM persons p WHERE p.hashed_id = k.hashed_id) AS a FROM keys k"
    ),
    "exists": "SELECT EXISTS (SELECT 1 AS o FROM persons p WHERE p.hashed_id = 'h1') AS there, customer_key FROM keys",
    "window": f"SELECT p.age, ROW_NUMBER() OVER (PARTITION BY p.hashed_id ORDER BY p.age) AS n {JOIN}",
    "second branch of a union": "SELECT customer_key AS x FROM keys UNION ALL SELECT hashed_id FROM persons",
    "using": "SELECT * FROM keys JOIN persons USING (hashed_id)",
    "lateral alias": f"SELECT p.age, p.hashed_id AS w, w AS v {JOIN}",
}
STAYS_INSIDE = {
    "join": f"SELECT k.customer_key, p.age {JOIN}",
    "where": f"SELECT p.age {JOIN} WHERE p.hashed_id LIKE 'h%'",
    "grouping": f"SELECT SUM(p.age) AS total {JOIN} GROUP BY p.hashed_id",
    "key of an aggregate": (
        "WITH x AS (SELECT hashed_id, SUM(age) AS total FROM persons GROUP BY hashed_id)"
        " SELECT k.customer_key, x.total FROM keys k JOIN x ON k.hashed_id = x.hashed_id"
    ),
    "order": f"SELECT p.age {JOIN} ORDER BY p.hashed_id",
    "exists in where": (
        "SELECT customer_key FROM keys k"
        " WHERE EXISTS (SELECT p.hashed_id FROM persons p WHERE p.hashed_id = k.hashed_id)"
    ),
}


@pytest.fixture
def guarded(room: Room) -> Iterator[Room]:
    """The room, with ``hashed_id`` disallowed in results and any query of the brand's allowed."""
    with allowed(room):
        for party in (room.brand, room.partner):
            allow(party, **ANYBODY, disallowedOutputColumns=["hashed_id"])
        yield room


@pytest.mark.parametrize("sql", REACHES.values(), ids=REACHES.keys())
def test_disallowed_column_reaches_no_result_by_any_way(guarded: Room, sql: str) -> None:
    with refused("ValidationException", "Column(s) [hashed_id] is not allowed in select", "INVALID_QUERY"):
        guarded.start(sql)


@pytest.mark.parametrize("sql", STAYS_INSIDE.values(), ids=STAYS_INSIDE.keys())
def test_disallowed_column_may_join_filter_and_group(guarded: Room, sql: str) -> None:
    assert guarded.rows(guarded.run(sql))


NOT_RUN = {
    "unknown function": ("SELECT reflect('java.lang.System', 'getenv', 'PATH') AS x FROM keys", "unknown-function"),
    "setting": ("SELECT current_setting('temp_directory') AS x FROM keys", "unknown-function"),
    "percentile": ("SELECT percentile(age, 0.5) AS x FROM persons", "answers otherwise"),
    "day of week": ("SELECT dayofweek(current_date()) AS x FROM keys", "another day"),
    "lateral view": ("SELECT x.c AS c FROM keys LATERAL VIEW explode(array(1)) x AS c", "rows from expressions"),
    "unnest": ("SELECT u.c AS c FROM keys, unnest(array(1)) u(c)", "table-function"),
    "values": ("SELECT v.a FROM (VALUES (1)) v(a) CROSS JOIN keys", "rows from expressions"),
    "recursion": (
        "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT a FROM r CROSS JOIN keys",
        "recursive queries are not followed",
    ),
    "sample": ("SELECT age FROM persons TABLESAMPLE (1 ROWS)", "unknown-syntax"),
    "script": ("SELECT TRANSFORM(age) USING 'cat' FROM persons", "unknown-syntax"),
    "version of a table": ("SELECT age FROM persons VERSION AS OF 1", "sql-not-understood"),
    "parameter of another kind": ("SELECT ${x} AS x FROM persons", "sql-not-understood"),
    "named window": (
        "SELECT SUM(age) OVER w AS s FROM persons WINDOW w AS (PARTITION BY age)",
        "does not run a WINDOW clause",
    ),
    "unnamed output": ("SELECT count(*) FROM persons", "needs a name"),
    "same name twice": (f"SELECT k.customer_key AS a, p.age AS a {JOIN}", "same name: a"),
    "try_cast": ("SELECT TRY_CAST(city AS INT) AS x FROM persons", "TRY_CAST is not part"),
    "hint": ("SELECT age FROM (SELECT /*+ COALESCE(1) */ age FROM persons) d", "unknown-syntax"),
    "function as a table": ("SELECT content FROM read_text('/etc/passwd')", "table-function"),
    "file": ("SELECT * FROM parquet.`/etc/passwd`", "qualified-table"),
    "sha-224": ("SELECT sha2(city, 224) AS x FROM persons", "cannot run this SQL as Spark would"),
    "day of week by EXTRACT": ("SELECT extract(dow FROM current_date()) AS x FROM persons", "counts from another day"),
    "day of week by DATE_PART": ("SELECT date_part('dow', current_date()) AS x FROM persons", "does not know"),
    "trunc of one argument": ("SELECT trunc(current_date()) AS x FROM persons", "does not know"),
    "format of a date": ("SELECT to_char(current_date(), 'yyyy') AS x FROM persons", "cannot run this SQL as Spark"),
    "format of a number": ("SELECT to_number(city, '99') AS x FROM persons", "cannot run this SQL as Spark"),
    "average of decimals": ("SELECT avg(CAST(age AS DECIMAL(5, 2))) AS x FROM persons", "an average of decimals"),
    "skewness": ("SELECT skewness(age) AS x FROM persons", "answers otherwise"),
    "months between": ("SELECT datediff(MONTH, DATE '2026-01-31', current_date()) AS x FROM keys", "whole units"),
    "time zone": ("SELECT from_utc_timestamp(now(), 'Asia/Tokyo') AS x FROM keys", "(unknown-syntax"),
    "text from the zeroth": ("SELECT substring(city, 0, 2) AS x FROM persons", "Spark counts from 1"),
    "number as text": ("SELECT CAST(CAST(age AS DOUBLE) AS STRING) AS x FROM persons", "such numbers otherwise"),
    "backslash in LIKE": ("SELECT age FROM persons WHERE city LIKE 'a\\\\_%'", "LIKE takes a text literal"),
    "text in double quotes": ('SELECT age FROM persons WHERE city = "Bern"', "double-quotes"),
    "sha-512": ("SELECT sha2(city, 512) AS x FROM persons", "cannot run this SQL as Spark would"),
}


@pytest.mark.parametrize(("sql", "text"), NOT_RUN.values(), ids=NOT_RUN.keys())
def test_sql_that_would_run_otherwise_than_in_spark_is_refused_by_name(guarded: Room, sql: str, text: str) -> None:
    with refused("ValidationException", text, "INVALID_QUERY"):
        guarded.start(sql)


# -- the rule itself


OVERRIDES = [{"outputColumnName": "age", "minimumIdentityCount": 0}]


def threshold(column: str, **changes: Any) -> dict[str, Any]:
    """An aggregation threshold."""
    return {
        "identityColumns": [column],
        "minimumIdentityCount": 2,
        "type": "COUNT_DISTINCT",
        "allowedAggregateExpressionType": "COLUMNS_ONLY",
        **changes,
    }


def controls(*columns: str) -> dict[str, Any]:
    """Comparison controls that let these columns be compared with literals."""
    return {"allowedLiteralComparisonColumns": [*columns], "allowedColumnComparisonColumns": []}


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            {"differentialPrivacy": {"columns": [{"name": "hashed_id"}]}, "comparisonControls": controls()},
            "differentialPrivacy: not together with",
        ),
        ({"differentialPrivacy": {"columns": [{"name": "ssn"}]}}, "not among the table's allowedColumns: ssn"),
        ({"aggregationThresholds": [threshold("age")]}, "identityColumns: age is int, not a string"),
        ({"aggregationThresholds": [threshold("ssn")]}, "not among the table's allowedColumns: ssn"),
        (
            {"aggregationThresholds": [threshold("city", outputColumnThresholds=OVERRIDES)]},
            "outputColumnThresholds: the documents do not say",
        ),
        (
            {"aggregationThresholds": [threshold("city")], "comparisonControls": controls("city")},
            "allowedLiteralComparisonColumns: city is the identity column",
        ),
        ({"comparisonControls": controls("ssn")}, "not among the table's allowedColumns: ssn"),
        ({"allowedResultReceivers": [BRAND_ACCOUNT]}, "allowedResultReceivers: the embedded AWS does not"),
        ({"allowedAnalyses": ["ANY_JOB"]}, "ANY_JOB"),
        ({"allowedAnalyses": ["ANY_QUERY", "a template"]}, "either ANY_QUERY or analysis templates"),
        ({"allowedAnalysisProviders": [BRAND_ACCOUNT]}, "only with ANY_QUERY"),
        ({"disallowedOutputColumns": ["ssn"]}, "not among the table's allowedColumns: ssn"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_rule_that_is_not_enforced_or_contradicts_itself_is_refused(
    room: Room, policy: dict[str, Any], text: str
) -> None:
    policy = {"allowedAnalyses": [], **policy}
    if "a template" in policy["allowedAnalyses"]:
        policy["allowedAnalyses"][1] = template(room.brand)
    with refused("ValidationException", text, "INVALID_CONFIGURATION"):
        allow(room.partner, **policy)


def test_every_member_sees_the_rule_and_its_readiness(room: Room) -> None:
    arn = template(room.brand)
    with allowed(room, arn):
        for party in (room.brand, room.partner):
            rooms = party.clients("cleanrooms")
            schema = rooms.get_schema(collaborationIdentifier=room.id, name="persons")["schema"]
            assert schema["analysisRuleTypes"] == ["CUSTOM"]
            details = {one["analysisType"]: one["status"] for one in schema["schemaStatusDetails"]}
            assert details == {"DIRECT_ANALYSIS": "READY", "ADDITIONAL_ANALYSIS": "NOT_READY"}
            found = rooms.get_schema_analysis_rule(collaborationIdentifier=room.id, name="persons", type="CUSTOM")
            assert found["analysisRule"]["policy"]["v1"]["custom"] == {"allowedAnalyses": [arn]}
            assert found["analysisRule"]["consolidatedPolicy"]["v1"]["custom"] == {
                "allowedAnalyses": [arn],
                "allowedResultReceivers": [BRAND_ACCOUNT],
            }
