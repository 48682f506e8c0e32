"""The checker's call: what it takes, what it gives an engine, where it points, and what it refuses to read."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from clean_rooms.analysis_rules import OutputConstraint, Place, check
from clean_rooms.list_query import build_list_query
from contracts.errors import ContractError
from tests.clean_room_cases import CASES
from tests.clean_room_tables import (
    BRAND,
    KEYS,
    LOYALTY,
    PARTNER,
    ROOMS,
    TEMPLATE_ARN,
    USERS,
    aggregation_rule,
    comparisons,
    custom_rule,
    list_rule,
    table,
    threshold,
)
from tests.worlds import SETTINGS

JOINED = "SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id"
COUNT = "SELECT COUNT(DISTINCT user_id) FROM users"


def codes(*arguments: Any, **options: Any) -> list[str]:
    """Reason codes of a verdict."""
    return [one.code for one in check(*arguments, **options).violations]


def test_verdict_names_tables_and_rule_and_gives_the_tree_to_run() -> None:
    verdict = check(JOINED, ROOMS["list"], BRAND)
    assert verdict.allowed
    assert verdict.tables == ("match_keys", "people")
    assert verdict.rule_type == "LIST"
    assert verdict.query is not None
    assert verdict.query.sql("spark") == JOINED.replace("match_keys m", "match_keys AS m").replace(
        "people p", "people AS p"
    )
    assert verdict.constraints == ()


def test_check_changes_none_of_its_arguments_and_repeats_itself() -> None:
    schemas = copy.deepcopy(ROOMS["custom"])
    first = check("SELECT * FROM users", schemas, BRAND)
    assert schemas == ROOMS["custom"]
    assert check("SELECT * FROM users", schemas, BRAND) == first


def test_violation_points_at_its_words_and_names_table_owner_column_rule_and_remedy() -> None:
    sql = "SELECT DISTINCT\n  p.hashed_id, p.age\nFROM match_keys m\nJOIN people p ON m.hashed_id = p.hashed_id"
    (one,) = check(sql, ROOMS["list"], BRAND).violations
    assert one.code == "list-select-join-column"
    assert one.place == Place(2, 3, len("p.hashed_id"))
    assert (one.table, one.owner, one.column) == ("people", PARTNER, "hashed_id")
    assert one.rule == f"LIST on people, owned by {PARTNER}: joinColumns [hashed_id, phone_hash]"
    assert one.fix == "drop it; select match_keys.customer_key (list column of your own) to keep one row per customer"


@pytest.mark.parametrize(
    ("room", "sql", "words"),
    [
        ("list", JOINED.replace("DISTINCT ", ""), "SELECT"),
        ("list", JOINED + "\nGROUP BY p.age", "GROUP BY"),
        ("list", JOINED + " LIMIT 3 OFFSET 4", "OFFSET"),
        ("list", JOINED.replace("people p", "strangers p"), "strangers p"),
        ("custom", "SELECT email,\n nope(age) FROM pets, users", "nope"),
        ("custom", "WITH q AS (SELECT age AS a FROM users)\nSELECT q.a + 1 FROM q", "q.a"),
        ("aggregation", "SELECT product, SUM(amount) FROM free_sales GROUP BY product\nLIMIT 3", "LIMIT"),
    ],
)  # fmt: skip
def test_place_is_that_of_the_words(room: str, sql: str, words: str) -> None:
    one = check(sql, ROOMS[room], BRAND).violations[0]
    line = sql.split("\n")[one.place.line - 1]
    assert line[one.place.column - 1 : one.place.column - 1 + one.place.length] == words


def test_strictest_output_constraint_of_each_column_binds() -> None:
    verdict = check(
        "SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id", ROOMS["aggregation"], BRAND
    )
    assert verdict.constraints == (
        OutputConstraint("customers", "hashed_id", 2),
        OutputConstraint("sales", "hashed_id", 100),
    )
    twice = [{"columnName": "hashed_id", "minimum": n, "type": "COUNT_DISTINCT"} for n in (100, 150)]
    rule = aggregation_rule({"SUM": "units"}, "hashed_id", "", "", outputConstraints=twice)
    only = table("t", PARTNER, "hashed_id units", "AGGREGATION", rule)
    assert check("SELECT SUM(units) FROM t", [only], BRAND).constraints == (OutputConstraint("t", "hashed_id", 150),)


def test_thresholds_come_with_those_of_single_output_columns() -> None:
    rule = threshold("user_id", 100, outputColumnThresholds=[{"outputColumnName": "n", "minimumIdentityCount": 0}])
    room = [table("users", PARTNER, USERS, "CUSTOM", custom_rule(**rule))]
    found = check("SELECT gender, COUNT(*) AS n FROM users GROUP BY gender", room, BRAND).constraints
    assert found == (OutputConstraint("users", "user_id", 100), OutputConstraint("users", "user_id", 0, "n"))


def template(sql: str, *parameters: tuple[str, str]) -> dict[str, Any]:
    """A template as GetCollaborationAnalysisTemplate gives it."""
    declared = [{"name": name, "type": kind} for name, kind in parameters]
    return {"arn": TEMPLATE_ARN, "creatorAccountId": BRAND, "source": {"text": sql}, "analysisParameters": declared}


def test_values_of_parameters_become_typed_literals_of_the_tree() -> None:
    sql = "SELECT gender FROM pets WHERE owner_name = :who AND age > :low AND CURRENT_DATE > :day"
    declared = template(sql, ("who", "STRING"), ("low", "SMALLINT"), ("day", "DATE"))
    given = {"who": "O'Hara; DROP TABLE pets", "low": "-3", "day": "2026-01-31"}
    verdict = check(sql, ROOMS["custom"], BRAND, template=declared, parameters=given)
    assert verdict.query is not None
    assert verdict.query.sql("spark") == (
        "SELECT gender FROM pets WHERE owner_name = 'O\\'Hara; DROP TABLE pets' "
        "AND age > CAST(-3 AS SMALLINT) AND CURRENT_DATE > CAST('2026-01-31' AS DATE)"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"arn": None}, "arn is missing"),
        ({"format": "PYSPARK_1_0"}, "no SQL"),
        ({"source": {"text": "SELECT 1"}}, "not the template's text"),
    ],
    ids=["no arn", "PySpark", "other text"],
)
def test_template_that_is_not_this_sql_is_no_input(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        check(COUNT, ROOMS["custom"], BRAND, template=template(COUNT) | change)


def test_more_than_fifty_parameters_are_too_many() -> None:
    many = template("SELECT gender FROM pets", *((f"p{number}", "INT") for number in range(51)))
    given = {f"p{number}": "1" for number in range(51)}
    assert codes("SELECT gender FROM pets", ROOMS["custom"], BRAND, template=many, parameters=given) == [
        "too-many-parameters"
    ]


def test_value_longer_than_the_api_takes_is_refused() -> None:
    sql = "SELECT gender FROM pets WHERE owner_name = :who"
    declared = template(sql, ("who", "STRING"))
    assert codes(sql, ROOMS["custom"], BRAND, template=declared, parameters={"who": "x" * 1000}) == []
    assert codes(sql, ROOMS["custom"], BRAND, template=declared, parameters={"who": "x" * 1001}) == ["parameter-value"]


def budget(**remaining: int) -> list[dict[str, Any]]:
    """A privacy budget as ListPrivacyBudgets gives it."""
    items = [{"type": kind, "maxCount": 9, "remainingCount": count} for kind, count in remaining.items()]
    return [{"type": "DIFFERENTIAL_PRIVACY", "budget": {"differentialPrivacy": {"aggregations": items, "epsilon": 3}}}]


def test_privacy_budget_must_hold_the_aggregates_of_the_query() -> None:
    sql = "SELECT COUNT(DISTINCT user_id), SUM(spend), SUM(age), STDDEV_POP(age) FROM users"
    enough = budget(COUNT_DISTINCT=1, SUM=2, STDDEV=1)
    assert codes(sql, ROOMS["dp"], BRAND, privacy_budget=enough) == []
    assert codes(sql, ROOMS["dp"], BRAND, privacy_budget=budget(COUNT_DISTINCT=1, SUM=1, STDDEV=1)) == ["dp-budget"]
    assert codes(sql, ROOMS["dp"], BRAND, privacy_budget=budget(COUNT=9, SUM=2, STDDEV=1)) == ["dp-budget"]
    assert codes(sql, ROOMS["dp"], BRAND, privacy_budget=[]) == ["dp-no-budget"]
    assert codes(sql, ROOMS["dp"], BRAND) == []


def test_access_budget_that_is_used_up_stops_the_query() -> None:
    arn = "arn:aws:cleanrooms:us-east-1:222222222222:configuredtableassociation/m/a"
    room = [table("users", PARTNER, USERS, "CUSTOM", custom_rule(), resourceArn=arn)]

    def left(count: int, of: str = arn) -> list[dict[str, Any]]:
        budget = {"accessBudget": {"resourceArn": of, "details": [], "aggregateRemainingBudget": count}}
        return [{"type": "ACCESS_BUDGET", "budget": budget}]

    assert codes(COUNT, room, BRAND, privacy_budget=left(1)) == []
    assert codes(COUNT, room, BRAND, privacy_budget=left(0)) == ["access-budget"]
    assert codes(COUNT, room, BRAND, privacy_budget=left(0, of=arn + "b")) == []


def test_sixteenth_table_is_one_too_many() -> None:
    room = [table(f"t{n}", PARTNER, "k", "CUSTOM", custom_rule()) for n in range(16)]
    fifteen = "SELECT COUNT(*) FROM t0" + "".join(f" JOIN t{n} ON t{n}.k = t0.k" for n in range(1, 15))
    assert codes(fifteen, room, BRAND) == []
    assert codes(fifteen + " JOIN t15 ON t15.k = t0.k", room, BRAND) == ["too-many-tables"]


def test_text_is_measured_in_bytes() -> None:
    filler = "ö" * 250_000
    assert codes(f"SELECT gender FROM pets WHERE gender = '{filler}'", ROOMS["custom"], BRAND) == [
        "query-text-too-long"
    ]
    assert codes(f"SELECT gender FROM pets WHERE gender = '{filler[:-100]}'", ROOMS["custom"], BRAND) == []


@pytest.mark.parametrize(("size", "is_unsure"), [(9_000, True), (91_000, False)])
def test_text_limit_of_differential_privacy_is_unsure_between_the_two_documented(size: int, is_unsure: bool) -> None:
    sql = f"SELECT COUNT(*) FROM users WHERE gender = '{'x' * size}'"
    (one,) = check(sql, ROOMS["dp"], BRAND).violations
    assert (one.code, one.is_unsure) == ("dp-text-too-long", is_unsure)


def test_nesting_beyond_the_checker_is_unsure_and_no_crash() -> None:
    (one,) = check(f"SELECT {'(' * 5000}1{')' * 5000} FROM pets", ROOMS["custom"], BRAND).violations
    assert (one.code, one.is_unsure) == ("sql-not-understood", True)


BROKEN: dict[str, Any] = {
    "not a list": {"schema": {}},
    "no schema": [{"analysisRules": []}],
    "no owner": [{"schema": {"name": "t", "columns": []}, "analysisRules": []}],
    "columns are no list": [{"schema": {"name": "t", "creatorAccountId": PARTNER, "columns": {}}, "analysisRules": []}],
    "rule without policy": [KEYS | {"analysisRules": [{"type": "LIST"}]}],
    "policy of another type": [KEYS | {"analysisRules": [{"type": "LIST", "policy": {"v1": {"custom": {}}}}]}],
    "two rules": [KEYS | {"analysisRules": KEYS["analysisRules"] * 2}],
    "a table twice": [KEYS, LOYALTY, KEYS],
    "a rule on a column that is not there": [table("t", PARTNER, "a", "LIST", list_rule("a", "b"))],
    "an aggregate without its columns": [
        table(
            "t", PARTNER, "a", "AGGREGATION", aggregation_rule({}, "a", "", "", aggregateColumns=[{"function": "SUM"}])
        )
    ],
    "a privacy column without a name": [
        table("t", PARTNER, "a", "CUSTOM", custom_rule(differentialPrivacy={"columns": [{}]}))
    ],
    "half of the comparison controls": [
        table("t", PARTNER, "a", "CUSTOM", custom_rule(comparisonControls={"allowedLiteralComparisonColumns": []}))
    ],
    "two identity columns": [
        table("t", PARTNER, "a b", "CUSTOM", custom_rule(aggregationThresholds=[{"identityColumns": ["a", "b"]}]))
    ],
}


@pytest.mark.parametrize("schemas", BROKEN.values(), ids=BROKEN)
def test_schemas_that_the_api_would_not_give_are_no_input(schemas: Any) -> None:
    with pytest.raises(ContractError, match="not as the AWS API gives it"):
        check("SELECT a FROM t", schemas, BRAND)


def test_identity_column_in_the_list_for_literals_gains_nothing() -> None:
    policy = custom_rule(**threshold("user_id", 10), **comparisons("user_id age", "user_id"))
    room = [table("users", PARTNER, USERS, "CUSTOM", policy)]
    assert codes("SELECT COUNT(*) FROM users WHERE user_id = 'u1'", room, BRAND) == ["identity-literal"]
    assert codes("SELECT COUNT(*) FROM users WHERE age = 1", room, BRAND) == []


def test_partition_keys_are_columns() -> None:
    room = [table("t", PARTNER, "a", "CUSTOM", custom_rule(), partitionKeys=[{"name": "day", "type": "date"}])]
    assert codes("SELECT day FROM t", room, BRAND) == []


@pytest.mark.parametrize(
    "summary", [{}, {"budget": {"accessBudget": {}}}, {"budget": {"differentialPrivacy": {"aggregations": [{}]}}}]
)
def test_budgets_that_the_api_would_not_give_are_no_input(summary: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="not as the AWS API gives it"):
        check(COUNT, ROOMS["custom"], BRAND, privacy_budget=[summary])


def test_query_that_this_project_sends_is_allowed() -> None:
    query = SETTINGS.query
    keys = table(
        query.match_keys_table, BRAND, "hashed_id customer_key", "LIST", list_rule("hashed_id", "customer_key")
    )
    columns = " ".join(query.partner_columns)
    partner = table(query.partner_table, PARTNER, f"hashed_id {columns}", "LIST", list_rule("hashed_id", columns))
    assert codes(build_list_query(query), [keys, partner], BRAND) == []


@pytest.mark.parametrize(
    "sql", ["SELECT FROM users", "SELECT count(*) FROM users WHERE user_id IN (SELECT FROM visits)"]
)
def test_select_of_nothing_is_refused(sql: str) -> None:
    case = next(case for case in CASES if "users" in case.sql and "visits" in case.sql)
    (violation,) = check(sql, case.schemas, case.runner).violations
    assert violation.what == "a SELECT names nothing to select"
