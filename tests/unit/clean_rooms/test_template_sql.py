"""Which columns of the partner's a template reads, found in its SQL."""

from __future__ import annotations

import pytest

from clean_rooms.template_sql import columns_read, hash_sql
from contracts.errors import SettingsError

OTHERS = {"match_keys": ("hashed_id", "customer_key")}
JOINED = "FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id"
CTE = """
WITH t AS (SELECT hashed_id, SUM(amount) AS spent FROM people GROUP BY hashed_id HAVING spent > 1 ORDER BY spent)
SELECT m.customer_key, t.spent FROM match_keys m JOIN t ON m.hashed_id = t.hashed_id
"""
CORRELATED = """
SELECT m.customer_key FROM match_keys m
WHERE EXISTS (SELECT 1 FROM people p WHERE p.hashed_id = m.hashed_id AND kind = 'B')
"""


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        (f"SELECT m.customer_key, p.Age {JOINED}", "age hashed_id"),
        (f"SELECT customer_key, age {JOINED} WHERE city = :city", "age city hashed_id"),
        (CTE, "amount hashed_id"),
        (CORRELATED, "hashed_id kind"),
        ("SELECT UPPER(city) AS city FROM people UNION ALL SELECT PEOPLE.zip FROM people", "city zip"),
        ("SELECT m.*, p.age FROM match_keys m JOIN people p USING (hashed_id)", "age"),
        ("SELECT COUNT(*) AS n FROM match_keys", ""),
    ],
    ids=["qualified", "bare", "CTE", "correlated", "union", "star of the other", "not read"],
)
def test_columns_that_a_template_reads_are_found(sql: str, columns: str) -> None:
    assert columns_read(sql, "people", OTHERS) == tuple(columns.split())


@pytest.mark.parametrize(
    "star",
    ["SELECT * FROM people", "SELECT p.* FROM people p", f"SELECT m.customer_key, p.* {JOINED}"],
    ids=["alone", "of an alias", "beside others"],
)
def test_star_over_the_partners_table_is_refused(star: str) -> None:
    with pytest.raises(SettingsError, match="reads all columns of people"):
        columns_read(star, "people", OTHERS)


def test_sql_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="can't be read") as caught:
        columns_read("SELECT FROM FROM", "people", OTHERS)
    assert "\n" not in caught.value.why


def test_texts_that_differ_in_one_space_have_other_hashes() -> None:
    assert hash_sql("SELECT 1") != hash_sql("SELECT  1")
    assert hash_sql("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
