"""An accepted query does not depend on a column that may not reach its output; and no query makes the checker crash.

The figures are small here and 20,000 and more under ``-m long``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType

from clean_rooms.analysis_rules import check
from clean_rooms.analysis_rules.dialect import CleanRoomsSpark
from tests.clean_room_cases import CASES
from tests.clean_room_tables import BRAND, Schemas
from tests.poison import Oracle
from tests.random_queries import (
    AGGREGATION_ROOM,
    CUSTOM_ROOM,
    JOINED,
    LIST_ROOM,
    SECRETS,
    UNLISTED,
    CustomQueries,
    aggregation_query,
    list_query,
)

FEW, MANY = 120, 20_000
WORLDS = 5
SIZES = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(3600)], id="many"),
]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("are_linked", [False, True], ids=["secrets are shown", "secrets also link"])
def test_custom_rule_accepts_just_what_does_not_show_a_secret(are_linked: bool, count: int) -> None:
    replace, rename = ({}, SECRETS) if are_linked else (SECRETS, {})
    oracles = [Oracle(Random(world), replace, rename) for world in range(WORLDS)]
    found: Counter[bool] = Counter()
    for seed in range(count // 2):
        sql, depends = CustomQueries(Random(seed), are_linked).query()
        verdict = check(sql, CUSTOM_ROOM, BRAND)
        assert verdict.allowed is not depends, sql
        assert {one.code for one in verdict.violations} <= {"custom-disallowed-output"}, sql
        found[verdict.allowed] += 1
        if verdict.allowed:
            assert not oracles[seed % WORLDS].differs(sql), sql
    assert min(found[True], found[False]) > count / 8


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(
    ("make", "room"), [(list_query, LIST_ROOM), (aggregation_query, AGGREGATION_ROOM)], ids=["LIST", "AGGREGATION"]
)
def test_list_and_aggregation_rules_show_no_join_column_and_no_unlisted_one(
    make: Callable[[Random], str], room: Schemas, count: int
) -> None:
    oracles = [Oracle(Random(world), UNLISTED, JOINED) for world in range(WORLDS)]
    found: Counter[bool] = Counter()
    for seed in range(count // 4):
        sql = make(Random(seed))
        verdict = check(sql, room, BRAND)
        found[verdict.allowed] += 1
        if verdict.allowed:
            assert not oracles[seed % WORLDS].differs(sql), sql
    assert min(found[True], found[False]) > count / 16


def test_oracle_notices_what_the_rules_forbid() -> None:
    shown = Oracle(Random(1), SECRETS, {})
    linked = Oracle(Random(1), {}, SECRETS)
    assert shown.differs("SELECT secret FROM t")
    assert shown.differs("SELECT SUM(CASE WHEN secret = 3 THEN 1 ELSE 0 END) FROM t")
    assert shown.differs("SELECT COUNT(*) FROM t GROUP BY secret")
    assert linked.differs("SELECT MAX(secret) FROM t")
    assert linked.differs("SELECT COUNT(*) FROM t WHERE secret < 100")
    assert not linked.differs("SELECT COUNT(*) FROM t GROUP BY secret")
    assert not linked.differs("SELECT t.a FROM t JOIN u ON t.secret = u.hidden")


def test_oracle_notices_most_of_the_random_queries_that_are_refused() -> None:
    oracle = Oracle(Random(0), SECRETS, {})
    refused = [sql for sql, depends in (CustomQueries(Random(seed), False).query() for seed in range(FEW)) if depends]
    assert sum(map(oracle.differs, refused)) > 0.6 * len(refused)


@pytest.mark.parametrize("count", SIZES)
def test_no_text_makes_the_checker_crash(count: int) -> None:
    tokenizer = CleanRoomsSpark()
    for seed in range(count):
        random = Random(seed)
        case = random.choice(CASES)
        try:
            tokens = tokenizer.tokenize(case.sql)
        except TokenError:  # texts that are no tokens have their golden cases
            continue
        words = [case.sql[token.start : token.end + 1] for token in tokens if token.token_type != TokenType.HINT]
        others = random.choice(CASES).sql.split()
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(words) + 1)
            change = random.choice(["cut", "double", "swap", "take"])
            if change == "cut":
                del words[at : at + random.randint(1, 3)]
            elif change == "take":
                words[at:at] = [random.choice(others)]
            elif change == "double":
                words[at:at] = words[at : at + random.randint(1, 5)]
            else:
                words[at : at + 2] = reversed(words[at : at + 2])
        options = {name: value for name, value in case.options.items() if name == "result_receivers"}
        verdict = check(" ".join(words), case.schemas, case.runner, **options)
        assert verdict.allowed is (verdict.query is not None)
