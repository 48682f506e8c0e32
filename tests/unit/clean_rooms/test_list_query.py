"""The query of the LIST rule: this very text, and no name that could turn it into another."""

from __future__ import annotations

import pytest

from clean_rooms.list_query import build_list_query
from contracts.errors import SettingsError
from contracts.run_settings import Query
from tests.worlds import SETTINGS


def query(match_keys: str = "match_keys", partner: str = "partner_attributes", *columns: str) -> Query:
    """A query of these names."""
    return Query("spring", match_keys, partner, columns or ("age",), 60)


@pytest.mark.parametrize(
    ("given", "sql"),
    [
        (
            SETTINGS.query,
            "SELECT DISTINCT m.customer_key, p.affinity, p.band, p.attribute_date FROM match_keys AS m "
            "INNER JOIN partner_attributes AS p ON m.hashed_id = p.hashed_id",
        ),
        (
            query("keys", "people", "age"),
            "SELECT DISTINCT m.customer_key, p.age FROM keys AS m INNER JOIN people AS p ON m.hashed_id = p.hashed_id",
        ),
        (
            query("order", "table", "date"),
            "SELECT DISTINCT m.customer_key, p.`date` FROM `order` AS m "
            "INNER JOIN `table` AS p ON m.hashed_id = p.hashed_id",
        ),
    ],
    ids=["a project", "other names", "words of SQL"],
)
def test_query_is_this_very_text(given: Query, sql: str) -> None:
    assert build_list_query(given) == sql


HOSTILE = [
    "",
    "Age",
    "1st",
    "_age",
    "a-b",
    "a b",
    "a.b",
    "age; DROP TABLE people",
    "age FROM people --",
    "age/**/",
    "`age`",
    '"age"',
    "age)",
    "*",
    "count(*)",
    "âge",
    "age\n",
    "a" * 128,
]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
@pytest.mark.parametrize("place", ["match keys table", "partner table", "column"])
def test_name_that_is_not_plain_is_refused(name: str, place: str) -> None:
    given = {
        "match keys table": query(name),
        "partner table": query("match_keys", name),
        "column": query("match_keys", "people", "age", name),
    }[place]
    with pytest.raises(SettingsError, match="can't be a table or column name in Clean Rooms") as caught:
        build_list_query(given)
    assert repr(name) in caught.value.what
    assert caught.value.where == "project.toml [query]"
