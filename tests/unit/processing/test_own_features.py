"""Features of the user's own SQL: they join, they see nothing of the future, and nothing but SELECT is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from contracts.errors import ContractError, PsegError, SettingsError
from contracts.feature_table import read_feature_table
from processing.build_features import Job, build_features
from processing.own_features import own_features
from processing.sql import connect
from tests.worlds import AS_OF, SETTINGS, TRAINING_DATE, write_inputs

DAY = date(2026, 3, 31)
GOOD = """
-- how a customer spends; several of SQL's ways to say it
WITH Spent AS (SELECT customer_key, event_day, amount FROM events WHERE amount > 0),
last_days AS (SELECT customer_key, max(event_day) AS day FROM spent GROUP BY ALL)
SELECT s.customer_key, median(amount) AS "Median, spent", count(DISTINCT event_day) FILTER (amount > 20) > 2 AS often,
       date_diff('day', any_value(day), $as_of) AS days_since, if(sum(amount) > 100, 'big', 'small') AS size
FROM Spent s JOIN last_days USING (customer_key) GROUP BY s.customer_key;
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Two customers with events on both sides of the date, as BuildFeatures registers them."""
    with connect(tmp_path) as opened:
        opened.execute(
            f"""CREATE TABLE raw_events AS SELECT * FROM (VALUES
            ('a', 'buy', DATE '{DAY}', 10.0, 1), ('a', 'buy', DATE '{DAY + timedelta(days=1)}', 500.0, 1),
            ('b', 'buy', DATE '{DAY - timedelta(days=9)}', 30.0, 2))
            AS t (customer_key, event_type, event_day, amount, quantity)"""
        )
        for view in ("events", "all_events"):
            opened.execute(f"CREATE VIEW {view} AS SELECT * FROM raw_events")
        opened.execute("CREATE TABLE query_result AS SELECT 'a' AS customer_key, 5 AS band")
        yield opened


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, tuple[object, ...]]:
    """The user's features by customer."""
    table = own_features(connection, sql, "events", "base", DAY)
    return {str(key): tuple(values) for key, *values in connection.execute(f"SELECT * FROM {table}").fetchall()}


def test_query_joins_as_features_of_the_brand(tmp_path: Path) -> None:
    own = replace(SETTINGS, features_sql=GOOD)
    tables = write_inputs(tmp_path / "input", own)
    build_features(Job(own, AS_OF, tmp_path / "input", tmp_path / "out", True))
    contract = read_feature_table(tmp_path / "out" / "features")
    kinds = {feature.name: (feature.kind, feature.party) for feature in contract.features}
    assert kinds["Median, spent"] == kinds["often"] == kinds["days_since"] == ("number", "brand")
    assert kinds["size"] == ("category", "brand")
    found = pq.read_table(tmp_path / "out" / "features" / "feature_table.parquet").to_pandas().set_index("customer_key")
    events = tables["events"]
    known = events[(events["event_time"].dt.date <= TRAINING_DATE) & (events["amount"] > 0)]
    spent = known.groupby("customer_key")["amount"].median().reindex(found.index).astype("float32")
    pd.testing.assert_series_equal(found["Median, spent"], spent, check_names=False)
    assert (found["days_since"] == found["recency_days"]).all()
    scored = pq.read_table(tmp_path / "out" / "shards").to_pandas().set_index("User.UserId")
    today = events[events["amount"] > 0].groupby("customer_key")["amount"].median()
    shown = today.reindex(scored.index).astype("float32")  # shards are single precision, as a model reads them
    pd.testing.assert_series_equal(scored["Median, spent"], shown, check_names=False)


def test_customer_without_a_row_has_missing_values(tmp_path: Path) -> None:
    own = replace(SETTINGS, features_sql="SELECT customer_key, 1 AS one FROM events GROUP BY ALL HAVING count(*) > 30")
    write_inputs(tmp_path / "input", own)
    build_features(Job(own, AS_OF, tmp_path / "input", tmp_path / "out", True))
    found = pq.read_table(tmp_path / "out" / "features" / "feature_table.parquet").to_pandas()
    assert 0 < found["one"].notna().mean() < 1
    assert (found["one"].notna() == (found["events_total"] > 30)).all()


@pytest.mark.parametrize(
    "sql",
    [
        "WITH all_events AS (SELECT * FROM all_events) SELECT customer_key, amount FROM all_events",
        "WITH t AS (SELECT 1), raw_events AS (SELECT * FROM raw_events) SELECT customer_key FROM raw_events",
        "SELECT customer_key, (WITH all_events AS (SELECT 1) SELECT 1 FROM all_events) AS n FROM all_events",
        "SELECT customer_key, 1 AS n FROM (SELECT 1 AS x) AS raw_events, raw_events",
        "SELECT customer_key, amount FROM raw_events AS events",
        "SELECT customer_key, 1 AS n FROM main.events",
        "SELECT customer_key, 1 AS n FROM temp.main.events",
        "SELECT customer_key, band AS b FROM query_result",
        "SELECT customer_key, 1 AS n FROM events UNION SELECT customer_key, band FROM query_result",
        "SELECT customer_key, 1 AS n FROM events WHERE amount > (SELECT avg(amount) FROM all_events)",
        "SELECT customer_key, 1 AS n FROM read_parquet('events.parquet')",
        "SELECT customer_key, 1 AS n FROM events, read_csv('/etc/passwd') p",
        "SELECT customer_key, (SELECT content FROM read_text('/etc/passwd')) AS n FROM events",
        "SELECT customer_key, (SELECT count(*) FROM glob('/*')) AS n FROM events",
        "SELECT customer_key, 1 AS n FROM 'people.parquet'",
        'WITH "x.csv" AS (SELECT * FROM "x.csv") SELECT * FROM "x.csv"',
        "SELECT * FROM query('SELECT * FROM all_events')",
        "SELECT * FROM query_table('all_events')",
        "SELECT * FROM (PIVOT all_events ON event_type USING sum(amount) GROUP BY customer_key)",
        "SELECT * FROM (SUMMARIZE all_events)",
        "FROM duckdb_settings()",
        "FROM all_events",
        "SELECT * FROM information_schema.tables",
    ],
)
def test_query_that_reads_anything_else_is_refused(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(SettingsError, match="the feature query reads") as caught:
        run(connection, sql)
    assert (caught.value.where, caught.value.fix) == ("tables.features in project.toml", "select from events")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT customer_key, 1 AS n FROM events; SELECT 2",
        "SELECT customer_key, 1 AS n FROM events; DROP TABLE raw_events",
        *("DROP TABLE raw_events", "DELETE FROM raw_events", "CREATE TABLE x AS SELECT 1", "INSERT INTO x VALUES (1)"),
        *(
            "COPY events TO 'x.csv'",
            "ATTACH 'x.db'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET threads = 1",
            "PRAGMA version",
        ),
        *("SUMMARIZE all_events", "CALL pragma_version()", "EXPORT DATABASE 'x'", "", "-- nothing"),
    ],
)
def test_anything_but_one_select_is_refused_and_not_run(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    before = connection.execute("SELECT count(*) FROM raw_events").fetchall(), connection.sql("SHOW TABLES").fetchall()
    with pytest.raises(SettingsError, match=r"must be one SELECT|is not SQL"):
        run(connection, sql)
    after = connection.execute("SELECT count(*) FROM raw_events").fetchall(), connection.sql("SHOW TABLES").fetchall()
    assert after == before


@pytest.mark.parametrize(
    "expression",
    [
        *("random()", "now()", "today()", "current_date", "current_timestamp", "localtimestamp", "uuid()"),
        *("date_diff('day', max(event_day), current_date)", "getvariable('x')", "current_setting('threads')"),
    ],
)
def test_clock_chance_and_settings_are_refused(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    with pytest.raises(SettingsError, match="the feature query uses") as caught:
        run(connection, f"SELECT customer_key, {expression} AS x FROM events GROUP BY customer_key")
    assert "$as_of" in caught.value.fix


@pytest.mark.parametrize(
    "end",
    [";", " ; \n", "; -- the end", ";\n/* é😀 */\n-- the; end\n", " -- the end; of it", "\n/* ; */ ; -- é"],
    ids=repr,
)
def test_select_may_end_in_a_semicolon_and_a_comment(connection: duckdb.DuckDBPyConnection, end: str) -> None:
    sql = f"SELECT customer_key, count(*) AS n, 'é;😀' AS t FROM events GROUP BY customer_key{end}"
    assert run(connection, sql) == {"a": (1, "é;😀"), "b": (1, "é;😀")}


@pytest.mark.parametrize("key", ["customer_key::INT", "customer_key::UTINYINT", "customer_key::DECIMAL(4, 0)"])
def test_key_may_be_a_number_where_it_is_a_text_to_others(tmp_path: Path, key: str) -> None:
    sql = f"SELECT {key} AS customer_key, count(*) AS n FROM events GROUP BY 1"
    with connect(tmp_path) as opened:
        opened.execute("CREATE VIEW events AS SELECT '7' AS customer_key, DATE '2026-01-01' AS event_day")
        opened.execute("CREATE VIEW all_events AS FROM events")
        table = own_features(opened, sql, "events", "base", DAY)
        joined = opened.execute(f"SELECT e.customer_key, n FROM events e JOIN {table} USING (customer_key)").fetchall()
    assert joined == [("7", 1)]


def test_key_that_is_nobodys_is_ignored_whatever_its_type(tmp_path: Path) -> None:
    own = replace(SETTINGS, features_sql="SELECT 5 AS customer_key, 1 AS n FROM events LIMIT 1")
    write_inputs(tmp_path / "input", own, customers=300)
    build_features(Job(own, AS_OF, tmp_path / "input", tmp_path / "out", True))
    found = pq.read_table(tmp_path / "out" / "features" / "feature_table.parquet").to_pandas()
    assert found["n"].isna().all()


def test_sample_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(SettingsError, match="the feature query uses"):
        run(connection, "SELECT DISTINCT customer_key, 1 AS x FROM events USING SAMPLE 50%")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT customer_key, amount FORM events", "can't be run|is not SQL"),
        ("SELECT customer_key, colour FROM events", "the feature query can't be run"),
        ("SELECT customer_key, ('x' || amount)::INT AS n FROM events", "the feature query can't be run"),
        ("SELECT event_day, count(*) AS n FROM events GROUP BY 1", "gives no customer_key"),
        ("SELECT customer_key, amount FROM all_events", "reads all_events"),
        ("SELECT customer_key, amount FROM events UNION ALL SELECT 'a', 2", "3 rows for 2 customers"),
        ("SELECT nullif(customer_key, 'a') AS customer_key, 1 AS n FROM events", "2 rows for 1 customers"),
        ("SELECT customer_key, max(event_day) AS last FROM events GROUP BY 1", r"gives last as date32"),
        ("SELECT customer_key, list(amount) AS all_of FROM events GROUP BY 1", "gives all_of as list"),
        ("SELECT customer_key, amount / (quantity - quantity) AS r FROM events", "gives an infinite r for 2 customers"),
        ("SELECT DISTINCT customer_key, 1e300 AS r FROM events", "gives an infinite r for 2 customers"),
    ],
    ids=[
        *("misspelt", "no such column", "conversion", "no key", "other table", "two rows", "key missing"),
        *("date", "list", "infinite", "huge"),
    ],
)
def test_query_that_gives_no_features_is_refused_by_name(
    connection: duckdb.DuckDBPyConnection, sql: str, words: str
) -> None:
    with pytest.raises(PsegError, match=words) as caught:
        run(connection, sql)
    assert caught.value.where == "tables.features in project.toml"
    assert caught.value.fix


def refuse(folder: Path, sql: str) -> ContractError:
    """The error that the step refuses a query with, having written nothing."""
    own = replace(SETTINGS, features_sql=sql)
    write_inputs(folder / "input", own, customers=300)
    with pytest.raises(ContractError) as caught:
        build_features(Job(own, AS_OF, folder / "input", folder / "out", True))
    assert list((folder / "out").iterdir()) == []
    return caught.value


@pytest.mark.parametrize("name", ["recency_days", "RECENCY_DAYS", "split", "label__buy", "affinity", "Id"])
def test_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    error = refuse(tmp_path, f'SELECT customer_key, 1 AS "{name}" FROM events GROUP BY ALL')
    assert f"have the names of other features: {name}" in error.what


def test_text_that_names_people_is_refused(tmp_path: Path) -> None:
    error = refuse(tmp_path, "SELECT customer_key, 'id-' || customer_key AS who FROM events GROUP BY ALL")
    assert "column who has " in error.what
    assert "no name or address is ever a feature" in error.why


def test_changed_query_is_another_model(tmp_path: Path) -> None:
    found = []
    for number, sql in enumerate(["", GOOD, GOOD.replace("> 20", "> 21")]):
        own = replace(SETTINGS, features_sql=sql)
        write_inputs(tmp_path / str(number), own, customers=300)
        build_features(Job(own, AS_OF, tmp_path / str(number), tmp_path / f"out{number}", True))
        found.append(read_feature_table(tmp_path / f"out{number}" / "features").fingerprint)
    assert len(set(found)) == 3
